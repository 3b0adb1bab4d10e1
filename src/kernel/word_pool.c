// SPDX-License-Identifier: Apache-2.0
// A pool of blocks with one free list per size.
#include "kernel/word_pool.h"
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "kernel/grow_array.h"

qn_status qn_word_pool_take(qn_word_pool *pool, int size_class, int64_t *offset, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t size = INT64_C(1) << size_class;
  int64_t at = pool->free[size_class];

  if (at != 0) {
    pool->free[size_class] = (int64_t)pool->words[at];
  } else {
    at = pool->n_words == 0 ? 1 : pool->n_words;
    QN_TRY(
        qn_array_grow((void **)&pool->words, &pool->capacity, at + size, (int64_t)sizeof *pool->words, err));
    pool->n_words = at + size;
  }
  memset(pool->words + at, 0, (size_t)size * sizeof *pool->words);
  *offset = at;

done:
  return status;
}

void qn_word_pool_give(qn_word_pool *pool, int size_class, int64_t offset) {
  pool->words[offset] = (uint64_t)pool->free[size_class];
  pool->free[size_class] = offset;
}

void qn_word_pool_clear(qn_word_pool *pool) {
  pool->n_words = 0;
  memset(pool->free, 0, sizeof pool->free);
}

void qn_word_pool_release(qn_word_pool *pool) {
  qn_memory_free(pool->words);
  *pool = (qn_word_pool){0};
}
