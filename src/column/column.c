// SPDX-License-Identifier: Apache-2.0
// Blocks and columns: sharing, sizes, and the two ways to make a column without a builder.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "column/batch.h"
#include "column/bitmap.h"

qn_status qn_block_new(void *memory, void (*release)(void *), qn_block **out, qn_error *err) {
  qn_block *block = malloc(sizeof *block);
  if (block == NULL) {
    release(memory);
    return qn_fail(err, QN_ERR_MEMORY, "no memory for a block");
  }
  *block = (qn_block){.n_references = 1, .memory = memory, .release = release};
  *out = block;
  return QN_OK;
}

qn_status qn_block_from_buffer_take(qn_buffer *buffer, qn_block **out, qn_error *err) {
  qn_buffer taken = {0};
  qn_buffer_move(buffer, &taken);
  // Doubling leaves up to half of a buffer unused; a block may live long, so large remainders are given back.
  if (taken.capacity - taken.size > 65536 && taken.size < taken.capacity / 4 * 3) {
    void *smaller = qn_memory_resize(taken.data, taken.size);
    taken.data = smaller != NULL ? smaller : taken.data;
  }
  return qn_block_new(taken.data, qn_memory_free, out, err);
}

void qn_block_free(qn_block *block) {
  if (block == NULL || --block->n_references > 0) {
    return;
  }
  block->release(block->memory);
  free(block);
}

qn_column qn_column_share(const qn_column *column) {
  for (int i = 0; i < 3; i++) {
    qn_block_share(column->blocks[i]);
  }
  return *column;
}

void qn_column_release(qn_column *column) {
  for (int i = 0; i < 3; i++) {
    qn_block_free(column->blocks[i]);
  }
  *column = (qn_column){0};
}

// A block of `size` bytes from qn_memory_alloc().
static qn_status new_block(int64_t size, qn_block **out, qn_error *err) {
  void *memory = qn_memory_alloc(size);
  if (memory == NULL) {
    return qn_fail(err, QN_ERR_MEMORY, "no memory for a column of %" PRId64 " bytes (%" PRId64 " in use)",
                   size, qn_memory_used());
  }
  return qn_block_new(memory, qn_memory_free, out, err);
}

static void *new_zeros(qn_block *block, int64_t size) {
  return memset(block->memory, 0, (size_t)size);
}

qn_status qn_column_all_null(qn_type type, int64_t n_rows, qn_column *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_column column = {.type = type, .n_rows = n_rows, .n_nulls = n_rows};
  int64_t size = 0;

  QN_TRY(new_block(qn_bitmap_bytes(n_rows), &column.blocks[0], err));
  column.validity = new_zeros(column.blocks[0], qn_bitmap_bytes(n_rows));
  QN_TRY(qn_mul_size(n_rows + 1, qn_type_is_text(type) ? 4 : qn_type_width(type), &size, err));
  QN_TRY(new_block(size, &column.blocks[1], err));
  void *values = new_zeros(column.blocks[1], size);
  if (qn_type_is_text(type)) {
    column.offsets = values;
    QN_TRY(new_block(0, &column.blocks[2], err));
    column.bytes = column.blocks[2]->memory;
  } else {
    column.values = values;
  }
  *out = column;
  column = (qn_column){0};

done:
  qn_column_release(&column);
  return status;
}

qn_status qn_column_fixed(qn_type type, int64_t n_rows, qn_column *out, void **values, qn_error *err) {
  qn_status status = QN_OK;
  qn_column column = {.type = type, .n_rows = n_rows};
  int64_t size = 0;

  QN_REQUIRE(!qn_type_is_text(type), err, QN_ERR_ARG, "a %s column has no fixed width", qn_type_name(type));
  QN_TRY(qn_mul_size(n_rows, qn_type_width(type), &size, err));
  QN_TRY(new_block(size, &column.blocks[1], err));
  column.values = column.blocks[1]->memory;
  *values = column.blocks[1]->memory;
  *out = column;

done:
  return status;
}

int64_t qn_column_n_bytes(const qn_column *column) {
  const int64_t validity = column->validity != NULL ? qn_bitmap_bytes(column->n_rows) : 0;
  if (!qn_type_is_text(column->type)) {
    return validity + column->n_rows * qn_type_width(column->type);
  }
  const int64_t bytes = column->n_rows > 0 ? column->offsets[column->n_rows] - column->offsets[0] : 0;
  return validity + (column->n_rows + 1) * 4 + bytes;
}
