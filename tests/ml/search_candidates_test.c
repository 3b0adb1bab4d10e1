// SPDX-License-Identifier: Apache-2.0
// Candidates of a search, of an estimator made up for it.
#include <math.h>
#include "kit/kit.h"
#include "ml/search.h"

typedef struct sample_options {
  double l2;
  int64_t depth;
  const char *layers;
} sample_options;

static const qn_setting settings[] = {
    {.info = {"l2", "0.5", "a number"},
     .kind = QN_SETTING_FLOAT64,
     .offset = offsetof(sample_options, l2),
     .min = 0,
     .max = 10},
    {.info = {"depth", "3", "a whole number"},
     .kind = QN_SETTING_INT64,
     .offset = offsetof(sample_options, depth),
     .min = 1,
     .max = 20},
    {.info = {"layers", "1", "a text"}, .kind = QN_SETTING_TEXT, .offset = offsetof(sample_options, layers)},
    {.info = {.name = NULL}},
};
static const qn_estimator sample = {
    .name = "sample", .settings = settings, .options_size = sizeof(sample_options)};

static qn_status make(const char *grid, int64_t n_random, qn_arena *arena, qn_candidates *out) {
  return qn_candidates_make(&sample, grid, n_random, 7, arena, out, &kit_error);
}

static void a_grid_is_all_combinations(void) {
  qn_arena arena = {0};
  qn_candidates made = {0};
  QN_CHECK_OK(make("l2=0.1,1 layers='5 5,5','7'  depth=2", 0, &arena, &made));
  QN_CHECK_INT(made.n, 4);
  QN_CHECK_TEXT(made.texts[0], "l2=0.1 layers='5 5,5' depth=2");
  QN_CHECK_TEXT(made.texts[1], "l2=0.1 layers='7' depth=2");
  QN_CHECK_TEXT(made.texts[3], "l2=1 layers='7' depth=2");
  QN_CHECK_OK(make(NULL, 0, &arena, &made));
  QN_CHECK_INT(made.n, 1);
  QN_CHECK_TEXT(made.texts[0], "");
  qn_arena_release(&arena);
}

static void draws_lie_in_their_ranges(void) {
  qn_arena arena = {0};
  qn_candidates made = {0};
  qn_candidates again = {0};
  int n_small = 0;
  bool seen[6] = {0};
  QN_CHECK_OK(make("l2=1e-6..1 depth=2..5", 200, &arena, &made));
  QN_CHECK_OK(make("l2=1e-6..1 depth=2..5", 200, &arena, &again));
  QN_CHECK_INT(made.n, 200);
  for (int i = 0; i < made.n; i++) {
    sample_options options = {0};
    QN_CHECK_OK(qn_settings_parse(&sample, made.texts[i], &arena, &options, &kit_error));
    QN_CHECK(options.l2 >= 1e-6 && options.l2 <= 1 && options.depth >= 2 && options.depth <= 5);
    n_small += options.l2 < 1e-3;
    seen[options.depth] = true;
    QN_CHECK_TEXT(made.texts[i], again.texts[i]);
  }
  QN_CHECK(n_small > 70 && n_small < 130); // log-uniform
  QN_CHECK(seen[2] && seen[3] && seen[4] && seen[5]);
  qn_arena_release(&arena);
}

static void mistakes_are_named(void) {
  qn_arena arena = {0};
  qn_candidates made = {0};
  QN_CHECK_FAILS(make("l2=0.1,11", 0, &arena, &made), QN_ERR_ARG);
  QN_CHECK_MESSAGE("11");
  QN_CHECK_FAILS(make("l3=0.1", 0, &arena, &made), QN_ERR_ARG);
  QN_CHECK_MESSAGE("'l3'");
  QN_CHECK_FAILS(make("l2", 0, &arena, &made), QN_ERR_ARG);
  QN_CHECK_FAILS(make("l2=", 0, &arena, &made), QN_ERR_ARG);
  QN_CHECK_FAILS(make("l2=1,,2", 0, &arena, &made), QN_ERR_ARG);
  QN_CHECK_FAILS(make("l2=1", -1, &arena, &made), QN_ERR_ARG);
  QN_CHECK_FAILS(make("l2=5..1", 3, &arena, &made), QN_ERR_ARG);
  qn_arena_release(&arena);
}

static void folds_are_about_equal(void) {
  int counts[5] = {0};
  int n_same = 0;
  for (int64_t row = 0; row < 10000; row++) {
    counts[qn_fold_of_row(row, 5, 1)]++;
    n_same += qn_fold_of_row(row, 5, 1) == qn_fold_of_row(row, 5, 2);
  }
  for (int i = 0; i < 5; i++) {
    QN_CHECK(counts[i] > 1800 && counts[i] < 2200);
  }
  QN_CHECK(n_same > 1700 && n_same < 2300);
}

int main(void) {
  KIT_RUN(a_grid_is_all_combinations);
  KIT_RUN(draws_lie_in_their_ranges);
  KIT_RUN(mistakes_are_named);
  KIT_RUN(folds_are_about_equal);
  return kit_result();
}
