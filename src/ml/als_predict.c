// SPDX-License-Identifier: Apache-2.0
// Ratings of pairs: mean and offsets, and the product of the factors.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <quern/job.h>

#include "base/check.h"
#include "base/memory.h"
#include "exec/job_state.h"
#include "ml/als.h"
#include "ml/als_ratings.h"

void qn_als_lookup_free(qn_als_lookup *lookup) {
  if (lookup != NULL) {
    qn_als_values_release(&lookup->users);
    qn_als_values_release(&lookup->items);
    free(lookup);
  }
}

// Which pairs were rated, checked.
static qn_status find_rated(const qn_arrays *arrays, qn_als_lookup *lookup, qn_error *err) {
  qn_status status = QN_OK;
  const void *starts = NULL;
  const void *items = NULL;
  const int64_t any = -1;
  const int64_t n_starts = lookup->users.n + 1;

  if (qn_arrays_find(arrays, "rated_starts") == NULL) {
    return QN_OK;
  }
  QN_TRY(qn_arrays_get(arrays, "rated_starts", QN_INT64, 1, &n_starts, &starts, err));
  QN_TRY(qn_arrays_get(arrays, "rated_items", QN_INT32, 1, &any, &items, err));
  const int64_t n = qn_arrays_find(arrays, "rated_items")->dims[0];
  const int64_t *begin = starts;
  bool is_valid = begin[0] == 0 && begin[lookup->users.n] == n;
  for (int64_t user = 0; user < lookup->users.n && is_valid; user++) {
    is_valid = begin[user] <= begin[user + 1];
  }
  for (int64_t i = 0; i < n && is_valid; i++) {
    is_valid = ((const int32_t *)items)[i] >= 0 && ((const int32_t *)items)[i] < lookup->items.n;
  }
  QN_REQUIRE(is_valid, err, QN_ERR_FORMAT,
             "the model's list of rated pairs is not one: its file was damaged");
  lookup->rated_starts = starts;
  lookup->rated_items = items;

done:
  return status;
}

static qn_status find_sides(const qn_arrays *arrays, qn_als_lookup *lookup, qn_error *err) {
  qn_status status = QN_OK;
  const void *values = NULL;
  const int64_t one = 1;
  int64_t dims[2] = {lookup->users.n, -1};

  QN_TRY(qn_arrays_get(arrays, "user_factors", QN_FLOAT32, 2, dims, &values, err));
  lookup->user_factors = values;
  lookup->k = qn_arrays_find(arrays, "user_factors")->dims[1];
  dims[0] = lookup->items.n;
  dims[1] = lookup->k;
  QN_TRY(qn_arrays_get(arrays, "item_factors", QN_FLOAT32, 2, dims, &values, err));
  lookup->item_factors = values;
  QN_TRY(qn_arrays_get(arrays, "user_offsets", QN_FLOAT64, 1, &lookup->users.n, &values, err));
  lookup->user_offsets = values;
  QN_TRY(qn_arrays_get(arrays, "item_offsets", QN_FLOAT64, 1, &lookup->items.n, &values, err));
  lookup->item_offsets = values;
  QN_TRY(qn_arrays_get(arrays, "mean", QN_FLOAT64, 1, &one, &values, err));
  lookup->mean = *(const double *)values;

done:
  return status;
}

qn_status qn_als_lookup_find(qn_model *model, const qn_als_lookup **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_als_lookup *lookup = NULL;

  if (model->als_lookup == NULL) {
    lookup = calloc(1, sizeof *lookup);
    if (lookup == NULL) {
      qn_fail(err, QN_ERR_MEMORY, "no memory for a recommender");
      return QN_ERR_MEMORY;
    }
    QN_TRY(qn_als_values_get(&model->arrays, "user", &lookup->users, err));
    QN_TRY(qn_als_values_get(&model->arrays, "item", &lookup->items, err));
    QN_TRY(find_sides(&model->arrays, lookup, err));
    QN_TRY(find_rated(&model->arrays, lookup, err));
    QN_REQUIRE(qn_arrays_text(&model->arrays, "user_column") != NULL &&
                   qn_arrays_text(&model->arrays, "item_column") != NULL,
               err, QN_ERR_FORMAT, "the model lacks the names of the columns of users and items");
    model->als_lookup = lookup;
    lookup = NULL;
  }
  *out = model->als_lookup;

done:
  qn_als_lookup_free(lookup);
  return status;
}

static double predict_pair(const qn_als_lookup *lookup, int32_t user, int32_t item) {
  const float *p = lookup->user_factors + user * lookup->k;
  const float *q = lookup->item_factors + item * lookup->k;
  double sum = lookup->mean + lookup->user_offsets[user] + lookup->item_offsets[item];

  for (int64_t f = 0; f < lookup->k; f++) {
    sum += (double)p[f] * (double)q[f];
  }
  return sum;
}

