// SPDX-License-Identifier: Apache-2.0
// Trees of a forest (L. Breiman, 2001), each on rows drawn with replacement, each split the best among some
// columns drawn. All draws are hashes of the seed, the number of the tree and a counter.
#include "ml/forest_grow.h"
#include <inttypes.h>
#include <stdlib.h>
#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"
#include "kernel/grow_array.h"
#include "ml/forest_split.h"

enum { AHEAD = 16 };

// A node that may be split.
typedef struct open_node {
  int64_t node, depth;
  int64_t first, n; // items
  double gain;
  qn_forest_split split;
} open_node;

typedef struct qn_forest_room {
  qn_forest_search search;
  qn_forest_item *items, *spare; // [n_rows]
  int64_t n_items;
  uint16_t *counts; // [n_rows] how often each row was drawn
  int *order;       // [n_columns]
  open_node *open;
  int64_t n_open, open_capacity;
  int64_t node_capacity, value_capacity;
  int64_t n_leaves, n_leaf_values;
  uint64_t key; // of the tree
  uint64_t n_draws;
} forest_room;

// --- Draws ------------------------------------------------------------------------------------------------

static int64_t draw_below(forest_room *room, int64_t n) {
  const uint64_t hash = qn_hash_combine(room->key, room->n_draws++);
  return (int64_t)(((unsigned __int128)hash * (uint64_t)n) >> 64);
}

static void draw_rows(qn_forest_grower *grower) {
  forest_room *room = grower->room;
  const int64_t n = grower->bins->n_rows;
  memset(room->counts, 0, (size_t)n * sizeof *room->counts);
  for (int64_t i = 0; i < n; i++) {
    const int64_t row = grower->rule.is_bootstrap ? draw_below(room, n) : i;
    const int count = room->counts[row];
    room->counts[row] = (uint16_t)(count < UINT16_MAX ? count + 1 : count);
  }
  room->n_items = 0;
  for (int64_t i = 0; i < n; i++) {
    const int64_t count = room->counts[i];
    const qn_tree_pair pair = grower->pairs[i];
    room->items[room->n_items] = (qn_forest_item){
        .g = grower->rule.n_classes > 2 ? pair.g : pair.g * count, .h = pair.h * count, .row = (int32_t)i};
    room->n_items += count > 0 && pair.h > 0;
  }
}

// --- Nodes ------------------------------------------------------------------------------------------------

static bool is_pure(const qn_forest_grower *grower, const int64_t *total) {
  if (grower->rule.n_classes == 0) {
    return false;
  }
  if (grower->rule.n_classes == 2) {
    return total[0] == 0 || total[0] == total[1];
  }
  int n_present = 0;
  for (int k = 0; k < grower->rule.n_classes; k++) {
    n_present += total[k] > 0;
  }
  return n_present <= 1;
}

// Tries columns in an order drawn until n_tried of them had different values.
static void find_split(qn_forest_grower *grower, open_node *node) {
  forest_room *room = grower->room;
  qn_forest_search *search = &room->search;
  const qn_forest_item *items = room->items + node->first;
  const int n_columns = grower->bins->n_columns;

  node->gain = 0;
  if (node->n < 2 * grower->rule.min_leaf_rows || node->n < 2 ||
      (grower->rule.max_depth > 0 && node->depth >= grower->rule.max_depth)) {
    return;
  }
  qn_forest_total(search, items, node->n, search->total);
  if (is_pure(grower, search->total)) {
    return;
  }
  const double without = qn_forest_score(search, search->total);
  const double least = without + 1e-12 * without;
  node->split.score = least;
  int n_tried = 0;
  for (int j = 0; j < n_columns && n_tried < grower->rule.n_tried; j++) {
    const int64_t other = j + draw_below(room, n_columns - j);
    const int column = room->order[other];
    room->order[other] = room->order[j];
    room->order[j] = column;
    n_tried += qn_forest_try_column(search, items, node->n, column, &node->split);
  }
  node->gain = node->split.score > least ? node->split.score - without : 0;
}

