// SPDX-License-Identifier: Apache-2.0
// A look at the text of an expression without parsing it: where its tokens are. It serves names, messages and
// limits; what the text means the parser alone decides.
#include <ctype.h>
#include <string.h>
#include <strings.h>
#include "expr/binder.h"

typedef enum { TOKEN_END, TOKEN_BLANK, TOKEN_WORD, TOKEN_LITERAL, TOKEN_SIGN } token_kind;
typedef struct token {
  token_kind kind;
  const char *at;
  int64_t size;
} token;

static bool is_word_char(char c) {
  return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

// Behind the closing quote; a doubled quote is part of the text, and so is what follows a backslash if
// has_escapes.
static const char *skip_quoted(const char *at, char quote, bool has_escapes) {
  for (at++; *at != '\0'; at++) {
    if (has_escapes && *at == '\\' && at[1] != '\0') {
      at++;
    } else if (*at == quote && at[1] == quote) {
      at++;
    } else if (*at == quote) {
      return at + 1;
    }
  }
  return at;
}

static const char *skip_comment(const char *at) {
  if (at[0] == '-') {
    return at + strcspn(at, "\r\n");
  }
  int depth = 0;
  while (*at != '\0') {
    if (at[0] == '/' && at[1] == '*') {
      depth++;
      at += 2;
    } else if (at[0] == '*' && at[1] == '/') {
      at += 2;
      if (--depth == 0) {
        return at;
      }
    } else {
      at++;
    }
  }
  return at;
}

// "$tag$ ... $tag$", or NULL if there is no such tag here.
static const char *skip_dollar_quoted(const char *at) {
  const char *tag_end = at + 1;
  while (is_word_char(*tag_end) && *tag_end != '$') {
    tag_end++;
  }
  if (*tag_end != '$' || isdigit((unsigned char)at[1])) {
    return NULL;
  }
  const size_t tag_size = (size_t)(tag_end + 1 - at);
  for (const char *c = tag_end + 1; *c != '\0'; c++) {
    if (strncmp(c, at, tag_size) == 0) {
      return c + tag_size;
    }
  }
  return at + strlen(at);
}

static token next_token(const char *at) {
  token found = {.kind = TOKEN_SIGN, .at = at, .size = 1};
  const char *end = at + 1;
  const bool is_comment = (at[0] == '-' && at[1] == '-') || (at[0] == '/' && at[1] == '*');
  if (*at == '\0') {
    return (token){.kind = TOKEN_END, .at = at};
  }
  if (isspace((unsigned char)*at) || is_comment) {
    found.kind = TOKEN_BLANK;
    end = is_comment ? skip_comment(at) : end;
  } else if (*at == '\'' || *at == '"') {
    found.kind = *at == '"' ? TOKEN_WORD : TOKEN_LITERAL;
    end = skip_quoted(at, *at, false);
  } else if ((*at == 'e' || *at == 'E') && at[1] == '\'') {
    found.kind = TOKEN_LITERAL;
    end = skip_quoted(at + 1, '\'', true);
  } else if (*at == '$' && skip_dollar_quoted(at) != NULL) {
    found.kind = TOKEN_LITERAL;
    end = skip_dollar_quoted(at);
  } else if (is_word_char(*at) || (*at == '.' && isdigit((unsigned char)at[1]))) {
    const bool is_number = isdigit((unsigned char)*at) || *at == '.';
    found.kind = is_number ? TOKEN_LITERAL : TOKEN_WORD;
    while (is_word_char(*end) || (is_number && *end == '.')) {
      end++;
    }
  }
  found.size = end - at;
  return found;
}

static int depth_change(const token *t) {
  if (t->kind != TOKEN_SIGN) {
    return 0;
  }
  return (*t->at == '(' || *t->at == '[') - (*t->at == ')' || *t->at == ']');
}

static bool is_word(const token *t, const char *word) {
  return t->kind == TOKEN_WORD && t->size == (int64_t)strlen(word) &&
         strncasecmp(t->at, word, (size_t)t->size) == 0;
}

int64_t qn_count_nesting(const char *text) {
  int64_t n = 0;
  char before = ',';
  for (token t = next_token(text); t.kind != TOKEN_END; t = next_token(t.at + t.size)) {
    if (t.kind == TOKEN_BLANK) {
      continue;
    }
    const bool is_sign_of_number = t.kind == TOKEN_SIGN && *t.at == '-' && (before == ',' || before == '(');
    n += t.kind == TOKEN_WORD || (t.kind == TOKEN_SIGN && *t.at != ',' && !is_sign_of_number);
    before = *t.at;
  }
  return n;
}

// The item without blanks around it and without `as name` or a bare name behind.
static char *copy_item(const char *from, const char *end, qn_arena *arena) {
  int depth = 0;
  const char *last_end = from;
  token last_as = {0};
  for (token t = next_token(from); t.kind != TOKEN_END && t.at < end; t = next_token(t.at + t.size)) {
    if (t.kind == TOKEN_BLANK) {
      continue;
    }
    depth += depth_change(&t);
    if (depth == 0 && is_word(&t, "as")) {
      last_as = t;
    } else {
      last_end = t.at + t.size;
    }
    if (last_as.at != NULL && t.at > last_as.at) {
      const char *behind = t.at + t.size; // the name; nothing may follow it
      token next = next_token(behind);
      while (next.kind == TOKEN_BLANK) {
        next = next_token(next.at + next.size);
      }
      if (next.at >= end || next.kind == TOKEN_END) {
        last_end = last_as.at;
        break;
      }
    }
  }
  while (last_end > from && isspace((unsigned char)last_end[-1])) {
    last_end--;
  }
  return qn_arena_copy(arena, from, last_end - from);
}

char *qn_item_text(const char *text, int index, int n, qn_arena *arena, int *first) {
  int depth = 0;
  int item = 0;
  const char *from = text;
  const char *found_from = NULL;
  const char *found_end = NULL;
  token t = next_token(text);
  for (; t.kind != TOKEN_END; t = next_token(t.at + t.size)) {
    depth += depth_change(&t);
    if (depth == 0 && t.kind == TOKEN_SIGN && *t.at == ',') {
      if (item == index) {
        found_from = from;
        found_end = t.at;
      }
      item++;
      from = t.at + 1;
    }
  }
  if (item == index) {
    found_from = from;
    found_end = t.at;
  }
  if (item + 1 != n || found_from == NULL) { // a surprise: the whole text is never wrong
    *first = 0;
    return qn_arena_string(arena, text);
  }
  for (token blank = next_token(found_from); blank.kind == TOKEN_BLANK && blank.at < found_end;
       blank = next_token(found_from)) {
    found_from = blank.at + blank.size;
  }
  *first = (int)(found_from - text);
  return copy_item(found_from, found_end, arena);
}

char *qn_item_arguments(const char *text, qn_arena *arena, int *first) {
  const char *open = NULL;
  int depth = 0;
  token t = next_token(text);
  for (; t.kind != TOKEN_END; t = next_token(t.at + t.size)) {
    depth += depth_change(&t);
    if (open == NULL && depth == 1) {
      open = t.at + 1;
    } else if (open != NULL && depth == 0) {
      break;
    }
  }
  open = open == NULL ? t.at : open;
  *first = (int)(open - text);
  return qn_arena_copy(arena, open, t.at - open);
}
