// SPDX-License-Identifier: Apache-2.0
// Batches printed as CSV, and read back.
#include <quern/appender.h>
#include "io/csv_format.h"
#include "io/io_fixture.h"

static void fields_are_quoted_where_they_must_be(void) {
  qn_schema *schema = NULL;
  qn_buffer out = {0};
  qn_batch *batch = kit_batch("a utf8, \"b,c\" utf8, d float64, e bool, f binary, g timestamp",
                              "x|y,z|1.5|t|k|2020-01-01 00:00:00\n~||~|~|~|~\nq\"r| s |-0.0|f||~\n");
  QN_CHECK_OK(qn_schema_parse("a utf8, \"b,c\" utf8, \"d\"\"e\" int64", &schema, &kit_error));
  QN_CHECK_OK(qn_csv_print_header(schema, ',', &out, &kit_error));
  QN_CHECK_OK(qn_csv_print_batch(batch, ',', &out, &kit_error));
  QN_CHECK_OK(qn_csv_print_batch(batch, '\t', &out, &kit_error));
  QN_CHECK_OK(qn_buffer_terminate(&out, &kit_error));
  QN_CHECK_TEXT((const char *)out.data, "a,\"b,c\",\"d\"\"e\"\n"
                                        "x,\"y,z\",1.5,t,\\x6b,2020-01-01 00:00:00\n"
                                        ",\"\",,,,\n"
                                        "\"q\"\"r\",\" s \",-0,f,\\x,\n"
                                        "x\ty,z\t1.5\tt\t\\x6b\t2020-01-01 00:00:00\n"
                                        "\t\"\"\t\t\t\t\n"
                                        "\"q\"\"r\"\t\" s \"\t-0\tf\t\\x\t\n");
  qn_buffer_release(&out);
  qn_schema_free(schema);
  qn_batch_free(batch);
}

/// Rows with the texts that CSV makes hard.
static qn_batch *make_hard_batch(kit_random *random, int64_t n_rows) {
  static const char *const pieces[] = {"",  "a",  "\"",       ",", "\n",   "\r\n", "\r",
                                       " ", "\t", "\xc3\xa9", ";", "\"\"", "text", "#"};
  qn_schema *schema = NULL;
  qn_appender *appender = NULL;
  qn_batch *batch = NULL;
  QN_CHECK_OK(qn_schema_parse("a utf8, b utf8, c binary", &schema, &kit_error));
  QN_CHECK_OK(qn_appender_new(schema, &appender, &kit_error));
  for (int64_t i = 0; i < n_rows * 3; i++) {
    char text[100] = "";
    for (int64_t n = kit_random_below(random, 6); n > 0; n--) {
      strcat(text, pieces[kit_random_below(random, 14)]);
    }
    if (kit_random_below(random, 8) == 0) {
      qn_append_null(appender);
    } else {
      qn_append_text(appender, text, (int64_t)strlen(text));
    }
  }
  QN_CHECK_OK(qn_appender_finish(appender, &batch, &kit_error));
  qn_appender_free(appender);
  qn_schema_free(schema);
  return batch;
}

static void check_round_trip(const io_folder *folder, const qn_batch *batch, char separator,
                             int64_t split_bytes) {
  char path[400];
  qn_buffer out = {0}, schema = {0};
  QN_CHECK_OK(qn_csv_print_header(qn_batch_schema(batch), separator, &out, &kit_error));
  QN_CHECK_OK(qn_csv_print_batch(batch, separator, &out, &kit_error));
  io_write(folder, "trip.csv", out.data, out.size, path);
  QN_CHECK_OK(qn_schema_print(qn_batch_schema(batch), &schema, &kit_error));
  QN_CHECK_OK(qn_buffer_terminate(&schema, &kit_error));
  const qn_csv_options options = {.schema = (const char *)schema.data, .separator = separator};
  char *wanted = kit_batch_text(batch);
  char *found = io_read_csv(path, &options, split_bytes);
  QN_CHECK_TEXT(found, wanted);
  free(found);
  free(wanted);
  qn_buffer_release(&out);
  qn_buffer_release(&schema);
}

static void what_is_printed_is_read_back(void) {
  io_folder folder = io_folder_make();
  kit_random random = {.state = 23};
  for (int round = 0; round < 60; round++) {
    qn_batch *batch = make_hard_batch(&random, kit_random_below(&random, 60));
    check_round_trip(&folder, batch, ',', 1 + kit_random_below(&random, 50));
    check_round_trip(&folder, batch, '\t', 0);
    qn_batch_free(batch);
    batch = kit_random_batch(
        &random, "a bool, b int32, c int64, d float32, e float64, f utf8, g binary, h date, i timestamp",
        kit_random_below(&random, 200));
    check_round_trip(&folder, batch, ';', 1 + kit_random_below(&random, 3000));
    qn_batch_free(batch);
    batch = kit_random_batch(&random, "only utf8", kit_random_below(&random, 50));
    check_round_trip(&folder, batch, ',', 1 + kit_random_below(&random, 30));
    qn_batch_free(batch);
  }
  io_folder_remove(&folder);
}

int main(void) {
  KIT_RUN(fields_are_quoted_where_they_must_be);
  KIT_RUN(what_is_printed_is_read_back);
  return kit_result();
}
