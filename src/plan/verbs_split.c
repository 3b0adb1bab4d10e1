// SPDX-License-Identifier: Apache-2.0
// The verbs that choose rows by chance: a row's number in [0, 1) is a hash of its values and a seed, and the
// row is in if the number is in an interval (or outside of it).
#include "base/check.h"
#include "base/hash.h"
#include "plan/plan.h"

// A sample node with a status, and with a schema if that is QN_OK.
static qn_dataset *sample_node(qn_dataset *in, double from, double to, bool is_outside, uint64_t seed,
                               const char *text) {
  qn_dataset *node = in == NULL ? NULL : qn_plan_node(in->plan, QN_NODE_SAMPLE, in, NULL, NULL);
  if (node == NULL || node->status != QN_OK) {
    return node;
  }
  node->text = text;
  node->from = from;
  node->to = to;
  node->is_outside = is_outside;
  node->seed = seed;
  node->schema = qn_schema_share(in->schema);
  return node;
}

static qn_dataset *refuse(qn_dataset *in, qn_status status, const qn_error *err) {
  return in == NULL ? NULL
                    : qn_plan_finish(qn_plan_node(in->plan, QN_NODE_SAMPLE, in, NULL, NULL), status, err);
}

QN_API qn_dataset *qn_sample(qn_dataset *in, double fraction, uint64_t seed) {
  qn_status status = QN_OK;
  qn_error err = {0};

  if (in == NULL || in->status != QN_OK) {
    return in;
  }
  QN_REQUIRE(fraction >= 0 && fraction <= 1, &err, QN_ERR_ARG,
             "sample: the fraction is %g, not between 0 and 1", fraction);
  const char *text = qn_arena_printf(&in->plan->arena, "%g, seed %llu", fraction, (unsigned long long)seed);
  QN_REQUIRE(text != NULL, &err, QN_ERR_MEMORY, "no memory for a plan node");
  return sample_node(in, 0, fraction, false, seed, text);

done:
  return refuse(in, status, &err);
}

// A part of a part must not be chosen by the numbers that the part was chosen by, or nothing of it would be
// left: so the seed changes with each split below.
static uint64_t split_seed(const qn_dataset *in, uint64_t seed) {
  uint64_t depth = 1;
  for (const qn_dataset *node = in; node != NULL; node = node->n_inputs > 0 ? node->inputs[0] : NULL) {
    depth += node->kind == QN_NODE_SAMPLE;
  }
  return qn_hash_combine(qn_hash_mix(seed), depth);
}

// The rows whose numbers are in [from, to), and the others.
static void split(qn_dataset *in, double from, double to, uint64_t seed, const char *text,
                  qn_dataset **inside, qn_dataset **outside) {
  qn_arena *arena = &in->plan->arena;
  const uint64_t own_seed = split_seed(in, seed);
  const char *texts[2] = {qn_arena_printf(arena, "%s, seed %llu", text, (unsigned long long)seed),
                          qn_arena_printf(arena, "all but %s, seed %llu", text, (unsigned long long)seed)};
  const qn_error err = {.message = "no memory for a plan node"};
  const bool has_texts = texts[0] != NULL && texts[1] != NULL;
  *inside =
      has_texts ? sample_node(in, from, to, false, own_seed, texts[0]) : refuse(in, QN_ERR_MEMORY, &err);
  *outside =
      has_texts ? sample_node(in, from, to, true, own_seed, texts[1]) : refuse(in, QN_ERR_MEMORY, &err);
}

QN_API void qn_split(qn_dataset *data, double test_fraction, uint64_t seed, qn_dataset **train,
                     qn_dataset **test) {
  qn_status status = QN_OK;
  qn_error err = {0};

  if (data == NULL || data->status != QN_OK) {
    *train = *test = data;
    return;
  }
  QN_REQUIRE(test_fraction >= 0 && test_fraction <= 1, &err, QN_ERR_ARG,
             "split: the fraction of rows to test on is %g, not between 0 and 1", test_fraction);
  const char *text = qn_arena_printf(&data->plan->arena, "%g", test_fraction);
  QN_REQUIRE(text != NULL, &err, QN_ERR_MEMORY, "no memory for a plan node");
  split(data, 0, test_fraction, seed, text, test, train);
  return;

done:
  *train = refuse(data, status, &err);
  *test = *train;
}

QN_API void qn_fold(qn_dataset *data, int k, int i, uint64_t seed, qn_dataset **train, qn_dataset **test) {
  qn_status status = QN_OK;
  qn_error err = {0};

  if (data == NULL || data->status != QN_OK) {
    *train = *test = data;
    return;
  }
  QN_REQUIRE(k >= 2, &err, QN_ERR_ARG, "fold: %d folds; at least 2 are needed", k);
  QN_REQUIRE(i >= 0 && i < k, &err, QN_ERR_ARG, "fold: there is no fold %d of %d; they are 0 to %d", i, k,
             k - 1);
  const char *text = qn_arena_printf(&data->plan->arena, "fold %d of %d", i, k);
  QN_REQUIRE(text != NULL, &err, QN_ERR_MEMORY, "no memory for a plan node");
  split(data, (double)i / k, (double)(i + 1) / k, seed, text, test, train);
  return;

done:
  *train = refuse(data, status, &err);
  *test = *train;
}
