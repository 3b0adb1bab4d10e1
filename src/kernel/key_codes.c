// SPDX-License-Identifier: Apache-2.0
// Codes of keys. Code 0 is null. The array of groups has a cell for every combination of codes that the key
// columns have room for; when a column needs more room (a new range, a fuller dictionary) the cells are made
// anew and filled by the rows to come. The work on what is not known is bounded: cells, dictionaries and the
// number of new beginnings are, and past their bound the shortcut is off for good.
#include "kernel/key_codes.h"
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"
#include "column/bitmap.h"
#include "column/schema.h"
#include "kernel/short_text.h"

enum {
  BLOCK_ROWS = 512,
  MOST_TEXT = 15,      // bytes: two words, the last byte of which is the size
  FIRST_TEXTS = 64,    // codes that a dictionary has room for at first
  MOST_TEXTS = 4096,   // and at most
  SLOTS_PER_TEXT = 4,  // of a dictionary
  MOST_BEGINNINGS = 24 // of the cells
};
static const int64_t most_cells = INT64_C(1) << 20; // 4 bytes each

typedef struct text_slot {
  uint64_t low, high; // the text; the top byte of high is its size + 1, so an empty slot is 0, 0
  int64_t code;
} text_slot;

typedef struct key_code {
  qn_type type;
  int64_t base;     // of integers: value - base + 1 is the code, ...
  int64_t largest;  // ... up to this value
  int64_t n_codes;  // that there is room for, null included; 0: none yet
  text_slot *slots; // of texts: [n_codes * SLOTS_PER_TEXT]
  int64_t n_texts;
} key_code;

struct qn_key_codes {
  int n_keys;
  key_code *keys;
  int32_t *cells; // group + 1; 0: not known
  int64_t n_cells;
  int n_beginnings;
  int64_t n_learned; // rows
  bool is_off;
};

static bool is_integer(qn_type type) {
  return type == QN_INT32 || type == QN_DATE || type == QN_INT64 || type == QN_TIMESTAMP || type == QN_BOOL;
}

qn_status qn_key_codes_new(const qn_type *types, int n_keys, qn_key_codes **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_key_codes *codes = calloc(1, sizeof *codes);

  QN_REQUIRE(codes != NULL, err, QN_ERR_MEMORY, "no memory for key codes");
  codes->n_keys = n_keys;
  codes->is_off = n_keys == 0;
  codes->keys = calloc((size_t)n_keys + 1, sizeof *codes->keys);
  QN_REQUIRE(codes->keys != NULL, err, QN_ERR_MEMORY, "no memory for key codes");
  for (int k = 0; k < n_keys; k++) {
    codes->keys[k].type = types[k];
    codes->is_off = codes->is_off || !(is_integer(types[k]) || qn_type_is_text(types[k]));
  }
  *out = codes;
  codes = NULL;

done:
  qn_key_codes_free(codes);
  return status;
}

static void release_arrays(qn_key_codes *codes) {
  for (int k = 0; codes->keys != NULL && k < codes->n_keys; k++) {
    qn_memory_free(codes->keys[k].slots);
    codes->keys[k].slots = NULL;
  }
  qn_memory_free(codes->cells);
  codes->cells = NULL;
  codes->n_cells = 0;
}

void qn_key_codes_free(qn_key_codes *codes) {
  if (codes != NULL) {
    release_arrays(codes);
    free(codes->keys);
    free(codes);
  }
}

static void switch_off(qn_key_codes *codes) {
  codes->is_off = true;
  release_arrays(codes);
}

bool qn_key_codes_is_on(const qn_key_codes *codes) {
  return !codes->is_off;
}

// A text as a slot has it; false if it is too long.
static inline bool text_words(const qn_column *column, int64_t row, int64_t end, qn_text_words *out) {
  const int64_t start = column->offsets[row];
  const int64_t size = column->offsets[row + 1] - start;
  *out = qn_text_words_load(column->bytes, start, size, end);
  out->high |= (uint64_t)(size + 1) << 56;
  return size <= MOST_TEXT;
}

static inline text_slot *find_text(const key_code *key, qn_text_words words) {
  const uint64_t mask = (uint64_t)key->n_codes * SLOTS_PER_TEXT - 1;
  const uint64_t mixed = (words.low ^ words.high * 0x9e3779b97f4a7c15u) * 0xff51afd7ed558ccdu;
  uint64_t at = mixed >> 32 & mask;
  for (;;) {
    text_slot *slot = &key->slots[at];
    if ((slot->low == words.low && slot->high == words.high) || slot->high == 0) {
      return slot;
    }
    at = (at + 1) & mask;
  }
}

