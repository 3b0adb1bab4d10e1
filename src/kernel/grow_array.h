// SPDX-License-Identifier: Apache-2.0
// Arrays that grow with the number of groups and are read at random: large ones ask for huge pages, which
// halves the time of tables that leave the cache.
#pragma once
#include <stdint.h>
#include <quern/status.h>

/// Makes *array hold at least `needed` items of item_size bytes, doubling *capacity (items). New items are
/// not set. On failure both are unchanged.
qn_status qn_array_grow(void **array, int64_t *capacity, int64_t needed, int64_t item_size, qn_error *err);
/// The same, and sets all bytes of the items [n_used, needed) to zero; n_used <= needed.
qn_status qn_array_grow_zeroed(void **array, int64_t *capacity, int64_t n_used, int64_t needed,
                               int64_t item_size, qn_error *err);
/// Asks for huge pages behind `size` bytes, if they are many.
void qn_advise_huge_pages(void *memory, int64_t size);
