// SPDX-License-Identifier: Apache-2.0
// Boosted trees and forests: the same bits on any number of ranks (each rank also fits all rows by itself),
// from a checkpoint too; missing values, weights, columns that say nothing, few rows; damaged models.
#include <math.h>
#include <unistd.h>
#include "base/memory.h"
#include "comm/comm_state.h"
#include "comm/node_memory.h"
#include "ml/fit_fixture.h"
#include "ml/tree_edges.h"
#include "ml/tree_list.h"

enum { N_ROWS = 3000, N_COLUMNS = 11, MISSING = 3, CONSTANT = 4, NEVER = 5, N_CLASSES = 4 };

static double x[N_ROWS * N_COLUMNS], numbers[N_ROWS], two[N_ROWS], four[N_ROWS], w[N_ROWS];

// The label depends on columns 0 to 2, and on whether column 3 is missing.
static void make_rows(void) {
  for (int64_t i = 0; i < N_ROWS; i++) {
    double *row = x + i * N_COLUMNS;
    for (int64_t j = 0; j < N_COLUMNS; j++) {
      row[j] = j % 2 == 0 ? uniform(i, j) : floor(10 * uniform(i, j));
    }
    const bool is_missing = uniform(i, 50) < 0.3;
    row[MISSING] = is_missing ? (double)NAN : row[MISSING];
    row[CONSTANT] = 7;
    row[NEVER] = (double)NAN;
    numbers[i] = 1000 + 3 * row[0] + row[1] * (row[2] > 0.4) + 5 * is_missing + 0.1 * uniform(i, 60);
    two[i] = numbers[i] > 1006;
    four[i] = fmin(3, floor((numbers[i] - 1000) / 4));
    w[i] = floor(3 * uniform(i, 200));
  }
}

typedef struct fit_case {
  const char *estimator, *options;
  const double *y;
  int n_classes;
  bool has_weights, is_float32;
  const char *checkpoint;
  int64_t n_rows;
} fit_case;

static qn_status fit_on(qn_comm *on, const fit_case *c, qn_model *model) {
  const qn_training how = {.seed = 7,
                           .float32 = c->is_float32,
                           .checkpoint = c->checkpoint,
                           .checkpoint_steps = 4,
                           .report_seconds = -1};
  const qn_rows_source source = {.n_total = c->n_rows > 0 ? c->n_rows : N_ROWS,
                                 .n_columns = N_COLUMNS,
                                 .x = x,
                                 .y = c->y,
                                 .w = c->has_weights ? w : NULL,
                                 .is_float32 = c->is_float32};

  new_model(c->estimator, c->options, source.n_total, c->n_classes, model);
  return fit_source(on, &how, &source, model);
}

static void check_same(const qn_arrays *a, const qn_arrays *b) {
  qn_buffer one = {0};
  qn_buffer other = {0};
  QN_CHECK_OK(qn_arrays_encode(a, &one, &kit_error));
  QN_CHECK_OK(qn_arrays_encode(b, &other, &kit_error));
  QN_CHECK_INT(one.size, other.size);
  QN_CHECK(one.size == other.size && memcmp(one.data, other.data, (size_t)one.size) == 0);
  qn_buffer_release(&one);
  qn_buffer_release(&other);
}

static const fit_case cases[] = {
    {.estimator = "gbdt", .options = "n_trees=12 task=regression", .y = numbers},
    {.estimator = "gbdt",
     .options = "n_trees=8 task=regression max_depth=3 l2=2",
     .y = numbers,
     .has_weights = true},
    {.estimator = "gbdt",
     .options = "n_trees=12 row_fraction=0.5 column_fraction=0.5",
     .y = two,
     .n_classes = 2},
    {.estimator = "gbdt",
     .options = "n_trees=30 early_stopping=3",
     .y = two,
     .n_classes = 2,
     .is_float32 = true},
    {.estimator = "gbdt",
     .options = "n_trees=9 max_bins=16",
     .y = four,
     .n_classes = N_CLASSES,
     .has_weights = true},
    {.estimator = "forest", .options = "n_trees=20 task=regression", .y = numbers, .has_weights = true},
    {.estimator = "forest", .options = "n_trees=20 max_leaves=20", .y = two, .n_classes = 2},
    {.estimator = "forest", .options = "n_trees=20 min_leaf_rows=4", .y = four, .n_classes = N_CLASSES},
};
enum { N_CASES = sizeof cases / sizeof *cases };

static void trees_do_not_depend_on_the_number_of_ranks(void) {
  for (size_t i = 0; i < N_CASES; i++) {
    qn_model together = {0};
    qn_model single = {0};
    QN_CHECK_OK(fit_on(comm, &cases[i], &together));
    QN_CHECK_OK(fit_on(alone, &cases[i], &single));
    check_same(&together.arrays, &single.arrays);
    check_same(&together.curve, &single.curve);
    release(&together);
    release(&single);
  }
}

