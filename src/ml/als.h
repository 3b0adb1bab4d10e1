// SPDX-License-Identifier: Apache-2.0
// What a trained recommender is asked: ratings of pairs, and what to recommend. Its arrays: "user_factors"
// [n_users, k], "item_factors" [n_items, k] float32, "user_offsets", "item_offsets", "mean" float64, the
// values of users and items (als_values.h), and which pairs were rated: "rated_starts" int64 [n_users + 1],
// "rated_items" int32.
#pragma once
#include <stdint.h>
#include <quern/dataset.h>
#include "ml/als_values.h"
#include "ml/model_state.h"

/// The arrays of a model, checked, and its users and items by value.
typedef struct qn_als_lookup {
  qn_als_values users, items;
  int64_t k;
  const float *user_factors, *item_factors;
  const double *user_offsets, *item_offsets;
  double mean;
  const int64_t *rated_starts; // NULL: the model does not hold them
  const int32_t *rated_items;
} qn_als_lookup;

/// The model holds rated pairs up to this many.
#define QN_ALS_MOST_RATED ((int64_t)1 << 28)

/// Local. Made with the first call; the model frees it.
qn_status qn_als_lookup_find(qn_model *model, const qn_als_lookup **out, qn_error *err);
void qn_als_lookup_free(qn_als_lookup *lookup);

/// Local. The dataset with a column "prediction float64" behind its own: null for users and items not seen.
qn_dataset *qn_als_predict(qn_dataset *data, qn_model *model);
