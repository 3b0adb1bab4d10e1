// SPDX-License-Identifier: Apache-2.0
// One CSV file from all ranks: the rows of all, in order, whether the ranks keep their text in memory or not.
#include <unistd.h>
#include "exec/op_fixture.h"

enum { N_ROWS = 400000 };

static qn_status make_rows(int64_t first_row, int64_t n_rows, qn_appender *out, void *ctx) {
  (void)ctx;
  for (int64_t i = first_row; i < first_row + n_rows; i++) {
    qn_append_int64(out, i);
    qn_append_text(out, i % 3 == 0 ? "a,b" : "text", i % 3 == 0 ? 3 : 4);
    qn_append_float64(out, (double)i / 8);
  }
  return QN_OK;
}

static int64_t count_right_lines(const char *path) {
  char line[200], wanted[200];
  int64_t n = -1; // the header
  FILE *file = fopen(path, "r");
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    snprintf(wanted, sizeof wanted, "%lld,%s,%.10g\n", (long long)n, n % 3 == 0 ? "\"a,b\"" : "text",
             (double)n / 8);
    if (strcmp(line, n < 0 ? "i,t,x\n" : wanted) != 0) {
      break;
    }
    n++;
  }
  if (file != NULL) {
    fclose(file);
  }
  return n;
}

static void check_file(int64_t n_rows, const char *memory) {
  char path[200];
  const char *folder = getenv("TMPDIR");
  qn_job *job = fixture_open(memory);

  // the launcher's number: one name for all ranks, and for no other run
  snprintf(path, sizeof path, "%s/sink_csv_test-%d.csv", folder != NULL ? folder : "/tmp", (int)getppid());
  QN_CHECK_OK(
      qn_write_csv(qn_generate(job, "i int64, t utf8, x float64", n_rows, make_rows, NULL), path, NULL));
  if (qn_job_rank(job) == 0) {
    QN_CHECK_INT(count_right_lines(path), n_rows);
    unlink(path);
  }
  fixture_close(job);
}

static void rows_of_all_ranks_lie_in_one_file_in_order(void) {
  check_file(0, "");
  check_file(1, "");
  check_file(N_ROWS, "");
}

static void text_that_memory_has_no_room_for_waits_in_files(void) {
  check_file(N_ROWS, "1MiB");
}

static void run_tests(void) {
  KIT_RUN(rows_of_all_ranks_lie_in_one_file_in_order);
  KIT_RUN(text_that_memory_has_no_room_for_waits_in_files);
}

int main(void) {
  return fixture_main(run_tests);
}
