// SPDX-License-Identifier: Apache-2.0
// Runs one command after the other in one start of MPI, which takes longer than most of them. Each rank reads
// its lines from a pipe of its own (where it sleeps, as it would not in MPI): a number, a folder to be in, a
// command and its arguments, with tabs between. What the command says goes to PATH.<number>.out and .err;
// when it has ended on all ranks, rank 0 writes its exit code to the pipe PATH.done. A command opens and
// closes its job as ever; only MPI itself stays open in between.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cli/command.h"
#include "comm/comm.h"

enum { MOST_ARGUMENTS = 256, LINE_BYTES = 1 << 16 };

int als_driver_main(int argc, char **argv);
int features_driver_main(int argc, char **argv);

static const struct {
  const char *name;
  int (*run)(int argc, char **argv);
} commands[] = {{"train", quern_train},
                {"predict", quern_predict},
                {"evaluate", quern_evaluate},
                {"search", quern_search},
                {"export-onnx", quern_export_onnx},
                {"model", quern_model},
                {"als_driver", als_driver_main},
                {"features_driver", features_driver_main}};

static int open_beside(const char *path, const char *what, int flags) {
  char name[4096];
  snprintf(name, sizeof name, "%s.%s", path, what);
  const int file = open(name, flags, 0600);
  if (file < 0) {
    perror(name);
    abort();
  }
  return file;
}

static void redirect(const char *path, const char *number, const char *what, int to) {
  char name[64];
  snprintf(name, sizeof name, "%s.%s", number, what);
  const int file = open_beside(path, name, O_WRONLY | O_CREAT | O_APPEND);
  if (dup2(file, to) < 0) {
    abort();
  }
  close(file);
}

static int run_command(int argc, char **argv) {
  for (size_t i = 0; argc > 0 && i < sizeof commands / sizeof *commands; i++) {
    if (strcmp(commands[i].name, argv[0]) == 0) {
      return commands[i].run(argc, argv);
    }
  }
  fprintf(stderr, "command_driver: no such command\n");
  return 2;
}

static int run_line(const char *path, char *line) {
  char *fields[MOST_ARGUMENTS + 1] = {NULL};
  int n = 0;
  line[strcspn(line, "\n")] = '\0';
  for (char *rest = line; rest != NULL && n < MOST_ARGUMENTS;) {
    fields[n++] = strsep(&rest, "\t");
  }
  if (n < 3 || chdir(fields[1]) != 0) {
    abort();
  }
  redirect(path, fields[0], "out", STDOUT_FILENO);
  redirect(path, fields[0], "err", STDERR_FILENO);
  const int code = run_command(n - 2, fields + 2);
  fflush(NULL);
  return code;
}

int main(int argc, char **argv) {
  static char line[LINE_BYTES];
  char rank[16];
  qn_comm *comm = NULL;

  if (argc != 2 || qn_comm_open(&comm, NULL) != QN_OK) {
    fprintf(stderr, "usage: command_driver PATH\n");
    return 2;
  }
  snprintf(rank, sizeof rank, "%d", qn_comm_rank(comm));
  FILE *lines = fdopen(open_beside(argv[1], rank, O_RDONLY), "r");
  const int done = open_beside(argv[1], "done", O_WRONLY);
  while (lines != NULL && fgets(line, sizeof line, lines) != NULL) {
    const int code = run_line(argv[1], line);
    qn_comm_agree(comm, qn_comm_barrier(comm, NULL), NULL); // all have said what they have to say
    if (qn_comm_rank(comm) == 0) {
      dprintf(done, "%d\n", code);
    }
  }
  qn_comm_close(comm);
  return 0;
}
