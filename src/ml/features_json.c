// SPDX-License-Identifier: Apache-2.0
// Fitted features as JSON text, and back. The file may come from anywhere: what is read is checked so that no
// later step can go astray.
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "ml/features_steps.h"

enum { FORMAT_VERSION = 1, DEEPEST = 60 };

// --- Writing
// ---------------------------------------------------------------------------------------------------

static json_t *numbers_to_json(const double *numbers, int64_t n) {
  json_t *array = json_array();
  for (int64_t i = 0; i < n; i++) {
    json_array_append_new(array, json_real(numbers[i]));
  }
  return array;
}

static json_t *words_to_json(const qn_vocabulary *vocabulary) {
  json_t *array = json_array();
  for (int32_t i = 0; i < vocabulary->n; i++) {
    json_array_append_new(array, json_stringn(vocabulary->words[i], (size_t)vocabulary->sizes[i]));
  }
  return array;
}

static json_t *edges_to_json(const qn_step *step) {
  json_t *array = json_array();
  for (int j = 0; j < step->n_outputs; j++) {
    const int first = step->edge_starts[j];
    json_array_append_new(array, numbers_to_json(step->edges + first, step->edge_starts[j + 1] - first));
  }
  return array;
}

static void leaf_to_json(const qn_step *step, json_t *object) {
  json_object_set_new(object, "name", json_string(step->name));
  json_object_set_new(object, "input", json_integer(step->input));
  if (step->vocabulary.n > 0) {
    json_object_set_new(object, "words", words_to_json(&step->vocabulary));
  }
  if (step->has_other) {
    json_object_set_new(object, "other", json_true());
  }
  if (step->by_word) {
    json_object_set_new(object, "by_word", json_true());
  }
  if (step->idf != NULL) {
    json_object_set_new(object, "idf", numbers_to_json(step->idf, step->n_outputs));
  }
  if (step->kind == QN_STEP_SPARSE) {
    json_object_set_new(object, "base", json_integer(step->base));
  }
  if (step->kind == QN_STEP_SPARSE || step->kind == QN_STEP_PIXELS || step->kind == QN_STEP_HASHING) {
    json_object_set_new(object, "columns", json_integer(step->n_outputs));
  }
}

static json_t *step_to_json(const qn_step *step) {
  json_t *object = json_object();

  json_object_set_new(object, "step", json_string(qn_step_word(step->kind)));
  json_object_set_new(object, "filled", json_real(step->filled));
  if (step->n_children == 0) {
    leaf_to_json(step, object);
    return object;
  }
  json_t *children = json_array();
  for (int i = 0; i < step->n_children; i++) {
    json_array_append_new(children, step_to_json(step->children[i]));
  }
  json_object_set_new(object, "of", children);
  if (step->shifts != NULL) {
    json_object_set_new(object, "shift", numbers_to_json(step->shifts, step->n_outputs));
  }
  if (step->kind == QN_STEP_STANDARDISE || step->kind == QN_STEP_MIN_MAX) {
    json_object_set_new(object, "scale", numbers_to_json(step->scales, step->n_outputs));
  }
  if (step->edges != NULL) {
    json_object_set_new(object, "edges", edges_to_json(step));
  }
  if (step->kind == QN_STEP_POLYNOMIAL) {
    json_object_set_new(object, "degree", json_integer(step->limit));
  }
  return object;
}

static json_t *features_to_json(const qn_features *features) {
  json_t *inputs = json_array();
  json_t *needed = json_array();
  json_t *items = json_array();
  for (int i = 0; i < features->n_inputs; i++) {
    const qn_feature_input *input = &features->inputs[i];
    json_array_append_new(inputs, json_pack("{s:s, s:s*, s:s, s:b}", "sql", input->expression, "column",
                                            input->column, "type", qn_type_name(input->type), "cast",
                                            input->is_cast));
  }
  for (int i = 0; i < features->n_needed; i++) {
    json_array_append_new(needed, json_pack("{s:s, s:s}", "name", features->needed[i].name, "type",
                                            qn_type_name(features->needed[i].type)));
  }
  for (int i = 0; i < features->n_items; i++) {
    json_array_append_new(items, step_to_json(features->items[i]));
  }
  return json_pack("{s:i, s:b, s:o, s:o, s:o}", "version", FORMAT_VERSION, "takes_missing",
                   features->takes_missing, "reads", needed, "inputs", inputs, "steps", items);
}

qn_status qn_features_encode(const qn_features *features, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  json_t *root = features_to_json(features);
  char *text = root == NULL ? NULL : json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(17));

  QN_REQUIRE(text != NULL, err, QN_ERR_MEMORY, "features: no memory to write %d columns as text",
             features->n_columns);
  QN_TRY(qn_buffer_append(out, text, (int64_t)strlen(text), err));
  QN_TRY(qn_buffer_terminate(out, err));

