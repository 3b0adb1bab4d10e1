// SPDX-License-Identifier: Apache-2.0
// Sets of arrays through bytes and files: what was put comes back, damage is told and never crashes.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/files.h"
#include "store/arrays.h"
#include "store/stage_fixture.h"

// HDF5 itself forgets some memory when it fails to open a file; LeakSanitizer shall not count that.
// Seen from outside, since the leak checker may be a shared library.
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
  return "leak:libhdf5";
}

static void fill(qn_arrays *arrays) {
  static const double coefficients[6] = {1.5, -2, 0, 1e300, -0.0, 3};
  static const int32_t counts[3] = {7, -1, INT32_MAX};
  static const uint8_t truths[5] = {1, 0, 0, 1, 1};
  const int64_t dims[3] = {2, 1, 4};
  float *cube = NULL;
  QN_CHECK_OK(qn_arrays_put_matrix(arrays, "coefficients", QN_FLOAT64, 2, 3, coefficients, &kit_error));
  QN_CHECK_OK(qn_arrays_put(arrays, "counts", QN_INT32, 3, counts, &kit_error));
  QN_CHECK_OK(qn_arrays_put(arrays, "truths", QN_BOOL, 5, truths, &kit_error));
  QN_CHECK_OK(qn_arrays_put(arrays, "none", QN_INT64, 0, NULL, &kit_error));
  QN_CHECK_OK(qn_arrays_new(arrays, "cube", QN_FLOAT32, 3, dims, (void **)&cube, &kit_error));
  for (int i = 0; i < 8; i++) {
    cube[i] = (float)i / 3;
  }
  QN_CHECK_OK(qn_arrays_put_text(arrays, "options", "l2=0.1 gr\xc3\xbc\xc3\x9f", &kit_error));
  QN_CHECK_OK(qn_arrays_put_text(arrays, "empty", "", &kit_error));
}

static void check_equal(const qn_arrays *found, const qn_arrays *wanted) {
  qn_buffer a = {0}, b = {0};
  QN_CHECK_OK(qn_arrays_encode(found, &a, &kit_error));
  QN_CHECK_OK(qn_arrays_encode(wanted, &b, &kit_error));
  QN_CHECK_INT(a.size, b.size);
  QN_CHECK(a.size == b.size && memcmp(a.data, b.data, (size_t)a.size) == 0);
  qn_buffer_release(&a);
  qn_buffer_release(&b);
}

static void what_was_put_is_found(void) {
  qn_arrays arrays = {0};
  const void *data = NULL;
  const int64_t any[2] = {-1, 3}, other[2] = {3, 3};
  fill(&arrays);
  QN_CHECK(qn_arrays_find(&arrays, "nothing") == NULL && qn_arrays_text(&arrays, "nothing") == NULL);
  QN_CHECK_TEXT(qn_arrays_text(&arrays, "empty"), "");
  QN_CHECK_OK(qn_arrays_get(&arrays, "coefficients", QN_FLOAT64, 2, any, &data, &kit_error));
  QN_CHECK_FLOAT(((const double *)data)[3], 1e300, 0);
  QN_CHECK_FAILS(qn_arrays_get(&arrays, "coefficients", QN_FLOAT64, 2, other, &data, &kit_error),
                 QN_ERR_FORMAT);
  QN_CHECK_MESSAGE("the array 'coefficients' as float64 [3, 3]: it has float64 [2, 3]");
  QN_CHECK_FAILS(qn_arrays_get(&arrays, "coefficients", QN_INT64, 2, any, &data, &kit_error), QN_ERR_FORMAT);
  QN_CHECK_FAILS(qn_arrays_get(&arrays, "means", QN_FLOAT64, 2, any, &data, &kit_error), QN_ERR_FORMAT);
  QN_CHECK_MESSAGE("the model lacks the array 'means' (float64 [any, 3])");
  const double one = 4;
  QN_CHECK_OK(qn_arrays_put(&arrays, "coefficients", QN_FLOAT64, 1, &one, &kit_error)); // in its place
  QN_CHECK_INT(arrays.n, 5);
  QN_CHECK_INT(qn_arrays_find(&arrays, "coefficients")->n_dims, 1);
  QN_CHECK_OK(qn_arrays_put_text(&arrays, "empty", "full", &kit_error));
  QN_CHECK_TEXT(qn_arrays_text(&arrays, "empty"), "full");
  qn_arrays moved = {0};
  qn_arrays_move(&arrays, &moved);
  QN_CHECK(arrays.n == 0 && moved.n == 5);
  qn_arrays_release(&moved);
}

