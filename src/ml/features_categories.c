// SPDX-License-Identifier: Apache-2.0
// Categories and words: how often each occurs is counted by one reduce for all steps together, of which the
// most frequent come back. And the shapes of rows of bytes and of sparse text.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "column/parse.h"
#include "io/sparse_text.h"
#include "ml/collect_all.h"
#include "ml/features_steps.h"
#include "plan/plan.h"

typedef struct step_map {
  const qn_features *features;
  qn_step **steps;
  int n_steps;
} step_map;

// --- Words
// -----------------------------------------------------------------------------------------------------

static bool wants_words(const qn_step *step) {
  return (step->kind == QN_STEP_ONE_HOT && step->n_children == 0) || step->kind == QN_STEP_STRING_INDEX ||
         step->kind == QN_STEP_TFIDF;
}

static int compare_texts(const qn_text *a, const qn_text *b) {
  const int64_t size = a->size < b->size ? a->size : b->size;
  const int order = size == 0 ? 0 : memcmp(a->data, b->data, (size_t)size);
  return order != 0 ? order : (a->size > b->size) - (a->size < b->size);
}

static int compare_words(const void *a, const void *b) {
  return compare_texts(a, b);
}

static void append_word(qn_appender *out, int what, qn_text word) {
  qn_append_int32(out, what);
  qn_append_text(out, word.data, word.size);
}

// Each word of the text once, and the empty word once for the text itself.
static qn_status append_text_words(qn_appender *out, int what, qn_text text, qn_word_reader *reader,
                                   qn_buffer *room, qn_error *err) {
  qn_status status = QN_OK;
  qn_text word;

  room->size = 0;
  append_word(out, what, (qn_text){.data = "", .size = 0});
  QN_TRY(qn_word_reader_start(reader, text, err));
  while (qn_word_reader_next(reader, &word)) {
    QN_TRY(qn_buffer_append(room, &word, sizeof word, err));
  }
  qn_text *words = (qn_text *)room->data;
  const int64_t n = room->size / (int64_t)sizeof *words;
  if (n > 1) {
    qsort(words, (size_t)n, sizeof *words, compare_words);
  }
  for (int64_t i = 0; i < n; i++) {
    if (i == 0 || compare_texts(&words[i - 1], &words[i]) != 0) {
      append_word(out, what, words[i]);
    }
  }

done:
  return status;
}

static qn_status map_words(const qn_batch *in, qn_appender *out, void *ctx) {
  qn_status status = QN_OK;
  qn_error err = {0};
  const step_map *map = ctx;
  qn_word_reader reader;
  qn_buffer room = {0};

  qn_word_reader_init(&reader);
  for (int s = 0; s < map->n_steps; s++) {
    const qn_column *column = &in->columns[map->steps[s]->input];
    const bool is_by_word = map->steps[s]->kind == QN_STEP_TFIDF;
    for (int64_t i = 0; i < in->n_rows; i++) {
      if (qn_column_is_null(column, i)) {
        if (is_by_word) {
          append_word(out, s, (qn_text){.data = "", .size = 0}); // a text without words
        }
      } else if (is_by_word) {
        QN_TRY(append_text_words(out, s, qn_column_text(column, i), &reader, &room, &err));
      } else {
        append_word(out, s, qn_column_text(column, i));
      }
    }
  }

done:
  qn_word_reader_release(&reader);
  qn_buffer_release(&room);
  return status == QN_OK ? QN_OK : qn_appender_fail(out, "%s", err.message);
}

typedef struct counted_word {
  qn_text word;
  double number; // of the word, if it is one and to be ordered as such; else NaN
  int64_t n;
} counted_word;

static int compare_categories(const void *a, const void *b) {
  const counted_word *x = a;
  const counted_word *y = b;
  if (isfinite(x->number) && isfinite(y->number) && x->number != y->number) {
    return x->number < y->number ? -1 : 1;
  }
  return compare_texts(&x->word, &y->word);
}

static qn_status keep_vocabulary(qn_step *step, const counted_word *words, int32_t n, qn_arena *arena,
                                 qn_error *err) {
  qn_status status = QN_OK;
  const char **texts = qn_arena_alloc(arena, n * (int64_t)sizeof *texts);
  int32_t *sizes = qn_arena_alloc(arena, n * (int64_t)sizeof *sizes);

  QN_REQUIRE(texts != NULL && sizes != NULL, err, QN_ERR_MEMORY, "features: no memory for %d words", n);
  for (int32_t i = 0; i < n; i++) {
    texts[i] = qn_arena_copy(arena, words[i].word.data, words[i].word.size);
    sizes[i] = (int32_t)words[i].word.size;
    QN_REQUIRE(texts[i] != NULL, err, QN_ERR_MEMORY, "features: no memory for %d words", n);
  }
  QN_TRY(qn_vocabulary_new(texts, sizes, n, arena, &step->vocabulary, err));

done:
  return status;
}

