// SPDX-License-Identifier: Apache-2.0
// Feature steps: what can be asked of fitted ones, but for the numbers themselves.
#include "ml/features.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "ml/features_steps.h"
#include "plan/plan.h"

enum { SPARSE_COLUMNS = 256 };
static const double sparse_share = 0.2;

// Names are made when one is asked for: of millions of hashed columns nobody wants any.
struct qn_feature_names {
  qn_arena arena;
  const char **names; // [n_columns]
};

const char *qn_step_word(qn_step_kind kind) {
  static const char *const words[QN_N_STEPS] = {
#define X(value, name) name,
      QN_STEP_LIST(X)
#undef X
  };
  return words[kind];
}

int64_t qn_step_n_child_outputs(const qn_step *step) {
  int64_t n = 0;
  for (int i = 0; i < step->n_children; i++) {
    n += step->children[i]->n_outputs;
  }
  return n;
}

const qn_step *qn_step_child_of(const qn_step *step, int *j) {
  for (int i = 0; i < step->n_children; i++) {
    if (*j < step->children[i]->n_outputs) {
      return step->children[i];
    }
    *j -= step->children[i]->n_outputs;
  }
  return NULL;
}

static const char *child_name(const qn_step *step, int j, qn_arena *arena) {
  const qn_step *child = qn_step_child_of(step, &j);
  return child == NULL ? NULL : qn_step_output_name(child, j, arena);
}

// "x^2*y"
static const char *product_name(const qn_step *step, int j, qn_arena *arena) {
  const int *factors = step->factors + (int64_t)j * step->limit;
  const char *name = "";
  for (int64_t k = 0; k < step->limit && factors[k] >= 0 && name != NULL;) {
    int64_t power = 0;
    const int factor = factors[k];
    for (; k < step->limit && factors[k] == factor; k++) {
      power++;
    }
    const char *one = child_name(step, factor, arena);
    const char *times = name[0] == '\0' ? "" : "*";
    if (one == NULL) {
      return NULL;
    }
    name = power > 1 ? qn_arena_printf(arena, "%s%s%s^%" PRId64, name, times, one, power)
                     : qn_arena_printf(arena, "%s%s%s", name, times, one);
  }
  return name;
}

const char *qn_step_output_name(const qn_step *step, int j, qn_arena *arena) {
  switch (step->kind) {
  case QN_STEP_NUMBER:
  case QN_STEP_STRING_INDEX:
    return step->name;
  case QN_STEP_STANDARDISE:
  case QN_STEP_MIN_MAX:
  case QN_STEP_IMPUTE:
  case QN_STEP_BUCKETISE:
    return child_name(step, j, arena);
  case QN_STEP_POLYNOMIAL:
    return product_name(step, j, arena);
  case QN_STEP_ONE_HOT:
    if (step->n_children == 1) {
      const char *name = child_name(step, 0, arena);
      return name == NULL ? NULL : qn_arena_printf(arena, "%s=%d", name, j);
    }
    if (j == step->vocabulary.n) {
      return qn_arena_printf(arena, "%s=other", step->name);
    }
    return qn_arena_printf(arena, "%s=%s", step->name, step->vocabulary.words[j]);
  case QN_STEP_HASHING:
    return qn_arena_printf(arena, "%s#%d", step->name, j);
  case QN_STEP_TFIDF:
    return qn_arena_printf(arena, "%s:%s", step->name, step->vocabulary.words[j]);
  case QN_STEP_SPARSE:
    return qn_arena_printf(arena, "%s[%" PRId64 "]", step->name, j + step->base);
  case QN_STEP_PIXELS:
    return qn_arena_printf(arena, "%s[%d]", step->name, j);
  }
  return NULL;
}

const char *qn_features_name(const qn_features *features, int column) {
  struct qn_feature_names *names = features->names;
  if (column < 0 || column >= features->n_columns) {
    return NULL;
  }
  if (names->names == NULL) {
    names->names = qn_arena_alloc(&names->arena, (int64_t)sizeof *names->names * features->n_columns);
    if (names->names == NULL) {
      return NULL;
    }
  }
  if (names->names[column] == NULL) {
    int item = 0;
    while (column >= features->first_columns[item + 1]) {
      item++;
    }
    names->names[column] =
        qn_step_output_name(features->items[item], column - features->first_columns[item], &names->arena);
  }
  return names->names[column];
}

int qn_features_n_columns(const qn_features *features) {
  return features->n_columns;
}

bool qn_features_is_sparse(const qn_features *features) {
  return features->is_sparse;
}

