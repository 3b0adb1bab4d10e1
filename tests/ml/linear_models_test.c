// SPDX-License-Identifier: Apache-2.0
// Linear models and naive Bayes on any number of ranks: each rank also fits all rows by itself, and the
// models must be equal, in exact mode to the bit; gradients of the documented objectives, written plainly
// here, vanish at the fitted coefficients; sparse rows make the same models; a fit that was broken off goes
// on from its checkpoint to the same model; bad input is told in words.
#include <math.h>
#include <unistd.h>
#include "base/memory.h"
#include "ml/fit_fixture.h"
#include "ml/rows_memory.h"

enum { N_ROWS = 2000, N_COLUMNS = 9, N_CLASSES = 4 };

static double x[N_ROWS * N_COLUMNS], numbers[N_ROWS], pairs[N_ROWS], classes[N_ROWS], w[N_ROWS];

static double normal(int64_t i, int64_t j) {
  double sum = -6;
  for (int64_t k = 0; k < 12; k++) {
    sum += (double)(qn_hash_combine((uint64_t)(12 * i + k + 1), (uint64_t)j + 99) >> 11) * 0x1p-53;
  }
  return sum;
}

// Columns of very different means and scales, some of them 0 in many rows; column 7 is constant, column 8 is
// twice column 2.
static void make_rows(void) {
  static const double scales[] = {1, 1e-3, 1, 100, 1, 10, 1};
  static const double means[] = {0, 1, 0, -5000, 0, 0, 3};

  for (int64_t i = 0; i < N_ROWS; i++) {
    double score = 0.5;
    double *row = x + i * N_COLUMNS;
    for (int64_t j = 0; j < 7; j++) {
      const bool is_zero = j % 2 == 0 && j < 6 && normal(i, j + 50) > 0.3;
      row[j] = is_zero ? 0 : means[j] + scales[j] * normal(i, j);
      score += (row[j] - means[j]) / scales[j] * (double)(j - 3) / 4;
    }
    row[7] = 5.3;
    row[8] = 2 * row[2];
    numbers[i] = score + normal(i, 200);
    pairs[i] = score + 1.5 * normal(i, 300) > 0;
    classes[i] = fmin(fmax(floor(score + normal(i, 400)) + 2, 0), N_CLASSES - 1);
    w[i] = 0.2 + fabs(normal(i, 500));
  }
}

typedef struct fit_case {
  const char *estimator, *options;
  int n_classes;
  bool is_exact, has_weights, is_float32, is_sparse;
  const char *checkpoint;
} fit_case;

static const double *labels_of(const fit_case *c) {
  return c->n_classes == 0 ? numbers : c->n_classes == 2 ? pairs : classes;
}

// The same rows without their zeros.
static void make_sparse(const qn_rows *dense, qn_comm *on, const fit_case *c, qn_rows **out) {
  const qn_rows_shape shape = {.n_total = N_ROWS,
                               .n_lanes = dense->n_lanes,
                               .n_columns = N_COLUMNS,
                               .has_label = true,
                               .has_weight = c->has_weights,
                               .is_sparse = true,
                               .is_exact = c->is_exact};
  int64_t n = 0;

  for (int64_t i = 0; i < dense->n_local * N_COLUMNS; i++) {
    n += dense->x[i] != 0;
  }
  QN_CHECK_OK(qn_rows_new(&shape, qn_comm_size(on), qn_comm_rank(on), out, &kit_error));
  QN_CHECK_OK(qn_rows_new_sparse(*out, n, &kit_error));
  int64_t *starts = qn_rows_write_starts(*out);
  n = 0;
  starts[0] = 0;
  for (int64_t i = 0; i < dense->n_local; i++) {
    for (int j = 0; j < N_COLUMNS; j++) {
      if (dense->x[i * N_COLUMNS + j] != 0) {
        qn_rows_write_columns(*out)[n] = j;
        qn_rows_write_values(*out)[n++] = dense->x[i * N_COLUMNS + j];
      }
    }
    starts[i + 1] = n;
    qn_rows_write_y(*out)[i] = dense->y[i];
    if (c->has_weights) {
      qn_rows_write_w(*out)[i] = dense->w[i];
    }
  }
  (*out)->total_weight = dense->total_weight;
}

