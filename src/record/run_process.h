// SPDX-License-Identifier: Apache-2.0
// Processes of runs: which one this is, and whether another is still alive.
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { QN_HOST_NAME = 64 };

/// A process, told apart from a later one with the same number by when it started.
typedef struct qn_process {
  char host[QN_HOST_NAME];
  int64_t pid;
  int64_t started; // clock ticks since the machine was started; -1: not known
} qn_process;

/// Local. This process.
qn_process qn_process_self(void);

typedef enum {
  QN_PROCESS_ALIVE,
  QN_PROCESS_GONE,
  QN_PROCESS_ELSEWHERE, // on another host: this one cannot say
} qn_process_state;
qn_process_state qn_process_look(const qn_process *process);
