// SPDX-License-Identifier: Apache-2.0
// Rows scattered, sent and broadcast arrive once each, where they should, whatever their size and number. A
// row's text names its sender and number; sums over these tell whether all have come.
#include <inttypes.h>
#include "base/buffer.h"
#include "base/hash.h"
#include "column/builder.h"
#include "comm/comm_state.h"
#include "comm/exchange.h"
#include "kit/kit.h"

static qn_comm *comm;
static qn_route route;    // of the exchanges that may go any way
static qn_schema *schema; // "sender int64, number int64, to int32, name utf8"

// What a rank has got: [0] rows, [1] sum of hashes, [2] rows that should have gone elsewhere, [3] wrong
// senders, [4] rows out of their sender's order.
enum { N_ROWS, HASHES, ASTRAY, WRONG_SENDER, OUT_OF_ORDER, N_SUMS };
typedef struct {
  int64_t sums[N_SUMS];
  int last_sender;
  int64_t last_number;
  bool is_for_all;
} receiver;

static int64_t hash_row(const qn_batch *batch, int64_t row) {
  const qn_text name = qn_column_text(&batch->columns[3], row);
  const uint64_t numbers = (uint64_t)(qn_column_int64(&batch->columns[0], row) * 1000003 +
                                      qn_column_int64(&batch->columns[1], row));
  const bool is_null = qn_column_is_null(&batch->columns[3], row);
  const uint64_t hash = is_null ? qn_hash_mix(numbers) : qn_hash_bytes(name.data, name.size, numbers);
  return (int64_t)(hash >> 32);
}

static qn_status receive(void *ctx, const qn_batch *batch, int from_rank, qn_error *err) {
  (void)err;
  receiver *got = ctx;
  QN_CHECK_OK(qn_batch_validate(batch, true, &kit_error));
  for (int64_t i = 0; i < batch->n_rows; i++) {
    const int sender = (int)qn_column_int64(&batch->columns[0], i);
    const int64_t number = qn_column_int64(&batch->columns[1], i);
    got->sums[N_ROWS]++;
    got->sums[HASHES] += hash_row(batch, i);
    got->sums[ASTRAY] += !got->is_for_all && qn_column_int32(&batch->columns[2], i) != qn_comm_rank(comm);
    got->sums[WRONG_SENDER] += sender != from_rank;
    got->sums[OUT_OF_ORDER] +=
        sender < got->last_sender || (sender == got->last_sender && number <= got->last_number);
    got->last_sender = sender;
    got->last_number = number;
  }
  return QN_OK;
}

typedef int (*choose_fn)(kit_random *random, int64_t number);

static int to_any(kit_random *random, int64_t number) {
  (void)number;
  return (int)kit_random_below(random, qn_comm_size(comm));
}
static int to_last(kit_random *random, int64_t number) {
  (void)random, (void)number;
  return qn_comm_size(comm) - 1;
}
static int to_self(kit_random *random, int64_t number) {
  (void)random, (void)number;
  return qn_comm_rank(comm);
}
static int to_few(kit_random *random, int64_t number) {
  (void)random;
  return (int)((number / 700) % qn_comm_size(comm));
}

typedef struct {
  qn_exchange_options options;
  int64_t n_rows; // of rank 0; the others have a little less
  int64_t batch_rows;
  int64_t text_bytes; // on average
  choose_fn choose;
} scenario;

// Rows first .. first + n - 1 of this rank, and where they go.
static qn_batch *make_batch(const scenario *wanted, kit_random *random, int64_t first, int64_t n,
                            int32_t *destinations) {
  qn_batch_builder builder = {0};
  qn_batch *batch = NULL;
  char *text = malloc((size_t)wanted->text_bytes * 2 + 32);
  QN_CHECK_OK(qn_batch_builder_init(&builder, schema, &kit_error));
  for (int64_t i = 0; i < n; i++) {
    const int64_t sender = qn_comm_rank(comm);
    const int64_t number = first + i;
    destinations[i] = wanted->choose(random, number);
    const int64_t size = wanted->text_bytes > 0 ? kit_random_below(random, 2 * wanted->text_bytes) : 0;
    memset(text, (int)(97 + number % 26), (size_t)size);
    QN_CHECK_OK(qn_column_builder_append_value(&builder.columns[0], &sender, &kit_error));
    QN_CHECK_OK(qn_column_builder_append_value(&builder.columns[1], &number, &kit_error));
    QN_CHECK_OK(qn_column_builder_append_value(&builder.columns[2], &destinations[i], &kit_error));
    if (number % 11 == 3) {
      QN_CHECK_OK(qn_column_builder_append_null(&builder.columns[3], &kit_error));
    } else {
      QN_CHECK_OK(qn_column_builder_append_text(&builder.columns[3], text, size, &kit_error));
    }
  }
  builder.n_rows = n;
  QN_CHECK_OK(qn_batch_builder_finish(&builder, &batch, &kit_error));
  qn_batch_builder_release(&builder);
  free(text);
  return batch;
}

