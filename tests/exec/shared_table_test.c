// SPDX-License-Identifier: Apache-2.0
// A build side that all ranks need is there once on each node: the same rows come out as with one for each
// rank, and the ranks together account for one.
#include "exec/job_state.h"
#include "exec/op_fixture.h"
#include "exec/run.h"

enum { N_BUILD = 60000, N_PROBE = 30000, BUFFERS = 768 << 10 };

static const char *const schema = "k int64, t utf8, x int64";

typedef struct side {
  int64_t n_rows, n_keys, step; // of keys: a large one makes them no range
} side;

// This rank's rows: those of `of` that come to it, k = i % n_keys * step, t = k in long words, x = i.
static qn_batch *make_rows(const qn_job *job, side of) {
  qn_schema *parsed = NULL;
  qn_appender *appender = NULL;
  qn_batch *rows = NULL;

  QN_CHECK_OK(qn_schema_parse(schema, &parsed, &kit_error));
  QN_CHECK_OK(qn_appender_new(parsed, &appender, &kit_error));
  for (int64_t i = qn_job_rank(job); i < of.n_rows; i += qn_job_n_ranks(job)) {
    const int64_t key = i % of.n_keys * of.step;
    char text[64];
    const int n = snprintf(text, sizeof text, "the key that is number %lld", (long long)key);
    if (i % 17 == 0) {
      qn_append_null(appender);
    } else {
      qn_append_int64(appender, key);
    }
    qn_append_text(appender, text, n);
    qn_append_int64(appender, i);
  }
  QN_CHECK_OK(qn_appender_finish(appender, &rows, &kit_error));
  qn_appender_free(appender);
  qn_schema_free(parsed);
  return rows;
}

// Adds up what comes out.
typedef struct sum_op {
  qn_op op;
  int64_t n_rows, sum;
} sum_op;

static qn_status sum_rows(qn_op *op, const qn_batch *batch, qn_error *err) {
  sum_op *own = (sum_op *)op;
  (void)err;
  own->n_rows += batch->n_rows;
  for (int c = 0; c < batch->n_columns; c++) {
    const qn_column *column = &batch->columns[c];
    for (int64_t i = 0; i < batch->n_rows; i++) {
      if (qn_column_is_null(column, i)) {
        own->sum += 3;
      } else if (column->type == QN_INT64) {
        own->sum += (c + 1) * qn_column_int64(column, i);
      } else {
        own->sum += qn_column_text(column, i).size;
      }
    }
  }
  return QN_OK;
}

static qn_status finish_sum(qn_op *op, qn_error *err) {
  (void)op;
  (void)err;
  return QN_OK;
}

static const qn_op_ops sum_ops = {
    .name = "sum", .state_size = sizeof(sum_op), .push = sum_rows, .finish = finish_sum};

typedef struct outcome {
  int64_t n_rows, sum; // of all ranks
  int64_t n_bytes;     // that they account for between building and probing
  bool is_shared;
} outcome;

static void close_ops(qn_run *run) {
  for (int i = run->n_ops - 1; i >= 0; i--) {
    if (run->ops[i]->ops->close != NULL) {
      run->ops[i]->ops->close(run->ops[i]);
    }
  }
  free(run->ops);
  qn_arena_release(&run->arena);
}