done:
  free(text);
  json_decref(root);
  return status;
}

// --- Reading
// ---------------------------------------------------------------------------------------------------

typedef struct json_reader {
  qn_features *features;
  qn_arena *arena;
  qn_error *err;
} json_reader;

static qn_status bad(const json_reader *reader, const char *what) {
  return qn_fail(reader->err, QN_ERR_FORMAT,
                 "features: the text of the model is damaged, or of another "
                 "version: %s",
                 what);
}

static qn_status no_memory(const json_reader *reader) {
  return qn_fail(reader->err, QN_ERR_MEMORY, "features: no memory to read them");
}

// A text of the object in the arena.
static qn_status read_text(const json_reader *reader, const json_t *object, const char *key,
                           const char **out) {
  const char *text = json_string_value(json_object_get(object, key));
  if (text == NULL) {
    return bad(reader, key);
  }
  *out = qn_arena_string(reader->arena, text);
  return *out == NULL ? no_memory(reader) : QN_OK;
}

static qn_status read_integer(const json_reader *reader, const json_t *object, const char *key, int64_t least,
                              int64_t most, int64_t *out) {
  const json_t *value = json_object_get(object, key);
  const int64_t number = (int64_t)json_integer_value(value);
  if (!json_is_integer(value) || number < least || number > most) {
    return bad(reader, key);
  }
  *out = number;
  return QN_OK;
}

// An array of n finite numbers (n < 0: any number, *found).
static qn_status read_numbers(const json_reader *reader, const json_t *array, const char *what, int64_t n,
                              double *out) {
  if ((int64_t)json_array_size(array) != n) {
    return bad(reader, what);
  }
  for (int64_t i = 0; i < n; i++) {
    const json_t *value = json_array_get(array, (size_t)i);
    out[i] = json_number_value(value);
    if (!json_is_number(value) || !isfinite(out[i])) {
      return bad(reader, what);
    }
  }
  return QN_OK;
}

static qn_status read_array(const json_reader *reader, const json_t *object, const char *key, int64_t n,
                            double **out) {
  double *numbers = qn_arena_alloc(reader->arena, (n + 1) * (int64_t)sizeof *numbers);
  if (numbers == NULL) {
    return no_memory(reader);
  }
  const qn_status status = read_numbers(reader, json_object_get(object, key), key, n, numbers);
  *out = status == QN_OK ? numbers : NULL;
  return status;
}

static qn_status read_words(const json_reader *reader, const json_t *object, qn_vocabulary *out) {
  const json_t *array = json_object_get(object, "words");
  const int64_t n = (int64_t)json_array_size(array);
  const char **words = qn_arena_alloc(reader->arena, (n + 1) * (int64_t)sizeof *words);
  int32_t *sizes = qn_arena_alloc(reader->arena, (n + 1) * (int64_t)sizeof *sizes);
  if (n == 0 || n > QN_MOST_FEATURES) {
    return bad(reader, "words");
  }
  if (words == NULL || sizes == NULL) {
    return no_memory(reader);
  }
  for (int64_t i = 0; i < n; i++) {
    const json_t *value = json_array_get(array, (size_t)i);
    if (!json_is_string(value) || json_string_length(value) > INT32_MAX) {
      return bad(reader, "words");
    }
    sizes[i] = (int32_t)json_string_length(value);
    words[i] = qn_arena_copy(reader->arena, json_string_value(value), sizes[i]);
    if (words[i] == NULL) {
      return no_memory(reader);
    }
  }
  return qn_vocabulary_new(words, sizes, (int32_t)n, reader->arena, out, reader->err);
}

static qn_status read_edges(const json_reader *reader, const json_t *object, qn_step *step) {
  qn_status status = QN_OK;
  const json_t *columns = json_object_get(object, "edges");
  const int64_t n = qn_step_n_child_outputs(step);
  int64_t n_edges = 0;

  if ((int64_t)json_array_size(columns) != n) {
    return bad(reader, "edges");
  }
  for (int64_t j = 0; j < n; j++) {
    n_edges += (int64_t)json_array_size(json_array_get(columns, (size_t)j));
  }
  step->edges = qn_arena_alloc(reader->arena, (n_edges + 1) * (int64_t)sizeof *step->edges);
  step->edge_starts = qn_arena_alloc(reader->arena, (n + 1) * (int64_t)sizeof *step->edge_starts);
  if (step->edges == NULL || step->edge_starts == NULL || n_edges > QN_MOST_FEATURES) {
    return no_memory(reader);
  }
  for (int64_t j = 0; j < n; j++) {
    const json_t *column = json_array_get(columns, (size_t)j);
    const int first = step->edge_starts[j];
    QN_TRY(read_numbers(reader, column, "edges", (int64_t)json_array_size(column), step->edges + first));
    step->edge_starts[j + 1] = first + (int)json_array_size(column);
  }

done:
  return status;
}

