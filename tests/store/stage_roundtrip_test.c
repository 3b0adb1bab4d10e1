// SPDX-License-Identifier: Apache-2.0
// What is staged is read back the same: every type, every size, folders and single files.
#include <dirent.h>
#include "column/builder.h"
#include "store/stage_fixture.h"

#define ALL_TYPES "b bool, i int32, l int64, f float32, d float64, t utf8, x binary, day date, seen timestamp"

static void round_trip(const qn_batch *batch, const fixture_folder *folder, const char *name) {
  char path[400];
  qn_batch *found = NULL;
  qn_buffer description = {0};
  fixture_path(folder, name, path, sizeof path);
  if (strstr(name, ".h5") != NULL) {
    fixture_write_part(path, batch->schema, (qn_batch *const *)&batch, 1, &description);
  } else {
    fixture_stage(path, batch->schema, (qn_batch *const *)&batch, 1);
  }
  QN_CHECK_OK(fixture_read_all(path, &found, &kit_error));
  if (found != NULL) {
    fixture_check_equal(found, batch);
  }
  qn_batch_free(found);
  qn_buffer_release(&description);
}

static void all_types_and_sizes_come_back(void) {
  static const int64_t sizes[] = {0, 1, 2, 7, 4095, 4096, 4097, 65535, 65536, 65537, 140000};
  const fixture_folder folder = fixture_folder_make();
  kit_random random = {.state = 17};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    char name[40];
    qn_batch *batch = kit_random_batch(&random, ALL_TYPES, sizes[i]);
    snprintf(name, sizeof name, "set-%zu", i);
    round_trip(batch, &folder, name);
    snprintf(name, sizeof name, "set-%zu.h5", i);
    round_trip(batch, &folder, name);
    qn_batch_free(batch);
  }
  fixture_folder_remove(&folder);
}

static void nulls_may_begin_in_a_later_group(void) {
  enum { N_ROWS = 3 * QN_STAGE_GROUP_ROWS + 100 };
  const fixture_folder folder = fixture_folder_make();
  qn_schema *schema = NULL;
  qn_batch_builder builder;
  qn_batch *batch = NULL;
  QN_CHECK_OK(qn_schema_parse("a int64, t utf8, f float64", &schema, &kit_error));
  QN_CHECK_OK(qn_batch_builder_init(&builder, schema, &kit_error));
  for (int64_t i = 0; i < N_ROWS; i++) {
    const double real = (double)i / 3;
    const bool is_null = i == 2 * QN_STAGE_GROUP_ROWS + 5 || i == N_ROWS - 1;
    if (is_null) {
      QN_CHECK_OK(qn_column_builder_append_null(&builder.columns[0], &kit_error));
      QN_CHECK_OK(qn_column_builder_append_null(&builder.columns[1], &kit_error));
      QN_CHECK_OK(qn_column_builder_append_null(&builder.columns[2], &kit_error));
    } else {
      QN_CHECK_OK(qn_column_builder_append_value(&builder.columns[0], &i, &kit_error));
      QN_CHECK_OK(qn_column_builder_append_text(&builder.columns[1], "abcdefgh", i % 9, &kit_error));
      QN_CHECK_OK(qn_column_builder_append_value(&builder.columns[2], &real, &kit_error));
    }
  }
  builder.n_rows = N_ROWS;
  QN_CHECK_OK(qn_batch_builder_finish(&builder, &batch, &kit_error));
  round_trip(batch, &folder, "late");
  qn_batch_free(batch);
  qn_batch_builder_release(&builder);
  qn_schema_free(schema);
  fixture_folder_remove(&folder);
}

static void columns_of_nulls_and_of_empty_text_come_back(void) {
  const fixture_folder folder = fixture_folder_make();
  qn_batch *batch =
      kit_batch("a int64, t utf8, x binary, b bool, f float32", "~||~|~|~\n~||~|~|~\n~||~|~|~\n");
  round_trip(batch, &folder, "empty");
  qn_batch_free(batch);
  fixture_folder_remove(&folder);
}

