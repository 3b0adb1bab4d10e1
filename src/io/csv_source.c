// SPDX-License-Identifier: Apache-2.0
// The CSV source. Each batch: find the rows of a piece that fits the L2 cache (csv_rows.h), convert the
// columns that are wanted one by one (csv_values.h), and only if something was malformed, deal with that and
// convert again.
#include "io/csv_source.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "io/csv_border.h"
#include "io/csv_header.h"
#include "io/csv_mistake.h"
#include "io/csv_rows.h"
#include "io/csv_values.h"
#include "io/split_table.h"

enum { FIRST_WANTED = 64 * 1024, MOST_WANTED = 384 * 1024, NEAR_BYTES = 16 * 1024 };

typedef struct csv_source {
  qn_source base;
  qn_split_table splits;
  qn_csv_format format;
  qn_csv_dialect dialect;
  qn_csv_reject_fn reject;
  void *reject_ctx;
  bool is_alone; // one rank reads all splits
  qn_buffer description;
} csv_source;

typedef struct csv_reader {
  qn_reader base;
  const csv_source *source;
  qn_schema *schema; // of the batches
  int n_columns;
  int *columns; // [n_columns] of the source's schema
  qn_input_window window;
  qn_csv_rows rows;
  qn_csv_values values;
  qn_csv_border border;
  qn_column *made; // [n_columns]
  qn_csv_mistake *mistakes;
  int64_t mistakes_capacity;
  qn_split split;
  int64_t data_first; // begin of the first row in the split's file
  int64_t data_file;  // the file it is of, or -1
  qn_csv_place place; // a known state in that file
  bool is_done;
  bool has_quotes;      // in the split so far
  int64_t first_offset; // of the first row of the split
  int64_t n_given;      // rows of the split so far, malformed ones counted
  int64_t wanted;       // bytes that the next batch is expected to take
} csv_reader;

static qn_status csv_open(const qn_source *base_source, const qn_scan *scan, qn_reader *base, qn_error *err) {
  qn_status status = QN_OK;
  csv_reader *reader = (csv_reader *)base;
  const csv_source *source = (const csv_source *)base_source;

  reader->source = source;
  reader->schema = qn_schema_share(scan->schema);
  reader->data_file = -1;
  reader->is_done = true;
  reader->border = (qn_csv_border){.kernels = qn_scan_kernels_best(),
                                   .dialect = source->dialect,
                                   .n_columns = source->format.n_file_columns,
                                   .never_believes = source->is_alone};
  QN_TRY(qn_csv_rows_init(&reader->rows, &source->dialect, source->format.n_file_columns, err));
  QN_TRY(qn_csv_values_init(&reader->values, &source->dialect, source->format.null_text,
                            source->reject != NULL, err));
  reader->made = qn_memory_alloc(scan->n_columns * (int64_t)sizeof *reader->made);
  reader->columns = qn_memory_alloc(scan->n_columns * (int64_t)sizeof *reader->columns);
  QN_REQUIRE(reader->made != NULL && reader->columns != NULL, err, QN_ERR_MEMORY, "no memory for %d columns",
             scan->n_columns);
  reader->n_columns = scan->n_columns;
  for (int i = 0; i < scan->n_columns; i++) {
    reader->made[i] = (qn_column){0};
    reader->columns[i] = scan->columns[i];
  }

done:
  return status;
}

/// Finds where the rows of the split's file begin; the window is used for it.
static qn_status find_data(csv_reader *reader, qn_error *err) {
  qn_status status = QN_OK;
  const csv_source *source = reader->source;

  QN_TRY(qn_input_window_start(&reader->window, reader->split.file, 0, 0, err));
  QN_TRY(qn_csv_skip_header(&reader->window, &source->dialect, source->format.has_header, err));
  reader->data_first = reader->window.offset;
  reader->data_file = reader->split.file_index;
  reader->place = (qn_csv_place){.offset = reader->data_first, .state = QN_CSV_ROW_START};

done:
  return status;
}

