// SPDX-License-Identifier: Apache-2.0
// The rows that a chart draws: few enough, whatever the size of the data.
#pragma once
#include <jansson.h>
#include <quern/report.h>
#include "plan/plan.h"

/// "bar"
const char *qn_chart_kind_name(qn_chart_kind kind);
/// Local. The columns of a chart, x first, then y, points, series, value, as a dataset; their names are set
/// in `about` as "x", "y", "points", "series" and "value". A dataset that carries an error (of a column's
/// name, say) if it cannot be. *fault is set to what the chart lacks, or NULL; then the result is NULL.
qn_dataset *qn_chart_columns(qn_dataset *dataset, const qn_chart *chart, json_t *about, const char **fault);

/// A part of the rows, chosen by their hash, so that it is the same on any number of ranks.
typedef struct qn_chart_sample {
  int64_t n_rows; // all of them that this rank saw
} qn_chart_sample;
/// Local. At most n of the rows, with a column of their hash behind their own. `sample` must live as long as
/// the job.
qn_dataset *qn_chart_sample_of(qn_dataset *rows, int64_t n, qn_chart_sample *sample);

/// Collective, runs. Counts the values of the first column in bins of a round width.
///
/// columns, rows  on rank 0: "from", "to", "n"; the caller's
/// n_rows         how many values there are
qn_status qn_chart_histogram(qn_dataset *values, json_t **columns, json_t **rows, int64_t *n_rows,
                             qn_error *err);