static qn_status fit_on(qn_comm *on, const fit_case *c, qn_model *model) {
  const qn_training how = {.seed = 7,
                           .exact = c->is_exact,
                           .float32 = c->is_float32,
                           .checkpoint = c->checkpoint,
                           .checkpoint_steps = 2,
                           .report_seconds = -1};
  const qn_rows_source source = {.n_total = N_ROWS,
                                 .n_columns = N_COLUMNS,
                                 .x = x,
                                 .y = labels_of(c),
                                 .w = c->has_weights ? w : NULL,
                                 .is_exact = c->is_exact,
                                 .is_float32 = c->is_float32};
  qn_rows *rows = NULL;
  qn_rows *sparse = NULL;

  new_model(c->estimator, c->options, N_ROWS, c->n_classes, model);
  if (!c->is_sparse) {
    return fit_source(on, &how, &source, model);
  }
  QN_CHECK_OK(qn_rows_from_memory(on, &source, &rows, &kit_error));
  make_sparse(rows, on, c, &sparse);
  const qn_status status = qn_fit_rows(model, on, &how, NULL, sparse, c->checkpoint == NULL, &kit_error);
  qn_rows_free(rows);
  qn_rows_free(sparse);
  return status;
}

// Coefficients count by what they do: times the columns' scales, which are up to 100 or down to 1e-3.
static void check_equal(const qn_model *a, const qn_model *b, double tolerance) {
  QN_CHECK_INT(a->arrays.n, b->arrays.n);
  for (int i = 0; i < a->arrays.n; i++) {
    const qn_array *one = a->arrays.items + i;
    const qn_array *two = b->arrays.items + i;
    int64_t n = 1;
    for (int d = 0; d < one->n_dims; d++) {
      QN_CHECK_INT(one->dims[d], two->dims[d]);
      n *= one->dims[d];
    }
    double worst = 0;
    double largest = 0;
    for (int64_t v = 0; v < n; v++) {
      const double p = ((const double *)one->data)[v];
      worst = fmax(worst, fabs(p - ((const double *)two->data)[v]));
      largest = fmax(largest, fabs(p));
    }
    if (tolerance == 0) {
      QN_CHECK_INT(memcmp(one->data, two->data, (size_t)n * 8), 0);
    }
    QN_CHECK_FLOAT(worst, 0.0, tolerance * largest);
  }
}

static const fit_case cases[] = {
    {.estimator = "linear", .options = ""},
    {.estimator = "linear", .options = "l2=3", .has_weights = true},
    {.estimator = "linear", .options = "solver=lbfgs l2=3", .has_weights = true},
    {.estimator = "elastic_net", .options = "alpha=0.1 l1_ratio=0.7", .has_weights = true},
    {.estimator = "elastic_net", .options = "alpha=0.3", .is_float32 = true},
    {.estimator = "elastic_net", .options = "solver=rows alpha=0.1 l1_ratio=0.7", .has_weights = true},
    {.estimator = "elastic_net", .options = "solver=rows alpha=0.3", .is_float32 = true},
    {.estimator = "logistic", .options = "l2=1e-3", .n_classes = 2, .has_weights = true},
    {.estimator = "logistic", .options = "l2=1e-3", .n_classes = 2, .is_float32 = true},
    {.estimator = "logistic", .options = "l2=1e-3", .n_classes = N_CLASSES, .has_weights = true},
    {.estimator = "logistic", .options = "solver=mini_batch max_iterations=3", .n_classes = N_CLASSES},
    {.estimator = "logistic",
     .options = "solver=mini_batch max_iterations=3 batch_rows=300",
     .n_classes = 2,
     .has_weights = true},
    {.estimator = "svm", .options = "l2=1e-3", .n_classes = 2},
    {.estimator = "svm", .options = "l2=1e-3", .n_classes = N_CLASSES, .has_weights = true},
    {.estimator = "bayes", .options = "", .n_classes = N_CLASSES, .has_weights = true},
    {.estimator = "bayes", .options = "kind=bernoulli", .n_classes = N_CLASSES},
};
enum { N_CASES = sizeof cases / sizeof *cases };

