// SPDX-License-Identifier: Apache-2.0
// Learns a class from a table: logistic regression (softmax with more than two classes) on standardised
// numbers and one_hot texts, judged on rows that it has not seen.
//
//   mpirun -n 4 train_logistic --data census.csv --label income --output income.h5
#include <quern/quern.h>

int main(int argc, char **argv) {
  static const qn_option options[] = {
      {.name = "data", .argument = "FILES", .help = "CSV with a header", .is_required = true},
      {.name = "label", .argument = "COLUMN", .help = "the class to learn", .is_required = true},
      {.name = "features",
       .argument = "LIST",
       .help = "as 'standardise(age), one_hot(state)' (default: all columns, texts as one_hot)"},
      {.name = "l2", .argument = "X", .fallback = "1e-4", .help = "penalty on the squares of coefficients"},
      {.name = "test", .argument = "F", .fallback = "0.2", .help = "share of the rows to judge the model on"},
      {.name = "seed", .argument = "N", .fallback = "1", .help = "which rows these are"},
      {.name = NULL},
  };
  static const qn_job_about about = {.name = "train_logistic",
                                     .summary = "Learns a class from a table, by logistic regression.",
                                     .output = "logistic.h5",
                                     .options = options};
  qn_job *job = qn_job_open(argc, argv, &about);
  const uint64_t seed = (uint64_t)qn_job_option_int64(job, "seed", 0, INT64_MAX);
  const double test_share = qn_job_option_float64(job, "test", 0.01, 0.99);
  qn_logistic_options wanted = qn_logistic_defaults();
  qn_dataset *train = NULL;
  qn_dataset *test = NULL;
  qn_dataset *confusion = NULL;
  qn_metrics metrics = {0};

  wanted.l2 = qn_job_option_float64(job, "l2", 0, 1e9);
  qn_dataset *rows = qn_read_csv(job, qn_job_option(job, "data"), NULL);
  qn_split(rows, test_share, seed, &train, &test);
  const qn_training how = {
      .label = qn_job_option(job, "label"), .features = qn_job_option(job, "features"), .seed = seed};
  qn_model *model = qn_fit_logistic(train, &how, &wanted);

  qn_evaluate(test, model, &metrics, &confusion);
  qn_model_note(model, "test", &metrics);
  qn_model_save(model, qn_job_output(job));
  for (int i = 0; i < metrics.n; i++) {
    qn_job_print(job, "%-10s %.6g\n", metrics.values[i].name, metrics.values[i].value);
  }
  qn_show(confusion, 100);
  qn_job_print(job, "%s\n", qn_job_output(job));
  return qn_job_close(job);
}
