// SPDX-License-Identifier: Apache-2.0
// Leaf-wise growth (G. Ke et al., LightGBM, 2017; H. Shi, 2007). All ranks know all leaves' totals and
// splits, and each has its rows of a leaf as a stretch of `rows`. Only the smaller child of a split is
// summed; the sums of the larger one are the parent's less these. All decisions rest on exact totals of all
// ranks.
#include "ml/tree_grow.h"
#include <inttypes.h>
#include <stdlib.h>
#include "base/check.h"
#include "base/memory.h"
#include "kernel/grow_array.h"

enum { AHEAD = 24 };

typedef struct qn_tree_leaf {
  int64_t node;
  int64_t depth;
  int64_t first, n; // in rows
  qn_tree_cell total;
  qn_tree_split split;
  qn_tree_cell *cells; // sums of this rank's slice, while they are of use; may be NULL
} tree_leaf;

// --- Sums that leaves use ---------------------------------------------------------------------------------

// How many leaves may keep their sums: as many as the budget of every rank allows.
static qn_status agree_on_pool(qn_tree_grower *grower, qn_error *err) {
  const int64_t bytes = grower->sums->n_cells * (int64_t)sizeof(qn_tree_cell) + 1;
  const int64_t budget = qn_memory_budget();
  const int64_t free_bytes = budget > 0 ? (budget - qn_memory_used()) / 2 : (int64_t)4 << 30;
  grower->most_made = free_bytes / bytes < 4 ? 4 : free_bytes / bytes;
  return qn_comm_reduce_int64(grower->comm, QN_MIN, &grower->most_made, 1, err);
}

static int64_t n_free(const qn_tree_grower *grower) {
  return grower->n_pooled + grower->most_made - grower->n_made;
}

// NULL if there is no memory.
static qn_tree_cell *take_cells(qn_tree_grower *grower) {
  if (grower->n_pooled > 0) {
    return grower->pool[--grower->n_pooled];
  }
  qn_tree_cell **pool = realloc(grower->pool, (size_t)(grower->n_made + 1) * sizeof *pool);
  if (pool == NULL) {
    return NULL;
  }
  grower->pool = pool;
  qn_tree_cell *cells = qn_memory_alloc(grower->sums->n_cells * (int64_t)sizeof *cells);
  grower->n_made += cells != NULL;
  return cells;
}

static void give_cells(qn_tree_grower *grower, tree_leaf *leaf) {
  if (leaf->cells != NULL) {
    grower->pool[grower->n_pooled++] = leaf->cells;
    leaf->cells = NULL;
  }
}

// --- Searching --------------------------------------------------------------------------------------------

static bool may_split(const qn_tree_grower *grower, const tree_leaf *leaf) {
  return leaf->total.n >= 2 * grower->rule.min_leaf_rows && leaf->total.n >= 2 &&
         (grower->max_depth == 0 || leaf->depth < grower->max_depth);
}

static qn_status sum_leaf(qn_tree_grower *grower, tree_leaf *leaf, const qn_tree_pair *pairs, qn_error *err) {
  qn_status status = QN_OK;
  leaf->cells = take_cells(grower);
  QN_REQUIRE(leaf->cells != NULL, err, QN_ERR_MEMORY, "no memory for the sums of a leaf (%" PRId64 " cells)",
             grower->sums->n_cells);
  QN_TRY(qn_tree_sums_of_rows(grower->sums, grower->rows + leaf->first, leaf->n, leaf->total.n, pairs,
                              grower->is_used, leaf->cells, err));

done:
  return status;
}

static void subtract(qn_tree_cell *from, const qn_tree_cell *cells, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    from[i].g -= cells[i].g;
    from[i].h -= cells[i].h;
    from[i].n -= cells[i].n;
  }
}

// Sums of two children that take over from `parent` (may be NULL).
static qn_status sum_children(qn_tree_grower *grower, tree_leaf *left, tree_leaf *right, qn_tree_cell *parent,
                              const qn_tree_pair *pairs, qn_error *err) {
  qn_status status = QN_OK;
  tree_leaf *smaller = left->total.n <= right->total.n ? left : right;
  tree_leaf *larger = smaller == left ? right : left;

  larger->cells = parent;
  if (parent != NULL) {
    QN_TRY(sum_leaf(grower, smaller, pairs, err));
    subtract(parent, smaller->cells, grower->sums->n_cells);
  } else {
    QN_TRY(sum_leaf(grower, larger, pairs, err));
    if (may_split(grower, smaller)) {
      QN_TRY(sum_leaf(grower, smaller, pairs, err));
    }
  }

done:
  return status;
}

