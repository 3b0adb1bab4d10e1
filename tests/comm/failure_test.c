// SPDX-License-Identifier: Apache-2.0
// One rank fails at some point of a run while the others are wherever they happen to be: all come out with
// the same status, message and rank, and the next run works.
#include "comm/comm_state.h"
#include "comm/exchange.h"
#include "kit/kit.h"

static qn_comm *comm;
static qn_exchange_options options = {.buffer_bytes = 1, .window = 1};
static qn_batch *batch; // 2000 rows

typedef struct {
  qn_exchange *first, *second;
  qn_claims *claims;
  int64_t n_rows;
  int64_t fails_after; // rows; -1: never
  bool forgets;        // the deliver function loses the status of what it calls
} state;

static qn_status scatter(qn_exchange *exchange, qn_error *err) {
  int32_t destinations[2000];
  for (int i = 0; i < 2000; i++) {
    destinations[i] = i % qn_comm_size(comm);
  }
  return qn_exchange_scatter(exchange, batch, destinations, err);
}

static qn_status fail_here(qn_error *err) {
  return qn_fail(err, QN_ERR_CALLBACK, "the reason of rank %d", qn_comm_rank(comm));
}

static qn_status receive_last(void *ctx, const qn_batch *rows, int from_rank, qn_error *err) {
  (void)from_rank;
  state *all = ctx;
  all->n_rows += rows->n_rows;
  return all->fails_after >= 0 && all->n_rows > all->fails_after ? fail_here(err) : QN_OK;
}

static qn_status receive_first(void *ctx, const qn_batch *rows, int from_rank, qn_error *err) {
  (void)from_rank;
  state *all = ctx;
  const qn_status status = qn_exchange_send(all->second, rows, qn_comm_size(comm) - 1 - from_rank, err);
  return all->forgets ? QN_OK : status;
}

static qn_status open_all(state *all, qn_error *err) {
  qn_status status = QN_OK;
  QN_TRY(qn_exchange_open(comm, batch->schema, &options, receive_last, all, &all->second, err));
  QN_TRY(qn_exchange_open(comm, batch->schema, &options, receive_first, all, &all->first, err));
  QN_TRY(qn_claims_open(comm, 30, &all->claims, err));

done:
  return status;
}

static void close_all(state *all) {
  qn_exchange_close(all->first);
  qn_exchange_close(all->second);
  qn_claims_close(all->claims);
}

static qn_status claim_all(state *all, qn_error *err) {
  qn_status status = QN_OK;
  int64_t item = 0;
  while (item >= 0) {
    QN_TRY(qn_claims_next(all->claims, &item, err));
  }

done:
  return status;
}

// Where the chosen ranks fail.
typedef enum {
  AT_THE_START,
  IN_DELIVER,
  IN_DELIVER_FORGOTTEN,
  WHILE_OTHERS_SCATTER,
  BEFORE_FINISH,
  WHILE_OTHERS_CLAIM,
  BEFORE_A_COLLECTIVE,
  IN_THE_MIDDLE_OF_COLLECTIVES,
  AT_THE_END,
  N_POINTS
} point;

static qn_status go_through(state *all, point where, qn_error *err) {
  qn_status status = QN_OK;
  int64_t value = 1;
#define FAIL_AT(place)                                                                                       \
  if (where == (place)) {                                                                                    \
    return fail_here(err);                                                                                   \
  }
  FAIL_AT(AT_THE_START);
  QN_TRY(open_all(all, err));
  for (int i = 0; i < 8; i++) {
    if (i == 3) {
      FAIL_AT(WHILE_OTHERS_SCATTER);
    }
    QN_TRY(scatter(all->first, err));
  }
  FAIL_AT(BEFORE_FINISH);
  QN_TRY(qn_exchange_finish(all->first, err));
  QN_TRY(qn_exchange_finish(all->second, err));
  FAIL_AT(WHILE_OTHERS_CLAIM);
  QN_TRY(claim_all(all, err));
  FAIL_AT(BEFORE_A_COLLECTIVE);
  for (int i = 0; i < 5; i++) {
    if (i == 3) {
      FAIL_AT(IN_THE_MIDDLE_OF_COLLECTIVES);
    }
    QN_TRY(qn_comm_reduce_int64(comm, QN_SUM, &value, 1, err));
  }
  FAIL_AT(AT_THE_END);

done:
  return status;
}

// Runs with the ranks of `who` (a bit each) failing at `where`; who 0: all succeed.
static void run(unsigned who, point where, bool closes_first) {
  state all = {.fails_after = -1};
  qn_error error = {0};
  const bool is_mine = ((who >> qn_comm_rank(comm)) & 1) != 0;
  const bool in_deliver = where == IN_DELIVER || where == IN_DELIVER_FORGOTTEN;
  if (is_mine && in_deliver) {
    all.fails_after = 3000;
    all.forgets = where == IN_DELIVER_FORGOTTEN;
  }
  qn_status status = go_through(&all, is_mine && !in_deliver ? where : N_POINTS, &error);
  if (closes_first) {
    close_all(&all);
  }
  status = qn_comm_agree(comm, status, &error);
  if (!closes_first) {
    close_all(&all);
  }
  if (who == 0) {
    kit_check_status(status, QN_OK, &error, __FILE__, __LINE__, "a run without failure");
    return;
  }
  char wanted[64];
  snprintf(wanted, sizeof wanted, "the reason of rank %d", error.rank);
  QN_CHECK_INT(status, QN_ERR_CALLBACK);
  QN_CHECK_INT(error.status, QN_ERR_CALLBACK);
  QN_CHECK(error.rank >= 0 && ((who >> error.rank) & 1) != 0);
  QN_CHECK_TEXT(error.message, wanted);
  int64_t reporter[2] = {error.rank, -error.rank};
  QN_CHECK_OK(qn_comm_reduce_int64(comm, QN_MAX, reporter, 2, &kit_error));
  QN_CHECK_INT(reporter[0], -reporter[1]); // the same everywhere
  QN_CHECK_OK(qn_comm_agree(comm, QN_OK, &kit_error));
}