static qn_status add_node(qn_forest_grower *grower, int64_t first, int64_t n, int64_t depth, qn_error *err) {
  qn_status status = QN_OK;
  forest_room *room = grower->room;
  open_node open = {.node = grower->n_nodes, .depth = depth, .first = first, .n = n};

  QN_TRY(qn_array_grow((void **)&grower->nodes, &room->node_capacity, grower->n_nodes + 1,
                       (int64_t)sizeof *grower->nodes, err));
  QN_TRY(qn_array_grow((void **)&room->open, &room->open_capacity, room->n_open + 1,
                       (int64_t)sizeof *room->open, err));
  grower->nodes[grower->n_nodes++] = (qn_tree_node){.column = -1, .first = first, .n = n};
  find_split(grower, &open);
  if (open.gain > 0) {
    room->open[room->n_open++] = open;
  }

done:
  return status;
}

// The last one, or with a limit on leaves the one that gains most.
static open_node take_open(const qn_forest_grower *grower) {
  forest_room *room = grower->room;
  int64_t best = room->n_open - 1;
  for (int64_t i = 0; i < room->n_open && grower->rule.max_leaves > 0; i++) {
    best = room->open[i].gain > room->open[best].gain ? i : best;
  }
  const open_node taken = room->open[best];
  room->open[best] = room->open[--room->n_open];
  return taken;
}

static int64_t part_items(const qn_forest_grower *grower, const open_node *node) {
  forest_room *room = grower->room;
  qn_forest_item *items = room->items + node->first;
  const qn_forest_split *split = &node->split;
  const uint8_t *bins = qn_tree_bins_column(grower->bins, split->column);
  const int missing_bin = split->missing_left ? grower->bins->edges.n_bins[split->column] : -1;
  int64_t n_left = 0;
  int64_t n_right = 0;
  for (int64_t i = 0; i < node->n; i++) {
    __builtin_prefetch(bins + items[i + AHEAD < node->n ? i + AHEAD : i].row);
    const qn_forest_item item = items[i];
    const int bin = bins[item.row];
    const bool is_left = (bin <= split->bin) | (bin == missing_bin);
    items[n_left] = item;
    room->spare[n_right] = item;
    n_left += is_left;
    n_right += !is_left;
  }
  memcpy(items + n_left, room->spare, (size_t)n_right * sizeof *items);
  return n_left;
}

static qn_status split_node(qn_forest_grower *grower, const open_node *node, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_left = part_items(grower, node);
  qn_tree_node *parent = &grower->nodes[node->node];

  parent->column = node->split.column;
  parent->bin = node->split.bin;
  parent->default_left = node->split.missing_left;
  parent->gain = node->gain;
  parent->threshold = qn_tree_threshold(&grower->bins->edges, parent->column, parent->bin);
  parent->left = (int32_t)grower->n_nodes;
  parent->right = (int32_t)grower->n_nodes + 1;
  grower->room->n_leaves++;
  QN_TRY(add_node(grower, node->first, n_left, node->depth + 1, err));
  QN_TRY(add_node(grower, node->first + n_left, node->n - n_left, node->depth + 1, err));

done:
  return status;
}

// --- Leaves -----------------------------------------------------------------------------------------------

static void set_values(const qn_forest_grower *grower, const int64_t *total, double *values) {
  double weight = 0;
  switch (grower->rule.n_classes) {
  case 0:
    values[0] = total[1] > 0 ? (double)total[0] / (double)total[1] : 0;
    break;
  case 2:
    values[1] = total[1] > 0 ? (double)total[0] / (double)total[1] : 0;
    values[0] = 1 - values[1];
    break;
  default:
    for (int k = 0; k < grower->rule.n_classes; k++) {
      weight += (double)total[k];
    }
    for (int k = 0; k < grower->rule.n_classes; k++) {
      values[k] = weight > 0 ? (double)total[k] / weight : 0;
    }
  }
}

