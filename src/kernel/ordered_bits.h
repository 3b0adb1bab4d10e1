// SPDX-License-Identifier: Apache-2.0
// Floating-point numbers as integers: one bit pattern for all that are equal, and integers in the order of
// the numbers (NaN above all).
#pragma once
#include <stdint.h>
#include <string.h>

/// The bits, with one pattern for NaN and -0.0 as 0.0.
static inline uint64_t qn_float64_bits(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  bits = value != value ? 0x7ff8000000000000u : bits;
  return value == 0.0 ? 0 : bits;
}
static inline uint32_t qn_float32_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  bits = value != value ? 0x7fc00000u : bits;
  return value == 0.0f ? 0 : bits;
}

/// Bits of a number that is not NaN, or of the one NaN above, to an integer of the same order and back. -0.0,
/// if kept, is just below 0.0.
static inline int64_t qn_float64_to_ordered(uint64_t bits) {
  return (int64_t)(bits ^ ((uint64_t)((int64_t)bits >> 63) >> 1));
}
static inline uint64_t qn_float64_from_ordered(int64_t ordered) {
  return (uint64_t)ordered ^ ((uint64_t)(ordered >> 63) >> 1);
}
static inline int32_t qn_float32_to_ordered(uint32_t bits) {
  return (int32_t)(bits ^ ((uint32_t)((int32_t)bits >> 31) >> 1));
}
