// SPDX-License-Identifier: Apache-2.0
// A job's command line: the options all jobs have and the job's own, by getopt_long.
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "exec/budget.h"
#include "exec/job_state.h"
#include "io/nearest_name.h"

enum {
  OPT_OUTPUT = 1000,
  OPT_MEMORY,
  OPT_SCRATCH,
  OPT_RECORD,
  OPT_RUN,
  OPT_TIME_LIMIT,
  OPT_SILENCE,
  OPT_QUIET,
  OPT_HELP,
  OPT_OWN
};

static const struct option common_options[] = {
    {.name = "output", .has_arg = required_argument, .val = OPT_OUTPUT},
    {.name = "memory", .has_arg = required_argument, .val = OPT_MEMORY},
    {.name = "scratch", .has_arg = required_argument, .val = OPT_SCRATCH},
    {.name = "record", .has_arg = required_argument, .val = OPT_RECORD},
    {.name = "run", .has_arg = required_argument, .val = OPT_RUN},
    {.name = "time-limit", .has_arg = required_argument, .val = OPT_TIME_LIMIT},
    {.name = "silence", .has_arg = required_argument, .val = OPT_SILENCE},
    {.name = "quiet", .has_arg = no_argument, .val = OPT_QUIET},
    {.name = "help", .has_arg = no_argument, .val = OPT_HELP},
};
enum { N_COMMON = sizeof common_options / sizeof *common_options };

static qn_status take_option(qn_job *job, int code, int64_t *memory, qn_error *err) {
  qn_status status = QN_OK;

  switch (code) {
  case OPT_OUTPUT:
    job->output = qn_arena_string(&job->arena, optarg);
    break;
  case OPT_MEMORY:
    *memory = qn_parse_bytes(optarg);
    QN_REQUIRE(*memory > 0, err, QN_ERR_ARG, "--memory: '%s' is no size; write for example 512MiB or 2GiB",
               optarg);
    break;
  case OPT_SCRATCH:
    job->scratch_given = qn_arena_string(&job->arena, optarg);
    break;
  case OPT_RECORD:
    job->record.path = qn_arena_string(&job->arena, optarg);
    break;
  case OPT_RUN:
    job->run_given = qn_arena_string(&job->arena, optarg);
    break;
  case OPT_TIME_LIMIT:
    job->time_limit = qn_arena_string(&job->arena, optarg);
    break;
  case OPT_SILENCE:
    job->silence_given = qn_arena_string(&job->arena, optarg);
    break;
  case OPT_QUIET:
    job->is_quiet = true;
    break;
  case OPT_HELP:
    job->is_help = true;
    break;
  default:
    job->values[code - OPT_OWN] = optarg == NULL ? "" : qn_arena_string(&job->arena, optarg);
  }

done:
  return status;
}

static qn_status take_inputs(qn_job *job, int n, char **arguments, qn_error *err) {
  qn_status status = QN_OK;
  const char *wanted = job->about->arguments;

  QN_REQUIRE(n == 0 || wanted != NULL, err, QN_ERR_ARG,
             "no arguments are taken, but there is '%s' (see --help)", arguments[0]);
  QN_REQUIRE(n > 0 || wanted == NULL || wanted[0] == '[' || job->is_help, err, QN_ERR_ARG,
             "%s is missing (see --help)", wanted);
  for (int i = 0; i < n; i++) {
    QN_REQUIRE(strchr(arguments[i], '\n') == NULL, err, QN_ERR_ARG, "a file name with a line end in it: '%s'",
               arguments[i]);
    job->inputs = job->inputs == NULL ? qn_arena_string(&job->arena, arguments[i])
                                      : qn_arena_printf(&job->arena, "%s\n%s", job->inputs, arguments[i]);
  }

done:
  return status;
}

static qn_status check_required(const qn_job *job, qn_error *err) {
  qn_status status = QN_OK;

  for (int i = 0; i < job->n_options && !job->is_help; i++) {
    const qn_option *option = &job->about->options[i];
    QN_REQUIRE(!option->is_required || job->values[i] != NULL, err, QN_ERR_ARG,
               "--%s %s is missing (see --help)", option->name,
               option->argument == NULL ? "" : option->argument);
  }

done:
  return status;
}

static const char *fallback_output(const qn_job *job) {
  return job->about->output != NULL ? job->about->output : job->name;
}

// An unknown option, or one whose beginning fits several.
static qn_status refuse_option(const struct option *options, const char *given, qn_error *err) {
  enum { MOST = 128 };
  const char *names[MOST];
  char word[64];
  int n = 0;

  for (; n < MOST && options[n].name != NULL; n++) {
    names[n] = options[n].name;
  }
  const char *name = given + strspn(given, "-");
  snprintf(word, sizeof word, "%.*s", (int)strcspn(name, "="), name);
  const int64_t nearest = qn_nearest_name(word, names, n);
  if (nearest < 0) {
    return qn_fail(err, QN_ERR_ARG, "unknown option '%s' (see --help)", given);
  }
  return qn_fail(err, QN_ERR_ARG, "unknown option '%s'; did you mean --%s? (see --help)", given,
                 names[nearest]);
}

