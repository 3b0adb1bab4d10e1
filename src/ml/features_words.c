// SPDX-License-Identifier: Apache-2.0
// Vocabularies: a hash table of texts that differ; and the words of a text.
#include <string.h>
#include "base/check.h"
#include "base/hash.h"
#include "expr/text_case.h"
#include "expr/text_rows.h"
#include "ml/features_steps.h"

static uint64_t slot_of(const qn_vocabulary *vocabulary, const char *text, int64_t size) {
  const uint64_t mask = vocabulary->n_slots - 1;
  uint64_t slot = qn_hash_bytes(text, size, 0) & mask;
  while (vocabulary->slots[slot] >= 0) {
    const int32_t word = vocabulary->slots[slot];
    if (vocabulary->sizes[word] == size && memcmp(vocabulary->words[word], text, (size_t)size) == 0) {
      break;
    }
    slot = (slot + 1) & mask;
  }
  return slot;
}

qn_status qn_vocabulary_new(const char **words, const int32_t *sizes, int32_t n, qn_arena *arena,
                            qn_vocabulary *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_vocabulary made = {.n = n, .words = words, .sizes = sizes, .n_slots = 16};

  while (made.n_slots < 2 * (uint64_t)n) {
    made.n_slots *= 2;
  }
  made.slots = qn_arena_alloc(arena, (int64_t)made.n_slots * (int64_t)sizeof *made.slots);
  QN_REQUIRE(made.slots != NULL, err, QN_ERR_MEMORY, "features: no memory for %d words", n);
  memset(made.slots, 0xff, made.n_slots * sizeof *made.slots);
  for (int32_t i = 0; i < n; i++) {
    const uint64_t slot = slot_of(&made, words[i], sizes[i]);
    QN_REQUIRE(made.slots[slot] < 0, err, QN_ERR_FORMAT, "features: '%s' occurs twice among the words",
               words[i]);
    made.slots[slot] = i;
  }
  *out = made;

done:
  return status;
}

int32_t qn_vocabulary_find(const qn_vocabulary *vocabulary, const char *text, int64_t size) {
  return vocabulary->n_slots == 0 ? -1 : vocabulary->slots[slot_of(vocabulary, text, size)];
}

void qn_word_reader_init(qn_word_reader *reader) {
  *reader = (qn_word_reader){.locale = qn_utf8_locale_new()};
}

void qn_word_reader_release(qn_word_reader *reader) {
  qn_utf8_locale_free(reader->locale);
  qn_buffer_release(&reader->lower);
  *reader = (qn_word_reader){0};
}

qn_status qn_word_reader_start(qn_word_reader *reader, qn_text text, qn_error *err) {
  qn_status status = QN_OK;
  uint8_t all = 0;

  reader->at = 0;
  reader->lower.size = 0;
  QN_TRY(qn_buffer_reserve(&reader->lower, text.size, err));
  for (int64_t i = 0; i < text.size; i++) {
    const uint8_t c = (uint8_t)text.data[i];
    all |= c;
    reader->lower.data[i] = c >= 'A' && c <= 'Z' ? c + 32 : c;
  }
  if (all < 0x80) {
    reader->lower.size = text.size;
  } else {
    QN_TRY(qn_text_append_case(text, false, reader->locale, &reader->lower, err));
  }

done:
  return status;
}

// Beyond ASCII all but the blocks of punctuation count as letters.
static bool is_word_character(uint32_t c) {
  if (c < 0x80) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  }
  const bool is_latin_sign = c <= 0xbf && c != 0xaa && c != 0xb5 && c != 0xba && c != 0xb2 && c != 0xb3 &&
                             c != 0xb9 && c != 0xbc && c != 0xbd && c != 0xbe;
  return !is_latin_sign && c != 0xd7 && c != 0xf7 && !(c >= 0x2000 && c <= 0x206f) &&
         !(c >= 0x20a0 && c <= 0x20cf) && !(c >= 0x2190 && c <= 0x245f) && !(c >= 0x2500 && c <= 0x27bf) &&
         !(c >= 0x3000 && c <= 0x3004) && !(c >= 0x3008 && c <= 0x3020) && !(c >= 0xff00 && c <= 0xff0f) &&
         !(c >= 0xff1a && c <= 0xff20) && !(c >= 0x1f000 && c <= 0x1faff);
}

bool qn_word_reader_next(qn_word_reader *reader, qn_text *word) {
  const char *data = (const char *)reader->lower.data;
  const int64_t end = reader->lower.size;

  while (reader->at < end) {
    const int64_t first = reader->at;
    int64_t n_characters = 0;
    while (reader->at < end && is_word_character(qn_char_decode(data + reader->at))) {
      reader->at += qn_char_size(data[reader->at]);
      n_characters++;
    }
    const int64_t behind = reader->at;
    if (reader->at < end) {
      reader->at += qn_char_size(data[reader->at]);
    }
    if (n_characters >= 2) {
      *word = (qn_text){.data = data + first, .size = behind - first};
      return true;
    }
  }
  return false;
}
