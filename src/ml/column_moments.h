// SPDX-License-Identifier: Apache-2.0
// Mean and variance of every column over the rows of all ranks, with their weights.
#pragma once
#include <stdbool.h>
#include "comm/comm.h"
#include "ml/rows.h"

/// Collective, inside a run. mean [n_columns]; variance [n_columns] may be NULL, else it is the mean squared
/// distance from the mean, taken in a second pass over the rows. `room` is for qn_row_block_densify().
qn_status qn_column_moments(qn_comm *comm, const qn_rows *rows, bool is_exact, double *room, double *mean,
                            double *variance, qn_error *err);
/// Local. The room for qn_row_block_densify(): NULL where rows are dense float64 already.
qn_status qn_rows_room(const qn_rows *rows, double **room, qn_error *err);
