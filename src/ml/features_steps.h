// SPDX-License-Identifier: Apache-2.0
// What feature steps are inside, for the files features_*.c only: a tree of steps for each item of the list;
// the leaves read columns f0, f1, ... of the inputs, what stands above them works on numbers.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "column/batch.h"
#include "ml/features.h"

/// X(enum value, word in files and in the list)
#define QN_STEP_LIST(X)                                                                                      \
  X(QN_STEP_NUMBER, "number") /* an expression as it is */                                                   \
  X(QN_STEP_STANDARDISE, "standardise")                                                                      \
  X(QN_STEP_MIN_MAX, "min_max")                                                                              \
  X(QN_STEP_IMPUTE, "impute")                                                                                \
  X(QN_STEP_BUCKETISE, "bucketise")                                                                          \
  X(QN_STEP_POLYNOMIAL, "polynomial")                                                                        \
  X(QN_STEP_STRING_INDEX, "string_index")                                                                    \
  X(QN_STEP_PIXELS, "pixels")                                                                                \
  X(QN_STEP_ONE_HOT, "one_hot")                                                                              \
  X(QN_STEP_HASHING, "hashing")                                                                              \
  X(QN_STEP_TFIDF, "tfidf")                                                                                  \
  X(QN_STEP_SPARSE, "sparse")

typedef enum {
#define X(value, name) value,
  QN_STEP_LIST(X)
#undef X
} qn_step_kind;
enum { QN_N_STEPS = QN_STEP_SPARSE + 1, QN_MOST_FEATURES = 100 * 1000 * 1000 };

typedef enum { QN_IMPUTE_MEAN, QN_IMPUTE_MEDIAN, QN_IMPUTE_CONSTANT } qn_impute_kind;

/// Different texts, numbered.
typedef struct qn_vocabulary {
  int32_t n;
  const char **words;   // terminated, in the arena
  const int32_t *sizes; // bytes
  int32_t *slots;       // hash table, n_slots a power of 2; -1: free
  uint64_t n_slots;
} qn_vocabulary;

typedef struct qn_step {
  qn_step_kind kind;
  const char *name; // of a leaf: what its columns are named after
  int input;        // of a leaf: reads f<input>; else -1
  struct qn_step **children;
  int n_children;
  int64_t limit; // one_hot, string_index: categories; hashing, tfidf: columns; bucketise: buckets;
                 // polynomial: degree
  qn_impute_kind how;
  double constant; // impute
  bool by_word;    // hashing: each word of the text, else the text as a whole

  int level;                // passes over the data before it can be fitted, plus one; 0: needs no fit
  int n_outputs;            // 0 until it is fitted, or its children are
  double *shifts, *scales;  // [n_outputs]: (x - shift) * scale; impute: shifts are what is filled in
  double *edges;            // bucketise: ascending, of output j from edge_starts[j] to edge_starts[j + 1]
  int *edge_starts;         // [n_outputs + 1]
  qn_vocabulary vocabulary; // categories or words
  bool has_other;           // one_hot: its last column stands for values that are no category
  double *idf;              // tfidf, [n_outputs]
  int64_t base;             // sparse: what the first column is counted as, 0 or 1
  double filled;            // values of a row that are not 0, as a mean
  int *factors;             // polynomial: [n_outputs, degree], which of the children's outputs; -1: no more
} qn_step;

typedef struct qn_feature_input {
  const char *expression; // SQL
  const char *column;     // the column it simply is, or NULL
  qn_type type;           // of f<i>
  bool is_cast;           // brought to text
} qn_feature_input;

typedef struct qn_feature_column {
  const char *name;
  qn_type type;
} qn_feature_column;

struct qn_features {
  qn_arena arena;
  qn_feature_input *inputs;
  int n_inputs, inputs_capacity;
  qn_step **items;
  int n_items, items_capacity;
  qn_feature_column *needed; // columns of the dataset that the inputs read
  int n_needed;
  int *first_columns; // [n_items + 1]
  int n_columns;
  bool takes_missing, is_sparse;
  struct qn_feature_names *names; // made when one is asked for
};

