// SPDX-License-Identifier: Apache-2.0
// A filter "row_number() <= n" over a window wants the first rows of each partition only. The window is told,
// so that the others can be dropped before they are sorted; the filter stays.
#include "column/source.h"
#include "plan/rewrite.h"

// Does the function's value for a row depend on that row and those before it in the order alone? (Peers of a
// row are in the frame of an aggregate, and may come behind it.)
static bool looks_back(const qn_plan_function *function) {
  switch (function->kind) {
  case QN_WINDOW_ROW_NUMBER:
  case QN_WINDOW_RANK:
  case QN_WINDOW_DENSE_RANK:
  case QN_WINDOW_FIRST_VALUE:
    return true;
  case QN_WINDOW_LAG:
    return function->offset >= 0;
  default:
    return false;
  }
}

// The largest value of a row number or rank that the condition may hold for; INT64_MAX if it says nothing of
// one.
static int64_t most_of(const qn_dataset *window, const qn_expr *condition) {
  const int n_below = window->inputs[0]->schema->n_columns;
  qn_bound bound = {0};
  int64_t most = INT64_MAX;

  if (!qn_expr_as_bound(condition, &bound)) {
    return INT64_MAX;
  }
  const qn_plan_function *function =
      bound.column < n_below ? NULL : &window->functions[bound.column - n_below];
  const bool is_number = function != NULL &&
                         (function->kind == QN_WINDOW_ROW_NUMBER || function->kind == QN_WINDOW_RANK) &&
                         bound.value.type == QN_INT64;
  if (is_number && (bound.compare == QN_CMP_LE || bound.compare == QN_CMP_EQ)) {
    most = qn_column_int64(&bound.value, 0);
  } else if (is_number && bound.compare == QN_CMP_LT) {
    most = qn_column_int64(&bound.value, 0);
    most -= most > INT64_MIN;
  }
  qn_column_release(&bound.value);
  return most;
}

int64_t qn_plan_first_rows(const qn_dataset *window, const qn_expr *const *conditions, int n_conditions) {
  int64_t most = INT64_MAX;

  for (int f = 0; f < window->n_functions; f++) {
    if (!looks_back(&window->functions[f])) {
      return 0;
    }
  }
  for (int c = 0; c < n_conditions; c++) {
    const int64_t n = most_of(window, conditions[c]);
    most = n < most ? n : most;
  }
  return most == INT64_MAX ? 0 : most < 1 ? 1 : most;
}
