// SPDX-License-Identifier: Apache-2.0
// A batch whose rows all go home is passed on as it is; only where keys are heavy, null or filtered out is it
// cut. Build rows have an exchange a route. Probe rows have one for all, since what delivers into the
// operators behind a join must do so one batch after the other; the receiver finds their routes anew.
#include "exec/join_move.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"
#include "column/builder.h"
#include "kernel/hash_columns.h"

// What becomes of a row, beside the routes: it comes out without a partner on this rank, or it is of no use.
enum { STAYS = QN_N_ROUTES, DROPPED, N_FATES };

enum {
  BLOOM_TRIAL = 64 << 10 // rows after which a filter that passes nearly all is given up
};

typedef struct receiver {
  qn_join_move *move;
  qn_join_local *local;
} receiver;

struct qn_join_move {
  qn_run *run;
  const qn_dataset *node;
  const qn_join_choice *choice;
  int side;
  const int *keys;
  bool is_build;
  bool settles; // rows without a partner come out, or are wanted for it
  receiver receivers[QN_N_ROUTES];
  qn_exchange *exchanges[QN_N_ROUTES];
  qn_join_move_counts counts;
  int32_t *dealt;              // [heavy keys]: the rank that the next row of the key goes to
  qn_bloom_block *own_bloom;   // of the build rows that came here; or NULL
  const qn_bloom_block *bloom; // [ranks][n_bloom_blocks], or NULL
  int64_t n_tested, n_passed;
  int32_t next_null; // the rank that the next row with a null key goes to
  // room for the rows of a batch
  int64_t capacity;
  uint64_t *hashes;
  int32_t *destinations;
  uint8_t *fates;
  int32_t *rows[N_FATES];
  const qn_column **columns; // [n_keys]
  // and for those of a batch that arrives, which may be while another one is sent
  int64_t arrivals_capacity;
  uint64_t *arrival_hashes;
  int32_t *arrival_rows;
};

static void hash_keys(qn_join_move *move, const qn_batch *batch, uint64_t *hashes) {
  for (int k = 0; k < move->node->n_keys; k++) {
    move->columns[k] = &batch->columns[move->keys[k]];
  }
  qn_hash_columns(move->columns, move->node->n_keys, batch->n_rows, hashes);
}

static qn_status room_for_arrivals(qn_join_move *move, int64_t n_rows, qn_error *err) {
  if (n_rows <= move->arrivals_capacity) {
    return QN_OK;
  }
  qn_memory_free(move->arrival_hashes);
  qn_memory_free(move->arrival_rows);
  move->arrival_hashes = qn_memory_alloc(n_rows * (int64_t)sizeof *move->arrival_hashes);
  move->arrival_rows = qn_memory_alloc(n_rows * (int64_t)sizeof *move->arrival_rows);
  const bool is_made = move->arrival_hashes != NULL && move->arrival_rows != NULL;
  move->arrivals_capacity = is_made ? n_rows : 0;
  return is_made ? QN_OK : qn_fail(err, QN_ERR_MEMORY, "no memory to join %lld rows", (long long)n_rows);
}

static qn_status deliver_build(void *ctx, const qn_batch *batch, int from_rank, qn_error *err) {
  qn_status status = QN_OK;
  const receiver *to = ctx;
  qn_join_move *move = to->move;
  (void)from_rank;

  move->counts.n_handled += batch->n_rows;
  if (move->own_bloom != NULL && to == &move->receivers[QN_ROUTE_HOME]) {
    QN_TRY(room_for_arrivals(move, batch->n_rows, err));
    hash_keys(move, batch, move->arrival_hashes);
    qn_bloom_add(move->own_bloom, move->choice->n_bloom_blocks, move->arrival_hashes, batch->n_rows);
  }
  QN_TRY(qn_join_local_add(to->local, batch, err));

done:
  return status;
}

