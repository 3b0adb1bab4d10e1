// SPDX-License-Identifier: Apache-2.0
// Every rank gathers the same messages and draws the same conclusions, so nothing else is agreed on. A key is
// heavy if its rows alone are a sixty-fourth of a rank's share.
#include "exec/join_choice.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "exec/join_spill.h"
#include "kernel/bloom_filter.h"
#include "kernel/hash_columns.h"

enum {
  SMALL_BYTES = 8 << 20,   // a side of so many bytes goes to all ranks
  MOST_COMBINED = 1 << 20, // shared build rows whose partners all ranks have to tell each other
  SHARES = 64,             // a heavy key has this part of a rank's rows
  LEAST_HEAVY = 64,        // rows
  COUNTERS_PER_RANK = 512,
  MOST_COUNTERS = 128 << 10, // of all ranks together: 2 MiB
  MOST_KEYS = 128 << 10,
  LEAST_SAID = 256,
  SAMPLE_KEYS = 4096,
  LEAST_COMPARED = 64, // keys, to believe what a comparison says
  MORE_TO_COME = 4,
  BLOCK_ROWS = 512, // of a batch that are hashed where not all are
  BLOCKS = 8
};

// --- What a rank has seen

// Every rank gets what all have seen, so with many ranks each says less; then only heavier keys are found.
static int clamp_count(int64_t wanted, int n_ranks, int64_t most_of_all, int least) {
  const int64_t most = most_of_all / n_ranks;
  return (int)(wanted < most ? wanted : most > least ? most : least);
}

qn_status qn_join_sampler_init(qn_join_sampler *sampler, const qn_run *run, const qn_dataset *node, int side,
                               qn_error *err) {
  qn_status status = QN_OK;
  const int n_ranks = qn_comm_size(run->comm);
  const int n_counters =
      clamp_count((int64_t)COUNTERS_PER_RANK * n_ranks, n_ranks, MOST_COUNTERS, LEAST_SAID);
  const int n_keys = clamp_count(SAMPLE_KEYS, n_ranks, MOST_KEYS, LEAST_SAID);

  *sampler = (qn_join_sampler){.key_columns = side == 0 ? node->left_keys : node->right_keys,
                               .n_keys = node->n_keys};
  if (n_ranks > 1) {
    sampler->columns = calloc((size_t)node->n_keys + 1, sizeof *sampler->columns);
    QN_REQUIRE(sampler->columns != NULL, err, QN_ERR_MEMORY, "no memory for a join");
    QN_TRY(qn_key_sketch_new(n_counters, &sampler->sketch, err));
    QN_TRY(qn_key_sample_new(n_keys, &sampler->keys, err));
  }

done:
  return status;
}

void qn_join_sampler_release(qn_join_sampler *sampler) {
  qn_key_sketch_free(sampler->sketch);
  qn_key_sample_free(sampler->keys);
  qn_memory_free(sampler->hashes);
  free(sampler->columns);
  *sampler = (qn_join_sampler){0};
}

static qn_status hash_rows(qn_join_sampler *sampler, const qn_batch *batch, qn_error *err) {
  if (batch->n_rows > sampler->capacity) {
    qn_memory_free(sampler->hashes);
    sampler->hashes = qn_memory_alloc(batch->n_rows * (int64_t)sizeof *sampler->hashes);
    sampler->capacity = sampler->hashes == NULL ? 0 : batch->n_rows;
    if (sampler->hashes == NULL) {
      return qn_fail(err, QN_ERR_MEMORY, "no memory to join %lld rows", (long long)batch->n_rows);
    }
  }
  for (int k = 0; k < sampler->n_keys; k++) {
    sampler->columns[k] = &batch->columns[sampler->key_columns[k]];
  }
  qn_hash_columns(sampler->columns, sampler->n_keys, batch->n_rows, sampler->hashes);
  return QN_OK;
}

