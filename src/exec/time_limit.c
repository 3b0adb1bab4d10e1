// SPDX-License-Identifier: Apache-2.0
// A job that is cut off at its walltime loses what it is doing; one that stops a little before can keep it.
#include "exec/time_limit.h"

#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/stop.h"

static const double LEAST_MARGIN = 30; // seconds; then a part of the time, but never more than half of it
static const double MARGIN_PART = 0.02;

// Seconds from now on; -1: no limit.
static qn_status find_limit(const char *given, qn_arena *arena, double *seconds, const char **reason,
                            qn_error *err) {
  qn_status status = QN_OK;
  const char *asked = getenv("QUERN_TIME_LIMIT");
  const char *end = getenv("SLURM_JOB_END_TIME");
  const char *name = given != NULL ? "--time-limit" : "QUERN_TIME_LIMIT";

  *seconds = -1;
  given = given != NULL ? given : asked;
  if (given != NULL) {
    *seconds = qn_parse_duration(given);
    QN_REQUIRE(*seconds > 0, err, QN_ERR_ARG, "%s: '%s' is no time; write for example 90s, 45m or 1h30m",
               name, given);
    *reason = qn_arena_printf(arena, "the time limit of %s (%s)", given, name);
  } else if (end != NULL && strtoll(end, NULL, 10) > 0) {
    const double left = (double)strtoll(end, NULL, 10) - (double)time(NULL);
    *seconds = left > 0 ? left : 0;
    *reason = "the end of the Slurm job's time";
  }

done:
  return status;
}

qn_status qn_time_limit_set(const char *given, qn_arena *arena, qn_error *err) {
  qn_status status = QN_OK;
  const char *asked = getenv("QUERN_STOP_MARGIN");
  const char *reason = NULL;
  double seconds = -1;

  QN_TRY(find_limit(given, arena, &seconds, &reason, err));
  double margin = asked == NULL ? MARGIN_PART * seconds : qn_parse_duration(asked);
  QN_REQUIRE(asked == NULL || margin >= 0, err, QN_ERR_ARG,
             "QUERN_STOP_MARGIN='%s' is no time; write for example 30s or 2m", asked);
  if (seconds < 0) {
    goto done;
  }
  if (asked == NULL) {
    margin = margin > LEAST_MARGIN ? margin : LEAST_MARGIN;
    margin = margin < seconds / 2 ? margin : seconds / 2;
  }
  QN_REQUIRE(margin < seconds || given == NULL, err, QN_ERR_ARG,
             "--time-limit %s leaves no time with QUERN_STOP_MARGIN=%s: make one larger or the other smaller",
             given, asked);
  qn_stop_at(qn_clock_ns() + (int64_t)((seconds - margin) * 1e9), reason);

done:
  return status;
}
