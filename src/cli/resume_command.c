// SPDX-License-Identifier: Apache-2.0
// quern resume RUN: starts the program of a run again, as it was started, in the folder of that run.
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <quern/quern.h>

#include "cli/command.h"
#include "cli/launchers.h"

typedef struct resume_options {
  const char *run;
  const char *mpirun;
  int n_ranks;      // 0: as many as before
  char **launching; // options for the launcher
  int n_launching;
} resume_options;

enum { MOST_RANKS = 1000000, ROOM = 16, MOST_LOOKS = 20, BETWEEN_LOOKS_NS = 100000000 };

static void print_help(FILE *out) {
  fprintf(
      out,
      "usage: quern resume RUN [-n RANKS] [--mpirun PROGRAM] [-- OPTION_OF_MPIRUN...]\n"
      "Goes on with a run that was stopped, killed or has failed: starts its program again with the same\n"
      "arguments, in the same directory. What is done is not done again.\n\n"
      "  RUN                 the folder of the run\n"
      "  -n RANKS            default: as many as before\n"
      "  --mpirun PROGRAM    what starts the ranks; default: mpirun. Inside of a Slurm job, srun if the run "
      "was\n"
      "                      started by it\n\n"
      "Exit codes: those of the job; 75 if it was stopped again, 0 also if the run was done already.\n");
}

static int fail(const char *text, const char *about) {
  fprintf(stderr, "quern resume: %s%s%s\n", text, about[0] != '\0' ? ": " : "", about);
  return 1;
}

// 0: go on; 1: only help was wanted; 2: wrong use.
static int parse(int argc, char **argv, resume_options *out) {
  static const struct option options[] = {
      {"help", no_argument, NULL, 'h'}, {"mpirun", required_argument, NULL, 'm'}, {NULL, 0, NULL, 0}};
  int code = 0;
  char *end = NULL;

  out->mpirun = "mpirun";
  optind = 0;
  while ((code = getopt_long(argc, argv, "+n:h", options, NULL)) != -1) {
    if (code == 'h') {
      print_help(stdout);
      return 1;
    }
    if (code == 'm') {
      out->mpirun = optarg;
    } else if (code == 'n') {
      const long n = strtol(optarg, &end, 10);
      if (*end != '\0' || n < 1 || n > MOST_RANKS) {
        fprintf(stderr, "quern resume: -n %s: is no number of ranks\n", optarg);
        return 2;
      }
      out->n_ranks = (int)n;
    } else {
      return 2;
    }
  }
  return 0;
}

// RUN may stand before or after the options.
static int parse_all(int argc, char **argv, resume_options *out) {
  int end = 1;
  while (end < argc && strcmp(argv[end], "--") != 0) {
    end++;
  }
  if (end < argc) {
    out->launching = argv + end + 1;
    out->n_launching = argc - end - 1;
  }
  if (end > 1 && argv[1][0] != '-') {
    out->run = argv[1];
    argv[1] = argv[0];
    argv++;
    end--;
  }
  const int code = parse(end, argv, out);
  if (code == 0 && out->run == NULL && optind < end) {
    out->run = argv[optind++];
  }
  if (code == 0 && (out->run == NULL || optind < end)) {
    fprintf(stderr, "quern resume: which run? (see --help)\n");
    return 2;
  }
  return code;
}

// The program and its arguments behind `n` of the launcher's; --run names the folder, wherever it is now.
static void add_program(const qn_run_call *call, char **command, int n) {
  command[n++] = call->program;
  for (int i = 0; i < call->n_arguments; i++) {
    const bool is_run = strcmp(call->arguments[i], "--run") == 0;
    if (is_run || strncmp(call->arguments[i], "--run=", 6) == 0) {
      i += is_run; // QUERN_RUN says it
      continue;
    }
    command[n++] = call->arguments[i];
  }
  command[n] = NULL;
}

