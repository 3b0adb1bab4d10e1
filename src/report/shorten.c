// SPDX-License-Identifier: Apache-2.0
// Of bars and operators the longest stay, of ranks and curves evenly chosen ones, of rows and plans the
// first.
#include "report/shorten.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_TEXT = 4000, LONGEST_NODE_TEXT = 400 };

// Says once for each kind what is shown of how many; a later cut adds up with the earlier ones.
static void say(json_t *data, const char *what, int64_t shown, int64_t all) {
  json_t *left_out = json_object_get(data, "left_out");
  json_t *entry = NULL;
  size_t i = 0;

  json_array_foreach(left_out, i, entry) {
    const char *known = json_string_value(json_object_get(entry, "what"));
    if (known != NULL && strcmp(known, what) == 0) {
      json_object_set_new(entry, "shown", json_integer(shown));
      return;
    }
  }
  json_array_append_new(left_out, json_pack("{s:s, s:I, s:I}", "what", what, "shown", (json_int_t)shown, "of",
                                            (json_int_t)all));
}

typedef struct weighed {
  double weight;
  size_t at;
} weighed;

static int heavier(const void *a, const void *b) {
  const weighed *left = a;
  const weighed *right = b;
  return left->weight != right->weight ? (left->weight < right->weight) - (left->weight > right->weight)
                                       : (left->at > right->at) - (left->at < right->at);
}

// The weights of the things of a list, heaviest first; NULL if there is no memory.
static weighed *weigh(const json_t *list, double (*weight)(const json_t *thing)) {
  const size_t n = json_array_size(list);
  weighed *all = calloc(n + 1, sizeof *all);

  for (size_t i = 0; all != NULL && i < n; i++) {
    all[i] = (weighed){.weight = weight(json_array_get(list, i)), .at = i};
  }
  if (all != NULL) {
    qsort(all, n, sizeof *all, heavier);
  }
  return all;
}

// Keeps the heaviest, in their order.
static void keep_heaviest(json_t *list, int64_t most, double (*weight)(const json_t *thing)) {
  const size_t n = json_array_size(list);
  weighed *all = weigh(list, weight);
  bool *is_kept = calloc(n + 1, sizeof *is_kept);

  if (all != NULL && is_kept != NULL) {
    for (int64_t i = 0; i < most; i++) {
      is_kept[all[i].at] = true;
    }
    for (size_t i = n; i-- > 0;) {
      if (!is_kept[i]) {
        json_array_remove(list, i);
      }
    }
  }
  free(all);
  free(is_kept);
}

static void keep_even(json_t *list, int64_t most) {
  const int64_t n = (int64_t)json_array_size(list);
  json_t *kept = json_array();

  for (int64_t i = 0; i < most; i++) {
    const int64_t at = most == 1 ? 0 : i * (n - 1) / (most - 1); // the first and the last are among them
    json_array_append(kept, json_array_get(list, (size_t)at));
  }
  json_array_clear(list);
  json_array_extend(list, kept);
  json_decref(kept);
}

static void keep_first(json_t *list, int64_t most) {
  for (size_t i = json_array_size(list); (int64_t)i > most; i--) {
    json_array_remove(list, i - 1);
  }
}

static void cut_text(json_t *object, const char *key, size_t most) {
  const json_t *text = json_object_get(object, key);
  const char *value = json_string_value(text);
  size_t size = most;

  if (value == NULL || json_string_length(text) <= most) {
    return;
  }
  while (size > 0 && ((unsigned char)value[size] & 0xc0) == 0x80) { // not within a character
    size--;
  }
  char *shorter = strndup(value, size);
  if (shorter != NULL) {
    json_object_set_new(object, key, json_sprintf("%s …", shorter));
  }
  free(shorter);
}

static double bar_seconds(const json_t *bar) {
  return json_number_value(json_object_get(bar, "end")) - json_number_value(json_object_get(bar, "start"));
}

static double own_seconds(const json_t *thing) {
  return json_number_value(json_object_get(thing, "seconds"));
}

// The operators of the runs that took longest, up to `most` of them; of the others the time alone.
static void shorten_runs(json_t *data, json_t *runs, int64_t most) {
  weighed *all = weigh(runs, own_seconds);
  int64_t n_all = 0;
  int64_t n_kept = 0;

  for (size_t i = 0; all != NULL && i < json_array_size(runs); i++) {
    json_t *run = json_array_get(runs, all[i].at);
    json_t *operators = json_object_get(run, "operators");
    json_t *operator= NULL;
    size_t k = 0;
    const int64_t n = (int64_t)json_array_size(operators);
    n_all += n;
    if (n_kept + n > most) {
      json_array_clear(operators);
      json_object_set_new(run, "left_out", json_integer(n));
      continue;
    }
    n_kept += n;
    json_array_foreach(operators, k, operator) {
      cut_text(operator, "node", LONGEST_NODE_TEXT);
    }
  }
  if (all != NULL && n_kept < n_all) {
    say(data, "operators (those of the longest runs)", n_kept, n_all);
  }
  free(all);
}

