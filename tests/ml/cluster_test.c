// SPDX-License-Identifier: Apache-2.0
// k-means, mixtures, decompositions and neighbours on any number of ranks: each rank also fits all rows by
// itself, and the models must be equal, in exact mode to the bit; a fit that was broken off goes on from its
// checkpoint to the same model; bad input is told in words.
#include <math.h>
#include <unistd.h>
#include "ml/fit_fixture.h"
#include "ml/fit_progress.h"

enum { N_ROWS = 3000, N_COLUMNS = 6, N_CLUSTERS = 5 };

static double x[N_ROWS * N_COLUMNS], y[N_ROWS], w[N_ROWS];

// Clusters of different sizes and widths, far from 0.
static void make_rows(void) {
  for (int64_t i = 0; i < N_ROWS; i++) {
    const int64_t cluster = (int64_t)(N_CLUSTERS * uniform(i, 100) * uniform(i, 101));
    for (int64_t j = 0; j < N_COLUMNS; j++) {
      const double noise = uniform(i, j) + uniform(i, j + 20) + uniform(i, j + 40) - 1.5;
      x[i * N_COLUMNS + j] = 1000 + 6 * uniform(-2 - cluster, j) + noise * (1 + 0.2 * (double)j);
    }
    y[i] = (double)cluster;
    w[i] = 0.5 + uniform(i, 200);
  }
}

typedef struct fit_case {
  const char *estimator, *options;
  bool is_exact, has_labels, has_weights, is_float32;
  const char *checkpoint;
  int64_t n_rows;
} fit_case;

static qn_status fit_on(qn_comm *on, const fit_case *c, qn_model *model) {
  const qn_training how = {.seed = 7,
                           .exact = c->is_exact,
                           .float32 = c->is_float32,
                           .checkpoint = c->checkpoint,
                           .checkpoint_steps = 2,
                           .report_seconds = -1};
  const qn_rows_source source = {.n_total = c->n_rows > 0 ? c->n_rows : N_ROWS,
                                 .n_columns = N_COLUMNS,
                                 .x = x,
                                 .y = c->has_labels ? y : NULL,
                                 .w = c->has_weights ? w : NULL,
                                 .is_exact = c->is_exact,
                                 .is_float32 = c->is_float32};

  new_model(c->estimator, c->options, source.n_total, 0, model);
  return fit_source(on, &how, &source, model);
}

static void check_equal(const qn_model *a, const qn_model *b, bool to_the_bit) {
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
    for (int64_t v = 0; v < n && one->type == QN_FLOAT64; v++) {
      const double p = ((const double *)one->data)[v];
      const double q = ((const double *)two->data)[v];
      worst = fmax(worst, fabs(p - q) / (1 + fabs(p)));
    }
    if (to_the_bit) {
      QN_CHECK_INT(memcmp(one->data, two->data, (size_t)n * 8), 0);
    }
    QN_CHECK_FLOAT(worst, 0.0, 1e-7);
  }
}

static const fit_case cases[] = {
    {.estimator = "kmeans", .options = "k=5 n_starts=3"},
    {.estimator = "kmeans", .options = "k=40 tolerance=0", .has_weights = true},
    {.estimator = "kmeans", .options = "k=7", .is_float32 = true},
    {.estimator = "mixture", .options = "k=4"},
    {.estimator = "mixture", .options = "k=4 covariance=diagonal", .has_weights = true},
    {.estimator = "pca", .options = "k=3 whiten=true"},
    {.estimator = "pca", .options = "k=2 method=randomised", .has_weights = true},
    {.estimator = "svd", .options = "k=2", .has_weights = true},
    {.estimator = "svd", .options = "k=2 method=randomised", .is_float32 = true},
    {.estimator = "neighbours", .options = "k=3", .has_labels = true, .has_weights = true},
    {.estimator = "neighbours", .options = "k=3 list=true"},
};