static bool fits_input(qn_step_kind kind, qn_type type) {
  if (kind == QN_STEP_NUMBER) {
    return type != QN_UTF8 && type != QN_BINARY && type != QN_DATE && type != QN_TIMESTAMP;
  }
  return kind == QN_STEP_PIXELS ? type == QN_BINARY : type == QN_UTF8;
}

static qn_status read_leaf(const json_reader *reader, const json_t *object, qn_step *step) {
  qn_status status = QN_OK;
  int64_t value = 0;
  const qn_step_kind kind = step->kind;

  QN_TRY(read_text(reader, object, "name", &step->name));
  QN_TRY(read_integer(reader, object, "input", 0, reader->features->n_inputs - 1, &value));
  step->input = (int)value;
  if (!fits_input(kind, reader->features->inputs[step->input].type)) {
    return bad(reader, "input");
  }
  step->has_other = json_is_true(json_object_get(object, "other"));
  step->by_word = json_is_true(json_object_get(object, "by_word"));
  if (kind == QN_STEP_ONE_HOT || kind == QN_STEP_STRING_INDEX || kind == QN_STEP_TFIDF) {
    QN_TRY(read_words(reader, object, &step->vocabulary));
  }
  if (kind == QN_STEP_TFIDF) {
    QN_TRY(read_array(reader, object, "idf", step->vocabulary.n, &step->idf));
  }
  if (kind == QN_STEP_SPARSE) {
    QN_TRY(read_integer(reader, object, "base", 0, 1, &step->base));
  }
  if (kind == QN_STEP_SPARSE || kind == QN_STEP_PIXELS || kind == QN_STEP_HASHING) {
    QN_TRY(read_integer(reader, object, "columns", 1, QN_MOST_FEATURES, &value));
    step->n_outputs = (int)value;
    step->limit = value;
  }

done:
  return status;
}

static qn_status read_step(const json_reader *reader, const json_t *object, int depth, qn_step **out);

static qn_status read_children(const json_reader *reader, const json_t *object, int depth, qn_step *step) {
  qn_status status = QN_OK;
  const json_t *children = json_object_get(object, "of");
  const int n = (int)json_array_size(children);
  const bool is_one_hot = step->kind == QN_STEP_ONE_HOT;

  step->children = qn_arena_alloc(reader->arena, (int64_t)sizeof(qn_step *) * (n + 1));
  if (step->children == NULL) {
    return no_memory(reader);
  }
  if (n == 0 || (is_one_hot && n != 1) || (!is_one_hot && !qn_step_is_number(step)) ||
      step->kind == QN_STEP_NUMBER || step->kind == QN_STEP_STRING_INDEX || step->kind == QN_STEP_PIXELS) {
    return bad(reader, "of");
  }
  for (int i = 0; i < n; i++) {
    QN_TRY(read_step(reader, json_array_get(children, (size_t)i), depth + 1, &step->children[i]));
    if (!qn_step_is_number(step->children[i]) ||
        (is_one_hot && step->children[i]->kind != QN_STEP_BUCKETISE)) {
      return bad(reader, "of");
    }
    step->n_children++;
  }
  if (qn_step_n_child_outputs(step) > QN_MOST_FEATURES) {
    return bad(reader, "of");
  }

done:
  return status;
}

static qn_status read_inner(const json_reader *reader, const json_t *object, int depth, qn_step *step) {
  qn_status status = QN_OK;
  step->input = -1;

  QN_TRY(read_children(reader, object, depth, step));
  const int64_t n = qn_step_n_child_outputs(step);
  if (step->kind == QN_STEP_STANDARDISE || step->kind == QN_STEP_MIN_MAX) {
    QN_TRY(read_array(reader, object, "shift", n, &step->shifts));
    QN_TRY(read_array(reader, object, "scale", n, &step->scales));
  } else if (step->kind == QN_STEP_IMPUTE) {
    QN_TRY(read_array(reader, object, "shift", n, &step->shifts));
  } else if (step->kind == QN_STEP_BUCKETISE) {
    QN_TRY(read_edges(reader, object, step));
  } else if (step->kind == QN_STEP_POLYNOMIAL) {
    QN_TRY(read_integer(reader, object, "degree", 1, 10, &step->limit));
  }

done:
  return status;
}

