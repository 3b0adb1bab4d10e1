// SPDX-License-Identifier: Apache-2.0
// Spills give back what they took, in order, as often as wanted, and leave nothing in their folder.
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/nameless_file.h"
#include "store/spill.h"
#include "store/stage_fixture.h"

#define SCHEMA "b bool, i int32, l int64, f float32, d float64, t utf8, x binary, day date, seen timestamp"

static void read_back(qn_spill *spill, qn_batch *const *batches, int n) {
  QN_CHECK_OK(qn_spill_rewind(spill, &kit_error));
  qn_batch *batch = NULL;
  for (int i = 0; i < n; i++) {
    QN_CHECK_OK(qn_spill_next(spill, &batch, &kit_error));
    QN_CHECK(batch != NULL);
    if (batch == NULL) {
      return;
    }
    fixture_check_equal(batch, batches[i]);
    qn_batch_free(batch);
  }
  QN_CHECK_OK(qn_spill_next(spill, &batch, &kit_error));
  QN_CHECK(batch == NULL);
}

static void batches_come_back_in_order_again_and_again(void) {
  enum { N = 60 };
  const fixture_folder folder = fixture_folder_make();
  kit_random random = {.state = 3};
  qn_batch *batches[N];
  qn_spill *spill = NULL;
  int64_t n_rows = 0;
  for (int i = 0; i < N; i++) {
    batches[i] = kit_random_batch(&random, SCHEMA,
                                  i % 7 == 0    ? 0
                                  : i % 11 == 0 ? 20000
                                                : kit_random_below(&random, 900));
    n_rows += batches[i]->n_rows;
  }
  QN_CHECK_OK(qn_spill_new(folder.path, batches[0]->schema, &spill, &kit_error));
  for (int i = 0; i < N; i++) {
    QN_CHECK_OK(qn_spill_append(spill, batches[i], &kit_error));
  }
  QN_CHECK_INT(qn_spill_n_rows(spill), n_rows);
  read_back(spill, batches, N);
  QN_CHECK(qn_spill_n_bytes(spill) > n_rows);
  read_back(spill, batches, N);
  QN_CHECK_FAILS(qn_spill_append(spill, batches[0], &kit_error), QN_ERR_ARG);
  qn_spill_free(spill);
  for (int i = 0; i < N; i++) {
    qn_batch_free(batches[i]);
  }
  fixture_folder_remove(&folder);
}

static void an_empty_spill_is_empty(void) {
  const fixture_folder folder = fixture_folder_make();
  qn_batch *batch = kit_batch("a int64", "1\n"), *found = NULL;
  qn_spill *spill = NULL;
  QN_CHECK_OK(qn_spill_new(folder.path, batch->schema, &spill, &kit_error));
  QN_CHECK_FAILS(qn_spill_next(spill, &found, &kit_error), QN_ERR_ARG);
  read_back(spill, NULL, 0);
  QN_CHECK_INT(qn_spill_n_rows(spill), 0);
  QN_CHECK_INT(qn_spill_n_bytes(spill), 0);
  qn_spill_free(spill);
  qn_spill_free(NULL);
  qn_batch_free(batch);
  fixture_folder_remove(&folder);
}

static void spills_beside_each_other_share_a_file(void) {
  enum { N = 5 };
  const fixture_folder folder = fixture_folder_make();
  kit_random random = {.state = 12};
  qn_batch *batches[N][4];
  qn_spill *spills[N] = {NULL};
  for (int i = 0; i < N; i++) {
    for (int k = 0; k < 4; k++) {
      batches[i][k] = kit_random_batch(&random, i == 1 ? "z utf8" : SCHEMA, 5000);
    }
    if (i == 0) {
      QN_CHECK_OK(qn_spill_new(folder.path, batches[0][0]->schema, &spills[0], &kit_error));
    } else {
      QN_CHECK_OK(qn_spill_new_beside(spills[0], batches[i][0]->schema, &spills[i], &kit_error));
    }
  }
  for (int k = 0; k < 4; k++) {
    for (int i = 0; i < N; i++) {
      QN_CHECK_OK(qn_spill_append(spills[i], batches[i][k], &kit_error));
    }
  }
  read_back(spills[0], batches[0], 4);
  qn_spill_free(spills[0]); // the file stays with the others
  for (int i = N - 1; i > 0; i--) {
    read_back(spills[i], batches[i], 4);
    qn_spill_free(spills[i]);
  }
  for (int i = 0; i < N; i++) {
    for (int k = 0; k < 4; k++) {
      qn_batch_free(batches[i][k]);
    }
  }
  fixture_folder_remove(&folder);
}

static void batches_outlive_their_spill(void) {
  const fixture_folder folder = fixture_folder_make();
  qn_batch *batch = kit_batch("a int64, t utf8", "1|x\n2|~\n~|yes\n"), *found = NULL;
  qn_spill *spill = NULL;
  QN_CHECK_OK(qn_spill_new(folder.path, batch->schema, &spill, &kit_error));
  QN_CHECK_OK(qn_spill_append(spill, batch, &kit_error));
  QN_CHECK_OK(qn_spill_rewind(spill, &kit_error));
  QN_CHECK_OK(qn_spill_next(spill, &found, &kit_error));
  qn_spill_free(spill);
  QN_CHECK_BATCH(found, "1|x\n2|~\n~|yes\n");
  qn_batch_free(found);
  qn_batch_free(batch);
  fixture_folder_remove(&folder);
}

