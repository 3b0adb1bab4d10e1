// SPDX-License-Identifier: Apache-2.0
// CSV files as a source. A plain file is cut into byte ranges; whether a cut lies inside a quoted field is
// found by the reader, so that fields with line ends in them are read right wherever the cut falls.
#pragma once
#include <quern/csv.h>
#include "column/schema.h"
#include "column/source.h"
#include "io/file_list.h"

/// What must be known of CSV files before they are read: made by one rank, sent to the others.
typedef struct qn_csv_format {
  char separator, quote, comment;
  bool has_header, trim;
  char *null_text;    // or NULL
  int n_file_columns; // columns in the file
  int *file_columns;  // [n_columns of schema] where each column of the schema stands in the file
  qn_schema *schema;  // of the columns read
} qn_csv_format;

/// Local. Reads the head of the first file (and checks the header of every file against it): header,
/// separator, types from the first 4 MiB or so. Errors name the file, line and column: a schema's column that
/// the header has not (with the nearest name), an empty file, UTF-16.
qn_status qn_csv_sniff(const qn_file_list *files, const qn_csv_options *options, qn_csv_format *out,
                       qn_error *err);
qn_status qn_csv_format_encode(const qn_csv_format *format, qn_buffer *out, qn_error *err);
qn_status qn_csv_format_decode(const void *data, int64_t size, qn_csv_format *out, qn_error *err);
void qn_csv_format_release(qn_csv_format *format);

/// Takes a malformed row: called with the file, its row (1-based, header not counted, -1 unknown), byte
/// offset, the column ("" if none), the reason and the text.
typedef qn_status (*qn_csv_reject_fn)(void *ctx, const char *file, int64_t byte_offset, const char *column,
                                      const char *reason, qn_text text, qn_error *err);

/// Local. The format and list are copied. If `reject` is not NULL malformed rows go there and the split goes
/// on. Errors while reading name file, row, column, value and the expected type.
qn_status qn_csv_source_new(const qn_file_list *files, const qn_csv_format *format, int64_t split_bytes,
                            int n_ranks, qn_csv_reject_fn reject, void *reject_ctx, qn_source **out,
                            qn_error *err);
