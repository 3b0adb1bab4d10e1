// SPDX-License-Identifier: Apache-2.0
// Pieces of text, counted in characters from 1, and padding.
#include "base/utf8.h"
#include "expr/text_rows.h"

// Characters [first, end), counted from 0.
static qn_text characters(const qn_call *call, qn_text text, int64_t first, int64_t end) {
  if (call->is_ascii) {
    first = first < text.size ? first : text.size;
    end = end < first ? first : end < text.size ? end : text.size;
    return (qn_text){.data = text.data + first, .size = end - first};
  }
  const int64_t from = qn_chars_skip(text, first);
  const qn_text rest = {.data = text.data + from, .size = text.size - from};
  return (qn_text){.data = rest.data, .size = qn_chars_skip(rest, end - first)};
}

static int64_t count_characters(const qn_call *call, qn_text text) {
  return call->is_ascii ? text.size : qn_utf8_length(text.data, text.size);
}

static qn_status substr_row(qn_call *call, int64_t row, qn_buffer *scratch, qn_text *out, qn_error *err) {
  (void)scratch;
  const int64_t start = qn_arg_int32(call, 1, row);
  int64_t end = INT64_MAX;
  if (call->n_args == 3) {
    const int64_t size = qn_arg_int32(call, 2, row);
    if (size < 0) {
      return qn_call_fail(call, row, err, "negative substring length");
    }
    end = start - 1 + size;
  }
  const int64_t first = start > 1 ? start - 1 : 0;
  *out = characters(call, qn_arg_text(call, 0, row), first, end > first ? end : first);
  return QN_OK;
}
static qn_status substr(qn_call *call, qn_error *err) {
  qn_call_check_ascii(call);
  return qn_call_map_texts(call, substr_row, err);
}

// left(x, n): n < 0 leaves out the last -n characters.
static qn_status left_row(qn_call *call, int64_t row, qn_buffer *scratch, qn_text *out, qn_error *err) {
  (void)scratch, (void)err;
  const qn_text text = qn_arg_text(call, 0, row);
  int64_t n = qn_arg_int32(call, 1, row);
  n = n >= 0 ? n : count_characters(call, text) + n;
  *out = characters(call, text, 0, n > 0 ? n : 0);
  return QN_OK;
}
static qn_status left(qn_call *call, qn_error *err) {
  qn_call_check_ascii(call);
  return qn_call_map_texts(call, left_row, err);
}

static qn_status right_row(qn_call *call, int64_t row, qn_buffer *scratch, qn_text *out, qn_error *err) {
  (void)scratch, (void)err;
  const qn_text text = qn_arg_text(call, 0, row);
  const int64_t n = qn_arg_int32(call, 1, row);
  const int64_t skipped = n < 0 ? -n : count_characters(call, text) - n;
  *out = characters(call, text, skipped > 0 ? skipped : 0, INT64_MAX);
  return QN_OK;
}
static qn_status right(qn_call *call, qn_error *err) {
  qn_call_check_ascii(call);
  return qn_call_map_texts(call, right_row, err);
}

static bool holds_char(qn_text set, const char *character, int64_t size) {
  for (int64_t i = 0; i < set.size; i += qn_char_size(set.data[i])) {
    if (qn_char_size(set.data[i]) == size && memcmp(set.data + i, character, (size_t)size) == 0) {
      return true;
    }
  }
  return false;
}

static inline __attribute__((always_inline)) qn_text trim(qn_call *call, int64_t row, bool at_start,
                                                          bool at_end) {
  qn_text text = qn_arg_text(call, 0, row);
  const qn_text set = call->n_args > 1 ? qn_arg_text(call, 1, row) : (qn_text){.data = " ", .size = 1};
  while (at_start && text.size > 0 && holds_char(set, text.data, qn_char_size(text.data[0]))) {
    const int64_t size = qn_char_size(text.data[0]);
    text.data += size;
    text.size -= size;
  }
  while (at_end && text.size > 0) {
    int64_t size = 1;
    while (size < text.size && ((unsigned char)text.data[text.size - size] & 0xc0) == 0x80) {
      size++;
    }
    if (!holds_char(set, text.data + text.size - size, size)) {
      break;
    }
    text.size -= size;
  }
  return text;
}

