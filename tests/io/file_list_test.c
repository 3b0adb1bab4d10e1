// SPDX-License-Identifier: Apache-2.0
// Which files paths, folders and patterns stand for, and what is said when they stand for none.
#include <errno.h>
#include <sys/stat.h>
#include "io/io_fixture.h"

/// The names of the files found, without the folder, one a line.
static char *names_of(const io_folder *folder, const qn_file_list *list) {
  qn_buffer out = {0};
  for (int64_t i = 0; i < list->n_files; i++) {
    QN_CHECK(strncmp(list->files[i].path, folder->path, strlen(folder->path)) == 0);
    qn_buffer_printf(&out, NULL, "%s\n", list->files[i].path + strlen(folder->path) + 1);
  }
  qn_buffer_terminate(&out, NULL);
  char *text = strdup((const char *)out.data);
  qn_buffer_release(&out);
  return text;
}

static void check_found(const io_folder *folder, const char *pattern, const char *wanted) {
  qn_file_list list = {0};
  char path[600];
  snprintf(path, sizeof path, "%s/%s", folder->path, pattern);
  QN_CHECK_OK(qn_file_list_resolve(path, &list, &kit_error));
  char *names = names_of(folder, &list);
  QN_CHECK_TEXT(names, wanted);
  free(names);
  qn_file_list_release(&list);
}

static void check_fails(const io_folder *folder, const char *pattern, const char *part) {
  qn_file_list list = {0};
  char path[600];
  snprintf(path, sizeof path, "%s/%s", folder->path, pattern);
  QN_CHECK_FAILS(qn_file_list_resolve(path, &list, &kit_error), QN_ERR_IO);
  QN_CHECK_MESSAGE(part);
  QN_CHECK_MESSAGE(folder->path);
  QN_CHECK_INT(list.n_files, 0);
}

static void make_files(const io_folder *folder) {
  char path[400];
  io_write_text(folder, "b.csv", "b", path);
  io_write_text(folder, "a.csv", "aa", path);
  io_write_text(folder, "B.csv", "", path);
  io_write_text(folder, ".hidden.csv", "h", path);
  io_write_text(folder, "x[1].txt", "x", path);
  snprintf(path, sizeof path, "%s/sub", folder->path);
  QN_CHECK_OK(qn_folder_make(path, &kit_error));
  io_write_text(folder, "sub/c.csv", "c", path);
  snprintf(path, sizeof path, "%s/none", folder->path);
  QN_CHECK_OK(qn_folder_make(path, &kit_error));
  snprintf(path, sizeof path, "%s/none/deeper", folder->path);
  QN_CHECK_OK(qn_folder_make(path, &kit_error));
}

static void files_folders_and_patterns_are_found_in_order(void) {
  io_folder folder = io_folder_make();
  make_files(&folder);
  check_found(&folder, "a.csv", "a.csv\n");
  check_found(&folder, "*.csv", "B.csv\na.csv\nb.csv\n");
  check_found(&folder, "", "B.csv\na.csv\nb.csv\nx[1].txt\n");
  check_found(&folder, "sub", "sub/c.csv\n");
  check_found(&folder, "*/*.csv", "sub/c.csv\n");
  check_found(&folder, "x[1].txt", "x[1].txt\n"); // what exists is no pattern
  io_folder_remove(&folder);
}

static void several_lines_are_several_paths(void) {
  io_folder folder = io_folder_make();
  make_files(&folder);
  char paths[900];
  qn_file_list list = {0};
  snprintf(paths, sizeof paths, "%s/b.csv\n\n%s/sub\n%s/a.csv", folder.path, folder.path, folder.path);
  QN_CHECK_OK(qn_file_list_resolve(paths, &list, &kit_error));
  char *names = names_of(&folder, &list);
  QN_CHECK_TEXT(names, "b.csv\nsub/c.csv\na.csv\n");
  QN_CHECK_INT(list.n_bytes, 4);
  QN_CHECK_INT(list.files[2].n_bytes, 2);
  free(names);
  qn_file_list_release(&list);
  io_folder_remove(&folder);
}