// Smooth, as scikit-learn's: ln((1 + texts) / (1 + texts with the word)) + 1.
static qn_status keep_idf(qn_step *step, const counted_word *words, int32_t n, int64_t n_texts,
                          qn_arena *arena, qn_error *err) {
  qn_status status = QN_OK;
  double n_found = 0;

  step->idf = qn_arena_alloc(arena, n * (int64_t)sizeof *step->idf);
  QN_REQUIRE(step->idf != NULL, err, QN_ERR_MEMORY, "features: no memory for %d words", n);
  for (int32_t i = 0; i < n; i++) {
    step->idf[i] = log((1 + (double)n_texts) / (1 + (double)words[i].n)) + 1;
    n_found += (double)words[i].n;
  }
  step->filled = n_found / (double)n_texts;

done:
  return status;
}

// `words` [n]: the most frequent ones, at most limit + 1 of them.
static qn_status keep_words(qn_step *step, counted_word *words, int64_t n, qn_features *features,
                            qn_error *err) {
  qn_status status = QN_OK;
  const qn_feature_input *input = &features->inputs[step->input];
  int64_t n_texts = 0;

  if (step->kind == QN_STEP_TFIDF && n > 0) { // the empty word stands for the texts
    n_texts = words[0].n;
    words++;
    n--;
  }
  QN_REQUIRE(n > 0, err, QN_ERR_VALUE, "features: column '%s' holds no %s that %s could be fitted to",
             step->name, step->kind == QN_STEP_TFIDF ? "word" : "value", qn_step_word(step->kind));
  step->has_other = step->kind == QN_STEP_ONE_HOT && n > step->limit;
  n = n > step->limit ? step->limit : n;
  for (int64_t i = 0; i < n; i++) {
    const qn_text word = words[i].word;
    if (!input->is_cast || !qn_parse_float64(word.data, word.size, &words[i].number)) {
      words[i].number = NAN;
    }
  }
  qsort(words, (size_t)n, sizeof *words, compare_categories);
  QN_TRY(keep_vocabulary(step, words, (int32_t)n, &features->arena, err));
  if (step->kind == QN_STEP_TFIDF) {
    QN_TRY(keep_idf(step, words, (int32_t)n, n_texts, &features->arena, err));
  }

done:
  return status;
}

static int compare_frequency(const void *a, const void *b) {
  const counted_word *x = a;
  const counted_word *y = b;
  return x->n != y->n ? (x->n < y->n) - (x->n > y->n) : compare_texts(&x->word, &y->word);
}

static qn_status keep_all_words(const step_map *map, const qn_batch *found, qn_features *features,
                                qn_error *err) {
  qn_status status = QN_OK;
  counted_word *words = malloc((size_t)(found->n_rows + 1) * sizeof *words);

  QN_REQUIRE(words != NULL, err, QN_ERR_MEMORY, "features: no memory for %" PRId64 " words", found->n_rows);
  for (int s = 0; s < map->n_steps; s++) {
    int64_t n = 0;
    for (int64_t i = 0; i < found->n_rows; i++) {
      if (qn_column_int32(&found->columns[0], i) == s) {
        words[n++] = (counted_word){.word = qn_column_text(&found->columns[1], i),
                                    .n = qn_column_int64(&found->columns[2], i)};
      }
    }
    if (n > 1) {
      qsort(words, (size_t)n, sizeof *words, compare_frequency);
    }
    QN_TRY(keep_words(map->steps[s], words, n, features, err));
  }

done:
  free(words);
  return status;
}

// The steps of the level for which `wants` is true.
static qn_status choose_steps(const qn_fit_level *level, bool (*wants)(const qn_step *), step_map *out,
                              qn_error *err) {
  qn_status status = QN_OK;

  *out = (step_map){.features = level->features};
  out->steps = malloc((size_t)level->n_steps * sizeof(qn_step *));
  QN_REQUIRE(out->steps != NULL, err, QN_ERR_MEMORY, "features: no memory for %d steps", level->n_steps);
  for (int i = 0; i < level->n_steps; i++) {
    if (wants(level->steps[i])) {
      out->steps[out->n_steps++] = level->steps[i];
    }
  }

done:
  return status;
}

