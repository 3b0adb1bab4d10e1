// SPDX-License-Identifier: Apache-2.0
// Statistics are right, and no row that fulfils a bound is ever left out; row groups that cannot are.
#include <math.h>
#include "column/builder.h"
#include "store/stage_fixture.h"
#include "store/value_range.h"

static qn_source *open_source(const char *path) {
  qn_manifest *manifest = NULL;
  qn_source *source = NULL;
  QN_CHECK_OK(qn_manifest_open(path, &manifest, &kit_error));
  QN_CHECK_OK(qn_stage_source_new_take(manifest, &source, &kit_error));
  return source;
}

// Rows that a scan of column 0 with one bound gives, and from how many splits.
static int64_t rows_with_bound(qn_source *source, int column, qn_compare compare, const qn_column *value,
                               int64_t *n_splits) {
  const int columns[] = {0};
  qn_schema *schema = NULL;
  qn_batch *rows = NULL;
  const qn_bound bound = {.column = column, .compare = compare, .value = *value};
  QN_CHECK_OK(qn_schema_project(source->schema, columns, 1, &schema, &kit_error));
  const qn_scan scan = {
      .columns = columns, .n_columns = 1, .bounds = &bound, .n_bounds = 1, .schema = schema};
  *n_splits = 0;
  QN_CHECK_OK(fixture_read(source, &scan, &rows, n_splits, &kit_error));
  const int64_t n_rows = rows->n_rows;
  qn_batch_free(rows);
  qn_schema_free(schema);
  return n_rows;
}

static void groups_outside_the_bound_are_not_read(void) {
  enum { N_GROUPS = 4, N_ROWS = N_GROUPS * QN_STAGE_GROUP_ROWS };
  const fixture_folder folder = fixture_folder_make();
  char path[400];
  qn_schema *schema = NULL;
  qn_column_builder builder;
  qn_column column = {0}, value = {0};
  qn_batch *batch = NULL;
  int64_t n_splits = 0;
  QN_CHECK_OK(qn_schema_parse("a int64", &schema, &kit_error));
  qn_column_builder_init(&builder, QN_INT64);
  for (int64_t i = 0; i < N_ROWS; i++) {
    QN_CHECK_OK(qn_column_builder_append_value(&builder, &i, &kit_error));
  }
  QN_CHECK_OK(qn_column_builder_finish(&builder, &column, &kit_error));
  QN_CHECK_OK(qn_batch_new_take(schema, N_ROWS, &column, &batch, &kit_error));
  fixture_path(&folder, "x.h5", path, sizeof path);
  qn_buffer description = {0};
  fixture_write_part(path, schema, &batch, 1, &description);
  qn_source *source = open_source(path);
  QN_CHECK_INT(source->n_splits, N_GROUPS);

  const int64_t middle = 2 * QN_STAGE_GROUP_ROWS;
  QN_CHECK_OK(qn_value_to_column(QN_INT64, (const uint8_t *)&middle, 8, &value, &kit_error));
  QN_CHECK_INT(rows_with_bound(source, 0, QN_CMP_EQ, &value, &n_splits), QN_STAGE_GROUP_ROWS);
  QN_CHECK_INT(n_splits, 1);
  rows_with_bound(source, 0, QN_CMP_LT, &value, &n_splits);
  QN_CHECK_INT(n_splits, 2);
  rows_with_bound(source, 0, QN_CMP_LE, &value, &n_splits);
  QN_CHECK_INT(n_splits, 3);
  rows_with_bound(source, 0, QN_CMP_GT, &value, &n_splits);
  QN_CHECK_INT(n_splits, 2);
  rows_with_bound(source, 0, QN_CMP_GE, &value, &n_splits);
  QN_CHECK_INT(n_splits, 2);
  rows_with_bound(source, 0, QN_CMP_NE, &value, &n_splits);
  QN_CHECK_INT(n_splits, 4);
  qn_column_release(&value);
  const int64_t beyond = N_ROWS;
  QN_CHECK_OK(qn_value_to_column(QN_INT64, (const uint8_t *)&beyond, 8, &value, &kit_error));
  QN_CHECK_INT(rows_with_bound(source, 0, QN_CMP_GE, &value, &n_splits), 0);
  QN_CHECK_INT(n_splits, 0);
  qn_column_release(&value);
  qn_source_free(source);
  qn_batch_free(batch);
  qn_schema_free(schema);
  qn_column_builder_release(&builder);
  qn_buffer_release(&description);
  fixture_folder_remove(&folder);
}

