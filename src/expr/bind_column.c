// SPDX-License-Identifier: Apache-2.0
// Column names. The parser puts unquoted names into lower case, as SQL wants, but the columns of files are
// often named userId: an unquoted name that no column has exactly stands for the one column that it is but
// for letter case.
#include <string.h>
#include <strings.h>
#include "base/check.h"
#include "expr/binder.h"

typedef struct reference {
  const char *qualifier; // or NULL
  const char *name;
  bool is_quoted;
  int location;
} reference;

static bool takes(const qn_scope *scope, const reference *ref) {
  return ref->qualifier == NULL ||
         (scope->qualifier != NULL && strcmp(scope->qualifier, ref->qualifier) == 0);
}

static bool matches(const reference *ref, const char *name, bool ignores_case) {
  return ignores_case ? strcasecmp(ref->name, name) == 0 : strcmp(ref->name, name) == 0;
}

// How many columns the name fits; the first of them in *scope and *column.
static int search(const qn_binder *binder, const reference *ref, bool ignores_case, const qn_scope **scope,
                  int *column) {
  int n = 0;
  for (int s = 0; s < binder->n_scopes; s++) {
    const qn_scope *candidate = &binder->scopes[s];
    if (!takes(candidate, ref)) {
      continue;
    }
    for (int c = 0; c < candidate->schema->n_columns; c++) {
      if (matches(ref, candidate->schema->fields[c].name, ignores_case)) {
        if (n++ == 0) {
          *scope = candidate;
          *column = c;
        }
      }
    }
  }
  return n;
}

static qn_status fail_unknown(const qn_binder *binder, const reference *ref) {
  qn_name_hint hint = {.wanted = ref->name};
  qn_buffer names = {0};
  int n = 0;
  for (int s = 0; s < binder->n_scopes; s++) {
    for (int c = 0; takes(&binder->scopes[s], ref) && c < binder->scopes[s].schema->n_columns; c++) {
      const char *name = binder->scopes[s].schema->fields[c].name;
      qn_name_hint_offer(&hint, name);
      if (n < 12) {
        qn_buffer_printf(&names, NULL, "%s%s", n > 0 ? ", " : "", name);
      }
      n++;
    }
  }
  const bool has_names = n > 0 && qn_buffer_printf(&names, NULL, n > 12 ? ", ..." : "") == QN_OK &&
                         qn_buffer_terminate(&names, NULL) == QN_OK;
  qn_status status;
  if (hint.nearest != NULL) {
    status = qn_bind_fail(binder, QN_ERR_ARG, ref->location, "there is no column '%s'; did you mean '%s'?",
                          ref->name, hint.nearest);
  } else {
    status = qn_bind_fail(binder, QN_ERR_ARG, ref->location, "there is no column '%s'%s%.400s", ref->name,
                          has_names ? "; there are: " : "", has_names ? (const char *)names.data : "");
  }
  qn_buffer_release(&names);
  return status;
}

static qn_status fail_ambiguous(const qn_binder *binder, const reference *ref) {
  if (binder->n_scopes == 2 && ref->qualifier == NULL) {
    return qn_bind_fail(binder, QN_ERR_ARG, ref->location,
                        "both sides have a column '%s'; write %s.%s or %s.%s", ref->name,
                        binder->scopes[0].qualifier, ref->name, binder->scopes[1].qualifier, ref->name);
  }
  return qn_bind_fail(binder, QN_ERR_ARG, ref->location,
                      "several columns are named '%s' but for letter case; write the name in double quotes",
                      ref->name);
}

static qn_status find_qualifier(const qn_binder *binder, const reference *ref) {
  for (int s = 0; s < binder->n_scopes; s++) {
    if (takes(&binder->scopes[s], ref)) {
      return QN_OK;
    }
  }
  if (binder->n_scopes == 2) {
    return qn_bind_fail(binder, QN_ERR_ARG, ref->location,
                        "'%s' names no side; columns are written %s.name and %s.name", ref->qualifier,
                        binder->scopes[0].qualifier, binder->scopes[1].qualifier);
  }
  return qn_bind_fail(binder, QN_ERR_ARG, ref->location,
                      "columns have no qualifier here; write '%s' without '%s.'", ref->name, ref->qualifier);
}

static qn_status read_reference(const qn_binder *binder, const json_t *ref, reference *out) {
  const json_t *fields = json_object_get(ref, "fields");
  int n = 0;
  *out = (reference){.name = "", .location = qn_tree_location(ref)};
  for (size_t i = 0; i < json_array_size(fields); i++) {
    if (json_object_get(json_array_get(fields, i), "A_Star") != NULL) {
      return qn_bind_fail(binder, QN_ERR_ARG, out->location,
                          "'*' stands for all columns only as a whole item of a list");
    }
  }
  out->name = qn_tree_name(fields, &n);
  if (n > 2 || n < 1) {
    return qn_bind_fail(binder, QN_ERR_ARG, out->location, "'%s' has too many qualifiers", out->name);
  }
  int n_first = 0;
  if (n == 2) {
    const json_t *first = json_array_get(fields, 0);
    out->qualifier = json_string_value(json_object_get(json_object_get(first, "String"), "sval"));
    out->qualifier = out->qualifier == NULL ? "" : out->qualifier;
    n_first = 1;
  }
  const int offset = out->location - binder->prefix;
  const char *written = offset >= 0 && offset < (int)strlen(binder->text) ? binder->text + offset : "";
  if (n_first == 1) { // the quote, if any, is behind the point
    written = strchr(written, '.');
    written = written == NULL ? "" : written + 1;
  }
  out->is_quoted = written[strspn(written, " \t\n\r")] == '"';
  return QN_OK;
}

qn_status qn_bind_column(qn_binder *binder, const json_t *ref, const qn_expr **out) {
  qn_status status = QN_OK;
  reference name;
  const qn_scope *scope = NULL;
  int column = 0;
  QN_TRY(read_reference(binder, ref, &name));
  if (name.qualifier != NULL) {
    QN_TRY(find_qualifier(binder, &name));
  }
  int n = search(binder, &name, false, &scope, &column);
  if (n == 0 && !name.is_quoted) {
    n = search(binder, &name, true, &scope, &column);
  }
  if (n != 1) {
    status = n == 0 ? fail_unknown(binder, &name) : fail_ambiguous(binder, &name);
    goto done;
  }
  qn_expr *node = qn_arena_alloc(binder->arena, sizeof *node);
  const char *kept = qn_arena_string(binder->arena, scope->schema->fields[column].name);
  if (node == NULL || kept == NULL) {
    return qn_bind_no_memory(binder);
  }
  const int place = name.location - binder->prefix - binder->item_first;
  const qn_expr value = {.kind = QN_EXPR_COLUMN,
                         .type = scope->schema->fields[column].type,
                         .location = place >= 0 ? place : -1,
                         .text = binder->item_text,
                         .column = scope->first_column + column,
                         .name = kept};
  memcpy(node, &value, sizeof value);
  *out = node;

done:
  return status;
}