static void models_do_not_depend_on_the_number_of_ranks(void) {
  for (int i = 0; i < 4 * N_CASES; i++) {
    fit_case c = cases[i / 4];
    qn_model together = {0};
    qn_model single = {0};
    c.is_exact = i % 2;
    c.is_sparse = i / 2 % 2 == 1 && !c.is_float32;
    QN_CHECK_OK(fit_on(comm, &c, &together));
    QN_CHECK_OK(fit_on(alone, &c, &single));
    check_equal(&together, &single, c.is_exact ? 0 : 1e-5);
    release(&together);
    release(&single);
  }
}

static void sparse_rows_make_the_same_models(void) {
  for (int i = 0; i < N_CASES; i++) {
    fit_case c = cases[i];
    qn_model dense = {0};
    qn_model sparse = {0};
    if (c.is_float32 || strstr(c.options, "mini_batch") != NULL) {
      continue;
    }
    QN_CHECK_OK(fit_on(comm, &c, &dense));
    c.is_sparse = true;
    QN_CHECK_OK(fit_on(comm, &c, &sparse));
    check_equal(&dense, &sparse, 1e-5);
    release(&dense);
    release(&sparse);
  }
}

// The derivative of the loss by each margin.
static void derive(const fit_case *c, int64_t row, int n_outputs, double *m) {
  const double label = labels_of(c)[row];
  double sum = 0;

  for (int k = 0; k < n_outputs; k++) {
    sum += exp(m[k]);
  }
  for (int k = 0; k < n_outputs; k++) {
    const bool is_own = n_outputs == 1 ? label == 1 : label == k;
    const double t = is_own ? 1 : -1;
    if (c->n_classes == 0) {
      m[k] = 2 * (m[k] - label);
    } else if (strcmp(c->estimator, "svm") == 0) {
      m[k] = t * m[k] < 1 ? -2 * t * (1 - t * m[k]) : 0;
    } else if (n_outputs == 1) {
      m[k] = 1 / (1 + exp(-m[k])) - is_own;
    } else {
      m[k] = exp(m[k]) / sum - is_own;
    }
  }
}

// At the fitted coefficients, times the columns' scale.
static void check_gradient(const fit_case *c, double l2, const qn_model *model, double tolerance) {
  static const double scales[N_COLUMNS + 1] = {1, 1e-3, 1, 5000, 1, 10, 3, 5, 2, 1};
  const int n_outputs = c->n_classes > 2 ? c->n_classes : 1;
  const double *b = values_of(model, "coefficients");
  const double *intercept = values_of(model, "intercept");
  double gradient[N_CLASSES][N_COLUMNS + 1] = {{0}};
  double weight = 0;

  for (int64_t row = 0; row < N_ROWS; row++) {
    double m[N_CLASSES];
    for (int k = 0; k < n_outputs; k++) {
      m[k] = intercept[k];
      for (int j = 0; j < N_COLUMNS; j++) {
        m[k] += x[row * N_COLUMNS + j] * b[k * N_COLUMNS + j];
      }
    }
    derive(c, row, n_outputs, m);
    const double own = c->has_weights ? w[row] : 1;
    weight += own;
    for (int k = 0; k < n_outputs; k++) {
      for (int j = 0; j <= N_COLUMNS; j++) {
        gradient[k][j] += own * m[k] * (j < N_COLUMNS ? x[row * N_COLUMNS + j] : 1);
      }
    }
  }
  for (int k = 0; k < n_outputs; k++) {
    for (int j = 0; j <= N_COLUMNS; j++) {
      const double penalty = j < N_COLUMNS ? l2 * b[k * N_COLUMNS + j] : 0;
      const double share = c->n_classes == 0 ? 1 : 1 / weight; // linear sums, the others take means
      QN_CHECK_FLOAT(gradient[k][j] * share + penalty, 0.0, tolerance * scales[j] * share * weight);
    }
  }
}

