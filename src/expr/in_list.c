// SPDX-License-Identifier: Apache-2.0
// `x in (constants)`: a few fixed-width values are compared one after the other over whole columns; more of
// them, and text, are looked up in a hash table that is made when the expression is bound.
#include "base/check.h"
#include "base/hash.h"
#include "expr/function_table.h"
#include "kernel/ordered_bits.h"

enum { FEW_ITEMS = 8 };

struct qn_in_list {
  const qn_expr *const *given; // [n_given] the constants as they were bound
  int n_given;
  bool has_null;
  int64_t n_items;
  uint64_t *words; // fixed width: one word for all equal values
  qn_text *texts;
  int32_t *slots; // item + 1; 0: empty
  uint64_t mask;
};

static uint64_t word_at(qn_type type, const void *values, int64_t row) {
  switch (type) {
  case QN_BOOL:
    return ((const uint8_t *)values)[row];
  case QN_INT32:
  case QN_DATE:
    return (uint32_t)((const int32_t *)values)[row];
  case QN_FLOAT32:
    return qn_float32_bits(((const float *)values)[row]);
  case QN_FLOAT64:
    return qn_float64_bits(((const double *)values)[row]);
  default:
    return (uint64_t)((const int64_t *)values)[row];
  }
}

static bool texts_are_equal(qn_text a, qn_text b) {
  return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, (size_t)a.size) == 0);
}

static bool find_word(const qn_in_list *list, uint64_t word) {
  for (uint64_t at = qn_hash_mix(word) & list->mask; list->slots[at] != 0; at = (at + 1) & list->mask) {
    if (list->words[list->slots[at] - 1] == word) {
      return true;
    }
  }
  return false;
}

static bool find_text(const qn_in_list *list, qn_text text) {
  const uint64_t hash = qn_hash_bytes(text.data, text.size, 0);
  for (uint64_t at = hash & list->mask; list->slots[at] != 0; at = (at + 1) & list->mask) {
    if (texts_are_equal(list->texts[list->slots[at] - 1], text)) {
      return true;
    }
  }
  return false;
}

static void insert(qn_in_list *list, uint64_t hash, int64_t item) {
  uint64_t at = hash & list->mask;
  while (list->slots[at] != 0) {
    at = (at + 1) & list->mask;
  }
  list->slots[at] = (int32_t)(item + 1);
}

qn_status qn_in_list_new(const qn_expr *const *items, int n_items, qn_type type, qn_arena *arena,
                         const qn_in_list **out, qn_error *err) {
  qn_status status = QN_OK;
  const bool is_text = qn_type_is_text(type);
  int64_t n_slots = 16;
  while (n_slots < 2 * (int64_t)n_items) {
    n_slots *= 2;
  }
  qn_in_list *list = qn_arena_alloc(arena, sizeof *list);
  QN_REQUIRE(list != NULL, err, QN_ERR_MEMORY, "no memory for a list of %d values", n_items);
  list->given = items;
  list->n_given = n_items;
  list->mask = (uint64_t)n_slots - 1;
  list->slots = qn_arena_alloc(arena, (int64_t)sizeof *list->slots * n_slots);
  list->words = qn_arena_alloc(arena, is_text ? 0 : (int64_t)sizeof *list->words * n_items);
  list->texts = qn_arena_alloc(arena, is_text ? (int64_t)sizeof *list->texts * n_items : 0);
  QN_REQUIRE(list->slots != NULL && list->words != NULL && list->texts != NULL, err, QN_ERR_MEMORY,
             "no memory for a list of %d values", n_items);
  for (int i = 0; i < n_items; i++) {
    const qn_column *value = items[i]->value;
    if (qn_column_is_null(value, 0)) {
      list->has_null = true;
    } else if (is_text) {
      const qn_text text = qn_column_text(value, 0);
      if (!find_text(list, text)) {
        list->texts[list->n_items] = text;
        insert(list, qn_hash_bytes(text.data, text.size, 0), list->n_items++);
      }
    } else {
      const uint64_t word = word_at(type, value->values, 0);
      if (!find_word(list, word)) {
        list->words[list->n_items] = word;
        insert(list, qn_hash_mix(word), list->n_items++);
      }
    }
  }
  *out = list;

done:
  return status;
}

const qn_expr *const *qn_in_list_items(const qn_in_list *list, int *n_items) {
  *n_items = list->n_given;
  return list->given;
}

static void search_texts(const qn_call *call, const qn_in_list *list, uint8_t *out) {
  for (int64_t i = 0; i < call->n_rows; i++) {
    out[i] = !qn_operand_is_null(&call->args[0], i) && find_text(list, qn_arg_text(call, 0, i));
  }
}

static void search_words(const qn_call *call, const qn_in_list *list, uint8_t *out) {
  const qn_column *column = &call->args[0].column;
  for (int64_t i = 0; i < call->n_rows; i++) {
    out[i] = find_word(list, word_at(column->type, column->values, i));
  }
}

static void compare_int32(const qn_call *call, const qn_in_list *list, uint8_t *out) {
  const int32_t *values = call->args[0].column.values;
  for (int64_t k = 0; k < list->n_items; k++) {
    const int32_t item = (int32_t)list->words[k];
    for (int64_t i = 0; i < call->n_rows; i++) {
      out[i] |= values[i] == item;
    }
  }
}

static void compare_int64(const qn_call *call, const qn_in_list *list, uint8_t *out) {
  const int64_t *values = call->args[0].column.values;
  for (int64_t k = 0; k < list->n_items; k++) {
    const int64_t item = (int64_t)list->words[k];
    for (int64_t i = 0; i < call->n_rows; i++) {
      out[i] |= values[i] == item;
    }
  }
}

static qn_status in_list(qn_call *call, qn_error *err) {
  qn_status status = QN_OK;
  const qn_in_list *list = call->expr->data;
  const qn_type type = call->args[0].column.type;
  uint8_t *out = call->values;
  uint8_t *validity = NULL;

  memset(out, 0, (size_t)call->n_rows);
  if (qn_type_is_text(type)) {
    search_texts(call, list, out);
  } else if (list->n_items <= FEW_ITEMS && (type == QN_INT32 || type == QN_DATE)) {
    compare_int32(call, list, out);
  } else if (list->n_items <= FEW_ITEMS && (type == QN_INT64 || type == QN_TIMESTAMP)) {
    compare_int64(call, list, out);
  } else {
    search_words(call, list, out);
  }
  if (list->has_null || call->args[0].column.n_nulls > 0) { // not found beside a null: unknown
    QN_TRY(qn_call_own_validity(call, &validity, err));
    for (int64_t i = 0; i < call->n_rows; i++) {
      if (qn_operand_is_null(&call->args[0], i) || (list->has_null && !out[i])) {
        qn_bitmap_clear(validity, i);
      }
    }
  }

done:
  return status;
}

const qn_function qn_function_in = {
    .name = "in", .result = QN_BOOL, .kernel = in_list, .flags = QN_CALL_SEES_NULLS};