// in: the columns of the data, then user and item
static qn_status append_predictions(const qn_batch *in, qn_appender *out, void *ctx) {
  qn_status status = QN_OK;
  qn_error err = {0};
  const qn_als_lookup *lookup = ctx;
  const int n_columns = qn_batch_n_columns(in);
  const int64_t n_rows = qn_batch_n_rows(in);
  int32_t *users = qn_memory_alloc(n_rows * (int64_t)sizeof *users);
  int32_t *items = qn_memory_alloc(n_rows * (int64_t)sizeof *items);

  QN_REQUIRE(users != NULL && items != NULL, &err, QN_ERR_MEMORY, "no memory to predict");
  QN_TRY(qn_als_values_find(&lookup->users, qn_batch_column(in, n_columns - 2), users, &err));
  QN_TRY(qn_als_values_find(&lookup->items, qn_batch_column(in, n_columns - 1), items, &err));
  for (int64_t row = 0; row < n_rows; row++) {
    if (users[row] < 0 || items[row] < 0) {
      qn_append_null(out);
    } else {
      qn_append_float64(out, predict_pair(lookup, users[row], items[row]));
    }
  }

done:
  qn_memory_free(users);
  qn_memory_free(items);
  return status == QN_OK ? QN_OK : qn_appender_fail(out, "%s", err.message);
}

// Adds `, "name"::type as alias`, if the column is there and of a type that can be it.
static qn_status add_key(qn_buffer *text, const qn_schema *schema, const char *name, qn_type type,
                         const char *alias, qn_error *err) {
  qn_status status = QN_OK;
  const int column = qn_schema_find(schema, name);

  QN_REQUIRE(column >= 0, err, QN_ERR_ARG, "predict: there is no column '%s', which the model was trained on",
             name);
  const qn_type found = qn_schema_type(schema, column);
  const bool is_text = type == QN_UTF8;
  QN_REQUIRE(found == type || (!is_text && (found == QN_INT32 || found == QN_INT64)), err, QN_ERR_TYPE,
             "predict: column '%s' is %s, and was %s when the model was trained", name, qn_type_name(found),
             qn_type_name(type));
  QN_TRY(qn_buffer_printf(text, err, ", "));
  QN_TRY(qn_name_quote(name, text, err));
  QN_TRY(qn_buffer_printf(text, err, "::%s as %s", qn_type_name(type), alias));

done:
  return status;
}

// The select list of the data's columns, and of the prediction behind them.
static qn_status print_kept(const qn_schema *schema, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;

  QN_REQUIRE(qn_schema_find(schema, "prediction") < 0, err, QN_ERR_ARG,
             "predict: the rows have a column 'prediction' already; rename it in front");
  for (int i = 0; i < qn_schema_n_columns(schema); i++) {
    QN_TRY(qn_name_quote(qn_schema_name(schema, i), out, err));
    QN_TRY(qn_buffer_printf(out, err, ", "));
  }
  QN_TRY(qn_buffer_printf(out, err, "prediction"));
  QN_TRY(qn_buffer_terminate(out, err));

done:
  return status;
}

qn_dataset *qn_als_predict(qn_dataset *data, qn_model *model) {
  qn_status status = QN_OK;
  qn_error err = {0};
  qn_buffer keys = {0};
  qn_buffer kept = {0};
  const qn_als_lookup *lookup = NULL;
  const qn_schema *schema = data == NULL ? NULL : qn_dataset_schema(data);
  qn_dataset *out = NULL;

  if (schema == NULL) {
    return data;
  }
  QN_TRY(qn_als_lookup_find(model, &lookup, &err));
  QN_REQUIRE(lookup != NULL, &err, QN_ERR_MEMORY, "no memory to predict");
  QN_TRY(qn_buffer_printf(&keys, &err, "*"));
  QN_TRY(add_key(&keys, schema, qn_arrays_text(&model->arrays, "user_column"), lookup->users.type,
                 "quern_user", &err));
  QN_TRY(add_key(&keys, schema, qn_arrays_text(&model->arrays, "item_column"), lookup->items.type,
                 "quern_item", &err));
  QN_TRY(qn_buffer_terminate(&keys, &err));
  QN_TRY(print_kept(schema, &kept, &err));
  out = qn_extend(qn_select(data, (const char *)keys.data), append_predictions, model->als_lookup,
                  "prediction float64");
  if (out != NULL) {
    out->ctx_hash = model->identity;
  }
  out = qn_select(out, (const char *)kept.data);

done:
  if (status != QN_OK) {
    qn_job_keep_error(model->job, status, &err);
  }
  qn_buffer_release(&keys);
  qn_buffer_release(&kept);
  return out;
}
