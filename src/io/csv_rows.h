// SPDX-License-Identifier: Apache-2.0
// Finds the rows of a CSV file in an input window: where each field of each row ends, without looking at
// values.
#pragma once
#include "io/byte_scan.h"
#include "io/input_window.h"

/// A line that is no row of the file's columns.
typedef struct qn_csv_ragged {
  int64_t number;   // of the row, from the first one found
  uint32_t first;   // where it begins in the window
  uint32_t end;     // its line end
  int64_t n_fields; // 0: a quote that is not closed before the file ends
} qn_csv_ragged;

/// The rows found last. Positions are relative to the window's data. Field j (of all rows) is the bytes
/// [ends[j - 1] + 1, ends[j]); field c of row i is the field firsts[i] + c. Blank lines and comments are left
/// out.
typedef struct qn_csv_rows {
  const qn_scan_kernels *kernels;
  qn_csv_dialect dialect;
  int n_columns;  // that a row must have
  uint32_t *ends; // ends[-1] + 1 is 0
  int64_t ends_capacity;
  int32_t *firsts;  // [n_rows]
  int32_t *numbers; // [n_rows] the rows' numbers, counted with the ragged ones; meant only if n_rows < n_all
  int64_t n_rows;
  int64_t n_all; // with the ragged ones
  qn_csv_ragged *ragged;
  int64_t n_ragged, ragged_capacity;
  int64_t n_bytes;    // of all lines found, left-out ones too: to be skipped in the window
  int64_t last_first; // where the last of these lines begins
  bool has_quotes;    // there may be quotes in them
} qn_csv_rows;

qn_status qn_csv_rows_init(qn_csv_rows *rows, const qn_csv_dialect *dialect, int n_columns, qn_error *err);
void qn_csv_rows_release(qn_csv_rows *rows);

/// Finds the rows at the window's begin (where a row must begin): those that begin before `limit`, at most
/// QN_BATCH_ROWS and about half a MiB, at least one line. `wanted` bytes are read ahead, more as needed.
/// n_bytes is 0 only at the end of the file, or if limit is not positive.
qn_status qn_csv_rows_find(qn_csv_rows *rows, qn_input_window *window, int64_t limit, int64_t wanted,
                           qn_error *err);