static bool has_null_key(const qn_join_move *move, int64_t row) {
  bool is_null = false;
  for (int k = 0; k < move->node->n_keys; k++) {
    is_null = is_null || qn_column_is_null(move->columns[k], row);
  }
  return is_null;
}

// The rows of `batch`, whose keys are hashed, that take a route into arrival_rows; returns how many. A null
// key may hash as another.
static int64_t pick_route(qn_join_move *move, const qn_batch *batch, qn_join_route wanted) {
  int64_t n = 0;
  for (int64_t row = 0; row < batch->n_rows; row++) {
    int32_t place = 0;
    qn_join_route route = qn_join_route_of(move->choice, move->arrival_hashes[row], &place);
    if (route != QN_ROUTE_HOME && has_null_key(move, row)) {
      route = QN_ROUTE_HOME;
    }
    move->arrival_rows[n] = (int32_t)row;
    n += route == wanted;
  }
  return n;
}

static qn_status deliver_probe(void *ctx, const qn_batch *batch, int from_rank, qn_error *err) {
  qn_status status = QN_OK;
  const receiver *to = ctx;
  qn_join_move *move = to->move;
  qn_batch *part = NULL;
  (void)from_rank;

  move->counts.n_handled += batch->n_rows;
  if (move->choice->n_slots == 0) {
    QN_TRY(qn_join_local_probe(to->local, batch, err));
    goto done;
  }
  QN_TRY(room_for_arrivals(move, batch->n_rows, err));
  hash_keys(move, batch, move->arrival_hashes); // no other rows arrive here while these are joined
  for (int route = 0; route < QN_N_ROUTES; route++) {
    const int64_t n = pick_route(move, batch, (qn_join_route)route);
    if (n > 0) {
      QN_TRY(qn_batch_gather(batch, move->arrival_rows, n, &part, err));
      QN_TRY(qn_join_local_probe(move->receivers[route].local, part, err));
      qn_batch_free(part);
      part = NULL;
    }
  }

done:
  qn_batch_free(part);
  return status;
}

static qn_status open_exchanges(qn_join_move *move, qn_error *err) {
  qn_status status = QN_OK;
  const bool is_sent = qn_comm_size(move->run->comm) > 1 && (move->is_build || !move->choice->is_broadcast);

  for (int route = 0; is_sent && route < (move->is_build ? QN_N_ROUTES : 1); route++) {
    // Shared rows lie in the same order on all ranks, so that these can speak of them by number.
    const qn_exchange_options options = {.in_rank_order =
                                             move->is_build && move->settles && route == QN_ROUTE_SHARED};
    if (move->receivers[route].local != NULL) {
      QN_TRY(qn_exchange_open(move->run->comm, move->node->inputs[move->side]->schema, &options,
                              move->is_build ? deliver_build : deliver_probe, &move->receivers[route],
                              &move->exchanges[route], err));
    }
  }

done:
  return status;
}

qn_status qn_join_move_new(qn_run *run, const qn_dataset *node, const qn_join_choice *choice, int side,
                           qn_join_local *const *locals, qn_join_move **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_join_move *move = calloc(1, sizeof *move);
  const int n_ranks = qn_comm_size(run->comm);
  const int n_heavy = choice->n_heavy[QN_ROUTE_SPREAD] + choice->n_heavy[QN_ROUTE_SHARED];

  QN_REQUIRE(move != NULL, err, QN_ERR_MEMORY, "no memory for a join");
  move->run = run;
  move->node = node;
  move->choice = choice;
  move->side = side;
  move->keys = side == 0 ? node->left_keys : node->right_keys;
  move->is_build = side == choice->build_side;
  move->settles = qn_join_settles(node->join_kind, side);
  for (int route = 0; route < QN_N_ROUTES; route++) {
    move->receivers[route] = (receiver){.move = move, .local = locals[route]};
  }
  move->columns = calloc((size_t)node->n_keys + 1, sizeof *move->columns);
  move->next_null = qn_comm_rank(run->comm);
  move->dealt = calloc((size_t)n_heavy + 1, sizeof *move->dealt);
  QN_REQUIRE(move->columns != NULL && move->dealt != NULL, err, QN_ERR_MEMORY, "no memory for a join");
  for (int i = 0; i < n_heavy; i++) { // ranks begin at different places
    move->dealt[i] = (qn_comm_rank(run->comm) + i) % n_ranks;
  }
  if (move->is_build && choice->n_bloom_blocks > 0) {
    const int64_t size = choice->n_bloom_blocks * (int64_t)sizeof *move->own_bloom;
    move->own_bloom = qn_memory_alloc(size);
    QN_REQUIRE(move->own_bloom != NULL, err, QN_ERR_MEMORY, "no memory for the filter of a join");
    memset(move->own_bloom, 0, (size_t)size);
  }
  QN_TRY(open_exchanges(move, err));
  *out = move;
  move = NULL;

done:
  qn_join_move_free(move);
  return status;
}

