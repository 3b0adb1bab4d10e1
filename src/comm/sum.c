// SPDX-License-Identifier: Apache-2.0
// Sums of vectors over ranks that go on by themselves. Long vectors are cut into rounds, and a round into a
// block per rank: each rank gets everybody's values of its own block, adds them in the order of the ranks and
// sends the total to all (reduce-scatter, then allgather; R. Thakur, R. Rabenseifner and W. Gropp, 2005),
// several rounds at a time. Short vectors go up and down the tree, or from all to all if the ranks are few:
// which way is chosen by numbers that are the same everywhere, so the bits of a sum are, too.
#include <inttypes.h>
#include <stdlib.h>
#include "base/check.h"
#include "comm/comm_state.h"

typedef enum {
  FROM_ALL_TO_ALL, // everybody sends all values to everybody, and adds them
  BY_TREE,
  BY_BLOCKS,
} sum_way;

typedef enum { CONTRIBUTION, TOTAL } piece_stage;

enum {
  LARGEST_BLOCK_BYTES = 256 << 10,
  LEAST_BLOCK_BYTES = 32 << 10, // the largest with many ranks
  BYTES_AT_ONCE = 8 << 20,      // of rounds under way
  FEW_RANKS = 8,
  SHORT_BYTES = 2 << 10,
  BYTES_IN_CACHE = 16 << 10, // of values that are added up rank by rank
  STAGE_SHIFT = 8,
  ROUND_SHIFT = 16,
};

typedef struct sum_round {
  bool is_added;
  int n_contributions, n_totals; // that have come
  qn_incoming **contributions;   // [n_ranks]
} sum_round;

struct qn_comm_sum {
  qn_comm *comm; // NULL: its run is over
  qn_comm_sum *next;
  sum_way way;
  int width; // of a value
  uint8_t *values;
  int64_t n;
  int64_t step; // number among the collectives of the run
  int64_t n_in_block;
  int64_t n_rounds, n_started, n_done;
  int64_t n_slots;   // rounds under way at most
  sum_round *rounds; // [n_slots], that of round r at r % n_slots
  qn_incoming **contributions;
};

// Values of a round that lie together.
typedef struct sum_block {
  int64_t first, n;
} sum_block;

static sum_block round_values(const qn_comm_sum *sum, int64_t round) {
  const int n_blocks = sum->way == BY_BLOCKS ? sum->comm->size : 1;
  const int64_t first = round * sum->n_in_block * n_blocks;
  const int64_t left = sum->n - first;
  const int64_t n = sum->n_in_block * n_blocks;
  return (sum_block){.first = first, .n = left < n ? left : n};
}

// The block of a rank; may be empty.
static sum_block rank_values(const qn_comm_sum *sum, int64_t round, int rank) {
  sum_block all = round_values(sum, round);
  if (sum->way != BY_BLOCKS) {
    return all;
  }
  const int64_t share = (all.n + sum->comm->size - 1) / sum->comm->size;
  int64_t from = rank * share;
  from = from < all.n ? from : all.n;
  const int64_t n = all.n - from < share ? all.n - from : share;
  return (sum_block){.first = all.first + from, .n = n};
}

static uint8_t *values_at(const qn_comm_sum *sum, sum_block block) {
  return sum->values + block.first * sum->width;
}

static qn_message_header make_header(const qn_comm_sum *sum, int64_t round, piece_stage stage) {
  const int64_t value = QN_COLLECTIVE_SUM | ((int64_t)stage << STAGE_SHIFT) | (round << ROUND_SHIFT);
  return qn_comm_header(sum->comm, QN_MESSAGE_PIECE, sum->step, value);
}

// --- Sending --------------------------------------------------------------------------------------------

static qn_status parcel_of_block(const qn_comm_sum *sum, int64_t round, piece_stage stage, sum_block block,
                                 qn_parcel **out, qn_error *err) {
  const qn_message_header header = make_header(sum, round, stage);
  const qn_status status = qn_parcel_new(&header, block.n * sum->width, out, err);
  return status != QN_OK
             ? status
             : qn_buffer_append(&(*out)->buffer, values_at(sum, block), block.n * sum->width, err);
}

