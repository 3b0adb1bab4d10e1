// SPDX-License-Identifier: Apache-2.0
// What the checks of `quern doctor` share.
#pragma once
#include <stdbool.h>

typedef enum quern_verdict { QUERN_FINE, QUERN_WARNING, QUERN_PROBLEM, QUERN_N_VERDICTS } quern_verdict;

/// What was found so far.
typedef struct quern_findings {
  int n[QUERN_N_VERDICTS];
} quern_findings;

/// Local. Prints a finding: what it is about, how it is, and, unless it is fine, what to do, in lines that
/// are set in. `remedy` may be NULL.
void quern_find(quern_findings *findings, quern_verdict verdict, const char *subject, const char *remedy,
                const char *format, ...) __attribute__((format(printf, 5, 6)));

/// Local. MPI and Slurm: what starts ranks, and whether two of them meet.
void quern_doctor_launch(quern_findings *findings);
/// Local. The node: cores, BLAS, memory, scratch, files, limits.
void quern_doctor_node(quern_findings *findings);

/// Collective. What a rank that was started by the doctor does: it says where it runs. Returns the exit code.
int quern_doctor_rank(int argc, char **argv);
