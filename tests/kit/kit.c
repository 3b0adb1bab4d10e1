// SPDX-License-Identifier: Apache-2.0
// The test kit: counts of checks, batches from and to text, random batches.
#include "kit/kit.h"
#include <inttypes.h>
#include <math.h>
#include "column/builder.h"
#include "column/parse.h"
#include "column/print.h"

qn_error kit_error;

static int64_t n_passed;
static int64_t n_failed;
static const char *running = "";

// Returns whether it failed, so that the caller may print what it found.
static bool note(bool passed, const char *file, int line, const char *text) {
  n_passed += passed;
  n_failed += !passed;
  if (!passed) {
    fprintf(stderr, "%s:%d: in %s: %s\n", file, line, running, text);
  }
  return !passed;
}

void kit_check(bool passed, const char *file, int line, const char *text) {
  note(passed, file, line, text);
}

void kit_check_int(int64_t found, int64_t wanted, const char *file, int line, const char *text) {
  if (note(found == wanted, file, line, text)) {
    fprintf(stderr, "  found %" PRId64 ", wanted %" PRId64 "\n", found, wanted);
  }
}

void kit_check_float(double found, double wanted, double tolerance, const char *file, int line,
                     const char *text) {
  const bool is_same = found == wanted || (isnan(found) && isnan(wanted));
  if (note(is_same || fabs(found - wanted) <= tolerance, file, line, text)) {
    fprintf(stderr, "  found %.17g, wanted %.17g within %g\n", found, wanted, tolerance);
  }
}

void kit_check_text(const char *found, const char *wanted, const char *file, int line, const char *text) {
  const bool is_same = found != NULL && wanted != NULL ? strcmp(found, wanted) == 0 : found == wanted;
  if (note(is_same, file, line, text)) {
    fprintf(stderr, "  found  \"%s\"\n  wanted \"%s\"\n", found == NULL ? "(null)" : found,
            wanted == NULL ? "(null)" : wanted);
  }
}

void kit_check_status(qn_status found, qn_status wanted, const qn_error *err, const char *file, int line,
                      const char *text) {
  if (note(found == wanted, file, line, text)) {
    fprintf(stderr, "  found \"%s\", wanted \"%s\"; the last error: %s\n", qn_status_text(found),
            qn_status_text(wanted), err->message);
  }
}

void kit_run(const char *name, void (*test)(void)) {
  const int64_t n_failed_before = n_failed;
  running = name;
  kit_error = (qn_error){0};
  test();
  if (n_failed > n_failed_before) {
    fprintf(stderr, "FAILED %s\n", name);
  }
  running = "";
}

int kit_result(void) {
  printf("%" PRId64 " passed, %" PRId64 " failed\n", n_passed, n_failed);
  return n_failed > 0 ? 1 : 0;
}

// Mistakes of a test itself end it.
static void must(qn_status status, const char *what) {
  if (status != QN_OK) {
    fprintf(stderr, "test kit: in %s: %s: %s\n", running, what, kit_error.message);
    exit(2);
  }
}

static int hex_value(char c) {
  const char *digits = "0123456789abcdef";
  const char *at = c != '\0' ? strchr(digits, c) : NULL;
  return at == NULL ? -1 : (int)(at - digits);
}

// Appends the bytes of \x and hexadecimal digits.
static bool append_hex(qn_column_builder *builder, const char *text, int64_t size) {
  qn_buffer bytes = {0};
  for (int64_t i = 2; i + 1 < size; i += 2) {
    const uint8_t byte = (uint8_t)(hex_value(text[i]) * 16 + hex_value(text[i + 1]));
    if (hex_value(text[i]) < 0 || hex_value(text[i + 1]) < 0) {
      return false;
    }
    must(qn_buffer_append(&bytes, &byte, 1, &kit_error), "memory");
  }
  must(qn_column_builder_append_text(builder, bytes.data, bytes.size, &kit_error), "append");
  qn_buffer_release(&bytes);
  return true;
}

