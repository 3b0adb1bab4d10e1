// SPDX-License-Identifier: Apache-2.0
// Sorting rows. Where the key columns' ranges of values together fit into 64 bits (most keys of numbers do) a
// key is one integer, with the row number in the bits that are left if they suffice. All other keys are
// normalised and sorted eight bytes at a time: rows that agree so far are sorted by the next eight.
#include "kernel/sort_rows.h"
#include <inttypes.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "column/bitmap.h"
#include "column/schema.h"
#include "kernel/grow_array.h"
#include "kernel/ordered_words.h"
#include "kernel/short_text.h"
#include "kernel/sort_radix.h"

enum { BLOCK_ROWS = 512, SMALL_RUN = 16 };

// How the values of one fixed-width key column become the codes 0, 1, ...
typedef struct {
  uint64_t least; // value of code 0 (or 1, where null is 0)
  uint64_t range; // largest value minus least
  uint64_t null_code;
  int n_bits;
  bool has_nulls;
} key_code;

static int bits_of(uint64_t value) {
  return value == 0 ? 0 : 64 - __builtin_clzll(value);
}

// The first `n` words without those of null rows; returns how many are left.
static int64_t drop_nulls(const uint8_t *validity, int64_t first, int64_t n, int64_t *words) {
  int64_t n_left = 0;
  for (int64_t i = 0; i < n; i++) {
    words[n_left] = words[i];
    n_left += qn_bitmap_get(validity, first + i);
  }
  return n_left;
}

// False if there is no value that is not null.
static bool find_range(const qn_column *key, int64_t n_rows, bool has_nulls, int64_t *least,
                       int64_t *largest) {
  int64_t words[BLOCK_ROWS];
  int64_t low = INT64_MAX;
  int64_t high = INT64_MIN;
  int64_t n_values = 0;

  for (int64_t first = 0; first < n_rows; first += BLOCK_ROWS) {
    int64_t n = n_rows - first < BLOCK_ROWS ? n_rows - first : BLOCK_ROWS;
    qn_load_ordered(key, first, n, words);
    n = has_nulls ? drop_nulls(key->validity, first, n, words) : n;
    for (int64_t i = 0; i < n; i++) {
      low = words[i] < low ? words[i] : low;
      high = words[i] > high ? words[i] : high;
    }
    n_values += n;
  }
  *least = low;
  *largest = high;
  return n_values > 0;
}

// False if the codes do not fit 64 bits.
static bool find_code(const qn_column *key, qn_order order, int64_t n_rows, key_code *out) {
  key_code code = {.has_nulls = key->validity != NULL && key->n_nulls != 0};
  int64_t least = 0;
  int64_t largest = 0;

  if (!find_range(key, n_rows, code.has_nulls, &least, &largest)) {
    least = 0;
    largest = 0;
  }
  code.least = (uint64_t)least;
  code.range = (uint64_t)largest - (uint64_t)least;
  if (code.has_nulls && code.range == UINT64_MAX) {
    return false;
  }
  code.null_code = order.nulls_first ? 0 : code.range + 1;
  code.n_bits = bits_of(code.range + code.has_nulls);
  *out = code;
  return true;
}

// Puts the codes of one key column behind those of the columns before it.
static void append_codes(const qn_column *key, qn_order order, const key_code *code, int64_t n_rows,
                         uint64_t *codes) {
  const uint64_t base = code->has_nulls && order.nulls_first ? 1 : 0;
  const uint64_t inversion = order.is_descending ? UINT64_MAX : 0; // code = range - x, as ~x + range + 1
  const uint64_t constant = base + (order.is_descending ? code->range + 1 : 0);
  const int shift = code->n_bits;
  int64_t words[BLOCK_ROWS];

  for (int64_t first = 0; first < n_rows; first += BLOCK_ROWS) {
    const int64_t n = n_rows - first < BLOCK_ROWS ? n_rows - first : BLOCK_ROWS;
    uint64_t *to = codes + first;
    qn_load_ordered(key, first, n, words);
    for (int64_t i = 0; i < n; i++) {
      words[i] = (int64_t)((((uint64_t)words[i] - code->least) ^ inversion) + constant);
    }
    for (int64_t i = 0; code->has_nulls && i < n; i++) {
      words[i] = qn_bitmap_get(key->validity, first + i) ? words[i] : (int64_t)code->null_code;
    }
    for (int64_t i = 0; i < n; i++) {
      to[i] = (shift < 64 ? to[i] << shift : 0) | (uint64_t)words[i];
    }
  }
}

