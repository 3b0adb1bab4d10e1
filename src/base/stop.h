// SPDX-License-Identifier: Apache-2.0
// Being asked to stop: by a signal, or because the time is over. Whoever can stop in order looks here; so the
// state behind it is of the process, and the only one of the library that changes.
#pragma once
#include <stdbool.h>
#include <stdint.h>

/// Local. From here on SIGTERM and SIGUSR1 ask to stop; before, and again after qn_stop_restore(), they end
/// the process. A second SIGTERM, a second after the first or later, ends it at once. Signals that the
/// process ignores stay ignored.
void qn_stop_install(void);
void qn_stop_restore(void);
/// Local. Asks to stop at a moment of qn_clock_ns(); 0: never. `reason` is kept, not copied.
void qn_stop_at(int64_t moment_ns, const char *reason);
/// Local. Cheap enough for every batch.
bool qn_stop_is_wanted(void);
/// Local. "SIGTERM", "SIGUSR1", or what was given to qn_stop_at(); NULL while nothing asks to stop.
const char *qn_stop_reason(void);

/// Local. Seconds that a text means: "90s", "1h30m", "2d", "0.5h". -1 if it is none.
double qn_parse_duration(const char *text);
