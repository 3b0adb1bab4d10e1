// SPDX-License-Identifier: Apache-2.0
// Guesses the type of a column from the values seen.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/schema.h>

/// A zeroed guess has seen nothing.
typedef struct qn_csv_type_guess {
  unsigned dead; // bits of the types that some value was not of
  bool has_value;
  bool has_number;   // a float64 that is not a word such as NaN
  bool has_word;     // true or false written out
  bool has_t, has_f; // the letters
} qn_csv_type_guess;

/// True if no value can change the result any more (it is utf8).
bool qn_csv_type_guess_is_text(const qn_csv_type_guess *guess);
/// A shortcut: true if the field, as it stands in the file, is a number like those before, so that it changes
/// nothing. 16 bytes before it must be readable.
bool qn_csv_type_guess_is_usual(const qn_csv_type_guess *guess, const char *text, int64_t size);
/// Takes a value that is not null, without blanks around it.
void qn_csv_type_guess_see(qn_csv_type_guess *guess, const char *text, int64_t size);
/// bool: true and false, or the letters t and f if both occur. int64 and float64: not with leading zeros or a
/// plus, which codes and telephone numbers have and numbers would lose, nor integers too large for int64.
/// date, timestamp. Else, and if nothing was seen, utf8.
qn_type qn_csv_type_guess_result(const qn_csv_type_guess *guess);