static int order_of(const qn_column *a, int64_t row_a, const qn_column *b, int64_t row_b) {
  if (qn_type_is_text(a->type)) {
    const qn_text x = qn_column_text(a, row_a), y = qn_column_text(b, row_b);
    const int order = memcmp(x.data, y.data, (size_t)(x.size < y.size ? x.size : y.size));
    return order != 0 ? order : (x.size > y.size) - (x.size < y.size);
  }
  double x = 0, y = 0;
  switch (a->type) {
  case QN_BOOL:
    return (int)qn_column_bool(a, row_a) - (int)qn_column_bool(b, row_b);
  case QN_INT32:
  case QN_DATE:
    return (qn_column_int32(a, row_a) > qn_column_int32(b, row_b)) -
           (qn_column_int32(a, row_a) < qn_column_int32(b, row_b));
  case QN_INT64:
  case QN_TIMESTAMP:
    return (qn_column_int64(a, row_a) > qn_column_int64(b, row_b)) -
           (qn_column_int64(a, row_a) < qn_column_int64(b, row_b));
  case QN_FLOAT32:
    x = (double)qn_column_float32(a, row_a);
    y = (double)qn_column_float32(b, row_b);
    break;
  default:
    x = qn_column_float64(a, row_a);
    y = qn_column_float64(b, row_b);
  }
  if (isnan(x) || isnan(y)) {
    return (int)isnan(x) - (int)isnan(y);
  }
  return (x > y) - (x < y);
}

static bool fulfils(int order, qn_compare compare) {
  switch (compare) {
  case QN_CMP_EQ:
    return order == 0;
  case QN_CMP_NE:
    return order != 0;
  case QN_CMP_LT:
    return order < 0;
  case QN_CMP_LE:
    return order <= 0;
  case QN_CMP_GT:
    return order > 0;
  case QN_CMP_GE:
    return order >= 0;
  }
  return false;
}

// Of all comparisons of random columns with random values, those that a row fulfils must not be excluded; and
// the range is the least: if it excludes nothing of "< min", the value is not below it.
static void no_row_is_lost_by_a_range(void) {
  static const char *types[] = {"bool", "int32",  "int64", "float32",  "float64",
                                "utf8", "binary", "date",  "timestamp"};
  kit_random random = {.state = 99};
  for (int round = 0; round < 900; round++) {
    char schema[40];
    snprintf(schema, sizeof schema, "a %s", types[round % 9]);
    const int64_t n_rows = kit_random_below(&random, 6);
    qn_batch *batch = kit_random_batch(&random, schema, n_rows),
             *values = kit_random_batch(&random, schema, 8);
    const qn_column *column = &batch->columns[0];
    qn_value_range range;
    qn_value_range_of(column->type, column->validity, column->values, column->offsets, column->bytes, n_rows,
                      &range);
    QN_CHECK(qn_value_range_is_sound(column->type, &range));
    QN_CHECK_INT(range.has_range, column->n_nulls < n_rows);
    for (int64_t v = 0; v < 8; v++) {
      if (qn_column_is_null(&values->columns[0], v)) {
        continue;
      }
      qn_column value = {0};
      qn_batch *one = NULL;
      QN_CHECK_OK(qn_batch_slice(values, v, 1, &one, &kit_error));
      value = qn_column_share(&one->columns[0]);
      for (qn_compare compare = QN_CMP_EQ; compare <= QN_CMP_GE; compare++) {
        const qn_bound bound = {.column = 0, .compare = compare, .value = value};
        bool is_any = false;
        for (int64_t i = 0; i < n_rows; i++) {
          is_any |= !qn_column_is_null(column, i) && fulfils(order_of(column, i, &value, 0), compare);
        }
        const bool is_excluded =
            qn_value_range_excludes(column->type, &range, n_rows, column->n_nulls, &bound);
        QN_CHECK(!(is_any && is_excluded));
        // Without a range in between, the answer is exact for the comparisons of order.
        if (compare >= QN_CMP_LT && range.min_is_exact && range.max_is_exact) {
          QN_CHECK_INT(is_excluded, !is_any);
        }
      }
      qn_column_release(&value);
      qn_batch_free(one);
    }
    qn_batch_free(values);
    qn_batch_free(batch);
  }
}

