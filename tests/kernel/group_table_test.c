// SPDX-License-Identifier: Apache-2.0
// The group table against a list of the first row of each group that is searched from the front.
#include "column/builder.h"
#include "kernel/group_table.h"
#include "kernel/hash_columns.h"
#include "kernel/ref_rows.h"

typedef struct {
  const qn_batch *batch;
  const qn_column *keys[REF_MAX_COLUMNS];
  int n_keys;
  uint64_t *hashes;
  int32_t *groups;     // by the table
  int32_t *ref_groups; // by searching
  int32_t *first_rows; // of each group
  int64_t n_groups;
} key_rows;

static key_rows key_rows_new(const qn_batch *batch) {
  const size_t n = (size_t)batch->n_rows + 1;
  key_rows out = {.batch = batch,
                  .n_keys = batch->n_columns,
                  .hashes = malloc(n * sizeof(uint64_t)),
                  .groups = malloc(n * sizeof(int32_t)),
                  .ref_groups = malloc(n * sizeof(int32_t)),
                  .first_rows = malloc(n * sizeof(int32_t))};
  ref_columns(batch, out.keys);
  qn_hash_columns(out.keys, out.n_keys, batch->n_rows, out.hashes);
  for (int64_t i = 0; i < batch->n_rows; i++) {
    int64_t g = 0;
    while (g < out.n_groups && !ref_rows_are_equal(out.keys, out.first_rows[g], out.keys, i, out.n_keys)) {
      g++;
    }
    if (g == out.n_groups) {
      out.first_rows[out.n_groups++] = (int32_t)i;
    }
    out.ref_groups[i] = (int32_t)g;
  }
  return out;
}

static void key_rows_free(key_rows *rows) {
  free(rows->hashes);
  free(rows->groups);
  free(rows->ref_groups);
  free(rows->first_rows);
}

static qn_group_table *new_table(const qn_batch *batch) {
  qn_type types[REF_MAX_COLUMNS];
  qn_group_table *table = NULL;
  for (int c = 0; c < batch->n_columns; c++) {
    types[c] = batch->columns[c].type;
  }
  QN_CHECK_OK(qn_group_table_new(types, batch->n_columns, &table, &kit_error));
  return table;
}

// Adds all rows in slices of at most max_rows.
static void add_slices(qn_group_table *table, key_rows *rows, int64_t max_rows, kit_random *random) {
  int64_t first = 0;
  while (first < rows->batch->n_rows) {
    const int64_t left = rows->batch->n_rows - first;
    const int64_t wanted = 1 + kit_random_below(random, max_rows);
    const int64_t n = wanted < left ? wanted : left;
    const qn_column *keys[REF_MAX_COLUMNS];
    qn_batch *slice = NULL;
    QN_CHECK_OK(qn_batch_slice(rows->batch, first, n, &slice, &kit_error));
    ref_columns(slice, keys);
    QN_CHECK_OK(qn_group_table_add(table, keys, rows->hashes + first, n, rows->groups + first, &kit_error));
    qn_batch_free(slice);
    first += n;
  }
}

static int64_t count_different(const int32_t *a, const int32_t *b, int64_t n) {
  int64_t n_different = 0;
  for (int64_t i = 0; i < n; i++) {
    n_different += a[i] != b[i];
  }
  return n_different;
}

// The keys of groups [first, first + n) are those of their first rows.
static void check_keys(const qn_group_table *table, const key_rows *rows, int64_t first, int64_t n) {
  qn_column columns[REF_MAX_COLUMNS];
  const qn_column *keys[REF_MAX_COLUMNS];
  int64_t n_wrong = 0;
  QN_CHECK_OK(qn_group_table_keys(table, first, n, columns, &kit_error));
  for (int k = 0; k < rows->n_keys; k++) {
    keys[k] = &columns[k];
    QN_CHECK_INT(columns[k].type, rows->keys[k]->type);
    QN_CHECK_INT(columns[k].n_rows, n);
  }
  for (int64_t i = 0; i < n; i++) {
    n_wrong += !ref_rows_are_equal(keys, i, rows->keys, rows->first_rows[first + i], rows->n_keys);
    n_wrong += qn_group_table_hashes(table)[first + i] != rows->hashes[rows->first_rows[first + i]];
  }
  QN_CHECK_INT(n_wrong, 0);
  for (int k = 0; k < rows->n_keys; k++) {
    qn_column_release(&columns[k]);
  }
}

// A table made of the bytes of another one finds what that finds.
static void check_image(const qn_group_table *table, const key_rows *rows) {
  const int64_t n = rows->batch->n_rows, size = qn_group_table_image_size(table);
  qn_type types[REF_MAX_COLUMNS];
  int32_t *groups = malloc(((size_t)n + 1) * sizeof *groups);
  uint8_t *image = malloc((size_t)size);
  qn_group_table *copy = NULL;

  for (int k = 0; k < rows->n_keys; k++) {
    types[k] = rows->keys[k]->type;
  }
  qn_group_table_write_image(table, image);
  QN_CHECK_FAILS(qn_group_table_from_image(types, rows->n_keys, image, size - 8, &copy, &kit_error),
                 QN_ERR_FORMAT);
  QN_CHECK_OK(qn_group_table_from_image(types, rows->n_keys, image, size, &copy, &kit_error));
  qn_group_table_find(copy, rows->keys, rows->hashes, n, groups);
  QN_CHECK_INT(count_different(groups, rows->ref_groups, n), 0);
  QN_CHECK_INT(qn_group_table_n_groups(copy), rows->n_groups);
  qn_group_table_free(copy);
  free(image);
  free(groups);
}

