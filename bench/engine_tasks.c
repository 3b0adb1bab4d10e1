// SPDX-License-Identifier: Apache-2.0
// The engine tasks of bench.py, on staged data: --task stage reads facts.csv and dims.csv of a folder and
// stages them beside; the others read the stages of the folder.
#include <stdio.h>
#include <string.h>
#include <quern/quern.h>

enum { PATH_SIZE = 4096 };

static const char *in_folder(const char *folder, const char *name, char *path) {
  snprintf(path, PATH_SIZE, "%.*s/%s", (int)strcspn(folder, "\n"), folder, name);
  return path;
}

static qn_dataset *make_groups(qn_dataset *facts, const char *key) {
  qn_dataset *groups = qn_reduce(facts, key, "count(*) as n, sum(v) as total, max(x) as largest");
  return qn_reduce(groups, NULL,
                   "count(*) as groups, max(n) as n, max(total) as total, max(largest) as largest");
}

static void stage(qn_job *job, const char *folder, const char *name) {
  char from[PATH_SIZE], to[PATH_SIZE], file[64];
  snprintf(file, sizeof file, "%s.csv", name);
  qn_stage(qn_read_csv(job, in_folder(folder, file, from), NULL), in_folder(folder, name, to));
}

static void run_task(qn_job *job, const char *task, const char *folder) {
  char path[PATH_SIZE];
  if (strcmp(task, "stage") == 0) {
    stage(job, folder, "facts");
    stage(job, folder, "dims");
    return;
  }
  qn_dataset *facts = qn_read_stage(job, in_folder(folder, "facts", path));
  if (strcmp(task, "group_100") == 0) {
    qn_write(make_groups(facts, "few"), qn_job_output(job));
  } else if (strcmp(task, "group_1m") == 0) {
    qn_write(make_groups(facts, "many"), qn_job_output(job));
  } else if (strcmp(task, "join") == 0) {
    qn_dataset *dims = qn_read_stage(job, in_folder(folder, "dims", path));
    qn_dataset *pairs = qn_join(facts, dims, QN_JOIN_INNER, "many", NULL);
    qn_write(qn_reduce(pairs, NULL, "count(*) as n, sum(v * w) as total, max(x) as largest"),
             qn_job_output(job));
  } else if (strcmp(task, "sort") == 0) {
    qn_stage(qn_sort(facts, "v, many"), qn_job_output(job));
  } else {
    qn_job_fail(job, "there is no task '%s'", task);
  }
}

int main(int argc, char **argv) {
  static const qn_option options[] = {
      {.name = "task",
       .argument = "NAME",
       .help = "stage, group_100, group_1m, join or sort",
       .is_required = true},
      {.name = NULL},
  };
  static const qn_job_about about = {
      .name = "engine_tasks", .arguments = "FOLDER", .output = "result.csv", .options = options};
  qn_job *job = qn_job_open(argc, argv, &about);
  const char *task = qn_job_option(job, "task");
  const char *folder = qn_job_inputs(job);
  if (task != NULL && folder != NULL) {
    run_task(job, task, folder);
  }
  return qn_job_close(job);
}
