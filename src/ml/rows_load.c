// SPDX-License-Identifier: Apache-2.0
// Rows are turned into numbers where they are read, so that a mistake names its file and row, and wait packed
// (a binary column of numbers, or of columns and numbers if sparse) in a spool until it is known how many
// rows there are. Then each goes to the rank that has its lane; most stay where they are.
#include "ml/rows_load.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "comm/exchange.h"
#include "exec/job_state.h"
#include "exec/run.h"
#include "exec/spool.h"
#include "ml/lane_sum.h"
#include "ml/rows_memory.h"
#include "plan/plan.h"

enum { PIECE_BYTES = 8 << 20 }; // of packed rows in one batch, about

typedef struct loader {
  const qn_rows_wanted *wanted;
  int n_columns;
  int label, weight;                 // columns of the inputs, or -1
  qn_schema *packed;                 // "x binary, y float64, w float64"
  qn_spool *spool;                   // of this rank's rows, packed
  qn_buffer starts, columns, values; // sparse rows of a batch
} loader;

// --- packing ---------------------------------------------------------------------------------------------

static qn_status fail_row(const qn_batch *batch, int64_t row, const char *what, const char *column,
                          qn_error *err) {
  char where[300];

  qn_batch_describe_row(batch, row, where, sizeof where);
  return qn_fail(err, QN_ERR_VALUE, "%s%scolumn '%s': %s", where, where[0] == '\0' ? "" : ", ", column, what);
}

static qn_status take_label(const loader *load, const qn_batch *batch, double *y, qn_error *err) {
  qn_status status = QN_OK;
  const qn_column *column = &batch->columns[load->label];

  if (load->wanted->classes->n > 0) {
    QN_TRY(qn_classes_number(load->wanted->classes, column, y, err));
  } else {
    memcpy(y, column->values, (size_t)batch->n_rows * sizeof *y);
  }
  for (int64_t row = 0; row < batch->n_rows; row++) {
    if (qn_column_is_null(column, row)) {
      return fail_row(batch, row, "the label is null; leave such rows out", load->wanted->label, err);
    }
    if (!isfinite(y[row]) || (load->wanted->classes->n > 0 && y[row] < 0)) {
      return fail_row(batch, row, "the label is NaN or infinite; leave such rows out", load->wanted->label,
                      err);
    }
  }

done:
  return status;
}

static qn_status take_weight(const loader *load, const qn_batch *batch, double *w, qn_error *err) {
  const qn_column *column = &batch->columns[load->weight];

  for (int64_t row = 0; row < batch->n_rows; row++) {
    w[row] = qn_column_is_null(column, row) ? NAN : qn_column_float64(column, row);
    if (!(w[row] >= 0 && isfinite(w[row]))) {
      return fail_row(batch, row, "a weight must be a number of at least 0", load->wanted->weight, err);
    }
  }
  return QN_OK;
}

// A binary column of n_rows pieces of `data`, which it takes over; sizes are in `ends`, or all `width`.
static qn_status binary_column_take(int64_t n_rows, uint8_t *data, int64_t width, const int64_t *ends,
                                    qn_column *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_block *bytes = NULL;
  qn_block *block = NULL;
  int32_t *offsets = NULL;

  QN_TRY(qn_block_new(data, qn_memory_free, &bytes, err));
  offsets = qn_memory_alloc((n_rows + 1) * (int64_t)sizeof *offsets);
  QN_REQUIRE(offsets != NULL, err, QN_ERR_MEMORY, "no memory for rows to train on");
  for (int64_t row = 0; row <= n_rows; row++) {
    offsets[row] = (int32_t)(ends != NULL ? ends[row] * width : row * width);
  }
  QN_TRY(qn_block_new(offsets, qn_memory_free, &block, err));
  *out = (qn_column){
      .type = QN_BINARY, .n_rows = n_rows, .offsets = offsets, .bytes = data, .blocks = {NULL, block, bytes}};
  bytes = NULL;

done:
  qn_block_free(bytes);
  return status;
}

