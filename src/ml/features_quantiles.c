// SPDX-License-Identifier: Apache-2.0
// Medians and quantiles, exact, for impute and bucketise: the values of all columns are sorted together,
// which spills where memory is short, and the few that are wanted are picked by their places.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include "base/check.h"
#include "ml/collect_all.h"
#include "ml/features_steps.h"
#include "plan/plan.h"

typedef struct quantile_fit {
  qn_children_map map;
  qn_step **steps;
  int64_t n_columns;
  int64_t *starts;  // [n_columns + 1]: places of each column's values among all of them, sorted
  qn_batch *picked; // "place int64, x float64", ascending
} quantile_fit;

static bool wants_quantiles(const qn_step *step) {
  return step->kind == QN_STEP_BUCKETISE || (step->kind == QN_STEP_IMPUTE && step->how == QN_IMPUTE_MEDIAN);
}

static int64_t n_parts(const qn_step *step) {
  return step->kind == QN_STEP_BUCKETISE ? step->limit : 2;
}

static qn_status count_values(quantile_fit *fit, qn_dataset *values, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *counts = NULL;

  QN_TRY(qn_collect_all(qn_reduce(values, "what", "count(*) as n"), &counts, err));
  for (int64_t i = 0; i < counts->n_rows; i++) {
    fit->starts[qn_column_int32(&counts->columns[0], i) + 1] = qn_column_int64(&counts->columns[1], i);
  }
  for (int64_t c = 0; c < fit->n_columns; c++) {
    fit->starts[c + 1] += fit->starts[c];
  }

done:
  qn_batch_free(counts);
  return status;
}

static qn_status check_counts(const quantile_fit *fit, qn_arena *arena, qn_error *err) {
  int64_t c = 0;
  for (int s = 0; s < fit->map.n_steps; s++) {
    const int n = (int)qn_step_n_child_outputs(fit->steps[s]);
    for (int j = 0; j < n; j++, c++) {
      int child_output = j;
      const qn_step *child = qn_step_child_of(fit->steps[s], &child_output);
      if (fit->starts[c] == fit->starts[c + 1]) {
        const char *name = qn_step_output_name(child, child_output, arena);
        return qn_fail(err, QN_ERR_VALUE,
                       "features: column '%s' holds no number that %s could be fitted to: all rows are null, "
                       "NaN or infinite",
                       name == NULL ? "" : name, qn_step_word(fit->steps[s]->kind));
      }
    }
  }
  return QN_OK;
}

// The places of what is needed: the two values around each quantile, the first and the last.
static qn_status print_places(const quantile_fit *fit, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  int64_t c = 0;

  QN_TRY(qn_buffer_printf(out, err, "place in (-1"));
  for (int s = 0; s < fit->map.n_steps; s++) {
    const int n = (int)qn_step_n_child_outputs(fit->steps[s]);
    const int64_t parts = n_parts(fit->steps[s]);
    for (int j = 0; j < n; j++, c++) {
      const int64_t n_values = fit->starts[c + 1] - fit->starts[c];
      for (int64_t k = 0; k <= parts; k++) {
        const int64_t place =
            fit->starts[c] + (int64_t)floor((double)(n_values - 1) * (double)k / (double)parts);
        QN_TRY(qn_buffer_printf(out, err, ", %" PRId64 ", %" PRId64, place, place + 1));
      }
    }
  }
  QN_TRY(qn_buffer_printf(out, err, ")"));
  QN_TRY(qn_buffer_terminate(out, err));

done:
  return status;
}

static double value_at(const quantile_fit *fit, int64_t place) {
  const qn_column *places = &fit->picked->columns[0];
  int64_t low = 0;
  int64_t high = fit->picked->n_rows - 1;
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (qn_column_int64(places, middle) < place) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return fit->picked->n_rows == 0 ? NAN : qn_column_float64(&fit->picked->columns[1], low);
}

// Linear between the values around place fraction * (n - 1).
static double quantile(const quantile_fit *fit, int64_t column, int64_t k, int64_t parts) {
  const int64_t n = fit->starts[column + 1] - fit->starts[column];
  const double exact = (double)(n - 1) * (double)k / (double)parts;
  const int64_t below = (int64_t)floor(exact);
  const double rest = exact - (double)below;
  const double low = value_at(fit, fit->starts[column] + below);
  if (below + 1 >= n || rest == 0) {
    return low;
  }
  const double high = value_at(fit, fit->starts[column] + below + 1);
  return low + rest * (high - low);
}

