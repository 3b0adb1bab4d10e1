// SPDX-License-Identifier: Apache-2.0
// Trees of a forest (L. Breiman, 2001), each on rows drawn with replacement, each split the best among some
// columns drawn. All draws are hashes of the seed, the number of the tree and a counter.
#include "ml/forest_grow.h"
#include <inttypes.h>
#include <stdlib.h>
#include "base/check.h"
#include "base/hash.h"
#include "base/mapped_room.h"
#include "base/memory.h"
#include "kernel/grow_array.h"
#include "ml/forest_near.h"

enum {
  AHEAD = 16,
  LEAST_NEAR = 64,         // rows of a subtree whose bins are worth to be brought together
  CACHE_BYTES = 512 << 10, // of them, in the processor's second cache
  NEAR_RATIO = 6,
  MOST_NEARS = 5,
  POLL_ITEMS = 1 << 24,     // after so much work others are listened to
  LEAST_TOUCHED = 16 << 20, // bytes of mapped files that may be in memory; or this part of the budget
  TOUCHED_PART = 8
};

// A node that may be split.
typedef struct open_node {
  int64_t node, depth;
  int64_t first, n; // items
  double gain;
  qn_forest_split split;
} open_node;

// A subtree whose bins are brought together.
typedef struct subtree {
  qn_forest_near *near;
  int64_t height; // of `open` when it is done
} subtree;