static qn_status pack_dense(const loader *load, const qn_batch *batch, qn_column *out, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_values = batch->n_rows * load->n_columns;
  double *x = qn_memory_alloc(n_values * (int64_t)sizeof *x);

  QN_REQUIRE(x != NULL, err, QN_ERR_MEMORY, "no memory for rows to train on");
  QN_TRY(qn_features_dense(load->wanted->features, batch, x, NULL, err));
  int64_t width = sizeof *x;
  if (load->wanted->is_float32) {
    width = sizeof(float);
    for (int64_t i = 0; i < n_values; i++) {
      const float value = (float)x[i];
      memcpy((char *)x + i * width, &value, sizeof value); // in place: it is behind what is yet to be read
    }
  }
  uint8_t *data = (uint8_t *)x;
  x = NULL;
  QN_TRY(binary_column_take(batch->n_rows, data, width * load->n_columns, NULL, out, err));

done:
  qn_memory_free(x);
  return status;
}

// Each row: its columns, then its values.
static qn_status pack_sparse(loader *load, const qn_batch *batch, qn_column *out, qn_error *err) {
  qn_status status = QN_OK;
  enum { WIDTH = sizeof(int32_t) + sizeof(double) };
  uint8_t *data = NULL;

  QN_TRY(qn_features_sparse(load->wanted->features, batch, &load->starts, &load->columns, &load->values, NULL,
                            err));
  const int64_t *starts = (const int64_t *)(const void *)load->starts.data;
  data = qn_memory_alloc(starts[batch->n_rows] * WIDTH);
  QN_REQUIRE(data != NULL, err, QN_ERR_MEMORY, "no memory for rows to train on");
  for (int64_t row = 0; row < batch->n_rows; row++) {
    const int64_t n = starts[row + 1] - starts[row];
    uint8_t *to = data + starts[row] * WIDTH;
    if (n > 0) {
      memcpy(to, load->columns.data + starts[row] * 4, (size_t)n * 4);
      memcpy(to + n * 4, load->values.data + starts[row] * 8, (size_t)n * 8);
    }
  }
  uint8_t *taken = data;
  data = NULL;
  QN_TRY(binary_column_take(batch->n_rows, taken, WIDTH, starts, out, err));

done:
  qn_memory_free(data);
  return status;
}

static qn_status pack(loader *load, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  qn_column columns[3] = {{0}};
  qn_batch *made = NULL;
  void *values = NULL;
  int n = 1;

  QN_TRY(load->wanted->is_sparse ? pack_sparse(load, batch, &columns[0], err)
                                 : pack_dense(load, batch, &columns[0], err));
  if (load->label >= 0) {
    QN_TRY(qn_column_fixed(QN_FLOAT64, batch->n_rows, &columns[n++], &values, err));
    QN_TRY(take_label(load, batch, values, err));
  }
  if (load->weight >= 0) {
    QN_TRY(qn_column_fixed(QN_FLOAT64, batch->n_rows, &columns[n++], &values, err));
    QN_TRY(take_weight(load, batch, values, err));
  }
  n = 0; // taken over by the batch
  QN_TRY(qn_batch_new_take(load->packed, batch->n_rows, columns, &made, err));
  QN_TRY(qn_spool_append(load->spool, made, err));

done:
  for (int i = 0; i < n; i++) {
    qn_column_release(&columns[i]);
  }
  qn_batch_free(made);
  return status;
}

// --- the run that fills the spool ------------------------------------------------------------------------

typedef struct load_op {
  qn_op op;
  loader *load;
} load_op;

static qn_status push_load(qn_op *op, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  loader *load = ((load_op *)op)->load;
  const int64_t row_bytes = (int64_t)load->n_columns * 8;
  const int64_t most = row_bytes < PIECE_BYTES ? PIECE_BYTES / row_bytes : 1;
  qn_batch *piece = NULL;

  if (load->wanted->is_sparse || batch->n_rows <= most) {
    return pack(load, batch, err);
  }
  for (int64_t first = 0; first < batch->n_rows; first += most) {
    const int64_t left = batch->n_rows - first;
    QN_TRY(qn_batch_slice(batch, first, left < most ? left : most, &piece, err));
    QN_TRY(pack(load, piece, err));
    qn_batch_free(piece);
    piece = NULL;
  }

done:
  qn_batch_free(piece);
  return status;
}