static void wrong_arguments_are_told(void) {
  qn_arrays arrays = {0};
  const int64_t dims[4] = {1, 1, 1, 1}, negative = -1, huge[2] = {INT64_MAX / 4, 16};
  void *data = NULL;
  QN_CHECK_FAILS(qn_arrays_new(&arrays, "a b", QN_INT64, 1, dims, &data, &kit_error), QN_ERR_ARG);
  QN_CHECK_FAILS(qn_arrays_new(&arrays, "", QN_INT64, 1, dims, &data, &kit_error), QN_ERR_ARG);
  QN_CHECK_FAILS(qn_arrays_new(&arrays, "a", QN_UTF8, 1, dims, &data, &kit_error), QN_ERR_ARG);
  QN_CHECK_FAILS(qn_arrays_new(&arrays, "a", QN_INT64, 4, dims, &data, &kit_error), QN_ERR_ARG);
  QN_CHECK_FAILS(qn_arrays_new(&arrays, "a", QN_INT64, 0, dims, &data, &kit_error), QN_ERR_ARG);
  QN_CHECK(qn_arrays_new(&arrays, "a", QN_INT64, 1, &negative, &data, &kit_error) != QN_OK);
  QN_CHECK(qn_arrays_new(&arrays, "a", QN_INT64, 2, huge, &data, &kit_error) != QN_OK);
  QN_CHECK_FAILS(qn_arrays_put_text(&arrays, "x-y", "", &kit_error), QN_ERR_ARG);
  QN_CHECK_INT(arrays.n + arrays.n_texts, 0);
  qn_arrays_release(&arrays);
}

static void bytes_come_back(void) {
  qn_arrays arrays = {0}, again = {0};
  qn_buffer bytes = {0};
  QN_CHECK_OK(qn_arrays_encode(&arrays, &bytes, &kit_error)); // an empty set
  QN_CHECK_OK(qn_arrays_decode(bytes.data, bytes.size, &again, &kit_error));
  bytes.size = 0;
  fill(&arrays);
  QN_CHECK_OK(qn_arrays_encode(&arrays, &bytes, &kit_error));
  QN_CHECK_OK(qn_arrays_decode(bytes.data, bytes.size, &again, &kit_error));
  check_equal(&again, &arrays);
  for (int64_t size = 0; size < bytes.size; size++) {
    QN_CHECK(qn_arrays_decode(bytes.data, size, &again, &kit_error) == QN_ERR_FORMAT);
  }
  for (int64_t i = 0; i < bytes.size * 8; i++) { // no crash, whatever it says
    bytes.data[i / 8] ^= (uint8_t)(1 << i % 8);
    qn_arrays other = {0};
    qn_arrays_decode(bytes.data, bytes.size, &other, NULL);
    qn_arrays_release(&other);
    bytes.data[i / 8] ^= (uint8_t)(1 << i % 8);
  }
  qn_buffer_release(&bytes);
  qn_arrays_release(&arrays);
  qn_arrays_release(&again);
}

static void put_layers(qn_arrays *arrays, int n) {
  for (int i = 0; i < n; i++) {
    char name[20];
    snprintf(name, sizeof name, "layer_%d", 29 - i);
    const double value = i;
    QN_CHECK_OK(qn_arrays_put(arrays, name, QN_FLOAT64, 1, &value, &kit_error));
  }
}

static void files_come_back_and_have_the_same_bytes(void) {
  const fixture_folder folder = fixture_folder_make();
  char first[400], second[400];
  qn_arrays arrays = {0}, again = {0};
  qn_buffer a = {0}, b = {0};
  fill(&arrays);
  put_layers(&arrays, 30); // more than HDF5 keeps in a group's head
  fixture_path(&folder, "deep/er/first.h5", first, sizeof first);
  fixture_path(&folder, "second.h5", second, sizeof second);
  QN_CHECK_OK(qn_arrays_write(&arrays, "quern model", first, &kit_error));
  QN_CHECK_OK(qn_arrays_read(first, "quern model", &again, &kit_error));
  check_equal(&again, &arrays); // the order, too
  QN_CHECK_OK(qn_arrays_write(&again, "quern model", second, &kit_error));
  QN_CHECK_OK(qn_arrays_write(&again, "quern model", second, &kit_error)); // over the old one
  QN_CHECK_OK(qn_file_read_all(first, 1 << 24, &a, &kit_error));
  QN_CHECK_OK(qn_file_read_all(second, 1 << 24, &b, &kit_error));
  QN_CHECK(a.size == b.size && memcmp(a.data, b.data, (size_t)a.size) == 0);
  QN_CHECK_FAILS(qn_arrays_read(second, "quern checkpoint", &again, &kit_error), QN_ERR_FORMAT);
  QN_CHECK_MESSAGE("second.h5: is no quern checkpoint but a 'quern model'");
  qn_buffer_release(&a);
  qn_buffer_release(&b);
  qn_arrays_release(&arrays);
  qn_arrays_release(&again);
  fixture_folder_remove(&folder);
}

