// SPDX-License-Identifier: Apache-2.0
// Rows of CSV files: what they mean, and that they are the same wherever the file is cut.
#include "io/io_fixture.h"

/// Checks a file at every split size from one byte on.
static void check_everywhere(const io_folder *folder, const char *text, const qn_csv_options *options,
                             const char *wanted) {
  char path[400];
  io_write_text(folder, "a.csv", text, path);
  const int64_t size = (int64_t)strlen(text);
  for (int64_t split = 1; split <= size + 1; split++) {
    IO_CHECK_CSV(path, options, split, wanted);
  }
}

static const qn_csv_options texts3 = {.schema = "a utf8, b utf8, c utf8"};

static void line_ends_blank_lines_and_the_last_line(void) {
  io_folder folder = io_folder_make();
  check_everywhere(&folder, "a,b,c\n1,2,3\n", &texts3, "1|2|3\n");
  check_everywhere(&folder, "a,b,c\r\n1,2,3\r\n4,5,6", &texts3, "1|2|3\n4|5|6\n");
  check_everywhere(&folder, "\n\r\na,b,c\n\n1,2,3\n\r\n\n4,5,6\n\n", &texts3, "1|2|3\n4|5|6\n");
  check_everywhere(&folder, "a,b,c", &texts3, "");
  check_everywhere(&folder, "a,b,c\n", &texts3, "");
  check_everywhere(&folder,
                   "\xef\xbb\xbf"
                   "a,b,c\n1,2,\xe2\x82\xac\n",
                   &texts3, "1|2|\xe2\x82\xac\n");
  check_everywhere(&folder, "a,b,c\n1\r,2\r3,\r4\n", &texts3, "1\r|2\r3|\r4\n");
  io_folder_remove(&folder);
}

static void quoted_fields_hold_what_they_like(void) {
  io_folder folder = io_folder_make();
  check_everywhere(&folder, "a,b,c\n\"1,2\",\"x\ny\",\"\"\"\"\n\"\",,\"q\"\"r\"\"\"\r\n", &texts3,
                   "1,2|x\ny|\"\n|~|q\"r\"\n");
  check_everywhere(&folder, "a,b,c\n\"\n\n\",\",\",\"\r\n\"\r\n4,5,6\n", &texts3, "\n\n|,|\r\n\n4|5|6\n");
  check_everywhere(&folder, "\"a\",\"b\",\"c\"\n\"1\",\"2\",\"3\"", &texts3, "1|2|3\n");
  check_everywhere(&folder, "a,b,c\n,\"a,b,c\n1,2,3\n4,5,6\n\",\n7,8,9\n", &texts3,
                   "~|a,b,c\n1,2,3\n4,5,6\n|~\n7|8|9\n");
  // a header with a line end in it
  check_everywhere(&folder, "a,b,\"c\nd\"\n1,2,\"3\n\"\n",
                   &(qn_csv_options){.schema = "\"c\nd\" utf8, a int64"}, "3\n|1\n");
  io_folder_remove(&folder);
}

static void stray_quotes_do_not_open_a_field(void) {
  io_folder folder = io_folder_make();
  check_everywhere(&folder, "a,b,c\n5\" x 3\",6\"\",x\n\" 1\",a\"b,\"c,d\"\n1,2\",\n3,\"x,\n\",y\"\"\"\n",
                   &texts3, "5\" x 3\"|6\"\"|x\n 1|a\"b|c,d\n1|2\"|~\n3|x,\n|y\"\"\"\n");
  io_folder_remove(&folder);
}

static void nulls_and_empty_texts_are_two_things(void) {
  io_folder folder = io_folder_make();
  const qn_csv_options options = {.schema = "a utf8, b int64, c float64", .null_text = "NA"};
  check_everywhere(&folder, "a,b,c\n,,\n\"\",\"\",\"\"\nNA,NA,NA\n\"NA\",\"NA\",1\nNAN,1,NaN\n", &options,
                   "~|~|~\n|~|~\n~|~|~\nNA|~|1\nNAN|1|NaN\n");
  // in a file of one column an empty line is a row
  check_everywhere(&folder, "a\n1\n\n\"\"\n2\n", &(qn_csv_options){.schema = "a utf8"}, "1\n~\n\n2\n");
  io_folder_remove(&folder);
}

