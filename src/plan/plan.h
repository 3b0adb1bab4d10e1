// SPDX-License-Identifier: Apache-2.0
// The lazy dataflow. A plan owns its nodes (datasets); a node never changes once made. Building, checking,
// rewriting and explaining need no MPI. A node that could not be made has status != QN_OK; the plan keeps the
// first error.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/dataset.h>
#include "base/arena.h"
#include "base/buffer.h"
#include "column/source.h"
#include "expr/expr.h"

/// X(enum value, name in explain)
#define QN_NODE_LIST(X)                                                                                      \
  X(QN_NODE_SOURCE, "read")                                                                                  \
  X(QN_NODE_LOCAL, "rows in memory")                                                                         \
  X(QN_NODE_GENERATE, "generate")                                                                            \
  X(QN_NODE_MAP, "map")                                                                                      \
  X(QN_NODE_EXTEND, "extend")                                                                                \
  X(QN_NODE_FILTER, "filter")                                                                                \
  X(QN_NODE_SELECT, "select")                                                                                \
  X(QN_NODE_SAMPLE, "sample")                                                                                \
  X(QN_NODE_UNION, "union")                                                                                  \
  X(QN_NODE_LIMIT, "limit")                                                                                  \
  X(QN_NODE_ZIP, "zip with index")                                                                           \
  X(QN_NODE_SHUFFLE, "shuffle")                                                                              \
  X(QN_NODE_REDUCE, "reduce")                                                                                \
  X(QN_NODE_COMBINE, "combine")                                                                              \
  X(QN_NODE_GROUP, "group")                                                                                  \
  X(QN_NODE_JOIN, "join")                                                                                    \
  X(QN_NODE_DISTINCT, "distinct")                                                                            \
  X(QN_NODE_SORT, "sort")                                                                                    \
  X(QN_NODE_TOP, "top")                                                                                      \
  X(QN_NODE_WINDOW, "window")                                                                                \
  X(QN_NODE_CACHE, "cache")

typedef enum {
#define X(value, name) value,
  QN_NODE_LIST(X)
#undef X
} qn_node_kind;

typedef enum { QN_SHUFFLE_HASH, QN_SHUFFLE_RANGE, QN_SHUFFLE_OWN } qn_shuffle_kind;

typedef struct qn_plan qn_plan;

/// Rows that a cache node holds on this rank, made and read by the executor.
typedef struct qn_cached qn_cached;

// The verbs turn key, order and argument expressions into columns of a select below the node, so that all
// nodes but filter, select and join speak of columns only.

typedef struct qn_order_column {
  int column; // of the input
  qn_order order;
} qn_order_column;

/// As qn_aggregate, over columns of the input.
typedef struct qn_plan_aggregate {
  const char *name;
  qn_aggregate_kind kind;
  int argument; // column; -1 for count(*)
  int second;   // the other argument of corr; else -1
  int filter;   // bool column, or -1
  bool is_distinct;
  double parameter;
  qn_type type; // of the result
} qn_plan_aggregate;

/// As qn_window_function, over columns of the input.
typedef struct qn_plan_function {
  const char *name;
  qn_window_kind kind;
  qn_aggregate_kind aggregate;
  int argument; // column or -1
  int64_t offset;
  int fallback; // column or -1
  qn_type type;
} qn_plan_function;

struct qn_dataset {
  qn_plan *plan;
  qn_node_kind kind;
  int id;            // order of making, from 0
  qn_status status;  // not QN_OK: the node carries plan->error
  qn_schema *schema; // of its rows; NULL if status is not QN_OK
  int n_inputs;
  const qn_dataset *inputs[2]; // join: left, right
  const char *text;            // the arguments as the user wrote them, for explain

