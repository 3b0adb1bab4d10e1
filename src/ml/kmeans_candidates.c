// SPDX-License-Identifier: Apache-2.0
// Weighted k-means++ on candidates; its distances are products of all candidates with the few drawn at once.
#include "ml/kmeans_candidates.h"
#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include "base/check.h"
#include "ml/counter_random.h"
#include "ml/doubles.h"
#include "ml/nearest_centre.h"

enum { MAX_TRIALS = 16, MOST_TRIES = 10, STEPS = 30, STREAM = 1 << 20 };
static const double FLOPS_OF_TRIES = 2e10;

typedef struct choice {
  int64_t n;
  int n_columns, n_trials;
  const double *weights;
  double *rows;      // [n, n_columns], from the origin
  double *norms;     // [n] squared
  double *distances; // [n] from the nearest one chosen
  double *trials;    // [MAX_TRIALS, n_columns]
  double *products;  // [n, n_trials], then squared distances
} choice;

qn_status qn_candidates_count(const qn_buffer *candidates, int n_columns, int64_t *n_different,
                              qn_error *err) {
  qn_status status = QN_OK;
  const int64_t size = n_columns * (int64_t)sizeof(double);
  const int64_t n = candidates->size / size;
  uint64_t *hashes = NULL;
  int64_t count = 0;
  int64_t n_slots = 16;

  while (n_slots < 2 * n) {
    n_slots *= 2;
  }
  hashes = qn_memory_alloc(n_slots * (int64_t)sizeof *hashes);
  QN_REQUIRE(hashes != NULL, err, QN_ERR_MEMORY, "no memory to count %lld seeds", (long long)n);
  memset(hashes, 0, (size_t)n_slots * sizeof *hashes);
  for (int64_t i = 0; i < n; i++) { // 64 bits: two different rows in one hash are not to be expected
    const double *row = (const double *)(const void *)(candidates->data + i * size);
    uint64_t hash = 1;
    for (int j = 0; j < n_columns; j++) {
      const double value = row[j] + 0.0; // -0 is 0
      hash = qn_hash_combine(hash, qn_hash_bytes(&value, (int64_t)sizeof value, 0));
    }
    hash += hash == 0;
    int64_t slot = (int64_t)(hash & (uint64_t)(n_slots - 1));
    while (hashes[slot] != 0 && hashes[slot] != hash) {
      slot = (slot + 1) & (n_slots - 1);
    }
    count += hashes[slot] == 0;
    hashes[slot] = hash;
  }
  *n_different = count;
done:
  qn_memory_free(hashes);
  return status;
}

static void close_choice(choice *c) {
  qn_memory_free(c->rows);
  qn_memory_free(c->norms);
  qn_memory_free(c->distances);
  qn_memory_free(c->trials);
  qn_memory_free(c->products);
}

static qn_status open_choice(choice *c, const double *candidates, const double *origin, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_doubles_new(c->n, c->n_columns, &c->rows, err));
  QN_TRY(qn_doubles_new(c->n, 1, &c->norms, err));
  QN_TRY(qn_doubles_new(c->n, 1, &c->distances, err));
  QN_TRY(qn_doubles_new(MAX_TRIALS, c->n_columns, &c->trials, err));
  QN_TRY(qn_doubles_new(c->n, MAX_TRIALS, &c->products, err));
  for (int64_t i = 0; i < c->n; i++) {
    for (int j = 0; j < c->n_columns; j++) {
      double *value = c->rows + i * c->n_columns + j;
      *value = candidates[i * c->n_columns + j] - origin[j];
      c->norms[i] += *value * *value;
    }
    c->distances[i] = INFINITY;
  }
done:
  return status;
}

// The candidate at that share of the weighted distances; before anything is chosen, of the weights.
static int64_t draw(const choice *c, bool is_first, double share) {
  double total = 0;
  for (int64_t i = 0; i < c->n; i++) {
    total += c->weights[i] * (is_first ? 1.0 : c->distances[i]);
  }
  int64_t last = 0;
  double sum = 0;
  for (int64_t i = 0; i < c->n && !(sum > share * total); i++) {
    const double part = c->weights[i] * (is_first ? 1.0 : c->distances[i]);
    last = part > 0 ? i : last;
    sum += part;
  }
  return last;
}