static void every_type_is_read(void) {
  io_folder folder = io_folder_make();
  const qn_csv_options options = {
      .schema = "a bool, b int32, c int64, d float32, e float64, f utf8, g binary, h date, i timestamp"};
  check_everywhere(
      &folder,
      "a,b,c,d,e,f,g,h,i\n"
      "true,-2147483648,-9223372036854775808,0.1,1e300,x,\\x00ff,2020-02-29,2020-02-29T23:59:59.5Z\n"
      "F,+7,12345678901234567,-2.5,.5,y,raw,0001-01-01,1969-12-31\n"
      " 1 , 5 ,\" 6 \",3.25,-0.0,  ,\\x0,9999-12-31,2001-02-03 04:05:06\n",
      &options,
      "t|-2147483648|-9223372036854775808|0.1|1e+300|x|\\x00ff|2020-02-29|2020-02-29 23:59:59.5\n"
      "f|7|12345678901234567|-2.5|0.5|y|\\x726177|0001-01-01|1969-12-31 00:00:00\n"
      "t|5|6|3.25|-0|  |\\x5c7830|9999-12-31|2001-02-03 04:05:06\n");
  io_folder_remove(&folder);
}

static void comments_and_trimming(void) {
  io_folder folder = io_folder_make();
  check_everywhere(&folder, "# \"head\na,b,c\n#x,\"y\n1,#2,3\n #,5,6\n#\n",
                   &(qn_csv_options){.schema = texts3.schema, .comment = '#'}, "1|#2|3\n #|5|6\n");
  check_everywhere(&folder, " a , b,c\n 1 ,  \"2, 3\" ,\t\n \n4,5 , 6 \n \"q\",\"r\"\t,\" s \"\r\n",
                   &(qn_csv_options){.schema = texts3.schema, .trim = true}, "1|2, 3|~\n4|5|6\nq|r| s \n");
  check_everywhere(&folder, "a;b;c\n'1;2';3;'it''s'\n",
                   &(qn_csv_options){.schema = texts3.schema, .separator = ';', .quote = '\''},
                   "1;2|3|it's\n");
  io_folder_remove(&folder);
}

static void any_subset_of_the_columns_in_any_order(void) {
  io_folder folder = io_folder_make();
  check_everywhere(&folder, "a,b,c\r\n1,2,3\r\n4,5,6\r\n", &(qn_csv_options){.schema = "c int64, a utf8"},
                   "3|1\n6|4\n");
  check_everywhere(&folder, "1,2,3\n4,5,6\n", &(qn_csv_options){.no_header = true}, "1|2|3\n4|5|6\n");
  check_everywhere(&folder, "1,2,3\n4,5,6\n",
                   &(qn_csv_options){.no_header = true, .schema = "x utf8, y int32, z float64"},
                   "1|2|3\n4|5|6\n");
  check_everywhere(&folder, "1,2,3\n4,5,6\n",
                   &(qn_csv_options){.no_header = true, .schema = "c3 int64, c1 int32"}, "3|1\n6|4\n");
  io_folder_remove(&folder);
}

static void rows_can_be_counted_and_columns_left_out(void) {
  io_folder folder = io_folder_make();
  char path[400];
  qn_file_list files = {0};
  qn_csv_format format = {0};
  qn_source *source = NULL;
  io_write_text(&folder, "a.csv", "a,b,c\n1,\"x\ny\",3\n\n4,5,6\n", path);
  QN_CHECK_OK(qn_file_list_resolve(path, &files, &kit_error));
  QN_CHECK_OK(qn_csv_sniff(&files, NULL, &format, &kit_error));
  QN_CHECK_OK(qn_csv_source_new(&files, &format, 3, 2, NULL, NULL, &source, &kit_error));
  const int columns[] = {0, 2};
  char *none = io_read_columns(source, columns, 0, false);
  QN_CHECK_TEXT(none, "\n\n");
  char *two = io_read_columns(source, columns, 2, true);
  QN_CHECK_TEXT(two, "1|3\n4|6\n");
  free(none);
  free(two);
  QN_CHECK_INT(source->n_bytes, 23);
  QN_CHECK_TEXT(source->description, "csv a.csv (23 bytes)");
  qn_source_free(source);
  qn_csv_format_release(&format);
  qn_file_list_release(&files);
  io_folder_remove(&folder);
}

