// SPDX-License-Identifier: Apache-2.0
// Spill files: batches put out to node-local scratch and read back in order by the same rank. Plain wire
// format with a checksum per batch; the file has no name (or loses it as soon as it is open), so nothing
// stays after a crash.
#pragma once
#include <stdint.h>
#include "column/batch.h"

typedef struct qn_spill qn_spill;

/// Local. A new file in folder `scratch`. A spill holds one open file and, while it is written, a buffer of
/// 256 KiB. Errors: QN_ERR_IO names the folder and how to choose another.
qn_status qn_spill_new(const char *scratch, const qn_schema *schema, qn_spill **out, qn_error *err);
/// Local. Another spill in the same file, with its own batches: for operators that need hundreds at a time
/// (open files are few). The file goes with the last of its spills; the space of one that is freed is given
/// back to the disk.
qn_status qn_spill_new_beside(const qn_spill *other, const qn_schema *schema, qn_spill **out, qn_error *err);
qn_status qn_spill_append(qn_spill *spill, const qn_batch *batch, qn_error *err);
int64_t qn_spill_n_rows(const qn_spill *spill);
int64_t qn_spill_n_bytes(const qn_spill *spill);
/// Flushes and goes (back) to the first batch. After it no more appends.
qn_status qn_spill_rewind(qn_spill *spill, qn_error *err);
/// The next batch, owned by the caller; NULL at the end.
qn_status qn_spill_next(qn_spill *spill, qn_batch **out, qn_error *err);
void qn_spill_free(qn_spill *spill); // NULL is allowed
