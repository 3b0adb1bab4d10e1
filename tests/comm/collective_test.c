// SPDX-License-Identifier: Apache-2.0
// Collectives against values computed from the ranks, sizes from nothing to several pieces.
#include "base/buffer.h"
#include "comm/comm_state.h"
#include "kit/kit.h"

static qn_comm *comm;

static void end_run(void) {
  QN_CHECK_OK(qn_comm_agree(comm, QN_OK, &kit_error));
}

static void reductions_reduce_over_all_ranks(void) {
  const int64_t n_ranks = qn_comm_size(comm);
  const int64_t rank = qn_comm_rank(comm);
  for (int64_t n = 0; n < 2000; n = 2 * n + 1) {
    int64_t *values = calloc((size_t)n + 1, 8);
    for (int64_t i = 0; i < n; i++) {
      values[i] = rank * 1000 + i;
    }
    QN_CHECK_OK(qn_comm_reduce_int64(comm, QN_SUM, values, n, &kit_error));
    for (int64_t i = 0; i < n; i++) {
      QN_CHECK_INT(values[i], n_ranks * i + 1000 * (n_ranks * (n_ranks - 1) / 2));
    }
    free(values);
  }
  int64_t least[2] = {-rank, INT64_MAX - rank};
  QN_CHECK_OK(qn_comm_reduce_int64(comm, QN_MIN, least, 2, &kit_error));
  QN_CHECK_INT(least[0], 1 - n_ranks);
  QN_CHECK_INT(least[1], INT64_MAX - n_ranks + 1);
  int64_t most[2] = {INT64_MIN + rank, rank * rank};
  QN_CHECK_OK(qn_comm_reduce_int64(comm, QN_MAX, most, 2, &kit_error));
  QN_CHECK_INT(most[0], INT64_MIN + n_ranks - 1);
  QN_CHECK_INT(most[1], (n_ranks - 1) * (n_ranks - 1));
  end_run();
}

// Rank r gives r * factor bytes, each r + 1.
static void gather_of(int64_t factor) {
  const int n_ranks = qn_comm_size(comm);
  const int rank = qn_comm_rank(comm);
  qn_buffer all = {0};
  int64_t *sizes = calloc((size_t)n_ranks, 8);
  uint8_t *mine = malloc((size_t)(rank * factor) + 1);
  memset(mine, rank + 1, (size_t)(rank * factor));
  QN_CHECK_OK(qn_comm_gather(comm, mine, rank * factor, &all, sizes, &kit_error));
  int64_t at = 0;
  int64_t n_wrong = 0;
  for (int r = 0; r < n_ranks; r++) {
    QN_CHECK_INT(sizes[r], r * factor);
    for (int64_t i = 0; i < sizes[r] && at < all.size; i++) {
      n_wrong += all.data[at++] != r + 1;
    }
  }
  QN_CHECK_INT(n_wrong, 0);
  QN_CHECK_INT(at, all.size);
  free(mine);
  free(sizes);
  qn_buffer_release(&all);
}

static void gathers_are_in_rank_order(void) {
  gather_of(0);
  gather_of(1);
  gather_of(7);
  gather_of(100000);
  end_run();
}

static void broadcast_of(int root, int64_t size) {
  qn_buffer buffer = {0};
  if (qn_comm_rank(comm) == root) {
    QN_CHECK_OK(qn_buffer_reserve(&buffer, size + 1, &kit_error));
    memset(buffer.data, root + 3, (size_t)size);
    buffer.size = size;
  } else {
    QN_CHECK_OK(qn_buffer_append(&buffer, "rubbish", 7, &kit_error));
  }
  QN_CHECK_OK(qn_comm_broadcast(comm, root, &buffer, &kit_error));
  QN_CHECK_INT(buffer.size, size);
  int64_t n_wrong = 0;
  for (int64_t i = 0; i < buffer.size; i++) {
    n_wrong += buffer.data[i] != root + 3;
  }
  QN_CHECK_INT(n_wrong, 0);
  qn_buffer_release(&buffer);
}

static void broadcasts_come_from_any_root(void) {
  for (int root = 0; root < qn_comm_size(comm); root++) {
    broadcast_of(root, 0);
    broadcast_of(root, 1);
    broadcast_of(root, 300000);
    QN_CHECK_OK(qn_comm_barrier(comm, &kit_error));
  }
  end_run();
}

static void long_messages_travel_in_pieces(void) {
  const int64_t piece_bytes = comm->transport.piece_bytes;
  comm->transport.piece_bytes = 1000 + qn_comm_rank(comm); // a receiver takes pieces of any size
  gather_of(4321);
  broadcast_of(0, 999);
  broadcast_of(qn_comm_size(comm) - 1, 123456);
  end_run();
  comm->transport.piece_bytes = piece_bytes;
}

static void different_calls_are_noticed(void) {
  if (qn_comm_size(comm) == 1) {
    return;
  }
  int64_t value = 1;
  qn_buffer buffer = {0};
  int64_t *sizes = calloc((size_t)qn_comm_size(comm), 8);
  qn_status status = qn_comm_rank(comm) == 1 ? qn_comm_gather(comm, &value, 8, &buffer, sizes, &kit_error)
                                             : qn_comm_reduce_int64(comm, QN_SUM, &value, 1, &kit_error);
  QN_CHECK(status == QN_ERR_MPI || status == QN_ERR_STOPPED);
  QN_CHECK_FAILS(qn_comm_agree(comm, status, &kit_error), QN_ERR_MPI);
  QN_CHECK_MESSAGE("the same calls in the same order");
  qn_buffer_release(&buffer);
  free(sizes);
}

static void many_runs_follow_each_other(void) {
  for (int64_t run = 0; run < 200; run++) {
    int64_t value = run;
    QN_CHECK_OK(qn_comm_reduce_int64(comm, QN_SUM, &value, 1, &kit_error));
    QN_CHECK_INT(value, run * qn_comm_size(comm));
    end_run();
  }
}

int main(void) {
  if (qn_comm_open(&comm, &kit_error) != QN_OK) {
    printf("%s\n", kit_error.message);
    return 1;
  }
  QN_CHECK(qn_comm_library(comm)[0] != '\0');
  KIT_RUN(reductions_reduce_over_all_ranks);
  KIT_RUN(gathers_are_in_rank_order);
  KIT_RUN(broadcasts_come_from_any_root);
  KIT_RUN(long_messages_travel_in_pieces);
  KIT_RUN(different_calls_are_noticed);
  KIT_RUN(many_runs_follow_each_other);
  qn_comm_close(comm);
  return kit_result();
}
