// SPDX-License-Identifier: Apache-2.0
// Where words begin and end in a text, and copying them behind each other. Both exist for several instruction
// sets with the same results; which runs is decided by the processor at hand.
#pragma once
#include <stdint.h>

enum {
  QN_WORD_PIECE = 1024, // bytes of text at most
  QN_WORD_SLACK = 80    // bytes behind, for whole vectors
};

/// A piece of a text and its words. White space is what isspace() says of ASCII.
typedef struct qn_word_piece {
  const char *text;
  uint32_t edges[QN_WORD_PIECE + QN_WORD_SLACK]; // begin and end of each word in turn
  char copy[QN_WORD_PIECE + QN_WORD_SLACK];      // of the text, where the kernel wants to read behind it
} qn_word_piece;

typedef struct qn_word_kernels {
  const char *name;
  /// Finds the words of text[0 .. size - 1], size <= QN_WORD_PIECE; nothing outside is read. Returns their
  /// number.
  int64_t (*find)(qn_word_piece *piece, const char *text, int64_t size);
  /// Copies words first .. first + n - 1 behind bytes[at - 1] and writes where each ends to ends[0 .. n - 1].
  /// Returns where the last ends. Up to 15 bytes behind that are overwritten.
  int64_t (*copy)(const qn_word_piece *piece, int64_t first, int64_t n, uint8_t *bytes, int64_t at,
                  int32_t *ends);
} qn_word_kernels;

/// The fastest for this processor.
const qn_word_kernels *qn_word_kernels_best(void);
extern const qn_word_kernels qn_word_kernels_plain;
/// NULL where the processor cannot run them.
const qn_word_kernels *qn_word_kernels_avx512(void);