  // What each kind needs; the rest is zero.
  const qn_source *source; // source
  const int
      *columns; // source: which of its columns; filter: which of its input's, NULL: all; [schema->n_columns]
  const qn_bound *bounds; // source
  int n_bounds;
  qn_batch *const *batches; // local
  int64_t n_batches;
  const qn_expr *const *conditions; // filter: all must hold
  int n_conditions;
  const qn_expr *condition;   // join: extra, over left then right columns; or NULL
  const qn_named_expr *exprs; // select
  int n_exprs;
  const int *keys; // shuffle (hash), reduce, combine, group, distinct, window: columns of the input
  int n_keys;
  const qn_order_column *order; // sort, top, shuffle (range), group, window
  int n_order;
  const qn_plan_aggregate *aggregates; // reduce
  int n_aggregates;
  const qn_plan_function *functions; // window
  int n_functions;
  const int *left_keys, *right_keys; // join, [n_keys]: columns of its inputs, of pairwise equal types
  const bool
      *key_is_using; // join, [n_keys]: the left's column takes the right's value where the left has no row
  qn_join_kind join_kind;
  const int *right_columns; // join: which columns of the right follow the left's, [n_right_columns]
  int n_right_columns;
  qn_shuffle_kind shuffle_kind;
  int64_t n;       // limit, top, generate: rows; window: only the first n of each partition matter, 0: all do
  double from, to; // sample: rows whose number in [0, 1), a hash, is in [from, to), or
  bool is_outside; // is not
  uint64_t seed;
  qn_map_fn map; // map, extend: callbacks, with ctx
  qn_partition_fn partition;
  qn_combine_fn combine;
  qn_group_fn group;
  qn_generate_fn generate;
  void *ctx;
  uint64_t ctx_hash; // of what ctx holds, if whoever made the node knows it; on rank 0. Of rows in memory (on
                     // every rank): of what they were made of, in place of themselves
  qn_cached **cached; // cache: shared by copies of the node; *cached NULL: not yet made

  // What the node owns; copies of it made by the rewriting point at the same things without owning them.
  qn_source *owned_source;
  qn_bound *owned_bounds;
  int n_owned_bounds;
  qn_batch **owned_batches;
  int64_t n_owned_batches;
};

/// The column of a filter's input that its own column `column` is.
static inline int qn_plan_filter_column(const qn_dataset *filter, int column) {
  return filter->columns == NULL ? column : filter->columns[column];
}

struct qn_plan {
  qn_arena arena;
  qn_job *job; // for the public verbs that hand it on; the plan itself does not look inside
  int n_nodes;
  qn_dataset **nodes; // in the arena, doubled as it grows
  int capacity;
  qn_status status; // of the first failure
  qn_error error;
};

/// A zeroed plan in *plan.
void qn_plan_init(qn_plan *plan, qn_job *job);
/// Frees schemas, sources, batches and the arena; leaves cached rows to the executor, which frees them
/// before.
void qn_plan_release(qn_plan *plan);
/// Keeps the first error of a plan; returns status.
qn_status qn_plan_fail(qn_plan *plan, qn_status status, const qn_error *err);
/// A new node with inputs (may be NULL); NULL only if there is no memory. Its status is that of the first
/// invalid input.
qn_dataset *qn_plan_node(qn_plan *plan, qn_node_kind kind, const qn_dataset *a, const qn_dataset *b,
                         const char *text);
/// Ends the making of a node: a failure is kept in the plan and in the node.
qn_dataset *qn_plan_finish(qn_dataset *node, qn_status status, const qn_error *err);
/// A node that reads a source, which the plan takes over (also on failure).
qn_dataset *qn_plan_source_take(qn_plan *plan, qn_source *source);

/// The plan as it will run: filters moved down to the sources, columns that nobody reads left out. `root` is
/// unchanged; new nodes are made in the plan. The columns of the result are those of root, in order.
qn_status qn_plan_optimise(const qn_dataset *root, const qn_dataset **out, qn_error *err);

/// True if the rows of a node have an order that does not depend on the number of ranks, provided sources are
/// read in order: rank 0's rows before rank 1's, each rank's in the order it gives them.
bool qn_plan_has_order(const qn_dataset *node);
/// True if rows with equal values in `columns` (of the node's schema) are on one rank already.
bool qn_plan_is_partitioned(const qn_dataset *node, const int *columns, int n_columns);
/// True if each row is on the rank that qn_hash_columns() of exactly these columns, in this order, says.
bool qn_plan_is_hashed(const qn_dataset *node, const int *columns, int n_columns);

/// Appends the tree as text, the root first.
qn_status qn_plan_print(const qn_dataset *root, qn_buffer *out, qn_error *err);
const char *qn_node_name(qn_node_kind kind);
