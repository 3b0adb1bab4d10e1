// SPDX-License-Identifier: Apache-2.0
// A source: splits of rows that any rank may read in any order. Text, CSV, staged datasets and batches in
// memory are sources; each is made on every rank with the same splits. Immutable; a run opens readers on it.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "column/batch.h"

/// A comparison of a column with a constant that rows must fulfil; readers may use it to leave out rows
/// (never to keep the filter from running after them).
typedef enum { QN_CMP_EQ, QN_CMP_NE, QN_CMP_LT, QN_CMP_LE, QN_CMP_GT, QN_CMP_GE } qn_compare;
typedef struct qn_bound {
  int column; // of the source's schema
  qn_compare compare;
  qn_column value; // one row, not null, of the column's type
} qn_bound;

/// What a run wants of a source.
typedef struct qn_scan {
  const int *columns; // of the source's schema, ascending; the reader's batches hold just these
  int n_columns;      // may be 0: only rows are counted
  const qn_bound *bounds;
  int n_bounds;
  const qn_schema *schema; // of the projected batches
} qn_scan;

typedef struct qn_source qn_source;
typedef struct qn_reader qn_reader;

typedef struct qn_source_ops {
  const char *name;   // "csv"
  size_t reader_size; // the run allocates and zeroes the reader
  /// Called once per run and rank. On failure close is still called.
  qn_status (*open)(const qn_source *source, const qn_scan *scan, qn_reader *reader, qn_error *err);
  /// Begins with split 0 <= split < n_splits.
  qn_status (*start)(qn_reader *reader, int64_t split, qn_error *err);
  /// The next batch of the split, owned by the caller; *out is NULL at its end. Batches hold at most some
  /// QN_BATCH_ROWS rows.
  qn_status (*next)(qn_reader *reader, qn_batch **out, qn_error *err);
  void (*close)(qn_reader *reader);
  void (*free)(qn_source *source);
} qn_source_ops;

/// What all sources begin with; each kind embeds it as its first member.
struct qn_source {
  const qn_source_ops *ops;
  qn_schema *schema; // all columns
  int64_t n_splits;
  int64_t n_bytes;         // of input, for progress and for choices; -1 if unknown
  int64_t n_rows;          // if known without reading, else -1
  uint64_t identity;       // hash of which files or rows these are and in what state; known on rank 0 only
  bool reads_whole_rows;   // every column must be read even if few are wanted (malformed rows are collected)
  const char *description; // "csv ratings.csv (3 files, 1.2 GiB)"
};
/// The same for readers.
struct qn_reader {
  const qn_source *source;
  int64_t n_bytes_read;
  int64_t n_rows_rejected;
};

static inline void qn_source_free(qn_source *source) {
  if (source != NULL) {
    source->ops->free(source);
  }
}
