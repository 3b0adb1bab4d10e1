// SPDX-License-Identifier: Apache-2.0
// Batches to numbers, dense and sparse, a tile of rows after the other; and what is said of bad values.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "io/sparse_text.h"
#include "ml/features_steps.h"

qn_status qn_tile_init(qn_tile *tile, const qn_features *features, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;

  *tile = (qn_tile){.features = features, .batch = batch};
  QN_REQUIRE(batch->n_columns >= features->n_inputs, err, QN_ERR_ARG,
             "features: a batch of %d columns is no batch of their %d inputs", batch->n_columns,
             features->n_inputs);
  for (int i = 0; i < features->n_inputs; i++) {
    const bool is_text = qn_type_is_text(features->inputs[i].type);
    const qn_type type = batch->columns[i].type;
    QN_REQUIRE(is_text == qn_type_is_text(type) && type != QN_DATE && type != QN_TIMESTAMP, err, QN_ERR_TYPE,
               "features: input %d is %s, %s was wanted", i, qn_type_name(type),
               qn_type_name(features->inputs[i].type));
  }
  qn_word_reader_init(&tile->reader);

done:
  return status;
}

void qn_tile_release(qn_tile *tile) {
  qn_word_reader_release(&tile->reader);
  qn_buffer_release(&tile->columns);
  qn_buffer_release(&tile->values);
  qn_buffer_release(&tile->numbers);
}

static void start_tile(qn_tile *tile, int64_t first) {
  const int64_t left = tile->batch->n_rows - first;
  tile->first = first;
  tile->n = left < QN_TILE_ROWS ? (int)left : QN_TILE_ROWS;
  memset(tile->is_bad, 0, sizeof tile->is_bad);
}

// --- Bad values --------------------------------------------------------------------------------------------

// NaN unless all are finite.
static double sum_of_zeros(const double *values, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) {
    sum += values[i] * 0;
  }
  return sum;
}

static bool is_bad_value(const qn_tile *tile, double value) {
  return tile->features->takes_missing ? isinf(value) != 0 : !isfinite(value);
}

// The place of the first bad value, or -1.
static int64_t find_bad(const qn_tile *tile, const double *values, int64_t n) {
  if (sum_of_zeros(values, n) == 0) {
    return -1;
  }
  for (int64_t i = 0; i < n; i++) {
    if (is_bad_value(tile, values[i])) {
      return i;
    }
  }
  return -1;
}

// The leaf below a step that makes it bad in row i, or NULL.
static const qn_step *find_leaf(const qn_step *step, qn_tile *tile, int i, double *value) {
  if (step->kind == QN_STEP_IMPUTE || step->n_children > 0) {
    for (int c = 0; c < step->n_children; c++) {
      const qn_step *found = find_leaf(step->children[c], tile, i, value);
      const bool is_filled = step->kind == QN_STEP_IMPUTE && isnan(*value);
      if (found != NULL && !is_filled) {
        return found;
      }
    }
    return NULL;
  }
  if (step->kind == QN_STEP_PIXELS || !qn_step_is_number(step)) {
    *value = NAN;
    return qn_column_is_null(&tile->batch->columns[step->input], tile->first + i) ? step : NULL;
  }
  const qn_tile kept = *tile;
  tile->first += i;
  tile->n = 1;
  const qn_status status = qn_step_numbers(step, tile, value, 1, NULL);
  tile->first = kept.first;
  tile->n = kept.n;
  return status == QN_OK && is_bad_value(tile, *value) ? step : NULL;
}

static const qn_step *item_of(const qn_features *features, int column, int *j) {
  int item = 0;
  while (column >= features->first_columns[item + 1]) {
    item++;
  }
  *j = column - features->first_columns[item];
  return features->items[item];
}

// What is wrong with the text or bytes of a leaf.
static void describe_text(const qn_step *leaf, qn_text text, char *out, size_t size) {
  const char *mistake = NULL;
  int64_t at = 0, index = 0, before = -1;
  double value = 0;

  if (leaf->kind == QN_STEP_PIXELS) {
    snprintf(out, size, "%" PRId64 " bytes, but %d in the rows before; all rows must have as many pixels",
             text.size, leaf->n_outputs);
    return;
  }
  while (qn_sparse_next(text, &at, &index, &value, &mistake) && index > before && isfinite(value)) {
    before = index;
  }
  if (mistake == NULL) {
    mistake = index <= before ? "indices must ascend" : "a finite number is wanted";
  }
  const int64_t shown = text.size < 60 ? text.size : 60;
  snprintf(out, size, "'%.*s%s': %s, near byte %" PRId64, (int)shown, text.data == NULL ? "" : text.data,
           shown < text.size ? "..." : "", mistake, at);
}

// A leaf below the step whose text or bytes are bad.
static const qn_step *find_text_leaf(const qn_step *step) {
  while (step->n_children > 0) {
    step = step->children[0];
  }
  return step->kind == QN_STEP_PIXELS || step->kind == QN_STEP_SPARSE ? step : NULL;
}