/// Passes over what is left of the row that the split begins in; the window begins there, in `state`.
/// Returns, in *state, where the last byte before the split's end stands if the row does not end before.
static qn_status skip_row(csv_reader *reader, qn_csv_state *state, qn_error *err) {
  qn_status status = QN_OK;
  qn_input_window *window = &reader->window;

  while (*state != QN_CSV_ROW_START && window->offset < reader->split.end) {
    QN_TRY(qn_input_window_fill(window, 1, "row", err));
    int64_t at = 0;
    const int64_t left = reader->split.end - window->offset;
    const int64_t size = window->size < left ? window->size : left;
    for (bool is_end; at < size && *state != QN_CSV_ROW_START; at++) {
      *state = qn_csv_next_state(&reader->source->dialect, *state, window->data[at], &is_end);
      reader->has_quotes |= window->data[at] == reader->source->dialect.quote;
    }
    QN_REQUIRE(at > 0, err, QN_ERR_IO, "%s: ends before byte %" PRId64, reader->split.file->path,
               reader->split.end);
    qn_input_window_skip(window, at);
  }

done:
  return status;
}

/// Checks, at the end of a split, that the reader of the next one will find the right state there
/// (csv_border.h).
static qn_status check_border(csv_reader *reader, qn_csv_state state, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t end = reader->split.end;
  const qn_csv_place first = {.offset = reader->data_first, .state = QN_CSV_ROW_START};
  qn_csv_state found = state;

  reader->is_done = true;
  if (reader->split.file->compression != QN_COMPRESSION_NONE || end >= reader->split.file->n_bytes ||
      end <= reader->data_first) {
    goto done;
  }
  // without a quote in what it looks at first the other reader cannot go wrong
  if (!reader->source->is_alone &&
      (reader->has_quotes || state == QN_CSV_QUOTED || end - reader->split.first < NEAR_BYTES)) {
    QN_TRY(qn_csv_border_find(&reader->border, reader->split.file, first, end, &found, err));
  }
  QN_REQUIRE(found == state, err, QN_ERR_FORMAT,
             "%s: the file is cut at byte %" PRId64
             " for reading in parallel, and there a quoted field holds what looks "
             "like rows of the file; compress the file (then it is read as one piece), or mend the field",
             reader->split.file->path, end);
  reader->place = (qn_csv_place){.offset = end, .state = state};

done:
  return status;
}

static qn_status csv_start(qn_reader *base, int64_t split, qn_error *err) {
  qn_status status = QN_OK;
  csv_reader *reader = (csv_reader *)base;
  qn_csv_state state = QN_CSV_ROW_START;

  reader->split = qn_split_table_get(&reader->source->splits, split);
  reader->is_done = false;
  reader->has_quotes = false;
  reader->n_given = 0;
  reader->wanted = FIRST_WANTED;
  if (reader->split.file->compression != QN_COMPRESSION_NONE ||
      reader->data_file != reader->split.file_index) {
    QN_TRY(find_data(reader, err));
  }
  if (reader->split.file->compression != QN_COMPRESSION_NONE) {
    reader->first_offset = reader->data_first;
    goto done;
  }
  int64_t first = reader->split.first;
  if (first <= reader->data_first) {
    first = reader->data_first;
  } else {
    qn_csv_place known = {.offset = reader->data_first, .state = QN_CSV_ROW_START};
    known = reader->place.offset <= first ? reader->place : known;
    QN_TRY(qn_csv_border_find(&reader->border, reader->split.file, known, first, &state, err));
    reader->place = (qn_csv_place){.offset = first, .state = state};
  }
  QN_TRY(qn_input_window_start(&reader->window, reader->split.file, first, reader->split.end, err));
  QN_TRY(skip_row(reader, &state, err));
  reader->first_offset = reader->window.offset;
  if (reader->window.offset >= reader->split.end) {
    QN_TRY(check_border(reader, state, err));
  }

done:
  return status;
}

