// SPDX-License-Identifier: Apache-2.0
// Four kinds of functions. Numbers (row_number, rank, dense_rank) are known at once. Sums (count, sum, avg)
// and picks (first_value, last_value, min, max: one of the rows' values) are known when the row's peers end,
// since the frame ends there. Shifts (lag, lead) are the argument itself, read earlier or later.
#include "exec/window_functions.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "column/builder.h"
#include "exec/column_stream.h"
#include "kernel/sort_rows.h"

enum { BLOCK_ROWS = 1024 };

typedef enum { NUMBERS, SUMS, PICKS, SHIFTS } function_form;

struct qn_window_calc {
  const qn_plan_function *function;
  function_form form;
  qn_type argument_type;
  qn_column_stream values; // of the chunk's rows; of shifts: their argument
  int64_t n_pending;       // rows whose peers have not ended

  int64_t row, rank, dense_rank; // numbers

  int64_t count; // sums, of values that are not null
  __int128 integers;
  double floats;

  qn_column best; // picks: one row, the value so far from batches before; type only if there is none
  bool has_best;
  qn_buffer keys, offsets; // min, max: normalised keys of the values at hand
  int32_t picks[BLOCK_ROWS];
  int64_t n_picks;

  int64_t partition, position; // shifts: of the next row to be read
};

static bool is_lag(const qn_plan_function *function) {
  return (function->kind == QN_WINDOW_LAG) == (function->offset >= 0);
}

// Rows that lag or lead reaches over.
static int64_t reach(const qn_plan_function *function) {
  const int64_t offset = function->offset;
  return offset >= 0 ? offset : offset == INT64_MIN ? INT64_MAX : -offset;
}

static bool find_form(const qn_plan_function *function, function_form *form) {
  switch (function->kind) {
  case QN_WINDOW_ROW_NUMBER:
  case QN_WINDOW_RANK:
  case QN_WINDOW_DENSE_RANK:
    *form = NUMBERS;
    return function->type == QN_INT64;
  case QN_WINDOW_LAG:
  case QN_WINDOW_LEAD:
    *form = SHIFTS;
    return function->argument >= 0;
  case QN_WINDOW_FIRST_VALUE:
  case QN_WINDOW_LAST_VALUE:
    *form = PICKS;
    return function->argument >= 0;
  case QN_WINDOW_AGGREGATE:
    break;
  }
  switch (function->aggregate) {
  case QN_AGG_COUNT_ROWS:
    *form = SUMS;
    return function->type == QN_INT64;
  case QN_AGG_COUNT:
    *form = SUMS;
    return function->type == QN_INT64 && function->argument >= 0;
  case QN_AGG_SUM:
  case QN_AGG_AVG:
    *form = SUMS;
    return (function->type == QN_INT64 || function->type == QN_FLOAT64) && function->argument >= 0;
  case QN_AGG_MIN:
  case QN_AGG_MAX:
    *form = PICKS;
    return function->argument >= 0;
  default:
    return false;
  }
}

// Are the columns that the function reads of the types it takes?
static bool types_fit(const qn_plan_function *function, function_form form, const qn_schema *input) {
  const qn_type type = function->argument < 0 ? function->type : input->fields[function->argument].type;
  if (form == PICKS || form == SHIFTS) {
    return type == function->type &&
           (function->fallback < 0 || input->fields[function->fallback].type == type);
  }
  if (form == NUMBERS || function->aggregate == QN_AGG_COUNT || function->aggregate == QN_AGG_COUNT_ROWS) {
    return true;
  }
  const bool is_integer = type == QN_INT32 || type == QN_INT64;
  const bool is_float = type == QN_FLOAT32 || type == QN_FLOAT64;
  return (is_integer && (function->type == QN_INT64 || function->aggregate == QN_AGG_AVG)) ||
         (is_float && function->type == QN_FLOAT64);
}

qn_status qn_window_calc_new(const qn_plan_function *function, const qn_schema *input, const char *scratch,
                             qn_window_calc **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_window_calc *calc = calloc(1, sizeof *calc);

  QN_REQUIRE(calc != NULL, err, QN_ERR_MEMORY, "no memory for a window function");
  QN_REQUIRE(find_form(function, &calc->form) && types_fit(function, calc->form, input), err, QN_ERR_TYPE,
             "window: '%s' is no function that a window can compute over these columns", function->name);
  calc->function = function;
  calc->argument_type = function->argument < 0 ? function->type : input->fields[function->argument].type;
  QN_TRY(qn_column_stream_init(&calc->values, function->type, scratch, err));
  *out = calc;
  calc = NULL;

done:
  qn_window_calc_free(calc);
  return status;
}

