// SPDX-License-Identifier: Apache-2.0
// min, max, any_value (the smallest) and first of text. A group holds its text's first eight bytes, which
// decide most comparisons, and longer text in bytes of its own; what replaced values leave behind is taken
// back when it is more than half.
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "column/builder.h"
#include "kernel/accumulator_state.h"
#include "kernel/grow_array.h"
#include "kernel/short_text.h"

enum { PREFIX_BYTES = 8, COMPACT_BYTES = 1 << 16 };

typedef struct {
  uint64_t prefix; // big-endian, zero behind the end
  int64_t offset;  // of all the text in bytes, if it is longer than the prefix
  int64_t size;    // -1: no value yet
} kept_text;

typedef struct {
  qn_accumulator head;
  kept_text *texts;
  int64_t *orders; // first only
  int64_t text_capacity;
  int64_t order_capacity;
  qn_buffer bytes;
  int64_t n_wasted;
} text_accumulator;

static qn_status grow(qn_accumulator *accumulator, int64_t n_groups, qn_error *err) {
  text_accumulator *self = (text_accumulator *)accumulator;
  qn_status status = QN_OK;
  const bool is_first = accumulator->kind == QN_AGG_FIRST;

  QN_TRY(qn_array_grow((void **)&self->texts, &self->text_capacity, n_groups, (int64_t)sizeof *self->texts,
                       err));
  if (is_first) {
    QN_TRY(qn_array_grow((void **)&self->orders, &self->order_capacity, n_groups,
                         (int64_t)sizeof *self->orders, err));
  }
  for (int64_t g = accumulator->n_groups; g < n_groups; g++) {
    self->texts[g] = (kept_text){.size = -1};
    if (is_first) {
      self->orders[g] = INT64_MAX;
    }
  }

done:
  return status;
}

// A row's text.
typedef struct {
  uint64_t prefix;
  const uint8_t *bytes;
  int64_t size;
} row_text;

static row_text load_text(const qn_column *column, int64_t row) {
  const int64_t start = column->offsets[row];
  const int64_t size = column->offsets[row + 1] - start;
  const qn_text_words words = qn_text_words_load(column->bytes, start, size, column->offsets[column->n_rows]);
  return (row_text){
      .prefix = __builtin_bswap64(htole64(words.low)), .bytes = column->bytes + start, .size = size};
}

static int compare(const text_accumulator *self, const row_text *row, const kept_text *kept) {
  if (row->prefix != kept->prefix) {
    return row->prefix < kept->prefix ? -1 : 1;
  }
  const int64_t shared = row->size < kept->size ? row->size : kept->size;
  int order = 0;
  if (shared > PREFIX_BYTES) {
    order = memcmp(row->bytes, self->bytes.data + kept->offset, (size_t)shared);
  }
  return order != 0 ? order : (row->size > kept->size) - (row->size < kept->size);
}

// Copies the texts that groups hold into new bytes.
static qn_status compact(text_accumulator *self, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer bytes = {0};

  QN_TRY(qn_buffer_reserve(&bytes, self->bytes.size - self->n_wasted, err));
  for (int64_t g = 0; g < self->head.n_groups; g++) {
    kept_text *text = &self->texts[g];
    if (text->size > PREFIX_BYTES) {
      const int64_t offset = bytes.size;
      QN_TRY(qn_buffer_append(&bytes, self->bytes.data + text->offset, text->size, err));
      text->offset = offset;
    }
  }
  qn_buffer_release(&self->bytes);
  qn_buffer_move(&bytes, &self->bytes);
  self->n_wasted = 0;

done:
  qn_buffer_release(&bytes);
  return status;
}

static qn_status keep(text_accumulator *self, kept_text *kept, const row_text *row, qn_error *err) {
  qn_status status = QN_OK;
  int64_t offset = kept->offset;

  if (row->size > PREFIX_BYTES && row->size <= kept->size && kept->size > PREFIX_BYTES) {
    memcpy(self->bytes.data + offset, row->bytes, (size_t)row->size); // in the place of the one before
    self->n_wasted += kept->size - row->size;
  } else if (row->size > PREFIX_BYTES) {
    offset = self->bytes.size;
    QN_TRY(qn_buffer_append(&self->bytes, row->bytes, row->size, err));
    self->n_wasted += kept->size > PREFIX_BYTES ? kept->size : 0;
  } else {
    self->n_wasted += kept->size > PREFIX_BYTES ? kept->size : 0;
  }
  *kept = (kept_text){.prefix = row->prefix, .offset = offset, .size = row->size};
  if (self->n_wasted > COMPACT_BYTES && self->n_wasted > self->bytes.size / 2) {
    QN_TRY(compact(self, err));
  }

done:
  return status;
}

