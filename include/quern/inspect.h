// SPDX-License-Identifier: Apache-2.0
// Looking into staged datasets without a job.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <quern/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct qn_inspect_options {
  int64_t n_rows; // first rows to show
  bool verify;    // read everything and compare checksums
} qn_inspect_options;

/// Local, needs no MPI. Prints what a staged dataset (folder or .h5 file) is: schema, rows, parts, sizes,
/// statistics per column, and its first rows.
///
/// Errors  QN_ERR_IO      missing or unreadable
///         QN_ERR_FORMAT  no staged dataset, another version, damaged (names file, column and row group)
QN_API qn_status qn_inspect(const char *path, const qn_inspect_options *options, FILE *out, qn_error *err);

/// Local. The version of the library, "0.1.0".
QN_API const char *qn_version(void);

#ifdef __cplusplus
}
#endif