static void gradients_vanish_at_the_end(void) {
  for (int i = 0; i < N_CASES; i++) {
    fit_case c = cases[i];
    char options[128];
    const char *l2 = strstr(c.options, "l2=");
    qn_model model = {0};
    if (c.is_float32 || strcmp(c.estimator, "bayes") == 0 || strcmp(c.estimator, "elastic_net") == 0 ||
        strstr(c.options, "mini_batch") != NULL) {
      continue;
    }
    const double strength = l2 == NULL ? 0 : strtod(l2 + 3, NULL);
    snprintf(options, sizeof options, "%s tolerance=1e-8", c.options);
    c.options = options;
    QN_CHECK_OK(fit_on(comm, &c, &model));
    check_gradient(&c, c.n_classes == 0 ? 2 * strength : strength, &model, 1e-6);
    release(&model);
  }
}

static void of_columns_that_depend_on_each_other_the_shortest_solution_is_taken(void) {
  qn_model model = {0};
  QN_CHECK_OK(fit_on(comm, &(fit_case){.estimator = "linear", .options = ""}, &model));
  const double *b = values_of(&model, "coefficients");
  QN_CHECK_FLOAT(b[8], 2 * b[2], 1e-9); // the one along (1, 2)
  QN_CHECK(b[7] == 0);                  // a constant column
  release(&model);
}

// Both ways to an elastic net, and the one without any products of columns, which a budget forces that has no
// room for them.
static void an_elastic_net_is_the_same_without_the_gram_matrix(void) {
  static const char *const penalties[] = {"alpha=0.5", "alpha=0.01", "alpha=0.1 l1_ratio=0.5",
                                          "alpha=0.1 no_intercept=true"};
  for (int i = 0; i < 8; i++) {
    char options[128];
    fit_case c = {
        .estimator = "elastic_net", .options = options, .has_weights = true, .is_sparse = i % 2 == 1};
    qn_model models[3] = {{0}, {0}, {0}};
    for (int way = 0; way < 3; way++) {
      snprintf(options, sizeof options, "%s tolerance=1e-11 max_iterations=100000 solver=%s",
               penalties[i / 2], way == 0 ? "gram" : "rows");
      qn_memory_set_budget(way == 2 ? qn_memory_used() + 500 : 0);
      QN_CHECK_OK(fit_on(comm, &c, &models[way]));
      qn_memory_set_budget(0);
    }
    check_equal(&models[0], &models[1], 1e-5);
    check_equal(&models[0], &models[2], 1e-5);
    for (int j = 0; j < N_COLUMNS; j++) {
      QN_CHECK_INT(values_of(&models[0], "coefficients")[j] == 0,
                   values_of(&models[1], "coefficients")[j] == 0);
      QN_CHECK_INT(values_of(&models[0], "coefficients")[j] == 0,
                   values_of(&models[2], "coefficients")[j] == 0);
    }
    for (int way = 0; way < 3; way++) {
      release(&models[way]);
    }
  }
}

static void a_fit_goes_on_from_its_checkpoint(void) {
  static const fit_case long_ones[] = {
      {.estimator = "logistic", .options = "l2=1e-3", .n_classes = 2},
      {.estimator = "logistic", .options = "l2=1e-3", .n_classes = N_CLASSES},
      {.estimator = "logistic", .options = "solver=mini_batch max_iterations=7", .n_classes = N_CLASSES},
      {.estimator = "svm", .options = "l2=1e-3", .n_classes = N_CLASSES},
      {.estimator = "elastic_net", .options = "alpha=1e-5 tolerance=0 max_iterations=90"},
      {.estimator = "elastic_net", .options = "solver=rows alpha=1e-5 tolerance=0 max_iterations=900"}};
  char path[64];
  snprintf(path, sizeof path, "/tmp/quern_linear_test_%d.h5", (int)getppid());
  for (size_t i = 0; i < sizeof long_ones / sizeof *long_ones; i++) {
    fit_case c = long_ones[i];
    qn_model plain = {0};
    qn_model broken = {0};
    qn_model resumed = {0};
    c.is_exact = true;
    QN_CHECK_OK(fit_on(alone, &c, &plain));
    c.checkpoint = path;
    failing_step = 6;
    QN_CHECK_FAILS(fit_on(comm, &c, &broken), QN_ERR_VALUE);
    failing_step = 2; // it goes on behind this one
    QN_CHECK_OK(fit_on(comm, &c, &resumed));
    failing_step = 0;
    check_equal(&plain, &resumed, 0);
    release(&plain);
    release(&broken);
    release(&resumed);
    unlink(path);
    QN_CHECK_OK(qn_comm_barrier(comm, &kit_error));
    QN_CHECK_OK(qn_comm_agree(comm, QN_OK, &kit_error));
  }
}

