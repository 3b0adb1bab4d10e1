// SPDX-License-Identifier: Apache-2.0
// The handler only writes down which signal came and when; what follows is decided by who asks.
#include "base/stop.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum { N_SIGNALS = 2, PATIENCE_NS = 1000000000 };

static const int signals[N_SIGNALS] = {SIGTERM, SIGUSR1};
static struct sigaction before[N_SIGNALS];
static bool is_installed;
static volatile sig_atomic_t first_signal; // 0: none has come
static volatile int64_t terminated_ns;     // when the first SIGTERM came
static int64_t stop_ns;
static const char *stop_reason;

// A launcher may send the same signal twice, by itself and through Slurm: only one that comes later means
// that somebody has lost patience. SIGUSR1 is a request and stays one.
static void note_signal(int number) {
  const int64_t now = qn_clock_ns(); // clock_gettime() is allowed in here

  if (number == SIGTERM && terminated_ns != 0 && now - terminated_ns >= PATIENCE_NS) {
    signal(number, SIG_DFL);
    raise(number);
    return;
  }
  if (number == SIGTERM && terminated_ns == 0) {
    terminated_ns = now;
  }
  if (first_signal == 0) {
    first_signal = number;
  }
}

void qn_stop_install(void) {
  struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_RESTART};

  if (is_installed) {
    return;
  }
  first_signal = 0;
  terminated_ns = 0;
  stop_ns = 0;
  sigemptyset(&action.sa_mask);
  for (int i = 0; i < N_SIGNALS; i++) {
    sigaction(signals[i], NULL, &before[i]);
    if (before[i].sa_handler != SIG_IGN) {
      sigaction(signals[i], &action, NULL);
    }
  }
  is_installed = true;
}

void qn_stop_restore(void) {
  for (int i = 0; i < N_SIGNALS && is_installed; i++) {
    sigaction(signals[i], &before[i], NULL);
  }
  is_installed = false;
  first_signal = 0;
  stop_ns = 0;
}

void qn_stop_at(int64_t moment_ns, const char *reason) {
  stop_ns = moment_ns;
  stop_reason = reason;
}

bool qn_stop_is_wanted(void) {
  return first_signal != 0 || (stop_ns != 0 && qn_clock_ns() >= stop_ns);
}

const char *qn_stop_reason(void) {
  if (first_signal != 0) {
    return first_signal == SIGTERM ? "SIGTERM" : "SIGUSR1";
  }
  return qn_stop_is_wanted() ? stop_reason : NULL;
}

double qn_parse_duration(const char *text) {
  static const struct {
    char unit;
    double seconds;
  } units[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};
  double total = 0;
  size_t next = 0; // units go from large to small

  if (*text == '\0') {
    return -1;
  }
  while (*text != '\0') {
    char *end = NULL;
    if (strchr("0123456789.", *text) == NULL) {
      return -1;
    }
    const double value = strtod(text, &end);
    while (next < sizeof units / sizeof *units && units[next].unit != *end) {
      next++;
    }
    if (end == text || next == sizeof units / sizeof *units) {
      return -1;
    }
    total += value * units[next++].seconds;
    text = end + 1;
  }
  return total;
}