static qn_status read_step(const json_reader *reader, const json_t *object, int depth, qn_step **out) {
  qn_status status = QN_OK;
  const char *word = json_string_value(json_object_get(object, "step"));
  int kind = 0;

  while (word != NULL && kind < QN_N_STEPS && strcmp(qn_step_word((qn_step_kind)kind), word) != 0) {
    kind++;
  }
  if (word == NULL || kind == QN_N_STEPS || depth > DEEPEST) {
    return bad(reader, "step");
  }
  qn_step *step = qn_arena_alloc(reader->arena, (int64_t)sizeof *step);
  if (step == NULL) {
    return no_memory(reader);
  }
  step->kind = (qn_step_kind)kind;
  step->filled = json_number_value(json_object_get(object, "filled"));
  const double filled = step->filled;
  if (json_object_get(object, "of") == NULL) {
    QN_TRY(read_leaf(reader, object, step));
    if (step->kind == QN_STEP_STANDARDISE || step->kind == QN_STEP_MIN_MAX || step->kind == QN_STEP_IMPUTE ||
        step->kind == QN_STEP_BUCKETISE || step->kind == QN_STEP_POLYNOMIAL) {
      return bad(reader, "of");
    }
  } else {
    QN_TRY(read_inner(reader, object, depth, step));
  }
  QN_TRY(qn_step_settle(step, reader->arena, reader->err));
  step->filled = filled;
  *out = step;

done:
  return status;
}

static bool find_type(const char *name, qn_type *out) {
  for (int type = 0; name != NULL && type < QN_N_TYPES; type++) {
    if (strcmp(qn_type_name((qn_type)type), name) == 0) {
      *out = (qn_type)type;
      return true;
    }
  }
  return false;
}

static qn_status read_inputs(const json_reader *reader, const json_t *array) {
  qn_status status = QN_OK;
  qn_features *features = reader->features;
  const int n = (int)json_array_size(array);

  features->inputs = qn_arena_alloc(reader->arena, (int64_t)sizeof *features->inputs * (n + 1));
  if (features->inputs == NULL) {
    return no_memory(reader);
  }
  for (int i = 0; i < n; i++) {
    const json_t *object = json_array_get(array, (size_t)i);
    qn_feature_input *input = &features->inputs[i];
    QN_TRY(read_text(reader, object, "sql", &input->expression));
    if (json_object_get(object, "column") != NULL) {
      QN_TRY(read_text(reader, object, "column", &input->column));
    }
    input->is_cast = json_is_true(json_object_get(object, "cast"));
    if (!find_type(json_string_value(json_object_get(object, "type")), &input->type)) {
      return bad(reader, "type");
    }
    features->n_inputs++;
  }

done:
  return status;
}

static qn_status read_needed(const json_reader *reader, const json_t *array) {
  qn_status status = QN_OK;
  qn_features *features = reader->features;
  const int n = (int)json_array_size(array);

  features->needed = qn_arena_alloc(reader->arena, (int64_t)sizeof *features->needed * (n + 1));
  if (features->needed == NULL) {
    return no_memory(reader);
  }
  for (int i = 0; i < n; i++) {
    const json_t *object = json_array_get(array, (size_t)i);
    QN_TRY(read_text(reader, object, "name", &features->needed[i].name));
    if (!find_type(json_string_value(json_object_get(object, "type")), &features->needed[i].type)) {
      return bad(reader, "type");
    }
    features->n_needed++;
  }

done:
  return status;
}

static qn_status read_all(const json_reader *reader, const json_t *root) {
  qn_status status = QN_OK;
  qn_features *features = reader->features;
  const json_t *items = json_object_get(root, "steps");
  const int n = (int)json_array_size(items);

  if (json_integer_value(json_object_get(root, "version")) != FORMAT_VERSION || n == 0) {
    return bad(reader, "version");
  }
  features->takes_missing = json_is_true(json_object_get(root, "takes_missing"));
  QN_TRY(read_needed(reader, json_object_get(root, "reads")));
  QN_TRY(read_inputs(reader, json_object_get(root, "inputs")));
  features->items = qn_arena_alloc(reader->arena, (int64_t)sizeof(qn_step *) * n);
  if (features->items == NULL) {
    return no_memory(reader);
  }
  for (int i = 0; i < n; i++) {
    QN_TRY(read_step(reader, json_array_get(items, (size_t)i), 0, &features->items[i]));
    features->n_items++;
  }
  QN_TRY(qn_features_settle(features, reader->err));

done:
  return status;
}

qn_status qn_features_decode(const char *json, qn_features **out, qn_error *err) {
  qn_status status = QN_OK;
  json_error_t mistake;
  json_t *root = NULL;
  qn_features *features = calloc(1, sizeof *features);

  QN_REQUIRE(features != NULL, err, QN_ERR_MEMORY, "features: no memory");
  const json_reader reader = {.features = features, .arena = &features->arena, .err = err};
  root = json_loads(json, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &mistake);
  QN_REQUIRE(root != NULL, err, QN_ERR_FORMAT, "features: the text of the model is no JSON: line %d: %s",
             mistake.line, mistake.text);
  QN_TRY(read_all(&reader, root));
  *out = features;
  features = NULL;

done:
  qn_features_free(features);
  json_decref(root);
  return status;
}
