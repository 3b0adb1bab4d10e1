// SPDX-License-Identifier: Apache-2.0
// Malformed rows: the message names file, row, column, place, value and what to do, or the row is set aside.
#include "io/io_fixture.h"

/// Rows set aside, one a line.
typedef struct rejects {
  qn_buffer text;
  int64_t fail_after; // the callback fails then; 0: never
  int64_t n;
} rejects;

static qn_status take_reject(void *ctx, const char *file, int64_t byte_offset, const char *column,
                             const char *reason, qn_text text, qn_error *err) {
  rejects *taken = ctx;
  const char *slash = strrchr(file, '/');
  taken->n++;
  if (taken->fail_after > 0 && taken->n > taken->fail_after) {
    return qn_fail(err, QN_ERR_IO, "the rejects are full");
  }
  return qn_buffer_printf(&taken->text, err, "%s@%d [%s] %s: <%.*s>\n", slash + 1, (int)byte_offset, column,
                          reason, (int)text.size, text.data);
}

static char *read_with_rejects(const char *path, const qn_csv_options *options, int64_t split_bytes,
                               rejects *taken) {
  qn_file_list files = {0};
  qn_csv_format format = {0};
  qn_source *source = NULL;
  QN_CHECK_OK(qn_file_list_resolve(path, &files, &kit_error));
  QN_CHECK_OK(qn_csv_sniff(&files, options, &format, &kit_error));
  QN_CHECK_OK(qn_csv_source_new(&files, &format, split_bytes, 2, take_reject, taken, &source, &kit_error));
  char *text = io_read_all(source);
  qn_buffer_terminate(&taken->text, NULL);
  qn_source_free(source);
  qn_csv_format_release(&format);
  qn_file_list_release(&files);
  return text;
}

static void check_message(const io_folder *folder, const char *csv, const char *schema, const char *message) {
  char path[400], wanted[1400];
  io_write_text(folder, "a.csv", csv, path);
  snprintf(wanted, sizeof wanted, "! %s%s", path, message);
  const qn_csv_options options = {.schema = schema};
  for (int64_t split = 1; split < 40; split += split < 12 ? 1 : 9) {
    IO_CHECK_CSV(path, &options, split, wanted);
  }
}

#define VALUE_HINT                                                                                           \
  "; give the column another type by the option `schema`, or set such rows aside by the option `rejects`"
#define ROW_HINT "; mend the file, or set such rows aside by the option `rejects`"

static void a_wrong_value_is_named_with_its_place(void) {
  io_folder folder = io_folder_make();
  check_message(&folder, "a,b\n1,2.5\n2,\"12,5\"\n", "a int64, b float64",
                ", row 2, column 'b' (byte offset 10): '\"12,5\"' is not a float64" VALUE_HINT);
  check_message(&folder, "a,b\n1,2\n\n\"2\",\"x\ny\"\n5,3000000000\r\n", "b int32, a utf8",
                ", row 2, column 'b' (byte offset 9): '\"x?y\"' is not an int32" VALUE_HINT);
  check_message(&folder, "a,b\n1,2\n5,3000000000\r\n", "b int32, a utf8",
                ", row 2, column 'b' (byte offset 8): '3000000000' is not an int32" VALUE_HINT);
  check_message(&folder, "a\n2020-02-30\n", "a date",
                ", row 1, column 'a' (byte offset 2): '2020-02-30' is not a date" VALUE_HINT);
  check_message(&folder, "a\n1e999\n", "a float64",
                ", row 1, column 'a' (byte offset 2): '1e999' is not a float64" VALUE_HINT);
  check_message(&folder, "a\nmaybe\n", "a bool",
                ", row 1, column 'a' (byte offset 2): 'maybe' is not a bool" VALUE_HINT);
  check_message(&folder, "a\nmaybe a text that is too long to be shown as a whole in one line of message\n",
                "a timestamp",
                ", row 1, column 'a' (byte offset 2): 'maybe a text that is too long to be shown as a whole "
                "in one ...' "
                "is not a timestamp" VALUE_HINT);
  io_folder_remove(&folder);
}

