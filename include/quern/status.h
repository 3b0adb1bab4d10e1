// SPDX-License-Identifier: Apache-2.0
// Status codes and error text. A function that can fail returns qn_status and fills a qn_error that the
// caller owns (NULL is allowed). The first to notice a failure writes the message: thing, place, value, what
// was expected; callers pass it on unchanged.
#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QN_API __attribute__((visibility("default")))

#define QN_STATUS_LIST(X)                                                                                    \
  X(QN_OK, "success")                                                                                        \
  X(QN_ERR_ARG, "invalid argument")                                                                          \
  X(QN_ERR_MEMORY, "out of memory")                                                                          \
  X(QN_ERR_IO, "read or write failed")                                                                       \
  X(QN_ERR_FORMAT, "data does not have the expected form")                                                   \
  X(QN_ERR_TYPE, "types do not match")                                                                       \
  X(QN_ERR_VALUE, "value out of range or not computable")                                                    \
  X(QN_ERR_CALLBACK, "a callback of the job failed")                                                         \
  X(QN_ERR_MPI, "an MPI call failed")                                                                        \
  X(QN_ERR_STOPPED, "another rank failed")                                                                   \
  X(QN_ERR_INTERRUPTED, "asked to stop")

typedef enum {
#define X(name, text) name,
  QN_STATUS_LIST(X)
#undef X
} qn_status;

/// What went wrong and where. A zeroed qn_error is valid and empty.
typedef struct qn_error {
  qn_status status;
  int rank;           // the rank that failed; -1 while unknown
  int line;           // where it was detected
  const char *file;   // the same; a string that is never freed
  char message[1000]; // "sales.csv, row 812, column 'price': '12,5' is not a float64"
} qn_error;

/// Local. A short English text for a status code; never NULL.
QN_API const char *qn_status_text(qn_status status);

/// Local. Fills `err` (may be NULL) from a printf format and returns `status`, so that it can end a function.
QN_API qn_status qn_fail_at(qn_error *err, qn_status status, const char *file, int line, const char *format,
                            ...) __attribute__((format(printf, 5, 6)));

#define qn_fail(err, status, ...) qn_fail_at((err), (status), __FILE__, __LINE__, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
