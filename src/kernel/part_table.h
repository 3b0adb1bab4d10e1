// SPDX-License-Identifier: Apache-2.0
// Several batches read as if they were one: rows are named by batch and place, and gathered from wherever
// they lie, so that a sort or a merge copies its rows once, when their order is known.
#pragma once
#include <stdint.h>
#include "column/batch.h"

/// A row: which batch, and its number there.
typedef struct qn_part_row {
  int32_t part, row;
} qn_part_row;

typedef struct qn_part_cell qn_part_cell; // where a column of a part lies

/// A zeroed table is empty.
typedef struct qn_part_table {
  qn_schema *schema;
  int64_t n_parts;
  qn_part_cell *cells; // [n_columns][n_parts]
  int64_t *n_nulls;    // [n_columns], of all parts
  const uint8_t **texts;
  int32_t *sizes;
  int64_t capacity; // of texts and sizes, which are working space
} qn_part_table;

/// Local. A table of batches of one schema, which must stay as long as it is used.
qn_status qn_part_table_init(qn_part_table *table, const qn_schema *schema, const qn_batch *const *parts,
                             int64_t n_parts, qn_error *err);
void qn_part_table_release(qn_part_table *table);
/// Local. Column `column` of rows[0 .. n_rows - 1]. QN_ERR_VALUE if its text would pass 2^31 - 1 bytes.
qn_status qn_part_table_gather(qn_part_table *table, int column, const qn_part_row *rows, int64_t n_rows,
                               qn_column *out, qn_error *err);
/// Local. All columns.
qn_status qn_part_table_gather_batch(qn_part_table *table, const qn_part_row *rows, int64_t n_rows,
                                     qn_batch **out, qn_error *err);
