// SPDX-License-Identifier: Apache-2.0
// What is found out about a CSV file before it is read, and what is said when it cannot be.
#include "io/io_fixture.h"

static const qn_csv_options defaults = {0};

/// "SEPARATOR schema" of the file, or "! " and a message.
static char *sniff_paths(const char *paths, const qn_csv_options *options) {
  qn_file_list files = {0};
  qn_csv_format format = {0};
  qn_buffer out = {0};
  QN_CHECK_OK(qn_file_list_resolve(paths, &files, &kit_error));
  if (qn_csv_sniff(&files, options, &format, &kit_error) == QN_OK) {
    qn_buffer_printf(&out, NULL, "%c ", format.separator);
    QN_CHECK_OK(qn_schema_print(format.schema, &out, &kit_error));
  } else {
    qn_buffer_printf(&out, NULL, "! %s", kit_error.message);
  }
  qn_buffer_terminate(&out, NULL);
  char *text = strdup((const char *)out.data);
  qn_buffer_release(&out);
  qn_csv_format_release(&format);
  qn_file_list_release(&files);
  return text;
}

static void check_sniff(const char *csv, const qn_csv_options *options, const char *wanted) {
  io_folder folder = io_folder_make();
  char path[400];
  io_write_text(&folder, "a.csv", csv, path);
  char *found = sniff_paths(path, options);
  if (wanted[0] == '!') {
    QN_CHECK(found[0] == '!' && strstr(found, path) != NULL && strstr(found, wanted + 2) != NULL);
    if (strstr(found, wanted + 2) == NULL) {
      printf("  found %s\n", found);
    }
  } else {
    QN_CHECK_TEXT(found, wanted);
  }
  free(found);
  io_folder_remove(&folder);
}

static void separators_are_found(void) {
  check_sniff("a,b\n1,2\n", &defaults, ", a int64, b int64");
  check_sniff("a;b\n1,5;2\n", &defaults, "; a utf8, b int64");
  check_sniff("a\tb c\n1\t2,3\n", &defaults, "\t a int64, \"b c\" utf8");
  check_sniff("a|b|c\n1|2|3\n", &defaults, "| a int64, b int64, c int64");
  check_sniff("one\n1\n2\n", &defaults, ", one int64");
  check_sniff("\"a,b\";c\n1;2\n", &defaults, "; \"a,b\" int64, c int64");
  check_sniff("\"x,y\"|\"p,q\"\n1|2\n", &defaults, "| \"x,y\" int64, \"p,q\" int64");
  check_sniff("a:b\n1:2\n", &(qn_csv_options){.separator = ':'}, ": a int64, b int64");
}

static void types_are_found_from_the_values(void) {
  check_sniff(
      "a,b,c,d,e,f,g\n1,1.5,true,2020-01-01,2020-01-01 10:00:00,x,\n-2,2,false,2020-12-31,2020-01-02,,\n",
      &defaults, ", a int64, b float64, c bool, d date, e timestamp, f utf8, g utf8");
  check_sniff("a,b,c\n\"1\",\"\",\"2.5\"\n,\"3\",\"\"\n", &defaults, ", a int64, b int64, c float64");
  check_sniff("a,b,c\n0,f,1\n1,f,0\n", &defaults,
              ", a int64, b utf8, c int64"); // 0 and 1 are numbers; f alone is a letter
  check_sniff("a,b\nt,True\nf,FALSE\n", &defaults, ", a bool, b bool");
  check_sniff("zip,n,phone,big\n01234,0,+4930,99999999999999999999\n99999,0.5,+1,1\n", &defaults,
              ", zip utf8, n float64, phone utf8, big utf8");
  check_sniff("a,b\n1,NaN\nNaN,inf\n", &defaults, ", a float64, b utf8");
  check_sniff("a,b\n1,5\nNA,6\n", &(qn_csv_options){.null_text = "NA"}, ", a int64, b int64");
  check_sniff("a,b\n1,5\nNA,6\n", &defaults, ", a utf8, b int64");
  check_sniff("a,b\n 1, 5 \n2,6\n", &defaults, ", a int64, b int64");
  check_sniff("a,b\n1,\"x\"y\n", &defaults, ", a int64, b utf8");
}

