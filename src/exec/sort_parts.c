// SPDX-License-Identifier: Apache-2.0
// First the main keys, which often are a few numbers and sort fast. Rows that agree in them are then sorted
// all at once, by the number of their group of equals and the remaining keys, and put back into the places
// they had. Only keys are copied together, as columns or in normalised form.
#include "exec/sort_parts.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"

enum {
  PREFIX_BYTES = 24,  // of a long key, sorted by first
  LONG_KEY_BYTES = 40 // on the average
};

typedef struct {
  qn_row_parts *rows;
  const int *columns;
  const qn_order *orders;
  int n_keys, n_main;
} sort_job;

static bool has_text_key(const sort_job *job) {
  for (int k = 0; k < job->n_main; k++) {
    if (qn_type_is_text(job->rows->schema->fields[job->columns[k]].type)) {
      return true;
    }
  }
  return false;
}

// Bytes that the normalised main keys of a batch take, without escapes.
static int64_t bytes_of_keys(const sort_job *job, const qn_batch *batch) {
  int64_t n_bytes = 0;
  for (int k = 0; k < job->n_main; k++) {
    const qn_column *column = &batch->columns[job->columns[k]];
    n_bytes += qn_type_is_text(column->type)
                   ? 3 * batch->n_rows + column->offsets[batch->n_rows] - column->offsets[0]
                   : (1 + qn_type_width(column->type)) * batch->n_rows;
  }
  return n_bytes;
}

// Appends the normalised main keys of one batch.
static qn_status encode_part(const sort_job *job, const qn_batch *part, const qn_column **keys,
                             qn_buffer *bytes, qn_buffer *offsets, qn_error *err) {
  for (int k = 0; k < job->n_main; k++) {
    keys[k] = &part->columns[job->columns[k]];
  }
  return qn_sort_keys_encode(keys, job->orders, job->n_main, part->n_rows, bytes, offsets, err);
}

// Appends the first PREFIX_BYTES of each of n_rows keys, filled up with zeros; *n_longer counts keys of which
// this is not all.
static void append_prefixes(const uint8_t *bytes, const int64_t *offsets, int64_t n_rows, qn_buffer *to,
                            int64_t *n_longer) {
  uint8_t *prefix = to->data + to->size;
  for (int64_t i = 0; i < n_rows; i++, prefix += PREFIX_BYTES) {
    const int64_t size = offsets[i + 1] - offsets[i];
    if (size >= PREFIX_BYTES) {
      memcpy(prefix, bytes + offsets[i], PREFIX_BYTES);
    } else {
      memset(prefix, 0, PREFIX_BYTES);
      memcpy(prefix, bytes + offsets[i], (size_t)size);
    }
    *n_longer += size > PREFIX_BYTES;
  }
  to->size += n_rows * PREFIX_BYTES;
}

static qn_status sort_by_prefix(const sort_job *job, int32_t *order, uint8_t *changes, int64_t *n_longer,
                                qn_error *err) {
  qn_status status = QN_OK;
  const qn_row_parts *rows = job->rows;
  qn_buffer prefixes = {0}, offsets = {0}, bytes = {0};
  const qn_column **keys = calloc((size_t)job->n_main + 1, sizeof *keys);

  QN_REQUIRE(keys != NULL, err, QN_ERR_MEMORY, "no memory for %d sort keys", job->n_main);
  QN_TRY(qn_buffer_reserve(&prefixes, rows->n_rows * PREFIX_BYTES, err));
  for (int64_t p = 0; p < rows->n_parts; p++) {
    bytes.size = 0;
    offsets.size = 0;
    QN_TRY(encode_part(job, rows->parts[p], keys, &bytes, &offsets, err));
    append_prefixes(bytes.data, (const int64_t *)(const void *)offsets.data, rows->parts[p]->n_rows,
                    &prefixes, n_longer);
  }
  qn_buffer_release(&bytes);
  offsets.size = 0;
  QN_TRY(qn_buffer_reserve(&offsets, (rows->n_rows + 1) * (int64_t)sizeof(int64_t), err));
  int64_t *starts = (int64_t *)(void *)offsets.data;
  for (int64_t i = 0; i <= rows->n_rows; i++) {
    starts[i] = i * PREFIX_BYTES;
  }
  QN_TRY(qn_sort_encoded_rows(prefixes.data, starts, rows->n_rows, order, changes, err));

done:
  free(keys);
  qn_buffer_release(&bytes);
  qn_buffer_release(&prefixes);
  qn_buffer_release(&offsets);
  return status;
}

