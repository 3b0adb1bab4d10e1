// SPDX-License-Identifier: Apache-2.0
// From text to the parser's tree, and back from a place in the tree to the text for messages. libpg_query
// parses whole statements, so an expression is parsed as what stands behind SELECT, and anything that makes
// it more than a list of expressions is refused.
#include <pg_query.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/check.h"
#include "base/utf8.h"
#include "expr/binder.h"

// The parser recurses once per operator in a chain like 1+1+...; its stack must bear that.
enum { MOST_NESTING = 20000, LONGEST_TEXT = 16 << 20, SHOWN_BYTES = 100 };

static const char select_prefix[] = "SELECT ";
static const char order_prefix[] = "SELECT 1 ORDER BY ";

const char *qn_tree_kind(const json_t *node, const json_t **inside) {
  void *pair = json_object_iter((json_t *)(uintptr_t)node);
  *inside = pair == NULL ? NULL : json_object_iter_value(pair);
  return pair == NULL ? NULL : json_object_iter_key(pair);
}

int qn_tree_location(const json_t *inside) {
  const json_t *location = json_object_get(inside, "location");
  return location == NULL ? -1 : (int)json_integer_value(location);
}

const char *qn_tree_name(const json_t *names, int *n) {
  *n = (int)json_array_size(names);
  const json_t *last = *n == 0 ? NULL : json_array_get(names, (size_t)*n - 1);
  const char *name = json_string_value(json_object_get(json_object_get(last, "String"), "sval"));
  return name == NULL ? "" : name;
}

static bool is_inside_character(char c) {
  return ((unsigned char)c & 0xc0) == 0x80;
}

// Writes "\n  line of the text\n    ^" for a byte offset in the text.
static void draw_caret(const char *text, int64_t offset, char *out, size_t size) {
  const int64_t text_size = (int64_t)strlen(text);
  int64_t first = offset > text_size ? text_size : offset;
  const int64_t at = first;
  while (first > 0 && text[first - 1] != '\n') {
    first--;
  }
  int64_t end = at;
  while (end < text_size && text[end] != '\n') {
    end++;
  }
  bool is_cut_left = false;
  bool is_cut_right = false;
  if (end - first > SHOWN_BYTES) {
    const int64_t wanted = at - SHOWN_BYTES / 2;
    if (wanted > first) {
      first = wanted > end - SHOWN_BYTES ? end - SHOWN_BYTES : wanted;
      is_cut_left = true;
    }
    while (is_inside_character(text[first])) {
      first++;
    }
    if (end > first + SHOWN_BYTES) {
      end = first + SHOWN_BYTES;
      is_cut_right = true;
    }
    while (end > at && end < text_size && is_inside_character(text[end])) {
      end--;
    }
  }
  const int64_t column = at > first ? qn_utf8_length(text + first, at - first) : 0;
  snprintf(out, size, "\n  %s%.*s%s\n  %*s^", is_cut_left ? "..." : "", (int)(end - first), text + first,
           is_cut_right ? "..." : "", (int)column + (is_cut_left ? 3 : 0), "");
  for (char *c = out + 1; *c != '\0' && *c != '\n'; c++) {
    *c = *c == '\t' || *c == '\r' ? ' ' : *c;
  }
}

qn_status qn_bind_fail(const qn_binder *binder, qn_status status, int location, const char *format, ...) {
  char message[600];
  char caret[4 * SHOWN_BYTES + 64] = "";
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  if (location >= binder->prefix) {
    draw_caret(binder->text, location - binder->prefix, caret, sizeof caret);
  } else if (binder->text[0] != '\0') {
    snprintf(caret, sizeof caret, "\n  %.*s%s", SHOWN_BYTES, binder->text,
             strlen(binder->text) > SHOWN_BYTES ? "..." : "");
  }
  return qn_fail(binder->err, status, "%s: %s%s", binder->what, message, caret);
}

// The parser counts characters from 1; carets count bytes from 0.
static int byte_location(const char *statement, int character) {
  int at = 0;
  for (int n = 1; statement[at] != '\0' && n < character; n++) {
    at++;
    while (is_inside_character(statement[at])) {
      at++;
    }
  }
  return at;
}

// What of a SELECT has no place in a list of expressions.
static const struct {
  const char *key;
  const char *words;
} refused[] = {
    {"fromClause", "FROM"},     {"whereClause", "WHERE"},       {"groupClause", "GROUP BY"},
    {"havingClause", "HAVING"}, {"sortClause", "ORDER BY"},     {"limitCount", "LIMIT"},
    {"limitOffset", "OFFSET"},  {"distinctClause", "DISTINCT"}, {"intoClause", "INTO"},
    {"windowClause", "WINDOW"}, {"withClause", "WITH"},         {"lockingClause", "FOR"},
    {"valuesLists", "VALUES"},
};

