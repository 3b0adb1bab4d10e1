// SPDX-License-Identifier: Apache-2.0
// From node to node: rows for the ranks of another node go to one rank there, with a column that says where
// to, and are scattered again. That is a hop and 4 bytes a row more, and far fewer and larger messages.
#include <stdio.h>
#include <stdlib.h>
#include "base/check.h"
#include "base/memory.h"
#include "comm/exchange_state.h"

// docs/exchange.md says where these numbers come from.
enum { LEAST_RANKS_OF_A_NODE = 4, LEAST_RANKS = 64, NAME_BYTES = 64 };

bool qn_route_is_by_node(const qn_comm *comm, const qn_exchange_options *options) {
  const qn_nodes *nodes = &comm->nodes;
  if (!nodes->is_even || nodes->n_nodes == 1 || nodes->n_here == 1 || options->in_rank_order ||
      options->needs_sender || options->route == QN_ROUTE_DIRECT) {
    return false;
  }
  return options->route == QN_ROUTE_BY_NODE ||
         (nodes->n_here >= LEAST_RANKS_OF_A_NODE && comm->size >= LEAST_RANKS);
}

static bool has_field(const qn_schema *schema, const char *name) {
  for (int i = 0; i < schema->n_columns; i++) {
    if (strcmp(schema->fields[i].name, name) == 0) {
      return true;
    }
  }
  return false;
}

// The schema with the column of ranks behind it.
static qn_status make_schema(const qn_schema *schema, qn_schema **out, qn_error *err) {
  qn_status status = QN_OK;
  char name[NAME_BYTES] = "rank";
  qn_field *fields = calloc((size_t)schema->n_columns + 1, sizeof *fields);

  QN_REQUIRE(fields != NULL, err, QN_ERR_MEMORY, "no memory for a schema of %d columns",
             schema->n_columns + 1);
  for (int i = 0; has_field(schema, name); i++) {
    snprintf(name, sizeof name, "rank %d", i);
  }
  memcpy(fields, schema->fields, (size_t)schema->n_columns * sizeof *fields);
  fields[schema->n_columns] = (qn_field){.name = name, .type = QN_INT32};
  QN_TRY(qn_schema_new(fields, schema->n_columns + 1, out, err));

done:
  free(fields);
  return status;
}

// The deliver function of the way to other nodes: `ctx` is the exchange of this node.
static qn_status hand_on(void *ctx, const qn_batch *batch, int from_rank, qn_error *err) {
  qn_status status = QN_OK;
  qn_exchange *exchange = ctx;
  qn_batch *rows = NULL;
  (void)from_rank;

  if (batch->n_rows == 0) {
    return QN_OK;
  }
  const int32_t *ranks = batch->columns[batch->n_columns - 1].values;
  QN_TRY(qn_batch_project(batch, exchange->schema, exchange->across->project, &rows, err));
  if (ranks[0] < 0) { // messages are for all or for some, never both
    QN_TRY(qn_exchange_broadcast_group(exchange, rows, err));
  } else {
    QN_TRY(qn_exchange_scatter_group(exchange, rows, ranks, err));
  }

done:
  qn_batch_free(rows);
  return status;
}

qn_status qn_route_open_across(qn_exchange *exchange, const qn_exchange_options *options, qn_error *err) {
  qn_status status = QN_OK;
  qn_schema *schema = NULL;
  qn_exchange *across = NULL;

  QN_TRY(make_schema(exchange->schema, &schema, err));
  QN_TRY(qn_exchange_open_group(exchange->comm, schema, options, QN_GROUP_ACROSS, hand_on, exchange, &across,
                                err));
  exchange->across = across;
  across->project = calloc((size_t)schema->n_columns, sizeof *across->project);
  QN_REQUIRE(across->project != NULL, err, QN_ERR_MEMORY, "no memory for an exchange");
  for (int i = 0; i < schema->n_columns; i++) {
    across->project[i] = i;
  }

done:
  qn_schema_free(schema);
  return status;
}

qn_status qn_route_address(const qn_exchange *exchange, const qn_batch *batch, const int32_t *ranks,
                           qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  const int n_columns = batch->n_columns;
  qn_column *columns = calloc((size_t)n_columns + 1, sizeof *columns);

  QN_REQUIRE(columns != NULL, err, QN_ERR_MEMORY, "no memory for a batch of %d columns", n_columns + 1);
  for (int i = 0; i < n_columns; i++) {
    columns[i] = qn_column_share(&batch->columns[i]);
  }
  columns[n_columns] = (qn_column){.type = QN_INT32, .n_rows = batch->n_rows, .values = ranks};
  QN_TRY(qn_batch_new_take(exchange->across->schema, batch->n_rows, columns, out, err));

done:
  free(columns);
  return status;
}
