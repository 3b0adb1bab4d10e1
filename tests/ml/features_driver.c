// SPDX-License-Identifier: Apache-2.0
// Fits feature steps on files and prints the numbers they make of the same or of other files, so that tests
// in Python can compare them: a line with the names, separated by tabs, then a line of numbers for each row.
// --predict goes through the JSON text, as models do.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <quern/quern.h>
#include "base/check.h"
#include "ml/features.h"

static const qn_option options[] = {
    {.name = "features", .argument = "LIST", .help = "the steps; default: all columns"},
    {.name = "exclude", .argument = "COLUMN", .help = "a column that is no feature"},
    {.name = "schema", .argument = "SCHEMA", .help = "of the CSV files"},
    {.name = "format", .argument = "WORD", .fallback = "csv", .help = "csv, libsvm or idx"},
    {.name = "predict", .argument = "FILE", .help = "print the numbers of this file"},
    {.name = "missing", .help = "null and NaN are allowed"},
    {.name = "mark", .help = "mark bad rows instead of failing"},
    {.name = "sparse", .help = "print rows as column:value"},
    {.name = "affine", .help = "print scale and shift of the columns instead"},
    {0}};

static qn_dataset *read_files(qn_job *job, const char *paths) {
  const char *format = qn_job_option(job, "format");
  if (strcmp(format, "libsvm") == 0) {
    return qn_read_libsvm(job, paths);
  }
  if (strcmp(format, "idx") == 0) {
    return qn_read_idx(job, paths, NULL);
  }
  return qn_read_csv(job, paths, &(qn_csv_options){.schema = qn_job_option(job, "schema")});
}

static qn_status print_dense(const qn_features *features, const qn_batch *inputs, bool *is_bad,
                             qn_error *err) {
  qn_status status = QN_OK;
  const int n = qn_features_n_columns(features);
  const int64_t n_rows = qn_batch_n_rows(inputs);
  double *numbers = malloc((size_t)(n_rows * n + 1) * sizeof *numbers);

  QN_TRY(qn_features_dense(features, inputs, numbers, is_bad, err));
  for (int64_t i = 0; i < n_rows; i++) {
    for (int j = 0; j < n; j++) {
      printf("%s%.17g", j > 0 ? "\t" : "", numbers[i * n + j]);
    }
    printf("%s\n", is_bad != NULL && is_bad[i] ? "\tbad" : "");
  }

done:
  free(numbers);
  return status;
}

static qn_status print_sparse(const qn_features *features, const qn_batch *inputs, bool *is_bad,
                              qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer starts = {0}, columns = {0}, values = {0};

  QN_TRY(qn_features_sparse(features, inputs, &starts, &columns, &values, is_bad, err));
  for (int64_t i = 0; i < qn_batch_n_rows(inputs); i++) {
    const int64_t first = ((int64_t *)starts.data)[i];
    const int64_t end = ((int64_t *)starts.data)[i + 1];
    for (int64_t k = first; k < end; k++) {
      printf("%s%d:%.17g", k > first ? "\t" : "", ((int32_t *)columns.data)[k], ((double *)values.data)[k]);
    }
    printf("%s\n", is_bad != NULL && is_bad[i] ? "\tbad" : "");
  }

done:
  qn_buffer_release(&starts);
  qn_buffer_release(&columns);
  qn_buffer_release(&values);
  return status;
}

// What training does: batches as they come, which know what files and rows they are.
static qn_status check_batch(const qn_batch *in, qn_appender *out, void *ctx) {
  const qn_features *features = ctx;
  qn_error err = {0};
  const int64_t n = qn_batch_n_rows(in) * qn_features_n_columns(features);
  double *numbers = malloc((size_t)(n + 1) * sizeof *numbers);
  const qn_status status = qn_features_dense(features, in, numbers, NULL, &err);
  free(numbers);
  qn_append_int64(out, qn_batch_n_rows(in));
  return status == QN_OK ? QN_OK : qn_appender_fail(out, "%s", err.message);
}

static void print_names(qn_job *job, const qn_features *features) {
  printf("%d\t%s\n", qn_features_n_columns(features), qn_features_is_sparse(features) ? "sparse" : "dense");
  for (int j = 0; j < qn_features_n_columns(features); j++) {
    printf("%s%s", j > 0 ? "\t" : "", qn_features_name(features, j));
  }
  printf("\n");
  for (int j = 0; j < qn_features_n_columns(features) && qn_job_option(job, "affine") != NULL; j++) {
    qn_affine affine;
    if (qn_features_affine(features, j, &affine)) {
      printf("%s %.17g %.17g\n", affine.column, affine.shift, affine.scale);
    } else {
      printf("-\n");
    }
  }
}

static qn_status print_rows(qn_job *job, const qn_features *features, qn_dataset *data, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *inputs = NULL;
  bool *is_bad = NULL;

  qn_dataset *rows = qn_features_inputs(features, data, NULL);
  if (qn_job_option(job, "mark") == NULL) {
    int64_t n_batches = 0;
    QN_TRY(qn_count(qn_map(rows, check_batch, (void *)(uintptr_t)features, "n int64"), &n_batches));
  }
  QN_TRY(qn_collect(rows, &inputs));
  if (qn_job_rank(job) == 0) {
    if (qn_job_option(job, "mark") != NULL) {
      is_bad = malloc((size_t)qn_batch_n_rows(inputs) + 1);
    }
    print_names(job, features);
    if (qn_job_option(job, "affine") != NULL) {
      goto done;
    }
    QN_TRY(qn_job_option(job, "sparse") != NULL ? print_sparse(features, inputs, is_bad, err)
                                                : print_dense(features, inputs, is_bad, err));
  }

done:
  qn_batch_free(inputs);
  free(is_bad);
  return status;
}

static qn_status run(qn_job *job, qn_error *err) {
  qn_status status = QN_OK;
  qn_features *fitted = NULL;
  qn_features *read = NULL;
  qn_buffer json = {0};
  const char *excluded[] = {qn_job_option(job, "exclude"), NULL};
  const char *predict = qn_job_option(job, "predict");

  qn_dataset *data = read_files(job, qn_job_inputs(job));
  QN_TRY(qn_features_fit(data, qn_job_option(job, "features"), excluded, 2,
                         qn_job_option(job, "missing") != NULL, &fitted, err));
  if (predict == NULL) {
    QN_TRY(print_rows(job, fitted, data, err));
    goto done;
  }
  QN_TRY(qn_features_encode(fitted, &json, err));
  QN_TRY(qn_features_decode((const char *)json.data, &read, err));
  QN_TRY(print_rows(job, read, read_files(job, predict), err));

done:
  qn_features_free(fitted);
  qn_features_free(read);
  qn_buffer_release(&json);
  return status;
}

int features_driver_main(int argc, char **argv);

int features_driver_main(int argc, char **argv) {
  const qn_job_about about = {.name = "features_driver",
                              .summary = "Prints the numbers that feature steps make",
                              .arguments = "FILE...",
                              .options = options};
  qn_job *job = qn_job_open(argc, argv, &about);
  qn_error err = {0};
  if (qn_job_status(job, NULL) == QN_OK && run(job, &err) != QN_OK && err.message[0] != '\0') {
    qn_job_fail(job, "%s", err.message);
  }
  return qn_job_close(job);
}
