// SPDX-License-Identifier: Apache-2.0
// Decodes arbitrary bytes as a batch; what is accepted must be safe to read and come back the same.
#include <stdlib.h>
#include <string.h>
#include "column/print.h"
#include "column/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void print_all(const qn_batch *batch) {
  qn_buffer out = {0};
  for (int64_t row = 0; batch->n_columns > 0 && row < batch->n_rows; row++) {
    for (int c = 0; c < batch->n_columns; c++) {
      if (qn_value_print(&batch->columns[c], row, &out, NULL) != QN_OK) {
        abort();
      }
    }
  }
  qn_buffer_release(&out);
}

static void encode_again(const qn_batch *batch, const uint8_t *data) {
  qn_buffer out = {0};
  const int64_t n_compared = 24; // the head; padding and the bytes of nulls may differ
  if (qn_wire_encode(batch, &out, NULL) != QN_OK || memcmp(out.data, data, (size_t)n_compared) != 0) {
    abort();
  }
  qn_buffer_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char *const schemas[] = {"t utf8", "a bool, b int32, c binary, d timestamp",
                                        "n int64, x float32"};
  qn_schema *schema = NULL;
  qn_block *block = NULL;
  qn_batch *batch = NULL;
  if (size < 1 || qn_schema_parse(schemas[data[0] % 3], &schema, NULL) != QN_OK) {
    return 0;
  }
  uint8_t *copy = malloc(size); // exactly as large, so that the sanitizer sees each read beyond
  if (copy == NULL) {
    abort();
  }
  memcpy(copy, data + 1, size - 1);
  if (qn_block_new(copy, free, &block, NULL) != QN_OK) {
    abort();
  }
  if (qn_wire_decode(schema, block, copy, (int64_t)size - 1, &batch, NULL) == QN_OK) {
    if (qn_batch_validate(batch, false, NULL) != QN_OK) {
      abort();
    }
    print_all(batch);
    encode_again(batch, copy);
    qn_batch_free(batch);
  }
  qn_block_free(block);
  qn_schema_free(schema);
  return 0;
}
