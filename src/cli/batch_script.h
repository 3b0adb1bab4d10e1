// SPDX-License-Identifier: Apache-2.0
// The script that `quern submit` gives to sbatch.
#pragma once
#include <stdbool.h>
#include <stdio.h>

typedef enum quern_launcher { QUERN_SRUN, QUERN_MPIRUN } quern_launcher;

/// What the script does. All texts are borrowed.
typedef struct quern_batch_job {
  const char *header;           // lines "#SBATCH ..." of the options given
  const char *program;          // an absolute path
  const char *const *arguments; // of the program, ended by NULL; in an array {task} is the task's number
  const char *directory;        // where it runs
  const char *log;              // what the absolute paths of its log and its run's folder begin with
  const char *run;              // the run's folder, absolute; NULL: `log`, a dash and the job's number
  const char *srun_options;     // "--mpi=pmix"
  quern_launcher launcher;
  int grace;        // seconds before the end at which the job is told to stop
  int max_restarts; // 0: a job that had to stop is not started again
  bool is_array;
  bool has_run;  // it leaves a folder
  bool is_bound; // Slurm can bind ranks to cores
} quern_batch_job;

/// Local. Writes the script.
void quern_write_batch_script(const quern_batch_job *job, FILE *out);

/// Local. Writes one word for bash, in quotes if it needs them.
void quern_write_word(const char *word, FILE *out);

/// Local. Writes the value of an option in a line "#SBATCH" and ends the line; in quotes if the value needs
/// them. With a `pattern` of Slurm's behind it, such as "-%j.log", a % in the value is only that.
void quern_write_header_value(const char *value, const char *pattern, FILE *out);