static void the_first_wrong_row_is_reported_whatever_its_column(void) {
  io_folder folder = io_folder_make();
  check_message(&folder, "a,b,c\n1,2,3\n4,x,6\ny,8,9\n1,2\n", "a int64, b int64, c int64",
                ", row 2, column 'b' (byte offset 12): 'x' is not an int64" VALUE_HINT);
  check_message(&folder, "a,b,c\n1,2\n4,x,6\n", "a int64, b int64, c int64",
                ", row 1 (byte offset 6): the row has 2 fields, not 3" ROW_HINT);
  io_folder_remove(&folder);
}

static void a_row_of_the_wrong_form_is_named(void) {
  io_folder folder = io_folder_make();
  check_message(&folder, "a,b\n1,2\n3\n", "a int64",
                ", row 2 (byte offset 8): the row has 1 field, not 2" ROW_HINT);
  check_message(&folder, "a,b\n1,2,3\n", "a int64",
                ", row 1 (byte offset 4): the row has 3 fields, not 2" ROW_HINT);
  check_message(&folder, "a,b\n1,\"2\"x\n", "b utf8",
                ", row 1, column 'b' (byte offset 4): text follows the closing quote in \"2\"x" ROW_HINT);
  check_message(&folder, "a,b\n1,2\n3,\"4\n5,6\n", "a int64",
                ", row 2 (byte offset 8): a quote opened in this row is not closed before the file ends: "
                "3,\"4?5,6?" ROW_HINT);
  check_message(&folder, "a,b\n1,2\n3,\xe9t\xe9\n", "a int64, b utf8",
                ", row 2, column 'b' (byte offset 8): the text is not valid UTF-8" ROW_HINT);
  io_folder_remove(&folder);
}

static void invalid_bytes_that_meet_are_still_invalid(void) {
  io_folder folder = io_folder_make();
  check_message(&folder, "a,b\n\xc3,1\n\xa9,2\n", "a utf8",
                ", row 1, column 'a' (byte offset 4): the text is not valid UTF-8" ROW_HINT);
  io_folder_remove(&folder);
}

static void malformed_rows_can_be_set_aside(void) {
  io_folder folder = io_folder_make();
  char path[400];
  io_write_text(
      &folder, "a.csv",
      "a,b\n1,x\nz,\"q\nr\"\n2\n\n3,\xff\n4,y,5\r\n5,\"z\n\"\n\"\",\"w\"v\nx,\"u\"t\n6,end\n7,\"open\n",
      path);
  for (int64_t split = 1; split < 80; split++) {
    rejects taken = {0};
    char *found = read_with_rejects(path, &(qn_csv_options){.schema = "a int64, b utf8"}, split, &taken);
    QN_CHECK_TEXT(found, "1|x\n5|z\n\n6|end\n");
    QN_CHECK_TEXT((const char *)taken.text.data,
                  "a.csv@8 [a] 'z' is not an int64: <z,\"q\nr\">\n"
                  "a.csv@16 [] the row has 1 field, not 2: <2>\n"
                  "a.csv@19 [b] the text is not valid UTF-8: <3,\xff>\n"
                  "a.csv@23 [] the row has 3 fields, not 2: <4,y,5>\n"
                  "a.csv@37 [b] text follows the closing quote in \"w\"v: <\"\",\"w\"v>\n"
                  "a.csv@45 [a] 'x' is not an int64: <x,\"u\"t>\n"
                  "a.csv@58 [] a quote opened in this row is not closed before the file "
                  "ends: 7,\"open?: <7,\"open\n>\n");
    free(found);
    qn_buffer_release(&taken.text);
  }
  rejects taken = {.fail_after = 2};
  char *found = read_with_rejects(path, &(qn_csv_options){.schema = "a int64, b utf8"}, 0, &taken);
  QN_CHECK_TEXT(found, "! the rejects are full");
  free(found);
  qn_buffer_release(&taken.text);
  io_folder_remove(&folder);
}

