// SPDX-License-Identifier: Apache-2.0
// Charts are made of ordinary datasets: what a chart needs is said with the verbs that every job has.
#include "report/chart_rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "column/schema.h"
#include "exec/job_state.h"
#include "kernel/hash_columns.h"

enum { MOST_BINS = 40 };

const char *qn_chart_kind_name(qn_chart_kind kind) {
  static const char *const names[] = {
#define X(value, name) [value] = name,
      QN_CHART_LIST(X)
#undef X
  };
  return names[kind];
}

// --- columns

static const char *what_lacks(const qn_chart *chart) {
  const bool has_y = chart->y != NULL;

  if (chart->title == NULL) {
    return "a chart needs a title";
  }
  if (chart->x == NULL) {
    return "a chart needs x";
  }
  if (chart->kind == QN_CHART_HEATMAP && (!has_y || chart->value == NULL)) {
    return "a heat map needs x, y and value";
  }
  return chart->kind != QN_CHART_HISTOGRAM && !has_y ? "this chart needs x and y" : NULL;
}

// A part's names into `about`, its text behind `all`.
static qn_status add_part(qn_dataset *dataset, const char *key, const char *text, bool is_list,
                          qn_buffer *all, json_t *about, qn_error *err) {
  qn_status status = QN_OK;

  if (text == NULL) {
    json_object_set_new(about, key, is_list ? json_array() : json_null());
    return QN_OK;
  }
  const qn_dataset *part = qn_select(dataset, text);
  if (part == NULL || part->status != QN_OK) {
    return part == NULL ? QN_ERR_MEMORY : part->status; // the plan has the message
  }
  json_t *names = json_array();
  for (int i = 0; i < qn_schema_n_columns(part->schema); i++) {
    json_array_append_new(names, json_string(qn_schema_name(part->schema, i)));
  }
  json_object_set(about, key, is_list ? names : json_array_get(names, 0));
  json_decref(names);
  QN_TRY(qn_buffer_printf(all, err, "%s%s", all->size > 0 ? ", " : "", text));

done:
  return status;
}

qn_dataset *qn_chart_columns(qn_dataset *dataset, const qn_chart *chart, json_t *about, const char **fault) {
  qn_status status = QN_OK;
  qn_error err = {0};
  qn_buffer all = {0};
  qn_dataset *columns = NULL;
  const bool is_series_x = chart->series != NULL && chart->x != NULL && strcmp(chart->series, chart->x) == 0;

  *fault = what_lacks(chart);
  if (*fault != NULL) {
    return NULL;
  }
  QN_TRY(add_part(dataset, "x", chart->x, false, &all, about, &err));
  QN_TRY(add_part(dataset, "y", chart->y, true, &all, about, &err));
  QN_TRY(add_part(dataset, "points", chart->points, true, &all, about, &err));
  if (is_series_x) {
    json_object_set(about, "series", json_object_get(about, "x"));
  } else {
    QN_TRY(add_part(dataset, "series", chart->series, false, &all, about, &err));
  }
  QN_TRY(add_part(dataset, "value", chart->value, false, &all, about, &err));
  QN_TRY(qn_buffer_terminate(&all, &err));
  columns = qn_select(dataset, (const char *)all.data);

done:
  qn_buffer_release(&all);
  return columns;
}

// --- a sample

static qn_status add_hash(const qn_batch *in, qn_appender *out, void *ctx) {
  qn_chart_sample *sample = ctx;
  const int n = qn_batch_n_columns(in);
  const qn_column **columns = calloc((size_t)n, sizeof(*columns));
  uint64_t *hashes = malloc((size_t)in->n_rows * sizeof *hashes);
  const bool has_memory = columns != NULL && hashes != NULL;

  if (has_memory) {
    for (int i = 0; i < n; i++) {
      columns[i] = qn_batch_column(in, i);
    }
    qn_hash_columns(columns, n, in->n_rows, hashes);
    for (int64_t row = 0; row < in->n_rows; row++) {
      qn_append_int64(out, (int64_t)hashes[row]);
    }
    sample->n_rows += in->n_rows;
  }
  free(columns);
  free(hashes);
  return has_memory ? QN_OK : qn_appender_fail(out, "no memory to choose rows for a chart");
}