// Integer keys of all rows into codes; *n_bits is what they use, or -1 if they do not fit.
static qn_status encode_integers(const qn_column *const *keys, const qn_order *orders, int n_keys,
                                 int64_t n_rows, uint64_t *codes, int *n_bits, qn_error *err) {
  qn_status status = QN_OK;
  key_code *each = qn_memory_alloc((int64_t)n_keys * (int64_t)sizeof *each);
  int total = 0;

  QN_REQUIRE(each != NULL, err, QN_ERR_MEMORY, "no memory for %d sort keys", n_keys);
  for (int k = 0; k < n_keys && total >= 0; k++) {
    const bool fits = !qn_type_is_text(keys[k]->type) && find_code(keys[k], orders[k], n_rows, &each[k]);
    total = fits && total + each[k].n_bits <= 64 ? total + each[k].n_bits : -1;
  }
  if (total >= 0) {
    memset(codes, 0, (size_t)n_rows * sizeof *codes);
  }
  for (int k = 0; k < n_keys && total >= 0; k++) {
    append_codes(keys[k], orders[k], &each[k], n_rows, codes);
  }
  *n_bits = total;

done:
  qn_memory_free(each);
  return status;
}

static void sort_words(uint64_t *codes, uint64_t *spare, int64_t n_rows, int row_bits, int32_t *rows,
                       uint8_t *changes) {
  const uint64_t row_mask = (UINT64_C(1) << row_bits) - 1;

  for (int64_t i = 0; i < n_rows; i++) {
    codes[i] = codes[i] << row_bits | (uint64_t)i;
  }
  qn_radix_sort_words(codes, spare, n_rows);
  for (int64_t i = 0; i < n_rows; i++) {
    rows[i] = (int32_t)(codes[i] & row_mask);
  }
  for (int64_t i = 1; changes != NULL && i < n_rows; i++) {
    changes[i] = (codes[i] ^ codes[i - 1]) >> row_bits != 0;
  }
}

static qn_status new_pairs(int64_t n, qn_sort_pair **pairs, qn_error *err) {
  *pairs = qn_memory_alloc(n * (int64_t)sizeof **pairs);
  if (*pairs == NULL) {
    return qn_fail(err, QN_ERR_MEMORY, "no memory to sort %" PRId64 " rows (%" PRId64 " bytes in use)", n,
                   qn_memory_used());
  }
  qn_advise_huge_pages(*pairs, n * (int64_t)sizeof **pairs);
  return QN_OK;
}

static qn_status sort_by_integers(uint64_t *codes, int n_bits, int64_t n_rows, int32_t *rows,
                                  uint8_t *changes, qn_error *err) {
  qn_status status = QN_OK;
  const int row_bits = bits_of((uint64_t)n_rows - 1);
  qn_sort_pair *pairs = NULL, *spare = NULL;

  if (n_bits + row_bits <= 64) {
    QN_TRY(new_pairs((n_rows + 1) / 2, &spare, err)); // a word is half of a pair
    sort_words(codes, (uint64_t *)spare, n_rows, row_bits, rows, changes);
    goto done;
  }
  QN_TRY(new_pairs(n_rows, &spare, err));
  QN_TRY(new_pairs(n_rows, &pairs, err));
  for (int64_t i = 0; i < n_rows; i++) {
    pairs[i] = (qn_sort_pair){.key = codes[i], .row = (int32_t)i};
  }
  qn_radix_sort_pairs(pairs, spare, n_rows);
  for (int64_t i = 0; i < n_rows; i++) {
    rows[i] = pairs[i].row;
  }
  for (int64_t i = 1; changes != NULL && i < n_rows; i++) {
    changes[i] = pairs[i].key != pairs[i - 1].key;
  }

done:
  qn_memory_free(pairs);
  qn_memory_free(spare);
  return status;
}

