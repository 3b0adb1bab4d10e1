// SPDX-License-Identifier: Apache-2.0
// Literals, typed literals (date '2020-01-01') and casts.
#include <ctype.h>
#include <string.h>
#include "base/check.h"
#include "column/parse.h"
#include "expr/binder.h"
#include "expr/function_table.h"

static const char *skip_blanks_and_comments(const char *at) {
  for (;;) {
    if (isspace((unsigned char)*at)) {
      at++;
    } else if (at[0] == '-' && at[1] == '-') {
      at += strcspn(at, "\r\n");
    } else if (at[0] == '/' && at[1] == '*') {
      int depth = 1;
      for (at += 2; *at != '\0' && depth > 0;) {
        const int change = (at[0] == '/' && at[1] == '*') - (at[0] == '*' && at[1] == '/');
        depth += change;
        at += change == 0 ? 1 : 2;
      }
    } else {
      return at;
    }
  }
}

// libpg_query (15-4.0) leaves integers below 0 out of its JSON; "- 5" is read here from the text.
static int64_t negative_integer(const qn_binder *binder, int location) {
  const int offset = location - binder->prefix;
  if (offset < 0 || offset >= (int)strlen(binder->text)) {
    return 0;
  }
  const char *at = skip_blanks_and_comments(binder->text + offset);
  bool is_negative = false;
  while (*at == '-' || *at == '(') {
    is_negative ^= *at == '-';
    at = skip_blanks_and_comments(at + 1);
  }
  int64_t value = 0;
  for (; isdigit((unsigned char)*at) && value < INT32_MAX; at++) {
    value = value * 10 + (*at - '0');
  }
  return is_negative ? -value : value;
}

static qn_status bind_integer(qn_binder *binder, int64_t value, int location, const qn_expr **out) {
  if (value >= INT32_MIN && value <= INT32_MAX) {
    const int32_t narrow = (int32_t)value;
    return qn_new_constant(binder, QN_INT32, &narrow, location, out);
  }
  return qn_new_constant(binder, QN_INT64, &value, location, out);
}

// What the parser calls a float: a number with a point or exponent, or an integer that int32 does not hold.
static qn_status bind_number(qn_binder *binder, const char *text, int location, const qn_expr **out) {
  const int64_t size = (int64_t)strlen(text);
  int64_t integer = 0;
  double value = 0;
  if (qn_parse_int64(text, size, &integer)) {
    return bind_integer(binder, integer, location, out);
  }
  if (!qn_parse_float64(text, size, &value)) {
    return qn_bind_fail(binder, QN_ERR_ARG, location, "%.60s is out of the range of float64", text);
  }
  return qn_new_constant(binder, QN_FLOAT64, &value, location, out);
}

qn_status qn_bind_constant(qn_binder *binder, const json_t *constant, const qn_expr **out) {
  const int location = qn_tree_location(constant);
  const json_t *value;
  if (json_is_true(json_object_get(constant, "isnull"))) {
    return qn_new_unknown(binder, NULL, location, out);
  }
  if ((value = json_object_get(constant, "ival")) != NULL) {
    const json_t *integer = json_object_get(value, "ival");
    return bind_integer(binder,
                        integer != NULL ? json_integer_value(integer) : negative_integer(binder, location),
                        location, out);
  }
  if ((value = json_object_get(constant, "fval")) != NULL) {
    const char *text = json_string_value(json_object_get(value, "fval"));
    return bind_number(binder, text == NULL ? "" : text, location, out);
  }
  if ((value = json_object_get(constant, "boolval")) != NULL) {
    const bool truth = json_is_true(json_object_get(value, "boolval"));
    return qn_new_constant(binder, QN_BOOL, &truth, location, out);
  }
  if ((value = json_object_get(constant, "sval")) != NULL) {
    const char *text = json_string_value(json_object_get(value, "sval"));
    return qn_new_unknown(binder, text == NULL ? "" : text, location, out);
  }
  return qn_bind_fail(binder, QN_ERR_ARG, location, "bit strings are not supported");
}

