// SPDX-License-Identifier: Apache-2.0
// Exact sums: the bits are those that a single rank computes, which every rank does here for itself.
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "kit/kit.h"
#include "ml/lane_sum.h"

static qn_comm *comm;

// A term whose sums round differently in every order.
static double term(int64_t row, int64_t i) {
  const uint64_t bits = qn_hash_combine((uint64_t)row, (uint64_t)i);
  return ldexp((double)(bits >> 12), (int)(bits & 63) - 80) * ((bits & 64) != 0 ? 1 : -1);
}

// Adds the lanes [first, end) of `rows`; a lane without rows, or that `skipped` says, is not asked for.
static void add_lanes(const qn_rows *rows, qn_lane_sum *sum, int64_t n, int first, int end) {
  for (int lane = first; lane < end; lane++) {
    for (int64_t row = qn_rows_lane_start(rows, lane); row < qn_rows_lane_start(rows, lane + 1); row++) {
      double *at = qn_lane_sum_at(sum, lane);
      for (int64_t i = 0; i < n; i++) {
        at[i] += term(row, i);
      }
    }
  }
}

// The same by the definition of the tree: a node is the sum of its halves, or the half that has rows.
static bool add_node(const qn_rows *rows, int level, int64_t index, int64_t i, double *value) {
  if (level == 0) {
    double sum = 0;
    if (index >= rows->n_lanes) {
      return false;
    }
    const int64_t start = qn_rows_lane_start(rows, (int)index);
    const int64_t end = qn_rows_lane_start(rows, (int)index + 1);
    for (int64_t row = start; row < end; row++) {
      sum += term(row, i);
    }
    *value = sum;
    return end > start;
  }
  double left = 0;
  double right = 0;
  const bool has_left = add_node(rows, level - 1, index * 2, i, &left);
  const bool has_right = add_node(rows, level - 1, index * 2 + 1, i, &right);
  *value = has_left && has_right ? left + right : has_left ? left : right;
  return has_left || has_right;
}

static void check_sum(int64_t n_total, int64_t n, bool is_exact) {
  const qn_rows_source source = {
      .n_total = n_total, .n_columns = 1, .x = calloc((size_t)n_total + 1, sizeof(double))};
  qn_rows *rows = NULL;
  qn_lane_sum *sum = NULL;
  const double *total = NULL;

  QN_CHECK_OK(qn_rows_from_memory(comm, &source, &rows, &kit_error));
  QN_CHECK_OK(qn_lane_sum_new(comm, rows, is_exact, n, &sum, &kit_error));
  for (int again = 0; again < 2; again++) {
    add_lanes(rows, sum, n, rows->first_lane, rows->end_lane);
    QN_CHECK_OK(qn_lane_sum_finish(sum, &total, &kit_error));
    for (int64_t i = 0; i < n; i += n / 3 + 1) {
      double wanted = 0;
      add_node(rows, 8, 0, i, &wanted);
      QN_CHECK_FLOAT(total[i], wanted, is_exact ? 0 : 1e-9 * (1 + fabs(wanted)));
    }
  }
  QN_CHECK_OK(qn_comm_agree(comm, QN_OK, &kit_error));
  qn_lane_sum_free(sum);
  qn_rows_free(rows);
  free((void *)source.x);
}

static void exact_sums_are_those_of_the_tree(void) {
  const int64_t totals[] = {0, 1, 3, 100, 240, 1000};

  for (int t = 0; t < 6; t++) {
    check_sum(totals[t], 3, true);
  }
  check_sum(300, 70000, true); // in slices
}

static void sums_are_right(void) {
  check_sum(0, 2, false);
  check_sum(1000, 5, false);
}

int main(void) {
  if (qn_comm_open(&comm, &kit_error) != QN_OK) {
    return 1;
  }
  KIT_RUN(exact_sums_are_those_of_the_tree);
  KIT_RUN(sums_are_right);
  qn_comm_close(comm);
  return kit_result();
}
