// SPDX-License-Identifier: Apache-2.0
// Hashes of bytes by xxHash.
#include "base/hash.h"
#include <xxhash.h>

uint64_t qn_hash_bytes(const void *data, int64_t size, uint64_t seed) {
  return XXH3_64bits_withSeed(data, (size_t)size, seed);
}
