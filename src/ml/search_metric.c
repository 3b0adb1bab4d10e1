// SPDX-License-Identifier: Apache-2.0
// What a search can go by: which metrics there are for what an estimator makes, and which way is better.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "ml/metrics.h"
#include "ml/search.h"

typedef struct known_metric {
  const char *name;
  bool is_lower; // is better
  unsigned tasks;
} known_metric;

#define OF(task) (1u << (QN_TASK_##task))
// Those in front are taken if none is asked for, in this order.
static const known_metric known[] = {{"rmse", true, OF(NUMBER) | OF(RATING)},
                                     {"log_loss", true, OF(CLASS)},
                                     {"accuracy", false, OF(CLASS)},
                                     {"log_likelihood", false, OF(MIXTURE)},
                                     {"silhouette", false, OF(CLUSTER) | OF(MIXTURE)},
                                     {"explained_variance", false, OF(COMPONENTS)},
                                     {"ndcg", false, OF(RATING)},
                                     {"mae", true, OF(NUMBER) | OF(RATING)},
                                     {"r2", false, OF(NUMBER) | OF(RATING)},
                                     {"precision", false, OF(CLASS)},
                                     {"recall", false, OF(CLASS) | OF(RATING)},
                                     {"f1", false, OF(CLASS)},
                                     {"auc", false, OF(CLASS)},
                                     {"inertia", true, OF(CLUSTER)}};
enum { N_KNOWN = sizeof known / sizeof *known, N_USUAL = 7 };

bool qn_search_metric_is_lower(const char *name) {
  for (int i = 0; i < N_KNOWN; i++) {
    if (strcmp(known[i].name, name) == 0) {
      return known[i].is_lower;
    }
  }
  return false;
}

const char *qn_search_metric_usual(const qn_trials *trials) {
  const qn_trial *done = (const qn_trial *)trials->done.data;

  for (int m = 0; m < N_USUAL; m++) {
    for (int64_t i = 0; i < trials->done.size / (int64_t)sizeof *done; i++) {
      if (!isnan(qn_metric(&done[i].metrics, known[m].name))) {
        return known[m].name;
      }
    }
  }
  return NULL;
}

// Tasks that a candidate may have: whether a label is classes is not always known from the options.
static qn_status tasks_of(const qn_trials *trials, int64_t candidate, unsigned *out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_estimator *estimator = trials->estimator;
  qn_arena arena = {0};
  void *options = qn_arena_alloc(&arena, (int64_t)estimator->options_size);

  QN_REQUIRE(options != NULL, err, QN_ERR_MEMORY, "no memory for options");
  QN_TRY(qn_settings_parse(estimator, trials->candidates.texts[candidate], &arena, options, err));
  *out = 1u << estimator->task(options);
  *out |= qn_setting_find(estimator, "classes") != NULL ? OF(CLASS) | OF(NUMBER) : 0;

done:
  qn_arena_release(&arena);
  return status;
}

qn_status qn_search_metric_check(const qn_trials *trials, const char *name, qn_error *err) {
  qn_status status = QN_OK;
  char names[512] = "";
  bool is_there = true;
  unsigned tasks = 0;

  for (int64_t c = 0; c < trials->candidates.n && is_there; c++) {
    QN_TRY(tasks_of(trials, c, &tasks, err));
    is_there = false;
    for (int i = 0; i < N_KNOWN; i++) {
      is_there = is_there || (strcmp(known[i].name, name) == 0 && (known[i].tasks & tasks) != 0);
    }
  }
  for (int i = 0; i < N_KNOWN && !is_there; i++) {
    if ((known[i].tasks & tasks) != 0) {
      const size_t used = strlen(names);
      snprintf(names + used, sizeof names - used, "%s%s", used == 0 ? "" : ", ", known[i].name);
    }
  }
  QN_REQUIRE(is_there, err, QN_ERR_ARG, "search: there is no metric '%s' of %s; there are: %s", name,
             trials->estimator->name, names);

done:
  return status;
}