qn_dataset *qn_chart_sample_of(qn_dataset *rows, int64_t n, qn_chart_sample *sample) {
  return qn_top(qn_extend(rows, add_hash, sample, "hash_of_row int64"), "hash_of_row", n);
}

// --- a histogram

typedef struct extent {
  double low, high;
  int64_t n_rows;
} extent;

// Least and greatest value and their number, the same on all ranks.
static qn_status find_extent(qn_dataset *values, extent *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *batch = NULL;
  qn_buffer sent = {0};
  qn_comm *comm = values->plan->job->comm;

  QN_TRY(qn_collect(qn_reduce(values, NULL, "min(value) as low, max(value) as high, count(*) as n"), &batch));
  if (qn_comm_rank(comm) == 0) {
    extent found = {.n_rows = qn_column_int64(qn_batch_column(batch, 2), 0)};
    if (found.n_rows > 0) {
      found.low = qn_column_float64(qn_batch_column(batch, 0), 0);
      found.high = qn_column_float64(qn_batch_column(batch, 1), 0);
    }
    status = qn_buffer_append(&sent, &found, sizeof found, err);
  }
  QN_TRY(qn_comm_agree(comm, status, err));
  QN_TRY(qn_comm_agree(comm, qn_comm_broadcast(comm, 0, &sent, err), err));
  memcpy(out, sent.data, sizeof *out);

done:
  qn_batch_free(batch);
  qn_buffer_release(&sent);
  return status;
}

// The smallest of 1, 2, 5, 10, 20, ... times a power of ten with at most MOST_BINS bins.
static double round_width(const extent *range) {
  const double least = (range->high - range->low) / (MOST_BINS - 1);
  if (!(least > 0) || !isfinite(least)) {
    return 1;
  }
  const double power = pow(10, floor(log10(least)));
  const double part = least / power;
  return power * (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10);
}

// Rows of bins that hold something, to rows of all bins from the first to the last.
static json_t *bin_rows(const qn_batch *batch, double first, double width) {
  json_t *rows = json_array();
  const int64_t n = qn_batch_n_rows(batch);
  int64_t next = 0;

  for (int64_t row = 0; row < n; row++) {
    const int64_t bin = qn_column_int64(qn_batch_column(batch, 0), row);
    for (next = row == 0 ? bin : next; next <= bin; next++) {
      const int64_t count = next == bin ? qn_column_int64(qn_batch_column(batch, 1), row) : 0;
      const double from = (first + (double)next) * width;
      json_array_append_new(
          rows, json_pack("[f, f, I]", from, (first + (double)next + 1) * width, (json_int_t)count));
    }
  }
  return rows;
}

qn_status qn_chart_histogram(qn_dataset *values, json_t **columns, json_t **rows, int64_t *n_rows,
                             qn_error *err) {
  qn_status status = QN_OK;
  qn_arena *arena = &values->plan->arena;
  qn_batch *batch = NULL;
  extent range = {0};

  const char *name = qn_name_quoted(arena, qn_schema_name(values->schema, 0));
  QN_REQUIRE(name != NULL, err, QN_ERR_MEMORY, "no memory for a histogram");
  qn_dataset *numbers = qn_select(values, qn_arena_printf(arena, "%s::float64 as value", name));
  // Only finite ones: to PostgreSQL NaN is equal to itself, so the comparison with 0 is what leaves it out.
  numbers = qn_cache(qn_filter(numbers, "value is not null and value - value = 0"));
  QN_TRY(find_extent(numbers, &range, err));
  const double width = round_width(&range);
  const double first = floor(range.low / width);
  const char *bin = qn_arena_printf(arena, "(floor(value / %.17g) - %.17g)::int64 as bin", width, first);
  QN_TRY(qn_collect(qn_sort(qn_reduce(qn_select(numbers, bin), "bin", "count(*) as n"), "bin"), &batch));
  if (qn_comm_rank(values->plan->job->comm) == 0) {
    *rows = bin_rows(batch, first, width);
    *columns = json_pack("[{s:s, s:s}, {s:s, s:s}, {s:s, s:s}]", "name", "from", "type", "float64", "name",
                         "to", "type", "float64", "name", "n", "type", "int64");
  }
  *n_rows = range.n_rows;

done:
  qn_batch_free(batch);
  return status;
}
