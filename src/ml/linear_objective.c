// SPDX-License-Identifier: Apache-2.0
#include "ml/linear_objective.h"

#include <cblas.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"

void qn_linear_block_margins(const qn_row_block *block, int n_outputs, const double *b,
                             const double *intercept, double *margins) {
  if (block->x && n_outputs == 1) {
    qn_rows_times_vector(block->x, block->n_rows, block->n_columns, b, intercept[0], margins);
    return;
  }
  if (block->x) { // OpenBLAS is faster where nothing is there to add to
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (blasint)block->n_rows, n_outputs,
                block->n_columns, 1, block->x, block->n_columns, b, n_outputs, 0, margins, n_outputs);
    for (int64_t row = 0; row < block->n_rows; row++) {
      for (int k = 0; k < n_outputs; k++) {
        margins[row * n_outputs + k] += intercept[k];
      }
    }
    return;
  }
  for (int64_t row = 0; row < block->n_rows; row++) {
    memcpy(margins + row * n_outputs, intercept, (size_t)n_outputs * 8);
  }
  for (int64_t row = 0; block->starts && row < block->n_rows; row++) {
    double *m = margins + row * n_outputs;
    for (int64_t i = block->starts[row]; i < block->starts[row + 1]; i++) {
      const double *line = b + (int64_t)block->columns[i] * n_outputs;
      for (int k = 0; k < n_outputs; k++) {
        m[k] += block->values[i] * line[k];
      }
    }
  }
}

void qn_linear_block_gradient(const qn_row_block *block, int n_outputs, const double *derivatives,
                              double *gradient) {
  if (block->x && n_outputs == 1) {
    qn_rows_add_transposed(block->x, block->n_rows, block->n_columns, derivatives, gradient);
    return;
  }
  if (block->x) {
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, block->n_columns, n_outputs, (blasint)block->n_rows,
                1, block->x, block->n_columns, derivatives, n_outputs, 1, gradient, n_outputs);
    return;
  }
  for (int64_t row = 0; block->starts && row < block->n_rows; row++) {
    const double *d = derivatives + row * n_outputs;
    for (int64_t i = block->starts[row]; i < block->starts[row + 1]; i++) {
      double *line = gradient + (int64_t)block->columns[i] * n_outputs;
      for (int k = 0; k < n_outputs; k++) {
        line[k] += block->values[i] * d[k];
      }
    }
  }
}

// Rows [first, first + n) of a block.
static qn_row_block part_of(const qn_row_block *block, int64_t first, int64_t n) {
  qn_row_block part = *block;
  part.n_rows = n;
  part.x = block->x ? block->x + first * block->n_columns : NULL;
  part.x32 = block->x32 ? block->x32 + first * block->n_columns : NULL;
  part.starts = block->starts ? block->starts + first : NULL;
  part.y = block->y + first;
  part.w = block->w ? block->w + first : NULL;
  return part;
}

// sums: gradient [n_columns, n_outputs], of the intercepts [n_outputs], loss.
static void add_block(qn_linear_objective *o, const qn_row_block *block, const double *b, double *sums) {
  const int n_outputs = o->n_outputs;
  double *of_intercept = sums + (int64_t)o->n_columns * n_outputs;

  if (o->few.room != NULL) {
    qn_few_outputs_add(&o->few, o->loss, block, sums);
    return;
  }
  for (int64_t first = 0; first < block->n_rows; first += o->run_rows) {
    const int64_t left = block->n_rows - first;
    qn_row_block run = part_of(block, first, left < o->run_rows ? left : o->run_rows);
    if (run.x32) {
      qn_row_block_densify(&run, o->dense);
    }
    qn_linear_block_margins(&run, n_outputs, b, o->intercept, o->margins);
    of_intercept[n_outputs] += qn_linear_loss_rows(o->loss, run.n_rows, n_outputs, run.y, run.w, o->margins);
    qn_linear_block_gradient(&run, n_outputs, o->margins, sums);
    for (int64_t row = 0; row < run.n_rows; row++) {
      for (int k = 0; k < n_outputs; k++) {
        of_intercept[k] += o->margins[row * n_outputs + k];
      }
    }
  }
}

