// SPDX-License-Identifier: Apache-2.0
// Exchanges that feed each other, with the smallest buffers and windows: whoever waits goes on delivering, so
// a chain of them moves, whatever its length, its order, and whoever scatters into it.
#include "column/builder.h"
#include "comm/comm.h"
#include "comm/exchange.h"
#include "kit/kit.h"

static qn_comm *comm;

enum { MAX_LINKS = 4 };

// Links of a chain: rows that link i delivers are scattered into link i + 1; the last counts them.
typedef struct chain chain;
typedef struct {
  chain *chain;
  int index;
  int depth;
} chain_link;
struct chain {
  int n_links;
  qn_exchange *exchanges[MAX_LINKS];
  chain_link links[MAX_LINKS];
  int64_t n_rows, sum;
  int last_rank;
  int64_t n_out_of_order;
};

static qn_status scatter_by_value(qn_exchange *exchange, const qn_batch *batch, int64_t factor,
                                  qn_error *err) {
  int32_t *destinations = malloc((size_t)batch->n_rows * 4);
  for (int64_t i = 0; i < batch->n_rows; i++) {
    const uint64_t value = (uint64_t)qn_column_int64(&batch->columns[0], i);
    destinations[i] = (int32_t)((value * (uint64_t)(2 * factor + 1) >> 3) % (uint64_t)qn_comm_size(comm));
  }
  const qn_status status = qn_exchange_scatter(exchange, batch, destinations, err);
  free(destinations);
  return status;
}

static qn_status pass_on(void *ctx, const qn_batch *batch, int from_rank, qn_error *err) {
  chain_link *self = ctx;
  chain *all = self->chain;
  qn_status status = QN_OK;
  QN_CHECK_INT(self->depth, 0); // never entered again
  self->depth++;
  if (self->index + 1 < all->n_links) {
    status = scatter_by_value(all->exchanges[self->index + 1], batch, self->index + 1, err);
  } else {
    all->n_rows += batch->n_rows;
    all->n_out_of_order += from_rank < all->last_rank;
    all->last_rank = from_rank;
    for (int64_t i = 0; i < batch->n_rows; i++) {
      all->sum += qn_column_int64(&batch->columns[0], i);
    }
  }
  self->depth--;
  return status;
}

static void open_chain(chain *all, int n_links, const qn_schema *schema, const qn_exchange_options *options,
                       bool last_in_order) {
  *all = (chain){.n_links = n_links};
  for (int i = n_links - 1; i >= 0; i--) { // what is fed is opened first
    qn_exchange_options chosen = *options;
    chosen.in_rank_order = last_in_order && i == n_links - 1;
    all->links[i] = (chain_link){.chain = all, .index = i};
    QN_CHECK_OK(
        qn_exchange_open(comm, schema, &chosen, pass_on, &all->links[i], &all->exchanges[i], &kit_error));
  }
}

static qn_batch *make_batch(int64_t first, int64_t n) {
  qn_batch_builder builder = {0};
  qn_batch *batch = NULL;
  qn_schema *schema = NULL;
  QN_CHECK_OK(qn_schema_parse("value int64, padding utf8", &schema, &kit_error));
  QN_CHECK_OK(qn_batch_builder_init(&builder, schema, &kit_error));
  for (int64_t i = 0; i < n; i++) {
    const int64_t value = first + i;
    QN_CHECK_OK(qn_column_builder_append_value(&builder.columns[0], &value, &kit_error));
    QN_CHECK_OK(qn_column_builder_append_text(&builder.columns[1], "a text that makes the row longer", 32,
                                              &kit_error));
  }
  builder.n_rows = n;
  QN_CHECK_OK(qn_batch_builder_finish(&builder, &batch, &kit_error));
  qn_batch_builder_release(&builder);
  qn_schema_free(schema);
  return batch;
}

// Every rank scatters n_batches of 1000 rows into the chain; with also_last, into its last link too, in turn.
static void run_chain(int n_links, int64_t n_batches, const qn_exchange_options *options, bool last_in_order,
                      bool also_last) {
  chain all;
  qn_batch *batch = make_batch(qn_comm_rank(comm) * 1000, 1000);
  open_chain(&all, n_links, batch->schema, options, last_in_order);
  for (int64_t b = 0; b < n_batches; b++) {
    QN_CHECK_OK(scatter_by_value(all.exchanges[0], batch, b, &kit_error));
    if (also_last) {
      QN_CHECK_OK(scatter_by_value(all.exchanges[n_links - 1], batch, b + 1, &kit_error));
    }
  }
  for (int i = 0; i < n_links; i++) {
    QN_CHECK_OK(qn_exchange_finish(all.exchanges[i], &kit_error));
  }
  const int64_t n_ranks = qn_comm_size(comm);
  const int64_t n_times = n_batches * (also_last ? 2 : 1);
  int64_t sums[3] = {all.n_rows, all.sum, all.n_out_of_order};
  QN_CHECK_OK(qn_comm_reduce_int64(comm, QN_SUM, sums, 3, &kit_error));
  QN_CHECK_INT(sums[0], n_times * n_ranks * 1000);
  QN_CHECK_INT(sums[1], n_times * (n_ranks * 1000) * (n_ranks * 1000 - 1) / 2);
  if (last_in_order) {
    QN_CHECK_INT(sums[2], 0);
  }
  for (int i = 0; i < n_links; i++) {
    qn_exchange_close(all.exchanges[i]);
  }
  qn_batch_free(batch);
  QN_CHECK_OK(qn_comm_agree(comm, QN_OK, &kit_error));
}