static inline bool qn_step_is_number(const qn_step *step) {
  return step->kind <= QN_STEP_PIXELS;
}
const char *qn_step_word(qn_step_kind kind);
/// All outputs of a step's children, one behind the other.
int64_t qn_step_n_child_outputs(const qn_step *step);
/// The child that output j of them belongs to; j becomes its number there.
const qn_step *qn_step_child_of(const qn_step *step, int *j);
/// Text of the name of output j; NULL if there is no memory. In the arena.
const char *qn_step_output_name(const qn_step *step, int j, qn_arena *arena);
/// Sets n_outputs, and what follows from it, of a step whose children have theirs and that has been fitted.
qn_status qn_step_settle(qn_step *step, qn_arena *arena, qn_error *err);
/// Sets first_columns, n_columns and is_sparse when all steps are settled.
qn_status qn_features_settle(qn_features *features, qn_error *err);

// --- Parsing (features_parse.c) ----------------------------------------------------------------------------
qn_status qn_features_parse(qn_features *features, const char *text, const qn_schema *schema,
                            const char *const *excluded, int n_excluded, qn_error *err);

// --- Vocabularies (features_words.c) -----------------------------------------------------------------------
/// From words [n] in the arena, in that order, which must differ (QN_ERR_FORMAT).
qn_status qn_vocabulary_new(const char **words, const int32_t *sizes, int32_t n, qn_arena *arena,
                            qn_vocabulary *out, qn_error *err);
/// The number of a text, or -1.
int32_t qn_vocabulary_find(const qn_vocabulary *vocabulary, const char *text, int64_t size);

/// The words of a text in lower case, one after the other. A word: two or more letters, digits or '_'.
typedef struct qn_word_reader {
  qn_buffer lower; // the text in lower case
  int64_t at;
  void *locale;
} qn_word_reader;
void qn_word_reader_init(qn_word_reader *reader);
void qn_word_reader_release(qn_word_reader *reader);
qn_status qn_word_reader_start(qn_word_reader *reader, qn_text text, qn_error *err);
/// False at the end; the word lies in the reader.
bool qn_word_reader_next(qn_word_reader *reader, qn_text *word);

// --- Applying (features_apply.c, features_numbers.c, features_entries.c)
// --------------------------------------------------------
enum { QN_TILE_ROWS = 16 };
/// Some rows of a batch, and room for what is between steps.
typedef struct qn_tile {
  const qn_features *features;
  const qn_batch *batch;
  int64_t first;
  int n;
  bool is_bad[QN_TILE_ROWS]; // rows whose text or bytes cannot be read as the step needs them
  qn_word_reader reader;
  qn_buffer columns, values; // of one row's entries of one step: int32, double; columns ascend
  qn_buffer numbers;         // int32, of the words of a row
} qn_tile;

/// out[i * stride + j]: outputs of a step that makes numbers; null and what is no number is NaN.
qn_status qn_step_numbers(const qn_step *step, qn_tile *tile, double *out, int64_t stride, qn_error *err);
/// What is not 0 of row i of the tile, of a step that makes no numbers, into tile->columns and values.
qn_status qn_step_entries(const qn_step *step, qn_tile *tile, int i, qn_error *err);
qn_status qn_tile_init(qn_tile *tile, const qn_features *features, const qn_batch *batch, qn_error *err);
void qn_tile_release(qn_tile *tile);
/// Fails with what is wrong with row i of the tile in column `column` of the numbers (-1: wherever it is).
qn_status qn_tile_fail(qn_tile *tile, int i, int column, qn_error *err);

// --- Fitting (features_fit.c, features_moments.c, features_categories.c, features_quantiles.c)
// ----------------
/// The steps of one level: their children are fitted.
typedef struct qn_fit_level {
  qn_features *features;
  qn_dataset *inputs; // f0, f1, ...
  qn_step **steps;
  int n_steps;
} qn_fit_level;
qn_status qn_fit_moments(qn_fit_level *level, qn_error *err);
qn_status qn_fit_quantiles(qn_fit_level *level, qn_error *err);
qn_status qn_fit_categories(qn_fit_level *level, qn_error *err);
qn_status qn_fit_shapes(qn_fit_level *level, qn_error *err);
/// All outputs of the children of `steps`, one behind the other, as a dataset "x0 float64, x1 float64, ...",
/// what is no finite number as null; or, is_long, as "what int32, x float64", a row for each finite number.
/// `map` must live until it has run.
typedef struct qn_children_map {
  const qn_features *features;
  qn_step *const *steps;
  int n_steps;
  bool is_long;
} qn_children_map;
qn_dataset *qn_children_dataset(qn_children_map *map, qn_dataset *inputs);
