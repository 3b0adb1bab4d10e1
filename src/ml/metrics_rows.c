// SPDX-License-Identifier: Apache-2.0
// Evaluation of models that make numbers, classes, clusters or components of rows: a callback turns rows into
// a few numbers each, the verbs of datasets add them up. Rows without a label, and rows that the model has no
// prediction for, are left out; metric "rows" says how many were judged.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "exec/job_state.h"
#include "ml/metrics.h"

// What the callback of a plan needs.
typedef struct row_judge {
  const qn_model *model;
  qn_status (*append)(struct row_judge *judge, const qn_batch *in, qn_appender *out, qn_error *err);
  qn_buffer outputs; // of a batch
  qn_buffer labels;  // the same: numbers, or numbers of classes
  qn_buffer numbers; // the features as numbers, for those who want them
  bool *is_bad;
  int64_t capacity; // of is_bad
} row_judge;

static void judge_release(row_judge *judge) {
  qn_buffer_release(&judge->outputs);
  qn_buffer_release(&judge->labels);
  qn_buffer_release(&judge->numbers);
  free(judge->is_bad);
}

static qn_status judge_batch(row_judge *judge, const qn_batch *in, qn_appender *out, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_rows = qn_batch_n_rows(in);

  if (n_rows > judge->capacity) {
    bool *grown = realloc(judge->is_bad, (size_t)n_rows);
    QN_REQUIRE(grown != NULL, err, QN_ERR_MEMORY, "no memory to judge %lld rows", (long long)n_rows);
    judge->is_bad = grown;
    judge->capacity = n_rows;
  }
  QN_TRY(qn_model_outputs(judge->model, in, &judge->outputs, judge->is_bad, err));
  QN_TRY(judge->append(judge, in, out, err));

done:
  return status;
}

static qn_status map_batch(const qn_batch *in, qn_appender *out, void *ctx) {
  qn_error err = {0};
  const qn_status status = judge_batch(ctx, in, out, &err);
  return status == QN_OK ? QN_OK : qn_appender_fail(out, "%s", err.message);
}

// The rows that have a label, as what the features need, the label behind it, and then what `append` makes of
// them.
static qn_dataset *judged(qn_dataset *data, row_judge *judge, const char *label, const char *schema) {
  const qn_features *features = judge->model->features;
  char *condition = NULL;

  if (label != NULL) {
    condition = qn_arena_printf(&data->plan->job->arena, "%s is not null", label);
    data = condition == NULL ? data : qn_filter(data, condition);
  }
  return qn_map(qn_features_inputs(features, data, label), map_batch, judge, schema);
}

char *qn_quoted_label(const qn_model *model) {
  return qn_name_quoted(&model->job->arena, model->label);
}

static qn_status keep(qn_job *job, qn_status status, const qn_error *err) {
  return qn_job_keep_error(job, status, err);
}

// Metrics of no rows would be no numbers.
static qn_status require_rows(qn_job *job, double n_rows) {
  qn_error err = {0};

  return n_rows > 0 ? QN_OK
                    : keep(job,
                           qn_fail(&err, QN_ERR_VALUE,
                                   "there is no row to evaluate the model on that has "
                                   "all that its features need, and the label"),
                           &err);
}

static const qn_column *last_column(const qn_batch *batch) {
  return qn_batch_column(batch, qn_batch_n_columns(batch) - 1);
}

// --- Classes
// --------------------------------------------------------------------------------------------------------

static qn_status append_classes(row_judge *judge, const qn_batch *in, qn_appender *out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_classes *classes = &judge->model->classes;
  const int64_t n_rows = qn_batch_n_rows(in);
  const int n_outputs = qn_model_n_outputs(judge->model);

  judge->labels.size = 0;
  QN_TRY(qn_buffer_reserve(&judge->labels, n_rows * (int64_t)sizeof(double), err));
  double *labels = (double *)judge->labels.data;
  const double *outputs = (const double *)judge->outputs.data;
  QN_TRY(qn_classes_number(classes, last_column(in), labels, err));
  for (int64_t row = 0; row < n_rows; row++) {
    if (judge->is_bad[row]) {
      continue;
    }
    const qn_row_score score = qn_score_classes(outputs + row * n_outputs, classes->n,
                                                judge->model->estimator->has_margins, labels[row]);
    qn_append_float64(out, labels[row]);
    qn_append_float64(out, score.prediction);
    qn_append_float64(out, score.loss);
    qn_append_float64(out, score.score);
  }

done:
  return status;
}

