// SPDX-License-Identifier: Apache-2.0
// Sets of named arrays in memory, and as bytes: a head, then each array and each text with a head of its own,
// all in whole words of 8 bytes.
#include "store/arrays.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "store/array_set.h"

static void release_array(qn_array *array) {
  free(array->name);
  qn_memory_free(array->data);
  *array = (qn_array){0};
}

void qn_arrays_release(qn_arrays *arrays) {
  for (int i = 0; i < arrays->n; i++) {
    release_array(&arrays->items[i]);
  }
  for (int i = 0; i < arrays->n_texts; i++) {
    free(arrays->texts[i].name);
    free(arrays->texts[i].text);
  }
  free(arrays->items);
  free(arrays->texts);
  *arrays = (qn_arrays){0};
}

void qn_arrays_move(qn_arrays *from, qn_arrays *to) {
  qn_arrays_release(to);
  *to = *from;
  *from = (qn_arrays){0};
}

static bool is_word(const char *name) {
  const size_t size = strlen(name);
  return size > 0 && size <= QN_ARRAY_MAX_NAME &&
         strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == size;
}

static qn_array *find(const qn_arrays *arrays, const char *name) {
  for (int i = 0; i < arrays->n; i++) {
    if (strcmp(arrays->items[i].name, name) == 0) {
      return &arrays->items[i];
    }
  }
  return NULL;
}

const qn_array *qn_arrays_find(const qn_arrays *arrays, const char *name) {
  return find(arrays, name);
}

const char *qn_arrays_text(const qn_arrays *arrays, const char *name) {
  for (int i = 0; i < arrays->n_texts; i++) {
    if (strcmp(arrays->texts[i].name, name) == 0) {
      return arrays->texts[i].text;
    }
  }
  return NULL;
}

qn_status qn_array_size(qn_type type, int n_dims, const int64_t *dims, int64_t *n_bytes, qn_error *err) {
  qn_status status = QN_OK;
  int64_t n = 1;
  QN_REQUIRE(type == QN_BOOL || type == QN_INT32 || type == QN_INT64 || type == QN_FLOAT32 ||
                 type == QN_FLOAT64,
             err, QN_ERR_ARG, "an array of type number %d: only bool, whole numbers and floats can be kept",
             (int)type);
  QN_REQUIRE(n_dims >= 1 && n_dims <= QN_ARRAY_MAX_DIMS, err, QN_ERR_ARG,
             "an array of %d dimensions; 1 to %d can be kept", n_dims, QN_ARRAY_MAX_DIMS);
  for (int d = 0; d < n_dims; d++) {
    QN_TRY(qn_mul_size(n, dims[d], &n, err));
  }
  QN_TRY(qn_mul_size(n, type == QN_BOOL ? 1 : qn_type_width(type), &n, err));
  *n_bytes = n;

done:
  return status;
}

// A place for one more, at the end.
static qn_status add_place(qn_arrays *arrays, const char *name, qn_array **out, qn_error *err) {
  qn_status status = QN_OK;
  if (arrays->n == arrays->capacity) {
    const int capacity = arrays->capacity > 0 ? 2 * arrays->capacity : 8;
    qn_array *items = realloc(arrays->items, (size_t)capacity * sizeof *items);
    QN_REQUIRE(items != NULL, err, QN_ERR_MEMORY, "no memory for the array '%s'", name);
    arrays->items = items;
    arrays->capacity = capacity;
  }
  char *copy = strdup(name);
  QN_REQUIRE(copy != NULL, err, QN_ERR_MEMORY, "no memory for the array '%s'", name);
  *out = &arrays->items[arrays->n++];
  **out = (qn_array){.name = copy};

done:
  return status;
}