typedef struct {
  const uint8_t *bytes;
  const int64_t *offsets;
} encoded_keys;

// Bytes [depth, depth + 8) of a key as a big-endian number, zero behind its end.
static uint64_t load_chunk(encoded_keys keys, int32_t row, int64_t depth) {
  const int64_t left = keys.offsets[row + 1] - keys.offsets[row] - depth;
  if (left <= 0) {
    return 0;
  }
  const uint64_t chunk =
      qn_load_big(keys.bytes + keys.offsets[row] + depth); // buffers may be read past the end
  return left >= 8 ? chunk : chunk >> (64 - 8 * left) << (64 - 8 * left);
}

static int compare_rest(encoded_keys keys, int32_t a, int32_t b, int64_t depth) {
  const int64_t a_first = keys.offsets[a] + depth;
  const int64_t b_first = keys.offsets[b] + depth;
  const int64_t a_size = keys.offsets[a + 1] - a_first;
  const int64_t b_size = keys.offsets[b + 1] - b_first;
  return qn_sort_key_compare(keys.bytes + a_first, a_size, keys.bytes + b_first, b_size);
}

// A short run of rows that agree up to depth.
static void sort_small_run(encoded_keys keys, qn_sort_pair *pairs, int64_t n, int64_t depth,
                           uint8_t *changes) {
  for (int64_t i = 1; i < n; i++) {
    const qn_sort_pair pair = pairs[i];
    int64_t to = i;
    while (to > 0 && compare_rest(keys, pairs[to - 1].row, pair.row, depth) > 0) {
      pairs[to] = pairs[to - 1];
      to--;
    }
    pairs[to] = pair;
  }
  for (int64_t i = 1; changes != NULL && i < n; i++) {
    changes[i] = compare_rest(keys, pairs[i - 1].row, pairs[i].row, depth) != 0;
  }
}

static uint8_t *part_of(uint8_t *changes, int64_t first) {
  return changes == NULL ? NULL : changes + first;
}

static void mark_equal(uint8_t *changes, int64_t first, int64_t end) {
  if (changes != NULL) {
    memset(changes + first, 0, (size_t)(end - first));
  }
}

static int64_t run_end(const qn_sort_pair *pairs, int64_t first, int64_t n) {
  int64_t end = first + 1;
  while (end < n && pairs[end].key == pairs[first].key) {
    end++;
  }
  return end;
}

// Sorts rows that agree in the first `depth` bytes of their keys. A run that agrees in the next eight too is
// sorted by what follows: the longest such run here in the loop, the others by recursion, which so is at most
// log2(n) deep. Where rows are equal, changes (all 1 before; or NULL) becomes 0.
static void sort_by_chunks(encoded_keys keys, qn_sort_pair *pairs, qn_sort_pair *spare, int64_t n,
                           int64_t depth, uint8_t *changes) {
  while (n > 1) {
    int64_t longest = 0;
    int64_t longest_n = 1;
    for (int64_t i = 0; i < n; i++) {
      pairs[i].key = load_chunk(keys, pairs[i].row, depth);
    }
    qn_radix_sort_pairs(pairs, spare, n);
    depth += 8;
    for (int64_t first = 0, end = 0; first < n; first = end) {
      end = run_end(pairs, first, n);
      const int32_t row = pairs[first].row;
      if (end - first == 1) {
        continue;
      }
      if (keys.offsets[row + 1] - keys.offsets[row] <= depth) { // keys that have ended and so are equal
        mark_equal(changes, first + 1, end);
      } else if (end - first <= SMALL_RUN) {
        sort_small_run(keys, pairs + first, end - first, depth, part_of(changes, first));
      } else if (end - first <= longest_n) {
        sort_by_chunks(keys, pairs + first, spare, end - first, depth, part_of(changes, first));
      } else {
        if (longest_n > 1) {
          sort_by_chunks(keys, pairs + longest, spare, longest_n, depth, part_of(changes, longest));
        }
        longest = first;
        longest_n = end - first;
      }
    }
    pairs += longest;
    changes = part_of(changes, longest);
    n = longest_n;
  }
}