// Two classes: the rows of each score, then with the numbers of negative ones up to it, then all added up.
// The area under the curve is the share of pairs of a positive and a negative row in right order, an equal
// pair counting half; that takes no more than these sums.
static qn_status sum_two_classes(qn_dataset *rows, qn_buffer *entries, double *auc) {
  static const char counts[] = "count(*) filter (where label = 1) as pos, "
                               "count(*) filter (where label <> 1) as neg, "
                               "count(*) filter (where label = 0 and prediction = 0) as n00, "
                               "count(*) filter (where label = 0 and prediction = 1) as n01, "
                               "count(*) filter (where label = 1 and prediction = 0) as n10, "
                               "count(*) filter (where label = 1 and prediction = 1) as n11, "
                               "count(*) filter (where label < 0 and prediction = 0) as u0, "
                               "count(*) filter (where label < 0 and prediction = 1) as u1, "
                               "sum(loss) as loss";
  qn_dataset *scores = qn_window(qn_reduce(rows, "score", counts), NULL, "score", "sum(neg) as seen");
  scores = qn_reduce(scores, NULL,
                     "sum(pos::float64), sum(neg::float64), sum(n00), sum(n01), sum(n10), sum(n11), sum(u0), "
                     "sum(u1), sum(loss), sum(pos::float64 * (seen::float64 - neg::float64 / 2))");
  qn_buffer sums = {0};
  qn_status status = qn_collect_numbers(scores, &sums);
  if (status == QN_OK) {
    const double *s = (const double *)sums.data;
    const double table[][QN_CONFUSION_WIDTH] = {{0, 0, s[2], s[8]}, {0, 1, s[3], 0},  {1, 0, s[4], 0},
                                                {1, 1, s[5], 0},    {-1, 0, s[6], 0}, {-1, 1, s[7], 0}};
    *auc = s[9] / (s[0] * s[1]);
    status = qn_buffer_append(entries, table, sizeof table, NULL);
  }
  qn_buffer_release(&sums);
  return status;
}

static void append_class(qn_appender *out, const qn_classes *classes, double number) {
  if (number < 0) {
    qn_append_null(out);
  } else {
    qn_append_from(out, qn_batch_column(classes->values, 0), (int64_t)number);
  }
}

// The entries as a dataset, its rows on rank 0.
static qn_status make_confusion(const qn_model *model, const qn_buffer *entries, qn_dataset **out,
                                qn_error *err) {
  qn_status status = QN_OK;
  qn_schema *schema = NULL;
  qn_appender *appender = NULL;
  qn_batch *batch = NULL;
  char text[128];
  const char *type = qn_type_name(model->classes.type);
  const int64_t n_bytes = (int64_t)sizeof(double) * QN_CONFUSION_WIDTH;
  const bool has_rows = qn_comm_rank(model->job->comm) == 0;

  snprintf(text, sizeof text, "label %s, prediction %s, n int64", type, type);
  QN_TRY(qn_schema_parse(text, &schema, err));
  QN_TRY(qn_appender_new(schema, &appender, err));
  for (int64_t i = 0; has_rows && i < entries->size / n_bytes; i++) {
    const double *entry = (const double *)entries->data + i * QN_CONFUSION_WIDTH;
    if (entry[2] > 0) {
      append_class(appender, &model->classes, entry[0]);
      append_class(appender, &model->classes, entry[1]);
      qn_append_int64(appender, (int64_t)entry[2]);
    }
  }
  QN_TRY(qn_appender_finish(appender, &batch, err));
  *out = qn_sort(qn_from_batches(model->job, text, &batch, 1), "label, prediction");

done:
  qn_batch_free(batch);
  qn_appender_free(appender);
  qn_schema_free(schema);
  return status;
}

