// SPDX-License-Identifier: Apache-2.0
// Packing key columns into rows of words and back, a column at a time.
#include "kernel/group_layout.h"
#include <stdlib.h>
#include "base/check.h"
#include "column/bitmap.h"
#include "column/schema.h"
#include "kernel/column_assemble.h"
#include "kernel/ordered_bits.h"
#include "kernel/short_text.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "inline text is read back from the words' bytes");

static int field_width(qn_type type) {
  return qn_type_is_text(type) ? 16 : qn_type_width(type);
}

qn_status qn_group_layout_init(qn_group_layout *layout, const qn_type *types, int n_keys, qn_error *err) {
  static const int widths[] = {16, 8, 4, 1};
  int size = 0;

  *layout = (qn_group_layout){.n_keys = n_keys, .null_offset = -1};
  layout->fields = calloc((size_t)n_keys + 1, sizeof *layout->fields);
  if (layout->fields == NULL) {
    return qn_fail(err, QN_ERR_MEMORY, "no memory for the layout of %d keys", n_keys);
  }
  for (int w = 0; w < 4; w++) {
    for (int k = 0; k < n_keys; k++) {
      if (field_width(types[k]) == widths[w]) {
        layout->fields[k] = (qn_group_field){.type = types[k], .offset = size};
        layout->n_texts += widths[w] == 16;
        size += widths[w];
      }
    }
  }
  layout->is_dense = n_keys == 1 && size % 8 == 0;
  if (n_keys > 1) {
    layout->null_offset = size;
    size += (n_keys + 7) / 8;
  }
  layout->n_words = size <= 8 ? 1 : (size + 7) / 8;
  return QN_OK;
}

void qn_group_layout_release(qn_group_layout *layout) {
  free(layout->fields);
  *layout = (qn_group_layout){0};
}

// The packers below write one field of each row. `chosen` NULL: rows first, first + 1, ...; else rows
// chosen[i].
static void pack_texts(const qn_column *column, int64_t first, const int32_t *chosen, int64_t n, uint64_t *to,
                       int64_t stride) {
  const int64_t end = column->offsets[column->n_rows];

  for (int64_t i = 0; i < n; i++, to += stride) {
    const int64_t row = chosen != NULL ? chosen[i] : first + i;
    const int64_t start = column->offsets[row];
    const int64_t size = column->offsets[row + 1] - start;
    const qn_text_words words = qn_text_words_load(column->bytes, start, size, end);
    const uint64_t inlined = words.low >> 32 | words.high << 32;
    to[0] = (uint64_t)size | words.low << 32;
    to[1] = size <= QN_INLINE_TEXT ? inlined : (uint64_t)(uintptr_t)(column->bytes + start);
  }
}

static void pack_words(const qn_column *column, int64_t first, const int32_t *chosen, int64_t n, uint64_t *to,
                       int64_t stride) {
  const uint64_t *values = column->values;
  for (int64_t i = 0; i < n; i++) {
    to[i * stride] = values[chosen != NULL ? chosen[i] : first + i];
  }
}

static void pack_float64(const qn_column *column, int64_t first, const int32_t *chosen, int64_t n,
                         uint64_t *to, int64_t stride) {
  const double *values = column->values;
  for (int64_t i = 0; i < n; i++) {
    to[i * stride] = qn_float64_bits(values[chosen != NULL ? chosen[i] : first + i]);
  }
}

static void pack_float32(const qn_column *column, int64_t first, const int32_t *chosen, int64_t n,
                         uint8_t *to, int64_t stride) {
  const float *values = column->values;
  for (int64_t i = 0; i < n; i++, to += stride) {
    const uint32_t bits = qn_float32_bits(values[chosen != NULL ? chosen[i] : first + i]);
    memcpy(to, &bits, sizeof bits);
  }
}

static void pack_int32(const qn_column *column, int64_t first, const int32_t *chosen, int64_t n, uint8_t *to,
                       int64_t stride) {
  const int32_t *values = column->values;
  for (int64_t i = 0; i < n; i++, to += stride) {
    memcpy(to, &values[chosen != NULL ? chosen[i] : first + i], sizeof *values);
  }
}

static void pack_bools(const qn_column *column, int64_t first, const int32_t *chosen, int64_t n, uint8_t *to,
                       int64_t stride) {
  const uint8_t *values = column->values;
  for (int64_t i = 0; i < n; i++, to += stride) {
    *to = values[chosen != NULL ? chosen[i] : first + i] != 0;
  }
}

static void pack_field(const qn_group_field *field, const qn_column *column, int64_t first,
                       const int32_t *chosen, int64_t n, uint64_t *rows, int64_t n_words) {
  uint8_t *to = (uint8_t *)rows + field->offset;
  switch (field->type) {
  case QN_UTF8:
  case QN_BINARY:
    pack_texts(column, first, chosen, n, rows + field->offset / 8, n_words);
    break;
  case QN_INT64:
  case QN_TIMESTAMP:
    pack_words(column, first, chosen, n, rows + field->offset / 8, n_words);
    break;
  case QN_FLOAT64:
    pack_float64(column, first, chosen, n, rows + field->offset / 8, n_words);
    break;
  case QN_FLOAT32:
    pack_float32(column, first, chosen, n, to, n_words * 8);
    break;
  case QN_INT32:
  case QN_DATE:
    pack_int32(column, first, chosen, n, to, n_words * 8);
    break;
  case QN_BOOL:
    pack_bools(column, first, chosen, n, to, n_words * 8);
    break;
  }
}

