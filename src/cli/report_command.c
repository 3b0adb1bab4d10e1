// SPDX-License-Identifier: Apache-2.0
// quern report [RUN] -o PAGE: one self-contained page of what a run did.
#include <dirent.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <quern/quern.h>

#include "cli/command.h"

static void print_help(FILE *out) {
  fprintf(
      out,
      "usage: quern report [RUN] [-o PAGE]\n"
      "Makes a page of a run: its results, its plans, and where its time went. One file that can be opened\n"
      "and sent anywhere.\n\n"
      "  RUN                 the folder of the run; default: the latest in quern-runs (or QUERN_RUNS)\n"
      "  -o, --output PAGE   default: report.html in the run's folder\n");
}

// The folder in `runs` whose run.json changed last; NULL if there is none. Free with free().
static char *latest_run(const char *runs) {
  DIR *folder = opendir(runs);
  const struct dirent *entry = NULL;
  struct timespec newest = {0};
  char *latest = NULL;

  while (folder != NULL && (entry = readdir(folder)) != NULL) {
    char *path = NULL;
    struct stat found = {0};
    if (entry->d_name[0] == '.' || asprintf(&path, "%s/%s/run.json", runs, entry->d_name) < 0) {
      continue;
    }
    const bool is_newer = stat(path, &found) == 0 &&
                          (latest == NULL || found.st_mtim.tv_sec > newest.tv_sec ||
                           (found.st_mtim.tv_sec == newest.tv_sec && found.st_mtim.tv_nsec > newest.tv_nsec));
    if (is_newer) {
      newest = found.st_mtim;
      *strrchr(path, '/') = '\0';
      free(latest);
      latest = path;
    } else {
      free(path);
    }
  }
  if (folder != NULL) {
    closedir(folder);
  }
  return latest;
}

static int make_report(const char *run, const char *output) {
  qn_error err = {0};
  char *path = NULL;
  struct stat made = {0};

  if (output == NULL && asprintf(&path, "%s/report.html", run) < 0) {
    fprintf(stderr, "quern report: no memory\n");
    return 1;
  }
  output = output != NULL ? output : path;
  const bool is_made = qn_report_write(run, output, &err) == QN_OK;
  if (!is_made) {
    fprintf(stderr, "quern report: %s\n", err.message);
  } else {
    stat(output, &made);
    printf("%s (%.1f MB)\n", output, (double)made.st_size / 1e6);
    if (!qn_report_has_charts()) {
      fprintf(
          stderr,
          "quern report: this quern was built without the library that draws charts, so the page has tables "
          "only; run scripts/install-packages build and build again\n");
    }
  }
  free(path);
  return is_made ? 0 : 1;
}

int quern_report(int argc, char **argv) {
  static const struct option options[] = {{.name = "output", .has_arg = required_argument, .val = 'o'},
                                          {.name = "help", .val = 'h'},
                                          {.name = NULL}};
  const char *output = NULL;
  const char *runs = getenv("QUERN_RUNS");
  int code = 0;

  while ((code = getopt_long(argc, argv, "o:", options, NULL)) != -1) {
    if (code != 'o') {
      print_help(code == 'h' ? stdout : stderr);
      return code == 'h' ? 0 : 2;
    }
    output = optarg;
  }
  if (argc - optind > 1) {
    print_help(stderr);
    return 2;
  }
  if (optind < argc) {
    return make_report(argv[optind], output);
  }
  runs = runs == NULL || *runs == '\0' || strcmp(runs, "none") == 0 ? "quern-runs" : runs;
  char *latest = latest_run(runs);
  if (latest == NULL) {
    fprintf(stderr, "quern report: there is no run in %s; name the folder of one\n", runs);
    return 1;
  }
  code = make_report(latest, output);
  free(latest);
  return code;
}