// Appends a value from its text; false if it is not of the type.
static bool append_cell(qn_column_builder *builder, const char *text, int64_t size) {
  union {
    bool truth;
    int32_t int32;
    int64_t int64;
    float float32;
    double float64;
  } value = {0};
  bool is_read = false;
  switch (builder->type) {
  case QN_BOOL:
    is_read = qn_parse_bool(text, size, &value.truth);
    break;
  case QN_INT32:
    is_read = qn_parse_int32(text, size, &value.int32);
    break;
  case QN_INT64:
    is_read = qn_parse_int64(text, size, &value.int64);
    break;
  case QN_FLOAT32:
    is_read = qn_parse_float32(text, size, &value.float32);
    break;
  case QN_FLOAT64:
    is_read = qn_parse_float64(text, size, &value.float64);
    break;
  case QN_DATE:
    is_read = qn_parse_date(text, size, &value.int32);
    break;
  case QN_TIMESTAMP:
    is_read = qn_parse_timestamp(text, size, &value.int64);
    break;
  case QN_BINARY:
    if (size >= 2 && memcmp(text, "\\x", 2) == 0) {
      return append_hex(builder, text, size);
    }
    __attribute__((fallthrough));
  case QN_UTF8:
    must(qn_column_builder_append_text(builder, text, size, &kit_error), "append");
    return true;
  }
  if (is_read) {
    must(qn_column_builder_append_value(builder, &value, &kit_error), "append");
  }
  return is_read;
}

static void append_row(qn_batch_builder *builder, const char *row, const char *end) {
  const char *at = row;
  for (int c = 0; c < builder->n_columns; c++) {
    const bool is_last = c == builder->n_columns - 1;
    const char *bar = memchr(at, '|', (size_t)(end - at));
    const char *cell_end = bar == NULL ? end : bar;
    const bool has_right_number = (bar == NULL) == is_last;
    bool is_read = has_right_number;
    if (is_read && cell_end - at == 1 && *at == '~') {
      must(qn_column_builder_append_null(&builder->columns[c], &kit_error), "append");
    } else if (is_read) {
      is_read = append_cell(&builder->columns[c], at, cell_end - at);
    }
    if (!is_read) {
      fprintf(stderr, "test kit: in %s: kit_batch: row '%.*s': column %d is not %s\n", running,
              (int)(end - row), row, c + 1,
              has_right_number ? qn_type_name(builder->columns[c].type) : "there, or not the last");
      exit(2);
    }
    at = cell_end + 1;
  }
  builder->n_rows++;
}

qn_batch *kit_batch(const char *schema_text, const char *rows) {
  qn_schema *schema = NULL;
  qn_batch_builder builder = {0};
  qn_batch *batch = NULL;
  must(qn_schema_parse(schema_text, &schema, &kit_error), "kit_batch");
  must(qn_batch_builder_init(&builder, schema, &kit_error), "kit_batch");
  for (const char *at = rows; *at != '\0';) {
    const char *newline = strchr(at, '\n');
    const char *end = newline == NULL ? at + strlen(at) : newline;
    append_row(&builder, at, end);
    at = newline == NULL ? end : newline + 1;
  }
  must(qn_batch_builder_finish(&builder, &batch, &kit_error), "kit_batch");
  qn_batch_builder_release(&builder);
  qn_schema_free(schema);
  return batch;
}

char *kit_batch_text(const qn_batch *batch) {
  qn_buffer out = {0};
  for (int64_t row = 0; batch != NULL && row < batch->n_rows; row++) {
    for (int c = 0; c < batch->n_columns; c++) {
      const qn_column *column = &batch->columns[c];
      must(qn_buffer_append(&out, "|", c > 0, &kit_error), "kit_batch_text");
      if (qn_column_is_null(column, row)) {
        must(qn_buffer_append(&out, "~", 1, &kit_error), "kit_batch_text");
      }
      must(qn_value_print(column, row, &out, &kit_error), "kit_batch_text");
    }
    must(qn_buffer_append(&out, "\n", 1, &kit_error), "kit_batch_text");
  }
  must(qn_buffer_terminate(&out, &kit_error), "kit_batch_text");
  char *text = strdup(batch == NULL ? "(no batch)" : (const char *)out.data);
  qn_buffer_release(&out);
  return text;
}