static int compare_mistakes(const void *a, const void *b) {
  const qn_csv_mistake *left = a, *right = b;
  const int by_row = (left->number > right->number) - (left->number < right->number);
  return by_row != 0 ? by_row
                     : (left->file_column > right->file_column) - (left->file_column < right->file_column);
}

/// Collects what is wrong with the rows found last, one mistake a row, in the order of the rows.
static qn_status collect_mistakes(csv_reader *reader, int64_t *n_mistakes, qn_error *err) {
  qn_status status = QN_OK;
  const qn_csv_rows *rows = &reader->rows;
  const qn_csv_format *format = &reader->source->format;
  const int64_t most = rows->n_ragged + reader->values.n_bad;
  int64_t n = 0, n_kept = 0;

  if (most > reader->mistakes_capacity) {
    qn_csv_mistake *mistakes = qn_memory_resize(reader->mistakes, most * (int64_t)sizeof *mistakes);
    QN_REQUIRE(mistakes != NULL, err, QN_ERR_MEMORY, "no memory for %" PRId64 " malformed rows", most);
    reader->mistakes = mistakes;
    reader->mistakes_capacity = most;
  }
  for (int64_t i = 0; i < rows->n_ragged; i++) {
    qn_csv_describe_ragged(&rows->ragged[i], rows->n_columns, reader->window.data, &reader->mistakes[n++]);
  }
  for (int64_t i = 0; i < reader->values.n_bad; i++) {
    const qn_csv_bad *bad = &reader->values.bad[i];
    int column = 0;
    while (format->file_columns[column] != bad->column) {
      column++;
    }
    qn_csv_describe_bad(bad, qn_schema_name(format->schema, column), rows, reader->window.data,
                        &reader->mistakes[n++]);
  }
  qsort(reader->mistakes, (size_t)n, sizeof *reader->mistakes, compare_mistakes);
  for (int64_t i = 0; i < n; i++) {
    if (n_kept == 0 || reader->mistakes[n_kept - 1].number != reader->mistakes[i].number) {
      reader->mistakes[n_kept++] = reader->mistakes[i];
    }
  }
  *n_mistakes = n_kept;

done:
  return status;
}

static qn_status fail_first(csv_reader *reader, qn_error *err) {
  const qn_csv_mistake *mistake = &reader->mistakes[0];
  const qn_input_window *window = &reader->window;
  const int64_t before = qn_csv_count_rows(&reader->source->dialect, reader->rows.n_columns,
                                           reader->split.file, reader->data_first, window->offset);

  return qn_csv_fail_mistake(mistake, reader->split.file, before < 0 ? 0 : before + mistake->number + 1,
                             window->offset + mistake->first, err);
}

/// Gives the malformed rows to `reject` and leaves them out of the rows found.
static qn_status reject_rows(csv_reader *reader, int64_t n_mistakes, qn_error *err) {
  qn_status status = QN_OK;
  qn_csv_rows *rows = &reader->rows;
  const qn_input_window *window = &reader->window;
  int64_t n_kept = 0, next_mistake = 0;

  for (int64_t i = 0; i < n_mistakes; i++) {
    const qn_csv_mistake *mistake = &reader->mistakes[i];
    qn_text text = {.data = window->data + mistake->first, .size = mistake->end - mistake->first};
    text.size -= text.size > 0 && text.data[text.size - 1] == '\r';
    QN_TRY(reader->source->reject(reader->source->reject_ctx, reader->split.file->path,
                                  window->offset + mistake->first, mistake->column, mistake->reason, text,
                                  err));
    reader->base.n_rows_rejected++;
  }
  const bool has_numbers = rows->n_rows < rows->n_all;
  for (int64_t i = 0; i < rows->n_rows; i++) {
    while (next_mistake < n_mistakes &&
           (reader->mistakes[next_mistake].row < 0 || reader->mistakes[next_mistake].row < i)) {
      next_mistake++;
    }
    if (next_mistake == n_mistakes || reader->mistakes[next_mistake].row != i) {
      rows->numbers[n_kept] = has_numbers ? rows->numbers[i] : (int32_t)i;
      rows->firsts[n_kept++] = rows->firsts[i];
    }
  }
  rows->n_rows = n_kept;

done:
  return status;
}