static void check_table(qn_group_table *table, key_rows *rows, kit_random *random) {
  const int64_t n = rows->batch->n_rows;
  add_slices(table, rows, n < 3 ? 3 : n, random);
  QN_CHECK_INT(qn_group_table_n_groups(table), rows->n_groups);
  QN_CHECK_INT(count_different(rows->groups, rows->ref_groups, n), 0);
  check_image(table, rows);
  memset(rows->groups, 0x55, (size_t)n * sizeof *rows->groups);
  qn_group_table_find(table, rows->keys, rows->hashes, n, rows->groups);
  QN_CHECK_INT(count_different(rows->groups, rows->ref_groups, n), 0);
  check_keys(table, rows, 0, rows->n_groups);
  check_keys(table, rows, rows->n_groups / 3, rows->n_groups / 2);
}

static void groups_are_those_of_a_search(void) {
  kit_random random = {.state = 3};
  for (int s = 0; s < REF_N_SCHEMAS; s++) {
    for (int z = 0; z < REF_N_SIZES; z++) {
      qn_batch *batch = kit_random_batch(&random, ref_schemas[s], ref_sizes[z]);
      key_rows rows = key_rows_new(batch);
      qn_group_table *table = new_table(batch);
      check_table(table, &rows, &random);
      qn_group_table_clear(table);
      QN_CHECK_INT(qn_group_table_n_groups(table), 0);
      check_table(table, &rows, &random);
      qn_group_table_free(table);
      key_rows_free(&rows);
      qn_batch_free(batch);
    }
  }
}

static void rows_that_were_not_added_are_not_found(void) {
  kit_random random = {.state = 4};
  for (int s = 0; s < REF_N_SCHEMAS; s++) {
    qn_batch *batch = kit_random_batch(&random, ref_schemas[s], 600);
    key_rows rows = key_rows_new(batch);
    qn_group_table *table = new_table(batch);
    int64_t n_wrong = 0;
    qn_group_table_find(table, rows.keys, rows.hashes, 600, rows.groups);
    for (int64_t i = 0; i < 600; i++) {
      n_wrong += rows.groups[i] != -1;
    }
    QN_CHECK_OK(qn_group_table_add(table, rows.keys, rows.hashes, 70, rows.groups, &kit_error));
    const int64_t n_groups = qn_group_table_n_groups(table);
    qn_group_table_find(table, rows.keys, rows.hashes, 600, rows.groups);
    for (int64_t i = 0; i < 600; i++) {
      n_wrong += rows.groups[i] != (rows.ref_groups[i] < n_groups ? rows.ref_groups[i] : -1);
    }
    QN_CHECK_INT(n_wrong, 0);
    qn_group_table_free(table);
    key_rows_free(&rows);
    qn_batch_free(batch);
  }
}

static void equal_hashes_do_not_make_equal_keys(void) {
  kit_random random = {.state = 5};
  for (int s = 0; s < REF_N_SCHEMAS; s++) {
    qn_batch *batch = kit_random_batch(&random, ref_schemas[s], 700);
    key_rows rows = key_rows_new(batch);
    qn_group_table *table = new_table(batch);
    for (int64_t i = 0; i < 700; i++) {
      rows.hashes[i] = qn_column_is_null(rows.keys[0], i) ? 7 : rows.hashes[i] & 0x8000000000000001u;
      rows.hashes[i] = rows.n_keys > 1 ? 9 : rows.hashes[i];
    }
    check_table(table, &rows, &random);
    qn_group_table_free(table);
    key_rows_free(&rows);
    qn_batch_free(batch);
  }
}

static void no_keys_make_one_group(void) {
  qn_group_table *table = NULL;
  uint64_t hashes[5];
  int32_t groups[5] = {9, 9, 9, 9, 9};
  QN_CHECK_OK(qn_group_table_new(NULL, 0, &table, &kit_error));
  qn_hash_columns(NULL, 0, 5, hashes);
  QN_CHECK_OK(qn_group_table_add(table, NULL, hashes, 0, groups, &kit_error));
  QN_CHECK_INT(qn_group_table_n_groups(table), 0);
  QN_CHECK_OK(qn_group_table_add(table, NULL, hashes, 5, groups, &kit_error));
  QN_CHECK_INT(qn_group_table_n_groups(table), 1);
  QN_CHECK_INT(groups[0] + groups[4], 0);
  QN_CHECK_OK(qn_group_table_keys(table, 0, 1, NULL, &kit_error));
  qn_group_table_free(table);
}

