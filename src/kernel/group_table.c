// SPDX-License-Identifier: Apache-2.0
// The group table: open addressing with linear probing. A slot is eight bytes, half a hash and the group, so
// a probe reads one cache line and compares keys only where they are very likely equal. Keys lie apart,
// packed into words, in order of group; rows come in blocks: packed column by column, then probed with what
// they will need fetched ahead. Growing moves slots and touches no key.
#include "kernel/group_table.h"
#include <inttypes.h>
#include <stdlib.h>
#include "base/check.h"
#include "base/memory.h"
#include "column/bitmap.h"
#include "kernel/group_state.h"
#include "kernel/grow_array.h"

enum {
  FIRST_SLOTS = 1024,  // holds the first block
  LARGE_SLOTS = 16384, // 128 KiB: beyond it fetching ahead pays
  AHEAD = 20,          // rows
};

static const int64_t max_groups = INT32_MAX - 1;

#define PROBE(name) name##_one_word
#define WORDS 1
#define TEXTS 0
#include "kernel/group_probe.inc"

#define PROBE(name) name##_two_words
#define WORDS 2
#define TEXTS 0
#include "kernel/group_probe.inc"

#define PROBE(name) name##_three_words
#define WORDS 3
#define TEXTS 0
#include "kernel/group_probe.inc"

#define PROBE(name) name##_one_text
#define WORDS 2
#define TEXTS 1
#include "kernel/group_probe.inc"

#define PROBE(name) name##_any
#define WORDS table->layout.n_words
#define TEXTS table->layout.n_texts
#include "kernel/group_probe.inc"

static void choose_loops(qn_group_table *table) {
  const int n_words = table->layout.n_words;
  const int n_texts = table->layout.n_texts;

  table->add_rows = add_any;
  table->find_rows = find_any;
  if (n_texts == 1 && n_words == 2) {
    table->add_rows = add_one_text;
    table->find_rows = find_one_text;
  } else if (n_texts == 0 && n_words == 1) {
    table->add_rows = add_one_word;
    table->find_rows = find_one_word;
  } else if (n_texts == 0 && n_words == 2) {
    table->add_rows = add_two_words;
    table->find_rows = find_two_words;
  } else if (n_texts == 0 && n_words == 3) {
    table->add_rows = add_three_words;
    table->find_rows = find_three_words;
  }
}

static qn_status new_slots(int64_t n_slots, uint64_t **out, qn_error *err) {
  const int64_t size = n_slots * (int64_t)sizeof **out;
  uint64_t *slots = qn_memory_alloc(size);
  if (slots == NULL) {
    return qn_fail(err, QN_ERR_MEMORY, "no memory for a table of %" PRId64 " bytes (%" PRId64 " in use)",
                   size, qn_memory_used());
  }
  qn_advise_huge_pages(slots, size);
  memset(slots, 0, (size_t)size);
  *out = slots;
  return QN_OK;
}

void qn_group_table_free(qn_group_table *table) {
  if (table == NULL) {
    return;
  }
  qn_group_layout_release(&table->layout);
  if (!table->is_borrowed) {
    qn_memory_free(table->slots);
    qn_memory_free(table->rows);
    qn_memory_free(table->hashes);
    qn_buffer_release(&table->bytes);
  }
  qn_memory_free(table->packed);
  qn_memory_free(table->packed_hashes);
  qn_memory_free(table->chosen);
  qn_memory_free(table->chosen_groups);
  free(table);
}

qn_status qn_group_table_keep_texts(qn_group_table *table, uint64_t *row, qn_error *err) {
  qn_status status = QN_OK;
  for (int t = 0; t < table->layout.n_texts; t++) {
    uint64_t *text = row + 2 * t;
    const int64_t size = qn_packed_text_size(text);
    if (size > QN_INLINE_TEXT) {
      const void *bytes = (const void *)(uintptr_t)text[1];
      text[1] = (uint64_t)table->bytes.size;
      QN_TRY(qn_buffer_append(&table->bytes, bytes, size, err));
    }
  }

done:
  return status;
}

// Puts the old slots into larger ones. A slot knows its hash's low half, so no hash or key is read; and old
// slots in order go to places in order, a few runs of them.
static void move_slots(const uint64_t *old, int64_t n_old, uint64_t *slots, int64_t n_slots) {
  const uint64_t mask = (uint64_t)n_slots - 1;

  for (int64_t i = 0; i < n_old; i++) {
    if (old[i] != 0) {
      uint64_t at = old[i] >> 32 & mask;
      while (slots[at] != 0) {
        at = (at + 1) & mask;
      }
      slots[at] = old[i];
    }
  }
}

