// SPDX-License-Identifier: Apache-2.0
// quern top [RUN] [--once]: what the ranks of a run do, from its files.
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <quern/quern.h>

#include "cli/command.h"

static void print_help(FILE *out) {
  fprintf(
      out,
      "usage: quern top [RUN] [--once]\n"
      "Follows a run: what each rank does, its rows, memory and spilled bytes.\n\n"
      "  RUN       the folder of the run, or its name in quern-runs (or QUERN_RUNS); default: the latest\n"
      "  --once    print it once\n");
}

// The table is made in memory first, so that the screen does not flicker.
static int show(const char *folder, bool is_redrawn, bool *is_running) {
  char *text = NULL;
  size_t size = 0;
  qn_error err = {0};
  FILE *memory = open_memstream(&text, &size);

  if (memory == NULL) {
    fprintf(stderr, "quern top: no memory\n");
    return 1;
  }
  const qn_status status = qn_run_top(folder, memory, is_running, &err);
  fclose(memory);
  if (status == QN_OK) {
    printf("%s%s", is_redrawn ? "\033[H\033[2J" : "", text);
    fflush(stdout);
  } else {
    fprintf(stderr, "quern top: %s\n", err.message);
  }
  free(text);
  return status == QN_OK ? 0 : 1;
}

int quern_top(int argc, char **argv) {
  static const struct option options[] = {
      {.name = "once", .val = 'o'}, {.name = "help", .val = 'h'}, {.name = NULL}};
  char folder[PATH_MAX];
  qn_error err = {0};
  bool is_once = false;
  bool is_running = true;
  int code = 0;

  while ((code = getopt_long(argc, argv, "", options, NULL)) != -1) {
    if (code != 'o') {
      print_help(code == 'h' ? stdout : stderr);
      return code == 'h' ? 0 : 2;
    }
    is_once = true;
  }
  if (argc - optind > 1) {
    print_help(stderr);
    return 2;
  }
  if (qn_run_find(optind < argc ? argv[optind] : NULL, folder, sizeof folder, &err) != QN_OK) {
    fprintf(stderr, "quern top: %s\n", err.message);
    return 1;
  }
  const bool is_redrawn = !is_once && isatty(STDOUT_FILENO);
  for (;;) {
    const int exit_code = show(folder, is_redrawn, &is_running);
    if (exit_code != 0 || is_once || !is_running) {
      return exit_code;
    }
    nanosleep(&(struct timespec){.tv_sec = is_redrawn ? 1 : 10}, NULL);
  }
}