// C(n + d, d) - 1, or a number that is too large.
static int64_t count_products(int64_t n, int64_t degree) {
  double count = 1;
  for (int64_t i = 1; i <= degree; i++) {
    count = count * (double)(n + i) / (double)i;
  }
  return count > QN_MOST_FEATURES ? QN_MOST_FEATURES + (int64_t)1 : (int64_t)(count + 0.5) - 1;
}

// All products of 1 to `degree` factors in ascending order, as scikit-learn orders them.
static void list_products(qn_step *step, int n) {
  const int degree = (int)step->limit;
  int *row = step->factors;
  for (int size = 1; size <= degree; size++) {
    for (int k = 0; k < degree; k++) {
      row[k] = k < size ? 0 : -1;
    }
    for (;;) {
      int *next = row + degree;
      int k = size - 1;
      while (k >= 0 && row[k] == n - 1) {
        k--;
      }
      if (k < 0) {
        row = next;
        break;
      }
      memcpy(next, row, (size_t)degree * sizeof *row);
      const int factor = row[k] + 1;
      for (; k < size; k++) {
        next[k] = factor;
      }
      row = next;
    }
  }
}

static qn_status settle_polynomial(qn_step *step, qn_arena *arena, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n = qn_step_n_child_outputs(step);
  const int64_t n_products = count_products(n, step->limit);

  QN_REQUIRE(n_products <= 1000000, err, QN_ERR_ARG,
             "features: polynomial of %" PRId64 " columns and degree %" PRId64
             " makes more than 1,000,000 columns; take fewer columns or a lower degree",
             n, step->limit);
  step->factors = qn_arena_alloc(arena, n_products * step->limit * (int64_t)sizeof *step->factors);
  QN_REQUIRE(step->factors != NULL, err, QN_ERR_MEMORY, "features: no memory for a polynomial");
  list_products(step, (int)n);
  step->n_outputs = (int)n_products;

done:
  return status;
}

static qn_status settle_impute(qn_step *step, qn_arena *arena, qn_error *err) {
  qn_status status = QN_OK;

  step->n_outputs = (int)qn_step_n_child_outputs(step);
  if (step->how == QN_IMPUTE_CONSTANT && step->shifts == NULL) {
    step->shifts = qn_arena_alloc(arena, step->n_outputs * (int64_t)sizeof *step->shifts);
    QN_REQUIRE(step->shifts != NULL, err, QN_ERR_MEMORY, "features: no memory for impute");
    for (int j = 0; j < step->n_outputs; j++) {
      step->shifts[j] = step->constant;
    }
  }

done:
  return status;
}

qn_status qn_step_settle(qn_step *step, qn_arena *arena, qn_error *err) {
  qn_status status = QN_OK;

  switch (step->kind) {
  case QN_STEP_NUMBER:
  case QN_STEP_STRING_INDEX:
    step->n_outputs = 1;
    break;
  case QN_STEP_STANDARDISE:
  case QN_STEP_MIN_MAX:
  case QN_STEP_BUCKETISE:
    step->n_outputs = (int)qn_step_n_child_outputs(step);
    break;
  case QN_STEP_IMPUTE:
    QN_TRY(settle_impute(step, arena, err));
    break;
  case QN_STEP_POLYNOMIAL:
    QN_TRY(settle_polynomial(step, arena, err));
    break;
  case QN_STEP_ONE_HOT:
    step->n_outputs = step->vocabulary.n + (step->has_other ? 1 : 0);
    if (step->n_children == 1) { // of one bucketise
      QN_REQUIRE(step->children[0]->n_outputs == 1, err, QN_ERR_ARG,
                 "features: one_hot(bucketise(...)) takes single columns");
      step->n_outputs = step->children[0]->edge_starts[1] + 1;
    }
    step->filled = 1;
    break;
  case QN_STEP_HASHING:
    step->n_outputs = (int)step->limit;
    step->filled = step->by_word ? 0.1 * (double)step->limit : 1;
    break;
  case QN_STEP_TFIDF:
    step->n_outputs = step->vocabulary.n;
    break;
  case QN_STEP_SPARSE:
  case QN_STEP_PIXELS: // fitted
    break;
  }
  if (qn_step_is_number(step)) {
    step->filled = step->n_outputs;
  }

done:
  return status;
}

