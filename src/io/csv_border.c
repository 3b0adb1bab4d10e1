// SPDX-License-Identifier: Apache-2.0
// See csv_border.h for why this is right.
#include "io/csv_border.h"
#include <inttypes.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"

enum {
  NEAR_BYTES = 16 * 1024,
  EXACT_BYTES = 4 * 1024 * 1024,
  FAR_BYTES = 1024 * 1024,
  SCAN_CHUNK = 4 * 1024,
  ENOUGH_ROWS = 8
};

/// The machine run from one of the states it may be in at the first byte looked at.
typedef struct guess {
  qn_csv_state state;
  bool is_inside_row; // where its first row begins is known
  bool is_comment;    // this line is one
  int64_t row_bytes;  // of this line so far
  int64_t n_fields;   // ended in it
  int64_t n_rows;     // whole rows
  int64_t n_regular;  // those that have the file's columns
} guess;

void qn_csv_border_release(qn_csv_border *border) {
  qn_input_window_release(&border->window);
  qn_memory_free(border->scratch);
  border->scratch = NULL;
}

static void end_row(const qn_csv_border *border, guess *run) {
  const bool is_blank = run->n_fields == 1 && run->row_bytes <= 2 && border->n_columns > 1;

  if (run->is_inside_row && !run->is_comment && !is_blank) {
    run->n_rows++;
    run->n_regular += run->n_fields == border->n_columns;
  }
  run->is_inside_row = true;
  run->row_bytes = 0;
  run->n_fields = 0;
}

static void step(const qn_csv_border *border, guess *run, char byte) {
  bool is_end;

  run->state = qn_csv_next_state(&border->dialect, run->state, byte, &is_end);
  run->is_comment = run->state == QN_CSV_COMMENT || (run->is_comment && is_end);
  run->row_bytes++;
  run->n_fields += is_end;
  if (is_end && byte == '\n') {
    end_row(border, run);
  }
}

/// Keeps one of those that have come to the same state.
static int drop_equal(guess *runs, int n) {
  int kept = 0;

  for (int i = 0; i < n; i++) {
    bool is_new = true;
    for (int j = 0; j < kept; j++) {
      is_new &= runs[j].state != runs[i].state;
    }
    if (is_new) {
      runs[kept++] = runs[i];
    }
  }
  return kept;
}

/// Step 3: the one whose rows have the right form, or -1.
static int most_regular(const guess *runs, int n, int64_t enough_rows) {
  int best = 0;

  for (int i = 1; i < n; i++) {
    best = runs[i].n_regular > runs[best].n_regular ? i : best;
  }
  bool is_clear = runs[best].n_rows >= enough_rows && runs[best].n_regular * 8 >= runs[best].n_rows * 7;
  for (int i = 0; i < n; i++) {
    is_clear &= i == best || runs[i].n_regular * 8 <= runs[i].n_rows;
  }
  return is_clear ? best : -1;
}

/// The state behind a stretch without quotes, from its last byte; false if there are quotes or more states
/// than that.
static bool skip_without_quotes(const qn_csv_border *border, const char *data, int64_t size,
                                qn_csv_state *state) {
  const qn_csv_dialect *dialect = &border->dialect;

  if (dialect->trim || dialect->comment != '\0' || memchr(data, dialect->quote, (size_t)size) != NULL) {
    return false;
  }
  if (*state != QN_CSV_QUOTED) {
    const char last = data[size - 1];
    *state = last == '\n'                 ? QN_CSV_ROW_START
             : last == dialect->separator ? QN_CSV_FIELD_START
                                          : QN_CSV_UNQUOTED;
  }
  return true;
}