qn_status qn_tile_fail(qn_tile *tile, int i, int column, qn_error *err) {
  char place[600];
  char what[300];
  double value = NAN;
  int j = 0;
  const int64_t row = tile->first + i;
  const qn_step *item = item_of(tile->features, column, &j);
  const qn_step *leaf = find_leaf(item, tile, i, &value);

  qn_batch_describe_row(tile->batch, row, place, sizeof place);
  if (place[0] == '\0') {
    snprintf(place, sizeof place, "a row");
  }
  const qn_step *text_leaf = find_text_leaf(item);
  if (leaf == NULL && text_leaf != NULL) {
    describe_text(text_leaf, qn_column_text(&tile->batch->columns[text_leaf->input], row), what, sizeof what);
    return qn_fail(err, QN_ERR_VALUE, "features: %s, column '%s': %s", place, text_leaf->name, what);
  }
  if (leaf == NULL) {
    const char *name = qn_features_name(tile->features, column);
    return qn_fail(err, QN_ERR_VALUE, "features: %s, column '%s': too large for a float64", place,
                   name == NULL ? "" : name);
  }
  if (isinf(value)) {
    return qn_fail(err, QN_ERR_VALUE,
                   "features: %s, column '%s' is infinite; limit it (least(%s, 1e9)) or leave such rows out "
                   "with a filter",
                   place, leaf->name, leaf->name);
  }
  const bool is_null = qn_column_is_null(&tile->batch->columns[leaf->input], row);
  if (!qn_step_is_number(leaf) || leaf->kind != QN_STEP_NUMBER) {
    return qn_fail(err, QN_ERR_VALUE, "features: %s, column '%s' is null; leave such rows out with a filter",
                   place, leaf->name);
  }
  return qn_fail(err, QN_ERR_VALUE,
                 "features: %s, column '%s' is %s; fill it in with impute(%s), or leave such rows out with a "
                 "filter",
                 place, leaf->name, is_null ? "null" : "NaN", leaf->name);
}

// Row i of the tile is bad, in that column of the numbers.
static qn_status note_bad(qn_tile *tile, int i, int column, bool *is_bad, qn_error *err) {
  if (is_bad == NULL) {
    return qn_tile_fail(tile, i, column, err);
  }
  is_bad[tile->first + i] = true;
  return QN_OK;
}

// --- Dense -------------------------------------------------------------------------------------------------

static qn_status put_entries(const qn_step *step, qn_tile *tile, double *out, int64_t stride,
                             int first_column, bool *is_bad, qn_error *err) {
  qn_status status = QN_OK;

  for (int i = 0; i < tile->n; i++) {
    double *row = out + i * stride;
    memset(row, 0, (size_t)step->n_outputs * sizeof *row);
    QN_TRY(qn_step_entries(step, tile, i, err));
    const int32_t *columns = (const int32_t *)tile->columns.data;
    const double *values = (const double *)tile->values.data;
    const int64_t n = tile->values.size / (int64_t)sizeof *values;
    for (int64_t k = 0; k < n; k++) {
      row[columns[k]] = values[k];
    }
    if (tile->is_bad[i]) {
      QN_TRY(note_bad(tile, i, first_column, is_bad, err));
    }
  }

done:
  return status;
}

static qn_status put_tile(qn_tile *tile, double *out, bool *is_bad, qn_error *err) {
  qn_status status = QN_OK;
  const qn_features *features = tile->features;
  const int64_t stride = features->n_columns;

  for (int k = 0; k < features->n_items; k++) {
    const qn_step *step = features->items[k];
    const int first = features->first_columns[k];
    if (!qn_step_is_number(step)) {
      QN_TRY(put_entries(step, tile, out + first, stride, first, is_bad, err));
      continue;
    }
    QN_TRY(qn_step_numbers(step, tile, out + first, stride, err));
    for (int i = 0; i < tile->n; i++) {
      if (tile->is_bad[i]) {
        QN_TRY(note_bad(tile, i, first, is_bad, err));
      }
    }
  }
  if (find_bad(tile, out, stride * tile->n) < 0) {
    goto done;
  }
  for (int i = 0; i < tile->n; i++) {
    const int64_t column = find_bad(tile, out + i * stride, stride);
    if (column >= 0) {
      QN_TRY(note_bad(tile, i, (int)column, is_bad, err));
    }
  }

done:
  return status;
}

qn_status qn_features_dense(const qn_features *features, const qn_batch *inputs, double *out, bool *is_bad,
                            qn_error *err) {
  qn_status status = QN_OK;
  qn_tile tile = {0};

  QN_TRY(qn_tile_init(&tile, features, inputs, err));
  if (is_bad != NULL) {
    memset(is_bad, 0, (size_t)inputs->n_rows * sizeof *is_bad);
  }
  for (int64_t first = 0; first < inputs->n_rows; first += QN_TILE_ROWS) {
    start_tile(&tile, first);
    QN_TRY(put_tile(&tile, out + first * features->n_columns, is_bad, err));
  }

done:
  qn_tile_release(&tile);
  return status;
}