// Values of all leaves, and what impurity is left in them.
static qn_status value_leaves(qn_forest_grower *grower, qn_error *err) {
  qn_status status = QN_OK;
  forest_room *room = grower->room;
  qn_forest_search *search = &room->search;
  double squares = 0, weight = 0, scores = 0;
  int64_t leaf = 0;

  QN_TRY(qn_array_grow((void **)&grower->values, &room->value_capacity, room->n_leaves * grower->n_values, 8,
                       err));
  for (int64_t i = 0; i < grower->n_nodes; i++) {
    const qn_tree_node *node = &grower->nodes[i];
    if (node->column < 0) {
      qn_forest_total(search, room->items + node->first, node->n, search->total);
      set_values(grower, search->total, grower->values + leaf++ * grower->n_values);
      scores += qn_forest_score(search, search->total);
    }
  }
  for (int64_t i = 0; i < room->n_items; i++) {
    const qn_forest_item *item = &room->items[i];
    const double g = grower->rule.n_classes > 2 ? (double)item->h : (double)item->g;
    squares += g * g / (double)item->h;
    weight += (double)item->h;
  }
  grower->loss = weight > 0 && squares > scores ? (squares - scores) / weight : 0;

done:
  return status;
}

qn_status qn_forest_grow(qn_forest_grower *grower, int64_t tree, qn_error *err) {
  qn_status status = QN_OK;
  forest_room *room = grower->room;

  room->key = qn_hash_combine(qn_hash_combine(grower->rule.seed, 0xf03e57), (uint64_t)tree);
  room->n_draws = 0;
  room->n_open = 0;
  room->n_leaves = 1;
  grower->n_nodes = 0;
  for (int j = 0; j < grower->bins->n_columns; j++) {
    room->order[j] = j;
  }
  draw_rows(grower);
  QN_TRY(add_node(grower, 0, room->n_items, 0, err));
  while (room->n_open > 0 && (grower->rule.max_leaves == 0 || room->n_leaves < grower->rule.max_leaves)) {
    const open_node node = take_open(grower);
    QN_TRY(split_node(grower, &node, err));
  }
  QN_TRY(value_leaves(grower, err));

done:
  return status;
}

qn_status qn_forest_grower_new(const qn_tree_bins *bins, const qn_tree_pair *pairs,
                               const qn_forest_rule *rule, qn_forest_grower **out, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t item_bytes = bins->n_rows * (int64_t)sizeof(qn_forest_item);
  qn_forest_grower *grower = calloc(1, sizeof *grower);
  forest_room *room = calloc(1, sizeof *room);

  QN_REQUIRE(grower != NULL && room != NULL, err, QN_ERR_MEMORY, "no memory to grow trees");
  grower->bins = bins;
  grower->pairs = pairs;
  grower->rule = *rule;
  grower->n_values = rule->n_classes == 0 ? 1 : rule->n_classes;
  grower->room = room;
  room = NULL;
  QN_TRY(qn_forest_search_init(&grower->room->search, bins, rule->n_classes, rule->min_leaf_rows, err));
  grower->room->items = qn_memory_alloc(item_bytes);
  grower->room->spare = qn_memory_alloc(item_bytes);
  grower->room->counts = qn_memory_alloc(bins->n_rows * (int64_t)sizeof(uint16_t));
  grower->room->order = calloc((size_t)bins->n_columns + 1, sizeof(int));
  QN_REQUIRE(grower->room->items != NULL && grower->room->spare != NULL && grower->room->counts != NULL &&
                 grower->room->order != NULL,
             err, QN_ERR_MEMORY, "no memory for the %" PRId64 " rows of a tree", bins->n_rows);
  *out = grower;
  grower = NULL;

done:
  free(room);
  qn_forest_grower_free(grower);
  return status;
}

void qn_forest_grower_free(qn_forest_grower *grower) {
  if (grower == NULL) {
    return;
  }
  if (grower->room != NULL) {
    qn_forest_search_release(&grower->room->search);
    qn_memory_free(grower->room->items);
    qn_memory_free(grower->room->spare);
    qn_memory_free(grower->room->counts);
    free(grower->room->order);
    qn_memory_free(grower->room->open);
    free(grower->room);
  }
  qn_memory_free(grower->nodes);
  qn_memory_free(grower->values);
  free(grower);
}
