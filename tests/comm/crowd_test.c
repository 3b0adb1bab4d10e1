// SPDX-License-Identifier: Apache-2.0
// Far more ranks than cores: everything a run does, and failures, in little time, because who waits gives
// way.
#include "base/memory.h"
#include "comm/comm_state.h"
#include "comm/exchange.h"
#include "kit/kit.h"

static qn_comm *comm;

static void collectives_work_among_many(void) {
  const int64_t n_ranks = qn_comm_size(comm);
  for (int64_t i = 0; i < 20; i++) {
    int64_t value = qn_comm_rank(comm) + i;
    QN_CHECK_OK(qn_comm_reduce_int64(comm, QN_SUM, &value, 1, &kit_error));
    QN_CHECK_INT(value, n_ranks * (n_ranks - 1) / 2 + n_ranks * i);
  }
  QN_CHECK_OK(qn_comm_agree(comm, QN_OK, &kit_error));
}

typedef struct {
  int64_t n_rows, sum;
  int64_t fails_after; // -1: never
} receiver;

static qn_status receive(void *ctx, const qn_batch *batch, int from_rank, qn_error *err) {
  (void)from_rank;
  receiver *got = ctx;
  got->n_rows += batch->n_rows;
  for (int64_t i = 0; i < batch->n_rows; i++) {
    got->sum += qn_column_int64(&batch->columns[0], i);
  }
  return got->fails_after >= 0 && got->n_rows > got->fails_after
             ? qn_fail(err, QN_ERR_CALLBACK, "too many rows for rank %d", qn_comm_rank(comm))
             : QN_OK;
}

// Items are claimed; for each, 1000 rows are scattered; a rank may fail in between.
static qn_status claim_and_scatter(receiver *got, int64_t n_items, qn_error *err) {
  qn_status status = QN_OK;
  qn_claims *claims = NULL;
  qn_exchange *exchange = NULL;
  int64_t item = 0;
  int32_t destinations[1000];
  void *values = NULL;
  qn_column column = {0};
  qn_batch *batch = NULL;
  qn_schema *schema = NULL;

  QN_TRY(qn_schema_parse("value int64", &schema, err));
  QN_TRY(qn_exchange_open(comm, schema, NULL, receive, got, &exchange, err));
  QN_TRY(qn_claims_open(comm, n_items, &claims, err));
  for (;;) {
    QN_TRY(qn_claims_next(claims, &item, err));
    if (item < 0) {
      break;
    }
    QN_TRY(qn_column_fixed(QN_INT64, 1000, &column, &values, err));
    for (int64_t i = 0; i < 1000; i++) {
      ((int64_t *)values)[i] = item * 1000 + i;
      destinations[i] = (int32_t)((item * 7 + i) % qn_comm_size(comm));
    }
    QN_TRY(qn_batch_new_take(schema, 1000, &column, &batch, err));
    QN_TRY(qn_exchange_scatter(exchange, batch, destinations, err));
    qn_batch_free(batch);
    batch = NULL;
  }
  QN_TRY(qn_exchange_finish(exchange, err));

done:
  qn_batch_free(batch);
  qn_exchange_close(exchange);
  qn_claims_close(claims);
  qn_schema_free(schema);
  return status;
}

static void rows_flow_among_many(void) {
  receiver got = {.fails_after = -1};
  QN_CHECK_OK(qn_comm_agree(comm, claim_and_scatter(&got, 300, &kit_error), &kit_error));
  int64_t sums[2] = {got.n_rows, got.sum};
  QN_CHECK_OK(qn_comm_reduce_int64(comm, QN_SUM, sums, 2, &kit_error));
  QN_CHECK_INT(sums[0], 300000);
  QN_CHECK_INT(sums[1], 300000ll * 299999 / 2);
  QN_CHECK_OK(qn_comm_agree(comm, QN_OK, &kit_error));
}

static void one_of_many_fails(void) {
  const int who = qn_comm_size(comm) * 2 / 3;
  receiver got = {.fails_after = qn_comm_rank(comm) == who ? 300 : -1};
  qn_error error = {0};
  const qn_status status = claim_and_scatter(&got, 300, &error);
  QN_CHECK_INT(qn_comm_agree(comm, status, &error), QN_ERR_CALLBACK);
  QN_CHECK_INT(error.rank, who);
}

// All of it, up to here, in less than 64 MiB a rank.
static void memory_is_bounded_among_many(void) {
  QN_CHECK(qn_memory_peak() < (int64_t)64 << 20);
}

int main(void) {
  if (qn_comm_open(&comm, &kit_error) != QN_OK) {
    printf("%s\n", kit_error.message);
    return 1;
  }
  KIT_RUN(collectives_work_among_many);
  KIT_RUN(rows_flow_among_many);
  KIT_RUN(one_of_many_fails);
  KIT_RUN(rows_flow_among_many);
  QN_CHECK_OK(qn_comm_share_memory(comm, 4 << 20, &kit_error));
  KIT_RUN(rows_flow_among_many);
  KIT_RUN(one_of_many_fails);
  QN_CHECK_OK(qn_comm_share_memory(comm, 0, &kit_error));
  QN_CHECK_OK(qn_nodes_find(comm, 8, &kit_error)); // rows go by nodes
  QN_CHECK_OK(qn_comm_share_memory(comm, 1 << 20, &kit_error));
  KIT_RUN(rows_flow_among_many);
  KIT_RUN(one_of_many_fails);
  KIT_RUN(rows_flow_among_many);
  KIT_RUN(memory_is_bounded_among_many);
  qn_comm_close(comm);
  return kit_result();
}