static void shorten_training(json_t *data, json_t *training, int64_t most) {
  json_t *fit = NULL;
  size_t i = 0;
  const int64_t n_fits = (int64_t)json_array_size(training);

  if (n_fits > most / 20 + 1) {
    keep_first(training, most / 20 + 1);
    say(data, "trainings", most / 20 + 1, n_fits);
  }
  const int64_t each = most / (n_fits < 10 ? 10 : n_fits) + 20;
  json_array_foreach(training, i, fit) {
    static const char *const curves[] = {"steps", "loss", "gradient_norm"};
    for (int c = 0; c < 3; c++) {
      json_t *curve = json_object_get(fit, curves[c]);
      if ((int64_t)json_array_size(curve) > each) {
        if (c == 0) {
          say(data, "steps of a training's curve", each, (int64_t)json_array_size(curve));
        }
        keep_even(curve, each);
      }
    }
  }
}

static void shorten_record(json_t *data, json_t *record, int64_t most) {
  json_t *timeline = json_object_get(record, "timeline");
  json_t *ranks = json_object_get(record, "ranks");
  json_t *runs = json_object_get(record, "runs");
  const int64_t n_bars = (int64_t)json_array_size(timeline);
  const int64_t n_ranks = (int64_t)json_array_size(ranks);
  const int64_t n_runs = (int64_t)json_array_size(runs);

  if (n_bars > most) {
    keep_heaviest(timeline, most, bar_seconds);
    say(data, "bars of the timeline (the longest)", most, n_bars);
  }
  if (n_ranks > most / 4) {
    keep_even(ranks, most / 4);
    say(data, "ranks in the memory chart (evenly chosen)", most / 4, n_ranks);
  }
  if (n_runs > most) {
    keep_heaviest(runs, most, own_seconds);
    say(data, "runs of plans (the longest)", most, n_runs);
  }
  shorten_runs(data, runs, most / 2);
  shorten_training(data, json_object_get(record, "training"), most);
}

static void shorten_plan(json_t *data, json_t *actions, int64_t most) {
  json_t *action = NULL;
  size_t i = 0;
  int64_t n_kept = 0;
  int64_t n_nodes = 0;
  int64_t n_all = 0;

  json_array_foreach(actions, i, action) {
    json_t *nodes = json_object_get(action, "nodes");
    json_t *node = NULL;
    size_t k = 0;
    const int64_t n = (int64_t)json_array_size(nodes);
    const bool is_kept = n_nodes + n <= most;
    n_all += n;
    n_nodes += is_kept ? n : 0;
    n_kept += is_kept;
    if (!is_kept) {
      json_array_clear(nodes);
    }
    cut_text(action, "text_written", is_kept ? LONGEST_TEXT : 0);
    cut_text(action, "text_runs", is_kept ? LONGEST_TEXT : 0);
    json_array_foreach(nodes, k, node) {
      cut_text(node, "text", LONGEST_NODE_TEXT);
    }
  }
  if (n_nodes < n_all) {
    say(data, "plans as graphs", n_kept, (int64_t)json_array_size(actions));
  }
}

// Rows are bounded where they are written; here is what to do about very wide or long ones.
// The page compares with "n_rows" and says how many there were.
static void shorten_results(json_t *results, int64_t most) {
  json_t *result = NULL;
  size_t i = 0;
  int64_t n_left = most * 10; // values

  json_array_foreach(results, i, result) {
    json_t *rows = json_object_get(result, "rows");
    const int64_t n_columns = (int64_t)json_array_size(json_object_get(result, "columns"));
    const int64_t n_rows = (int64_t)json_array_size(rows);
    const int64_t fits = n_columns == 0 ? 0 : n_left / n_columns;
    if (n_rows > fits) {
      keep_first(rows, fits);
    }
    n_left -= (n_rows < fits ? n_rows : fits) * n_columns;
  }
}

void qn_shorten(json_t *data, int64_t most) {
  json_t *record = NULL;
  json_t *journal = json_object_get(data, "journal");
  json_t *progress = json_object_get(data, "progress");
  const int64_t n_journal = (int64_t)json_array_size(journal);
  const int64_t n_progress = (int64_t)json_array_size(progress);
  size_t i = 0;

  shorten_record(data, json_object_get(data, "record"), most);
  json_array_foreach(json_object_get(data, "earlier"), i, record) {
    shorten_record(data, record, most / 4);
  }
  shorten_plan(data, json_object_get(json_object_get(data, "plan"), "actions"), most);
  shorten_results(json_object_get(data, "results"), most);
  if (n_journal > most) {
    keep_first(journal, most);
    say(data, "lines of the journal", most, n_journal);
  }
  if (n_progress > most / 4) {
    keep_even(progress, most / 4);
    say(data, "lines of progress (evenly chosen)", most / 4, n_progress);
  }
}
