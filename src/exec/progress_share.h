// SPDX-License-Identifier: Apache-2.0
// How far a job is, for people.
#pragma once
#include <quern/job.h>
#include "base/buffer.h"
#include "record/progress_line.h"

/// Local. What this rank does now (job_progress.c).
void qn_progress_line_of(const qn_job *job, const char *state, qn_progress_line *line);
/// Local. "movies: write popular.csv: reduce movie_id, 47 %, 1.2e6 rows/s, 12 s left", with a bar if it is
/// for a terminal; empty if there is nothing to say.
qn_status qn_progress_describe(const qn_job *job, int64_t now_ns, bool has_bar, qn_buffer *out);