qn_status qn_sort_encoded_rows(const uint8_t *bytes, const int64_t *offsets, int64_t n_rows, int32_t *rows,
                               uint8_t *changes, qn_error *err) {
  qn_status status = QN_OK;
  qn_sort_pair *pairs = NULL, *spare = NULL;

  QN_TRY(new_pairs(n_rows, &pairs, err));
  QN_TRY(new_pairs(n_rows, &spare, err));
  for (int64_t i = 0; i < n_rows; i++) {
    pairs[i].row = (int32_t)i;
  }
  if (changes != NULL) {
    memset(changes, 1, (size_t)n_rows);
  }
  sort_by_chunks((encoded_keys){.bytes = bytes, .offsets = offsets}, pairs, spare, n_rows, 0, changes);
  for (int64_t i = 0; i < n_rows; i++) {
    rows[i] = pairs[i].row;
  }

done:
  qn_memory_free(spare);
  qn_memory_free(pairs);
  return status;
}

static qn_status sort_by_bytes(const qn_column *const *keys, const qn_order *orders, int n_keys,
                               int64_t n_rows, int32_t *rows, uint8_t *changes, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer bytes = {0}, offsets = {0};

  QN_TRY(qn_sort_keys_encode(keys, orders, n_keys, n_rows, &bytes, &offsets, err));
  QN_TRY(qn_sort_encoded_rows(bytes.data, (const int64_t *)(const void *)offsets.data, n_rows, rows, changes,
                              err));

done:
  qn_buffer_release(&offsets);
  qn_buffer_release(&bytes);
  return status;
}

qn_status qn_sort_rows_marked(const qn_column *const *keys, const qn_order *orders, int n_keys,
                              int64_t n_rows, int32_t *rows, uint8_t *changes, qn_error *err) {
  qn_status status = QN_OK;
  uint64_t *codes = NULL;
  int n_bits = -1;
  bool has_text = false;

  for (int k = 0; k < n_keys; k++) {
    has_text = has_text || qn_type_is_text(keys[k]->type);
  }
  if (!has_text && n_rows > 1) {
    codes = qn_memory_alloc(n_rows * (int64_t)sizeof *codes);
    QN_REQUIRE(codes != NULL, err, QN_ERR_MEMORY, "no memory to sort %" PRId64 " rows", n_rows);
    QN_TRY(encode_integers(keys, orders, n_keys, n_rows, codes, &n_bits, err));
  }
  if (n_bits > 0) {
    QN_TRY(sort_by_integers(codes, n_bits, n_rows, rows, changes, err));
  } else if (n_bits == 0 || n_rows <= 1) { // all keys are equal
    for (int64_t i = 0; i < n_rows; i++) {
      rows[i] = (int32_t)i;
    }
    if (changes != NULL) {
      memset(changes, 0, (size_t)n_rows);
    }
  } else {
    qn_memory_free(codes);
    codes = NULL;
    QN_TRY(sort_by_bytes(keys, orders, n_keys, n_rows, rows, changes, err));
  }
  if (changes != NULL && n_rows > 0) {
    changes[0] = 1;
  }

done:
  qn_memory_free(codes);
  return status;
}

qn_status qn_sort_rows(const qn_column *const *keys, const qn_order *orders, int n_keys, int64_t n_rows,
                       int32_t *rows, qn_error *err) {
  return qn_sort_rows_marked(keys, orders, n_keys, n_rows, rows, NULL, err);
}
