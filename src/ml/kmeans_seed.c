// SPDX-License-Identifier: Apache-2.0
// Seeds by k-means|| (Bahmani, Moseley, Vattani, Kumar and Vassilvitskii, 2012): a few passes that each draw
// many rows, in proportion to their squared distance from those drawn before; then k-means++ (Arthur and
// Vassilvitskii, 2007) on what was drawn, each candidate weighted by the rows nearest to it.
#include <math.h>
#include "base/buffer.h"
#include "base/check.h"
#include "base/mapped_room.h"
#include "ml/counter_random.h"
#include "ml/doubles.h"
#include "ml/kmeans.h"
#include "ml/kmeans_candidates.h"

enum { ROUNDS = 5, LEAST_A_ROUND = 64 };

typedef struct seeding {
  qn_kmeans_work *work;
  uint64_t seed;
  qn_buffer candidates; // rows
  int64_t n_candidates, n_done;
  double *distances;                        // [n_local] squared, from the nearest candidate so far
  int32_t *which;                           // [n_local] its number
  qn_mapped_room distance_room, which_room; // where they lie
  double potential;                         // their weighted sum over all rows
  qn_lane_sum *sum;                         // [1]
  int64_t *sizes;                           // [n_ranks]
} seeding;

static void close_seeding(seeding *s) {
  qn_buffer_release(&s->candidates);
  qn_mapped_room_release(&s->distance_room);
  qn_mapped_room_release(&s->which_room);
  qn_memory_free(s->sizes);
  qn_lane_sum_free(s->sum);
}

static qn_status open_seeding(qn_kmeans_work *work, uint64_t seed, seeding *s, qn_error *err) {
  qn_status status = QN_OK;
  const qn_rows *rows = work->rows;

  *s = (seeding){.work = work, .seed = seed};
  QN_TRY(qn_mapped_room_take(qn_rows_scratch(rows), rows->n_local, sizeof *s->distances, "distances of rows",
                             &s->distance_room, err));
  QN_TRY(qn_mapped_room_take(qn_rows_scratch(rows), rows->n_local, sizeof *s->which, "seeds of rows",
                             &s->which_room, err));
  s->distances = s->distance_room.data;
  s->which = s->which_room.data;
  s->sizes = qn_memory_alloc(qn_comm_size(work->comm) * (int64_t)sizeof *s->sizes);
  QN_REQUIRE(s->sizes != NULL, err, QN_ERR_MEMORY, "no memory for the sizes of ranks");
  QN_TRY(qn_lane_sum_new(work->comm, rows, work->is_exact, 1, &s->sum, err));
  for (int64_t i = 0; i < rows->n_local; i++) {
    s->distances[i] = INFINITY;
    s->which[i] = 0;
  }
done:
  return status;
}

static double weight_of(const qn_row_block *block, int64_t row) {
  return block->w == NULL ? 1.0 : block->w[row];
}

// All ranks' rows, in the order of their numbers, become candidates.
static qn_status gather_candidates(seeding *s, const qn_buffer *own, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t size = s->work->rows->n_columns * (int64_t)sizeof(double);
  qn_buffer all = {0};

  QN_TRY(qn_comm_gather(s->work->comm, own->data, own->size, &all, s->sizes, err));
  if (all.size > 0) {
    QN_TRY(qn_buffer_append(&s->candidates, all.data, all.size, err));
  }
  s->n_candidates += all.size / size;
done:
  qn_buffer_release(&all);
  return status;
}