// Room for so many bytes more than there are; 0: as much as there is. Nodes of so many ranks; 0: one node.
static void fit_within(const fit_case *c, int64_t budget, int most_ranks, int64_t least_shared,
                       qn_model *model) {
  QN_CHECK_OK(qn_nodes_find(comm, most_ranks, &kit_error));
  qn_comm_set_least_node_memory(comm, least_shared);
  job.scratch = "/tmp";
  qn_memory_set_budget(budget > 0 ? qn_memory_used() + budget : 0);
  QN_CHECK_OK(fit_on(comm, c, model));
  qn_memory_set_budget(0);
  job.scratch = NULL;
  qn_comm_set_least_node_memory(comm, 1 << 20);
  QN_CHECK_OK(qn_nodes_find(comm, 0, &kit_error));
}

static void trees_are_the_same_wherever_bins_lie(void) {
  for (size_t i = 0; i < N_CASES; i++) {
    qn_model free = {0};
    QN_CHECK_OK(fit_on(comm, &cases[i], &free));
    const int n_variants = strcmp(cases[i].estimator, "forest") == 0 ? 6 : 1;
    for (int variant = 0; variant < n_variants; variant++) {
      qn_model tight = {0};
      const int64_t before = qn_memory_spilled();
      const int64_t budget = variant < 4 ? 20000 : 0; // bins and labels have 57000
      int64_t spilled = 0;
      fit_within(&cases[i], budget, variant % 4, variant == 3 ? INT64_MAX : 1, &tight);
      spilled = qn_memory_spilled() - before;
      QN_CHECK_OK(qn_comm_reduce_int64(comm, QN_MIN, &spilled, 1, &kit_error));
      QN_CHECK_OK(qn_comm_agree(comm, QN_OK, &kit_error));
      QN_CHECK(budget == 0 ? spilled == 0 : spilled > 0);
      check_same(&free.arrays, &tight.arrays);
      check_same(&free.curve, &tight.curve);
      release(&tight);
    }
    release(&free);
  }
}

// So many rows that subtrees have several sizes: in scratch, in memory, in the cache.
static void large_forests_are_the_same_wherever_bins_lie(void) {
  enum { N_MANY = 150000, WIDTH = 12 }; // 1.8 MB of bins, 1.2 MB of labels
  double *many = malloc((size_t)N_MANY * (WIDTH + 1) * sizeof *many);
  const qn_training how = {.seed = 3, .report_seconds = -1};
  qn_rows_source source = {.n_total = N_MANY, .n_columns = WIDTH, .x = many, .y = many + N_MANY * WIDTH};
  qn_model models[2];

  for (int64_t i = 0; i < N_MANY; i++) {
    for (int64_t j = 0; j < WIDTH; j++) {
      many[i * WIDTH + j] = uniform(i, j);
    }
    many[N_MANY * WIDTH + i] = many[i * WIDTH] * many[i * WIDTH + 1] + 0.1 * uniform(i, 99);
  }
  for (int is_tight = 0; is_tight < 2; is_tight++) {
    new_model("forest", "task=regression n_trees=2 min_leaf_rows=50 no_bootstrap=true", N_MANY, 0,
              &models[is_tight]);
    job.scratch = "/tmp";
    qn_rows *rows = NULL;
    QN_CHECK_OK(qn_rows_from_memory(comm, &source, &rows, &kit_error));
    const int64_t budget = qn_memory_used() + (5 << 19);
    qn_memory_set_budget(is_tight ? budget : 0);
    QN_CHECK_OK(qn_fit_rows(&models[is_tight], comm, &how, NULL, rows, true, &kit_error));
    qn_memory_set_budget(0);
    qn_rows_free(rows);
  }
  job.scratch = NULL;
  check_same(&models[0].arrays, &models[1].arrays);
  release(&models[0]);
  release(&models[1]);
  free(many);
}

static void a_fit_goes_on_from_its_checkpoint(void) {
  char path[64];
  snprintf(path, sizeof path, "trees-%d.checkpoint", qn_comm_size(comm));
  for (size_t i = 0; i < N_CASES; i++) {
    qn_model whole = {0};
    qn_model broken = {0};
    qn_model resumed = {0};
    fit_case c = cases[i];
    if (qn_comm_rank(comm) == 0) {
      unlink(path);
    }
    QN_CHECK_OK(fit_on(comm, &c, &whole));
    c.checkpoint = path;
    failing_step = strcmp(c.estimator, "forest") == 0 ? 17 : 6; // behind a checkpoint
    QN_CHECK_FAILS(fit_on(comm, &c, &broken), QN_ERR_VALUE);
    failing_step = 0;
    QN_CHECK_OK(fit_on(comm, &c, &resumed));
    check_same(&whole.arrays, &resumed.arrays);
    release(&whole);
    release(&broken);
    release(&resumed);
  }
  if (qn_comm_rank(comm) == 0) {
    unlink(path);
  }
}

static qn_status predict(const qn_model *model, int64_t n_rows, double *outputs) {
  const qn_row_block block = {.n_rows = n_rows, .n_columns = N_COLUMNS, .x = x};
  return model->estimator->predict(model, &block, outputs, &kit_error);
}

