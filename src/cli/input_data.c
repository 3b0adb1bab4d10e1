// SPDX-License-Identifier: Apache-2.0
// What the commands on models read and print.
#include "cli/input_data.h"

#include <string.h>
#include <sys/stat.h>

const qn_option quern_data_options[] = {
    {.name = "data",
     .argument = "PATH",
     .help = "file, folder or pattern with the rows",
     .is_required = true},
    {.name = "format", .argument = "WORD", .help = "csv, stage, libsvm or idx (default: by the name)"},
    {.name = "labels", .argument = "PATH", .help = "idx: the file of labels (column 'label')"},
    {.name = "schema",
     .argument = "TEXT",
     .help = "csv: columns to read, as 'age int64, state utf8' (default: all, types by the first rows)"},
    {.name = "no-header", .help = "csv: no names in the first line; columns are c1, c2, ..."},
    {.name = NULL},
};

static bool ends_with(const char *text, const char *end) {
  const size_t n_text = strlen(text);
  const size_t n_end = strlen(end);
  return n_text >= n_end && strcmp(text + n_text - n_end, end) == 0;
}

// By what the path is called; a folder with a manifest is a staged dataset.
static const char *guess_format(const char *path) {
  char manifest[4096];
  struct stat found;

  snprintf(manifest, sizeof manifest, "%s/manifest.json", path);
  if (ends_with(path, ".h5") || stat(manifest, &found) == 0) {
    return "stage";
  }
  if (ends_with(path, ".libsvm") || ends_with(path, ".svm")) {
    return "libsvm";
  }
  return strstr(path, "idx3-ubyte") != NULL || ends_with(path, ".idx") ? "idx" : "csv";
}

static const char *format_of(const qn_job *job) {
  const char *path = qn_job_option(job, "data");
  const char *format = qn_job_option(job, "format");
  return format != NULL || path == NULL ? format : guess_format(path);
}

const char *quern_data_features(const qn_job *job) {
  const char *format = format_of(job);
  if (format == NULL) {
    return NULL;
  }
  return strcmp(format, "libsvm") == 0 ? "sparse(features)"
         : strcmp(format, "idx") == 0  ? "pixels(pixels)"
                                       : NULL;
}

qn_dataset *quern_read_data(qn_job *job) {
  const char *path = qn_job_option(job, "data");
  const char *format = format_of(job);
  const qn_csv_options options = {.schema = qn_job_option(job, "schema"),
                                  .no_header = qn_job_option(job, "no-header") != NULL};

  if (path == NULL || format == NULL) { // the job has failed already
    path = path == NULL ? "" : path;
    format = "csv";
  }
  if (strcmp(format, "stage") == 0) {
    return qn_read_stage(job, path);
  }
  if (strcmp(format, "libsvm") == 0) {
    return qn_read_libsvm(job, path);
  }
  if (strcmp(format, "idx") == 0) {
    return qn_read_idx(job, path, qn_job_option(job, "labels"));
  }
  if (strcmp(format, "csv") != 0) {
    qn_job_fail(job, "--format: '%s' is none of csv, stage, libsvm, idx", format);
  }
  return qn_read_csv(job, path, &options);
}

void quern_print_metrics(qn_job *job, const qn_metrics *metrics) {
  for (int i = 0; i < metrics->n; i++) {
    qn_job_print(job, "  %-20s %.10g\n", metrics->values[i].name, metrics->values[i].value);
  }
}