static qn_status send_to_all(qn_comm *comm, qn_parcel *parcel, qn_error *err) {
  qn_status status = QN_OK;
  for (int i = 1; i < comm->size; i++) {
    QN_TRY(qn_transport_send(&comm->transport, (comm->rank + i) % comm->size, parcel, err));
  }

done:
  return status;
}

static qn_status send_down(qn_comm *comm, qn_parcel *parcel, qn_error *err) {
  qn_status status = QN_OK;
  int last = 1;
  while (last * 2 < qn_tree_reach(comm->rank, comm->size)) {
    last *= 2;
  }
  for (int distance = last; distance >= 1; distance /= 2) {
    if (distance < qn_tree_reach(comm->rank, comm->size)) {
      QN_TRY(qn_transport_send(&comm->transport, comm->rank + distance, parcel, err));
    }
  }

done:
  return status;
}

// Sends this rank's values of other ranks' blocks to them.
static qn_status send_blocks(qn_comm_sum *sum, int64_t round, qn_error *err) {
  qn_status status = QN_OK;
  qn_parcel *parcel = NULL;
  qn_comm *comm = sum->comm;
  for (int i = 1; i < comm->size; i++) {
    const int to = (comm->rank + i) % comm->size;
    const sum_block block = rank_values(sum, round, to);
    if (block.n > 0) {
      QN_TRY(parcel_of_block(sum, round, CONTRIBUTION, block, &parcel, err));
      QN_TRY(qn_transport_send(&comm->transport, to, parcel, err));
      qn_parcel_free(parcel);
      parcel = NULL;
    }
  }

done:
  qn_parcel_free(parcel);
  return status;
}

static qn_status start_round(qn_comm_sum *sum, int64_t round, qn_error *err) {
  qn_status status = QN_OK;
  qn_parcel *parcel = NULL;

  if (sum->way == BY_BLOCKS) {
    return send_blocks(sum, round, err);
  }
  if (sum->way == FROM_ALL_TO_ALL) {
    QN_TRY(parcel_of_block(sum, round, CONTRIBUTION, round_values(sum, round), &parcel, err));
    QN_TRY(send_to_all(sum->comm, parcel, err));
  }

done:
  qn_parcel_free(parcel);
  return status;
}

// --- Adding ---------------------------------------------------------------------------------------------

static void add_bytes(uint8_t *to, const uint8_t *from, int64_t n, int width) {
  if (width == 8) {
    double *restrict sums = (double *)(void *)to;
    const double *restrict values = (const double *)(const void *)from;
    for (int64_t i = 0; i < n; i++) {
      sums[i] += values[i];
    }
  } else {
    float *restrict sums = (float *)(void *)to;
    const float *restrict values = (const float *)(const void *)from;
    for (int64_t i = 0; i < n; i++) {
      sums[i] += values[i];
    }
  }
}

// to = the sum over ranks in their order, part by part. `to` may not overlap the values.
static void add_in_order(const qn_comm_sum *sum, const sum_round *round, sum_block block, uint8_t *to) {
  const int64_t most = BYTES_IN_CACHE / sum->width;
  for (int64_t first = 0; first < block.n; first += most) {
    const int64_t n = block.n - first < most ? block.n - first : most;
    const int64_t at = first * sum->width;
    for (int rank = 0; rank < sum->comm->size; rank++) {
      const uint8_t *from = rank == sum->comm->rank ? values_at(sum, block) + at
                                                    : qn_incoming_payload(round->contributions[rank]) + at;
      if (rank == 0) {
        memcpy(to + at, from, (size_t)(n * sum->width));
      } else {
        add_bytes(to + at, from, n, sum->width);
      }
    }
  }
}

