// SPDX-License-Identifier: Apache-2.0
// Metrics from sums and from few rows, against values worked out by hand or by scikit-learn.
#include <math.h>
#include "kit/kit.h"
#include "ml/metrics.h"

static void the_best_class_is_the_first_of_equal_ones(void) {
  const double outputs[] = {0.2, 0.4, 0.4};
  const qn_row_score score = qn_score_classes(outputs, 3, false, 2);
  QN_CHECK_FLOAT(score.prediction, 1, 0);
  QN_CHECK_FLOAT(score.loss, -log(0.4), 1e-15);
}

static void an_unknown_label_costs_as_much_as_can_be(void) {
  const double outputs[] = {0, 1};
  QN_CHECK_FLOAT(qn_score_classes(outputs, 2, false, -1).loss, 52 * log(2), 1e-12);
  QN_CHECK_FLOAT(qn_score_classes(outputs, 2, false, 0).loss, 52 * log(2), 1e-12);
  QN_CHECK(qn_score_classes(outputs, 2, false, 1).loss > 0);
  QN_CHECK(isnan(qn_score_classes(outputs, 2, true, 1).loss));
  QN_CHECK_FLOAT(qn_score_classes(outputs, 2, true, 1).score, 1, 0);
}

static void two_classes_are_judged_by_the_second(void) {
  const double entries[] = {0, 0, 9, 50, 5, 0, 1, 9, 10, 4, 1, 0, 9, 5, 3, 1, 1, 9, 35, 2};
  qn_metrics metrics = {0};
  QN_CHECK_OK(qn_metrics_of_confusion(entries, 4, 2, false, &metrics, &kit_error));
  QN_CHECK_FLOAT(qn_metric(&metrics, "accuracy"), 0.85, 1e-15);
  QN_CHECK_FLOAT(qn_metric(&metrics, "log_loss"), 0.14, 1e-15);
  QN_CHECK_FLOAT(qn_metric(&metrics, "precision"), 35 / 45.0, 1e-15);
  QN_CHECK_FLOAT(qn_metric(&metrics, "recall"), 35 / 40.0, 1e-15);
  QN_CHECK_FLOAT(qn_metric(&metrics, "f1"), 70 / 85.0, 1e-15);
}

static void more_classes_are_averaged_over_those_that_occur(void) {
  // 4 classes, of which the last neither is nor is predicted; a label that is none of them is one more
  const double entries[] = {0, 0, 3, 3, 0, 0, 1, 1, 1, 0, 1, 1, 2, 2, 0, 2, 1, 1, 1, 0, -1, 0, 1, 1, 0};
  qn_metrics metrics = {0};
  QN_CHECK_OK(qn_metrics_of_confusion(entries, 5, 4, true, &metrics, &kit_error));
  QN_CHECK_FLOAT(qn_metric(&metrics, "accuracy"), 5 / 8.0, 1e-15);
  QN_CHECK(isnan(qn_metric(&metrics, "log_loss")));
  QN_CHECK_FLOAT(qn_metric(&metrics, "precision"), (3 / 4.0 + 2 / 4.0) / 4, 1e-15);
  QN_CHECK_FLOAT(qn_metric(&metrics, "recall"), (3 / 4.0 + 1) / 4, 1e-15);
}

static void labels_that_are_all_the_same_have_an_r2(void) {
  qn_metrics metrics = {0};
  qn_metrics_of_numbers(4, 0, 0, 0, &metrics);
  QN_CHECK_FLOAT(qn_metric(&metrics, "r2"), 1, 0);
  qn_metrics_of_numbers(4, 16, 8, 0, &metrics);
  QN_CHECK_FLOAT(qn_metric(&metrics, "r2"), 0, 0);
  QN_CHECK_FLOAT(qn_metric(&metrics, "rmse"), 2, 0);
  QN_CHECK_INT(metrics.n, 3);
}

static void the_silhouette_is_that_of_scikit_learn(void) {
  const double x[] = {0, 0, 1, 0, 0, 2, 5, 5, 6, 5, 9, 0};
  const double clusters[] = {4, 4, 4, 2, 2, 7}; // sklearn: silhouette_score(x, clusters)
  const double alike[] = {1, 1, 1, 1, 1, 1};
  double silhouette = 0;
  QN_CHECK_OK(qn_silhouette(x, clusters, 6, 2, &silhouette, &kit_error));
  QN_CHECK_FLOAT(silhouette, 0.648789587539903, 1e-12);
  QN_CHECK_OK(qn_silhouette(x, alike, 6, 2, &silhouette, &kit_error));
  QN_CHECK(isnan(silhouette));
}

static void metrics_have_room_for_so_many(void) {
  qn_metrics metrics = {0};
  char name[16];
  for (int i = 0; i < QN_MAX_METRICS + 5; i++) {
    snprintf(name, sizeof name, "m%d", i);
    qn_metrics_add(&metrics, name, i);
  }
  QN_CHECK_INT(metrics.n, QN_MAX_METRICS);
  qn_metrics_add(&metrics, "m3", 7);
  QN_CHECK_FLOAT(qn_metric(&metrics, "m3"), 7, 0);
  QN_CHECK(isnan(qn_metric(&metrics, "nothing")) && isnan(qn_metric(NULL, "m3")));
}

int main(void) {
  KIT_RUN(the_best_class_is_the_first_of_equal_ones);
  KIT_RUN(an_unknown_label_costs_as_much_as_can_be);
  KIT_RUN(two_classes_are_judged_by_the_second);
  KIT_RUN(more_classes_are_averaged_over_those_that_occur);
  KIT_RUN(labels_that_are_all_the_same_have_an_r2);
  KIT_RUN(the_silhouette_is_that_of_scikit_learn);
  KIT_RUN(metrics_have_room_for_so_many);
  return kit_result();
}