// Finds the splits of n <= 2 leaves.
static qn_status search_leaves(qn_tree_grower *grower, tree_leaf *const *leaves, int n, qn_error *err) {
  qn_status status = QN_OK;
  qn_tree_split splits[2] = {0};

  for (int i = 0; i < n; i++) {
    if (may_split(grower, leaves[i])) {
      qn_tree_split_find(grower->sums, leaves[i]->cells, leaves[i]->total, &grower->rule, grower->is_used,
                         &splits[i]);
    }
  }
  QN_TRY(qn_tree_split_agree(grower->comm, splits, n, err));
  for (int i = 0; i < n; i++) {
    leaves[i]->split = splits[i];
    if (splits[i].gain <= 0) {
      give_cells(grower, leaves[i]);
    }
  }
  // The next split needs two.
  for (int i = 0; i < n && n_free(grower) < 2; i++) {
    give_cells(grower, leaves[i]);
  }

done:
  return status;
}

// --- Splitting --------------------------------------------------------------------------------------------

// Rows of the left side first, the order kept. Returns how many they are.
static int64_t part_rows(const uint8_t *bins, int32_t *rows, int64_t n, int bin, int missing_bin,
                         int32_t *spare) {
  int64_t n_left = 0;
  int64_t n_right = 0;
  for (int64_t i = 0; i < n; i++) {
    __builtin_prefetch(bins + (int64_t)rows[i + AHEAD < n ? i + AHEAD : i] * QN_TREE_GROUP);
    const int32_t row = rows[i];
    const int found = bins[(int64_t)row * QN_TREE_GROUP];
    const bool is_left = (found <= bin) | (found == missing_bin);
    rows[n_left] = row;
    spare[n_right] = row;
    n_left += is_left;
    n_right += !is_left;
  }
  memcpy(rows + n_left, spare, (size_t)n_right * sizeof *rows);
  return n_left;
}

static qn_status add_node(qn_tree_grower *grower, const tree_leaf *leaf, qn_error *err) {
  qn_status status = QN_OK;
  QN_TRY(qn_array_grow((void **)&grower->nodes, &grower->node_capacity, grower->n_nodes + 1,
                       (int64_t)sizeof *grower->nodes, err));
  grower->nodes[grower->n_nodes++] = (qn_tree_node){.column = -1, .first = leaf->first, .n = leaf->n};

done:
  return status;
}

static qn_status add_leaf(qn_tree_grower *grower, tree_leaf leaf, qn_error *err) {
  qn_status status = QN_OK;
  QN_TRY(qn_array_grow((void **)&grower->leaves, &grower->leaf_capacity, grower->n_leaves + 1,
                       (int64_t)sizeof *grower->leaves, err));
  leaf.node = grower->n_nodes;
  QN_TRY(add_node(grower, &leaf, err));
  grower->leaves[grower->n_leaves++] = leaf;

done:
  return status;
}

static void cut_rows(const qn_tree_grower *grower, const tree_leaf *parent, tree_leaf *left,
                     tree_leaf *right) {
  const qn_tree_split *split = &parent->split;
  const int missing_bin = split->missing_left ? grower->bins->edges.n_bins[split->column] : -1;
  const int64_t n_left =
      part_rows(qn_tree_bins_column(grower->bins, split->column), grower->rows + parent->first, parent->n,
                split->bin, missing_bin, grower->spare);
  *left = (tree_leaf){.depth = parent->depth + 1, .first = parent->first, .n = n_left, .total = split->left};
  *right = (tree_leaf){.depth = parent->depth + 1, .first = parent->first + n_left, .n = parent->n - n_left};
  right->total = (qn_tree_cell){.g = parent->total.g - split->left.g,
                                .h = parent->total.h - split->left.h,
                                .n = parent->total.n - split->left.n};
}

static void set_node(const qn_tree_grower *grower, const tree_leaf *parent) {
  const qn_tree_split *split = &parent->split;
  qn_tree_node *node = &grower->nodes[parent->node];
  node->column = split->column;
  node->bin = split->bin;
  node->default_left = split->missing_left != 0;
  node->gain = split->gain;
  node->threshold = qn_tree_threshold(&grower->bins->edges, split->column, split->bin);
  node->left = (int32_t)grower->n_nodes;
  node->right = (int32_t)grower->n_nodes + 1;
}

static qn_status split_leaf(qn_tree_grower *grower, int64_t number, const qn_tree_pair *pairs,
                            qn_error *err) {
  qn_status status = QN_OK;
  tree_leaf left, right;
  tree_leaf parent = grower->leaves[number];
  qn_tree_cell *cells = parent.cells;

  grower->leaves[number].cells = NULL;
  cut_rows(grower, &parent, &left, &right);
  set_node(grower, &parent);
  // The left child takes the parent's place among the leaves, the right one comes last.
  left.node = grower->n_nodes;
  QN_TRY(add_node(grower, &left, err));
  grower->leaves[number] = left;
  QN_TRY(add_leaf(grower, right, err));
  tree_leaf *both[] = {&grower->leaves[number], &grower->leaves[grower->n_leaves - 1]};
  const bool is_last = grower->max_leaves > 0 && grower->n_leaves >= grower->max_leaves;
  if (is_last || !(may_split(grower, both[0]) || may_split(grower, both[1]))) {
    parent.cells = cells;
    give_cells(grower, &parent);
    goto done;
  }
  QN_TRY(sum_children(grower, both[0], both[1], cells, pairs, err));
  QN_TRY(search_leaves(grower, both, 2, err));

done:
  return status;
}

