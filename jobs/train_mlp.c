// SPDX-License-Identifier: Apache-2.0
// Learns a class by a network of layers: handwritten digits, say. Keeps its state in a checkpoint, so that a
// job that was ended goes on when it is started again, on any number of ranks.
//
//   mpirun -n 4 train_mlp --data digits.csv --label digit --layers '256 128' --output digits.h5
#include <quern/quern.h>

int main(int argc, char **argv) {
  static const qn_option options[] = {
      {.name = "data", .argument = "FILES", .help = "CSV with a header", .is_required = true},
      {.name = "label", .argument = "COLUMN", .help = "the class to learn", .is_required = true},
      {.name = "features",
       .argument = "LIST",
       .help = "as 'standardise(age), one_hot(state)' (default: all columns, texts as one_hot)"},
      {.name = "layers",
       .argument = "WIDTHS",
       .fallback = "100",
       .help = "of the hidden layers, as '512 512'"},
      {.name = "rate", .argument = "X", .fallback = "0.001", .help = "learning rate, of Adam"},
      {.name = "epochs", .argument = "N", .fallback = "50", .help = "times through all rows, at most"},
      {.name = "checkpoint", .argument = "FILE", .help = "keep the state there, and go on from it"},
      {.name = "seed", .argument = "N", .fallback = "1", .help = "of all that is random"},
      {.name = NULL},
  };
  static const qn_job_about about = {.name = "train_mlp",
                                     .summary = "Learns a class by a multilayer perceptron.",
                                     .output = "mlp.h5",
                                     .options = options};
  qn_job *job = qn_job_open(argc, argv, &about);
  const uint64_t seed = (uint64_t)qn_job_option_int64(job, "seed", 0, INT64_MAX);
  qn_mlp_options wanted = qn_mlp_defaults();
  qn_dataset *train = NULL;
  qn_dataset *test = NULL;
  qn_metrics metrics = {0};

  wanted.layers = qn_job_option(job, "layers");
  wanted.learning_rate = qn_job_option_float64(job, "rate", 1e-9, 10);
  wanted.max_epochs = qn_job_option_int64(job, "epochs", 1, 1000000);
  wanted.early_stopping = 5;
  qn_split(qn_read_csv(job, qn_job_option(job, "data"), NULL), 0.2, seed, &train, &test);
  const qn_training how = {.label = qn_job_option(job, "label"),
                           .features = qn_job_option(job, "features"),
                           .checkpoint = qn_job_option(job, "checkpoint"),
                           .seed = seed};
  qn_model *model = qn_fit_mlp(train, &how, &wanted);

  qn_evaluate(test, model, &metrics, NULL);
  qn_model_note(model, "test", &metrics);
  qn_model_save(model, qn_job_output(job));
  for (int i = 0; i < metrics.n; i++) {
    qn_job_print(job, "%-10s %.6g\n", metrics.values[i].name, metrics.values[i].value);
  }
  qn_job_print(job, "%s\n", qn_job_output(job));
  return qn_job_close(job);
}
