// SPDX-License-Identifier: Apache-2.0
// Reading: one run over the dataset into a sink that numbers users and items as it meets them, so that a
// rating takes 12 bytes whatever its user and item look like.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <quern/job.h>

#include "base/check.h"
#include "base/memory.h"
#include "exec/run.h"
#include "kernel/hash_columns.h"
#include "ml/als_ratings.h"

void qn_als_rows_release(qn_als_rows *rows) {
  qn_group_table_free(rows->users);
  qn_group_table_free(rows->items);
  qn_memory_free(rows->triplets.users);
  qn_memory_free(rows->triplets.items);
  qn_memory_free(rows->triplets.ratings);
  *rows = (qn_als_rows){0};
}

void qn_als_columns_release(qn_als_columns *columns) {
  free(columns->user);
  free(columns->item);
  *columns = (qn_als_columns){0};
}

// --- Which columns
// ------------------------------------------------------------------------------------------------

// The name between two places of the text, without blanks and quotes around it.
static char *cut_name(const char *first, const char *end) {
  while (first < end && (*first == ' ' || *first == '\n' || *first == '\t')) {
    first++;
  }
  while (end > first && (end[-1] == ' ' || end[-1] == '\n' || end[-1] == '\t')) {
    end--;
  }
  if (end - first >= 2 && *first == '"' && end[-1] == '"') {
    first++;
    end--;
  }
  return strndup(first, (size_t)(end - first));
}

static qn_status other_columns(const char *label, const qn_schema *schema, qn_als_columns *out,
                               qn_error *err) {
  qn_status status = QN_OK;
  const char *names[2] = {NULL, NULL};
  int n = 0;

  for (int i = 0; i < qn_schema_n_columns(schema); i++) {
    const char *name = qn_schema_name(schema, i);
    if (label == NULL || strcmp(name, label) != 0) {
      names[n < 2 ? n : 1] = name;
      n++;
    }
  }
  QN_REQUIRE(n == 2, err, QN_ERR_ARG,
             "als: which of %d columns are the user and the item? Name them: features = \"user, item\"", n);
  out->user = strdup(names[0]);
  out->item = strdup(names[1]);

done:
  return status;
}

static qn_status check_column(const qn_schema *schema, const char *name, qn_type *type, qn_error *err) {
  qn_status status = QN_OK;
  const int column = qn_schema_find(schema, name);

  QN_REQUIRE(column >= 0, err, QN_ERR_ARG,
             "als: there is no column '%s'; features name two columns, the user's and the item's", name);
  *type = qn_schema_type(schema, column);
  QN_REQUIRE(*type == QN_INT32 || *type == QN_INT64 || *type == QN_UTF8, err, QN_ERR_TYPE,
             "als: column '%s' is %s; users and items are int32, int64 or utf8: cast it in a qn_select()",
             name, qn_type_name(*type));

done:
  return status;
}

qn_status qn_als_columns_parse(const char *features, const char *label, const qn_schema *schema,
                               qn_als_columns *out, qn_error *err) {
  qn_status status = QN_OK;

  *out = (qn_als_columns){0};
  if (features == NULL) {
    QN_TRY(other_columns(label, schema, out, err));
  } else {
    const char *comma = strchr(features, ',');
    QN_REQUIRE(comma != NULL && strchr(comma + 1, ',') == NULL, err, QN_ERR_ARG,
               "als: features are '%s'; they name two columns: \"user, item\"", features);
    out->user = cut_name(features, comma);
    out->item = cut_name(comma + 1, comma + strlen(comma));
  }
  QN_REQUIRE(out->user != NULL && out->item != NULL, err, QN_ERR_MEMORY, "no memory for names");
  QN_TRY(check_column(schema, out->user, &out->types[0], err));
  QN_TRY(check_column(schema, out->item, &out->types[1], err));
  QN_REQUIRE(strcmp(out->user, out->item) != 0, err, QN_ERR_ARG,
             "als: user and item are the same column '%s'", out->user);
  out->rating = label;

done:
  if (status != QN_OK) {
    qn_als_columns_release(out);
  }
  return status;
}

// --- The sink
// -----------------------------------------------------------------------------------------------------

typedef struct rows_context {
  const qn_als_columns *columns;
  qn_als_rows *rows;
} rows_context;

typedef struct rows_op {
  qn_op op;
  rows_context *context;
  uint64_t *hashes;
  int64_t capacity; // of hashes
} rows_op;

static qn_status reserve_triplets(qn_als_triplets *triplets, int64_t more, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n = triplets->n + more;

  if (n <= triplets->capacity) {
    return QN_OK;
  }
  const int64_t capacity = n + n / 2 + 4096;
  int32_t *users = qn_memory_resize(triplets->users, capacity * (int64_t)sizeof *users);
  triplets->users = users != NULL ? users : triplets->users;
  int32_t *items = qn_memory_resize(triplets->items, capacity * (int64_t)sizeof *items);
  triplets->items = items != NULL ? items : triplets->items;
  float *ratings = qn_memory_resize(triplets->ratings, capacity * (int64_t)sizeof *ratings);
  triplets->ratings = ratings != NULL ? ratings : triplets->ratings;
  QN_REQUIRE(users != NULL && items != NULL && ratings != NULL, err, QN_ERR_MEMORY,
             "no memory for %" PRId64 " ratings", capacity);
  triplets->capacity = capacity;

done:
  return status;
}

