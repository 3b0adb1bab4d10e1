// SPDX-License-Identifier: Apache-2.0
// Multilayer perceptrons on planted rows: gradients against differences, learning, the same bits in exact
// mode, going on from a checkpoint, and mistakes.
#include <math.h>
#include <unistd.h>
#include "base/hash.h"
#include "exec/job_state.h"
#include "exec/op_fixture.h"
#include "ml/estimator.h"
#include "ml/mlp_train.h"

enum { N_ROWS = 3000 };
#define SCHEMA "a float64, b float64, c float64, kind utf8, y float64"

static double number(int64_t row, int k) {
  uint64_t bits = (uint64_t)row * 8 + (uint64_t)k + 1;
  bits *= 0x9e3779b97f4a7c15ull;
  bits ^= bits >> 31;
  bits *= 0xbf58476d1ce4e5b9ull;
  return (double)((bits ^ (bits >> 29)) >> 11) * 0x1p-52 - 1; // -1 to 1
}

// Three kinds: inside a circle, and outside on the left and on the right; no line tells them apart.
static qn_status make_rows(int64_t first_row, int64_t n_rows, qn_appender *out, void *ctx) {
  static const char *const kinds[] = {"inside", "left", "right"};
  const double *scale = ctx;
  for (int64_t row = first_row; row < first_row + n_rows; row++) {
    const double a = number(row, 0), b = number(row, 1), c = number(row, 2);
    const int kind = a * a + b * b < 0.5 ? 0 : a < 0 ? 1 : 2;
    qn_append_float64(out, a * (scale != NULL ? *scale : 1));
    qn_append_float64(out, b);
    qn_append_float64(out, c);
    qn_append_text(out, kinds[kind], (int64_t)strlen(kinds[kind]));
    qn_append_float64(out, 1000 + 50 * (sin(3 * a) * b + c * c));
  }
  return QN_OK;
}

static qn_dataset *rows_of(qn_job *job) {
  return qn_generate(job, SCHEMA, N_ROWS, make_rows, NULL);
}

static const qn_training for_kind = {.label = "kind", .features = "a, b, c", .report_seconds = -1, .seed = 3};

static double metric_of(qn_model *model, const char *name) {
  qn_metrics metrics = {0};
  QN_CHECK_INT(qn_model_metrics(model, &metrics), QN_OK);
  return qn_metric(&metrics, name);
}

// The share of rows whose kind is predicted.
static double accuracy_of(qn_dataset *data, qn_model *model) {
  int64_t n_right = 0;
  QN_CHECK_INT(qn_count(qn_filter(qn_predict(data, model), "prediction = kind"), &n_right), QN_OK);
  return (double)n_right / N_ROWS;
}

static void classes_are_learned(void) {
  for (int way = 0; way < 4; way++) {
    qn_job *job = fixture_open("");
    qn_mlp_options options = qn_mlp_defaults();
    options.layers = way == 1 ? "16, 16" : "32";
    options.activation = way == 1 ? QN_TANH : QN_RELU;
    options.descent = way == 2 ? QN_SGD : QN_ADAM;
    options.schedule = way == 3 ? QN_RATE_COSINE : QN_RATE_CONSTANT;
    options.learning_rate = way == 2 ? 0.1 : 0.01;
    options.batch_rows = 100;
    options.max_epochs = 40;
    options.early_stopping = way == 3 ? 8 : 0;
    qn_training how = for_kind;
    how.float32 = way == 2;
    qn_model *model = qn_fit_mlp(rows_of(job), &how, &options);
    QN_CHECK(model != NULL);
    QN_CHECK(accuracy_of(rows_of(job), model) > 0.96);
    QN_CHECK(metric_of(model, "train_loss") < 0.2);
    fixture_close(job);
  }
}

static void numbers_are_learned(void) {
  qn_job *job = fixture_open("");
  qn_mlp_options options = qn_mlp_defaults();
  qn_batch *found = NULL;
  options.task = QN_MLP_REGRESSION;
  options.layers = "32 16";
  options.learning_rate = 0.01;
  options.batch_rows = 100;
  options.max_epochs = 30;
  const qn_training how = {.label = "y", .features = "a, b, c", .report_seconds = -1};
  qn_model *model = qn_fit_mlp(rows_of(job), &how, &options);
  qn_dataset *errors = qn_select(qn_predict(rows_of(job), model), "(prediction - y) ^ 2 as e");
  QN_CHECK_INT(qn_collect(qn_reduce(errors, NULL, "avg(e) as e"), &found), QN_OK);
  if (found != NULL && qn_job_rank(job) == 0) {
    QN_CHECK(qn_column_float64(qn_batch_column(found, 0), 0) < 9); // the labels' variance is 700
  }
  qn_batch_free(found);
  fixture_close(job);
}

