// SPDX-License-Identifier: Apache-2.0
// Steps that make numbers, applied to a tile of rows: so few that what the steps of a row write and read
// again stays in the first cache. One tight loop for each column type.
#include <math.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "ml/features_steps.h"

// Type by type, without a branch in the loop; nulls are put in afterwards.
static void load_column(const qn_column *column, int64_t first, int n, double *out, int64_t stride) {
  switch (column->type) {
  case QN_FLOAT64:
    for (int i = 0; i < n; i++) {
      out[i * stride] = ((const double *)column->values)[first + i];
    }
    break;
  case QN_FLOAT32:
    for (int i = 0; i < n; i++) {
      out[i * stride] = (double)((const float *)column->values)[first + i];
    }
    break;
  case QN_INT32:
    for (int i = 0; i < n; i++) {
      out[i * stride] = (double)((const int32_t *)column->values)[first + i];
    }
    break;
  case QN_INT64:
    for (int i = 0; i < n; i++) {
      out[i * stride] = (double)((const int64_t *)column->values)[first + i];
    }
    break;
  default: // QN_BOOL: the parser and qn_features_inputs() let nothing else through
    for (int i = 0; i < n; i++) {
      out[i * stride] = (double)((const uint8_t *)column->values)[first + i];
    }
    break;
  }
  for (int i = 0; column->n_nulls > 0 && i < n; i++) {
    if (qn_column_is_null(column, first + i)) {
      out[i * stride] = NAN;
    }
  }
}

static void index_texts(const qn_step *step, qn_tile *tile, double *out, int64_t stride) {
  const qn_column *column = &tile->batch->columns[step->input];
  for (int i = 0; i < tile->n; i++) {
    const int64_t row = tile->first + i;
    if (qn_column_is_null(column, row)) {
      out[i * stride] = NAN;
      continue;
    }
    const qn_text text = qn_column_text(column, row);
    const int32_t found = qn_vocabulary_find(&step->vocabulary, text.data, text.size);
    out[i * stride] = found < 0 ? step->vocabulary.n : found;
  }
}

static void load_pixels(const qn_step *step, qn_tile *tile, double *out, int64_t stride) {
  const qn_column *column = &tile->batch->columns[step->input];
  for (int i = 0; i < tile->n; i++) {
    const int64_t row = tile->first + i;
    const bool is_null = qn_column_is_null(column, row);
    const qn_text bytes = is_null ? (qn_text){0} : qn_column_text(column, row);
    double *to = out + i * stride;
    if (bytes.size != step->n_outputs) {
      tile->is_bad[i] = tile->is_bad[i] || !is_null;
      for (int j = 0; j < step->n_outputs; j++) {
        to[j] = NAN;
      }
      continue;
    }
    for (int j = 0; j < step->n_outputs; j++) {
      to[j] = (double)(uint8_t)bytes.data[j];
    }
  }
}

static qn_status load_children(const qn_step *step, qn_tile *tile, double *out, int64_t stride,
                               qn_error *err) {
  qn_status status = QN_OK;
  for (int i = 0; i < step->n_children; i++) {
    QN_TRY(qn_step_numbers(step->children[i], tile, out, stride, err));
    out += step->children[i]->n_outputs;
  }

done:
  return status;
}

static void scale_outputs(const qn_step *step, int n, double *out, int64_t stride) {
  if (step->n_outputs < 8) {
    for (int j = 0; j < step->n_outputs; j++) {
      const double shift = step->shifts[j];
      const double scale = step->scales[j];
      for (int i = 0; i < n; i++) {
        out[i * stride + j] = (out[i * stride + j] - shift) * scale;
      }
    }
    return;
  }
  for (int i = 0; i < n; i++) {
    double *restrict row = out + i * stride;
    for (int j = 0; j < step->n_outputs; j++) {
      row[j] = (row[j] - step->shifts[j]) * step->scales[j];
    }
  }
}

static void fill_outputs(const qn_step *step, int n, double *out, int64_t stride) {
  for (int j = 0; j < step->n_outputs; j++) {
    for (int i = 0; i < n; i++) {
      const double value = out[i * stride + j];
      out[i * stride + j] = isnan(value) ? step->shifts[j] : value;
    }
  }
}

// The number of edges that are not above the value: its bucket.
static void find_buckets(const qn_step *step, int n, double *out, int64_t stride) {
  for (int j = 0; j < step->n_outputs; j++) {
    const double *edges = step->edges + step->edge_starts[j];
    const int n_edges = step->edge_starts[j + 1] - step->edge_starts[j];
    for (int i = 0; i < n; i++) {
      const double value = out[i * stride + j];
      if (isnan(value)) {
        continue;
      }
      int low = 0;
      int high = n_edges;
      while (low < high) {
        const int middle = (low + high) / 2;
        if (edges[middle] <= value) {
          low = middle + 1;
        } else {
          high = middle;
        }
      }
      out[i * stride + j] = isfinite(value) ? low : value;
    }
  }
}

static qn_status take_room(int64_t n, double **out, qn_error *err) {
  qn_status status = QN_OK;
  int64_t size = 0;

  QN_TRY(qn_mul_size(n, (int64_t)sizeof(double), &size, err));
  *out = qn_memory_alloc(size);
  QN_REQUIRE(*out != NULL, err, QN_ERR_MEMORY, "features: no memory for %lld numbers", (long long)n);

done:
  return status;
}

static qn_status multiply(const qn_step *step, qn_tile *tile, double *out, int64_t stride, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_variables = qn_step_n_child_outputs(step);
  const int64_t degree = step->limit;
  double *variables = NULL;

  QN_TRY(take_room(n_variables * tile->n, &variables, err));
  QN_TRY(load_children(step, tile, variables, n_variables, err));
  for (int i = 0; i < tile->n; i++) {
    const double *x = variables + i * n_variables;
    double *to = out + i * stride;
    const int *factors = step->factors;
    for (int j = 0; j < step->n_outputs; j++, factors += degree) {
      double product = x[factors[0]];
      for (int64_t k = 1; k < degree && factors[k] >= 0; k++) {
        product *= x[factors[k]];
      }
      to[j] = product;
    }
  }

done:
  qn_memory_free(variables);
  return status;
}

qn_status qn_step_numbers(const qn_step *step, qn_tile *tile, double *out, int64_t stride, qn_error *err) {
  qn_status status = QN_OK;

  switch (step->kind) {
  case QN_STEP_NUMBER:
    load_column(&tile->batch->columns[step->input], tile->first, tile->n, out, stride);
    break;
  case QN_STEP_STRING_INDEX:
    index_texts(step, tile, out, stride);
    break;
  case QN_STEP_PIXELS:
    load_pixels(step, tile, out, stride);
    break;
  case QN_STEP_POLYNOMIAL:
    QN_TRY(multiply(step, tile, out, stride, err));
    break;
  default:
    QN_TRY(load_children(step, tile, out, stride, err));
    if (step->kind == QN_STEP_IMPUTE) {
      fill_outputs(step, tile->n, out, stride);
    } else if (step->kind == QN_STEP_BUCKETISE) {
      find_buckets(step, tile->n, out, stride);
    } else {
      scale_outputs(step, tile->n, out, stride);
    }
    break;
  }

done:
  return status;
}