static void models_do_not_depend_on_the_number_of_ranks(void) {
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    for (int is_exact = 0; is_exact < 2; is_exact++) {
      fit_case c = cases[i];
      qn_model together = {0};
      qn_model single = {0};
      c.is_exact = is_exact;
      QN_CHECK_OK(fit_on(comm, &c, &together));
      QN_CHECK_OK(fit_on(alone, &c, &single));
      check_equal(&together, &single, is_exact);
      release(&together);
      release(&single);
    }
  }
}

static void a_fit_goes_on_from_its_checkpoint(void) {
  static const fit_case long_ones[] = {
      {.estimator = "kmeans", .options = "k=30 tolerance=0 n_starts=2"},
      {.estimator = "mixture", .options = "k=4 tolerance=0 max_iterations=12"}};
  char path[64];
  snprintf(path, sizeof path, "/tmp/quern_cluster_test_%d.h5", (int)getppid());
  for (size_t i = 0; i < sizeof long_ones / sizeof *long_ones; i++) {
    fit_case c = long_ones[i];
    qn_model plain = {0};
    qn_model broken = {0};
    qn_model resumed = {0};
    c.is_exact = true;
    QN_CHECK_OK(fit_on(alone, &c, &plain));
    c.checkpoint = path;
    failing_step = 7;
    QN_CHECK_FAILS(fit_on(comm, &c, &broken), QN_ERR_VALUE);
    failing_step = 2; // it goes on behind this one
    QN_CHECK_OK(fit_on(comm, &c, &resumed));
    failing_step = 0;
    check_equal(&plain, &resumed, true);
    release(&plain);
    release(&broken);
    release(&resumed);
    unlink(path);
    QN_CHECK_OK(qn_comm_barrier(comm, &kit_error));
    QN_CHECK_OK(qn_comm_agree(comm, QN_OK, &kit_error));
  }
}

static void fails(const fit_case *c, const char *part) {
  qn_model model = {0};
  QN_CHECK_FAILS(fit_on(comm, c, &model), QN_ERR_VALUE);
  QN_CHECK_MESSAGE(part);
  release(&model);
}

static void bad_input_is_told(void) {
  fails(&(fit_case){.estimator = "kmeans", .options = "k=8", .n_rows = 5}, "only 5 rows");
  fails(&(fit_case){.estimator = "pca", .options = "k=7"}, "choose k <= 6");
  fails(&(fit_case){.estimator = "neighbours", .options = "k=8", .n_rows = 5}, "only 5 rows");
  for (int64_t i = 0; i < N_ROWS * N_COLUMNS; i++) {
    x[i] = 0.1 * (double)(1 + i / N_COLUMNS % 3); // three different rows
  }
  fails(&(fit_case){.estimator = "kmeans", .options = "k=4"}, "only 3 different rows");
  fails(&(fit_case){.estimator = "mixture", .options = "k=2 regularisation=0"}, "not positive definite");
  fails(&(fit_case){.estimator = "mixture", .options = "k=3 covariance=diagonal regularisation=0"},
        "raise regularisation");
  fails(&(fit_case){.estimator = "pca", .options = "k=2 whiten=true"}, "choose k <= 1");
  qn_model model = {0};
  QN_CHECK_OK(fit_on(comm, &(fit_case){.estimator = "kmeans", .options = "k=3"}, &model));
  release(&model);
  for (int64_t i = 0; i < N_ROWS * N_COLUMNS; i++) {
    x[i] = 3;
  }
  fails(&(fit_case){.estimator = "kmeans", .options = "k=2"}, "only 1 different rows");
  fails(&(fit_case){.estimator = "pca", .options = "k=2"}, "all rows are equal");
  QN_CHECK_OK(fit_on(comm, &(fit_case){.estimator = "kmeans", .options = "k=1"}, &model));
  QN_CHECK_FLOAT(values_of(&model, "centres")[0], 3, 1e-12);
  release(&model);
  make_rows();
}

// Outputs of the first n rows.
static void predict(const qn_model *model, int64_t n, double *outputs) {
  const qn_row_block block = {.n_rows = n, .n_columns = N_COLUMNS, .x = x};
  QN_CHECK_OK(model->estimator->predict(model, &block, outputs, &kit_error));
}

