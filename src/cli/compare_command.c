// SPDX-License-Identifier: Apache-2.0
// quern compare RUN RUN: in what two runs differ, and how their operators did side by side.
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <quern/quern.h>

#include "cli/command.h"

static void print_help(FILE *out) {
  fprintf(
      out,
      "usage: quern compare RUN RUN\n"
      "Shows in what two runs differ, and side by side what their actions and operators did; the ratio is\n"
      "that of the second to the first.\n\n"
      "  RUN    the folder of a run, or its name in quern-runs (or QUERN_RUNS)\n");
}

int quern_compare(int argc, char **argv) {
  char folders[2][PATH_MAX];
  qn_error err = {0};

  if (argc == 2 && strcmp(argv[1], "--help") == 0) {
    print_help(stdout);
    return 0;
  }
  if (argc != 3 || argv[1][0] == '-' || argv[2][0] == '-') {
    print_help(stderr);
    return 2;
  }
  if (qn_run_find(argv[1], folders[0], sizeof folders[0], &err) != QN_OK ||
      qn_run_find(argv[2], folders[1], sizeof folders[1], &err) != QN_OK ||
      qn_run_compare(folders[0], folders[1], stdout, &err) != QN_OK) {
    fflush(stdout);
    fprintf(stderr, "quern compare: %s\n", err.message);
    return 1;
  }
  return 0;
}
