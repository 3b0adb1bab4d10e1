// SPDX-License-Identifier: Apache-2.0
// Lines of text, wherever the file is cut.
#include <fcntl.h>
#include <sys/stat.h>
#include "io/io_fixture.h"

static qn_source *source_of(const char *path, qn_type type, int64_t split_bytes) {
  qn_file_list files = {0};
  qn_source *source = NULL;
  QN_CHECK_OK(qn_file_list_resolve(path, &files, &kit_error));
  QN_CHECK_OK(qn_text_source_new(&files, type, split_bytes, 2, &source, &kit_error));
  qn_file_list_release(&files);
  return source;
}

/// The lines of `text` as the source must give them.
static char *lines_of(const char *text, int64_t size) {
  char *out = malloc((size_t)size + 2);
  int64_t n = 0;
  for (int64_t i = 0; i < size; i++) {
    const bool is_before_end = text[i] == '\r' && (i + 1 == size || text[i + 1] == '\n');
    if (!is_before_end) {
      out[n++] = text[i];
    }
  }
  if (size > 0 && text[size - 1] != '\n') {
    out[n++] = '\n';
  }
  out[n] = '\0';
  return out;
}

static void check_lines(const io_folder *folder, const char *text, int64_t size, int64_t largest_split) {
  char path[400];
  char *wanted = lines_of(text, size);
  io_write(folder, "lines.txt", text, size, path);
  for (int64_t split = 1; split <= largest_split; split++) {
    qn_source *source = source_of(path, QN_UTF8, split);
    char *found = io_read_columns(source, NULL, 0, split % 2 == 0);
    QN_CHECK_TEXT(found, wanted);
    free(found);
    qn_source_free(source);
  }
  free(wanted);
}

static void lines_are_the_same_wherever_the_file_is_cut(void) {
  io_folder folder = io_folder_make();
  static const char *const texts[] = {"",
                                      "\n",
                                      "a",
                                      "a\n",
                                      "\n\n\n",
                                      "a\nbb\n\nccc",
                                      "one\r\ntwo\r\n\r\nthree\r",
                                      "\r\n",
                                      "a line of some length that is longer than the splits\nb\n\nc\n",
                                      "gr\xc3\xbc\xc3\x9f\n\xe2\x82\xac\n"};
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    const int64_t size = (int64_t)strlen(texts[i]);
    check_lines(&folder, texts[i], size, size + 2);
  }
  io_folder_remove(&folder);
}

static void random_lines_come_back_in_many_batches(void) {
  io_folder folder = io_folder_make();
  kit_random random = {.state = 3};
  const int64_t size = 600000;
  char *text = malloc((size_t)size), path[400];
  for (int64_t i = 0; i < size; i++) {
    text[i] = kit_random_below(&random, i < size / 2 ? 9 : 300) == 0
                  ? '\n'
                  : (char)('a' + kit_random_below(&random, 26));
  }
  char *wanted = lines_of(text, size);
  io_write(&folder, "many.txt", text, size, path);
  const int64_t splits[] = {1000, 4096, 77777, 300000, 600000, 0};
  for (size_t i = 0; i < sizeof splits / sizeof splits[0]; i++) {
    qn_source *source = source_of(path, QN_UTF8, splits[i]);
    char *found = io_read_all(source);
    QN_CHECK(strcmp(found, wanted) == 0);
    free(found);
    qn_source_free(source);
  }
  free(wanted);
  free(text);
  io_folder_remove(&folder);
}

static void a_line_may_be_longer_than_any_buffer(void) {
  io_folder folder = io_folder_make();
  const int64_t size = 3000000;
  char *text = malloc((size_t)size + 8), path[400];
  memset(text, 'x', (size_t)size);
  memcpy(text, "first\n", 6);
  memcpy(text + size, "\nlast", 5);
  char *wanted = lines_of(text, size + 5);
  io_write(&folder, "long.txt", text, size + 5, path);
  const int64_t splits[] = {65536, 1000000, 0};
  for (size_t i = 0; i < sizeof splits / sizeof splits[0]; i++) {
    qn_source *source = source_of(path, QN_UTF8, splits[i]);
    char *found = io_read_all(source);
    QN_CHECK(strcmp(found, wanted) == 0);
    free(found);
    qn_source_free(source);
  }
  free(wanted);
  free(text);
  io_folder_remove(&folder);
}