static void a_row_says_where_it_comes_from_when_others_were_left_out(void) {
  io_folder folder = io_folder_make();
  char path[400], text[600], wanted[600];
  rejects taken = {0};
  qn_file_list files = {0};
  qn_csv_format format = {0};
  qn_source *source = NULL;
  qn_batch *batch = NULL;
  io_write_text(&folder, "a.csv", "a\n1\nx\n2\ny\nz\n3\n", path);
  QN_CHECK_OK(qn_file_list_resolve(path, &files, &kit_error));
  QN_CHECK_OK(qn_csv_sniff(&files, &(qn_csv_options){.schema = "a int64"}, &format, &kit_error));
  QN_CHECK_OK(qn_csv_source_new(&files, &format, 0, 1, take_reject, &taken, &source, &kit_error));
  const int column = 0;
  const qn_scan scan = {.columns = &column, .n_columns = 1, .schema = source->schema};
  qn_reader *reader = calloc(1, source->ops->reader_size);
  reader->source = source;
  QN_CHECK_OK(source->ops->open(source, &scan, reader, &kit_error));
  QN_CHECK_OK(source->ops->start(reader, 0, &kit_error));
  QN_CHECK_OK(source->ops->next(reader, &batch, &kit_error));
  QN_CHECK_BATCH(batch, "1\n2\n3\n");
  QN_CHECK_INT(reader->n_rows_rejected, 3);
  qn_batch_describe_row(batch, 2, text, sizeof text);
  snprintf(wanted, sizeof wanted, "%s, row 6", path);
  QN_CHECK_TEXT(text, wanted);
  qn_batch_free(batch);
  source->ops->close(reader);
  free(reader);
  qn_buffer_release(&taken.text);
  qn_source_free(source);
  qn_csv_format_release(&format);
  qn_file_list_release(&files);
  io_folder_remove(&folder);
}

static void row_numbers_go_on_through_a_long_file(void) {
  io_folder folder = io_folder_make();
  char path[400];
  qn_buffer csv = {0};
  qn_buffer_printf(&csv, NULL, "a,b\n");
  for (int i = 1; i <= 40000; i++) {
    qn_buffer_printf(&csv, NULL,
                     i == 34567      ? "%d,\"\nx\n\"\n"
                     : i % 1000 == 7 ? "\n%d,\"a\nb\"\n"
                                     : "%d,5\n",
                     i);
  }
  io_write(&folder, "long.csv", csv.data, csv.size, path);
  for (int64_t split = 10000; split < 200000; split += 37777) {
    char *found = io_read_csv(path, &(qn_csv_options){.schema = "a int64, b utf8"}, split);
    QN_CHECK(found[0] != '!');
    free(found);
    found = io_read_csv(path, &(qn_csv_options){.schema = "b int64"}, split);
    QN_CHECK(strstr(found, ", row 7, column 'b'") != NULL);
    free(found);
  }
  // the same file with one mistake late in it
  csv.data[csv.size - 3] = 'x';
  csv.data[csv.size - 2] = 'y';
  io_write(&folder, "long.csv", csv.data, csv.size, path);
  for (int64_t split = 10000; split < 200000; split += 37777) {
    char *found = io_read_csv(path, &(qn_csv_options){.schema = "a int64"}, split);
    QN_CHECK(strstr(found, ", row 40000 (byte offset ") != NULL);
    free(found);
  }
  qn_buffer_release(&csv);
  io_folder_remove(&folder);
}

int main(void) {
  KIT_RUN(a_wrong_value_is_named_with_its_place);
  KIT_RUN(the_first_wrong_row_is_reported_whatever_its_column);
  KIT_RUN(a_row_of_the_wrong_form_is_named);
  KIT_RUN(invalid_bytes_that_meet_are_still_invalid);
  KIT_RUN(malformed_rows_can_be_set_aside);
  KIT_RUN(a_row_says_where_it_comes_from_when_others_were_left_out);
  KIT_RUN(row_numbers_go_on_through_a_long_file);
  return kit_result();
}
