// SPDX-License-Identifier: Apache-2.0
// Compressed inputs: of one and several members, with padding, truncated, damaged.
#include <bzlib.h>
#include <zlib.h>
#include <zstd.h>
#include "io/io_fixture.h"

enum { ROOM = 400000 };

/// Appends one member to `out`.
static void add_member(qn_compression compression, const char *text, int64_t size, qn_buffer *out) {
  QN_CHECK_OK(qn_buffer_reserve(out, ROOM, &kit_error));
  char *to = (char *)out->data + out->size;
  if (compression == QN_COMPRESSION_GZIP) {
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)text,
                       .avail_in = (uInt)size,
                       .next_out = (Bytef *)to,
                       .avail_out = ROOM};
    QN_CHECK(deflateInit2(&stream, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    QN_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    out->size += (int64_t)stream.total_out;
    deflateEnd(&stream);
  } else if (compression == QN_COMPRESSION_BZIP2) {
    unsigned n = ROOM;
    QN_CHECK(BZ2_bzBuffToBuffCompress(to, &n, (char *)(uintptr_t)text, (unsigned)size, 1, 0, 0) == BZ_OK);
    out->size += n;
  } else {
    const size_t n = ZSTD_compress(to, ROOM, text, (size_t)size, 3);
    QN_CHECK(!ZSTD_isError(n));
    out->size += (int64_t)n;
  }
}

static char *read_lines(const io_folder *folder, const qn_buffer *packed, int64_t size) {
  char path[400];
  qn_file_list files = {0};
  qn_source *source = NULL;
  io_write(folder, "packed", packed->data, size, path);
  QN_CHECK_OK(qn_file_list_resolve(path, &files, &kit_error));
  QN_CHECK_OK(qn_text_source_new(&files, QN_UTF8, 10, 1, &source, &kit_error));
  QN_CHECK_INT(source->n_splits, 1);
  char *text = io_read_all(source);
  qn_source_free(source);
  qn_file_list_release(&files);
  return text;
}

static const qn_compression kinds[] = {QN_COMPRESSION_GZIP, QN_COMPRESSION_BZIP2, QN_COMPRESSION_ZSTD};

static void members_follow_each_other(void) {
  io_folder folder = io_folder_make();
  for (int k = 0; k < 3; k++) {
    qn_buffer packed = {0};
    add_member(kinds[k], "one\ntw", 6, &packed);
    add_member(kinds[k], "", 0, &packed);
    add_member(kinds[k], "o\nthree", 7, &packed);
    char *found = read_lines(&folder, &packed, packed.size);
    QN_CHECK_TEXT(found, "one\ntwo\nthree\n");
    free(found);
    qn_buffer_release(&packed);
  }
  io_folder_remove(&folder);
}

static void long_data_comes_back(void) {
  io_folder folder = io_folder_make();
  kit_random random = {.state = 12};
  const int64_t size = 2000000;
  char *text = malloc((size_t)size + 1);
  for (int64_t i = 0; i < size; i++) {
    text[i] = i % 61 == 60 ? '\n' : (char)('a' + kit_random_below(&random, i % 61 < 4 ? 26 : 2));
  }
  text[size - 1] = '\n';
  text[size] = '\0';
  for (int k = 0; k < 3; k++) {
    qn_buffer packed = {0};
    for (int64_t i = 0; i < size; i += 500000) {
      add_member(kinds[k], text + i, 500000, &packed);
    }
    char *found = read_lines(&folder, &packed, packed.size);
    QN_CHECK(strcmp(found, text) == 0);
    free(found);
    qn_buffer_release(&packed);
  }
  free(text);
  io_folder_remove(&folder);
}

static void a_truncated_file_is_an_error_wherever_it_ends(void) {
  io_folder folder = io_folder_make();
  for (int k = 0; k < 3; k++) {
    qn_buffer packed = {0};
    add_member(kinds[k], "one\ntwo\n", 8, &packed);
    const int64_t whole = packed.size;
    add_member(kinds[k], "three\n", 6, &packed);
    for (int64_t size = 5; size < packed.size; size++) {
      char *found = read_lines(&folder, &packed, size);
      if (size == whole) {
        QN_CHECK_TEXT(found, "one\ntwo\n");
      } else {
        QN_CHECK(strstr(found, "! ") == found && strstr(found, "packed: the ") != NULL &&
                 strstr(found, "the file is truncated") != NULL);
      }
      free(found);
    }
    qn_buffer_release(&packed);
  }
  io_folder_remove(&folder);
}