void qn_window_calc_free(qn_window_calc *calc) {
  if (calc == NULL) {
    return;
  }
  qn_column_stream_release(&calc->values);
  qn_column_release(&calc->best);
  qn_buffer_release(&calc->keys);
  qn_buffer_release(&calc->offsets);
  free(calc);
}

void qn_window_calc_clear(qn_window_calc *calc) {
  qn_column_stream_clear(&calc->values);
  qn_column_release(&calc->best);
  calc->has_best = false;
  calc->partition = 0;
  calc->position = 0;
}

// --- numbers

static qn_status add_numbers(qn_window_calc *calc, const qn_window_rows *rows, qn_error *err) {
  qn_status status = QN_OK;
  const qn_window_kind kind = calc->function->kind;
  int64_t numbers[BLOCK_ROWS];
  int64_t n = 0;

  for (int64_t i = 0; i < rows->batch->n_rows; i++) {
    if (rows->partitions[i] != 0) {
      calc->row = 0;
      calc->dense_rank = 0;
    }
    calc->row++;
    if (rows->peers[i] != 0) {
      calc->rank = calc->row;
      calc->dense_rank++;
    }
    numbers[n++] = kind == QN_WINDOW_ROW_NUMBER ? calc->row
                   : kind == QN_WINDOW_RANK     ? calc->rank
                                                : calc->dense_rank;
    if (n == BLOCK_ROWS) {
      QN_TRY(qn_column_stream_int64(&calc->values, numbers, n, err));
      n = 0;
    }
  }
  QN_TRY(qn_column_stream_int64(&calc->values, numbers, n, err));

done:
  return status;
}

// --- sums

static qn_status close_sum(qn_window_calc *calc, qn_error *err) {
  qn_status status = QN_OK;
  const qn_aggregate_kind aggregate = calc->function->aggregate;
  const bool is_integer = calc->argument_type == QN_INT32 || calc->argument_type == QN_INT64;
  int64_t integer = calc->count;
  double number = is_integer ? (double)calc->integers : calc->floats;
  const void *value = &integer;

  if (aggregate == QN_AGG_AVG) {
    number /= (double)calc->count;
    value = &number;
  } else if (aggregate == QN_AGG_SUM && is_integer) {
    QN_REQUIRE(calc->integers >= INT64_MIN && calc->integers <= INT64_MAX, err, QN_ERR_VALUE,
               "window: the sum '%s' leaves the range of int64; sum a float64 instead", calc->function->name);
    integer = (int64_t)calc->integers;
  } else if (aggregate == QN_AGG_SUM) {
    value = &number;
  }
  if (calc->count == 0 && (aggregate == QN_AGG_SUM || aggregate == QN_AGG_AVG)) {
    value = NULL;
  }
  QN_TRY(qn_column_stream_repeat(&calc->values, value, calc->n_pending, err));
  calc->n_pending = 0;

done:
  return status;
}

static void reset_sum(qn_window_calc *calc) {
  calc->count = 0;
  calc->integers = 0;
  calc->floats = 0;
}

static void load_floats(const qn_column *column, int64_t first, int64_t n, double *values) {
  for (int64_t i = 0; i < n; i++) {
    values[i] = column->type == QN_FLOAT32 ? (double)qn_column_float32(column, first + i)
                                           : qn_column_float64(column, first + i);
  }
}

static void load_integers(const qn_column *column, int64_t first, int64_t n, int64_t *values) {
  for (int64_t i = 0; i < n; i++) {
    values[i] =
        column->type == QN_INT32 ? qn_column_int32(column, first + i) : qn_column_int64(column, first + i);
  }
}

// Adds rows [first, first + n), n <= BLOCK_ROWS. What is not summed counts as 0.
static qn_status add_sum_block(qn_window_calc *calc, const qn_window_rows *rows, const qn_column *argument,
                               int64_t first, int64_t n, qn_error *err) {
  qn_status status = QN_OK;
  const bool has_sum = calc->function->aggregate == QN_AGG_SUM || calc->function->aggregate == QN_AGG_AVG;
  const bool is_integer = calc->argument_type == QN_INT32 || calc->argument_type == QN_INT64;
  int64_t integers[BLOCK_ROWS] = {0};
  double floats[BLOCK_ROWS] = {0};

  if (has_sum && is_integer) {
    load_integers(argument, first, n, integers);
  } else if (has_sum) {
    load_floats(argument, first, n, floats);
  }
  for (int64_t i = 0; i < n; i++) {
    if (rows->peers[first + i] != 0 && calc->n_pending > 0) {
      QN_TRY(close_sum(calc, err));
    }
    if (rows->partitions[first + i] != 0) {
      reset_sum(calc);
    }
    if (argument == NULL || !qn_column_is_null(argument, first + i)) {
      calc->count++;
      calc->integers += integers[i];
      calc->floats += floats[i];
    }
    calc->n_pending++;
  }

done:
  return status;
}