static qn_status convert_columns(csv_reader *reader, qn_error *err) {
  qn_status status = QN_OK;
  const qn_csv_format *format = &reader->source->format;

  reader->values.n_bad = 0;
  for (int i = 0; i < reader->n_columns; i++) {
    const int column = reader->columns[i];
    qn_column_release(&reader->made[i]);
    QN_TRY(qn_csv_convert(&reader->values, &reader->rows, reader->window.data, reader->rows.n_bytes,
                          format->file_columns[column], qn_schema_type(format->schema, column),
                          &reader->made[i], err));
  }

done:
  return status;
}

static qn_status set_origin(const csv_reader *reader, qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  const qn_csv_rows *rows = &reader->rows;
  const bool is_plain = reader->split.file->compression == QN_COMPRESSION_NONE;
  qn_origin origin = {.name = reader->split.file->path,
                      .first_row = reader->n_given,
                      .byte_offset = is_plain ? reader->first_offset : -1,
                      .has_header = reader->source->format.has_header};

  if (rows->n_rows < rows->n_all) {
    const int64_t n_bytes = rows->n_rows * (int64_t)sizeof *rows->numbers;
    int32_t *numbers = qn_memory_alloc(n_bytes);
    QN_REQUIRE(numbers != NULL, err, QN_ERR_MEMORY, "no memory for %" PRId64 " row numbers", rows->n_rows);
    memcpy(numbers, rows->numbers, (size_t)n_bytes);
    QN_TRY(qn_block_new(numbers, qn_memory_free, &origin.rows_block, err));
    origin.rows = numbers;
  }
  qn_batch_set_origin(batch, &origin);

done:
  qn_block_free(origin.rows_block);
  return status;
}

/// The rows found last as a batch; none if all were malformed.
static qn_status make_batch(csv_reader *reader, qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *batch = NULL;
  int64_t n_mistakes = 0;

  QN_TRY(convert_columns(reader, err));
  if (reader->values.n_bad > 0 || reader->rows.n_ragged > 0) {
    QN_TRY(collect_mistakes(reader, &n_mistakes, err));
    if (reader->source->reject == NULL) {
      status = fail_first(reader, err);
      goto done;
    }
    QN_TRY(reject_rows(reader, n_mistakes, err));
    QN_TRY(convert_columns(reader, err));
  }
  if (reader->rows.n_rows > 0) {
    QN_TRY(qn_batch_new_take(reader->schema, reader->rows.n_rows, reader->made, &batch, err));
    QN_TRY(set_origin(reader, batch, err));
  }
  *out = batch;
  batch = NULL;

done:
  qn_batch_free(batch);
  return status;
}

/// After the last rows of the split: the state at its end is known from the last line, which may go beyond.
static qn_status end_split(csv_reader *reader, int64_t last_first, qn_error *err) {
  const qn_input_window *window = &reader->window; // still at the first row of the batch
  const int64_t end = reader->split.end - window->offset;
  qn_csv_state state = QN_CSV_ROW_START;
  bool is_end;

  if (reader->rows.n_bytes > end) {
    for (int64_t i = last_first; i < end; i++) {
      state = qn_csv_next_state(&reader->source->dialect, state, window->data[i], &is_end);
    }
  }
  return check_border(reader, state, err);
}

