// SPDX-License-Identifier: Apache-2.0
// For als_test.py: trains a recommender on ratings "user, item, rating" and writes its model, predictions for
// other ratings and recommendations.
#include <stdio.h>
#include <string.h>
#include <quern/quern.h>
#include <quern/train.h>

static void apply(qn_job *job, qn_model *model, const char *schema) {
  const char *test = qn_job_option(job, "test");
  const char *best = qn_job_option(job, "recommend");
  const qn_csv_options format = {.schema = schema};

  if (test != NULL) {
    qn_write(qn_sort(qn_predict(qn_read_csv(job, test, &format), model), "\"user\", item"),
             qn_job_output_path(job, "predictions.csv"));
  }
  if (best != NULL) {
    qn_write(
        qn_sort(qn_recommend(model, qn_job_option_int64(job, "recommend", 0, 1000000000)), "\"user\", rank"),
        qn_job_output_path(job, "recommendations.csv"));
  }
}

int als_driver_main(int argc, char **argv);

int als_driver_main(int argc, char **argv) {
  static const qn_option options[] = {
      {.name = "schema",
       .argument = "TEXT",
       .fallback = "user int64, item int64, rating float64",
       .help = "columns"},
      {.name = "train", .argument = "FILE", .help = "ratings to learn from"},
      {.name = "model", .argument = "FILE", .help = "a model to load instead"},
      {.name = "test", .argument = "FILE", .help = "ratings to predict"},
      {.name = "recommend", .argument = "N", .help = "items for each user"},
      {.name = "features", .argument = "TEXT", .fallback = "user, item", .help = "columns of user and item"},
      {.name = "label", .argument = "NAME", .fallback = "rating", .help = "column of ratings; none: no such"},
      {.name = "options", .argument = "TEXT", .fallback = "", .help = "of the estimator"},
      {.name = "seed", .argument = "N", .fallback = "1", .help = "of the first factors"},
      {.name = "checkpoint", .argument = "FILE", .help = "to keep the state in"},
      {.name = NULL},
  };
  static const qn_job_about about = {.name = "als_driver", .output = "als-driver", .options = options};
  qn_job *job = qn_job_open(argc, argv, &about);
  const char *schema = qn_job_option(job, "schema");
  const char *label = qn_job_option(job, "label");
  const char *loaded = qn_job_option(job, "model");
  const qn_csv_options format = {.schema = schema};
  const qn_training how = {.features = qn_job_option(job, "features"),
                           .label = label == NULL || strcmp(label, "none") == 0 ? NULL : label,
                           .seed = (uint64_t)qn_job_option_int64(job, "seed", 0, 1000000000),
                           .checkpoint = qn_job_option(job, "checkpoint"),
                           .checkpoint_steps = 2,
                           .report_seconds = 0.001};
  qn_model *model = loaded != NULL ? qn_model_load(job, loaded)
                                   : qn_fit(qn_read_csv(job, qn_job_option(job, "train"), &format), "als",
                                            &how, qn_job_option(job, "options"));
  qn_model_save(model, qn_job_output_path(job, "model.h5"));
  apply(job, model, schema);
  return qn_job_close(job);
}
