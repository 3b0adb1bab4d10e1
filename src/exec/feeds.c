// SPDX-License-Identifier: Apache-2.0
// Feeds. Items of work (splits, pieces of generated rows) are claimed from a shared counter, so that a slow
// one does not hold the others up; where rows must come in order each rank has a fixed run of items, rank 0
// the first.
#include "exec/feeds.h"

#include "base/check.h"

// Where the next item comes from.
typedef struct item_stream {
  qn_claims *claims; // NULL: the fixed run [next, end)
  int64_t next, end;
} item_stream;

static qn_status open_items(qn_run *run, int64_t n_items, bool in_order, qn_feed *feed, item_stream *items,
                            qn_error *err) {
  const int64_t rank = qn_comm_rank(run->comm);
  const int64_t n_ranks = qn_comm_size(run->comm);

  feed->n_splits = n_items;
  if (!in_order && n_ranks > 1) {
    return qn_claims_open(run->comm, n_items, &items->claims, err);
  }
  items->next = (int64_t)((__int128)n_items * rank / n_ranks);
  items->end = (int64_t)((__int128)n_items * (rank + 1) / n_ranks);
  return QN_OK;
}

static qn_status next_item(item_stream *items, int64_t *item, qn_error *err) {
  if (items->claims != NULL) {
    return qn_claims_next(items->claims, item, err);
  }
  *item = items->next < items->end ? items->next++ : -1;
  return QN_OK;
}

static void close_items(item_stream *items) {
  if (items->claims != NULL) {
    qn_claims_close(items->claims);
    items->claims = NULL;
  }
}

// Pushes a batch that `feed` has made, for which qn_run_enter() has been called.
static qn_status push_batch(qn_run *run, qn_feed *feed, qn_op *first, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;

  qn_run_enter(run, NULL);
  feed->op->rows_in += batch->n_rows;
  feed->op->batches_in++;
  if (batch->n_rows > 0) {
    QN_TRY(qn_op_push(first, batch, err));
  }
  QN_TRY(qn_comm_poll(run->comm, err));
  qn_run_enter(run, feed->op);

done:
  return status;
}

static const qn_op_ops source_counts = {.name = "read", .state_size = sizeof(qn_op)};
static const qn_op_ops local_counts = {.name = "rows in memory", .state_size = sizeof(qn_op)};
static const qn_op_ops spool_counts = {.name = "read cache", .state_size = sizeof(qn_op)};
static const qn_op_ops generate_counts = {.name = "generate", .state_size = sizeof(qn_op)};

typedef qn_status (*feed_run)(qn_feed *feed, qn_op *first, qn_error *err);

// What passes between the pushes is counted for the feed.
static qn_status run_counted(qn_run *run, qn_feed *feed, feed_run run_feed, qn_op *first, qn_error *err) {
  qn_op *outer = qn_run_enter(run, feed->op);
  const qn_status status = run_feed(feed, first, err);
  qn_run_enter(run, outer);
  return status;
}

// --- A source
// ---------------------------------------------------------------------------------------------------------

typedef struct source_feed {
  qn_feed feed;
  qn_run *run;
  const qn_dataset *node;
  bool in_order;
  qn_scan scan;
  qn_reader *reader;
  item_stream items;
} source_feed;

static qn_status run_split(source_feed *feed, int64_t split, qn_op *first, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *batch = NULL;
  const qn_source_ops *ops = feed->node->source->ops;

  QN_TRY(ops->start(feed->reader, split, err));
  while (!qn_op_is_full(first)) {
    QN_TRY(ops->next(feed->reader, &batch, err));
    if (batch == NULL) {
      break;
    }
    QN_TRY(push_batch(feed->run, &feed->feed, first, batch, err));
    qn_batch_free(batch);
    batch = NULL;
  }

done:
  qn_batch_free(batch);
  return status;
}

