// SPDX-License-Identifier: Apache-2.0
// Ranking metrics with the verbs of datasets: recommendations are joined with what was taken, and judged user
// by user.
#include "ml/ranking.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <quern/job.h>

#include "base/buffer.h"
#include "base/check.h"
#include "ml/als_ratings.h"
#include "ml/model_state.h"

void qn_ranking_of_user(const bool *hits, int64_t k, int64_t n_taken, double *ndcg, double *recall) {
  double gain = 0;
  double ideal = 0;
  int64_t n_hits = 0;

  for (int64_t i = 0; i < k; i++) {
    const double worth = 1 / log2((double)i + 2);
    gain += hits[i] ? worth : 0;
    ideal += i < n_taken ? worth : 0;
    n_hits += hits[i];
  }
  *ndcg = n_taken > 0 ? gain / ideal : NAN;
  *recall = n_taken > 0 ? (double)n_hits / (double)(n_taken < k ? n_taken : k) : NAN;
}

// Rows of a user: rank, whether it was taken, how many were taken, k. Metrics in units of 1e-10 as whole
// numbers, so that their sum does not depend on its order.
static qn_status judge_user(qn_group *rows, qn_appender *out, void *ctx) {
  const qn_batch *batch = NULL;
  bool *hits = NULL;
  int64_t n_taken = 0;
  int64_t k = 0;
  double ndcg = 0;
  double recall = 0;

  (void)ctx;
  qn_status status = qn_group_next(rows, &batch);
  while (status == QN_OK && batch != NULL) {
    const int first = qn_schema_find(qn_batch_schema(batch), "rank");
    n_taken = qn_column_int64(qn_batch_column(batch, first + 2), 0);
    k = qn_column_int64(qn_batch_column(batch, first + 3), 0);
    hits = hits == NULL ? calloc((size_t)k, sizeof *hits) : hits;
    if (hits == NULL) {
      return qn_appender_fail(out, "no memory to judge recommendations");
    }
    for (int64_t row = 0; row < qn_batch_n_rows(batch); row++) {
      const int64_t rank = qn_column_int64(qn_batch_column(batch, first), row);
      hits[rank - 1] = !qn_column_is_null(qn_batch_column(batch, first + 1), row);
    }
    status = qn_group_next(rows, &batch);
  }
  if (status == QN_OK && hits != NULL) {
    qn_ranking_of_user(hits, k, n_taken, &ndcg, &recall);
    qn_append_int64(out, llround(ndcg * 1e10));
    qn_append_int64(out, llround(recall * 1e10));
  }
  free(hits);
  return status;
}

// The pairs of a dataset as "ranked_user, ranked_item", and `more` behind them.
static qn_dataset *select_pairs(qn_dataset *data, const qn_model *model, const char *more) {
  qn_status status = QN_OK;
  qn_error err = {0};
  qn_buffer text = {0};
  qn_dataset *out = NULL;

  QN_TRY(qn_name_quote(qn_arrays_text(&model->arrays, "user_column"), &text, &err));
  QN_TRY(qn_buffer_printf(&text, &err, " as ranked_user, "));
  QN_TRY(qn_name_quote(qn_arrays_text(&model->arrays, "item_column"), &text, &err));
  QN_TRY(qn_buffer_printf(&text, &err, " as ranked_item%s", more));
  QN_TRY(qn_buffer_terminate(&text, &err));
  out = qn_select(data, (const char *)text.data);

done:
  if (status != QN_OK) {
    qn_job_fail(model->job, "%s", err.message);
  }
  qn_buffer_release(&text);
  return out;
}

qn_dataset *qn_ranking(qn_dataset *taken, qn_model *model, int64_t k) {
  char columns[128];
  qn_dataset *best = qn_recommend(model, k);

  if (best == NULL || taken == NULL) {
    return NULL;
  }
  snprintf(columns, sizeof columns, "ranked_user, rank, taken, n_taken, %" PRId64 "::int64 as k", k);
  taken = qn_cache(qn_distinct(select_pairs(taken, model, ""), NULL));
  best = select_pairs(best, model, ", rank");
  best = qn_join(best, qn_select(taken, "ranked_user, ranked_item, 1 as taken"), QN_JOIN_LEFT,
                 "ranked_user, ranked_item", NULL);
  best = qn_join(best, qn_reduce(taken, "ranked_user", "count(*) as n_taken"), QN_JOIN_INNER, "ranked_user",
                 NULL);
  best = qn_group_by(qn_select(best, columns), "ranked_user", "rank", judge_user, NULL,
                     "ndcg int64, recall int64");
  best = qn_reduce(best, NULL, "count(*) as users, sum(ndcg) as ndcg, sum(recall) as recall");
  return qn_select(best, "users, ndcg::float64 / 1e10 / nullif(users, 0) as ndcg, "
                         "recall::float64 / 1e10 / nullif(users, 0) as recall");
}