static void bytes_that_are_not_utf8_are_named_with_their_line(void) {
  io_folder folder = io_folder_make();
  char path[400];
  io_write_text(&folder, "latin.txt", "one\ntwo\nth\xe9r\nfour\n", path);
  for (int64_t split = 1; split < 21; split++) {
    qn_source *source = source_of(path, QN_UTF8, split);
    char *found = io_read_all(source);
    QN_CHECK(
        strstr(found,
               "latin.txt, line 3 (byte offset 10): byte 0xe9 is not valid UTF-8; read the lines as bytes") !=
        NULL);
    free(found);
    qn_source_free(source);
  }
  qn_source *source = source_of(path, QN_BINARY, 0);
  char *found = io_read_all(source);
  QN_CHECK_TEXT(found, "\\x6f6e65\n\\x74776f\n\\x7468e972\n\\x666f7572\n");
  free(found);
  qn_source_free(source);
  // a character cut by a line end is not mended by leaving the line end out
  io_write_text(&folder, "cut.txt", "a\xc3\n\xa9z\n", path);
  source = source_of(path, QN_UTF8, 0);
  found = io_read_all(source);
  QN_CHECK(strstr(found, "cut.txt, line 1 (byte offset 1)") != NULL);
  free(found);
  qn_source_free(source);
  io_folder_remove(&folder);
}

static void lines_can_be_counted_without_reading_them_into_columns(void) {
  io_folder folder = io_folder_make();
  char path[400];
  io_write_text(&folder, "a.txt", "a\nb\nc", path);
  qn_source *source = source_of(path, QN_UTF8, 2);
  const int none = 0;
  char *found = io_read_columns(source, &none, 0, false);
  QN_CHECK_TEXT(found, "\n\n\n");
  QN_CHECK_INT(source->n_bytes, 5);
  QN_CHECK_INT(source->n_splits, 3);
  QN_CHECK_TEXT(source->description, "text a.txt (5 bytes)");
  free(found);
  qn_source_free(source);
  io_folder_remove(&folder);
}

static void a_row_says_where_it_comes_from(void) {
  io_folder folder = io_folder_make();
  char path[400], text[500], wanted[500];
  io_write_text(&folder, "a.txt", "aaaa\nb\nc\nd\n", path);
  qn_source *source = source_of(path, QN_UTF8, 6);
  const int column = 0;
  const qn_scan scan = {.columns = &column, .n_columns = 1, .schema = source->schema};
  qn_reader *reader = calloc(1, source->ops->reader_size);
  qn_batch *batch = NULL;
  reader->source = source;
  QN_CHECK_OK(source->ops->open(source, &scan, reader, &kit_error));
  QN_CHECK_OK(source->ops->start(reader, 1, &kit_error));
  QN_CHECK_OK(source->ops->next(reader, &batch, &kit_error));
  QN_CHECK_BATCH(batch, "c\nd\n");
  qn_batch_describe_row(batch, 1, text, sizeof text);
  snprintf(wanted, sizeof wanted, "%s, row 4", path);
  QN_CHECK_TEXT(text, wanted);
  qn_batch_free(batch);
  source->ops->close(reader);
  free(reader);
  qn_source_free(source);
  io_folder_remove(&folder);
}

static void a_file_that_shrinks_or_goes_is_an_error(void) {
  io_folder folder = io_folder_make();
  char path[400];
  io_write_text(&folder, "a.txt", "aaaa\nb\nc\nd\n", path);
  qn_source *source = source_of(path, QN_UTF8, 0);
  QN_CHECK(truncate(path, 3) == 0);
  char *found = io_read_all(source);
  QN_CHECK(strstr(found, "the file became shorter while it was read: it had 11 bytes and has 3 now") != NULL);
  free(found);
  QN_CHECK(unlink(path) == 0);
  found = io_read_all(source);
  QN_CHECK(strstr(found, "a.txt: cannot be opened any more: No such file or directory") != NULL);
  free(found);
  qn_source_free(source);
  io_folder_remove(&folder);
}

