// SPDX-License-Identifier: Apache-2.0
// Rows of many batches under one number each: batches are shared, not copied, and rows are gathered in any
// order. What sorters keep their rows in.
#pragma once
#include <stdint.h>
#include "column/builder.h"
#include "kernel/part_table.h"

/// Use: init; append; freeze; then rows are numbered 0 .. n_rows - 1: those of source 0 as they came, then
/// those of source 1, and so on. A zeroed qn_row_parts is empty.
typedef struct qn_row_parts {
  qn_schema *schema;
  int64_t n_rows, n_bytes;
  int n_sources;
  struct qn_row_list *lists; // [n_sources]
  // From freeze on:
  int64_t n_parts;
  const qn_batch **parts; // [n_parts], borrowed from the lists
  int32_t *sources;       // [n_parts]
  int64_t *starts;        // [n_parts + 1] the number of a part's first row
  int32_t *part_of_block; // the part in which each block of row numbers begins
  qn_part_table table;    // of all columns
  qn_part_row *places;    // [n_places], working space
  int64_t n_places;
} qn_row_parts;

/// Local. Rows of `schema` from n_sources sources.
qn_status qn_row_parts_init(qn_row_parts *rows, const qn_schema *schema, int n_sources, qn_error *err);
void qn_row_parts_release(qn_row_parts *rows);
/// Gives up the rows; the next ones may be appended.
void qn_row_parts_clear(qn_row_parts *rows);
/// Shares the batch (small batches are copied together).
qn_status qn_row_parts_append(qn_row_parts *rows, const qn_batch *batch, int source, qn_error *err);
/// No more appends: rows can be read from now on.
qn_status qn_row_parts_freeze(qn_row_parts *rows, qn_error *err);
/// Where rows numbers[0 .. n - 1] lie; the array is valid until the next call.
qn_status qn_row_parts_find(qn_row_parts *rows, const int32_t *numbers, int64_t n, const qn_part_row **places,
                            qn_error *err);
/// Rows numbers[0 .. n - 1] as a batch of `schema`, whose columns are columns[0], ... of the rows (NULL: the
/// first ones) and, if it has one column more than the rows, the int32 number of the row's source.
qn_status qn_row_parts_gather(qn_row_parts *rows, const qn_schema *schema, const int *columns,
                              const int32_t *numbers, int64_t n, qn_batch **out, qn_error *err);
