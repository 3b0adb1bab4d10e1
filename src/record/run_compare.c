// SPDX-License-Identifier: Apache-2.0
// Two runs side by side. Actions are matched by their number, operators by the run of the action that they
// are in, and among those of the same name and node by their order.
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "record/run_choice.h"
#include "record/run_json.h"
#include "record/run_view.h"

enum { WIDTH = 44 };

// --- What differs -----------------------------------------------------------------------------------------

static char *shown(const json_t *value) {
  if (value == NULL) {
    return strdup("-");
  }
  return json_is_string(value) ? strdup(json_string_value(value))
                               : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
}

static void print_difference(const char *group, const char *name, const json_t *a, const json_t *b, FILE *out,
                             int *n) {
  if (a == b || (a != NULL && b != NULL && json_equal(a, b))) {
    return;
  }
  char *one = shown(a);
  char *other = shown(b);
  fprintf(out, "  %s%s%s: %s | %s\n", group, group[0] != '\0' && name[0] != '\0' ? " " : "", name,
          one == NULL ? "" : one, other == NULL ? "" : other);
  free(one);
  free(other);
  (*n)++;
}

// The members of two objects that differ, also those that only one of them has.
static void print_objects(const char *group, json_t *a, json_t *b, FILE *out, int *n) {
  const char *name = NULL;
  json_t *value = NULL;

  json_object_foreach(a, name, value) {
    print_difference(group, name, value, json_object_get(b, name), out, n);
  }
  json_object_foreach(b, name, value) {
    if (json_object_get(a, name) == NULL) {
      print_difference(group, name, NULL, value, out, n);
    }
  }
}

// {"ratings.csv": "2483723 bytes, fingerprint 9d0f..."}
static json_t *inputs_by_path(const json_t *run) {
  json_t *object = json_object();
  const json_t *inputs = json_object_get(run, "inputs");

  for (size_t i = 0; i < json_array_size(inputs); i++) {
    const json_t *input = json_array_get(inputs, i);
    json_object_set_new(object, qn_json_text(input, "path"),
                        json_sprintf("%lld bytes, fingerprint %s",
                                     (long long)json_integer_value(json_object_get(input, "bytes")),
                                     qn_json_text(input, "fingerprint")));
  }
  return object;
}

// Arguments but for those that say where a run leaves what, and how much memory it has.
static void print_arguments(const json_t *a, const json_t *b, FILE *out, int *n) {
  json_t *one = qn_run_settled_arguments(json_object_get(a, "arguments"));
  json_t *other = qn_run_settled_arguments(json_object_get(b, "arguments"));

  print_difference("", "arguments", one, other, out, n);
  json_decref(one);
  json_decref(other);
}

static void print_differences(const qn_run_view *a, const qn_run_view *b, FILE *out) {
  static const char *const facts[] = {"job", "program", "directory"};
  static const char *const of_attempt[] = {"n_ranks", "memory_per_rank", "scratch", "nodes"};
  static const char *const groups[] = {"code", "options", "libraries", "environment"};
  static const char *const names[] = {"", "option", "library", "environment"};
  const json_t *one = qn_run_last_attempt(a->run);
  const json_t *other = qn_run_last_attempt(b->run);
  json_t *inputs[] = {inputs_by_path(a->run), inputs_by_path(b->run)};
  int n = 0;

  fprintf(out, "What differs (first | second):\n");
  for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
    print_difference("", facts[i], json_object_get(a->run, facts[i]), json_object_get(b->run, facts[i]), out,
                     &n);
  }
  print_arguments(a->run, b->run, out, &n);
  for (size_t i = 0; i < sizeof of_attempt / sizeof *of_attempt; i++) {
    print_difference("", of_attempt[i], json_object_get(one, of_attempt[i]),
                     json_object_get(other, of_attempt[i]), out, &n);
  }
  for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
    print_objects(names[i], json_object_get(a->run, groups[i]), json_object_get(b->run, groups[i]), out, &n);
  }
  print_objects("input", inputs[0], inputs[1], out, &n);
  if (n == 0) {
    fprintf(out, "  nothing of what is known\n");
  }
  json_decref(inputs[0]);
  json_decref(inputs[1]);
}

// --- Side by side -----------------------------------------------------------------------------------------

