// SPDX-License-Identifier: Apache-2.0
#include "column/wire.h"
#include "kit/kit.h"

static const char all_types[] =
    "a bool, b int32, c int64, d float32, e float64, f utf8, g binary, h date, i timestamp";

// A block of exactly `size` bytes, so that the sanitizer sees each read beyond it.
static qn_block *block_of(const uint8_t *data, int64_t size) {
  qn_block *block = NULL;
  void *memory = malloc((size_t)size + (size == 0));
  if (size > 0) {
    memcpy(memory, data, (size_t)size);
  }
  QN_CHECK_OK(qn_block_new(memory, free, &block, &kit_error));
  return block;
}

static void check_round_trip(const qn_batch *batch) {
  qn_buffer wire = {0};
  qn_batch *decoded = NULL;
  QN_CHECK_OK(qn_wire_encode(batch, &wire, &kit_error));
  QN_CHECK_INT(wire.size, qn_wire_size(batch));
  qn_block *block = block_of(wire.data, wire.size);
  QN_CHECK_OK(qn_wire_decode(batch->schema, block, block->memory, wire.size, &decoded, &kit_error));
  qn_block_free(block);
  char *wanted = kit_batch_text(batch);
  QN_CHECK_BATCH(decoded, wanted);
  QN_CHECK_OK(qn_batch_validate(decoded, true, &kit_error));
  free(wanted);
  qn_batch_free(decoded);
  qn_buffer_release(&wire);
}

static void batches_come_back(void) {
  kit_random random = {.state = 9};
  for (int64_t n_rows = 0; n_rows < 70; n_rows++) {
    qn_batch *batch = kit_random_batch(&random, all_types, n_rows), *slice = NULL;
    check_round_trip(batch);
    QN_CHECK_OK(qn_batch_slice(batch, n_rows / 3, n_rows / 2, &slice, &kit_error));
    check_round_trip(slice);
    qn_batch_free(slice);
    qn_batch_free(batch);
  }
}

static void a_batch_without_columns_counts_rows(void) {
  qn_schema *schema = NULL;
  qn_batch *batch = NULL, *decoded = NULL;
  qn_buffer wire = {0};
  QN_CHECK_OK(qn_schema_new(NULL, 0, &schema, &kit_error));
  QN_CHECK_OK(qn_batch_new_take(schema, 12345, NULL, &batch, &kit_error));
  QN_CHECK_OK(qn_wire_encode(batch, &wire, &kit_error));
  qn_block *block = block_of(wire.data, wire.size);
  QN_CHECK_OK(qn_wire_decode(schema, block, block->memory, wire.size, &decoded, &kit_error));
  QN_CHECK_INT(qn_batch_n_rows(decoded), 12345);
  qn_batch_free(decoded);
  qn_block_free(block);
  qn_buffer_release(&wire);
  qn_batch_free(batch);
  qn_schema_free(schema);
}

static void several_batches_share_a_block(void) {
  qn_batch *first = kit_batch("t utf8, b bool", "a|t\n~|f\nbc|~\n");
  qn_batch *second = kit_batch("t utf8, b bool", "xyz|f\n");
  qn_buffer wire = {0};
  qn_batch *decoded[2] = {NULL, NULL};
  QN_CHECK_OK(qn_wire_encode(first, &wire, &kit_error));
  const int64_t cut = wire.size;
  QN_CHECK_OK(qn_wire_encode(second, &wire, &kit_error));
  qn_block *block = block_of(wire.data, wire.size);
  const uint8_t *data = block->memory;
  QN_CHECK_OK(qn_wire_decode(first->schema, block, data, wire.size, &decoded[0], &kit_error));
  QN_CHECK_OK(qn_wire_decode(first->schema, block, data + cut, wire.size - cut, &decoded[1], &kit_error));
  qn_block_free(block);
  QN_CHECK_BATCH(decoded[0], "a|t\n~|f\nbc|~\n");
  QN_CHECK_BATCH(decoded[1], "xyz|f\n");
  qn_batch_free(decoded[0]);
  qn_batch_free(decoded[1]);
  qn_buffer_release(&wire);
  qn_batch_free(first);
  qn_batch_free(second);
}

// Decodes bytes that may be wrong; what is accepted has to be safe to read.
static bool decode(const qn_schema *schema, const uint8_t *data, int64_t size) {
  qn_batch *decoded = NULL;
  qn_block *block = block_of(data, size);
  const qn_status status = qn_wire_decode(schema, block, block->memory, size, &decoded, &kit_error);
  qn_block_free(block);
  if (status != QN_OK) {
    QN_CHECK_INT(status, QN_ERR_FORMAT);
    QN_CHECK(kit_error.message[0] != '\0');
    return false;
  }
  QN_CHECK_OK(qn_batch_validate(decoded, false, &kit_error));
  if (decoded->n_columns > 0) { // touches every value
    char *text = kit_batch_text(decoded);
    free(text);
  }
  qn_batch_free(decoded);
  return true;
}

static void every_truncation_is_refused(void) {
  kit_random random = {.state = 10};
  qn_batch *batch = kit_random_batch(&random, all_types, 20);
  qn_buffer wire = {0};
  QN_CHECK_OK(qn_wire_encode(batch, &wire, &kit_error));
  for (int64_t size = 0; size < wire.size; size++) {
    QN_CHECK(!decode(batch->schema, wire.data, size));
  }
  QN_CHECK(decode(batch->schema, wire.data, wire.size));
  qn_buffer_release(&wire);
  qn_batch_free(batch);
}

static void no_wrong_byte_leads_outside(void) {
  kit_random random = {.state = 12};
  qn_batch *batch = kit_random_batch(&random, all_types, 20);
  qn_buffer wire = {0};
  QN_CHECK_OK(qn_wire_encode(batch, &wire, &kit_error));
  for (int64_t at = 0; at < wire.size; at++) {
    const uint8_t right = wire.data[at];
    for (int bit = 0; bit < 8; bit++) {
      wire.data[at] = (uint8_t)(right ^ (1 << bit));
      decode(batch->schema, wire.data, wire.size);
    }
    wire.data[at] = 0xff;
    decode(batch->schema, wire.data, wire.size);
    wire.data[at] = right;
  }
  qn_buffer_release(&wire);
  qn_batch_free(batch);
}

static void another_schema_is_refused(void) {
  qn_batch *batch = kit_batch("a int64, b utf8", "1|x\n"), *other = kit_batch("a float64, b utf8", "");
  qn_batch *fewer = kit_batch("a int64", "");
  qn_buffer wire = {0};
  QN_CHECK_OK(qn_wire_encode(batch, &wire, &kit_error));
  QN_CHECK(!decode(other->schema, wire.data, wire.size));
  QN_CHECK_MESSAGE("column 'a' has another type");
  QN_CHECK(!decode(fewer->schema, wire.data, wire.size));
  QN_CHECK_MESSAGE("has 2 columns, 1 were expected");
  qn_buffer_release(&wire);
  qn_batch_free(batch);
  qn_batch_free(other);
  qn_batch_free(fewer);
}

int main(void) {
  KIT_RUN(batches_come_back);
  KIT_RUN(a_batch_without_columns_counts_rows);
  KIT_RUN(several_batches_share_a_block);
  KIT_RUN(every_truncation_is_refused);
  KIT_RUN(no_wrong_byte_leads_outside);
  KIT_RUN(another_schema_is_refused);
  return kit_result();
}
