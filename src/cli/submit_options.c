// SPDX-License-Identifier: Apache-2.0
// The options of `quern submit`. Most are sbatch's own and go to it as they are: it knows best what its
// cluster takes. Looked at here is what would be noticed late, or is needed for the script.
#include "cli/submit_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/batch_script.h"

enum { DEFAULT_GRACE = 90, DEFAULT_RESTARTS = 20, MANY = 100000000 };

// What an option is to us; what is none of these goes to sbatch only.
typedef enum option_kind {
  PASSED,
  COUNT, // of ranks or cores
  NODES,
  TIME,
  ARRAY,
  NAME,
  SBATCH,
  LAUNCHER,
  REQUEUE,
  MAX_RESTARTS,
  GRACE,
  RUN,
  PARSABLE,
  DRY_RUN,
  HELP
} option_kind;

typedef struct submit_option {
  const char *name, *argument, *help;
  option_kind kind;
  char letter;
} submit_option;

static const submit_option submit_options[] = {
    {"nodes", "N", "nodes", NODES, 'N'},
    {"ntasks", "N", "ranks (default: one on each node)", COUNT, 'n'},
    {"ntasks-per-node", "N", "ranks on each node", COUNT, '\0'},
    {"cpus-per-task", "N", "cores of each rank", COUNT, 'c'},
    {"time", "TIME", "time limit: minutes, H:MM:SS or D-HH:MM:SS", TIME, 't'},
    {"array", "LIST", "a job for each number, 0-9 or 0-99%4; {task} in ARGUMENT is the number", ARRAY, 'a'},
    {"account", "NAME", "who pays", PASSED, 'A'},
    {"partition", "NAME", "which nodes", PASSED, 'p'},
    {"qos", "NAME", "quality of service", PASSED, 'q'},
    {"constraint", "TEXT", "what the nodes must have", PASSED, 'C'},
    {"mem", "SIZE", "memory of each node, such as 16G", PASSED, '\0'},
    {"mem-per-cpu", "SIZE", "memory of each core", PASSED, '\0'},
    {"exclusive", NULL, "whole nodes", PASSED, '\0'},
    {"job-name", "NAME", "name (default: that of JOB)", NAME, 'J'},
    {"dependency", "LIST", "what must be over before, such as afterok:17", PASSED, 'd'},
    {"sbatch", "OPTION", "any other option of sbatch, --sbatch=--mail-type=END; as often as needed", SBATCH,
     '\0'},
    {"launcher", "WORD", "srun or mpirun (default: srun where it fits MPI)", LAUNCHER, '\0'},
    {"requeue", NULL, "start the job again when its time is over before it is done", REQUEUE, '\0'},
    {"max-restarts", "N", "with --requeue: so often at most (default: 20)", MAX_RESTARTS, '\0'},
    {"grace", "SECONDS", "tell the job to stop so long before its end (default: 90, at most a third)", GRACE,
     '\0'},
    {"run", "DIR", "the run's folder (default: quern-runs/NAME-<job id>)", RUN, '\0'},
    {"parsable", NULL, "print the job's number only", PARSABLE, '\0'},
    {"dry-run", NULL, "print the script, submit nothing", DRY_RUN, '\0'},
    {"help", NULL, "show this text", HELP, 'h'},
};
enum { N_OPTIONS = sizeof submit_options / sizeof *submit_options };

static void print_help(FILE *out) {
  fputs("usage: quern submit [OPTION...] -- JOB [ARGUMENT...]\n"
        "Writes the batch script of a job, submits it to Slurm, and says how to follow it.\n\nOptions:\n",
        out);
  for (int i = 0; i < N_OPTIONS; i++) {
    const submit_option *option = &submit_options[i];
    char left[64];
    snprintf(left, sizeof left, "%s--%s%s%s", option->letter == '\0' ? "    " : "-x, ", option->name,
             option->argument == NULL ? "" : " ", option->argument == NULL ? "" : option->argument);
    if (option->letter != '\0') {
      left[1] = option->letter;
    }
    fprintf(out, "  %-26s %s\n", left, option->help);
  }
}

static int refuse(const char *option, const char *value, const char *wanted) {
  fprintf(stderr, "quern submit: --%s: '%s' is not %s\n", option, value, wanted);
  return 2;
}

