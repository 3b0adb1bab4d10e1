// SPDX-License-Identifier: Apache-2.0
// Logistic regression by Adam on mini-batches, for rows that come in no end or quick first models.
#pragma once
#include "ml/linear_objective.h"

/// Collective. Descends from `x`, and puts the coefficients into the model.
qn_status qn_logistic_mini_batch(qn_linear_objective *objective, const qn_logistic_options *options,
                                 const double *x, qn_error *err);
