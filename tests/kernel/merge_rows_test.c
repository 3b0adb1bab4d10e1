// SPDX-License-Identifier: Apache-2.0
// Merging sorted runs by their encoded keys.
#include "kernel/merge_rows.h"
#include "kernel/ref_rows.h"
#include "kernel/sort_rows.h"

enum { MAX_RUNS = 40 };

typedef struct sorted_run {
  qn_batch *batch;
  int32_t *rows; // in order
  int64_t next;  // place in rows
  qn_buffer bytes;
  qn_buffer offsets;
} sorted_run;

static void run_open(sorted_run *run, qn_batch *batch, const qn_order *orders) {
  const qn_column *keys[REF_MAX_COLUMNS];
  *run = (sorted_run){.batch = batch, .rows = malloc(((size_t)batch->n_rows + 1) * sizeof(int32_t))};
  ref_columns(batch, keys);
  QN_CHECK_OK(qn_sort_rows(keys, orders, batch->n_columns, batch->n_rows, run->rows, &kit_error));
  QN_CHECK_OK(qn_sort_keys_encode(keys, orders, batch->n_columns, batch->n_rows, &run->bytes, &run->offsets,
                                  &kit_error));
}

static const uint8_t *run_key(const sorted_run *run, int64_t *size) {
  if (run->next == run->batch->n_rows) {
    *size = 0;
    return NULL;
  }
  const int64_t *offsets = (const int64_t *)run->offsets.data;
  const int32_t row = run->rows[run->next];
  *size = offsets[row + 1] - offsets[row];
  return run->bytes.data + offsets[row];
}

static void run_close(sorted_run *run) {
  qn_batch_free(run->batch);
  free(run->rows);
  qn_buffer_release(&run->bytes);
  qn_buffer_release(&run->offsets);
}

// Equal rows come from lower runs first.
static void check_step(const sorted_run *runs, int before, int64_t row_before, int now, int64_t row_now,
                       const qn_order *orders) {
  const qn_column *keys_before[REF_MAX_COLUMNS], *keys_now[REF_MAX_COLUMNS];
  ref_columns(runs[before].batch, keys_before);
  ref_columns(runs[now].batch, keys_now);
  const int order =
      ref_compare_rows(keys_before, row_before, keys_now, row_now, orders, runs[now].batch->n_columns);
  QN_CHECK(order < 0 || (order == 0 && before <= now));
}

static void merge_and_check(sorted_run *runs, int n_runs, const qn_order *orders) {
  qn_merge merge = {0};
  int64_t n_left = 0;
  int64_t size = 0;
  int before = -1;
  int64_t row_before = 0;
  QN_CHECK_OK(qn_merge_init(&merge, n_runs, &kit_error));
  for (int r = 0; r < n_runs; r++) {
    const uint8_t *key = run_key(&runs[r], &size);
    qn_merge_set(&merge, r, key, size);
    n_left += runs[r].batch->n_rows;
  }
  qn_merge_start(&merge);
  for (int now = qn_merge_first(&merge); now >= 0; now = qn_merge_first(&merge)) {
    const int64_t row = runs[now].rows[runs[now].next];
    if (before >= 0) {
      check_step(runs, before, row_before, now, row, orders);
    }
    before = now;
    row_before = row;
    runs[now].next++;
    n_left--;
    const uint8_t *key = run_key(&runs[now], &size);
    qn_merge_next(&merge, key, size);
  }
  QN_CHECK_INT(n_left, 0);
  qn_merge_release(&merge);
}

static void merged_runs_are_in_order(void) {
  static const char *const schemas[] = {"a int64", "a utf8", "a bool, b binary", "a float64, b utf8"};
  kit_random random = {.state = 41};
  for (int s = 0; s < 4; s++) {
    for (int n_runs = 0; n_runs < MAX_RUNS; n_runs = n_runs * 2 + 1) {
      sorted_run runs[MAX_RUNS];
      const qn_order orders[2] = {{.is_descending = s % 2 == 1}, {.nulls_first = true}};
      for (int r = 0; r < n_runs; r++) {
        run_open(&runs[r], kit_random_batch(&random, schemas[s], kit_random_below(&random, 70)), orders);
      }
      merge_and_check(runs, n_runs, orders);
      for (int r = 0; r < n_runs; r++) {
        run_close(&runs[r]);
      }
    }
  }
}

int main(void) {
  KIT_RUN(merged_runs_are_in_order);
  return kit_result();
}
