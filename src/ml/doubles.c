// SPDX-License-Identifier: Apache-2.0
// Vectors and matrices of zeros.
#include "ml/doubles.h"
#include "base/check.h"

qn_status qn_doubles_new(int64_t n_rows, int64_t n_columns, double **out, qn_error *err) {
  qn_status status = QN_OK;
  int64_t n = 0;
  int64_t size = 0;
  double *values = NULL;

  QN_TRY(qn_mul_size(n_rows, n_columns, &n, err));
  QN_TRY(qn_mul_size(n, (int64_t)sizeof(double), &size, err));
  values = qn_memory_alloc(size);
  QN_REQUIRE(values != NULL, err, QN_ERR_MEMORY, "no memory for a matrix of %lld x %lld numbers",
             (long long)n_rows, (long long)n_columns);
  memset(values, 0, (size_t)size);
  *out = values;
done:
  return status;
}
