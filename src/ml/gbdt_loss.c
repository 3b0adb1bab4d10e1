// SPDX-License-Identifier: Apache-2.0
// Derivatives are rounded to integers in units of a power of two, 2^-30 of the largest: far below the noise
// of any data, and sums of integers are the same in any order. (Y. Shi et al., Quantized Training of Gradient
// Boosting Decision Trees, 2022, manage with a few bits.)
#include "ml/gbdt_loss.h"
#include <math.h>
#include "base/check.h"

enum { PAIR_BITS = 30, LARGEST_LOSS = 1 << 10 };

// A power of two so that values up to `most` are at most 2^bits units.
static double unit_of(double most, int bits) {
  int exponent = 0;
  frexp(most, &exponent);
  return most > 0 ? ldexp(1, exponent - bits) : 1;
}

// Bits that a value may have in sums over n rows.
static int sum_bits(int64_t n) {
  int bits = 62;
  for (; n > 0; n /= 2) {
    bits--;
  }
  return bits < 50 ? bits : 50;
}

// The largest of all ranks; values are >= 0, whose bits are in the order of the numbers. NaN comes out as
// NaN.
static qn_status find_most(qn_comm *comm, double mine, double *most, qn_error *err) {
  int64_t bits;
  memcpy(&bits, &mine, sizeof bits);
  const qn_status status = qn_comm_reduce_int64(comm, QN_MAX, &bits, 1, err);
  memcpy(most, &bits, sizeof bits);
  return status;
}

static double larger(double a, double b) {
  return b <= a ? a : b; // NaN stays
}

static double weight_of(const qn_gbdt_loss *loss, int64_t i) {
  return loss->w != NULL ? loss->w[i] : 1;
}

static bool is_held(const qn_gbdt_loss *loss, int64_t i) {
  return loss->is_held != NULL && loss->is_held[i];
}

qn_status qn_gbdt_loss_begin(qn_comm *comm, qn_gbdt_loss *loss, qn_error *err) {
  qn_status status = QN_OK;
  int64_t sums[2] = {0, 0};
  double most = 0;

  for (int64_t i = 0; i < loss->n; i++) {
    most = larger(most, weight_of(loss, i));
  }
  QN_TRY(find_most(comm, most, &loss->most_weight, err));
  const double unit = unit_of(loss->most_weight, sum_bits(loss->n_total));
  for (int64_t i = 0; i < loss->n; i++) {
    sums[is_held(loss, i)] += llrint(weight_of(loss, i) / unit);
  }
  QN_TRY(qn_comm_reduce_int64(comm, QN_SUM, sums, 2, err));
  loss->weights[0] = (double)sums[0] * unit;
  loss->weights[1] = (double)sums[1] * unit;
  QN_REQUIRE(loss->weights[0] > 0, err, QN_ERR_VALUE,
             "no rows to train on: there are %lld rows, and their weights sum to 0 without those held out",
             (long long)loss->n_total);

done:
  return status;
}

static qn_status base_of_numbers(qn_comm *comm, const qn_gbdt_loss *loss, double *base, qn_error *err) {
  qn_status status = QN_OK;
  double most = 0;
  int64_t sum = 0;

  for (int64_t i = 0; i < loss->n; i++) {
    most = larger(most, fabs(weight_of(loss, i) * loss->y[i]));
  }
  QN_TRY(find_most(comm, most, &most, err));
  QN_REQUIRE(isfinite(most), err, QN_ERR_VALUE, "the label is not finite in some row: remove such rows");
  const double unit = unit_of(most, sum_bits(loss->n_total));
  for (int64_t i = 0; i < loss->n; i++) {
    sum += is_held(loss, i) ? 0 : llrint(weight_of(loss, i) * loss->y[i] / unit);
  }
  QN_TRY(qn_comm_reduce_int64(comm, QN_SUM, &sum, 1, err));
  *base = (double)sum * unit / loss->weights[0];

done:
  return status;
}

static qn_status base_of_class(qn_comm *comm, const qn_gbdt_loss *loss, int class, double *share,
                               qn_error *err) {
  qn_status status = QN_OK;
  int64_t sum = 0;
  const double unit = unit_of(loss->most_weight, sum_bits(loss->n_total));

  for (int64_t i = 0; i < loss->n; i++) {
    sum += !is_held(loss, i) && (int)loss->y[i] == class ? llrint(weight_of(loss, i) / unit) : 0;
  }
  QN_TRY(qn_comm_reduce_int64(comm, QN_SUM, &sum, 1, err));
  *share = (double)sum * unit / loss->weights[0];
  *share = *share < 1e-15 ? 1e-15 : *share > 1 - 1e-15 ? 1 - 1e-15 : *share;

done:
  return status;
}

qn_status qn_gbdt_loss_base(qn_comm *comm, const qn_gbdt_loss *loss, double *base, qn_error *err) {
  qn_status status = QN_OK;
  double share = 0;

  switch (loss->kind) {
  case QN_GBDT_SQUARED:
    status = base_of_numbers(comm, loss, base, err);
    break;
  case QN_GBDT_LOGISTIC:
    QN_TRY(base_of_class(comm, loss, 1, &share, err));
    *base = log(share / (1 - share));
    break;
  case QN_GBDT_SOFTMAX:
    for (int k = 0; k < loss->n_scores; k++) {
      QN_TRY(base_of_class(comm, loss, k, &share, err));
      base[k] = log(share);
    }
    break;
  }

done:
  return status;
}

