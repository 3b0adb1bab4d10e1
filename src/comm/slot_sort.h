// SPDX-License-Identifier: Apache-2.0
// Row numbers by destination. With few destinations a pass over the rows for each of them is faster than
// counting, since no step waits for what the one before has stored.
#pragma once
#include <stdint.h>

/// What is written may go this many numbers beyond the last row.
enum { QN_SLOT_SLACK = 16 };

/// Fills rows [n_rows + QN_SLOT_SLACK] with 0 .. n_rows - 1, those of slot s before ends[s] and behind those
/// of lower slots, in their order. slots [n_rows]: from 0 to n_slots - 1; ends [n_slots].
typedef void (*qn_slot_sort)(const int32_t *slots, int64_t n_rows, int n_slots, int32_t *rows, int64_t *ends);

void qn_slot_sort_counting(const int32_t *slots, int64_t n_rows, int n_slots, int32_t *rows, int64_t *ends);
void qn_slot_sort_few(const int32_t *slots, int64_t n_rows, int n_slots, int32_t *rows, int64_t *ends);
/// NULL where the processor cannot do it.
qn_slot_sort qn_slot_sort_avx512(void);
/// The fastest for that many slots.
qn_slot_sort qn_slot_sort_best(int n_slots);
