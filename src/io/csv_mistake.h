// SPDX-License-Identifier: Apache-2.0
// Messages about malformed rows of CSV files.
#pragma once
#include "io/csv_rows.h"
#include "io/csv_source.h"
#include "io/csv_values.h"

/// What is wrong with one row.
typedef struct qn_csv_mistake {
  int64_t number;     // of the row among those found last (ragged ones counted)
  int64_t row;        // of the well-formed rows, or -1
  int file_column;    // -1: the row as a whole
  const char *column; // its name, or ""
  int64_t first, end; // the row's text in the window
  char reason[400];   // "'12,5' is not a float64"
  bool is_value;      // a value, not the row's form
} qn_csv_mistake;

/// Describes a field that could not be converted.
void qn_csv_describe_bad(const qn_csv_bad *bad, const char *column, const qn_csv_rows *rows, const char *data,
                         qn_csv_mistake *out);
void qn_csv_describe_ragged(const qn_csv_ragged *ragged, int n_columns, const char *data,
                            qn_csv_mistake *out);

/// Fails with "FILE, row N, column 'c' (byte offset B): REASON; HINT". `row` is the row's number from 1, or
/// 0: not known.
qn_status qn_csv_fail_mistake(const qn_csv_mistake *mistake, const qn_file *file, int64_t row, int64_t offset,
                              qn_error *err);

/// The number of rows between two places of a file, a row's begin each; -1 if it cannot be read again.
int64_t qn_csv_count_rows(const qn_csv_dialect *dialect, int n_columns, const qn_file *file, int64_t first,
                          int64_t end);