static qn_status add_sums(qn_window_calc *calc, const qn_window_rows *rows, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_rows = rows->batch->n_rows;
  const int column = calc->function->aggregate == QN_AGG_COUNT_ROWS ? -1 : calc->function->argument;
  const qn_column *argument = column < 0 ? NULL : &rows->batch->columns[column];

  for (int64_t first = 0; first < n_rows; first += BLOCK_ROWS) {
    const int64_t n = n_rows - first < BLOCK_ROWS ? n_rows - first : BLOCK_ROWS;
    QN_TRY(add_sum_block(calc, rows, argument, first, n, err));
  }

done:
  return status;
}

// --- picks

// The value so far, if any, and behind it those of the batch.
static qn_status join_values(const qn_window_calc *calc, const qn_column *argument, qn_column *out,
                             qn_error *err) {
  qn_status status = QN_OK;
  qn_column_builder builder = {0};

  qn_column_builder_init(&builder, argument->type);
  if (calc->has_best) {
    QN_TRY(qn_column_builder_append_range(&builder, &calc->best, 0, 1, err));
  }
  QN_TRY(qn_column_builder_append_range(&builder, argument, 0, argument->n_rows, err));
  QN_TRY(qn_column_builder_finish(&builder, out, err));

done:
  qn_column_builder_release(&builder);
  return status;
}

static qn_status flush_picks(qn_window_calc *calc, const qn_column *source, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_column_stream_gather(&calc->values, source, calc->picks, calc->n_picks, err));
  calc->n_picks = 0;

done:
  return status;
}

// The pending rows get the value at `best` of source, -1: null.
static qn_status close_pick(qn_window_calc *calc, const qn_column *source, int32_t best, qn_error *err) {
  qn_status status = QN_OK;

  for (; calc->n_pending > 0; calc->n_pending--) {
    if (calc->n_picks == BLOCK_ROWS) {
      QN_TRY(flush_picks(calc, source, err));
    }
    calc->picks[calc->n_picks++] = best;
  }

done:
  return status;
}

static int compare_keys(const qn_window_calc *calc, int32_t a, int32_t b) {
  const int64_t *offsets = (const int64_t *)(const void *)calc->offsets.data;
  return qn_sort_key_compare(calc->keys.data + offsets[a], offsets[a + 1] - offsets[a],
                             calc->keys.data + offsets[b], offsets[b + 1] - offsets[b]);
}

// Which of two rows of source is picked: the one so far (-1: none), or the next one.
static int32_t pick(const qn_window_calc *calc, const qn_column *source, int32_t best, int32_t row) {
  const qn_plan_function *function = calc->function;
  if (function->kind == QN_WINDOW_LAST_VALUE) {
    return row;
  }
  if (function->kind == QN_WINDOW_FIRST_VALUE) {
    return best < 0 ? row : best;
  }
  if (qn_column_is_null(source, row)) {
    return best;
  }
  if (best < 0) {
    return row;
  }
  const int order = compare_keys(calc, row, best);
  return (function->aggregate == QN_AGG_MIN ? order < 0 : order > 0) ? row : best;
}

// Keeps the value for the batches to come.
static qn_status keep_best(qn_window_calc *calc, const qn_column *source, int32_t best, qn_error *err) {
  qn_status status = QN_OK;
  qn_column_builder builder = {0};

  qn_column_release(&calc->best);
  calc->has_best = best >= 0;
  if (best >= 0) {
    qn_column_builder_init(&builder, source->type);
    QN_TRY(qn_column_builder_append_range(&builder, source, best, 1, err));
    QN_TRY(qn_column_builder_finish(&builder, &calc->best, err));
  }

done:
  qn_column_builder_release(&builder);
  return status;
}