static qn_status fail_null(const qn_batch *batch, const qn_column *column, const char *name, qn_error *err) {
  char place[300];
  int64_t row = 0;

  while (!qn_column_is_null(column, row)) {
    row++;
  }
  qn_batch_describe_row(batch, row, place, sizeof place);
  return qn_fail(err, QN_ERR_VALUE,
                 "%s%scolumn '%s' is null; als needs all of user, item and rating: filter "
                 "such rows out",
                 place, place[0] == '\0' ? "" : ", ", name);
}

static qn_status check_ratings(const qn_batch *batch, const qn_als_columns *columns, qn_error *err) {
  const double *ratings = batch->columns[2].values;
  char place[300];

  for (int64_t row = 0; row < batch->n_rows; row++) {
    const double lowest = columns->is_implicit ? 0 : -1e15;
    if (!(ratings[row] >= lowest && ratings[row] <= 1e15)) { // NaN too
      qn_batch_describe_row(batch, row, place, sizeof place);
      return qn_fail(err, QN_ERR_VALUE, "%s%scolumn '%s' is %g; als takes ratings from %g to 1e15%s", place,
                     place[0] == '\0' ? "" : ", ", columns->rating, ratings[row], lowest,
                     columns->is_implicit ? " if they are implicit" : "");
    }
  }
  return QN_OK;
}

static qn_status check_rows(const qn_batch *batch, const qn_als_columns *columns, qn_error *err) {
  const char *names[3] = {columns->user, columns->item, columns->rating};

  for (int i = 0; i < 3; i++) {
    if (batch->columns[i].n_nulls > 0) {
      return fail_null(batch, &batch->columns[i], names[i], err);
    }
  }
  return check_ratings(batch, columns, err);
}

static qn_status number_rows(rows_op *state, const qn_column *column, qn_group_table *table, int32_t *groups,
                             qn_error *err) {
  qn_hash_columns(&column, 1, column->n_rows, state->hashes);
  return qn_group_table_add(table, &column, state->hashes, column->n_rows, groups, err);
}

static qn_status push_rows(qn_op *op, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  rows_op *state = (rows_op *)op;
  qn_als_rows *rows = state->context->rows;
  qn_als_triplets *triplets = &rows->triplets;

  QN_TRY(check_rows(batch, state->context->columns, err));
  QN_TRY(reserve_triplets(triplets, batch->n_rows, err));
  if (state->capacity < batch->n_rows) {
    qn_memory_free(state->hashes);
    state->capacity = 0;
    state->hashes = qn_memory_alloc(batch->n_rows * (int64_t)sizeof *state->hashes);
    QN_REQUIRE(state->hashes != NULL, err, QN_ERR_MEMORY, "no memory to number ratings");
    state->capacity = batch->n_rows;
  }
  QN_TRY(number_rows(state, &batch->columns[0], rows->users, triplets->users + triplets->n, err));
  QN_TRY(number_rows(state, &batch->columns[1], rows->items, triplets->items + triplets->n, err));
  const double *ratings = batch->columns[2].values;
  for (int64_t row = 0; row < batch->n_rows; row++) {
    triplets->ratings[triplets->n + row] = (float)ratings[row];
  }
  triplets->n += batch->n_rows;

done:
  return status;
}

static qn_status finish_rows(qn_op *op, qn_error *err) {
  (void)op;
  (void)err;
  return QN_OK;
}

static void close_rows(qn_op *op) {
  qn_memory_free(((rows_op *)op)->hashes);
  ((rows_op *)op)->hashes = NULL;
}

static const qn_op_ops rows_ops = {.name = "ratings",
                                   .state_size = sizeof(rows_op),
                                   .push = push_rows,
                                   .finish = finish_rows,
                                   .close = close_rows};

static qn_status make_rows(void *ctx, qn_run *run, const qn_dataset *node, qn_op **out, qn_error *err) {
  qn_status status = QN_OK;
  rows_context *context = ctx;

  QN_TRY(qn_op_new(run, &rows_ops, node, NULL, out, err));
  ((rows_op *)*out)->context = context;
  QN_TRY(qn_group_table_new(&context->columns->types[0], 1, &context->rows->users, err));
  QN_TRY(qn_group_table_new(&context->columns->types[1], 1, &context->rows->items, err));

done:
  return status;
}

qn_status qn_als_rows_read(qn_job *job, qn_dataset *data, const qn_als_columns *columns, qn_als_rows *out,
                           qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer text = {0};
  qn_als_rows rows = {0};
  rows_context context = {.columns = columns, .rows = &rows};
  const qn_sink sink = {.make = make_rows, .ctx = &context};

  QN_TRY(qn_name_quote(columns->user, &text, err));
  QN_TRY(qn_buffer_printf(&text, err, " as quern_user, "));
  QN_TRY(qn_name_quote(columns->item, &text, err));
  QN_TRY(qn_buffer_printf(&text, err, " as quern_item, "));
  if (columns->rating != NULL) {
    QN_TRY(qn_name_quote(columns->rating, &text, err));
    QN_TRY(qn_buffer_printf(&text, err, "::float64 as quern_rating"));
  } else {
    QN_TRY(qn_buffer_printf(&text, err, "1::float64 as quern_rating"));
  }
  QN_TRY(qn_buffer_terminate(&text, err));
  QN_TRY(qn_run_plan(job, qn_select(data, (const char *)text.data), &sink));
  *out = rows;
  rows = (qn_als_rows){0};

done:
  if (status != QN_OK && err != NULL && err->message[0] == '\0') {
    qn_job_status(job, err); // the run has told the job what was wrong
  }
  qn_als_rows_release(&rows);
  qn_buffer_release(&text);
  return status;
}
