// SPDX-License-Identifier: Apache-2.0
// Open addressing at a load of at most a half, so that finding a counter is one or two reads. The median is
// that of a few counters, which is near enough.
#include "kernel/key_sketch.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"

enum { FEW = 33 }; // counters that stand for all when the median is sought

typedef struct counter {
  uint64_t hash;
  int64_t count; // 0: free
} counter;

struct qn_key_sketch {
  counter *slots; // [n_slots], a power of two
  counter *spare; // as many, to move counters to
  int64_t n_slots;
  int64_t n_counters, most_counters;
  int64_t n_added;
  int64_t error;
};

typedef struct message_head {
  int64_t n_counters, n_added, error;
} message_head;

qn_status qn_key_sketch_new(int n_counters, qn_key_sketch **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_key_sketch *sketch = calloc(1, sizeof *sketch);
  int64_t n_slots = 16;

  while (n_slots < 2 * (int64_t)n_counters) {
    n_slots *= 2;
  }
  QN_REQUIRE(sketch != NULL, err, QN_ERR_MEMORY, "no memory for a sketch of %d keys", n_counters);
  sketch->n_slots = n_slots;
  sketch->most_counters = n_slots / 2;
  sketch->slots = qn_memory_alloc(n_slots * (int64_t)sizeof *sketch->slots);
  sketch->spare = qn_memory_alloc(n_slots * (int64_t)sizeof *sketch->spare);
  QN_REQUIRE(sketch->slots != NULL && sketch->spare != NULL, err, QN_ERR_MEMORY,
             "no memory for a sketch of %d keys", n_counters);
  memset(sketch->slots, 0, (size_t)n_slots * sizeof *sketch->slots);
  *out = sketch;
  sketch = NULL;

done:
  qn_key_sketch_free(sketch);
  return status;
}

void qn_key_sketch_free(qn_key_sketch *sketch) {
  if (sketch != NULL) {
    qn_memory_free(sketch->slots);
    qn_memory_free(sketch->spare);
    free(sketch);
  }
}

// The counter of a hash, or the free one where it belongs. Hashes may come from a range of one rank, so they
// are mixed.
static counter *find(counter *slots, int64_t n_slots, uint64_t hash) {
  const uint64_t mask = (uint64_t)n_slots - 1;
  uint64_t at = hash * 0x9e3779b97f4a7c15u >> 32 & mask;
  while (slots[at].count != 0 && slots[at].hash != hash) {
    at = (at + 1) & mask;
  }
  return &slots[at];
}

static int compare_counts(const void *a, const void *b) {
  const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

static int64_t median_of_few(const qn_key_sketch *sketch) {
  int64_t few[FEW];
  int n = 0;
  for (int64_t i = 0; i < sketch->n_slots && n < FEW; i++) {
    if (sketch->slots[i].count != 0) {
      few[n++] = sketch->slots[i].count;
    }
  }
  qsort(few, (size_t)n, sizeof *few, compare_counts);
  return few[n / 2];
}

// Takes the median off all counters.
static void purge(qn_key_sketch *sketch) {
  const int64_t median = median_of_few(sketch);
  counter *slots = sketch->spare;

  memset(slots, 0, (size_t)sketch->n_slots * sizeof *slots);
  sketch->n_counters = 0;
  for (int64_t i = 0; i < sketch->n_slots; i++) {
    const counter kept = {sketch->slots[i].hash, sketch->slots[i].count - median};
    if (kept.count > 0) {
      *find(slots, sketch->n_slots, kept.hash) = kept;
      sketch->n_counters++;
    }
  }
  sketch->spare = sketch->slots;
  sketch->slots = slots;
  sketch->error += median;
}

static void add_count(qn_key_sketch *sketch, uint64_t hash, int64_t count) {
  counter *found = find(sketch->slots, sketch->n_slots, hash);
  sketch->n_counters += found->count == 0;
  found->hash = hash;
  found->count += count;
  while (sketch->n_counters >= sketch->most_counters) {
    purge(sketch);
  }
}

void qn_key_sketch_add(qn_key_sketch *sketch, const uint64_t *hashes, int64_t n, int64_t weight) {
  for (int64_t i = 0; i < n; i++) {
    add_count(sketch, hashes[i], weight);
  }
  sketch->n_added += n * weight;
}

int64_t qn_key_sketch_n_added(const qn_key_sketch *sketch) {
  return sketch->n_added;
}

int64_t qn_key_sketch_error(const qn_key_sketch *sketch) {
  return sketch->error;
}

int64_t qn_key_sketch_count(const qn_key_sketch *sketch, uint64_t hash) {
  return find(sketch->slots, sketch->n_slots, hash)->count;
}

static int compare_keys(const void *a, const void *b) {
  const qn_heavy_key *x = a, *y = b;
  if (x->count != y->count) {
    return x->count < y->count ? 1 : -1;
  }
  return (x->hash > y->hash) - (x->hash < y->hash);
}

int qn_key_sketch_heaviest(const qn_key_sketch *sketch, int64_t least, qn_heavy_key *keys, int most) {
  int n = 0;
  int64_t n_heavy = 0;
  counter *heavy = sketch->spare;

  for (int64_t i = 0; i < sketch->n_slots; i++) {
    if (sketch->slots[i].count >= least) {
      heavy[n_heavy++] = sketch->slots[i];
    }
  }
  qsort(heavy, (size_t)n_heavy, sizeof *heavy, compare_keys);
  for (; n < n_heavy && n < most; n++) {
    keys[n] = (qn_heavy_key){.hash = heavy[n].hash, .count = heavy[n].count};
  }
  return n;
}

qn_status qn_key_sketch_write(const qn_key_sketch *sketch, qn_buffer *message, qn_error *err) {
  qn_status status = QN_OK;
  const message_head head = {sketch->n_counters, sketch->n_added, sketch->error};

  QN_TRY(qn_buffer_append(message, &head, (int64_t)sizeof head, err));
  for (int64_t i = 0; i < sketch->n_slots; i++) {
    if (sketch->slots[i].count != 0) {
      QN_TRY(qn_buffer_append(message, &sketch->slots[i], (int64_t)sizeof sketch->slots[i], err));
    }
  }

done:
  return status;
}

qn_status qn_key_sketch_merge(qn_key_sketch *sketch, const uint8_t *data, int64_t n_bytes, int64_t *size,
                              qn_error *err) {
  qn_status status = QN_OK;
  message_head head = {0};
  const int64_t head_size = (int64_t)sizeof head, counter_size = (int64_t)sizeof(counter);

  QN_REQUIRE(n_bytes >= head_size, err, QN_ERR_FORMAT, "a sketch of %" PRId64 " bytes", n_bytes);
  memcpy(&head, data, sizeof head);
  QN_REQUIRE(head.n_counters >= 0 && head.n_counters <= (n_bytes - head_size) / counter_size, err,
             QN_ERR_FORMAT, "a sketch of %" PRId64 " bytes with %" PRId64 " counters", n_bytes,
             head.n_counters);
  for (int64_t i = 0; i < head.n_counters; i++) {
    counter other;
    memcpy(&other, data + head_size + i * counter_size, sizeof other);
    QN_REQUIRE(other.count > 0, err, QN_ERR_FORMAT, "a sketch with a count of %" PRId64, other.count);
    add_count(sketch, other.hash, other.count);
  }
  sketch->n_added += head.n_added;
  sketch->error += head.error;
  *size = head_size + head.n_counters * counter_size;

done:
  return status;
}
