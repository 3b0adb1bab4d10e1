// SPDX-License-Identifier: Apache-2.0
// Regular expressions by the C library: POSIX extended ones, of characters of UTF-8. A pattern is checked
// when it is bound and compiled once a batch, for nothing frees what an expression holds.
#include <locale.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>
#include "expr/binder.h"
#include "expr/regex_pattern.h"
#include "expr/text_case.h"
#include "expr/text_rows.h"

enum { MOST_GROUPS = 10, LONGEST_PATTERN = 10000 };

typedef struct pattern {
  regex_t regex;
  bool is_compiled;
  bool is_global; // replace all matches
} pattern;

static void pattern_release(pattern *p) {
  if (p->is_compiled) {
    regfree(&p->regex);
  }
  p->is_compiled = false;
}

// Compiles in the current locale. QN_ERR_VALUE with a bare message.
static qn_status compile(qn_text text, int flags, pattern *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer translated = {0};
  char reason[200];
  const char *unsupported = qn_regex_find_unsupported(text);
  QN_REQUIRE(text.size <= LONGEST_PATTERN, err, QN_ERR_VALUE,
             "the regular expression is longer than %d bytes", LONGEST_PATTERN);
  QN_REQUIRE(unsupported == NULL, err, QN_ERR_VALUE, "%s are not supported in regular expressions",
             unsupported);
  QN_TRY(qn_regex_translate(text, &translated, err));
  const int code = regcomp(&out->regex, (const char *)translated.data, flags | REG_EXTENDED);
  if (code != 0) {
    regerror(code, &out->regex, reason, sizeof reason);
    status = qn_fail(err, QN_ERR_VALUE, "the regular expression is not valid: %s", reason);
    goto done;
  }
  out->is_compiled = true;

done:
  qn_buffer_release(&translated);
  return status;
}

// "i" and "g"; anything else is false.
static bool read_flags(qn_text text, int *flags, bool *is_global) {
  for (int64_t i = 0; i < text.size; i++) {
    if (text.data[i] == 'i') {
      *flags |= REG_ICASE;
    } else if (text.data[i] == 'g') {
      *is_global = true;
    } else if (text.data[i] != 'c') {
      return false;
    }
  }
  return true;
}

// Where the flags of each function are among its arguments.
static int flags_argument(const char *name) {
  return strcmp(name, "regexp_replace") == 0 ? 3 : 2;
}

// The pattern and flags of a row.
static qn_status compile_row(qn_call *call, int64_t row, pattern *out, qn_error *err) {
  const char *name = call->expr->function->name;
  const int at = flags_argument(name);
  int flags = strcmp(name, "~*") == 0 ? REG_ICASE : 0;
  out->is_global = false;
  if (call->n_args > at && !read_flags(qn_arg_text(call, at, row), &flags, &out->is_global)) {
    return qn_call_fail(call, row, err, "the flags of a regular expression are i, c and g");
  }
  const qn_status status = compile(qn_arg_text(call, 1, row), flags, out, err);
  call->failed_row = status == QN_OK ? call->failed_row : row;
  return status;
}

// `text` is the first argument, with a zero byte behind.
typedef qn_status row_work(qn_call *call, int64_t row, const pattern *p, qn_text text, qn_buffer *scratch,
                           qn_error *err);

// That of UTF-8; but where text and pattern are ASCII, the matcher is much faster in that of bytes and finds
// the same.
static locale_t locale_for(const qn_call *call) {
  const bool is_ascii =
      qn_column_is_ascii(&call->args[0].column) && qn_column_is_ascii(&call->args[1].column);
  return is_ascii ? newlocale(LC_ALL_MASK, "C", (locale_t)0) : qn_utf8_locale_new();
}

// Calls `work` for each row that is not null, with the pattern compiled.
static qn_status for_each_row(qn_call *call, row_work *work, qn_error *err) {
  qn_status status = QN_OK;
  pattern p = {0};
  qn_buffer scratch = {0};
  qn_buffer subject = {0};
  bool is_constant = call->args[1].is_constant;
  const int at = flags_argument(call->expr->function->name);
  is_constant = is_constant && (call->n_args <= at || call->args[at].is_constant);
  const locale_t locale = locale_for(call);
  const locale_t before = locale == (locale_t)0 ? (locale_t)0 : uselocale(locale);

  for (int64_t i = 0; i < call->n_rows; i++) {
    if (qn_call_is_null(call, i)) {
      if (qn_type_is_text(call->expr->type)) {
        QN_TRY(qn_column_builder_append_null(&call->texts, err));
      }
      continue;
    }
    if (!p.is_compiled || !is_constant) {
      pattern_release(&p);
      QN_TRY(compile_row(call, i, &p, err));
    }
    const qn_text text = qn_arg_text(call, 0, i);
    scratch.size = subject.size = 0;
    QN_TRY(qn_buffer_append(&subject, text.data, text.size, err));
    QN_TRY(qn_buffer_terminate(&subject, err));
    QN_TRY(work(call, i, &p, qn_buffer_text(&subject), &scratch, err));
  }

done:
  pattern_release(&p);
  qn_buffer_release(&scratch);
  qn_buffer_release(&subject);
  if (locale != (locale_t)0) {
    uselocale(before);
    freelocale(locale);
  }
  return status;
}