static void numbers_are_found_with_and_without_missing_values(void) {
  static double outputs[N_ROWS];
  const char *const estimators[] = {"gbdt", "forest"};
  for (int e = 0; e < 2; e++) {
    const fit_case c = {.estimator = estimators[e], .options = "task=regression n_trees=60", .y = numbers};
    qn_model model = {0};
    double squares = 0;
    QN_CHECK_OK(fit_on(comm, &c, &model));
    QN_CHECK_OK(predict(&model, N_ROWS, outputs));
    for (int64_t i = 0; i < N_ROWS; i++) {
      squares += (outputs[i] - numbers[i]) * (outputs[i] - numbers[i]);
    }
    QN_CHECK(sqrt(squares / N_ROWS) < 0.5); // the deviation is 4
    const double *importance = qn_arrays_find(&model.arrays, "importance")->data;
    QN_CHECK(importance[MISSING] > 0.1 && importance[CONSTANT] == 0 && importance[NEVER] == 0);
    release(&model);
  }
}

static void probabilities_sum_to_1(void) {
  static double outputs[N_CLASSES * N_ROWS];
  for (size_t i = 0; i < N_CASES; i++) {
    qn_model model = {0};
    const int n = cases[i].n_classes;
    double worst = 0;
    int64_t n_right = 0;
    if (n == 0) {
      continue;
    }
    QN_CHECK_OK(fit_on(comm, &cases[i], &model));
    QN_CHECK_OK(predict(&model, N_ROWS, outputs));
    for (int64_t row = 0; row < N_ROWS; row++) {
      const double *p = outputs + row * n;
      double sum = 0;
      int best = 0;
      for (int k = 0; k < n; k++) {
        sum += p[k];
        best = p[k] > p[best] ? k : best;
      }
      worst = fmax(worst, fabs(sum - 1));
      n_right += best == (int)cases[i].y[row];
    }
    QN_CHECK_FLOAT(worst, 0.0, 1e-12);
    QN_CHECK(n_right > N_ROWS * 8 / 10);
    release(&model);
  }
}

static void few_rows_make_one_leaf(void) {
  double outputs[N_ROWS];
  qn_model model = {0};
  const fit_case c = {
      .estimator = "gbdt", .options = "task=regression n_trees=3", .y = numbers, .n_rows = 12};
  double mean = 0;
  QN_CHECK_OK(fit_on(comm, &c, &model));
  for (int i = 0; i < 12; i++) {
    mean += numbers[i] / 12;
  }
  QN_CHECK_OK(predict(&model, 12, outputs));
  QN_CHECK_FLOAT(outputs[0], mean, 1e-6);
  QN_CHECK_FLOAT(outputs[11], mean, 1e-6);
  release(&model);
}

static void edges_part_values(void) {
  double edges[QN_TREE_BINS];
  const double few[] = {-2, -2, 1, 1, 1, 5};
  QN_CHECK_INT(qn_tree_edges_of_values(few, 6, 255, edges), 3);
  QN_CHECK(edges[0] >= -2 && edges[0] < 1 && edges[1] >= 1 && edges[1] < 5 && isinf(edges[2]));
  QN_CHECK_INT(qn_tree_edges_of_values(few, 6, 2, edges), 2);
  QN_CHECK_INT(qn_tree_edges_of_values(few, 0, 255, edges), 1);
  const double next[] = {1, nextafter(1, 2)};
  QN_CHECK_INT(qn_tree_edges_of_values(next, 2, 255, edges), 2);
  QN_CHECK(edges[0] == 1);
}

static void damaged_trees_are_told(void) {
  static double outputs[N_ROWS];
  qn_model model = {0};
  QN_CHECK_OK(fit_on(comm, &cases[0], &model));
  int32_t *left = qn_arrays_find(&model.arrays, "node_left")->data;
  const int32_t kept = left[0];
  left[0] = 0;
  QN_CHECK_FAILS(predict(&model, N_ROWS, outputs), QN_ERR_FORMAT);
  left[0] = 1 << 30;
  QN_CHECK_FAILS(predict(&model, N_ROWS, outputs), QN_ERR_FORMAT);
  left[0] = kept;
  int32_t *columns = qn_arrays_find(&model.arrays, "node_column")->data;
  columns[0] = N_COLUMNS;
  QN_CHECK_FAILS(predict(&model, N_ROWS, outputs), QN_ERR_FORMAT);
  release(&model);
}

static void run_tests(void) {
  make_rows();
  KIT_RUN(trees_do_not_depend_on_the_number_of_ranks);
  KIT_RUN(trees_are_the_same_wherever_bins_lie);
  KIT_RUN(large_forests_are_the_same_wherever_bins_lie);
  KIT_RUN(a_fit_goes_on_from_its_checkpoint);
  KIT_RUN(numbers_are_found_with_and_without_missing_values);
  KIT_RUN(probabilities_sum_to_1);
  KIT_RUN(few_rows_make_one_leaf);
  KIT_RUN(edges_part_values);
  KIT_RUN(damaged_trees_are_told);
}

int main(void) {
  return fit_main(run_tests);
}
