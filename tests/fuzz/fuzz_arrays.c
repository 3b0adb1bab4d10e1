// SPDX-License-Identifier: Apache-2.0
// Decodes arbitrary bytes as a set of arrays; what is accepted must come back the same.
#include <stdlib.h>
#include <string.h>
#include "store/arrays.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  qn_arrays arrays = {0}, again = {0};
  qn_buffer first = {0}, second = {0};
  uint8_t *copy = malloc(size + 1); // exactly as large, so that the sanitizer sees each read beyond
  if (copy == NULL) {
    abort();
  }
  if (size > 0) {
    memcpy(copy + 1, data, size); // and not aligned
  }
  if (qn_arrays_decode(copy + 1, (int64_t)size, &arrays, NULL) == QN_OK) {
    if (qn_arrays_encode(&arrays, &first, NULL) != QN_OK ||
        qn_arrays_decode(first.data, first.size, &again, NULL) != QN_OK ||
        qn_arrays_encode(&again, &second, NULL) != QN_OK || first.size != second.size ||
        memcmp(first.data, second.data, (size_t)first.size) != 0 || first.size != (int64_t)size) {
      abort();
    }
  }
  free(copy);
  qn_buffer_release(&first);
  qn_buffer_release(&second);
  qn_arrays_release(&arrays);
  qn_arrays_release(&again);
  return 0;
}