// All values of all ranks are here.
static void add_everything(qn_comm_sum *sum, sum_round *round, sum_block block) {
  const int rank = sum->comm->rank;
  uint8_t *values = values_at(sum, block);
  if (sum->comm->size == 2) { // a + b is b + a
    add_bytes(values, qn_incoming_payload(round->contributions[1 - rank]), block.n, sum->width);
    return;
  }
  // Only rank 0 can add to its own values; the others do to those that came from rank 0.
  uint8_t *sums = rank == 0 ? values : round->contributions[0]->memory + QN_HEADER_BYTES;
  for (int other = 1; other < sum->comm->size; other++) {
    add_bytes(sums, other == rank ? values : qn_incoming_payload(round->contributions[other]), block.n,
              sum->width);
  }
  if (rank != 0) {
    memcpy(values, sums, (size_t)(block.n * sum->width));
  }
}

// This rank's block is complete: everybody gets its total.
static qn_status add_block(qn_comm_sum *sum, int64_t number, sum_round *round, qn_error *err) {
  qn_status status = QN_OK;
  qn_parcel *parcel = NULL;
  const sum_block block = rank_values(sum, number, sum->comm->rank);
  const qn_message_header header = make_header(sum, number, TOTAL);
  const int64_t size = block.n * sum->width;

  if (block.n == 0) {
    return QN_OK;
  }
  QN_TRY(qn_parcel_new(&header, size, &parcel, err));
  add_in_order(sum, round, block, parcel->buffer.data + QN_HEADER_BYTES);
  parcel->buffer.size += size;
  memcpy(values_at(sum, block), qn_parcel_payload(parcel), (size_t)size);
  QN_TRY(send_to_all(sum->comm, parcel, err));

done:
  qn_parcel_free(parcel);
  return status;
}

// The subtree of this rank is complete: its sum goes up, or from the root down.
static qn_status add_subtree(qn_comm_sum *sum, int64_t number, sum_round *round, qn_error *err) {
  qn_status status = QN_OK;
  qn_parcel *parcel = NULL;
  qn_comm *comm = sum->comm;
  const sum_block block = round_values(sum, number);
  for (int distance = 1; distance < qn_tree_reach(comm->rank, comm->size); distance *= 2) {
    add_bytes(values_at(sum, block), qn_incoming_payload(round->contributions[comm->rank + distance]),
              block.n, sum->width);
  }
  QN_TRY(parcel_of_block(sum, number, comm->rank == 0 ? TOTAL : CONTRIBUTION, block, &parcel, err));
  if (comm->rank == 0) {
    QN_TRY(send_down(comm, parcel, err));
  } else {
    QN_TRY(qn_transport_send(&comm->transport, qn_tree_parent(comm->rank), parcel, err));
  }

done:
  qn_parcel_free(parcel);
  return status;
}

static qn_status add_round(qn_comm_sum *sum, int64_t number, sum_round *round, qn_error *err) {
  qn_status status = QN_OK;
  if (sum->way == FROM_ALL_TO_ALL) {
    add_everything(sum, round, round_values(sum, number));
  } else if (sum->way == BY_TREE) {
    QN_TRY(add_subtree(sum, number, round, err));
  } else {
    QN_TRY(add_block(sum, number, round, err));
  }
  round->is_added = true;
  for (int r = 0; r < sum->comm->size; r++) {
    qn_incoming_free(round->contributions[r]);
    round->contributions[r] = NULL;
  }

done:
  return status;
}

// --- Receiving ------------------------------------------------------------------------------------------

static int n_contributors(const qn_comm_sum *sum, int64_t round) {
  const qn_comm *comm = sum->comm;
  if (sum->way == BY_TREE) {
    int n = 0;
    for (int distance = 1; distance < qn_tree_reach(comm->rank, comm->size); distance *= 2) {
      n++;
    }
    return n;
  }
  return rank_values(sum, round, comm->rank).n > 0 ? comm->size - 1 : 0;
}

