// SPDX-License-Identifier: Apache-2.0
// The two control-flow macros of the project. A function that uses them has `qn_status status = QN_OK;` and
// one exit, the label `done`.
#pragma once
#include <quern/status.h>

/// Calls; on failure goes to done with its status.
#define QN_TRY(call)                                                                                         \
  do {                                                                                                       \
    status = (call);                                                                                         \
    if (__builtin_expect(status != QN_OK, 0)) {                                                              \
      goto done;                                                                                             \
    }                                                                                                        \
  } while (0)

/// Tests; if false fills err and goes to done.
#define QN_REQUIRE(condition, err, code, ...)                                                                \
  do {                                                                                                       \
    if (__builtin_expect(!(condition), 0)) {                                                                 \
      status = qn_fail((err), (code), __VA_ARGS__);                                                          \
      goto done;                                                                                             \
    }                                                                                                        \
  } while (0)
