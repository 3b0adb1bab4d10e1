// SPDX-License-Identifier: Apache-2.0
// Window functions over sorted rows, in two passes over a chunk of whole partitions: rows are added in order,
// and what a function gives for them comes into a stream as soon as it is known (at the end of the row's
// peers, say); then the chunk's rows are read again and get their values.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/buffer.h"
#include "column/batch.h"
#include "plan/plan.h"

typedef struct qn_window_calc qn_window_calc;

/// Rows of a chunk, in order.
typedef struct qn_window_rows {
  const qn_batch *batch;
  const uint8_t *partitions; // [n_rows] 1: the row is the first of a partition
  const uint8_t *peers;      // [n_rows] 1: the row is the first of its peers (or of a partition)
} qn_window_rows;

/// Local. `function` must stay. Errors: QN_ERR_TYPE for what a window cannot compute.
qn_status qn_window_calc_new(const qn_plan_function *function, const qn_schema *input, const char *scratch,
                             qn_window_calc **out, qn_error *err);
void qn_window_calc_free(qn_window_calc *calc);
qn_status qn_window_calc_add(qn_window_calc *calc, const qn_window_rows *rows, qn_error *err);
/// True if the function's values for rows depend, of the rows before, on no more than what
/// qn_window_calc_save() says.
bool qn_window_calc_can_go_on(const qn_window_calc *calc);
/// Appends what is known of the rows so far.
qn_status qn_window_calc_save(const qn_window_calc *calc, qn_buffer *out, qn_error *err);
/// Goes on as if the rows of the calc that was saved had been added to this one before, whose rows that wait
/// for the end of their peers stay. *used: bytes read. QN_ERR_FORMAT if they are not what was saved.
qn_status qn_window_calc_load(qn_window_calc *calc, const uint8_t *data, int64_t size, int64_t *used,
                              qn_error *err);
/// The chunk is complete; its values may be read.
qn_status qn_window_calc_end(qn_window_calc *calc, qn_error *err);
/// The values for the next rows of the chunk, which are `batch`. lengths: rows of each partition of the
/// chunk.
qn_status qn_window_calc_read(qn_window_calc *calc, const qn_batch *batch, const int64_t *lengths,
                              qn_column *out, qn_error *err);
/// Ready for the next chunk.
void qn_window_calc_clear(qn_window_calc *calc);