// --- The same bits --------------------------------------------------------------------------------------

static uint64_t bits_of_arrays(const qn_model *model) {
  uint64_t hash = 0;
  for (int i = 0; i < model->arrays.n; i++) {
    const qn_array *array = &model->arrays.items[i];
    int64_t n_bytes = qn_type_width(array->type);
    for (int d = 0; d < array->n_dims; d++) {
      n_bytes *= array->dims[d];
    }
    hash = qn_hash_bytes(array->data, n_bytes, hash);
  }
  return hash;
}

static uint64_t bits_of(qn_job *job, const qn_training *how, const qn_mlp_options *options) {
  qn_model *model = qn_fit_mlp(rows_of(job), how, options);
  QN_CHECK(model != NULL);
  return model != NULL ? bits_of_arrays(model) : 0;
}

static qn_mlp_options short_training(void) {
  qn_mlp_options options = qn_mlp_defaults();
  options.layers = "12 8";
  options.learning_rate = 0.01;
  options.batch_rows = 500;
  options.max_epochs = 6;
  options.early_stopping = 5;
  options.holdout = 0.2;
  return options;
}

// All rows on this rank alone.
static qn_rows *rows_alone(qn_comm *alone) {
  static double x[N_ROWS * 3], y[N_ROWS];
  qn_rows *rows = NULL;
  for (int64_t row = 0; row < N_ROWS; row++) {
    for (int k = 0; k < 3; k++) {
      x[row * 3 + k] = number(row, k);
    }
    const double a = x[row * 3], b = x[row * 3 + 1];
    y[row] = a * a + b * b < 0.5 ? 0 : a < 0 ? 1 : 2; // in the order of the names
  }
  const qn_rows_source source = {.n_total = N_ROWS,
                                 .n_columns = 3,
                                 .x = x,
                                 .y = y,
                                 .n_lanes = qn_estimator_mlp.exact_lanes,
                                 .is_exact = true};
  QN_CHECK_OK(qn_rows_from_memory(alone, &source, &rows, &kit_error));
  return rows;
}

static void exact_mode_gives_the_same_bits_on_one_rank_and_on_all(void) {
  qn_job *job = fixture_open("");
  const qn_mlp_options options = short_training();
  qn_training how = for_kind;
  qn_model *model = NULL;
  qn_rows *rows = NULL;
  qn_comm *alone = NULL;
  how.exact = true;
  const uint64_t all = bits_of(job, &how, &options);
  qn_dataset *data = rows_of(job);
  QN_CHECK_OK(qn_fit_prepare(data, &qn_estimator_mlp, &how, &options, &model, &kit_error));
  QN_CHECK_OK(qn_fit_features(model, data, &how, &kit_error));
  QN_CHECK_OK(qn_fit_load(model, data, &how, &rows, &kit_error));
  qn_rows_free(rows);
  QN_CHECK_OK(qn_comm_split(job->comm, qn_comm_rank(job->comm), &alone, &kit_error));
  rows = rows_alone(alone);
  QN_CHECK_OK(qn_fit_rows(model, alone, &how, NULL, rows, true, &kit_error));
  QN_CHECK_INT((int64_t)bits_of_arrays(model), (int64_t)all);
  qn_rows_free(rows);
  qn_comm_close(alone);
  fixture_close(job);
}

// The checkpoint of epoch 4 of 6 is left behind; the second training goes on from it.
static void going_on_gives_the_same_bits(void) {
  char path[100];
  snprintf(path, sizeof path, "/tmp/quern-mlp-test-%d", (int)getppid()); // the same on all ranks
  for (int way = 0; way < 3; way++) {
    qn_job *job = fixture_open("");
    qn_mlp_options options = short_training();
    qn_training how = for_kind;
    options.descent = way == 1 ? QN_SGD : QN_ADAM;
    options.schedule = way == 1 ? QN_RATE_STEP : QN_RATE_COSINE;
    how.exact = way == 2;
    how.checkpoint = path;
    how.checkpoint_steps = 4;
    if (qn_job_rank(job) == 0) {
      unlink(path);
    }
    const uint64_t first = bits_of(job, &how, &options);
    QN_CHECK(qn_job_rank(job) != 0 || access(path, R_OK) == 0);
    QN_CHECK_INT((int64_t)bits_of(job, &how, &options), (int64_t)first);
    if (qn_job_rank(job) == 0) {
      unlink(path);
    }
    fixture_close(job);
  }
}

// --- Mistakes -------------------------------------------------------------------------------------------

static void check_fails(const qn_mlp_options *options, const qn_training *how, const double *scale,
                        qn_status status, const char *part) {
  qn_job *job = fixture_open("");
  double own_scale = scale != NULL ? *scale : 1;
  qn_dataset *data = qn_generate(job, SCHEMA, N_ROWS, make_rows, &own_scale);
  QN_CHECK(qn_fit_mlp(data, how, options) == NULL);
  fixture_check_failed(job, status, part);
}

