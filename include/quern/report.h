// SPDX-License-Identifier: Apache-2.0
// What a job wants to show, and the page that shows it. A job declares its results with one call each: a
// table, a chart, a number. They are kept in the folder of the run; `quern report RUN` makes a page of that
// folder, with the results first and behind them what the run did. In a job without a folder of the run these
// calls do nothing: no plan runs for them.
//
//   qn_report_numbers(qn_reduce(words, NULL, "count(*) as words, count(distinct word) as \"different
//   words\"")); qn_report_table(qn_sort(counts, "n desc"), "Most used words", 20); qn_report_chart(by_hour,
//   &(qn_chart){.title = "Activity", .kind = QN_CHART_LINE, .x = "hour", .y = "n"});
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/dataset.h>
#include <quern/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/// X(enum value, name in results/NN.json)
#define QN_CHART_LIST(X)                                                                                     \
  X(QN_CHART_BAR, "bar")                                                                                     \
  X(QN_CHART_LINE, "line")                                                                                   \
  X(QN_CHART_SCATTER, "scatter")                                                                             \
  X(QN_CHART_HEATMAP, "heatmap")                                                                             \
  X(QN_CHART_HISTOGRAM, "histogram")

typedef enum {
#define X(value, name) value,
  QN_CHART_LIST(X)
#undef X
} qn_chart_kind;

/// A chart. Columns are given as qn_select() takes them: a name, or "n / 1000 as thousands".
typedef struct qn_chart {
  const char *title;
  qn_chart_kind kind;
  const char *x; // bar: the names below the bars; heatmap: the columns; histogram: whose values are counted
  const char *y; // bar, line, scatter: one or several, "n, mean"; heatmap: the rows. Not for a histogram
  const char *points; // bar, line: drawn as points on a second axis at the right; may be NULL
  const char *series; // bar, line, scatter: a colour for each of its values; may be NULL
  const char *value;  // heatmap: what the colour of a cell says
  const char *note;   // a sentence below the title; may be NULL
} qn_chart;

/// Collective, runs. The first n_rows rows (10,000 at most) as a table; for the order of rows see qn_limit().
QN_API qn_status qn_report_table(qn_dataset *dataset, const char *title, int64_t n_rows);
/// Collective, runs. A chart of the rows: bars of the first 200, lines and heat maps of the first 5,000, a
/// scatter of 5,000 chosen by hash if there are more, a histogram of all.
QN_API qn_status qn_report_chart(qn_dataset *dataset, const qn_chart *chart);
/// Collective. A number, shown large. `unit` is written behind it ("users"; "bytes" and "s" choose a fit
/// form); may be NULL. Every rank gives the same.
QN_API qn_status qn_report_number(qn_job *job, const char *title, double value, const char *unit);
/// Collective, runs. The same for each column of a dataset with one row; their names are the titles.
QN_API qn_status qn_report_numbers(qn_dataset *dataset);

/// Local. Makes the page of a run's folder: one file that needs no other and no network.
QN_API qn_status qn_report_write(const char *run, const char *path, qn_error *err);
/// Local. False if the program was built without the library that draws charts; pages then have tables only.
QN_API bool qn_report_has_charts(void);

#ifdef __cplusplus
}
#endif