static double rows_of(const qn_buffer *entries) {
  const double *values = (const double *)entries->data;
  double n_rows = 0;
  for (int64_t i = 2; i < entries->size / (int64_t)sizeof(double); i += QN_CONFUSION_WIDTH) {
    n_rows += values[i];
  }
  return n_rows;
}

qn_status qn_evaluate_classes(qn_dataset *data, qn_model *model, qn_metrics *out, qn_dataset **confusion) {
  qn_status status = QN_OK;
  qn_error err = {0};
  row_judge judge = {.model = model, .append = append_classes};
  qn_buffer entries = {0};
  double auc = NAN;
  const int n = model->classes.n;
  const bool has_margins = model->estimator->has_margins;

  qn_dataset *rows = judged(data, &judge, qn_quoted_label(model),
                            "label float64, prediction float64, loss float64, score float64");
  if (n == 2) {
    QN_TRY(sum_two_classes(rows, &entries, &auc));
  } else {
    QN_TRY(qn_collect_numbers(qn_reduce(rows, "label, prediction", "count(*), sum(loss)"), &entries));
  }
  QN_TRY(require_rows(model->job, rows_of(&entries)));
  const int64_t n_entries = entries.size / ((int64_t)sizeof(double) * QN_CONFUSION_WIDTH);
  QN_TRY(keep(model->job,
              qn_metrics_of_confusion((const double *)entries.data, n_entries, n, has_margins, out, &err),
              &err));
  if (n == 2 && isfinite(auc)) {
    qn_metrics_add(out, "auc", auc);
  }
  qn_metrics_add(out, "rows", rows_of(&entries));
  if (confusion != NULL) {
    QN_TRY(keep(model->job, make_confusion(model, &entries, confusion, &err), &err));
  }

done:
  qn_buffer_release(&entries);
  judge_release(&judge);
  return status;
}

// --- Numbers
// --------------------------------------------------------------------------------------------------------

static qn_status append_numbers(row_judge *judge, const qn_batch *in, qn_appender *out, qn_error *err) {
  const qn_column *labels = last_column(in);
  const double *outputs = (const double *)judge->outputs.data;
  (void)err;

  for (int64_t row = 0; row < qn_batch_n_rows(in); row++) {
    if (!judge->is_bad[row]) {
      qn_append_float64(out, qn_column_float64(labels, row));
      qn_append_float64(out, outputs[row] - qn_column_float64(labels, row));
    }
  }
  return QN_OK;
}

qn_status qn_evaluate_numbers(qn_dataset *data, qn_model *model, qn_metrics *out) {
  qn_status status = QN_OK;
  row_judge judge = {.model = model, .append = append_numbers};
  qn_buffer sums = {0};
  const char *quoted = qn_quoted_label(model);
  const char *label = quoted == NULL ? NULL : qn_arena_printf(&model->job->arena, "%s::float64", quoted);

  qn_dataset *rows = judged(data, &judge, label, "label float64, error float64");
  QN_TRY(qn_collect_numbers(
      qn_reduce(rows, NULL, "count(*), sum(error * error), sum(abs(error)), var_pop(label)"), &sums));
  const double *s = (const double *)sums.data;
  QN_TRY(require_rows(model->job, s[0]));
  qn_metrics_of_numbers((int64_t)s[0], s[1], s[2], s[3] * s[0], out);
  qn_metrics_add(out, "rows", s[0]);

done:
  qn_buffer_release(&sums);
  judge_release(&judge);
  return status;
}

// --- Clusters
// --------------------------------------------------------------------------------------------------------

// The cluster, and the squared distance where there is one. A mixture's row is of its likeliest part.
static double cluster_of(const qn_model *model, const double *outputs, double *squared) {
  const int n_outputs = qn_model_n_outputs(model);
  int best = 0;

  if (model->estimator->task(model->options) == QN_TASK_CLUSTER) {
    *squared = outputs[1] * outputs[1];
    return outputs[0];
  }
  for (int k = 1; k < n_outputs; k++) {
    best = outputs[k] > outputs[best] ? k : best;
  }
  *squared = NAN;
  return best;
}

