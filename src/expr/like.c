// SPDX-License-Identifier: Apache-2.0
// LIKE and ILIKE. A constant pattern is looked at once: most are equality, a beginning, an end or a piece of
// the text, and cost one memcmp or memmem a row. Others are matched with one place to go back to, which
// suffices for %.
#include <string.h>
#include "expr/binder.h"
#include "expr/text_case.h"
#include "expr/text_rows.h"

enum { MOST_MISSES = 8 };

typedef enum { LIKE_EQUALS, LIKE_STARTS, LIKE_ENDS, LIKE_CONTAINS, LIKE_GENERAL } like_kind;

// A compiled pattern: bytes to match, and which of them are % or _.
typedef struct like_pattern {
  like_kind kind;
  int64_t size;
  const char *bytes; // of the kinds but the last: without %
  int64_t probe;     // of LIKE_CONTAINS: the byte that is likely to be the rarest
  const char *marks; // of the last: '%', '_' or 0 for each byte
} like_pattern;

// Takes the escape character out. bytes and marks have room for pattern.size. False if the pattern ends in
// it.
static bool unescape(qn_text pattern, qn_text escape, char *bytes, char *marks, int64_t *size) {
  int64_t n = 0;
  for (int64_t i = 0; i < pattern.size; i++) {
    char mark = pattern.data[i] == '%' || pattern.data[i] == '_' ? pattern.data[i] : 0;
    if (escape.size > 0 && pattern.size - i >= escape.size &&
        memcmp(pattern.data + i, escape.data, (size_t)escape.size) == 0) {
      i += escape.size;
      if (i >= pattern.size) {
        return false;
      }
      mark = 0;
      for (int64_t rest = qn_char_size(pattern.data[i]); rest > 1 && i + 1 < pattern.size; rest--) {
        bytes[n] = pattern.data[i++];
        marks[n++] = 0;
      }
    }
    bytes[n] = pattern.data[i];
    marks[n++] = mark;
  }
  *size = n;
  return true;
}

// How seldom a byte is in text, roughly.
static int rarity(char c) {
  static const char frequent[] = " etaoinsrhldcum";
  const char *found = memchr(frequent, c, sizeof frequent - 1);
  if (found != NULL) {
    return (int)(found - frequent);
  }
  return c >= 'a' && c <= 'z' ? 20 : c >= '0' && c <= '9' ? 25 : c >= 'A' && c <= 'Z' ? 30 : c > 0 ? 40 : 15;
}

static void classify(like_pattern *pattern) {
  int64_t first = 0;
  int64_t end = pattern->size;
  const char *marks = pattern->marks;
  pattern->kind = LIKE_GENERAL;
  while (first < end && marks[first] == '%') {
    first++;
  }
  while (end > first && marks[end - 1] == '%') {
    end--;
  }
  for (int64_t i = first; i < end; i++) {
    if (marks[i] != 0) {
      return;
    }
  }
  const bool opens = first > 0;
  const bool closes = end < pattern->size;
  pattern->kind = opens ? (closes                  ? LIKE_CONTAINS
                           : first < pattern->size ? LIKE_ENDS
                                                   : LIKE_CONTAINS)
                        : (closes ? LIKE_STARTS : LIKE_EQUALS);
  pattern->bytes += first;
  pattern->size = end - first;
  for (int64_t i = 1; i < pattern->size; i++) {
    pattern->probe = rarity(pattern->bytes[i]) > rarity(pattern->bytes[pattern->probe]) ? i : pattern->probe;
  }
}

static bool match_general(qn_text text, const like_pattern *pattern) {
  int64_t t = 0;
  int64_t p = 0;
  int64_t retry_t = -1; // where the text behind the last % begins to be tried
  int64_t retry_p = 0;
  while (t < text.size) {
    const char mark = p < pattern->size ? pattern->marks[p] : 0;
    if (p < pattern->size && mark == '%') {
      retry_p = ++p;
      retry_t = t;
    } else if (p < pattern->size && mark == '_') {
      t += qn_char_size(text.data[t]);
      p++;
    } else if (p < pattern->size && pattern->bytes[p] == text.data[t]) {
      t++;
      p++;
    } else if (retry_t >= 0) {
      retry_t += qn_char_size(text.data[retry_t]);
      t = retry_t;
      p = retry_p;
    } else {
      return false;
    }
  }
  while (p < pattern->size && pattern->marks[p] == '%') {
    p++;
  }
  return p == pattern->size && t == text.size;
}

