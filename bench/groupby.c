// SPDX-License-Identifier: Apache-2.0
// The ten group-by questions of the db-benchmark, and distinct rows, distinct values and the first rows of an
// order over the same table; each result is summed up in one row.
#include <stdio.h>
#include <string.h>
#include <quern/quern.h>

typedef struct question {
  const char *name, *keys, *aggregates;
  const char *sums; // of the result, besides its number of rows
} question;

static const question questions[] = {
    {"q1", "id1", "sum(v1) as v1", "sum(v1) as a"},
    {"q2", "id1, id2", "sum(v1) as v1", "sum(v1) as a"},
    {"q3", "id3", "sum(v1) as v1, avg(v3) as v3", "sum(v1) as a, sum(v3) as b"},
    {"q4", "id4", "avg(v1) as v1, avg(v2) as v2, avg(v3) as v3", "sum(v1) as a, sum(v2) as b, sum(v3) as c"},
    {"q5", "id6", "sum(v1) as v1, sum(v2) as v2, sum(v3) as v3", "sum(v1) as a, sum(v2) as b, sum(v3) as c"},
    {"q6", "id4, id5", "median(v3) as m, stddev(v3) as s", "sum(m) as a, sum(s) as b"},
    {"q9", "id2, id4", "corr(v1, v2) as r", "sum(r * r) as a"},
    {"q10", "id1, id2, id3, id4, id5, id6", "sum(v3) as v3, count(*) as n", "sum(v3) as a, sum(n) as b"},
    {"count_distinct", "id2", "count(distinct id6) as n", "sum(n) as a"},
};
enum { N_QUESTIONS = sizeof questions / sizeof *questions };

// The result of a question and, in *sums, what to sum of it.
static qn_dataset *ask(qn_job *job, qn_dataset *x, const char *name, const char **sums) {
  for (int i = 0; i < N_QUESTIONS; i++) {
    if (strcmp(name, questions[i].name) == 0) {
      *sums = questions[i].sums;
      return qn_reduce(x, questions[i].keys, questions[i].aggregates);
    }
  }
  if (strcmp(name, "q7") == 0) {
    *sums = "sum(range) as a";
    return qn_select(qn_reduce(x, "id3", "max(v1) as most, min(v2) as least"), "most - least as range");
  }
  if (strcmp(name, "q8") == 0) {
    *sums = "sum(v3) as a";
    return qn_filter(qn_window(qn_select(x, "id6, v3"), "id6", "v3 desc", "row_number() as place"),
                     "place <= 2");
  }
  if (strcmp(name, "distinct") == 0) {
    *sums = "sum(id4) as a, sum(id6) as b";
    return qn_distinct(qn_select(x, "id4, id6"), NULL);
  }
  if (strcmp(name, "top") == 0) {
    *sums = "sum(v3) as a, sum(id6) as b, sum(id4) as c";
    return qn_top(x, "v3 desc, id6, id4", 1000);
  }
  qn_job_fail(job, "there is no question '%s'", name);
  return x;
}

int main(int argc, char **argv) {
  static const qn_option options[] = {
      {.name = "task",
       .argument = "NAME",
       .help = "q1 to q10, distinct, count_distinct or top",
       .is_required = true},
      {.name = NULL},
  };
  static const qn_job_about about = {
      .name = "groupby", .arguments = "STAGE", .output = "result.csv", .options = options};
  qn_job *job = qn_job_open(argc, argv, &about);
  const char *sums = "";
  char all[128];

  if (qn_job_status(job, NULL) == QN_OK && qn_job_option(job, "task") != NULL) {
    qn_dataset *rows = ask(job, qn_read_stage(job, qn_job_inputs(job)), qn_job_option(job, "task"), &sums);
    snprintf(all, sizeof all, "count(*) as rows, %s", sums);
    qn_write(qn_reduce(rows, NULL, all), qn_job_output(job));
  }
  return qn_job_close(job);
}
