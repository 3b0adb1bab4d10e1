// SPDX-License-Identifier: Apache-2.0
// quern train ESTIMATOR: fits a model to the rows of a file and writes it. Every option of the estimator is
// one of the command.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <quern/quern.h>
#include <quern/train.h>

#include "cli/command.h"
#include "cli/input_data.h"
#include "cli/option_table.h"
#include "cli/training_options.h"

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void train(qn_job *job, const char *estimator) {
  char options[4096];
  const qn_training how = quern_training_of(job);
  const double fraction = qn_job_option_float64(job, "test-fraction", 0, 1);
  qn_dataset *data = quern_read_data(job);
  qn_dataset *test = NULL;
  qn_metrics metrics = {0};

  quern_options_text(job, estimator, options, sizeof options);
  if (fraction > 0) {
    qn_split(data, fraction, how.seed, &data, &test);
  }
  const double start = now();
  qn_model *model = qn_fit(data, estimator, &how, options);
  const double end = now();
  if (test != NULL && qn_evaluate(test, model, &metrics, NULL) == QN_OK) {
    qn_model_note(model, "test", &metrics);
  }
  qn_model_save(model, qn_job_output(job));
  qn_model_metrics(model, &metrics);
  quern_print_metrics(job, &metrics);
  qn_job_print(job, "  %-20s %.3f\n", "seconds", end - start);
  qn_job_print(job, "%s\n", qn_job_output(job));
}

static int print_usage(bool is_help) {
  FILE *out = is_help ? stdout : stderr;

  fprintf(out, "usage: mpirun -n RANKS quern train ESTIMATOR --data PATH [--label COLUMN] [OPTION...]\n"
               "Fits a model and writes it to a file.\n\nEstimators:\n");
  quern_print_estimators(out);
  fprintf(out, "\n`quern train ESTIMATOR --help` lists the options.\n");
  return is_help ? 0 : 2;
}

int quern_train(int argc, char **argv) {
  static const qn_option own[] = {
      {.name = "test-fraction",
       .argument = "F",
       .fallback = "0",
       .help = "share of the rows to keep apart and to judge the model on"},
      {.name = NULL},
  };
  quern_option_table table = {0};
  char name[80];
  char summary[240];

  if (argc < 2 || argv[1][0] == '-') {
    return print_usage(argc == 2 && strcmp(argv[1], "--help") == 0);
  }
  const char *estimator = argv[1];
  const char *about_estimator = quern_estimator_summary(estimator);
  if (about_estimator == NULL) {
    return quern_refuse_estimator("quern train", argv, estimator);
  }
  snprintf(name, sizeof name, "quern train %s", estimator);
  snprintf(summary, sizeof summary, "%s", about_estimator);
  quern_options_add(&table, quern_data_options);
  quern_options_add(&table, quern_training_options);
  quern_options_add(&table, own);
  quern_options_add_estimator(&table, estimator);
  char **arguments = quern_options_dashed(argc - 1, argv + 1);
  const qn_job_about about = {
      .name = name, .summary = summary, .output = "model.h5", .options = table.options};
  qn_job *job = qn_job_open(argc - 1, arguments == NULL ? argv + 1 : arguments, &about);

  train(job, estimator);
  const int exit_code = qn_job_close(job);
  free(arguments);
  return exit_code;
}