static bool is_contributor(const qn_comm_sum *sum, int source) {
  return sum->way != BY_TREE || (source > sum->comm->rank && qn_tree_parent(source) == sum->comm->rank);
}

// Ranks that send this one a total.
static int n_totals(const qn_comm_sum *sum, int64_t round) {
  const qn_comm *comm = sum->comm;
  if (sum->way != BY_BLOCKS) {
    return sum->way == BY_TREE && comm->rank != 0;
  }
  int n = 0;
  for (int r = 0; r < comm->size; r++) {
    n += r != comm->rank && rank_values(sum, round, r).n > 0;
  }
  return n;
}

static bool has_total(const qn_comm_sum *sum, int source) {
  return sum->way == BY_BLOCKS || (sum->way == BY_TREE && source == qn_tree_parent(sum->comm->rank));
}

static qn_status take_total(qn_comm_sum *sum, int64_t number, qn_incoming *piece, qn_error *err) {
  qn_status status = QN_OK;
  qn_parcel *parcel = NULL;
  const sum_block block = rank_values(sum, number, piece->source);

  memcpy(values_at(sum, block), qn_incoming_payload(piece), (size_t)(block.n * sum->width));
  if (sum->way == BY_TREE && qn_tree_reach(sum->comm->rank, sum->comm->size) > 1) {
    QN_TRY(qn_incoming_forward_take(piece, &parcel, err));
    parcel->header = make_header(sum, number, TOTAL);
    QN_TRY(send_down(sum->comm, parcel, err));
  } else {
    qn_incoming_free(piece);
  }

done:
  qn_parcel_free(parcel);
  return status;
}

static qn_status take_piece(qn_comm_sum *sum, qn_incoming *piece, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t number = piece->header.value >> ROUND_SHIFT;
  const bool is_total = ((piece->header.value >> STAGE_SHIFT) & 1) == TOTAL;
  sum_round *round = &sum->rounds[number % sum->n_slots];
  const int64_t wanted = rank_values(sum, number, is_total ? piece->source : sum->comm->rank).n * sum->width;
  bool is_welcome = is_total ? has_total(sum, piece->source) && round->n_totals < n_totals(sum, number)
                             : is_contributor(sum, piece->source) && !round->is_added &&
                                   round->contributions[piece->source] == NULL;

  is_welcome = is_welcome && piece->header.payload_bytes == wanted;
  QN_REQUIRE(is_welcome, err, QN_ERR_MPI,
             "rank %d got %" PRId64 " bytes from rank %d in a sum of %" PRId64 " values (step %" PRId64
             " of the run): all ranks must make the same calls in the same order",
             sum->comm->rank, piece->header.payload_bytes, piece->source, sum->n, sum->step);
  if (is_total) {
    round->n_totals++;
    qn_incoming *total = piece;
    piece = NULL;
    QN_TRY(take_total(sum, number, total, err));
  } else {
    round->n_contributions++;
    round->contributions[piece->source] = piece;
    piece = NULL;
  }

done:
  qn_incoming_free(piece);
  return status;
}

// Takes all pieces of rounds that are under way.
static qn_status take_pieces(qn_comm_sum *sum, qn_error *err) {
  qn_status status = QN_OK;
  qn_comm *comm = sum->comm;
  qn_incoming *before = NULL;
  qn_incoming *following = NULL;

  for (qn_incoming *piece = comm->pieces.first; piece != NULL; piece = following) {
    following = piece->next;
    const int64_t value = piece->header.value;
    const int64_t number = value >> ROUND_SHIFT;
    if (piece->header.channel != sum->step) {
      before = piece;
      continue;
    }
    QN_REQUIRE((value & 0xff) == QN_COLLECTIVE_SUM && number >= sum->n_done && number < sum->n_rounds, err,
               QN_ERR_MPI,
               "rank %d is in a sum, rank %d in %s (step %" PRId64
               " of the run): all ranks must make the same calls in the same order",
               comm->rank, piece->source, qn_collective_name(value), sum->step);
    if (number >= sum->n_started) {
      before = piece;
      continue;
    }
    qn_incoming_list_remove(&comm->pieces, before, piece);
    QN_TRY(take_piece(sum, piece, err));
  }

done:
  return status;
}

