// SPDX-License-Identifier: Apache-2.0
#include "base/memory.h"
#include "column/wire.h"
#include "column/wire_builder.h"
#include "kit/kit.h"

static const char all_types[] =
    "a bool, b int32, c int64, d float32, e float64, f utf8, g binary, h date, i timestamp";

// Decodes what a builder has written and compares it with the batch that has the same rows.
static void check_sealed(const qn_batch *wanted, uint8_t *memory, int64_t size) {
  qn_block *block = NULL;
  qn_batch *decoded = NULL;
  uint8_t *copy = malloc((size_t)size); // so that the sanitizer sees a read beyond it
  memcpy(copy, memory, (size_t)size);
  QN_CHECK_OK(qn_block_new(copy, free, &block, &kit_error));
  QN_CHECK_OK(qn_wire_decode(wanted->schema, block, copy, size, &decoded, &kit_error));
  QN_CHECK_OK(qn_batch_validate(decoded, true, &kit_error));
  char *text = kit_batch_text(wanted);
  QN_CHECK_BATCH(decoded, text);
  free(text);
  qn_batch_free(decoded);
  qn_block_free(block);
}

// Every second row, as often as it fits, in a buffer of `size` bytes.
static void fill_and_seal(const qn_batch *batch, int64_t size) {
  qn_wire_builder builder;
  qn_batch *wanted = NULL;
  int32_t rows[1000];
  int64_t n_rows = 0;
  for (int64_t i = 0; i < batch->n_rows; i += 2) {
    rows[n_rows++] = (int32_t)i;
  }
  uint8_t *memory = qn_memory_alloc(size);
  QN_CHECK_OK(qn_wire_builder_init(&builder, batch->schema, &kit_error));
  qn_wire_builder_place(&builder, memory, size, batch);
  qn_selection left = {.batch = batch, .rows = rows, .n_rows = n_rows};
  for (int64_t n = 1; n > 0 && left.n_rows > 0; left.rows += n, left.n_rows -= n) { // in two steps at least
    n = qn_wire_builder_count_fitting(&builder, &left);
    n = n > 3 && left.n_rows == n_rows ? 3 : n;
    QN_CHECK_OK(qn_wire_builder_append(&builder, &left, n, &kit_error));
  }
  const int64_t n_done = builder.rows.n_rows;
  QN_CHECK_INT(n_done, n_rows - left.n_rows);
  QN_CHECK_OK(qn_batch_gather(batch, rows, n_done, &wanted, &kit_error));
  const int64_t sealed = qn_wire_builder_seal(&builder);
  QN_CHECK(sealed <= size);
  QN_CHECK(sealed <= qn_wire_size(wanted) + qn_wire_size(wanted) / 16);
  QN_CHECK(builder.memory == NULL && builder.rows.n_rows == 0);
  check_sealed(wanted, memory, sealed);
  qn_batch_free(wanted);
  qn_wire_builder_release(&builder);
  qn_memory_free(memory);
}

static void rows_are_decoded_as_they_were_put_in(void) {
  kit_random random = {.state = 4};
  for (int i = 0; i < 40; i++) {
    qn_batch *batch = kit_random_batch(&random, all_types, 1 + kit_random_below(&random, 1000));
    fill_and_seal(batch, 1 << 20);
    fill_and_seal(batch, 2000 + kit_random_below(&random, 20000));
    qn_batch_free(batch);
  }
}

static void ranges_of_rows_go_in_too(void) {
  qn_batch *batch = kit_batch("a int64, b utf8", "1|x\n2|~\n3|zzz\n4|\n5|uv\n");
  qn_batch *wanted = NULL;
  qn_wire_builder builder;
  uint8_t *memory = qn_memory_alloc(4096);
  QN_CHECK_OK(qn_wire_builder_init(&builder, batch->schema, &kit_error));
  for (int round = 0; round < 2; round++) { // placed again, it starts anew
    qn_wire_builder_place(&builder, memory, 4096, batch);
    const qn_selection rows = {.batch = batch, .first = 1, .n_rows = 4};
    QN_CHECK_INT(qn_wire_builder_count_fitting(&builder, &rows), 4);
    QN_CHECK_OK(qn_wire_builder_append(&builder, &rows, 4, &kit_error));
    QN_CHECK_OK(qn_batch_slice(batch, 1, 4, &wanted, &kit_error));
    check_sealed(wanted, memory, qn_wire_builder_seal(&builder));
    qn_batch_free(wanted);
    wanted = NULL;
  }
  qn_wire_builder_release(&builder);
  qn_memory_free(memory);
  qn_batch_free(batch);
}

static void what_has_no_room_does_not_fit(void) {
  qn_batch *small = kit_batch("a utf8", "x\ny\n");
  qn_batch *large = kit_batch("a utf8", "0123456789012345678901234567890123456789\n");
  qn_wire_builder builder;
  uint8_t *memory = qn_memory_alloc(4096);
  QN_CHECK_OK(qn_wire_builder_init(&builder, small->schema, &kit_error));
  qn_wire_builder_place(&builder, memory, 64, small); // not even the head
  QN_CHECK_INT(qn_wire_builder_count_fitting(&builder, &(qn_selection){.batch = small, .n_rows = 2}), 0);
  qn_wire_builder_place(&builder, memory, 220, small);
  QN_CHECK(qn_wire_builder_count_fitting(&builder, &(qn_selection){.batch = small, .n_rows = 2}) > 0);
  QN_CHECK_INT(qn_wire_builder_count_fitting(&builder, &(qn_selection){.batch = large, .n_rows = 1}), 0);
  qn_wire_builder_release(&builder);
  qn_memory_free(memory);
  qn_batch_free(small);
  qn_batch_free(large);
}

int main(void) {
  KIT_RUN(rows_are_decoded_as_they_were_put_in);
  KIT_RUN(ranges_of_rows_go_in_too);
  KIT_RUN(what_has_no_room_does_not_fit);
  return kit_result();
}