static qn_status finish_load(qn_op *op, qn_error *err) {
  (void)op;
  (void)err;
  return QN_OK;
}

static const qn_op_ops load_ops = {
    .name = "rows to train on", .state_size = sizeof(load_op), .push = push_load, .finish = finish_load};

static qn_status make_load(void *ctx, qn_run *run, const qn_dataset *node, qn_op **out, qn_error *err) {
  qn_status status = QN_OK;
  loader *load = ctx;

  QN_TRY(qn_spool_new(load->packed, run->scratch, &load->spool, err));
  QN_TRY(qn_op_new(run, &load_ops, node, NULL, out, err));
  ((load_op *)*out)->load = load;

done:
  return status;
}

// --- placing ---------------------------------------------------------------------------------------------

typedef struct placer {
  qn_comm *comm;
  const qn_rows_wanted *wanted;
  qn_rows *rows;
  int64_t *starts;   // [n_ranks + 1]: first row, among all, that a rank has read
  int64_t *next;     // [n_ranks]: row among this rank's of the next row that comes from there
  qn_spool **spools; // [n_ranks]: sparse rows that have come from there, or NULL
  int64_t n_values;  // of them
  const char *scratch;
  const qn_schema *packed;
  qn_exchange *exchange;
  int64_t row; // of this rank's next row to be sent, among all
} placer;

static void place_numbers(const placer *place, const qn_batch *batch, int64_t at) {
  int column = 1;

  if (place->rows->y != NULL) {
    memcpy(qn_rows_write_y(place->rows) + at, batch->columns[column++].values, (size_t)batch->n_rows * 8);
  }
  if (place->rows->w != NULL) {
    memcpy(qn_rows_write_w(place->rows) + at, batch->columns[column].values, (size_t)batch->n_rows * 8);
  }
}

static void place_dense(const placer *place, const qn_batch *batch, int64_t at) {
  const qn_column *x = &batch->columns[0];
  const int64_t width = (place->rows->is_float32 ? 4 : 8) * (int64_t)place->rows->n_columns;
  char *to =
      place->rows->is_float32 ? (char *)qn_rows_write_x32(place->rows) : (char *)qn_rows_write_x(place->rows);

  memcpy(to + at * width, x->bytes + x->offsets[0], (size_t)(batch->n_rows * width));
}

static qn_status place_batch(void *ctx, const qn_batch *batch, int from_rank, qn_error *err) {
  qn_status status = QN_OK;
  placer *place = ctx;
  const int64_t at = place->next[from_rank];

  if (batch->n_rows == 0) {
    goto done;
  }
  QN_REQUIRE(at >= 0 && at + batch->n_rows <= place->rows->n_local, err, QN_ERR_MPI,
             "rank %d sent rows that this rank has no room for", from_rank);
  place_numbers(place, batch, at);
  place->next[from_rank] += batch->n_rows;
  if (!place->rows->is_sparse) {
    place_dense(place, batch, at);
    goto done;
  }
  if (place->spools[from_rank] == NULL) {
    QN_TRY(qn_spool_new(place->packed, place->scratch, &place->spools[from_rank], err));
  }
  const qn_column *x = &batch->columns[0];
  place->n_values += (x->offsets[batch->n_rows] - x->offsets[0]) / 12;
  QN_TRY(qn_spool_append(place->spools[from_rank], batch, err));

done:
  return status;
}

