// SPDX-License-Identifier: Apache-2.0
// The options that every training takes.
#include "cli/training_options.h"

#include <stddef.h>

#include "cli/input_data.h"

const qn_option quern_training_options[] = {
    {.name = "label", .argument = "COLUMN", .help = "column to learn"},
    {.name = "features",
     .argument = "LIST",
     .help = "as 'age, one_hot(state), standardise(income)' (default: all other columns)"},
    {.name = "weight", .argument = "COLUMN", .help = "column of weights of the rows"},
    {.name = "seed", .argument = "N", .fallback = "0", .help = "of all that is random"},
    {.name = "float32", .help = "hold features as float32: half the memory"},
    {.name = "exact", .help = "the same bits on any number of ranks"},
    {.name = "checkpoint",
     .argument = "FILE",
     .help = "keep the state there while training; if it is there, go on from it"},
    {.name = "checkpoint-steps", .argument = "N", .fallback = "10", .help = "steps from one to the next"},
    {.name = "report", .argument = "SECONDS", .fallback = "1", .help = "between lines on progress; -1: none"},
    {.name = NULL},
};

qn_training quern_training_of(qn_job *job) {
  const char *features = qn_job_option(job, "features");
  return (qn_training){
      .label = qn_job_option(job, "label"),
      .features = features != NULL ? features : quern_data_features(job),
      .weight = qn_job_option(job, "weight"),
      .seed = (uint64_t)qn_job_option_int64(job, "seed", 0, INT64_MAX),
      .float32 = qn_job_option(job, "float32") != NULL,
      .exact = qn_job_option(job, "exact") != NULL,
      .checkpoint = qn_job_option(job, "checkpoint"),
      .checkpoint_steps = qn_job_option_int64(job, "checkpoint-steps", 1, INT64_MAX),
      .report_seconds = qn_job_option_float64(job, "report", -1, 1e9),
  };
}