// Its first bytes say that a file is compressed. Where these are lost its name must do.
static void a_file_cut_off_within_its_first_bytes_is_an_error(void) {
  static const char *const suffixes[] = {"gz", "bz2", "zst"};
  io_folder folder = io_folder_make();
  char name[20], path[400];
  for (int k = 0; k < 3; k++) {
    qn_buffer packed = {0};
    snprintf(name, sizeof name, "a.%s", suffixes[k]);
    add_member(kinds[k], "one\n", 4, &packed);
    for (int64_t size = 0; size < (k == 0 ? 2 : 4); size++) {
      qn_file_list files = {0};
      io_write(&folder, name, packed.data, size, path);
      QN_CHECK_FAILS(qn_file_list_resolve(path, &files, &kit_error), QN_ERR_FORMAT);
      QN_CHECK_MESSAGE("data: the file is truncated; copy it again");
    }
    qn_buffer_release(&packed);
  }
  io_folder_remove(&folder);
}

static void damage_is_an_error_with_its_offset(void) {
  io_folder folder = io_folder_make();
  for (int k = 0; k < 3; k++) {
    qn_buffer packed = {0};
    add_member(kinds[k], "a text with some length to it, so that there is something to damage\n", 69,
               &packed);
    qn_buffer_append(&packed, "rubbish behind", 14, &kit_error);
    char *found = read_lines(&folder, &packed, packed.size);
    QN_CHECK(strstr(found, "packed: the ") != NULL && strstr(found, " data is damaged at byte ") != NULL);
    free(found);
    packed.size -= 14;
    packed.data[packed.size - (k == 0 ? 6 : 9)] ^= 0x55; // gzip's checksum, the others' data
    found = read_lines(&folder, &packed, packed.size);
    QN_CHECK(found[0] == '!' || k == 2); // zstd without a checksum may notice nothing
    free(found);
    qn_buffer_release(&packed);
  }
  io_folder_remove(&folder);
}

static void zeros_behind_gzip_are_padding(void) {
  io_folder folder = io_folder_make();
  qn_buffer packed = {0};
  static const char zeros[1024] = {0};
  add_member(QN_COMPRESSION_GZIP, "one\n", 4, &packed);
  qn_buffer_append(&packed, zeros, sizeof zeros, &kit_error);
  char *found = read_lines(&folder, &packed, packed.size);
  QN_CHECK_TEXT(found, "one\n");
  free(found);
  qn_buffer_append(&packed, "x", 1, &kit_error);
  found = read_lines(&folder, &packed, packed.size);
  QN_CHECK(strstr(found, "bytes follow the zeros") != NULL);
  free(found);
  qn_buffer_release(&packed);
  io_folder_remove(&folder);
}

static void compressed_csv_is_read_and_its_mistakes_named(void) {
  io_folder folder = io_folder_make();
  char path[400];
  qn_buffer packed = {0};
  add_member(QN_COMPRESSION_ZSTD, "a,b\n1,x\n2,\"y\n", 13, &packed);
  add_member(QN_COMPRESSION_ZSTD, "z\"\n3,w\n", 7, &packed);
  io_write(&folder, "a.csv.zst", packed.data, packed.size, path);
  IO_CHECK_CSV(path, NULL, 0, "1|x\n2|y\nz\n3|w\n");
  IO_CHECK_CSV_FAILS(path, &(qn_csv_options){.schema = "b int64"},
                     "a.csv.zst, row 1, column 'b' (byte offset 4 uncompressed): 'x' is not an int64");
  qn_buffer_release(&packed);
  io_folder_remove(&folder);
}

int main(void) {
  KIT_RUN(members_follow_each_other);
  KIT_RUN(long_data_comes_back);
  KIT_RUN(a_truncated_file_is_an_error_wherever_it_ends);
  KIT_RUN(a_file_cut_off_within_its_first_bytes_is_an_error);
  KIT_RUN(damage_is_an_error_with_its_offset);
  KIT_RUN(zeros_behind_gzip_are_padding);
  KIT_RUN(compressed_csv_is_read_and_its_mistakes_named);
  return kit_result();
}
