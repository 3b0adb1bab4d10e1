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
#include "ml/mixture.h"

// What the callback of a plan needs.
typedef struct row_judge {
  const qn_model *model;
  qn_status (*append)(struct row_judge *judge, const qn_batch *in, qn_appender *out, qn_error *err);
  qn_buffer outputs; // of a batch
  qn_buffer labels;  // the same: numbers, or numbers of classes
  qn_buffer numbers; // the features as numbers, for those who want them
  bool *is_bad;
  int64_t capacity;   // of is_bad
  const char *weight; // the column, or NULL
  int n_behind;       // columns behind those of the features: label, weight
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

// The rows that have a label, as what the features need, label and weight behind it, and then what `append`
// makes of them.
static qn_dataset *judged(qn_dataset *data, row_judge *judge, const char *label, const char *schema) {
  const qn_features *features = judge->model->features;
  qn_arena *arena = &data->plan->job->arena;
  const char *also = label;

  if (label != NULL) {
    const char *condition = qn_arena_printf(arena, "%s is not null", label);
    data = condition == NULL ? data : qn_filter(data, condition);
  }
  if (judge->weight != NULL) {
    const char *name = qn_name_quoted(arena, judge->weight);
    also = qn_arena_printf(arena, "%s%s%s::float64", label == NULL ? "" : label, label == NULL ? "" : ", ",
                           name == NULL ? "null" : name);
  }
  judge->n_behind = (label != NULL) + (judge->weight != NULL);
  return qn_map(qn_features_inputs(features, data, also), map_batch, judge, schema);
}

// The weight of a row; 1 without weights.
static qn_status weigh(const row_judge *judge, const qn_batch *in, int64_t row, double *out, qn_error *err) {
  char where[300];
  const qn_column *weights = qn_batch_column(in, qn_batch_n_columns(in) - 1);

  *out = judge->weight == NULL ? 1 : qn_column_is_null(weights, row) ? NAN : qn_column_float64(weights, row);
  if (*out >= 0 && isfinite(*out)) {
    return QN_OK;
  }
  qn_batch_describe_row(in, row, where, sizeof where);
  return qn_fail(err, QN_ERR_VALUE, "%s%scolumn '%s': a weight must be a number of at least 0", where,
                 where[0] == '\0' ? "" : ", ", judge->weight);
}

char *qn_quoted_label(const qn_model *model) {
  return qn_name_quoted(&model->job->arena, model->label);
}

static qn_status keep(qn_job *job, qn_status status, const qn_error *err) {
  return qn_job_keep_error(job, status, err);
}

// Metrics of no rows would be no numbers.
static qn_status require_rows(qn_job *job, double n_rows, double weight) {
  qn_error err = {0};

  if (n_rows > 0 && weight > 0) {
    return QN_OK;
  }
  return keep(job,
              qn_fail(&err, QN_ERR_VALUE,
                      n_rows > 0 ? "the weights of all rows to evaluate the model on are 0"
                                 : "there is no row to evaluate the model on that has "
                                   "all that its features need, and the label"),
              &err);
}

static const qn_column *label_column(const row_judge *judge, const qn_batch *batch) {
  return qn_batch_column(batch, qn_batch_n_columns(batch) - judge->n_behind);
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
  QN_TRY(qn_classes_number(classes, label_column(judge, in), labels, err));
  for (int64_t row = 0; row < n_rows; row++) {
    double weight = 0;
    if (judge->is_bad[row]) {
      continue;
    }
    QN_TRY(weigh(judge, in, row, &weight, err));
    const qn_row_score score = qn_score_classes(outputs + row * n_outputs, classes->n,
                                                judge->model->estimator->has_margins, labels[row]);
    qn_append_float64(out, labels[row]);
    qn_append_float64(out, score.prediction);
    qn_append_float64(out, weight * score.loss);
    qn_append_float64(out, score.score);
    qn_append_float64(out, weight);
  }

done:
  return status;
}

// Two classes: the rows of each score, then with the numbers of negative ones up to it, then all added up.
// The area under the curve is the share of pairs of a positive and a negative row in right order, an equal
// pair counting half; that takes no more than these sums.
static qn_status sum_two_classes(qn_dataset *rows, qn_buffer *entries, double *auc) {
  static const char kinds[][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}, {-1, 0}, {-1, 1}}; // label, prediction
  enum { N_KINDS = sizeof kinds / sizeof *kinds };
  qn_status status = QN_OK;
  qn_buffer counts = {0}; // of a score
  qn_buffer totals = {0};
  qn_buffer sums = {0};

  QN_TRY(qn_buffer_printf(&counts, NULL, "sum(loss) as loss, %s, %s",
                          "sum(case when label = 1 then weight else 0 end) as pos",
                          "sum(case when label <> 1 then weight else 0 end) as neg"));
  QN_TRY(qn_buffer_printf(&totals, NULL, "sum(loss), sum(pos), sum(neg), sum(pos * (seen - neg / 2))"));
  for (int i = 0; i < N_KINDS; i++) {
    const char *sign = kinds[i][0] < 0 ? "<" : "=";
    const int label = kinds[i][0] < 0 ? 0 : kinds[i][0];
    QN_TRY(qn_buffer_printf(&counts, NULL, ", count(*) filter (where label %s %d and prediction = %d) as n%d",
                            sign, label, kinds[i][1], i));
    QN_TRY(qn_buffer_printf(&counts, NULL,
                            ", sum(case when label %s %d and prediction = %d then weight else 0 end) as w%d",
                            sign, label, kinds[i][1], i));
    QN_TRY(qn_buffer_printf(&totals, NULL, ", sum(n%d), sum(w%d)", i, i));
  }
  QN_TRY(qn_buffer_terminate(&counts, NULL));
  QN_TRY(qn_buffer_terminate(&totals, NULL));
  qn_dataset *scores = qn_reduce(rows, "score", (const char *)counts.data);
  scores = qn_window(scores, NULL, "score", "sum(neg) as seen");
  QN_TRY(qn_collect_numbers(qn_reduce(scores, NULL, (const char *)totals.data), &sums));
  const double *s = (const double *)sums.data;
  *auc = s[3] / (s[1] * s[2]);
  for (int i = 0; i < N_KINDS; i++) { // all losses are put to the first
    const double entry[QN_CONFUSION_WIDTH] = {kinds[i][0], kinds[i][1], s[4 + 2 * i], s[5 + 2 * i],
                                              i == 0 ? s[0] : 0};
    QN_TRY(qn_buffer_append(entries, entry, sizeof entry, NULL));
  }

done:
  qn_buffer_release(&counts);
  qn_buffer_release(&totals);
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

// The sum of a field of all entries.
static double sum_of(const qn_buffer *entries, int field) {
  const double *values = (const double *)entries->data;
  double sum = 0;
  for (int64_t i = field; i < entries->size / (int64_t)sizeof(double); i += QN_CONFUSION_WIDTH) {
    sum += values[i];
  }
  return sum;
}

qn_status qn_evaluate_classes(qn_dataset *data, qn_model *model, const char *weight, qn_metrics *out,
                              qn_dataset **confusion) {
  qn_status status = QN_OK;
  qn_error err = {0};
  row_judge judge = {.model = model, .append = append_classes, .weight = weight};
  qn_buffer entries = {0};
  double auc = NAN;
  const int n = model->classes.n;
  const bool has_margins = model->estimator->has_margins;

  qn_dataset *rows = judged(data, &judge, qn_quoted_label(model),
                            "label float64, prediction float64, loss float64, score float64, weight float64");
  if (n == 2) {
    QN_TRY(sum_two_classes(rows, &entries, &auc));
  } else {
    QN_TRY(qn_collect_numbers(qn_reduce(rows, "label, prediction", "count(*), sum(weight), sum(loss)"),
                              &entries));
  }
  QN_TRY(require_rows(model->job, sum_of(&entries, 2), sum_of(&entries, 3)));
  const int64_t n_entries = entries.size / ((int64_t)sizeof(double) * QN_CONFUSION_WIDTH);
  QN_TRY(keep(model->job,
              qn_metrics_of_confusion((const double *)entries.data, n_entries, n, has_margins, out, &err),
              &err));
  if (n == 2 && isfinite(auc)) {
    qn_metrics_add(out, "auc", auc);
  }
  qn_metrics_add(out, "rows", sum_of(&entries, 2));
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
  qn_status status = QN_OK;
  const qn_column *labels = label_column(judge, in);
  const double *outputs = (const double *)judge->outputs.data;

  for (int64_t row = 0; row < qn_batch_n_rows(in); row++) {
    double weight = 0;
    if (!judge->is_bad[row]) {
      QN_TRY(weigh(judge, in, row, &weight, err));
      qn_append_float64(out, qn_column_float64(labels, row));
      qn_append_float64(out, outputs[row] - qn_column_float64(labels, row));
      qn_append_float64(out, weight);
    }
  }

done:
  return status;
}

// Squares of labels less their mean, which sums of a pass are enough for: they are kept more exactly than
// float64 has them.
static const char number_sums[] = "count(*), sum(weight), sum(weight * error * error), "
                                  "sum(weight * abs(error)), sum(weight * label), "
                                  "sum(weight * label * label), var_pop(label)";

qn_status qn_evaluate_numbers(qn_dataset *data, qn_model *model, const char *weight, qn_metrics *out) {
  qn_status status = QN_OK;
  row_judge judge = {.model = model, .append = append_numbers, .weight = weight};
  qn_buffer sums = {0};
  const char *quoted = qn_quoted_label(model);
  const char *label = quoted == NULL ? NULL : qn_arena_printf(&model->job->arena, "%s::float64", quoted);

  qn_dataset *rows = judged(data, &judge, label, "label float64, error float64, weight float64");
  QN_TRY(qn_collect_numbers(qn_reduce(rows, NULL, number_sums), &sums));
  const double *s = (const double *)sums.data;
  QN_TRY(require_rows(model->job, s[0], s[1]));
  const double spread = weight == NULL ? s[6] * s[0] : s[5] - s[4] * s[4] / s[1];
  qn_metrics_of_numbers(s[1], s[2], s[3], spread, out);
  qn_metrics_add(out, "rows", s[0]);

done:
  qn_buffer_release(&sums);
  judge_release(&judge);
  return status;
}

// --- Clusters
// --------------------------------------------------------------------------------------------------------

static qn_status features_of(row_judge *judge, const qn_batch *in, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_values = qn_batch_n_rows(in) * qn_features_n_columns(judge->model->features);

  judge->numbers.size = 0;
  QN_TRY(qn_buffer_reserve(&judge->numbers, n_values * (int64_t)sizeof(double), err));
  QN_TRY(qn_features_dense(judge->model->features, in, (double *)judge->numbers.data, judge->is_bad, err));

done:
  return status;
}

// Logarithms of the densities of a mixture's rows, into the labels; else they are NaN.
static qn_status take_densities(row_judge *judge, const qn_batch *in, qn_error *err) {
  qn_status status = QN_OK;
  const qn_model *model = judge->model;
  const int64_t n_rows = qn_batch_n_rows(in);

  judge->labels.size = 0;
  QN_TRY(qn_buffer_reserve(&judge->labels, n_rows * (int64_t)sizeof(double), err));
  double *densities = (double *)judge->labels.data;
  if (model->estimator->task(model->options) == QN_TASK_MIXTURE && n_rows > 0) {
    QN_TRY(features_of(judge, in, err));
    const qn_row_block block = {.n_rows = n_rows,
                                .n_columns = qn_features_n_columns(model->features),
                                .x = (const double *)judge->numbers.data};
    QN_TRY(qn_mixture_log_densities(model, &block, densities, err));
  } else {
    for (int64_t row = 0; row < n_rows; row++) {
      densities[row] = NAN;
    }
  }

done:
  return status;
}

static qn_status append_clusters(row_judge *judge, const qn_batch *in, qn_appender *out, qn_error *err) {
  qn_status status = QN_OK;
  const int n_outputs = qn_model_n_outputs(judge->model);
  const double *outputs = (const double *)judge->outputs.data;

  QN_TRY(take_densities(judge, in, err));
  const double *densities = (const double *)judge->labels.data;
  for (int64_t row = 0; row < qn_batch_n_rows(in); row++) {
    if (!judge->is_bad[row]) {
      double squared = 0;
      double weight = 0;
      QN_TRY(weigh(judge, in, row, &weight, err));
      qn_cluster_of(judge->model, outputs + row * n_outputs, &squared);
      qn_append_float64(out, weight * squared);
      qn_append_float64(out, weight);
      qn_append_float64(out, weight * densities[row]);
    }
  }

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
      qn_append_float64(out, qn_cluster_of(judge->model, outputs + row * n_outputs, &squared));
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

enum { SAMPLE_SEED = 20250101 };

// All rows, or as many as are compared with each other in reasonable time. The same on any number of ranks.
static qn_status add_silhouette(qn_dataset *data, row_judge *judge, double n_rows, qn_metrics *out) {
  qn_status status = QN_OK;
  qn_error err = {0};
  qn_batch *batch = NULL;
  double silhouette = NAN;
  qn_job *job = judge->model->job;
  const int n_columns = qn_features_n_columns(judge->model->features);
  const int64_t most = qn_silhouette_rows(n_columns);

  if (n_rows > (double)most) { // somewhat fewer, so that seldom a row too many is cut off
    data = qn_limit(qn_sample(data, 0.95 * (double)most / n_rows, SAMPLE_SEED), most);
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

qn_status qn_evaluate_clusters(qn_dataset *data, qn_model *model, const char *weight, qn_metrics *out) {
  qn_status status = QN_OK;
  row_judge judge = {.model = model, .append = append_clusters, .weight = weight};
  qn_buffer sums = {0};

  qn_dataset *rows = judged(data, &judge, NULL, "squared float64, weight float64, density float64");
  QN_TRY(
      qn_collect_numbers(qn_reduce(rows, NULL, "count(*), sum(squared), sum(weight), sum(density)"), &sums));
  const double *s = (const double *)sums.data;
  QN_TRY(require_rows(model->job, s[0], s[2]));
  if (!isnan(s[1])) {
    qn_metrics_add(out, "inertia", s[1]);
  }
  if (!isnan(s[3])) {
    qn_metrics_add(out, "log_likelihood", s[3] / s[2]);
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

static qn_status append_components(row_judge *judge, const qn_batch *in, qn_appender *out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_model *model = judge->model;
  const int n_columns = qn_features_n_columns(model->features);
  const int n_outputs = qn_model_n_outputs(model);
  const double *outputs = (const double *)judge->outputs.data;

  QN_TRY(features_of(judge, in, err));
  const double *numbers = (const double *)judge->numbers.data;
  for (int64_t row = 0; row < qn_batch_n_rows(in); row++) {
    double whole = 0;
    double part = 0;
    double weight = 0;
    if (!judge->is_bad[row]) {
      qn_component_squares(model, n_columns, numbers + row * n_columns, outputs + row * n_outputs, &whole,
                           &part);
      QN_TRY(weigh(judge, in, row, &weight, err));
      qn_append_float64(out, weight * whole);
      qn_append_float64(out, weight * part);
      qn_append_float64(out, weight);
    }
  }

done:
  return status;
}

qn_status qn_evaluate_components(qn_dataset *data, qn_model *model, const char *weight, qn_metrics *out) {
  qn_status status = QN_OK;
  row_judge judge = {.model = model, .append = append_components, .weight = weight};
  qn_buffer sums = {0};

  qn_dataset *rows = judged(data, &judge, NULL, "whole float64, part float64, weight float64");
  QN_TRY(qn_collect_numbers(qn_reduce(rows, NULL, "count(*), sum(whole), sum(part), sum(weight)"), &sums));
  const double *s = (const double *)sums.data;
  QN_TRY(require_rows(model->job, s[0], s[3]));
  qn_metrics_add(out, "explained_variance", s[1] > 0 ? s[2] / s[1] : 1);
  qn_metrics_add(out, "rows", s[0]);

done:
  qn_buffer_release(&sums);
  judge_release(&judge);
  return status;
}
