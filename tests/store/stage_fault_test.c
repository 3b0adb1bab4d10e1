// SPDX-License-Identifier: Apache-2.0
// What the system refuses: folders that are missing, files that cannot grow. The limit of a file's size
// stands in for a full disk at every point of writing; where the test may mount a small file system, it fills
// a real one.
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>
#include "store/spill.h"
#include "store/stage_fixture.h"

// HDF5 itself forgets some memory when it fails to open a file; LeakSanitizer shall not count that.
// Seen from outside, since the leak checker may be a shared library.
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
  return "leak:libhdf5";
}

#define SCHEMA "l int64, t utf8, d float64, b bool"

static void set_file_limit(int64_t bytes) {
  struct rlimit limit;
  getrlimit(RLIMIT_FSIZE, &limit);
  limit.rlim_cur = bytes < 0 ? limit.rlim_max : (rlim_t)bytes;
  QN_CHECK_INT(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static qn_status write_part(const char *path, const qn_batch *batch, int n_times) {
  qn_status status = QN_OK;
  qn_part_writer *writer = NULL;
  qn_buffer description = {0};
  QN_TRY(qn_part_writer_new(path, batch->schema, &writer, &kit_error));
  for (int i = 0; i < n_times; i++) {
    QN_TRY(qn_part_writer_append(writer, batch, &kit_error));
  }
  QN_TRY(qn_part_writer_finish(writer, &description, &kit_error));

done:
  if (status != QN_OK && writer != NULL) {
    qn_error again = {0};
    QN_CHECK(qn_part_writer_append(writer, batch, &again) != QN_OK);
    QN_CHECK(qn_part_writer_finish(writer, &description, &again) != QN_OK);
  }
  set_file_limit(-1); // closing writes to a file in memory, which the limit would hit as well
  qn_part_writer_free(writer);
  qn_buffer_release(&description);
  return status;
}

static void paths_that_cannot_be_are_named(void) {
  const fixture_folder folder = fixture_folder_make();
  char path[400];
  qn_batch *batch = kit_batch("a int64", "1\n");
  qn_schema *empty = NULL;
  qn_part_writer *writer = NULL;
  qn_buffer nothing = {0};
  QN_CHECK_OK(qn_file_write_atomic(fixture_path(&folder, "file", path, sizeof path), "x", 1, &kit_error));
  QN_CHECK_FAILS(write_part(fixture_path(&folder, "file/part.h5", path, sizeof path), batch, 1), QN_ERR_IO);
  QN_CHECK_MESSAGE("file/part.h5: cannot be created: Not a directory");
  QN_CHECK_FAILS(write_part(fixture_path(&folder, "none/part.h5", path, sizeof path), batch, 1), QN_ERR_IO);
  QN_CHECK_MESSAGE("none/part.h5: cannot be created: No such file or directory");
  QN_CHECK_FAILS(write_part(folder.path, batch, 1), QN_ERR_IO);
  QN_CHECK_FAILS(qn_manifest_write(fixture_path(&folder, "file", path, sizeof path), batch->schema, &nothing,
                                   0, NULL, NULL, &kit_error),
                 QN_ERR_IO);
  QN_CHECK_OK(qn_schema_new(NULL, 0, &empty, &kit_error));
  QN_CHECK_FAILS(
      qn_part_writer_new(fixture_path(&folder, "x.h5", path, sizeof path), empty, &writer, &kit_error),
      QN_ERR_ARG);
  QN_CHECK(writer == NULL);
  qn_schema_free(empty);
  qn_batch_free(batch);
  fixture_folder_remove(&folder);
}

static void batches_of_another_schema_are_refused(void) {
  const fixture_folder folder = fixture_folder_make();
  char path[400];
  qn_batch *batch = kit_batch("a int64", "1\n"), *other = kit_batch("a int32", "1\n");
  qn_part_writer *writer = NULL;
  QN_CHECK_OK(qn_part_writer_new(fixture_path(&folder, "x.h5", path, sizeof path), batch->schema, &writer,
                                 &kit_error));
  QN_CHECK_FAILS(qn_part_writer_append(writer, other, &kit_error), QN_ERR_TYPE);
  qn_part_writer_free(writer);
  qn_batch_free(batch);
  qn_batch_free(other);
  fixture_folder_remove(&folder);
}

static void a_file_that_cannot_grow_is_an_error_at_any_point(void) {
  const fixture_folder folder = fixture_folder_make();
  char path[400];
  kit_random random = {.state = 77};
  qn_batch *batch = kit_random_batch(&random, SCHEMA, 30000);
  int64_t n_failed = 0;
  signal(SIGXFSZ, SIG_IGN);
  fixture_path(&folder, "x.h5", path, sizeof path);
  for (int64_t limit = 0; limit < 8 << 20; limit = limit * 5 / 4 + 512) {
    set_file_limit(limit);
    const qn_status status = write_part(path, batch, 5);
    if (status != QN_OK) {
      n_failed++;
      QN_CHECK_INT(status, QN_ERR_IO);
      QN_CHECK_MESSAGE("x.h5");
      QN_CHECK_MESSAGE("File too large");
    } else {
      qn_manifest *manifest = NULL;
      QN_CHECK_OK(qn_manifest_open(path, &manifest, &kit_error));
      QN_CHECK_OK(qn_manifest_verify(manifest, &kit_error));
      qn_manifest_free(manifest);
    }
  }
  QN_CHECK(n_failed > 10);
  QN_CHECK_OK(write_part(path, batch, 5));
  qn_batch_free(batch);
  fixture_folder_remove(&folder);
}

static void a_full_disk_is_an_error_at_any_point(void) {
  const fixture_folder folder = fixture_folder_make();
  char disk[400], path[400], options[40];
  kit_random random = {.state = 78};
  qn_batch *batch = kit_random_batch(&random, SCHEMA, 30000);
  qn_spill *spill = NULL;
  qn_status status = QN_OK;
  int n_mounted = 0;
  QN_CHECK_OK(qn_folder_make(fixture_path(&folder, "disk", disk, sizeof disk), &kit_error));
  for (int kib = 16; kib < 6000; kib = kib * 4 / 3) {
    snprintf(options, sizeof options, "size=%dk", kib);
    if (mount("tmpfs", disk, "tmpfs", 0, options) != 0) {
      break; // not allowed to this user
    }
    n_mounted++;
    status = write_part(fixture_path(&folder, "disk/x.h5", path, sizeof path), batch, 5);
    if (status != QN_OK) {
      QN_CHECK_INT(status, QN_ERR_IO);
      QN_CHECK_MESSAGE("disk/x.h5");
      QN_CHECK_MESSAGE("No space left on device; free some space");
    }
    remove(path);
    QN_CHECK_OK(qn_spill_new(disk, batch->schema, &spill, &kit_error));
    for (status = QN_OK; status == QN_OK;) {
      status = qn_spill_append(spill, batch, &kit_error);
    }
    QN_CHECK_INT(status, QN_ERR_IO);
    QN_CHECK_MESSAGE("No space left on device (");
    QN_CHECK_MESSAGE("choose a scratch folder");
    QN_CHECK_MESSAGE("QUERN_SCRATCH");
    qn_spill_free(spill);
    QN_CHECK_INT(umount(disk), 0);
  }
  if (n_mounted == 0) {
    puts("no small file system could be mounted: the full disk was not tried");
  }
  qn_batch_free(batch);
  fixture_folder_remove(&folder);
}

int main(void) {
  KIT_RUN(paths_that_cannot_be_are_named);
  KIT_RUN(batches_of_another_schema_are_refused);
  KIT_RUN(a_file_that_cannot_grow_is_an_error_at_any_point);
  KIT_RUN(a_full_disk_is_an_error_at_any_point);
  return kit_result();
}
