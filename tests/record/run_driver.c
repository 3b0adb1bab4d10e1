// SPDX-License-Identifier: Apache-2.0
// A job for the tests of run folders: makes rows, groups them, writes, counts and collects; half-way it waits
// for a file to appear, so that others can look at it while it runs.
#include <time.h>
#include <unistd.h>
#include <quern/quern.h>

static const char *awaited; // NULL: nothing
static int64_t waits_at;

static qn_status make_rows(int64_t first_row, int64_t n_rows, qn_appender *out, void *ctx) {
  (void)ctx;
  for (int64_t row = first_row; row < first_row + n_rows; row++) {
    while (awaited != NULL && row == waits_at && access(awaited, F_OK) != 0) {
      nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    qn_append_int64(out, row % 1000);
    qn_append_float64(out, (double)row);
  }
  return QN_OK;
}

int main(int argc, char **argv) {
  static const qn_option options[] = {
      {.name = "rows", .argument = "N", .fallback = "100000", .help = "rows to make"},
      {.name = "wait", .argument = "FILE", .help = "wait for it at half of the rows"},
      {.name = "fail", .argument = "FILE", .help = "fail at the end if it is there"},
      {.name = NULL}};
  static const qn_job_about about = {.name = "run_driver", .output = "out", .options = options};
  qn_job *job = qn_job_open(argc, argv, &about);
  const int64_t n_rows = qn_job_option_int64(job, "rows", 1, 1000000000);
  int64_t n_groups = 0;

  awaited = qn_job_option(job, "wait");
  waits_at = n_rows / 2;
  qn_dataset *rows = qn_generate(job, "key int64, value float64", n_rows, make_rows, NULL);
  qn_dataset *staged = qn_stage(rows, qn_job_output_path(job, "rows"));
  qn_dataset *sums = qn_reduce(staged, "key", "sum(value) as total, count(*) as n");
  qn_write(qn_sort(sums, "key"), qn_job_output_path(job, "sums.csv"));
  qn_count(sums, &n_groups);
  qn_job_print(job, "%lld groups\n", (long long)n_groups);
  if (qn_job_option(job, "fail") != NULL && access(qn_job_option(job, "fail"), F_OK) == 0) {
    qn_job_fail(job, "it was to fail");
  }
  return qn_job_close(job);
}