// The range of a single long text.
static qn_value_range range_of_text(qn_type type, const char *text, int32_t size) {
  const int32_t offsets[] = {0, size};
  qn_value_range range;
  qn_value_range_of(type, NULL, NULL, offsets, (const uint8_t *)text, 1, &range);
  return range;
}

static void long_texts_are_cut_and_rounded_up(void) {
  char text[101];
  qn_value_range range;

  memset(text, 'a', 100);
  range = range_of_text(QN_UTF8, text, 64);
  QN_CHECK(range.min_is_exact && range.max_is_exact && range.max_size == 64);
  range = range_of_text(QN_UTF8, text, 65);
  QN_CHECK(!range.min_is_exact && !range.max_is_exact && range.min_size == 64 && range.max_size == 64);
  QN_CHECK(range.min[63] == 'a' && range.max[63] == 'b');

  // A character of three bytes lies across the cut.
  memcpy(text + 62, "\xe2\x82\xac", 3);
  range = range_of_text(QN_UTF8, text, 100);
  QN_CHECK(range.min_size == 62 && range.max_size == 62 && range.max[61] == 'b');

  // The last character before the surrogates, which have no UTF-8.
  memset(text, 'a', 100);
  memcpy(text + 61, "\xed\x9f\xbf", 3);
  range = range_of_text(QN_UTF8, text, 100);
  QN_CHECK(range.max_size == 64 && memcmp(range.max + 61, "\xee\x80\x80", 3) == 0);

  // The greatest characters there are: the one before them grows, to more bytes where there is room.
  memset(text, 'a', 100);
  memcpy(text + 56, "\xf4\x8f\xbf\xbf\xf4\x8f\xbf\xbf", 8);
  range = range_of_text(QN_UTF8, text, 100);
  QN_CHECK(range.max_size == 56 && range.max[55] == 'b');
  memset(text, 0x7f, 100);
  range = range_of_text(QN_UTF8, text, 100);
  QN_CHECK(range.max_size == 64 && range.max[62] == 0xc2 && range.max[63] == 0x80);

  memset(text, 0xff, 100);
  range = range_of_text(QN_BINARY, text, 100);
  QN_CHECK(!range.has_range);
  text[10] = 3;
  range = range_of_text(QN_BINARY, text, 100);
  QN_CHECK(range.has_range && range.max_size == 11 && range.max[10] == 4);
}