static void one_rank_fails(void) {
  const int last = qn_comm_size(comm) - 1;
  for (int rank = 0; rank <= last;
       rank += last > 2 ? (last + 1) / 2 : 1) { // of many, the first and one in the middle
    for (point where = 0; where < N_POINTS; where++) {
      run(1u << rank, where, (rank + (int)where) % 2 == 0);
      run(0, N_POINTS, true);
    }
  }
}

static void several_ranks_fail(void) {
  const unsigned all = (1u << qn_comm_size(comm)) - 1;
  for (point where = 0; where < N_POINTS; where++) {
    run(all, where, true);
    run(all & 0xaa ? all & 0xaa : all, where, false);
  }
  run(1u << (qn_comm_size(comm) - 1), IN_DELIVER, true);
  run(0, N_POINTS, true);
}

static void the_lowest_of_those_who_fail_at_the_end_is_named(void) {
  qn_error error = {0};
  const int first = qn_comm_size(comm) / 2;
  qn_status status = QN_OK;
  if (qn_comm_rank(comm) >= first) {
    status = fail_here(&error);
  }
  QN_CHECK_INT(qn_comm_agree(comm, status, &error), QN_ERR_CALLBACK);
  QN_CHECK_INT(error.rank, first);
  QN_CHECK_OK(qn_comm_agree(comm, QN_OK, &kit_error));
}

static void failures_in_a_row(void) {
  for (int i = 0; i < 30; i++) {
    run(1u << (i % qn_comm_size(comm)), AT_THE_END, true);
  }
}

static void large_messages_under_way_are_drained(void) {
  const int64_t piece_bytes = comm->transport.piece_bytes;
  comm->transport.piece_bytes = 700;
  run(1u << (qn_comm_size(comm) - 1), IN_DELIVER, true);
  run(1, WHILE_OTHERS_SCATTER, false);
  comm->transport.piece_bytes = piece_bytes;
  run(0, N_POINTS, true);
}

static void no_message_gets_a_text(void) {
  QN_CHECK_INT(qn_comm_agree(comm, QN_ERR_IO, NULL), QN_ERR_IO);
  qn_error error = {0};
  const qn_status status = qn_comm_rank(comm) == 0 ? QN_ERR_IO : QN_OK;
  QN_CHECK_INT(qn_comm_agree(comm, status, &error), QN_ERR_IO);
  QN_CHECK_TEXT(error.message, "read or write failed");
}

// Of a run that fails while rows are under way in shared memory, as of any other.
static void slabs_are_given_back(void) {
  QN_CHECK_OK(qn_comm_share_memory(comm, 1 << 20, &kit_error));
  options = (qn_exchange_options){0};
  run(1, IN_DELIVER, true);
  run(1, BEFORE_FINISH, false);
  run(1u << (qn_comm_size(comm) - 1), WHILE_OTHERS_SCATTER, true);
  run(0, N_POINTS, true);
  QN_CHECK_OK(qn_comm_barrier(comm, &kit_error));
  QN_CHECK(comm->shared == NULL ||
           qn_shared_n_free(comm->shared, qn_comm_node_rank(comm)) == qn_shared_n_slabs(comm->shared));
  QN_CHECK_OK(qn_comm_agree(comm, QN_OK, &kit_error));
}

static void runs_by_nodes_fail_alike(void) {
  QN_CHECK_OK(qn_comm_share_memory(comm, 0, &kit_error));
  QN_CHECK_OK(qn_nodes_find(comm, 2, &kit_error));
  for (int with_memory = 0; with_memory < 2; with_memory++) {
    QN_CHECK_OK(qn_comm_share_memory(comm, with_memory << 20, &kit_error));
    options = (qn_exchange_options){.buffer_bytes = 1 - with_memory, .route = QN_ROUTE_BY_NODE};
    run(2, IN_DELIVER, true);
    run(1, WHILE_OTHERS_SCATTER, false);
    run(0, N_POINTS, true);
  }
}

int main(void) {
  if (qn_comm_open(&comm, &kit_error) != QN_OK) {
    printf("%s\n", kit_error.message);
    return 1;
  }
  kit_random random = {.state = 1};
  batch = kit_random_batch(&random, "a int64, b utf8, c float64", 2000);
  KIT_RUN(one_rank_fails);
  KIT_RUN(several_ranks_fail);
  KIT_RUN(the_lowest_of_those_who_fail_at_the_end_is_named);
  KIT_RUN(failures_in_a_row);
  KIT_RUN(large_messages_under_way_are_drained);
  KIT_RUN(no_message_gets_a_text);
  KIT_RUN(slabs_are_given_back);
  if (qn_comm_size(comm) % 2 == 0 && qn_comm_size(comm) > 2) {
    KIT_RUN(runs_by_nodes_fail_alike);
  }
  qn_batch_free(batch);
  qn_comm_close(comm);
  return kit_result();
}
