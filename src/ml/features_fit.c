// SPDX-License-Identifier: Apache-2.0
// Fitting, level by level: a step is fitted when what is below it is. What all steps of a level ask of the
// data is found by ordinary verbs, in one pass for each kind of question.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <quern/job.h>
#include "base/check.h"
#include "base/memory.h"
#include "column/builder.h"
#include "exec/job_state.h"
#include "ml/features_steps.h"

// --- The outputs of steps as a dataset
// -----------------------------------------------------------------------

static int64_t count_children(const qn_children_map *map) {
  int64_t n = 0;
  for (int i = 0; i < map->n_steps; i++) {
    n += qn_step_n_child_outputs(map->steps[i]);
  }
  return n;
}

static qn_status load_tile(const qn_children_map *map, qn_tile *tile, double *numbers, int64_t n,
                           qn_error *err) {
  qn_status status = QN_OK;
  double *to = numbers;
  for (int s = 0; s < map->n_steps; s++) {
    for (int c = 0; c < map->steps[s]->n_children; c++) {
      QN_TRY(qn_step_numbers(map->steps[s]->children[c], tile, to, n, err));
      to += map->steps[s]->children[c]->n_outputs;
    }
  }

done:
  return status;
}

static void append_tile(const qn_tile *tile, const double *numbers, int64_t n, bool is_long,
                        qn_appender *out) {
  for (int64_t i = 0; i < tile->n; i++) {
    for (int64_t j = 0; j < n; j++) {
      const double value = numbers[i * n + j];
      if (is_long && isfinite(value)) {
        qn_append_int32(out, (int32_t)j);
        qn_append_float64(out, value == 0 ? 0 : value); // -0 is 0
      } else if (!is_long && isfinite(value)) {
        qn_append_float64(out, value);
      } else if (!is_long) {
        qn_append_null(out);
      }
    }
  }
}

static qn_status map_children(const qn_batch *in, qn_appender *out, const qn_children_map *map) {
  qn_status status = QN_OK;
  qn_error err = {0};
  qn_tile tile = {0};
  const int64_t n = count_children(map);
  double *numbers = qn_memory_alloc(n * QN_TILE_ROWS * (int64_t)sizeof *numbers);

  QN_REQUIRE(numbers != NULL, &err, QN_ERR_MEMORY, "features: no memory for %" PRId64 " numbers", n);
  QN_TRY(qn_tile_init(&tile, map->features, in, &err));
  for (tile.first = 0; tile.first < in->n_rows; tile.first += QN_TILE_ROWS) {
    const int64_t left = in->n_rows - tile.first;
    tile.n = left < QN_TILE_ROWS ? (int)left : QN_TILE_ROWS;
    QN_TRY(load_tile(map, &tile, numbers, n, &err));
    append_tile(&tile, numbers, n, map->is_long, out);
  }

done:
  qn_tile_release(&tile);
  qn_memory_free(numbers);
  return status == QN_OK ? QN_OK : qn_appender_fail(out, "%s", err.message);
}

static qn_status run_children_map(const qn_batch *in, qn_appender *out, void *ctx) {
  return map_children(in, out, ctx);
}

qn_dataset *qn_children_dataset(qn_children_map *map, qn_dataset *inputs) {
  qn_buffer schema = {0};
  qn_status status = QN_OK;
  qn_dataset *out = NULL;
  const int64_t n = count_children(map);

  if (map->is_long) {
    return qn_map(inputs, run_children_map, map, "what int32, x float64");
  }
  for (int64_t i = 0; i < n && status == QN_OK; i++) {
    status = qn_buffer_printf(&schema, NULL, "%sx%" PRId64 " float64", i > 0 ? ", " : "", i);
  }
  if (status == QN_OK && qn_buffer_terminate(&schema, NULL) == QN_OK) {
    out = qn_map(inputs, run_children_map, map, (const char *)schema.data);
  }
  qn_buffer_release(&schema);
  return out;
}

// --- Levels
// ---------------------------------------------------------------------------------------------------

static bool needs_fit(const qn_step *step) {
  switch (step->kind) {
  case QN_STEP_NUMBER:
  case QN_STEP_POLYNOMIAL:
  case QN_STEP_HASHING:
    return false;
  case QN_STEP_IMPUTE:
    return step->how != QN_IMPUTE_CONSTANT;
  case QN_STEP_ONE_HOT:
    return step->n_children == 0;
  default:
    return true;
  }
}