typedef enum { SCATTER, BROADCAST } way;

// Sends this rank's rows; adds to `sent` what they are worth.
static void send_rows(qn_exchange *exchange, const scenario *wanted, way how, int64_t n_rows, int64_t *sent) {
  kit_random random = {.state = (uint64_t)(qn_comm_rank(comm) + 17)};
  for (int64_t first = 0; first < n_rows; first += wanted->batch_rows) {
    const int64_t n = n_rows - first < wanted->batch_rows ? n_rows - first : wanted->batch_rows;
    int32_t *destinations = malloc((size_t)n * 4);
    qn_batch *batch = make_batch(wanted, &random, first, n, destinations);
    sent[N_ROWS] += n;
    for (int64_t i = 0; i < n; i++) {
      sent[HASHES] += hash_row(batch, i);
    }
    if (how == SCATTER) {
      QN_CHECK_OK(qn_exchange_scatter(exchange, batch, destinations, &kit_error));
    } else {
      QN_CHECK_OK(qn_exchange_broadcast(exchange, batch, &kit_error));
    }
    qn_batch_free(batch);
    free(destinations);
  }
}

// By nodes, rows come from the rank that hands them on.
static bool knows_sender(const qn_exchange_options *options) {
  return route != QN_ROUTE_BY_NODE || options->in_rank_order || options->needs_sender;
}

static void check_totals(const receiver *got, int64_t *sent, int64_t times,
                         const qn_exchange_options *options) {
  int64_t all[N_SUMS];
  memcpy(all, got->sums, sizeof all);
  QN_CHECK_OK(qn_comm_reduce_int64(comm, QN_SUM, all, N_SUMS, &kit_error));
  QN_CHECK_OK(qn_comm_reduce_int64(comm, QN_SUM, sent, 2, &kit_error));
  QN_CHECK_INT(all[N_ROWS], sent[N_ROWS] * times);
  QN_CHECK_INT(all[HASHES], sent[HASHES] * times);
  QN_CHECK_INT(all[ASTRAY], 0);
  QN_CHECK(all[WRONG_SENDER] == 0 || !knows_sender(options));
  if (options->in_rank_order) {
    QN_CHECK_INT(all[OUT_OF_ORDER], 0);
  }
}

static void run(const scenario *wanted, way how) {
  qn_exchange *exchange = NULL;
  receiver got = {.last_sender = -1, .is_for_all = how == BROADCAST};
  int64_t sent[2] = {0, 0};
  qn_exchange_options options = wanted->options;
  options.route = route;
  int64_t n_rows = wanted->n_rows - 100 * qn_comm_rank(comm);
  n_rows = n_rows < 0 ? 0 : n_rows;
  QN_CHECK_OK(qn_exchange_open(comm, schema, &options, receive, &got, &exchange, &kit_error));
  send_rows(exchange, wanted, how, n_rows, sent);
  QN_CHECK_OK(qn_exchange_finish(exchange, &kit_error));
  QN_CHECK_OK(qn_exchange_finish(exchange, &kit_error)); // once more does nothing
  const qn_exchange_counts counts = qn_exchange_counted(exchange);
  QN_CHECK_INT(counts.rows_sent, n_rows * (how == BROADCAST ? qn_comm_size(comm) : 1));
  QN_CHECK_INT(counts.rows_received, got.sums[N_ROWS]);
  int64_t bytes[2] = {counts.bytes_sent, counts.bytes_received};
  QN_CHECK_OK(qn_comm_reduce_int64(comm, QN_SUM, bytes, 2, &kit_error));
  QN_CHECK_INT(bytes[0], bytes[1]);
  check_totals(&got, sent, how == BROADCAST ? qn_comm_size(comm) : 1, &options);
  qn_exchange_close(exchange);
  QN_CHECK_OK(qn_comm_agree(comm, QN_OK, &kit_error));
}