static qn_status add_picks(qn_window_calc *calc, const qn_window_rows *rows, qn_error *err) {
  qn_status status = QN_OK;
  const qn_order ascending = {0};
  qn_column source = {0};
  const qn_column *const keys[1] = {&source};
  const int32_t n_before = calc->has_best ? 1 : 0;
  int32_t best = calc->has_best ? 0 : -1;

  QN_TRY(join_values(calc, &rows->batch->columns[calc->function->argument], &source, err));
  if (calc->function->kind == QN_WINDOW_AGGREGATE) {
    calc->keys.size = 0;
    calc->offsets.size = 0;
    QN_TRY(qn_sort_keys_encode(keys, &ascending, 1, source.n_rows, &calc->keys, &calc->offsets, err));
  }
  for (int64_t i = 0; i < rows->batch->n_rows; i++) {
    if (rows->peers[i] != 0 && calc->n_pending > 0) {
      QN_TRY(close_pick(calc, &source, best, err));
    }
    best = pick(calc, &source, rows->partitions[i] != 0 ? -1 : best, n_before + (int32_t)i);
    calc->n_pending++;
  }
  QN_TRY(flush_picks(calc, &source, err));
  QN_TRY(keep_best(calc, &source, best, err));

done:
  qn_column_release(&source);
  return status;
}

static qn_status end_picks(qn_window_calc *calc, qn_error *err) {
  qn_status status = QN_OK;

  if (calc->has_best) {
    QN_TRY(close_pick(calc, &calc->best, 0, err));
    QN_TRY(flush_picks(calc, &calc->best, err));
  } else {
    QN_TRY(qn_column_stream_repeat(&calc->values, NULL, calc->n_pending, err));
    calc->n_pending = 0;
  }

done:
  return status;
}

// --- shifts

static qn_status append_fallback(const qn_window_calc *calc, const qn_batch *batch, int64_t first, int64_t n,
                                 qn_column_builder *to, qn_error *err) {
  const int column = calc->function->fallback;
  return column < 0 ? qn_column_builder_append_nulls(to, n, err)
                    : qn_column_builder_append_range(to, &batch->columns[column], first, n, err);
}

static int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

// Some of the values of a partition, from row `first` of the batch on: as many as are of one kind. The first
// `shift` rows of a lag (the last of a lead) have no row to look at; the same number of arguments is looked
// at by none.
static qn_status read_some(qn_window_calc *calc, const qn_batch *batch, int64_t first, int64_t length,
                           qn_column_builder *to, int64_t *n_read, qn_error *err) {
  qn_status status = QN_OK;
  const bool lags = is_lag(calc->function);
  const int64_t shift = least(reach(calc->function), length);
  const int64_t turn = lags ? shift : length - shift; // where one kind ends and the other begins
  const bool is_before_turn = calc->position < turn;
  const int64_t n = least(batch->n_rows - first, (is_before_turn ? turn : length) - calc->position);

  if (calc->position == 0 && !lags) {
    QN_TRY(qn_column_stream_skip(&calc->values, shift, err));
  }
  if (is_before_turn == lags) {
    QN_TRY(append_fallback(calc, batch, first, n, to, err));
  } else {
    QN_TRY(qn_column_stream_read(&calc->values, to, n, err));
  }
  calc->position += n;
  if (calc->position == length) {
    calc->position = 0;
    calc->partition++;
    QN_TRY(qn_column_stream_skip(&calc->values, lags ? shift : 0, err));
  }
  *n_read = n;

done:
  return status;
}

static qn_status read_shift(qn_window_calc *calc, const qn_batch *batch, const int64_t *lengths,
                            qn_column_builder *to, qn_error *err) {
  qn_status status = QN_OK;
  int64_t n = 0;

  for (int64_t row = 0; row < batch->n_rows; row += n) {
    QN_TRY(read_some(calc, batch, row, lengths[calc->partition], to, &n, err));
  }

done:
  return status;
}

// --- going on where another calc stopped

enum { NO_BEST = -1, NULL_BEST = -2 };

typedef struct {
  int64_t row, rank, dense_rank, count;
  __int128 integers;
  double floats;
  int64_t best_size; // bytes of the value that follows; or NO_BEST, NULL_BEST
} saved_calc;

bool qn_window_calc_can_go_on(const qn_window_calc *calc) {
  return calc->form != SHIFTS;
}

