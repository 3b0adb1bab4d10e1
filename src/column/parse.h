// SPDX-License-Identifier: Apache-2.0
// Text to values, the whole text or nothing: what casts and the CSV reader share. No locale, no errno.
#pragma once
#include <stdbool.h>
#include <stdint.h>

/// Each is true and sets *out if all `size` bytes are a value of the type as PostgreSQL reads it (without
/// surrounding white space). Overflow is false. Floats are correctly rounded; NaN, Infinity, inf and their
/// negatives are read.
bool qn_parse_bool(const char *text, int64_t size, bool *out);
bool qn_parse_int32(const char *text, int64_t size, int32_t *out);
bool qn_parse_int64(const char *text, int64_t size, int64_t *out);
bool qn_parse_float32(const char *text, int64_t size, float *out);
bool qn_parse_float64(const char *text, int64_t size, double *out);
/// mantissa / 10^n_behind, correctly rounded; mantissa < 10^19, n_behind 0 to 19.
double qn_float64_of_decimal(uint64_t mantissa, int n_behind);
/// YYYY-MM-DD (years 1 to 9999, "BC" not read), proleptic Gregorian.
bool qn_parse_date(const char *text, int64_t size, int32_t *out);
/// A date, a blank or T, HH:MM[:SS[.ffffff]], and optionally Z or +HH[:MM]; a date alone is midnight.
bool qn_parse_timestamp(const char *text, int64_t size, int64_t *out);
/// Days since 1970-01-01 and back.
int32_t qn_days_from_civil(int32_t year, int32_t month, int32_t day);
void qn_civil_from_days(int32_t days, int32_t *year, int32_t *month, int32_t *day);
