// SPDX-License-Identifier: Apache-2.0
// How a join goes about its work, decided by all ranks together from counted sizes and sketches of the keys
// of both sides: which side is built, whether it goes to all ranks, which keys are too heavy for one rank,
// and whether a Bloom filter pays.
#pragma once
#include "exec/join_output.h"
#include "exec/run.h"
#include "kernel/key_sample.h"
#include "kernel/key_sketch.h"

/// Where rows of a key are joined.
typedef enum qn_join_route {
  QN_ROUTE_HOME,   // on the rank of its hash
  QN_ROUTE_SPREAD, // many build rows: these are dealt out to all ranks, and each probe row goes to all
  QN_ROUTE_SHARED, // many probe rows: these are dealt out, and each build row goes to all
  QN_N_ROUTES
} qn_join_route;

/// What a rank has seen of one side of a join.
typedef struct qn_join_sampler {
  int64_t n_rows, n_bytes;
  int64_t n_batches;
  bool is_whole;         // no more rows will come on this rank
  qn_key_sketch *sketch; // of the hashes of some of the rows; NULL on one rank
  qn_key_sample *keys;   // of the side that is read first: of all rows
  const int *key_columns;
  int n_keys;
  const qn_column **columns; // [n_keys]
  uint64_t *hashes;          // [capacity]
  int64_t capacity;
} qn_join_sampler;

qn_status qn_join_sampler_init(qn_join_sampler *sampler, const qn_run *run, const qn_dataset *node, int side,
                               qn_error *err);
void qn_join_sampler_release(qn_join_sampler *sampler);
/// Rows of the side; is_first: of the one that is read first, whose different keys are counted.
qn_status qn_join_sampler_add(qn_join_sampler *sampler, const qn_batch *batch, bool is_first, qn_error *err);

typedef struct qn_route_of_key {
  uint64_t hash;
  int32_t place; // number of the key among the heavy ones + 1; 0: free
  qn_join_route route;
} qn_route_of_key;

typedef struct qn_join_choice {
  int build_side;          // 0: left
  bool is_broadcast;       // all build rows are shared, and probe rows stay where they are
  qn_route_of_key *routes; // [n_slots], by hash; for the heavy keys
  int64_t n_slots;         // a power of two, or 0
  int n_heavy[QN_N_ROUTES];
  int64_t n_build_rows, n_build_bytes; // on all ranks
  int64_t n_bloom_blocks;              // of each rank's filter of its build keys; 0: none
} qn_join_choice;

/// Collective. samplers[0] is of the left. The side `first` is whole on all ranks.
qn_status qn_join_choose(const qn_run *run, const qn_dataset *node, int first,
                         const qn_join_sampler samplers[2], qn_join_choice *out, qn_error *err);
void qn_join_choice_release(qn_join_choice *choice);
/// True if a side of so many rows and bytes, on all ranks together, goes to all whatever the other one is.
bool qn_join_is_small(const qn_dataset *node, int side, int64_t n_rows, int64_t n_bytes);

/// True if the rows of both sides are on the rank of their key's hash already.
bool qn_join_lies_ready(const qn_dataset *node);

/// The route of a key, and in *place the number of a heavy one.
static inline qn_join_route qn_join_route_of(const qn_join_choice *choice, uint64_t hash, int32_t *place) {
  const uint64_t mask = (uint64_t)choice->n_slots - 1;
  uint64_t at = hash & mask;
  while (choice->routes[at].place != 0) {
    if (choice->routes[at].hash == hash) {
      *place = choice->routes[at].place - 1;
      return choice->routes[at].route;
    }
    at = (at + 1) & mask;
  }
  return QN_ROUTE_HOME;
}