// Makes room for `more` new groups at a load of at most 0.6.
static qn_status reserve(qn_group_table *table, int64_t more, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t needed = table->n_groups + more;
  const int64_t row_size = (int64_t)table->layout.n_words * (int64_t)sizeof(uint64_t);
  int64_t n_slots = table->n_slots;
  uint64_t *slots = NULL;

  QN_REQUIRE(needed <= max_groups, err, QN_ERR_VALUE,
             "more than %" PRId64 " different keys on one rank; use more ranks", max_groups - more);
  QN_TRY(qn_array_grow((void **)&table->rows, &table->row_capacity, needed, row_size, err));
  QN_TRY(
      qn_array_grow((void **)&table->hashes, &table->hash_capacity, needed, (int64_t)sizeof(uint64_t), err));
  while (needed > n_slots / 10 * 6) {
    n_slots *= 2;
  }
  if (n_slots > table->n_slots) {
    QN_TRY(new_slots(n_slots, &slots, err));
    move_slots(table->slots, table->n_slots, slots, n_slots);
    qn_memory_free(table->slots);
    table->slots = slots;
    table->n_slots = n_slots;
  }

done:
  return status;
}

// A table that has nothing to hold keys in yet.
static qn_status new_table(const qn_type *types, int n_keys, qn_group_table **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_group_table *table = calloc(1, sizeof *table);

  QN_REQUIRE(table != NULL, err, QN_ERR_MEMORY, "no memory for a group table");
  table->null_group = -1;
  QN_TRY(qn_group_layout_init(&table->layout, types, n_keys, err));
  choose_loops(table);
  table->packed =
      qn_memory_alloc((int64_t)QN_GROUP_BLOCK * table->layout.n_words * (int64_t)sizeof(uint64_t));
  table->packed_hashes = qn_memory_alloc((int64_t)QN_GROUP_BLOCK * (int64_t)sizeof(uint64_t));
  table->chosen = qn_memory_alloc((int64_t)QN_GROUP_BLOCK * (int64_t)sizeof(int32_t));
  table->chosen_groups = qn_memory_alloc((int64_t)QN_GROUP_BLOCK * (int64_t)sizeof(int32_t));
  QN_REQUIRE(table->packed != NULL && table->packed_hashes != NULL && table->chosen != NULL &&
                 table->chosen_groups != NULL,
             err, QN_ERR_MEMORY, "no memory for a group table");
  *out = table;
  table = NULL;

done:
  qn_group_table_free(table);
  return status;
}

qn_status qn_group_table_new(const qn_type *types, int n_keys, qn_group_table **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_group_table *table = NULL;

  QN_TRY(new_table(types, n_keys, &table, err));
  QN_TRY(new_slots(FIRST_SLOTS, &table->slots, err));
  table->n_slots = FIRST_SLOTS;
  QN_TRY(reserve(table, QN_GROUP_BLOCK, err));
  *out = table;
  table = NULL;

done:
  qn_group_table_free(table);
  return status;
}

// The group of null in a table with one key; the row of zeros that it leaves is never looked at.
static void add_null_group(qn_group_table *table, uint64_t hash) {
  const int64_t group = table->n_groups;
  memset(table->rows + group * table->layout.n_words, 0, (size_t)table->layout.n_words * sizeof(uint64_t));
  table->hashes[group] = hash;
  table->null_group = group;
  table->n_groups = group + 1;
}

// Rows [first, first + n) that are not null into table->chosen, with their hashes.
static int64_t choose_valid(const qn_group_table *table, const qn_column *key, const uint64_t *hashes,
                            int64_t first, int64_t n) {
  int64_t n_chosen = 0;
  for (int64_t i = first; i < first + n; i++) {
    table->chosen[n_chosen] = (int32_t)i;
    table->packed_hashes[n_chosen] = hashes[i];
    n_chosen += qn_bitmap_get(key->validity, i);
  }
  return n_chosen;
}

static void spread_groups(const qn_group_table *table, int64_t n_chosen, int64_t first, int64_t n,
                          int32_t *groups) {
  for (int64_t i = first; i < first + n; i++) {
    groups[i] = (int32_t)table->null_group;
  }
  for (int64_t k = 0; k < n_chosen; k++) {
    groups[table->chosen[k]] = table->chosen_groups[k];
  }
}

