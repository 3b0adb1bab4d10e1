// SPDX-License-Identifier: Apache-2.0
// Fixed-width values as ordered integers, one loop per type.
#include "kernel/ordered_words.h"
#include "kernel/ordered_bits.h"

static void load_bools(const uint8_t *values, int64_t n, int64_t *words) {
  for (int64_t i = 0; i < n; i++) {
    words[i] = values[i] != 0;
  }
}

static void load_int32(const int32_t *values, int64_t n, int64_t *words) {
  for (int64_t i = 0; i < n; i++) {
    words[i] = values[i];
  }
}

static void load_float32(const float *values, int64_t n, int64_t *words) {
  for (int64_t i = 0; i < n; i++) {
    words[i] = qn_float32_to_ordered(qn_float32_bits(values[i]));
  }
}

static void load_float64(const double *values, int64_t n, int64_t *words) {
  for (int64_t i = 0; i < n; i++) {
    words[i] = qn_float64_to_ordered(qn_float64_bits(values[i]));
  }
}

void qn_load_ordered(const qn_column *column, int64_t first, int64_t n, int64_t *words) {
  switch (column->type) {
  case QN_BOOL:
    load_bools((const uint8_t *)column->values + first, n, words);
    break;
  case QN_INT32:
  case QN_DATE:
    load_int32((const int32_t *)column->values + first, n, words);
    break;
  case QN_INT64:
  case QN_TIMESTAMP:
    memcpy(words, (const int64_t *)column->values + first, (size_t)n * sizeof *words);
    break;
  case QN_FLOAT32:
    load_float32((const float *)column->values + first, n, words);
    break;
  case QN_FLOAT64:
    load_float64((const double *)column->values + first, n, words);
    break;
  case QN_UTF8:
  case QN_BINARY:
    break; // texts have no word
  }
}
