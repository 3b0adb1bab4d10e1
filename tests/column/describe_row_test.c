// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>
#include "base/files.h"
#include "column/builder.h"
#include "kit/kit.h"

static char file[] = "/tmp/quern-describe-test-XXXXXX";

static void check_row(const qn_batch *batch, int64_t row, const char *wanted_behind_name) {
  char text[300], wanted[300] = "";
  qn_batch_describe_row(batch, row, text, sizeof text);
  if (wanted_behind_name[0] != '\0') {
    snprintf(wanted, sizeof wanted, "%s%s", file, wanted_behind_name);
  }
  QN_CHECK_TEXT(text, wanted);
}

static void rows_are_counted_from_the_start_of_the_file(void) {
  qn_batch *batch = kit_batch("n int64", "0\n1\n2\n3\n4\n"), *slice = NULL, *chosen = NULL, *again = NULL;
  const int32_t rows[] = {2, 1};
  const int32_t inner[] = {1};
  check_row(batch, 0, "");
  qn_batch_set_origin(batch, &(qn_origin){.name = file, .first_row = 100, .byte_offset = -1});
  check_row(batch, 0, ", row 101");
  check_row(batch, 4, ", row 105");
  check_row(batch, 5, "");
  QN_CHECK_OK(qn_batch_slice(batch, 2, 3, &slice, &kit_error));
  check_row(slice, 0, ", row 103");
  QN_CHECK_OK(qn_batch_gather(slice, rows, 2, &chosen, &kit_error));
  qn_batch_free(slice);
  check_row(chosen, 0, ", row 105");
  check_row(chosen, 1, ", row 104");
  QN_CHECK_OK(qn_batch_gather(chosen, inner, 1, &again, &kit_error));
  qn_batch_free(chosen);
  check_row(again, 0, ", row 104");
  QN_CHECK_OK(qn_batch_slice(again, 0, 1, &slice, &kit_error));
  check_row(slice, 0, ", row 104");
  qn_batch_free(slice);
  qn_batch_free(again);
  const int32_t outside[] = {-1, 2};
  QN_CHECK_OK(qn_batch_gather(batch, outside, 2, &chosen, &kit_error));
  check_row(chosen, 1, "");
  qn_batch_free(chosen);
  qn_batch_free(batch);
}

static void lines_before_a_split_are_counted(void) {
  qn_batch *batch = kit_batch("n int64", "0\n1\n");
  const char text[] = "n\n1\n2\n3\n4\n5\n";
  QN_CHECK_OK(qn_file_write_atomic(file, text, sizeof text - 1, &kit_error));
  qn_batch_set_origin(batch,
                      &(qn_origin){.name = file, .first_row = 1, .byte_offset = 6, .has_header = true});
  check_row(batch, 0, ", row 4");
  qn_batch_set_origin(batch, &(qn_origin){.name = file, .first_row = 1, .byte_offset = 6});
  check_row(batch, 0, ", row 5");
  qn_batch_set_origin(batch,
                      &(qn_origin){.name = file, .first_row = 1, .byte_offset = 0, .has_header = true});
  check_row(batch, 1, ", row 3");
  qn_batch_set_origin(batch, &(qn_origin){.name = file, .first_row = 1, .byte_offset = 600});
  check_row(batch, 0, ", row 2 after byte 600");
  QN_CHECK_OK(qn_file_write_atomic(file, "\x1f\x8b\n\n\n\n\n", 7, &kit_error));
  qn_batch_set_origin(batch, &(qn_origin){.name = file, .first_row = 1, .byte_offset = 6});
  check_row(batch, 0, ", row 2 after byte 6");
  qn_batch_free(batch);
}

int main(void) {
  const int fd = mkstemp(file);
  if (fd < 0) {
    return 2;
  }
  close(fd);
  KIT_RUN(rows_are_counted_from_the_start_of_the_file);
  KIT_RUN(lines_before_a_split_are_counted);
  unlink(file);
  return kit_result();
}