// Sends the rows of a batch, in runs, to the ranks that have their lanes.
static qn_status send_batch(void *ctx, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  placer *place = ctx;
  const qn_rows *rows = place->rows;
  const int n_ranks = qn_comm_size(place->comm);
  qn_batch *piece = NULL;
  int64_t done_rows = 0;

  for (int rank = 0; rank < n_ranks && done_rows < batch->n_rows; rank++) {
    int64_t first = 0;
    int64_t n = 0;
    qn_rows_share(rows->n_total, rows->n_lanes, n_ranks, rank, &first, &n);
    const int64_t left = batch->n_rows - done_rows;
    const int64_t n_here = first + n - place->row < left ? first + n - place->row : left;
    if (n_here <= 0) {
      continue;
    }
    QN_TRY(qn_batch_slice(batch, done_rows, n_here, &piece, err));
    QN_TRY(rank == qn_comm_rank(place->comm) ? place_batch(place, piece, rank, err)
                                             : qn_exchange_send(place->exchange, piece, rank, err));
    qn_batch_free(piece);
    piece = NULL;
    place->row += n_here;
    done_rows += n_here;
  }

done:
  qn_batch_free(piece);
  return status;
}

// Where the rows of one rank begin among this rank's.
static void expect_rows(const placer *place, int n_ranks) {
  for (int rank = 0; rank < n_ranks; rank++) {
    const int64_t start = place->starts[rank] - place->rows->first_row;
    place->next[rank] = start < 0 ? 0 : start;
  }
}

typedef struct sparse_fill {
  const placer *place;
  int64_t row, position;
} sparse_fill;

static qn_status fill_sparse(void *ctx, const qn_batch *batch, qn_error *err) {
  sparse_fill *fill = ctx;
  qn_rows *rows = fill->place->rows;
  const qn_column *x = &batch->columns[0];
  (void)err;

  for (int64_t row = 0; row < batch->n_rows; row++) {
    const qn_text bytes = qn_column_text(x, row);
    const int64_t n = bytes.size / 12;
    qn_rows_write_starts(rows)[fill->row++] = fill->position;
    if (n > 0) {
      memcpy(qn_rows_write_columns(rows) + fill->position, bytes.data, (size_t)n * 4);
      memcpy(qn_rows_write_values(rows) + fill->position, bytes.data + n * 4, (size_t)n * 8);
    }
    fill->position += n;
  }
  return QN_OK;
}

static qn_status finish_sparse(placer *place, qn_error *err) {
  qn_status status = QN_OK;
  sparse_fill fill = {.place = place};

  QN_TRY(qn_rows_new_sparse(place->rows, place->n_values, err));
  for (int rank = 0; rank < qn_comm_size(place->comm); rank++) { // their rows follow each other
    if (place->spools[rank] != NULL) {
      QN_TRY(qn_spool_drain(place->spools[rank], fill_sparse, &fill, err));
    }
  }
  qn_rows_write_starts(place->rows)[place->rows->n_local] = fill.position;

done:
  return status;
}

// How many rows each rank has read.
static qn_status count_rows(placer *place, int64_t n_read, qn_error *err) {
  qn_status status = QN_OK;
  const int n_ranks = qn_comm_size(place->comm);
  qn_buffer counts = {0};
  int64_t *sizes = calloc((size_t)n_ranks, sizeof *sizes);

  QN_REQUIRE(sizes != NULL, err, QN_ERR_MEMORY, "no memory for rows to train on");
  QN_TRY(qn_comm_gather(place->comm, &n_read, sizeof n_read, &counts, sizes, err));
  for (int rank = 0; rank < n_ranks; rank++) {
    int64_t n = 0;
    memcpy(&n, counts.data + rank * (int64_t)sizeof n, sizeof n);
    place->starts[rank + 1] = place->starts[rank] + n;
  }
  QN_REQUIRE(place->starts[n_ranks] > 0, err, QN_ERR_VALUE, "there are no rows to train on");

done:
  free(sizes);
  qn_buffer_release(&counts);
  return status;
}

