// SPDX-License-Identifier: Apache-2.0
// Sorts the lines of a text file into another, or staged rows of a text and a number into a stage.
#include <string.h>
#include <quern/quern.h>

int main(int argc, char **argv) {
  static const qn_option options[] = {
      {.name = "task", .argument = "NAME", .help = "lines or rows", .is_required = true},
      {.name = NULL},
  };
  static const qn_job_about about = {
      .name = "sort", .arguments = "INPUT", .output = "sorted", .options = options};
  qn_job *job = qn_job_open(argc, argv, &about);
  const char *task = qn_job_option(job, "task");

  if (task != NULL && strcmp(task, "lines") == 0) {
    qn_write_csv(qn_sort(qn_read_text(job, qn_job_inputs(job)), "line"), qn_job_output(job), NULL);
  } else if (task != NULL && strcmp(task, "rows") == 0) {
    qn_stage(qn_sort(qn_read_stage(job, qn_job_inputs(job)), "name, value"), qn_job_output(job));
  } else {
    qn_job_fail(job, "there is no task '%s'", task == NULL ? "" : task);
  }
  return qn_job_close(job);
}
