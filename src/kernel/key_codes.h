// SPDX-License-Identifier: Apache-2.0
// A shortcut in front of a group table for keys that take few different values: each key column's value
// becomes a small code (an integer's distance from the smallest; a short text's place in a dictionary), the
// codes together are a place in an array of groups. Neither hashing nor comparing key rows is needed for a
// row whose group is there. Keys that do not suit switch it off.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "column/batch.h"

typedef struct qn_key_codes qn_key_codes;

/// Local. For keys of the given types; some types never suit.
qn_status qn_key_codes_new(const qn_type *types, int n_keys, qn_key_codes **out, qn_error *err);
void qn_key_codes_free(qn_key_codes *codes);
/// Whether it is worth calling qn_key_codes_find().
bool qn_key_codes_is_on(const qn_key_codes *codes);
/// groups[i] = the group of row i, or -1 if it is not known here; those rows are listed in unknown (room for
/// n_rows, ascending). Returns how many.
int64_t qn_key_codes_find(const qn_key_codes *codes, const qn_column *const *keys, int64_t n_rows,
                          int32_t *groups, int32_t *unknown);
/// Notes the groups, as the group table has given them, of rows that were not known.
qn_status qn_key_codes_learn(qn_key_codes *codes, const qn_column *const *keys, int64_t n_rows,
                             const int32_t *groups, qn_error *err);
/// Forgets all groups.
void qn_key_codes_clear(qn_key_codes *codes);
int64_t qn_key_codes_n_bytes(const qn_key_codes *codes);
