// SPDX-License-Identifier: Apache-2.0
// Types and schemas. A schema is written as text: "user_id int64, title utf8, seen timestamp".
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/// X(enum value, name in schemas, bytes per value; 0 for variable size).
/// date: days since 1970-01-01 (int32). timestamp: microseconds since 1970-01-01 00:00 UTC (int64).
#define QN_TYPE_LIST(X)                                                                                      \
  X(QN_BOOL, "bool", 1)                                                                                      \
  X(QN_INT32, "int32", 4)                                                                                    \
  X(QN_INT64, "int64", 8)                                                                                    \
  X(QN_FLOAT32, "float32", 4)                                                                                \
  X(QN_FLOAT64, "float64", 8)                                                                                \
  X(QN_UTF8, "utf8", 0)                                                                                      \
  X(QN_BINARY, "binary", 0)                                                                                  \
  X(QN_DATE, "date", 4)                                                                                      \
  X(QN_TIMESTAMP, "timestamp", 8)

typedef enum {
#define X(value, name, width) value,
  QN_TYPE_LIST(X)
#undef X
} qn_type;

enum { QN_N_TYPES = QN_TIMESTAMP + 1 };

/// Local. The name of a type as schemas write it; never NULL.
QN_API const char *qn_type_name(qn_type type);

/// Local. Bytes per value: 1 to 8; 0 for utf8 and binary.
QN_API int qn_type_width(qn_type type);

/// An ordered list of columns, each with a name and a type; every column may hold nulls. Never changes;
/// shared by reference.
typedef struct qn_schema qn_schema;

/// Local. Parses "name type, name type, ...". Names are words or stand in double quotes ("" for a quote
/// inside).
///
/// out     a new schema; give it up with qn_schema_free().
/// Errors  QN_ERR_ARG  bad syntax, unknown type, the same name twice, or no column
QN_API qn_status qn_schema_parse(const char *text, qn_schema **out, qn_error *err);

/// Local. Gives up one reference. NULL is allowed.
QN_API void qn_schema_free(qn_schema *schema);

QN_API int qn_schema_n_columns(const qn_schema *schema);
QN_API const char *qn_schema_name(const qn_schema *schema, int column);
QN_API qn_type qn_schema_type(const qn_schema *schema, int column);

/// Local. The index of the column of that name, or -1.
QN_API int qn_schema_find(const qn_schema *schema, const char *name);

#ifdef __cplusplus
}
#endif