static qn_status btrim_row(qn_call *call, int64_t row, qn_buffer *scratch, qn_text *out, qn_error *err) {
  (void)scratch, (void)err;
  *out = trim(call, row, true, true);
  return QN_OK;
}
static qn_status btrim(qn_call *call, qn_error *err) {
  return qn_call_map_texts(call, btrim_row, err);
}
static qn_status ltrim_row(qn_call *call, int64_t row, qn_buffer *scratch, qn_text *out, qn_error *err) {
  (void)scratch, (void)err;
  *out = trim(call, row, true, false);
  return QN_OK;
}
static qn_status ltrim(qn_call *call, qn_error *err) {
  return qn_call_map_texts(call, ltrim_row, err);
}
static qn_status rtrim_row(qn_call *call, int64_t row, qn_buffer *scratch, qn_text *out, qn_error *err) {
  (void)scratch, (void)err;
  *out = trim(call, row, false, true);
  return QN_OK;
}
static qn_status rtrim(qn_call *call, qn_error *err) {
  return qn_call_map_texts(call, rtrim_row, err);
}

static int64_t count_parts(qn_text text, qn_text separator) {
  int64_t n = 1;
  for (int64_t at = 0;; n++) {
    const char *found =
        memmem(text.data + at, (size_t)(text.size - at), separator.data, (size_t)separator.size);
    if (found == NULL) {
      return n;
    }
    at = found - text.data + separator.size;
  }
}

// split_part(x, separator, n): n < 0 counts from the end.
static qn_status split_part_row(qn_call *call, int64_t row, qn_buffer *scratch, qn_text *out, qn_error *err) {
  (void)scratch;
  const qn_text text = qn_arg_text(call, 0, row);
  const qn_text separator = qn_arg_text(call, 1, row);
  int64_t n = qn_arg_int32(call, 2, row);
  if (n == 0) {
    return qn_call_fail(call, row, err, "the number of the part must not be 0");
  }
  if (separator.size == 0) {
    *out = n == 1 || n == -1 ? text : (qn_text){.data = text.data};
    return QN_OK;
  }
  if (n < 0) {
    n += count_parts(text, separator) + 1;
  }
  *out = (qn_text){.data = text.data};
  for (int64_t at = 0; n > 0; n--) {
    const char *found =
        memmem(text.data + at, (size_t)(text.size - at), separator.data, (size_t)separator.size);
    if (n == 1) {
      *out =
          (qn_text){.data = text.data + at, .size = found == NULL ? text.size - at : found - text.data - at};
    }
    if (found == NULL) {
      break;
    }
    at = found - text.data + separator.size;
  }
  return QN_OK;
}
static qn_status split_part(qn_call *call, qn_error *err) {
  return qn_call_map_texts(call, split_part_row, err);
}

// n characters of `fill`, over and over.
static qn_status append_fill(qn_buffer *out, qn_text fill, int64_t n, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_fill = qn_utf8_length(fill.data, fill.size);
  for (; n >= n_fill; n -= n_fill) {
    QN_TRY(qn_buffer_append(out, fill.data, fill.size, err));
  }
  QN_TRY(qn_buffer_append(out, fill.data, qn_chars_skip(fill, n), err));

done:
  return status;
}