static qn_status check_statement(qn_binder *binder, bool is_order) {
  const json_t *statements = json_object_get(binder->tree, "stmts");
  const json_t *raw = json_array_get(statements, 0);
  const json_t *select = json_object_get(json_object_get(raw, "stmt"), "SelectStmt");
  const char *key;
  json_t *value;

  if (json_array_size(statements) != 1 || select == NULL || json_object_get(raw, "stmt_len") != NULL) {
    return qn_bind_fail(binder, QN_ERR_ARG, -1,
                        "an expression is wanted, not statements: there is a ';' in it");
  }
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    const bool is_wanted = is_order && strcmp(refused[i].key, "sortClause") == 0;
    if (!is_wanted && json_object_get(select, refused[i].key) != NULL) {
      return qn_bind_fail(binder, QN_ERR_ARG, -1, "%s has no place here; expressions are wanted",
                          refused[i].words);
    }
  }
  json_object_foreach((json_t *)(uintptr_t)select, key, value) {
    const char *text = json_string_value(value);
    const bool is_known =
        strcmp(key, "targetList") == 0 || (is_order && strcmp(key, "sortClause") == 0) ||
        (strcmp(key, "limitOption") == 0 && text != NULL && strcmp(text, "LIMIT_OPTION_DEFAULT") == 0) ||
        (strcmp(key, "op") == 0 && text != NULL && strcmp(text, "SETOP_NONE") == 0);
    if (!is_known) {
      return qn_bind_fail(binder, QN_ERR_ARG, -1, "only expressions are wanted, not parts of a query");
    }
  }
  if (json_array_size(qn_binder_items(binder, is_order)) == 0) {
    return qn_bind_fail(binder, QN_ERR_ARG, -1, "the expression is empty");
  }
  return QN_OK;
}

static qn_status read_tree(qn_binder *binder, const char *statement, const PgQueryParseResult *result) {
  json_error_t error;
  if (result->error != NULL) {
    const int location = byte_location(statement, result->error->cursorpos);
    const char *message = result->error->message;
    return qn_bind_fail(binder, QN_ERR_ARG, location < binder->prefix ? binder->prefix : location, "%s",
                        strncmp(message, "memory exhausted", 16) == 0 ? "the expression is nested too deeply"
                                                                      : message);
  }
  binder->tree = json_loads(result->parse_tree, 0, &error);
  if (binder->tree == NULL) {
    return qn_bind_fail(
        binder, QN_ERR_ARG, -1,
        "the expression is nested too deeply (limit: some 900 levels, and as many terms of one sum); "
        "compute parts of it first");
  }
  return QN_OK;
}

qn_status qn_binder_init(qn_binder *binder, const char *text, const char *what, bool is_order,
                         qn_arena *arena, qn_error *err) {
  qn_status status = QN_OK;
  const char *prefix = is_order ? order_prefix : select_prefix;
  PgQueryParseResult result = {0};
  bool is_parsed = false;
  *binder = (qn_binder){.what = what, .arena = arena, .err = err, .prefix = (int)strlen(prefix), .text = ""};

  QN_REQUIRE(text != NULL, err, QN_ERR_ARG, "%s: no expression is given", what);
  const int64_t size = (int64_t)strlen(text);
  QN_REQUIRE(size <= LONGEST_TEXT, err, QN_ERR_ARG, "%s: the expression has %lld bytes; at most %d are read",
             what, (long long)size, LONGEST_TEXT);
  const int64_t invalid = qn_utf8_find_invalid(text, size);
  QN_REQUIRE(invalid < 0, err, QN_ERR_ARG, "%s: byte %lld of the expression is not UTF-8", what,
             (long long)invalid);
  binder->text = binder->item_text = qn_arena_string(arena, text);
  const char *statement = qn_arena_printf(arena, "%s%s", prefix, text);
  QN_REQUIRE(binder->text != NULL && statement != NULL, err, QN_ERR_MEMORY, "%s: no memory to parse", what);
  QN_REQUIRE(qn_count_nesting(text) <= MOST_NESTING, err, QN_ERR_ARG,
             "%s: the expression has more than %d words and operators; compute parts of it first", what,
             MOST_NESTING);
  result = pg_query_parse(statement);
  is_parsed = true;
  QN_TRY(read_tree(binder, statement, &result));
  QN_TRY(check_statement(binder, is_order));

done:
  if (is_parsed) {
    pg_query_free_parse_result(result);
  }
  return status;
}

void qn_binder_release(qn_binder *binder) {
  json_decref(binder->tree);
  binder->tree = NULL;
}

void qn_binder_add_scope(qn_binder *binder, const char *qualifier, const qn_schema *schema) {
  const qn_scope *before = binder->n_scopes == 0 ? NULL : &binder->scopes[binder->n_scopes - 1];
  const int first = before == NULL ? 0 : before->first_column + before->schema->n_columns;
  binder->scopes[binder->n_scopes++] =
      (qn_scope){.qualifier = qualifier, .schema = schema, .first_column = first};
}

json_t *qn_binder_items(const qn_binder *binder, bool is_order) {
  const json_t *raw = json_array_get(json_object_get(binder->tree, "stmts"), 0);
  const json_t *select = json_object_get(json_object_get(raw, "stmt"), "SelectStmt");
  return json_object_get(select, is_order ? "sortClause" : "targetList");
}

qn_status qn_binder_begin_item(qn_binder *binder, int index, int n) {
  binder->item_text = qn_item_text(binder->text, index, n, binder->arena, &binder->item_first);
  return binder->item_text == NULL ? qn_bind_no_memory(binder) : QN_OK;
}