// Rows with a null key join nothing, so their number makes no key heavy.
static int64_t drop_nulls(const qn_join_sampler *sampler, int64_t n_rows) {
  bool has_nulls = false;
  int64_t n = 0;
  for (int k = 0; k < sampler->n_keys; k++) {
    has_nulls |= sampler->columns[k]->n_nulls > 0;
  }
  if (!has_nulls) {
    return n_rows;
  }
  for (int64_t row = 0; row < n_rows; row++) {
    bool is_null = false;
    for (int k = 0; k < sampler->n_keys; k++) {
      is_null |= qn_column_is_null(sampler->columns[k], row);
    }
    sampler->hashes[n] = sampler->hashes[row];
    n += !is_null;
  }
  return n;
}

qn_status qn_join_sampler_add(qn_join_sampler *sampler, const qn_batch *batch, bool is_first, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *block = NULL;

  sampler->n_rows += batch->n_rows;
  sampler->n_bytes += qn_batch_n_bytes(batch);
  if (sampler->sketch == NULL || batch->n_rows == 0) {
    goto done;
  }
  const bool is_cut = batch->n_rows >= 2 * BLOCK_ROWS;
  const int64_t first =
      is_cut ? sampler->n_batches * 5 % BLOCKS * BLOCK_ROWS % (batch->n_rows - BLOCK_ROWS) : 0;
  const int64_t n = is_cut ? BLOCK_ROWS : batch->n_rows;
  sampler->n_batches++;
  if (is_cut && !is_first) {
    QN_TRY(qn_batch_slice(batch, first, n, &block, err));
  }
  QN_TRY(hash_rows(sampler, block != NULL ? block : batch, err));
  const int64_t n_hashes = drop_nulls(sampler, block != NULL ? n : batch->n_rows);
  qn_key_sample_add(sampler->keys, sampler->hashes, n_hashes);
  const int64_t from = block == NULL && first + n <= n_hashes ? first : 0;
  qn_key_sketch_add(sampler->sketch, sampler->hashes + from, n_hashes < n ? n_hashes : n, batch->n_rows / n);

done:
  qn_batch_free(block);
  return status;
}

// --- What all have seen

typedef struct seen_sizes {
  int64_t n_rows[2], n_bytes[2], is_whole[2];
} seen_sizes;

typedef struct seen {
  seen_sizes sizes;
  int64_t most_rows[2]; // of a rank
  qn_join_sampler sides[2];
} seen;

static qn_status write_seen(const qn_join_sampler samplers[2], qn_buffer *message, qn_error *err) {
  qn_status status = QN_OK;
  seen_sizes sizes = {.n_rows = {0}};

  for (int side = 0; side < 2; side++) {
    sizes.n_rows[side] = samplers[side].n_rows;
    sizes.n_bytes[side] = samplers[side].n_bytes;
    sizes.is_whole[side] = samplers[side].is_whole;
  }
  QN_TRY(qn_buffer_append(message, &sizes, (int64_t)sizeof sizes, err));
  for (int side = 0; side < 2; side++) {
    QN_TRY(qn_key_sketch_write(samplers[side].sketch, message, err));
    QN_TRY(qn_key_sample_write(samplers[side].keys, message, err));
  }

done:
  return status;
}

static qn_status add_seen(seen *all, const uint8_t *data, int64_t n_bytes, qn_error *err) {
  qn_status status = QN_OK;
  seen_sizes sizes;
  int64_t at = (int64_t)sizeof sizes, size = 0;

  QN_REQUIRE(n_bytes >= at, err, QN_ERR_FORMAT, "a message of %lld bytes about a join", (long long)n_bytes);
  memcpy(&sizes, data, sizeof sizes);
  for (int side = 0; side < 2; side++) {
    all->sizes.n_rows[side] += sizes.n_rows[side];
    all->most_rows[side] =
        sizes.n_rows[side] > all->most_rows[side] ? sizes.n_rows[side] : all->most_rows[side];
    all->sizes.n_bytes[side] += sizes.n_bytes[side];
    all->sizes.is_whole[side] &= sizes.is_whole[side];
    QN_TRY(qn_key_sketch_merge(all->sides[side].sketch, data + at, n_bytes - at, &size, err));
    at += size;
    QN_TRY(qn_key_sample_merge(all->sides[side].keys, data + at, n_bytes - at, &size, err));
    at += size;
  }

done:
  return status;
}