static bool read_number(const char *text, long least, long most, long *number) {
  char *end = NULL;
  errno = 0;
  *number = strtol(text, &end, 10);
  return strspn(text, "0123456789") > 0 && *end == '\0' && errno == 0 && *number >= least && *number <= most;
}

// Slurm's forms of a time: M, M:S, H:M:S, D-H, D-H:M, D-H:M:S. Seconds; 0: no limit; -1: no time.
static long read_time(const char *text) {
  static const long of_clock[3][3] = {{60}, {60, 1}, {3600, 60, 1}}; // by how many numbers there are
  static const long of_days[3] = {3600, 60, 1};
  long days = 0;
  long seconds = 0;
  long parts[3] = {0};
  int n = 0;
  char copy[64];
  char *rest = NULL;

  if (strcasecmp(text, "unlimited") == 0 || strcasecmp(text, "infinite") == 0) {
    return 0;
  }
  snprintf(copy, sizeof copy, "%s", text);
  char *dash = strchr(copy, '-');
  if (dash != NULL) {
    *dash = '\0';
    if (!read_number(copy, 0, 10000, &days)) {
      return -1;
    }
  }
  char *part = strtok_r(dash == NULL ? copy : dash + 1, ":", &rest);
  for (; part != NULL; part = strtok_r(NULL, ":", &rest)) {
    if (n == 3 || !read_number(part, 0, MANY, &parts[n++])) {
      return -1;
    }
  }
  for (int i = 0; i < n; i++) {
    seconds += parts[i] * (dash == NULL ? of_clock[n - 1][i] : of_days[i]);
  }
  seconds += days * 86400;
  return seconds > 0 ? seconds : -1;
}

typedef struct reading {
  quern_submission *out;
  FILE *header;
  long seconds;      // the time limit; 0: not given
  long grace;        // 0: not given
  long max_restarts; // -1: not given
  bool is_requeued;
} reading;

static void write_line(FILE *header, const char *name, const char *value) {
  fprintf(header, "#SBATCH --%s%s", name, value == NULL ? "\n" : "=");
  if (value != NULL) {
    quern_write_header_value(value, NULL, header);
  }
}

// What stands behind --sbatch: with or without its dashes, and a value with spaces needs no more quotes.
static void write_own_line(FILE *header, const char *text) {
  char name[128];

  if (text[0] == '-' && text[1] != '-') {
    fprintf(header, "#SBATCH %s\n", text);
    return;
  }
  text += strspn(text, "-");
  const size_t n = strcspn(text, "=");
  snprintf(name, sizeof name, "%.*s", (int)n, text);
  write_line(header, name, text[n] == '\0' ? NULL : text + n + 1);
}

// Options that only the script knows.
static int take_own(reading *it, const submit_option *option, const char *value) {
  switch (option->kind) {
  case LAUNCHER:
    it->out->launcher = value;
    return strcmp(value, "srun") == 0 || strcmp(value, "mpirun") == 0
               ? 0
               : refuse(option->name, value, "a launcher; write srun or mpirun");
  case REQUEUE:
    it->is_requeued = true;
    return 0;
  case MAX_RESTARTS:
    return read_number(value, 1, 1000000, &it->max_restarts)
               ? 0
               : refuse(option->name, value, "a number of restarts from 1 on");
  case GRACE:
    return read_number(value, 1, 65535, &it->grace) ? 0
                                                    : refuse(option->name, value, "seconds from 1 to 65535");
  case RUN:
    it->out->run = value;
    return value[0] != '\0' ? 0 : refuse(option->name, value, "a folder");
  case PARSABLE:
    it->out->is_parsable = true;
    return 0;
  case DRY_RUN:
    it->out->is_dry = true;
    return 0;
  case HELP:
    print_help(stdout);
    return QUERN_SUBMIT_HELP;
  default:
    write_own_line(it->header, value);
    return 0;
  }
}

