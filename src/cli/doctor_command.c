// SPDX-License-Identifier: Apache-2.0
// quern doctor: says in plain words what a job would find here, what is wrong with it, and how it is mended.
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/doctor.h"

void quern_find(quern_findings *findings, quern_verdict verdict, const char *subject, const char *remedy,
                const char *format, ...) {
  static const char *const words[] = {"ok", "warning", "problem"};
  va_list arguments;

  findings->n[verdict]++;
  printf("%-8s %-13s ", words[verdict], subject);
  va_start(arguments, format);
  vprintf(format, arguments); // NOLINT(clang-analyzer-valist.Uninitialized): the line above does
  va_end(arguments);
  printf("\n");
  if (remedy != NULL && verdict != QUERN_FINE) {
    printf("%-8s %-13s %s\n", "", "", remedy);
  }
  fflush(stdout); // the next check may take its time
}

static void print_help(FILE *out) {
  fputs("usage: quern doctor\n"
        "Looks at what a job needs here: MPI, Slurm, cores, BLAS, memory, scratch, HDF5 and limits of the "
        "system. Says what\n"
        "is wrong and how it is mended. Run it where jobs run: `srun quern doctor`, or in a batch script.\n"
        "Ends with exit code 1 if there is a problem.\n",
        out);
}

int quern_doctor(int argc, char **argv) {
  quern_findings findings = {0};

  if (argc == 2 && strcmp(argv[1], "--rank") == 0) { // started by the doctor
    return quern_doctor_rank(argc - 1, argv);
  }
  if (argc != 1) {
    const bool is_help = argc == 2 && strcmp(argv[1], "--help") == 0;
    print_help(is_help ? stdout : stderr);
    return is_help ? 0 : 2;
  }
  quern_doctor_launch(&findings);
  quern_doctor_node(&findings);
  printf("\nok: %d, warnings: %d, problems: %d\n", findings.n[QUERN_FINE], findings.n[QUERN_WARNING],
         findings.n[QUERN_PROBLEM]);
  return findings.n[QUERN_PROBLEM] > 0;
}