// Looks for the rarest byte of the pattern, which is faster than memmem in short texts; where that byte is
// frequent after all, memmem takes over, whose time is linear.
static bool contains(qn_text text, const like_pattern *pattern) {
  const size_t size = (size_t)pattern->size;
  if (size == 0) {
    return true;
  }
  const char *at = text.data + pattern->probe;
  const char *end = text.data + (text.size - pattern->size) + pattern->probe + 1;
  for (int n_misses = 0; at < end && n_misses < MOST_MISSES; n_misses++) {
    const char *found = memchr(at, pattern->bytes[pattern->probe], (size_t)(end - at));
    if (found == NULL) {
      return false;
    }
    if (memcmp(found - pattern->probe, pattern->bytes, size) == 0) {
      return true;
    }
    at = found + 1;
  }
  const char *rest = at - pattern->probe;
  return at < end && memmem(rest, (size_t)(text.data + text.size - rest), pattern->bytes, size) != NULL;
}

static inline bool match(qn_text text, const like_pattern *pattern) {
  const int64_t size = pattern->size;
  if (pattern->kind == LIKE_GENERAL) {
    return match_general(text, pattern);
  }
  if (text.size < size) {
    return false;
  }
  switch (pattern->kind) {
  case LIKE_EQUALS:
    return text.size == size && memcmp(text.data, pattern->bytes, (size_t)size) == 0;
  case LIKE_STARTS:
    return memcmp(text.data, pattern->bytes, (size_t)size) == 0;
  case LIKE_ENDS:
    return memcmp(text.data + text.size - size, pattern->bytes, (size_t)size) == 0;
  default:
    return contains(text, pattern);
  }
}

static const char dangling_escape[] = "a LIKE pattern must not end with the escape character";

// Only a single character, or none, may be the escape.
static bool is_escape(qn_text escape) {
  return escape.size == 0 || qn_char_size(escape.data[0]) == escape.size;
}

static qn_text escape_of(const qn_call *call, int64_t row) {
  return call->n_args > 2 ? qn_arg_text(call, 2, row) : (qn_text){.data = "\\", .size = 1};
}

// At bind: a constant pattern, in lower case for ilike.
static qn_status compile(qn_binder *binder, bool ignores_case, int location, const qn_expr *const *args,
                         int n_args, const void **data) {
  qn_status status = QN_OK;
  qn_buffer lower = {0};
  const locale_t locale = ignores_case ? qn_utf8_locale_new() : (locale_t)0;
  const bool has_escape = n_args > 2;
  if (args[1]->kind != QN_EXPR_CONSTANT || qn_expr_is_null_constant(args[1]) ||
      (has_escape && (args[2]->kind != QN_EXPR_CONSTANT || qn_expr_is_null_constant(args[2])))) {
    goto done;
  }
  qn_text pattern = qn_column_text(args[1]->value, 0);
  const qn_text escape = has_escape ? qn_column_text(args[2]->value, 0) : (qn_text){.data = "\\", .size = 1};
  if (!is_escape(escape)) {
    status = qn_bind_fail(binder, QN_ERR_ARG, location, "the escape must be a single character, or empty");
    goto done;
  }
  if (ignores_case) {
    QN_TRY(qn_text_append_case(pattern, false, locale, &lower, binder->err));
    pattern = qn_buffer_text(&lower);
  }
  like_pattern *made = qn_arena_alloc(binder->arena, sizeof *made);
  char *bytes = qn_arena_alloc(binder->arena, pattern.size + 1);
  char *marks = qn_arena_alloc(binder->arena, pattern.size + 1);
  if (made == NULL || bytes == NULL || marks == NULL) {
    status = qn_bind_no_memory(binder);
    goto done;
  }
  made->bytes = bytes;
  made->marks = marks;
  if (!unescape(pattern, escape, bytes, marks, &made->size)) {
    status = qn_bind_fail(binder, QN_ERR_ARG, location, dangling_escape);
    goto done;
  }
  classify(made);
  *data = made;

done:
  qn_utf8_locale_free(locale);
  qn_buffer_release(&lower);
  return status;
}

