// SPDX-License-Identifier: Apache-2.0
// Feature steps: rows from memory, sparse and dense, JSON that was damaged, on several ranks.
#include <math.h>
#include <quern/job.h>
#include "base/memory.h"
#include "kit/kit.h"
#include "ml/features.h"

static qn_job *job;

// The rows on every rank together: rank 0 has them all.
static qn_dataset *dataset_of(const char *schema, qn_batch *batch) {
  return qn_from_batches(job, schema, &batch, qn_job_rank(job) == 0 ? 1 : 0);
}

static char *encode(const qn_features *features) {
  qn_buffer out = {0};
  QN_CHECK_OK(qn_features_encode(features, &out, &kit_error));
  return (char *)out.data;
}

static void the_text_is_read_back(void) {
  static const char schema[] = "x float64, k int32, s utf8, t utf8";
  qn_batch *batch = kit_batch(schema, "1|2|a|1:2 4:1\n3|4|b|2:0.5\n~|6|a|~\n");
  qn_features *fitted = NULL;
  qn_features *read = NULL;
  double numbers[2][64];
  QN_CHECK_OK(
      qn_features_fit(dataset_of(schema, batch),
                      "standardise(impute(x)), min_max(k) as k, one_hot(s), sparse(t), bucketise(k, 2), "
                      "hashing(s, 4), tfidf(s || ' word'), polynomial(k, k, 2)",
                      NULL, 0, false, &fitted, &kit_error));
  char *text = encode(fitted);
  QN_CHECK_OK(qn_features_decode(text, &read, &kit_error));
  char *again = encode(read);
  QN_CHECK_TEXT(again, text);
  const int n = qn_features_n_columns(fitted);
  QN_CHECK(n * 3 <= 64);
  QN_CHECK_INT(qn_features_n_columns(read), n);
  qn_batch *inputs = NULL;
  QN_CHECK(qn_collect(qn_features_inputs(fitted, dataset_of(schema, batch), NULL), &inputs) == QN_OK);
  if (qn_job_rank(job) == 0) {
    QN_CHECK_OK(qn_features_dense(fitted, inputs, numbers[0], NULL, &kit_error));
    QN_CHECK_OK(qn_features_dense(read, inputs, numbers[1], NULL, &kit_error));
    QN_CHECK(memcmp(numbers[0], numbers[1], (size_t)(3 * n) * sizeof(double)) == 0);
  }
  for (int j = 0; j < n; j++) {
    QN_CHECK_TEXT(qn_features_name(read, j), qn_features_name(fitted, j));
  }
  qn_memory_free(text);
  qn_memory_free(again);
  qn_features_free(fitted);
  qn_features_free(read);
  qn_batch_free(inputs);
  qn_batch_free(batch);
}

// Every text with a byte cut off or changed is refused, or read without harm.
static void damaged_text_does_no_harm(void) {
  static const char schema[] = "x float64, s utf8";
  qn_batch *batch = kit_batch(schema, "1|a\n3|b\n4|a\n");
  qn_features *fitted = NULL;
  QN_CHECK_OK(qn_features_fit(dataset_of(schema, batch),
                              "standardise(x), one_hot(s), bucketise(x, 2), "
                              "polynomial(x, min_max(x), 2)",
                              NULL, 0, false, &fitted, &kit_error));
  char *text = encode(fitted);
  const size_t size = strlen(text);
  for (size_t i = 0; i < size; i++) {
    for (int change = 0; change < 4; change++) {
      char *other = malloc(size + 1);
      qn_features *read = NULL;
      memcpy(other, text, size + 1);
      other[i] = change == 0 ? '\0' : change == 1 ? '9' : change == 2 ? ',' : (char)(other[i] ^ 1);
      const qn_status status = qn_features_decode(other, &read, &kit_error);
      QN_CHECK(status == QN_OK || status == QN_ERR_FORMAT || status == QN_ERR_ARG || status == QN_ERR_VALUE ||
               status == QN_ERR_MEMORY);
      QN_CHECK((status == QN_OK) == (read != NULL));
      qn_features_free(read);
      free(other);
    }
  }
  qn_memory_free(text);
  qn_features_free(fitted);
  qn_batch_free(batch);
}

static void check_refused(qn_dataset *data, const char *text, const char *message) {
  qn_features *features = NULL;
  kit_error = (qn_error){0};
  QN_CHECK(qn_features_fit(data, text, NULL, 0, false, &features, &kit_error) != QN_OK);
  QN_CHECK_MESSAGE(message);
  QN_CHECK(features == NULL);
}

static void mistakes_are_shown_with_a_caret(void) {
  static const char schema[] = "x float64, s utf8, d date, b binary";
  qn_batch *batch = kit_batch(schema, "1|a|2020-01-01|z\n");
  qn_dataset *data = dataset_of(schema, batch);
  check_refused(data, "x, one_hott(s)", "did you mean 'one_hot'?\n  x, one_hott(s)\n     ^");
  check_refused(data, "x,\n  ln(y)", "no column 'y'; there are: x, s, d, b\n    ln(y)\n       ^");
  check_refused(data, "x, tfidf(s, 0)",
                "whole number from 1 to 10000000 is wanted, not 0\n  x, tfidf(s, 0)\n     ");
  check_refused(data, "x, min_max(x, 3)", "min_max takes columns only");
  check_refused(data, "x + ", "syntax error");
  check_refused(data, "3", "a constant is the same in every row");
  check_refused(data, "b", "pixels(b)");
  check_refused(data, "d", "extract(epoch from d)");
  check_refused(data, "tfidf(one_hot(s))", "tfidf takes columns and expressions, not the step one_hot");
  check_refused(data, "hashing(s, 'letters')", "hashing takes 'words' here");
  check_refused(data, "one_hot(b)", "this step takes text");
  check_refused(data, NULL, "list those that you want");
  check_refused(data, "", "empty");
  qn_batch_free(batch);
}

static void every_number_type_is_read(void) {
  static const char schema[] = "a int32, b int64, c float32, d float64, e bool";
  qn_batch *batch = kit_batch(schema, "1|2|0.5|4|true\n-1|-2|~|-4|false\n");
  qn_features *features = NULL;
  double numbers[10];
  bool is_bad[2];
  QN_CHECK_OK(qn_features_fit(dataset_of(schema, batch), NULL, NULL, 0, false, &features, &kit_error));
  QN_CHECK_OK(qn_features_dense(features, batch, numbers, is_bad, &kit_error));
  QN_CHECK(!is_bad[0] && is_bad[1]);
  static const double wanted[] = {1, 2, 0.5, 4, 1, -1, -2, NAN, -4, 0};
  for (int i = 0; i < 10; i++) {
    QN_CHECK(numbers[i] == wanted[i] || (isnan(numbers[i]) && isnan(wanted[i])));
  }
  qn_features_free(features);
  qn_batch_free(batch);
}

int main(void) {
  static char name[] = "features_test";
  static char quiet[] = "--quiet";
  char *arguments[] = {name, quiet, NULL};
  static const qn_job_about about = {.name = "features_test"};
  job = qn_job_open(2, arguments, &about);
  KIT_RUN(the_text_is_read_back);
  KIT_RUN(every_number_type_is_read);
  KIT_RUN(damaged_text_does_no_harm);
  KIT_RUN(mistakes_are_shown_with_a_caret);
  QN_CHECK_INT(qn_job_close(job), 0);
  return kit_result();
}
