// SPDX-License-Identifier: Apache-2.0
// The test kit: checks that print where and what, batches from text, random batches.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "column/batch.h"

/// Each check that fails prints file, line and values, and makes kit_result() return 1. It goes on.
void kit_check(bool passed, const char *file, int line, const char *text);
void kit_check_int(int64_t found, int64_t wanted, const char *file, int line, const char *text);
void kit_check_float(double found, double wanted, double tolerance, const char *file, int line,
                     const char *text);
void kit_check_text(const char *found, const char *wanted, const char *file, int line, const char *text);
void kit_check_status(qn_status found, qn_status wanted, const qn_error *err, const char *file, int line,
                      const char *text);

#define QN_CHECK(condition) kit_check((condition), __FILE__, __LINE__, #condition)
#define QN_CHECK_INT(found, wanted) kit_check_int((found), (wanted), __FILE__, __LINE__, #found)
#define QN_CHECK_FLOAT(found, wanted, tolerance)                                                             \
  kit_check_float((found), (wanted), (tolerance), __FILE__, __LINE__, #found)
#define QN_CHECK_TEXT(found, wanted) kit_check_text((found), (wanted), __FILE__, __LINE__, #found)
/// `call` is made with `&kit_error` as its err.
#define QN_CHECK_OK(call) kit_check_status((call), QN_OK, &kit_error, __FILE__, __LINE__, #call)
#define QN_CHECK_FAILS(call, wanted) kit_check_status((call), (wanted), &kit_error, __FILE__, __LINE__, #call)
/// The message of kit_error contains `part`.
#define QN_CHECK_MESSAGE(part)                                                                               \
  kit_check(strstr(kit_error.message, (part)) != NULL, __FILE__, __LINE__, kit_error.message)
/// Runs one test function and prints its name if it fails.
#define KIT_RUN(test) kit_run(#test, test)

extern qn_error kit_error;
void kit_run(const char *name, void (*test)(void));
/// Prints "N passed, M failed"; the exit code of main.
int kit_result(void);

/// A batch from text: schema as qn_schema_parse() takes it; rows separated by newline, values by '|', null is
/// ~, empty text is empty. kit_batch("a int64, b utf8", "1|x\n2|~\n"). Ends the process on a mistake.
qn_batch *kit_batch(const char *schema, const char *rows);
/// All rows in the same form, to compare with QN_CHECK_TEXT. Free it with free().
char *kit_batch_text(const qn_batch *batch);
/// Checks that two batches hold equal values (NaN equals NaN).
#define QN_CHECK_BATCH(batch, wanted)                                                                        \
  do {                                                                                                       \
    char *kit_text_ = kit_batch_text(batch);                                                                 \
    kit_check_text(kit_text_, (wanted), __FILE__, __LINE__, #batch);                                         \
    free(kit_text_);                                                                                         \
  } while (0)

/// A generator of random numbers: the same for the same seed.
typedef struct kit_random {
  uint64_t state;
} kit_random;
uint64_t kit_random_next(kit_random *random);
/// 0 <= result < n
int64_t kit_random_below(kit_random *random, int64_t n);
/// n_rows random rows: nulls (one in ten), duplicates, NaN, infinities, -0.0, extremes, empty and non-ASCII
/// text.
qn_batch *kit_random_batch(kit_random *random, const char *schema, int64_t n_rows);
