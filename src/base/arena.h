// SPDX-License-Identifier: Apache-2.0
// Memory of one lifetime: many small allocations, freed as a whole. A zeroed qn_arena is empty and usable.
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct qn_arena_chunk qn_arena_chunk;
typedef struct qn_arena {
  qn_arena_chunk *chunks; // newest first
  int64_t n_bytes;        // handed out
} qn_arena;

/// Zeroed, 16-byte aligned. NULL if there is no memory.
void *qn_arena_alloc(qn_arena *arena, int64_t size);
/// A copy of `size` bytes with a zero byte behind.
char *qn_arena_copy(qn_arena *arena, const char *text, int64_t size);
char *qn_arena_string(qn_arena *arena, const char *text);
char *qn_arena_printf(qn_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
void qn_arena_release(qn_arena *arena);
