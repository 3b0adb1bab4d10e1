// SPDX-License-Identifier: Apache-2.0
// Schemas inside the library: built field by field, frozen when shared.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/schema.h>
#include "base/arena.h"
#include "base/buffer.h"

typedef struct qn_field {
  char *name;
  qn_type type;
} qn_field;

struct qn_schema {
  int64_t n_references;
  int n_columns;
  qn_field *fields; // n_columns
};

/// A schema of n_columns fields; names are copied. Errors: QN_ERR_ARG (the same name twice), QN_ERR_MEMORY.
/// n_columns 0 is allowed here (a batch that only counts rows).
qn_status qn_schema_new(const qn_field *fields, int n_columns, qn_schema **out, qn_error *err);
/// One more reference. A schema never changes, so const is cast away inside.
qn_schema *qn_schema_share(const qn_schema *schema);
/// The columns at `columns`, in that order (a column may be taken once only).
qn_status qn_schema_project(const qn_schema *schema, const int *columns, int n_columns, qn_schema **out,
                            qn_error *err);
bool qn_schema_is_equal(const qn_schema *a, const qn_schema *b);
/// Appends the text that qn_schema_parse() reads back.
qn_status qn_schema_print(const qn_schema *schema, qn_buffer *out, qn_error *err);
/// The name in double quotes, a quote inside doubled: as schemas and SQL read any name. Appended; or in the
/// arena, NULL if there is no memory.
qn_status qn_name_quote(const char *name, qn_buffer *out, qn_error *err);
char *qn_name_quoted(qn_arena *arena, const char *name);
/// Finds a type by its schema name, or by PostgreSQL's (boolean, integer, bigint, real, double precision,
/// text, varchar, bytea, ...). False if there is none.
bool qn_type_parse(const char *name, qn_type *out);
static inline bool qn_type_is_text(qn_type type) {
  return type == QN_UTF8 || type == QN_BINARY;
}