// How many steps there are in a tree; sets their levels.
static int set_levels(qn_step *step) {
  int n = 1;
  int below = 0;
  for (int i = 0; i < step->n_children; i++) {
    n += set_levels(step->children[i]);
    below = step->children[i]->level > below ? step->children[i]->level : below;
  }
  step->level = below + (needs_fit(step) ? 1 : 0);
  return n;
}

static void list_level(qn_step *step, int level, bool fitted_only, qn_fit_level *out) {
  for (int i = 0; i < step->n_children; i++) {
    list_level(step->children[i], level, fitted_only, out);
  }
  if (step->level == level && (!fitted_only || needs_fit(step))) {
    out->steps[out->n_steps++] = step;
  }
}

static qn_status fit_level(qn_features *features, qn_dataset *inputs, int level, qn_step **room,
                           qn_error *err) {
  qn_status status = QN_OK;
  qn_fit_level all = {.features = features, .inputs = inputs, .steps = room};

  for (int i = 0; level > 0 && i < features->n_items; i++) {
    list_level(features->items[i], level, true, &all);
  }
  if (all.n_steps > 0) {
    QN_TRY(qn_fit_moments(&all, err));
    QN_TRY(qn_fit_quantiles(&all, err));
    QN_TRY(qn_fit_categories(&all, err));
    QN_TRY(qn_fit_shapes(&all, err));
  }
  all.n_steps = 0;
  for (int i = 0; i < features->n_items; i++) {
    list_level(features->items[i], level, false, &all);
  }
  for (int i = 0; i < all.n_steps; i++) { // children come before their parents
    QN_TRY(qn_step_settle(all.steps[i], &features->arena, err));
  }

done:
  return status;
}

static qn_status fit_all(qn_features *features, qn_dataset *data, qn_error *err) {
  qn_status status = QN_OK;
  int n_steps = 0;
  int n_levels = 0;
  qn_step **room = NULL;

  for (int i = 0; i < features->n_items; i++) {
    n_steps += set_levels(features->items[i]);
    n_levels = features->items[i]->level > n_levels ? features->items[i]->level : n_levels;
  }
  room = malloc(((size_t)n_steps + 1) * sizeof *room);
  QN_REQUIRE(room != NULL, err, QN_ERR_MEMORY, "features: no memory for %d steps", n_steps);
  qn_dataset *inputs = n_levels == 0 ? NULL : qn_features_inputs(features, data, NULL);
  for (int level = 0; level <= n_levels; level++) {
    QN_TRY(fit_level(features, inputs, level, room, err));
  }
  QN_TRY(qn_features_settle(features, err));

done:
  free(room);
  return status;
}

qn_status qn_features_ask_rows(const qn_dataset *data, const char *text, const char *const *excluded,
                               int n_excluded, bool *out, qn_error *err) {
  qn_status status = QN_OK;
  int n_levels = 0;
  qn_features *features = calloc(1, sizeof *features);

  QN_REQUIRE(features != NULL, err, QN_ERR_MEMORY, "features: no memory");
  QN_TRY(qn_features_parse(features, text, data->schema, excluded, n_excluded, err));
  for (int i = 0; i < features->n_items; i++) {
    set_levels(features->items[i]);
    n_levels += features->items[i]->level;
  }
  *out = n_levels > 0;

done:
  qn_features_free(features);
  return status;
}

qn_status qn_features_fit(qn_dataset *data, const char *text, const char *const *excluded, int n_excluded,
                          bool takes_missing, qn_features **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_features *features = calloc(1, sizeof *features);

  *out = NULL;
  QN_REQUIRE(features != NULL && data != NULL, err, QN_ERR_MEMORY, "features: no memory");
  status = qn_job_check(data->plan->job, err);
  if (status != QN_OK || data->status != QN_OK) {
    status = status != QN_OK ? status : data->status;
    goto done;
  }
  features->takes_missing = takes_missing;
  QN_TRY(qn_features_parse(features, text, data->schema, excluded, n_excluded, err));
  QN_TRY(fit_all(features, data, err));
  *out = features;
  features = NULL;

done:
  qn_features_free(features);
  return status;
}
