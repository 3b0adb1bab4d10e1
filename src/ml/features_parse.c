// SPDX-License-Identifier: Apache-2.0
// From the text of the list to steps. SQL's parser reads it; here it is decided what is a step, and what an
// expression that makes a number.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/check.h"
#include "expr/call_list.h"
#include "io/nearest_name.h"
#include "ml/features_steps.h"

enum { DEFAULT_CATEGORIES = 1000, DEFAULT_INDEXED = 100000, DEFAULT_BUCKETS = 10, DEFAULT_DEGREE = 2 };
enum { DEFAULT_HASHED = 1024, DEFAULT_WORDS = 4096, MOST_WORDS = 10 * 1000 * 1000 };

typedef enum { TAKES_NUMBERS, TAKES_TEXT, TAKES_BYTES } step_values;

// What can be written, and what the number behind the values means.
typedef struct step_form {
  const char *word;
  qn_step_kind kind;
  step_values values;
  int64_t fallback, least, most; // of the number; most 0: it takes none
  const char *number;            // what the number is
} step_form;

static const step_form forms[] = {
    {"standardise", QN_STEP_STANDARDISE, TAKES_NUMBERS, 0, 0, 0, ""},
    {"standardize", QN_STEP_STANDARDISE, TAKES_NUMBERS, 0, 0, 0, ""},
    {"min_max", QN_STEP_MIN_MAX, TAKES_NUMBERS, 0, 0, 0, ""},
    {"impute", QN_STEP_IMPUTE, TAKES_NUMBERS, 0, 0, 0, ""},
    {"bucketise", QN_STEP_BUCKETISE, TAKES_NUMBERS, DEFAULT_BUCKETS, 2, 10000, "buckets"},
    {"bucketize", QN_STEP_BUCKETISE, TAKES_NUMBERS, DEFAULT_BUCKETS, 2, 10000, "buckets"},
    {"polynomial", QN_STEP_POLYNOMIAL, TAKES_NUMBERS, DEFAULT_DEGREE, 1, 10, "degree"},
    {"string_index", QN_STEP_STRING_INDEX, TAKES_TEXT, DEFAULT_INDEXED, 1, MOST_WORDS, "categories"},
    {"one_hot", QN_STEP_ONE_HOT, TAKES_TEXT, DEFAULT_CATEGORIES, 1, 1000000, "categories"},
    {"hashing", QN_STEP_HASHING, TAKES_TEXT, DEFAULT_HASHED, 1, QN_MOST_FEATURES, "columns"},
    {"tfidf", QN_STEP_TFIDF, TAKES_TEXT, DEFAULT_WORDS, 1, MOST_WORDS, "words"},
    {"pixels", QN_STEP_PIXELS, TAKES_BYTES, 0, 0, 0, ""},
    {"sparse", QN_STEP_SPARSE, TAKES_TEXT, 0, 0, 0, ""},
};
enum { N_FORMS = sizeof forms / sizeof *forms };

typedef struct feature_parser {
  qn_features *features;
  const qn_schema *schema;
  const char *const *excluded;
  int n_excluded;
  qn_call_list *list;
  bool *is_used; // columns of the schema that inputs read
  qn_error *err;
} feature_parser;

// A growing array of steps in the arena.
typedef struct step_list {
  qn_step **steps;
  int n, capacity;
} step_list;

static const step_form *find_form(const qn_call_item *item) {
  for (int i = 0; item->kind == QN_ITEM_CALL && i < N_FORMS; i++) {
    if (strcasecmp(forms[i].word, item->word) == 0) {
      return &forms[i];
    }
  }
  return NULL;
}

static qn_status no_memory(const feature_parser *parser) {
  return qn_fail(parser->err, QN_ERR_MEMORY, "features: no memory to read the list");
}

static qn_status add_step(feature_parser *parser, step_list *list, const qn_step *step) {
  qn_arena *arena = &parser->features->arena;
  qn_step *copy = qn_arena_alloc(arena, (int64_t)sizeof *copy);
  if (list->n == list->capacity) {
    const int capacity = 2 * list->capacity + 8;
    qn_step **steps = qn_arena_alloc(arena, (int64_t)sizeof(qn_step *) * capacity);
    if (steps == NULL) {
      return no_memory(parser);
    }
    if (list->n > 0) {
      memcpy(steps, list->steps, (size_t)list->n * sizeof(qn_step *));
    }
    list->steps = steps;
    list->capacity = capacity;
  }
  if (copy == NULL) {
    return no_memory(parser);
  }
  *copy = *step;
  list->steps[list->n++] = copy;
  return QN_OK;
}

