// SPDX-License-Identifier: Apache-2.0
// A split-block Bloom filter (Apache Parquet's; Putze et al. 2007): a hash sets one bit in each of the eight
// words of one 32-byte block, so a test reads one cache line and its loop over the words is one of vectors.
#pragma once
#include <stdbool.h>
#include <stdint.h>

typedef struct qn_bloom_block {
  uint32_t words[8];
} qn_bloom_block;

/// Blocks for n_keys keys at some 12 bits a key (about one in 250 other keys passes); at least 1.
int64_t qn_bloom_n_blocks(int64_t n_keys);
/// Sets the bits of n hashes in blocks[n_blocks], which begin as zeroes.
void qn_bloom_add(qn_bloom_block *blocks, int64_t n_blocks, const uint64_t *hashes, int64_t n);

/// The bit of word i of its block that stands for a hash.
static inline uint32_t qn_bloom_bit(uint64_t hash, int i) {
  static const uint32_t salts[8] = {0x47b6137bu, 0x44974d91u, 0x8824ad5bu, 0xa2b7289du,
                                    0x705495c7u, 0x2df1424bu, 0x9efc4947u, 0x5c6bfb31u};
  return 1u << (((uint32_t)hash * salts[i]) >> 27);
}
/// Ranks go by the high bits of a hash, so the block goes by others.
static inline int64_t qn_bloom_place(uint64_t hash, int64_t n_blocks) {
  const uint64_t mixed = hash * 0x9e3779b97f4a7c15u;
  return (int64_t)(((mixed >> 32) * (uint64_t)n_blocks) >> 32);
}

/// False: the hash was not added. True: it may have been.
static inline bool qn_bloom_test(const qn_bloom_block *blocks, int64_t n_blocks, uint64_t hash) {
  const qn_bloom_block *block = &blocks[qn_bloom_place(hash, n_blocks)];
  uint32_t missing = 0;
  for (int i = 0; i < 8; i++) {
    missing |= ~block->words[i] & qn_bloom_bit(hash, i);
  }
  return missing == 0;
}
