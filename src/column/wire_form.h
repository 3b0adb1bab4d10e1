// SPDX-License-Identifier: Apache-2.0
// What an encoded batch begins with, for the files that write it.
#pragma once
#include <stdint.h>

typedef struct qn_wire_head {
  uint32_t magic;
  uint32_t n_columns;
  int64_t n_rows;
  int64_t size; // of all, a multiple of 8
} qn_wire_head;

/// Where a column's parts are, in bytes from the head, each at a multiple of 8.
typedef struct qn_wire_entry {
  uint32_t type;
  uint32_t reserved; // 0
  int64_t n_nulls;   // there is validity if > 0
  int64_t n_bytes;   // of text
  int64_t validity_at, values_at, bytes_at;
} qn_wire_entry;

static inline int64_t qn_wire_pad(int64_t size) {
  return (size + 7) & ~(int64_t)7;
}
static inline int64_t qn_wire_head_size(int n_columns) {
  return (int64_t)sizeof(qn_wire_head) + n_columns * (int64_t)sizeof(qn_wire_entry);
}
static inline qn_wire_entry *qn_wire_entry_at(uint8_t *encoded, int column) {
  return (qn_wire_entry *)(void *)(encoded + qn_wire_head_size(column));
}
void qn_wire_put_head(uint8_t *out, int n_columns, int64_t n_rows, int64_t size);