static outcome join(const char *least, qn_join_kind kind, const char *on, side build, const char *condition) {
  outcome out = {.n_rows = 0};
  setenv("QUERN_SHARED_TABLES", least, 1);
  qn_job *job = fixture_open("");
  const int64_t before = qn_memory_used();
  qn_batch *left = make_rows(job, (side){N_PROBE, build.n_keys + 500, build.step});
  qn_batch *right = make_rows(job, build);
  qn_dataset *node = qn_join(qn_from_batches(job, schema, &left, 1), qn_from_batches(job, schema, &right, 1),
                             kind, on, condition);
  qn_run run = {.job = job, .comm = job->comm, .scratch = job->scratch};
  qn_op *build_op = NULL, *probe_op = NULL, *rows = NULL;
  qn_error err = {0};

  QN_CHECK(node != NULL);
  QN_CHECK_OK(qn_op_new(&run, &sum_ops, node, NULL, &rows, &kit_error));
  QN_CHECK_OK(qn_make_join(&run, node, rows, &build_op, &probe_op, &kit_error));
  const int64_t bare = qn_memory_used();
  QN_CHECK_OK(qn_op_push(build_op, right, &kit_error));
  QN_CHECK_OK(qn_op_finish(build_op, &kit_error));
  int64_t counts[3] = {qn_memory_used() - bare};
  QN_CHECK_OK(qn_op_push(probe_op, left, &kit_error));
  QN_CHECK_OK(qn_op_finish(probe_op, &kit_error));
  out.is_shared = probe_op->note != NULL && strstr(probe_op->note, "once a node") != NULL;
  counts[1] = ((sum_op *)rows)->n_rows;
  counts[2] = ((sum_op *)rows)->sum;
  QN_CHECK_OK(qn_comm_reduce_int64(job->comm, QN_SUM, counts, 3, &kit_error));
  close_ops(&run);
  QN_CHECK_OK(qn_comm_agree(job->comm, QN_OK, &err));
  qn_batch_free(left);
  qn_batch_free(right);
  fixture_close(job);
  QN_CHECK(qn_memory_used() <= before);
  out.n_bytes = counts[0];
  out.n_rows = counts[1];
  out.sum = counts[2];
  return out;
}

static int n_ranks;

static void check_join(qn_join_kind kind, const char *on, side build, const char *condition) {
  const outcome own = join("none", kind, on, build, condition);
  const outcome shared = join("1", kind, on, build, condition);

  QN_CHECK(own.n_rows > 0 && !own.is_shared);
  QN_CHECK_INT(shared.is_shared, n_ranks > 1);
  QN_CHECK_INT(shared.n_rows, own.n_rows);
  QN_CHECK_INT(shared.sum, own.sum);
  if (n_ranks > 1 && kind == QN_JOIN_INNER) {
    // Each rank has besides the table the buffers of its exchange.
    QN_CHECK(shared.n_bytes < own.n_bytes / n_ranks + n_ranks * (int64_t)BUFFERS);
    QN_CHECK(n_ranks < 3 || shared.n_bytes < own.n_bytes / 2);
  }
}

static void shared_tables_join_as_private_ones_do(void) {
  const side ranges = {N_BUILD, N_BUILD / 2, 1};      // keys are places of an array
  const side hashed = {N_BUILD, N_BUILD / 2, 100003}; // a hash table
  const side lists = {N_BUILD, 1000, 100003};         // whose rows are sorted by key
  const side unique = {N_BUILD, N_BUILD, 100003};

  static const qn_join_kind kinds[] = {QN_JOIN_INNER, QN_JOIN_LEFT, QN_JOIN_RIGHT,
                                       QN_JOIN_FULL,  QN_JOIN_SEMI, QN_JOIN_ANTI};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    check_join(kinds[i], "k", hashed, NULL);
  }
  check_join(QN_JOIN_INNER, "k", ranges, NULL);
  check_join(QN_JOIN_LEFT, "k", lists, NULL);
  check_join(QN_JOIN_INNER, "t", unique, NULL);
  check_join(QN_JOIN_FULL, "k, t", unique, NULL);
  check_join(QN_JOIN_LEFT, "k", hashed, "l.x > r.x");
}

static void small_tables_stay_private(void) {
  const side build = {1000, 500, 1};
  const outcome found = join("1MiB", QN_JOIN_INNER, "k", build, NULL);
  QN_CHECK(!found.is_shared && found.n_rows > 0);
}

static void tests(void) {
  qn_comm *comm = NULL;
  QN_CHECK_OK(qn_comm_open(&comm, &kit_error));
  n_ranks = qn_comm_size(comm);
  qn_comm_close(comm);
  KIT_RUN(shared_tables_join_as_private_ones_do);
  KIT_RUN(small_tables_stay_private);
}

int main(void) {
  return fixture_main(tests);
}
