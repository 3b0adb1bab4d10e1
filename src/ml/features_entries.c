// SPDX-License-Identifier: Apache-2.0
// Steps that make nearly all zeros: what is not zero of a row, in ascending columns.
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/hash.h"
#include "io/sparse_text.h"
#include "ml/features_steps.h"

static qn_status add_entry(qn_tile *tile, int32_t column, double value, qn_error *err) {
  qn_status status = QN_OK;
  QN_TRY(qn_buffer_append(&tile->columns, &column, sizeof column, err));
  QN_TRY(qn_buffer_append(&tile->values, &value, sizeof value, err));

done:
  return status;
}

static qn_status one_hot(const qn_step *step, qn_tile *tile, int i, qn_error *err) {
  const qn_column *column = &tile->batch->columns[step->input];
  const int64_t row = tile->first + i;
  if (qn_column_is_null(column, row)) {
    return QN_OK;
  }
  const qn_text text = qn_column_text(column, row);
  const int32_t found = qn_vocabulary_find(&step->vocabulary, text.data, text.size);
  if (found < 0 && !step->has_other) {
    return QN_OK;
  }
  return add_entry(tile, found < 0 ? step->vocabulary.n : found, 1, err);
}

// The one row i of a tile of its own.
static qn_status one_hot_bucket(const qn_step *step, qn_tile *tile, int i, qn_error *err) {
  qn_status status = QN_OK;
  double bucket = NAN;
  const int64_t first = tile->first;
  const int n = tile->n;

  tile->first = first + i;
  tile->n = 1;
  QN_TRY(qn_step_numbers(step->children[0], tile, &bucket, 1, err));
  if (isfinite(bucket)) {
    QN_TRY(add_entry(tile, (int32_t)bucket, 1, err));
  } else {
    QN_TRY(add_entry(tile, 0, bucket, err)); // a bad value stays one
  }

done:
  tile->first = first;
  tile->n = n;
  return status;
}

static int compare_int32(const void *a, const void *b) {
  const int32_t x = *(const int32_t *)a;
  const int32_t y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

static qn_status add_number(qn_tile *tile, int32_t number, qn_error *err) {
  return qn_buffer_append(&tile->numbers, &number, sizeof number, err);
}

// Counts of the numbers in tile->numbers become entries.
static qn_status count_numbers(qn_tile *tile, qn_error *err) {
  qn_status status = QN_OK;
  int32_t *numbers = (int32_t *)tile->numbers.data;
  const int64_t n = tile->numbers.size / (int64_t)sizeof *numbers;

  if (n > 1) {
    qsort(numbers, (size_t)n, sizeof *numbers, compare_int32);
  }
  for (int64_t i = 0; i < n;) {
    int64_t end = i + 1;
    while (end < n && numbers[end] == numbers[i]) {
      end++;
    }
    QN_TRY(add_entry(tile, numbers[i], (double)(end - i), err));
    i = end;
  }

done:
  return status;
}

static int32_t hash_to_column(const qn_step *step, qn_text text) {
  return qn_hash_to_range(qn_hash_bytes(text.data, text.size, 0), (int32_t)step->limit);
}

static qn_status hashing(const qn_step *step, qn_tile *tile, int i, qn_error *err) {
  qn_status status = QN_OK;
  const qn_column *column = &tile->batch->columns[step->input];
  const int64_t row = tile->first + i;
  qn_text word;

  if (qn_column_is_null(column, row)) {
    goto done;
  }
  const qn_text text = qn_column_text(column, row);
  if (!step->by_word) {
    QN_TRY(add_entry(tile, hash_to_column(step, text), 1, err));
    goto done;
  }
  tile->numbers.size = 0;
  QN_TRY(qn_word_reader_start(&tile->reader, text, err));
  while (qn_word_reader_next(&tile->reader, &word)) {
    QN_TRY(add_number(tile, hash_to_column(step, word), err));
  }
  QN_TRY(count_numbers(tile, err));

done:
  return status;
}

// Counts times idf, the row brought to length 1.
static qn_status tfidf(const qn_step *step, qn_tile *tile, int i, qn_error *err) {
  qn_status status = QN_OK;
  const qn_column *column = &tile->batch->columns[step->input];
  const int64_t row = tile->first + i;
  qn_text word;
  double squares = 0;

  if (qn_column_is_null(column, row)) {
    goto done;
  }
  tile->numbers.size = 0;
  QN_TRY(qn_word_reader_start(&tile->reader, qn_column_text(column, row), err));
  while (qn_word_reader_next(&tile->reader, &word)) {
    const int32_t found = qn_vocabulary_find(&step->vocabulary, word.data, word.size);
    if (found >= 0) {
      QN_TRY(add_number(tile, found, err));
    }
  }
  QN_TRY(count_numbers(tile, err));
  const int32_t *columns = (const int32_t *)tile->columns.data;
  double *values = (double *)tile->values.data;
  const int64_t n = tile->values.size / (int64_t)sizeof *values;
  for (int64_t k = 0; k < n; k++) {
    values[k] *= step->idf[columns[k]];
    squares += values[k] * values[k];
  }
  const double length = sqrt(squares);
  for (int64_t k = 0; k < n; k++) {
    values[k] /= length;
  }

done:
  return status;
}

static qn_status sparse(const qn_step *step, qn_tile *tile, int i, qn_error *err) {
  qn_status status = QN_OK;
  const qn_column *column = &tile->batch->columns[step->input];
  const int64_t row = tile->first + i;
  const char *mistake = NULL;
  int64_t at = 0, index = 0, before = -1;
  double value = 0;

  if (qn_column_is_null(column, row)) {
    goto done;
  }
  const qn_text text = qn_column_text(column, row);
  while (qn_sparse_next(text, &at, &index, &value, &mistake)) {
    tile->is_bad[i] = tile->is_bad[i] || index <= before;
    before = index;
    if (index >= step->base && index - step->base < step->n_outputs) {
      QN_TRY(add_entry(tile, (int32_t)(index - step->base), value, err));
    }
  }
  tile->is_bad[i] = tile->is_bad[i] || mistake != NULL;

done:
  return status;
}

qn_status qn_step_entries(const qn_step *step, qn_tile *tile, int i, qn_error *err) {
  tile->columns.size = 0;
  tile->values.size = 0;
  switch (step->kind) {
  case QN_STEP_ONE_HOT:
    return step->n_children == 1 ? one_hot_bucket(step, tile, i, err) : one_hot(step, tile, i, err);
  case QN_STEP_HASHING:
    return hashing(step, tile, i, err);
  case QN_STEP_TFIDF:
    return tfidf(step, tile, i, err);
  default:
    return sparse(step, tile, i, err);
  }
}
