// SPDX-License-Identifier: Apache-2.0
#include "expr/regex_pattern.h"
#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include "base/check.h"

enum { MOST_REPEATS = 255, MOST_BRACES = 4 };

static bool is_one_of(char c, const char *set) {
  return c != '\0' && strchr(set, c) != NULL;
}

// Behind [:alpha:] and the like, which begins at `at`.
static const char *skip_class(const char *at, const char *end) {
  const char kind = at[1];
  for (at += 2; at + 1 < end; at++) {
    if (at[0] == kind && at[1] == ']') {
      return at + 2;
    }
  }
  return end;
}

static bool is_class(const char *at, const char *end) {
  return *at == '[' && at + 1 < end && is_one_of(at[1], ":.=");
}

// The first character behind [ or [^ and a ] that stands for itself.
static const char *bracket_content(const char *at, const char *end) {
  at++;
  at += at < end && *at == '^';
  at += at < end && *at == ']';
  return at;
}

// A backslash is nothing special in a POSIX bracket; those of PostgreSQL are put into other words.
static const char *escape_in_bracket(char c) {
  switch (c) {
  case 'w':
    return "[:alnum:]_";
  case 'd':
    return "0-9";
  case 's':
    return "[:space:]";
  case 'n':
    return "\n";
  case 't':
    return "\t";
  case 'r':
    return "\r";
  default:
    return NULL;
  }
}

static const char *escape_outside(char c) {
  switch (c) {
  case 'd':
    return "[0-9]";
  case 'D':
    return "[^0-9]";
  case 'n':
    return "\n";
  case 't':
    return "\t";
  case 'r':
    return "\r";
  default:
    return NULL;
  }
}

// Sets *at behind the bracket expression.
static const char *check_bracket(const char **at, const char *end) {
  const char *c = bracket_content(*at, end);
  while (c < end && *c != ']') {
    if (is_class(c, end)) {
      c = skip_class(c, end);
    } else if (*c == '\\' && c + 1 < end) {
      const bool is_known = escape_in_bracket(c[1]) != NULL;
      if (!is_known && (isalnum((unsigned char)c[1]) || is_one_of(c[1], "]^-["))) {
        return "escapes in [...] but \\w, \\d, \\s, \\n, \\t, \\r and of punctuation";
      }
      c += 2;
    } else {
      c++;
    }
  }
  *at = c < end ? c + 1 : end;
  return NULL;
}

// A quantifier {n,m} with a large number makes the C library's matcher take memory and time without bound.
static bool has_many_repeats(const char *at, const char *end) {
  for (at++; at < end && *at != '}';) {
    int n = 0;
    for (; at < end && *at >= '0' && *at <= '9'; at++) {
      n = n > MOST_REPEATS ? n : n * 10 + (*at - '0');
    }
    if (n > MOST_REPEATS) {
      return true;
    }
    at += at < end && *at != '}';
  }
  return false;
}

const char *qn_regex_find_unsupported(qn_text pattern) {
  const char *at = pattern.data;
  const char *end = at + pattern.size;
  int n_braces = 0;
  while (at < end) {
    const char following = at + 1 < end ? at[1] : (char)0;
    const bool is_quantifier = is_one_of(*at, "*+?}");
    if (*at == '\\') {
      if (is_one_of(following, "<>`'") ||
          (isalnum((unsigned char)following) && !is_one_of(following, "dDwWsSntr123456789"))) {
        return "escapes like \\m, \\y, \\b, \\x or \\<";
      }
      at += 2;
    } else if (*at == '[') {
      const char *reason = check_bracket(&at, end);
      if (reason != NULL) {
        return reason;
      }
    } else if (*at == '(' && following == '?') {
      return "groups like (?:...) and (?=...)";
    } else if (is_quantifier && following == '?') {
      return "lazy quantifiers like *?";
    } else if (is_quantifier && is_one_of(following, "*+")) {
      return "a quantifier behind a quantifier";
    } else if (*at == '{' && (has_many_repeats(at, end) || ++n_braces > MOST_BRACES)) {
      return "more than four {...}, or more than 255 repeats in one,";
    } else {
      at++;
    }
  }
  return NULL;
}

static qn_status append_word(qn_buffer *out, const char *word, qn_error *err) {
  return qn_buffer_append(out, word, (int64_t)strlen(word), err);
}

// Appends a bracket expression that begins at *at, and sets *at behind it.
static qn_status translate_bracket(const char **at, const char *end, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  const char *c = bracket_content(*at, end);
  QN_TRY(qn_buffer_append(out, *at, c - *at, err));
  while (c < end && *c != ']') {
    const char *next = c + 1;
    if (is_class(c, end)) {
      next = skip_class(c, end);
      QN_TRY(qn_buffer_append(out, c, next - c, err));
    } else if (*c == '\\' && c + 1 < end) {
      const char *words = escape_in_bracket(c[1]);
      next = c + 2;
      QN_TRY(words != NULL ? append_word(out, words, err) : qn_buffer_append(out, c + 1, 1, err));
    } else {
      QN_TRY(qn_buffer_append(out, c, 1, err));
    }
    c = next;
  }
  QN_TRY(qn_buffer_append(out, "]", c < end, err));
  *at = c < end ? c + 1 : end;

done:
  return status;
}

qn_status qn_regex_translate(qn_text pattern, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  const char *at = pattern.data;
  const char *end = at + pattern.size;
  while (at < end) {
    if (*at == '[') {
      QN_TRY(translate_bracket(&at, end, out, err));
    } else if (*at == '\\' && at + 1 < end) {
      const char *words = escape_outside(at[1]);
      QN_TRY(words != NULL ? append_word(out, words, err) : qn_buffer_append(out, at, 2, err));
      at += 2;
    } else {
      QN_TRY(qn_buffer_append(out, at++, 1, err));
    }
  }
  QN_TRY(qn_buffer_terminate(out, err));

done:
  return status;
}
