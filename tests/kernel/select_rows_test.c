// SPDX-License-Identifier: Apache-2.0
// Selecting and partitioning rows.
#include "kernel/ref_rows.h"
#include "kernel/select_rows.h"

static void rows_that_are_true_are_selected(void) {
  kit_random random = {.state = 21};
  for (int z = 0; z < REF_N_SIZES; z++) {
    const int64_t n = ref_sizes[z];
    qn_batch *batch = kit_random_batch(&random, "a bool", n);
    qn_column plain = batch->columns[0];
    int32_t *rows = malloc(((size_t)n + 1) * sizeof *rows);
    plain.validity = NULL;
    plain.n_nulls = 0;
    const qn_column *conditions[] = {&batch->columns[0], &plain};
    for (int c = 0; c < 2; c++) {
      const int64_t found = qn_select_true(conditions[c], rows);
      int64_t wanted = 0;
      int64_t n_wrong = 0;
      for (int64_t i = 0; i < n; i++) {
        if (!qn_column_is_null(conditions[c], i) && qn_column_bool(conditions[c], i)) {
          n_wrong += wanted >= found || rows[wanted] != i;
          wanted++;
        }
      }
      QN_CHECK_INT(found, wanted);
      QN_CHECK_INT(n_wrong, 0);
    }
    free(rows);
    qn_batch_free(batch);
  }
}

static void all_and_none_are_selected(void) {
  uint8_t values[100];
  int32_t rows[100];
  const qn_column column = {.type = QN_BOOL, .n_rows = 100, .values = values};
  memset(values, 0, sizeof values);
  QN_CHECK_INT(qn_select_true(&column, rows), 0);
  memset(values, 1, sizeof values);
  QN_CHECK_INT(qn_select_true(&column, rows), 100);
  QN_CHECK_INT(rows[0], 0);
  QN_CHECK_INT(rows[99], 99);
}

static void partitions_hold_their_rows_in_order(void) {
  kit_random random = {.state = 22};
  for (int z = 0; z < REF_N_SIZES; z++) {
    for (int32_t n_destinations = 1; n_destinations <= 300; n_destinations = n_destinations * 4 + 1) {
      const int64_t n = ref_sizes[z];
      int32_t *destinations = malloc(((size_t)n + 1) * sizeof *destinations);
      int32_t *rows = malloc(((size_t)n + 1) * sizeof *rows);
      int64_t starts[512];
      int64_t n_wrong = 0;
      for (int64_t i = 0; i < n; i++) {
        destinations[i] = (int32_t)kit_random_below(&random, n_destinations);
      }
      qn_partition_rows(destinations, n, n_destinations, rows, starts);
      QN_CHECK_INT(starts[0], 0);
      QN_CHECK_INT(starts[n_destinations], n);
      for (int32_t d = 0; d < n_destinations; d++) {
        for (int64_t k = starts[d]; k < starts[d + 1]; k++) {
          n_wrong += destinations[rows[k]] != d || (k > starts[d] && rows[k - 1] >= rows[k]);
        }
      }
      QN_CHECK_INT(n_wrong, 0);
      free(rows);
      free(destinations);
    }
  }
}

int main(void) {
  KIT_RUN(rows_that_are_true_are_selected);
  KIT_RUN(all_and_none_are_selected);
  KIT_RUN(partitions_hold_their_rows_in_order);
  return kit_result();
}
