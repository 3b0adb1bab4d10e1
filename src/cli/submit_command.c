// SPDX-License-Identifier: Apache-2.0
// quern submit -- JOB ARGUMENTS: finds out how ranks are started on this cluster, writes the job's batch
// script, gives it to Slurm, and says how to follow the job.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/batch_script.h"
#include "cli/child.h"
#include "cli/command.h"
#include "cli/launchers.h"
#include "cli/submit_options.h"

enum { SUBMIT_SECONDS = 300 };

// What is put together for the script; all strings are owned.
typedef struct places {
  char *program, *directory, *runs, *log, *run, *header;
} places;

static void release(places *at) {
  free(at->program);
  free(at->directory);
  free(at->runs);
  free(at->log);
  free(at->run);
  free(at->header);
}

// Makes a folder and those above it.
static bool make_folder(const char *path) {
  char part[4096];
  for (const char *slash = path; slash != NULL;) {
    slash = strchr(slash + 1, '/');
    snprintf(part, sizeof part, "%.*s", slash == NULL ? (int)strlen(path) : (int)(slash - path), path);
    if (mkdir(part, 0777) != 0 && errno != EEXIST) {
      fprintf(stderr, "quern submit: cannot make the folder %s: %s\n", part, strerror(errno));
      return false;
    }
  }
  return true;
}

static int find_program(const char *name, char **out) {
  bool is_there = false;

  *out = quern_find_program(name, &is_there);
  if (*out == NULL && strcmp(name, "quern") == 0) {
    *out = realpath("/proc/self/exe", NULL);
  }
  if (*out != NULL) {
    return 0;
  }
  if (is_there) {
    fprintf(stderr, "quern submit: %s is not executable; chmod +x makes a program of it\n", name);
  } else if (strchr(name, '/') != NULL) {
    fprintf(stderr, "quern submit: there is no job %s; is it built?\n", name);
  } else {
    const bool is_here = access(name, F_OK) == 0;
    fprintf(stderr, "quern submit: there is no job '%s' in PATH%s%s%s\n", name,
            is_here ? "; for the one in this folder write ./" : "; write where it is, as build/", name, "");
  }
  return 2;
}

// --- How ranks are started

static void choose_launcher(const quern_submission *submission, quern_batch_job *job) {
  const char *wanted = submission->launcher;

  job->srun_options = wanted != NULL && strcmp(wanted, "mpirun") == 0 ? NULL : quern_srun_pmi();
  job->launcher = job->srun_options == NULL ? QUERN_MPIRUN : QUERN_SRUN;
  if (wanted != NULL && strcmp(wanted, "srun") == 0 && job->srun_options == NULL) {
    job->launcher = QUERN_SRUN;
    job->srun_options = "--mpi=pmix";
    fputs("quern submit: `srun --mpi=list` names no PMI that this MPI knows; mpirun would do (`quern doctor` "
          "says more)\n",
          stderr);
  }
  job->is_bound = job->launcher == QUERN_SRUN && quern_slurm_binds();
}

// --- Where things are

static bool is_none(const char *text) {
  return text != NULL && strcmp(text, "none") == 0;
}

// The run's folder, if one is named. In a job QUERN_RUN is the folder of that job, not of those it submits.
static const char *named_run(const quern_submission *submission) {
  const char *own = getenv("QUERN_RUN");
  const bool is_own = own != NULL && own[0] != '\0' && getenv("SLURM_JOB_ID") == NULL;
  return submission->run != NULL ? submission->run : is_own ? own : NULL;
}

// The job's name is the program's; that of the command says little, its subcommand more.
static const char *name_of(const quern_submission *submission) {
  const char *program = submission->command[0];
  const char *slash = strrchr(program, '/');
  const char *name = slash == NULL ? program : slash + 1;
  const char *first = submission->command[1];
  const bool is_command =
      strcmp(name, "quern") == 0 && first != NULL && first[0] != '-' && strchr(first, '/') == NULL;
  return submission->name != NULL ? submission->name : is_command ? first : name;
}

static char *below(const char *directory, const char *path) {
  char *whole = NULL;
  if (path[0] == '/') {
    return strdup(path);
  }
  return asprintf(&whole, "%s/%s", directory, path) < 0 ? NULL : whole;
}

// The name's line comes before those of the options.
static char *whole_header(const quern_submission *submission) {
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);

  if (out != NULL) {
    fputs("#SBATCH --job-name=", out);
    quern_write_header_value(name_of(submission), NULL, out);
    fputs(submission->header, out);
    fclose(out);
  }
  return text;
}