// --- Growing ----------------------------------------------------------------------------------------------

static int64_t best_leaf(const qn_tree_grower *grower) {
  int64_t best = -1;
  for (int64_t i = 0; i < grower->n_leaves; i++) {
    const double gain = grower->leaves[i].split.gain;
    if (gain > 0 && (best < 0 || gain > grower->leaves[best].split.gain)) {
      best = i;
    }
  }
  return best;
}

static qn_status plant(qn_tree_grower *grower, const qn_tree_pair *pairs, qn_error *err) {
  qn_status status = QN_OK;
  tree_leaf root = {.n = grower->n_rows};
  int64_t total[3] = {0, 0, grower->n_rows};

  for (int64_t i = 0; i < grower->n_rows; i++) {
    total[0] += pairs[grower->rows[i]].g;
    total[1] += pairs[grower->rows[i]].h;
  }
  QN_TRY(qn_comm_reduce_int64(grower->comm, QN_SUM, total, 3, err));
  root.total = (qn_tree_cell){.g = total[0], .h = total[1], .n = total[2]};
  grower->n_nodes = grower->n_leaves = 0;
  QN_TRY(add_leaf(grower, root, err));
  tree_leaf *first = &grower->leaves[0];
  if (may_split(grower, first) && grower->max_leaves != 1) {
    QN_TRY(sum_leaf(grower, first, pairs, err));
    QN_TRY(search_leaves(grower, &first, 1, err));
  }

done:
  return status;
}

qn_status qn_tree_grow(qn_tree_grower *grower, const qn_tree_pair *pairs, double rate, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(plant(grower, pairs, err));
  while (grower->max_leaves == 0 || grower->n_leaves < grower->max_leaves) {
    const int64_t number = best_leaf(grower);
    if (number < 0) {
      break;
    }
    QN_TRY(split_leaf(grower, number, pairs, err));
  }
  for (int64_t i = 0; i < grower->n_leaves; i++) {
    tree_leaf *leaf = &grower->leaves[i];
    grower->nodes[leaf->node].value = rate * qn_tree_leaf_value(leaf->total, &grower->rule);
    give_cells(grower, leaf);
  }

done:
  return status;
}

int64_t qn_tree_grower_leaf_of(const qn_tree_grower *grower, int64_t row) {
  int64_t at = 0;
  while (grower->nodes[at].column >= 0) {
    const qn_tree_node *node = &grower->nodes[at];
    const int bin = qn_tree_bins_column(grower->bins, node->column)[row * QN_TREE_GROUP];
    const bool is_missing = bin == grower->bins->edges.n_bins[node->column];
    at = (is_missing ? node->default_left : bin <= node->bin) ? node->left : node->right;
  }
  return at;
}

qn_status qn_tree_grower_new(qn_comm *comm, const qn_tree_bins *bins, int64_t max_leaves, int64_t max_depth,
                             const char *scratch, qn_tree_grower **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_tree_grower *grower = calloc(1, sizeof *grower);

  QN_REQUIRE(grower != NULL, err, QN_ERR_MEMORY, "no memory to grow trees");
  grower->comm = comm;
  grower->bins = bins;
  grower->max_leaves = max_leaves;
  grower->max_depth = max_depth;
  QN_TRY(qn_tree_sums_new(comm, bins, &grower->sums, err));
  QN_TRY(qn_mapped_room_take(scratch, bins->n_rows, 2 * (int64_t)sizeof *grower->rows, "numbers of rows",
                             &grower->room, err));
  grower->rows = grower->room.data;
  grower->spare = grower->rows + bins->n_rows;
  grower->is_used = calloc((size_t)bins->n_columns + 1, sizeof(bool));
  QN_REQUIRE(grower->is_used != NULL, err, QN_ERR_MEMORY, "no memory for %d columns", bins->n_columns);
  QN_TRY(agree_on_pool(grower, err));
  *out = grower;
  grower = NULL;

done:
  qn_tree_grower_free(grower);
  return status;
}

void qn_tree_grower_free(qn_tree_grower *grower) {
  if (grower == NULL) {
    return;
  }
  for (int64_t i = 0; i < grower->n_leaves; i++) {
    give_cells(grower, &grower->leaves[i]);
  }
  for (int64_t i = 0; i < grower->n_pooled; i++) {
    qn_memory_free(grower->pool[i]);
  }
  free(grower->pool);
  qn_tree_sums_free(grower->sums);
  qn_mapped_room_release(&grower->room);
  free(grower->is_used);
  qn_memory_free(grower->leaves);
  qn_memory_free(grower->nodes);
  free(grower);
}
