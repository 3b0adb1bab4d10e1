// SPDX-License-Identifier: Apache-2.0
// Schemas as text: "name type, name type, ...", read and written.
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "column/schema.h"

enum { LONGEST_TYPE_NAME = 63 };

// Words stand without quotes: letters, digits, underscores and everything beyond ASCII.
static bool is_word_byte(char c) {
  return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static const char *skip_blanks(const char *at) {
  while (isspace((unsigned char)*at)) {
    at++;
  }
  return at;
}

// Reads a name at *at into `name` (as large as the text that is parsed).
static qn_status read_name(const char *text, const char **at, char *name, qn_error *err) {
  const char *from = *at;
  char *to = name;
  if (*from == '"') {
    for (from++; *from != '\0' && (from[0] != '"' || from[1] == '"'); from++) {
      from += *from == '"';
      *to++ = *from;
    }
    if (*from != '"') {
      return qn_fail(err, QN_ERR_ARG, "schema '%s': the quote at %s is never closed", text, *at);
    }
    from++;
  } else {
    while (is_word_byte(*from)) {
      *to++ = *from++;
    }
  }
  *to = '\0';
  if (to == name) {
    return qn_fail(err, QN_ERR_ARG,
                   "schema '%s': a column name was expected at '%s'; write it as \"name type, name type\"",
                   text, *at);
  }
  *at = from;
  return QN_OK;
}

// Reads the type up to the next comma: lower case, single blanks, without a length in parentheses.
static qn_status read_type(const char *text, const char **at, const char *name, qn_type *type,
                           qn_error *err) {
  char word[LONGEST_TYPE_NAME + 1];
  size_t size = 0;
  const char *from = skip_blanks(*at);
  bool is_too_long = false;
  for (int depth = 0; *from != '\0' && (*from != ',' || depth > 0); from++) {
    depth += (*from == '(') - (*from == ')');
    const bool is_blank = isspace((unsigned char)*from) != 0;
    const bool is_left_out = depth > 0 || *from == ')' || (is_blank && (size == 0 || word[size - 1] == ' '));
    if (!is_left_out && size == LONGEST_TYPE_NAME) {
      is_too_long = true;
    } else if (!is_left_out) {
      word[size++] = is_blank ? ' ' : *from;
    }
  }
  while (size > 0 && word[size - 1] == ' ') {
    size--;
  }
  word[size] = '\0';
  if (size == 0) {
    return qn_fail(err, QN_ERR_ARG, "schema '%s': column '%s' has no type; write it as \"%s utf8\"", text,
                   name, name);
  }
  if (is_too_long || !qn_type_parse(word, type)) {
    return qn_fail(
        err, QN_ERR_ARG,
        "schema '%s': column '%s' has the type '%s', which there is not; types are bool, int32, int64, "
        "float32, float64, utf8, binary, date and timestamp",
        text, name, word);
  }
  *at = from;
  return QN_OK;
}

static int count_commas(const char *text) {
  int n = 0;
  for (; *text != '\0'; text++) {
    n += *text == ',';
  }
  return n;
}

qn_status qn_schema_parse(const char *text, qn_schema **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_field *fields = NULL;
  char *names = NULL;
  int n_columns = 0;

  QN_REQUIRE(text != NULL, err, QN_ERR_ARG, "a schema is missing");
  fields = calloc((size_t)count_commas(text) + 1, sizeof *fields);
  names = malloc(2 * strlen(text) + 2); // every name with its zero byte
  QN_REQUIRE(fields != NULL && names != NULL, err, QN_ERR_MEMORY, "no memory for a schema");
  const char *at = skip_blanks(text);
  char *name = names;
  QN_REQUIRE(*at != '\0', err, QN_ERR_ARG, "a schema is empty; write it as \"name type, name type\"");
  for (;;) {
    at = skip_blanks(at);
    QN_TRY(read_name(text, &at, name, err));
    fields[n_columns].name = name;
    QN_TRY(read_type(text, &at, name, &fields[n_columns].type, err));
    name += strlen(name) + 1;
    n_columns++;
    if (*at == '\0') {
      break;
    }
    at++;
  }
  QN_TRY(qn_schema_new(fields, n_columns, out, err));

done:
  free(fields);
  free(names);
  return status;
}

static bool is_word(const char *name) {
  while (is_word_byte(*name)) {
    name++;
  }
  return *name == '\0';
}

// Writes the name in quotes and gives the place behind it; `to` has room for 2 + twice the name.
static char *write_quoted(const char *name, char *to) {
  *to++ = '"';
  for (; *name != '\0'; name++) {
    *to++ = *name;
    if (*name == '"') {
      *to++ = '"';
    }
  }
  *to++ = '"';
  return to;
}

qn_status qn_name_quote(const char *name, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_buffer_reserve(out, 2 * (int64_t)strlen(name) + 2, err));
  char *start = (char *)out->data + out->size;
  out->size += write_quoted(name, start) - start;

done:
  return status;
}

char *qn_name_quoted(qn_arena *arena, const char *name) {
  char *text = qn_arena_alloc(arena, 2 * (int64_t)strlen(name) + 3);

  if (text != NULL) {
    *write_quoted(name, text) = '\0';
  }
  return text;
}

static qn_status print_name(const char *name, qn_buffer *out, qn_error *err) {
  return is_word(name) ? qn_buffer_append(out, name, (int64_t)strlen(name), err)
                       : qn_name_quote(name, out, err);
}

qn_status qn_schema_print(const qn_schema *schema, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  for (int i = 0; i < schema->n_columns; i++) {
    if (i > 0) {
      QN_TRY(qn_buffer_append(out, ", ", 2, err));
    }
    QN_TRY(print_name(schema->fields[i].name, out, err));
    QN_TRY(qn_buffer_printf(out, err, " %s", qn_type_name(schema->fields[i].type)));
  }

done:
  return status;
}