typedef struct qn_forest_room {
  qn_forest_search search;
  qn_forest_item *items, *spare; // [capacity], [capacity / 2 + 1]
  int64_t n_items, capacity;
  uint8_t *counts; // [n_rows] how often each row was drawn
  qn_mapped_room item_room, spare_room, count_room;
  qn_forest_near nears[MOST_NEARS]; // for subtrees of several sizes, the smallest first
  int n_nears;
  subtree subtrees[MOST_NEARS]; // one inside of the other
  int n_subtrees;
  int64_t n_touched, most_touched; // bytes of mapped files; after how many they are let go
  int64_t n_worked;                // items since the last poll
  int *order;                      // [n_columns]
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

static void draw_counts(qn_forest_grower *grower) {
  forest_room *room = grower->room;
  const int64_t n = grower->rows->n_rows;
  memset(room->counts, grower->rule.is_bootstrap ? 0 : 1, (size_t)n);
  for (int64_t i = 0; i < n && grower->rule.is_bootstrap; i++) {
    const int64_t row = draw_below(room, n);
    const int count = room->counts[row];
    room->counts[row] = (uint8_t)(count < QN_FOREST_MOST_DRAWN ? count + 1 : count);
  }
}

// Room for n items, and some more for trees to come.
static qn_status reserve_items(qn_forest_grower *grower, int64_t n, qn_error *err) {
  qn_status status = QN_OK;
  forest_room *room = grower->room;
  const int64_t n_rows = grower->rows->n_rows;
  const int64_t more = n + n / 64 + 64;
  const int64_t width = sizeof(qn_forest_item);

  if (n <= room->capacity) {
    return QN_OK;
  }
  room->capacity = 0;
  qn_mapped_room_release(&room->item_room);
  qn_mapped_room_release(&room->spare_room);
  const int64_t capacity = more < n_rows ? more : n_rows;
  QN_TRY(qn_mapped_room_take(grower->scratch, capacity, width, "rows of a tree", &room->item_room, err));
  QN_TRY(qn_mapped_room_take(grower->scratch, capacity / 2 + 1, width, "rows of a tree", &room->spare_room,
                             err));
  room->items = room->item_room.data;
  room->spare = room->spare_room.data;
  room->capacity = capacity;

done:
  return status;
}

static qn_status draw_rows(qn_forest_grower *grower, qn_error *err) {
  qn_status status = QN_OK;
  forest_room *room = grower->room;
  const qn_tree_pair *pairs = grower->rows->pairs;
  const int64_t n = grower->rows->n_rows;
  int64_t n_items = 0;

  draw_counts(grower);
  for (int64_t i = 0; i < n; i++) {
    room->counts[i] = pairs[i].h > 0 ? room->counts[i] : 0;
    n_items += room->counts[i] > 0;
  }
  QN_TRY(reserve_items(grower, n_items, err));
  room->n_items = 0;
  for (int64_t i = 0; i < n && room->n_items < n_items; i++) {
    room->items[room->n_items] =
        (qn_forest_item){.row = (int32_t)i, .count = room->counts[i], .g = pairs[i].g, .h = pairs[i].h};
    room->n_items += room->counts[i] > 0;
  }

done:
  return status;
}

// --- Where bins are ---------------------------------------------------------------------------------------

static void let_go(const qn_forest_grower *grower) {
  forest_room *room = grower->room;
  const qn_mapped_room *const rooms[] = {&room->item_room, &room->spare_room, &room->count_room};
  qn_node_room_let_go(grower->rows->room);
  for (int i = 0; i < 3; i++) {
    qn_mapped_room_let_go(rooms[i], 0, rooms[i]->n_bytes);
  }
  room->n_touched = 0;
}

static qn_forest_near *nearest(const forest_room *room) {
  return room->n_subtrees > 0 ? room->subtrees[room->n_subtrees - 1].near : NULL;
}

// A column of n items was gone through.
static void touch(const qn_forest_grower *grower, int64_t n) {
  forest_room *room = grower->room;
  int64_t of_all = nearest(room) == NULL ? qn_forest_touched_bytes(grower->rows, n) : 0;
  for (int i = 0; i < room->n_nears; i++) {
    of_all += room->nears[i].n_touched;
    room->nears[i].n_touched = 0;
  }
  room->n_worked += n;
  room->n_touched += grower->rows->room->is_mapped ? of_all : 0;
  room->n_touched += room->item_room.is_mapped ? n * (int64_t)sizeof(qn_forest_item) : 0;
  if (room->n_touched > room->most_touched) {
    let_go(grower);
  }
}

static const uint8_t *bins_of(const qn_forest_grower *grower, int column) {
  return qn_forest_near_column(nearest(grower->room), grower->rows, column);
}

// The smallest that has room for n rows and is smaller than the one they are in; or NULL.
static qn_forest_near *smaller_near(const qn_forest_grower *grower, int64_t n) {
  forest_room *room = grower->room;
  const qn_forest_near *outer = nearest(room);
  for (int i = 0; i < room->n_nears && &room->nears[i] != outer; i++) {
    if (qn_forest_near_fits(&room->nears[i], n, grower->rows->n_columns)) {
      return &room->nears[i];
    }
  }
  return NULL;
}

// Nodes are taken from the top of `open`, so a subtree is grown whole before anything else, unless leaves
// are limited.
static void enter_subtree(qn_forest_grower *grower, const open_node *node) {
  forest_room *room = grower->room;
  qn_forest_near *near = smaller_near(grower, node->n);
  if (near == NULL || node->n < LEAST_NEAR || grower->rule.max_leaves > 0) {
    return;
  }
  qn_forest_near_enter(near, nearest(room), room->items + node->first, node->n, grower->rows->n_columns);
  room->subtrees[room->n_subtrees++] = (subtree){.near = near, .height = room->n_open};
}

static void leave_subtrees(forest_room *room) {
  while (room->n_subtrees > 0 && room->n_open <= room->subtrees[room->n_subtrees - 1].height) {
    room->n_subtrees--;
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
  const int n_columns = grower->rows->n_columns;

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
  qn_forest_search_begin(search, items, node->n);
  for (int j = 0; j < n_columns && n_tried < grower->rule.n_tried; j++) {
    const int64_t other = j + draw_below(room, n_columns - j);
    const int column = room->order[other];
    room->order[other] = room->order[j];
    room->order[j] = column;
    n_tried += qn_forest_try_column(search, bins_of(grower, column), column, &node->split);
    touch(grower, node->n);
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

// Which side items go to.
typedef struct parting {
  const uint8_t *bins;
  int bin, missing_bin;
} parting;

static bool goes_left(const parting *by, qn_forest_item item) {
  const int bin = by->bins[item.row];
  return (bin <= by->bin) | (bin == by->missing_bin);
}

// The right side waits in `spare`.
static void part_forwards(const parting *by, qn_forest_item *items, int64_t n, qn_forest_item *spare) {
  int64_t n_left = 0;
  int64_t n_right = 0;
  for (int64_t i = 0; i < n; i++) {
    __builtin_prefetch(by->bins + items[i + AHEAD < n ? i + AHEAD : i].row);
    const qn_forest_item item = items[i];
    const bool is_left = goes_left(by, item);
    items[n_left] = item;
    spare[n_right] = item;
    n_left += is_left;
    n_right += !is_left;
  }
  memcpy(items + n_left, spare, (size_t)n_right * sizeof *items);
}

// The left side, of n_left items, waits in `spare`, from its second place on.
static void part_backwards(const parting *by, qn_forest_item *items, int64_t n, int64_t n_left,
                           qn_forest_item *spare) {
  int64_t first_right = n;
  int64_t left = n_left;
  for (int64_t i = n - 1; i >= 0; i--) {
    __builtin_prefetch(by->bins + items[i >= AHEAD ? i - AHEAD : i].row);
    const qn_forest_item item = items[i];
    const bool is_left = goes_left(by, item);
    items[first_right - 1] = item;
    spare[left] = item;
    first_right -= !is_left;
    left -= is_left;
  }
  memcpy(items, spare + 1, (size_t)n_left * sizeof *items);
}

// Left side first, the order kept. The smaller side waits.
static void part_items(const qn_forest_grower *grower, const open_node *node) {
  forest_room *room = grower->room;
  const qn_forest_split *split = &node->split;
  const parting by = {.bins = bins_of(grower, split->column),
                      .bin = split->bin,
                      .missing_bin = split->missing_left ? grower->rows->edges.n_bins[split->column] : -1};
  if (split->n_left * 2 >= node->n) {
    part_forwards(&by, room->items + node->first, node->n, room->spare);
  } else {
    part_backwards(&by, room->items + node->first, node->n, split->n_left, room->spare);
  }
  touch(grower, node->n);
}

static qn_status split_node(qn_forest_grower *grower, const open_node *node, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_left = node->split.n_left;
  qn_tree_node *parent = &grower->nodes[node->node];

  part_items(grower, node);
  parent->column = node->split.column;
  parent->bin = node->split.bin;
  parent->default_left = node->split.missing_left;
  parent->gain = node->gain;
  parent->threshold = qn_tree_threshold(&grower->rows->edges, parent->column, parent->bin);
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
    const double h = (double)((int64_t)item->h * item->count);
    const double g = grower->rule.n_classes > 2 ? h : (double)((int64_t)item->g * item->count);
    squares += g * g / h;
    weight += h;
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
  room->n_subtrees = 0;
  for (int j = 0; j < grower->rows->n_columns; j++) {
    room->order[j] = j;
  }
  QN_TRY(draw_rows(grower, err));
  QN_TRY(add_node(grower, 0, room->n_items, 0, err));
  while (room->n_open > 0 && (grower->rule.max_leaves == 0 || room->n_leaves < grower->rule.max_leaves)) {
    leave_subtrees(room);
    const open_node node = take_open(grower);
    enter_subtree(grower, &node);
    QN_TRY(split_node(grower, &node, err));
    if (room->n_worked >= POLL_ITEMS) {
      QN_TRY(qn_comm_poll(grower->comm, err));
      room->n_worked = 0;
    }
  }
  QN_TRY(value_leaves(grower, err));
  let_go(grower);

done:
  return status;
}

// Each is so many times as large as the one before, up to an eighth of what the budget has left; where all
// rows lie in scratch a last one has half of it.
static qn_status init_nears(forest_room *room, const qn_forest_rows *rows, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t of_all = (rows->n_rows + 1) * (rows->n_columns + (int64_t)sizeof(int32_t));
  const int64_t left = qn_memory_budget() > 0 ? qn_memory_budget() - qn_memory_used() : of_all;
  const int64_t half = left / 2 < of_all ? left / 2 : of_all;
  int64_t capacity = CACHE_BYTES;

  for (int i = 0; i < MOST_NEARS - 1 && (i == 0 || capacity <= left / 8); i++, capacity *= NEAR_RATIO) {
    if (i == 0 || capacity * NEAR_RATIO / 2 <= of_all) {
      QN_TRY(qn_forest_near_init(&room->nears[room->n_nears++], capacity, rows->n_columns, err));
    }
  }
  if (rows->room->is_mapped && half > room->nears[room->n_nears - 1].capacity) {
    QN_TRY(qn_forest_near_init(&room->nears[room->n_nears++], half, rows->n_columns, err));
  }

done:
  return status;
}

static qn_status init_room(forest_room *room, const qn_forest_rows *rows, const qn_forest_rule *rule,
                           const char *scratch, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t part = qn_memory_budget() / TOUCHED_PART;

  QN_TRY(qn_forest_search_init(&room->search, &rows->edges, rule->n_classes, rule->min_leaf_rows, err));
  QN_TRY(qn_mapped_room_take(scratch, rows->n_rows, 1, "rows of a tree", &room->count_room, err));
  room->counts = room->count_room.data;
  room->order = calloc((size_t)rows->n_columns + 1, sizeof(int));
  QN_REQUIRE(room->order != NULL, err, QN_ERR_MEMORY, "no memory for %d columns", rows->n_columns);
  QN_TRY(init_nears(room, rows, err));
  room->most_touched = part > LEAST_TOUCHED ? part : LEAST_TOUCHED;

done:
  return status;
}

qn_status qn_forest_grower_new(qn_comm *comm, const qn_forest_rows *rows, const qn_forest_rule *rule,
                               const char *scratch, qn_forest_grower **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_forest_grower *grower = calloc(1, sizeof *grower);

  QN_REQUIRE(grower != NULL, err, QN_ERR_MEMORY, "no memory to grow trees");
  grower->comm = comm;
  grower->rows = rows;
  grower->scratch = scratch;
  grower->rule = *rule;
  grower->n_values = rule->n_classes == 0 ? 1 : rule->n_classes;
  grower->room = calloc(1, sizeof *grower->room);
  QN_REQUIRE(grower->room != NULL, err, QN_ERR_MEMORY, "no memory to grow trees");
  QN_TRY(init_room(grower->room, rows, rule, scratch, err));
  *out = grower;
  grower = NULL;

done:
  qn_forest_grower_free(grower);
  return status;
}

static void release_room(forest_room *room) {
  qn_forest_search_release(&room->search);
  qn_mapped_room_release(&room->item_room);
  qn_mapped_room_release(&room->spare_room);
  qn_mapped_room_release(&room->count_room);
  for (int i = 0; i < room->n_nears; i++) {
    qn_forest_near_release(&room->nears[i]);
  }
  free(room->order);
  qn_memory_free(room->open);
  free(room);
}

void qn_forest_grower_free(qn_forest_grower *grower) {
  if (grower == NULL) {
    return;
  }
  if (grower->room != NULL) {
    release_room(grower->room);
  }
  qn_memory_free(grower->nodes);
  qn_memory_free(grower->values);
  free(grower);
}
