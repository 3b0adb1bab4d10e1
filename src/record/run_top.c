// SPDX-License-Identifier: Apache-2.0
// What the ranks of a run do, as a table.
#include <math.h>
#include <string.h>
#include "base/check.h"
#include "record/run_alive.h"
#include "record/run_json.h"
#include "record/run_view.h"

enum { MOST_RANKS_SHOWN = 64, SHOWN = 24 };

// How far all ranks are: what they have of the pipeline that the last of them is in.
typedef struct progress_sum {
  double newest; // seconds since 1970
  const qn_progress_line *last;
  double rows, splits_done;
  int64_t n_there, n_silent;
} progress_sum;

static bool is_silent(const qn_progress_line *line, double newest) {
  return !line->is_there || newest - line->time > QN_FRESH_SECONDS;
}

// A rank that has told nothing of a pipeline yet, because it is long in a callback, does not count.
static bool is_behind(const qn_progress_line *line, const qn_progress_line *other) {
  if ((line->n_pipelines > 0) != (other->n_pipelines > 0)) {
    return line->n_pipelines > 0;
  }
  return line->run != other->run ? line->run < other->run : line->pipeline < other->pipeline;
}

static progress_sum sum_up(const qn_run_view *view) {
  progress_sum sum = {0};

  for (int64_t i = 0; i < view->n_lines; i++) {
    const qn_progress_line *line = &view->lines[i];
    if (line->is_there) {
      sum.n_there++;
      sum.newest = line->time > sum.newest ? line->time : sum.newest;
      sum.last = sum.last == NULL || is_behind(line, sum.last) ? line : sum.last;
    }
  }
  for (int64_t i = 0; i < view->n_lines; i++) {
    const qn_progress_line *line = &view->lines[i];
    sum.n_silent += is_silent(line, sum.newest);
    if (line->is_there && line->run == sum.last->run && line->pipeline == sum.last->pipeline) {
      sum.rows += (double)line->rows;
      sum.splits_done += (double)line->splits_done;
    }
  }
  return sum;
}

static void print_head(const qn_run_view *view, const progress_sum *sum, FILE *out) {
  const json_t *attempt = qn_run_last_attempt(view->run);
  const json_t *message = json_object_get(attempt, "message");
  const size_t n_nodes = json_array_size(json_object_get(attempt, "nodes"));
  const size_t n_attempts = json_array_size(json_object_get(view->run, "attempts"));
  char rows[32];

  fprintf(out, "%s: %s, %.0f s, %lld ranks on %zu node%s",
          json_string_value(json_object_get(view->run, "job")), view->status, qn_run_view_seconds(view),
          (long long)json_integer_value(json_object_get(attempt, "n_ranks")), n_nodes,
          n_nodes == 1 ? "" : "s");
  if (n_attempts > 1) {
    fprintf(out, ", attempt %zu", n_attempts);
  }
  fprintf(out, "  (%s)\n", view->folder);
  if (json_is_string(message)) {
    fprintf(out, "%s\n", json_string_value(message));
  }
  if (sum->last == NULL || strcmp(view->status, "running") != 0) {
    return;
  }
  const qn_progress_line *last = sum->last;
  fprintf(out, "action %lld: %s", (long long)last->action,
          last->what[0] != '\0' ? last->what : "between actions");
  if (last->n_splits > 0) {
    const double share = sum->splits_done / (double)last->n_splits;
    fprintf(out, ", pipeline %lld of %lld: %.0f %%, %s rows", (long long)last->pipeline + 1,
            (long long)last->n_pipelines, 100 * (share < 1 ? share : 1),
            qn_show_count(sum->rows, rows, sizeof rows));
  } else if (last->step > 0 && last->operator[0] == '\0') {
    fprintf(out, ", step %lld", (long long)last->step);
    if (last->n_steps > 0) {
      fprintf(out, " of at most %lld", (long long)last->n_steps);
    }
  }
  fprintf(out, "\n");
  if (sum->n_silent > 0) {
    fprintf(out, "%lld of the ranks are silent: they have told nothing for %d s\n", (long long)sum->n_silent,
            QN_FRESH_SECONDS);
  }
}

static void print_rank(const qn_progress_line *line, int64_t rank, const progress_sum *sum, FILE *out) {
  char rows[32];
  char resident[32];
  char spilled[32];
  char read[32];
  char sent[32];
  char splits[32] = "";

  if (!line->is_there) {
    fprintf(out, "%5lld  has told nothing\n", (long long)rank);
    return;
  }
  if (line->n_splits > 0) {
    snprintf(splits, sizeof splits, "%lld", (long long)line->splits_done);
  }
  fprintf(out, "%5lld %-12.12s %-8s %6lld %-*.*s %12s %7s %10s %10s %10s %10s\n", (long long)rank,
          line->process.host, is_silent(line, sum->newest) ? "silent" : line->state, (long long)line->action,
          SHOWN, SHOWN, line->operator, qn_show_count((double)line->rows, rows, sizeof rows), splits,
          qn_show_bytes(line->resident, resident, sizeof resident),
          qn_show_bytes(line->bytes_spilled, spilled, sizeof spilled),
          qn_show_bytes(line->bytes_read, read, sizeof read),
          qn_show_bytes(line->bytes_sent, sent, sizeof sent));
}

static void print_ranks(const qn_run_view *view, const progress_sum *sum, FILE *out) {
  int64_t n_left_out = 0;

  fprintf(out, "\n%5s %-12s %-8s %6s %-*s %12s %7s %10s %10s %10s %10s\n", "rank", "host", "state", "action",
          SHOWN, "operator", "rows", "splits", "memory", "spilled", "read", "sent");
  for (int64_t i = 0; i < view->n_lines; i++) { // of very many ranks, those of which one should know
    if (i < MOST_RANKS_SHOWN || is_silent(&view->lines[i], sum->newest)) {
      print_rank(&view->lines[i], i, sum, out);
    } else {
      n_left_out++;
    }
  }
  if (n_left_out > 0) {
    fprintf(out, "and %lld more ranks\n", (long long)n_left_out);
  }
}

QN_API qn_status qn_run_top(const char *folder, FILE *out, bool *is_running, qn_error *err) {
  qn_status status = QN_OK;
  qn_run_view view = {0};

  QN_TRY(qn_run_view_open(folder, &view, err));
  const progress_sum sum = sum_up(&view);
  print_head(&view, &sum, out);
  if (view.n_lines > 0) {
    print_ranks(&view, &sum, out);
  }
  if (is_running != NULL) {
    *is_running = strcmp(view.status, "running") == 0;
  }

done:
  qn_run_view_release(&view);
  return status;
}
