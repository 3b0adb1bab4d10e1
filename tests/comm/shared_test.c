// SPDX-License-Identifier: Apache-2.0
// Rows in memory that the ranks of a node share: they stay right for as long as somebody keeps them, and who
// keeps many does not stop the others.
#include <signal.h>
#include <sys/resource.h>
#include "base/memory.h"
#include "column/builder.h"
#include "comm/comm_state.h"
#include "comm/exchange.h"
#include "kit/kit.h"

enum { N_ROWS = 4096, N_BATCHES = 100, MOST_KEPT = 20000 };

static qn_comm *comm;
static qn_schema *schema; // "number int64, copy int64, name utf8"

typedef struct {
  qn_batch *kept[MOST_KEPT];
  int64_t n_kept, n_rows;
  bool keeps; // the batches
  bool is_slow;
} keeper;

static keeper got;

// Row i of a batch of a rank has number rank * N_ROWS + i twice, and as text.
static qn_batch *make_batch(int64_t text_bytes) {
  qn_batch_builder builder = {0};
  qn_batch *batch = NULL;
  char *text = calloc(1, (size_t)text_bytes + 32);
  QN_CHECK_OK(qn_batch_builder_init(&builder, schema, &kit_error));
  for (int64_t i = 0; i < N_ROWS; i++) {
    const int64_t number = qn_comm_rank(comm) * (int64_t)N_ROWS + i;
    memset(text, '.', (size_t)text_bytes);
    const int n = snprintf(text, 32, "%lld", (long long)number);
    text[n] = '.';
    QN_CHECK_OK(qn_column_builder_append_value(&builder.columns[0], &number, &kit_error));
    QN_CHECK_OK(qn_column_builder_append_value(&builder.columns[1], &number, &kit_error));
    QN_CHECK_OK(qn_column_builder_append_text(&builder.columns[2], text, n + text_bytes, &kit_error));
  }
  builder.n_rows = N_ROWS;
  QN_CHECK_OK(qn_batch_builder_finish(&builder, &batch, &kit_error));
  qn_batch_builder_release(&builder);
  free(text);
  return batch;
}

static int64_t count_wrong(const qn_batch *batch) {
  int64_t n_wrong = 0;
  for (int64_t i = 0; i < batch->n_rows; i++) {
    const int64_t number = qn_column_int64(&batch->columns[0], i);
    const qn_text name = qn_column_text(&batch->columns[2], i);
    char text[32] = "";
    memcpy(text, name.data, name.size < 31 ? (size_t)name.size : 31);
    n_wrong += qn_column_int64(&batch->columns[1], i) != number || strtoll(text, NULL, 10) != number;
  }
  return n_wrong;
}

static qn_status receive(void *ctx, const qn_batch *batch, int from_rank, qn_error *err) {
  keeper *to = ctx;
  (void)from_rank, (void)err;
  QN_CHECK_INT(count_wrong(batch), 0);
  to->n_rows += batch->n_rows;
  if (to->keeps && to->n_kept < MOST_KEPT) {
    to->kept[to->n_kept++] = qn_batch_share(batch);
  }
  return to->is_slow ? qn_comm_poll(comm, err) : QN_OK;
}

// Every rank scatters the same batch again and again. to_one: all to rank 0.
static void scatter_rows(int64_t text_bytes, int n_batches, bool to_one) {
  qn_exchange *exchange = NULL;
  int32_t ranks[N_ROWS];
  qn_batch *batch = make_batch(text_bytes);
  for (int i = 0; i < N_ROWS; i++) {
    ranks[i] = to_one ? 0 : i % qn_comm_size(comm);
  }
  const int64_t before = got.n_rows;
  QN_CHECK_OK(qn_exchange_open(comm, schema, NULL, receive, &got, &exchange, &kit_error));
  for (int i = 0; i < n_batches; i++) {
    QN_CHECK_OK(qn_exchange_scatter(exchange, batch, ranks, &kit_error));
  }
  QN_CHECK_OK(qn_exchange_finish(exchange, &kit_error));
  const qn_exchange_counts counts = qn_exchange_counted(exchange);
  QN_CHECK_INT(counts.messages_between_nodes, 0);
  QN_CHECK(counts.bytes_shared <= counts.bytes_sent);
  int64_t sums[3] = {got.n_rows - before, counts.bytes_shared, counts.bytes_sent};
  QN_CHECK_OK(qn_comm_reduce_int64(comm, QN_SUM, sums, 3, &kit_error));
  QN_CHECK_INT(sums[0], (int64_t)n_batches * N_ROWS * qn_comm_size(comm));
  QN_CHECK(qn_comm_shared_bytes(comm) > 0 || sums[1] == 0);
  QN_CHECK_OK(qn_comm_agree(comm, QN_OK, &kit_error));
  qn_exchange_close(exchange);
  qn_batch_free(batch);
}

static void free_kept(void) {
  for (int64_t i = 0; i < got.n_kept; i++) {
    QN_CHECK_INT(count_wrong(got.kept[i]), 0);
    qn_batch_free(got.kept[i]);
  }
  got.n_kept = 0;
}

static int count_free(void) {
  return comm->shared == NULL ? 0 : qn_shared_n_free(comm->shared, qn_comm_node_rank(comm));
}