static void random_rows_arrive(void) {
  run(&(scenario){.n_rows = 50000, .batch_rows = 4096, .text_bytes = 20, .choose = to_any}, SCATTER);
  run(&(scenario){.n_rows = 20000, .batch_rows = 37, .text_bytes = 5, .choose = to_any}, SCATTER);
}

static void large_batches_are_cut(void) {
  run(&(scenario){.n_rows = 60000, .batch_rows = 60000, .text_bytes = 60, .choose = to_any}, SCATTER);
  run(&(scenario){.n_rows = 60000, .batch_rows = 60000, .text_bytes = 60, .choose = to_last}, SCATTER);
}

static void tiny_buffers_and_windows_do(void) {
  const qn_exchange_options tiny = {.buffer_bytes = 1, .window = 1};
  run(&(scenario){.options = tiny, .n_rows = 30000, .batch_rows = 1000, .text_bytes = 30, .choose = to_any},
      SCATTER);
  run(&(scenario){.options = tiny, .n_rows = 30000, .batch_rows = 1000, .text_bytes = 30, .choose = to_few},
      SCATTER);
  run(&(scenario){.options = tiny, .n_rows = 5000, .batch_rows = 1000, .text_bytes = 30, .choose = to_any},
      BROADCAST);
}

static void all_rows_to_one_rank(void) {
  run(&(scenario){.n_rows = 30000, .batch_rows = 4096, .text_bytes = 10, .choose = to_last}, SCATTER);
  run(&(scenario){.n_rows = 30000, .batch_rows = 4096, .text_bytes = 10, .choose = to_self}, SCATTER);
}

static void ranks_without_rows_take_part(void) {
  run(&(scenario){.n_rows = 0, .batch_rows = 1, .choose = to_any}, SCATTER);
  run(&(scenario){.n_rows = 150, .batch_rows = 1, .choose = to_any}, SCATTER);
  run(&(scenario){.n_rows = 150, .batch_rows = 100, .choose = to_any}, BROADCAST);
}

static void broadcast_rows_reach_all(void) {
  run(&(scenario){.n_rows = 20000, .batch_rows = 512, .text_bytes = 20, .choose = to_any}, BROADCAST);
}

static void rank_order_is_kept(void) {
  const qn_exchange_options ordered = {.buffer_bytes = 1, .window = 1, .in_rank_order = true};
  const qn_exchange_options waiting = {.buffer_bytes = 1, .in_rank_order = true, .waits_for_turn = true};
  run(&(scenario){.options = ordered, .n_rows = 20000, .batch_rows = 500, .text_bytes = 30, .choose = to_any},
      SCATTER);
  run(
      &(scenario){
          .options = ordered, .n_rows = 20000, .batch_rows = 500, .text_bytes = 30, .choose = to_last},
      SCATTER);
  run(
      &(scenario){
          .options = waiting, .n_rows = 20000, .batch_rows = 500, .text_bytes = 30, .choose = to_last},
      SCATTER);
  run(&(scenario){.options = waiting, .n_rows = 3000, .batch_rows = 500, .text_bytes = 30, .choose = to_any},
      BROADCAST);
}

static void rows_of_a_sender_are_told_apart(void) {
  const qn_exchange_options options = {.needs_sender = true};
  run(&(scenario){.options = options, .n_rows = 30000, .batch_rows = 999, .text_bytes = 9, .choose = to_any},
      SCATTER);
}

static void values_larger_than_a_buffer_travel(void) {
  run(&(scenario){.n_rows = 8, .batch_rows = 3, .text_bytes = 2 << 20, .choose = to_any}, SCATTER);
  run(&(scenario){.n_rows = 8, .batch_rows = 8, .text_bytes = 1 << 20, .choose = to_last}, SCATTER);
}

