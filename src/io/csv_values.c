// SPDX-License-Identifier: Apache-2.0
// Each type has one loop over the rows that takes fields of the usual form (csv_fast_parse.h); all that is
// unusual, quotes, nulls, blanks, long numbers, goes through qn_csv_decode_field() and column/parse.h.
#include "io/csv_values.h"
#include <inttypes.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "column/bitmap.h"
#include "column/parse.h"
#include "io/csv_fast_parse.h"

/// A column being made.
typedef struct conversion {
  qn_csv_values *values;
  const qn_csv_rows *rows;
  const char *data;
  int file_column;
  bool is_last; // of the file's columns: a \r may stand behind its fields
  qn_type type;
  int64_t n_nulls;
} conversion;

qn_status qn_csv_values_init(qn_csv_values *values, const qn_csv_dialect *dialect, const char *null_text,
                             bool keeps_all, qn_error *err) {
  qn_status status = QN_OK;

  *values = (qn_csv_values){.dialect = dialect, .null_text = null_text, .keeps_all = keeps_all};
  values->null_size = null_text == NULL ? 0 : (int64_t)strlen(null_text);
  values->bad_capacity = keeps_all ? 0 : 1;
  values->validity = qn_memory_alloc(qn_bitmap_bytes(QN_BATCH_ROWS));
  values->bad = qn_memory_alloc(values->bad_capacity * (int64_t)sizeof *values->bad);
  QN_REQUIRE(values->validity != NULL && values->bad != NULL, err, QN_ERR_MEMORY, "no memory to read rows");

done:
  return status;
}

void qn_csv_values_release(qn_csv_values *values) {
  qn_memory_free(values->validity);
  qn_memory_free(values->bad);
  qn_buffer_release(&values->scratch);
  *values = (qn_csv_values){0};
}

/// Room for a bad field per row, so that adding one cannot fail.
static qn_status reserve_bad(qn_csv_values *values, int64_t n_rows, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t needed = values->n_bad + n_rows;

  if (values->keeps_all && needed > values->bad_capacity) {
    qn_csv_bad *bad = qn_memory_resize(values->bad, 2 * needed * (int64_t)sizeof *bad);
    QN_REQUIRE(bad != NULL, err, QN_ERR_MEMORY, "no memory for %" PRId64 " malformed fields", needed);
    values->bad = bad;
    values->bad_capacity = 2 * needed;
  }

done:
  return status;
}

static void add_bad(const conversion *c, int64_t row, qn_csv_reason reason) {
  qn_csv_values *values = c->values;
  const qn_csv_bad bad = {.row = (int32_t)row, .column = c->file_column, .reason = reason, .type = c->type};

  if (values->keeps_all) {
    values->bad[values->n_bad++] = bad;
  } else if (values->n_bad == 0 || bad.row < values->bad[0].row ||
             (bad.row == values->bad[0].row && bad.column < values->bad[0].column)) {
    values->bad[0] = bad;
    values->n_bad = 1;
  }
}

static void set_null(conversion *c, int64_t row) {
  if (c->n_nulls == 0) {
    memset(c->values->validity, 0xff, (size_t)qn_bitmap_bytes(QN_BATCH_ROWS));
  }
  c->n_nulls++;
  qn_bitmap_clear(c->values->validity, row);
}

static inline void field_of(const conversion *c, int64_t row, const char **text, int64_t *size) {
  const uint32_t *end = c->rows->ends + c->rows->firsts[row] + c->file_column;
  const uint32_t first = end[-1] + 1;

  *text = c->data + first;
  *size = (int64_t)end[0] - first;
  if (c->is_last && *size > 0 && (*text)[*size - 1] == '\r') {
    *size -= 1;
  }
}

static bool is_blank(char byte) {
  return byte == ' ' || byte == '\t';
}

static void strip_blanks(const char **text, int64_t *size) {
  for (; *size > 0 && is_blank(**text); *size -= 1) {
    *text += 1;
  }
  while (*size > 0 && is_blank((*text)[*size - 1])) {
    *size -= 1;
  }
}

