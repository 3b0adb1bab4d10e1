// SPDX-License-Identifier: Apache-2.0
// Rows as JSON, for the results of a job.
#pragma once
#include <jansson.h>
#include "column/batch.h"

/// Local. The first n columns as [{"name": "n", "type": "int64"}]; NULL if there is no memory.
json_t *qn_result_columns(const qn_schema *schema, int n);
/// Local. The first n columns of the first n_rows rows, [[1, "a"]]: numbers as numbers, if JavaScript can
/// hold them, all else as text. NULL if there is no memory.
json_t *qn_result_rows(const qn_batch *batch, int n, int64_t n_rows);
