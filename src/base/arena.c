// SPDX-License-Identifier: Apache-2.0
// An arena: a list of chunks that double in size, filled from the front.
#include "base/arena.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/memory.h"

enum { FIRST_CHUNK = 1024, LARGEST_CHUNK = 1 << 20, ARENA_ALIGNMENT = 16 };

struct qn_arena_chunk {
  qn_arena_chunk *older;
  int64_t capacity; // bytes after the head
  int64_t used;
  int64_t padding; // keeps what follows 16-byte aligned
};

static qn_arena_chunk *add_chunk(qn_arena *arena, int64_t size) {
  int64_t capacity = arena->chunks == NULL ? FIRST_CHUNK : 2 * arena->chunks->capacity;
  if (capacity > LARGEST_CHUNK) {
    capacity = LARGEST_CHUNK;
  }
  if (capacity < size) {
    capacity = size;
  }
  qn_arena_chunk *chunk = qn_memory_alloc(capacity + (int64_t)sizeof(qn_arena_chunk));
  if (chunk != NULL) {
    *chunk = (qn_arena_chunk){.older = arena->chunks, .capacity = capacity};
    arena->chunks = chunk;
  }
  return chunk;
}

void *qn_arena_alloc(qn_arena *arena, int64_t size) {
  if (size < 0 || size > INT64_MAX / 4) {
    return NULL;
  }
  const int64_t rounded = (size + ARENA_ALIGNMENT - 1) & ~(int64_t)(ARENA_ALIGNMENT - 1);
  qn_arena_chunk *chunk = arena->chunks;
  if (chunk == NULL || rounded > chunk->capacity - chunk->used) {
    chunk = add_chunk(arena, rounded);
  }
  if (chunk == NULL) {
    return NULL;
  }
  char *memory = (char *)(chunk + 1) + chunk->used;
  chunk->used += rounded;
  arena->n_bytes += size;
  memset(memory, 0, (size_t)rounded);
  return memory;
}

char *qn_arena_copy(qn_arena *arena, const char *text, int64_t size) {
  char *copy = size < 0 ? NULL : qn_arena_alloc(arena, size + 1);
  if (copy != NULL && size > 0) {
    memcpy(copy, text, (size_t)size);
  }
  return copy;
}

char *qn_arena_string(qn_arena *arena, const char *text) {
  return qn_arena_copy(arena, text, (int64_t)strlen(text));
}

char *qn_arena_printf(qn_arena *arena, const char *format, ...) {
  va_list args;
  va_start(args, format);
  const int size = vsnprintf(NULL, 0, format, args);
  va_end(args);
  char *text = size < 0 ? NULL : qn_arena_alloc(arena, (int64_t)size + 1);
  if (text != NULL) {
    va_start(args, format);
    vsnprintf(text, (size_t)size + 1, format, args);
    va_end(args);
  }
  return text;
}

void qn_arena_release(qn_arena *arena) {
  for (qn_arena_chunk *chunk = arena->chunks; chunk != NULL;) {
    qn_arena_chunk *older = chunk->older;
    qn_memory_free(chunk);
    chunk = older;
  }
  *arena = (qn_arena){0};
}