/// The text between the quotes of `text`, with doubled ones halved. *is_good is false if it does not end
/// where its quoted part does.
static qn_status unquote(qn_csv_values *values, const char *text, int64_t size, bool *is_good, qn_text *out,
                         qn_error *err) {
  qn_status status = QN_OK;
  const char quote = values->dialect->quote;
  const char *at = text + 1, *end = text + size - 1;

  *is_good = size >= 2 && *end == quote;
  *out = (qn_text){.data = text + 1, .size = size - 2};
  if (!*is_good || memchr(at, quote, (size_t)(end - at)) == NULL) {
    goto done;
  }
  values->scratch.size = 0;
  QN_TRY(qn_buffer_reserve(&values->scratch, size, err));
  uint8_t *to = values->scratch.data;
  while (at < end) {
    const char *next = memchr(at, quote, (size_t)(end - at));
    const int64_t n = next == NULL ? end - at : next + 1 - at;
    memcpy(to, at, (size_t)n);
    to += n;
    at += n + (next != NULL);
    if (next != NULL && (next + 1 >= end || next[1] != quote)) {
      *is_good = false;
      break;
    }
  }
  *out = (qn_text){.data = (const char *)values->scratch.data, .size = to - values->scratch.data};

done:
  return status;
}

qn_status qn_csv_decode_field(qn_csv_values *values, const char *text, int64_t size, qn_type type,
                              qn_csv_field *kind, qn_text *out, qn_error *err) {
  qn_status status = QN_OK;
  const bool is_text = qn_type_is_text(type);
  bool is_quoted = false, is_good = true;

  if (values->dialect->trim || !is_text) {
    strip_blanks(&text, &size);
  }
  *out = (qn_text){.data = text, .size = size};
  if (size > 0 && text[0] == values->dialect->quote) {
    is_quoted = true;
    QN_TRY(unquote(values, text, size, &is_good, out, err));
    if (!is_text) {
      strip_blanks(&out->data, &out->size);
    }
  }
  const bool is_null_text = values->null_text != NULL && out->size == values->null_size &&
                            memcmp(out->data, values->null_text, (size_t)out->size) == 0;
  *kind = !is_good                                                       ? QN_CSV_FIELD_BAD
          : (out->size == 0 || is_null_text) && (!is_quoted || !is_text) ? QN_CSV_FIELD_NULL
                                                                         : QN_CSV_FIELD_TEXT;

done:
  return status;
}

static bool parse_bool(const char *text, int64_t size, uint8_t *out) {
  bool value = false;
  const bool is_good = qn_parse_bool(text, size, &value);

  *out = value;
  return is_good;
}

#define CONVERT convert_bool
#define VALUE uint8_t
#define FAST_PARSE qn_fast_bool
#define PARSE parse_bool
#include "io/csv_values.inc"

#define CONVERT convert_int32
#define VALUE int32_t
#define FAST_PARSE qn_fast_int32
#define PARSE qn_parse_int32
#include "io/csv_values.inc"

#define CONVERT convert_int64
#define VALUE int64_t
#define FAST_PARSE qn_fast_int64
#define PARSE qn_parse_int64
#include "io/csv_values.inc"

#define CONVERT convert_float32
#define VALUE float
#define FAST_PARSE qn_fast_float32
#define PARSE qn_parse_float32
#include "io/csv_values.inc"

#define CONVERT convert_float64
#define VALUE double
#define FAST_PARSE qn_fast_float64
#define PARSE qn_parse_float64
#include "io/csv_values.inc"

#define CONVERT convert_date
#define VALUE int32_t
#define FAST_PARSE qn_fast_date
#define PARSE qn_parse_date
#include "io/csv_values.inc"

#define CONVERT convert_timestamp
#define VALUE int64_t
#define FAST_PARSE qn_fast_timestamp
#define PARSE qn_parse_timestamp
#include "io/csv_values.inc"