static double number(const json_t *object, const char *name) {
  return json_number_value(json_object_get(object, name));
}
static double part(const json_t *object, const char *name, const char *of) {
  return number(json_object_get(object, name), of);
}

static void print_ratio(double a, double b, FILE *out) {
  if (a > 0 && b > 0) {
    fprintf(out, " %7.2f", b / a);
  } else {
    fprintf(out, " %7s", a == b ? "" : "-");
  }
}

static void print_label(const char *indent, const char *text, FILE *out) {
  fprintf(out, "%s%-*.*s", indent, WIDTH - (int)strlen(indent), WIDTH - (int)strlen(indent), text);
}

static void print_operator(const json_t *a, const json_t *b, FILE *out) {
  const json_t *named = a != NULL ? a : b;
  const double rows[] = {part(a, "rows", "sum"), part(b, "rows", "sum")};
  char texts[4][32];
  char label[160];

  snprintf(label, sizeof label, "%s (%s)", qn_json_text(named, "name"), qn_json_text(named, "node"));
  print_label("    ", label, out);
  fprintf(out, " %9.3f %9.3f", number(a, "self_seconds"), number(b, "self_seconds"));
  print_ratio(number(a, "self_seconds"), number(b, "self_seconds"), out);
  fprintf(out, " %13s %13s %9s %9s", qn_show_count(rows[0], texts[0], 32),
          qn_show_count(rows[1], texts[1], 32),
          qn_show_bytes((int64_t)part(a, "bytes_spilled", "sum"), texts[2], 32),
          qn_show_bytes((int64_t)part(b, "bytes_spilled", "sum"), texts[3], 32));
  fprintf(out, " %5.2f %5.2f", part(a, "rows", "balance"), part(b, "rows", "balance"));
  if (a == NULL || b == NULL) {
    fprintf(out, "  only in the %s", a == NULL ? "second" : "first");
  } else if (rows[0] != rows[1]) {
    fprintf(out, "  rows differ");
  }
  fprintf(out, "\n");
}

// What is read may have another size, and says so behind its name.
static bool is_same_node(const json_t *a, const json_t *b) {
  const char *one = qn_json_text(a, "node");
  const char *other = qn_json_text(b, "node");
  const char *bracket = strcmp(qn_json_text(a, "name"), "read") == 0 ? strstr(one, " (") : NULL;

  return bracket == NULL ? strcmp(one, other) == 0 : strncmp(one, other, (size_t)(bracket - one) + 2) == 0;
}

// The first operator of the same name and node that is not taken yet; `taken` has a mark for each.
static json_t *find_same(const json_t *operators, const json_t *wanted, char *taken) {
  for (size_t i = 0; i < json_array_size(operators); i++) {
    json_t *op = json_array_get(operators, i);
    if (taken[i] == 0 && strcmp(qn_json_text(op, "name"), qn_json_text(wanted, "name")) == 0 &&
        is_same_node(wanted, op)) {
      taken[i] = 1;
      return op;
    }
  }
  return NULL;
}

static void print_operators(const json_t *a, const json_t *b, FILE *out) {
  const json_t *ours = json_object_get(a, "operators");
  const json_t *theirs = json_object_get(b, "operators");
  char *taken = calloc(json_array_size(theirs) + 1, 1);

  if (taken == NULL) {
    return;
  }
  for (size_t i = json_array_size(ours); i > 0; i--) { // as rows flow: the sink is the first
    const json_t *op = json_array_get(ours, i - 1);
    print_operator(op, find_same(theirs, op, taken), out);
  }
  for (size_t i = json_array_size(theirs); i > 0; i--) {
    if (taken[i - 1] == 0) {
      print_operator(NULL, json_array_get(theirs, i - 1), out);
    }
  }
  free(taken);
}

// The how manieth run of an action; NULL if it has fewer.
static json_t *run_of_action(const json_t *record, int64_t action, size_t index) {
  const json_t *runs = json_object_get(record, "runs");
  for (size_t i = 0; i < json_array_size(runs); i++) {
    json_t *run = json_array_get(runs, i);
    const json_t *of = json_object_get(run, "action");
    if (json_is_integer(of) && json_integer_value(of) == action && index-- == 0) {
      return run;
    }
  }
  return NULL;
}

