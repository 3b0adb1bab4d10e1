// SPDX-License-Identifier: Apache-2.0
// What stands before the first row of a CSV file: a byte order mark, blank lines, comments, the header.
#pragma once
#include "io/byte_scan.h"
#include "io/input_window.h"

/// The bytes of the next line that is a row (not blank, not a comment), line ends inside quotes included:
/// *text points into the window until it is used again, without its line end. *size -1: the file has ended.
/// The window goes behind its line end. `was_open`, if not NULL, tells that the file ended inside quotes.
qn_status qn_csv_next_line(qn_input_window *window, const qn_csv_dialect *dialect, const char **text,
                           int64_t *size, bool *was_open, qn_error *err);

/// Passes over a UTF-8 byte order mark at the begin of the window's file. Errors: QN_ERR_FORMAT for UTF-16
/// and UTF-32.
qn_status qn_csv_skip_mark(qn_input_window *window, qn_error *err);

/// Goes to the first row: over the mark, what is left out before the first line, and the header if there is
/// one.
qn_status qn_csv_skip_header(qn_input_window *window, const qn_csv_dialect *dialect, bool has_header,
                             qn_error *err);
