// SPDX-License-Identifier: Apache-2.0
// A local sort that does not need its rows in memory: batches come in, runs are sorted and, when the budget
// is tight, spilled; rows come out in order, a batch at a time (multi-level merge with a loser tree). Used by
// sort, window, group and distinct by key.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "column/batch.h"
#include "kernel/sort_rows.h"

typedef struct qn_sorter qn_sorter;

/// Local. Rows of `schema` ordered by its columns key_columns[0 .. n_keys - 1] as `orders` say; rows with
/// equal keys stay in the order they came.
qn_status qn_sorter_new(const qn_schema *schema, const int *key_columns, const qn_order *orders, int n_keys,
                        const char *scratch, qn_sorter **out, qn_error *err);
/// A hint: rows seldom agree in their first n_keys keys; the others are only looked at where rows do.
void qn_sorter_set_main_keys(qn_sorter *sorter, int n_keys);
/// Rows come from n_sources sources, 0, 1, ...: rows with equal keys are given out in the order of their
/// sources, those of one source as they came. Before the first row.
qn_status qn_sorter_set_sources(qn_sorter *sorter, int n_sources, qn_error *err);
/// Shares the batch. qn_sorter_append(): from source 0.
qn_status qn_sorter_append_from(qn_sorter *sorter, const qn_batch *batch, int source, qn_error *err);
qn_status qn_sorter_append(qn_sorter *sorter, const qn_batch *batch, qn_error *err);
/// No more rows; begins the merge.
qn_status qn_sorter_finish(qn_sorter *sorter, qn_error *err);
/// The next rows in order, owned by the caller; NULL at the end.
qn_status qn_sorter_next(qn_sorter *sorter, qn_batch **out, qn_error *err);
int64_t qn_sorter_n_rows(const qn_sorter *sorter);
void qn_sorter_free(qn_sorter *sorter);
