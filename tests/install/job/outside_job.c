// SPDX-License-Identifier: Apache-2.0
// A job that lives outside of Quern's tree: counts the even ones of a thousand generated numbers.
#include <inttypes.h>
#include <quern/quern.h>

static qn_status make_numbers(int64_t first_row, int64_t n_rows, qn_appender *out, void *ctx) {
  (void)ctx;
  for (int64_t i = 0; i < n_rows; i++) {
    qn_append_int64(out, first_row + i);
  }
  return QN_OK;
}

int main(int argc, char **argv) {
  const qn_job_about about = {.name = "outside_job", .summary = "Counts even numbers."};
  qn_job *job = qn_job_open(argc, argv, &about);
  qn_dataset *numbers = qn_generate(job, "n int64", 1000, make_numbers, NULL);
  int64_t n_even = 0;
  if (qn_count(qn_filter(numbers, "n % 2 = 0"), &n_even) == QN_OK) {
    qn_job_print(job, "%" PRId64 " of 1000 are even\n", n_even);
  }
  return qn_job_close(job);
}