static qn_status sort_by_whole_keys(const sort_job *job, int64_t n_bytes, int32_t *order, uint8_t *changes,
                                    qn_error *err) {
  qn_status status = QN_OK;
  const qn_row_parts *rows = job->rows;
  qn_buffer bytes = {0}, offsets = {0};
  const qn_column **keys = calloc((size_t)job->n_main + 1, sizeof *keys);

  QN_REQUIRE(keys != NULL, err, QN_ERR_MEMORY, "no memory for %d sort keys", job->n_main);
  QN_TRY(qn_buffer_reserve(&bytes, n_bytes, err));
  QN_TRY(qn_buffer_reserve(&offsets, (rows->n_rows + 1) * (int64_t)sizeof(int64_t), err));
  for (int64_t p = 0; p < rows->n_parts; p++) {
    QN_TRY(encode_part(job, rows->parts[p], keys, &bytes, &offsets, err));
  }
  QN_TRY(qn_sort_encoded_rows(bytes.data, (const int64_t *)(const void *)offsets.data, rows->n_rows, order,
                              changes, err));

done:
  free(keys);
  qn_buffer_release(&bytes);
  qn_buffer_release(&offsets);
  return status;
}

// The values of one column of all rows.
static qn_status join_column(const qn_row_parts *rows, int column, qn_column *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_column_builder builder = {0};

  qn_column_builder_init(&builder, rows->schema->fields[column].type);
  QN_TRY(qn_column_builder_reserve(&builder, rows->n_rows, 0, err));
  for (int64_t p = 0; p < rows->n_parts; p++) {
    const qn_column *part = &rows->parts[p]->columns[column];
    QN_TRY(qn_column_builder_append_range(&builder, part, 0, part->n_rows, err));
  }
  QN_TRY(qn_column_builder_finish(&builder, out, err));

done:
  qn_column_builder_release(&builder);
  return status;
}

static qn_status sort_by_numbers(const sort_job *job, int32_t *order, uint8_t *changes, qn_error *err) {
  qn_status status = QN_OK;
  const int n = job->n_main;
  qn_column *columns = calloc((size_t)n + 1, sizeof *columns);
  const qn_column **keys = calloc((size_t)n + 1, sizeof *keys);

  QN_REQUIRE(columns != NULL && keys != NULL, err, QN_ERR_MEMORY, "no memory for %d sort keys", n);
  for (int k = 0; k < n; k++) {
    QN_TRY(join_column(job->rows, job->columns[k], &columns[k], err));
    keys[k] = &columns[k];
  }
  QN_TRY(qn_sort_rows_marked(keys, job->orders, n, job->rows->n_rows, order, changes, err));

done:
  for (int k = 0; columns != NULL && k < n; k++) {
    qn_column_release(&columns[k]);
  }
  free(columns);
  free(keys);
  return status;
}

// Sorts the rows of `tied` by group, then by their columns, which are the keys from `first` on.
static qn_status sort_groups(const sort_job *job, int first, const qn_batch *tied, const int32_t *groups,
                             int32_t *order, qn_error *err) {
  qn_status status = QN_OK;
  const int n_rest = tied->n_columns;
  const qn_column numbers = {.type = QN_INT32, .n_rows = tied->n_rows, .values = groups};
  const qn_column **keys = calloc((size_t)n_rest + 1, sizeof *keys);
  qn_order *orders = calloc((size_t)n_rest + 1, sizeof *orders);

  QN_REQUIRE(keys != NULL && orders != NULL, err, QN_ERR_MEMORY, "no memory for %d sort keys", n_rest);
  keys[0] = &numbers;
  for (int k = 0; k < n_rest; k++) {
    keys[k + 1] = &tied->columns[k];
    orders[k + 1] = job->orders[first + k];
  }
  QN_TRY(qn_sort_rows(keys, orders, n_rest + 1, tied->n_rows, order, err));

done:
  free(keys);
  free(orders);
  return status;
}

// Places in the order whose rows agree with a neighbour so far.
static int64_t count_ties(const uint8_t *changes, int64_t n_rows) {
  int64_t n = 0;
  for (int64_t i = 0; i < n_rows; i++) {
    n += changes[i] == 0 || changes[i + 1] == 0;
  }
  return n;
}

