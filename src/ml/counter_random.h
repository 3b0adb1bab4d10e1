// SPDX-License-Identifier: Apache-2.0
// Random numbers by counter: a number is a hash of the seed and of what it is for (a round, a row), so it
// does not depend on who draws it, in which order, or on how many ranks.
#pragma once
#include <math.h>
#include <stdint.h>
#include "base/hash.h"

static inline uint64_t qn_counter_bits(uint64_t seed, uint64_t stream, uint64_t counter) {
  return qn_hash_combine(qn_hash_combine(qn_hash_mix(seed + 0x9e3779b97f4a7c15ull), stream), counter);
}
/// 0 < result < 1.
static inline double qn_counter_uniform(uint64_t seed, uint64_t stream, uint64_t counter) {
  return ((double)(qn_counter_bits(seed, stream, counter) >> 12) + 0.5) * 0x1p-52;
}
/// Normally distributed (Box and Muller, 1958).
static inline double qn_counter_normal(uint64_t seed, uint64_t stream, uint64_t counter) {
  const double radius = sqrt(-2.0 * log(qn_counter_uniform(seed, stream, 2 * counter)));
  return radius * cos(2.0 * M_PI * qn_counter_uniform(seed, stream, 2 * counter + 1));
}
