// SPDX-License-Identifier: Apache-2.0
// Reads arbitrary text as every type and as a schema; a value that is read must come back from its printed
// form.
#include <stdlib.h>
#include <string.h>
#include "base/utf8.h"
#include "column/parse.h"
#include "column/print.h"
#include "column/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition) {
  if (!condition) {
    abort();
  }
}

static void parse_floats(const char *text, int64_t size) {
  char printed[32];
  double large = 0;
  double large_again = 0;
  float small = 0;
  float small_again = 0;
  if (qn_parse_float64(text, size, &large)) {
    require(qn_parse_float64(printed, qn_print_float64(large, printed), &large_again));
    require(large == large_again || (large != large && large_again != large_again));
  }
  if (qn_parse_float32(text, size, &small)) {
    require(qn_parse_float32(printed, qn_print_float32(small, printed), &small_again));
    require(small == small_again || (small != small && small_again != small_again));
  }
}

static void parse_times(const char *text, int64_t size) {
  char printed[32];
  int32_t days = 0;
  int32_t days_again = 0;
  int64_t time = 0;
  if (qn_parse_date(text, size, &days)) {
    require(qn_parse_date(printed, qn_print_date(days, printed), &days_again) && days == days_again);
  }
  if (qn_parse_timestamp(text, size, &time)) { // a zone may lead out of the years that are read
    require(qn_print_timestamp(time, printed) <= 32);
  }
}

static void parse_schema(const char *text, int64_t size) {
  qn_schema *schema = NULL;
  qn_schema *again = NULL;
  qn_buffer printed = {0};
  char *copy = strndup(text, (size_t)size);
  if (copy != NULL && qn_schema_parse(copy, &schema, NULL) == QN_OK) {
    require(qn_schema_print(schema, &printed, NULL) == QN_OK && qn_buffer_terminate(&printed, NULL) == QN_OK);
    require(qn_schema_parse((const char *)printed.data, &again, NULL) == QN_OK);
    require(qn_schema_is_equal(schema, again));
  }
  qn_buffer_release(&printed);
  qn_schema_free(schema);
  qn_schema_free(again);
  free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = malloc(size + (size == 0)); // exactly as large, so that the sanitizer sees each read beyond
  int64_t number = 0;
  int64_t number_again = 0;
  int32_t small = 0;
  bool truth = false;
  char printed[32];
  require(text != NULL);
  if (size > 0) {
    memcpy(text, data, size);
  }
  const int64_t n = (int64_t)size;
  if (qn_parse_int64(text, n, &number)) {
    require(qn_parse_int64(printed, qn_print_int64(number, printed), &number_again) &&
            number == number_again);
  }
  qn_parse_int32(text, n, &small);
  qn_parse_bool(text, n, &truth);
  parse_floats(text, n);
  parse_times(text, n);
  require(qn_utf8_find_invalid(text, n) < n);
  parse_schema(text, n);
  free(text);
  return 0;
}
