// SPDX-License-Identifier: Apache-2.0
// Accounted memory. Each block lies 64-byte aligned inside one of malloc, with its size and the distance to
// malloc's block just before it. Growing goes through realloc, which moves large blocks by remapping pages,
// not by copying.
#include "base/memory.h"
#include <inttypes.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64, OVERHEAD = ALIGNMENT + QN_MEMORY_SLACK };

typedef struct {
  int64_t size;     // as asked for
  int64_t distance; // from malloc's block to the user's
} block_header;

static struct {
  int64_t budget;
  int64_t used;
  int64_t peak;
  int64_t spilled;
  int64_t n_spills;
} account;

void qn_memory_set_budget(int64_t bytes) {
  account.budget = bytes;
}

int64_t qn_memory_budget(void) {
  return account.budget;
}

int64_t qn_memory_used(void) {
  return account.used;
}

int64_t qn_memory_peak(void) {
  return account.peak;
}

bool qn_memory_is_tight(int64_t more_bytes) {
  return account.budget > 0 && more_bytes > account.budget - account.used;
}

void qn_memory_count_spilled(int64_t bytes, int64_t n_spills) {
  account.spilled += bytes;
  account.n_spills += n_spills;
}

int64_t qn_memory_spilled(void) {
  return account.spilled;
}

int64_t qn_memory_n_spills(void) {
  return account.n_spills;
}

static void count(int64_t bytes) {
  account.used += bytes;
  if (account.used > account.peak) {
    account.peak = account.used;
  }
}

void qn_memory_count_shared(int64_t bytes) {
  count(bytes);
}

static block_header *header_of(void *memory) {
  return (block_header *)memory - 1;
}

// Bytes from a block of malloc to the first aligned place that leaves room for the header.
static int64_t distance_to_user(const void *raw) {
  const uintptr_t first = (uintptr_t)raw + sizeof(block_header);
  return (int64_t)(((first + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1)) - (uintptr_t)raw);
}

// More than any machine has is refused here: allocators differ in what they do with absurd sizes.
static bool size_is_valid(int64_t size) {
  return size >= 0 && size < (int64_t)1 << 40;
}

static size_t raw_size(int64_t size) {
  return (size_t)size + OVERHEAD + sizeof(block_header);
}

void *qn_memory_alloc(int64_t size) {
  char *raw = size_is_valid(size) ? malloc(raw_size(size)) : NULL;
  if (raw == NULL) {
    return NULL;
  }
  const int64_t distance = distance_to_user(raw);
  char *memory = raw + distance;
  *header_of(memory) = (block_header){.size = size, .distance = distance};
  count(size + QN_MEMORY_SLACK);
  return memory;
}

void *qn_memory_resize(void *memory, int64_t size) {
  if (memory == NULL) {
    return qn_memory_alloc(size);
  }
  const block_header before = *header_of(memory);
  char *raw = size_is_valid(size) ? realloc((char *)memory - before.distance, raw_size(size)) : NULL;
  if (raw == NULL) {
    return NULL;
  }
  const int64_t distance = distance_to_user(raw);
  if (distance != before.distance) {
    memmove(raw + distance, raw + before.distance, (size_t)(size < before.size ? size : before.size));
  }
  char *moved = raw + distance;
  *header_of(moved) = (block_header){.size = size, .distance = distance};
  count(size - before.size);
  return moved;
}

void qn_memory_free(void *memory) {
  if (memory == NULL) {
    return;
  }
  const block_header header = *header_of(memory);
  count(-(header.size + QN_MEMORY_SLACK));
  free((char *)memory - header.distance);
}

qn_status qn_mul_size(int64_t a, int64_t b, int64_t *product, qn_error *err) {
  int64_t result = 0;
  if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &result)) {
    return qn_fail(err, QN_ERR_MEMORY, "%" PRId64 " times %" PRId64 " bytes are more than memory can hold", a,
                   b);
  }
  *product = result;
  return QN_OK;
}

static int clamp(int64_t bytes, int64_t least, int64_t most) {
  return (int)(bytes < least ? least : bytes > most ? most : bytes);
}

void qn_memory_tune(int64_t budget) {
#ifdef M_MMAP_THRESHOLD // glibc
  const int64_t kept = budget > 0 ? budget / 8 : (int64_t)1 << 40;
  mallopt(M_MMAP_THRESHOLD, clamp(kept, 1 << 20, 64 << 20));
  mallopt(M_TRIM_THRESHOLD, clamp(kept, 4 << 20, 256 << 20));
#endif
}
