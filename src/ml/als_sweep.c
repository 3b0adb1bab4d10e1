// SPDX-License-Identifier: Apache-2.0
// A half-step on all ranks. Rows that are solved go to all others in pieces while the next are solved: a
// broadcast of the exchange waits for nobody as long as its window has room.
#include <cblas.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "column/builder.h"
#include "comm/exchange.h"
#include "ml/als_solve.h"

enum {
  PIECE_BYTES = 1 << 17, // of factors that are sent together
  N_SHARES = 64,         // of the Gram matrix: always as many, so that it does not depend on the ranks
  GRAM_ROWS = 512
};

// --- The Gram matrix of implicit
// ----------------------------------------------------------------------------------

static void add_gram(const qn_als_side *other, int64_t first, int64_t end, float *products, double *out) {
  const int64_t k = other->k;

  for (int64_t row = first; row < end; row += GRAM_ROWS) {
    const int64_t m = end - row < GRAM_ROWS ? end - row : GRAM_ROWS;
    cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, (int)k, (int)m, 1, other->factors + row * k, (int)k, 0,
                products, (int)k);
    for (int64_t i = 0; i < k; i++) {
      for (int64_t j = i; j < k; j++) {
        out[i * k + j] += (double)products[i * k + j];
      }
    }
  }
}

qn_status qn_als_solver_find_gram(qn_als_solver *solver, qn_comm *comm, const qn_als_side *other,
                                  qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer all = {0};
  const int n_ranks = qn_comm_size(comm);
  const int rank = qn_comm_rank(comm);
  const int first = N_SHARES * rank / n_ranks;
  const int end = N_SHARES * (rank + 1) / n_ranks;
  const int64_t size = solver->k * solver->k;
  const int64_t n_bytes = (end - first) * size * (int64_t)sizeof(double);
  int64_t *sizes = qn_memory_alloc(n_ranks * (int64_t)sizeof *sizes);
  double *own = qn_memory_alloc(n_bytes);

  QN_REQUIRE(own != NULL && sizes != NULL, err, QN_ERR_MEMORY, "no memory for a Gram matrix");
  memset(own, 0, (size_t)n_bytes);
  for (int share = first; share < end; share++) {
    add_gram(other, other->n * share / N_SHARES, other->n * (share + 1) / N_SHARES, solver->products,
             own + (share - first) * size);
  }
  QN_TRY(qn_comm_gather(comm, own, n_bytes, &all, sizes, err));
  const double *shares = (const double *)(const void *)all.data;
  memset(solver->gram, 0, (size_t)size * sizeof(double));
  for (int64_t i = 0; i < N_SHARES * size; i++) {
    solver->gram[i % size] += shares[i];
  }
  if (solver->descent.rows != NULL) {
    qn_als_descent_set_gram(&solver->descent, solver->gram);
  }

done:
  qn_buffer_release(&all);
  qn_memory_free(own);
  qn_memory_free(sizes);
  return status;
}

// --- Sending rows that are solved
// ---------------------------------------------------------------------------------

// Rows of a side as they are sent: their first number, their factors, and offsets, losses and penalties.
static qn_status batch_of_rows(const qn_schema *schema, const qn_als_side *side, int64_t first, int64_t n,
                               qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch_builder builder = {0};

  QN_TRY(qn_batch_builder_init(&builder, schema, err));
  QN_TRY(qn_column_builder_append_value(&builder.columns[0], &first, err));
  QN_TRY(qn_column_builder_append_text(&builder.columns[1], side->factors + first * side->k,
                                       n * side->k * (int64_t)sizeof(float), err));
  const double *numbers[3] = {side->offsets, side->losses, side->penalties};
  for (int i = 0; i < 3; i++) {
    QN_TRY(qn_column_builder_append_text(&builder.columns[2 + i], numbers[i] + first,
                                         n * (int64_t)sizeof(double), err));
  }
  builder.n_rows = 1;
  QN_TRY(qn_batch_builder_finish(&builder, out, err));

done:
  qn_batch_builder_release(&builder);
  return status;
}

static qn_status keep_row(qn_als_side *side, const qn_batch *batch, int64_t row, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t first = qn_column_int64(&batch->columns[0], row);
  const qn_text factors = qn_column_text(&batch->columns[1], row);
  const int64_t n = factors.size / (side->k * (int64_t)sizeof(float));
  double *numbers[3] = {side->offsets, side->losses, side->penalties};

  QN_REQUIRE(first >= 0 && first <= side->n - n && factors.size == n * side->k * (int64_t)sizeof(float), err,
             QN_ERR_MPI, "factors arrive that are not those of a run of %ss", side->what);
  memcpy(side->factors + first * side->k, factors.data, (size_t)factors.size);
  for (int i = 0; i < 3; i++) {
    const qn_text text = qn_column_text(&batch->columns[2 + i], row);
    QN_REQUIRE(text.size == n * (int64_t)sizeof(double), err, QN_ERR_MPI,
               "factors arrive with %lld bytes of numbers for %lld %ss", (long long)text.size, (long long)n,
               side->what);
    memcpy(numbers[i] + first, text.data, (size_t)text.size);
  }

done:
  return status;
}

static qn_status keep_arrived(void *ctx, const qn_batch *batch, int from_rank, qn_error *err) {
  qn_status status = QN_OK;

  (void)from_rank;
  for (int64_t row = 0; row < batch->n_rows; row++) {
    QN_TRY(keep_row(ctx, batch, row, err));
  }

done:
  return status;
}

qn_status qn_als_solve_side(qn_als_solver *solver, qn_comm *comm, const qn_als_block *block,
                            const qn_als_side *other, const qn_als_values *names, qn_als_side *side,
                            qn_error *err) {
  qn_status status = QN_OK;
  qn_schema *schema = NULL;
  qn_exchange *exchange = NULL;
  qn_batch *batch = NULL;
  const bool is_alone = qn_comm_size(comm) == 1;
  const int64_t piece = 1 + PIECE_BYTES / (side->k * (int64_t)sizeof(float));

  if (solver->is_implicit) {
    QN_TRY(qn_als_solver_find_gram(solver, comm, other, err));
  }
  QN_TRY(qn_schema_parse("first int64, factors binary, offsets binary, losses binary, penalties binary",
                         &schema, err));
  if (!is_alone) {
    QN_TRY(qn_exchange_open(comm, schema, NULL, keep_arrived, side, &exchange, err));
  }
  for (int64_t first = block->first; first < block->end; first += piece) {
    const int64_t n = block->end - first < piece ? block->end - first : piece;
    for (int64_t row = first; row < first + n; row++) {
      QN_TRY(qn_als_solve(solver, block, other, names, side, row, err));
    }
    QN_TRY(qn_comm_poll(comm, err));
    if (!is_alone) {
      QN_TRY(batch_of_rows(schema, side, first, n, &batch, err));
      QN_TRY(qn_exchange_broadcast(exchange, batch, err));
      qn_batch_free(batch);
      batch = NULL;
    }
  }
  if (!is_alone) {
    QN_TRY(qn_exchange_finish(exchange, err));
  }

done:
  qn_exchange_close(exchange);
  qn_batch_free(batch);
  qn_schema_free(schema);
  return status;
}
