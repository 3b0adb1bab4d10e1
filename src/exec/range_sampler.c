// SPDX-License-Identifier: Apache-2.0
// Samples taken while rows come, their number unknown: one row of each interval, at a place that a hash
// gives; when there are too many samples every other one goes, and intervals are twice as long from then on.
#include "exec/range_sampler.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"
#include "column/builder.h"

enum {
  ALL_SAMPLES = 1 << 17, // wanted of all ranks together
  LEAST_SAMPLES = 256,   // of a rank
  MOST_SAMPLES = 8192    // from 4096 on of 8 ranks, ranges differ by some 1.5 % (one standard deviation)
};

qn_status qn_range_sampler_new(const qn_order_columns *order, int n_ranks, qn_range_sampler **out,
                               qn_error *err) {
  qn_status status = QN_OK;
  const int64_t share = ALL_SAMPLES / n_ranks;
  qn_range_sampler *sampler = calloc(1, sizeof *sampler);

  QN_REQUIRE(sampler != NULL, err, QN_ERR_MEMORY, "no memory for samples");
  sampler->order = order;
  sampler->step = 1;
  sampler->capacity = share < LEAST_SAMPLES  ? LEAST_SAMPLES
                      : share > MOST_SAMPLES ? MOST_SAMPLES
                                             : share & ~1;
  sampler->samples = calloc((size_t)sampler->capacity, sizeof *sampler->samples);
  sampler->rows = calloc((size_t)sampler->capacity, sizeof *sampler->rows);
  QN_REQUIRE(sampler->samples != NULL && sampler->rows != NULL, err, QN_ERR_MEMORY,
             "no memory for %" PRId64 " samples", sampler->capacity);
  *out = sampler;
  sampler = NULL;

done:
  qn_range_sampler_free(sampler);
  return status;
}

void qn_range_sampler_free(qn_range_sampler *sampler) {
  if (sampler == NULL) {
    return;
  }
  free(sampler->samples);
  free(sampler->rows);
  qn_buffer_release(&sampler->keys);
  free(sampler);
}

// The row that is sampled of the next interval.
static int64_t next_row(const qn_range_sampler *sampler) {
  const uint64_t hash = qn_hash_mix((uint64_t)sampler->interval + 0x9e3779b97f4a7c15u);
  return sampler->interval * sampler->step + (int64_t)(hash % (uint64_t)sampler->step);
}

static void drop_every_other(qn_range_sampler *sampler) {
  int64_t n = 0;
  int64_t n_bytes = 0;

  for (int64_t i = 0; i < sampler->n_samples; i += 2) {
    qn_range_sample sample = sampler->samples[i];
    if (sample.size > 0) {
      memmove(sampler->keys.data + n_bytes, sampler->keys.data + sample.offset, (size_t)sample.size);
    }
    sample.offset = n_bytes;
    n_bytes += sample.size;
    sampler->samples[n++] = sample;
  }
  sampler->n_samples = n;
  sampler->keys.size = n_bytes;
  sampler->step *= 2;
  sampler->interval = n;
}

// Adds the keys of n rows of the batch, sampler->rows.
static qn_status add_samples(qn_range_sampler *sampler, const qn_batch *batch, int64_t n, qn_error *err) {
  qn_status status = QN_OK;
  const qn_order_columns *order = sampler->order;
  qn_batch *rows = NULL;
  qn_buffer keys = {0}, offsets = {0};

  QN_TRY(qn_batch_gather(batch, sampler->rows, n, &rows, err));
  QN_TRY(qn_sort_keys_encode(qn_order_columns_of(order, rows), order->orders, order->n, n, &keys, &offsets,
                             err));
  const int64_t *bounds = (const int64_t *)(const void *)offsets.data;
  for (int64_t i = 0; i < n; i++) {
    const int64_t size = bounds[i + 1] - bounds[i];
    qn_range_sample *sample = &sampler->samples[sampler->n_samples];
    *sample = (qn_range_sample){.row = sampler->n_rows + sampler->rows[i],
                                .offset = sampler->keys.size,
                                .size = size < QN_SAMPLE_KEY_BYTES ? size : QN_SAMPLE_KEY_BYTES};
    QN_TRY(qn_buffer_append(&sampler->keys, keys.data + bounds[i], sample->size, err));
    sampler->n_samples++;
  }

done:
  qn_buffer_release(&offsets);
  qn_buffer_release(&keys);
  qn_batch_free(rows);
  return status;
}

