// SPDX-License-Identifier: Apache-2.0
// libsvm's files, wherever they are cut, and what is said of mistakes in them.
#include "io/io_fixture.h"
#include "io/libsvm_source.h"

static qn_source *source_of(const char *path, int64_t split_bytes) {
  qn_file_list files = {0};
  qn_source *source = NULL;
  QN_CHECK_OK(qn_file_list_resolve(path, &files, &kit_error));
  QN_CHECK_OK(qn_libsvm_source_new(&files, split_bytes, 2, &source, &kit_error));
  qn_file_list_release(&files);
  return source;
}

static char *rows_of(const io_folder *folder, const char *text, const int *columns, int n_columns,
                     int64_t split_bytes) {
  char path[400];
  io_write_text(folder, "data.svm", text, path);
  qn_source *source = source_of(path, split_bytes);
  char *found = io_read_columns(source, columns, n_columns, false);
  qn_source_free(source);
  return found;
}

static void rows_are_the_same_wherever_the_file_is_cut(void) {
  io_folder folder = io_folder_make();
  static const char text[] = "1 3:0.5 7:1\n\n# all of it\r\n-1 qid:12 0:1e-3  2:-4 # two\r\n+2.5\n0 1:1";
  for (int64_t split = 1; split < (int64_t)sizeof text + 2; split++) {
    char *found = rows_of(&folder, text, NULL, 0, split);
    QN_CHECK_TEXT(found, "1|3:0.5 7:1\n-1|0:1e-3  2:-4\n2.5|\n0|1:1\n");
    free(found);
  }
  io_folder_remove(&folder);
}

static void some_columns_or_none(void) {
  io_folder folder = io_folder_make();
  static const int label[] = {0};
  static const int features[] = {1};
  char *found = rows_of(&folder, "1 3:0.5\n\n2 4:1\n", label, 1, 0);
  QN_CHECK_TEXT(found, "1\n2\n");
  free(found);
  found = rows_of(&folder, "1 3:0.5\n\n2 4:1\n", features, 1, 0);
  QN_CHECK_TEXT(found, "3:0.5\n4:1\n");
  free(found);
  io_folder_remove(&folder);
}

static void check_mistake(const io_folder *folder, const char *text, const char *message) {
  char *found = rows_of(folder, text, NULL, 0, 0);
  QN_CHECK(strstr(found, message) != NULL);
  if (strstr(found, message) == NULL) {
    QN_CHECK_TEXT(found, message);
  }
  free(found);
}

static void mistakes_name_line_and_byte(void) {
  io_folder folder = io_folder_make();
  check_mistake(&folder, "1 1:1\n\n1 2:1 2:2\n", "data.svm, line 3, byte 7, '2:2': indices must ascend");
  check_mistake(&folder, "1 1:1\nx 2:1\n", "line 2, byte 1, 'x 2:1': a finite number is wanted as label");
  check_mistake(&folder, "1 1:1\n1 2\n", "line 2, byte 3, '2': 'index:value' is wanted");
  check_mistake(&folder, "1 -1:1\n", "line 1, byte 3, '-1:1': 'index:value' is wanted");
  check_mistake(&folder, "1 1:inf\n", "line 1, byte 3, '1:inf': values must be finite");
  check_mistake(&folder, "1 1:1 2:\n", "line 1, byte 7, '2:': a number is wanted behind the ':'");
  check_mistake(&folder, "1 1:\xff\n", "line 1, byte 3, '1:': a number is wanted");
  check_mistake(&folder, "1 99999999999999999999:1\n", "'index:value' is wanted");
  io_folder_remove(&folder);
}

int main(void) {
  KIT_RUN(rows_are_the_same_wherever_the_file_is_cut);
  KIT_RUN(some_columns_or_none);
  KIT_RUN(mistakes_name_line_and_byte);
  return kit_result();
}
