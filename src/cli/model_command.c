// SPDX-License-Identifier: Apache-2.0
// What is done with a trained model: predict, evaluate, show what is in it, export it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quern/model.h>
#include <quern/quern.h>

#include "cli/command.h"
#include "cli/input_data.h"
#include "cli/option_table.h"

static const qn_option model_options[] = {
    {.name = "model", .argument = "FILE", .help = "as `quern train` writes it", .is_required = true},
    {.name = NULL},
};

// Opens a job with --model, the options of data if they are wanted, and those of `own`.
static qn_job *open_job(int argc, char **argv, qn_job_about *about, quern_option_table *table,
                        bool takes_data, const qn_option *own, char ***arguments) {
  quern_options_add(table, model_options);
  if (takes_data) {
    quern_options_add(table, quern_data_options);
  }
  if (own != NULL) {
    quern_options_add(table, own);
  }
  about->options = table->options;
  *arguments = quern_options_dashed(argc, argv);
  return qn_job_open(argc, *arguments == NULL ? argv : *arguments, about);
}

static int close_job(qn_job *job, char **arguments) {
  const int exit_code = qn_job_close(job);
  free(arguments);
  return exit_code;
}

// NULL without --model: then the job has failed already.
static qn_model *load(qn_job *job) {
  return qn_model_load(job, qn_job_option(job, "model"));
}

int quern_predict(int argc, char **argv) {
  qn_job_about about = {.name = "quern predict",
                        .summary =
                            "Writes the rows with the columns that a model adds to them, in their order.",
                        .output = "predictions.csv"};
  quern_option_table table = {0};
  char **arguments = NULL;
  qn_job *job = open_job(argc, argv, &about, &table, true, NULL, &arguments);

  qn_model *model = load(job);
  qn_write(qn_predict(quern_read_data(job), model), qn_job_output(job));
  qn_job_print(job, "%s\n", qn_job_output(job));
  return close_job(job, arguments);
}

int quern_evaluate(int argc, char **argv) {
  static const qn_option own[] = {
      {.name = "confusion", .help = "show for classes how often which is taken for which"},
      {.name = "weight",
       .argument = "COLUMN",
       .help = "weights of the rows (default: those of the training)"},
      {.name = "no-weight", .help = "each row counts 1"},
      {.name = NULL},
  };
  qn_job_about about = {.name = "quern evaluate", .summary = "Judges a model on rows that have the label."};
  quern_option_table table = {0};
  char **arguments = NULL;
  qn_job *job = open_job(argc, argv, &about, &table, true, own, &arguments);
  qn_metrics metrics = {0};
  qn_dataset *confusion = NULL;

  qn_model *model = load(job);
  qn_dataset *data = quern_read_data(job);
  const char *weight = qn_job_option(job, "weight");
  if (weight != NULL || qn_job_option(job, "no-weight") != NULL) {
    qn_evaluate_weighted(data, model, weight, &metrics, &confusion);
  } else {
    qn_evaluate(data, model, &metrics, &confusion);
  }
  quern_print_metrics(job, &metrics);
  if (qn_job_option(job, "confusion") != NULL && confusion != NULL) {
    qn_show(confusion, 1000);
  }
  return close_job(job, arguments);
}

int quern_export_onnx(int argc, char **argv) {
  qn_job_about about = {.name = "quern export-onnx",
                        .summary = "Writes a model as ONNX, for other programs to predict with.",
                        .output = "model.onnx"};
  quern_option_table table = {0};
  char **arguments = NULL;
  qn_job *job = open_job(argc, argv, &about, &table, false, NULL, &arguments);

  qn_model_export_onnx(load(job), qn_job_output(job));
  qn_job_print(job, "%s\n", qn_job_output(job));
  return close_job(job, arguments);
}

int quern_model(int argc, char **argv) {
  static const qn_job_about about = {.name = "quern model show",
                                     .only_looks = true,
                                     .summary = "Shows estimator, options, features, classes and metrics.",
                                     .arguments = "MODEL..."};
  if (argc < 2 || strcmp(argv[1], "show") != 0) {
    const bool is_help = argc == 2 && strcmp(argv[1], "--help") == 0;
    fprintf(is_help ? stdout : stderr,
            "usage: quern model show MODEL...\nShows what is in a trained model.\n");
    return is_help ? 0 : 2;
  }
  qn_job *job = qn_job_open(argc - 1, argv + 1, &about);
  const char *rest = qn_job_inputs(job);

  while (rest != NULL && *rest != '\0') {
    char path[4096];
    const size_t size = strcspn(rest, "\n");
    snprintf(path, sizeof path, "%.*s", (int)size, rest);
    qn_model_show(qn_model_load(job, path), stdout);
    rest += size + (rest[size] == '\n');
  }
  return qn_job_close(job);
}
