// SPDX-License-Identifier: Apache-2.0
// Means, deviations and ranges for standardise, min_max and impute, all by one reduce. Where the values are
// columns it works on them directly; if these hold NaN or infinite numbers, or steps are below, on what a map
// makes of them.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include "base/check.h"
#include "ml/collect_all.h"
#include "ml/features_steps.h"
#include "plan/plan.h"

// min_max: the smallest and the largest value; else the mean, and of standardise the deviation.
typedef struct moments {
  double first, second;
} moments;

// A deviation that is so small a part of the mean is rounding: the column is constant.
static const double least_deviation = 1e-13;

static bool wants_moments(const qn_step *step) {
  return step->kind == QN_STEP_STANDARDISE || step->kind == QN_STEP_MIN_MAX ||
         (step->kind == QN_STEP_IMPUTE && step->how == QN_IMPUTE_MEAN);
}

static bool is_direct(const qn_step *step) {
  for (int i = 0; i < step->n_children; i++) {
    if (step->children[i]->kind != QN_STEP_NUMBER) {
      return false;
    }
  }
  return true;
}

// The aggregates of column i, which is called `column`.
static qn_status print_aggregates(qn_buffer *out, const qn_step *step, const char *column, int64_t i,
                                  qn_error *err) {
  const char *comma = i > 0 ? ", " : "";
  if (step->kind == QN_STEP_MIN_MAX) {
    return qn_buffer_printf(out, err, "%smin(%s) as a%" PRId64 ", max(%s) as b%" PRId64, comma, column, i,
                            column, i);
  }
  if (step->kind == QN_STEP_STANDARDISE) {
    return qn_buffer_printf(out, err, "%savg(%s) as a%" PRId64 ", stddev_pop(%s) as b%" PRId64, comma, column,
                            i, column, i);
  }
  return qn_buffer_printf(out, err, "%savg(%s) as a%" PRId64, comma, column, i);
}

static qn_status print_all(const qn_children_map *map, bool is_on_inputs, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  char column[64];
  int64_t i = 0;

  for (int s = 0; s < map->n_steps; s++) {
    const qn_step *step = map->steps[s];
    const int n = (int)qn_step_n_child_outputs(step);
    for (int j = 0; j < n; j++, i++) {
      if (is_on_inputs) {
        const int input = step->children[j]->input;
        const bool is_bool = map->features->inputs[input].type == QN_BOOL;
        snprintf(column, sizeof column, is_bool ? "cast(f%d as int)" : "f%d", input);
      } else {
        snprintf(column, sizeof column, "x%" PRId64, i);
      }
      QN_TRY(print_aggregates(out, step, column, i, err));
    }
  }
  QN_TRY(qn_buffer_terminate(out, err));

done:
  return status;
}

static double number_at(const qn_batch *batch, int c) {
  const qn_column *column = &batch->columns[c];
  if (batch->n_rows == 0 || qn_column_is_null(column, 0)) {
    return NAN;
  }
  switch (column->type) {
  case QN_INT32:
    return qn_column_int32(column, 0);
  case QN_INT64:
    return (double)qn_column_int64(column, 0);
  case QN_FLOAT32:
    return (double)qn_column_float32(column, 0);
  default:
    return qn_column_float64(column, 0);
  }
}

// Runs the reduce; false in *is_finite if one of them is none (no values, or NaN among them).
static qn_status find_moments(const qn_children_map *map, qn_dataset *rows, bool is_on_inputs, moments *out,
                              bool *is_finite, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer aggregates = {0};
  qn_batch *found = NULL;
  int64_t i = 0;
  int c = 0;

  QN_TRY(print_all(map, is_on_inputs, &aggregates, err));
  QN_TRY(qn_collect_all(qn_reduce(rows, NULL, (const char *)aggregates.data), &found, err));
  *is_finite = true;
  for (int s = 0; s < map->n_steps; s++) {
    const qn_step *step = map->steps[s];
    const int n = (int)qn_step_n_child_outputs(step);
    for (int j = 0; j < n; j++, i++) {
      out[i].first = number_at(found, c++);
      out[i].second = step->kind == QN_STEP_IMPUTE ? 0 : number_at(found, c++);
      *is_finite = *is_finite && isfinite(out[i].first) && isfinite(out[i].second);
    }
  }

done:
  qn_buffer_release(&aggregates);
  qn_batch_free(found);
  return status;
}

static qn_status keep_moments(qn_step *step, const moments *found, qn_arena *arena, qn_error *err) {
  qn_status status = QN_OK;
  const int n = (int)qn_step_n_child_outputs(step);

  step->shifts = qn_arena_alloc(arena, n * (int64_t)sizeof *step->shifts);
  step->scales = qn_arena_alloc(arena, n * (int64_t)sizeof *step->scales);
  QN_REQUIRE(step->shifts != NULL && step->scales != NULL, err, QN_ERR_MEMORY,
             "features: no memory for %d columns", n);
  for (int j = 0; j < n; j++) {
    const moments *m = &found[j];
    int child_output = j;
    const qn_step *child = qn_step_child_of(step, &child_output);
    if (!isfinite(m->first)) {
      const char *name = qn_step_output_name(child, child_output, arena);
      return qn_fail(
          err, QN_ERR_VALUE,
          "features: column '%s' holds no number that %s could be fitted to: all rows are null, NaN "
          "or infinite",
          name == NULL ? "" : name, qn_step_word(step->kind));
    }
    double width = step->kind == QN_STEP_MIN_MAX ? m->second - m->first : m->second;
    if (step->kind == QN_STEP_STANDARDISE && width <= least_deviation * fabs(m->first)) {
      width = 0;
    }
    step->shifts[j] = m->first;
    step->scales[j] = step->kind != QN_STEP_IMPUTE && width > 0 && isfinite(1 / width) ? 1 / width : 1;
  }

done:
  return status;
}

qn_status qn_fit_moments(qn_fit_level *level, qn_error *err) {
  qn_status status = QN_OK;
  qn_step **steps = malloc((size_t)level->n_steps * sizeof(qn_step *));
  moments *found = NULL;
  qn_children_map map = {.features = level->features, .steps = steps};
  bool is_on_inputs = true;
  bool is_finite = false;
  int64_t n = 0;

  QN_REQUIRE(steps != NULL, err, QN_ERR_MEMORY, "features: no memory for %d steps", level->n_steps);
  for (int i = 0; i < level->n_steps; i++) {
    if (wants_moments(level->steps[i])) {
      steps[map.n_steps++] = level->steps[i];
      n += qn_step_n_child_outputs(level->steps[i]);
      is_on_inputs = is_on_inputs && is_direct(level->steps[i]);
    }
  }
  if (n == 0) {
    goto done;
  }
  found = calloc((size_t)n, sizeof *found);
  QN_REQUIRE(found != NULL, err, QN_ERR_MEMORY, "features: no memory for %" PRId64 " columns", n);
  if (is_on_inputs) {
    QN_TRY(find_moments(&map, level->inputs, true, found, &is_finite, err));
  }
  if (!is_finite) {
    QN_TRY(find_moments(&map, qn_children_dataset(&map, level->inputs), false, found, &is_finite, err));
  }
  n = 0;
  for (int i = 0; i < map.n_steps; i++) {
    QN_TRY(keep_moments(steps[i], found + n, &level->features->arena, err));
    n += qn_step_n_child_outputs(steps[i]);
  }

done:
  free(found);
  free(steps);
  return status;
}