static void free_room(qn_join_move *move) {
  qn_memory_free(move->hashes);
  qn_memory_free(move->destinations);
  qn_memory_free(move->fates);
  move->hashes = NULL;
  move->destinations = NULL;
  move->fates = NULL;
  for (int fate = 0; fate < N_FATES; fate++) {
    qn_memory_free(move->rows[fate]);
    move->rows[fate] = NULL;
  }
  move->capacity = 0;
}

void qn_join_move_free(qn_join_move *move) {
  if (move == NULL) {
    return;
  }
  for (int route = 0; route < QN_N_ROUTES; route++) {
    if (move->exchanges[route] != NULL) {
      qn_exchange_close(move->exchanges[route]);
    }
  }
  free_room(move);
  qn_memory_free(move->arrival_hashes);
  qn_memory_free(move->arrival_rows);
  qn_memory_free(move->own_bloom);
  free(move->columns);
  free(move->dealt);
  free(move);
}

static qn_status make_room(qn_join_move *move, int64_t n_rows, qn_error *err) {
  if (n_rows <= move->capacity) {
    return QN_OK;
  }
  free_room(move);
  move->hashes = qn_memory_alloc(n_rows * (int64_t)sizeof *move->hashes);
  move->destinations = qn_memory_alloc(n_rows * (int64_t)sizeof *move->destinations);
  move->fates = qn_memory_alloc(n_rows);
  bool is_made = move->hashes != NULL && move->destinations != NULL && move->fates != NULL;
  for (int fate = 0; fate < N_FATES; fate++) {
    move->rows[fate] = qn_memory_alloc(n_rows * (int64_t)sizeof *move->rows[fate]);
    is_made = is_made && move->rows[fate] != NULL;
  }
  move->capacity = is_made ? n_rows : 0;
  return is_made ? QN_OK : qn_fail(err, QN_ERR_MEMORY, "no memory to join %lld rows", (long long)n_rows);
}

// --- The fate of each row

// Rows with a null key have no partner; if they come out, then evenly on all ranks.
static bool mark_nulls(qn_join_move *move, int64_t n_rows) {
  const int n_ranks = qn_comm_size(move->run->comm);
  bool has_nulls = false;
  for (int k = 0; k < move->node->n_keys; k++) {
    has_nulls |= move->columns[k]->n_nulls > 0;
  }
  for (int64_t row = 0; has_nulls && row < n_rows; row++) {
    if (has_null_key(move, row)) {
      move->fates[row] = move->settles ? QN_ROUTE_HOME : DROPPED;
      move->destinations[row] = move->next_null;
      move->next_null = move->next_null + 1 == n_ranks ? 0 : move->next_null + 1;
    }
  }
  return has_nulls;
}

