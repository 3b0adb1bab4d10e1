// SPDX-License-Identifier: Apache-2.0
// Lists of window functions.
#include "base/check.h"
#include "expr/aggregate_names.h"
#include "expr/bind_items.h"

typedef struct function_list {
  qn_window_function *items;
  const char **names;
  int n;
} function_list;

static qn_status check_count(const qn_binder *binder, const qn_bound_call *call, int least, int most) {
  if (call->n_args >= least && call->n_args <= most && !call->is_star) {
    return QN_OK;
  }
  if (most == 0) {
    return qn_bind_fail(binder, QN_ERR_ARG, call->location, "%s() takes no argument", call->name);
  }
  return qn_bind_fail(
      binder, QN_ERR_ARG, call->location,
      least == most
          ? "%s() takes one argument"
          : "%s() takes a value and, if wanted, a number of rows and a value for where there is none",
      call->name);
}

static qn_status bind_shift(qn_binder *binder, const qn_bound_call *call, qn_window_function *out) {
  qn_status status = QN_OK;
  const qn_expr *parts[2] = {call->args[0], call->n_args > 2 ? call->args[2] : NULL};
  out->offset = 1;
  if (call->n_args > 1 && !qn_constant_int64(call->args[1], &out->offset)) {
    return qn_bind_fail(binder, QN_ERR_ARG, call->location,
                        "the second argument of %s() must be a constant integer", call->name);
  }
  if (out->offset < -INT32_MAX || out->offset > INT32_MAX) {
    return qn_bind_fail(binder, QN_ERR_ARG, call->location, "the offset of %s() is out of range", call->name);
  }
  if (out->offset < 0) { // backwards is forwards
    out->kind = out->kind == QN_WINDOW_LAG ? QN_WINDOW_LEAD : QN_WINDOW_LAG;
    out->offset = -out->offset;
  }
  QN_TRY(qn_bind_common_type(binder, parts, parts[1] == NULL ? 1 : 2, false, call->location,
                             "the value and the one for where there is none", &out->type));
  QN_TRY(qn_bind_coerce(binder, parts[0], out->type, &out->argument));
  if (parts[1] != NULL) {
    QN_TRY(qn_bind_coerce(binder, parts[1], out->type, &out->fallback));
  }

done:
  return status;
}

static qn_status bind_aggregate(qn_binder *binder, const qn_bound_call *call, qn_window_function *out) {
  qn_status status = QN_OK;
  qn_error err = {0};
  bool is_median = false;
  qn_type type = QN_INT64;
  out->kind = QN_WINDOW_AGGREGATE;
  const bool is_known = qn_aggregate_find(call->name, &out->aggregate, &is_median);
  const bool is_offered = is_known && (out->aggregate == QN_AGG_COUNT || out->aggregate == QN_AGG_SUM ||
                                       out->aggregate == QN_AGG_MIN || out->aggregate == QN_AGG_MAX ||
                                       out->aggregate == QN_AGG_AVG);
  if (!is_offered) {
    return qn_bind_fail(
        binder, QN_ERR_ARG, call->location,
        "there is no window function %s(); there are row_number, rank, dense_rank, lag, lead, first_value, "
        "last_value, count, sum, min, max and avg",
        call->name);
  }
  if (call->is_star && out->aggregate == QN_AGG_COUNT) {
    out->aggregate = QN_AGG_COUNT_ROWS;
  } else {
    QN_TRY(check_count(binder, call, 1, 1));
    const qn_expr *arg = call->args[0];
    QN_TRY(qn_bind_coerce(binder, arg, arg->kind == QN_EXPR_UNKNOWN ? QN_UTF8 : arg->type, &out->argument));
    type = out->argument->type;
  }
  status = qn_aggregate_type(out->aggregate, type, &out->type, &err);
  if (status != QN_OK) {
    status = qn_bind_fail(binder, status, call->location, "%s", err.message);
  }

done:
  return status;
}

static qn_status bind_function(qn_binder *binder, const qn_bound_call *call, qn_window_function *out) {
  qn_status status = QN_OK;
  if (call->is_distinct || call->filter != NULL) {
    return qn_bind_fail(binder, QN_ERR_ARG, call->location,
                        "distinct and filter are not supported in a window");
  }
  if (!qn_window_find(call->name, &out->kind)) {
    return bind_aggregate(binder, call, out);
  }
  switch (out->kind) {
  case QN_WINDOW_LAG:
  case QN_WINDOW_LEAD:
    QN_TRY(check_count(binder, call, 1, 3));
    QN_TRY(bind_shift(binder, call, out));
    break;
  case QN_WINDOW_FIRST_VALUE:
  case QN_WINDOW_LAST_VALUE:
    QN_TRY(check_count(binder, call, 1, 1));
    QN_TRY(qn_bind_common_type(binder, call->args, 1, false, call->location, "", &out->type));
    QN_TRY(qn_bind_coerce(binder, call->args[0], out->type, &out->argument));
    break;
  default:
    QN_TRY(check_count(binder, call, 0, 0));
    out->type = QN_INT64;
  }

done:
  return status;
}

static qn_status bind_item(qn_binder *binder, const json_t *node, const char *name, int location, void *ctx) {
  qn_status status = QN_OK;
  function_list *list = ctx;
  qn_bound_call call;
  qn_window_function *item = &list->items[list->n];

  QN_TRY(qn_bind_call_of_list(binder, node, "the window functions", &call));
  QN_TRY(bind_function(binder, &call, item));
  item->name = qn_arena_string(binder->arena, name != NULL ? name : binder->item_text);
  if (item->name == NULL) {
    return qn_bind_no_memory(binder);
  }
  QN_TRY(qn_bind_check_name(binder, item->name, list->names, list->n, location));
  list->names[list->n++] = item->name;

done:
  return status;
}

qn_status qn_window_functions_bind(const char *text, const qn_schema *schema, qn_arena *arena,
                                   qn_window_function **out, int *n, qn_error *err) {
  qn_status status = QN_OK;
  qn_binder binder;
  function_list list = {0};

  QN_TRY(qn_binder_init(&binder, text, "window", false, arena, err));
  qn_binder_add_scope(&binder, NULL, schema);
  const int64_t capacity = (int64_t)json_array_size(qn_binder_items(&binder, false));
  list.items = qn_arena_alloc(arena, (int64_t)sizeof *list.items * capacity);
  list.names = qn_arena_alloc(arena, (int64_t)sizeof *list.names * capacity);
  QN_REQUIRE(list.items != NULL && list.names != NULL, err, QN_ERR_MEMORY, "window: no memory to bind");
  QN_TRY(qn_bind_each_item(&binder, bind_item, &list));
  *out = list.items;
  *n = list.n;

done:
  qn_binder_release(&binder);
  return status;
}
