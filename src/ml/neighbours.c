// SPDX-License-Identifier: Apache-2.0
// The k nearest training rows. All of them are on every rank, in the model; a query goes through them by
// blocks of GEMM, and keeps the k best in a heap whose worst is the bar for the next ones.
#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <quern/train.h>
#include "base/buffer.h"
#include "base/check.h"
#include "ml/column_moments.h"
#include "ml/doubles.h"
#include "ml/estimator.h"
#include "ml/nearest_centre.h"
#include "ml/neighbours_heap.h"
#include "ml/wide.h"

enum { QUERY_CHUNK = 256, ROW_CHUNK = 512, WIDTH = 8, MOST_LISTED = 1000 };
static const double ROUNDING = 2.3e-16;

static const qn_setting settings[] = {
    {{"k", "5", "neighbours"}, QN_SETTING_INT64, offsetof(qn_neighbours_options, k), 1, 1e6, NULL},
    {{"weights_by_distance", "false", "nearer neighbours count more, by 1/distance"},
     QN_SETTING_BOOL,
     offsetof(qn_neighbours_options, weights_by_distance),
     0,
     0,
     NULL},
    {{"classes", "false", "a label of whole numbers is classes, not numbers to average"},
     QN_SETTING_BOOL,
     offsetof(qn_neighbours_options, classes),
     0,
     0,
     NULL},
    {{"list", "false", "give the neighbours themselves, as always without a label"},
     QN_SETTING_BOOL,
     offsetof(qn_neighbours_options, list),
     0,
     0,
     NULL},
    {{"id", "", "without a label: the column that names rows (default: their numbers, from 0)"},
     QN_SETTING_TEXT,
     offsetof(qn_neighbours_options, id),
     0,
     0,
     NULL},
    {{NULL, NULL, NULL}, QN_SETTING_INT64, 0, 0, 0, NULL}};

// Values of this rank's rows, `width` a row; all ranks' ones go into the model.
static qn_status gather(qn_fit_state *fit, const char *name, const double *own, int64_t width,
                        qn_error *err) {
  qn_status status = QN_OK;
  const qn_rows *rows = fit->rows;
  const int64_t size = rows->n_local * width * (int64_t)sizeof(double);
  const int64_t dims[2] = {rows->n_total, width};
  qn_buffer all = {0};
  int64_t *sizes = NULL;
  void *data = NULL;

  sizes = qn_memory_alloc(qn_comm_size(fit->comm) * (int64_t)sizeof *sizes);
  QN_REQUIRE(sizes != NULL, err, QN_ERR_MEMORY, "no memory for the sizes of messages");
  QN_TRY(qn_comm_gather(fit->comm, own, size, &all, sizes, err));
  QN_TRY(qn_arrays_new(&fit->model->arrays, name, QN_FLOAT64, width == rows->n_columns ? 2 : 1, dims, &data,
                       err));
  memcpy(data, all.data, (size_t)all.size);
done:
  qn_memory_free(sizes);
  qn_buffer_release(&all);
  return status;
}

static qn_status fit_neighbours(qn_fit_state *fit, qn_error *err) {
  qn_status status = QN_OK;
  const qn_neighbours_options *options = fit->options;
  const qn_rows *rows = fit->rows;
  qn_arrays state = {0};
  int64_t step = 0;
  double *room = NULL;
  double *own = NULL;
  double *mean = NULL;

  QN_TRY(qn_fit_resume(fit, &step, &state, err));
  QN_REQUIRE(options->k <= rows->n_total, err, QN_ERR_VALUE,
             "%lld neighbours are wanted (k), but there are only %lld rows: choose k <= %lld",
             (long long)options->k, (long long)rows->n_total, (long long)rows->n_total);
  QN_REQUIRE(!options->list || options->k <= MOST_LISTED, err, QN_ERR_ARG,
             "without a label each of the %lld neighbours (k) becomes two columns: choose k <= %d",
             (long long)options->k, MOST_LISTED);
  QN_TRY(qn_rows_room(rows, &room, err));
  QN_TRY(qn_doubles_new(1, rows->n_columns, &mean, err));
  QN_TRY(qn_column_moments(fit->comm, rows, fit->how->exact, room, mean, NULL, err));
  QN_TRY(qn_doubles_new(rows->n_local, rows->n_columns, &own, err));
  for (int64_t i = 0; i < rows->n_blocks; i++) {
    qn_row_block block;
    qn_rows_block(rows, i, &block);
    qn_row_block_densify(&block, room);
    memcpy(own + block.local_row * rows->n_columns, block.x,
           (size_t)(block.n_rows * rows->n_columns) * sizeof(double));
  }
  QN_TRY(gather(fit, "rows", own, rows->n_columns, err));
  QN_TRY(qn_arrays_put(&fit->model->arrays, "mean", QN_FLOAT64, rows->n_columns, mean, err));
  if (rows->y != NULL) {
    QN_TRY(gather(fit, options->list ? "id_numbers" : "labels", rows->y, 1, err));
  }
  if (rows->w != NULL) {
    QN_TRY(gather(fit, "row_weights", rows->w, 1, err));
  }
done:
  qn_arrays_release(&state);
  qn_memory_free(room);
  qn_memory_free(own);
  qn_memory_free(mean);
  return status;
}