static void odd_column_names_come_back(void) {
  const fixture_folder folder = fixture_folder_make();
  qn_batch *batch =
      kit_batch("\"a/b\" int32, \".\" int32, \"..\" int32, \"50%\" int32, \"x y\" int32, "
                "\"gr\xc3\xbc\xc3\x9f\" int32, \"tab\there\" int32, \"%2F\" int32, \"a\"\"b\" int32",
                "1|2|3|4|5|6|7|8|9\n");
  round_trip(batch, &folder, "odd");
  round_trip(batch, &folder, "odd.h5");
  qn_batch_free(batch);
  fixture_folder_remove(&folder);
}

// Texts of a megabyte and more: row groups end early, one row may be a group of its own.
static void huge_texts_come_back(void) {
  const fixture_folder folder = fixture_folder_make();
  char path[400];
  static const int64_t sizes[] = {3, 40 << 20, 0, 70 << 20, 1 << 20, 63 << 20, 5 << 20, 0, 1};
  enum { N = sizeof sizes / sizeof *sizes };
  qn_schema *schema = NULL;
  qn_column_builder text;
  qn_batch_builder builder;
  qn_batch *batch = NULL, *found = NULL;
  qn_manifest *manifest = NULL;
  char *data = malloc(80 << 20);
  for (int64_t i = 0; i < 80 << 20; i++) {
    data[i] = (char)('a' + i % 23);
  }
  QN_CHECK_OK(qn_schema_parse("n int32, t utf8", &schema, &kit_error));
  QN_CHECK_OK(qn_batch_builder_init(&builder, schema, &kit_error));
  qn_column_builder_init(&text, QN_UTF8);
  for (int32_t i = 0; i < N; i++) {
    QN_CHECK_OK(qn_column_builder_append_value(&builder.columns[0], &i, &kit_error));
    QN_CHECK_OK(qn_column_builder_append_text(&builder.columns[1], data + i, sizes[i], &kit_error));
  }
  builder.n_rows = N;
  QN_CHECK_OK(qn_batch_builder_finish(&builder, &batch, &kit_error));
  fixture_path(&folder, "huge", path, sizeof path);
  fixture_stage(path, schema, &batch, 1);
  QN_CHECK_OK(qn_manifest_open(path, &manifest, &kit_error));
  QN_CHECK_INT(qn_manifest_part(manifest, 0).n_groups, 5);
  QN_CHECK_OK(qn_manifest_verify(manifest, &kit_error));
  QN_CHECK_OK(fixture_read_all(path, &found, &kit_error));
  for (int64_t i = 0; found != NULL && i < N; i++) {
    const qn_text value = qn_column_text(&found->columns[1], i);
    QN_CHECK_INT(value.size, sizes[i]);
    QN_CHECK(memcmp(value.data, data + i, (size_t)sizes[i]) == 0);
  }
  qn_batch_free(found);
  qn_batch_free(batch);
  qn_manifest_free(manifest);
  qn_batch_builder_release(&builder);
  qn_schema_free(schema);
  free(data);
  fixture_folder_remove(&folder);
}

static void parts_keep_their_order_and_batches_their_origin(void) {
  const fixture_folder folder = fixture_folder_make();
  char path[400];
  qn_batch *batches[3] = {kit_batch("a int32", "1\n2\n"), kit_batch("a int32", ""),
                          kit_batch("a int32", "3\n")};
  qn_batch *batch = NULL;
  qn_manifest *manifest = NULL;
  qn_source *source = NULL;
  const int column = 0;
  fixture_path(&folder, "three", path, sizeof path);
  fixture_stage(path, batches[0]->schema, batches, 3);
  QN_CHECK_OK(qn_manifest_open(path, &manifest, &kit_error));
  QN_CHECK_INT(qn_manifest_n_parts(manifest), 3);
  QN_CHECK_INT(qn_manifest_n_rows(manifest), 3);
  QN_CHECK_INT(qn_manifest_part(manifest, 1).n_groups, 0);
  QN_CHECK_OK(qn_stage_source_new_take(manifest, &source, &kit_error));
  QN_CHECK_INT(source->n_splits, 2);
  QN_CHECK_INT(source->n_rows, 3);
  const qn_scan scan = {.columns = &column, .n_columns = 1, .schema = source->schema};
  qn_reader *reader = calloc(1, source->ops->reader_size);
  QN_CHECK_OK(source->ops->open(source, &scan, reader, &kit_error));
  QN_CHECK_OK(source->ops->start(reader, 1, &kit_error));
  QN_CHECK_OK(source->ops->next(reader, &batch, &kit_error));
  QN_CHECK_BATCH(batch, "3\n");
  QN_CHECK(strstr(batch->origin.name, "three/part-00002.h5") != NULL);
  QN_CHECK_INT(batch->origin.first_row, 0);
  qn_batch_free(batch);
  QN_CHECK_OK(source->ops->start(reader, 0, &kit_error));
  QN_CHECK_OK(source->ops->next(reader, &batch, &kit_error));
  QN_CHECK_BATCH(batch, "1\n2\n");
  qn_batch_free(batch);
  QN_CHECK_OK(source->ops->next(reader, &batch, &kit_error));
  QN_CHECK(batch == NULL);
  QN_CHECK_FAILS(source->ops->start(reader, 2, &kit_error), QN_ERR_ARG);
  source->ops->close(reader);
  free(reader);
  qn_source_free(source);
  for (int i = 0; i < 3; i++) {
    qn_batch_free(batches[i]);
  }
  fixture_folder_remove(&folder);
}

