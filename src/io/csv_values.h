// SPDX-License-Identifier: Apache-2.0
// Fields of CSV rows to columns of typed values, a column at a time.
#pragma once
#include "column/batch.h"
#include "io/csv_rows.h"

typedef enum qn_csv_reason {
  QN_CSV_WRONG_VALUE, // not a value of the column's type
  QN_CSV_BAD_QUOTES,  // text behind a closing quote
  QN_CSV_NOT_UTF8
} qn_csv_reason;

/// A field that could not be converted.
typedef struct qn_csv_bad {
  int32_t row;    // of the rows given
  int32_t column; // of the file
  qn_csv_reason reason;
  qn_type type;
} qn_csv_bad;

typedef struct qn_csv_values {
  const qn_csv_dialect *dialect;
  const char *null_text; // or NULL
  int64_t null_size;
  bool keeps_all; // bad fields are all kept, else the one of the first row only
  qn_csv_bad *bad;
  int64_t n_bad, bad_capacity;
  qn_buffer scratch; // text of a field without its quotes
  uint8_t *validity; // [QN_BATCH_ROWS / 8]
} qn_csv_values;

qn_status qn_csv_values_init(qn_csv_values *values, const qn_csv_dialect *dialect, const char *null_text,
                             bool keeps_all, qn_error *err);
void qn_csv_values_release(qn_csv_values *values);

/// Column `file_column` of the rows as a column of `type`. Fields that cannot be converted are nulls in it
/// and are added to values->bad.
///
/// An empty field is null, and so is one that equals null_text; in quotes these are texts in a text column,
/// but null in others. Blanks around numbers, dates and the like are passed over. A binary value of the form
/// \x1f00 is read as PostgreSQL writes them, any other as its bytes.
qn_status qn_csv_convert(qn_csv_values *values, const qn_csv_rows *rows, const char *data, int64_t data_size,
                         int file_column, qn_type type, qn_column *out, qn_error *err);

typedef enum qn_csv_field { QN_CSV_FIELD_NULL, QN_CSV_FIELD_TEXT, QN_CSV_FIELD_BAD } qn_csv_field;
/// What one field says for a column of `type`: *out is its text without quotes and the blanks that do not
/// count. It points into `text` or values->scratch (until the next call).
qn_status qn_csv_decode_field(qn_csv_values *values, const char *text, int64_t size, qn_type type,
                              qn_csv_field *kind, qn_text *out, qn_error *err);