// The unit in interval '1' day: a bit per field of PostgreSQL's date tokens.
static const char *interval_unit(const json_t *typmods) {
  static const struct {
    int64_t mask;
    const char *unit;
  } units[] = {{2, "month"},      {4, "year"},         {8, "day"},
               {1 << 10, "hour"}, {1 << 11, "minute"}, {1 << 12, "second"}};
  const json_t *first = json_object_get(json_array_get(typmods, 0), "A_Const");
  const int64_t mask = json_integer_value(json_object_get(json_object_get(first, "ival"), "ival"));
  for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
    if (units[i].mask == mask) {
      return units[i].unit;
    }
  }
  return NULL;
}

static qn_status bind_interval(qn_binder *binder, const qn_expr *arg, const json_t *typmods, int location,
                               const qn_expr **out) {
  qn_interval interval = {0};
  const char *text = arg->kind == QN_EXPR_UNKNOWN ? qn_constant_text(binder, arg) : NULL;
  const char *unit = interval_unit(typmods);
  if (arg->kind == QN_EXPR_INTERVAL) {
    *out = arg;
    return QN_OK;
  }
  if (text == NULL) {
    return qn_bind_fail(binder, QN_ERR_TYPE, location,
                        "only constant intervals can be used, as interval '2 days'");
  }
  if ((typmods != NULL && unit == NULL) || !qn_interval_parse(text, unit, &interval)) {
    return qn_bind_fail(
        binder, QN_ERR_ARG, location,
        "'%.60s' is not an interval; write it as '1 year 2 months 3 days 04:05:06' or '90 minutes'", text);
  }
  return qn_new_interval(binder, interval, location, out);
}

static qn_status find_type(const qn_binder *binder, const json_t *type_name, int location, qn_type *out) {
  int n = 0;
  const char *name = qn_tree_name(json_object_get(type_name, "names"), &n);
  if (strcmp(name, "numeric") == 0 || strcmp(name, "decimal") == 0) {
    return qn_bind_fail(binder, QN_ERR_TYPE, location, "there is no type numeric; decimals are float64");
  }
  if (json_object_get(type_name, "arrayBounds") != NULL) {
    return qn_bind_fail(binder, QN_ERR_TYPE, location, "there are no arrays");
  }
  if (!qn_type_parse(name, out)) {
    return qn_bind_fail(
        binder, QN_ERR_TYPE, location,
        "there is no type '%s'; there are bool, int32, int64, float32, float64, utf8, binary, date and "
        "timestamp",
        strcmp(name, "bpchar") == 0 ? "char" : name);
  }
  if (json_object_get(type_name, "typmods") != NULL) {
    return qn_bind_fail(binder, QN_ERR_TYPE, location,
                        "types have no length or precision here; write just %s", qn_type_name(*out));
  }
  return QN_OK;
}

qn_status qn_bind_type_cast(qn_binder *binder, const json_t *cast, const qn_expr **out) {
  qn_status status = QN_OK;
  const json_t *type_name = json_object_get(cast, "typeName");
  const int type_location = qn_tree_location(type_name);
  const int location = qn_tree_location(cast) >= 0 ? qn_tree_location(cast) : type_location;
  const qn_expr *arg = NULL;
  qn_type type = QN_UTF8;
  int n = 0;

  QN_TRY(qn_bind_node(binder, json_object_get(cast, "arg"), &arg));
  if (strcmp(qn_tree_name(json_object_get(type_name, "names"), &n), "interval") == 0) {
    return bind_interval(binder, arg, json_object_get(type_name, "typmods"), location, out);
  }
  QN_TRY(find_type(binder, type_name, type_location, &type));
  QN_TRY(qn_bind_cast(binder, arg, type, location, out));

done:
  return status;
}
