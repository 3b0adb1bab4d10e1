// SPDX-License-Identifier: Apache-2.0
// Lists of aggregates. An item is one call of an aggregate; what is to be computed from several of them is a
// select behind the reduce.
#include <string.h>
#include "base/check.h"
#include "expr/aggregate_names.h"
#include "expr/bind_items.h"

static int place_of(const qn_binder *binder, const qn_expr *expr) {
  return expr->location < 0 ? -1 : expr->location + binder->prefix + binder->item_first;
}

static qn_status check_clauses(const qn_binder *binder, const json_t *call, int location) {
  if (json_object_get(call, "over") != NULL) {
    return qn_bind_fail(binder, QN_ERR_ARG, location,
                        "'over' has no place here: a window's partition and order are given "
                        "apart from its functions");
  }
  if (json_object_get(call, "agg_order") != NULL || json_object_get(call, "agg_within_group") != NULL) {
    return qn_bind_fail(binder, QN_ERR_ARG, location, "an order inside an aggregate is not supported");
  }
  if (json_object_get(call, "func_variadic") != NULL) {
    return qn_bind_fail(binder, QN_ERR_ARG, location, "'variadic' is not supported");
  }
  return QN_OK;
}

qn_status qn_bind_call_of_list(qn_binder *binder, const json_t *node, const char *kinds, qn_bound_call *out) {
  qn_status status = QN_OK;
  const json_t *inside = NULL;
  const char *kind = qn_tree_kind(node, &inside);
  const json_t *call = json_object_get(node, "FuncCall");
  int n = 0;

  *out = (qn_bound_call){.location = qn_tree_location(inside)};
  if (kind == NULL || call == NULL) {
    return qn_bind_fail(binder, QN_ERR_ARG, out->location,
                        "each item here is one of %s, as sum(x); compute further with a select behind it",
                        kinds);
  }
  out->name = qn_tree_name(json_object_get(call, "funcname"), &n);
  QN_TRY(check_clauses(binder, call, out->location));
  out->is_star = json_object_get(call, "agg_star") != NULL;
  out->is_distinct = json_object_get(call, "agg_distinct") != NULL;
  const json_t *nodes = json_object_get(call, "args");
  out->n_args = (int)json_array_size(nodes);
  out->args = qn_arena_alloc(binder->arena, (int64_t)sizeof *out->args * (out->n_args + 1));
  if (out->args == NULL) {
    return qn_bind_no_memory(binder);
  }
  if (!qn_aggregate_is_name(out->name) && !qn_window_is_name(out->name)) {
    return QN_OK; // the caller knows what to say; arguments that are wrong too can wait
  }
  for (int i = 0; i < out->n_args; i++) {
    QN_TRY(qn_bind_node(binder, json_array_get(nodes, (size_t)i), &out->args[i]));
  }
  if (json_object_get(call, "agg_filter") != NULL) {
    QN_TRY(qn_bind_bool(binder, json_object_get(call, "agg_filter"), "a filter", &out->filter));
  }

done:
  return status;
}

typedef struct aggregate_list {
  qn_aggregate *items;
  const char **names;
  int n;
} aggregate_list;

static qn_status fail_unknown(const qn_binder *binder, const qn_bound_call *call) {
  static const char *const names[] = {
      "count",           "sum",     "min",           "max",        "avg",
      "variance",        "stddev",  "var_pop",       "any_value",  "first",
      "bool_and",        "bool_or", "var_samp",      "stddev_pop", "approx_count_distinct",
      "approx_quantile", "median",  "quantile_cont", "corr"};
  qn_name_hint hint = {.wanted = call->name};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    qn_name_hint_offer(&hint, names[i]);
  }
  if (qn_window_is_name(call->name)) {
    return qn_bind_fail(binder, QN_ERR_ARG, call->location, "%s() is a window function, not an aggregate",
                        call->name);
  }
  return qn_bind_fail(
      binder, QN_ERR_ARG, call->location, "there is no aggregate %s()%s%s%s", call->name,
      hint.nearest != NULL ? "; did you mean " : "; there are ",
      hint.nearest != NULL
          ? hint.nearest
          : "count, sum, min, max, avg, variance, stddev, var_pop, stddev_pop, first, "
            "any_value, bool_and, bool_or, median, quantile_cont, corr, approx_count_distinct and "
            "approx_quantile",
      hint.nearest != NULL ? "()?" : "");
}

static qn_status read_fraction(qn_binder *binder, const qn_expr *arg, double *out) {
  qn_status status = QN_OK;
  QN_TRY(qn_bind_coerce(binder, arg, QN_FLOAT64, &arg));
  const bool is_number = arg->kind == QN_EXPR_CONSTANT && !qn_expr_is_null_constant(arg);
  const double value = is_number ? qn_column_float64(arg->value, 0) : -1;
  if (!(value >= 0 && value <= 1)) {
    return qn_bind_fail(binder, QN_ERR_ARG, place_of(binder, arg),
                        "the fraction must be a constant from 0 to 1");
  }
  *out = value;

done:
  return status;
}