static void what_is_no_file_is_an_error_with_a_hint(void) {
  io_folder folder = io_folder_make();
  char path[400];
  qn_file_list list = {0};
  make_files(&folder);
  check_fails(&folder, "aa.csv", "does not exist; did you mean 'a.csv'?");
  check_fails(&folder, "nowhere/a.csv", "the folder '");
  check_fails(&folder, "*.tsv", "no file matches the pattern");
  check_fails(&folder, "*", "matches this folder");
  check_fails(&folder, "none", "holds no files, only folders");
  check_fails(&folder, "none/deeper", "holds no files (hidden ones are not counted)");
  snprintf(path, sizeof path, "%s/pipe", folder.path);
  QN_CHECK(mkfifo(path, 0600) == 0);
  check_fails(&folder, "pipe", "is a named pipe, neither file nor folder");
  QN_CHECK_FAILS(qn_file_list_resolve("\n\n", &list, &kit_error), QN_ERR_ARG);
  QN_CHECK_FAILS(qn_file_list_resolve("", &list, &kit_error), QN_ERR_ARG);
  QN_CHECK_FAILS(qn_file_list_resolve("quern-no-such-file", &list, &kit_error), QN_ERR_IO);
  QN_CHECK_MESSAGE("it was looked for from the folder /");
  io_folder_remove(&folder);
}

static void an_unreadable_file_is_an_error(void) {
  io_folder folder = io_folder_make();
  char path[400];
  make_files(&folder);
  snprintf(path, sizeof path, "%s/a.csv", folder.path);
  QN_CHECK(chmod(path, 0) == 0);
  if (access(path, R_OK) == 0) {
    printf("  (run as root: permissions are not tested)\n");
  } else {
    check_fails(&folder, "a.csv", "Permission denied");
  }
  io_folder_remove(&folder);
}

static void compression_is_told_by_the_first_bytes(void) {
  io_folder folder = io_folder_make();
  char path[400];
  qn_file_list list = {0};
  io_write(&folder, "1", "\x1f\x8b\x08", 3, path);
  io_write(&folder, "2", "BZh91AY", 7, path);
  io_write(&folder, "3", "\x28\xb5\x2f\xfd\x00", 5, path);
  io_write(&folder, "4.gz", "plain", 5, path);
  io_write(&folder, "5", "BZhurra", 7, path);
  QN_CHECK_OK(qn_file_list_resolve(folder.path, &list, &kit_error));
  QN_CHECK_INT(list.n_files, 5);
  const qn_compression wanted[5] = {QN_COMPRESSION_GZIP, QN_COMPRESSION_BZIP2, QN_COMPRESSION_ZSTD,
                                    QN_COMPRESSION_NONE, QN_COMPRESSION_NONE};
  for (int64_t i = 0; i < list.n_files; i++) {
    QN_CHECK_INT(list.files[i].compression, wanted[i]);
  }
  qn_file_list_release(&list);
  io_folder_remove(&folder);
}

static void an_encoded_list_comes_back_and_a_damaged_one_does_not(void) {
  io_folder folder = io_folder_make();
  qn_file_list list = {0}, decoded = {0};
  qn_buffer encoded = {0}, again = {0};
  make_files(&folder);
  QN_CHECK_OK(qn_file_list_resolve(folder.path, &list, &kit_error));
  QN_CHECK_OK(qn_file_list_encode(&list, &encoded, &kit_error));
  QN_CHECK_OK(qn_file_list_decode(encoded.data, encoded.size, &decoded, &kit_error));
  QN_CHECK_OK(qn_file_list_encode(&decoded, &again, &kit_error));
  QN_CHECK(encoded.size == again.size && memcmp(encoded.data, again.data, (size_t)again.size) == 0);
  QN_CHECK_INT(decoded.n_bytes, list.n_bytes);
  qn_file_list_release(&decoded);
  for (int64_t size = 0; size < encoded.size; size++) {
    void *cut = malloc((size_t)size + 1);
    memcpy(cut, encoded.data, (size_t)size);
    QN_CHECK_FAILS(qn_file_list_decode(cut, size, &decoded, &kit_error), QN_ERR_FORMAT);
    free(cut);
  }
  qn_buffer_release(&encoded);
  qn_buffer_release(&again);
  qn_file_list_release(&list);
  io_folder_remove(&folder);
}

int main(void) {
  KIT_RUN(files_folders_and_patterns_are_found_in_order);
  KIT_RUN(several_lines_are_several_paths);
  KIT_RUN(what_is_no_file_is_an_error_with_a_hint);
  KIT_RUN(an_unreadable_file_is_an_error);
  KIT_RUN(compression_is_told_by_the_first_bytes);
  KIT_RUN(an_encoded_list_comes_back_and_a_damaged_one_does_not);
  return kit_result();
}