static qn_status run_source_counted(qn_feed *base, qn_op *first, qn_error *err) {
  qn_status status = QN_OK;
  source_feed *feed = (source_feed *)base;
  const qn_source *source = feed->node->source;

  feed->reader = qn_arena_alloc(&feed->run->arena, (int64_t)source->ops->reader_size);
  QN_REQUIRE(feed->reader != NULL, err, QN_ERR_MEMORY, "no memory for a reader");
  feed->reader->source = source;
  QN_TRY(source->ops->open(source, &feed->scan, feed->reader, err));
  QN_TRY(open_items(feed->run, source->n_splits, feed->in_order, &feed->feed, &feed->items, err));
  for (;;) {
    int64_t split = -1;
    QN_TRY(next_item(&feed->items, &split, err));
    if (split < 0 || qn_op_is_full(first)) {
      break;
    }
    QN_TRY(run_split(feed, split, first, err));
    base->n_splits_done++;
  }

done:
  return status;
}

static qn_status run_source(qn_feed *base, qn_op *first, qn_error *err) {
  return run_counted(((source_feed *)base)->run, base, run_source_counted, first, err);
}

static void close_source(qn_feed *base) {
  source_feed *feed = (source_feed *)base;

  if (feed->reader != NULL) {
    feed->node->source->ops->close(feed->reader);
    feed->reader = NULL;
  }
  close_items(&feed->items);
}

qn_status qn_source_feed_new(qn_run *run, const qn_dataset *node, bool in_order, qn_feed **out,
                             qn_error *err) {
  qn_status status = QN_OK;
  source_feed *feed = qn_arena_alloc(&run->arena, sizeof *feed);

  QN_REQUIRE(feed != NULL, err, QN_ERR_MEMORY, "no memory for a feed");
  feed->feed = (qn_feed){.run = run_source, .close = close_source, .counts_as = &source_counts, .node = node};
  feed->run = run;
  feed->node = node;
  feed->in_order = in_order;
  feed->scan = (qn_scan){.columns = node->columns,
                         .n_columns = node->schema->n_columns,
                         .bounds = node->bounds,
                         .n_bounds = node->n_bounds,
                         .schema = node->schema};
  *out = &feed->feed;

done:
  return status;
}

// --- Batches in memory
// ------------------------------------------------------------------------------------------------

typedef struct local_feed {
  qn_feed feed;
  qn_run *run;
  const qn_dataset *node;
  qn_spool *spool;
} local_feed;

static qn_status run_local_counted(qn_feed *base, qn_op *first, qn_error *err) {
  qn_status status = QN_OK;
  local_feed *feed = (local_feed *)base;
  qn_batch *piece = NULL;

  for (int64_t b = 0; b < feed->node->n_batches && !qn_op_is_full(first); b++) {
    const qn_batch *batch = feed->node->batches[b];
    for (int64_t row = 0; row < batch->n_rows; row += QN_BATCH_ROWS) {
      const int64_t left = batch->n_rows - row;
      QN_TRY(qn_batch_slice(batch, row, left < QN_BATCH_ROWS ? left : QN_BATCH_ROWS, &piece, err));
      QN_TRY(push_batch(feed->run, base, first, piece, err));
      qn_batch_free(piece);
      piece = NULL;
    }
  }

done:
  qn_batch_free(piece);
  return status;
}

static qn_status run_local(qn_feed *base, qn_op *first, qn_error *err) {
  return run_counted(((local_feed *)base)->run, base, run_local_counted, first, err);
}

static qn_status run_spool_counted(qn_feed *base, qn_op *first, qn_error *err) {
  qn_status status = QN_OK;
  local_feed *feed = (local_feed *)base;
  qn_batch *batch = NULL;

  QN_TRY(qn_spool_rewind(feed->spool, err));
  while (!qn_op_is_full(first)) {
    QN_TRY(qn_spool_next(feed->spool, &batch, err));
    if (batch == NULL) {
      break;
    }
    QN_TRY(push_batch(feed->run, base, first, batch, err));
    qn_batch_free(batch);
    batch = NULL;
  }

done:
  qn_batch_free(batch);
  return status;
}

static qn_status run_spool(qn_feed *base, qn_op *first, qn_error *err) {
  return run_counted(((local_feed *)base)->run, base, run_spool_counted, first, err);
}

static void close_nothing(qn_feed *base) {
  (void)base;
}

