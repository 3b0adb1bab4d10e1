// SPDX-License-Identifier: Apache-2.0
// What this process reads and writes, and how long it waits for that: the second account beside that of
// memory. Counted where the system is called; who wants to know what one thing has read takes the difference.
#pragma once
#include <stdint.h>

typedef struct qn_io_account {
  int64_t bytes_read, bytes_written; // of files: inputs, stages, results, spill files
  int64_t ns;                        // in calls that read, write, or flush
} qn_io_account;

qn_io_account qn_io_counted(void);
/// What began at `start_ns` of qn_clock_ns() has ended now.
void qn_io_count_read(int64_t bytes, int64_t start_ns);
void qn_io_count_written(int64_t bytes, int64_t start_ns);
