// SPDX-License-Identifier: Apache-2.0
// A spool keeps batches in the order they came, in memory while the budget allows and in a spill file from
// then on; it can be read again and again. Caches, join sides and sorts keep their rows in spools.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "column/batch.h"

typedef struct qn_spool qn_spool;

/// Local. `scratch` is the folder for a spill file, made only when needed.
qn_status qn_spool_new(const qn_schema *schema, const char *scratch, qn_spool **out, qn_error *err);
/// Shares the batch (small batches are gathered into bigger ones).
qn_status qn_spool_append(qn_spool *spool, const qn_batch *batch, qn_error *err);
/// If `spool` spills, it does so into the file of `other`, should that have one by then: for many spools at a
/// time. `other` is borrowed as long as `spool` takes batches.
void qn_spool_share_file(qn_spool *spool, const qn_spool *other);
/// Puts all that is in memory out to the spill file; later batches go there too. Not after the first batch is
/// read.
qn_status qn_spool_spill(qn_spool *spool, qn_error *err);
int64_t qn_spool_n_rows(const qn_spool *spool);
int64_t qn_spool_n_bytes(const qn_spool *spool);
bool qn_spool_is_spilled(const qn_spool *spool);
/// Goes (back) to the first batch. After it no more appends.
qn_status qn_spool_rewind(qn_spool *spool, qn_error *err);
/// The next batch, owned by the caller; NULL at the end.
qn_status qn_spool_next(qn_spool *spool, qn_batch **out, qn_error *err);
/// As qn_spool_next(), but the spool gives the batch up, so that its memory goes when the caller's does: for
/// spools that are read once. No rewind after it.
qn_status qn_spool_take(qn_spool *spool, qn_batch **out, qn_error *err);
/// Rewinds and hands every batch to `visit`, in order; each is given up after its call, as by
/// qn_spool_take().
qn_status qn_spool_drain(qn_spool *spool, qn_status (*visit)(void *ctx, const qn_batch *batch, qn_error *err),
                         void *ctx, qn_error *err);
/// All rows as one batch, owned by the caller (QN_ERR_VALUE past 2^31 - 1 rows or bytes of text).
qn_status qn_spool_concat(qn_spool *spool, qn_batch **out, qn_error *err);
void qn_spool_free(qn_spool *spool);