static void pieces_are_put_together(void) {
  const int64_t piece_bytes = comm->transport.piece_bytes;
  comm->transport.piece_bytes = 5000;
  run(&(scenario){.n_rows = 500, .batch_rows = 30, .text_bytes = 3000, .choose = to_any}, SCATTER);
  run(&(scenario){.n_rows = 500, .batch_rows = 30, .text_bytes = 3000, .choose = to_any}, BROADCAST);
  run(&(scenario){.n_rows = 3, .batch_rows = 3, .text_bytes = 1 << 20, .choose = to_any}, SCATTER);
  comm->transport.piece_bytes = piece_bytes;
}

static qn_status count_rows(void *ctx, const qn_batch *batch, int from_rank, qn_error *err) {
  (void)from_rank, (void)err;
  *(int64_t *)ctx += batch->n_rows;
  return QN_OK;
}

static void mixed_ways_keep_the_order(void) {
  const int n_ranks = qn_comm_size(comm);
  qn_exchange *exchange = NULL;
  receiver got = {.last_sender = -1, .is_for_all = true};
  const qn_exchange_options ordered = {.in_rank_order = true};
  const scenario few = {.text_bytes = 10, .choose = to_any};
  kit_random random = {.state = 5};
  int32_t destinations[90];
  QN_CHECK_OK(qn_exchange_open(comm, schema, &ordered, receive, &got, &exchange, &kit_error));
  for (int64_t i = 0; i < 30; i += 3) {
    qn_batch *batches[3];
    for (int64_t k = 0; k < 3; k++) {
      batches[k] = make_batch(&few, &random, (i + k) * 10, 10, destinations);
    }
    QN_CHECK_OK(qn_exchange_scatter(exchange, batches[0], destinations, &kit_error));
    QN_CHECK_OK(qn_exchange_broadcast(exchange, batches[1], &kit_error));
    QN_CHECK_OK(qn_exchange_send(exchange, batches[2], (int)(i % n_ranks), &kit_error));
    for (int k = 0; k < 3; k++) {
      qn_batch_free(batches[k]);
    }
  }
  QN_CHECK_OK(qn_exchange_finish(exchange, &kit_error));
  qn_exchange_close(exchange);
  QN_CHECK_OK(qn_comm_reduce_int64(comm, QN_SUM, got.sums, N_SUMS, &kit_error));
  QN_CHECK_INT(got.sums[N_ROWS], n_ranks * (100 + 100 * n_ranks + 100));
  QN_CHECK_INT(got.sums[OUT_OF_ORDER], 0);
  QN_CHECK_OK(qn_comm_agree(comm, QN_OK, &kit_error));
}

static void rows_without_columns_are_counted(void) {
  qn_schema *none = NULL;
  qn_batch *batch = NULL;
  qn_exchange *exchange = NULL;
  qn_column columns[1] = {{0}};
  int64_t n_rows = 0;
  int32_t destinations[1000];
  for (int i = 0; i < 1000; i++) {
    destinations[i] = i % qn_comm_size(comm);
  }
  QN_CHECK_OK(qn_schema_new(NULL, 0, &none, &kit_error));
  QN_CHECK_OK(qn_batch_new_take(none, 1000, columns, &batch, &kit_error));
  QN_CHECK_OK(qn_exchange_open(comm, none, NULL, count_rows, &n_rows, &exchange, &kit_error));
  QN_CHECK_OK(qn_exchange_scatter(exchange, batch, destinations, &kit_error));
  QN_CHECK_OK(qn_exchange_finish(exchange, &kit_error));
  QN_CHECK_OK(qn_comm_reduce_int64(comm, QN_SUM, &n_rows, 1, &kit_error));
  QN_CHECK_INT(n_rows, 1000 * qn_comm_size(comm));
  qn_exchange_close(exchange);
  qn_batch_free(batch);
  qn_schema_free(none);
  QN_CHECK_OK(qn_comm_agree(comm, QN_OK, &kit_error));
}

