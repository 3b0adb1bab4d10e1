// SPDX-License-Identifier: Apache-2.0
// Signals are noted, not obeyed; durations are read as people write them.
#include "base/stop.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "kit/kit.h"

static void a_signal_asks_to_stop_and_says_which(void) {
  qn_stop_install();
  QN_CHECK(!qn_stop_is_wanted() && qn_stop_reason() == NULL);
  raise(SIGUSR1);
  raise(SIGUSR1);
  raise(SIGTERM);
  QN_CHECK(qn_stop_is_wanted());
  QN_CHECK_TEXT(qn_stop_reason(), "SIGUSR1");
  qn_stop_restore();
  QN_CHECK(!qn_stop_is_wanted());
}

static void the_time_asks_to_stop(void) {
  qn_stop_install();
  qn_stop_at(qn_clock_ns() + (int64_t)3600 * 1000000000, "the time limit");
  QN_CHECK(!qn_stop_is_wanted());
  qn_stop_at(qn_clock_ns(), "the time limit");
  QN_CHECK(qn_stop_is_wanted());
  QN_CHECK_TEXT(qn_stop_reason(), "the time limit");
  qn_stop_restore();
}

// In a process of its own: `body` ends it with a code, or a signal does.
static int status_of(void (*body)(void)) {
  int status = 0;
  const pid_t child = fork();
  if (child == 0) {
    body();
    _exit(7);
  }
  waitpid(child, &status, 0);
  return status;
}

static void lose_patience(void) {
  qn_stop_install();
  raise(SIGTERM);
  raise(SIGTERM); // at once: the same request, sent twice
  const int64_t until = qn_clock_ns() + 1100000000;
  while (qn_clock_ns() < until) {
  }
  raise(SIGTERM);
}

static void stop_after_close(void) {
  qn_stop_install();
  qn_stop_restore();
  raise(SIGUSR1);
}

static void be_deaf(void) {
  signal(SIGTERM, SIG_IGN);
  qn_stop_install();
  raise(SIGTERM);
  _exit(qn_stop_is_wanted() ? 1 : 0);
}

static void a_later_signal_ends_the_process(void) {
  const int status = status_of(lose_patience);
  QN_CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

static void signals_are_as_before_when_restored(void) {
  const int status = status_of(stop_after_close);
  QN_CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
}

static void an_ignored_signal_stays_ignored(void) {
  const int status = status_of(be_deaf);
  QN_CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void durations_are_read(void) {
  static const struct {
    const char *text;
    double seconds;
  } cases[] = {{"90s", 90},      {"1h30m", 5400}, {"2d", 172800}, {"0.5h", 1800}, {"1d1h1m1s", 90061},
               {"1m0.5s", 60.5}, {"", -1},        {"90", -1},     {"h", -1},      {"1m1h", -1},
               {"-5s", -1},      {"1h 5m", -1},   {"nan", -1},    {"1hh", -1},    {"infs", -1}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const double found = qn_parse_duration(cases[i].text);
    QN_CHECK(found == cases[i].seconds);
  }
}

int main(void) {
  KIT_RUN(a_signal_asks_to_stop_and_says_which);
  KIT_RUN(the_time_asks_to_stop);
  KIT_RUN(a_later_signal_ends_the_process);
  KIT_RUN(signals_are_as_before_when_restored);
  KIT_RUN(an_ignored_signal_stays_ignored);
  KIT_RUN(durations_are_read);
  return kit_result();
}