// DISTINCT makes no difference to some; it is refused where it would be hard and nobody needs it.
static qn_status set_distinct(qn_binder *binder, const qn_bound_call *call, qn_aggregate *out) {
  switch (out->kind) {
  case QN_AGG_COUNT:
  case QN_AGG_SUM:
  case QN_AGG_AVG:
  case QN_AGG_VAR_SAMP:
  case QN_AGG_VAR_POP:
  case QN_AGG_STDDEV_SAMP:
  case QN_AGG_STDDEV_POP:
    out->is_distinct = call->is_distinct;
    return QN_OK;
  case QN_AGG_COUNT_ROWS:
  case QN_AGG_APPROX_QUANTILE:
  case QN_AGG_QUANTILE:
  case QN_AGG_CORR:
    return call->is_distinct
               ? qn_bind_fail(binder, QN_ERR_ARG, call->location, "%s() takes no distinct", call->name)
               : QN_OK;
  default:
    return QN_OK;
  }
}

// An argument, and the type of the result if the aggregate takes it.
static qn_status set_argument(qn_binder *binder, const qn_bound_call *call, int i, const qn_expr **argument,
                              qn_aggregate *out) {
  qn_status status = QN_OK;
  qn_error err = {0};
  const qn_expr *arg = call->args[i];

  QN_TRY(qn_bind_coerce(binder, arg, arg->kind == QN_EXPR_UNKNOWN ? QN_UTF8 : arg->type, argument));
  status = qn_aggregate_type(out->kind, (*argument)->type, &out->type, &err);
  if (status != QN_OK) {
    status = qn_bind_fail(binder, status, call->location, "%s", err.message);
  }

done:
  return status;
}

// What an aggregate takes, if not that many arguments.
static const char *wanted_arguments(qn_aggregate_kind kind, bool is_median, int *n) {
  *n = 1;
  if (kind == QN_AGG_CORR) {
    *n = 2;
    return "two values, as corr(x, y)";
  }
  if ((kind == QN_AGG_APPROX_QUANTILE || kind == QN_AGG_QUANTILE) && !is_median) {
    *n = 2;
    return kind == QN_AGG_QUANTILE ? "a value and a fraction, as quantile_cont(x, 0.9)"
                                   : "a value and a fraction, as approx_quantile(x, 0.9)";
  }
  return kind == QN_AGG_COUNT ? "one argument, or '*'" : "one argument";
}

static qn_status set_arguments(qn_binder *binder, const qn_bound_call *call, bool is_median,
                               qn_aggregate *out) {
  qn_status status = QN_OK;
  int n_wanted = 0;
  const char *wanted = wanted_arguments(out->kind, is_median, &n_wanted);

  if (call->is_star) {
    out->kind = QN_AGG_COUNT_ROWS;
    out->type = QN_INT64;
    return QN_OK;
  }
  if (call->n_args != n_wanted) {
    return qn_bind_fail(binder, QN_ERR_ARG, call->location, "%s() takes %s", call->name, wanted);
  }
  out->parameter = is_median ? 0.5 : 0;
  QN_TRY(set_argument(binder, call, 0, &out->argument, out));
  if (out->kind == QN_AGG_CORR) {
    QN_TRY(set_argument(binder, call, 1, &out->second, out));
  } else if (n_wanted == 2) {
    QN_TRY(read_fraction(binder, call->args[1], &out->parameter));
  }

done:
  return status;
}

static qn_status bind_aggregate(qn_binder *binder, const qn_bound_call *call, qn_aggregate *out) {
  qn_status status = QN_OK;
  bool is_median = false;
  if (!qn_aggregate_find(call->name, &out->kind, &is_median)) {
    return fail_unknown(binder, call);
  }
  if (call->is_star && out->kind != QN_AGG_COUNT) {
    return qn_bind_fail(binder, QN_ERR_ARG, call->location, "only count() takes '*'");
  }
  QN_TRY(set_arguments(binder, call, is_median, out));
  QN_TRY(set_distinct(binder, call, out));
  out->filter = call->filter;

done:
  return status;
}

static qn_status bind_item(qn_binder *binder, const json_t *node, const char *name, int location, void *ctx) {
  qn_status status = QN_OK;
  aggregate_list *list = ctx;
  qn_bound_call call;
  qn_aggregate *item = &list->items[list->n];

  QN_TRY(qn_bind_call_of_list(binder, node, "the aggregates", &call));
  QN_TRY(bind_aggregate(binder, &call, item));
  item->name = qn_arena_string(binder->arena, name != NULL ? name : binder->item_text);
  if (item->name == NULL) {
    return qn_bind_no_memory(binder);
  }
  QN_TRY(qn_bind_check_name(binder, item->name, list->names, list->n, location));
  list->names[list->n++] = item->name;

done:
  return status;
}

qn_status qn_aggregates_bind(const char *text, const qn_schema *schema, qn_arena *arena, qn_aggregate **out,
                             int *n, qn_error *err) {
  qn_status status = QN_OK;
  qn_binder binder;
  aggregate_list list = {0};

  QN_TRY(qn_binder_init(&binder, text, "aggregates", false, arena, err));
  qn_binder_add_scope(&binder, NULL, schema);
  const int64_t capacity = (int64_t)json_array_size(qn_binder_items(&binder, false));
  list.items = qn_arena_alloc(arena, (int64_t)sizeof *list.items * capacity);
  list.names = qn_arena_alloc(arena, (int64_t)sizeof *list.names * capacity);
  QN_REQUIRE(list.items != NULL && list.names != NULL, err, QN_ERR_MEMORY, "aggregates: no memory to bind");
  QN_TRY(qn_bind_each_item(&binder, bind_item, &list));
  *out = list.items;
  *n = list.n;

done:
  qn_binder_release(&binder);
  return status;
}
