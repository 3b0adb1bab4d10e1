// SPDX-License-Identifier: Apache-2.0
// The candidates of a search, from a grid as text.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "ml/search.h"

enum { MAX_NAMES = 48, MAX_VALUES = 1000 };

typedef struct grid_axis {
  const char *name;
  const char **values;
  int n;
} grid_axis;

typedef struct grid_axes {
  grid_axis axes[MAX_NAMES];
  int n;
} grid_axes;

// A value up to a comma or space; in single quotes it may hold both. Moves *at behind it. The quotes stay.
static const char *next_value(const char **at, qn_arena *arena) {
  const char *start = *at;
  const char *end = NULL;

  if (*start == '\'') {
    end = strchr(start + 1, '\'');
    end = end == NULL ? start + strlen(start) : end + 1;
  } else {
    end = start + strcspn(start, ", ");
  }
  *at = end;
  return qn_arena_copy(arena, start, end - start);
}

static qn_status parse_axis(const char **at, qn_arena *arena, grid_axis *axis, qn_error *err) {
  qn_status status = QN_OK;
  const char *values[MAX_VALUES];
  const size_t n_name = strcspn(*at, "= ");

  QN_REQUIRE((*at)[n_name] == '=', err, QN_ERR_ARG,
             "grid: write names and values as 'l2=0.01,0.1 max_iterations=100', not '%s'", *at);
  axis->name = qn_arena_copy(arena, *at, (int64_t)n_name);
  *at += n_name;
  do {
    ++*at; // = or a comma
    QN_REQUIRE(axis->n < MAX_VALUES, err, QN_ERR_ARG, "grid: more than %d values of '%s'", MAX_VALUES,
               axis->name);
    values[axis->n] = next_value(at, arena);
    QN_REQUIRE(values[axis->n] != NULL, err, QN_ERR_MEMORY, "no memory for a grid");
    QN_REQUIRE(values[axis->n][0] != '\0', err, QN_ERR_ARG, "grid: '%s' has an empty value", axis->name);
    axis->n++;
  } while (**at == ',');
  axis->values = qn_arena_alloc(arena, (int64_t)sizeof *axis->values * axis->n);
  QN_REQUIRE(axis->values != NULL && axis->name != NULL, err, QN_ERR_MEMORY, "no memory for a grid");
  memcpy(axis->values, values, sizeof *values * (size_t)axis->n);

done:
  return status;
}

static qn_status parse_grid(const char *text, qn_arena *arena, grid_axes *out, qn_error *err) {
  qn_status status = QN_OK;

  for (const char *at = text == NULL ? "" : text; *(at += strspn(at, " ")) != '\0'; out->n++) {
    QN_REQUIRE(out->n < MAX_NAMES, err, QN_ERR_ARG, "grid: more than %d names", MAX_NAMES);
    QN_TRY(parse_axis(&at, arena, &out->axes[out->n], err));
  }

done:
  return status;
}

// 0 <= result < 1 of a draw.
static double uniform(uint64_t seed, int64_t candidate, int axis) {
  const uint64_t hash =
      qn_hash_mix(qn_hash_combine(qn_hash_combine(seed + 1, (uint64_t)candidate), (uint64_t)axis));
  return qn_hash_to_unit(hash);
}

// "low..high" of numbers.
static bool parse_range(const char *text, double *low, double *high, bool *is_whole) {
  const char *dots = strstr(text, "..");
  char *end = NULL;

  if (dots == NULL) {
    return false;
  }
  char first[64];
  snprintf(first, sizeof first, "%.*s", (int)(dots - text), text);
  *low = strtod(first, &end);
  if (end == first || *end != '\0') {
    return false;
  }
  *high = strtod(dots + 2, &end);
  *is_whole = strpbrk(first, ".eE") == NULL && strpbrk(dots + 2, ".eE") == NULL;
  return end != dots + 2 && *end == '\0' && *low <= *high && isfinite(*low) && isfinite(*high);
}

static const char *draw(const grid_axis *axis, uint64_t seed, int64_t candidate, int number,
                        qn_arena *arena) {
  double low = 0;
  double high = 0;
  bool is_whole = false;
  const double u = uniform(seed, candidate, number);

  if (axis->n != 1 || !parse_range(axis->values[0], &low, &high, &is_whole)) {
    return axis->values[(int)(u * axis->n)];
  }
  if (is_whole) { // both ends have the same chance as what is between them
    const double least = low > 0 ? low * pow((high + 1) / low, u) : low + u * (high + 1 - low);
    return qn_arena_printf(arena, "%.0f", fmin(floor(least), high));
  }
  return qn_arena_printf(arena, "%.6g", low > 0 ? low * pow(high / low, u) : low + u * (high - low));
}

// Candidate `number` as text.
static const char *make_text(const grid_axes *grid, bool is_random, uint64_t seed, int64_t number,
                             qn_arena *arena) {
  const char *text = "";
  int64_t rest = number;

  for (int a = grid->n - 1; a >= 0 && text != NULL; a--) {
    const grid_axis *axis = &grid->axes[a];
    const int64_t n_values = axis->n > 0 ? axis->n : 1; // there is always one
    const char *value = is_random ? draw(axis, seed, number, a, arena) : axis->values[rest % n_values];
    rest /= n_values;
    text = value == NULL
               ? NULL
               : qn_arena_printf(arena, "%s=%s%s%s", axis->name, value, text[0] == '\0' ? "" : " ", text);
  }
  return text;
}

// Options that no fit would take are refused before the first one begins.
static qn_status check(const qn_estimator *estimator, const char *text, void *room, qn_error *err) {
  qn_arena arena = {0};
  qn_status status = qn_settings_parse(estimator, text, &arena, room, err);

  if (status == QN_OK) {
    status = qn_settings_check(estimator, room, err);
  }
  qn_arena_release(&arena);
  return status;
}

qn_status qn_candidates_make(const qn_estimator *estimator, const char *grid_text, int64_t n_random,
                             uint64_t seed, qn_arena *arena, qn_candidates *out, qn_error *err) {
  qn_status status = QN_OK;
  grid_axes grid = {0};
  qn_candidates made = {.n = 1};

  QN_TRY(parse_grid(grid_text, arena, &grid, err));
  for (int a = 0; a < grid.n && n_random == 0; a++) {
    made.n *= grid.axes[a].n;
    QN_REQUIRE(made.n <= QN_MAX_CANDIDATES, err, QN_ERR_ARG,
               "grid: more than %d combinations; draw some of them at random", QN_MAX_CANDIDATES);
  }
  QN_REQUIRE(n_random >= 0 && n_random <= QN_MAX_CANDIDATES, err, QN_ERR_ARG,
             "a search of %lld random candidates; at most %d are possible", (long long)n_random,
             QN_MAX_CANDIDATES);
  made.n = n_random > 0 ? n_random : made.n;
  made.texts = qn_arena_alloc(arena, (int64_t)sizeof *made.texts * made.n);
  void *room = qn_arena_alloc(arena, (int64_t)estimator->options_size);
  QN_REQUIRE(made.texts != NULL && room != NULL, err, QN_ERR_MEMORY, "no memory for %lld candidates",
             (long long)made.n);
  for (int64_t c = 0; c < made.n; c++) {
    made.texts[c] = make_text(&grid, n_random > 0, seed, c, arena);
    QN_REQUIRE(made.texts[c] != NULL, err, QN_ERR_MEMORY, "no memory for candidates");
    QN_TRY(check(estimator, made.texts[c], room, err));
  }
  *out = made;

done:
  return status;
}
