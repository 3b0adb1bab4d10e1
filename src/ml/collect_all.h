// SPDX-License-Identifier: Apache-2.0
// Small results of plans, which every rank goes on from.
#pragma once
#include <quern/dataset.h>

/// Collective, runs. All rows as one batch on every rank; free it with qn_batch_free().
qn_status qn_collect_all(qn_dataset *data, qn_batch **out, qn_error *err);
