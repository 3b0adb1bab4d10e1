// SPDX-License-Identifier: Apache-2.0
// Spill files: batches put out to node-local scratch and read back in order by the same rank. Plain wire format with
// a checksum per batch; the file is unlinked as soon as it is open, so nothing stays after a crash.
#pragma once
#include <stdint.h>
#include "column/batch.h"

typedef struct qn_spill qn_spill;

/// Local. A new file in folder `scratch`. Many spills of one operator may share one file: each keeps its own extents.
qn_status qn_spill_new(const char *scratch, const qn_schema *schema, qn_spill **out, qn_error *err);
qn_status qn_spill_append(qn_spill *spill, const qn_batch *batch, qn_error *err);
int64_t qn_spill_n_rows(const qn_spill *spill);
int64_t qn_spill_n_bytes(const qn_spill *spill);
/// Flushes and goes (back) to the first batch. After it no more appends.
qn_status qn_spill_rewind(qn_spill *spill, qn_error *err);
/// The next batch, owned by the caller; NULL at the end.
qn_status qn_spill_next(qn_spill *spill, qn_batch **out, qn_error *err);
void qn_spill_free(qn_spill *spill);
