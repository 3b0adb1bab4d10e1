// SPDX-License-Identifier: Apache-2.0
// The account of reading and writing.
#include "base/io_account.h"
#include "base/clock.h"

static qn_io_account account; // a rank is a process, and has one thread

qn_io_account qn_io_counted(void) {
  return account;
}

void qn_io_count_read(int64_t bytes, int64_t start_ns) {
  account.bytes_read += bytes;
  account.ns += qn_clock_ns() - start_ns;
}

void qn_io_count_written(int64_t bytes, int64_t start_ns) {
  account.bytes_written += bytes;
  account.ns += qn_clock_ns() - start_ns;
}
