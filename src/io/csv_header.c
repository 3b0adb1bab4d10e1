// SPDX-License-Identifier: Apache-2.0
// A byte at a time: a header is short.
#include "io/csv_header.h"
#include <inttypes.h>
#include <string.h>
#include "base/check.h"

/// Finds the line end of the line at the window's begin; *end is the window's size if the file ends first.
static qn_status find_line_end(qn_input_window *window, const qn_csv_dialect *dialect, int64_t *end,
                               qn_csv_state *state, qn_error *err) {
  qn_status status = QN_OK;
  int64_t at = 0;

  *state = QN_CSV_ROW_START;
  QN_TRY(qn_input_window_fill(window, 1, "row", err));
  for (;; at++) {
    bool is_end;
    if (at == window->size) {
      QN_TRY(qn_input_window_grow(window, "row", err));
      if (at == window->size) {
        break;
      }
    }
    *state = qn_csv_next_state(dialect, *state, window->data[at], &is_end);
    if (is_end && window->data[at] == '\n') {
      break;
    }
  }
  *end = at;

done:
  return status;
}

static bool is_blank_line(const char *text, int64_t size, bool trim) {
  for (int64_t i = 0; i < size; i++) {
    if (!(text[i] == '\r' && i == size - 1) && !(trim && (text[i] == ' ' || text[i] == '\t'))) {
      return false;
    }
  }
  return true;
}

qn_status qn_csv_next_line(qn_input_window *window, const qn_csv_dialect *dialect, const char **text,
                           int64_t *size, bool *was_open, qn_error *err) {
  qn_status status = QN_OK;
  qn_csv_state state;
  int64_t end = 0;
  bool is_left_out = true;

  *size = -1;
  while (is_left_out) {
    QN_TRY(find_line_end(window, dialect, &end, &state, err));
    if (window->size == 0) {
      goto done;
    }
    *text = window->data;
    is_left_out = is_blank_line(*text, end, dialect->trim) ||
                  (dialect->comment != '\0' && end > 0 && **text == dialect->comment);
    qn_input_window_skip(window, end < window->size ? end + 1 : end);
  }
  *size = end - (end > 0 && (*text)[end - 1] == '\r');
  if (was_open != NULL) {
    *was_open = state == QN_CSV_QUOTED;
  }

done:
  return status;
}

qn_status qn_csv_skip_mark(qn_input_window *window, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_input_window_fill(window, 4, "row", err));
  const char *data = window->data;
  if (window->size >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) {
    qn_input_window_skip(window, 3);
    goto done;
  }
  const bool is_wide =
      window->size >= 2 && (memcmp(data, "\xff\xfe", 2) == 0 || memcmp(data, "\xfe\xff", 2) == 0 ||
                            (data[0] == '\0') != (data[1] == '\0'));
  QN_REQUIRE(!is_wide, err, QN_ERR_FORMAT,
             "%s: the file is UTF-16 or UTF-32, not UTF-8; convert it: iconv -f utf-16 -t utf-8",
             window->file->path);

done:
  return status;
}

qn_status qn_csv_skip_header(qn_input_window *window, const qn_csv_dialect *dialect, bool has_header,
                             qn_error *err) {
  qn_status status = QN_OK;
  const char *text;
  int64_t size;

  QN_TRY(qn_csv_skip_mark(window, err));
  if (has_header) {
    QN_TRY(qn_csv_next_line(window, dialect, &text, &size, NULL, err));
  }

done:
  return status;
}
