// SPDX-License-Identifier: Apache-2.0
// A line of the progress file: what a rank is doing. Line R is of rank R, each of the same size, so that
// every rank writes its own in place and readers find it.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/status.h>
#include "record/run_process.h"

enum { QN_PROGRESS_BYTES = 512, QN_PROGRESS_TEXT = 96 };

typedef struct qn_progress_line {
  bool is_there; // false: the rank has not written yet, or the line is torn
  int rank;
  qn_process process;
  double time;    // seconds since 1970
  char state[16]; // as the status of an attempt
  int64_t action; // -1: none yet
  char what[QN_PROGRESS_TEXT], operator[QN_PROGRESS_TEXT];
  int64_t run, pipeline, n_pipelines; // of the plan that runs: the how manieth, and where in it
  int64_t rows;                       // read in this pipeline
  int64_t splits_done, n_splits;      // of this rank, of all; n_splits 0: not known
  int64_t bytes_read, bytes_written, bytes_sent, bytes_spilled;
  int64_t resident; // bytes
  int64_t step, n_steps;
  double loss; // NaN: none
} qn_progress_line;

/// Local. The line as text of QN_PROGRESS_BYTES bytes, long texts cut. False if there is no memory.
bool qn_progress_line_print(const qn_progress_line *line, char *out);
/// Local. From `size` bytes; what is missing is 0, -1 or empty. Sets is_there.
void qn_progress_line_parse(const char *bytes, int64_t size, qn_progress_line *out);
/// Local. All lines of the file; *lines is for free(). Errors: QN_ERR_IO.
qn_status qn_progress_read(const char *path, qn_progress_line **lines, int64_t *n_lines, qn_error *err);