// The runs of an action, and the span of its fit, which is more than they are; 0 without.
static double action_seconds(const json_t *record, int64_t action) {
  const json_t *spans = json_object_get(record, "timeline");
  double runs = 0;
  double fit = 0;

  for (size_t i = 0; run_of_action(record, action, i) != NULL; i++) {
    runs += number(run_of_action(record, action, i), "seconds");
  }
  for (size_t i = 0; i < json_array_size(spans); i++) {
    const json_t *span = json_array_get(spans, i);
    const double seconds = number(span, "end") - number(span, "start");
    if (json_integer_value(json_object_get(span, "action")) == action &&
        strncmp(qn_json_text(span, "name"), "fit ", 4) == 0 && seconds > fit) {
      fit = seconds;
    }
  }
  return runs > fit ? runs : fit;
}

static const json_t *action_of(const qn_run_view *view, int64_t action) {
  const json_t *actions = json_object_get(view->plan, "actions");
  for (size_t i = 0; i < json_array_size(actions); i++) {
    const json_t *found = json_array_get(actions, i);
    if (json_integer_value(json_object_get(found, "action")) == action) {
      return found;
    }
  }
  return NULL;
}

static int64_t last_action(const qn_run_view *view) {
  const json_t *runs = json_object_get(view->record, "runs");
  const json_t *actions = json_object_get(view->plan, "actions");
  int64_t last = -1;

  for (size_t i = 0; i < json_array_size(runs); i++) {
    const json_t *of = json_object_get(json_array_get(runs, i), "action");
    last = json_is_integer(of) && json_integer_value(of) > last ? json_integer_value(of) : last;
  }
  for (size_t i = 0; i < json_array_size(actions); i++) {
    const int64_t of = json_integer_value(json_object_get(json_array_get(actions, i), "action"));
    last = of > last ? of : last;
  }
  return last;
}

static void print_action(const qn_run_view *a, const qn_run_view *b, int64_t action, FILE *out) {
  const json_t *ours = action_of(a, action);
  const json_t *named = ours != NULL ? ours : action_of(b, action);
  const double seconds[] = {action_seconds(a->record, action), action_seconds(b->record, action)};
  char label[256];

  snprintf(label, sizeof label, "%lld %s", (long long)action, qn_json_text(named, "what"));
  print_label("  ", label, out);
  fprintf(out, " %9.3f %9.3f", seconds[0], seconds[1]);
  print_ratio(seconds[0], seconds[1], out);
  fprintf(out, "\n");
  for (size_t i = 0;; i++) {
    const json_t *one = run_of_action(a->record, action, i);
    const json_t *other = run_of_action(b->record, action, i);
    if (one == NULL && other == NULL) {
      break;
    }
    print_operators(one, other, out);
  }
}

static void print_table(const qn_run_view *a, const qn_run_view *b, FILE *out) {
  const int64_t last = last_action(a) > last_action(b) ? last_action(a) : last_action(b);
  const double seconds[] = {qn_run_view_seconds(a), qn_run_view_seconds(b)};

  fprintf(out, "\n%-*s %9s %9s %7s %13s %13s %9s %9s %5s %5s\n", WIDTH, "", "seconds", "", "ratio", "rows",
          "", "spilled", "", "balance", "");
  print_label("", "all", out);
  fprintf(out, " %9.3f %9.3f", seconds[0], seconds[1]);
  print_ratio(seconds[0], seconds[1], out);
  fprintf(out, "\n");
  for (int64_t action = 0; action <= last; action++) {
    print_action(a, b, action, out);
  }
}

QN_API qn_status qn_run_compare(const char *first, const char *second, FILE *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_run_view a = {0};
  qn_run_view b = {0};

  QN_TRY(qn_run_view_open(first, &a, err));
  QN_TRY(qn_run_view_open(second, &b, err));
  qn_run_view_read_record(&a);
  qn_run_view_read_record(&b);
  fprintf(out, "first:  %s (%s)\nsecond: %s (%s)\n\n", first, a.status, second, b.status);
  print_differences(&a, &b, out);
  if (a.record == NULL || b.record == NULL) {
    fprintf(out, "\n%s has no whole record.json: it has not ended, or was killed\n",
            a.record == NULL ? first : second);
    goto done;
  }
  print_table(&a, &b, out);

done:
  qn_run_view_release(&a);
  qn_run_view_release(&b);
  return status;
}
