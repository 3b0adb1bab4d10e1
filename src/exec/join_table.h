// SPDX-License-Identifier: Apache-2.0
// The build side of a hash join in memory, and probing it a batch at a time. Either side can be the build
// side.
#pragma once
#include "exec/join_output.h"

typedef struct qn_join_table qn_join_table;

/// Local. A table over all rows of `build` (shared), which are of input `build_side` of the join node (0:
/// left, 1: right). At most 2^31 - 1 rows.
qn_status qn_join_table_new(const qn_join_output *output, int build_side, const qn_batch *build,
                            qn_join_table **out, qn_error *err);
void qn_join_table_free(qn_join_table *table);
/// Local. The table with its rows as one run of bytes without addresses, for the other ranks of the node: its
/// size, and the bytes to `out` (64-byte aligned). Errors: QN_ERR_MEMORY.
int64_t qn_join_table_image_size(const qn_join_table *table);
qn_status qn_join_table_write_image(const qn_join_table *table, uint8_t *out, int64_t size, qn_error *err);
/// Local. A table over such bytes, which are `block`'s (shared); its marks are its own. Errors:
/// QN_ERR_FORMAT, QN_ERR_MEMORY.
qn_status qn_join_table_from_image(const qn_join_output *output, int build_side, qn_block *block,
                                   const uint8_t *image, int64_t size, qn_join_table **out, qn_error *err);
/// Bytes that a table needs beside its rows, at most; n_bytes of rows included.
int64_t qn_join_table_cost(int64_t n_rows, int64_t n_bytes);
/// Rows of the other side: hands on their pairs, and what comes out of the rows themselves.
qn_status qn_join_table_probe(qn_join_table *table, const qn_batch *probe, qn_error *err);
/// The same in two steps, for a build side in several tables: with each table the pairs, and marks[row] = 1
/// for rows that have one (never 0: zero them before the first); with the last one what comes out of the
/// rows themselves.
qn_status qn_join_table_match(qn_join_table *table, const qn_batch *probe, uint8_t *marks, qn_error *err);
qn_status qn_join_table_settle(qn_join_table *table, const qn_batch *probe, const uint8_t *marks,
                               qn_error *err);
/// After the last probe: the build rows that come out by themselves.
qn_status qn_join_table_finish(qn_join_table *table, qn_error *err);
/// Which build rows have had a partner, [n_rows], to be combined with those of other ranks that hold the same
/// rows; NULL if nobody asks.
uint8_t *qn_join_table_marks(qn_join_table *table, int64_t *n_rows);
/// How keys are looked up, for the notes of a run.
const char *qn_join_table_kind(const qn_join_table *table);