static qn_status gather_seen(const qn_run *run, const qn_dataset *node, const qn_join_sampler samplers[2],
                             seen *all, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer message = {0}, messages = {0};
  const int n_ranks = qn_comm_size(run->comm);
  int64_t at = 0;
  int64_t *sizes = calloc((size_t)n_ranks, sizeof *sizes);

  QN_REQUIRE(sizes != NULL, err, QN_ERR_MEMORY, "no memory for a join");
  all->sizes.is_whole[0] = all->sizes.is_whole[1] = 1;
  QN_TRY(qn_join_sampler_init(&all->sides[0], run, node, 0, err));
  QN_TRY(qn_join_sampler_init(&all->sides[1], run, node, 1, err));
  QN_TRY(write_seen(samplers, &message, err));
  QN_TRY(qn_comm_gather(run->comm, message.data, message.size, &messages, sizes, err));
  for (int rank = 0; rank < n_ranks; rank++) {
    QN_TRY(add_seen(all, messages.data + at, sizes[rank], err));
    at += sizes[rank];
  }

done:
  free(sizes);
  qn_buffer_release(&message);
  qn_buffer_release(&messages);
  return status;
}

// --- Broadcast

bool qn_join_is_small(const qn_dataset *node, int side, int64_t n_rows, int64_t n_bytes) {
  const int64_t budget = qn_memory_budget();
  const int64_t limit = budget > 0 && budget / 16 < SMALL_BYTES ? budget / 16 : SMALL_BYTES;
  return n_bytes <= limit && (n_rows <= MOST_COMBINED || !qn_join_settles(node->join_kind, side));
}

bool qn_join_lies_ready(const qn_dataset *node) {
  return qn_plan_is_hashed(node->inputs[0], node->left_keys, node->n_keys) &&
         qn_plan_is_hashed(node->inputs[1], node->right_keys, node->n_keys);
}

// Sending the build side to n ranks against sending of both sides the part that is not at home. Of the other
// side at least what has been seen is there.
static bool pays_to_broadcast(const qn_dataset *node, const seen_sizes *sizes, int build, int n_ranks) {
  const bool can = n_ranks > 1 && !qn_join_lies_ready(node) &&
                   (sizes->n_rows[build] <= MOST_COMBINED || !qn_join_settles(node->join_kind, build));
  return can && qn_join_fits(sizes->n_rows[build], sizes->n_bytes[build]) &&
         sizes->n_bytes[build] <= (sizes->n_bytes[0] + sizes->n_bytes[1]) / n_ranks;
}

// --- Heavy keys

typedef struct heavy_plan {
  const qn_dataset *node;
  const seen *all;
  int build;
  int64_t least[2]; // rows that make a key of a side heavy
  bool can_spread;
  int64_t shared_rows; // so far
  int n_stuck;         // heavy build keys that all go home
  int n_heavy;
  qn_join_choice *choice;
} heavy_plan;

// A probe row that goes to all ranks must not come out by itself on each. With build rows of its key it has a
// partner for certain; but that is known by the hash, which must then stand for one key only: that of a
// single number does.
static bool can_spread(const qn_dataset *node, int build) {
  const int *keys = node->left_keys;
  const bool is_number = node->n_keys == 1 && !qn_type_is_text(node->inputs[0]->schema->fields[keys[0]].type);
  const bool settles = qn_join_settles(node->join_kind, 1 - build);
  return !settles || (is_number && node->condition == NULL && !qn_join_is_half(node->join_kind));
}

static int64_t bytes_of_rows(const seen_sizes *sizes, int side, int64_t n_rows) {
  return sizes->n_rows[side] > 0 ? n_rows * (sizes->n_bytes[side] / sizes->n_rows[side] + 1) : 0;
}

