// SPDX-License-Identifier: Apache-2.0
// Progress lines are JSON padded with spaces.
#include "record/progress_line.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/files.h"
#include "record/run_json.h"

// Text that may be cut within a character.
static json_t *whole_characters(const char *text, size_t most) {
  size_t n = strnlen(text, most);
  json_t *value = json_stringn(text, n);
  while (value == NULL && n > 0) {
    value = json_stringn(text, --n);
  }
  return value;
}

static json_t *line_json(const qn_progress_line *line, size_t most_text) {
  return json_pack(
      "{s:i, s:s, s:I, s:I, s:f, s:s, s:I, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
      "s:I, "
      "s:I, s:o}",
      "rank", line->rank, "host", line->process.host, "pid", (json_int_t)line->process.pid, "started_ticks",
      (json_int_t)line->process.started, "time", line->time, "state", line->state, "action",
      (json_int_t)line->action, "what", whole_characters(line->what, most_text), "operator",
      whole_characters(line->operator, most_text), "run", (json_int_t)line->run, "pipeline",
      (json_int_t)line->pipeline, "pipelines", (json_int_t)line->n_pipelines, "rows", (json_int_t)line->rows,
      "splits_done", (json_int_t)line->splits_done, "splits", (json_int_t)line->n_splits, "bytes_read",
      (json_int_t)line->bytes_read, "bytes_written", (json_int_t)line->bytes_written, "bytes_sent",
      (json_int_t)line->bytes_sent, "bytes_spilled", (json_int_t)line->bytes_spilled, "resident",
      (json_int_t)line->resident, "step", (json_int_t)line->step, "steps", (json_int_t)line->n_steps, "loss",
      isfinite(line->loss) ? json_real(line->loss) : json_null());
}

bool qn_progress_line_print(const qn_progress_line *line, char *out) {
  for (size_t most_text = QN_PROGRESS_TEXT;; most_text /= 2) {
    json_t *object = line_json(line, most_text);
    const size_t size = object == NULL ? 0
                                       : json_dumpb(object, out, QN_PROGRESS_BYTES - 1,
                                                    JSON_COMPACT | JSON_REAL_PRECISION(13));
    json_decref(object);
    if (size > 0 && size < QN_PROGRESS_BYTES) {
      memset(out + size, ' ', QN_PROGRESS_BYTES - size);
      out[QN_PROGRESS_BYTES - 1] = '\n';
      return true;
    }
    if (size == 0 || most_text == 0) {
      return false;
    }
  }
}

static int64_t number(const json_t *object, const char *name, int64_t otherwise) {
  const json_t *value = json_object_get(object, name);
  return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

static void text(const json_t *object, const char *name, char *out, size_t size) {
  snprintf(out, size, "%s", qn_json_text(object, name));
}

void qn_progress_line_parse(const char *bytes, int64_t size, qn_progress_line *out) {
  json_t *object = json_loadb(bytes, (size_t)size, 0, NULL);
  const json_t *loss = json_object_get(object, "loss");
  const int64_t rank = number(object, "rank", -1);
  const bool is_rank = rank >= 0 && rank <= INT32_MAX;

  *out = (qn_progress_line){
      .is_there = json_is_object(object) && is_rank,
      .rank = is_rank ? (int)rank : 0,
      .process = {.pid = number(object, "pid", 0), .started = number(object, "started_ticks", -1)},
      .time = json_number_value(json_object_get(object, "time")),
      .action = number(object, "action", -1),
      .run = number(object, "run", 0),
      .pipeline = number(object, "pipeline", 0),
      .n_pipelines = number(object, "pipelines", 0),
      .rows = number(object, "rows", 0),
      .splits_done = number(object, "splits_done", 0),
      .n_splits = number(object, "splits", 0),
      .bytes_read = number(object, "bytes_read", 0),
      .bytes_written = number(object, "bytes_written", 0),
      .bytes_sent = number(object, "bytes_sent", 0),
      .bytes_spilled = number(object, "bytes_spilled", 0),
      .resident = number(object, "resident", 0),
      .step = number(object, "step", 0),
      .n_steps = number(object, "steps", 0),
      .loss = json_is_number(loss) ? json_number_value(loss) : (double)NAN};
  text(object, "host", out->process.host, sizeof out->process.host);
  text(object, "state", out->state, sizeof out->state);
  text(object, "what", out->what, sizeof out->what);
  text(object, "operator", out->operator, sizeof out->operator);
  json_decref(object);
}

enum { MOST_PROGRESS_BYTES = 64 << 20 };

qn_status qn_progress_read(const char *path, qn_progress_line **lines, int64_t *n_lines, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer bytes = {0};

  QN_TRY(qn_file_read_all(path, MOST_PROGRESS_BYTES, &bytes, err));
  const int64_t n = bytes.size / QN_PROGRESS_BYTES; // a torn end is no line
  qn_progress_line *all = calloc((size_t)n + 1, sizeof *all);
  QN_REQUIRE(all != NULL, err, QN_ERR_MEMORY, "no memory to read %s", path);
  for (int64_t i = 0; i < n; i++) {
    qn_progress_line_parse((const char *)bytes.data + i * QN_PROGRESS_BYTES, QN_PROGRESS_BYTES, &all[i]);
    all[i].is_there = all[i].is_there && all[i].rank == i;
  }
  *lines = all;
  *n_lines = n;

done:
  qn_buffer_release(&bytes);
  return status;
}
