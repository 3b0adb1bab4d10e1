// SPDX-License-Identifier: Apache-2.0
// CSV into a stage, a stage into CSV, and an aggregate straight from CSV.
#include <string.h>
#include <quern/quern.h>

int main(int argc, char **argv) {
  static const qn_option options[] = {
      {.name = "task", .argument = "NAME", .help = "ingest, write or aggregate", .is_required = true},
      {.name = "schema", .argument = "COLUMNS", .help = "ingest: names and types (default: found out)"},
      {.name = NULL},
  };
  static const qn_job_about about = {
      .name = "csv", .arguments = "INPUT", .output = "result", .options = options};
  qn_job *job = qn_job_open(argc, argv, &about);
  const char *task = qn_job_option(job, "task");
  const char *input = qn_job_inputs(job);
  const qn_csv_options format = {.schema = qn_job_option(job, "schema")};

  if (task != NULL && strcmp(task, "ingest") == 0) {
    qn_stage(qn_read_csv(job, input, &format), qn_job_output(job));
  } else if (task != NULL && strcmp(task, "write") == 0) {
    qn_write_csv(qn_read_stage(job, input), qn_job_output(job), NULL);
  } else if (task != NULL && strcmp(task, "aggregate") == 0) {
    qn_dataset *titles = qn_reduce(qn_read_csv(job, input, NULL), "movieId",
                                   "count(*) as n, sum(rating) as total, max(timestamp) as latest");
    qn_write_csv(qn_sort(titles, "movieId"), qn_job_output(job), NULL);
  } else {
    qn_job_fail(job, "there is no task '%s'", task == NULL ? "" : task);
  }
  return qn_job_close(job);
}
