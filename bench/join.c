// SPDX-License-Identifier: Apache-2.0
// The five join questions of the db-benchmark; each result is summed up in one row.
#include <stdio.h>
#include <string.h>
#include <quern/quern.h>

typedef struct question {
  const char *name;
  const char *right; // the stage that jx is joined with
  const char *on;
  qn_join_kind kind;
} question;

static const question questions[] = {
    {"q1", "small", "id1", QN_JOIN_INNER}, {"q2", "medium", "id2", QN_JOIN_INNER},
    {"q3", "medium", "id2", QN_JOIN_LEFT}, {"q4", "medium", "id5", QN_JOIN_INNER},
    {"q5", "big", "id3", QN_JOIN_INNER},
};
enum { N_QUESTIONS = sizeof questions / sizeof *questions };

static qn_dataset *read_table(qn_job *job, const char *name) {
  char path[4096];
  const char *folder = qn_job_inputs(job);
  snprintf(path, sizeof path, "%s/%s", folder == NULL ? "" : folder, name);
  return qn_read_stage(job, path);
}

static void answer(qn_job *job, const char *task) {
  for (int i = 0; i < N_QUESTIONS; i++) {
    if (strcmp(task, questions[i].name) == 0) {
      qn_dataset *rows = qn_join(read_table(job, "jx"), read_table(job, questions[i].right),
                                 questions[i].kind, questions[i].on, NULL);
      qn_write(qn_reduce(rows, NULL, "count(*) as rows, sum(v1) as a, sum(v2) as b"), qn_job_output(job));
      return;
    }
  }
  qn_job_fail(job, "there is no question '%s'", task);
}

int main(int argc, char **argv) {
  static const qn_option options[] = {
      {.name = "task", .argument = "NAME", .help = "q1 to q5", .is_required = true},
      {.name = NULL},
  };
  static const qn_job_about about = {
      .name = "join", .arguments = "FOLDER", .output = "result.csv", .options = options};
  qn_job *job = qn_job_open(argc, argv, &about);

  if (qn_job_status(job, NULL) == QN_OK && qn_job_option(job, "task") != NULL) {
    answer(job, qn_job_option(job, "task"));
  }
  return qn_job_close(job);
}