qn_status qn_range_sampler_add(qn_range_sampler *sampler, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t end = sampler->n_rows + batch->n_rows;

  while (next_row(sampler) < end) {
    int64_t n = 0;
    for (int64_t row = 0; sampler->n_samples + n < sampler->capacity && (row = next_row(sampler)) < end;) {
      sampler->rows[n++] = (int32_t)(row - sampler->n_rows);
      sampler->interval++;
    }
    QN_TRY(add_samples(sampler, batch, n, err));
    if (sampler->n_samples == sampler->capacity) {
      drop_every_other(sampler);
    }
  }
  sampler->n_rows = end;

done:
  return status;
}

qn_status qn_range_sampler_write(const qn_range_sampler *sampler, qn_buffer *message, qn_error *err) {
  qn_status status = QN_OK;
  static const uint8_t zeros[8] = {0};
  const int64_t head[2] = {sampler->n_rows, sampler->n_samples};

  QN_TRY(qn_buffer_append(message, head, sizeof head, err));
  QN_TRY(qn_buffer_append(message, sampler->samples, sampler->n_samples * (int64_t)sizeof *sampler->samples,
                          err));
  QN_TRY(qn_buffer_append(message, sampler->keys.data, sampler->keys.size, err));
  QN_TRY(qn_buffer_append(message, zeros, -message->size & 7, err));

done:
  return status;
}

static bool is_sample(const qn_range_sample *sample, int64_t n_rows, int64_t keys_size) {
  return sample->row >= 0 && sample->row < n_rows && sample->offset >= 0 && sample->size >= 0 &&
         sample->size <= keys_size && sample->offset <= keys_size - sample->size;
}

qn_status qn_range_samples_read(const uint8_t *data, int64_t size, int rank, int64_t *n_rows,
                                qn_range_sample **samples, int64_t *n_samples, const uint8_t **keys,
                                qn_error *err) {
  qn_status status = QN_OK;
  int64_t head[2] = {0, 0};
  const int64_t item = (int64_t)sizeof(qn_range_sample);
  qn_range_sample *list = NULL;

  QN_REQUIRE(size >= (int64_t)sizeof head, err, QN_ERR_FORMAT, "samples of rank %d: %" PRId64 " bytes only",
             rank, size);
  memcpy(head, data, sizeof head);
  size -= (int64_t)sizeof head;
  QN_REQUIRE(head[0] >= 0 && head[1] >= 0 && head[1] <= size / item, err, QN_ERR_FORMAT,
             "samples of rank %d: %" PRId64 " samples of %" PRId64 " rows in %" PRId64 " bytes", rank,
             head[1], head[0], size);
  list = malloc((size_t)((head[1] + 1) * item));
  QN_REQUIRE(list != NULL, err, QN_ERR_MEMORY, "no memory for %" PRId64 " samples", head[1]);
  memcpy(list, data + sizeof head, (size_t)(head[1] * item));
  for (int64_t i = 0; i < head[1]; i++) {
    QN_REQUIRE(is_sample(&list[i], head[0], size - head[1] * item), err, QN_ERR_FORMAT,
               "samples of rank %d: sample %" PRId64 " is not one", rank, i);
  }
  *keys = data + sizeof head + head[1] * item;
  *n_rows = head[0];
  *n_samples = head[1];
  *samples = list;
  list = NULL;

done:
  free(list);
  return status;
}