static void many_int64_keys_grow_the_table(void) {
  enum { N = 4096, N_BATCHES = 100 };
  const qn_type type = QN_INT64;
  static int64_t values[N];
  static uint64_t hashes[N];
  static int32_t groups[N];
  qn_group_table *table = NULL;
  int64_t n_wrong = 0;
  QN_CHECK_OK(qn_group_table_new(&type, 1, &table, &kit_error));
  for (int pass = 0; pass < 2; pass++) {
    for (int64_t b = 0; b < N_BATCHES; b++) {
      const qn_column column = {.type = type, .n_rows = N, .values = values};
      const qn_column *keys[] = {&column};
      for (int64_t i = 0; i < N; i++) {
        values[i] = (b * N + i) / 2 * 1000003;
      }
      qn_hash_columns(keys, 1, N, hashes);
      QN_CHECK_OK(qn_group_table_add(table, keys, hashes, N, groups, &kit_error));
      for (int64_t i = 0; i < N; i++) {
        n_wrong += groups[i] != (b * N + i) / 2;
      }
    }
  }
  QN_CHECK_INT(n_wrong, 0);
  QN_CHECK_INT(qn_group_table_n_groups(table), N * N_BATCHES / 2);
  QN_CHECK(qn_group_table_n_bytes(table) >= N * N_BATCHES / 2 * 24);
  qn_group_table_free(table);
}

static void many_texts_of_all_lengths_are_kept(void) {
  enum { N = 2000, N_BATCHES = 40, MAX_SIZE = 40 };
  const qn_type type = QN_BINARY;
  static char bytes[N * MAX_SIZE];
  static int32_t offsets[N + 1];
  static uint64_t hashes[N];
  static int32_t groups[N];
  qn_group_table *table = NULL;
  qn_column kept = {0};
  int64_t n_wrong = 0;
  QN_CHECK_OK(qn_group_table_new(&type, 1, &table, &kit_error));
  for (int64_t b = 0; b < N_BATCHES; b++) {
    const qn_column column = {.type = type, .n_rows = N, .offsets = offsets, .bytes = (const uint8_t *)bytes};
    const qn_column *keys[] = {&column};
    for (int32_t i = 0; i < N; i++) {
      const int64_t number = b * N + i;
      const int32_t size = 4 + (int32_t)(number % (MAX_SIZE - 4));
      memset(bytes + offsets[i], 0, (size_t)size);
      memcpy(bytes + offsets[i] + size - 4, &number, 4); // the difference is at the end
      offsets[i + 1] = offsets[i] + size;
    }
    qn_hash_columns(keys, 1, N, hashes);
    QN_CHECK_OK(qn_group_table_add(table, keys, hashes, N, groups, &kit_error));
    for (int64_t i = 0; i < N; i++) {
      n_wrong += groups[i] != b * N + i;
    }
  }
  QN_CHECK_OK(qn_group_table_keys(table, 0, N * N_BATCHES, &kept, &kit_error));
  for (int64_t g = 0; g < N * N_BATCHES; g++) {
    const qn_text text = qn_column_text(&kept, g);
    n_wrong += text.size != 4 + g % (MAX_SIZE - 4) || memcmp(text.data + text.size - 4, &g, 4) != 0;
  }
  QN_CHECK_INT(n_wrong, 0);
  qn_column_release(&kept);
  qn_group_table_free(table);
}

static void all_equal_rows_are_one_group(void) {
  enum { N = 1000 };
  qn_batch *batch = kit_batch("a utf8, b float64", "a key of more than twelve bytes|NaN\n");
  qn_batch *same = NULL;
  int32_t rows[N] = {0};
  QN_CHECK_OK(qn_batch_gather(batch, rows, N, &same, &kit_error));
  key_rows all = key_rows_new(same);
  qn_group_table *table = new_table(same);
  kit_random random = {.state = 6};
  check_table(table, &all, &random);
  QN_CHECK_INT(qn_group_table_n_groups(table), 1);
  qn_group_table_free(table);
  key_rows_free(&all);
  qn_batch_free(same);
  qn_batch_free(batch);
}

static void a_range_beyond_the_groups_is_an_error(void) {
  const qn_type type = QN_INT64;
  qn_group_table *table = NULL;
  qn_column column = {0};
  QN_CHECK_OK(qn_group_table_new(&type, 1, &table, &kit_error));
  QN_CHECK_FAILS(qn_group_table_keys(table, 0, 1, &column, &kit_error), QN_ERR_ARG);
  QN_CHECK_OK(qn_group_table_keys(table, 0, 0, &column, &kit_error));
  qn_column_release(&column);
  qn_group_table_free(table);
}

int main(void) {
  KIT_RUN(groups_are_those_of_a_search);
  KIT_RUN(rows_that_were_not_added_are_not_found);
  KIT_RUN(equal_hashes_do_not_make_equal_keys);
  KIT_RUN(no_keys_make_one_group);
  KIT_RUN(many_int64_keys_grow_the_table);
  KIT_RUN(many_texts_of_all_lengths_are_kept);
  KIT_RUN(all_equal_rows_are_one_group);
  KIT_RUN(a_range_beyond_the_groups_is_an_error);
  return kit_result();
}