static qn_status append_clusters(row_judge *judge, const qn_batch *in, qn_appender *out, qn_error *err) {
  const int n_outputs = qn_model_n_outputs(judge->model);
  const double *outputs = (const double *)judge->outputs.data;
  (void)err;

  for (int64_t row = 0; row < qn_batch_n_rows(in); row++) {
    if (!judge->is_bad[row]) {
      double squared = 0;
      cluster_of(judge->model, outputs + row * n_outputs, &squared);
      qn_append_float64(out, squared);
    }
  }
  return QN_OK;
}

static qn_status features_of(row_judge *judge, const qn_batch *in, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_values = qn_batch_n_rows(in) * qn_features_n_columns(judge->model->features);

  judge->numbers.size = 0;
  QN_TRY(qn_buffer_reserve(&judge->numbers, n_values * (int64_t)sizeof(double), err));
  QN_TRY(qn_features_dense(judge->model->features, in, (double *)judge->numbers.data, judge->is_bad, err));

done:
  return status;
}

// Rows as the bytes of their numbers.
static qn_status append_sample(row_judge *judge, const qn_batch *in, qn_appender *out, qn_error *err) {
  qn_status status = QN_OK;
  const int n_columns = qn_features_n_columns(judge->model->features);
  const int n_outputs = qn_model_n_outputs(judge->model);
  const double *outputs = (const double *)judge->outputs.data;

  QN_TRY(features_of(judge, in, err));
  const double *numbers = (const double *)judge->numbers.data;
  for (int64_t row = 0; row < qn_batch_n_rows(in); row++) {
    if (!judge->is_bad[row]) {
      double squared = 0;
      qn_append_float64(out, cluster_of(judge->model, outputs + row * n_outputs, &squared));
      qn_append_text(out, (const char *)(numbers + row * n_columns), (int64_t)sizeof *numbers * n_columns);
    }
  }

done:
  return status;
}

// The silhouette of collected rows.
static qn_status judge_sample(const qn_batch *batch, int n_columns, double *out, qn_error *err) {
  const qn_column *clusters = qn_batch_column(batch, 0);
  const qn_column *rows = qn_batch_column(batch, 1);
  const int64_t n_rows = qn_batch_n_rows(batch);
  double *x = NULL;
  qn_status status = QN_OK;

  x = qn_memory_alloc(n_rows * n_columns * (int64_t)sizeof *x);
  QN_REQUIRE(x != NULL, err, QN_ERR_MEMORY, "no memory for the silhouette of %lld rows", (long long)n_rows);
  for (int64_t row = 0; row < n_rows; row++) {
    const qn_text bytes = qn_column_text(rows, row);
    memcpy(x + row * n_columns, bytes.data, (size_t)bytes.size);
  }
  QN_TRY(qn_silhouette(x, clusters->values, n_rows, n_columns, out, err));

done:
  qn_memory_free(x);
  return status;
}

enum { SAMPLE_ROWS = 2000, SAMPLE_SEED = 20250101, SAMPLE_VALUES = 1 << 24 };