static qn_status prepare_like(qn_binder *binder, int location, const qn_expr *const *args, int n_args,
                              const void **data) {
  return compile(binder, false, location, args, n_args, data);
}
static qn_status prepare_ilike(qn_binder *binder, int location, const qn_expr *const *args, int n_args,
                               const void **data) {
  return compile(binder, true, location, args, n_args, data);
}

// A pattern that differs from row to row is compiled for each. `work` is its memory.
static qn_status pattern_of_row(qn_call *call, int64_t row, qn_text text, qn_buffer *work, like_pattern *out,
                                qn_error *err) {
  qn_status status = QN_OK;
  const qn_text escape = escape_of(call, row);
  if (!is_escape(escape)) {
    return qn_call_fail(call, row, err, "the escape must be a single character, or empty");
  }
  work->size = 0;
  QN_TRY(qn_buffer_reserve(work, 2 * text.size + 2, err));
  char *bytes = (char *)work->data;
  char *marks = bytes + text.size + 1;
  *out = (like_pattern){.bytes = bytes, .marks = marks};
  if (!unescape(text, escape, bytes, marks, &out->size)) {
    return qn_call_fail(call, row, err, dangling_escape);
  }
  classify(out);

done:
  return status;
}

static qn_status like(qn_call *call, qn_error *err) {
  qn_status status = QN_OK;
  uint8_t *out = call->values;
  qn_buffer work = {0};
  like_pattern varying = {0};
  const like_pattern *pattern = call->expr->data;
  for (int64_t i = 0; i < call->n_rows; i++) {
    if (call->expr->data == NULL) {
      out[i] = 0;
      if (qn_call_is_null(call, i)) {
        continue;
      }
      QN_TRY(pattern_of_row(call, i, qn_arg_text(call, 1, i), &work, &varying, err));
      pattern = &varying;
    }
    out[i] = match(qn_arg_text(call, 0, i), pattern);
  }

done:
  qn_buffer_release(&work);
  return status;
}

static qn_status ilike(qn_call *call, qn_error *err) {
  qn_status status = QN_OK;
  uint8_t *out = call->values;
  qn_buffer work = {0};
  qn_buffer text = {0};
  qn_buffer pattern_text = {0};
  like_pattern varying = {0};
  const like_pattern *pattern = call->expr->data;
  const locale_t locale = qn_utf8_locale_new();
  for (int64_t i = 0; i < call->n_rows; i++) {
    out[i] = 0;
    if (qn_call_is_null(call, i)) {
      continue;
    }
    if (call->expr->data == NULL) {
      pattern_text.size = 0;
      QN_TRY(qn_text_append_case(qn_arg_text(call, 1, i), false, locale, &pattern_text, err));
      QN_TRY(pattern_of_row(call, i, qn_buffer_text(&pattern_text), &work, &varying, err));
      pattern = &varying;
    }
    text.size = 0;
    QN_TRY(qn_text_append_case(qn_arg_text(call, 0, i), false, locale, &text, err));
    out[i] = match(qn_buffer_text(&text), pattern);
  }

done:
  qn_utf8_locale_free(locale);
  qn_buffer_release(&work);
  qn_buffer_release(&text);
  qn_buffer_release(&pattern_text);
  return status;
}

static const qn_function functions[] = {
    {"like", 2, {QN_UTF8, QN_UTF8}, QN_BOOL, like, QN_CALL_FAILS_UNPREPARED, prepare_like},
    {"like", 3, {QN_UTF8, QN_UTF8, QN_UTF8}, QN_BOOL, like, QN_CALL_FAILS_UNPREPARED, prepare_like},
    {"ilike", 2, {QN_UTF8, QN_UTF8}, QN_BOOL, ilike, QN_CALL_FAILS_UNPREPARED, prepare_ilike},
    {"ilike", 3, {QN_UTF8, QN_UTF8, QN_UTF8}, QN_BOOL, ilike, QN_CALL_FAILS_UNPREPARED, prepare_ilike},
};
const qn_function_table qn_like_functions = {functions, (int)(sizeof functions / sizeof *functions)};
