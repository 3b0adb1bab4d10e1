// SPDX-License-Identifier: Apache-2.0
#include <quern/arrow.h>
#include "base/memory.h"
#include "kit/kit.h"

static const char all_types[] =
    "a bool, b int32, c int64, d float32, e float64, f utf8, g binary, h date, i timestamp";

static void exported_batches_are_imported_again(void) {
  const int64_t before = qn_memory_used();
  kit_random random = {.state = 41};
  for (int64_t n_rows = 0; n_rows < 200; n_rows += 7) {
    qn_batch *batch = kit_random_batch(&random, all_types, n_rows), *slice = NULL, *again = NULL;
    struct ArrowSchema schema = {0};
    struct ArrowArray array = {0};
    QN_CHECK_OK(qn_batch_slice(batch, n_rows / 5, n_rows / 2, &slice, &kit_error));
    qn_batch_free(batch);
    QN_CHECK_OK(qn_batch_export(slice, &schema, &array, &kit_error));
    QN_CHECK_TEXT(schema.format, "+s");
    QN_CHECK_INT(array.n_children, 9);
    QN_CHECK_TEXT(schema.children[8]->format, "tsu:");
    char *wanted = kit_batch_text(slice);
    qn_batch_free(slice);
    QN_CHECK_OK(qn_batch_import(&schema, &array, &again, &kit_error));
    QN_CHECK(schema.release == NULL && array.release == NULL);
    QN_CHECK_BATCH(again, wanted);
    free(wanted);
    qn_batch_free(again);
  }
  QN_CHECK_INT(qn_memory_used(), before);
}

// The struct's own offset moves into the children, whatever bit it begins at.
static void an_offset_of_the_struct_is_respected(void) {
  kit_random random = {.state = 42};
  for (int64_t offset = 0; offset < 20; offset++) {
    qn_batch *batch = kit_random_batch(&random, all_types, 60), *slice = NULL, *again = NULL;
    struct ArrowSchema schema = {0};
    struct ArrowArray array = {0};
    QN_CHECK_OK(qn_batch_export(batch, &schema, &array, &kit_error));
    array.offset = offset;
    array.length = 60 - 2 * offset;
    QN_CHECK_OK(qn_batch_slice(batch, offset, 60 - 2 * offset, &slice, &kit_error));
    char *wanted = kit_batch_text(slice);
    QN_CHECK_OK(qn_batch_import(&schema, &array, &again, &kit_error));
    QN_CHECK_BATCH(again, wanted);
    free(wanted);
    qn_batch_free(batch);
    qn_batch_free(slice);
    qn_batch_free(again);
  }
}

static int64_t n_released;

static void release_nothing(struct ArrowArray *array) {
  array->release = NULL;
  n_released++;
}

static void release_no_schema(struct ArrowSchema *schema) {
  schema->release = NULL;
  n_released++;
}

// An import of one column made by hand.
typedef struct {
  struct ArrowSchema child_schema;
  struct ArrowSchema schema;
  struct ArrowArray child;
  struct ArrowArray array;
  struct ArrowSchema *child_schemas[1];
  struct ArrowArray *children[1];
  const void *child_buffers[3];
  const void *buffers[1];
} foreign_batch;

static void foreign_init(foreign_batch *foreign, const char *format, int64_t n_rows, const void *validity,
                         const void *values, const void *bytes) {
  const bool is_text = strchr("uUzZ", format[0]) != NULL;
  *foreign = (foreign_batch){
      .child_schema = {.format = format, .name = "x"},
      .schema = {.format = "+s", .n_children = 1, .release = release_no_schema},
      .child = {.length = n_rows, .null_count = -1, .n_buffers = is_text ? 3 : 2},
      .array = {.length = n_rows, .n_buffers = 1, .n_children = 1, .release = release_nothing},
      .child_buffers = {validity, values, bytes}};
  foreign->child_schemas[0] = &foreign->child_schema;
  foreign->schema.children = foreign->child_schemas;
  foreign->child.buffers = foreign->child_buffers;
  foreign->children[0] = &foreign->child;
  foreign->array.children = foreign->children;
  foreign->array.buffers = foreign->buffers;
}

static void check_import(foreign_batch *foreign, const char *wanted) {
  qn_batch *batch = NULL;
  n_released = 0;
  QN_CHECK_OK(qn_batch_import(&foreign->schema, &foreign->array, &batch, &kit_error));
  QN_CHECK_BATCH(batch, wanted);
  qn_batch_free(batch);
  QN_CHECK_INT(n_released, 2);
}

static void check_refused(foreign_batch *foreign, qn_status status, const char *part) {
  qn_batch *batch = NULL;
  n_released = 0;
  QN_CHECK_FAILS(qn_batch_import(&foreign->schema, &foreign->array, &batch, &kit_error), status);
  QN_CHECK_MESSAGE(part);
  QN_CHECK_INT(n_released, 2);
}