static int add_launcher(const qn_run_call *call, const resume_options *options, char *n_ranks,
                        char **command) {
  int n = 0;
  const bool is_srun = strcmp(call->launcher, "srun") == 0 && getenv("SLURM_JOB_ID") != NULL;

  if (strcmp(call->launcher, "none") == 0 && options->n_ranks <= 1 && options->n_launching == 0) {
    return 0;
  }
  command[n++] = (char *)(uintptr_t)(is_srun ? "srun" : options->mpirun);
  command[n++] = (char *)(uintptr_t) "-n";
  command[n++] = n_ranks;
  const char *pmi = is_srun ? quern_srun_pmi() : NULL;
  if (pmi != NULL) {
    command[n++] = (char *)(uintptr_t)pmi;
  }
  if (!is_srun && strstr(call->mpi, "Open MPI") != NULL) { // which hands on no variables to other nodes
    command[n++] = (char *)(uintptr_t) "-x";
    command[n++] = (char *)(uintptr_t) "QUERN_RUN";
  }
  for (int i = 0; i < options->n_launching; i++) {
    command[n++] = options->launching[i];
  }
  return n;
}

static int start(const qn_run_call *call, const resume_options *options) {
  char n_ranks[16];
  char *mpirun = strchr(options->mpirun, '/') != NULL ? realpath(options->mpirun, NULL) : NULL;
  resume_options with = *options;
  const size_t room = (size_t)ROOM + (size_t)options->n_launching + (size_t)call->n_arguments;
  char **command = calloc(room, sizeof *command);

  if (command == NULL) {
    free(mpirun);
    return fail("no memory", "");
  }
  with.mpirun = mpirun != NULL ? mpirun : options->mpirun;
  snprintf(n_ranks, sizeof n_ranks, "%d", options->n_ranks > 0 ? options->n_ranks : call->n_ranks);
  add_program(call, command, add_launcher(call, &with, n_ranks, command));
  int code = 1;
  if (access(call->program, X_OK) != 0) {
    code = fail(call->program, "the program of the run is not there any more");
  } else if (chdir(call->directory) != 0) {
    code = fail(call->directory, "the directory that the run was started in is not there any more");
  } else if (setenv("QUERN_RUN", call->folder, 1) != 0) {
    code = fail("no memory", "");
  } else {
    fflush(stdout);
    execvp(command[0], command);
    code = fail(command[0], strerror(errno));
  }
  free((void *)command);
  free(mpirun);
  return code;
}

// Ranks that were killed take a moment to go.
static qn_status read_call(const char *run, qn_run_call *out, qn_error *err) {
  qn_status status = qn_run_call_read(run, out, err);

  for (int i = 0; i < MOST_LOOKS && status == QN_OK && strcmp(out->status, "running") == 0; i++) {
    qn_run_call_release(out);
    nanosleep(&(struct timespec){.tv_nsec = BETWEEN_LOOKS_NS}, NULL);
    status = qn_run_call_read(run, out, err);
  }
  return status;
}

int quern_resume(int argc, char **argv) {
  resume_options options = {0};
  qn_run_call call = {0};
  qn_error err = {0};
  int code = parse_all(argc, argv, &options);

  if (code != 0) {
    return code == 1 ? 0 : code;
  }
  if (read_call(options.run, &call, &err) != QN_OK) {
    return fail(err.message, "");
  }
  if (strcmp(call.status, "done") == 0) {
    printf("%s: this run of %s is done; there is nothing to resume\n", call.folder, call.job);
  } else if (strcmp(call.status, "running") == 0) {
    code = fail(call.folder, "this run is going on");
  } else {
    printf("%s: this run of %s was %s; %lld action%s done%s%s\n", call.folder, call.job,
           strcmp(call.status, "failed") == 0 ? "ended by an error" : call.status, (long long)call.n_done,
           call.n_done == 1 ? " is" : "s are", call.n_done > 0 ? ", the last: " : "",
           call.last_done != NULL ? call.last_done : "");
    code = start(&call, &options);
  }
  qn_run_call_release(&call);
  return code;
}
