// SPDX-License-Identifier: Apache-2.0
// quern history [DIR]: the runs of a folder; --prune removes old ones.
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quern/quern.h>

#include "cli/command.h"

static void print_help(FILE *out) {
  fprintf(
      out,
      "usage: quern history [OPTION...] [DIR]\n"
      "Lists the runs in DIR, by default in quern-runs (or QUERN_RUNS).\n\n"
      "  --job NAME       those of this job only\n"
      "  --status WORD    done, failed, stopped, running or killed ones only\n"
      "  --last N         the latest N\n"
      "  --prune DAYS     remove the folders of those that began at least so many days ago, after asking;\n"
      "                   runs that go on stay\n"
      "  --yes            do not ask\n");
}

static bool is_agreed(int64_t n, const char *folder) {
  char answer[16] = "";

  printf("Remove %lld folders in %s? [y/N] ", (long long)n, folder);
  fflush(stdout);
  return fgets(answer, sizeof answer, stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
}

static int prune(const char *folder, const qn_runs_wanted *wanted, bool is_sure) {
  qn_error err = {0};
  int64_t n = 0;
  qn_status status = qn_runs_prune(folder, wanted, true, &n, &err);

  if (status == QN_OK && n > 0 && !is_sure && !is_agreed(n, folder)) {
    printf("nothing was removed\n");
    return 0;
  }
  if (status == QN_OK) {
    status = qn_runs_prune(folder, wanted, false, &n, &err);
  }
  if (status != QN_OK) {
    fprintf(stderr, "quern history: %s\n", err.message);
    return 1;
  }
  printf("%lld runs removed\n", (long long)n);
  return 0;
}

static bool is_count(const char *text, int64_t *value) {
  char *end = NULL;
  *value = strtoll(text, &end, 10);
  return end != text && *end == '\0' && *value >= 0;
}

static bool is_status(const char *text) {
  static const char *const known[] = {"done", "failed", "stopped", "running", "killed"};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (strcmp(text, known[i]) == 0) {
      return true;
    }
  }
  return false;
}

typedef struct history_call {
  qn_runs_wanted wanted;
  bool is_pruning, is_sure;
} history_call;

// The exit code if it ends here, else -1.
static int take_option(int code, history_call *call) {
  switch (code) {
  case 'j':
    call->wanted.job = optarg;
    return -1;
  case 's':
    call->wanted.status = optarg;
    if (!is_status(optarg)) {
      fprintf(stderr, "quern history: --status: '%s' is none of done, failed, stopped, running, killed\n",
              optarg);
      return 2;
    }
    return -1;
  case 'l':
  case 'p':
    if (!is_count(optarg, code == 'l' ? &call->wanted.last : &call->wanted.older_days)) {
      fprintf(stderr, "quern history: --%s: '%s' is no number\n", code == 'l' ? "last" : "prune", optarg);
      return 2;
    }
    call->is_pruning = call->is_pruning || code == 'p';
    return -1;
  case 'y':
    call->is_sure = true;
    return -1;
  default:
    print_help(code == 'h' ? stdout : stderr);
    return code == 'h' ? 0 : 2;
  }
}

int quern_history(int argc, char **argv) {
  static const struct option options[] = {{.name = "job", .has_arg = required_argument, .val = 'j'},
                                          {.name = "status", .has_arg = required_argument, .val = 's'},
                                          {.name = "last", .has_arg = required_argument, .val = 'l'},
                                          {.name = "prune", .has_arg = required_argument, .val = 'p'},
                                          {.name = "yes", .val = 'y'},
                                          {.name = "help", .val = 'h'},
                                          {.name = NULL}};
  history_call call = {0};
  qn_error err = {0};
  int code = 0;

  while ((code = getopt_long(argc, argv, "", options, NULL)) != -1) {
    const int exit_code = take_option(code, &call);
    if (exit_code >= 0) {
      return exit_code;
    }
  }
  const char *given = getenv("QUERN_RUNS");
  const bool has_given = given != NULL && given[0] != '\0' && strcmp(given, "none") != 0;
  const char *folder = optind < argc ? argv[optind] : has_given ? given : "quern-runs";
  if (argc - optind > 1) {
    print_help(stderr);
    return 2;
  }
  if (call.is_pruning) {
    return prune(folder, &call.wanted, call.is_sure);
  }
  if (qn_runs_history(folder, &call.wanted, stdout, &err) != QN_OK) {
    fprintf(stderr, "quern history: %s\n", err.message);
    return 1;
  }
  return 0;
}
