// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>
#include "base/files.h"
#include "base/hash.h"
#include "kit/kit.h"

static char folder[] = "/tmp/quern-files-test-XXXXXX";

static const char *path_of(const char *name) {
  static char paths[2][256]; // two at a time are in use
  static int turn;
  turn = 1 - turn;
  snprintf(paths[turn], sizeof paths[turn], "%s/%s", folder, name);
  return paths[turn];
}

static void what_is_written_is_read(void) {
  qn_buffer out = {0};
  QN_CHECK_OK(qn_file_write_atomic(path_of("a"), "hello", 5, &kit_error));
  QN_CHECK_OK(qn_file_write_atomic(path_of("a"), "hello world", 11, &kit_error)); // replaces
  QN_CHECK_OK(qn_file_read_all(path_of("a"), 100, &out, &kit_error));
  QN_CHECK_INT(out.size, 11);
  QN_CHECK(memcmp(out.data, "hello world", 11) == 0);
  QN_CHECK_FAILS(qn_file_read_all(path_of("a"), 10, &out, &kit_error), QN_ERR_VALUE);
  QN_CHECK_MESSAGE("more than 10 bytes");
  qn_buffer_release(&out);
}

static int64_t count_entries(void) {
  int64_t n = 0;
  DIR *dir = opendir(folder);
  while (dir != NULL && readdir(dir) != NULL) {
    n++;
  }
  closedir(dir);
  return n;
}

static void a_failed_write_leaves_nothing(void) {
  const int64_t before = count_entries();
  QN_CHECK_OK(qn_folder_make(path_of("taken/inside"), &kit_error));
  QN_CHECK_FAILS(qn_file_write_atomic(path_of("taken"), "x", 1, &kit_error), QN_ERR_IO); // a folder is there
  QN_CHECK_FAILS(qn_file_write_atomic(path_of("missing/file"), "x", 1, &kit_error), QN_ERR_IO);
  QN_CHECK_MESSAGE("missing/file");
  QN_CHECK_INT(count_entries(), before + 1);
}

static void reading_past_the_end_says_where(void) {
  char data[20] = {0};
  QN_CHECK_OK(qn_file_write_atomic(path_of("short"), "0123456789", 10, &kit_error));
  const int fd = open(path_of("short"), O_RDWR);
  QN_CHECK_OK(qn_file_read_at(fd, "short", data, 4, 3, &kit_error));
  QN_CHECK_TEXT(data, "3456");
  QN_CHECK_FAILS(qn_file_read_at(fd, "short", data, 4, 8, &kit_error), QN_ERR_IO);
  QN_CHECK_MESSAGE("short: ends at byte 10 where 4 bytes from byte 8 on were expected");
  QN_CHECK_OK(qn_file_write_at(fd, "short", "ab", 2, 9, &kit_error));
  QN_CHECK_OK(qn_file_read_at(fd, "short", data, 11, 0, &kit_error));
  QN_CHECK_TEXT(data, "012345678ab");
  close(fd);
  QN_CHECK_FAILS(qn_file_write_at(fd, "closed", "ab", 2, 0, &kit_error), QN_ERR_IO);
  QN_CHECK_MESSAGE("closed: writing 2 bytes at byte 0");
}

static void folders_are_made_and_removed(void) {
  QN_CHECK_OK(qn_folder_make(path_of("x/y/z"), &kit_error));
  QN_CHECK_OK(qn_folder_make(path_of("x/y/z/"), &kit_error));
  QN_CHECK_OK(qn_file_write_atomic(path_of("x/y/f"), "", 0, &kit_error));
  QN_CHECK_FAILS(qn_folder_make(path_of("x/y/f/g"), &kit_error), QN_ERR_IO);
  QN_CHECK(symlink(folder, path_of("x/link")) == 0);
  QN_CHECK_OK(qn_file_publish(path_of("x"), path_of("published"), &kit_error));
  QN_CHECK(!qn_file_exists(path_of("x")));
  QN_CHECK(qn_file_exists(path_of("published/y/f")));
  QN_CHECK_OK(qn_folder_remove(path_of("published"), &kit_error));
  QN_CHECK(!qn_file_exists(path_of("published")));
  QN_CHECK(qn_file_exists(folder)); // the link was removed, not what it leads to
  QN_CHECK_OK(qn_folder_remove(path_of("published"), &kit_error));
}

static void hashes_are_the_same_everywhere(void) {
  QN_CHECK_INT((int64_t)qn_hash_bytes("", 0, 0), 0x2d06800538d394c2);
  QN_CHECK(qn_hash_bytes("a", 1, 0) != qn_hash_bytes("a", 1, 1));
  QN_CHECK_INT(qn_hash_to_range(0, 7), 0);
  QN_CHECK_INT(qn_hash_to_range(UINT64_MAX, 7), 6);
}

int main(void) {
  if (mkdtemp(folder) == NULL) {
    return 2;
  }
  KIT_RUN(what_is_written_is_read);
  KIT_RUN(a_failed_write_leaves_nothing);
  KIT_RUN(reading_past_the_end_says_where);
  KIT_RUN(folders_are_made_and_removed);
  KIT_RUN(hashes_are_the_same_everywhere);
  QN_CHECK_OK(qn_folder_remove(folder, &kit_error));
  return kit_result();
}