// The sum of all weights, the same on any number of ranks only in exact mode, where it is added lane by lane.
static qn_status sum_weights(const placer *place, qn_error *err) {
  qn_status status = QN_OK;
  qn_rows *rows = place->rows;
  qn_lane_sum *sum = NULL;
  const double *total = NULL;

  if (rows->w == NULL) {
    goto done;
  }
  QN_TRY(qn_lane_sum_new(place->comm, rows, place->wanted->is_exact, 1, &sum, err));
  for (int lane = rows->first_lane; lane < rows->end_lane; lane++) {
    const int64_t end = qn_rows_lane_start(rows, lane + 1) - rows->first_row;
    for (int64_t row = qn_rows_lane_start(rows, lane) - rows->first_row; row < end; row++) {
      *qn_lane_sum_at(sum, lane) += rows->w[row];
    }
  }
  QN_TRY(qn_lane_sum_finish(sum, &total, err));
  QN_REQUIRE(*total > 0, err, QN_ERR_VALUE, "column '%s': all weights are 0", place->wanted->weight);
  rows->total_weight = *total;

done:
  qn_lane_sum_free(sum);
  return status;
}

static qn_status place_rows(placer *place, loader *load, qn_error *err) {
  qn_status status = QN_OK;
  const qn_rows_wanted *wanted = place->wanted;
  const int n_ranks = qn_comm_size(place->comm);
  const qn_exchange_options options = {.needs_sender = true};

  QN_TRY(count_rows(place, qn_spool_n_rows(load->spool), err));
  const qn_rows_shape shape = {.n_total = place->starts[n_ranks],
                               .n_lanes = qn_rows_lanes_for(wanted->n_lanes, n_ranks),
                               .n_columns = load->n_columns,
                               .has_label = wanted->label != NULL,
                               .has_weight = wanted->weight != NULL,
                               .is_float32 = wanted->is_float32,
                               .is_sparse = wanted->is_sparse,
                               .is_exact = wanted->is_exact,
                               .scratch = place->scratch};
  if (qn_memory_is_tight(shape.n_total / n_ranks * load->n_columns * (wanted->is_sparse ? 1 : 8))) {
    QN_TRY(qn_spool_spill(load->spool, err)); // makes room for what replaces it
  }
  QN_TRY(qn_rows_new(&shape, n_ranks, qn_comm_rank(place->comm), &place->rows, err));
  expect_rows(place, n_ranks);
  place->row = place->starts[qn_comm_rank(place->comm)];
  QN_TRY(qn_exchange_open(place->comm, place->packed, &options, place_batch, place, &place->exchange, err));
  QN_TRY(qn_spool_drain(load->spool, send_batch, place, err));
  QN_TRY(qn_exchange_finish(place->exchange, err));
  if (wanted->is_sparse) {
    QN_TRY(finish_sparse(place, err));
  }
  QN_TRY(sum_weights(place, err));

done:
  return status;
}

static void release_placer(placer *place) {
  qn_exchange_close(place->exchange);
  for (int rank = 0; place->spools != NULL && rank < qn_comm_size(place->comm); rank++) {
    qn_spool_free(place->spools[rank]);
  }
  free(place->spools);
  free(place->starts);
  free(place->next);
  qn_rows_free(place->rows);
}

static qn_status place_all(qn_job *job, loader *load, qn_rows **out, qn_error *err) {
  qn_status status = QN_OK;
  const size_t n_ranks = (size_t)qn_comm_size(job->comm);
  placer place = {.comm = job->comm,
                  .wanted = load->wanted,
                  .scratch = job->scratch,
                  .packed = load->packed,
                  .starts = calloc(n_ranks + 1, sizeof *place.starts),
                  .next = calloc(n_ranks, sizeof *place.next),
                  .spools = calloc(n_ranks, sizeof(qn_spool *))};

  if (place.starts == NULL || place.next == NULL || place.spools == NULL) {
    status = qn_fail(err, QN_ERR_MEMORY, "no memory for rows to train on");
  } else {
    status = place_rows(&place, load, err);
  }
  status = qn_comm_agree(job->comm, status, err);
  if (status == QN_OK) {
    *out = place.rows;
    place.rows = NULL;
  }
  release_placer(&place);
  return status;
}