// What predict works with. Distances are from the mean, as in nearest_centre.h, but with the rows for
// centres.
typedef struct search {
  int64_t n_rows, k;
  int n_columns;
  const double *rows, *mean, *labels, *row_weights, *id_numbers;
  double *queries; // [n_queries, n_columns], less the mean
  double *shifts;  // [n_queries]: what is added to a score to make it a squared distance
  double *lengths; // [n_queries] of the queries less the mean
  double mean_length;
  double *norms;    // [ROW_CHUNK] of training rows less the mean, squared
  double *products; // [QUERY_CHUNK, ROW_CHUNK]
  qn_neighbour *heaps;
} search;

static void close_search(search *s) {
  qn_memory_free(s->queries);
  qn_memory_free(s->shifts);
  qn_memory_free(s->lengths);
  qn_memory_free(s->norms);
  qn_memory_free(s->products);
  qn_memory_free(s->heaps);
}

static qn_status open_search(const qn_model *model, const qn_row_block *block, search *s, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t shape[2] = {-1, block->n_columns};
  const int64_t length = block->n_columns;
  const qn_array *array = qn_arrays_find(&model->arrays, "rows");
  const void *data = NULL;

  *s = (search){.k = ((const qn_neighbours_options *)model->options)->k, .n_columns = block->n_columns};
  QN_TRY(qn_arrays_get(&model->arrays, "rows", QN_FLOAT64, 2, shape, &data, err));
  s->rows = data;
  s->n_rows = array->dims[0];
  QN_TRY(qn_arrays_get(&model->arrays, "mean", QN_FLOAT64, 1, &length, &data, err));
  s->mean = data;
  if (qn_arrays_find(&model->arrays, "labels") != NULL) {
    QN_TRY(qn_arrays_get(&model->arrays, "labels", QN_FLOAT64, 1, &s->n_rows, &data, err));
    s->labels = data;
  }
  if (qn_arrays_find(&model->arrays, "id_numbers") != NULL) {
    QN_TRY(qn_arrays_get(&model->arrays, "id_numbers", QN_FLOAT64, 1, &s->n_rows, &data, err));
    s->id_numbers = data;
  }
  if (qn_arrays_find(&model->arrays, "row_weights") != NULL) {
    QN_TRY(qn_arrays_get(&model->arrays, "row_weights", QN_FLOAT64, 1, &s->n_rows, &data, err));
    s->row_weights = data;
  }
  QN_REQUIRE(s->k <= s->n_rows, err, QN_ERR_FORMAT, "the model has %lld rows, fewer than its k of %lld",
             (long long)s->n_rows, (long long)s->k);
  QN_TRY(qn_doubles_new(block->n_rows, s->n_columns, &s->queries, err));
  QN_TRY(qn_doubles_new(block->n_rows, 1, &s->shifts, err));
  QN_TRY(qn_doubles_new(block->n_rows, 1, &s->lengths, err));
  QN_TRY(qn_doubles_new(ROW_CHUNK, 1, &s->norms, err));
  QN_TRY(qn_doubles_new(QUERY_CHUNK, ROW_CHUNK, &s->products, err));
  QN_TRY(qn_neighbours_heaps_new(block->n_rows, s->k, &s->heaps, err));
  for (int64_t i = 0; i < block->n_rows * s->n_columns; i++) {
    s->queries[i] = block->x[i] - s->mean[i % s->n_columns];
  }
  s->mean_length = cblas_dnrm2(s->n_columns, s->mean, 1);
  for (int64_t i = 0; i < block->n_rows; i++) {
    const double *z = s->queries + i * s->n_columns;
    const double square = cblas_ddot(s->n_columns, z, 1, z, 1);
    s->shifts[i] = square + 2 * cblas_ddot(s->n_columns, z, 1, s->mean, 1);
    s->lengths[i] = sqrt(square);
  }
done:
  return status;
}