static int find_places(const quern_submission *submission, quern_batch_job *job, places *at) {
  const char *runs = getenv("QUERN_RUNS");
  const char *run = named_run(submission);

  const int exit_code = find_program(submission->command[0], &at->program);
  if (exit_code != 0) {
    return exit_code;
  }
  job->has_run = !is_none(run) && (run != NULL || !is_none(runs));
  at->directory = getcwd(NULL, 0);
  if (at->directory == NULL) {
    fprintf(stderr, "quern submit: where are we? %s\n", strerror(errno));
    return 1;
  }
  at->runs = below(at->directory, is_none(runs) ? "" : runs == NULL || runs[0] == '\0' ? "quern-runs" : runs);
  at->log = at->runs == NULL ? NULL : below(at->runs, name_of(submission));
  at->run = run == NULL || is_none(run) ? NULL : below(at->directory, run);
  if (at->log == NULL || (run != NULL && !is_none(run) && at->run == NULL)) {
    fputs("quern submit: no memory\n", stderr);
    return 1;
  }
  return 0;
}

// A line of the script is one line.
static bool is_in_lines(const places *at) {
  const char *const texts[] = {at->program, at->directory, at->log, at->run};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    if (texts[i] != NULL && strpbrk(texts[i], "\n\r") != NULL) {
      fprintf(stderr, "quern submit: a line end in the name of a file: '%s'\n", texts[i]);
      return false;
    }
  }
  return true;
}

// --- Submitting

static void say_how_to_follow(const quern_submission *submission, const quern_batch_job *job,
                              const char *id) {
  const char *task = job->is_array ? "_<task>" : "";

  printf("job %s: %s by %s%s%s%s%s\n", id, name_of(submission),
         job->launcher == QUERN_SRUN ? "srun" : "mpirun",
         submission->nodes == NULL ? "" : ", nodes: ", submission->nodes == NULL ? "" : submission->nodes,
         submission->ranks == NULL ? "" : ", ranks: ", submission->ranks == NULL ? "" : submission->ranks);
  printf("  log     %s-%s%s.log\n", job->log, id, task);
  if (job->run != NULL) {
    printf("  run     %s%s\n  follow  quern top %s%s\n", job->run, job->is_array ? "/<task>" : "", job->run,
           job->is_array ? "/<task>" : "");
  } else if (job->has_run) {
    printf("  run     %s-%s%s\n  follow  quern top %s-%s%s\n", job->log, id, task, job->log, id, task);
  }
  printf("  queue   squeue -j %s\n", id);
  printf("  stop    scancel %s    (scancel -b -s USR1 %s: keep what is done, then stop)\n", id, id);
}

static int submit(const quern_submission *submission, const quern_batch_job *job, const char *script,
                  const char *runs) {
  static const char *const sbatch[] = {"sbatch", "--parsable", NULL};
  const quern_child child = {.arguments = sbatch, .input = script, .seconds = SUBMIT_SECONDS};
  char id[256];

  if (!make_folder(runs)) {
    return 1;
  }
  const int exit_code = quern_child_run(&child, id, sizeof id);
  if (exit_code == QUERN_CHILD_MISSING) {
    fputs("quern submit: there is no sbatch in PATH: submit where Slurm is, on a login node (module load "
          "slurm?), or see the "
          "script with --dry-run\n",
          stderr);
    return 1;
  }
  if (exit_code == QUERN_CHILD_SILENT) {
    fprintf(stderr,
            "quern submit: sbatch gave no answer for %d s; `squeue --me` shows whether the job is there\n",
            SUBMIT_SECONDS);
    return 1;
  }
  if (exit_code != 0) {
    fputs("quern submit: sbatch did not take the job, for the reason above; --dry-run shows the script\n",
          stderr);
    return 1;
  }
  id[strcspn(id, ";\n")] = '\0'; // "17;cluster" where there are several
  if (submission->is_parsable) {
    printf("%s\n", id);
  } else {
    say_how_to_follow(submission, job, id);
  }
  return 0;
}

int quern_submit(int argc, char **argv) {
  quern_submission submission = {0};
  quern_batch_job job = {0};
  places at = {0};
  char *script = NULL;
  size_t size = 0;

  int exit_code = quern_read_submission(argc, argv, &submission);
  if (exit_code != 0 || (exit_code = find_places(&submission, &job, &at)) != 0) {
    goto done;
  }
  if (!is_in_lines(&at)) {
    exit_code = 2;
    goto done;
  }
  choose_launcher(&submission, &job);
  at.header = whole_header(&submission);
  job.header = at.header == NULL ? "" : at.header;
  job.program = at.program;
  job.arguments = (const char *const *)(submission.command + 1);
  job.directory = at.directory;
  job.log = at.log;
  job.run = at.run;
  job.grace = submission.grace;
  job.max_restarts = submission.max_restarts;
  job.is_array = submission.is_array;
  FILE *out = submission.is_dry ? stdout : open_memstream(&script, &size);
  if (out == NULL) {
    fputs("quern submit: no memory\n", stderr);
    exit_code = 1;
    goto done;
  }
  quern_write_batch_script(&job, out);
  if (!submission.is_dry) {
    fclose(out);
    exit_code = submit(&submission, &job, script, at.runs);
  }

done:
  free(script);
  release(&at);
  quern_submission_release(&submission);
  return exit_code == QUERN_SUBMIT_HELP ? 0 : exit_code;
}
