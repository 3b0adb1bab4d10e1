// SPDX-License-Identifier: Apache-2.0
// Learns what users like from their ratings, by alternating least squares, and recommends titles to each.
//
//   quern generate movies --events 1000000 --output movies
//   mpirun -n 4 train_als --data movies/ratings.csv --output recommendations
#include <stdio.h>
#include <quern/quern.h>

int main(int argc, char **argv) {
  static const qn_option options[] = {
      {.name = "data", .argument = "FILES", .help = "CSV with a row for each rating", .is_required = true},
      {.name = "user", .argument = "COLUMN", .fallback = "userId", .help = "who"},
      {.name = "item", .argument = "COLUMN", .fallback = "movieId", .help = "what"},
      {.name = "rating", .argument = "COLUMN", .fallback = "rating", .help = "how good, or how often"},
      {.name = "implicit", .help = "ratings say how often or how much, not how good"},
      {.name = "k", .argument = "N", .fallback = "16", .help = "factors"},
      {.name = "l2", .argument = "X", .fallback = "0.1", .help = "penalty on their squares"},
      {.name = "best", .argument = "N", .fallback = "10", .help = "recommendations for each user"},
      {.name = "seed",
       .argument = "N",
       .fallback = "1",
       .help = "of the beginning, and of the rows to test on"},
      {.name = NULL},
  };
  static const qn_job_about about = {.name = "train_als",
                                     .summary = "Learns taste from ratings; writes model.h5 and best.csv.",
                                     .output = "als-results",
                                     .options = options};
  qn_job *job = qn_job_open(argc, argv, &about);
  const uint64_t seed = (uint64_t)qn_job_option_int64(job, "seed", 0, INT64_MAX);
  qn_als_options wanted = qn_als_defaults();
  qn_dataset *train = NULL;
  qn_dataset *test = NULL;
  qn_metrics metrics = {0};
  char features[512];

  wanted.k = qn_job_option_int64(job, "k", 1, 1024);
  wanted.l2 = qn_job_option_float64(job, "l2", 0, 1e9);
  wanted.implicit = qn_job_option(job, "implicit") != NULL;
  snprintf(features, sizeof features, "%s, %s", qn_job_option(job, "user"), qn_job_option(job, "item"));
  qn_split(qn_read_csv(job, qn_job_option(job, "data"), NULL), 0.1, seed, &train, &test);
  const qn_training how = {.label = qn_job_option(job, "rating"), .features = features, .seed = seed};
  qn_model *model = qn_fit_als(train, &how, &wanted);

  qn_evaluate(test, model, &metrics, NULL);
  qn_model_note(model, "test", &metrics);
  qn_model_save(model, qn_job_output_path(job, "model.h5"));
  qn_write(qn_recommend(model, qn_job_option_int64(job, "best", 1, 1000)),
           qn_job_output_path(job, "best.csv"));
  for (int i = 0; i < metrics.n; i++) {
    qn_job_print(job, "%-12s %.6g\n", metrics.values[i].name, metrics.values[i].value);
  }
  qn_job_print(job, "%s/model.h5\n%s/best.csv\n", qn_job_output(job), qn_job_output(job));
  return qn_job_close(job);
}