// The input of that expression, which is there already or is added.
static qn_status add_input(feature_parser *parser, const qn_feature_input *input, int *out) {
  qn_features *features = parser->features;
  for (int i = 0; i < features->n_inputs; i++) {
    const qn_feature_input *other = &features->inputs[i];
    if (other->is_cast == input->is_cast && strcmp(other->expression, input->expression) == 0) {
      *out = i;
      return QN_OK;
    }
  }
  if (features->n_inputs == features->inputs_capacity) {
    const int capacity = 2 * features->inputs_capacity + 8;
    qn_feature_input *inputs = qn_arena_alloc(&features->arena, (int64_t)sizeof *inputs * capacity);
    if (inputs == NULL) {
      return no_memory(parser);
    }
    if (features->n_inputs > 0) {
      memcpy(inputs, features->inputs, (size_t)features->n_inputs * sizeof *inputs);
    }
    features->inputs = inputs;
    features->inputs_capacity = capacity;
  }
  *out = features->n_inputs;
  features->inputs[features->n_inputs++] = *input;
  return QN_OK;
}

static bool is_number_type(qn_type type) {
  return type == QN_INT32 || type == QN_INT64 || type == QN_FLOAT32 || type == QN_FLOAT64;
}

// What to write for a value that is no number.
static qn_status refuse_type(const feature_parser *parser, const qn_call_item *item, const char *name,
                             qn_type type, step_values values) {
  char advice[400];
  if (values == TAKES_BYTES) {
    snprintf(advice, sizeof advice, "pixels() takes binary columns, a number per byte");
  } else if (values == TAKES_TEXT) {
    snprintf(advice, sizeof advice, "this step takes text");
  } else if (type == QN_UTF8) {
    snprintf(advice, sizeof advice,
             "make numbers of it: one_hot(%s), string_index(%s), hashing(%s, 1024) or "
             "tfidf(%s, 4096)",
             name, name, name, name);
  } else if (type == QN_BINARY) {
    snprintf(advice, sizeof advice, "make numbers of it: pixels(%s)", name);
  } else {
    snprintf(advice, sizeof advice,
             "make a number of it: extract(epoch from %s), extract(hour from %s), "
             "extract(month from %s), ...",
             name, name, name);
  }
  if (item == NULL) {
    return qn_fail(parser->err, QN_ERR_TYPE,
                   "features: column '%s' is a %s; %s; with features = NULL or '*' every column is taken, so "
                   "list those that you want",
                   name, qn_type_name(type), advice);
  }
  return qn_call_list_fail(parser->list, item, parser->err, QN_ERR_TYPE, "'%s' is a %s; %s", name,
                           qn_type_name(type), advice);
}

static bool is_fitting(qn_type type, step_values values) {
  const bool is_number = is_number_type(type) || type == QN_BOOL;
  return values == TAKES_NUMBERS ? is_number : values == TAKES_BYTES ? type == QN_BINARY : type != QN_BINARY;
}

// A leaf that reads a column of the schema by its name.
static qn_status column_leaf(feature_parser *parser, int column, step_values values, qn_step *leaf) {
  qn_status status = QN_OK;
  qn_arena *arena = &parser->features->arena;
  const char *name = qn_schema_name(parser->schema, column);
  const qn_type type = qn_schema_type(parser->schema, column);
  const char *quoted = qn_name_quoted(arena, name);
  const char *kept = qn_arena_string(arena, name);

  if (!is_fitting(type, values)) {
    return refuse_type(parser, NULL, name, type, values);
  }
  if (quoted == NULL || kept == NULL) {
    return no_memory(parser);
  }
  parser->is_used[column] = true;
  const bool is_cast = values == TAKES_TEXT && type != QN_UTF8;
  const qn_feature_input input = {
      .expression = quoted, .column = kept, .type = is_cast ? QN_UTF8 : type, .is_cast = is_cast};
  leaf->name = kept;
  QN_TRY(add_input(parser, &input, &leaf->input));

done:
  return status;
}