static void statistics_of_parts_are_summed_up(void) {
  const fixture_folder folder = fixture_folder_make();
  const char *schema = "a int32, f float64, t utf8, n int64, b bool";
  qn_batch *batches[4] = {kit_batch(schema, "5|1.5|pear|~|t\n~|NaN|apple|~|~\n"), kit_batch(schema, ""),
                          kit_batch(schema, "~|~|~|~|~\n"), kit_batch(schema, "-7|-Infinity|zebra|~|t\n")};
  qn_manifest *manifest = NULL;
  qn_column_stats stats;
  fixture_stage(folder.path, batches[0]->schema, batches, 4);
  QN_CHECK_OK(qn_manifest_open(folder.path, &manifest, &kit_error));
  QN_CHECK_OK(qn_manifest_stats(manifest, 0, &stats, &kit_error));
  QN_CHECK(stats.has_range && stats.is_exact);
  QN_CHECK_INT(stats.n_nulls, 2);
  QN_CHECK_INT(qn_column_int32(&stats.min, 0), -7);
  QN_CHECK_INT(qn_column_int32(&stats.max, 0), 5);
  QN_CHECK_OK(qn_manifest_stats(manifest, 1, &stats, &kit_error));
  QN_CHECK(qn_column_float64(&stats.min, 0) < 0 && isinf(qn_column_float64(&stats.min, 0)));
  QN_CHECK(isnan(qn_column_float64(&stats.max, 0)));
  QN_CHECK_OK(qn_manifest_stats(manifest, 2, &stats, &kit_error));
  QN_CHECK(memcmp(qn_column_text(&stats.min, 0).data, "apple", 5) == 0);
  QN_CHECK(memcmp(qn_column_text(&stats.max, 0).data, "zebra", 5) == 0);
  QN_CHECK_OK(qn_manifest_stats(manifest, 3, &stats, &kit_error));
  QN_CHECK(!stats.has_range);
  QN_CHECK_INT(stats.n_nulls, 4);
  QN_CHECK_OK(qn_manifest_stats(manifest, 4, &stats, &kit_error));
  QN_CHECK(qn_column_bool(&stats.min, 0) && qn_column_bool(&stats.max, 0));
  QN_CHECK_FAILS(qn_manifest_stats(manifest, 5, &stats, &kit_error), QN_ERR_ARG);
  qn_manifest_free(manifest);
  for (int i = 0; i < 4; i++) {
    qn_batch_free(batches[i]);
  }
  fixture_folder_remove(&folder);
}

// A part that the manifest rules out is not even opened: here it is gone.
static void parts_outside_the_bound_are_not_opened(void) {
  const fixture_folder folder = fixture_folder_make();
  char path[400];
  qn_batch *batches[2] = {kit_batch("a int32, n int32", "1|~\n2|~\n"),
                          kit_batch("a int32, n int32", "8|1\n9|2\n")};
  qn_column value = {0};
  int64_t n_splits = 0;
  const int32_t five = 5;
  fixture_stage(folder.path, batches[0]->schema, batches, 2);
  QN_CHECK_INT(remove(fixture_path(&folder, "part-00000.h5", path, sizeof path)), 0);
  qn_source *source = open_source(folder.path);
  QN_CHECK_OK(qn_value_to_column(QN_INT32, (const uint8_t *)&five, 4, &value, &kit_error));
  QN_CHECK_INT(rows_with_bound(source, 0, QN_CMP_GT, &value, &n_splits), 2);
  QN_CHECK_INT(n_splits, 1);
  QN_CHECK_INT(rows_with_bound(source, 1, QN_CMP_NE, &value, &n_splits), 2); // all null there
  qn_column_release(&value);
  qn_source_free(source);
  for (int i = 0; i < 2; i++) {
    qn_batch_free(batches[i]);
  }
  fixture_folder_remove(&folder);
}

static void values_survive_json(void) {
  static const char *types[] = {"bool", "int32",  "int64", "float32",  "float64",
                                "utf8", "binary", "date",  "timestamp"};
  kit_random random = {.state = 4};
  for (int i = 0; i < 900; i++) {
    char schema[40];
    snprintf(schema, sizeof schema, "a %s", types[i % 9]);
    qn_batch *batch = kit_random_batch(&random, schema, 1);
    const qn_column *column = &batch->columns[0];
    qn_value_range range;
    uint8_t value[QN_RANGE_BYTES] = {0};
    int32_t size = 0;
    qn_value_range_of(column->type, column->validity, column->values, column->offsets, column->bytes, 1,
                      &range);
    if (range.has_range) {
      json_t *json = qn_value_to_json(column->type, range.min, range.min_size);
      QN_CHECK(qn_value_from_json(column->type, json, value, &size));
      QN_CHECK_INT(size, range.min_size);
      QN_CHECK(memcmp(value, range.min, (size_t)size) == 0);
      json_decref(json);
    }
    qn_batch_free(batch);
  }
}

int main(void) {
  KIT_RUN(groups_outside_the_bound_are_not_read);
  KIT_RUN(no_row_is_lost_by_a_range);
  KIT_RUN(long_texts_are_cut_and_rounded_up);
  KIT_RUN(statistics_of_parts_are_summed_up);
  KIT_RUN(parts_outside_the_bound_are_not_opened);
  KIT_RUN(values_survive_json);
  return kit_result();
}