static void other_files_are_told(void) {
  const fixture_folder folder = fixture_folder_make();
  char path[400];
  qn_arrays arrays = {0};
  fixture_path(&folder, "file.h5", path, sizeof path);
  QN_CHECK_FAILS(qn_arrays_read(path, "quern model", &arrays, &kit_error), QN_ERR_IO);
  QN_CHECK_MESSAGE("file.h5");
  QN_CHECK_OK(qn_file_write_atomic(path, "a,b\n1,2\n", 8, &kit_error));
  QN_CHECK_FAILS(qn_arrays_read(path, "quern model", &arrays, &kit_error), QN_ERR_FORMAT);
  QN_CHECK_OK(qn_folder_remove(path, &kit_error));
  qn_schema *schema = NULL;
  QN_CHECK_OK(qn_schema_parse("a int64", &schema, &kit_error));
  qn_buffer description = {0};
  fixture_write_part(path, schema, NULL, 0, &description);
  QN_CHECK_FAILS(qn_arrays_read(path, "quern model", &arrays, &kit_error), QN_ERR_FORMAT);
  QN_CHECK_MESSAGE("has no attribute 'kind'");
  QN_CHECK(qn_arrays_write(&arrays, "quern model", "/proc/nowhere/model.h5", &kit_error) == QN_ERR_IO);
  qn_buffer_release(&description);
  qn_schema_free(schema);
  fixture_folder_remove(&folder);
}

// Wherever a bit of the file changes: reading fails, or gives what was written.
static void flip_bits(int n_more, int64_t step) {
  const fixture_folder folder = fixture_folder_make();
  char path[400];
  qn_arrays arrays = {0};
  qn_buffer bytes = {0};
  int64_t n_found = 0, n_same = 0, n_tried = 0;
  fill(&arrays);
  put_layers(&arrays, n_more);
  fixture_path(&folder, "model.h5", path, sizeof path);
  QN_CHECK_OK(qn_arrays_write(&arrays, "quern model", path, &kit_error));
  QN_CHECK_OK(qn_file_read_all(path, 1 << 24, &bytes, &kit_error));
  const int fd = open(path, O_RDWR | O_CLOEXEC);
  for (int64_t offset = 0; offset < bytes.size; offset += step) {
    const uint8_t changed = bytes.data[offset] ^ (uint8_t)(1 << offset % 8);
    qn_arrays found = {0};
    QN_CHECK(pwrite(fd, &changed, 1, offset) == 1);
    if (qn_arrays_read(path, "quern model", &found, &kit_error) == QN_OK) {
      n_same++;
      QN_CHECK_INT(found.n, arrays.n);
      QN_CHECK_INT(found.n_texts, arrays.n_texts);
      check_equal(&found, &arrays);
    } else {
      QN_CHECK(kit_error.message[0] != '\0');
      n_found++;
    }
    n_tried++;
    qn_arrays_release(&found);
    QN_CHECK(pwrite(fd, &bytes.data[offset], 1, offset) == 1);
  }
  QN_CHECK(n_tried > 500 && n_found > 20 && n_same > 0);
  for (int64_t size = 0; size < bytes.size; size += 97) {
    qn_arrays found = {0};
    QN_CHECK(ftruncate(fd, size) == 0);
    QN_CHECK(qn_arrays_read(path, "quern model", &found, &kit_error) != QN_OK);
    QN_CHECK(ftruncate(fd, bytes.size) == 0 && pwrite(fd, bytes.data, (size_t)bytes.size, 0) == bytes.size);
  }
  close(fd);
  qn_buffer_release(&bytes);
  qn_arrays_release(&arrays);
  fixture_folder_remove(&folder);
}

static void a_flipped_bit_never_changes_a_value(void) {
  flip_bits(0, 3);
  flip_bits(30, 11); // more than HDF5 keeps in a group's head
}

int main(void) {
  KIT_RUN(what_was_put_is_found);
  KIT_RUN(wrong_arguments_are_told);
  KIT_RUN(bytes_come_back);
  KIT_RUN(files_come_back_and_have_the_same_bytes);
  KIT_RUN(other_files_are_told);
  KIT_RUN(a_flipped_bit_never_changes_a_value);
  return kit_result();
}