// --- By row -----------------------------------------------------------------------------------------------

typedef struct loss_sums {
  int64_t losses[2]; // of rows to train on, of those held out; in `unit`
  double unit;
} loss_sums;

static void add_loss(const qn_gbdt_loss *loss, loss_sums *sums, int64_t i, double value) {
  sums->losses[is_held(loss, i)] +=
      llrint((value < LARGEST_LOSS ? value : LARGEST_LOSS) * weight_of(loss, i) / sums->unit);
}

static qn_tree_pair round_pair(const qn_gbdt_loss *loss, double weight, double g, double h) {
  return (qn_tree_pair){.g = (int32_t)lrint(g * weight / loss->g_unit),
                        .h = (int32_t)lrint(h * weight / loss->h_unit)};
}

static void derive_logistic(const qn_gbdt_loss *loss, const double *scores, qn_tree_pair *pairs,
                            loss_sums *sums) {
  for (int64_t i = 0; i < loss->n; i++) {
    const double t = loss->y[i] > 0.5 ? scores[i] : -scores[i]; // the margin
    const double e = exp(-fabs(t));
    const double wrong = t >= 0 ? e / (1 + e) : 1 / (1 + e); // probability of the other class
    add_loss(loss, sums, i, (t >= 0 ? 0 : -t) + log1p(e));
    pairs[i] =
        round_pair(loss, weight_of(loss, i), loss->y[i] > 0.5 ? -wrong : wrong, e / ((1 + e) * (1 + e)));
  }
}

static void derive_softmax(const qn_gbdt_loss *loss, const double *scores, qn_tree_pair *pairs,
                           loss_sums *sums) {
  const int64_t n = loss->n;
  const int n_classes = loss->n_scores;
  // The diagonal of the second derivative understates what all classes together do.
  const double factor = (double)n_classes / (n_classes - 1);
  for (int64_t i = 0; i < n; i++) {
    double most = scores[i];
    double sum = 0;
    const int class = (int)loss->y[i];
    for (int k = 1; k < n_classes; k++) {
      most = larger(most, scores[k * n + i]);
    }
    for (int k = 0; k < n_classes; k++) {
      sum += exp(scores[k * n + i] - most);
    }
    add_loss(loss, sums, i, log(sum) + most - scores[class * n + i]);
    for (int k = 0; k < n_classes; k++) {
      const double p = exp(scores[k * n + i] - most) / sum;
      pairs[k * n + i] = round_pair(loss, weight_of(loss, i), p - (k == class), factor * p * (1 - p));
    }
  }
}

static void derive_squared(const qn_gbdt_loss *loss, const double *scores, qn_tree_pair *pairs,
                           loss_sums *sums) {
  for (int64_t i = 0; i < loss->n; i++) {
    const double residual = scores[i] - loss->y[i];
    const double weight = weight_of(loss, i);
    sums->losses[is_held(loss, i)] += llrint(residual * residual * weight / sums->unit);
    pairs[i] = round_pair(loss, weight, residual, 1);
  }
}

// Units of the round.
static qn_status set_units(qn_comm *comm, qn_gbdt_loss *loss, const double *scores, loss_sums *sums,
                           qn_error *err) {
  qn_status status = QN_OK;
  const int bits = sum_bits(loss->n_total);
  double most = 0;

  loss->g_unit = loss->h_unit = unit_of(loss->most_weight, PAIR_BITS);
  sums->unit = unit_of(loss->most_weight * LARGEST_LOSS, bits);
  if (loss->kind == QN_GBDT_SQUARED) {
    for (int64_t i = 0; i < loss->n; i++) {
      most = larger(most, fabs(scores[i] - loss->y[i]));
    }
    QN_TRY(find_most(comm, most, &most, err));
    QN_REQUIRE(most * most * loss->most_weight < 1e300, err, QN_ERR_VALUE,
               "the squared error of a row is too large or not a number: scale the label, or lower "
               "learning_rate");
    loss->g_unit = unit_of(most * loss->most_weight, PAIR_BITS);
    sums->unit = unit_of(most * most * loss->most_weight, bits);
  }

done:
  return status;
}

qn_status qn_gbdt_loss_derive(qn_comm *comm, qn_gbdt_loss *loss, const double *scores, qn_tree_pair *pairs,
                              double *means, qn_error *err) {
  qn_status status = QN_OK;
  loss_sums sums = {0};

  QN_TRY(set_units(comm, loss, scores, &sums, err));
  switch (loss->kind) {
  case QN_GBDT_SQUARED:
    derive_squared(loss, scores, pairs, &sums);
    break;
  case QN_GBDT_LOGISTIC:
    derive_logistic(loss, scores, pairs, &sums);
    break;
  case QN_GBDT_SOFTMAX:
    derive_softmax(loss, scores, pairs, &sums);
    break;
  }
  QN_TRY(qn_comm_reduce_int64(comm, QN_SUM, sums.losses, 2, err));
  for (int i = 0; i < 2; i++) {
    means[i] = loss->weights[i] > 0 ? (double)sums.losses[i] * sums.unit / loss->weights[i] : (double)NAN;
  }

done:
  return status;
}
