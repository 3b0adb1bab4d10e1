// SPDX-License-Identifier: Apache-2.0
// A sample of the different keys of a stream of hashes: those whose mixed hash begins with `level` zero bits,
// the level rising as room runs out (adaptive sampling, Flajolet 1990). It says how many keys there are, and
// since two sides of a join sample by the same rule, how many of one side's keys the other side has.
#pragma once
#include <stdint.h>
#include "base/buffer.h"

typedef struct qn_key_sample qn_key_sample;

/// Local. Holds up to n_keys hashes.
qn_status qn_key_sample_new(int n_keys, qn_key_sample **out, qn_error *err);
void qn_key_sample_free(qn_key_sample *sample);
void qn_key_sample_add(qn_key_sample *sample, const uint64_t *hashes, int64_t n);
/// The number of different hashes that were added: exact while they fit, else within some
/// 1.2 / sqrt(n_keys) standard deviations of it.
int64_t qn_key_sample_n_distinct(const qn_key_sample *sample);
/// Of the keys of `sample`, how many are keys of `other`: *n_shared of *n_compared.
void qn_key_sample_compare(const qn_key_sample *sample, const qn_key_sample *other, int64_t *n_shared,
                           int64_t *n_compared);
/// As qn_key_sketch_write() and qn_key_sketch_merge().
qn_status qn_key_sample_write(const qn_key_sample *sample, qn_buffer *message, qn_error *err);
qn_status qn_key_sample_merge(qn_key_sample *sample, const uint8_t *data, int64_t n_bytes, int64_t *size,
                              qn_error *err);