// Eight neighbouring numbers, wherever they lie.
typedef double eight __attribute__((vector_size(64), aligned(8), may_alias));
typedef int64_t eight_bits __attribute__((vector_size(64), aligned(8), may_alias));

// The first place from `at` on whose score is below the bar; n: none. Few are, so that mostly it is enough to
// see that no difference of 64 has a minus.
QN_WIDE static int64_t next_below(const double *products, const double *norms, int64_t at, int64_t n,
                                  double bar) {
  const eight bars = {bar, bar, bar, bar, bar, bar, bar, bar};

  for (; at + 8 * WIDTH <= n; at += 8 * WIDTH) {
    eight_bits below = {0};
    for (int v = 0; v < 8 * WIDTH; v += WIDTH) {
      const eight scores = *(const eight *)(products + at + v) + *(const eight *)(norms + at + v);
      below |= (eight_bits)(scores - bars);
    }
    const int64_t halves[] = {below[0] | below[4], below[1] | below[5], below[2] | below[6],
                              below[3] | below[7]};
    if ((halves[0] | halves[1] | halves[2] | halves[3]) < 0) {
      break;
    }
  }
  while (at < n && !(products[at] + norms[at] < bar)) {
    at++;
  }
  return at;
}

// Scores below it may be nearer than the worst neighbour, in spite of the rounding of products. `longest`: of
// the rows less the mean.
static double bar_of(const search *s, int64_t query, double longest, double distance) {
  const double z = s->lengths[query];
  const double m = s->mean_length;
  const double size = 2 * z * (longest + 2 * m) + longest * longest + z * z + distance * distance;

  return distance * distance - s->shifts[query] + 2 * ROUNDING * (s->n_columns + 8) * size;
}

// Puts those rows of a chunk among the neighbours of a query that belong there. What counts is the distance
// taken directly, so that equal rows are equally far wherever they lie.
static void pick(search *s, const double *x, int64_t query, const double *products, int64_t first, int64_t n,
                 double longest) {
  qn_neighbour *heap = s->heaps + query * s->k;
  const int d = s->n_columns;
  double bar = bar_of(s, query, longest, heap[0].distance);

  for (int64_t r = next_below(products, s->norms, 0, n, bar); r < n;
       r = next_below(products, s->norms, r + 1, n, bar)) {
    const double distance = sqrt(qn_squared_distance(x + query * d, s->rows + (first + r) * d, d));
    if (distance < heap[0].distance) { // of equal ones the earlier row, which came before
      qn_neighbours_replace(heap, s->k, distance, first + r);
      bar = bar_of(s, query, longest, heap[0].distance);
    }
  }
}

// With z = query - m and r = row - m: |z - r|^2 - |z|^2 = |r|^2 - 2 z r, and z r differs from z row by what
// is the same for all rows.
static void search_chunk(search *s, const double *x, int64_t n_queries, int64_t first, int64_t n) {
  const int d = s->n_columns;
  const double *rows = s->rows + first * d;
  double longest = 0;

  for (int64_t r = 0; r < n; r++) {
    s->norms[r] = qn_squared_distance(rows + r * d, s->mean, d);
    longest = fmax(longest, s->norms[r]);
  }
  longest = sqrt(longest);
  for (int64_t from = 0; from < n_queries; from += QUERY_CHUNK) {
    const int64_t m = n_queries - from < QUERY_CHUNK ? n_queries - from : QUERY_CHUNK;
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)m, (int)n, d, -2.0, s->queries + from * d, d,
                rows, d, 0.0, s->products, (int)n);
    for (int64_t q = 0; q < m; q++) {
      pick(s, x, from + q, s->products + q * n, first, n, longest);
    }
  }
}

