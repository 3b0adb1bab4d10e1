// SPDX-License-Identifier: Apache-2.0
// Joins whose two sides do not come in step: a rank that has its right side early sends left rows to ranks
// that are still waiting for theirs.
#include "exec/job_state.h"
#include "exec/op_fixture.h"
#include "exec/run.h"

static const char *const schema = "k int64, x int64";

// k = i % n_keys, x = i
static qn_batch *make_rows(int64_t n_rows, int64_t n_keys) {
  qn_schema *parsed = NULL;
  qn_appender *appender = NULL;
  qn_batch *rows = NULL;

  QN_CHECK_OK(qn_schema_parse(schema, &parsed, &kit_error));
  QN_CHECK_OK(qn_appender_new(parsed, &appender, &kit_error));
  for (int64_t i = 0; i < n_rows; i++) {
    qn_append_int64(appender, i % n_keys);
    qn_append_int64(appender, i);
  }
  QN_CHECK_OK(qn_appender_finish(appender, &rows, &kit_error));
  qn_appender_free(appender);
  qn_schema_free(parsed);
  return rows;
}

static qn_status count_rows(qn_op *op, const qn_batch *batch, qn_error *err) {
  (void)op;
  (void)batch;
  (void)err;
  return QN_OK; // qn_op_push has counted them
}

static qn_status finish_count(qn_op *op, qn_error *err) {
  (void)op;
  (void)err;
  return QN_OK;
}

static const qn_op_ops count_ops = {
    .name = "count rows", .state_size = sizeof(qn_op), .push = count_rows, .finish = finish_count};

// Feeds the two sides of a join by hand, the left one first.
static void check_left_first(qn_join_kind kind, const char *memory, int64_t wanted) {
  qn_job *job = fixture_open(memory);
  qn_batch *left = make_rows(6000, 300), *right = make_rows(4000, 200);
  qn_dataset *join = qn_join(qn_from_batches(job, schema, &left, 1), qn_from_batches(job, schema, &right, 1),
                             kind, "k", NULL);
  qn_run run = {.job = job, .comm = job->comm, .scratch = job->scratch};
  qn_op *build = NULL, *probe = NULL, *rows = NULL;

  QN_CHECK_OK(qn_op_new(&run, &count_ops, join, NULL, &rows, &kit_error));
  QN_CHECK_OK(qn_make_join(&run, join, rows, &build, &probe, &kit_error));
  QN_CHECK_OK(qn_op_push(probe, left, &kit_error));
  QN_CHECK_OK(qn_op_push(build, right, &kit_error));
  QN_CHECK_OK(qn_op_finish(build, &kit_error));
  QN_CHECK_OK(qn_op_push(probe, left, &kit_error));
  QN_CHECK_OK(qn_op_finish(probe, &kit_error));
  QN_CHECK_INT(rows->rows_in, wanted);
  for (int i = run.n_ops - 1; i >= 0; i--) {
    if (run.ops[i]->ops->close != NULL) {
      run.ops[i]->ops->close(run.ops[i]);
    }
  }
  free(run.ops);
  qn_arena_release(&run.arena);
  qn_batch_free(left);
  qn_batch_free(right);
  fixture_close(job);
}

// Each of the 6000 left rows comes twice; 4000 of the 6000 have a key of the right, which has 20 rows of
// each.
static void left_rows_may_come_before_the_right_side_is_there(void) {
  for (int i = 0; i < 2; i++) {
    const char *memory = i == 0 ? "" : "64KiB"; // in one table, and in partitions
    check_left_first(QN_JOIN_INNER, memory, 2 * 4000 * 20);
    check_left_first(QN_JOIN_LEFT, memory, 2 * (4000 * 20 + 2000));
    check_left_first(QN_JOIN_FULL, memory, 2 * (4000 * 20 + 2000));
    check_left_first(QN_JOIN_SEMI, memory, 2 * 4000);
    check_left_first(QN_JOIN_ANTI, memory, 2 * 2000);
  }
}

static void no_row_is_lost_when_ranks_are_out_of_step(void) {
  qn_batch *left = make_rows(40000, 8000), *right = make_rows(20000, 10000);

  for (int i = 0; i < 20; i++) {
    qn_job *job = fixture_open("1MiB"); // too little to send the right side to all
    int64_t n = 0;
    qn_dataset *rows = fixture_dataset(job, schema, left);
    QN_CHECK_INT(qn_count(qn_join(rows, fixture_dataset(job, schema, right), QN_JOIN_INNER, "k", NULL), &n),
                 QN_OK);
    QN_CHECK_INT(n, 40000 * 2);
    fixture_close(job);
  }
  qn_batch_free(left);
  qn_batch_free(right);
}

static void tests(void) {
  qn_comm *comm = NULL;
  QN_CHECK_OK(qn_comm_open(&comm, &kit_error));
  const bool is_alone = qn_comm_size(comm) == 1;
  qn_comm_close(comm);
  if (is_alone) {
    KIT_RUN(left_rows_may_come_before_the_right_side_is_there);
  }
  KIT_RUN(no_row_is_lost_when_ranks_are_out_of_step);
}

int main(void) {
  return fixture_main(tests);
}