static inline __attribute__((always_inline)) qn_status pad(qn_call *call, int64_t row, bool at_start,
                                                           qn_buffer *scratch, qn_text *out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_text text = qn_arg_text(call, 0, row);
  const int64_t wanted = qn_arg_int32(call, 1, row);
  const qn_text fill = call->n_args > 2 ? qn_arg_text(call, 2, row) : (qn_text){.data = " ", .size = 1};
  const int64_t n = qn_utf8_length(text.data, text.size);
  if (wanted <= n || fill.size == 0) {
    *out = characters(call, text, 0, wanted > 0 ? wanted : 0);
    return QN_OK;
  }
  if (wanted > QN_LONGEST_MADE_TEXT / 4) {
    return qn_call_fail(call, row, err, "the padded text would be longer than 16 Mi characters");
  }
  if (at_start) {
    QN_TRY(append_fill(scratch, fill, wanted - n, err));
  }
  QN_TRY(qn_buffer_append(scratch, text.data, text.size, err));
  if (!at_start) {
    QN_TRY(append_fill(scratch, fill, wanted - n, err));
  }
  *out = qn_buffer_text(scratch);

done:
  return status;
}
static qn_status lpad_row(qn_call *call, int64_t row, qn_buffer *scratch, qn_text *out, qn_error *err) {
  return pad(call, row, true, scratch, out, err);
}
static qn_status lpad(qn_call *call, qn_error *err) {
  return qn_call_map_texts(call, lpad_row, err);
}
static qn_status rpad_row(qn_call *call, int64_t row, qn_buffer *scratch, qn_text *out, qn_error *err) {
  return pad(call, row, false, scratch, out, err);
}
static qn_status rpad(qn_call *call, qn_error *err) {
  return qn_call_map_texts(call, rpad_row, err);
}

// Safe with a constant number in a range.
static qn_status check_number(const qn_expr *arg, int32_t least, int32_t most, const void **data) {
  if (arg->kind == QN_EXPR_CONSTANT && !qn_expr_is_null_constant(arg)) {
    const int32_t value = qn_column_int32(arg->value, 0);
    *data = value >= least && value <= most ? qn_call_is_safe : NULL;
  }
  return QN_OK;
}
static qn_status prepare_substr(qn_binder *binder, int location, const qn_expr *const *args, int n_args,
                                const void **data) {
  (void)binder, (void)location, (void)n_args;
  return check_number(args[2], 0, INT32_MAX, data);
}
static qn_status prepare_split(qn_binder *binder, int location, const qn_expr *const *args, int n_args,
                               const void **data) {
  (void)binder, (void)location, (void)n_args;
  return check_number(args[2], 1, INT32_MAX, data);
}
static qn_status prepare_pad(qn_binder *binder, int location, const qn_expr *const *args, int n_args,
                             const void **data) {
  (void)binder, (void)location, (void)n_args;
  return check_number(args[1], 0, 1000, data);
}

#define TEXT QN_UTF8
#define TRIM(name, kernel)                                                                                   \
  {name, 1, {TEXT}, TEXT, kernel, 0, NULL}, {                                                                \
    name, 2, {TEXT, TEXT}, TEXT, kernel, 0, NULL                                                             \
  }
static const qn_function functions[] = {
    {"substr", 2, {TEXT, QN_INT32}, TEXT, substr, 0, NULL},
    {"substr", 3, {TEXT, QN_INT32, QN_INT32}, TEXT, substr, QN_CALL_FAILS_UNPREPARED, prepare_substr},
    {"substring", 2, {TEXT, QN_INT32}, TEXT, substr, 0, NULL},
    {"substring", 3, {TEXT, QN_INT32, QN_INT32}, TEXT, substr, QN_CALL_FAILS_UNPREPARED, prepare_substr},
    {"left", 2, {TEXT, QN_INT32}, TEXT, left, 0, NULL},
    {"right", 2, {TEXT, QN_INT32}, TEXT, right, 0, NULL},
    TRIM("btrim", btrim),
    TRIM("trim", btrim),
    TRIM("ltrim", ltrim),
    TRIM("rtrim", rtrim),
    {"split_part", 3, {TEXT, TEXT, QN_INT32}, TEXT, split_part, QN_CALL_FAILS_UNPREPARED, prepare_split},
    {"lpad", 2, {TEXT, QN_INT32}, TEXT, lpad, QN_CALL_FAILS_UNPREPARED, prepare_pad},
    {"lpad", 3, {TEXT, QN_INT32, TEXT}, TEXT, lpad, QN_CALL_FAILS_UNPREPARED, prepare_pad},
    {"rpad", 2, {TEXT, QN_INT32}, TEXT, rpad, QN_CALL_FAILS_UNPREPARED, prepare_pad},
    {"rpad", 3, {TEXT, QN_INT32, TEXT}, TEXT, rpad, QN_CALL_FAILS_UNPREPARED, prepare_pad},
};
const qn_function_table qn_text_part_functions = {functions, (int)(sizeof functions / sizeof *functions)};