// All rows, or as many as are compared with each other in reasonable time. The same on any number of ranks.
static qn_status add_silhouette(qn_dataset *data, row_judge *judge, double n_rows, qn_metrics *out) {
  qn_status status = QN_OK;
  qn_error err = {0};
  qn_batch *batch = NULL;
  double silhouette = NAN;
  qn_job *job = judge->model->job;
  const int n_columns = qn_features_n_columns(judge->model->features);
  const int most = SAMPLE_VALUES / n_columns < SAMPLE_ROWS ? SAMPLE_VALUES / n_columns : SAMPLE_ROWS;

  if (n_rows > most) { // somewhat fewer, so that seldom a row too many is cut off
    data = qn_limit(qn_sample(data, 0.95 * most / n_rows, SAMPLE_SEED), most);
  }
  judge->append = append_sample;
  QN_TRY(qn_collect(judged(data, judge, NULL, "cluster float64, row binary"), &batch));
  if (qn_comm_rank(job->comm) == 0 && qn_batch_n_rows(batch) > 0) {
    status = judge_sample(batch, n_columns, &silhouette, &err);
  }
  qn_buffer bytes = {0};
  status = status == QN_OK ? qn_buffer_append(&bytes, &silhouette, sizeof silhouette, &err) : status;
  status = status == QN_OK ? qn_comm_broadcast(job->comm, 0, &bytes, &err) : status;
  status = keep(job, qn_comm_agree(job->comm, status, &err), &err);
  if (status == QN_OK && bytes.data != NULL) {
    memcpy(&silhouette, bytes.data, sizeof silhouette);
    if (!isnan(silhouette)) {
      qn_metrics_add(out, "silhouette", silhouette);
    }
  }
  qn_buffer_release(&bytes);

done:
  qn_batch_free(batch);
  return status;
}

qn_status qn_evaluate_clusters(qn_dataset *data, qn_model *model, qn_metrics *out) {
  qn_status status = QN_OK;
  row_judge judge = {.model = model, .append = append_clusters};
  qn_buffer sums = {0};

  QN_TRY(qn_collect_numbers(
      qn_reduce(judged(data, &judge, NULL, "squared float64"), NULL, "count(*), sum(squared)"), &sums));
  const double *s = (const double *)sums.data;
  QN_TRY(require_rows(model->job, s[0]));
  if (!isnan(s[1])) {
    qn_metrics_add(out, "inertia", s[1]);
  }
  QN_TRY(add_silhouette(data, &judge, s[0], out));
  qn_metrics_add(out, "rows", s[0]);

done:
  qn_buffer_release(&sums);
  judge_release(&judge);
  return status;
}

// --- Components
// --------------------------------------------------------------------------------------------------------

// Squares of a row less the model's mean, and of its part along the components.
static qn_status append_components(row_judge *judge, const qn_batch *in, qn_appender *out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_model *model = judge->model;
  const int n_columns = qn_features_n_columns(model->features);
  const int n_outputs = qn_model_n_outputs(model);
  const double *outputs = (const double *)judge->outputs.data;
  const qn_array *mean = qn_arrays_find(&model->arrays, "mean");
  const qn_array *scale = qn_arrays_find(&model->arrays, "scales");

  QN_TRY(features_of(judge, in, err));
  const double *numbers = (const double *)judge->numbers.data;
  for (int64_t row = 0; row < qn_batch_n_rows(in); row++) {
    double whole = 0;
    double part = 0;
    for (int c = 0; c < n_columns; c++) {
      const double value =
          numbers[row * n_columns + c] - (mean == NULL ? 0 : ((const double *)mean->data)[c]);
      whole += value * value;
    }
    for (int k = 0; k < n_outputs; k++) {
      const double value =
          outputs[row * n_outputs + k] / (scale == NULL ? 1 : ((const double *)scale->data)[k]);
      part += value * value;
    }
    if (!judge->is_bad[row]) {
      qn_append_float64(out, whole);
      qn_append_float64(out, part);
    }
  }

done:
  return status;
}

qn_status qn_evaluate_components(qn_dataset *data, qn_model *model, qn_metrics *out) {
  qn_status status = QN_OK;
  row_judge judge = {.model = model, .append = append_components};
  qn_buffer sums = {0};

  qn_dataset *rows = judged(data, &judge, NULL, "whole float64, part float64");
  QN_TRY(qn_collect_numbers(qn_reduce(rows, NULL, "count(*), sum(whole), sum(part)"), &sums));
  const double *s = (const double *)sums.data;
  QN_TRY(require_rows(model->job, s[0]));
  qn_metrics_add(out, "explained_variance", s[1] > 0 ? s[2] / s[1] : 1);
  qn_metrics_add(out, "rows", s[0]);

done:
  qn_buffer_release(&sums);
  judge_release(&judge);
  return status;
}