static void only_columns_asked_for_are_given(void) {
  const fixture_folder folder = fixture_folder_make();
  char path[400];
  kit_random random = {.state = 5};
  qn_batch *batch = kit_random_batch(&random, ALL_TYPES, 70000), *found = NULL, *wanted = NULL;
  qn_manifest *manifest = NULL;
  qn_source *source = NULL;
  qn_schema *schema = NULL;
  const int columns[] = {2, 5};
  int64_t n_splits = 0;
  fixture_path(&folder, "some", path, sizeof path);
  fixture_stage(path, batch->schema, &batch, 1);
  QN_CHECK_OK(qn_manifest_open(path, &manifest, &kit_error));
  QN_CHECK_OK(qn_stage_source_new_take(manifest, &source, &kit_error));
  QN_CHECK_OK(qn_schema_project(source->schema, columns, 2, &schema, &kit_error));
  qn_scan scan = {.columns = columns, .n_columns = 2, .schema = schema};
  QN_CHECK_OK(fixture_read(source, &scan, &found, &n_splits, &kit_error));
  QN_CHECK_OK(qn_batch_project(batch, schema, columns, &wanted, &kit_error));
  fixture_check_equal(found, wanted);
  qn_batch_free(found);
  qn_schema_free(schema);

  found = NULL;
  QN_CHECK_OK(qn_schema_project(source->schema, columns, 0, &schema, &kit_error));
  scan = (qn_scan){.columns = columns, .n_columns = 0, .schema = schema};
  QN_CHECK_OK(fixture_read(source, &scan, &found, &n_splits, &kit_error));
  QN_CHECK_INT(found->n_rows, 70000);
  QN_CHECK_INT(found->n_columns, 0);
  qn_batch_free(found);
  qn_schema_free(schema);
  qn_source_free(source);
  qn_batch_free(wanted);
  qn_batch_free(batch);
  fixture_folder_remove(&folder);
}