// The intercepts at x = 0: the parameters hold those at the columns' means.
static void find_intercepts(const qn_linear_objective *o, const double *x) {
  const int64_t n_weights = (int64_t)o->n_columns * o->n_outputs;

  for (int k = 0; k < o->n_outputs; k++) {
    o->intercept[k] = o->has_intercept ? x[n_weights + k] : 0;
  }
  for (int j = 0; j < o->n_columns && o->has_intercept; j++) {
    for (int k = 0; k < o->n_outputs; k++) {
      o->intercept[k] -= o->gram.mean[j] * x[(int64_t)j * o->n_outputs + k];
    }
  }
}

qn_status qn_linear_evaluate(void *objective, const double *x, double *value, double *gradient,
                             qn_error *err) {
  qn_status status = QN_OK;
  qn_linear_objective *o = objective;
  const qn_rows *rows = o->fit->rows;
  const int64_t n_weights = (int64_t)o->n_columns * o->n_outputs;
  const double *total = NULL;
  const double share = 1 / rows->total_weight;

  find_intercepts(o, x);
  if (o->few.room != NULL) {
    qn_few_outputs_set(&o->few, x, o->intercept);
  }
  for (int64_t i = 0; i < rows->n_blocks; i++) {
    qn_row_block block;
    qn_rows_block(rows, i, &block);
    add_block(o, &block, x, qn_lane_sum_at(o->sum, block.lane));
  }
  QN_TRY(qn_lane_sum_finish(o->sum, &total, err));
  double square = 0;
  for (int64_t i = 0; i < n_weights; i++) {
    const int64_t column = i / o->n_outputs;
    const bool is_fixed = o->has_intercept && o->gram.variance[column] == 0; // it is in the intercept
    const double of_mean = o->gram.mean[column] * total[n_weights + i % o->n_outputs];
    gradient[i] = (is_fixed ? 0 : (total[i] - of_mean) * share) + o->l2 * x[i];
    square += x[i] * x[i];
  }
  for (int k = 0; k < o->n_outputs && o->has_intercept; k++) {
    gradient[n_weights + k] = total[n_weights + k] * share;
  }
  *value = total[n_weights + o->n_outputs] * share + 0.5 * o->l2 * square;
  o->n_evaluations++;

done:
  return status;
}

qn_status qn_linear_put(const qn_linear_objective *o, const double *x, qn_error *err) {
  qn_status status = QN_OK;
  double *coefficients = NULL;
  const int64_t dims[] = {o->n_outputs, o->n_columns};

  QN_TRY(qn_arrays_new(&o->fit->model->arrays, "coefficients", QN_FLOAT64, 2, dims, (void **)&coefficients,
                       err));
  for (int j = 0; j < o->n_columns; j++) {
    for (int k = 0; k < o->n_outputs; k++) {
      coefficients[(int64_t)k * o->n_columns + j] = x[(int64_t)j * o->n_outputs + k];
    }
  }
  find_intercepts(o, x);
  QN_TRY(qn_arrays_put(&o->fit->model->arrays, "intercept", QN_FLOAT64, o->n_outputs, o->intercept, err));

done:
  return status;
}

qn_status qn_linear_margins(const qn_model *model, int n_outputs, const qn_row_block *block, double *margins,
                            qn_error *err) {
  qn_status status = QN_OK;
  const double *coefficients = NULL;
  const double *intercept = NULL;
  const int n = block->n_columns;

  QN_TRY(qn_arrays_get(&model->arrays, "coefficients", QN_FLOAT64, 2, (int64_t[]){n_outputs, n},
                       (const void **)&coefficients, err));
  QN_TRY(qn_arrays_get(&model->arrays, "intercept", QN_FLOAT64, 1, (int64_t[]){n_outputs},
                       (const void **)&intercept, err));
  for (int64_t row = 0; row < block->n_rows; row++) {
    double *m = margins + row * n_outputs;
    memcpy(m, intercept, (size_t)n_outputs * 8);
    for (int k = 0; k < n_outputs && !block->x; k++) {
      const double *b = coefficients + (int64_t)k * n;
      for (int64_t i = block->starts[row]; i < block->starts[row + 1]; i++) {
        m[k] += block->values[i] * b[block->columns[i]];
      }
    }
  }
  if (block->x) {
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)block->n_rows, n_outputs, n, 1, block->x, n,
                coefficients, n, 1, margins, n_outputs);
  }

done:
  return status;
}
