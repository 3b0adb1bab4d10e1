// SPDX-License-Identifier: Apache-2.0
// An appender takes rows value by value, in column order, and hands full batches on. A callback gets one to
// write its output to; nobody checks each call: the first mistake (wrong type, too many values, text that is
// not UTF-8) is kept and stops the run with a message when the callback returns.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <quern/batch.h>
#include <quern/schema.h>
#include <quern/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct qn_appender qn_appender;

/// Local. A stand-alone appender, to make batches for qn_from_batches(). Free it with qn_appender_free().
QN_API qn_status qn_appender_new(const qn_schema *schema, qn_appender **out, qn_error *err);

/// Local. Takes all rows out as one batch, which the caller owns; the appender is empty afterwards.
///
/// Errors  the first mistake of the calls before; QN_ERR_ARG if the last row is not complete
QN_API qn_status qn_appender_finish(qn_appender *appender, qn_batch **out, qn_error *err);
QN_API void qn_appender_free(qn_appender *appender);

/// Local. Each appends one value to the next column of the current row; after the last column a new row
/// begins. The type must be the column's: append_int32 for int32 and date, append_int64 for int64 and
/// timestamp, append_text for utf8 and binary (copied; at most 2^31 - 1 bytes).
QN_API void qn_append_null(qn_appender *appender);
QN_API void qn_append_bool(qn_appender *appender, bool value);
QN_API void qn_append_int32(qn_appender *appender, int32_t value);
QN_API void qn_append_int64(qn_appender *appender, int64_t value);
QN_API void qn_append_float32(qn_appender *appender, float value);
QN_API void qn_append_float64(qn_appender *appender, double value);
QN_API void qn_append_text(qn_appender *appender, const char *data, int64_t size);

/// Local. Appends each word of a text, which is what ASCII white space separates, as a row of its own. The
/// rows have one column, utf8 or binary. Several times as fast as finding the words and appending them one by
/// one.
QN_API void qn_append_words(qn_appender *appender, const char *text, int64_t size);

/// Local. Appends the value at `row` of `column` (null or not) of the same type.
QN_API void qn_append_from(qn_appender *appender, const qn_column *column, int64_t row);

/// Local. Reports that the job's callback failed; returns QN_ERR_CALLBACK for the callback to return.
QN_API qn_status qn_appender_fail(qn_appender *appender, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#ifdef __cplusplus
}
#endif