static void an_encoded_manifest_is_the_same(void) {
  const fixture_folder folder = fixture_folder_make();
  char path[400];
  kit_random random = {.state = 6};
  qn_batch *batch = kit_random_batch(&random, ALL_TYPES, 100);
  qn_buffer description = {0}, text = {0}, again = {0};
  qn_manifest *manifest = NULL, *copy = NULL;
  qn_column_stats a, b;
  fixture_path(&folder, "part-00000.h5", path, sizeof path);
  fixture_write_part(path, batch->schema, &batch, 1, &description);
  QN_CHECK_OK(
      qn_manifest_write(folder.path, batch->schema, &description, 1, "i desc, \"t\"", "l", &kit_error));
  QN_CHECK_OK(qn_manifest_open(folder.path, &manifest, &kit_error));
  QN_CHECK_OK(qn_manifest_encode(manifest, &text, &kit_error));
  QN_CHECK_OK(qn_manifest_decode(text.data, text.size, &copy, &kit_error));
  QN_CHECK_OK(qn_manifest_encode(copy, &again, &kit_error));
  QN_CHECK(text.size == again.size && memcmp(text.data, again.data, (size_t)text.size) == 0);
  QN_CHECK(qn_schema_is_equal(qn_manifest_schema(copy), batch->schema));
  QN_CHECK_INT(qn_manifest_n_rows(copy), 100);
  QN_CHECK_INT(qn_manifest_n_bytes(copy), qn_manifest_part(manifest, 0).n_bytes);
  QN_CHECK_TEXT(qn_manifest_part(copy, 0).path, path);
  QN_CHECK_TEXT(qn_manifest_sorted_by(copy), "i desc, \"t\"");
  QN_CHECK_TEXT(qn_manifest_partitioned_by(copy), "l");
  QN_CHECK_TEXT(qn_manifest_path(copy), folder.path);
  for (int c = 0; c < batch->n_columns; c++) {
    QN_CHECK_OK(qn_manifest_stats(manifest, c, &a, &kit_error));
    QN_CHECK_OK(qn_manifest_stats(copy, c, &b, &kit_error));
    QN_CHECK_INT(b.n_nulls, batch->columns[c].n_nulls);
    QN_CHECK(a.has_range && b.has_range);
  }
  QN_CHECK_FAILS(qn_manifest_decode(text.data, text.size / 2, &copy, &kit_error), QN_ERR_FORMAT);
  qn_manifest_free(copy);
  qn_manifest_free(manifest);
  qn_buffer_release(&description);
  qn_buffer_release(&text);
  qn_buffer_release(&again);
  qn_batch_free(batch);
  fixture_folder_remove(&folder);
}

// The same rows make the same bytes, whenever and in whatever batches they come.
static void files_are_reproducible(void) {
  const fixture_folder folder = fixture_folder_make();
  char path[2][400];
  kit_random random = {.state = 8};
  qn_batch *batch = kit_random_batch(&random, ALL_TYPES, 66000), *pieces[4] = {NULL};
  qn_buffer descriptions[2] = {{0}}, files[2] = {{0}};
  for (int i = 0; i < 4; i++) {
    QN_CHECK_OK(qn_batch_slice(batch, i * 16500, 16500, &pieces[i], &kit_error));
  }
  for (int i = 0; i < 2; i++) {
    char name[20];
    snprintf(name, sizeof name, "%d", i);
    QN_CHECK_OK(qn_folder_make(fixture_path(&folder, name, path[i], sizeof path[i]), &kit_error));
    snprintf(name, sizeof name, "%d/x.h5", i);
    fixture_path(&folder, name, path[i], sizeof path[i]);
    fixture_write_part(path[i], batch->schema, i == 0 ? &batch : pieces, i == 0 ? 1 : 4, &descriptions[i]);
    QN_CHECK_OK(qn_file_read_all(path[i], 1 << 30, &files[i], &kit_error));
  }
  QN_CHECK_INT(files[0].size, files[1].size);
  QN_CHECK(files[0].size == files[1].size &&
           memcmp(files[0].data, files[1].data, (size_t)files[0].size) == 0);
  for (int i = 0; i < 2; i++) {
    qn_buffer_release(&descriptions[i]);
    qn_buffer_release(&files[i]);
  }
  for (int i = 0; i < 4; i++) {
    qn_batch_free(pieces[i]);
  }
  qn_batch_free(batch);
  fixture_folder_remove(&folder);
}

static int n_open_files(void) {
  int n = 0;
  DIR *folder = opendir("/proc/self/fd");
  while (folder != NULL && readdir(folder) != NULL) {
    n++;
  }
  if (folder != NULL) {
    closedir(folder);
  }
  return n;
}

static void no_file_stays_open(void) {
  const int n_before = n_open_files();
  all_types_and_sizes_come_back();
  QN_CHECK_INT(n_open_files(), n_before);
}

int main(void) {
  KIT_RUN(all_types_and_sizes_come_back);
  KIT_RUN(nulls_may_begin_in_a_later_group);
  KIT_RUN(columns_of_nulls_and_of_empty_text_come_back);
  KIT_RUN(odd_column_names_come_back);
  KIT_RUN(huge_texts_come_back);
  KIT_RUN(parts_keep_their_order_and_batches_their_origin);
  KIT_RUN(only_columns_asked_for_are_given);
  KIT_RUN(an_encoded_manifest_is_the_same);
  KIT_RUN(files_are_reproducible);
  KIT_RUN(no_file_stays_open);
  return kit_result();
}