// Adds each row's code times the stride to places; a value without a code makes the place -1 for good.
static void add_text_codes(const key_code *key, const qn_column *column, int64_t first, int64_t n,
                           int64_t stride, int64_t *places) {
  const int64_t end = column->offsets[column->n_rows];
  const uint8_t *validity = column->n_nulls != 0 ? column->validity : NULL;

  for (int64_t i = 0; i < n; i++) {
    qn_text_words words;
    const bool is_short = text_words(column, first + i, end, &words);
    const bool is_null = validity != NULL && !qn_bitmap_get(validity, first + i);
    const text_slot *slot = find_text(key, words);
    const bool is_known = is_null || (is_short && slot->high != 0);
    const int64_t place = places[i] + (is_null ? 0 : slot->code * stride);
    places[i] = is_known && places[i] >= 0 ? place : -1;
  }
}

static inline int64_t integer_at(const qn_column *column, int64_t row) {
  switch (column->type) {
  case QN_BOOL:
    return ((const uint8_t *)column->values)[row] != 0;
  case QN_INT32:
  case QN_DATE:
    return ((const int32_t *)column->values)[row];
  default:
    return ((const int64_t *)column->values)[row];
  }
}

static inline int64_t place_of_integer(const key_code *key, int64_t value, int64_t stride, int64_t place) {
  const uint64_t code = (uint64_t)value - (uint64_t)key->base + 1;
  return code - 1 < (uint64_t)key->n_codes - 1 && place >= 0 ? place + (int64_t)code * stride : -1;
}

static void add_integer_codes(const key_code *key, const qn_column *column, int64_t first, int64_t n,
                              int64_t stride, int64_t *places) {
  if (column->n_nulls != 0 && column->validity != NULL) {
    for (int64_t i = 0; i < n; i++) {
      const bool is_null = !qn_bitmap_get(column->validity, first + i);
      places[i] =
          is_null ? places[i] : place_of_integer(key, integer_at(column, first + i), stride, places[i]);
    }
  } else if (column->type == QN_INT32 || column->type == QN_DATE) {
    const int32_t *values = (const int32_t *)column->values + first;
    for (int64_t i = 0; i < n; i++) {
      places[i] = place_of_integer(key, values[i], stride, places[i]);
    }
  } else {
    for (int64_t i = 0; i < n; i++) {
      places[i] = place_of_integer(key, integer_at(column, first + i), stride, places[i]);
    }
  }
}

// The cell of each row of a block, or -1.
static void find_places(const qn_key_codes *codes, const qn_column *const *keys, int64_t first, int64_t n,
                        int64_t *places) {
  int64_t stride = 1;

  memset(places, 0, (size_t)n * sizeof *places);
  for (int k = 0; k < codes->n_keys; k++) {
    const key_code *key = &codes->keys[k];
    if (qn_type_is_text(key->type)) {
      add_text_codes(key, keys[k], first, n, stride, places);
    } else {
      add_integer_codes(key, keys[k], first, n, stride, places);
    }
    stride *= key->n_codes;
  }
}

int64_t qn_key_codes_find(const qn_key_codes *codes, const qn_column *const *keys, int64_t n_rows,
                          int32_t *groups, int32_t *unknown) {
  int64_t places[BLOCK_ROWS];
  int64_t n_unknown = 0;

  if (codes->cells == NULL) {
    for (int64_t row = 0; row < n_rows; row++) {
      groups[row] = -1;
      unknown[row] = (int32_t)row;
    }
    return n_rows;
  }
  for (int64_t first = 0; first < n_rows; first += BLOCK_ROWS) {
    const int64_t n = n_rows - first < BLOCK_ROWS ? n_rows - first : BLOCK_ROWS;
    find_places(codes, keys, first, n, places);
    for (int64_t i = 0; i < n; i++) {
      const int32_t group = places[i] < 0 ? -1 : codes->cells[places[i]] - 1;
      groups[first + i] = group;
      unknown[n_unknown] = (int32_t)(first + i);
      n_unknown += group < 0;
    }
  }
  return n_unknown;
}

// Room for the integers of these rows; *has_changed if codes are others now. False if they are too far apart.
static bool widen_range(key_code *key, const qn_column *column, int64_t n_rows, bool *has_changed) {
  int64_t least = INT64_MAX;
  int64_t largest = INT64_MIN;

  for (int64_t row = 0; row < n_rows; row++) {
    if (!qn_column_is_null(column, row)) {
      const int64_t value = integer_at(column, row);
      least = value < least ? value : least;
      largest = value > largest ? value : largest;
    }
  }
  if (least > largest) { // nulls only
    least = largest = key->n_codes > 1 ? key->base : 0;
  }
  if (key->n_codes > 1 && least >= key->base && largest <= key->largest) {
    return true;
  }
  const bool is_new = key->n_codes < 2;
  int64_t from = is_new || least < key->base ? least : key->base;
  int64_t to = is_new || largest > key->largest ? largest : key->largest;
  int64_t span = 0;
  if (__builtin_sub_overflow(to, from, &span) || span >= most_cells) {
    return false;
  }
  const int64_t more = is_new ? 0 : span / 4; // so that the range is not widened by each batch
  from -= from < key->base && from >= INT64_MIN + more ? more : 0;
  to += to > key->largest && to <= INT64_MAX - more ? more : 0;
  key->base = from;
  key->largest = to;
  key->n_codes = to - from + 2;
  *has_changed = true;
  return true;
}

