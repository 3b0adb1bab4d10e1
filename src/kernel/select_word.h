// SPDX-License-Identifier: Apache-2.0
// The k-th smallest of an array of words, without sorting it.
#pragma once
#include <stdint.h>

/// The word that would stand at words[k] if the n words were sorted, 0 <= k < n. Moves the words: afterwards
/// none before place k is larger and none behind it smaller. Takes time in proportion to n, whatever the
/// words.
int64_t qn_select_word(int64_t *words, int64_t n, int64_t k);
