// SPDX-License-Identifier: Apache-2.0
// The best items of each user: scores of a block of users against a block of items are one GEMM, and each
// user keeps the best in a heap. Blocks are cut by the numbers of users and items alone, so scores have the
// same bits on any number of ranks; equal scores go by the items' order.
#include <cblas.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <quern/job.h>

#include "base/check.h"
#include "base/memory.h"
#include "column/builder.h"
#include "exec/job_state.h"
#include "ml/als.h"
#include "ml/als_ratings.h"
#include "ml/blas.h"
#include "ml/estimator.h"

enum { BLOCK_USERS = 128, BLOCK_ITEMS = 2048 };

typedef struct scored_item {
  double score;
  int32_t item;
} scored_item;

// The best so far of a user: a heap with the worst of them on top.
typedef struct best_items {
  scored_item *items; // [n_most]
  int64_t n;
} best_items;

typedef struct recommender {
  const qn_als_lookup *lookup;
  int64_t n_most;
  float *scores;     // [BLOCK_USERS][BLOCK_ITEMS]
  scored_item *room; // [BLOCK_USERS][n_most]
  best_items best[BLOCK_USERS];
  int64_t rated_at[BLOCK_USERS]; // where each user's rated items go on
  qn_schema *schema;
  qn_batch_builder builder;
  qn_batch **batches;
  int64_t n_batches, capacity;
} recommender;

static bool is_worse(const scored_item *a, const scored_item *b) {
  return a->score != b->score ? a->score < b->score : a->item > b->item;
}

static void sink_down(scored_item *items, int64_t n, int64_t at) {
  for (int64_t child = 2 * at + 1; child < n; child = 2 * at + 1) {
    child += child + 1 < n && is_worse(&items[child + 1], &items[child]);
    if (!is_worse(&items[child], &items[at])) {
      return;
    }
    const scored_item moved = items[at];
    items[at] = items[child];
    items[child] = moved;
    at = child;
  }
}

static void offer(best_items *best, int64_t n_most, scored_item item) {
  if (best->n < n_most) {
    int64_t at = best->n++;
    best->items[at] = item;
    while (at > 0 && is_worse(&best->items[at], &best->items[(at - 1) / 2])) {
      const scored_item moved = best->items[at];
      best->items[at] = best->items[(at - 1) / 2];
      best->items[(at - 1) / 2] = moved;
      at = (at - 1) / 2;
    }
  } else if (is_worse(&best->items[0], &item)) {
    best->items[0] = item;
    sink_down(best->items, n_most, 0);
  }
}

// Best first: the worst goes to the end again and again.
static void sort_best(best_items *best) {
  for (int64_t n = best->n; n > 1; n--) {
    const scored_item worst = best->items[0];
    best->items[0] = best->items[n - 1];
    best->items[n - 1] = worst;
    sink_down(best->items, n - 1, 0);
  }
}

static void offer_block(recommender *state, int64_t user, int64_t slot, int64_t first, int64_t n) {
  const qn_als_lookup *lookup = state->lookup;
  const float *scores = state->scores + slot * BLOCK_ITEMS;
  const double base = lookup->mean + lookup->user_offsets[user];
  int64_t rated = state->rated_at[slot];
  const int64_t end = lookup->rated_starts[user + 1];

  for (int64_t i = 0; i < n; i++) {
    const int64_t item = first + i;
    if (rated < end && lookup->rated_items[rated] == item) {
      rated++;
      continue;
    }
    offer(
        &state->best[slot], state->n_most,
        (scored_item){.score = base + lookup->item_offsets[item] + (double)scores[i], .item = (int32_t)item});
  }
  state->rated_at[slot] = rated;
}

static qn_status flush_rows(recommender *state, qn_error *err) {
  qn_status status = QN_OK;

  if (state->n_batches == state->capacity) {
    const int64_t capacity = 2 * state->capacity + 16;
    qn_batch **grown = realloc(state->batches, (size_t)capacity * sizeof(qn_batch *));
    QN_REQUIRE(grown != NULL, err, QN_ERR_MEMORY, "no memory for recommendations");
    state->batches = grown;
    state->capacity = capacity;
  }
  QN_TRY(qn_batch_builder_finish(&state->builder, &state->batches[state->n_batches], err));
  state->n_batches++;

done:
  return status;
}

static qn_status append_best(recommender *state, int64_t user, best_items *best, qn_error *err) {
  qn_status status = QN_OK;
  qn_column_builder *columns = state->builder.columns;

  sort_best(best);
  for (int64_t i = 0; i < best->n; i++) {
    const int64_t rank = i + 1;
    QN_TRY(qn_column_builder_append_range(&columns[0], &state->lookup->users.column, user, 1, err));
    QN_TRY(qn_column_builder_append_range(&columns[1], &state->lookup->items.column, best->items[i].item, 1,
                                          err));
    QN_TRY(qn_column_builder_append_value(&columns[2], &rank, err));
    QN_TRY(qn_column_builder_append_value(&columns[3], &best->items[i].score, err));
    state->builder.n_rows++;
  }
  if (state->builder.n_rows >= QN_BATCH_ROWS) {
    QN_TRY(flush_rows(state, err));
  }

done:
  return status;
}