static qn_status keep_medians(const quantile_fit *fit, qn_step *step, int64_t first, qn_arena *arena,
                              qn_error *err) {
  qn_status status = QN_OK;
  const int n = (int)qn_step_n_child_outputs(step);

  step->shifts = qn_arena_alloc(arena, n * (int64_t)sizeof *step->shifts);
  QN_REQUIRE(step->shifts != NULL, err, QN_ERR_MEMORY, "features: no memory for %d columns", n);
  for (int j = 0; j < n; j++) {
    step->shifts[j] = quantile(fit, first + j, 1, 2);
  }

done:
  return status;
}

// Edges that differ and have values on both sides.
static qn_status keep_edges(const quantile_fit *fit, qn_step *step, int64_t first, qn_arena *arena,
                            qn_error *err) {
  qn_status status = QN_OK;
  const int n = (int)qn_step_n_child_outputs(step);

  step->edge_starts = qn_arena_alloc(arena, (n + 1) * (int64_t)sizeof *step->edge_starts);
  step->edges = qn_arena_alloc(arena, n * step->limit * (int64_t)sizeof *step->edges);
  QN_REQUIRE(step->edge_starts != NULL && step->edges != NULL, err, QN_ERR_MEMORY,
             "features: no memory for %d columns", n);
  int n_edges = 0;
  for (int j = 0; j < n; j++) {
    const double largest = value_at(fit, fit->starts[first + j + 1] - 1);
    double before = value_at(fit, fit->starts[first + j]);
    for (int64_t k = 1; k < step->limit; k++) {
      const double edge = quantile(fit, first + j, k, step->limit);
      if (edge > before && edge < largest) {
        step->edges[n_edges++] = edge;
        before = edge;
      }
    }
    step->edge_starts[j + 1] = n_edges;
  }

done:
  return status;
}

static qn_status fit_all(quantile_fit *fit, qn_fit_level *level, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer places = {0};
  qn_arena *arena = &level->features->arena;
  int64_t first = 0;

  qn_dataset *values = qn_children_dataset(&fit->map, level->inputs);
  QN_TRY(count_values(fit, values, err));
  QN_TRY(check_counts(fit, arena, err));
  QN_TRY(print_places(fit, &places, err));
  qn_dataset *numbered = qn_zip_with_index(qn_sort(values, "what, x"), "place");
  qn_dataset *wanted = qn_filter(numbered, (const char *)places.data);
  QN_TRY(qn_collect_all(qn_sort(qn_select(wanted, "place, x"), "place"), &fit->picked, err));
  for (int s = 0; s < fit->map.n_steps; s++) {
    qn_step *step = fit->steps[s];
    if (step->kind == QN_STEP_BUCKETISE) {
      QN_TRY(keep_edges(fit, step, first, arena, err));
    } else {
      QN_TRY(keep_medians(fit, step, first, arena, err));
    }
    first += qn_step_n_child_outputs(step);
  }

done:
  qn_buffer_release(&places);
  return status;
}

qn_status qn_fit_quantiles(qn_fit_level *level, qn_error *err) {
  qn_status status = QN_OK;
  quantile_fit fit = {.map = {.features = level->features, .is_long = true}};

  fit.steps = malloc((size_t)level->n_steps * sizeof(qn_step *));
  QN_REQUIRE(fit.steps != NULL, err, QN_ERR_MEMORY, "features: no memory for %d steps", level->n_steps);
  fit.map.steps = fit.steps;
  for (int i = 0; i < level->n_steps; i++) {
    if (wants_quantiles(level->steps[i])) {
      fit.steps[fit.map.n_steps++] = level->steps[i];
      fit.n_columns += qn_step_n_child_outputs(level->steps[i]);
    }
  }
  if (fit.n_columns == 0) {
    goto done;
  }
  fit.starts = calloc((size_t)fit.n_columns + 1, sizeof *fit.starts);
  QN_REQUIRE(fit.starts != NULL, err, QN_ERR_MEMORY, "features: no memory for %" PRId64 " columns",
             fit.n_columns);
  QN_TRY(fit_all(&fit, level, err));

done:
  qn_batch_free(fit.picked);
  free(fit.starts);
  free(fit.steps);
  return status;
}
