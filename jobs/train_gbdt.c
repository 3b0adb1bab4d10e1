// SPDX-License-Identifier: Apache-2.0
// Learns a class or a number from a table by gradient-boosted trees, which need no scaled features and take
// rows with missing values. Stops when held-out rows get no better.
//
//   mpirun -n 4 train_gbdt --data houses.csv --label price --numbers --output price.h5
#include <quern/quern.h>

int main(int argc, char **argv) {
  static const qn_option options[] = {
      {.name = "data", .argument = "FILES", .help = "CSV with a header", .is_required = true},
      {.name = "label", .argument = "COLUMN", .help = "what to learn", .is_required = true},
      {.name = "numbers", .help = "the label is a number to come close to, not a class"},
      {.name = "features",
       .argument = "LIST",
       .help = "as 'age, one_hot(state)' (default: all other columns, texts as one_hot)"},
      {.name = "trees", .argument = "N", .fallback = "200", .help = "rounds at most"},
      {.name = "rate", .argument = "X", .fallback = "0.1", .help = "learning rate"},
      {.name = "leaves", .argument = "N", .fallback = "31", .help = "of a tree"},
      {.name = "patience", .argument = "N", .fallback = "20", .help = "rounds without gain before it stops"},
      {.name = "seed", .argument = "N", .fallback = "1", .help = "of all that is random"},
      {.name = NULL},
  };
  static const qn_job_about about = {.name = "train_gbdt",
                                     .summary = "Learns a class or a number, by gradient-boosted trees.",
                                     .output = "gbdt.h5",
                                     .options = options};
  qn_job *job = qn_job_open(argc, argv, &about);
  const uint64_t seed = (uint64_t)qn_job_option_int64(job, "seed", 0, INT64_MAX);
  qn_gbdt_options wanted = qn_gbdt_defaults();
  qn_dataset *train = NULL;
  qn_dataset *test = NULL;
  qn_metrics metrics = {0};

  wanted.task = qn_job_option(job, "numbers") != NULL ? QN_TREES_REGRESSION : QN_TREES_CLASSIFICATION;
  wanted.n_trees = qn_job_option_int64(job, "trees", 1, 100000);
  wanted.learning_rate = qn_job_option_float64(job, "rate", 1e-6, 1);
  wanted.max_leaves = qn_job_option_int64(job, "leaves", 2, 65535);
  wanted.early_stopping = qn_job_option_int64(job, "patience", 0, 100000);
  qn_split(qn_read_csv(job, qn_job_option(job, "data"), NULL), 0.2, seed, &train, &test);
  const qn_training how = {
      .label = qn_job_option(job, "label"), .features = qn_job_option(job, "features"), .seed = seed};
  qn_model *model = qn_fit_gbdt(train, &how, &wanted);

  qn_evaluate(test, model, &metrics, NULL);
  qn_model_note(model, "test", &metrics);
  qn_model_save(model, qn_job_output(job));
  for (int i = 0; i < metrics.n; i++) {
    qn_job_print(job, "%-10s %.6g\n", metrics.values[i].name, metrics.values[i].value);
  }
  qn_job_print(job, "%s\n", qn_job_output(job));
  return qn_job_close(job);
}