// The first one is drawn in proportion to the weights: the row whose exponential waiting time is the
// shortest.
static qn_status draw_first(seeding *s, qn_error *err) {
  qn_status status = QN_OK;
  const qn_rows *rows = s->work->rows;
  const int64_t size = (2 + rows->n_columns) * (int64_t)sizeof(double);
  double *best = NULL; // waiting time, number of the row, row
  qn_buffer all = {0};

  QN_TRY(qn_doubles_new(2 + rows->n_columns, 1, &best, err));
  best[0] = INFINITY;
  for (int64_t i = 0; i < rows->n_blocks; i++) {
    qn_row_block block;
    int64_t at = -1;
    qn_rows_block(rows, i, &block);
    for (int64_t r = 0; r < block.n_rows; r++) {
      const double wait =
          -log(qn_counter_uniform(s->seed, 0, (uint64_t)(block.first_row + r))) / weight_of(&block, r);
      at = wait < best[0] ? r : at;
      best[0] = fmin(wait, best[0]);
    }
    if (at >= 0) {
      qn_row_block_densify(&block, s->work->room);
      best[1] = (double)(block.first_row + at);
      memcpy(best + 2, block.x + at * rows->n_columns, (size_t)rows->n_columns * sizeof(double));
    }
  }
  QN_TRY(qn_comm_gather(s->work->comm, best, size, &all, s->sizes, err));
  const double *first = (const double *)(const void *)all.data;
  for (int rank = 1; rank < qn_comm_size(s->work->comm); rank++) {
    const double *other = (const double *)(const void *)(all.data + rank * size);
    first = other[0] < first[0] ? other : first;
  }
  QN_TRY(qn_buffer_append(&s->candidates, first + 2, size - 2 * (int64_t)sizeof(double), err));
  s->n_candidates = 1;
done:
  qn_memory_free(best);
  qn_buffer_release(&all);
  return status;
}

// Distances from the new candidates too.
static qn_status measure(seeding *s, qn_error *err) {
  qn_status status = QN_OK;
  const qn_rows *rows = s->work->rows;
  const double *candidates = (const double *)(const void *)s->candidates.data + s->n_done * rows->n_columns;
  const double *total = NULL;
  qn_nearest nearest = {0};

  QN_TRY(qn_nearest_init(&nearest, rows->n_columns, s->n_candidates - s->n_done, s->work->mean, err));
  qn_nearest_set(&nearest, s->n_candidates - s->n_done, candidates);
  for (int64_t i = 0; i < rows->n_blocks; i++) {
    qn_row_block block;
    qn_rows_block(rows, i, &block);
    qn_row_block_densify(&block, s->work->room);
    qn_nearest_find(&nearest, block.n_rows, block.x, s->work->which, NULL);
    double *sum = qn_lane_sum_at(s->sum, block.lane);
    for (int64_t r = 0; r < block.n_rows; r++) {
      double *low = s->distances + block.local_row + r;
      const double distance =
          qn_squared_distance(block.x + r * rows->n_columns,
                              candidates + (int64_t)s->work->which[r] * rows->n_columns, rows->n_columns);
      if (distance < *low) {
        *low = distance;
        s->which[block.local_row + r] = s->work->which[r] + (int32_t)s->n_done;
      }
      sum[0] += weight_of(&block, r) * *low;
    }
  }
  QN_TRY(qn_lane_sum_finish(s->sum, &total, err));
  s->potential = total[0];
  s->n_done = s->n_candidates;
done:
  qn_nearest_release(&nearest);
  return status;
}

// A round of k-means||.
static qn_status draw_round(seeding *s, int round, qn_error *err) {
  qn_status status = QN_OK;
  const qn_rows *rows = s->work->rows;
  const int64_t size = rows->n_columns * (int64_t)sizeof(double);
  const double n_wanted = fmax(2.0 * (double)s->work->k, LEAST_A_ROUND);
  qn_buffer own = {0};

  for (int64_t i = 0; i < rows->n_blocks; i++) {
    qn_row_block block;
    bool is_here = false;
    qn_rows_block(rows, i, &block);
    for (int64_t r = 0; r < block.n_rows; r++) {
      const double share = weight_of(&block, r) * s->distances[block.local_row + r] / s->potential;
      if (!(qn_counter_uniform(s->seed, (uint64_t)round, (uint64_t)(block.first_row + r)) <
            n_wanted * share)) {
        continue;
      }
      if (!is_here) {
        qn_row_block_densify(&block, s->work->room);
        is_here = true;
      }
      QN_TRY(qn_buffer_append(&own, block.x + r * rows->n_columns, size, err));
    }
  }
  QN_TRY(gather_candidates(s, &own, err));
done:
  qn_buffer_release(&own);
  return status;
}

