// SPDX-License-Identifier: Apache-2.0
// Heavy hitters of a stream of key hashes in bounded memory, mergeable between ranks: a hash table of
// counters that, when full, takes the median counter off all of them and forgets those that reach zero
// (Misra-Gries as in Anderson et al., "A High-Performance Algorithm for Identifying Frequent Items in Data
// Streams", 2017; merging: Agarwal et al., "Mergeable Summaries", 2012). What was taken off bounds the error.
#pragma once
#include <stdint.h>
#include "base/buffer.h"

typedef struct qn_key_sketch qn_key_sketch;

typedef struct qn_heavy_key {
  uint64_t hash;
  int64_t count; // at least so many were added; at most qn_key_sketch_error() more
} qn_heavy_key;

/// Local. A key with more than (all added) / (n_counters / 4) is among the counters in the end. 16 bytes a
/// counter, twice.
qn_status qn_key_sketch_new(int n_counters, qn_key_sketch **out, qn_error *err);
void qn_key_sketch_free(qn_key_sketch *sketch);
/// Counts each of the hashes `weight` >= 1 times (rows of a sample stand for others).
void qn_key_sketch_add(qn_key_sketch *sketch, const uint64_t *hashes, int64_t n, int64_t weight);
/// The sum of all weights.
int64_t qn_key_sketch_n_added(const qn_key_sketch *sketch);
int64_t qn_key_sketch_error(const qn_key_sketch *sketch);
/// The count of a key as in qn_heavy_key; 0 if it has no counter.
int64_t qn_key_sketch_count(const qn_key_sketch *sketch, uint64_t hash);
/// The keys with a count of at least `least` (>= 1), by falling count, then by hash; at most `most` of them.
/// Returns how many.
int qn_key_sketch_heaviest(const qn_key_sketch *sketch, int64_t least, qn_heavy_key *keys, int most);
/// Appends the sketch as a message; and adds such a message, of this program on the same kind of machine, to
/// a sketch. *size: bytes that were read. QN_ERR_FORMAT if it is none.
qn_status qn_key_sketch_write(const qn_key_sketch *sketch, qn_buffer *message, qn_error *err);
qn_status qn_key_sketch_merge(qn_key_sketch *sketch, const uint8_t *data, int64_t n_bytes, int64_t *size,
                              qn_error *err);