qn_status qn_arrays_new(qn_arrays *arrays, const char *name, qn_type type, int n_dims, const int64_t *dims,
                        void **data, qn_error *err) {
  qn_status status = QN_OK;
  int64_t n_bytes = 0;
  void *memory = NULL;
  qn_array *array = NULL;

  QN_REQUIRE(is_word(name), err, QN_ERR_ARG, "an array named '%.80s': letters, digits and _ are allowed",
             name);
  QN_TRY(qn_array_size(type, n_dims, dims, &n_bytes, err));
  memory = qn_memory_alloc(n_bytes);
  QN_REQUIRE(memory != NULL, err, QN_ERR_MEMORY, "no memory for the array '%s' of %" PRId64 " bytes", name,
             n_bytes);
  array = find(arrays, name);
  if (array == NULL) {
    QN_TRY(add_place(arrays, name, &array, err));
  }
  qn_memory_free(array->data);
  *array = (qn_array){.name = array->name, .type = type, .n_dims = n_dims, .data = memory};
  memcpy(array->dims, dims, (size_t)n_dims * sizeof *dims);
  *data = memory;
  memory = NULL;

done:
  qn_memory_free(memory);
  return status;
}

static qn_status put(qn_arrays *arrays, const char *name, qn_type type, int n_dims, const int64_t *dims,
                     const void *values, qn_error *err) {
  qn_status status = QN_OK;
  int64_t n_bytes = 0;
  void *data = NULL;
  QN_TRY(qn_arrays_new(arrays, name, type, n_dims, dims, &data, err));
  QN_TRY(qn_array_size(type, n_dims, dims, &n_bytes, err));
  if (n_bytes > 0) {
    memcpy(data, values, (size_t)n_bytes);
  }

done:
  return status;
}

qn_status qn_arrays_put(qn_arrays *arrays, const char *name, qn_type type, int64_t n, const void *values,
                        qn_error *err) {
  return put(arrays, name, type, 1, &n, values, err);
}

qn_status qn_arrays_put_matrix(qn_arrays *arrays, const char *name, qn_type type, int64_t n_rows,
                               int64_t n_columns, const void *values, qn_error *err) {
  const int64_t dims[2] = {n_rows, n_columns};
  return put(arrays, name, type, 2, dims, values, err);
}

static qn_status add_text_place(qn_arrays *arrays, const char *name, struct qn_array_text **out,
                                qn_error *err) {
  qn_status status = QN_OK;
  if (arrays->n_texts == arrays->texts_capacity) {
    const int capacity = arrays->texts_capacity > 0 ? 2 * arrays->texts_capacity : 8;
    struct qn_array_text *texts = realloc(arrays->texts, (size_t)capacity * sizeof *texts);
    QN_REQUIRE(texts != NULL, err, QN_ERR_MEMORY, "no memory for the text '%s'", name);
    arrays->texts = texts;
    arrays->texts_capacity = capacity;
  }
  char *copy = strdup(name);
  QN_REQUIRE(copy != NULL, err, QN_ERR_MEMORY, "no memory for the text '%s'", name);
  *out = &arrays->texts[arrays->n_texts++];
  **out = (struct qn_array_text){.name = copy};

done:
  return status;
}

qn_status qn_arrays_put_text(qn_arrays *arrays, const char *name, const char *text, qn_error *err) {
  qn_status status = QN_OK;
  struct qn_array_text *place = NULL;
  char *copy = strdup(text);

  QN_REQUIRE(is_word(name), err, QN_ERR_ARG, "a text named '%.80s': letters, digits and _ are allowed", name);
  QN_REQUIRE(copy != NULL, err, QN_ERR_MEMORY, "no memory for the text '%s'", name);
  for (int i = 0; i < arrays->n_texts; i++) {
    place = strcmp(arrays->texts[i].name, name) == 0 ? &arrays->texts[i] : place;
  }
  if (place == NULL) {
    QN_TRY(add_text_place(arrays, name, &place, err));
  }
  free(place->text);
  place->text = copy;
  copy = NULL;

done:
  free(copy);
  return status;
}