qn_status qn_job_parse(qn_job *job, int argc, char **argv, int64_t *memory, qn_error *err) {
  qn_status status = QN_OK;
  static const qn_option none = {.name = NULL};
  const qn_option *own = job->about->options != NULL ? job->about->options : &none;
  int code = 0;

  while (own[job->n_options].name != NULL) {
    job->n_options++;
  }
  struct option *options =
      qn_arena_alloc(&job->arena, (int64_t)sizeof *options * (N_COMMON + job->n_options + 1));
  char **arguments = qn_arena_alloc(&job->arena, (int64_t)sizeof *arguments * (argc + 1)); // getopt reorders
  job->values = qn_arena_alloc(&job->arena, (int64_t)sizeof *job->values * (job->n_options + 1));
  QN_REQUIRE(options != NULL && arguments != NULL && job->values != NULL, err, QN_ERR_MEMORY, "no memory");
  memcpy(options, common_options, sizeof common_options);
  memcpy(arguments, argv, sizeof *arguments * (size_t)argc);
  for (int i = 0; i < job->n_options; i++) {
    options[N_COMMON + i] =
        (struct option){.name = own[i].name,
                        .has_arg = own[i].argument != NULL ? required_argument : no_argument,
                        .val = OPT_OWN + i};
  }
  optind = 0; // start anew, GNU's way
  opterr = 0;
  while ((code = getopt_long(argc, arguments, ":", options, NULL)) != -1) {
    QN_TRY(code == '?' ? refuse_option(options, arguments[optind - 1], err) : QN_OK);
    QN_REQUIRE(code != ':', err, QN_ERR_ARG, "option '%s' needs a value (see --help)", arguments[optind - 1]);
    QN_TRY(take_option(job, code, memory, err));
  }
  if (job->output == NULL) {
    job->output = fallback_output(job);
  }
  QN_TRY(take_inputs(job, argc - optind, arguments + optind, err));
  QN_TRY(check_required(job, err));

done:
  return status;
}

static qn_status print_option(qn_buffer *out, const char *name, const char *argument, const char *help,
                              const char *fallback, qn_error *err) {
  qn_status status = QN_OK;
  const int width = 24 - (int)strlen(name) - (argument == NULL ? 0 : 1 + (int)strlen(argument));

  QN_TRY(qn_buffer_printf(out, err, "  --%s%s%s%*s%s", name, argument == NULL ? "" : " ",
                          argument == NULL ? "" : argument, width > 1 ? width : 1, "", help));
  if (fallback != NULL) {
    QN_TRY(qn_buffer_printf(out, err, " (default: %s)", fallback));
  }
  QN_TRY(qn_buffer_printf(out, err, "\n"));

done:
  return status;
}

qn_status qn_job_help(const qn_job *job, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_job_about *about = job->about;

  QN_TRY(qn_buffer_printf(out, err, "usage: mpirun -n RANKS %s [OPTION...]%s%s\n", job->name,
                          about->arguments == NULL ? "" : " ",
                          about->arguments == NULL ? "" : about->arguments));
  if (about->summary != NULL) {
    QN_TRY(qn_buffer_printf(out, err, "%s\n", about->summary));
  }
  QN_TRY(qn_buffer_printf(out, err, "\nOptions:\n"));
  for (int i = 0; i < job->n_options; i++) {
    const qn_option *option = &about->options[i];
    QN_TRY(print_option(out, option->name, option->argument, option->help == NULL ? "" : option->help,
                        option->fallback, err));
  }
  QN_TRY(print_option(out, "output", "PATH", "where results go", fallback_output(job), err));
  QN_TRY(print_option(out, "memory", "SIZE", "memory budget per rank, such as 2GiB",
                      "QUERN_MEMORY, or a safe share of what Slurm, the control group or the machine has",
                      err));
  QN_TRY(print_option(out, "scratch", "DIR", "folder for spill files",
                      "QUERN_SCRATCH, SLURM_TMPDIR, TMPDIR or /tmp", err));
  QN_TRY(print_option(out, "record", "FILE", "write what each operator did, as JSON", NULL, err));
  QN_TRY(print_option(out, "run", "DIR", "folder that tells of this run, or none",
                      "QUERN_RUN, or a new one in QUERN_RUNS or quern-runs", err));
  QN_TRY(print_option(out, "time-limit", "TIME", "stop in order before this time is over, such as 1h30m",
                      "QUERN_TIME_LIMIT, or the end of the Slurm job", err));
  QN_TRY(print_option(out, "silence", "SECONDS",
                      "end the job when a rank gives no sign of life for so long; 0: never",
                      "QUERN_SILENCE, or 600", err));
  QN_TRY(print_option(out, "quiet", NULL, "say less", NULL, err));
  QN_TRY(print_option(out, "help", NULL, "show this text", NULL, err));
  if (about->arguments != NULL) {
    QN_TRY(qn_buffer_printf(out, err,
                            "\nInputs are files, folders and patterns; .gz, .bz2 and .zst are read as they "
                            "are.\n"));
  }

done:
  return status;
}
