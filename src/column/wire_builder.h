// SPDX-License-Identifier: Apache-2.0
// Rows gathered straight into the encoded form: the memory of a message is what the builder writes into, so
// sending takes no further copy. The memory is the caller's and is never grown; it is shared out among the
// columns when the builder is placed there.
#pragma once
#include <stdint.h>
#include "column/builder.h"

typedef struct qn_wire_builder {
  qn_batch_builder rows; // its buffers lie in `memory`
  uint8_t *memory;       // NULL: placed nowhere
  int64_t capacity;      // rows
} qn_wire_builder;

/// Rows of a batch: rows[0 .. n_rows - 1], or n_rows rows from `first` on if rows is NULL.
typedef struct qn_selection {
  const qn_batch *batch;
  const int32_t *rows;
  int64_t first;
  int64_t n_rows;
} qn_selection;

qn_status qn_wire_builder_init(qn_wire_builder *builder, const qn_schema *schema, qn_error *err);
/// The memory it is placed in stays the caller's.
void qn_wire_builder_release(qn_wire_builder *builder);
/// Places the empty builder in `size` bytes of memory, 8-byte aligned, with QN_MEMORY_SLACK bytes behind
/// them. Text gets room in the proportions that it has in `like`. Capacity may be 0.
void qn_wire_builder_place(qn_wire_builder *builder, uint8_t *memory, int64_t size, const qn_batch *like);
/// How many of the rows, from the first on, have room.
int64_t qn_wire_builder_count_fitting(const qn_wire_builder *builder, const qn_selection *rows);
/// Appends the first n rows, which have room.
qn_status qn_wire_builder_append(qn_wire_builder *builder, const qn_selection *rows, int64_t n,
                                 qn_error *err);
/// Completes the encoded batch and takes the builder out of its memory. Returns the bytes it takes; if the
/// gaps between its parts are more than a small part of it, they are moved together.
int64_t qn_wire_builder_seal(qn_wire_builder *builder);
