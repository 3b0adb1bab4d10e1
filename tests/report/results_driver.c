// SPDX-License-Identifier: Apache-2.0
// A job for the tests of results: declares one of each kind, or with a mistake, and says whether rows were
// made for it.
#include <math.h>
#include <string.h>
#include <quern/quern.h>

// Every 100th is null, NaN or infinite in turn.
static qn_status make_rows(int64_t first_row, int64_t n_rows, qn_appender *out, void *ctx) {
  bool *has_run = ctx;

  *has_run = true;
  for (int64_t row = first_row; row < first_row + n_rows; row++) {
    qn_append_int64(out, row);
    if (row % 300 == 0) {
      qn_append_null(out);
    } else {
      qn_append_float64(out, row % 300 == 100   ? (double)NAN
                             : row % 300 == 200 ? (double)INFINITY
                                                : (double)(row * 7919 % 1000) / 10);
    }
    qn_append_text(out, row % 3 == 0 ? "<b>fizz</b>" : "a \"b\" \\ c", row % 3 == 0 ? 11 : 9);
  }
  return QN_OK;
}

static void declare_all(qn_job *job, qn_dataset *rows) {
  qn_report_number(job, "Made", 1234.5, "bytes");
  qn_report_numbers(qn_reduce(rows, NULL, "count(*) as \"Rows\", max(id) as \"Largest\""));
  qn_report_table(qn_select(qn_sort(rows, "id"),
                            "id, value, name, id + 9007199254740992 as large, id = 1 as is_one, "
                            "to_timestamp(id) as at, to_timestamp(id)::date as day"),
                  "First rows", 20);
  qn_report_chart(
      qn_sort(qn_reduce(rows, "name", "count(*) as n"), "name"),
      &(qn_chart){.title = "Names", .kind = QN_CHART_BAR, .x = "name", .y = "n", .note = "a note"});
  qn_report_chart(rows, &(qn_chart){.title = "Values", .kind = QN_CHART_HISTOGRAM, .x = "value"});
  qn_report_chart(
      rows,
      &(qn_chart){.title = "Dots", .kind = QN_CHART_SCATTER, .x = "id", .y = "value", .series = "name"});
  qn_report_chart(
      qn_sort(rows, "id"),
      &(qn_chart){.title = "Line", .kind = QN_CHART_LINE, .x = "id", .y = "value, id / 2 as half"});
  qn_report_chart(qn_sort(qn_reduce(rows, "id % 4 as a, id % 3 as b", "count(*) as n"), "a, b"),
                  &(qn_chart){.title = "Cells", .kind = QN_CHART_HEATMAP, .x = "a", .y = "b", .value = "n"});
}

int main(int argc, char **argv) {
  static const qn_option options[] = {
      {.name = "rows", .argument = "N", .fallback = "20000", .help = "rows to make"},
      {.name = "mistake", .argument = "column|kind|table", .help = "what to do wrong"},
      {.name = NULL}};
  static const qn_job_about about = {.name = "results_driver", .options = options};
  qn_job *job = qn_job_open(argc, argv, &about);
  const char *mistake = qn_job_option(job, "mistake");
  bool has_run = false;

  qn_dataset *rows = qn_generate(job, "id int64, value float64, name utf8",
                                 qn_job_option_int64(job, "rows", 0, 1000000000), make_rows, &has_run);
  if (mistake == NULL) {
    declare_all(job, rows);
  } else if (strcmp(mistake, "column") == 0) {
    qn_report_chart(rows, &(qn_chart){.title = "Wrong", .kind = QN_CHART_BAR, .x = "nam", .y = "id"});
  } else if (strcmp(mistake, "kind") == 0) {
    qn_report_chart(rows, &(qn_chart){.title = "Wrong", .kind = QN_CHART_HEATMAP, .x = "name", .y = "id"});
  } else {
    qn_report_table(rows, "Wrong", 0);
  }
  if (!has_run) {
    qn_job_print(job, "no rows were made\n");
  }
  return qn_job_close(job);
}
