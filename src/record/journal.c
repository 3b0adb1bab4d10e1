// SPDX-License-Identifier: Apache-2.0
// A line that was cut off in the middle never happened: it is taken away before anything is appended, so that
// a torn line can only be the last.
#include "record/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/files.h"

enum { MOST_JOURNAL_BYTES = 1 << 30 };

struct qn_journal {
  char *path;
  int fd;        // -1: nothing more is written
  int64_t size;  // of its whole lines
  json_t *lines; // array
};

void qn_journal_free(qn_journal *journal) {
  if (journal != NULL) {
    if (journal->fd >= 0) {
      close(journal->fd);
    }
    json_decref(journal->lines);
    free(journal->path);
    free(journal);
  }
}

// The whole lines at the start of a text, as an array; *size is where they end. NULL if there is no memory.
static json_t *parse_lines(const char *text, int64_t n_bytes, int64_t *size) {
  json_t *lines = json_array();
  int64_t at = 0;

  while (lines != NULL && at < n_bytes) {
    const char *end = memchr(text + at, '\n', (size_t)(n_bytes - at));
    json_t *line = end == NULL ? NULL : json_loadb(text + at, (size_t)(end - text - at), 0, NULL);
    if (line == NULL) {
      break;
    }
    json_array_append_new(lines, line);
    at = end - text + 1;
  }
  *size = at;
  return lines;
}

static int64_t number_of(const json_t *line, const char *key) {
  const json_t *number = json_object_get(line, key);
  return json_is_integer(number) ? json_integer_value(number) : -1;
}

// The first action whose product another action has written too; INT64_MAX if there is none.
static int64_t first_overwritten(const json_t *lines) {
  int64_t first = INT64_MAX;
  json_t *makers = json_object(); // product: number of the action

  for (size_t i = 0; i < json_array_size(lines); i++) {
    const json_t *line = json_array_get(lines, i);
    const char *product = json_string_value(json_object_get(line, "product"));
    const json_t *maker = product == NULL ? NULL : json_object_get(makers, product);
    if (maker != NULL && json_integer_value(maker) != number_of(line, "action")) {
      const int64_t earlier = json_integer_value(maker);
      first = earlier < first ? earlier : first;
    } else if (product != NULL) {
      json_object_set_new(makers, product, json_integer(number_of(line, "action")));
    }
  }
  json_decref(makers);
  return first;
}

// Lines of actions before `end`, and of everything else.
static json_t *lines_before(const json_t *lines, int64_t end) {
  json_t *kept = json_array();
  for (size_t i = 0; i < json_array_size(lines); i++) {
    json_t *line = json_array_get(lines, i);
    if (number_of(line, "action") < end) {
      json_array_append(kept, line);
    }
  }
  return kept;
}

static qn_status rewrite(qn_journal *journal, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer text = {0};

  for (size_t i = 0; i < json_array_size(journal->lines); i++) {
    char *line = json_dumps(json_array_get(journal->lines, i), JSON_COMPACT | JSON_REAL_PRECISION(9));
    QN_REQUIRE(line != NULL, err, QN_ERR_MEMORY, "no memory for the journal");
    status = qn_buffer_printf(&text, err, "%s\n", line);
    free(line);
    QN_TRY(status);
  }
  QN_TRY(qn_file_write_atomic(journal->path, text.data, text.size, err));
  journal->size = text.size;

done:
  qn_buffer_release(&text);
  return status;
}

static qn_status read_lines(qn_journal *journal, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer text = {0};
  json_t *kept = NULL;

  if (qn_file_exists(journal->path)) {
    QN_TRY(qn_file_read_all(journal->path, MOST_JOURNAL_BYTES, &text, err));
  }
  journal->lines = parse_lines((const char *)text.data, text.size, &journal->size);
  QN_REQUIRE(journal->lines != NULL, err, QN_ERR_MEMORY, "no memory for the journal");
  const int64_t overwritten = first_overwritten(journal->lines);
  if (overwritten < INT64_MAX) {
    kept = lines_before(journal->lines, overwritten);
    json_decref(journal->lines);
    journal->lines = kept;
    QN_TRY(rewrite(journal, err));
  }

done:
  qn_buffer_release(&text);
  return status;
}

