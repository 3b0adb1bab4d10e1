// SPDX-License-Identifier: Apache-2.0
// Batches in memory are shared, except small ones: those are copied together, since each batch costs some
// hundred bytes and a call at every operator that reads it. Once the budget is tight everything moves to a
// spill file.
#include "exec/spool.h"
#include <inttypes.h>
#include <stdlib.h>
#include "base/check.h"
#include "base/memory.h"
#include "column/builder.h"
#include "store/spill.h"

enum {
  SMALL_ROWS = QN_BATCH_ROWS / 2, // a batch of fewer rows and fewer bytes is copied
  SMALL_BYTES = 128 << 10,
  MOST_BYTES = 1 << 20,       // of small batches put together
  LEAST_SPILL_BYTES = 1 << 20 // putting out less does not help against a tight budget
};

struct qn_spool {
  qn_schema *schema;
  const char *scratch;
  qn_batch **batches; // [n_batches], NULL where taken
  int64_t n_batches, capacity;
  qn_batch_builder small; // rows behind those of `batches` and `spill`
  qn_spill *spill;        // NULL: all is in memory
  const qn_spool *beside; // whose file is used too; or NULL
  int64_t n_rows;
  int64_t n_bytes;
  int64_t memory_bytes; // of `batches`
  int64_t place;        // the batch to be read next
  bool is_readable;     // rewound
  bool is_taken;        // some batches have been given up
};

qn_status qn_spool_new(const qn_schema *schema, const char *scratch, qn_spool **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_spool *spool = calloc(1, sizeof *spool);

  QN_REQUIRE(spool != NULL, err, QN_ERR_MEMORY, "no memory for a spool");
  spool->schema = qn_schema_share(schema);
  spool->scratch = scratch;
  QN_TRY(qn_batch_builder_init(&spool->small, schema, err));
  *out = spool;
  spool = NULL;

done:
  qn_spool_free(spool);
  return status;
}

static void forget_batches(qn_spool *spool) {
  for (int64_t i = 0; i < spool->n_batches; i++) {
    qn_batch_free(spool->batches[i]);
  }
  free(spool->batches);
  spool->batches = NULL;
  spool->n_batches = 0;
  spool->capacity = 0;
  spool->memory_bytes = 0;
}

void qn_spool_free(qn_spool *spool) {
  if (spool == NULL) {
    return;
  }
  forget_batches(spool);
  qn_batch_builder_release(&spool->small);
  qn_spill_free(spool->spill);
  qn_schema_free(spool->schema);
  free(spool);
}

// Moves what is in memory, but for the small batches, to the spill file.
static qn_status put_out(qn_spool *spool, qn_error *err) {
  qn_status status = QN_OK;

  if (spool->spill == NULL && spool->beside != NULL && spool->beside->spill != NULL) {
    QN_TRY(qn_spill_new_beside(spool->beside->spill, spool->schema, &spool->spill, err));
  } else if (spool->spill == NULL) {
    QN_TRY(qn_spill_new(spool->scratch, spool->schema, &spool->spill, err));
  }
  for (int64_t i = 0; i < spool->n_batches; i++) {
    QN_TRY(qn_spill_append(spool->spill, spool->batches[i], err));
    qn_batch_free(spool->batches[i]);
    spool->batches[i] = NULL;
  }
  forget_batches(spool);

done:
  return status;
}

static bool should_spill(const qn_spool *spool, int64_t more_bytes) {
  const int64_t share = qn_memory_budget() / 16;
  const int64_t least = share < LEAST_SPILL_BYTES ? share : LEAST_SPILL_BYTES;
  return qn_memory_is_tight(more_bytes) && spool->memory_bytes >= least;
}

// Keeps a batch behind all others.
static qn_status keep_batch(qn_spool *spool, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_bytes = qn_batch_n_bytes(batch);

  if (spool->spill != NULL) {
    QN_TRY(qn_spill_append(spool->spill, batch, err));
    goto done;
  }
  if (spool->n_batches == spool->capacity) {
    const int64_t capacity = spool->capacity == 0 ? 16 : spool->capacity * 2;
    qn_batch **batches = realloc(spool->batches, (size_t)capacity * sizeof *batches);
    QN_REQUIRE(batches != NULL, err, QN_ERR_MEMORY, "no memory for a spool of %" PRId64 " batches", capacity);
    spool->batches = batches;
    spool->capacity = capacity;
  }
  spool->batches[spool->n_batches++] = qn_batch_share(batch);
  spool->memory_bytes += n_bytes;
  if (should_spill(spool, n_bytes)) {
    QN_TRY(put_out(spool, err));
  }

done:
  return status;
}

// Makes one batch of the small ones that came last.
static qn_status flush_small(qn_spool *spool, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *batch = NULL;

  if (spool->small.n_rows > 0) {
    QN_TRY(qn_batch_builder_finish(&spool->small, &batch, err));
    QN_TRY(keep_batch(spool, batch, err));
  }

done:
  qn_batch_free(batch);
  return status;
}