static void times_of_other_units_are_converted(void) {
  foreign_batch foreign;
  const int64_t times[] = {1, -1, 1500};
  const int64_t huge[] = {1, INT64_MAX};
  const uint8_t first[] = {1};
  foreign_init(&foreign, "tss:UTC", 3, NULL, times, NULL);
  check_import(&foreign, "1970-01-01 00:00:01\n1969-12-31 23:59:59\n1970-01-01 00:25:00\n");
  foreign_init(&foreign, "tsm:", 3, NULL, times, NULL);
  check_import(&foreign, "1970-01-01 00:00:00.001\n1969-12-31 23:59:59.999\n1970-01-01 00:00:01.5\n");
  foreign_init(&foreign, "tsn:", 3, NULL, times, NULL);
  check_import(&foreign, "1970-01-01 00:00:00\n1969-12-31 23:59:59.999999\n1970-01-01 00:00:00.000001\n");
  foreign_init(&foreign, "tsm:", 2, NULL, huge, NULL);
  check_refused(&foreign, QN_ERR_VALUE, "row 1: time 9223372036854775807 does not fit into microseconds");
  foreign_init(&foreign, "tsm:", 2, first, huge, NULL); // a null may be anything
  check_import(&foreign, "1970-01-01 00:00:00.001\n~\n");
  foreign_init(&foreign, "tsu:Europe/Berlin", 3, NULL, times, NULL);
  check_refused(&foreign, QN_ERR_TYPE, "column 'x' has the format 'tsu:Europe/Berlin'");
}

static void large_text_and_bools_are_copied(void) {
  foreign_batch foreign;
  const int64_t offsets[] = {3, 3, 5, 10};
  const uint8_t bits[] = {0xaa, 1};
  foreign_init(&foreign, "U", 3, NULL, offsets, "xxxabcdefg");
  check_import(&foreign, "\nab\ncdefg\n");
  foreign_init(&foreign, "b", 4, NULL, bits, NULL);
  foreign.child.offset = 5;
  foreign.child.length = 4;
  check_import(&foreign, "t\nf\nt\nt\n");
}

static void values_that_are_not_aligned_are_copied(void) {
  foreign_batch foreign;
  char raw[32] = {0};
  const int64_t values[] = {7, -8};
  memcpy(raw + 1, values, sizeof values);
  foreign_init(&foreign, "l", 2, NULL, raw + 1, NULL);
  check_import(&foreign, "7\n-8\n");
}

static void nulls_of_the_struct_are_nulls_of_the_columns(void) {
  foreign_batch foreign;
  const int32_t values[] = {1, 2, 3, 4};
  const uint8_t outer[] = {0x0d};
  const uint8_t inner[] = {0x0b};
  foreign_init(&foreign, "i", 4, inner, values, NULL);
  foreign.array.null_count = 1;
  foreign.buffers[0] = outer;
  check_import(&foreign, "1\n~\n~\n4\n");
}

static void wrong_arrays_are_refused_and_released(void) {
  foreign_batch foreign;
  const int32_t offsets[] = {0, 2, 1, 4};
  const int32_t good[] = {0, 1, 2, 4};
  const int64_t large[] = {0, 2, 1, 4};
  foreign_init(&foreign, "u", 3, NULL, offsets, "abcd");
  check_refused(&foreign, QN_ERR_FORMAT, "column 'x' (utf8) of a batch of 3 rows has offsets that descend");
  foreign_init(&foreign, "U", 3, NULL, large, "abcd");
  check_refused(&foreign, QN_ERR_FORMAT, "column 'x', row 2: offset 1 descends");
  foreign_init(&foreign, "u", 3, NULL, good,
               "ab\xff"
               "d");
  check_refused(&foreign, QN_ERR_FORMAT, "not valid UTF-8");
  foreign_init(&foreign, "u", 3, NULL, good, NULL);
  check_refused(&foreign, QN_ERR_FORMAT, "no bytes");
  foreign_init(&foreign, "i", 3, NULL, good, NULL);
  foreign.child.length = 2;
  check_refused(&foreign, QN_ERR_FORMAT, "column 'x' has 2 rows, but its struct reaches row 3");
  foreign_init(&foreign, "i", 3, NULL, NULL, NULL);
  check_refused(&foreign, QN_ERR_FORMAT, "has no values");
  foreign_init(&foreign, "i", 3, NULL, good, NULL);
  foreign.child.n_buffers = 1;
  check_refused(&foreign, QN_ERR_FORMAT, "has 1 buffers, 2 were expected");
  foreign_init(&foreign, "i", 3, NULL, good, NULL);
  foreign.array.n_children = 2;
  check_refused(&foreign, QN_ERR_FORMAT, "2 columns, its schema 1");
  foreign_init(&foreign, "+l", 3, NULL, good, NULL);
  check_refused(&foreign, QN_ERR_TYPE, "format '+l'");
  foreign_init(&foreign, "i", 3, NULL, good, NULL);
  foreign.schema.format = "i";
  check_refused(&foreign, QN_ERR_TYPE, "a struct array ('+s') was expected");
  foreign_init(&foreign, "i", 3, NULL, good, NULL);
  foreign.child.null_count = 2;
  check_refused(&foreign, QN_ERR_FORMAT, "says it has 2 nulls, but has no validity");
}

int main(void) {
  KIT_RUN(exported_batches_are_imported_again);
  KIT_RUN(an_offset_of_the_struct_is_respected);
  KIT_RUN(times_of_other_units_are_converted);
  KIT_RUN(large_text_and_bools_are_copied);
  KIT_RUN(values_that_are_not_aligned_are_copied);
  KIT_RUN(nulls_of_the_struct_are_nulls_of_the_columns);
  KIT_RUN(wrong_arrays_are_refused_and_released);
  return kit_result();
}
