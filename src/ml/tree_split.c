// SPDX-License-Identifier: Apache-2.0
// Splits are judged as in XGBoost (T. Chen and C. Guestrin, 2016): what the sums of squares of gradients over
// hessians gain. Rows with NaN are tried on both sides. Ties go to the lower column and bin, so that all
// numbers of ranks choose alike.
#include "ml/tree_split.h"
#include "base/buffer.h"
#include "base/check.h"

typedef struct split_search {
  const qn_tree_rule *rule;
  qn_tree_cell leaf;
  double g, h; // of the leaf
  double least_h;
  qn_tree_split best;
} split_search;

static qn_tree_cell plus(qn_tree_cell a, qn_tree_cell b) {
  return (qn_tree_cell){.g = a.g + b.g, .h = a.h + b.h, .n = a.n + b.n};
}

static double score(double g, double h) {
  return h > 0 ? g * g / h : 0;
}

// Gains of all cuts of a column at once, so that the divisions overlap. `before` is added to all left sides.
// Cuts that break the rule get 0.
static void find_gains(const split_search *search, const qn_tree_cell *cells, int n, qn_tree_cell before,
                       double *gains) {
  const qn_tree_rule *rule = search->rule;
  double left_g[QN_TREE_BINS], left_h[QN_TREE_BINS], allowed[QN_TREE_BINS];
  qn_tree_cell left = before;
  for (int i = 0; i < n; i++) {
    left = plus(left, cells[i]);
    left_g[i] = (double)left.g * rule->g_unit;
    left_h[i] = (double)left.h * rule->h_unit;
    allowed[i] = left.n >= rule->min_leaf_rows && search->leaf.n - left.n >= rule->min_leaf_rows;
  }
  for (int i = 0; i < n; i++) {
    const double right_g = search->g - left_g[i];
    const double right_h = search->h - left_h[i];
    const double gain =
        left_g[i] * left_g[i] / (left_h[i] + rule->l2) + right_g * right_g / (right_h + rule->l2);
    const bool is_heavy = (left_h[i] >= search->least_h) & (right_h >= search->least_h);
    gains[i] = is_heavy ? gain * allowed[i] : 0;
  }
}

static int largest(const double *gains, int n, double least) {
  int best = -1;
  for (int i = 0; i < n; i++) {
    if (gains[i] > least) {
      least = gains[i];
      best = i;
    }
  }
  return best;
}

static void try_column(split_search *search, int column, const qn_tree_cell *cells, int n_bins,
                       bool missing_left) {
  double gains[QN_TREE_BINS];
  const qn_tree_cell missing = cells[n_bins];
  const qn_tree_cell before = missing_left ? missing : (qn_tree_cell){0};
  // With NaN on the right all numbers may be on the left.
  const int n = n_bins - (missing.n > 0 && !missing_left ? 0 : 1);
  find_gains(search, cells, n, before, gains);
  const int bin = largest(gains, n, search->best.score);
  if (bin < 0) {
    return;
  }
  qn_tree_cell left = before;
  for (int i = 0; i <= bin; i++) {
    left = plus(left, cells[i]);
  }
  const bool is_larger = left.n * 2 > search->leaf.n;
  search->best = (qn_tree_split){.score = gains[bin],
                                 .column = column,
                                 .bin = bin,
                                 .missing_left = missing.n > 0 ? missing_left : is_larger,
                                 .left = left};
}

void qn_tree_split_find(const qn_tree_sums *sums, const qn_tree_cell *cells, qn_tree_cell leaf,
                        const qn_tree_rule *rule, const bool *is_used, qn_tree_split *out) {
  split_search search = {.rule = rule, .leaf = leaf};
  search.g = (double)leaf.g * rule->g_unit;
  search.h = (double)leaf.h * rule->h_unit;
  // A side of no weight at all is none.
  search.least_h = rule->min_leaf_hessian > rule->h_unit ? rule->min_leaf_hessian : rule->h_unit;
  const double without = score(search.g, search.h + rule->l2);
  const double least = without + rule->min_gain + 1e-12 * without;
  search.best.score = least;
  for (int j = sums->first_column; j < sums->end_column; j++) {
    const qn_tree_cell *column = cells + (sums->cell_starts[j] - sums->cell_starts[sums->first_column]);
    const int n_bins = sums->bins->edges.n_bins[j];
    if (!is_used[j]) {
      continue;
    }
    try_column(&search, j, column, n_bins, false);
    if (column[n_bins].n > 0) {
      try_column(&search, j, column, n_bins, true);
    }
  }
  search.best.gain = search.best.score > least ? search.best.score - without : 0;
  *out = search.best;
}

static bool is_better(const qn_tree_split *a, const qn_tree_split *b) {
  if (a->gain <= 0 || b->gain <= 0) {
    return a->gain > b->gain;
  }
  return a->score > b->score || (a->score == b->score && a->column < b->column);
}

qn_status qn_tree_split_agree(qn_comm *comm, qn_tree_split *splits, int n, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer all = {0};
  qn_buffer sizes = {0};
  const int n_ranks = qn_comm_size(comm);

  if (n_ranks == 1) {
    goto done;
  }
  QN_TRY(qn_buffer_reserve(&sizes, (int64_t)n_ranks * 8, err));
  QN_TRY(qn_comm_gather(comm, splits, n * (int64_t)sizeof *splits, &all, (int64_t *)(void *)sizes.data, err));
  const qn_tree_split *theirs = (const qn_tree_split *)(const void *)all.data;
  QN_REQUIRE(all.size == (int64_t)n_ranks * n * (int64_t)sizeof *splits, err, QN_ERR_MPI,
             "%d splits of %d ranks are not as many bytes as came", n, n_ranks);
  for (int i = 0; i < n; i++) {
    splits[i] = theirs[i];
    for (int rank = 1; rank < n_ranks; rank++) {
      splits[i] = is_better(&theirs[rank * n + i], &splits[i]) ? theirs[rank * n + i] : splits[i];
    }
  }

done:
  qn_buffer_release(&all);
  qn_buffer_release(&sizes);
  return status;
}
