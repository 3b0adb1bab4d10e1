// SPDX-License-Identifier: Apache-2.0
// What a sampler holds and how samples travel; for range_splits.c.
#pragma once
#include <stdint.h>
#include "base/buffer.h"
#include "exec/range_splits.h"

/// Bytes of a key that a sample keeps: a bound need not be a whole key.
enum { QN_SAMPLE_KEY_BYTES = 256 };

typedef struct qn_range_sample {
  int64_t row;    // among the rank's rows
  int64_t offset; // of the key, in keys
  int64_t size;
} qn_range_sample;

struct qn_range_sampler {
  const qn_order_columns *order;
  int64_t n_rows;
  int64_t step;     // one row is sampled of each interval of so many
  int64_t interval; // the next one
  int64_t capacity; // even
  int64_t n_samples;
  qn_range_sample *samples; // [capacity]
  qn_buffer keys;
  int32_t *rows; // of the batch at hand, [capacity]
};

/// Appends the samples as a message, a multiple of 8 bytes.
qn_status qn_range_sampler_write(const qn_range_sampler *sampler, qn_buffer *message, qn_error *err);
/// Reads such a message of `rank`: *samples (for the caller to free()) with offsets into *keys, which points
/// into data.
qn_status qn_range_samples_read(const uint8_t *data, int64_t size, int rank, int64_t *n_rows,
                                qn_range_sample **samples, int64_t *n_samples, const uint8_t **keys,
                                qn_error *err);