// Looks for a match from an offset on.
static bool find(const pattern *p, qn_text text, int64_t from, regmatch_t *groups, size_t n_groups) {
  regmatch_t range[MOST_GROUPS];
  range[0].rm_so = (regoff_t)from;
  range[0].rm_eo = (regoff_t)text.size;
  const int flags = REG_STARTEND | (from > 0 ? REG_NOTBOL : 0);
  if (regexec(&p->regex, text.data, n_groups > 0 ? n_groups : 1, range, flags) != 0) {
    return false;
  }
  if (n_groups > 0) {
    memcpy(groups, range, n_groups * sizeof *groups);
  }
  return true;
}

static qn_status match_row(qn_call *call, int64_t row, const pattern *p, qn_text text, qn_buffer *scratch,
                           qn_error *err) {
  (void)scratch, (void)err;
  ((uint8_t *)call->values)[row] = find(p, text, 0, NULL, 0);
  return QN_OK;
}
static qn_status matches(qn_call *call, qn_error *err) {
  memset(call->values, 0, (size_t)call->n_rows);
  return for_each_row(call, match_row, err);
}

// \1 to \9 and \& stand for what was matched.
static qn_status append_replacement(qn_text replacement, qn_text text, const regmatch_t *groups,
                                    qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  for (int64_t i = 0; i < replacement.size; i++) {
    const char c = replacement.data[i];
    const char next = c == '\\' && i + 1 < replacement.size ? replacement.data[i + 1] : 0;
    const int group = next == '&' ? 0 : next >= '1' && next <= '9' ? next - '0' : -1;
    if (group >= 0) {
      if (groups[group].rm_so >= 0) {
        QN_TRY(qn_buffer_append(out, text.data + groups[group].rm_so,
                                groups[group].rm_eo - groups[group].rm_so, err));
      }
      i++;
    } else {
      i += next == '\\';
      QN_TRY(qn_buffer_append(out, &c, 1, err));
    }
  }

done:
  return status;
}

static qn_status replace_row(qn_call *call, int64_t row, const pattern *p, qn_text text, qn_buffer *scratch,
                             qn_error *err) {
  qn_status status = QN_OK;
  const qn_text replacement = qn_arg_text(call, 2, row);
  regmatch_t groups[MOST_GROUPS];
  int64_t copied = 0;
  int64_t from = 0;
  while (from <= text.size && find(p, text, from, groups, MOST_GROUPS)) {
    QN_TRY(qn_buffer_append(scratch, text.data + copied, groups[0].rm_so - copied, err));
    QN_TRY(append_replacement(replacement, text, groups, scratch, err));
    copied = from = groups[0].rm_eo;
    if (!p->is_global) {
      break;
    }
    if (groups[0].rm_eo == groups[0].rm_so) { // an empty match: go on behind the next character
      from += from < text.size ? qn_char_size(text.data[from]) : 1;
    }
  }
  QN_TRY(qn_buffer_append(scratch, text.data + copied, text.size - copied, err));
  QN_TRY(qn_column_builder_append_text(&call->texts, scratch->data, scratch->size, err));

done:
  return status;
}
static qn_status replace(qn_call *call, qn_error *err) {
  return for_each_row(call, replace_row, err);
}

