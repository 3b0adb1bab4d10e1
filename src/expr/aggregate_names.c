// SPDX-License-Identifier: Apache-2.0
#include "expr/aggregate_names.h"
#include <string.h>

static const struct {
  const char *name;
  qn_aggregate_kind kind;
  bool is_median;
} aggregates[] = {
    {"count", QN_AGG_COUNT, false},
    {"sum", QN_AGG_SUM, false},
    {"min", QN_AGG_MIN, false},
    {"max", QN_AGG_MAX, false},
    {"avg", QN_AGG_AVG, false},
    {"mean", QN_AGG_AVG, false},
    {"variance", QN_AGG_VAR_SAMP, false},
    {"var_samp", QN_AGG_VAR_SAMP, false},
    {"var_pop", QN_AGG_VAR_POP, false},
    {"stddev", QN_AGG_STDDEV_SAMP, false},
    {"stddev_samp", QN_AGG_STDDEV_SAMP, false},
    {"stddev_pop", QN_AGG_STDDEV_POP, false},
    {"any_value", QN_AGG_ANY, false},
    {"first", QN_AGG_FIRST, false},
    {"bool_and", QN_AGG_BOOL_AND, false},
    {"every", QN_AGG_BOOL_AND, false},
    {"bool_or", QN_AGG_BOOL_OR, false},
    {"approx_count_distinct", QN_AGG_APPROX_DISTINCT, false},
    {"approx_quantile", QN_AGG_APPROX_QUANTILE, false},
    {"approx_percentile", QN_AGG_APPROX_QUANTILE, false},
    {"approx_median", QN_AGG_APPROX_QUANTILE, true},
    {"quantile_cont", QN_AGG_QUANTILE, false},
    {"median", QN_AGG_QUANTILE, true},
    {"corr", QN_AGG_CORR, false},
};

static const struct {
  const char *name;
  qn_window_kind kind;
} windows[] = {
    {"row_number", QN_WINDOW_ROW_NUMBER},
    {"rank", QN_WINDOW_RANK},
    {"dense_rank", QN_WINDOW_DENSE_RANK},
    {"lag", QN_WINDOW_LAG},
    {"lead", QN_WINDOW_LEAD},
    {"first_value", QN_WINDOW_FIRST_VALUE},
    {"last_value", QN_WINDOW_LAST_VALUE},
};

bool qn_aggregate_find(const char *name, qn_aggregate_kind *kind, bool *is_median) {
  for (size_t i = 0; i < sizeof aggregates / sizeof *aggregates; i++) {
    if (strcmp(aggregates[i].name, name) == 0) {
      *kind = aggregates[i].kind;
      *is_median = aggregates[i].is_median;
      return true;
    }
  }
  return false;
}

bool qn_aggregate_is_name(const char *name) {
  qn_aggregate_kind kind;
  bool is_median;
  return qn_aggregate_find(name, &kind, &is_median);
}

bool qn_window_find(const char *name, qn_window_kind *kind) {
  for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
    if (strcmp(windows[i].name, name) == 0) {
      *kind = windows[i].kind;
      return true;
    }
  }
  return false;
}

bool qn_window_is_name(const char *name) {
  qn_window_kind kind;
  return qn_window_find(name, &kind);
}