static qn_status recommend_block(recommender *state, int64_t first_user, int64_t n_users, qn_error *err) {
  qn_status status = QN_OK;
  const qn_als_lookup *lookup = state->lookup;
  const int k = (int)lookup->k;

  for (int64_t slot = 0; slot < n_users; slot++) {
    state->best[slot] = (best_items){.items = state->room + slot * state->n_most};
    state->rated_at[slot] = lookup->rated_starts[first_user + slot];
  }
  for (int64_t item = 0; item < lookup->items.n; item += BLOCK_ITEMS) {
    const int64_t n = lookup->items.n - item < BLOCK_ITEMS ? lookup->items.n - item : BLOCK_ITEMS;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n_users, (int)n, k, 1,
                lookup->user_factors + first_user * k, k, lookup->item_factors + item * k, k, 0,
                state->scores, BLOCK_ITEMS);
    for (int64_t slot = 0; slot < n_users; slot++) {
      offer_block(state, first_user + slot, slot, item, n);
    }
  }
  for (int64_t slot = 0; slot < n_users; slot++) {
    QN_TRY(append_best(state, first_user + slot, &state->best[slot], err));
  }

done:
  return status;
}

// "user", "item", rank, score
static qn_status recommend_schema(const qn_model *model, const qn_als_lookup *lookup, qn_schema **out,
                                  qn_error *err) {
  char rank[] = "rank";
  char score[] = "score";
  const qn_field fields[4] = {
      {.name = (char *)(uintptr_t)qn_arrays_text(&model->arrays, "user_column"), .type = lookup->users.type},
      {.name = (char *)(uintptr_t)qn_arrays_text(&model->arrays, "item_column"), .type = lookup->items.type},
      {.name = rank, .type = QN_INT64},
      {.name = score, .type = QN_FLOAT64}};
  return qn_schema_new(fields, 4, out, err);
}

static void release_recommender(recommender *state) {
  for (int64_t i = 0; i < state->n_batches; i++) {
    qn_batch_free(state->batches[i]);
  }
  free(state->batches);
  if (state->schema != NULL) {
    qn_batch_builder_release(&state->builder);
  }
  qn_schema_free(state->schema);
  qn_memory_free(state->scores);
  qn_memory_free(state->room);
}

// This rank's blocks of users.
static qn_status recommend_here(recommender *state, qn_model *model, int64_t n, qn_error *err) {
  qn_status status = QN_OK;
  qn_comm *comm = model->job->comm;

  QN_REQUIRE(model->estimator == qn_estimator_find("als"), err, QN_ERR_ARG,
             "recommend: a model of '%s' recommends nothing; one of 'als' does", model->estimator->name);
  QN_REQUIRE(n >= 1 && n <= 1000000, err, QN_ERR_ARG,
             "recommend: %" PRId64 " items for each user; 1 to 1000000", n);
  QN_TRY(qn_als_lookup_find(model, &state->lookup, err));
  QN_REQUIRE(state->lookup->rated_starts != NULL, err, QN_ERR_ARG,
             "recommend: the model does not hold which of more than %" PRId64 " pairs were rated",
             QN_ALS_MOST_RATED);
  state->n_most = n < state->lookup->items.n ? n : state->lookup->items.n;
  QN_TRY(recommend_schema(model, state->lookup, &state->schema, err));
  QN_TRY(qn_batch_builder_init(&state->builder, state->schema, err));
  state->scores = qn_memory_alloc(BLOCK_USERS * BLOCK_ITEMS * (int64_t)sizeof *state->scores);
  state->room = qn_memory_alloc(BLOCK_USERS * state->n_most * (int64_t)sizeof *state->room);
  QN_REQUIRE(state->scores != NULL && state->room != NULL, err, QN_ERR_MEMORY, "no memory to recommend");
  qn_blas_set_threads(1); // the bits of a score must not depend on their number
  const int64_t n_blocks = (state->lookup->users.n + BLOCK_USERS - 1) / BLOCK_USERS;
  const int64_t end = n_blocks * (qn_comm_rank(comm) + 1) / qn_comm_size(comm);
  for (int64_t b = n_blocks * qn_comm_rank(comm) / qn_comm_size(comm); b < end; b++) {
    const int64_t left = state->lookup->users.n - b * BLOCK_USERS;
    QN_TRY(qn_comm_poll(comm, err));
    QN_TRY(recommend_block(state, b * BLOCK_USERS, left < BLOCK_USERS ? left : BLOCK_USERS, err));
  }
  if (state->builder.n_rows > 0) {
    QN_TRY(flush_rows(state, err));
  }

done:
  return status;
}

QN_API qn_dataset *qn_recommend(qn_model *model, int64_t n) {
  qn_status status = QN_OK;
  qn_error err = {0};
  qn_buffer schema = {0};
  qn_dataset *out = NULL;

  if (model == NULL || qn_job_check(model->job, NULL) != QN_OK) {
    return NULL;
  }
  qn_job *job = model->job;
  qn_action_begin(job, QN_ACTION_RECOMMEND, NULL, model->estimator->name);
  recommender *state = calloc(1, sizeof *state);
  status = state == NULL ? qn_fail(&err, QN_ERR_MEMORY, "no memory to recommend")
                         : recommend_here(state, model, n, &err);
  QN_TRY(qn_comm_agree(job->comm, status, &err));
  QN_REQUIRE(state != NULL, &err, QN_ERR_MEMORY, "no memory to recommend");
  QN_TRY(qn_schema_print(state->schema, &schema, &err));
  QN_TRY(qn_buffer_terminate(&schema, &err));
  out = qn_from_batches(job, (const char *)schema.data, state->batches, state->n_batches);

done:
  if (status != QN_OK) {
    qn_job_keep_error(job, status, &err);
  }
  if (state != NULL) {
    release_recommender(state);
    free(state);
  }
  qn_buffer_release(&schema);
  qn_action_end(job, status);
  return out;
}