static void mistakes_are_refused(void) {
  qn_exchange *exchange = NULL;
  int64_t n_rows = 0;
  qn_batch *batch = kit_batch("a int64", "1\n2\n");
  qn_batch *other = kit_batch("a int32", "1\n2\n");
  QN_CHECK_OK(qn_exchange_open(comm, batch->schema, NULL, count_rows, &n_rows, &exchange, &kit_error));
  QN_CHECK_FAILS(qn_exchange_scatter(exchange, other, (int32_t[]){0, 0}, &kit_error), QN_ERR_TYPE);
  QN_CHECK_FAILS(qn_exchange_scatter(exchange, batch, (int32_t[]){0, qn_comm_size(comm)}, &kit_error),
                 QN_ERR_VALUE);
  QN_CHECK_MESSAGE("row 1");
  QN_CHECK_FAILS(qn_exchange_scatter(exchange, batch, (int32_t[]){-1, 0}, &kit_error), QN_ERR_VALUE);
  QN_CHECK_FAILS(qn_exchange_send(exchange, batch, -1, &kit_error), QN_ERR_ARG);
  qn_comm_barrier(comm, NULL); // who leaves it first stops the others
  QN_CHECK_FAILS(qn_comm_agree(comm, QN_OK, &kit_error), QN_ERR_ARG);
  QN_CHECK_MESSAGE("not finished");
  QN_CHECK_FAILS(qn_exchange_send(exchange, batch, 0, &kit_error), QN_ERR_ARG); // its run is over
  QN_CHECK_FAILS(qn_exchange_finish(exchange, &kit_error), QN_ERR_ARG);
  qn_exchange_close(exchange);
  qn_batch_free(batch);
  qn_batch_free(other);
}

static void run_all(void) {
  KIT_RUN(random_rows_arrive);
  KIT_RUN(large_batches_are_cut);
  KIT_RUN(tiny_buffers_and_windows_do);
  KIT_RUN(all_rows_to_one_rank);
  KIT_RUN(ranks_without_rows_take_part);
  KIT_RUN(broadcast_rows_reach_all);
  KIT_RUN(rank_order_is_kept);
  KIT_RUN(rows_of_a_sender_are_told_apart);
  KIT_RUN(values_larger_than_a_buffer_travel);
  KIT_RUN(pieces_are_put_together);
  KIT_RUN(mixed_ways_keep_the_order);
  KIT_RUN(rows_without_columns_are_counted);
  KIT_RUN(mistakes_are_refused);
}

// Nothing is kept of the rows, so all slabs are free when all ranks are done.
static void slabs_have_been_given_back(void) {
  QN_CHECK_OK(qn_comm_barrier(comm, &kit_error));
  QN_CHECK(comm->shared == NULL ||
           qn_shared_n_free(comm->shared, qn_comm_node_rank(comm)) == qn_shared_n_slabs(comm->shared));
  QN_CHECK_OK(qn_comm_agree(comm, QN_OK, &kit_error));
}

static void all_of_it_through_shared_memory(void) {
  QN_CHECK_OK(qn_comm_share_memory(comm, 2 << 20, &kit_error));
  QN_CHECK(qn_comm_size(comm) == 1 || qn_comm_shared_bytes(comm) > 0);
  run_all();
  KIT_RUN(slabs_have_been_given_back);
}

// As if the ranks were on several machines, with shared memory in each and without.
static void all_of_it_by_nodes(int ranks_per_node) {
  route = QN_ROUTE_BY_NODE;
  QN_CHECK_OK(qn_comm_share_memory(comm, 0, &kit_error));
  QN_CHECK_OK(qn_nodes_find(comm, ranks_per_node, &kit_error));
  run_all();
  QN_CHECK_OK(qn_comm_share_memory(comm, 1 << 20, &kit_error));
  run_all();
  KIT_RUN(slabs_have_been_given_back);
}

int main(void) {
  if (qn_comm_open(&comm, &kit_error) != QN_OK ||
      qn_schema_parse("sender int64, number int64, destination int32, name utf8", &schema, &kit_error) !=
          QN_OK) {
    printf("%s\n", kit_error.message);
    return 1;
  }
  run_all();
  KIT_RUN(all_of_it_through_shared_memory);
  if (qn_comm_size(comm) % 2 == 0 && qn_comm_size(comm) > 2) {
    all_of_it_by_nodes(2);
  }
  qn_schema_free(schema);
  qn_comm_close(comm);
  return kit_result();
}
