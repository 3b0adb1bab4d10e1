// SPDX-License-Identifier: Apache-2.0
// Metrics of the rows that a fold leaves out.
#pragma once
#include <stdint.h>
#include "base/buffer.h"
#include "ml/metrics.h"
#include "ml/model_state.h"
#include "ml/rows.h"

/// Numbers that are kept of a row, but for models of classes. Of clusters the first is the cluster.
enum { QN_JUDGED_WIDTH = 3 };

/// Local. Appends to `kept` what is needed of each row of a block, from what the model makes of it.
qn_status qn_judged_keep(const qn_model *model, const qn_row_block *block, const double *outputs,
                         qn_buffer *kept, qn_error *err);
/// Local. Metrics of what was kept of n rows, which it changes; the same as qn_evaluate() gives,
/// but for the silhouette.
qn_status qn_judged_metrics(const qn_model *model, double *rows, int64_t n, qn_metrics *out, qn_error *err);