static int take(reading *it, const submit_option *option, const char *value) {
  long number = 0;

  if (strpbrk(value, "\n\r") != NULL) {
    return refuse(option->name, value, "one line");
  }
  switch (option->kind) {
  case COUNT:
    if (!read_number(value, 1, MANY, &number)) {
      return refuse(option->name, value, "a number from 1 on");
    }
    it->out->ranks = option->letter == 'n' ? value : it->out->ranks;
    break;
  case NODES:
    if (!read_number(value, 1, MANY, &number) && strpbrk(value, "-k") == NULL) {
      return refuse(option->name, value, "a number of nodes; write 4, or 2-4");
    }
    it->out->nodes = value;
    break;
  case TIME:
    it->seconds = read_time(value);
    if (it->seconds < 0) {
      return refuse(option->name, value, "a time; write minutes (90), H:MM:SS (1:30:00) or D-HH:MM:SS");
    }
    break;
  case ARRAY:
    it->out->is_array = true;
    break;
  case NAME:
    if (value[0] == '\0' || strchr(value, '/') != NULL) {
      return refuse(option->name, value, "a name; it becomes part of file names");
    }
    it->out->name = value;
    return 0; // the script writes it
  case PASSED:
    break;
  default:
    return take_own(it, option, value);
  }
  write_line(it->header, option->name, option->argument == NULL ? NULL : value);
  return 0;
}

static int read_options(int argc, char **argv, reading *it) {
  struct option options[N_OPTIONS + 1] = {{0}};
  char letters[3 * N_OPTIONS + 3] = "+:"; // stops at the job's name: what follows is the job's
  int code = 0;
  size_t n = strlen(letters);

  for (int i = 0; i < N_OPTIONS; i++) {
    const submit_option *option = &submit_options[i];
    options[i] = (struct option){.name = option->name,
                                 .has_arg = option->argument == NULL ? no_argument : required_argument,
                                 .val = 1000 + i};
    if (option->letter != '\0') {
      n += (size_t)snprintf(letters + n, sizeof letters - n, "%c%s", option->letter,
                            option->argument == NULL ? "" : ":");
    }
  }
  optind = 0; // start anew, GNU's way
  opterr = 0;
  while ((code = getopt_long(argc, argv, letters, options, NULL)) != -1) {
    if (code == '?' || code == ':') {
      fprintf(stderr,
              code == '?'
                  ? "quern submit: unknown option '%s' (see --help; others of sbatch go behind --sbatch=)\n"
                  : "quern submit: option '%s' needs a value (see --help)\n",
              argv[optind - 1]);
      return 2;
    }
    int i = code - 1000;
    for (int k = 0; code < 1000 && k < N_OPTIONS; k++) {
      i = submit_options[k].letter == code ? k : i;
    }
    const int exit_code = take(it, &submit_options[i], optarg == NULL ? "" : optarg);
    if (exit_code != 0) {
      return exit_code;
    }
  }
  it->out->command = argv + optind;
  return 0;
}

int quern_read_submission(int argc, char **argv, quern_submission *out) {
  size_t size = 0;

  *out = (quern_submission){0};
  reading it = {.out = out, .header = open_memstream(&out->header, &size), .max_restarts = -1};
  if (it.header == NULL) {
    fputs("quern submit: no memory\n", stderr);
    return 1;
  }
  int exit_code = read_options(argc, argv, &it);
  fclose(it.header);
  if (exit_code == 0 && out->command[0] == NULL) {
    fputs("quern submit: what is to run? quern submit [OPTION...] -- JOB [ARGUMENT...] (see --help)\n",
          stderr);
    exit_code = 2;
  }
  if (exit_code == 0 && it.max_restarts >= 0 && !it.is_requeued) {
    fputs("quern submit: --max-restarts goes with --requeue\n", stderr);
    exit_code = 2;
  }
  const long third = it.seconds > 0 ? it.seconds / 3 : DEFAULT_GRACE;
  const long grace = it.grace > 0 ? it.grace : third < DEFAULT_GRACE ? third : DEFAULT_GRACE;
  out->grace = grace > 0 ? (int)grace : 1;
  out->max_restarts = !it.is_requeued ? 0 : it.max_restarts > 0 ? (int)it.max_restarts : DEFAULT_RESTARTS;
  return exit_code;
}

void quern_submission_release(quern_submission *submission) {
  free(submission->header);
  *submission = (quern_submission){0};
}
