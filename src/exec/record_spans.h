// SPDX-License-Identifier: Apache-2.0
// What a rank did when, for the timeline of the record.
#pragma once
#include <quern/job.h>
#include "exec/run.h"

enum { QN_SPAN_NAME = 88 };

typedef struct qn_span {
  int64_t action;
  int64_t start_ns, end_ns; // since the attempt began, once it has ended
  int64_t wait_ns, io_ns;
  char name[QN_SPAN_NAME]; // "read ratings.csv > reduce movie_id"
} qn_span;

/// Local. Something begins now.
qn_span qn_span_start(const qn_job *job);
/// Local. Names it for a pipeline: what it reads, and the first operator behind that keeps rows.
void qn_span_name_pipeline(qn_span *span, const qn_pipeline *pipeline);
/// Local. It ends now, and is kept, but for what are too many of a rank or too short to be seen.
void qn_span_end(qn_job *job, qn_span *span);
