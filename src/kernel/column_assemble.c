// SPDX-License-Identifier: Apache-2.0
// Columns put together from filled buffers.
#include "kernel/column_assemble.h"
#include <inttypes.h>
#include "base/check.h"
#include "column/bitmap.h"

qn_status qn_column_set_validity_take(qn_column *column, qn_buffer *validity, qn_error *err) {
  qn_status status = QN_OK;
  int64_t n_nulls = 0;

  if (validity->data != NULL) {
    n_nulls = column->n_rows - qn_bitmap_count(validity->data, column->n_rows);
  }
  if (n_nulls > 0) {
    QN_TRY(qn_block_from_buffer_take(validity, &column->blocks[0], err));
    column->validity = column->blocks[0]->memory;
    column->n_nulls = n_nulls;
  }

done:
  qn_buffer_release(validity);
  return status;
}

qn_status qn_column_text_take(qn_type type, int64_t n_rows, qn_buffer *validity, qn_buffer *offsets,
                              qn_buffer *bytes, qn_column *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_column column = {.type = type, .n_rows = n_rows};

  QN_TRY(qn_column_set_validity_take(&column, validity, err));
  QN_TRY(qn_buffer_reserve(bytes, 1, err)); // so that bytes is never NULL
  QN_TRY(qn_block_from_buffer_take(offsets, &column.blocks[1], err));
  QN_TRY(qn_block_from_buffer_take(bytes, &column.blocks[2], err));
  column.offsets = column.blocks[1]->memory;
  column.bytes = column.blocks[2]->memory;
  *out = column;
  column = (qn_column){0};

done:
  qn_column_release(&column);
  qn_buffer_release(validity);
  qn_buffer_release(offsets);
  qn_buffer_release(bytes);
  return status;
}

qn_status qn_buffer_clear_bits(qn_buffer *bits, int64_t n_bits, qn_error *err) {
  qn_status status = QN_OK;
  QN_TRY(qn_buffer_reserve(bits, qn_bitmap_bytes(n_bits) + 1, err)); // never NULL
  bits->size = qn_bitmap_bytes(n_bits);
  memset(bits->data, 0, (size_t)bits->size);

done:
  return status;
}

qn_status qn_check_text_bytes(int64_t n_bytes, qn_error *err) {
  if (n_bytes <= INT32_MAX) {
    return QN_OK;
  }
  return qn_fail(err, QN_ERR_VALUE,
                 "%" PRId64
                 " bytes of text do not fit one column of at most %d bytes; ask for fewer groups at a time",
                 n_bytes, INT32_MAX);
}
