// SPDX-License-Identifier: Apache-2.0
// Mini-batches drawn lane by lane: which rows a step takes depends on the seed and the rows alone.
#include <string.h>
#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"
#include "ml/rows.h"

// Rows of a lane with n_rows that come before step s. Lanes are out of phase, so that their roundings do not
// add up and all steps have about as many rows.
static int64_t rows_before(int64_t n_rows, int64_t n_steps, int lane, int64_t s) {
  const int64_t phase = (int64_t)((uint64_t)lane * 2654435769u % 4294967296u * (uint64_t)n_steps >> 32);
  return s == 0 ? 0 : (s * n_rows + phase) / n_steps;
}

// The rows of a lane in the order of the epoch: Fisher and Yates, from a counter-based generator.
static void shuffle_lane(uint64_t seed, int64_t epoch, int lane, int64_t first, int64_t n_rows,
                         int64_t *order) {
  const uint64_t key = qn_hash_combine(qn_hash_combine(seed, (uint64_t)epoch), (uint64_t)lane);

  for (int64_t i = 0; i < n_rows; i++) {
    order[i] = first + i;
  }
  for (int64_t i = n_rows - 1; i > 0; i--) {
    const uint64_t random = qn_hash_combine(key, (uint64_t)i);
    const int64_t j = (int64_t)(((unsigned __int128)random * (uint64_t)(i + 1)) >> 64);
    const int64_t kept = order[i];
    order[i] = order[j];
    order[j] = kept;
  }
}

static int64_t lane_rows(const qn_rows *rows, int lane) {
  return qn_rows_lane_start(rows, lane + 1) - qn_rows_lane_start(rows, lane);
}

static void count_rows(const qn_rows *rows, qn_mini_batches *batches) {
  memset(batches->step_rows, 0, (size_t)batches->n_steps * sizeof *batches->step_rows);
  for (int lane = 0; lane < rows->n_lanes; lane++) {
    const int64_t n_rows = lane_rows(rows, lane);
    for (int64_t s = 0; s < batches->n_steps; s++) {
      batches->step_rows[s] +=
          rows_before(n_rows, batches->n_steps, lane, s + 1) - rows_before(n_rows, batches->n_steps, lane, s);
    }
  }
}

// Deals the shuffled rows of this rank's lanes out to the steps.
static void deal(const qn_rows *rows, const int64_t *order, qn_mini_batches *batches) {
  const int n_own = rows->end_lane - rows->first_lane;
  const int64_t n_steps = batches->n_steps;
  int64_t position = 0;

  for (int64_t s = 0; s < n_steps; s++) {
    batches->step_starts[s] = position;
    for (int lane = rows->first_lane; lane < rows->end_lane; lane++) {
      const int64_t start = qn_rows_lane_start(rows, lane) - rows->first_row;
      const int64_t n_rows = lane_rows(rows, lane);
      const int64_t end = rows_before(n_rows, n_steps, lane, s + 1);
      for (int64_t i = rows_before(n_rows, n_steps, lane, s); i < end; i++) {
        batches->positions[position++] = order[start + i];
      }
      batches->lane_ends[s * n_own + lane - rows->first_lane] = position;
    }
  }
  batches->step_starts[n_steps] = position;
}

qn_status qn_mini_batches_draw(const qn_rows *rows, int64_t batch_rows, uint64_t seed, int64_t epoch,
                               qn_mini_batches *out, qn_error *err) {
  qn_status status = QN_OK;
  const int n_own = rows->end_lane - rows->first_lane;
  const int64_t n_steps = rows->n_total <= batch_rows ? 1 : (rows->n_total + batch_rows - 1) / batch_rows;
  const int64_t width = sizeof(int64_t);
  qn_mapped_room order_room = {0};
  qn_mini_batches batches = {.n_steps = n_steps,
                             .step_starts = qn_memory_alloc((n_steps + 1) * width),
                             .step_rows = qn_memory_alloc(n_steps * width),
                             .lane_ends = qn_memory_alloc(n_steps * n_own * width)};

  QN_REQUIRE(batches.step_starts != NULL && batches.step_rows != NULL && batches.lane_ends != NULL, err,
             QN_ERR_MEMORY, "no memory for the order of %lld rows", (long long)rows->n_local);
  QN_TRY(qn_mapped_room_take(qn_rows_scratch(rows), rows->n_local, width, "the order of rows", &batches.room,
                             err));
  QN_TRY(qn_mapped_room_take(qn_rows_scratch(rows), rows->n_local, width, "the order of rows", &order_room,
                             err));
  batches.positions = batches.room.data;
  int64_t *order = order_room.data;
  for (int lane = rows->first_lane; lane < rows->end_lane; lane++) {
    const int64_t start = qn_rows_lane_start(rows, lane) - rows->first_row;
    shuffle_lane(seed, epoch, lane, start, lane_rows(rows, lane), order + start);
  }
  count_rows(rows, &batches);
  deal(rows, order, &batches);
  *out = batches;
  batches = (qn_mini_batches){0};

done:
  qn_mapped_room_release(&order_room);
  qn_mini_batches_release(&batches);
  return status;
}

void qn_mini_batches_release(qn_mini_batches *batches) {
  qn_mapped_room_release(&batches->room);
  qn_memory_free(batches->step_starts);
  qn_memory_free(batches->step_rows);
  qn_memory_free(batches->lane_ends);
  *batches = (qn_mini_batches){0};
}