qn_status qn_spool_append(qn_spool *spool, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_bytes = qn_batch_n_bytes(batch);

  QN_REQUIRE(!spool->is_readable, err, QN_ERR_ARG, "a batch is appended to a spool that is being read");
  if (batch->n_rows == 0) {
    goto done;
  }
  if (batch->n_rows < SMALL_ROWS && n_bytes < SMALL_BYTES) {
    QN_TRY(qn_batch_builder_append_range(&spool->small, batch, 0, batch->n_rows, err));
    if (spool->small.n_rows >= QN_BATCH_ROWS || qn_batch_builder_n_bytes(&spool->small) >= MOST_BYTES) {
      QN_TRY(flush_small(spool, err));
    }
  } else {
    QN_TRY(flush_small(spool, err));
    QN_TRY(keep_batch(spool, batch, err));
  }
  spool->n_rows += batch->n_rows;
  spool->n_bytes += n_bytes;

done:
  return status;
}

void qn_spool_share_file(qn_spool *spool, const qn_spool *other) {
  spool->beside = other;
}

qn_status qn_spool_spill(qn_spool *spool, qn_error *err) {
  qn_status status = QN_OK;

  if (spool->spill != NULL && spool->is_readable) {
    goto done;
  }
  QN_REQUIRE(spool->place == 0, err, QN_ERR_ARG, "a spool that is being read cannot be put out");
  QN_TRY(put_out(spool, err));
  QN_TRY(flush_small(spool, err));
  if (spool->is_readable) {
    QN_TRY(qn_spill_rewind(spool->spill, err));
  }

done:
  return status;
}

int64_t qn_spool_n_rows(const qn_spool *spool) {
  return spool->n_rows;
}

int64_t qn_spool_n_bytes(const qn_spool *spool) {
  return spool->n_bytes;
}

bool qn_spool_is_spilled(const qn_spool *spool) {
  return spool->spill != NULL;
}

qn_status qn_spool_rewind(qn_spool *spool, qn_error *err) {
  qn_status status = QN_OK;

  QN_REQUIRE(!spool->is_taken, err, QN_ERR_ARG, "a spool whose batches were taken is rewound");
  QN_TRY(flush_small(spool, err));
  if (spool->spill != NULL) {
    QN_TRY(qn_spill_rewind(spool->spill, err));
  }
  spool->place = 0;
  spool->is_readable = true;

done:
  return status;
}

static qn_status read_batch(qn_spool *spool, bool is_taken, qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;

  QN_REQUIRE(spool->is_readable, err, QN_ERR_ARG, "a spool is read before it is rewound");
  if (spool->spill != NULL) {
    QN_TRY(qn_spill_next(spool->spill, out, err));
    goto done;
  }
  *out = NULL;
  if (spool->place < spool->n_batches) {
    *out = spool->batches[spool->place];
    if (is_taken) {
      spool->batches[spool->place] = NULL;
    } else {
      qn_batch_share(*out);
    }
    spool->place++;
  }

done:
  return status;
}

qn_status qn_spool_next(qn_spool *spool, qn_batch **out, qn_error *err) {
  return read_batch(spool, false, out, err);
}

qn_status qn_spool_take(qn_spool *spool, qn_batch **out, qn_error *err) {
  spool->is_taken = true;
  return read_batch(spool, true, out, err);
}

qn_status qn_spool_drain(qn_spool *spool, qn_status (*visit)(void *ctx, const qn_batch *batch, qn_error *err),
                         void *ctx, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *batch = NULL;

  QN_TRY(qn_spool_rewind(spool, err));
  for (;;) {
    QN_TRY(qn_spool_take(spool, &batch, err));
    if (batch == NULL) {
      break;
    }
    QN_TRY(visit(ctx, batch, err));
    qn_batch_free(batch);
    batch = NULL;
  }

done:
  qn_batch_free(batch);
  return status;
}

qn_status qn_spool_concat(qn_spool *spool, qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch_builder builder = {0};
  qn_batch *batch = NULL;

  QN_REQUIRE(spool->n_rows <= INT32_MAX, err, QN_ERR_VALUE,
             "%" PRId64 " rows do not fit into one batch, which holds 2147483647 at most", spool->n_rows);
  QN_TRY(qn_spool_rewind(spool, err));
  if (spool->spill == NULL) {
    QN_TRY(qn_batch_concat(spool->schema, spool->batches, spool->n_batches, out, err));
    goto done;
  }
  QN_TRY(qn_batch_builder_init(&builder, spool->schema, err));
  for (;;) {
    QN_TRY(qn_spool_next(spool, &batch, err));
    if (batch == NULL) {
      break;
    }
    QN_TRY(qn_batch_builder_append_range(&builder, batch, 0, batch->n_rows, err));
    qn_batch_free(batch);
    batch = NULL;
  }
  QN_TRY(qn_batch_builder_finish(&builder, out, err));

done:
  qn_batch_free(batch);
  qn_batch_builder_release(&builder);
  return status;
}