static const qn_exchange_options tiny = {.buffer_bytes = 1, .window = 1};

static void two_links_move(void) {
  run_chain(2, 100, &tiny, false, false);
  run_chain(2, 100, &(qn_exchange_options){0}, false, false);
}

static void four_links_move(void) {
  run_chain(4, 60, &tiny, false, false);
}

static void rows_from_two_sides_enter_one_link(void) {
  run_chain(2, 60, &tiny, false, true);
  run_chain(3, 60, &tiny, false, true);
}

static void a_link_in_rank_order_does_not_block_the_chain(void) {
  run_chain(2, 60, &tiny, true, false);
  run_chain(2, 60, &(qn_exchange_options){.buffer_bytes = 1, .window = 1, .waits_for_turn = true}, true,
            false);
}

// Ranks fill a link in order before they are done with another one, on which the first ranks wait for them.
static void an_order_does_not_wait_for_later_ranks(void) {
  chain ordered, other;
  qn_batch *batch = make_batch(0, 1000);
  open_chain(&ordered, 1, batch->schema, &tiny, true);
  open_chain(&other, 1, batch->schema, &tiny, false);
  for (int b = 0; b < 40; b++) {
    QN_CHECK_OK(qn_exchange_send(ordered.exchanges[0], batch, 0, &kit_error));
  }
  for (int b = 0; b < 40; b++) {
    QN_CHECK_OK(scatter_by_value(other.exchanges[0], batch, b, &kit_error));
  }
  QN_CHECK_OK(qn_exchange_finish(other.exchanges[0], &kit_error));
  QN_CHECK_OK(qn_exchange_finish(ordered.exchanges[0], &kit_error));
  QN_CHECK_INT(ordered.n_rows, qn_comm_rank(comm) == 0 ? 40000 * qn_comm_size(comm) : 0);
  QN_CHECK_INT(ordered.n_out_of_order, 0);
  qn_exchange_close(ordered.exchanges[0]);
  qn_exchange_close(other.exchanges[0]);
  qn_batch_free(batch);
  QN_CHECK_OK(qn_comm_agree(comm, QN_OK, &kit_error));
}

static void rows_flow_while_ranks_wait_in_collectives(void) {
  chain all;
  qn_batch *batch = make_batch(0, 1000);
  open_chain(&all, 2, batch->schema, &tiny, false);
  const int n_batches = qn_comm_rank(comm) == 0 ? 100 : 0; // the others are in the barrier at once
  for (int b = 0; b < n_batches; b++) {
    QN_CHECK_OK(scatter_by_value(all.exchanges[0], batch, b, &kit_error));
  }
  QN_CHECK_OK(qn_comm_barrier(comm, &kit_error));
  for (int i = 0; i < 2; i++) {
    QN_CHECK_OK(qn_exchange_finish(all.exchanges[i], &kit_error));
    qn_exchange_close(all.exchanges[i]);
  }
  QN_CHECK_OK(qn_comm_reduce_int64(comm, QN_SUM, &all.n_rows, 1, &kit_error));
  QN_CHECK_INT(all.n_rows, 100000);
  qn_batch_free(batch);
  QN_CHECK_OK(qn_comm_agree(comm, QN_OK, &kit_error));
}

int main(void) {
  if (qn_comm_open(&comm, &kit_error) != QN_OK) {
    printf("%s\n", kit_error.message);
    return 1;
  }
  KIT_RUN(two_links_move);
  KIT_RUN(four_links_move);
  KIT_RUN(rows_from_two_sides_enter_one_link);
  KIT_RUN(a_link_in_rank_order_does_not_block_the_chain);
  KIT_RUN(an_order_does_not_wait_for_later_ranks);
  KIT_RUN(rows_flow_while_ranks_wait_in_collectives);
  qn_comm_close(comm);
  return kit_result();
}