static void names_come_from_the_header(void) {
  check_sniff("a,,a,a\n1,2,3,4\n", &defaults, ", a int64, c2 int64, a_2 int64, a_3 int64");
  check_sniff("a,a_2,a,a\n1,2,3,4\n", &defaults, ", a int64, a_2 int64, a_3 int64, a_4 int64");
  check_sniff("a,a,a_2\n1,2,3\n", &defaults, ", a int64, a_2 int64, a_2_2 int64");
  check_sniff("1,x\n", &(qn_csv_options){.no_header = true}, ", c1 int64, c2 utf8");
  check_sniff("\xef\xbb\xbf\"a \"\"b\"\"\",c\r\n1,2\r\n", &defaults, ", \"a \"\"b\"\"\" int64, c int64");
  check_sniff("#c\n\na,b\n#d\n1,2\n", &(qn_csv_options){.comment = '#'}, ", a int64, b int64");
  check_sniff(" a , b\n1,2\n", &(qn_csv_options){.trim = true}, ", a int64, b int64");
  check_sniff("a,b\n", &defaults, ", a utf8, b utf8");
}

static void a_schema_takes_the_columns_it_names(void) {
  check_sniff("a,b,c\n1,2,3\n", &(qn_csv_options){.schema = "c utf8, a float64"}, ", c utf8, a float64");
  check_sniff(
      "userId,movieId\n1,2\n", &(qn_csv_options){.schema = "userid int64"},
      "! the schema's column 'userid' is not in the file; did you mean 'userId'? It has: userId, movieId");
  check_sniff("a,b\n1,2\n", &(qn_csv_options){.schema = "something int64"},
              "! the schema's column 'something' is not in the file. It has: a, b");
  check_sniff("1,2\n", &(qn_csv_options){.no_header = true, .schema = "x int64"},
              "! the schema names 1 columns and the file has 2");
}

static void what_is_no_csv_file_is_an_error(void) {
  io_folder folder = io_folder_make();
  char path[400];
  check_sniff("", &defaults, "! the file is empty");
  check_sniff("\n\r\n", &defaults, "! the file is empty");
  check_sniff("\xff\xfe"
              "a",
              &defaults, "! the file is UTF-16 or UTF-32, not UTF-8; convert it: iconv -f utf-16 -t utf-8");
  check_sniff("a,\"b\n1,2\n", &defaults, "! a quote opened in the header is not closed before the file ends");
  check_sniff("a,b\r1,2\r", &defaults, "! lines end in \\r alone; convert the file");
  check_sniff("pr\xe9nom,b\n1,2\n", &defaults, "! the header is not valid UTF-8");
  io_write(&folder, "wide.csv", "a\0,\0b\0\n\0", 8, path);
  char *found = sniff_paths(path, &defaults);
  QN_CHECK(strstr(found, "UTF-16") != NULL);
  free(found);
  io_folder_remove(&folder);
}

static void files_must_have_the_same_header(void) {
  io_folder folder = io_folder_make();
  char path[400];
  io_write_text(&folder, "1.csv", "a,b\n1,2\n", path);
  io_write_text(&folder, "2.csv",
                "\xef\xbb\xbf"
                "a,\"b\"\r\n",
                path);
  io_write_text(&folder, "3.csv", "", path);
  char *found = sniff_paths(folder.path, &defaults);
  QN_CHECK_TEXT(found, ", a int64, b int64");
  free(found);
  io_write_text(&folder, "4.csv", "b,a\n1,2\n", path);
  found = sniff_paths(folder.path, &defaults);
  QN_CHECK(strstr(found, "4.csv: the header (b, a) is not that of ") != NULL);
  QN_CHECK(strstr(found, "1.csv (a, b); files read together must have the same columns in the same order") !=
           NULL);
  free(found);
  io_folder_remove(&folder);
}