static qn_status csv_next(qn_reader *base, qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  csv_reader *reader = (csv_reader *)base;
  qn_input_window *window = &reader->window;
  qn_csv_rows *rows = &reader->rows;

  *out = NULL;
  while (!reader->is_done && *out == NULL) {
    const int64_t n_read = window->n_bytes_read;
    QN_TRY(qn_csv_rows_find(rows, window, reader->split.end - window->offset, reader->wanted, err));
    reader->has_quotes |= rows->has_quotes;
    if (rows->n_all > 0) {
      QN_TRY(make_batch(reader, out, err));
    }
    reader->n_given += rows->n_all;
    reader->wanted =
        rows->n_bytes + rows->n_bytes / 8 < MOST_WANTED ? rows->n_bytes + rows->n_bytes / 8 : MOST_WANTED;
    base->n_bytes_read += window->decompressor != NULL ? window->n_bytes_read - n_read : rows->n_bytes;
    if (window->offset + rows->n_bytes >= reader->split.end) {
      QN_TRY(end_split(reader, rows->last_first, err));
    }
    qn_input_window_skip(window, rows->n_bytes);
    reader->is_done |= rows->n_bytes == 0;
  }

done:
  if (status != QN_OK) {
    qn_batch_free(*out);
    *out = NULL;
  }
  return status;
}

static void csv_close(qn_reader *base) {
  csv_reader *reader = (csv_reader *)base;

  for (int i = 0; i < reader->n_columns; i++) {
    qn_column_release(&reader->made[i]);
  }
  reader->n_columns = 0;
  qn_schema_free(reader->schema);
  qn_memory_free(reader->columns);
  qn_memory_free(reader->made);
  reader->schema = NULL;
  reader->columns = NULL;
  qn_memory_free(reader->mistakes);
  reader->made = NULL;
  reader->mistakes = NULL;
  reader->mistakes_capacity = 0;
  qn_csv_border_release(&reader->border);
  qn_csv_rows_release(&reader->rows);
  qn_csv_values_release(&reader->values);
  qn_input_window_release(&reader->window);
}

static void csv_free(qn_source *base) {
  csv_source *source = (csv_source *)base;

  qn_split_table_release(&source->splits);
  qn_csv_format_release(&source->format);
  qn_buffer_release(&source->description);
  qn_schema_free(source->base.schema);
  qn_memory_free(source);
}

static const qn_source_ops csv_ops = {.name = "csv",
                                      .reader_size = sizeof(csv_reader),
                                      .open = csv_open,
                                      .start = csv_start,
                                      .next = csv_next,
                                      .close = csv_close,
                                      .free = csv_free};

static qn_status copy_format(const qn_csv_format *format, qn_csv_format *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer encoded = {0};

  QN_TRY(qn_csv_format_encode(format, &encoded, err));
  QN_TRY(qn_csv_format_decode(encoded.data, encoded.size, out, err));

done:
  qn_buffer_release(&encoded);
  return status;
}

qn_status qn_csv_source_new(const qn_file_list *files, const qn_csv_format *format, int64_t split_bytes,
                            int n_ranks, qn_csv_reject_fn reject, void *reject_ctx, qn_source **out,
                            qn_error *err) {
  qn_status status = QN_OK;
  csv_source *source = qn_memory_alloc(sizeof *source);

  QN_REQUIRE(source != NULL, err, QN_ERR_MEMORY, "no memory for a source");
  *source = (csv_source){
      .base.ops = &csv_ops, .reject = reject, .reject_ctx = reject_ctx, .is_alone = n_ranks <= 1};
  QN_TRY(copy_format(format, &source->format, err));
  source->dialect = (qn_csv_dialect){.separator = format->separator,
                                     .quote = format->quote,
                                     .comment = format->comment,
                                     .trim = format->trim};
  source->base.schema = qn_schema_share(source->format.schema);
  QN_TRY(qn_split_table_init(&source->splits, files, split_bytes, n_ranks, err));
  QN_TRY(qn_split_table_describe(&source->splits, "csv", &source->description, err));
  source->base.n_splits = source->splits.n_splits;
  source->base.n_bytes = files->n_bytes;
  source->base.n_rows = -1;
  source->base.description = (const char *)source->description.data;
  *out = &source->base;
  source = NULL;

done:
  if (source != NULL) {
    csv_free(&source->base);
  }
  return status;
}