qn_status qn_window_calc_save(const qn_window_calc *calc, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  saved_calc saved = {.row = calc->row,
                      .rank = calc->rank,
                      .dense_rank = calc->dense_rank,
                      .count = calc->count,
                      .integers = calc->integers,
                      .floats = calc->floats,
                      .best_size = calc->has_best ? NULL_BEST : NO_BEST};
  const void *best = NULL;

  if (calc->has_best && !qn_column_is_null(&calc->best, 0) && qn_type_is_text(calc->best.type)) {
    saved.best_size = calc->best.offsets[1] - calc->best.offsets[0];
    best = calc->best.bytes + calc->best.offsets[0];
  } else if (calc->has_best && !qn_column_is_null(&calc->best, 0)) {
    saved.best_size = qn_type_width(calc->best.type);
    best = calc->best.values;
  }
  QN_TRY(qn_buffer_append(out, &saved, sizeof saved, err));
  QN_TRY(qn_buffer_append(out, best, saved.best_size > 0 ? saved.best_size : 0, err));

done:
  return status;
}

static qn_status load_best(qn_window_calc *calc, const uint8_t *value, int64_t size, qn_error *err) {
  qn_status status = QN_OK;
  qn_column_builder builder = {0};

  qn_column_release(&calc->best);
  calc->has_best = size != NO_BEST;
  if (!calc->has_best) {
    return QN_OK;
  }
  qn_column_builder_init(&builder, calc->function->type);
  if (size == NULL_BEST) {
    QN_TRY(qn_column_builder_append_null(&builder, err));
  } else if (qn_type_is_text(builder.type)) {
    QN_TRY(qn_column_builder_append_text(&builder, value, size, err));
  } else {
    QN_TRY(qn_column_builder_append_value(&builder, value, err));
  }
  QN_TRY(qn_column_builder_finish(&builder, &calc->best, err));

done:
  qn_column_builder_release(&builder);
  return status;
}

qn_status qn_window_calc_load(qn_window_calc *calc, const uint8_t *data, int64_t size, int64_t *used,
                              qn_error *err) {
  qn_status status = QN_OK;
  saved_calc saved = {0};
  const int64_t head = (int64_t)sizeof saved;
  const qn_type type = calc->function->type;

  QN_REQUIRE(size >= head, err, QN_ERR_FORMAT, "a window function goes on from %" PRId64 " bytes only", size);
  memcpy(&saved, data, sizeof saved);
  QN_REQUIRE(saved.best_size >= NULL_BEST && saved.best_size <= size - head &&
                 (saved.best_size < 0 || qn_type_is_text(type) || saved.best_size == qn_type_width(type)),
             err, QN_ERR_FORMAT, "a window function goes on from a value of %" PRId64 " bytes",
             saved.best_size);
  calc->row = saved.row;
  calc->rank = saved.rank;
  calc->dense_rank = saved.dense_rank;
  calc->count = saved.count;
  calc->integers = saved.integers;
  calc->floats = saved.floats;
  QN_TRY(load_best(calc, data + head, saved.best_size, err));
  *used = head + (saved.best_size > 0 ? saved.best_size : 0);

done:
  return status;
}

qn_status qn_window_calc_add(qn_window_calc *calc, const qn_window_rows *rows, qn_error *err) {
  switch (calc->form) {
  case NUMBERS:
    return add_numbers(calc, rows, err);
  case SUMS:
    return add_sums(calc, rows, err);
  case PICKS:
    return add_picks(calc, rows, err);
  case SHIFTS:
    return qn_column_stream_share(&calc->values, rows->batch, calc->function->argument, err);
  }
  return QN_OK;
}

qn_status qn_window_calc_end(qn_window_calc *calc, qn_error *err) {
  qn_status status = QN_OK;

  if (calc->form == SUMS && calc->n_pending > 0) {
    QN_TRY(close_sum(calc, err));
  } else if (calc->form == PICKS && calc->n_pending > 0) {
    QN_TRY(end_picks(calc, err));
  }
  QN_TRY(qn_column_stream_rewind(&calc->values, err));

done:
  return status;
}

qn_status qn_window_calc_read(qn_window_calc *calc, const qn_batch *batch, const int64_t *lengths,
                              qn_column *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_column_builder builder = {0};

  qn_column_builder_init(&builder, calc->function->type);
  if (calc->form == SHIFTS) {
    QN_TRY(read_shift(calc, batch, lengths, &builder, err));
  } else {
    QN_TRY(qn_column_stream_read(&calc->values, &builder, batch->n_rows, err));
  }
  QN_TRY(qn_column_builder_finish(&builder, out, err));

done:
  qn_column_builder_release(&builder);
  return status;
}
