// SPDX-License-Identifier: Apache-2.0
// The command: finds the subcommand and hands over.
#include <stdio.h>
#include <string.h>

#include <quern/quern.h>

#include "cli/command.h"

typedef struct command {
  const char *name;
  int (*run)(int argc, char **argv);
  const char *help;
} command;

static const command commands[] = {
    {.name = "compare", .run = quern_compare, .help = "show two runs side by side"},
    {.name = "doctor", .run = quern_doctor, .help = "say what is wrong with MPI, Slurm or this node"},
    {.name = "evaluate", .run = quern_evaluate, .help = "judge a trained model on rows that have the label"},
    {.name = "export-onnx", .run = quern_export_onnx, .help = "write a trained model as ONNX"},
    {.name = "generate",
     .run = quern_generate,
     .help = "write data for trying things out: quern generate movies"},
    {.name = "history", .run = quern_history, .help = "list the runs of a folder"},
    {.name = "inspect",
     .run = quern_inspect,
     .help = "show what a staged dataset holds, check its checksums"},
    {.name = "model", .run = quern_model, .help = "show what is in a trained model: quern model show"},
    {.name = "new", .run = quern_new, .help = "make a folder with a job to start from"},
    {.name = "predict", .run = quern_predict, .help = "add a trained model's predictions to rows"},
    {.name = "report", .run = quern_report, .help = "make a page of a run: what it did, and its results"},
    {.name = "resume", .run = quern_resume, .help = "go on with a run that was stopped or killed"},
    {.name = "search", .run = quern_search, .help = "try options of an estimator, keep the best model"},
    {.name = "submit", .run = quern_submit, .help = "run a job on a Slurm cluster"},
    {.name = "top", .run = quern_top, .help = "follow a run: what each rank does"},
    {.name = "train", .run = quern_train, .help = "fit a model to rows: quern train ESTIMATOR"},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void print_help(FILE *out) {
  fprintf(out, "usage: quern COMMAND [ARGUMENT...]\n\nCommands:\n");
  for (int i = 0; i < N_COMMANDS; i++) {
    fprintf(out, "  %-12s %s\n", commands[i].name, commands[i].help);
  }
  fprintf(out, "  %-12s %s\n\n`quern COMMAND --help` says more.\n", "version", "show the version");
}

int main(int argc, char **argv) {
  if (argc < 2) {
    print_help(stderr);
    return 2;
  }
  for (int i = 0; i < N_COMMANDS; i++) {
    if (strcmp(argv[1], commands[i].name) == 0) {
      return commands[i].run(argc - 1, argv + 1);
    }
  }
  if (strcmp(argv[1], "version") == 0 || strcmp(argv[1], "--version") == 0) {
    printf("quern %s\n", qn_version());
    return 0;
  }
  if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0) {
    print_help(stdout);
    return 0;
  }
  fprintf(stderr, "quern: no command '%s'; `quern --help` lists them\n", argv[1]);
  return 2;
}