int64_t qn_array_n_values(const qn_array *array) {
  int64_t n = 1;
  for (int d = 0; d < array->n_dims; d++) {
    n *= array->dims[d];
  }
  return n;
}

qn_status qn_arrays_copy(const qn_arrays *from, const char *strip, const char *prefix, qn_arrays *to,
                         qn_error *err) {
  qn_status status = QN_OK;
  const size_t n_strip = strlen(strip);
  char name[128];

  for (int i = 0; i < from->n; i++) {
    const qn_array *array = &from->items[i];
    if (strncmp(array->name, strip, n_strip) == 0) {
      snprintf(name, sizeof name, "%s%s", prefix, array->name + n_strip);
      QN_TRY(put(to, name, array->type, array->n_dims, array->dims, array->data, err));
    }
  }
  for (int i = 0; i < from->n_texts; i++) {
    if (strncmp(from->texts[i].name, strip, n_strip) == 0) {
      snprintf(name, sizeof name, "%s%s", prefix, from->texts[i].name + n_strip);
      QN_TRY(qn_arrays_put_text(to, name, from->texts[i].text, err));
    }
  }

done:
  return status;
}

static void describe_shape(int n_dims, const int64_t *dims, char *out, size_t size) {
  size_t used = 0;
  out[0] = '\0';
  for (int d = 0; d < n_dims && used < size; d++) {
    const char *comma = d > 0 ? ", " : "";
    const int n = dims[d] < 0 ? snprintf(out + used, size - used, "%sany", comma)
                              : snprintf(out + used, size - used, "%s%" PRId64, comma, dims[d]);
    used += (size_t)n;
  }
}

qn_status qn_arrays_get(const qn_arrays *arrays, const char *name, qn_type type, int n_dims,
                        const int64_t *dims, const void **data, qn_error *err) {
  qn_status status = QN_OK;
  char wanted[100], found[100];
  const qn_array *array = find(arrays, name);

  describe_shape(n_dims, dims, wanted, sizeof wanted);
  QN_REQUIRE(array != NULL, err, QN_ERR_FORMAT,
             "the model lacks the array '%s' (%s [%s]); was it damaged, or made by another version?", name,
             qn_type_name(type), wanted);
  bool fits = array->type == type && array->n_dims == n_dims;
  for (int d = 0; fits && d < n_dims; d++) {
    fits = dims[d] < 0 || dims[d] == array->dims[d];
  }
  describe_shape(array->n_dims, array->dims, found, sizeof found);
  QN_REQUIRE(fits, err, QN_ERR_FORMAT,
             "the model lacks the array '%s' as %s [%s]: it has %s [%s]; was it damaged, or made by another "
             "version?",
             name, qn_type_name(type), wanted, qn_type_name(array->type), found);
  *data = array->data;

done:
  return status;
}

// --- As bytes -------------------------------------------------------------------------------------------

static const int64_t magic = 0x3153594152524e51; // "QNRRAYS1"

typedef struct array_head {
  int64_t name_bytes, type, n_dims, dims[QN_ARRAY_MAX_DIMS];
} array_head;

typedef struct text_head {
  int64_t name_bytes, text_bytes;
} text_head;

static qn_status append_padded(qn_buffer *out, const void *data, int64_t size, qn_error *err) {
  static const uint8_t zeros[8] = {0};
  qn_status status = QN_OK;
  if (size > 0) {
    QN_TRY(qn_buffer_append(out, data, size, err));
  }
  if (size % 8 != 0) {
    QN_TRY(qn_buffer_append(out, zeros, 8 - size % 8, err));
  }

done:
  return status;
}