// A block of a single key with nulls: these are put aside, so that key rows need no room for them. Groups are
// numbered by first appearance, so the block is cut at the very first null.
static qn_status add_with_nulls(qn_group_table *table, const qn_column *key, const uint64_t *hashes,
                                int64_t first, int64_t n, int32_t *groups, qn_error *err) {
  qn_status status = QN_OK;
  int64_t before = 0;

  while (table->null_group < 0 && before < n && qn_bitmap_get(key->validity, first + before)) {
    before++;
  }
  if (table->null_group < 0 && before < n) {
    qn_group_layout_pack(&table->layout, &key, first, before, table->packed);
    QN_TRY(table->add_rows(table, table->packed, hashes + first, before, before, groups + first, err));
    add_null_group(table, hashes[first + before]);
    first += before;
    n -= before;
  }
  const int64_t n_chosen = choose_valid(table, key, hashes, first, n);
  qn_group_layout_pack_chosen(&table->layout, key, table->chosen, n_chosen, table->packed);
  QN_TRY(table->add_rows(table, table->packed, table->packed_hashes, n_chosen, n_chosen, table->chosen_groups,
                         err));
  spread_groups(table, n_chosen, first, n, groups);

done:
  return status;
}

static bool is_single_with_nulls(const qn_group_table *table, const qn_column *const *keys) {
  return table->layout.n_keys == 1 && keys[0]->validity != NULL && keys[0]->n_nulls != 0;
}

// Key rows of a block; a single 64-bit key is its own key row.
static const uint64_t *pack_block(const qn_group_table *table, const qn_column *const *keys, int64_t first,
                                  int64_t n) {
  const qn_type type = table->layout.fields[0].type;
  if (table->layout.n_keys == 1 && (type == QN_INT64 || type == QN_TIMESTAMP)) {
    return (const uint64_t *)keys[0]->values + first;
  }
  qn_group_layout_pack(&table->layout, keys, first, n, table->packed);
  return table->packed;
}

// The slots of the first rows of a batch, which the loops are too late for. Always inline, as fetch_ahead is.
__attribute__((always_inline)) static inline void fetch_first_slots(const qn_group_table *table,
                                                                    const uint64_t *hashes, int64_t n_rows) {
  const uint64_t mask = (uint64_t)table->n_slots - 1;
  for (int64_t i = 0; i < 2 * AHEAD && i < n_rows; i++) {
    __builtin_prefetch(table->slots + (hashes[i] & mask));
  }
}

qn_status qn_group_table_add(qn_group_table *table, const qn_column *const *keys, const uint64_t *hashes,
                             int64_t n_rows, int32_t *groups, qn_error *err) {
  qn_status status = QN_OK;

  fetch_first_slots(table, hashes, n_rows);
  for (int64_t first = 0; first < n_rows; first += QN_GROUP_BLOCK) {
    const int64_t n = n_rows - first < QN_GROUP_BLOCK ? n_rows - first : QN_GROUP_BLOCK;
    QN_TRY(reserve(table, n, err));
    if (is_single_with_nulls(table, keys)) {
      QN_TRY(add_with_nulls(table, keys[0], hashes, first, n, groups, err));
    } else {
      const uint64_t *rows = pack_block(table, keys, first, n);
      QN_TRY(table->add_rows(table, rows, hashes + first, n, n_rows - first, groups + first, err));
    }
  }

done:
  return status;
}

void qn_group_table_find(const qn_group_table *table, const qn_column *const *keys, const uint64_t *hashes,
                         int64_t n_rows, int32_t *groups) {
  const bool has_nulls = is_single_with_nulls(table, keys);

  fetch_first_slots(table, hashes, n_rows);
  for (int64_t first = 0; first < n_rows; first += QN_GROUP_BLOCK) {
    const int64_t n = n_rows - first < QN_GROUP_BLOCK ? n_rows - first : QN_GROUP_BLOCK;
    if (has_nulls) {
      const int64_t n_chosen = choose_valid(table, keys[0], hashes, first, n);
      qn_group_layout_pack_chosen(&table->layout, keys[0], table->chosen, n_chosen, table->packed);
      table->find_rows(table, table->packed, table->packed_hashes, n_chosen, n_chosen, table->chosen_groups);
      spread_groups(table, n_chosen, first, n, groups);
    } else {
      table->find_rows(table, pack_block(table, keys, first, n), hashes + first, n, n_rows - first,
                       groups + first);
    }
  }
}

