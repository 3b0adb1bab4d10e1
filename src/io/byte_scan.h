// SPDX-License-Identifier: Apache-2.0
// Finds where lines and CSV fields end, 64 bytes at a time. Each kernel exists for several instruction sets
// with the same results; which one runs is decided by the processor at hand.
#pragma once
#include <stdbool.h>
#include <stdint.h>

/// What bytes mean in a CSV file.
typedef struct qn_csv_dialect {
  char separator, quote;
  char comment; // 0: none
  bool trim;
} qn_csv_dialect;

/// What the next byte stands in. This small machine says what a CSV file means, malformed ones included; all
/// that cuts, counts or indexes rows follows it. A quote opens a quoted field at the start of a field only
/// (with `trim` also after blanks there); elsewhere in an unquoted field it is a byte like others. In a
/// quoted field a quote closes it; if another follows at once the field goes on (that is how a doubled quote
/// is read: closed, and opened again, so that "just closed" is the same state as FIELD_START). What follows a
/// closing quote otherwise is unquoted text.
typedef enum qn_csv_state {
  QN_CSV_ROW_START,
  QN_CSV_FIELD_START,
  QN_CSV_UNQUOTED,
  QN_CSV_QUOTED,
  QN_CSV_COMMENT,
  QN_CSV_N_STATES
} qn_csv_state;

/// The running result of a scan. `ends` gets the position of each separator and line end outside quoted
/// fields and comments (a comment's line end too). It must have room for a position per byte scanned and
/// QN_SCAN_SLACK more.
typedef struct qn_csv_scan {
  uint32_t *ends;
  int64_t n_ends;
  int64_t n_rows;  // line ends among them
  bool has_quotes; // a quote was met
  qn_csv_state state;
} qn_csv_scan;
enum { QN_SCAN_SLACK = 128 };

/// Up to 63 bytes behind `end` are read (and not used).
typedef struct qn_scan_kernels {
  const char *name;
  /// Scans data[first, end), 0 <= first <= end < 2^32; positions are relative to data. Goes on from
  /// scan->state.
  void (*scan_csv)(const qn_csv_dialect *dialect, const char *data, int64_t first, int64_t end,
                   qn_csv_scan *scan);
  /// Positions of \n in data[first, end) go to ends, which has room as above; returns how many.
  int64_t (*scan_lines)(const char *data, int64_t first, int64_t end, uint32_t *ends);
} qn_scan_kernels;

/// The fastest for this processor.
const qn_scan_kernels *qn_scan_kernels_best(void);
/// All that this processor can run, the plain ones first; for tests.
enum { QN_SCAN_MAX_KERNELS = 3 };
int qn_scan_kernels_all(const qn_scan_kernels *out[QN_SCAN_MAX_KERNELS]);

/// The machine itself, a byte at a time: the next state. *is_end is set for a byte that ends a field.
qn_csv_state qn_csv_next_state(const qn_csv_dialect *dialect, qn_csv_state state, char byte, bool *is_end);
/// The machine over a stretch: what the kernels fall back to where a quote does not stand at a field's edge.
void qn_csv_scan_bytes(const qn_csv_dialect *dialect, const char *data, int64_t first, int64_t end,
                       qn_csv_scan *scan);

/// NULL where the processor cannot run them.
const qn_scan_kernels *qn_scan_kernels_avx2(void);
const qn_scan_kernels *qn_scan_kernels_avx512(void);