// --- Sparse ------------------------------------------------------------------------------------------------

typedef struct sparse_rows {
  qn_buffer *starts, *columns, *values;
  int64_t n_numbers; // columns of steps that make numbers
  double *numbers;   // [QN_TILE_ROWS, n_numbers]
} sparse_rows;

static qn_status append_entries(sparse_rows *rows, const int32_t *columns, const double *values, int64_t n,
                                int first, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_buffer_reserve(rows->columns, n * (int64_t)sizeof *columns, err));
  int32_t *to = (int32_t *)(rows->columns->data + rows->columns->size);
  for (int64_t k = 0; k < n; k++) {
    to[k] = columns[k] + first;
  }
  rows->columns->size += n * (int64_t)sizeof *columns;
  QN_TRY(qn_buffer_append(rows->values, values, n * (int64_t)sizeof *values, err));

done:
  return status;
}

static qn_status append_numbers(sparse_rows *rows, const double *numbers, int n, int first, qn_error *err) {
  qn_status status = QN_OK;

  for (int j = 0; j < n; j++) {
    const int32_t column = 0;
    if (numbers[j] != 0) { // NaN too
      QN_TRY(append_entries(rows, &column, &numbers[j], 1, first + j, err));
    }
  }

done:
  return status;
}

static qn_status append_row(sparse_rows *rows, qn_tile *tile, int i, bool *is_bad, qn_error *err) {
  qn_status status = QN_OK;
  const qn_features *features = tile->features;
  const double *numbers = rows->numbers + i * rows->n_numbers;
  const int64_t first_entry = rows->values->size / (int64_t)sizeof(double);
  int bad_column = -1;

  for (int k = 0; k < features->n_items; k++) {
    const qn_step *step = features->items[k];
    const int first = features->first_columns[k];
    if (qn_step_is_number(step)) {
      QN_TRY(append_numbers(rows, numbers, step->n_outputs, first, err));
      numbers += step->n_outputs;
    } else {
      QN_TRY(qn_step_entries(step, tile, i, err));
      QN_TRY(append_entries(rows, (const int32_t *)tile->columns.data, (const double *)tile->values.data,
                            tile->values.size / (int64_t)sizeof(double), first, err));
    }
    bad_column = tile->is_bad[i] && bad_column < 0 ? first : bad_column;
  }
  const int64_t end = rows->values->size / (int64_t)sizeof(double);
  const int64_t bad = end == first_entry ? -1
                                         : find_bad(tile, (const double *)rows->values->data + first_entry,
                                                    end - first_entry);
  if (bad_column < 0 && bad >= 0) {
    bad_column = ((const int32_t *)rows->columns->data)[first_entry + bad];
  }
  if (bad_column >= 0) {
    QN_TRY(note_bad(tile, i, bad_column, is_bad, err));
  }
  QN_TRY(qn_buffer_append(rows->starts, &end, sizeof end, err));

done:
  return status;
}

static qn_status load_numbers(sparse_rows *rows, qn_tile *tile, qn_error *err) {
  qn_status status = QN_OK;
  double *to = rows->numbers;

  for (int k = 0; k < tile->features->n_items; k++) {
    const qn_step *step = tile->features->items[k];
    if (qn_step_is_number(step)) {
      QN_TRY(qn_step_numbers(step, tile, to, rows->n_numbers, err));
      to += step->n_outputs;
    }
  }

done:
  return status;
}

qn_status qn_features_sparse(const qn_features *features, const qn_batch *inputs, qn_buffer *starts,
                             qn_buffer *columns, qn_buffer *values, bool *is_bad, qn_error *err) {
  qn_status status = QN_OK;
  qn_tile tile = {0};
  const int64_t zero = 0;
  sparse_rows rows = {.starts = starts, .columns = columns, .values = values};

  starts->size = columns->size = values->size = 0;
  for (int k = 0; k < features->n_items; k++) {
    rows.n_numbers += qn_step_is_number(features->items[k]) ? features->items[k]->n_outputs : 0;
  }
  QN_TRY(qn_tile_init(&tile, features, inputs, err));
  rows.numbers = qn_memory_alloc(rows.n_numbers * QN_TILE_ROWS * (int64_t)sizeof *rows.numbers);
  QN_REQUIRE(rows.numbers != NULL, err, QN_ERR_MEMORY, "features: no memory for %" PRId64 " numbers",
             rows.n_numbers);
  if (is_bad != NULL) {
    memset(is_bad, 0, (size_t)inputs->n_rows * sizeof *is_bad);
  }
  QN_TRY(qn_buffer_append(starts, &zero, sizeof zero, err));
  for (int64_t first = 0; first < inputs->n_rows; first += QN_TILE_ROWS) {
    start_tile(&tile, first);
    QN_TRY(load_numbers(&rows, &tile, err));
    for (int i = 0; i < tile.n; i++) {
      QN_TRY(append_row(&rows, &tile, i, is_bad, err));
    }
  }

done:
  qn_memory_free(rows.numbers);
  qn_tile_release(&tile);
  return status;
}