static void nothing_is_left_in_the_folder(void) {
  const fixture_folder folder = fixture_folder_make();
  qn_batch *batch = kit_batch("a int64", "1\n");
  qn_spill *spill = NULL;
  int n_entries = 0;
  QN_CHECK_OK(qn_spill_new(folder.path, batch->schema, &spill, &kit_error));
  QN_CHECK_OK(qn_spill_append(spill, batch, &kit_error));
  QN_CHECK_OK(qn_spill_rewind(spill, &kit_error));
  DIR *entries = opendir(folder.path);
  while (readdir(entries) != NULL) {
    n_entries++;
  }
  closedir(entries);
  QN_CHECK_INT(n_entries, 2); // "." and ".."
  qn_spill_free(spill);
  qn_batch_free(batch);
  fixture_folder_remove(&folder);
}

static void a_disk_that_takes_no_more_is_named_with_what_is_free(void) {
  const struct rlimit none = {.rlim_cur = 1 << 20, .rlim_max = RLIM_INFINITY};
  struct rlimit before;
  qn_spill *spill = NULL;
  qn_batch *batch = kit_batch("a int64", "1\n2\n3\n");
  qn_status status = QN_OK;
  QN_CHECK_INT(getrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, SIG_IGN);
  QN_CHECK_INT(setrlimit(RLIMIT_FSIZE, &none), 0);
  QN_CHECK_OK(qn_spill_new("/tmp", batch->schema, &spill, &kit_error));
  for (int i = 0; i < 100000 && status == QN_OK; i++) {
    status = qn_spill_append(spill, batch, &kit_error);
  }
  QN_CHECK_INT(status, QN_ERR_IO);
  QN_CHECK_MESSAGE("/tmp: cannot put ");
  QN_CHECK_MESSAGE("MiB are free there");
  QN_CHECK_MESSAGE("--scratch");
  setrlimit(RLIMIT_FSIZE, &before);
  qn_spill_free(spill);
  qn_batch_free(batch);
}

static void old_files_with_a_name_are_removed_and_nothing_else(void) {
  char folder[] = "/tmp/quern-clean-XXXXXX";
  static const char *const names[] = {"quern-spill-aaaaaa", "quern-spill-bbbbbb", "mine"};
  const struct timespec long_ago[2] = {{.tv_sec = 1000000}, {.tv_sec = 1000000}};
  QN_CHECK(mkdtemp(folder) != NULL);
  const int where = open(folder, O_RDONLY | O_DIRECTORY);
  for (int i = 0; i < 3; i++) {
    close(openat(where, names[i], O_CREAT | O_WRONLY, 0600));
    if (i != 1) {
      QN_CHECK_INT(utimensat(where, names[i], long_ago, 0), 0);
    }
  }
  qn_nameless_clean(folder);
  QN_CHECK_INT(faccessat(where, names[0], F_OK, 0), -1); // old
  QN_CHECK_INT(faccessat(where, names[1], F_OK, 0), 0);  // somebody may just be making it
  QN_CHECK_INT(faccessat(where, names[2], F_OK, 0), 0);  // not ours
  close(where);
  QN_CHECK_OK(qn_folder_remove(folder, &kit_error));
}

static void folders_that_cannot_be_are_named(void) {
  const fixture_folder folder = fixture_folder_make();
  char path[400];
  qn_batch *batch = kit_batch("a int64", "1\n"), *other = kit_batch("b int64", "1\n");
  qn_spill *spill = NULL;
  QN_CHECK_FAILS(
      qn_spill_new(fixture_path(&folder, "none", path, sizeof path), batch->schema, &spill, &kit_error),
      QN_ERR_IO);
  QN_CHECK_MESSAGE("/none: no spill file can be written there: No such file or directory");
  QN_CHECK_MESSAGE("QUERN_SCRATCH");
  QN_CHECK_OK(qn_file_write_atomic(fixture_path(&folder, "file", path, sizeof path), "x", 1, &kit_error));
  QN_CHECK_FAILS(qn_spill_new(path, batch->schema, &spill, &kit_error), QN_ERR_IO);
  QN_CHECK_MESSAGE("Not a directory");
  QN_CHECK_OK(qn_spill_new(folder.path, batch->schema, &spill, &kit_error));
  QN_CHECK_FAILS(qn_spill_append(spill, other, &kit_error), QN_ERR_TYPE);
  qn_spill_free(spill);
  qn_batch_free(batch);
  qn_batch_free(other);
  fixture_folder_remove(&folder);
}

int main(void) {
  KIT_RUN(batches_come_back_in_order_again_and_again);
  KIT_RUN(an_empty_spill_is_empty);
  KIT_RUN(spills_beside_each_other_share_a_file);
  KIT_RUN(batches_outlive_their_spill);
  KIT_RUN(nothing_is_left_in_the_folder);
  KIT_RUN(folders_that_cannot_be_are_named);
  KIT_RUN(a_disk_that_takes_no_more_is_named_with_what_is_free);
  KIT_RUN(old_files_with_a_name_are_removed_and_nothing_else);
  return kit_result();
}
