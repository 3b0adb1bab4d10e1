// SPDX-License-Identifier: Apache-2.0
// Blocks of 2^k words for the small tables of sketches, one per group: groups have millions of them, too many
// for an allocation each. Blocks are named by offset, since the pool moves when it grows.
#pragma once
#include <stdint.h>
#include <quern/status.h>

enum { QN_POOL_CLASSES = 24 };

/// Zeroed: empty and usable.
typedef struct qn_word_pool {
  uint64_t *words;
  int64_t n_words; // handed out so far; word 0 is never
  int64_t capacity;
  int64_t free[QN_POOL_CLASSES]; // per class a list of blocks that came back, linked by their first words; 0:
                                 // none
} qn_word_pool;

/// A block of 2^size_class zero words.
qn_status qn_word_pool_take(qn_word_pool *pool, int size_class, int64_t *offset, qn_error *err);
void qn_word_pool_give(qn_word_pool *pool, int size_class, int64_t offset);
/// Takes all blocks back, keeps the memory.
void qn_word_pool_clear(qn_word_pool *pool);
void qn_word_pool_release(qn_word_pool *pool);
