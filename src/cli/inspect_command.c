// SPDX-License-Identifier: Apache-2.0
// quern inspect PATH: schema, rows, parts, sizes, statistics, first rows; --verify reads everything.
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include <quern/quern.h>

#include "cli/command.h"

static void print_help(FILE *out) {
  fprintf(out, "usage: quern inspect [--rows N] [--verify] PATH...\n"
               "Shows what staged datasets (folders or .h5 files) hold.\n\n"
               "  --rows N    first rows to show (default: 10)\n"
               "  --verify    read everything and compare checksums\n");
}

int quern_inspect(int argc, char **argv) {
  static const struct option options[] = {{.name = "rows", .has_arg = required_argument, .val = 'r'},
                                          {.name = "verify", .val = 'v'},
                                          {.name = "help", .val = 'h'},
                                          {.name = NULL}};
  qn_inspect_options wanted = {.n_rows = 10};
  int exit_code = 0;
  int code = 0;
  char *end = NULL;

  while ((code = getopt_long(argc, argv, "", options, NULL)) != -1) {
    switch (code) {
    case 'r':
      wanted.n_rows = strtoll(optarg, &end, 10);
      if (end == optarg || *end != '\0' || wanted.n_rows < 0) {
        fprintf(stderr, "quern inspect: --rows: '%s' is not a number of rows\n", optarg);
        return 2;
      }
      break;
    case 'v':
      wanted.verify = true;
      break;
    default:
      print_help(code == 'h' ? stdout : stderr);
      return code == 'h' ? 0 : 2;
    }
  }
  if (optind == argc) {
    print_help(stderr);
    return 2;
  }
  for (int i = optind; i < argc; i++) {
    qn_error err = {0};
    if (qn_inspect(argv[i], &wanted, stdout, &err) != QN_OK) {
      fflush(stdout);
      fprintf(stderr, "quern inspect: %s\n", err.message);
      exit_code = 1;
    }
  }
  return exit_code;
}