static bool mark_heavy(qn_join_move *move, int64_t n_rows) {
  const int n_ranks = qn_comm_size(move->run->comm);
  int64_t n_heavy = 0;
  for (int64_t row = 0; move->choice->n_slots > 0 && row < n_rows; row++) {
    int32_t place = 0;
    const qn_join_route route = qn_join_route_of(move->choice, move->hashes[row], &place);
    if (route != QN_ROUTE_HOME) {
      move->fates[row] = (uint8_t)route;
      move->destinations[row] = move->dealt[place];
      move->dealt[place] = move->dealt[place] + 1 == n_ranks ? 0 : move->dealt[place] + 1;
      n_heavy++;
    }
  }
  return n_heavy > 0;
}

// Rows whose key is not on the rank they would go to. Those that come out all the same may as well go to this
// one.
static bool mark_filtered(qn_join_move *move, int64_t n_rows) {
  const int64_t n_blocks = move->choice->n_bloom_blocks;
  const int own = qn_comm_rank(move->run->comm);
  const uint8_t fate = move->settles ? STAYS : DROPPED;
  int64_t n_filtered = 0, n_tested = 0;

  if (move->bloom == NULL) {
    return false;
  }
  for (int64_t row = 0; row < n_rows; row++) {
    const int32_t to = move->destinations[row];
    if (move->fates[row] == QN_ROUTE_HOME && (to != own || !move->settles)) {
      n_tested++;
      if (!qn_bloom_test(move->bloom + to * n_blocks, n_blocks, move->hashes[row])) {
        move->fates[row] = fate;
        n_filtered++;
      }
    }
  }
  move->n_tested += n_tested;
  move->n_passed += n_tested - n_filtered;
  move->counts.n_filtered += n_filtered;
  if (move->n_tested > BLOOM_TRIAL && move->n_passed > move->n_tested / 10 * 9) {
    move->bloom = NULL;
  }
  return n_filtered > 0;
}

// Returns whether any row has another fate than to go home.
static bool mark_rows(qn_join_move *move, const qn_batch *batch) {
  const int n_ranks = qn_comm_size(move->run->comm);
  hash_keys(move, batch, move->hashes);
  for (int64_t row = 0; row < batch->n_rows; row++) {
    move->destinations[row] = qn_hash_to_range(move->hashes[row], n_ranks);
  }
  memset(move->fates, QN_ROUTE_HOME, (size_t)batch->n_rows);
  const bool has_heavy = mark_heavy(move, batch->n_rows);
  const bool has_filtered = mark_filtered(move, batch->n_rows);
  return mark_nulls(move, batch->n_rows) || has_heavy || has_filtered;
}

// --- Sending

static bool all_are_own(const qn_join_move *move, int64_t n_rows) {
  const int32_t own = qn_comm_rank(move->run->comm);
  int32_t others = 0;
  for (int64_t row = 0; row < n_rows; row++) {
    others |= move->destinations[row] ^ own;
  }
  return others == 0;
}

static qn_status send_to_each(qn_exchange *exchange, const qn_batch *batch, int rank, int n_ranks,
                              qn_error *err) {
  qn_status status = QN_OK;
  for (int i = 0; i < n_ranks; i++) {
    QN_TRY(qn_exchange_send(exchange, batch, (rank + i) % n_ranks, err));
  }

done:
  return status;
}

// Rows of one fate; destinations[i] of row i.
static qn_status send_part(qn_join_move *move, int fate, const qn_batch *batch, const int32_t *destinations,
                           qn_error *err) {
  const int rank = qn_comm_rank(move->run->comm);
  if (!move->is_build) {
    if (fate == STAYS) {
      return qn_exchange_send(move->exchanges[QN_ROUTE_HOME], batch, rank, err);
    }
    return fate == QN_ROUTE_SPREAD
               ? send_to_each(move->exchanges[QN_ROUTE_HOME], batch, rank, qn_comm_size(move->run->comm), err)
               : qn_exchange_scatter(move->exchanges[QN_ROUTE_HOME], batch, destinations, err);
  }
  return fate == QN_ROUTE_SHARED ? qn_exchange_broadcast(move->exchanges[fate], batch, err)
                                 : qn_exchange_scatter(move->exchanges[fate], batch, destinations, err);
}

