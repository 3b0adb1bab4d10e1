// SPDX-License-Identifier: Apache-2.0
#include "ml/few_outputs.h"

#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "ml/doubles.h"
#include "ml/few_outputs_kernels.h"

enum { WIDTH = 8, HALF = 4, MOST_OUTPUTS = 128, MOST_WEIGHTS = 1 << 14, RUN_VALUES = 2560 };

bool qn_few_outputs_pays(int n_columns, int n_outputs) {
  return n_outputs > 1 && n_outputs <= MOST_OUTPUTS && (int64_t)n_columns * n_outputs <= MOST_WEIGHTS &&
         qn_few_outputs_kernels_run();
}

qn_status qn_few_outputs_new(int n_columns, int n_outputs, qn_few_outputs *out, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t stride = ((int64_t)n_columns + WIDTH - 1) / WIDTH * WIDTH;
  const int n_even = n_outputs + n_outputs % 2;
  const int64_t rows = RUN_VALUES / stride / WIDTH * WIDTH;
  qn_few_outputs few = {.n_columns = n_columns,
                        .n_outputs = n_outputs,
                        .stride = stride,
                        .run_rows = rows < WIDTH             ? WIDTH
                                    : rows > QN_FEW_RUN_ROWS ? QN_FEW_RUN_ROWS
                                                             : rows};

  QN_TRY(qn_doubles_new(few.run_rows, n_columns, &few.room, err));
  QN_TRY(qn_doubles_new(few.run_rows, 1, &few.y, err));
  QN_TRY(qn_doubles_new(few.run_rows, 1, &few.w, err));
  QN_TRY(qn_doubles_new(n_even / 2, qn_few_outputs_pair_size(n_columns), &few.weights, err));
  QN_TRY(qn_doubles_new(n_even, 1, &few.intercepts, err));
  QN_TRY(qn_doubles_new(n_outputs, stride, &few.gradient, err));
  QN_TRY(qn_doubles_new(n_outputs, WIDTH, &few.of_intercepts, err));
  QN_TRY(qn_doubles_new(n_even, QN_FEW_RUN_ROWS, &few.margins, err));
  *out = few;
  few = (qn_few_outputs){0};

done:
  qn_few_outputs_release(&few);
  return status;
}

void qn_few_outputs_release(qn_few_outputs *few) {
  qn_memory_free(few->room);
  qn_memory_free(few->y);
  qn_memory_free(few->w);
  qn_memory_free(few->weights);
  qn_memory_free(few->intercepts);
  qn_memory_free(few->gradient);
  qn_memory_free(few->of_intercepts);
  qn_memory_free(few->margins);
  *few = (qn_few_outputs){0};
}

void qn_few_outputs_set(qn_few_outputs *few, const double *b, const double *intercept) {
  const int64_t pair_size = qn_few_outputs_pair_size(few->n_columns);

  for (int k = 0; k < few->n_outputs; k++) {
    double *weights = few->weights + k / 2 * pair_size + k % 2 * HALF;
    for (int64_t j = 0; j < few->n_columns; j++) {
      weights[j / HALF * WIDTH + j % HALF] = b[j * few->n_outputs + k];
    }
    few->intercepts[k] = intercept[k];
  }
}

// Rows [first, first + n) of the block, and behind them to a multiple of 8 what weighs nothing.
static qn_few_rows take_rows(qn_few_outputs *few, const qn_row_block *block, int64_t first, int64_t n) {
  const int64_t n_whole = (n + WIDTH - 1) / WIDTH * WIDTH;
  const int64_t from = first * few->n_columns;
  const int64_t n_values = n * few->n_columns;
  qn_few_rows rows = {.x = few->room, .n = n_whole};

  if (block->x == NULL) {
    for (int64_t i = 0; i < n_values; i++) {
      few->room[i] = (double)block->x32[from + i];
    }
    rows.ahead = (const char *)(block->x32 + from + n_values);
  } else {
    rows.ahead = (const char *)(block->x + from + n_values);
    if (n == n_whole) {
      rows.x = block->x + from;
    } else {
      memcpy(few->room, block->x + from, (size_t)n_values * sizeof *few->room);
    }
  }
  if (n < n_whole) {
    memset(few->room + n_values, 0, (size_t)((n_whole - n) * few->n_columns) * sizeof *few->room);
  }
  for (int64_t row = 0; row < n_whole; row++) {
    few->y[row] = row < n ? block->y[first + row] : 0;
    few->w[row] = row >= n ? 0 : block->w != NULL ? block->w[first + row] : 1;
  }
  return rows;
}

static void add_to_sums(const qn_few_outputs *few, double loss, double *sums) {
  const int64_t n_outputs = few->n_outputs;

  for (int64_t j = 0; j < few->n_columns; j++) {
    for (int64_t k = 0; k < n_outputs; k++) {
      sums[j * n_outputs + k] += few->gradient[k * few->stride + j];
    }
  }
  for (int64_t i = 0; i < n_outputs * WIDTH; i++) {
    sums[few->n_columns * n_outputs + i / WIDTH] += few->of_intercepts[i];
  }
  sums[(few->n_columns + 1) * n_outputs] += loss;
}

void qn_few_outputs_add(qn_few_outputs *few, qn_linear_loss loss, const qn_row_block *block, double *sums) {
  double total = 0;

  memset(few->gradient, 0, (size_t)(few->n_outputs * few->stride) * sizeof *few->gradient);
  memset(few->of_intercepts, 0, (size_t)few->n_outputs * WIDTH * sizeof *few->of_intercepts);
  for (int64_t first = 0; first < block->n_rows; first += few->run_rows) {
    const int64_t left = block->n_rows - first;
    qn_few_rows rows = take_rows(few, block, first, left < few->run_rows ? left : few->run_rows);
    qn_few_outputs_margins(few, &rows);
    total +=
        loss == QN_LOSS_SOFTMAX ? qn_few_outputs_softmax(few, rows.n) : qn_few_outputs_hinge(few, rows.n);
    qn_few_outputs_gradient(few, &rows);
  }
  add_to_sums(few, total, sums);
}