// A leaf that reads an expression of the list.
static qn_status expression_leaf(feature_parser *parser, const qn_call_item *item, step_values values,
                                 qn_step *leaf) {
  qn_status status = QN_OK;
  const qn_expr *expr = NULL;

  if (item->kind == QN_ITEM_CALL && !qn_expr_has_function(item->word)) {
    const char *words[N_FORMS];
    for (int i = 0; i < N_FORMS; i++) {
      words[i] = forms[i].word;
    }
    const int64_t nearest = qn_nearest_name(item->word, words, N_FORMS);
    if (nearest >= 0) {
      return qn_call_list_fail(parser->list, item, parser->err, QN_ERR_ARG,
                               "there is no step or function '%s'; did you mean '%s'?", item->word,
                               words[nearest]);
    }
  }
  QN_TRY(qn_call_list_bind(parser->list, item, &expr, parser->err));
  const qn_type type = qn_expr_type(expr);
  const int column = qn_expr_column(expr);
  if (!is_fitting(type, values)) {
    return refuse_type(parser, item, item->text, type, values);
  }
  qn_expr_mark_columns(expr, parser->is_used);
  if (column >= 0) {
    QN_TRY(column_leaf(parser, column, values, leaf));
  } else {
    const bool is_cast = values == TAKES_TEXT && type != QN_UTF8;
    const qn_feature_input input = {
        .expression = item->text, .type = is_cast ? QN_UTF8 : type, .is_cast = is_cast};
    leaf->name = item->text;
    QN_TRY(add_input(parser, &input, &leaf->input));
  }
  leaf->name = item->name != NULL ? item->name : leaf->name;

done:
  return status;
}

static bool is_excluded(const feature_parser *parser, int column) {
  for (int i = 0; i < parser->n_excluded; i++) {
    if (parser->excluded[i] != NULL &&
        strcmp(parser->excluded[i], qn_schema_name(parser->schema, column)) == 0) {
      return true;
    }
  }
  return false;
}

// All columns that the step takes: of numbers those that are no truths, of texts those that are text.
static qn_status star_leaves(feature_parser *parser, const step_form *form, const qn_step *like,
                             step_list *out) {
  qn_status status = QN_OK;

  for (int c = 0; c < qn_schema_n_columns(parser->schema); c++) {
    const qn_type type = qn_schema_type(parser->schema, c);
    const bool is_taken = form->values == TAKES_NUMBERS ? is_number_type(type)
                          : form->values == TAKES_TEXT  ? type == QN_UTF8
                                                        : type == QN_BINARY;
    if (is_taken && !is_excluded(parser, c)) {
      qn_step leaf = *like;
      QN_TRY(column_leaf(parser, c, form->values, &leaf));
      QN_TRY(add_step(parser, out, &leaf));
    }
  }

done:
  return status;
}

// Every column that is not excluded, as it is: numbers and truths, text as one_hot.
static qn_status all_columns(feature_parser *parser, step_list *out) {
  qn_status status = QN_OK;

  for (int c = 0; c < qn_schema_n_columns(parser->schema); c++) {
    if (is_excluded(parser, c)) {
      continue;
    }
    const bool is_text = qn_schema_type(parser->schema, c) == QN_UTF8;
    qn_step leaf = {.kind = is_text ? QN_STEP_ONE_HOT : QN_STEP_NUMBER, .limit = DEFAULT_CATEGORIES};
    QN_TRY(column_leaf(parser, c, is_text ? TAKES_TEXT : TAKES_NUMBERS, &leaf));
    QN_TRY(add_step(parser, out, &leaf));
  }

done:
  return status;
}

static qn_status read_count(const feature_parser *parser, const step_form *form, const qn_call_item *item,
                            int64_t *out) {
  char *end = NULL;
  const double value = strtod(item->text, &end);
  if (*end != '\0' || value != floor(value) || value < (double)form->least || value > (double)form->most) {
    return qn_call_list_fail(parser->list, item, parser->err, QN_ERR_ARG,
                             "%s of %s: a whole number from %" PRId64 " to %" PRId64 " is wanted, not %s",
                             form->number, form->word, form->least, form->most, item->text);
  }
  *out = (int64_t)value;
  return QN_OK;
}

// The word behind the values of impute.
static bool is_impute_word(const feature_parser *parser, const qn_call_item *item) {
  const bool is_word = item->kind == QN_ITEM_COLUMN && qn_schema_find(parser->schema, item->word) < 0;
  return item->kind == QN_ITEM_TEXT ||
         (is_word && (strcasecmp(item->word, "mean") == 0 || strcasecmp(item->word, "median") == 0));
}

static qn_status read_impute(const feature_parser *parser, const qn_call_item *item, qn_step *step) {
  if (item->kind == QN_ITEM_NUMBER) {
    char *end = NULL;
    const double value = strtod(item->text, &end);
    step->how = QN_IMPUTE_CONSTANT;
    step->constant = value;
    if (*end == '\0' && isfinite(value)) {
      return QN_OK;
    }
  } else if (strcasecmp(item->word, "mean") == 0) {
    return QN_OK;
  } else if (strcasecmp(item->word, "median") == 0) {
    step->how = QN_IMPUTE_MEDIAN;
    return QN_OK;
  }
  return qn_call_list_fail(parser->list, item, parser->err, QN_ERR_ARG,
                           "impute fills in 'mean', 'median' or a number, not %s", item->text);
}