static void search_rows(search *s, const double *x, int64_t n_queries) {
  for (int64_t first = 0; first < s->n_rows; first += ROW_CHUNK) {
    search_chunk(s, x, n_queries, first, s->n_rows - first < ROW_CHUNK ? s->n_rows - first : ROW_CHUNK);
  }
}

// How much a neighbour counts; where some lie on the query itself, only they do.
static double weight_of(const search *s, const qn_neighbour *heap, int64_t i, bool by_distance) {
  const double own = s->row_weights == NULL ? 1.0 : s->row_weights[heap[i].row];
  if (!by_distance) {
    return own;
  }
  return heap[0].distance > 0 ? own / heap[i].distance : heap[i].distance > 0 ? 0.0 : own;
}

// Numbers of the neighbours (or of their ids), then their distances.
static void list(const search *s, const qn_neighbour *heap, double *outputs) {
  for (int64_t i = 0; i < s->k; i++) {
    outputs[i] = s->id_numbers == NULL ? (double)heap[i].row : s->id_numbers[heap[i].row];
    outputs[s->k + i] = heap[i].distance;
  }
}

static void answer(const search *s, const qn_neighbour *heap, bool by_distance, int n_classes,
                   double *outputs) {
  double total = 0;
  double sum = 0;

  for (int c = 0; c < n_classes; c++) {
    outputs[c] = 0;
  }
  for (int64_t i = 0; i < s->k; i++) {
    const double weight = weight_of(s, heap, i, by_distance);
    const double label = s->labels[heap[i].row];
    total += weight;
    sum += weight * label;
    if (label >= 0 && label < n_classes) {
      outputs[(int)label] += weight;
    }
  }
  if (n_classes == 0) {
    outputs[0] = total > 0 ? sum / total : s->labels[heap[0].row];
  }
  for (int c = 0; c < n_classes; c++) {
    outputs[c] = total > 0 ? outputs[c] / total : 1.0 / n_classes;
  }
}

static qn_status predict(const qn_model *model, const qn_row_block *block, double *outputs, qn_error *err) {
  qn_status status = QN_OK;
  const qn_neighbours_options *options = model->options;
  const int n_classes = model->classes.n;
  search s = {0};

  QN_TRY(open_search(model, block, &s, err));
  QN_REQUIRE(options->list || s.labels != NULL, err, QN_ERR_FORMAT, "the model lacks its labels");
  const int64_t n_outputs = options->list ? 2 * s.k : n_classes > 0 ? n_classes : 1;
  search_rows(&s, block->x, block->n_rows);
  for (int64_t i = 0; i < block->n_rows; i++) {
    qn_neighbour *heap = s.heaps + i * s.k;
    qn_neighbours_sort(heap, s.k);
    if (options->list) {
      list(&s, heap, outputs + i * n_outputs);
    } else {
      answer(&s, heap, options->weights_by_distance, n_classes, outputs + i * n_outputs);
    }
  }
done:
  close_search(&s);
  return status;
}

static qn_task task(const void *options) {
  const qn_neighbours_options *chosen = options;
  return chosen->list ? QN_TASK_NEIGHBOURS : chosen->classes ? QN_TASK_CLASS : QN_TASK_NUMBER;
}

const qn_estimator qn_estimator_neighbours = {
    .name = "neighbours",
    .summary = "by the k nearest training rows; without a label these rows themselves",
    .settings = settings,
    .options_size = sizeof(qn_neighbours_options),
    .task = task,
    .fit = fit_neighbours,
    .predict = predict};

QN_API qn_neighbours_options qn_neighbours_defaults(void) {
  qn_neighbours_options options;
  qn_settings_defaults(&qn_estimator_neighbours, &options);
  return options;
}

QN_API qn_model *qn_fit_neighbours(qn_dataset *data, const qn_training *how,
                                   const qn_neighbours_options *options) {
  return qn_fit_estimator(data, &qn_estimator_neighbours, how, options);
}
