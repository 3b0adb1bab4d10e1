// SPDX-License-Identifier: Apache-2.0
// How good recommendations are: which of the k items at the top are among those that the user took later.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/dataset.h>
#include <quern/model.h>

/// Local. Of one user: hits[i] says whether the item at place i (0-based) was taken; n_taken of any. Recall
/// is hits / least(k, n_taken); ndcg is the sum of 1 / log2(i + 2) over hits, divided by that of n_taken hits
/// at the top (Jarvelin and Kekalainen, 2002). NaN if n_taken is 0.
void qn_ranking_of_user(const bool *hits, int64_t k, int64_t n_taken, double *ndcg, double *recall);

/// Collective, runs. One row "users int64, ndcg float64, recall float64": means over the users of `taken`
/// (its columns named as in training; each row a pair that was taken) to whom the model recommends something,
/// of the best k items for each; null if there is none. The same bits on any number of ranks.
qn_dataset *qn_ranking(qn_dataset *taken, qn_model *model, int64_t k);