// The farthest rows become candidates, where chance has left too few different ones.
static qn_status add_farthest(seeding *s, int64_t n, qn_error *err) {
  qn_status status = QN_OK;
  const int n_columns = s->work->rows->n_columns;
  const double *candidates = (const double *)(const void *)s->candidates.data;
  qn_nearest nearest = {0};
  double *far = NULL;
  int64_t n_found = 0;

  QN_TRY(qn_nearest_init(&nearest, n_columns, s->n_candidates, s->work->mean, err));
  qn_nearest_set(&nearest, s->n_candidates, candidates);
  QN_TRY(qn_doubles_new(n, QN_FAR_HEAD + n_columns, &far, err));
  QN_TRY(qn_kmeans_farthest(s->work, &nearest, candidates, n, far, &n_found, err));
  for (int64_t i = 0; i < n_found; i++) {
    QN_TRY(qn_buffer_append(&s->candidates, far + i * (QN_FAR_HEAD + n_columns) + QN_FAR_HEAD,
                            n_columns * (int64_t)sizeof(double), err));
  }
  s->n_candidates += n_found;
done:
  qn_nearest_release(&nearest);
  qn_memory_free(far);
  return status;
}

static qn_status draw_candidates(seeding *s, qn_error *err) {
  qn_status status = QN_OK;
  const int n_columns = s->work->rows->n_columns;
  int64_t n_different = 1;

  QN_TRY(draw_first(s, err));
  QN_TRY(measure(s, err));
  for (int round = 1; s->potential > 0 && round <= ROUNDS; round++) {
    QN_TRY(draw_round(s, round, err));
    if (s->n_candidates > s->n_done) {
      QN_TRY(measure(s, err));
    }
  }
  for (;;) {
    QN_TRY(qn_candidates_count(&s->candidates, n_columns, &n_different, err));
    if (n_different >= s->work->k || !(s->potential > 0)) {
      break;
    }
    QN_TRY(add_farthest(s, s->work->k - n_different, err));
    QN_TRY(measure(s, err));
  }
  QN_REQUIRE(n_different >= s->work->k, err, QN_ERR_VALUE,
             "%lld clusters are wanted (k), but there are only %lld different rows: choose k <= %lld",
             (long long)s->work->k, (long long)n_different, (long long)n_different);
done:
  return status;
}

// Weights of the rows nearest to each candidate.
static qn_status weigh(seeding *s, double *weights, qn_error *err) {
  qn_status status = QN_OK;
  const qn_rows *rows = s->work->rows;
  const double *total = NULL;
  qn_lane_sum *sum = NULL;

  QN_TRY(qn_lane_sum_new(s->work->comm, rows, s->work->is_exact, s->n_candidates, &sum, err));
  for (int64_t i = 0; i < rows->n_blocks; i++) {
    qn_row_block block;
    qn_rows_block(rows, i, &block);
    double *sums = qn_lane_sum_at(sum, block.lane);
    for (int64_t r = 0; r < block.n_rows; r++) {
      sums[s->which[block.local_row + r]] += weight_of(&block, r);
    }
  }
  QN_TRY(qn_lane_sum_finish(sum, &total, err));
  memcpy(weights, total, (size_t)s->n_candidates * sizeof(double));
done:
  qn_lane_sum_free(sum);
  return status;
}

qn_status qn_kmeans_seed(qn_kmeans_work *work, uint64_t seed, double *centres, qn_error *err) {
  qn_status status = QN_OK;
  double *weights = NULL;
  seeding s = {0};

  QN_TRY(open_seeding(work, seed, &s, err));
  QN_TRY(draw_candidates(&s, err));
  QN_TRY(qn_doubles_new(s.n_candidates, 1, &weights, err));
  QN_TRY(weigh(&s, weights, err));
  QN_TRY(qn_candidates_choose((const double *)(const void *)s.candidates.data, weights, s.n_candidates,
                              work->rows->n_columns, work->mean, work->k, seed, centres, err));
done:
  close_seeding(&s);
  qn_memory_free(weights);
  return status;
}
