// SPDX-License-Identifier: Apache-2.0
// All large memory goes through here and is counted against the budget of the process: a rank is a process,
// so the account is the one global of the library. Operators ask qn_memory_is_tight() and spill; an
// allocation itself fails only when the system has no memory.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <quern/status.h>

/// Tells the C library to keep freed memory instead of giving it back to the system at once: buffers of
/// messages and batches come and go all the time, and their pages would be cleared each time. For the start
/// of a job with a budget of that many bytes (<= 0: none), of which what is kept is an eighth at most.
void qn_memory_tune(int64_t budget);

/// Bytes that every block has beyond its size, so that vector code may read past the end.
enum { QN_MEMORY_SLACK = 64 };

/// Sets the budget in bytes; <= 0: no limit (the default).
void qn_memory_set_budget(int64_t bytes);
int64_t qn_memory_budget(void);
int64_t qn_memory_used(void);
int64_t qn_memory_peak(void);

/// True if `more_bytes` on top of what is in use would leave the budget.
bool qn_memory_is_tight(int64_t more_bytes);

/// Counts memory that does not come from here: this rank's part of the memory of its node (< 0: given back).
void qn_memory_count_shared(int64_t bytes);

/// Bytes written to spill files since the start of the process, and spill files (or parts of shared ones).
void qn_memory_count_spilled(int64_t bytes, int64_t n_spills);
int64_t qn_memory_spilled(void);
int64_t qn_memory_n_spills(void);

/// Size + QN_MEMORY_SLACK bytes, 64-byte aligned, not zeroed. NULL only if there is no memory.
/// size 0 gives a valid pointer.
void *qn_memory_alloc(int64_t size);
/// Grows or shrinks, keeping the contents up to the smaller size. On failure NULL and `memory` is unchanged.
void *qn_memory_resize(void *memory, int64_t size);
/// NULL is allowed.
void qn_memory_free(void *memory);

/// product = a * b for sizes; QN_ERR_MEMORY with a message when it overflows or is negative.
qn_status qn_mul_size(int64_t a, int64_t b, int64_t *product, qn_error *err);