// Draws some, and takes the one that leaves the smallest weighted sum of distances.
static int64_t choose_next(choice *c, int64_t step, uint64_t seed) {
  int64_t drawn[MAX_TRIALS] = {0};
  double sums[MAX_TRIALS] = {0};
  int best = 0;
  const int n_trials = step == 0 ? 1 : c->n_trials;

  for (int t = 0; t < n_trials; t++) {
    drawn[t] = draw(c, step == 0, qn_counter_uniform(seed, (uint64_t)(STREAM + step), (uint64_t)t));
    memcpy(c->trials + t * c->n_columns, c->rows + drawn[t] * c->n_columns,
           (size_t)c->n_columns * sizeof(double));
  }
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)c->n, n_trials, c->n_columns, -2.0, c->rows,
              c->n_columns, c->trials, c->n_columns, 0.0, c->products, n_trials);
  for (int64_t i = 0; i < c->n; i++) {
    for (int t = 0; t < n_trials; t++) {
      double *distance = c->products + i * n_trials + t;
      *distance = fmax(0.0, *distance + c->norms[i] + c->norms[drawn[t]]);
      *distance = drawn[t] == i ? 0.0 : fmin(*distance, c->distances[i]);
      sums[t] += c->weights[i] * *distance;
    }
  }
  for (int t = 1; t < n_trials; t++) {
    best = sums[t] < sums[best] ? t : best;
  }
  for (int64_t i = 0; i < c->n; i++) {
    c->distances[i] = c->products[i * n_trials + best];
  }
  return drawn[best];
}

// k-means on the candidates; a centre that has none of them stays.
static qn_status refine(const choice *c, int64_t k, double *centres, double *cost, qn_error *err) {
  qn_status status = QN_OK;
  double *sums = NULL;
  double *scores = NULL;
  int32_t *which = NULL;
  qn_nearest nearest = {0};
  bool has_changed = true;

  QN_TRY(qn_nearest_init(&nearest, c->n_columns, k, NULL, err));
  QN_TRY(qn_doubles_new(k, c->n_columns + 1, &sums, err));
  QN_TRY(qn_doubles_new(c->n, 1, &scores, err));
  which = qn_memory_alloc(c->n * (int64_t)sizeof *which);
  QN_REQUIRE(which != NULL, err, QN_ERR_MEMORY, "no memory for %lld seeds", (long long)c->n);
  for (int step = 0; step < STEPS && has_changed; step++) {
    double *weights = sums + k * c->n_columns;
    has_changed = false;
    memset(sums, 0, (size_t)(k * (c->n_columns + 1)) * sizeof(double));
    qn_nearest_set(&nearest, k, centres);
    qn_nearest_find(&nearest, c->n, c->rows, which, scores);
    qn_nearest_add(c->n_columns, c->n, c->rows, c->weights, which, sums, weights);
    for (int64_t i = 0; i < k * c->n_columns; i++) {
      const double weight = weights[i / c->n_columns];
      const double moved = weight > 0 ? sums[i] / weight : centres[i];
      has_changed = has_changed || moved != centres[i];
      centres[i] = moved;
    }
  }
  *cost = 0;
  for (int64_t i = 0; i < c->n; i++) {
    *cost += c->weights[i] * scores[i];
  }
done:
  qn_memory_free(sums);
  qn_memory_free(scores);
  qn_memory_free(which);
  qn_nearest_release(&nearest);
  return status;
}

// One choice of all k, refined. *cost: weighted squared distances of the candidates, but for a constant.
static qn_status choose_all(choice *c, int64_t k, uint64_t seed, double *centres, double *cost,
                            qn_error *err) {
  qn_status status = QN_OK;

  for (int64_t i = 0; i < c->n; i++) {
    c->distances[i] = INFINITY;
  }
  for (int64_t step = 0; step < k; step++) {
    const int64_t next = choose_next(c, step, seed);
    memcpy(centres + step * c->n_columns, c->rows + next * c->n_columns,
           (size_t)c->n_columns * sizeof(double));
  }
  QN_TRY(refine(c, k, centres, cost, err));
done:
  return status;
}

// As many tries as cost little next to the passes over the rows.
static int count_tries(const choice *c, int64_t k) {
  const double flops = 2.0 * (double)c->n * (double)k * c->n_columns * (c->n_trials + STEPS);
  return (int)fmax(1.0, fmin(MOST_TRIES, FLOPS_OF_TRIES / flops));
}

qn_status qn_candidates_choose(const double *candidates, const double *weights, int64_t n, int n_columns,
                               const double *origin, int64_t k, uint64_t seed, double *centres,
                               qn_error *err) {
  qn_status status = QN_OK;
  choice c = {.n = n, .n_columns = n_columns, .weights = weights};
  double least = INFINITY;
  double *tried = NULL;

  c.n_trials = 2 + (int)log((double)k);
  c.n_trials = c.n_trials > MAX_TRIALS ? MAX_TRIALS : c.n_trials;
  QN_TRY(open_choice(&c, candidates, origin, err));
  QN_TRY(qn_doubles_new(k, n_columns, &tried, err));
  const int n_tries = count_tries(&c, k);
  for (int t = 0; t < n_tries; t++) {
    double cost = 0;
    QN_TRY(choose_all(&c, k, qn_hash_combine(seed, (uint64_t)t), tried, &cost, err));
    for (int64_t i = 0; i < k * n_columns && (t == 0 || cost < least); i++) {
      centres[i] = tried[i] + origin[i % n_columns];
    }
    least = fmin(least, cost);
  }
done:
  close_choice(&c);
  qn_memory_free(tried);
  return status;
}
