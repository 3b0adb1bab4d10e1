// SPDX-License-Identifier: Apache-2.0
// Lists of order columns, kept in the arena of a run.
#include "exec/order_columns.h"
#include "base/check.h"

qn_status qn_order_columns_init(qn_order_columns *list, const qn_schema *schema, qn_arena *arena,
                                qn_error *err) {
  qn_status status = QN_OK;
  const int64_t room = (int64_t)schema->n_columns + 1;

  *list = (qn_order_columns){.n_schema = schema->n_columns,
                             .columns = qn_arena_alloc(arena, room * (int64_t)sizeof(int)),
                             .orders = qn_arena_alloc(arena, room * (int64_t)sizeof(qn_order)),
                             .keys = qn_arena_alloc(arena, room * (int64_t)sizeof(qn_column *))};
  QN_REQUIRE(list->columns != NULL && list->orders != NULL && list->keys != NULL, err, QN_ERR_MEMORY,
             "no memory for an order of %d columns", schema->n_columns);

done:
  return status;
}

static void add_new(qn_order_columns *list, int column, qn_order order) {
  for (int i = 0; i < list->n; i++) {
    if (list->columns[i] == column) {
      return;
    }
  }
  list->columns[list->n] = column;
  list->orders[list->n++] = order;
}

void qn_order_columns_add(qn_order_columns *list, int column, qn_order order) {
  add_new(list, column, order);
  list->n_main = list->n;
}

void qn_order_columns_add_order(qn_order_columns *list, const qn_order_column *order, int n_order) {
  for (int i = 0; i < n_order; i++) {
    qn_order_columns_add(list, order[i].column, order[i].order);
  }
}

void qn_order_columns_add_keys(qn_order_columns *list, const int *columns, int n_columns) {
  for (int i = 0; i < n_columns; i++) {
    qn_order_columns_add(list, columns[i], (qn_order){0});
  }
}

void qn_order_columns_add_rest(qn_order_columns *list) {
  for (int c = 0; c < list->n_schema; c++) {
    add_new(list, c, (qn_order){0});
  }
}

const qn_column *const *qn_order_columns_of(const qn_order_columns *list, const qn_batch *batch) {
  for (int i = 0; i < list->n; i++) {
    list->keys[i] = &batch->columns[list->columns[i]];
  }
  return list->keys;
}