// So that a new file is found again after the machine went down.
static void flush_folder(const char *path) {
  char *copy = strdup(path);
  const int fd = copy == NULL ? -1 : open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) {
    fsync(fd);
    close(fd);
  }
  free(copy);
}

qn_status qn_journal_open(const char *path, qn_journal **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_journal *journal = calloc(1, sizeof *journal);

  QN_REQUIRE(journal != NULL, err, QN_ERR_MEMORY, "no memory for the journal");
  journal->fd = -1;
  journal->path = strdup(path);
  QN_REQUIRE(journal->path != NULL, err, QN_ERR_MEMORY, "no memory for the journal");
  QN_TRY(read_lines(journal, err));
  journal->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  QN_REQUIRE(journal->fd >= 0, err, QN_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
  QN_REQUIRE(ftruncate(journal->fd, journal->size) == 0, err, QN_ERR_IO,
             "%s: cannot cut off what is torn: %s", path, strerror(errno));
  flush_folder(path);
  *out = journal;
  journal = NULL;

done:
  qn_journal_free(journal);
  return status;
}

bool qn_journal_has_actions(const char *path) {
  qn_journal journal = {.path = (char *)(uintptr_t)path, .fd = -1};
  bool has_actions = true; // what cannot be read may have some

  if (read_lines(&journal, NULL) == QN_OK) {
    has_actions = qn_journal_end(&journal) > 0;
  }
  json_decref(journal.lines);
  return has_actions;
}

qn_status qn_journal_count(const char *path, int64_t *n_done, char **last, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer text = {0};
  int64_t size = 0;
  int64_t latest = -1;
  const json_t *line = NULL;
  json_t *lines = NULL;

  *n_done = 0;
  *last = NULL;
  if (qn_file_exists(path)) {
    QN_TRY(qn_file_read_all(path, MOST_JOURNAL_BYTES, &text, err));
  }
  lines = parse_lines((const char *)text.data, text.size, &size);
  for (size_t i = 0; i < json_array_size(lines); i++) {
    const json_t *each = json_array_get(lines, i);
    if (number_of(each, "action") > latest) { // one that was made again has two lines
      latest = number_of(each, "action");
      line = each;
      ++*n_done;
    }
  }
  const char *what = json_string_value(json_object_get(line, "what"));
  *last = what == NULL ? NULL : strdup(what);

done:
  json_decref(lines);
  qn_buffer_release(&text);
  return status;
}

int64_t qn_journal_end(const qn_journal *journal) {
  int64_t end = 0;
  for (size_t i = 0; i < json_array_size(journal->lines); i++) {
    const int64_t number = number_of(json_array_get(journal->lines, i), "action");
    end = number >= end ? number + 1 : end;
  }
  return end;
}

const json_t *qn_journal_find(const qn_journal *journal, const char *key, int64_t number) {
  for (size_t i = json_array_size(journal->lines); i > 0; i--) {
    const json_t *line = json_array_get(journal->lines, i - 1);
    if (number_of(line, key) == number) {
      return line;
    }
  }
  return NULL;
}

qn_status qn_journal_append_take(qn_journal *journal, json_t *line, qn_error *err) {
  qn_status status = QN_OK;
  char *text = line == NULL ? NULL : json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(9));
  char *whole = NULL;

  QN_REQUIRE(text != NULL && asprintf(&whole, "%s\n", text) >= 0, err, QN_ERR_MEMORY,
             "no memory for the journal");
  QN_REQUIRE(journal->fd >= 0, err, QN_ERR_IO, "%s: is not written any more", journal->path);
  const int64_t size = (int64_t)strlen(whole);
  QN_TRY(qn_file_write_at(journal->fd, journal->path, whole, size, journal->size, err));
  QN_REQUIRE(fdatasync(journal->fd) == 0, err, QN_ERR_IO, "%s: cannot write: %s", journal->path,
             strerror(errno));
  journal->size += size;
  QN_REQUIRE(json_array_append(journal->lines, line) == 0, err, QN_ERR_MEMORY, "no memory for the journal");

done:
  json_decref(line);
  free(whole);
  free(text);
  return status;
}