// SplitMix64 (Steele, Lea and Flood 2014).
uint64_t kit_random_next(kit_random *random) {
  uint64_t z = random->state += 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

int64_t kit_random_below(kit_random *random, int64_t n) {
  return (int64_t)(kit_random_next(random) % (uint64_t)n);
}

static int64_t random_integer(kit_random *random, int64_t least, int64_t most) {
  switch (kit_random_below(random, 16)) {
  case 0:
    return least;
  case 1:
    return most;
  case 2:
  case 3: {
    const uint64_t range = (uint64_t)most - (uint64_t)least;
    const uint64_t bits = kit_random_next(random);
    return (int64_t)((uint64_t)least + (range == UINT64_MAX ? bits : bits % (range + 1)));
  }
  default:
    return kit_random_below(random, 41) - 20; // many duplicates
  }
}

static double random_float(kit_random *random) {
  static const double special[] = {0.0,      -0.0,  1.0,    -1.0, 0.1,    1e300, -1e-300,
                                   INFINITY, 1e-40, 123456, 1e15, 5e-324, 3.5,   2.5};
  switch (kit_random_below(random, 8)) {
  case 0:
    return (double)NAN;
  case 1:
    return -(double)INFINITY;
  case 2:
  case 3:
    return special[kit_random_below(random, sizeof special / sizeof special[0])];
  case 4:
    return (double)(int64_t)kit_random_next(random) / 9007199254740992.0;
  default:
    return (double)(kit_random_below(random, 41) - 20) / 4;
  }
}

static void append_random_text(kit_random *random, qn_column_builder *builder) {
  static const char *const words[] = {"",
                                      "a",
                                      "b",
                                      "ab",
                                      "the",
                                      "caf\xc3\xa9",
                                      "\xe6\x97\xa5\xe6\x9c\xac",
                                      "Zoe",
                                      "zoe",
                                      " x",
                                      "~~",
                                      "0",
                                      "a longer text that does not fit 16 bytes",
                                      "\xf0\x9f\x98\x80"};
  const int64_t n_words = sizeof words / sizeof words[0];
  char text[128];
  if (kit_random_below(random, 4) > 0) {
    snprintf(text, sizeof text, "%s", words[kit_random_below(random, n_words)]);
  } else {
    snprintf(text, sizeof text, "%s%d%s", words[kit_random_below(random, n_words)],
             (int)kit_random_below(random, 1000), words[kit_random_below(random, n_words)]);
  }
  must(qn_column_builder_append_text(builder, text, (int64_t)strlen(text), &kit_error), "append");
}

static void append_random_bytes(kit_random *random, qn_column_builder *builder) {
  uint8_t bytes[24];
  const int64_t size =
      kit_random_below(random, 2) > 0 ? kit_random_below(random, 3) : kit_random_below(random, sizeof bytes);
  for (int64_t i = 0; i < size; i++) {
    bytes[i] = (uint8_t)(kit_random_next(random) >> (kit_random_below(random, 2) * 62));
  }
  must(qn_column_builder_append_text(builder, bytes, size, &kit_error), "append");
}

static void append_random_value(kit_random *random, qn_column_builder *builder) {
  const uint8_t truth = (uint8_t)kit_random_below(random, 2);
  int32_t int32 = 0;
  int64_t int64 = 0;
  float float32 = 0;
  double float64 = 0;
  const void *value = &int64;
  switch (builder->type) {
  case QN_BOOL:
    value = &truth;
    break;
  case QN_INT32:
    int32 = (int32_t)random_integer(random, INT32_MIN, INT32_MAX);
    value = &int32;
    break;
  case QN_DATE: // the years 1 to 9999, so that what is printed can be read
    int32 = (int32_t)random_integer(random, -719162, 2932896);
    value = &int32;
    break;
  case QN_INT64:
    int64 = random_integer(random, INT64_MIN, INT64_MAX);
    break;
  case QN_TIMESTAMP:
    int64 = random_integer(random, -62135596800000000, 253402300799999999);
    break;
  case QN_FLOAT32:
    float32 = (float)random_float(random);
    value = &float32;
    break;
  case QN_FLOAT64:
    float64 = random_float(random);
    value = &float64;
    break;
  case QN_UTF8:
    append_random_text(random, builder);
    return;
  case QN_BINARY:
    append_random_bytes(random, builder);
    return;
  }
  must(qn_column_builder_append_value(builder, value, &kit_error), "append");
}

qn_batch *kit_random_batch(kit_random *random, const char *schema_text, int64_t n_rows) {
  qn_schema *schema = NULL;
  qn_batch_builder builder = {0};
  qn_batch *batch = NULL;
  must(qn_schema_parse(schema_text, &schema, &kit_error), "kit_random_batch");
  must(qn_batch_builder_init(&builder, schema, &kit_error), "kit_random_batch");
  for (int64_t row = 0; row < n_rows; row++) {
    for (int c = 0; c < builder.n_columns; c++) {
      if (kit_random_below(random, 10) == 0) {
        must(qn_column_builder_append_null(&builder.columns[c], &kit_error), "append");
      } else {
        append_random_value(random, &builder.columns[c]);
      }
    }
  }
  builder.n_rows = n_rows;
  must(qn_batch_builder_finish(&builder, &batch, &kit_error), "kit_random_batch");
  qn_batch_builder_release(&builder);
  qn_schema_free(schema);
  return batch;
}