qn_status qn_fit_categories(qn_fit_level *level, qn_error *err) {
  qn_status status = QN_OK;
  step_map map = {0};
  qn_batch *found = NULL;
  char condition[64];
  int64_t most = 0;

  QN_TRY(choose_steps(level, wants_words, &map, err));
  if (map.n_steps == 0) {
    goto done;
  }
  for (int i = 0; i < map.n_steps; i++) {
    most = map.steps[i]->limit > most ? map.steps[i]->limit : most;
  }
  snprintf(condition, sizeof condition, "place <= %" PRId64, most + 1);
  qn_dataset *words = qn_map(level->inputs, map_words, &map, "what int32, word utf8");
  qn_dataset *counts = qn_reduce(words, "what, word", "count(*) as n");
  qn_dataset *placed = qn_window(counts, "what", "n desc, word", "row_number() as place");
  QN_TRY(qn_collect_all(qn_filter(placed, condition), &found, err));
  QN_TRY(keep_all_words(&map, found, level->features, err));

done:
  free(map.steps);
  qn_batch_free(found);
  return status;
}

// --- Shapes
// ------------------------------------------------------------------------------------------------------

static bool wants_shape(const qn_step *step) {
  return step->kind == QN_STEP_PIXELS || step->kind == QN_STEP_SPARSE;
}

// The smallest and largest index (of bytes: their number), and how many entries there are. Rows that cannot
// be read are found later, where their place can be told.
static void find_shape(const qn_step *step, const qn_batch *in, int64_t *low, int64_t *high,
                       int64_t *n_entries) {
  const qn_column *column = &in->columns[step->input];
  for (int64_t i = 0; i < in->n_rows; i++) {
    if (qn_column_is_null(column, i)) {
      continue;
    }
    const qn_text text = qn_column_text(column, i);
    const char *mistake = NULL;
    int64_t at = 0;
    int64_t index = text.size;
    double value = 0;
    bool is_entry = step->kind == QN_STEP_PIXELS || qn_sparse_next(text, &at, &index, &value, &mistake);
    while (is_entry) {
      *low = index < *low ? index : *low;
      *high = index > *high ? index : *high;
      (*n_entries)++;
      is_entry = step->kind == QN_STEP_SPARSE && qn_sparse_next(text, &at, &index, &value, &mistake);
    }
  }
}

static qn_status map_shapes(const qn_batch *in, qn_appender *out, void *ctx) {
  const step_map *map = ctx;
  for (int s = 0; s < map->n_steps; s++) {
    int64_t low = INT64_MAX;
    int64_t high = -1;
    int64_t n_entries = 0;
    find_shape(map->steps[s], in, &low, &high, &n_entries);
    qn_append_int32(out, s);
    qn_append_int64(out, low);
    qn_append_int64(out, high);
    qn_append_int64(out, n_entries);
    qn_append_int64(out, in->n_rows);
  }
  return QN_OK;
}

static qn_status keep_shape(qn_step *step, const qn_batch *found, int64_t row, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t low = qn_column_int64(&found->columns[1], row);
  const int64_t high = qn_column_int64(&found->columns[2], row);
  const double n_entries = (double)qn_column_int64(&found->columns[3], row);
  const double n_rows = (double)qn_column_int64(&found->columns[4], row);

  step->base = low > 0 ? 1 : 0;
  const int64_t n = step->kind == QN_STEP_PIXELS ? high : high - step->base + 1;
  QN_REQUIRE(high >= 0 && n > 0, err, QN_ERR_VALUE, "features: column '%s' holds no %s", step->name,
             step->kind == QN_STEP_PIXELS ? "byte" : "'index:value'");
  QN_REQUIRE(n <= QN_MOST_FEATURES, err, QN_ERR_VALUE,
             "features: column '%s' has an index %" PRId64 "; at most %d columns are made", step->name, high,
             QN_MOST_FEATURES);
  step->n_outputs = (int)n;
  step->filled = n_entries / n_rows;

done:
  return status;
}

qn_status qn_fit_shapes(qn_fit_level *level, qn_error *err) {
  qn_status status = QN_OK;
  step_map map = {0};
  qn_batch *found = NULL;

  QN_TRY(choose_steps(level, wants_shape, &map, err));
  if (map.n_steps == 0) {
    goto done;
  }
  qn_dataset *shapes =
      qn_map(level->inputs, map_shapes, &map, "what int32, low int64, high int64, entries int64, rows int64");
  qn_dataset *whole = qn_reduce(shapes, "what",
                                "min(low) as low, max(high) as high, sum(entries) as entries, "
                                "sum(rows) as rows");
  QN_TRY(qn_collect_all(whole, &found, err));
  QN_REQUIRE(found->n_rows == map.n_steps, err, QN_ERR_VALUE,
             "features: there are no rows that '%s' could be fitted to", map.steps[0]->name);
  for (int64_t i = 0; i < found->n_rows; i++) {
    QN_TRY(keep_shape(map.steps[qn_column_int32(&found->columns[0], i)], found, i, err));
  }

done:
  free(map.steps);
  qn_batch_free(found);
  return status;
}
