// SPDX-License-Identifier: Apache-2.0
// quern search ESTIMATOR: tries options by cross-validation, fits the best on all rows, and writes that
// model.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quern/quern.h>
#include <quern/train.h>

#include "cli/command.h"
#include "cli/input_data.h"
#include "cli/option_table.h"
#include "cli/training_options.h"

static const qn_option search_options[] = {
    {.name = "grid",
     .argument = "TEXT",
     .help = "values to try, all combinations: 'l2=0.01,0.1,1 max_iterations=100'"},
    {.name = "random",
     .argument = "N",
     .help = "draw so many candidates from the grid, in which 'l2=1e-6..1' is a range"},
    {.name = "folds",
     .argument = "N",
     .fallback = "5",
     .help = "parts of the cross-validation; 1: one split"},
    {.name = "metric",
     .argument = "NAME",
     .help = "what is best (default: rmse, log_loss or accuracy; silhouette, log_likelihood of mixtures, "
             "explained_variance of components, ndcg of implicit ratings)"},
    {.name = "results", .argument = "PATH", .help = "write all candidates there"},
    {.name = NULL},
};

static void search(qn_job *job, const char *estimator) {
  char fixed[4096];
  char grid[8192];
  const char *given = qn_job_option(job, "grid");
  const qn_training how = quern_training_of(job);
  qn_dataset *results = NULL;
  qn_metrics metrics = {0};

  quern_options_text(job, estimator, fixed, sizeof fixed);
  snprintf(grid, sizeof grid, "%s %s", given == NULL ? "" : given, fixed);
  const bool is_random = qn_job_option(job, "random") != NULL;
  const qn_search_options options = {
      .grid = grid,
      .n_random = is_random ? qn_job_option_int64(job, "random", 1, 1000000) : 0,
      .folds = (int)qn_job_option_int64(job, "folds", 1, 1000),
      .metric = qn_job_option(job, "metric"),
  };
  qn_model *model = qn_search(quern_read_data(job), estimator, &how, &options, &results);
  if (qn_job_option(job, "results") != NULL) {
    qn_write(results, qn_job_option(job, "results"));
  }
  if (results != NULL) {
    qn_show(results, 20);
  }
  qn_model_save(model, qn_job_output(job));
  qn_model_metrics(model, &metrics);
  quern_print_metrics(job, &metrics);
  qn_job_print(job, "%s\n", qn_job_output(job));
}

static int print_usage(bool is_help) {
  FILE *out = is_help ? stdout : stderr;

  fprintf(out, "usage: mpirun -n RANKS quern search ESTIMATOR --data PATH [--label COLUMN] --grid TEXT "
               "[OPTION...]\n"
               "Tries options, and writes the best model.\n\nEstimators:\n");
  quern_print_estimators(out);
  fprintf(out, "\n`quern search ESTIMATOR --help` lists the options.\n");
  return is_help ? 0 : 2;
}

int quern_search(int argc, char **argv) {
  quern_option_table table = {0};
  char name[80];

  if (argc < 2 || argv[1][0] == '-') {
    return print_usage(argc == 2 && strcmp(argv[1], "--help") == 0);
  }
  const char *estimator = argv[1];
  if (quern_estimator_summary(estimator) == NULL) {
    return quern_refuse_estimator("quern search", argv, estimator);
  }
  snprintf(name, sizeof name, "quern search %s", estimator);
  quern_options_add(&table, quern_data_options);
  quern_options_add(&table, search_options);
  quern_options_add(&table, quern_training_options);
  quern_options_add_estimator(&table, estimator);
  char **arguments = quern_options_dashed(argc - 1, argv + 1);
  const qn_job_about about = {.name = name,
                              .summary = "Tries options by cross-validation, fits the best on all rows.",
                              .output = "model.h5",
                              .options = table.options};
  qn_job *job = qn_job_open(argc - 1, arguments == NULL ? argv + 1 : arguments, &about);

  search(job, estimator);
  const int exit_code = qn_job_close(job);
  free(arguments);
  return exit_code;
}