// --- the whole -------------------------------------------------------------------------------------------

// `"label" as "label y", "weight"::float8 as "weight w"`: what is read beside the features.
static qn_status print_also(const qn_rows_wanted *wanted, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;

  if (wanted->label != NULL) {
    QN_TRY(qn_name_quote(wanted->label, out, err));
    QN_TRY(qn_buffer_printf(out, err, "%s as \"label y\"", wanted->classes->n > 0 ? "" : "::float8"));
  }
  if (wanted->weight != NULL) {
    QN_TRY(qn_buffer_printf(out, err, "%s", wanted->label != NULL ? ", " : ""));
    QN_TRY(qn_name_quote(wanted->weight, out, err));
    QN_TRY(qn_buffer_printf(out, err, "::float8 as \"weight w\""));
  }
  QN_TRY(qn_buffer_terminate(out, err));

done:
  return status;
}

// All columns, to sort by.
static qn_status print_keys(const qn_schema *schema, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;

  for (int c = 0; c < schema->n_columns; c++) {
    QN_TRY(qn_buffer_printf(out, err, c == 0 ? "" : ", "));
    QN_TRY(qn_name_quote(qn_schema_name(schema, c), out, err));
  }
  QN_TRY(qn_buffer_terminate(out, err));

done:
  return status;
}

// The rows that are read, in an order that does not depend on the number of ranks.
static qn_status make_inputs(qn_dataset *data, const qn_rows_wanted *wanted, qn_dataset **out,
                             qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer also = {0};
  qn_buffer keys = {0};
  const bool has_more = wanted->label != NULL || wanted->weight != NULL;

  QN_TRY(print_also(wanted, &also, err));
  qn_dataset *inputs = qn_features_inputs(wanted->features, data, has_more ? (const char *)also.data : NULL);
  if (inputs == NULL || inputs->status != QN_OK) {
    status = qn_job_check(data->plan->job, err);
    QN_REQUIRE(status != QN_OK, err, QN_ERR_MEMORY, "no memory for a plan");
    goto done;
  }
  if (!qn_plan_has_order(inputs)) {
    QN_TRY(print_keys(inputs->schema, &keys, err));
    inputs = qn_sort(inputs, (const char *)keys.data);
  }
  *out = inputs;

done:
  qn_buffer_release(&also);
  qn_buffer_release(&keys);
  return status;
}

static qn_status new_packed_schema(const qn_rows_wanted *wanted, qn_schema **out, qn_error *err) {
  char text[64];

  snprintf(text, sizeof text, "x binary%s%s", wanted->label != NULL ? ", y float64" : "",
           wanted->weight != NULL ? ", w float64" : "");
  return qn_schema_parse(text, out, err);
}

qn_status qn_rows_load(qn_dataset *data, const qn_rows_wanted *wanted, qn_rows **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_job *job = data->plan->job;
  loader load = {
      .wanted = wanted, .n_columns = qn_features_n_columns(wanted->features), .label = -1, .weight = -1};
  const qn_sink sink = {.make = make_load, .in_order = true, .ctx = &load};
  qn_dataset *inputs = NULL;

  QN_TRY(new_packed_schema(wanted, &load.packed, err));
  QN_TRY(make_inputs(data, wanted, &inputs, err));
  load.label = wanted->label == NULL ? -1 : qn_schema_find(inputs->schema, "label y");
  load.weight = wanted->weight == NULL ? -1 : qn_schema_find(inputs->schema, "weight w");
  if (qn_run_plan(job, inputs, &sink) != QN_OK) {
    status = qn_job_check(job, err);
    goto done;
  }
  QN_TRY(place_all(job, &load, out, err));

done:
  qn_spool_free(load.spool);
  qn_buffer_release(&load.starts);
  qn_buffer_release(&load.columns);
  qn_buffer_release(&load.values);
  qn_schema_free(load.packed);
  return status;
}