static qn_join_route route_of(heavy_plan *plan, uint64_t hash) {
  const int probe = 1 - plan->build;
  const int64_t n_build = qn_key_sketch_count(plan->all->sides[plan->build].sketch, hash);
  const int64_t n_probe = qn_key_sketch_count(plan->all->sides[probe].sketch, hash);
  const bool is_heavy_build = n_build >= plan->least[plan->build];
  const bool is_heavy_probe = n_probe >= plan->least[probe];
  const int64_t shared_rows = plan->shared_rows + n_build;
  const int64_t shared_bytes = bytes_of_rows(&plan->all->sizes, plan->build, shared_rows);
  const bool is_cheap = qn_join_is_small(plan->node, plan->build, shared_rows, shared_bytes);
  const bool settles_build = qn_join_settles(plan->node->join_kind, plan->build);

  if (is_heavy_build && plan->can_spread && !(is_heavy_probe && is_cheap && n_probe >= n_build)) {
    return QN_ROUTE_SPREAD;
  }
  // Shared rows that come out by themselves must be a table, whose rows all ranks combine.
  if ((is_heavy_probe || n_probe > 0) && (is_cheap || !settles_build)) {
    plan->shared_rows = shared_rows;
    return QN_ROUTE_SHARED;
  }
  plan->n_stuck += is_heavy_build;
  return QN_ROUTE_HOME;
}

static void keep_route(heavy_plan *plan, uint64_t hash) {
  qn_join_choice *choice = plan->choice;
  const uint64_t mask = (uint64_t)choice->n_slots - 1;
  int32_t place = 0;
  uint64_t at = hash & mask;

  while (choice->routes[at].place != 0 && choice->routes[at].hash != hash) {
    at = (at + 1) & mask;
  }
  const bool is_known = choice->routes[at].place != 0;
  const qn_join_route route = is_known ? QN_ROUTE_HOME : route_of(plan, hash);
  if (route != QN_ROUTE_HOME) {
    place = ++plan->n_heavy;
    choice->routes[at] = (qn_route_of_key){.hash = hash, .place = place, .route = route};
    choice->n_heavy[route]++;
  }
}

static qn_status choose_routes(heavy_plan *plan, int n_ranks, qn_error *err) {
  qn_status status = QN_OK;
  const int most = SHARES * n_ranks + 1;
  int n[2] = {0};
  qn_heavy_key *heavy[2] = {calloc((size_t)most, sizeof **heavy), calloc((size_t)most, sizeof **heavy)};

  QN_REQUIRE(heavy[0] != NULL && heavy[1] != NULL, err, QN_ERR_MEMORY, "no memory for a join");
  for (int side = 0; side < 2; side++) {
    const int64_t share = qn_key_sketch_n_added(plan->all->sides[side].sketch) / ((int64_t)SHARES * n_ranks);
    plan->least[side] = share > LEAST_HEAVY ? share : LEAST_HEAVY;
    n[side] = qn_key_sketch_heaviest(plan->all->sides[side].sketch, plan->least[side], heavy[side], most);
  }
  if (n[0] + n[1] == 0) {
    goto done;
  }
  plan->choice->n_slots = 16;
  while (plan->choice->n_slots < 4 * (int64_t)(n[0] + n[1])) {
    plan->choice->n_slots *= 2;
  }
  plan->choice->routes = calloc((size_t)plan->choice->n_slots, sizeof *plan->choice->routes);
  QN_REQUIRE(plan->choice->routes != NULL, err, QN_ERR_MEMORY, "no memory for a join");
  for (int s = 0; s < 2; s++) { // the probe side's keys first, which are shared while that is cheap
    const int side = s == 0 ? 1 - plan->build : plan->build;
    for (int i = 0; i < n[side]; i++) {
      keep_route(plan, heavy[side][i].hash);
    }
  }
  if (plan->n_heavy == 0) {
    free(plan->choice->routes);
    plan->choice->routes = NULL;
    plan->choice->n_slots = 0;
  }

done:
  free(heavy[0]);
  free(heavy[1]);
  return status;
}