// Any wait may deliver rows, but these are not sent on by this side, so the lists stay as they are.
static qn_status send_by_fate(qn_join_move *move, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *part = NULL;
  int64_t n[N_FATES] = {0};

  for (int64_t row = 0; row < batch->n_rows; row++) {
    // Shared probe rows are dealt out by their destination among those that go home.
    const int fate =
        move->fates[row] == QN_ROUTE_SHARED && !move->is_build ? QN_ROUTE_HOME : move->fates[row];
    move->rows[fate][n[fate]++] = (int32_t)row;
  }
  for (int fate = 0; fate < DROPPED; fate++) {
    if (n[fate] == 0) {
      continue;
    }
    QN_TRY(qn_batch_gather(batch, move->rows[fate], n[fate], &part, err));
    for (int64_t i = 0; i < n[fate]; i++) {
      move->rows[fate][i] = move->destinations[move->rows[fate][i]];
    }
    QN_TRY(send_part(move, fate, part, move->rows[fate], err));
    qn_batch_free(part);
    part = NULL;
  }

done:
  qn_batch_free(part);
  return status;
}

qn_status qn_join_move_rows(qn_join_move *move, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  const bool is_broadcast = move->choice->is_broadcast;

  if (is_broadcast && move->is_build) {
    QN_TRY(qn_exchange_broadcast(move->exchanges[QN_ROUTE_SHARED], batch, err));
    goto done;
  }
  if (is_broadcast || qn_comm_size(move->run->comm) == 1) {
    receiver *to = &move->receivers[is_broadcast ? QN_ROUTE_SHARED : QN_ROUTE_HOME];
    QN_TRY(move->is_build ? deliver_build(to, batch, 0, err) : deliver_probe(to, batch, 0, err));
    goto done;
  }
  QN_TRY(make_room(move, batch->n_rows, err));
  if (mark_rows(move, batch)) {
    QN_TRY(send_by_fate(move, batch, err));
  } else if (all_are_own(move, batch->n_rows)) {
    QN_TRY(qn_exchange_send(move->exchanges[QN_ROUTE_HOME], batch, qn_comm_rank(move->run->comm), err));
  } else {
    QN_TRY(qn_exchange_scatter(move->exchanges[QN_ROUTE_HOME], batch, move->destinations, err));
  }

done:
  return status;
}

static void add_counts(qn_exchange_counts *to, const qn_exchange_counts *from) {
  to->rows_sent += from->rows_sent;
  to->bytes_sent += from->bytes_sent;
  to->messages_sent += from->messages_sent;
  to->rows_received += from->rows_received;
  to->bytes_received += from->bytes_received;
  to->wait_ns += from->wait_ns;
}

qn_status qn_join_move_finish(qn_join_move *move, qn_error *err) {
  qn_status status = QN_OK;

  for (int route = 0; route < QN_N_ROUTES; route++) {
    if (move->exchanges[route] != NULL) {
      QN_TRY(qn_exchange_finish(move->exchanges[route], err));
      const qn_exchange_counts counts = qn_exchange_counted(move->exchanges[route]);
      add_counts(&move->counts.exchanges, &counts);
    }
  }

done:
  return status;
}

qn_join_move_counts qn_join_move_counted(const qn_join_move *move) {
  return move->counts;
}

qn_status qn_join_move_gather_bloom(qn_join_move *move, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t size = move->choice->n_bloom_blocks * (int64_t)sizeof *move->own_bloom;
  int64_t *sizes = calloc((size_t)qn_comm_size(move->run->comm), sizeof *sizes);

  QN_REQUIRE(sizes != NULL, err, QN_ERR_MEMORY, "no memory for the filter of a join");
  QN_TRY(qn_comm_gather(move->run->comm, move->own_bloom, size, out, sizes, err));

done:
  free(sizes);
  return status;
}

void qn_join_move_use_bloom(qn_join_move *move, const qn_buffer *filters) {
  move->bloom = (const qn_bloom_block *)(const void *)filters->data;
}
