// SPDX-License-Identifier: Apache-2.0
// Every rank finds the bins of its own rows and writes them where they stay. Labels lie in front.
#include "ml/forest_rows.h"
#include <stdlib.h>
#include "base/check.h"
#include "base/memory.h"
#include "ml/tree_bins.h"

static void let_go(const void *room) {
  qn_node_room_let_go(room);
}

static int64_t pair_bytes(const qn_forest_rows *all) {
  return all->n_rows * (int64_t)sizeof *all->pairs;
}

qn_status qn_forest_rows_new(qn_comm *comm, const qn_rows *rows, int max_bins, const char *scratch,
                             qn_forest_rows **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_forest_rows *all = calloc(1, sizeof *all);
  int64_t bytes = 0;

  QN_REQUIRE(all != NULL, err, QN_ERR_MEMORY, "no memory for bins");
  all->n_rows = rows->n_total;
  all->n_columns = rows->n_columns;
  QN_TRY(qn_tree_edges_choose(comm, rows, max_bins, scratch, &all->edges, err));
  QN_TRY(qn_mul_size(all->n_rows, all->n_columns + (int64_t)sizeof *all->pairs, &bytes, err));
  QN_TRY(qn_node_room_new(comm, bytes, scratch, "bins", &all->room, err));
  uint8_t *bins = all->room->data + pair_bytes(all);
  const qn_tree_bins_place place = {.bins = bins + rows->first_row,
                                    .group_bytes = all->n_rows,
                                    .width = 1,
                                    .let_go = let_go,
                                    .ctx = all->room};
  QN_TRY(qn_tree_bins_find(comm, rows, &all->edges, &place, err));
  all->pairs = (qn_tree_pair *)(void *)all->room->data;
  all->bins = bins;
  *out = all;
  all = NULL;

done:
  qn_forest_rows_free(all);
  return status;
}

qn_status qn_forest_rows_share(qn_comm *comm, const qn_rows *rows, qn_forest_rows *all, qn_error *err) {
  const int64_t pair = sizeof *all->pairs;
  const qn_node_room_part parts[] = {
      {.first = rows->first_row * pair, .n = rows->n_local * pair, .n_runs = 1},
      {.first = pair_bytes(all) + rows->first_row,
       .n = rows->n_local,
       .stride = all->n_rows,
       .n_runs = all->n_columns}};
  return qn_node_room_share(comm, all->room, parts, 2, err);
}

void qn_forest_rows_free(qn_forest_rows *all) {
  if (all != NULL) {
    qn_tree_edges_release(&all->edges);
    qn_node_room_free(all->room);
    free(all);
  }
}
