// SPDX-License-Identifier: Apache-2.0
// Tries options of any estimator by cross-validation, several side by side on groups of ranks, and writes the
// model of the best, fitted on all rows, with the table of all that was tried.
//
//   mpirun -n 4 train_grid_search --data census.csv --label income --estimator logistic --grid 'l2=0.001,0.1'
#include <quern/quern.h>

int main(int argc, char **argv) {
  static const qn_option options[] = {
      {.name = "data", .argument = "FILES", .help = "CSV with a header", .is_required = true},
      {.name = "label", .argument = "COLUMN", .help = "what to learn", .is_required = true},
      {.name = "estimator", .argument = "NAME", .fallback = "logistic", .help = "see `quern train --help`"},
      {.name = "features",
       .argument = "LIST",
       .help = "as 'standardise(age), one_hot(state)' (default: all columns, texts as one_hot)"},
      {.name = "grid",
       .argument = "TEXT",
       .fallback = "l2=1e-5,1e-4,1e-3,1e-2",
       .help = "values to try, as 'l2=0.1,1 max_iterations=50', all combinations"},
      {.name = "random",
       .argument = "N",
       .fallback = "0",
       .help = "so many draws of ranges 'l2=1e-6..1' instead"},
      {.name = "folds", .argument = "N", .fallback = "5", .help = "parts of the cross-validation"},
      {.name = "metric", .argument = "NAME", .help = "what is best (default: rmse, log_loss or accuracy)"},
      {.name = "seed", .argument = "N", .fallback = "1", .help = "of folds, draws and fits"},
      {.name = NULL},
  };
  static const qn_job_about about = {.name = "train_grid_search",
                                     .summary = "Tries options; writes model.h5 and candidates.csv.",
                                     .output = "search-results",
                                     .options = options};
  qn_job *job = qn_job_open(argc, argv, &about);
  const qn_search_options search = {.grid = qn_job_option(job, "grid"),
                                    .n_random = qn_job_option_int64(job, "random", 0, 100000),
                                    .folds = (int)qn_job_option_int64(job, "folds", 1, 1000),
                                    .metric = qn_job_option(job, "metric")};
  const qn_training how = {.label = qn_job_option(job, "label"),
                           .features = qn_job_option(job, "features"),
                           .seed = (uint64_t)qn_job_option_int64(job, "seed", 0, INT64_MAX)};
  qn_dataset *candidates = NULL;

  qn_dataset *rows = qn_read_csv(job, qn_job_option(job, "data"), NULL);
  qn_model *best = qn_search(rows, qn_job_option(job, "estimator"), &how, &search, &candidates);
  qn_model_save(best, qn_job_output_path(job, "model.h5"));
  qn_write(candidates, qn_job_output_path(job, "candidates.csv"));
  qn_show(candidates, 20);
  qn_job_print(job, "%s/model.h5\n%s/candidates.csv\n", qn_job_output(job), qn_job_output(job));
  return qn_job_close(job);
}