static qn_status new_local(qn_run *run, qn_feed *kind, local_feed **out, qn_error *err) {
  local_feed *feed = qn_arena_alloc(&run->arena, sizeof *feed);

  if (feed == NULL) {
    return qn_fail(err, QN_ERR_MEMORY, "no memory for a feed");
  }
  feed->feed = *kind;
  feed->run = run;
  *out = feed;
  return QN_OK;
}

qn_status qn_local_feed_new(qn_run *run, const qn_dataset *node, qn_feed **out, qn_error *err) {
  qn_status status = QN_OK;
  local_feed *feed = NULL;

  QN_TRY(new_local(
      run, &(qn_feed){.run = run_local, .close = close_nothing, .counts_as = &local_counts, .node = node},
      &feed, err));
  feed->node = node;
  *out = &feed->feed;

done:
  return status;
}

qn_status qn_spool_feed_new(qn_run *run, const qn_dataset *node, qn_spool *spool, qn_feed **out,
                            qn_error *err) {
  qn_status status = QN_OK;
  local_feed *feed = NULL;

  QN_TRY(new_local(
      run, &(qn_feed){.run = run_spool, .close = close_nothing, .counts_as = &spool_counts, .node = node},
      &feed, err));
  feed->spool = spool;
  *out = &feed->feed;

done:
  return status;
}

// --- Generated rows
// ---------------------------------------------------------------------------------------------------

enum { PIECE_ROWS = 65536 };

typedef struct generate_feed {
  qn_feed feed;
  qn_run *run;
  const qn_dataset *node;
  bool in_order;
  item_stream items;
  qn_appender *appender;
  qn_op *first;
} generate_feed;

static qn_status push_generated(void *ctx, qn_batch *batch, qn_error *err) {
  generate_feed *feed = ctx;
  return push_batch(feed->run, &feed->feed, feed->first, batch, err);
}

static qn_status run_generate_counted(qn_feed *base, qn_op *first, qn_error *err) {
  qn_status status = QN_OK;
  generate_feed *feed = (generate_feed *)base;
  const qn_dataset *node = feed->node;
  const int64_t n_items = node->n / PIECE_ROWS + (node->n % PIECE_ROWS != 0);

  feed->first = first;
  QN_TRY(qn_appender_new(node->schema, &feed->appender, err));
  qn_appender_set_sink(feed->appender, push_generated, feed);
  QN_TRY(open_items(feed->run, n_items, feed->in_order, &feed->feed, &feed->items, err));
  for (;;) {
    int64_t item = -1;
    QN_TRY(next_item(&feed->items, &item, err));
    if (item < 0 || qn_op_is_full(first)) {
      break;
    }
    const int64_t row = item * PIECE_ROWS;
    const int64_t n_rows = node->n - row < PIECE_ROWS ? node->n - row : PIECE_ROWS;
    const qn_status made = node->generate(row, n_rows, feed->appender, node->ctx);
    QN_TRY(qn_appender_status(feed->appender, err));
    QN_REQUIRE(made == QN_OK, err, QN_ERR_CALLBACK, "generate: the callback failed for rows %lld to %lld: %s",
               (long long)row, (long long)(row + n_rows - 1), qn_status_text(made));
    QN_TRY(qn_appender_flush(feed->appender, err));
    base->n_splits_done++;
  }

done:
  return status;
}

static qn_status run_generate(qn_feed *base, qn_op *first, qn_error *err) {
  return run_counted(((generate_feed *)base)->run, base, run_generate_counted, first, err);
}

static void close_generate(qn_feed *base) {
  generate_feed *feed = (generate_feed *)base;

  qn_appender_free(feed->appender);
  feed->appender = NULL;
  close_items(&feed->items);
}

qn_status qn_generate_feed_new(qn_run *run, const qn_dataset *node, bool in_order, qn_feed **out,
                               qn_error *err) {
  qn_status status = QN_OK;
  generate_feed *feed = qn_arena_alloc(&run->arena, sizeof *feed);

  QN_REQUIRE(feed != NULL, err, QN_ERR_MEMORY, "no memory for a feed");
  feed->feed =
      (qn_feed){.run = run_generate, .close = close_generate, .counts_as = &generate_counts, .node = node};
  feed->run = run;
  feed->node = node;
  feed->in_order = in_order;
  *out = &feed->feed;

done:
  return status;
}