static void mistakes_are_told(void) {
  qn_mlp_options options = short_training();
  options.layers = "12 x";
  check_fails(&options, &for_kind, NULL, QN_ERR_ARG, "the widths of the hidden layers are whole numbers");
  options = short_training();
  options.holdout = 0;
  check_fails(&options, &for_kind, NULL, QN_ERR_VALUE, "is held out");
  options = short_training();
  options.descent = QN_SGD;
  options.learning_rate = 1000;
  options.early_stopping = 0;
  const double scale = 1e6;
  check_fails(&options, &for_kind, &scale, QN_ERR_VALUE, "diverges");
}

// --- The network itself ---------------------------------------------------------------------------------

// The derivative of half the squared sum of outputs by some parameters, against a difference.
static double half_square(qn_mlp_net *net, const qn_mlp_room *room, const float *x, int64_t n_rows,
                          int64_t n_outputs) {
  double sum = 0;
  memcpy(room->values[0], x, (size_t)(n_rows * net->widths[0]) * sizeof *x);
  qn_mlp_forward(net, room, n_rows);
  for (int64_t i = 0; i < n_rows * n_outputs; i++) {
    const float value = room->values[net->n_layers][i];
    room->deltas[net->n_layers][i] = value;
    sum += 0.5 * (double)value * (double)value;
  }
  return sum;
}

static void gradients_are_derivatives(void) {
  enum { ROWS = 9, INPUTS = 5, OUTPUTS = 3 };
  float x[ROWS * INPUTS];
  for (int i = 0; i < ROWS * INPUTS; i++) {
    x[i] = (float)number(i, 3);
  }
  for (int activation = 0; activation < 2; activation++) {
    qn_mlp_net net = {0};
    qn_mlp_room room = {0};
    QN_CHECK_OK(qn_mlp_net_make("7 6", INPUTS, OUTPUTS, (qn_activation)activation, &net, &kit_error));
    const int64_t n = qn_mlp_layer_start(&net, net.n_layers);
    float *parameters = malloc((size_t)n * sizeof *parameters);
    float *gradient = malloc((size_t)n * sizeof *gradient);
    qn_mlp_net_start(&net, 1, parameters);
    qn_mlp_net_point(&net, parameters);
    QN_CHECK_OK(qn_mlp_room_new(&net, ROWS, true, &room, &kit_error));
    half_square(&net, &room, x, ROWS, OUTPUTS);
    for (int l = net.n_layers - 1; l >= 0; l--) {
      qn_mlp_backward(&net, &room, ROWS, l, false, gradient + qn_mlp_layer_start(&net, l));
    }
    for (int64_t p = 0; p < n; p += 3) {
      const float kept = parameters[p];
      parameters[p] = kept + 1e-3f;
      const double above = half_square(&net, &room, x, ROWS, OUTPUTS);
      parameters[p] = kept - 1e-3f;
      const double below = half_square(&net, &room, x, ROWS, OUTPUTS);
      parameters[p] = kept;
      QN_CHECK_FLOAT((double)gradient[p], (above - below) / 2e-3, 0.02 + 0.02 * fabs((double)gradient[p]));
    }
    qn_mlp_room_release(&room);
    free(parameters);
    free(gradient);
  }
}

static void tanh_is_tanh(void) {
  enum { N = 4001 };
  qn_mlp_net net = {.n_layers = 2, .widths = {1, 1, 1}, .activation = QN_TANH};
  qn_mlp_room room = {0};
  const float parameters[4] = {1, 0, 1, 0};
  double worst = 0;
  qn_mlp_net_point(&net, parameters);
  QN_CHECK_OK(qn_mlp_room_new(&net, N, false, &room, &kit_error));
  for (int i = 0; i < N; i++) {
    room.values[0][i] = (float)(i - N / 2) / 100;
  }
  qn_mlp_forward(&net, &room, N);
  for (int i = 0; i < N; i++) {
    worst = fmax(worst, fabs((double)room.values[2][i] - tanh((double)room.values[0][i])));
  }
  QN_CHECK(worst < 1e-6);
  qn_mlp_room_release(&room);
}

static void run_tests(void) {
  KIT_RUN(tanh_is_tanh);
  KIT_RUN(gradients_are_derivatives);
  KIT_RUN(classes_are_learned);
  KIT_RUN(numbers_are_learned);
  KIT_RUN(exact_mode_gives_the_same_bits_on_one_rank_and_on_all);
  KIT_RUN(going_on_gives_the_same_bits);
  KIT_RUN(mistakes_are_told);
}

int main(void) {
  return fixture_main(run_tests);
}
