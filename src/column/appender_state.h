// SPDX-License-Identifier: Apache-2.0
// Inside of an appender; for the files that append only.
#pragma once
#include "column/builder.h"
#include "column/word_scan.h"

typedef struct {
  unsigned accepts; // bit t: type t; bit QN_N_TYPES: nulls; 0 after a mistake
  qn_column_builder *builder;
} qn_appender_slot;

struct qn_appender {
  int column; // the next value's
  int n_columns;
  qn_appender_slot *slots;
  int64_t n_rows;       // complete
  int64_t n_bytes;      // of text and values in complete and incomplete rows
  int64_t row_bytes;    // of the fixed part of a row
  int64_t most_rows;    // the sink gets a batch from here on
  int64_t most_bytes;   // or from here on
  int64_t n_rows_given; // to the sink before, for messages
  qn_batch_builder builder;
  const qn_word_kernels *words;
  qn_status (*full)(void *ctx, qn_batch *batch, qn_error *err);
  void *ctx;
  qn_status status; // of the first mistake
  qn_error error;
};

/// Keeps a mistake that is already in appender->error; from now on no slot takes anything.
void qn_appender_keep_mistake(qn_appender *appender, qn_status status);
/// Gives the complete rows to the sink.
void qn_appender_hand_over(qn_appender *appender);