/// Runs the machine from a known place to `offset`.
static qn_status run_to(qn_csv_border *border, const qn_file *file, qn_csv_place known, int64_t offset,
                        qn_csv_state *state, qn_error *err) {
  qn_status status = QN_OK;
  qn_csv_scan scan = {.state = known.state};
  qn_input_window *window = &border->window;

  if (border->scratch == NULL) {
    border->scratch = qn_memory_alloc((SCAN_CHUNK + QN_SCAN_SLACK) * (int64_t)sizeof *border->scratch);
    QN_REQUIRE(border->scratch != NULL, err, QN_ERR_MEMORY, "no memory to read rows");
  }
  QN_TRY(qn_input_window_start(window, file, known.offset, offset, err));
  while (window->offset < offset) {
    QN_TRY(qn_input_window_fill(window, 1, "row", err));
    int64_t size = window->size < SCAN_CHUNK ? window->size : SCAN_CHUNK;
    size = size < offset - window->offset ? size : offset - window->offset;
    QN_REQUIRE(size > 0, err, QN_ERR_IO, "%s: ends before byte %" PRId64, file->path, offset);
    if (!skip_without_quotes(border, window->data, size, &scan.state)) {
      scan.ends = border->scratch;
      scan.n_ends = 0;
      border->kernels->scan_csv(&border->dialect, window->data, 0, size, &scan);
    }
    qn_input_window_skip(window, size);
  }
  *state = scan.state;

done:
  return status;
}

/// Step 1 over the bytes [first, offset), and 3 if that many rows are `enough_rows` to believe in; 0: none
/// are. *is_found is false if they do not decide.
static qn_status guess_from(qn_csv_border *border, const qn_file *file, int64_t first, int64_t offset,
                            int64_t enough_rows, bool *is_found, qn_csv_state *state, qn_error *err) {
  qn_status status = QN_OK;
  guess runs[QN_CSV_N_STATES];
  qn_input_window *window = &border->window;
  int n = 0;

  for (int i = 0; i < QN_CSV_N_STATES; i++) {
    if (i != QN_CSV_COMMENT || border->dialect.comment != '\0') {
      runs[n++] = (guess){.state = (qn_csv_state)i};
    }
  }
  QN_TRY(qn_input_window_start(window, file, first, offset, err));
  QN_TRY(qn_input_window_fill(window, offset - first, "row", err));
  QN_REQUIRE(window->size >= offset - first, err, QN_ERR_IO, "%s: ends before byte %" PRId64, file->path,
             offset);
  int64_t at = 0;
  for (; at < offset - first && n > 1; at++) {
    for (int i = 0; i < n; i++) {
      step(border, &runs[i], window->data[at]);
    }
    n = drop_equal(runs, n);
  }
  const int best = n == 1 ? 0 : enough_rows == 0 ? -1 : most_regular(runs, n, enough_rows);
  *is_found = best >= 0;
  if (n == 1) {
    QN_TRY(run_to(border, file, (qn_csv_place){.offset = first + at, .state = runs[0].state}, offset, state,
                  err));
  } else if (best >= 0) {
    *state = runs[best].state;
  }

done:
  return status;
}

qn_status qn_csv_border_find(qn_csv_border *border, const qn_file *file, qn_csv_place known, int64_t offset,
                             qn_csv_state *state, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t near_bytes = border->near_bytes > 0 ? border->near_bytes : NEAR_BYTES;
  const int64_t far_bytes = border->far_bytes > 0 ? border->far_bytes : FAR_BYTES;
  const int64_t exact_bytes = border->exact_bytes > 0 ? border->exact_bytes : EXACT_BYTES;
  const int64_t distance = offset - known.offset;
  const bool believes = !border->never_believes && distance > exact_bytes;
  bool is_found = false;

  if (distance > near_bytes) {
    QN_TRY(guess_from(border, file, offset - near_bytes, offset, believes ? ENOUGH_ROWS : 0, &is_found, state,
                      err));
  }
  if (!is_found && believes && distance > far_bytes) {
    QN_TRY(guess_from(border, file, offset - far_bytes, offset, 1, &is_found, state, err));
  }
  if (!is_found) {
    QN_TRY(run_to(border, file, known, offset, state, err));
  }

done:
  return status;
}
