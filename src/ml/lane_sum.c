// SPDX-License-Identifier: Apache-2.0
// The fixed tree of exact sums. A node of level l covers 2^l lanes. A rank adds its lanes up to the largest
// whole nodes it has, and the nodes of all ranks are added on in the same way; so every addition of the tree
// is done once, with the same two terms, wherever it is done. A node one of whose halves has no rows is its
// other half.
#include "ml/lane_sum.h"
#include <stdlib.h>
#include <string.h>
#include "base/buffer.h"
#include "base/check.h"
#include "base/memory.h"

enum { MAX_NODES = 64, SLICE = 1 << 16 };

typedef struct node {
  int level;
  int64_t index; // covers lanes [index << level, (index + 1) << level)
  double *values;
} node;

typedef struct node_stack {
  node nodes[MAX_NODES];
  int n;
} node_stack;

struct qn_lane_sum {
  qn_comm *comm;
  int64_t n; // values of a vector
  int first_lane, n_lanes, n_levels;
  bool is_exact;
  bool is_begun; // a sum is under way
  int lane;      // that was asked for last
  double *total;
  node_stack stack;
  double *free_vectors[MAX_NODES];
  int n_free;
  bool has_failed; // no memory for a vector: reported by finish
};

static double *take_vector(qn_lane_sum *sum) {
  double *values =
      sum->n_free > 0 ? sum->free_vectors[--sum->n_free] : qn_memory_alloc(sum->n * (int64_t)sizeof *values);
  if (values != NULL) {
    memset(values, 0, (size_t)sum->n * sizeof *values);
  }
  return values;
}

static void add(double *to, const double *from, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    to[i] += from[i];
  }
}

// One step towards fewer and higher nodes, given that the lanes from `first` up to `next` are all in the
// stack or have no rows. *merged is a vector that is free then, or NULL. False if there is nothing to do.
static bool settle_once(node_stack *stack, int64_t first, int64_t next, int n_levels, int64_t n,
                        double **merged) {
  *merged = NULL;
  if (stack->n == 0) {
    return false;
  }
  node *top = &stack->nodes[stack->n - 1];
  node *below = stack->n > 1 ? top - 1 : NULL;
  if (top->level >= n_levels) {
    return false;
  }
  if (below != NULL && below->level == top->level && (below->index ^ 1) == top->index) {
    add(below->values, top->values, n);
    *merged = top->values;
    stack->n--;
    top = below;
  } else {
    const int64_t sibling = (top->index ^ 1) << top->level;
    const int64_t sibling_end = sibling + ((int64_t)1 << top->level);
    if (sibling < first || sibling_end > next) {
      return false;
    }
  }
  top->level++;
  top->index >>= 1;
  return true;
}

static void settle(qn_lane_sum *sum, int64_t next) {
  double *merged = NULL;

  while (sum->stack.n > 0 &&
         settle_once(&sum->stack, sum->first_lane, next, sum->n_levels, sum->n, &merged)) {
    if (merged != NULL) {
      sum->free_vectors[sum->n_free++] = merged;
    }
  }
}

qn_status qn_lane_sum_new(qn_comm *comm, const qn_rows *rows, bool is_exact, int64_t n, qn_lane_sum **out,
                          qn_error *err) {
  qn_status status = QN_OK;
  qn_lane_sum *sum = calloc(1, sizeof *sum);

  QN_REQUIRE(sum != NULL, err, QN_ERR_MEMORY, "no memory for a sum");
  *sum = (qn_lane_sum){.comm = comm,
                       .n = n,
                       .first_lane = rows->first_lane,
                       .n_lanes = rows->n_lanes,
                       .is_exact = is_exact,
                       .total = qn_memory_alloc(n * (int64_t)sizeof *sum->total)};
  while ((int64_t)1 << sum->n_levels < rows->n_lanes) {
    sum->n_levels++;
  }
  QN_REQUIRE(sum->total != NULL, err, QN_ERR_MEMORY, "no memory for a sum of %lld values", (long long)n);
  *out = sum;
  sum = NULL;

done:
  qn_lane_sum_free(sum);
  return status;
}