static qn_status encode_array(const qn_array *array, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  int64_t n_bytes = 0;
  array_head head = {
      .name_bytes = (int64_t)strlen(array->name), .type = (int64_t)array->type, .n_dims = array->n_dims};
  memcpy(head.dims, array->dims, sizeof head.dims);
  QN_TRY(qn_array_size(array->type, array->n_dims, array->dims, &n_bytes, err));
  QN_TRY(qn_buffer_append(out, &head, sizeof head, err));
  QN_TRY(append_padded(out, array->name, head.name_bytes, err));
  QN_TRY(append_padded(out, array->data, n_bytes, err));

done:
  return status;
}

qn_status qn_arrays_encode(const qn_arrays *arrays, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t head[3] = {magic, arrays->n, arrays->n_texts};
  QN_TRY(qn_buffer_append(out, head, sizeof head, err));
  for (int i = 0; i < arrays->n; i++) {
    QN_TRY(encode_array(&arrays->items[i], out, err));
  }
  for (int i = 0; i < arrays->n_texts; i++) {
    const struct qn_array_text *text = &arrays->texts[i];
    const text_head text_sizes = {.name_bytes = (int64_t)strlen(text->name),
                                  .text_bytes = (int64_t)strlen(text->text)};
    QN_TRY(qn_buffer_append(out, &text_sizes, sizeof text_sizes, err));
    QN_TRY(append_padded(out, text->name, text_sizes.name_bytes, err));
    QN_TRY(append_padded(out, text->text, text_sizes.text_bytes, err));
  }

done:
  return status;
}

// Bytes that are still to be read.
typedef struct byte_reader {
  const uint8_t *at;
  int64_t left;
} byte_reader;

// The next `size` bytes and their padding; NULL if there are not as many.
static const uint8_t *take(byte_reader *reader, int64_t size) {
  if (size < 0 || size > reader->left || reader->left - size < (8 - size % 8) % 8) {
    return NULL;
  }
  const int64_t padded = size + (8 - size % 8) % 8;
  const uint8_t *taken = reader->at;
  reader->at += padded;
  reader->left -= padded;
  return taken;
}

static qn_status take_name(byte_reader *reader, int64_t size, char *name, qn_error *err) {
  const uint8_t *bytes = size > 0 && size <= QN_ARRAY_MAX_NAME ? take(reader, size) : NULL;
  if (bytes == NULL || memchr(bytes, 0, (size_t)size) != NULL) {
    return qn_fail(err, QN_ERR_FORMAT, "a set of arrays is damaged: a name of %" PRId64 " bytes", size);
  }
  memcpy(name, bytes, (size_t)size);
  name[size] = '\0';
  return is_word(name) ? QN_OK : qn_fail(err, QN_ERR_FORMAT, "a set of arrays is damaged: a name is no word");
}

qn_status qn_array_check_values(const char *name, qn_type type, const void *data, int64_t n_bytes,
                                qn_error *err) {
  const uint8_t *values = data;
  uint8_t all = 0;
  for (int64_t i = 0; type == QN_BOOL && i < n_bytes; i++) {
    all |= values[i];
  }
  return all <= 1 ? QN_OK
                  : qn_fail(err, QN_ERR_FORMAT,
                            "the array '%s' is damaged: a bool of another value than 0 and 1", name);
}

static qn_status decode_array(byte_reader *reader, qn_arrays *arrays, qn_error *err) {
  qn_status status = QN_OK;
  char name[QN_ARRAY_MAX_NAME + 1];
  array_head head;
  int64_t n_bytes = 0;
  void *data = NULL;
  const uint8_t *bytes = take(reader, sizeof head);

  QN_REQUIRE(bytes != NULL, err, QN_ERR_FORMAT, "a set of arrays is cut off");
  memcpy(&head, bytes, sizeof head);
  QN_TRY(take_name(reader, head.name_bytes, name, err));
  QN_REQUIRE(head.type >= 0 && head.type <= INT32_MAX && head.n_dims >= 1 &&
                 head.n_dims <= QN_ARRAY_MAX_DIMS && find(arrays, name) == NULL &&
                 qn_array_size((qn_type)head.type, (int)head.n_dims, head.dims, &n_bytes, NULL) == QN_OK,
             err, QN_ERR_FORMAT, "the head of the array '%s' is damaged", name);
  bytes = take(reader, n_bytes);
  QN_REQUIRE(bytes != NULL, err, QN_ERR_FORMAT, "the array '%s' is cut off: %" PRId64 " bytes were expected",
             name, n_bytes);
  QN_TRY(qn_array_check_values(name, (qn_type)head.type, bytes, n_bytes, err));
  QN_TRY(qn_arrays_new(arrays, name, (qn_type)head.type, (int)head.n_dims, head.dims, &data, err));
  memcpy(data, bytes, (size_t)n_bytes);

done:
  return status;
}