/// A table of n rows with every kind of field, its rows as text in `wanted`.
static void make_table(kit_random *random, int64_t n, qn_buffer *csv, qn_buffer *wanted) {
  static const char *const fields[][2] = {{"abc", "abc"},       {"", "~"},           {"\"\"", ""},
                                          {"\"x\ny\"", "x\ny"}, {"\"a,b\"", "a,b"},  {"5\"", "5\""},
                                          {"\"\"\"\"", "\""},   {"\"\n\"", "\n"},    {"\",\"\",\"", ",\","},
                                          {"x\"\"", "x\"\""},   {"\"\r\n\"", "\r\n"}};
  qn_buffer_printf(csv, NULL, "a,b,c\n");
  for (int64_t i = 0; i < n; i++) {
    const int64_t number = kit_random_below(random, 100000), first = kit_random_below(random, 11);
    const int64_t second = kit_random_below(random, 11);
    qn_buffer_printf(csv, NULL, "%s,%d,%s\n", fields[first][0], (int)number, fields[second][0]);
    qn_buffer_printf(wanted, NULL, "%s|%d|%s\n", fields[first][1], (int)number, fields[second][1]);
  }
  qn_buffer_terminate(csv, NULL);
  qn_buffer_terminate(wanted, NULL);
}

static void random_tables_are_the_same_wherever_they_are_cut(void) {
  io_folder folder = io_folder_make();
  kit_random random = {.state = 17};
  const qn_csv_options options = {.schema = "a utf8, b int64, c utf8"};
  for (int round = 0; round < 20; round++) {
    qn_buffer csv = {0}, wanted = {0};
    make_table(&random, 1 + kit_random_below(&random, 12), &csv, &wanted);
    check_everywhere(&folder, (const char *)csv.data, &options, (const char *)wanted.data);
    qn_buffer_release(&csv);
    qn_buffer_release(&wanted);
  }
  qn_buffer csv = {0}, wanted = {0};
  char path[400];
  make_table(&random, 60000, &csv, &wanted);
  io_write(&folder, "large.csv", csv.data, csv.size, path);
  const int64_t splits[] = {17000, 40961, 100000, 350001, 0};
  for (size_t i = 0; i < sizeof splits / sizeof splits[0]; i++) {
    char *found = io_read_csv(path, &options, splits[i]);
    QN_CHECK(strcmp(found, (const char *)wanted.data) == 0);
    free(found);
  }
  qn_buffer_release(&csv);
  qn_buffer_release(&wanted);
  io_folder_remove(&folder);
}

static void several_files_are_read_as_one(void) {
  io_folder folder = io_folder_make();
  char path[400];
  io_write_text(&folder, "1.csv", "a,b\n1,x\n2,y", path);
  io_write_text(&folder, "2.csv", "", path);
  io_write_text(&folder, "3.csv", "a,b\r\n3,z\r\n", path);
  io_write_text(&folder, "4.csv", "a,b\n", path);
  for (int64_t split = 1; split < 14; split++) {
    IO_CHECK_CSV(folder.path, NULL, split, "1|x\n2|y\n3|z\n");
  }
  io_folder_remove(&folder);
}

static void a_wide_or_long_row_goes_through_any_buffer(void) {
  io_folder folder = io_folder_make();
  char path[400];
  qn_buffer csv = {0}, wanted = {0};
  qn_buffer_printf(&csv, NULL, "a,b\n1,x\n2,\"");
  qn_buffer_printf(&wanted, NULL, "1|x\n2|");
  for (int i = 0; i < 300000; i++) {
    qn_buffer_printf(&csv, NULL, "%d,\n", i);
    qn_buffer_printf(&wanted, NULL, "%d,\n", i);
  }
  qn_buffer_printf(&csv, NULL, "\"\n3,y\n");
  qn_buffer_printf(&wanted, NULL, "\n3|y\n");
  qn_buffer_terminate(&wanted, NULL);
  io_write(&folder, "long.csv", csv.data, csv.size, path);
  char *found = io_read_csv(path, &(qn_csv_options){.schema = "a int64, b utf8"}, 0);
  QN_CHECK(strcmp(found, (const char *)wanted.data) == 0);
  free(found);
  qn_buffer_release(&csv);
  qn_buffer_release(&wanted);
  io_folder_remove(&folder);
}

int main(void) {
  KIT_RUN(line_ends_blank_lines_and_the_last_line);
  KIT_RUN(quoted_fields_hold_what_they_like);
  KIT_RUN(stray_quotes_do_not_open_a_field);
  KIT_RUN(nulls_and_empty_texts_are_two_things);
  KIT_RUN(every_type_is_read);
  KIT_RUN(comments_and_trimming);
  KIT_RUN(any_subset_of_the_columns_in_any_order);
  KIT_RUN(rows_can_be_counted_and_columns_left_out);
  KIT_RUN(random_tables_are_the_same_wherever_they_are_cut);
  KIT_RUN(several_files_are_read_as_one);
  KIT_RUN(a_wide_or_long_row_goes_through_any_buffer);
  return kit_result();
}
