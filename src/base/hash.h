// SPDX-License-Identifier: Apache-2.0
// The only door to xxHash, and integer mixing. Hashes are the same on every machine and in every run:
// partitioning, sampling and checksums rest on them.
#pragma once
#include <stdint.h>

/// XXH3, 64 bits.
uint64_t qn_hash_bytes(const void *data, int64_t size, uint64_t seed);

/// A bijective mix of 64 bits (the finaliser of MurmurHash3).
static inline uint64_t qn_hash_mix(uint64_t value) {
  value ^= value >> 33;
  value *= 0xff51afd7ed558ccdull;
  value ^= value >> 33;
  value *= 0xc4ceb9fe1a85ec53ull;
  value ^= value >> 33;
  return value;
}
/// Combines the hash of one more column with the hash of those before.
static inline uint64_t qn_hash_combine(uint64_t before, uint64_t hash) {
  return qn_hash_mix(before * 0x9e3779b97f4a7c15ull + hash);
}
/// A number in [0, 1), of 53 bits.
static inline double qn_hash_to_unit(uint64_t hash) {
  return (double)(hash >> 11) * 0x1p-53;
}
/// Maps a hash to 0 .. n - 1 by its high bits (multiply-shift, Lemire 2019); tables use the low bits.
static inline int32_t qn_hash_to_range(uint64_t hash, int32_t n) {
  return (int32_t)(((hash >> 32) * (uint64_t)n) >> 32);
}