static int hex_digit(char c) {
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

/// Writes what \x1f00 stands for; -1 if the text is not of that form.
static int64_t write_hex(const char *text, int64_t size, uint8_t *to) {
  if (size < 2 || size % 2 != 0 || text[0] != '\\' || text[1] != 'x') {
    return -1;
  }
  for (int64_t i = 2; i < size; i += 2) {
    const int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
    if (high < 0 || low < 0) {
      return -1;
    }
    to[i / 2 - 1] = (uint8_t)(high * 16 + low);
  }
  return size / 2 - 1;
}

/// A text field that is not just copied; returns how many bytes were written.
static qn_status write_unusual(conversion *c, int64_t row, const char *text, int64_t size, uint8_t *to,
                               int64_t *n_written, qn_error *err) {
  qn_status status = QN_OK;
  qn_csv_field kind;
  qn_text value;

  *n_written = 0;
  QN_TRY(qn_csv_decode_field(c->values, text, size, c->type, &kind, &value, err));
  if (kind == QN_CSV_FIELD_TEXT) {
    *n_written = c->type == QN_BINARY ? write_hex(value.data, value.size, to) : -1;
    if (*n_written < 0) {
      memcpy(to, value.data, (size_t)value.size);
      *n_written = value.size;
    }
    goto done;
  }
  set_null(c, row);
  if (kind == QN_CSV_FIELD_BAD) {
    add_bad(c, row, QN_CSV_BAD_QUOTES);
  }

done:
  return status;
}

/// Copies in steps of 32 bytes, up to 31 behind both.
static inline void copy_steps(uint8_t *to, const char *from, int64_t size) {
  for (int64_t i = 0; i < size; i += 32) {
    memcpy(to + i, from + i, 32);
  }
}

static qn_status write_texts(conversion *c, int32_t *offsets, uint8_t *bytes, int64_t *n_bytes,
                             qn_error *err) {
  qn_status status = QN_OK;
  const char quote = c->values->dialect->quote;
  const bool is_plain = !c->values->dialect->trim && c->values->null_text == NULL && c->type == QN_UTF8;
  int64_t n = 0;

  for (int64_t row = 0; row < c->rows->n_rows; row++) {
    const char *text;
    int64_t size;
    field_of(c, row, &text, &size);
    offsets[row] = (int32_t)n;
    if (__builtin_expect(is_plain && size > 0 && *text != quote, 1)) {
      copy_steps(bytes + n, text, size);
      n += size;
    } else {
      int64_t n_written;
      QN_TRY(write_unusual(c, row, text, size, bytes + n, &n_written, err));
      n += n_written;
    }
  }
  offsets[c->rows->n_rows] = (int32_t)n;
  *n_bytes = n;

done:
  return status;
}

static bool is_ascii(const uint8_t *bytes, int64_t size) {
  uint64_t all = 0;
  int64_t i = 0;

  for (; size - i >= 32; i += 32) {
    uint64_t words[4];
    memcpy(words, bytes + i, sizeof words);
    all |= words[0] | words[1] | words[2] | words[3];
  }
  for (; i < size; i++) {
    all |= bytes[i];
  }
  return (all & 0x8080808080808080u) == 0;
}

/// Fields that are valid one by one may not be taken as one text, nor invalid ones that complete each other:
/// only if all is ASCII, or the whole piece of the file is valid, the values need no look each.
static void check_utf8(conversion *c, const int32_t *offsets, const uint8_t *bytes, int64_t data_size) {
  if (is_ascii(bytes, offsets[c->rows->n_rows]) || qn_utf8_find_invalid(c->data, data_size) < 0) {
    return;
  }
  for (int64_t row = 0; row < c->rows->n_rows; row++) {
    if (qn_utf8_find_invalid(bytes + offsets[row], offsets[row + 1] - offsets[row]) >= 0) {
      add_bad(c, row, QN_CSV_NOT_UTF8);
    }
  }
}

static qn_status convert_text(conversion *c, int64_t data_size, qn_column *column, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer offsets = {0}, bytes = {0};
  int64_t most = 0, n_bytes = 0;

  for (int64_t row = 0; row < c->rows->n_rows; row++) {
    const char *text;
    int64_t size;
    field_of(c, row, &text, &size);
    most += size;
  }
  QN_TRY(qn_buffer_reserve(&offsets, (c->rows->n_rows + 1) * (int64_t)sizeof(int32_t), err));
  QN_TRY(qn_buffer_reserve(&bytes, most + 1, err));
  QN_TRY(write_texts(c, (int32_t *)offsets.data, bytes.data, &n_bytes, err));
  if (c->type == QN_UTF8) {
    check_utf8(c, (const int32_t *)offsets.data, bytes.data, data_size);
  }
  offsets.size = (c->rows->n_rows + 1) * (int64_t)sizeof(int32_t);
  bytes.size = n_bytes;
  QN_TRY(qn_block_from_buffer_take(&offsets, &column->blocks[1], err));
  column->offsets = column->blocks[1]->memory;
  QN_TRY(qn_block_from_buffer_take(&bytes, &column->blocks[2], err));
  column->bytes = column->blocks[2]->memory;

done:
  qn_buffer_release(&offsets);
  qn_buffer_release(&bytes);
  return status;
}

static qn_status convert_fixed(conversion *c, void *values, qn_error *err) {
  switch (c->type) {
  case QN_BOOL:
    return convert_bool(c, values, err);
  case QN_INT32:
    return convert_int32(c, values, err);
  case QN_INT64:
    return convert_int64(c, values, err);
  case QN_FLOAT32:
    return convert_float32(c, values, err);
  case QN_FLOAT64:
    return convert_float64(c, values, err);
  case QN_DATE:
    return convert_date(c, values, err);
  case QN_TIMESTAMP:
    return convert_timestamp(c, values, err);
  case QN_UTF8:
  case QN_BINARY:
    break;
  }
  return qn_fail(err, QN_ERR_TYPE, "a column of %s cannot be read from CSV", qn_type_name(c->type));
}

/// The nulls that were met, as the column's own bitmap.
static qn_status take_validity(const conversion *c, qn_column *column, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_bytes = qn_bitmap_bytes(c->rows->n_rows);

  column->n_nulls = c->n_nulls;
  if (c->n_nulls > 0) {
    uint8_t *bitmap = qn_memory_alloc(n_bytes);
    QN_REQUIRE(bitmap != NULL, err, QN_ERR_MEMORY, "no memory for a column of %" PRId64 " rows",
               c->rows->n_rows);
    memcpy(bitmap, c->values->validity, (size_t)n_bytes);
    if (c->rows->n_rows % 8 != 0) {
      bitmap[n_bytes - 1] &= (uint8_t)((1 << (c->rows->n_rows % 8)) - 1);
    }
    QN_TRY(qn_block_new(bitmap, qn_memory_free, &column->blocks[0], err));
    column->validity = bitmap;
  }

done:
  return status;
}

qn_status qn_csv_convert(qn_csv_values *values, const qn_csv_rows *rows, const char *data, int64_t data_size,
                         int file_column, qn_type type, qn_column *out, qn_error *err) {
  qn_status status = QN_OK;
  conversion c = {.values = values,
                  .rows = rows,
                  .data = data,
                  .file_column = file_column,
                  .is_last = file_column == rows->n_columns - 1,
                  .type = type};
  qn_column column = {.type = type, .n_rows = rows->n_rows};

  QN_TRY(reserve_bad(values, rows->n_rows, err));
  if (qn_type_is_text(type)) {
    QN_TRY(convert_text(&c, data_size, &column, err));
  } else {
    void *fixed = NULL;
    QN_TRY(qn_column_fixed(type, rows->n_rows, &column, &fixed, err));
    QN_TRY(convert_fixed(&c, fixed, err));
  }
  QN_TRY(take_validity(&c, &column, err));
  *out = column;
  column = (qn_column){0};

done:
  qn_column_release(&column);
  return status;
}
