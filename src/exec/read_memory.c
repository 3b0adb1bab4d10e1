// SPDX-License-Identifier: Apache-2.0
// Datasets from memory and from callbacks.
#include <quern/job.h>
#include "base/check.h"
#include "exec/job_state.h"

QN_API qn_dataset *qn_from_batches(qn_job *job, const char *schema, qn_batch *const *batches,
                                   int64_t n_batches) {
  qn_status status = QN_OK;
  qn_error err = {0};
  qn_dataset *node = qn_plan_node(&job->plan, QN_NODE_LOCAL, NULL, NULL, NULL);

  if (node == NULL) {
    return NULL;
  }
  QN_TRY(qn_job_check(job, &err));
  QN_REQUIRE(schema != NULL, &err, QN_ERR_ARG, "from batches: the schema is NULL");
  QN_TRY(qn_schema_parse(schema, &node->schema, &err));
  node->owned_batches =
      qn_arena_alloc(&job->plan.arena, (int64_t)sizeof *node->owned_batches * (n_batches + 1));
  QN_REQUIRE(node->owned_batches != NULL, &err, QN_ERR_MEMORY, "no memory for a plan node");
  for (int64_t b = 0; b < n_batches; b++) {
    if (!qn_schema_is_equal(batches[b]->schema, node->schema)) {
      // only this rank may know: the next run tells the others
      qn_job_fail(job, "from batches: batch %lld has other columns than '%s'", (long long)b, schema);
      break;
    }
    node->owned_batches[node->n_owned_batches++] = qn_batch_share(batches[b]);
  }
  node->batches = node->owned_batches;
  node->n_batches = node->n_owned_batches;

done:
  return qn_plan_finish(node, status, &err);
}

QN_API qn_dataset *qn_generate(qn_job *job, const char *schema, int64_t n_rows, qn_generate_fn make,
                               void *ctx) {
  qn_status status = QN_OK;
  qn_error err = {0};
  qn_dataset *node = qn_plan_node(&job->plan, QN_NODE_GENERATE, NULL, NULL, schema);

  if (node == NULL) {
    return NULL;
  }
  QN_TRY(qn_job_check(job, &err));
  QN_REQUIRE(schema != NULL && make != NULL, &err, QN_ERR_ARG,
             "generate: the callback or the schema is NULL");
  QN_REQUIRE(n_rows >= 0, &err, QN_ERR_ARG, "generate: %lld rows", (long long)n_rows);
  QN_TRY(qn_schema_parse(schema, &node->schema, &err));
  node->n = n_rows;
  node->generate = make;
  node->ctx = ctx;

done:
  return qn_plan_finish(node, status, &err);
}
