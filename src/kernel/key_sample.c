// SPDX-License-Identifier: Apache-2.0
// Most hashes are turned away by one comparison with the limit of the level.
#include "kernel/key_sample.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"

struct qn_key_sample {
  uint64_t *slots; // [n_slots], a power of two: mixed hashes + 1, 0: free
  uint64_t *spare; // as many
  int64_t n_slots;
  int64_t n_keys;
  int level;
};

typedef struct message_head {
  int64_t level, n_keys;
} message_head;

// Mixed: hashes may all have the same high bits, those of a rank. The last value is given up for + 1.
static uint64_t mix(uint64_t hash) {
  const uint64_t mixed = qn_hash_mix(hash ^ 0x5851f42d4c957f2du);
  return mixed == UINT64_MAX ? 0 : mixed;
}

static uint64_t limit_of(int level) {
  return level == 0 ? UINT64_MAX : UINT64_MAX >> level;
}

qn_status qn_key_sample_new(int n_keys, qn_key_sample **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_key_sample *sample = calloc(1, sizeof *sample);
  int64_t n_slots = 16;

  while (n_slots < 2 * (int64_t)n_keys) {
    n_slots *= 2;
  }
  QN_REQUIRE(sample != NULL, err, QN_ERR_MEMORY, "no memory for a sample of %d keys", n_keys);
  sample->n_slots = n_slots;
  sample->slots = qn_memory_alloc(n_slots * (int64_t)sizeof *sample->slots);
  sample->spare = qn_memory_alloc(n_slots * (int64_t)sizeof *sample->spare);
  QN_REQUIRE(sample->slots != NULL && sample->spare != NULL, err, QN_ERR_MEMORY,
             "no memory for a sample of %d keys", n_keys);
  memset(sample->slots, 0, (size_t)n_slots * sizeof *sample->slots);
  *out = sample;
  sample = NULL;

done:
  qn_key_sample_free(sample);
  return status;
}

void qn_key_sample_free(qn_key_sample *sample) {
  if (sample != NULL) {
    qn_memory_free(sample->slots);
    qn_memory_free(sample->spare);
    free(sample);
  }
}

static uint64_t *find(uint64_t *slots, int64_t n_slots, uint64_t mixed) {
  const uint64_t mask = (uint64_t)n_slots - 1;
  uint64_t at = mixed & mask;
  while (slots[at] != 0 && slots[at] != mixed + 1) {
    at = (at + 1) & mask;
  }
  return &slots[at];
}

static void rise_to(qn_key_sample *sample, int level) {
  uint64_t *slots = sample->spare;

  memset(slots, 0, (size_t)sample->n_slots * sizeof *slots);
  sample->level = level;
  sample->n_keys = 0;
  for (int64_t i = 0; i < sample->n_slots; i++) {
    const uint64_t mixed = sample->slots[i] - 1;
    if (sample->slots[i] != 0 && mixed <= limit_of(level)) {
      *find(slots, sample->n_slots, mixed) = mixed + 1;
      sample->n_keys++;
    }
  }
  sample->spare = sample->slots;
  sample->slots = slots;
}

static void add_mixed(qn_key_sample *sample, uint64_t mixed) {
  uint64_t *found = find(sample->slots, sample->n_slots, mixed);
  sample->n_keys += *found == 0;
  *found = mixed + 1;
  while (sample->n_keys >= sample->n_slots / 2) {
    rise_to(sample, sample->level + 1);
  }
}

void qn_key_sample_add(qn_key_sample *sample, const uint64_t *hashes, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    const uint64_t mixed = mix(hashes[i]);
    if (mixed <= limit_of(sample->level)) {
      add_mixed(sample, mixed);
    }
  }
}

int64_t qn_key_sample_n_distinct(const qn_key_sample *sample) {
  return sample->n_keys << sample->level;
}

void qn_key_sample_compare(const qn_key_sample *sample, const qn_key_sample *other, int64_t *n_shared,
                           int64_t *n_compared) {
  const uint64_t limit = limit_of(sample->level > other->level ? sample->level : other->level);
  *n_shared = 0;
  *n_compared = 0;
  for (int64_t i = 0; i < sample->n_slots; i++) {
    const uint64_t mixed = sample->slots[i] - 1;
    if (sample->slots[i] != 0 && mixed <= limit) {
      *n_compared += 1;
      *n_shared += *find(other->slots, other->n_slots, mixed) != 0;
    }
  }
}

qn_status qn_key_sample_write(const qn_key_sample *sample, qn_buffer *message, qn_error *err) {
  qn_status status = QN_OK;
  const message_head head = {sample->level, sample->n_keys};

  QN_TRY(qn_buffer_append(message, &head, (int64_t)sizeof head, err));
  for (int64_t i = 0; i < sample->n_slots; i++) {
    if (sample->slots[i] != 0) {
      QN_TRY(qn_buffer_append(message, &sample->slots[i], (int64_t)sizeof sample->slots[i], err));
    }
  }

done:
  return status;
}

qn_status qn_key_sample_merge(qn_key_sample *sample, const uint8_t *data, int64_t n_bytes, int64_t *size,
                              qn_error *err) {
  qn_status status = QN_OK;
  message_head head = {0};
  const int64_t head_size = (int64_t)sizeof head, key_size = (int64_t)sizeof(uint64_t);

  QN_REQUIRE(n_bytes >= head_size, err, QN_ERR_FORMAT, "a sample of %" PRId64 " bytes", n_bytes);
  memcpy(&head, data, sizeof head);
  QN_REQUIRE(head.n_keys >= 0 && head.n_keys <= (n_bytes - head_size) / key_size && head.level >= 0 &&
                 head.level < 64,
             err, QN_ERR_FORMAT, "a sample of %" PRId64 " bytes with %" PRId64 " keys", n_bytes, head.n_keys);
  if (head.level > sample->level) {
    rise_to(sample, (int)head.level);
  }
  for (int64_t i = 0; i < head.n_keys; i++) {
    uint64_t slot;
    memcpy(&slot, data + head_size + i * key_size, sizeof slot);
    if (slot != 0 && slot - 1 <= limit_of(sample->level)) {
      add_mixed(sample, slot - 1);
    }
  }
  *size = head_size + head.n_keys * key_size;

done:
  return status;
}
