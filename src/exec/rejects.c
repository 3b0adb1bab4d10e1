// SPDX-License-Identifier: Apache-2.0
// Rows are kept as finished CSV lines behind a fixed-width sort prefix (file name, offset), so that rank 0
// can bring what all ranks found into file order by sorting lines, and the file is the same on any number of
// ranks.
#include "exec/rejects.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/files.h"

qn_status qn_rejects_new(const char *path, qn_rejects **out, qn_error *err) {
  qn_rejects *rejects = calloc(1, sizeof *rejects);

  if (rejects == NULL) {
    return qn_fail(err, QN_ERR_MEMORY, "no memory for a list of malformed rows");
  }
  rejects->path = path;
  rejects->n_written = -1;
  *out = rejects;
  return QN_OK;
}

static qn_status append_quoted(qn_buffer *out, const char *data, int64_t size, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_buffer_append(out, "\"", 1, err));
  for (int64_t i = 0; i < size; i++) {
    // one line a row: line ends inside the text are shown, not kept
    const char *piece = data[i] == '"' ? "\"\"" : data[i] == '\n' ? "\\n" : data[i] == '\r' ? "\\r" : NULL;
    QN_TRY(qn_buffer_append(out, piece != NULL ? piece : &data[i], piece != NULL ? 2 : 1, err));
  }
  QN_TRY(qn_buffer_append(out, "\"", 1, err));

done:
  return status;
}

qn_status qn_rejects_add(void *ctx, const char *file, int64_t byte_offset, const char *column,
                         const char *reason, qn_text text, qn_error *err) {
  qn_status status = QN_OK;
  qn_rejects *rejects = ctx;

  QN_TRY(append_quoted(&rejects->rows, file, (int64_t)strlen(file), err));
  QN_TRY(qn_buffer_printf(&rejects->rows, err, ",%020" PRId64 ",", byte_offset));
  QN_TRY(append_quoted(&rejects->rows, column, (int64_t)strlen(column), err));
  QN_TRY(qn_buffer_append(&rejects->rows, ",", 1, err));
  QN_TRY(append_quoted(&rejects->rows, reason, (int64_t)strlen(reason), err));
  QN_TRY(qn_buffer_append(&rejects->rows, ",", 1, err));
  QN_TRY(append_quoted(&rejects->rows, text.data, text.size, err));
  QN_TRY(qn_buffer_append(&rejects->rows, "\n", 1, err));
  rejects->n_rows++;

done:
  return status;
}

void qn_rejects_clear(qn_rejects *list) {
  for (qn_rejects *rejects = list; rejects != NULL; rejects = rejects->next) {
    rejects->rows.size = 0;
    rejects->n_rows = 0;
  }
}

static int compare_lines(const void *a, const void *b) {
  const qn_text *left = a;
  const qn_text *right = b;
  const size_t size = (size_t)(left->size < right->size ? left->size : right->size);
  const int order = memcmp(left->data, right->data, size);
  return order != 0 ? order : left->size < right->size ? -1 : left->size > right->size;
}

static qn_status write_sorted(const qn_rejects *rejects, const qn_buffer *rows, int64_t n_rows,
                              qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer out = {0};
  qn_text *lines = calloc((size_t)n_rows + 1, sizeof *lines);
  int64_t at = 0;

  QN_REQUIRE(lines != NULL, err, QN_ERR_MEMORY, "no memory to sort %lld malformed rows", (long long)n_rows);
  for (int64_t i = 0; i < n_rows; i++) {
    const char *begin = (const char *)rows->data + at;
    const char *end = memchr(begin, '\n', (size_t)(rows->size - at));
    lines[i] = (qn_text){.data = begin, .size = end - begin + 1};
    at += lines[i].size;
  }
  qsort(lines, (size_t)n_rows, sizeof *lines, compare_lines);
  QN_TRY(qn_buffer_printf(&out, err, "file,byte_offset,column,reason,text\n"));
  for (int64_t i = 0; i < n_rows; i++) {
    QN_TRY(qn_buffer_append(&out, lines[i].data, lines[i].size, err));
  }
  QN_TRY(qn_folder_make_for(rejects->path, err));
  QN_TRY(qn_file_write_atomic(rejects->path, out.data, out.size, err));

done:
  free(lines);
  qn_buffer_release(&out);
  return status;
}

qn_status qn_rejects_write(qn_rejects *list, qn_comm *comm, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer all = {0};
  int64_t *sizes = calloc((size_t)qn_comm_size(comm), sizeof *sizes);

  QN_REQUIRE(sizes != NULL, err, QN_ERR_MEMORY, "no memory");
  for (qn_rejects *rejects = list; rejects != NULL; rejects = rejects->next) {
    int64_t n_rows = rejects->n_rows;
    QN_TRY(qn_comm_reduce_int64(comm, QN_SUM, &n_rows, 1, err));
    if (n_rows <= rejects->n_written) {
      continue;
    }
    all.size = 0;
    QN_TRY(qn_comm_gather(comm, rejects->rows.data, rejects->rows.size, &all, sizes, err));
    if (qn_comm_rank(comm) == 0) {
      QN_TRY(write_sorted(rejects, &all, n_rows, err));
    }
    rejects->n_written = n_rows;
  }

done:
  qn_buffer_release(&all);
  free(sizes);
  return status;
}

void qn_rejects_free(qn_rejects *list) {
  while (list != NULL) {
    qn_rejects *next = list->next;
    qn_buffer_release(&list->rows);
    free(list);
    list = next;
  }
}