int64_t qn_group_table_n_groups(const qn_group_table *table) {
  return table->n_groups;
}

int64_t qn_group_table_n_bytes(const qn_group_table *table) {
  const int64_t words = table->n_slots + table->row_capacity * table->layout.n_words + table->hash_capacity;
  return words * (int64_t)sizeof(uint64_t) + table->bytes.capacity +
         (int64_t)QN_GROUP_BLOCK * (table->layout.n_words + 2) * (int64_t)sizeof(uint64_t);
}

qn_status qn_group_table_keys(const qn_group_table *table, int64_t first, int64_t n, qn_column *out,
                              qn_error *err) {
  qn_status status = QN_OK;
  const int64_t null_row = table->null_group - first;
  int n_made = 0;

  QN_REQUIRE(first >= 0 && n >= 0 && first <= table->n_groups - n, err, QN_ERR_ARG,
             "groups %" PRId64 " to %" PRId64 " of a table of %" PRId64, first, first + n, table->n_groups);
  for (int k = 0; k < table->layout.n_keys; k++) {
    QN_TRY(qn_group_layout_unpack(&table->layout, k, table->rows + first * table->layout.n_words, n,
                                  table->null_group >= 0 && null_row >= 0 && null_row < n ? null_row : -1,
                                  table->bytes.data, &out[k], err));
    n_made++;
  }

done:
  for (int k = 0; status != QN_OK && k < n_made; k++) {
    qn_column_release(&out[k]);
  }
  return status;
}

const uint64_t *qn_group_table_hashes(const qn_group_table *table) {
  return table->hashes;
}

void qn_group_table_clear(qn_group_table *table) {
  memset(table->slots, 0, (size_t)table->n_slots * sizeof *table->slots);
  table->n_groups = 0;
  table->null_group = -1;
  table->bytes.size = 0;
}

// --- As bytes without addresses

// Behind it the slots, the key rows and the long text.
typedef struct table_image {
  int64_t n_slots, n_groups, n_words, n_bytes, null_group;
} table_image;

int64_t qn_group_table_image_size(const qn_group_table *table) {
  const int64_t n_words = table->n_slots + table->n_groups * table->layout.n_words;
  return (int64_t)sizeof(table_image) + n_words * (int64_t)sizeof(uint64_t) + table->bytes.size;
}

void qn_group_table_write_image(const qn_group_table *table, uint8_t *out) {
  const int64_t slots_size = table->n_slots * (int64_t)sizeof *table->slots;
  const int64_t rows_size = table->n_groups * table->layout.n_words * (int64_t)sizeof *table->rows;
  const table_image image = {.n_slots = table->n_slots,
                             .n_groups = table->n_groups,
                             .n_words = table->layout.n_words,
                             .n_bytes = table->bytes.size,
                             .null_group = table->null_group};

  memcpy(out, &image, sizeof image);
  out += sizeof image;
  memcpy(out, table->slots, (size_t)slots_size);
  memcpy(out + slots_size, table->rows, (size_t)rows_size);
  if (table->bytes.size > 0) {
    memcpy(out + slots_size + rows_size, table->bytes.data, (size_t)table->bytes.size);
  }
}

qn_status qn_group_table_from_image(const qn_type *types, int n_keys, const uint8_t *image, int64_t size,
                                    qn_group_table **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_group_table *table = NULL;
  table_image about = {0};

  QN_TRY(new_table(types, n_keys, &table, err));
  table->is_borrowed = true;
  QN_REQUIRE(size >= (int64_t)sizeof about, err, QN_ERR_FORMAT, "%" PRId64 " bytes are no table", size);
  memcpy(&about, image, sizeof about);
  table->slots = (uint64_t *)(uintptr_t)(image + sizeof about); // only read
  table->rows = table->slots + about.n_slots;
  table->bytes.data = (uint8_t *)(table->rows + about.n_groups * about.n_words);
  table->bytes.size = about.n_bytes;
  table->n_slots = about.n_slots;
  table->n_groups = about.n_groups;
  table->null_group = about.null_group;
  QN_REQUIRE(about.n_words == table->layout.n_words && qn_group_table_image_size(table) == size, err,
             QN_ERR_FORMAT, "%" PRId64 " bytes are no table of %" PRId64 " groups", size, about.n_groups);
  *out = table;
  table = NULL;

done:
  qn_group_table_free(table);
  return status;
}
