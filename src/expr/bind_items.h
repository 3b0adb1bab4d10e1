// SPDX-License-Identifier: Apache-2.0
// What the binders of lists share: named expressions, aggregates, window functions, join keys.
#pragma once
#include "expr/binder.h"

/// Called for each item: its node, its name (NULL without `as`) and where it stands.
typedef qn_status qn_bind_item(qn_binder *binder, const json_t *node, const char *name, int location,
                               void *ctx);
qn_status qn_bind_each_item(qn_binder *binder, qn_bind_item *bind, void *ctx);
/// The one item of the list.
qn_status qn_bind_single(qn_binder *binder, bool is_condition, const qn_expr **out);
/// QN_ERR_ARG if a name is taken.
qn_status qn_bind_check_name(const qn_binder *binder, const char *name, const char *const *before,
                             int n_before, int location);
/// A bare `*`.
bool qn_bind_is_star(const json_t *node);

/// An aggregate's call read from a list: sum(x), count(distinct y) filter (where z).
typedef struct qn_bound_call {
  const char *name;
  int location;
  bool is_star;
  bool is_distinct;
  const qn_expr *filter;
  const qn_expr **args; // of kind UNKNOWN or bound
  int n_args;
} qn_bound_call;
/// Reads a call of an aggregate or window function; `kinds` says in messages what is wanted.
qn_status qn_bind_call_of_list(qn_binder *binder, const json_t *node, const char *kinds, qn_bound_call *out);
