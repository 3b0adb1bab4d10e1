// SPDX-License-Identifier: Apache-2.0
// Adding; testing is inline.
#include "kernel/bloom_filter.h"

int64_t qn_bloom_n_blocks(int64_t n_keys) {
  const int64_t n_blocks = n_keys / 21 + 1; // 256 bits / 12
  return n_blocks < UINT32_MAX ? n_blocks : UINT32_MAX;
}

void qn_bloom_add(qn_bloom_block *blocks, int64_t n_blocks, const uint64_t *hashes, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    qn_bloom_block *block = &blocks[qn_bloom_place(hashes[i], n_blocks)];
    for (int w = 0; w < 8; w++) {
      block->words[w] |= qn_bloom_bit(hashes[i], w);
    }
  }
}