// Sorts the n rows that agree with a neighbour so far, by keys [first, end); changes: [n_rows + 1].
static qn_status break_ties(const sort_job *job, int first, int end, const uint8_t *changes, int64_t n,
                            int32_t *order, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t size = n * (int64_t)sizeof(int32_t);
  int32_t *tied_rows = qn_memory_alloc(size), *groups = qn_memory_alloc(size), *found = qn_memory_alloc(size);
  int32_t group = 0;
  int64_t t = 0;
  qn_schema *schema = NULL;
  qn_batch *tied = NULL;

  QN_REQUIRE(tied_rows != NULL && groups != NULL && found != NULL, err, QN_ERR_MEMORY,
             "no memory to sort %" PRId64 " rows", n);
  for (int64_t i = 0; t < n; i++) {
    group += changes[i];
    if (changes[i] == 0 || changes[i + 1] == 0) {
      groups[t] = group;
      tied_rows[t++] = order[i];
    }
  }
  QN_TRY(qn_schema_project(job->rows->schema, job->columns + first, end - first, &schema, err));
  QN_TRY(qn_row_parts_gather(job->rows, schema, job->columns + first, tied_rows, n, &tied, err));
  QN_TRY(sort_groups(job, first, tied, groups, found, err));
  t = 0;
  for (int64_t i = 0; t < n; i++) {
    if (changes[i] == 0 || changes[i + 1] == 0) {
      order[i] = tied_rows[found[t++]];
    }
  }

done:
  qn_batch_free(tied);
  qn_schema_free(schema);
  qn_memory_free(tied_rows);
  qn_memory_free(groups);
  qn_memory_free(found);
  return status;
}

// Long keys are sorted by their beginnings first: the rest is seldom needed, and keys are as large as rows
// then. If it is needed often, all keys are made whole.
static qn_status sort_by_text(const sort_job *job, bool wants_changes, int32_t *order, uint8_t *changes,
                              qn_error *err) {
  qn_status status = QN_OK;
  const qn_row_parts *rows = job->rows;
  int64_t n_bytes = 0, n_longer = 0;

  for (int64_t p = 0; p < rows->n_parts; p++) {
    n_bytes += bytes_of_keys(job, rows->parts[p]);
  }
  if (n_bytes <= rows->n_rows * LONG_KEY_BYTES || wants_changes) {
    QN_TRY(sort_by_whole_keys(job, n_bytes, order, wants_changes ? changes : NULL, err));
    goto done;
  }
  QN_TRY(sort_by_prefix(job, order, changes, &n_longer, err));
  const int64_t n_tied = n_longer > 0 ? count_ties(changes, rows->n_rows) : 0;
  if (n_tied > rows->n_rows / 4) {
    QN_TRY(sort_by_whole_keys(job, n_bytes, order, NULL, err));
  } else if (n_tied > 0) {
    QN_TRY(break_ties(job, 0, job->n_main, changes, n_tied, order, err));
  }

done:
  return status;
}

qn_status qn_sort_row_parts(qn_row_parts *rows, const int *columns, const qn_order *orders, int n_keys,
                            int n_main, int32_t *order, qn_error *err) {
  qn_status status = QN_OK;
  const bool has_rest = n_main > 0 && n_main < n_keys;
  uint8_t *changes = NULL;
  const sort_job job = {.rows = rows,
                        .columns = columns,
                        .orders = orders,
                        .n_keys = n_keys,
                        .n_main = has_rest ? n_main : n_keys};

  if (n_keys == 0) {
    for (int64_t i = 0; i < rows->n_rows; i++) {
      order[i] = (int32_t)i;
    }
    goto done;
  }
  changes = qn_memory_alloc(rows->n_rows + 1);
  QN_REQUIRE(changes != NULL, err, QN_ERR_MEMORY, "no memory to sort %" PRId64 " rows", rows->n_rows);
  changes[rows->n_rows] = 1;
  QN_TRY(has_text_key(&job) ? sort_by_text(&job, has_rest, order, changes, err)
                            : sort_by_numbers(&job, order, has_rest ? changes : NULL, err));
  const int64_t n_tied = has_rest ? count_ties(changes, rows->n_rows) : 0;
  if (n_tied > 0) {
    QN_TRY(break_ties(&job, n_main, n_keys, changes, n_tied, order, err));
  }

done:
  qn_memory_free(changes);
  return status;
}