double *qn_lane_sum_at(qn_lane_sum *sum, int lane) {
  if (!sum->is_exact) {
    if (!sum->is_begun) {
      memset(sum->total, 0, (size_t)sum->n * sizeof *sum->total);
      sum->is_begun = true;
    }
    return sum->total;
  }
  if (sum->is_begun && lane == sum->lane) {
    return sum->stack.nodes[sum->stack.n - 1].values;
  }
  settle(sum, lane);
  double *values = take_vector(sum);
  sum->is_begun = true;
  if (values == NULL) { // goes into the total, which is overwritten
    sum->has_failed = true;
    return sum->total;
  }
  sum->lane = lane;
  sum->stack.nodes[sum->stack.n++] = (node){.level = 0, .index = lane, .values = values};
  return values;
}

// What ranks tell of their nodes, in front of the values.
typedef struct node_head {
  int64_t level, index;
} node_head;

// Adds values [first, first + n) of the nodes of all ranks, in order of lanes, on to the root.
static qn_status add_slice(qn_lane_sum *sum, int64_t first, int64_t n, qn_buffer *all, int64_t *sizes,
                           qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer mine = {0};
  node_stack stack = {0};
  double *merged = NULL;

  for (int i = 0; i < sum->stack.n; i++) {
    const node *own = &sum->stack.nodes[i];
    const node_head head = {.level = own->level, .index = own->index};
    QN_TRY(qn_buffer_append(&mine, &head, sizeof head, err));
    QN_TRY(qn_buffer_append(&mine, own->values + first, n * (int64_t)sizeof(double), err));
  }
  all->size = 0;
  QN_TRY(qn_comm_gather(sum->comm, mine.data, mine.size, all, sizes, err));
  const int64_t stride = (int64_t)sizeof(node_head) + n * (int64_t)sizeof(double);
  for (int64_t at = 0; at + stride <= all->size; at += stride) {
    node_head head = {0};
    memcpy(&head, all->data + at, sizeof head);
    const int64_t lane = head.index << head.level;
    while (stack.n > 0 && settle_once(&stack, 0, lane, sum->n_levels, n, &merged)) {
    }
    QN_REQUIRE(stack.n < MAX_NODES, err, QN_ERR_MPI, "a sum over ranks got too many terms");
    stack.nodes[stack.n++] = (node){.level = (int)head.level,
                                    .index = head.index,
                                    .values = (double *)(void *)(all->data + at + sizeof head)};
  }
  while (stack.n > 0 && settle_once(&stack, 0, (int64_t)1 << sum->n_levels, sum->n_levels, n, &merged)) {
  }
  if (stack.n == 0) {
    memset(sum->total + first, 0, (size_t)n * sizeof(double));
  } else {
    memcpy(sum->total + first, stack.nodes[0].values, (size_t)n * sizeof(double));
  }

done:
  qn_buffer_release(&mine);
  return status;
}

static qn_status finish_exact(qn_lane_sum *sum, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer all = {0};
  int64_t *sizes = calloc((size_t)qn_comm_size(sum->comm), sizeof *sizes);

  QN_REQUIRE(sizes != NULL && !sum->has_failed, err, QN_ERR_MEMORY, "no memory for a sum of %lld values",
             (long long)sum->n);
  settle(sum, sum->lane + 1);
  for (int64_t first = 0; first < sum->n; first += SLICE) {
    const int64_t left = sum->n - first;
    QN_TRY(add_slice(sum, first, left < SLICE ? left : SLICE, &all, sizes, err));
  }

done:
  while (sum->stack.n > 0) {
    sum->free_vectors[sum->n_free++] = sum->stack.nodes[--sum->stack.n].values;
  }
  sum->has_failed = false;
  qn_buffer_release(&all);
  free(sizes);
  return status;
}

qn_status qn_lane_sum_finish(qn_lane_sum *sum, const double **total, qn_error *err) {
  qn_status status = QN_OK;

  if (sum->is_exact) {
    QN_TRY(finish_exact(sum, err));
  } else {
    qn_lane_sum_at(sum, 0); // a rank without rows adds zero
    QN_TRY(qn_comm_sum_float64(sum->comm, sum->total, sum->n, err));
  }
  *total = sum->total;

done:
  sum->is_begun = false;
  return status;
}

void qn_lane_sum_free(qn_lane_sum *sum) {
  if (sum == NULL) {
    return;
  }
  for (int i = 0; i < sum->stack.n; i++) {
    qn_memory_free(sum->stack.nodes[i].values);
  }
  for (int i = 0; i < sum->n_free; i++) {
    qn_memory_free(sum->free_vectors[i]);
  }
  qn_memory_free(sum->total);
  free(sum);
}
