// SPDX-License-Identifier: Apache-2.0
// Loading the values of a block of rows: every type becomes int64 or double here, so that the aggregates have
// one loop.
#include "column/schema.h"
#include "kernel/accumulator_state.h"

const int64_t *qn_update_load_ints(const qn_update *update, const qn_column *column, int64_t *scratch) {
  const int64_t n = update->n;

  switch (column->type) {
  case QN_BOOL:
    for (int64_t k = 0; k < n; k++) {
      scratch[k] = ((const uint8_t *)column->values)[qn_update_row(update, k)] != 0;
    }
    break;
  case QN_INT32:
  case QN_DATE:
    for (int64_t k = 0; k < n; k++) {
      scratch[k] = ((const int32_t *)column->values)[qn_update_row(update, k)];
    }
    break;
  default:
    if (update->rows == NULL) {
      return (const int64_t *)column->values + update->first;
    }
    for (int64_t k = 0; k < n; k++) {
      scratch[k] = ((const int64_t *)column->values)[update->rows[k]];
    }
  }
  return scratch;
}

const double *qn_update_load_floats(const qn_update *update, const qn_column *column, double *scratch) {
  const int64_t n = update->n;

  switch (column->type) {
  case QN_INT32:
    for (int64_t k = 0; k < n; k++) {
      scratch[k] = ((const int32_t *)column->values)[qn_update_row(update, k)];
    }
    break;
  case QN_INT64:
    for (int64_t k = 0; k < n; k++) {
      scratch[k] = (double)((const int64_t *)column->values)[qn_update_row(update, k)];
    }
    break;
  case QN_FLOAT32:
    for (int64_t k = 0; k < n; k++) {
      scratch[k] = ((const float *)column->values)[qn_update_row(update, k)];
    }
    break;
  default:
    if (update->rows == NULL) {
      return (const double *)column->values + update->first;
    }
    for (int64_t k = 0; k < n; k++) {
      scratch[k] = ((const double *)column->values)[update->rows[k]];
    }
  }
  return scratch;
}

void qn_update_add_counts(const qn_update *update, int64_t *counts, const int64_t *more, bool is_large) {
  for (int64_t k = 0; k < update->n; k++) {
    if (is_large && k + QN_GROUPS_AHEAD < update->n) {
      __builtin_prefetch(counts + update->groups[k + QN_GROUPS_AHEAD], 1);
    }
    counts[update->groups[k]] += more == NULL ? 1 : more[k];
  }
}

qn_status qn_result_begin(qn_type type, int64_t n, qn_column *column, void **values, qn_buffer *validity,
                          qn_error *err) {
  const qn_status status = qn_column_fixed(type, n, column, values, err);
  return status != QN_OK ? status : qn_buffer_clear_bits(validity, n, err);
}
