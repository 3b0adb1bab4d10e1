// SPDX-License-Identifier: Apache-2.0
// Which rows have a key that comes often, decided as rows come by: for what is done once per key instead of
// once per row where that pays. A guess: whatever it says must be right for the rest of the program.
#pragma once
#include <stdint.h>

enum { QN_FREQUENT_SLOTS = 4096 };

/// Zeroed: empty and usable. 64 KiB.
typedef struct qn_frequent_keys {
  uint64_t hashes[QN_FREQUENT_SLOTS];
  int64_t counts[QN_FREQUENT_SLOTS];
} qn_frequent_keys;

/// Counts the rows' keys, given by hash, and splits the rows: frequent[0 .. returned) are those whose key has
/// come often lately, others[] the rest; both ascending, with room for n. A key that is more than about one
/// in QN_FREQUENT_SLOTS / 4 rows becomes frequent soon.
int64_t qn_frequent_split(qn_frequent_keys *keys, const uint64_t *hashes, int64_t n, int32_t *frequent,
                          int32_t *others);
