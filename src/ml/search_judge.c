// SPDX-License-Identifier: Apache-2.0
// Metrics of rows that were left out, from a few numbers that are kept of each: all of them lie on one rank.
#include "ml/search_judge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

// What is kept of each row of the fold: an entry of the confusion, and behind it the score; or label,
// prediction and weight.
enum { CLASS_WIDTH = QN_CONFUSION_WIDTH + 1, NUMBER_WIDTH = 3 };

qn_status qn_judged_keep(const qn_model *model, const qn_row_block *block, const double *outputs,
                         qn_buffer *kept, qn_error *err) {
  qn_status status = QN_OK;
  const int n = model->classes.n;

  for (int64_t row = 0; row < block->n_rows; row++) {
    const double weight = block->w == NULL ? 1 : block->w[row];
    if (n == 0) {
      const double entry[NUMBER_WIDTH] = {block->y[row], outputs[row], weight};
      QN_TRY(qn_buffer_append(kept, entry, sizeof entry, err));
    } else {
      const qn_row_score score =
          qn_score_classes(outputs + row * n, n, model->estimator->has_margins, block->y[row]);
      const double entry[CLASS_WIDTH] = {block->y[row], score.prediction,    1,
                                         weight,        weight * score.loss, score.score};
      QN_TRY(qn_buffer_append(kept, entry, sizeof entry, err));
    }
  }

done:
  return status;
}

static int compare_scores(const void *a, const void *b) {
  const double x = ((const double *)a)[QN_CONFUSION_WIDTH];
  const double y = ((const double *)b)[QN_CONFUSION_WIDTH];
  return (x > y) - (x < y);
}

// The share of pairs of a row of each class in right order; equal scores count half. Sorts the rows.
static double area_under_curve(double *rows, int64_t n) {
  double n_positive = 0;
  double n_negative = 0;
  double pairs = 0;

  qsort(rows, (size_t)n, CLASS_WIDTH * sizeof *rows, compare_scores);
  for (int64_t i = 0; i < n;) {
    double positive = 0;
    double negative = 0;
    const double score = rows[i * CLASS_WIDTH + QN_CONFUSION_WIDTH];
    for (; i < n && rows[i * CLASS_WIDTH + QN_CONFUSION_WIDTH] == score; i++) {
      const double weight = rows[i * CLASS_WIDTH + 3];
      positive += rows[i * CLASS_WIDTH] > 0 ? weight : 0;
      negative += rows[i * CLASS_WIDTH] > 0 ? 0 : weight;
    }
    pairs += positive * (n_negative + negative / 2);
    n_positive += positive;
    n_negative += negative;
  }
  return pairs / (n_positive * n_negative);
}

static qn_status metrics_of_classes(const qn_model *model, double *rows, int64_t n, qn_metrics *out,
                                    qn_error *err) {
  qn_status status = QN_OK;
  const double auc = model->classes.n == 2 ? area_under_curve(rows, n) : NAN;

  for (int64_t i = 0; rows != NULL && i < n; i++) { // closes the gaps of the scores
    memmove(rows + i * QN_CONFUSION_WIDTH, rows + i * CLASS_WIDTH, QN_CONFUSION_WIDTH * sizeof *rows);
  }
  QN_TRY(qn_metrics_of_confusion(rows, n, model->classes.n, model->estimator->has_margins, out, err));
  if (isfinite(auc)) {
    qn_metrics_add(out, "auc", auc);
  }

done:
  return status;
}

static void metrics_of_numbers(const double *rows, int64_t n, qn_metrics *out) {
  double weight = 0;
  double sum = 0;
  double squares = 0;
  double absolute = 0;
  double spread = 0;

  for (int64_t i = 0; rows != NULL && i < n; i++) {
    weight += rows[i * NUMBER_WIDTH + 2];
    sum += rows[i * NUMBER_WIDTH + 2] * rows[i * NUMBER_WIDTH];
  }
  for (int64_t i = 0; rows != NULL && i < n; i++) {
    const double w = rows[i * NUMBER_WIDTH + 2];
    const double error = rows[i * NUMBER_WIDTH + 1] - rows[i * NUMBER_WIDTH];
    const double above = rows[i * NUMBER_WIDTH] - sum / weight;
    squares += w * error * error;
    absolute += w * fabs(error);
    spread += w * above * above;
  }
  qn_metrics_of_numbers(weight, squares, absolute, spread, out);
}

qn_status qn_judged_metrics(const qn_model *model, double *rows, int64_t n, qn_metrics *out, qn_error *err) {
  if (model->classes.n > 0) {
    return metrics_of_classes(model, rows, n, out, err);
  }
  metrics_of_numbers(rows, n, out);
  return QN_OK;
}
