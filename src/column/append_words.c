// SPDX-License-Identifier: Apache-2.0
// The words of a text as rows. Lengths of words cannot be predicted, so nothing here branches on them: the
// edges of all words of a piece are found first, sixteen bytes a step, and then each word is a copy of
// sixteen bytes of which the next overwrites what is too much.
#include <endian.h>
#include <inttypes.h>
#include <string.h>
#include "base/check.h"
#include "base/utf8.h"
#include "column/appender_state.h"

enum { PIECE_BYTES = 1024, BLOCK_BYTES = 64, STEP_BYTES = 16 };

typedef uint8_t step_bytes __attribute__((vector_size(STEP_BYTES)));

// A piece of the text, copied so that bytes behind it may be read; white space follows it.
typedef struct {
  char text[PIECE_BYTES + BLOCK_BYTES + STEP_BYTES];
  uint32_t edges[PIECE_BYTES + 2]; // begin and end of each word in turn
} word_piece;

// Bit i: byte i is a blank, tab, line feed, vertical tab, form feed or return.
static inline uint64_t find_spaces(const char *text) {
  uint64_t spaces = 0;
  for (int i = 0; i < BLOCK_BYTES; i += STEP_BYTES) {
    step_bytes bytes;
    uint64_t halves[2];
    memcpy(&bytes, text + i, sizeof bytes);
    const step_bytes found = (step_bytes)(bytes == ' ') | (step_bytes)(bytes - '\t' <= '\r' - '\t');
    memcpy(halves, &found, sizeof halves);
    for (int h = 0; h < 2; h++) { // the multiplication brings bit 8k to bit 56 + k
      const uint64_t bits = ((le64toh(halves[h]) & 0x0101010101010101u) * 0x0102040810204080u) >> 56;
      spaces |= bits << (i + 8 * h);
    }
  }
  return spaces;
}

// In steps, the last of which may overlap the one before: a call of memcpy is too much for a line.
static inline void copy_text(char *to, const char *text, int64_t size) {
  if (size < STEP_BYTES) {
    for (int64_t i = 0; i < size; i++) {
      to[i] = text[i];
    }
    return;
  }
  for (int64_t i = 0; i < size - STEP_BYTES; i += STEP_BYTES) {
    memcpy(to + i, text + i, STEP_BYTES);
  }
  memcpy(to + size - STEP_BYTES, text + size - STEP_BYTES, STEP_BYTES);
}

// Copies text[0 .. size - 1] into the piece and finds its words; their number.
static int64_t find_words(word_piece *piece, const char *text, int64_t size) {
  uint32_t *edge = piece->edges;
  uint64_t in_word = 0;

  copy_text(piece->text, text, size);
  memset(piece->text + size, ' ', BLOCK_BYTES);
  for (int64_t first = 0; first <= size; first += BLOCK_BYTES) {
    const uint64_t letters = ~find_spaces(piece->text + first);
    uint64_t edges = letters ^ (letters << 1 | in_word);
    in_word = letters >> 63;
    for (; edges != 0; edges &= edges - 1) {
      *edge++ = (uint32_t)(first + __builtin_ctzll(edges));
    }
  }
  return (edge - piece->edges) / 2;
}

// There is room for them.
static void copy_words(qn_column_builder *builder, const char *text, const uint32_t *edges, int64_t n_words) {
  uint8_t *bytes = builder->bytes.data;
  int32_t *offsets = (int32_t *)(void *)(builder->values.data + builder->values.size);
  int64_t at = builder->bytes.size;

  for (int64_t i = 0; i < n_words; i++) {
    const char *word = text + edges[2 * i];
    const int64_t size = edges[2 * i + 1] - edges[2 * i];
    memcpy(bytes + at, word, STEP_BYTES);
    for (int64_t done = STEP_BYTES; __builtin_expect(done < size, 0); done += STEP_BYTES) {
      memcpy(bytes + at + done, word + done, STEP_BYTES);
    }
    at += size;
    offsets[i] = (int32_t)at;
  }
  builder->bytes.size = at;
  builder->values.size += 4 * n_words;
  builder->n_rows += n_words;
}

static void append_found(qn_appender *appender, const word_piece *piece, int64_t n_words) {
  qn_column_builder *builder = appender->slots[0].builder;
  int64_t n_done = 0;

  while (n_done < n_words && appender->status == QN_OK) {
    const int64_t room = appender->most_rows - appender->n_rows;
    const int64_t n = n_words - n_done < room ? n_words - n_done : room;
    const qn_status status = qn_column_builder_reserve(builder, n, PIECE_BYTES, &appender->error);
    if (status != QN_OK) {
      qn_appender_keep_mistake(appender, status);
      return;
    }
    const int64_t size_before = builder->bytes.size;
    copy_words(builder, piece->text, piece->edges + 2 * n_done, n);
    n_done += n;
    appender->n_rows += n;
    appender->n_bytes += builder->bytes.size - size_before + n * appender->row_bytes;
    if (appender->n_rows >= appender->most_rows || appender->n_bytes >= appender->most_bytes) {
      qn_appender_hand_over(appender);
    }
  }
}

// The way of text that is longer than a piece, not valid, or among nulls: word by word. Appends the first
// word and returns where it ends.
static int64_t append_first_word(qn_appender *appender, const char *text, int64_t size) {
  int64_t first = 0;
  while (first < size && (text[first] == ' ' || (text[first] >= '\t' && text[first] <= '\r'))) {
    first++;
  }
  int64_t end = first;
  while (end < size && text[end] != ' ' && !(text[end] >= '\t' && text[end] <= '\r')) {
    end++;
  }
  if (end > first) {
    qn_append_text(appender, text + first, end - first);
  }
  return end;
}

void qn_append_words(qn_appender *appender, const char *text, int64_t size) {
  const qn_appender_slot *slot = &appender->slots[0];
  word_piece piece;

  if (slot->accepts != 0 && (appender->n_columns > 1 || size < 0)) {
    qn_appender_keep_mistake(appender,
                             qn_fail(&appender->error, QN_ERR_ARG,
                                     "words of %" PRId64 " bytes were appended to rows of %d columns; "
                                     "qn_append_words takes a text and makes rows of one column",
                                     size, appender->n_columns));
  }
  const bool is_text = (slot->accepts & (1u << QN_UTF8 | 1u << QN_BINARY)) != 0;
  const bool is_easy = is_text && slot->builder->n_nulls == 0 &&
                       (slot->builder->type == QN_BINARY || qn_utf8_find_invalid(text, size) < 0);
  for (int64_t at = 0; at < size && appender->status == QN_OK;) {
    const int64_t piece_size = size - at < PIECE_BYTES ? size - at : PIECE_BYTES;
    int64_t n_words = is_easy ? find_words(&piece, text + at, piece_size) : 0;
    int64_t n_used = piece_size;
    if (n_words > 0 && at + piece_size < size && piece.edges[2 * n_words - 1] == piece_size) {
      n_used = piece.edges[2 * --n_words]; // it may go on
    }
    if (!is_easy || n_used == 0) {
      n_used = append_first_word(appender, text + at, size - at);
    }
    append_found(appender, &piece, n_words);
    at += n_used;
  }
}