// The first match, or of its first group if the pattern has one; null if there is none.
static qn_status extract(qn_call *call, const pattern *p, qn_text text, bool wants_group, qn_error *err) {
  regmatch_t groups[MOST_GROUPS];
  const int at = wants_group && p->regex.re_nsub > 0 ? 1 : 0;
  if (!find(p, text, 0, groups, MOST_GROUPS) || groups[at].rm_so < 0) {
    return qn_column_builder_append_null(&call->texts, err);
  }
  return qn_column_builder_append_text(&call->texts, text.data + groups[at].rm_so,
                                       groups[at].rm_eo - groups[at].rm_so, err);
}
static qn_status substr_row(qn_call *call, int64_t row, const pattern *p, qn_text text, qn_buffer *scratch,
                            qn_error *err) {
  (void)row, (void)scratch;
  return extract(call, p, text, false, err);
}
static qn_status regexp_substr(qn_call *call, qn_error *err) {
  return for_each_row(call, substr_row, err);
}
static qn_status substring_row(qn_call *call, int64_t row, const pattern *p, qn_text text, qn_buffer *scratch,
                               qn_error *err) {
  (void)row, (void)scratch;
  return extract(call, p, text, true, err);
}
static qn_status substring(qn_call *call, qn_error *err) {
  return for_each_row(call, substring_row, err);
}

static qn_status count_row(qn_call *call, int64_t row, const pattern *p, qn_text text, qn_buffer *scratch,
                           qn_error *err) {
  (void)scratch, (void)err;
  regmatch_t match;
  int32_t n = 0;
  for (int64_t from = 0; from <= text.size && find(p, text, from, &match, 1); n++) {
    from = match.rm_eo;
    if (match.rm_eo == match.rm_so) {
      from += from < text.size ? qn_char_size(text.data[from]) : 1;
    }
  }
  ((int32_t *)call->values)[row] = n;
  return QN_OK;
}
static qn_status regexp_count(qn_call *call, qn_error *err) {
  return for_each_row(call, count_row, err);
}

static bool is_constant_text(const qn_expr *arg) {
  return arg->kind == QN_EXPR_CONSTANT && !qn_expr_is_null_constant(arg);
}

// Constant patterns are tried at once, so that a mistake has a caret.
static qn_status prepare_with_flags(qn_binder *binder, int location, const qn_expr *const *args, int n_args,
                                    int flags_at, const void **data) {
  pattern p = {0};
  qn_error err = {0};
  int flags = 0;
  const bool has_flags = n_args > flags_at;
  if (has_flags && is_constant_text(args[flags_at]) &&
      !read_flags(qn_column_text(args[flags_at]->value, 0), &flags, &p.is_global)) {
    return qn_bind_fail(binder, QN_ERR_ARG, location, "the flags of a regular expression are i, c and g");
  }
  if (!is_constant_text(args[1])) {
    return QN_OK;
  }
  const qn_status status = compile(qn_column_text(args[1]->value, 0), flags, &p, &err);
  pattern_release(&p);
  *data = !has_flags || is_constant_text(args[flags_at]) ? qn_call_is_safe : NULL;
  return status == QN_OK ? QN_OK : qn_bind_fail(binder, QN_ERR_ARG, location, "%s", err.message);
}
static qn_status prepare(qn_binder *binder, int location, const qn_expr *const *args, int n_args,
                         const void **data) {
  return prepare_with_flags(binder, location, args, n_args, 2, data);
}
static qn_status prepare_replace(qn_binder *binder, int location, const qn_expr *const *args, int n_args,
                                 const void **data) {
  return prepare_with_flags(binder, location, args, n_args, 3, data);
}

#define TEXT QN_UTF8
static const qn_function functions[] = {
    {"~", 2, {TEXT, TEXT}, QN_BOOL, matches, QN_CALL_FAILS_UNPREPARED, prepare},
    {"~*", 2, {TEXT, TEXT}, QN_BOOL, matches, QN_CALL_FAILS_UNPREPARED, prepare},
    {"regexp_like", 2, {TEXT, TEXT}, QN_BOOL, matches, QN_CALL_FAILS_UNPREPARED, prepare},
    {"regexp_like", 3, {TEXT, TEXT, TEXT}, QN_BOOL, matches, QN_CALL_FAILS_UNPREPARED, prepare},
    {"regexp_replace", 3, {TEXT, TEXT, TEXT}, TEXT, replace, QN_CALL_FAILS_UNPREPARED, prepare_replace},
    {"regexp_replace", 4, {TEXT, TEXT, TEXT, TEXT}, TEXT, replace, QN_CALL_FAILS_UNPREPARED, prepare_replace},
    {"regexp_substr", 2, {TEXT, TEXT}, TEXT, regexp_substr, QN_CALL_FAILS_UNPREPARED, prepare},
    {"substring", 2, {TEXT, TEXT}, TEXT, substring, QN_CALL_FAILS_UNPREPARED, prepare},
    {"regexp_count", 2, {TEXT, TEXT}, QN_INT32, regexp_count, QN_CALL_FAILS_UNPREPARED, prepare},
};
const qn_function_table qn_regex_functions = {functions, (int)(sizeof functions / sizeof *functions)};