// Finds routes; where heavy keys of the build side cannot be spread, but could on the other side, that is
// built.
static qn_status plan_heavy(const qn_dataset *node, const seen *all, int n_ranks, qn_join_choice *choice,
                            qn_error *err) {
  qn_status status = QN_OK;
  heavy_plan plan = {.node = node,
                     .all = all,
                     .build = choice->build_side,
                     .can_spread = can_spread(node, choice->build_side),
                     .choice = choice};

  QN_TRY(choose_routes(&plan, n_ranks, err));
  if (plan.n_stuck > 0 && all->sizes.is_whole[1 - plan.build] && can_spread(node, 1 - plan.build)) {
    qn_join_choice_release(choice);
    choice->build_side = 1 - plan.build;
    plan = (heavy_plan){
        .node = node, .all = all, .build = choice->build_side, .can_spread = true, .choice = choice};
    QN_TRY(choose_routes(&plan, n_ranks, err));
  }

done:
  return status;
}

// --- Bloom filter

// The filters of all ranks go to all; it pays if that is little against the rows that need not be sent. Rows
// that come out though they are not sent do so where they are, which is only fair if that is evenly.
static int64_t choose_bloom(const seen *all, const qn_dataset *node, int build, int n_ranks) {
  const int probe = 1 - build;
  const bool is_even = all->most_rows[probe] * n_ranks <= all->sizes.n_rows[probe] / 8 * 9;
  int64_t n_shared = 0, n_compared = 0;
  const int64_t n_keys = qn_key_sample_n_distinct(all->sides[build].keys);
  const int64_t n_blocks = qn_bloom_n_blocks(n_keys / n_ranks + n_keys / n_ranks / 4 + 64);
  const int64_t n_bytes = n_blocks * (int64_t)sizeof(qn_bloom_block) * n_ranks;

  qn_key_sample_compare(all->sides[probe].keys, all->sides[build].keys, &n_shared, &n_compared);
  if ((qn_join_settles(node->join_kind, probe) && !is_even) || n_compared < LEAST_COMPARED ||
      n_shared * 5 > n_compared * 3 || (qn_memory_budget() > 0 && n_bytes > qn_memory_budget() / 16)) {
    return 0;
  }
  // More rows than have been seen will come; how many is not known.
  const int64_t n_probe_bytes = all->sizes.n_bytes[probe] * (all->sizes.is_whole[probe] ? 1 : MORE_TO_COME);
  const int64_t saved = n_probe_bytes / n_compared * (n_compared - n_shared);
  return n_bytes * n_ranks <= saved ? n_blocks : 0;
}

qn_status qn_join_choose(const qn_run *run, const qn_dataset *node, int first,
                         const qn_join_sampler samplers[2], qn_join_choice *out, qn_error *err) {
  qn_status status = QN_OK;
  const int n_ranks = qn_comm_size(run->comm);
  seen all = {0};
  qn_join_choice choice = {.build_side = first};

  if (n_ranks > 1) {
    QN_TRY(gather_seen(run, node, samplers, &all, err));
  } else {
    all.sizes = (seen_sizes){.n_rows = {samplers[0].n_rows, samplers[1].n_rows},
                             .n_bytes = {samplers[0].n_bytes, samplers[1].n_bytes},
                             .is_whole = {samplers[0].is_whole, samplers[1].is_whole}};
  }
  if (all.sizes.is_whole[1 - first] && all.sizes.n_bytes[1 - first] < all.sizes.n_bytes[first]) {
    choice.build_side = 1 - first;
  }
  choice.is_broadcast = pays_to_broadcast(node, &all.sizes, choice.build_side, n_ranks);
  if (n_ranks > 1 && !choice.is_broadcast) {
    QN_TRY(plan_heavy(node, &all, n_ranks, &choice, err));
    // Only of the side that is read first all keys have been seen.
    choice.n_bloom_blocks =
        choice.build_side == first ? choose_bloom(&all, node, choice.build_side, n_ranks) : 0;
  }
  choice.n_build_rows = all.sizes.n_rows[choice.build_side];
  choice.n_build_bytes = all.sizes.n_bytes[choice.build_side];
  *out = choice;
  choice = (qn_join_choice){0};

done:
  qn_join_choice_release(&choice);
  qn_join_sampler_release(&all.sides[0]);
  qn_join_sampler_release(&all.sides[1]);
  return status;
}

void qn_join_choice_release(qn_join_choice *choice) {
  free(choice->routes);
  *choice = (qn_join_choice){0};
}