// Bytes of another time than that of the listing must not be taken for those of then.
static void a_file_that_is_changed_or_replaced_is_an_error(void) {
  static const struct timespec then[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
  io_folder folder = io_folder_make();
  char path[400], other[400];
  io_write_text(&folder, "a.txt", "aaaa\nb\n", path);
  qn_source *source = source_of(path, QN_UTF8, 0);
  io_write_text(&folder, "b.txt", "aaaa\nc\n", other);
  QN_CHECK(rename(other, path) == 0);
  char *found = io_read_all(source);
  QN_CHECK(strstr(found, "a.txt: the file was replaced by another while the job ran; run again") != NULL);
  free(found);
  qn_source_free(source);
  source = source_of(path, QN_UTF8, 0);
  QN_CHECK(utimensat(AT_FDCWD, path, then, 0) == 0);
  found = io_read_all(source);
  QN_CHECK(strstr(found, "a.txt: the file was changed while the job ran; run again") != NULL);
  free(found);
  qn_source_free(source);
  source = source_of(path, QN_UTF8, 0);
  QN_CHECK(truncate(path, 20) == 0); // it only grows: it ends where it ended
  found = io_read_all(source);
  QN_CHECK_TEXT(found, "aaaa\nc\n");
  free(found);
  qn_source_free(source);
  io_folder_remove(&folder);
}

static void splits_are_whole_pages_of_a_fitting_size(void) {
  qn_file files[3] = {{.path = strdup("a"), .n_bytes = (int64_t)5 << 30},
                      {.path = strdup("b"), .n_bytes = 0},
                      {.path = strdup("c"), .n_bytes = 100, .compression = QN_COMPRESSION_GZIP}};
  const qn_file_list list = {.files = files, .n_files = 3, .n_bytes = ((int64_t)5 << 30) + 100};
  qn_source *source = NULL;
  QN_CHECK_OK(qn_text_source_new(&list, QN_UTF8, 0, 2, &source, &kit_error));
  QN_CHECK_INT(source->n_splits, 160 + 1); // 32 MiB each
  qn_source_free(source);
  QN_CHECK_OK(qn_text_source_new(&list, QN_UTF8, 0, 100, &source, &kit_error));
  QN_CHECK_INT(source->n_splits, 800 + 1);
  QN_CHECK_TEXT(source->description, "text a (3 files, 5.0 GiB)");
  qn_source_free(source);
  QN_CHECK_FAILS(qn_text_source_new(&list, QN_INT64, 0, 1, &source, &kit_error), QN_ERR_ARG);
  for (int i = 0; i < 3; i++) {
    free(files[i].path);
  }
}

/// A sparse file of more than 2 and 4 GiB: every offset is 64 bits wide.
static void lines_behind_four_gigabytes_are_found(void) {
  io_folder folder = io_folder_make();
  char path[400];
  const int64_t gigabyte = (int64_t)1 << 30;
  io_write_text(&folder, "huge.txt", "first\n", path);
  FILE *file = fopen(path, "r+b");
  const int64_t places[] = {2 * gigabyte - 2, 4 * gigabyte + 5, 5 * gigabyte};
  for (int i = 0; i < 3 && file != NULL; i++) {
    QN_CHECK(fseeko(file, places[i], SEEK_SET) == 0 && fprintf(file, "\nline %d\n", i) > 0);
  }
  QN_CHECK(file != NULL && fclose(file) == 0);
  qn_source *source = source_of(path, QN_BINARY, 64 * 1024);
  const int column = 0;
  const qn_scan scan = {.columns = &column, .n_columns = 1, .schema = source->schema};
  qn_reader *reader = calloc(1, source->ops->reader_size);
  reader->source = source;
  QN_CHECK_OK(source->ops->open(source, &scan, reader, &kit_error));
  for (int i = 0; i < 3; i++) {
    qn_batch *batch = NULL;
    char wanted[20];
    QN_CHECK_OK(source->ops->start(reader, places[i] / (64 * 1024), &kit_error));
    QN_CHECK_OK(source->ops->next(reader, &batch, &kit_error));
    snprintf(wanted, sizeof wanted, "line %d", i);
    const qn_text line = qn_column_text(qn_batch_column(batch, 0), 0);
    QN_CHECK(batch != NULL && line.size == 6 && memcmp(line.data, wanted, 6) == 0);
    qn_batch_free(batch);
  }
  source->ops->close(reader);
  free(reader);
  qn_source_free(source);
  io_folder_remove(&folder);
}

int main(void) {
  KIT_RUN(lines_are_the_same_wherever_the_file_is_cut);
  KIT_RUN(random_lines_come_back_in_many_batches);
  KIT_RUN(a_line_may_be_longer_than_any_buffer);
  KIT_RUN(bytes_that_are_not_utf8_are_named_with_their_line);
  KIT_RUN(lines_can_be_counted_without_reading_them_into_columns);
  KIT_RUN(a_row_says_where_it_comes_from);
  KIT_RUN(a_file_that_shrinks_or_goes_is_an_error);
  KIT_RUN(a_file_that_is_changed_or_replaced_is_an_error);
  KIT_RUN(splits_are_whole_pages_of_a_fitting_size);
  KIT_RUN(lines_behind_four_gigabytes_are_found);
  return kit_result();
}