qn_status qn_arrays_put_bytes(qn_arrays *arrays, const char *name, const void *text, int64_t size,
                              qn_error *err) {
  qn_status status = QN_OK;
  char *copy = NULL;
  QN_REQUIRE(size == 0 || (memchr(text, 0, (size_t)size) == NULL && qn_utf8_find_invalid(text, size) < 0),
             err, QN_ERR_FORMAT, "the text '%s' is damaged: it is not UTF-8", name);
  copy = malloc((size_t)size + 1);
  QN_REQUIRE(copy != NULL, err, QN_ERR_MEMORY, "no memory for the text '%s' of %" PRId64 " bytes", name,
             size);
  if (size > 0) {
    memcpy(copy, text, (size_t)size);
  }
  copy[size] = '\0';
  QN_TRY(qn_arrays_put_text(arrays, name, copy, err));

done:
  free(copy);
  return status;
}

static qn_status decode_text(byte_reader *reader, qn_arrays *arrays, qn_error *err) {
  qn_status status = QN_OK;
  char name[QN_ARRAY_MAX_NAME + 1];
  text_head head;
  const uint8_t *bytes = take(reader, sizeof head);

  QN_REQUIRE(bytes != NULL, err, QN_ERR_FORMAT, "a set of arrays is cut off");
  memcpy(&head, bytes, sizeof head);
  QN_TRY(take_name(reader, head.name_bytes, name, err));
  bytes = take(reader, head.text_bytes);
  QN_REQUIRE(bytes != NULL, err, QN_ERR_FORMAT, "the text '%s' is cut off", name);
  QN_REQUIRE(qn_arrays_text(arrays, name) == NULL, err, QN_ERR_FORMAT,
             "a set of arrays is damaged: the text '%s' twice", name);
  QN_TRY(qn_arrays_put_bytes(arrays, name, bytes, head.text_bytes, err));

done:
  return status;
}

qn_status qn_arrays_decode(const void *data, int64_t size, qn_arrays *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_arrays arrays = {0};
  byte_reader reader = {.at = data, .left = size};
  int64_t head[3] = {0};
  const uint8_t *bytes = take(&reader, sizeof head);

  QN_REQUIRE(bytes != NULL, err, QN_ERR_FORMAT, "a set of arrays of %" PRId64 " bytes is cut off", size);
  memcpy(head, bytes, sizeof head);
  QN_REQUIRE(head[0] == magic, err, QN_ERR_FORMAT, "these %" PRId64 " bytes are no set of arrays", size);
  for (int64_t i = 0; i < head[1]; i++) {
    QN_TRY(decode_array(&reader, &arrays, err));
  }
  for (int64_t i = 0; i < head[2]; i++) {
    QN_TRY(decode_text(&reader, &arrays, err));
  }
  QN_REQUIRE(reader.left == 0 && head[1] >= 0 && head[2] >= 0, err, QN_ERR_FORMAT,
             "a set of arrays is damaged: %" PRId64 " bytes are left over", reader.left);
  qn_arrays_move(&arrays, out);

done:
  qn_arrays_release(&arrays);
  return status;
}