static void separators_that_mean_two_things_are_refused(void) {
  io_folder folder = io_folder_make();
  char path[400];
  io_write_text(&folder, "1.csv", "a,b\n1,2\n", path);
  char *found = sniff_paths(path, &(qn_csv_options){.separator = ',', .comment = ','});
  QN_CHECK(strstr(found, "',' cannot be two of separator, quote and comment") != NULL);
  free(found);
  found = sniff_paths(path, &(qn_csv_options){.separator = '\n'});
  QN_CHECK(strstr(found, "a line end cannot be the separator") != NULL);
  free(found);
  io_folder_remove(&folder);
}

static void only_the_first_rows_decide_types(void) {
  io_folder folder = io_folder_make();
  char path[400];
  qn_buffer csv = {0};
  qn_buffer_printf(&csv, NULL, "a,b\n");
  for (int i = 0; i < 12000; i++) {
    qn_buffer_printf(&csv, NULL, "%d,%s\n", i, i == 9999 ? "1.5" : "1");
  }
  io_write(&folder, "long.csv", csv.data, csv.size, path);
  char *found = sniff_paths(path, &defaults);
  QN_CHECK_TEXT(found, ", a int64, b float64");
  free(found);
  qn_buffer_release(&csv);
  io_folder_remove(&folder);
}

static void an_encoded_format_comes_back_and_a_damaged_one_does_not(void) {
  io_folder folder = io_folder_make();
  char path[400];
  qn_file_list files = {0};
  qn_csv_format format = {0}, decoded = {0};
  qn_buffer encoded = {0}, again = {0};
  io_write_text(&folder, "1.csv", "a;b\n1;2\n", path);
  QN_CHECK_OK(qn_file_list_resolve(path, &files, &kit_error));
  QN_CHECK_OK(qn_csv_sniff(&files,
                           &(qn_csv_options){.null_text = "NA", .schema = "b utf8, a int64", .trim = true},
                           &format, &kit_error));
  QN_CHECK_OK(qn_csv_format_encode(&format, &encoded, &kit_error));
  QN_CHECK_OK(qn_csv_format_decode(encoded.data, encoded.size, &decoded, &kit_error));
  QN_CHECK_OK(qn_csv_format_encode(&decoded, &again, &kit_error));
  QN_CHECK(encoded.size == again.size && memcmp(encoded.data, again.data, (size_t)again.size) == 0);
  QN_CHECK_TEXT(decoded.null_text, "NA");
  QN_CHECK_INT(decoded.file_columns[0], 1);
  qn_csv_format_release(&decoded);
  for (int64_t size = 0; size < encoded.size; size++) {
    void *cut = malloc((size_t)size + 1);
    memcpy(cut, encoded.data, (size_t)size);
    QN_CHECK_FAILS(qn_csv_format_decode(cut, size, &decoded, &kit_error), QN_ERR_FORMAT);
    free(cut);
  }
  qn_buffer_release(&encoded);
  qn_buffer_release(&again);
  qn_csv_format_release(&format);
  qn_file_list_release(&files);
  io_folder_remove(&folder);
}

int main(void) {
  KIT_RUN(separators_are_found);
  KIT_RUN(types_are_found_from_the_values);
  KIT_RUN(names_come_from_the_header);
  KIT_RUN(a_schema_takes_the_columns_it_names);
  KIT_RUN(what_is_no_csv_file_is_an_error);
  KIT_RUN(files_must_have_the_same_header);
  KIT_RUN(separators_that_mean_two_things_are_refused);
  KIT_RUN(only_the_first_rows_decide_types);
  KIT_RUN(an_encoded_format_comes_back_and_a_damaged_one_does_not);
  return kit_result();
}
