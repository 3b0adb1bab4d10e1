// SPDX-License-Identifier: Apache-2.0
// IDX files: images with labels of each type, and damaged ones.
#include "io/idx_source.h"
#include "io/io_fixture.h"

// A head of n_dimensions, then values counting from 0.
static int64_t make_file(uint8_t *out, int type, int n_dimensions, const uint32_t *dimensions,
                         int64_t n_bytes) {
  int64_t size = 0;
  const uint8_t start[] = {0, 0, (uint8_t)type, (uint8_t)n_dimensions};
  memcpy(out, start, sizeof start);
  size = 4;
  for (int d = 0; d < n_dimensions; d++) {
    for (int shift = 24; shift >= 0; shift -= 8) {
      out[size++] = (uint8_t)(dimensions[d] >> shift);
    }
  }
  for (int64_t i = 0; i < n_bytes; i++) {
    out[size++] = (uint8_t)('a' + i % 26);
  }
  return size;
}

static qn_status open_files(const char *images, const char *labels, qn_source **out) {
  qn_status status = QN_OK;
  qn_file_list lists[2] = {{0}};
  qn_file both[2] = {{0}};
  qn_idx_head heads[2] = {{0}};
  qn_file_list files = {.files = both, .n_files = labels == NULL ? 1 : 2};

  for (int f = 0; f < files.n_files; f++) {
    QN_TRY(qn_file_list_resolve(f == 0 ? images : labels, &lists[f], &kit_error));
    QN_TRY(qn_idx_head_read(&lists[f].files[0], &heads[f], &kit_error));
    both[f] = lists[f].files[0];
    files.n_bytes += lists[f].n_bytes;
  }
  QN_TRY(qn_idx_source_new(&files, heads, 2, out, &kit_error));

done:
  qn_file_list_release(&lists[0]);
  qn_file_list_release(&lists[1]);
  return status;
}

static void images_come_with_their_labels(void) {
  io_folder folder = io_folder_make();
  char images[400], labels[400];
  uint8_t data[200];
  static const uint32_t dimensions[] = {3, 2, 1};
  static const int types[] = {0x08, 0x09, 0x0b, 0x0c};
  static const char *const wanted[] = {"97|\\x6162\n98|\\x6364\n99|\\x6566\n",
                                       "97|\\x6162\n98|\\x6364\n99|\\x6566\n",
                                       "24930|\\x6162\n25444|\\x6364\n25958|\\x6566\n",
                                       "1633837924|\\x6162\n1701209960|\\x6364\n1768581996|\\x6566\n"};
  io_write(&folder, "images", data, make_file(data, 0x08, 3, dimensions, 6), images);
  for (int i = 0; i < 4; i++) {
    const int width = i < 2 ? 1 : i == 2 ? 2 : 4;
    qn_source *source = NULL;
    io_write(&folder, "labels", data, make_file(data, types[i], 1, dimensions, 3 * (int64_t)width), labels);
    QN_CHECK_OK(open_files(images, labels, &source));
    QN_CHECK_INT(source->n_rows, 3);
    char *found = io_read_columns(source, NULL, 0, false);
    QN_CHECK_TEXT(found, wanted[i]);
    free(found);
    qn_source_free(source);
  }
  qn_source *source = NULL;
  QN_CHECK_OK(open_files(images, NULL, &source));
  char *found = io_read_columns(source, NULL, 0, false);
  QN_CHECK_TEXT(found, "\\x6162\n\\x6364\n\\x6566\n");
  free(found);
  qn_source_free(source);
  io_folder_remove(&folder);
}

static void check_broken(const io_folder *folder, const uint8_t *data, int64_t size, const char *message) {
  char path[400];
  qn_source *source = NULL;
  io_write(folder, "broken", data, size, path);
  kit_error = (qn_error){0};
  QN_CHECK(open_files(path, NULL, &source) != QN_OK);
  QN_CHECK_MESSAGE("broken: ");
  QN_CHECK_MESSAGE(message);
}

static void damaged_files_are_refused(void) {
  io_folder folder = io_folder_make();
  char images[400], labels[400];
  uint8_t data[200];
  static const uint32_t dimensions[] = {3, 2, 1};
  static const uint32_t huge[] = {3, 0xffffffff, 0xffffffff};
  const int64_t size = make_file(data, 0x08, 3, dimensions, 6);
  for (int64_t cut = 0; cut < size; cut++) {
    check_broken(&folder, data, cut, "");
  }
  check_broken(&folder, data, size - 1, "has 21 bytes, but its head (3 rows of 2 bytes) says 22");
  data[3] = 40;
  check_broken(&folder, data, size, "40 dimensions");
  data[3] = 3;
  data[2] = 0x0a;
  check_broken(&folder, data, size, "byte 3 is 0x0a");
  data[0] = 'P';
  check_broken(&folder, data, size, "begins with bytes 50 00");
  check_broken(&folder, data, make_file(data, 0x08, 3, huge, 6), "more than 64 MiB");
  check_broken(&folder, data, make_file(data, 0x0d, 1, dimensions, 12), "images are of unsigned bytes");

  qn_source *source = NULL;
  io_write(&folder, "images", data, make_file(data, 0x08, 3, dimensions, 6), images);
  static const uint32_t four[] = {4};
  io_write(&folder, "labels", data, make_file(data, 0x08, 1, four, 4), labels);
  QN_CHECK_FAILS(open_files(images, labels, &source), QN_ERR_FORMAT);
  QN_CHECK_MESSAGE("3 images");
  QN_CHECK_FAILS(open_files(images, images, &source), QN_ERR_FORMAT);
  QN_CHECK_MESSAGE("exchanged?");
  io_folder_remove(&folder);
}

int main(void) {
  KIT_RUN(images_come_with_their_labels);
  KIT_RUN(damaged_files_are_refused);
  return kit_result();
}