static double distance_of(int64_t i, const double *point) {
  double sum = 0;
  for (int64_t j = 0; j < N_COLUMNS; j++) {
    sum += (x[i * N_COLUMNS + j] - point[j]) * (x[i * N_COLUMNS + j] - point[j]);
  }
  return sqrt(sum);
}

static void clusters_are_the_nearest_centres(void) {
  static double outputs[2 * N_ROWS];
  qn_model model = {0};
  QN_CHECK_OK(fit_on(comm, &(fit_case){.estimator = "kmeans", .options = "k=21"}, &model));
  const double *centres = values_of(&model, "centres");
  int64_t n_wrong = 0;
  predict(&model, N_ROWS, outputs);
  for (int64_t i = 0; i < N_ROWS; i++) {
    double least = INFINITY;
    for (int64_t c = 0; c < 21; c++) {
      least = fmin(least, distance_of(i, centres + c * N_COLUMNS));
    }
    n_wrong += fabs(outputs[2 * i + 1] - least) > 1e-6;
    n_wrong += fabs(distance_of(i, centres + (int64_t)outputs[2 * i] * N_COLUMNS) - least) > 1e-6;
  }
  QN_CHECK_INT(n_wrong, 0);
  release(&model);
}

static void neighbours_are_the_nearest_rows(void) {
  enum { N = 40, K = 4 };
  double outputs[N * 2 * K];
  qn_model model = {0};
  QN_CHECK_OK(fit_on(comm, &(fit_case){.estimator = "neighbours", .options = "k=4 list=true"}, &model));
  int64_t n_wrong = 0;
  predict(&model, N, outputs);
  for (int64_t q = 0; q < N; q++) {
    const double last = distance_of((int64_t)outputs[q * 2 * K + K - 1], x + q * N_COLUMNS);
    int64_t n_nearer = 0;
    for (int64_t i = 0; i < N_ROWS; i++) {
      n_nearer += distance_of(i, x + q * N_COLUMNS) < last;
    }
    n_wrong += (int64_t)outputs[q * 2 * K] != q; // each row is nearest to itself
    n_wrong += n_nearer != K - 1;
  }
  QN_CHECK_INT(n_wrong, 0);
  release(&model);
}

static void whitened_components_have_variance_1(void) {
  static double outputs[3 * N_ROWS];
  qn_model model = {0};
  QN_CHECK_OK(fit_on(comm, &(fit_case){.estimator = "pca", .options = "k=3 whiten=true"}, &model));
  predict(&model, N_ROWS, outputs);
  for (int c = 0; c < 3; c++) {
    double sum = 0;
    double squares = 0;
    for (int64_t i = 0; i < N_ROWS; i++) {
      sum += outputs[3 * i + c];
      squares += outputs[3 * i + c] * outputs[3 * i + c];
    }
    QN_CHECK_FLOAT(sum / N_ROWS, 0.0, 1e-9);
    QN_CHECK_FLOAT(squares / (N_ROWS - 1), 1.0, 1e-9);
  }
  release(&model);
}

static void probabilities_of_a_mixture_sum_to_1(void) {
  static double outputs[4 * N_ROWS];
  qn_model model = {0};
  double worst = 0;
  QN_CHECK_OK(fit_on(comm, &(fit_case){.estimator = "mixture", .options = "k=4"}, &model));
  predict(&model, N_ROWS, outputs);
  for (int64_t i = 0; i < N_ROWS; i++) {
    const double *p = outputs + 4 * i;
    worst = fmax(worst, fabs(p[0] + p[1] + p[2] + p[3] - 1));
  }
  QN_CHECK_FLOAT(worst, 0.0, 1e-12);
  release(&model);
}

static void run_tests(void) {
  make_rows();
  KIT_RUN(models_do_not_depend_on_the_number_of_ranks);
  KIT_RUN(a_fit_goes_on_from_its_checkpoint);
  KIT_RUN(clusters_are_the_nearest_centres);
  KIT_RUN(neighbours_are_the_nearest_rows);
  KIT_RUN(whitened_components_have_variance_1);
  KIT_RUN(probabilities_of_a_mixture_sum_to_1);
  KIT_RUN(bad_input_is_told);
}

int main(void) {
  return fit_main(run_tests);
}