static qn_status start_rounds(qn_comm_sum *sum, qn_error *err) {
  qn_status status = QN_OK;
  while (sum->n_started < sum->n_rounds && sum->n_started < sum->n_done + sum->n_slots) {
    sum_round *round = &sum->rounds[sum->n_started % sum->n_slots];
    *round = (sum_round){.contributions = round->contributions};
    QN_TRY(start_round(sum, sum->n_started++, err));
  }

done:
  return status;
}

static qn_status advance(qn_comm_sum *sum, qn_error *err) {
  qn_status status = QN_OK;
  bool goes_on = sum->n_done < sum->n_rounds;
  while (goes_on) {
    goes_on = false;
    QN_TRY(start_rounds(sum, err));
    QN_TRY(take_pieces(sum, err));
    for (int64_t r = sum->n_done; r < sum->n_started; r++) {
      sum_round *round = &sum->rounds[r % sum->n_slots];
      if (!round->is_added && round->n_contributions == n_contributors(sum, r)) {
        QN_TRY(add_round(sum, r, round, err));
      }
      if (r == sum->n_done && round->is_added && round->n_totals == n_totals(sum, r)) {
        sum->n_done++;
        goes_on = sum->n_done < sum->n_rounds;
      }
    }
  }

done:
  return status;
}

qn_status qn_comm_advance_sums(qn_comm *comm, qn_error *err) {
  qn_status status = QN_OK;
  for (qn_comm_sum *sum = comm->sums; sum != NULL; sum = sum->next) {
    QN_TRY(advance(sum, err));
  }

done:
  return status;
}

// --- The sum as an object -------------------------------------------------------------------------------

static void choose_way(qn_comm_sum *sum) {
  const int64_t n_ranks = sum->comm->size;
  const int64_t size = sum->n * sum->width;
  int64_t block_bytes = LARGEST_BLOCK_BYTES;
  sum->way = BY_BLOCKS;
  if (n_ranks <= 2 || (n_ranks <= FEW_RANKS && size <= SHORT_BYTES)) {
    sum->way = FROM_ALL_TO_ALL;
  } else if (size <= SHORT_BYTES * n_ranks) {
    sum->way = BY_TREE;
  } else if (n_ranks > FEW_RANKS) {
    block_bytes = block_bytes * FEW_RANKS / n_ranks;
    block_bytes = block_bytes > LEAST_BLOCK_BYTES ? block_bytes : LEAST_BLOCK_BYTES;
  }
  sum->n_in_block = sum->way == BY_TREE && sum->n > 0 ? sum->n : block_bytes / sum->width;
  const int64_t n_in_round = sum->way == BY_BLOCKS ? sum->n_in_block * n_ranks : sum->n_in_block;
  sum->n_rounds = n_ranks == 1 ? 0 : (sum->n + n_in_round - 1) / n_in_round;
  const int64_t most = BYTES_AT_ONCE / (n_in_round * sum->width);
  sum->n_slots = most > 2 ? most : 2;
  sum->n_slots = sum->n_slots < sum->n_rounds ? sum->n_slots : sum->n_rounds;
}

static qn_status make_slots(qn_comm_sum *sum, qn_error *err) {
  qn_status status = QN_OK;
  const int n_ranks = sum->comm->size;
  if (sum->n_slots == 0) {
    return QN_OK;
  }
  sum->rounds = calloc((size_t)sum->n_slots, sizeof *sum->rounds);
  sum->contributions = calloc((size_t)(sum->n_slots * n_ranks), sizeof(qn_incoming *));
  QN_REQUIRE(sum->rounds != NULL && sum->contributions != NULL, err, QN_ERR_MEMORY,
             "no memory for a sum over %d ranks", n_ranks);
  for (int64_t i = 0; i < sum->n_slots; i++) {
    sum->rounds[i].contributions = sum->contributions + i * n_ranks;
  }

done:
  return status;
}

