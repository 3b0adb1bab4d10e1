// SPDX-License-Identifier: Apache-2.0
// Comparing two rows value by value.
#include "column/schema.h"
#include "kernel/ordered_words.h"
#include "kernel/sort_rows.h"

static int compare_values(const qn_column *a, int64_t row_a, const qn_column *b, int64_t row_b) {
  if (qn_type_is_text(a->type)) {
    const qn_text text_a = qn_column_text(a, row_a);
    const qn_text text_b = qn_column_text(b, row_b);
    return qn_sort_key_compare((const uint8_t *)text_a.data, text_a.size, (const uint8_t *)text_b.data,
                               text_b.size);
  }
  int64_t word_a = 0;
  int64_t word_b = 0;
  qn_load_ordered(a, row_a, 1, &word_a);
  qn_load_ordered(b, row_b, 1, &word_b);
  return (word_a > word_b) - (word_a < word_b);
}

int qn_compare_rows(const qn_column *const *a, int64_t row_a, const qn_column *const *b, int64_t row_b,
                    const qn_order *orders, int n_keys) {
  for (int k = 0; k < n_keys; k++) {
    const bool a_is_null = qn_column_is_null(a[k], row_a);
    const bool b_is_null = qn_column_is_null(b[k], row_b);
    int order = 0;
    if (a_is_null || b_is_null) {
      order = orders[k].nulls_first ? b_is_null - a_is_null : a_is_null - b_is_null;
    } else {
      order = compare_values(a[k], row_a, b[k], row_b);
      order = orders[k].is_descending ? -order : order;
    }
    if (order != 0) {
      return order < 0 ? -1 : 1;
    }
  }
  return 0;
}
