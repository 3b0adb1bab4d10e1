// SPDX-License-Identifier: Apache-2.0
// Types and schemas, and the text that they are written as.
#include "column/schema.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/check.h"
#include "base/utf8.h"

static const struct {
  const char *name;
  int width;
} type_list[QN_N_TYPES] = {
#define X(value, name, width) [value] = {name, width},
    QN_TYPE_LIST(X)
#undef X
};

// PostgreSQL's names of the types.
static const struct {
  const char *name;
  qn_type type;
} synonyms[] = {
    {"boolean", QN_BOOL},
    {"int", QN_INT32},
    {"integer", QN_INT32},
    {"int4", QN_INT32},
    {"smallint", QN_INT32},
    {"int2", QN_INT32},
    {"bigint", QN_INT64},
    {"int8", QN_INT64},
    {"real", QN_FLOAT32},
    {"float4", QN_FLOAT32},
    {"float", QN_FLOAT64},
    {"float8", QN_FLOAT64},
    {"double", QN_FLOAT64},
    {"double precision", QN_FLOAT64},
    {"text", QN_UTF8},
    {"string", QN_UTF8},
    {"varchar", QN_UTF8},
    {"character varying", QN_UTF8},
    {"bytea", QN_BINARY},
    {"timestamptz", QN_TIMESTAMP},
    {"timestamp without time zone", QN_TIMESTAMP},
    {"timestamp with time zone", QN_TIMESTAMP},
};

const char *qn_type_name(qn_type type) {
  return (unsigned)type < QN_N_TYPES ? type_list[type].name : "unknown";
}

int qn_type_width(qn_type type) {
  return (unsigned)type < QN_N_TYPES ? type_list[type].width : 0;
}

bool qn_type_parse(const char *name, qn_type *out) {
  for (int t = 0; t < QN_N_TYPES; t++) {
    if (strcasecmp(name, type_list[t].name) == 0) {
      *out = (qn_type)t;
      return true;
    }
  }
  for (size_t i = 0; i < sizeof synonyms / sizeof synonyms[0]; i++) {
    if (strcasecmp(name, synonyms[i].name) == 0) {
      *out = synonyms[i].type;
      return true;
    }
  }
  return false;
}

static qn_status check_names(const qn_field *fields, int n_columns, qn_error *err) {
  for (int i = 0; i < n_columns; i++) {
    const char *name = fields[i].name;
    if (name == NULL || name[0] == '\0') {
      return qn_fail(err, QN_ERR_ARG, "column %d of a schema has no name", i + 1);
    }
    if ((unsigned)fields[i].type >= QN_N_TYPES) {
      return qn_fail(err, QN_ERR_ARG, "column '%s' has the type number %d, which there is not", name,
                     (int)fields[i].type);
    }
    if (qn_utf8_find_invalid(name, (int64_t)strlen(name)) >= 0) {
      return qn_fail(err, QN_ERR_ARG, "the name of column %d of a schema is not valid UTF-8", i + 1);
    }
    for (int k = 0; k < i; k++) {
      if (strcmp(name, fields[k].name) == 0) {
        return qn_fail(err, QN_ERR_ARG, "column '%s' is there twice: columns %d and %d; rename one", name,
                       k + 1, i + 1);
      }
    }
  }
  return QN_OK;
}

qn_status qn_schema_new(const qn_field *fields, int n_columns, qn_schema **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_schema *schema = NULL;

  QN_TRY(check_names(fields, n_columns, err));
  schema = calloc(1, sizeof *schema);
  QN_REQUIRE(schema != NULL, err, QN_ERR_MEMORY, "no memory for a schema");
  schema->n_references = 1;
  schema->fields = calloc((size_t)n_columns + 1, sizeof *schema->fields);
  QN_REQUIRE(schema->fields != NULL, err, QN_ERR_MEMORY, "no memory for a schema");
  for (int i = 0; i < n_columns; i++) {
    schema->fields[i] = (qn_field){.name = strdup(fields[i].name), .type = fields[i].type};
    schema->n_columns++;
    QN_REQUIRE(schema->fields[i].name != NULL, err, QN_ERR_MEMORY, "no memory for a schema");
  }
  *out = schema;
  schema = NULL;

done:
  qn_schema_free(schema);
  return status;
}

void qn_schema_free(qn_schema *schema) {
  if (schema == NULL || --schema->n_references > 0) {
    return;
  }
  for (int i = 0; i < schema->n_columns; i++) {
    free(schema->fields[i].name);
  }
  free(schema->fields);
  free(schema);
}

qn_schema *qn_schema_share(const qn_schema *schema) {
  qn_schema *shared = (qn_schema *)(uintptr_t)schema;
  if (shared != NULL) {
    shared->n_references++;
  }
  return shared;
}

int qn_schema_n_columns(const qn_schema *schema) {
  return schema->n_columns;
}

const char *qn_schema_name(const qn_schema *schema, int column) {
  return schema->fields[column].name;
}

qn_type qn_schema_type(const qn_schema *schema, int column) {
  return schema->fields[column].type;
}

int qn_schema_find(const qn_schema *schema, const char *name) {
  for (int i = 0; i < schema->n_columns; i++) {
    if (strcmp(schema->fields[i].name, name) == 0) {
      return i;
    }
  }
  return -1;
}

qn_status qn_schema_project(const qn_schema *schema, const int *columns, int n_columns, qn_schema **out,
                            qn_error *err) {
  qn_status status = QN_OK;
  qn_field *fields = calloc((size_t)n_columns + 1, sizeof *fields);

  QN_REQUIRE(fields != NULL, err, QN_ERR_MEMORY, "no memory for a schema");
  for (int i = 0; i < n_columns; i++) {
    QN_REQUIRE(columns[i] >= 0 && columns[i] < schema->n_columns, err, QN_ERR_ARG,
               "column %d of a schema of %d columns", columns[i], schema->n_columns);
    fields[i] = schema->fields[columns[i]];
  }
  QN_TRY(qn_schema_new(fields, n_columns, out, err));

done:
  free(fields);
  return status;
}

bool qn_schema_is_equal(const qn_schema *a, const qn_schema *b) {
  if (a == b) {
    return true;
  }
  if (a->n_columns != b->n_columns) {
    return false;
  }
  for (int i = 0; i < a->n_columns; i++) {
    if (a->fields[i].type != b->fields[i].type || strcmp(a->fields[i].name, b->fields[i].name) != 0) {
      return false;
    }
  }
  return true;
}