qn_status qn_features_settle(qn_features *features, qn_error *err) {
  qn_status status = QN_OK;
  int64_t n_columns = 0;
  double filled = 0;

  features->first_columns =
      qn_arena_alloc(&features->arena, ((int64_t)features->n_items + 1) * (int64_t)sizeof(int));
  features->names = calloc(1, sizeof *features->names);
  QN_REQUIRE(features->first_columns != NULL && features->names != NULL, err, QN_ERR_MEMORY,
             "features: no memory for %d items", features->n_items);
  for (int i = 0; i < features->n_items; i++) {
    n_columns += features->items[i]->n_outputs;
    filled += features->items[i]->filled;
    QN_REQUIRE(n_columns <= QN_MOST_FEATURES, err, QN_ERR_ARG,
               "features: the list makes more than %d columns", QN_MOST_FEATURES);
    features->first_columns[i + 1] = (int)n_columns;
  }
  QN_REQUIRE(n_columns > 0, err, QN_ERR_VALUE, "features: the list makes no column at all");
  features->n_columns = (int)n_columns;
  features->is_sparse = n_columns > SPARSE_COLUMNS && filled < sparse_share * (double)n_columns;

done:
  return status;
}

void qn_features_free(qn_features *features) {
  if (features == NULL) {
    return;
  }
  if (features->names != NULL) {
    qn_arena_release(&features->names->arena);
    free(features->names);
  }
  qn_arena_release(&features->arena);
  free(features);
}

static bool is_number_type(qn_type type) {
  return type == QN_INT32 || type == QN_INT64 || type == QN_FLOAT32 || type == QN_FLOAT64;
}

// A column that was one kind of thing in training and is another now.
static bool is_same_kind(qn_type a, qn_type b) {
  return a == b || ((is_number_type(a) || a == QN_BOOL) && (is_number_type(b) || b == QN_BOOL));
}

static qn_status check_columns(const qn_features *features, const qn_schema *schema, qn_error *err) {
  qn_status status = QN_OK;

  for (int i = 0; i < features->n_needed; i++) {
    const qn_feature_column *needed = &features->needed[i];
    const int found = qn_schema_find(schema, needed->name);
    QN_REQUIRE(found >= 0, err, QN_ERR_ARG,
               "features: there is no column '%s' (%s), which the features were made of; the data has %d "
               "columns, the first is '%s'",
               needed->name, qn_type_name(needed->type), qn_schema_n_columns(schema),
               qn_schema_name(schema, 0));
    QN_REQUIRE(is_same_kind(needed->type, qn_schema_type(schema, found)), err, QN_ERR_TYPE,
               "features: column '%s' is %s, but was %s when the features were fitted; convert it with "
               "cast(... as ...) in a select",
               needed->name, qn_type_name(qn_schema_type(schema, found)), qn_type_name(needed->type));
  }

done:
  return status;
}

qn_dataset *qn_features_inputs(const qn_features *features, qn_dataset *data, const char *also) {
  qn_status status = QN_OK;
  qn_error err = {0};
  qn_buffer list = {0};
  qn_dataset *out = NULL;

  if (data == NULL || data->status != QN_OK) {
    return data;
  }
  QN_TRY(check_columns(features, data->schema, &err));
  for (int i = 0; i < features->n_inputs; i++) {
    const qn_feature_input *input = &features->inputs[i];
    QN_TRY(qn_buffer_printf(&list, &err, input->is_cast ? "%scast(%s as text) as f%d" : "%s%s as f%d",
                            i > 0 ? ", " : "", input->expression, i));
  }
  if (also != NULL && also[0] != '\0') {
    QN_TRY(qn_buffer_printf(&list, &err, ", %s", also));
  }
  QN_TRY(qn_buffer_terminate(&list, &err));
  out = qn_select(data, (const char *)list.data);

done:
  qn_buffer_release(&list);
  return status == QN_OK
             ? out
             : qn_plan_finish(qn_plan_node(data->plan, QN_NODE_SELECT, data, NULL, "features"), status, &err);
}

static bool affine_of(const qn_features *features, const qn_step *step, int j, qn_affine *out) {
  if (step->kind == QN_STEP_NUMBER) {
    const qn_feature_input *input = &features->inputs[step->input];
    *out = (qn_affine){.column = input->column, .shift = 0, .scale = 1};
    return input->column != NULL && is_number_type(input->type);
  }
  if (step->kind != QN_STEP_STANDARDISE && step->kind != QN_STEP_MIN_MAX) {
    return false;
  }
  const double shift = step->shifts[j];
  const double scale = step->scales[j];
  const qn_step *child = qn_step_child_of(step, &j);
  if (child == NULL || !affine_of(features, child, j, out)) {
    return false;
  }
  out->shift += shift / out->scale;
  out->scale *= scale;
  return true;
}

bool qn_features_affine(const qn_features *features, int column, qn_affine *out) {
  int item = 0;
  if (column < 0 || column >= features->n_columns) {
    return false;
  }
  while (column >= features->first_columns[item + 1]) {
    item++;
  }
  return affine_of(features, features->items[item], column - features->first_columns[item], out);
}