static void most_rows_go_through_it(void) {
  qn_exchange *exchange = NULL;
  got = (keeper){0};
  scatter_rows(0, N_BATCHES, false);
  scatter_rows(100, N_BATCHES / 4, true);
  QN_CHECK_OK(qn_exchange_open(comm, schema, NULL, receive, &got, &exchange, &kit_error));
  qn_batch *batch = make_batch(0);
  for (int i = 0; i < N_BATCHES; i++) {
    QN_CHECK_OK(qn_exchange_send(exchange, batch, (qn_comm_rank(comm) + 1) % qn_comm_size(comm), &kit_error));
  }
  QN_CHECK_OK(qn_exchange_finish(exchange, &kit_error));
  const qn_exchange_counts counts = qn_exchange_counted(exchange);
  if (qn_comm_size(comm) > 1 && qn_comm_size(comm) <= 8) {
    QN_CHECK(2 * counts.bytes_shared > counts.bytes_sent);
  }
  qn_exchange_close(exchange);
  qn_batch_free(batch);
  QN_CHECK_OK(qn_comm_agree(comm, QN_OK, &kit_error));
}

static void who_keeps_batches_stops_nobody(void) {
  got = (keeper){.keeps = true};
  scatter_rows(0, N_BATCHES, false);
  QN_CHECK(comm->shared == NULL || 3 * count_free() >= qn_shared_n_slabs(comm->shared));
  scatter_rows(0, N_BATCHES, true);
  scatter_rows(20, N_BATCHES, false);
  free_kept();
  QN_CHECK_OK(qn_comm_barrier(comm, &kit_error));
  QN_CHECK_INT(count_free(), comm->shared == NULL ? 0 : qn_shared_n_slabs(comm->shared));
  QN_CHECK_OK(qn_comm_agree(comm, QN_OK, &kit_error));
}

static void a_slow_receiver_gets_all(void) {
  got = (keeper){.is_slow = qn_comm_rank(comm) == 0};
  scatter_rows(50, N_BATCHES / 2, false);
  scatter_rows(50, N_BATCHES / 4, true);
}

static void texts_larger_than_a_slab_arrive(void) {
  got = (keeper){0};
  scatter_rows(2000, 2, false);
  scatter_rows(300, 4, true);
  qn_exchange *exchange = NULL;
  char *text = calloc(1, 600001);
  memset(text, 'x', 600000);
  memcpy(text, "77|77|77.", 9);
  text[599999] = '\n';
  qn_batch *batch = kit_batch("number int64, copy int64, name utf8", text);
  QN_CHECK_OK(qn_exchange_open(comm, schema, NULL, receive, &got, &exchange, &kit_error));
  for (int i = 0; i < 5; i++) {
    QN_CHECK_OK(qn_exchange_send(exchange, batch, (qn_comm_rank(comm) + i) % qn_comm_size(comm), &kit_error));
  }
  QN_CHECK_OK(qn_exchange_finish(exchange, &kit_error));
  qn_exchange_close(exchange);
  qn_batch_free(batch);
  free(text);
  QN_CHECK_OK(qn_comm_agree(comm, QN_OK, &kit_error));
}

static void memory_that_is_shared_is_counted(void) {
  const int64_t before = qn_memory_used();
  QN_CHECK_OK(qn_comm_share_memory(comm, 0, &kit_error));
  QN_CHECK_INT(qn_comm_shared_bytes(comm), 0);
  const int64_t without = qn_memory_used();
  QN_CHECK_OK(qn_comm_share_memory(comm, 1 << 20, &kit_error));
  QN_CHECK(qn_memory_used() - without >= qn_comm_shared_bytes(comm));
  QN_CHECK(qn_memory_used() <= before || qn_comm_shared_bytes(comm) > 0);
}

// Files may not be that large here, as on a machine with a small /dev/shm.
static void a_node_without_room_goes_on_with_messages(void) {
  struct rlimit limit;
  QN_CHECK_INT(getrlimit(RLIMIT_FSIZE, &limit), 0);
  const struct rlimit small = {.rlim_cur = 4096, .rlim_max = limit.rlim_max};
  signal(SIGXFSZ, SIG_IGN);
  QN_CHECK_INT(setrlimit(RLIMIT_FSIZE, &small), 0);
  QN_CHECK_OK(qn_comm_share_memory(comm, 4 << 20, &kit_error));
  QN_CHECK_INT(setrlimit(RLIMIT_FSIZE, &limit), 0);
  QN_CHECK_INT(qn_comm_shared_bytes(comm), 0);
  got = (keeper){0};
  scatter_rows(10, 5, false);
  QN_CHECK_OK(qn_comm_share_memory(comm, 4 << 20, &kit_error));
  QN_CHECK(qn_comm_size(comm) == 1 || qn_comm_shared_bytes(comm) > 0);
}

int main(void) {
  if (qn_comm_open(&comm, &kit_error) != QN_OK ||
      qn_schema_parse("number int64, copy int64, name utf8", &schema, &kit_error) != QN_OK ||
      qn_comm_share_memory(comm, 4 << 20, &kit_error) != QN_OK) {
    printf("%s\n", kit_error.message);
    return 1;
  }
  KIT_RUN(most_rows_go_through_it);
  KIT_RUN(who_keeps_batches_stops_nobody);
  KIT_RUN(a_slow_receiver_gets_all);
  KIT_RUN(texts_larger_than_a_slab_arrive);
  KIT_RUN(memory_that_is_shared_is_counted);
  KIT_RUN(a_node_without_room_goes_on_with_messages);
  got = (keeper){.keeps = true};
  scatter_rows(0, N_BATCHES, false);
  qn_comm_close(comm); // and what was kept is still there
  KIT_RUN(free_kept);
  qn_schema_free(schema);
  return kit_result();
}