static void unlink_sum(qn_comm_sum *sum) {
  if (sum->comm == NULL) {
    return;
  }
  qn_comm_sum **at = &sum->comm->sums;
  while (*at != NULL && *at != sum) {
    at = &(*at)->next;
  }
  if (*at != NULL) {
    *at = sum->next;
  }
}

static void drop_pieces(qn_comm_sum *sum, int n_ranks) {
  for (int64_t i = 0; i < sum->n_slots * n_ranks && sum->contributions != NULL; i++) {
    qn_incoming_free(sum->contributions[i]);
    sum->contributions[i] = NULL;
  }
}

static void free_sum(qn_comm_sum *sum) {
  if (sum == NULL) {
    return;
  }
  if (sum->comm != NULL) {
    unlink_sum(sum);
    drop_pieces(sum, sum->comm->size);
  }
  free(sum->rounds);
  free(sum->contributions);
  free(sum);
}

void qn_comm_detach_sums(qn_comm *comm) {
  for (qn_comm_sum *sum = comm->sums; sum != NULL; sum = sum->next) {
    drop_pieces(sum, comm->size);
    sum->comm = NULL;
  }
  comm->sums = NULL;
}

qn_status qn_comm_sum_start(qn_comm *comm, qn_type type, void *values, int64_t n, qn_comm_sum **out,
                            qn_error *err) {
  qn_status status = QN_OK;
  qn_comm_sum *sum = NULL;

  QN_TRY(qn_comm_check(comm, err));
  QN_REQUIRE(type == QN_FLOAT64 || type == QN_FLOAT32, err, QN_ERR_ARG,
             "a sum over ranks of type %s; only float64 and float32 can be summed", qn_type_name(type));
  QN_REQUIRE(n >= 0 && n <= INT64_MAX / 64, err, QN_ERR_ARG, "a sum of %" PRId64 " values", n);
  sum = calloc(1, sizeof *sum);
  QN_REQUIRE(sum != NULL, err, QN_ERR_MEMORY, "no memory for a sum over ranks");
  *sum = (qn_comm_sum){.comm = comm,
                       .width = type == QN_FLOAT64 ? 8 : 4,
                       .values = values,
                       .n = n,
                       .step = comm->n_collectives++};
  choose_way(sum);
  QN_TRY(make_slots(sum, err));
  qn_comm_sum **last = &comm->sums;
  while (*last != NULL) {
    last = &(*last)->next;
  }
  *last = sum;
  QN_TRY(advance(sum, err));
  *out = sum;
  sum = NULL;

done:
  free_sum(sum);
  return status;
}

qn_status qn_comm_sum_finish(qn_comm_sum *sum, qn_error *err) {
  qn_status status = QN_OK;
  qn_patience patience = {0};

  QN_REQUIRE(sum->comm != NULL, err, QN_ERR_STOPPED, "the run of this sum has ended");
  QN_TRY(qn_comm_check(sum->comm, err));
  while (sum->n_done < sum->n_rounds) {
    QN_TRY(qn_comm_wait(sum->comm, &patience, NULL, err));
  }

done:
  free_sum(sum);
  return status;
}

qn_status qn_comm_sum_float64(qn_comm *comm, double *values, int64_t n, qn_error *err) {
  qn_comm_sum *sum = NULL;
  const qn_status status = qn_comm_sum_start(comm, QN_FLOAT64, values, n, &sum, err);
  return status == QN_OK ? qn_comm_sum_finish(sum, err) : status;
}

qn_status qn_comm_sum_float32(qn_comm *comm, float *values, int64_t n, qn_error *err) {
  qn_comm_sum *sum = NULL;
  const qn_status status = qn_comm_sum_start(comm, QN_FLOAT32, values, n, &sum, err);
  return status == QN_OK ? qn_comm_sum_finish(sum, err) : status;
}
