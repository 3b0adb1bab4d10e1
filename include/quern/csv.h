// SPDX-License-Identifier: Apache-2.0
// How to read and write CSV (RFC 4180 and its relatives).
#pragma once
#include <stdbool.h>
#include <quern/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Options for reading CSV. Zero means default.
typedef struct qn_csv_options {
  char separator; // default: sniffed from the first line among , ; tab |
  char quote;     // default "; quotes inside a quoted field are doubled
  bool no_header; // default: the first line names the columns; else they are c1, c2, ... or the schema's
  const char
      *schema; // "user_id int64, title utf8": names must be the header's (any order, any subset); default:
               // all columns, types from the first rows (bool, int64, float64, date, timestamp, else utf8)
  const char *null_text; // a field with just this text is null, besides the empty unquoted one; default none
  const char *rejects;   // a CSV file (file, byte_offset, column, reason, text) that takes malformed rows, so
                         // that they do not stop the job; default: the first malformed row is an error
  char comment;          // lines that begin with it are skipped; default none
  bool trim;             // white space around unquoted fields is left out
} qn_csv_options;

/// Options for writing CSV. Zero means default.
typedef struct qn_csv_write_options {
  char separator;  // default: a comma; a tab if the path ends in .tsv
  bool raw_binary; // binary columns are written as the bytes they are; default: \x and hexadecimal digits
} qn_csv_write_options;

#ifdef __cplusplus
}
#endif