// What stands behind the values; *n_values becomes smaller by it.
static qn_status read_parameters(const feature_parser *parser, const step_form *form,
                                 const qn_call_item *item, qn_step *step, int *n_values) {
  qn_status status = QN_OK;
  const qn_call_item *last = *n_values == 0 ? NULL : &item->arguments[*n_values - 1];

  step->limit = form->fallback;
  if (last == NULL) {
    goto done;
  }
  if (form->kind == QN_STEP_HASHING && last->kind == QN_ITEM_TEXT) {
    if (strcasecmp(last->word, "words") != 0) {
      return qn_call_list_fail(parser->list, last, parser->err, QN_ERR_ARG,
                               "hashing takes 'words' here (each word of the text), or nothing");
    }
    step->by_word = true;
    (*n_values)--;
    last--;
  }
  if (form->kind == QN_STEP_IMPUTE && (last->kind == QN_ITEM_NUMBER || is_impute_word(parser, last))) {
    QN_TRY(read_impute(parser, last, step));
    (*n_values)--;
  } else if (*n_values > 0 && last->kind == QN_ITEM_NUMBER) {
    if (form->most == 0) {
      return qn_call_list_fail(parser->list, last, parser->err, QN_ERR_ARG, "%s takes columns only",
                               form->word);
    }
    QN_TRY(read_count(parser, form, last, &step->limit));
    (*n_values)--;
  }

done:
  return status;
}

static qn_status read_step(feature_parser *parser, const step_form *form, const qn_call_item *item,
                           step_list *out);

// A value of a step of numbers: another one of those, or an expression.
static qn_status read_number(feature_parser *parser, const step_form *outer, const qn_call_item *item,
                             step_list *out) {
  qn_status status = QN_OK;
  const step_form *form = find_form(item);
  qn_step leaf = {.kind = QN_STEP_NUMBER};

  if (item->kind == QN_ITEM_STAR) {
    return star_leaves(parser, outer, &leaf, out);
  }
  if (form != NULL && form->kind > QN_STEP_PIXELS) {
    return qn_call_list_fail(parser->list, item, parser->err, QN_ERR_ARG,
                             "%s takes numbers; what %s makes is nearly all zeros and stays as it is",
                             outer->word, form->word);
  }
  if (form != NULL) {
    return read_step(parser, form, item, out);
  }
  QN_TRY(expression_leaf(parser, item, TAKES_NUMBERS, &leaf));
  QN_TRY(add_step(parser, out, &leaf));

done:
  return status;
}

static qn_status read_number_step(feature_parser *parser, const step_form *form, const qn_call_item *item,
                                  qn_step *step, int n_values, step_list *out) {
  qn_status status = QN_OK;
  step_list children = {0};

  for (int i = 0; i < n_values; i++) {
    QN_TRY(read_number(parser, form, &item->arguments[i], &children));
  }
  if (children.n == 0) {
    return qn_call_list_fail(parser->list, item, parser->err, QN_ERR_ARG, "%s finds no column of numbers",
                             form->word);
  }
  step->input = -1;
  step->children = children.steps;
  step->n_children = children.n;
  QN_TRY(add_step(parser, out, step));

done:
  return status;
}

// one_hot of buckets: a column for each.
static qn_status read_one_hot_buckets(feature_parser *parser, const step_form *form, const qn_call_item *item,
                                      step_list *out) {
  qn_status status = QN_OK;
  step_list inner = {0};

  QN_TRY(read_step(parser, form, item, &inner));
  const qn_step *buckets = inner.steps[0];
  for (int i = 0; i < buckets->n_children; i++) {
    step_list one = {0};
    qn_step bucket = *buckets;
    bucket.children = &buckets->children[i];
    bucket.n_children = 1;
    QN_TRY(add_step(parser, &one, &bucket));
    const qn_step step = {.kind = QN_STEP_ONE_HOT, .input = -1, .children = one.steps, .n_children = 1};
    QN_TRY(add_step(parser, out, &step));
  }

done:
  return status;
}