static qn_status take_extremes(text_accumulator *self, const qn_update *block, qn_error *err) {
  qn_status status = QN_OK;
  const int sign = self->head.kind == QN_AGG_MAX ? -1 : 1;

  for (int64_t k = 0; k < block->n; k++) {
    const row_text row = load_text(block->argument, qn_update_row(block, k));
    kept_text *kept = &self->texts[block->groups[k]];
    if (kept->size < 0 || compare(self, &row, kept) * sign < 0) {
      QN_TRY(keep(self, kept, &row, err));
    }
  }

done:
  return status;
}

static qn_status take_first(text_accumulator *self, const qn_update *block, const int64_t *order,
                            qn_error *err) {
  qn_status status = QN_OK;

  for (int64_t k = 0; k < block->n; k++) {
    const int64_t i = qn_update_row(block, k);
    const int32_t group = block->groups[k];
    if (order[i] < self->orders[group]) {
      const row_text row = load_text(block->argument, i);
      QN_TRY(keep(self, &self->texts[group], &row, err));
      self->orders[group] = order[i];
    }
  }

done:
  return status;
}

static qn_status update(qn_accumulator *accumulator, const qn_update *block, qn_error *err) {
  text_accumulator *self = (text_accumulator *)accumulator;
  return accumulator->kind == QN_AGG_FIRST ? take_first(self, block, block->order, err)
                                           : take_extremes(self, block, err);
}

static qn_status merge(qn_accumulator *accumulator, const qn_update *block, const qn_column *state,
                       qn_error *err) {
  text_accumulator *self = (text_accumulator *)accumulator;
  return accumulator->kind == QN_AGG_FIRST ? take_first(self, block, state[1].values, err)
                                           : take_extremes(self, block, err);
}

static qn_status append_text(const text_accumulator *self, const kept_text *text, qn_column_builder *builder,
                             qn_error *err) {
  if (text->size < 0) {
    return qn_column_builder_append_null(builder, err);
  }
  if (text->size > PREFIX_BYTES) {
    return qn_column_builder_append_text(builder, self->bytes.data + text->offset, text->size, err);
  }
  const uint64_t prefix = htobe64(text->prefix);
  return qn_column_builder_append_text(builder, &prefix, text->size, err);
}

static qn_status result(const qn_accumulator *accumulator, int64_t first, int64_t n, qn_column *out,
                        qn_error *err) {
  const text_accumulator *self = (const text_accumulator *)accumulator;
  qn_status status = QN_OK;
  qn_column_builder builder;
  int64_t size = 0;

  qn_column_builder_init(&builder, accumulator->argument);
  for (int64_t i = 0; i < n; i++) {
    size += self->texts[first + i].size > 0 ? self->texts[first + i].size : 0;
  }
  QN_TRY(qn_check_text_bytes(size, err));
  QN_TRY(qn_column_builder_reserve(&builder, n, size, err));
  for (int64_t i = 0; i < n; i++) {
    QN_TRY(append_text(self, &self->texts[first + i], &builder, err));
  }
  QN_TRY(qn_column_builder_finish(&builder, out, err));

done:
  qn_column_builder_release(&builder);
  return status;
}

static qn_status state(const qn_accumulator *accumulator, int64_t first, int64_t n, qn_column *out,
                       qn_error *err) {
  const text_accumulator *self = (const text_accumulator *)accumulator;
  qn_status status = QN_OK;
  void *orders = NULL;

  QN_TRY(result(accumulator, first, n, &out[0], err));
  if (accumulator->kind == QN_AGG_FIRST) {
    QN_TRY(qn_column_fixed(QN_INT64, n, &out[1], &orders, err));
    for (int64_t i = 0; i < n; i++) {
      ((int64_t *)orders)[i] = self->orders[first + i];
    }
  }

done:
  return status;
}

static int64_t n_bytes(const qn_accumulator *accumulator) {
  const text_accumulator *self = (const text_accumulator *)accumulator;
  return self->text_capacity * (int64_t)sizeof *self->texts +
         self->order_capacity * (int64_t)sizeof *self->orders + self->bytes.capacity;
}

static void clear(qn_accumulator *accumulator) {
  text_accumulator *self = (text_accumulator *)accumulator;
  self->bytes.size = 0;
  self->n_wasted = 0;
}

static void release(qn_accumulator *accumulator) {
  text_accumulator *self = (text_accumulator *)accumulator;
  qn_memory_free(self->texts);
  qn_memory_free(self->orders);
  qn_buffer_release(&self->bytes);
}

const qn_accumulator_ops qn_accumulate_text = {
    .size = sizeof(text_accumulator),
    .grow = grow,
    .update = update,
    .merge = merge,
    .state = state,
    .result = result,
    .n_bytes = n_bytes,
    .clear = clear,
    .release = release,
};
