// SPDX-License-Identifier: Apache-2.0
// The words of a text as rows, a piece of the text at a time: first the edges of all its words, then copies
// of them.
#include <inttypes.h>
#include "base/check.h"
#include "base/utf8.h"
#include "column/appender_state.h"

static void append_found(qn_appender *appender, const qn_word_piece *piece, int64_t n_words) {
  qn_column_builder *builder = appender->slots[0].builder;
  int64_t n_done = 0;

  while (n_done < n_words && appender->status == QN_OK) {
    const int64_t room = appender->most_rows - appender->n_rows;
    const int64_t n = n_words - n_done < room ? n_words - n_done : room;
    const qn_status status = qn_column_builder_reserve(builder, n, QN_WORD_PIECE, &appender->error);
    if (status != QN_OK) {
      qn_appender_keep_mistake(appender, status);
      return;
    }
    const int64_t size_before = builder->bytes.size;
    int32_t *ends = (int32_t *)(void *)(builder->values.data + builder->values.size);
    builder->bytes.size = appender->words->copy(piece, n_done, n, builder->bytes.data, size_before, ends);
    builder->values.size += 4 * n;
    builder->n_rows += n;
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
  qn_word_piece piece;

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
    const int64_t piece_size = size - at < QN_WORD_PIECE ? size - at : QN_WORD_PIECE;
    int64_t n_words = is_easy ? appender->words->find(&piece, text + at, piece_size) : 0;
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