static qn_status read_leaf_step(feature_parser *parser, const step_form *form, const qn_call_item *item,
                                const qn_step *step, int n_values, step_list *out) {
  qn_status status = QN_OK;
  const int n_before = out->n;

  for (int i = 0; i < n_values; i++) {
    const qn_call_item *value = &item->arguments[i];
    const step_form *inner = find_form(value);
    qn_step leaf = *step;
    if (value->kind == QN_ITEM_STAR) {
      QN_TRY(star_leaves(parser, form, &leaf, out));
      continue;
    }
    if (inner != NULL && inner->kind == QN_STEP_BUCKETISE && form->kind == QN_STEP_ONE_HOT) {
      QN_TRY(read_one_hot_buckets(parser, inner, value, out));
      continue;
    }
    if (inner != NULL) {
      return qn_call_list_fail(parser->list, value, parser->err, QN_ERR_ARG,
                               "%s takes columns and expressions, not the step %s", form->word, inner->word);
    }
    QN_TRY(expression_leaf(parser, value, form->values, &leaf));
    QN_TRY(add_step(parser, out, &leaf));
  }
  if (out->n == n_before) {
    return qn_call_list_fail(parser->list, item, parser->err, QN_ERR_ARG, "%s finds no column that it takes",
                             form->word);
  }

done:
  return status;
}

static qn_status read_step(feature_parser *parser, const step_form *form, const qn_call_item *item,
                           step_list *out) {
  qn_status status = QN_OK;
  qn_step step = {.kind = form->kind};
  int n_values = item->n_arguments;

  QN_TRY(read_parameters(parser, form, item, &step, &n_values));
  if (n_values == 0) {
    return qn_call_list_fail(parser->list, item, parser->err, QN_ERR_ARG,
                             "%s wants a column or an expression to work on", form->word);
  }
  if (form->values == TAKES_NUMBERS) {
    QN_TRY(read_number_step(parser, form, item, &step, n_values, out));
  } else {
    QN_TRY(read_leaf_step(parser, form, item, &step, n_values, out));
  }

done:
  return status;
}

static qn_status read_item(feature_parser *parser, const qn_call_item *item, step_list *out) {
  qn_status status = QN_OK;
  const step_form *form = find_form(item);
  qn_step leaf = {.kind = QN_STEP_NUMBER};

  if (item->kind == QN_ITEM_STAR) {
    return all_columns(parser, out);
  }
  if (item->kind == QN_ITEM_NUMBER || item->kind == QN_ITEM_TEXT) {
    return qn_call_list_fail(parser->list, item, parser->err, QN_ERR_ARG,
                             "a constant is the same in every row and no feature");
  }
  if (form != NULL) {
    return read_step(parser, form, item, out);
  }
  QN_TRY(expression_leaf(parser, item, TAKES_NUMBERS, &leaf));
  QN_TRY(add_step(parser, out, &leaf));

done:
  return status;
}

static qn_status list_needed(feature_parser *parser) {
  qn_features *features = parser->features;
  const int n = qn_schema_n_columns(parser->schema);
  features->needed = qn_arena_alloc(&features->arena, (int64_t)sizeof *features->needed * n);
  if (features->needed == NULL) {
    return no_memory(parser);
  }
  for (int c = 0; c < n; c++) {
    if (parser->is_used[c]) {
      const char *name = qn_arena_string(&features->arena, qn_schema_name(parser->schema, c));
      if (name == NULL) {
        return no_memory(parser);
      }
      features->needed[features->n_needed++] =
          (qn_feature_column){.name = name, .type = qn_schema_type(parser->schema, c)};
    }
  }
  return QN_OK;
}

qn_status qn_features_parse(qn_features *features, const char *text, const qn_schema *schema,
                            const char *const *excluded, int n_excluded, qn_error *err) {
  qn_status status = QN_OK;
  step_list items = {0};
  feature_parser parser = {
      .features = features, .schema = schema, .excluded = excluded, .n_excluded = n_excluded, .err = err};

  parser.is_used = qn_arena_alloc(&features->arena, qn_schema_n_columns(schema) + 1);
  QN_REQUIRE(parser.is_used != NULL, err, QN_ERR_MEMORY, "features: no memory to read the list");
  if (text == NULL) {
    QN_TRY(all_columns(&parser, &items));
    QN_REQUIRE(items.n > 0, err, QN_ERR_ARG, "features: there is no column besides label and weight");
  } else {
    QN_TRY(qn_call_list_parse(text, "features", schema, &features->arena, &parser.list, err));
    for (int i = 0; i < qn_call_list_n_items(parser.list); i++) {
      QN_TRY(read_item(&parser, qn_call_list_item(parser.list, i), &items));
    }
    QN_REQUIRE(items.n > 0, err, QN_ERR_ARG, "features: '%s' names no column", text);
  }
  features->items = items.steps;
  features->n_items = items.n;
  QN_TRY(list_needed(&parser));

done:
  qn_call_list_free(parser.list);
  return status;
}