static void check_predictions(const fit_case *c) {
  static double outputs[N_ROWS * N_CLASSES];
  const qn_row_block block = {.n_rows = N_ROWS, .n_columns = N_COLUMNS, .x = x};
  qn_model model = {0};
  int64_t n_right = 0;

  QN_CHECK_OK(fit_on(comm, c, &model));
  QN_CHECK_OK(model.estimator->predict(&model, &block, outputs, &kit_error));
  for (int64_t i = 0; i < N_ROWS; i++) {
    const double *p = outputs + i * c->n_classes;
    double sum = 0;
    int best = 0;
    for (int k = 0; k < c->n_classes; k++) {
      sum += p[k];
      best = p[k] > p[best] ? k : best;
    }
    n_right += best == (int)labels_of(c)[i];
    if (!model.estimator->has_margins) {
      QN_CHECK_FLOAT(sum, 1.0, 1e-12);
    }
  }
  QN_CHECK(n_right > N_ROWS * 2 / 5); // of four classes, with much noise
  release(&model);
}

static void the_likeliest_class_is_most_often_right(void) {
  for (int i = 0; i < N_CASES; i++) {
    if (cases[i].n_classes > 0 && strcmp(cases[i].options, "kind=bernoulli") != 0) {
      check_predictions(&cases[i]);
    }
  }
}

static void fails(const fit_case *c, qn_status wanted, const char *part) {
  qn_model model = {0};
  QN_CHECK_FAILS(fit_on(comm, c, &model), wanted);
  QN_CHECK_MESSAGE(part);
  release(&model);
}

static void bad_input_is_told(void) {
  fails(&(fit_case){.estimator = "bayes", .options = "kind=multinomial", .n_classes = 2}, QN_ERR_VALUE,
        "counts, which are not negative");
  fails(&(fit_case){.estimator = "logistic",
                    .options = "solver=mini_batch learning_rate=1e9",
                    .n_classes = N_CLASSES},
        QN_ERR_VALUE, "take a tenth of it");
  fails(&(fit_case){.estimator = "logistic", .options = "solver=normal", .n_classes = 2}, QN_ERR_ARG,
        "which only linear has");
  memset(w, 0, sizeof w);
  fails(&(fit_case){.estimator = "linear", .options = "", .has_weights = true}, QN_ERR_VALUE, "weight");
  for (int64_t i = 0; i < N_ROWS; i++) {
    x[i * N_COLUMNS] = 1e200 * (i % 2 == 0 ? 1 : -1.5);
  }
  fails(&(fit_case){.estimator = "bayes", .options = "", .n_classes = 2}, QN_ERR_VALUE, "too large");
  fails(&(fit_case){.estimator = "linear", .options = ""}, QN_ERR_VALUE, "too large");
  fails(&(fit_case){.estimator = "logistic", .options = "", .n_classes = 2}, QN_ERR_VALUE, "too large");
}

static void run_tests(void) {
  make_rows();
  KIT_RUN(models_do_not_depend_on_the_number_of_ranks);
  KIT_RUN(sparse_rows_make_the_same_models);
  KIT_RUN(gradients_vanish_at_the_end);
  KIT_RUN(of_columns_that_depend_on_each_other_the_shortest_solution_is_taken);
  KIT_RUN(an_elastic_net_is_the_same_without_the_gram_matrix);
  KIT_RUN(a_fit_goes_on_from_its_checkpoint);
  KIT_RUN(the_likeliest_class_is_most_often_right);
  KIT_RUN(bad_input_is_told);
}

int main(void) {
  return fit_main(run_tests);
}