static qn_status resize_texts(key_code *key, int64_t n_codes, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_slots = n_codes * SLOTS_PER_TEXT;
  key_code bigger = *key;

  bigger.n_codes = n_codes;
  bigger.slots = qn_memory_alloc(n_slots * (int64_t)sizeof *bigger.slots);
  QN_REQUIRE(bigger.slots != NULL, err, QN_ERR_MEMORY, "no memory for key codes");
  memset(bigger.slots, 0, (size_t)n_slots * sizeof *bigger.slots);
  for (int64_t i = 0; i < key->n_codes * SLOTS_PER_TEXT; i++) {
    const text_slot slot = key->slots[i];
    if (slot.high != 0) {
      *find_text(&bigger, (qn_text_words){.low = slot.low, .high = slot.high}) = slot;
    }
  }
  qn_memory_free(key->slots);
  *key = bigger;

done:
  return status;
}

// Room for the texts of these rows, which get codes. *fits: they are few and short enough.
static qn_status widen_texts(key_code *key, const qn_column *column, int64_t n_rows, bool *fits,
                             bool *has_changed, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t end = column->offsets[column->n_rows];

  if (key->n_codes == 0) {
    QN_TRY(resize_texts(key, FIRST_TEXTS, err));
    *has_changed = true;
  }
  for (int64_t row = 0; row < n_rows; row++) {
    qn_text_words words;
    if (qn_column_is_null(column, row)) {
      continue;
    }
    *fits = text_words(column, row, end, &words);
    text_slot *slot = *fits ? find_text(key, words) : NULL;
    if (slot != NULL && slot->high == 0) {
      *slot = (text_slot){.low = words.low, .high = words.high, .code = ++key->n_texts};
    }
    if (key->n_texts + 1 == key->n_codes) {
      *fits = *fits && key->n_codes < MOST_TEXTS;
      *has_changed = true;
      if (*fits) {
        QN_TRY(resize_texts(key, 2 * key->n_codes, err));
      }
    }
    if (!*fits) {
      break;
    }
  }

done:
  return status;
}

// Cells for the codes that there is room for now, all not known; switched off if these are too many.
static qn_status begin_cells(qn_key_codes *codes, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t budget = qn_memory_budget();
  const int64_t most = budget > 0 && budget / 64 < most_cells ? budget / 64 : most_cells;
  int64_t n_cells = 1;

  for (int k = 0; k < codes->n_keys && n_cells <= most; k++) {
    n_cells *= codes->keys[k].n_codes; // each factor is at most 2^21: no overflow
  }
  if (n_cells > most || ++codes->n_beginnings > MOST_BEGINNINGS) {
    switch_off(codes);
    goto done;
  }
  qn_memory_free(codes->cells);
  codes->n_cells = 0;
  codes->cells = qn_memory_alloc(n_cells * (int64_t)sizeof *codes->cells);
  QN_REQUIRE(codes->cells != NULL, err, QN_ERR_MEMORY, "no memory for key codes");
  codes->n_cells = n_cells;
  qn_key_codes_clear(codes);

done:
  return status;
}

qn_status qn_key_codes_learn(qn_key_codes *codes, const qn_column *const *keys, int64_t n_rows,
                             const int32_t *groups, qn_error *err) {
  qn_status status = QN_OK;
  int64_t places[BLOCK_ROWS];
  bool has_changed = false;
  bool fits = true;

  for (int k = 0; k < codes->n_keys && fits; k++) {
    if (qn_type_is_text(codes->keys[k].type)) {
      QN_TRY(widen_texts(&codes->keys[k], keys[k], n_rows, &fits, &has_changed, err));
    } else {
      fits = widen_range(&codes->keys[k], keys[k], n_rows, &has_changed);
    }
  }
  codes->n_learned += n_rows;
  if (!fits || codes->n_learned > most_cells + 2 * codes->n_cells) {
    switch_off(codes);
  } else if (has_changed) {
    QN_TRY(begin_cells(codes, err));
  }
  for (int64_t first = 0; !codes->is_off && first < n_rows; first += BLOCK_ROWS) {
    const int64_t n = n_rows - first < BLOCK_ROWS ? n_rows - first : BLOCK_ROWS;
    find_places(codes, keys, first, n, places);
    for (int64_t i = 0; i < n; i++) {
      codes->cells[places[i]] = groups[first + i] + 1;
    }
  }

done:
  return status;
}

void qn_key_codes_clear(qn_key_codes *codes) {
  if (codes->cells != NULL) {
    memset(codes->cells, 0, (size_t)codes->n_cells * sizeof *codes->cells);
  }
}

int64_t qn_key_codes_n_bytes(const qn_key_codes *codes) {
  int64_t bytes = codes->n_cells * (int64_t)sizeof *codes->cells;
  for (int k = 0; k < codes->n_keys && !codes->is_off; k++) {
    bytes += codes->keys[k].slots == NULL
                 ? 0
                 : codes->keys[k].n_codes * SLOTS_PER_TEXT * (int64_t)sizeof(text_slot);
  }
  return bytes;
}