// Marks the nulls of key k and clears what the packer wrote for them.
static void pack_nulls(const qn_group_layout *layout, int k, const qn_column *column, int64_t first,
                       int64_t n, uint64_t *rows) {
  const int64_t stride = (int64_t)layout->n_words * 8;
  const int width = field_width(layout->fields[k].type);

  if (column->validity == NULL || column->n_nulls == 0) {
    return;
  }
  for (int64_t i = 0; i < n; i++) {
    uint8_t *row = (uint8_t *)rows + i * stride;
    if (!qn_bitmap_get(column->validity, first + i)) {
      memset(row + layout->fields[k].offset, 0, (size_t)width);
      row[layout->null_offset + k / 8] = (uint8_t)(row[layout->null_offset + k / 8] | 1u << (k % 8));
    }
  }
}

void qn_group_layout_pack(const qn_group_layout *layout, const qn_column *const *keys, int64_t first,
                          int64_t n, uint64_t *rows) {
  if (!layout->is_dense) {
    memset(rows, 0, (size_t)(n * layout->n_words) * sizeof *rows);
  }
  for (int k = 0; k < layout->n_keys; k++) {
    pack_field(&layout->fields[k], keys[k], first, NULL, n, rows, layout->n_words);
    if (layout->null_offset >= 0) {
      pack_nulls(layout, k, keys[k], first, n, rows);
    }
  }
}

void qn_group_layout_pack_chosen(const qn_group_layout *layout, const qn_column *key, const int32_t *chosen,
                                 int64_t n, uint64_t *rows) {
  memset(rows, 0, (size_t)(n * layout->n_words) * sizeof *rows);
  pack_field(&layout->fields[0], key, 0, chosen, n, rows, layout->n_words);
}

static qn_status unpack_validity(const qn_group_layout *layout, int key, const uint64_t *rows, int64_t n,
                                 int64_t null_row, qn_buffer *validity, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t stride = (int64_t)layout->n_words * 8;

  if (layout->null_offset < 0 && null_row < 0) {
    return QN_OK;
  }
  QN_TRY(qn_buffer_clear_bits(validity, n, err));
  if (layout->null_offset < 0) {
    qn_bitmap_fill(validity->data, 0, n, true);
    qn_bitmap_clear(validity->data, null_row);
  }
  for (int64_t i = 0; layout->null_offset >= 0 && i < n; i++) {
    const uint8_t nulls = ((const uint8_t *)rows)[i * stride + layout->null_offset + key / 8];
    const unsigned is_valid = ((nulls >> (key % 8)) & 1u) ^ 1u;
    validity->data[i >> 3] = (uint8_t)(validity->data[i >> 3] | is_valid << (i & 7));
  }

done:
  return status;
}

static qn_status unpack_texts(const qn_group_field *field, const uint64_t *rows, int64_t n, int64_t n_words,
                              const uint8_t *bytes, qn_buffer *validity, qn_column *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer offsets = {0}, texts = {0};
  const int64_t at = field->offset / 8;
  int64_t size = 0;

  for (int64_t i = 0; i < n; i++) {
    size += qn_packed_text_size(rows + i * n_words + at);
  }
  QN_TRY(qn_check_text_bytes(size, err));
  QN_TRY(qn_buffer_reserve(&offsets, (n + 1) * (int64_t)sizeof(int32_t), err));
  QN_TRY(qn_buffer_reserve(&texts, size + QN_INLINE_TEXT, err));
  offsets.size = (n + 1) * (int64_t)sizeof(int32_t);
  int32_t *ends = (int32_t *)offsets.data;
  ends[0] = 0;
  for (int64_t i = 0; i < n; i++) {
    const uint64_t *words = rows + i * n_words + at;
    const int64_t text_size = qn_packed_text_size(words);
    if (text_size <= QN_INLINE_TEXT) {
      memcpy(texts.data + texts.size, (const uint8_t *)words + 4,
             QN_INLINE_TEXT); // the next text overwrites the rest
    } else {
      memcpy(texts.data + texts.size, bytes + words[1], (size_t)text_size);
    }
    texts.size += text_size;
    ends[i + 1] = (int32_t)texts.size;
  }
  QN_TRY(qn_column_text_take(field->type, n, validity, &offsets, &texts, out, err));

done:
  qn_buffer_release(&texts);
  qn_buffer_release(&offsets);
  return status;
}

static void unpack_fixed(const uint8_t *from, int64_t n, int64_t stride, int width, void *values) {
  switch (width) {
  case 8:
    for (int64_t i = 0; i < n; i++) {
      memcpy((uint64_t *)values + i, from + i * stride, 8);
    }
    break;
  case 4:
    for (int64_t i = 0; i < n; i++) {
      memcpy((uint32_t *)values + i, from + i * stride, 4);
    }
    break;
  default:
    for (int64_t i = 0; i < n; i++) {
      ((uint8_t *)values)[i] = from[i * stride];
    }
  }
}

qn_status qn_group_layout_unpack(const qn_group_layout *layout, int key, const uint64_t *rows, int64_t n,
                                 int64_t null_row, const uint8_t *bytes, qn_column *out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_group_field *field = &layout->fields[key];
  const int64_t stride = (int64_t)layout->n_words * 8;
  qn_buffer validity = {0};
  qn_column column = {0};
  void *values = NULL;

  QN_TRY(unpack_validity(layout, key, rows, n, null_row, &validity, err));
  if (qn_type_is_text(field->type)) {
    QN_TRY(unpack_texts(field, rows, n, layout->n_words, bytes, &validity, &column, err));
  } else {
    QN_TRY(qn_column_fixed(field->type, n, &column, &values, err));
    if (n > 0) {
      unpack_fixed((const uint8_t *)rows + field->offset, n, stride, field_width(field->type), values);
    }
    QN_TRY(qn_column_set_validity_take(&column, &validity, err));
  }
  *out = column;
  column = (qn_column){0};

done:
  qn_column_release(&column);
  qn_buffer_release(&validity);
  return status;
}
