// SPDX-License-Identifier: Apache-2.0
// A process is alive if /proc has one of its number that started when it did: numbers are used again.
#include "record/run_process.h"
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/system_files.h"

// The 22nd field of /proc/PID/stat; the second is a name in brackets that may hold anything.
static int64_t start_of(int64_t pid) {
  char path[64];
  char text[1024];
  long long started = -1;

  snprintf(path, sizeof path, "/proc/%" PRId64 "/stat", pid);
  FILE *file = fopen(path, "re");
  if (file == NULL) {
    return -1;
  }
  const size_t n = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[n] = '\0';
  const char *field = strrchr(text, ')');
  if (field != NULL &&
      (field[2] == 'Z' || field[2] == 'X')) { // it is over; nobody has asked how it ended yet
    return 0;
  }
  for (int i = 2; field != NULL && i < 22; i++) {
    field = strchr(field + 1, ' ');
  }
  return field != NULL && sscanf(field, " %lld", &started) == 1 ? started : -1;
}

qn_process qn_process_self(void) {
  qn_process process = {.pid = getpid()};

  qn_host_name(process.host, QN_HOST_NAME);
  process.started = start_of(process.pid);
  return process;
}

qn_process_state qn_process_look(const qn_process *process) {
  char host[QN_HOST_NAME];

  qn_host_name(host, sizeof host);
  if (strcmp(host, process->host) != 0) {
    return QN_PROCESS_ELSEWHERE;
  }
  if (process->pid <= 0 || (kill((pid_t)process->pid, 0) != 0 && errno == ESRCH)) {
    return QN_PROCESS_GONE;
  }
  const int64_t started = start_of(process->pid);
  return process->started >= 0 && started >= 0 && started != process->started ? QN_PROCESS_GONE
                                                                              : QN_PROCESS_ALIVE;
}
