// SPDX-License-Identifier: Apache-2.0
// libsvm's files on top of the source of lines, which does the cutting, unpacking and counting.
#include "io/libsvm_source.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "column/builder.h"
#include "column/parse.h"
#include "io/sparse_text.h"
#include "io/split_table.h"
#include "io/text_source.h"

typedef struct libsvm_source {
  qn_source base;
  qn_source *lines;
  qn_buffer description;
} libsvm_source;

typedef struct libsvm_reader {
  qn_reader base;
  qn_reader *lines;
  qn_schema *line_schema;
  qn_schema *schema;   // of what is wanted
  int label, features; // their places in it, or -1
  qn_column_builder labels, texts;
  qn_buffer rows; // int32: the lines that are rows, of the batch
} libsvm_reader;

// What a line says.
typedef struct libsvm_row {
  double label;
  qn_text features;
} libsvm_row;

static qn_status libsvm_open(const qn_source *base, const qn_scan *scan, qn_reader *base_reader,
                             qn_error *err) {
  qn_status status = QN_OK;
  static const int first_column[] = {0};
  const libsvm_source *source = (const libsvm_source *)base;
  libsvm_reader *reader = (libsvm_reader *)base_reader;

  reader->schema = qn_schema_share(scan->schema);
  reader->label = reader->features = -1;
  for (int i = 0; i < scan->n_columns; i++) {
    *(scan->columns[i] == 0 ? &reader->label : &reader->features) = i;
  }
  qn_column_builder_init(&reader->labels, QN_FLOAT64);
  qn_column_builder_init(&reader->texts, QN_UTF8);
  reader->line_schema = qn_schema_share(source->lines->schema);
  reader->lines = calloc(1, source->lines->ops->reader_size);
  QN_REQUIRE(reader->lines != NULL, err, QN_ERR_MEMORY, "no memory to read lines");
  reader->lines->source = source->lines;
  const qn_scan lines = {.columns = first_column, .n_columns = 1, .schema = reader->line_schema};
  QN_TRY(source->lines->ops->open(source->lines, &lines, reader->lines, err));

done:
  return status;
}

static qn_status libsvm_start(qn_reader *base, int64_t split, qn_error *err) {
  const libsvm_reader *reader = (const libsvm_reader *)base;
  return reader->lines->source->ops->start(reader->lines, split, err);
}

static qn_status fail_line(const qn_batch *lines, int64_t row, int64_t at, const char *mistake,
                           qn_error *err) {
  char place[600];
  const qn_text line = qn_column_text(&lines->columns[0], row);
  int shown = line.size - at < 40 ? (int)(line.size - at) : 40;

  qn_batch_describe_row(lines, row, place, sizeof place);
  for (int i = 0; i < shown; i++) {
    const unsigned char c = (unsigned char)line.data[at + i];
    if (c < 0x20 || c >= 0x7f) { // bytes may be anything
      shown = i;
    }
  }
  char *word = strstr(place, ", row "); // every line is a row of the lines
  if (word != NULL) {
    char number[100];
    snprintf(number, sizeof number, "%s", word + strlen(", row "));
    snprintf(word, sizeof place - (size_t)(word - place), ", line %s", number);
  }
  return qn_fail(err, QN_ERR_FORMAT, "%s, byte %" PRId64 ", '%.*s': %s; a line is 'label index:value ...'",
                 place, at + 1, shown, line.data + at, mistake);
}

static bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

// The next piece between blanks from *at on; empty at the end and before a comment.
static qn_text next_piece(qn_text line, int64_t *at) {
  while (*at < line.size && is_blank(line.data[*at])) {
    (*at)++;
  }
  int64_t end = *at;
  while (end < line.size && !is_blank(line.data[end]) && line.data[*at] != '#') {
    end++;
  }
  return (qn_text){.data = line.data + *at, .size = end - *at};
}

static qn_status check_features(const qn_batch *lines, int64_t row, int64_t first, int64_t *end,
                                qn_error *err) {
  const qn_text line = qn_column_text(&lines->columns[0], row);
  const char *mistake = NULL;
  int64_t at = first, index = 0, before = -1;
  double value = 0;

  *end = first; // of the entry before
  while (qn_sparse_next(line, &at, &index, &value, &mistake)) {
    if (index <= before || !isfinite(value)) {
      next_piece(line, end); // goes to where the entry begins
    }
    if (index <= before) {
      return fail_line(lines, row, *end, "indices must ascend", err);
    }
    if (!isfinite(value)) {
      return fail_line(lines, row, *end, "values must be finite", err);
    }
    before = index;
    *end = at;
  }
  return mistake == NULL ? QN_OK : fail_line(lines, row, at, mistake, err);
}

// *is_row is false for a line that holds nothing.
static qn_status read_line(const qn_batch *lines, int64_t row, libsvm_row *out, bool *is_row, qn_error *err) {
  qn_status status = QN_OK;
  const qn_text line = qn_column_text(&lines->columns[0], row);
  int64_t at = 0;
  int64_t end = 0;

  const qn_text label = next_piece(line, &at);
  *is_row = label.size > 0;
  if (!*is_row) {
    goto done;
  }
  if (!qn_parse_float64(label.data, label.size, &out->label) || !isfinite(out->label)) {
    return fail_line(lines, row, at, "a finite number is wanted as label", err);
  }
  at += label.size;
  const qn_text second = next_piece(line, &at);
  if (second.size > 4 && memcmp(second.data, "qid:", 4) == 0) {
    at += second.size;
    next_piece(line, &at);
  }
  QN_TRY(check_features(lines, row, at, &end, err));
  out->features = (qn_text){.data = line.data + at, .size = end - at};

done:
  return status;
}

static qn_status append_lines(libsvm_reader *reader, const qn_batch *lines, qn_error *err) {
  qn_status status = QN_OK;
  libsvm_row row = {0};
  bool is_row = false;

  reader->rows.size = 0;
  for (int64_t i = 0; i < lines->n_rows; i++) {
    const int32_t number = (int32_t)i;
    QN_TRY(read_line(lines, i, &row, &is_row, err));
    if (!is_row) {
      continue;
    }
    QN_TRY(qn_buffer_append(&reader->rows, &number, sizeof number, err));
    if (reader->label >= 0) {
      QN_TRY(qn_column_builder_append_value(&reader->labels, &row.label, err));
    }
    if (reader->features >= 0) {
      QN_TRY(qn_column_builder_append_text(&reader->texts, row.features.data, row.features.size, err));
    }
  }

done:
  return status;
}

static qn_status make_batch(libsvm_reader *reader, const qn_batch *lines, qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_column columns[2] = {{0}};
  qn_batch *batch = NULL;
  qn_block *block = NULL;
  const int64_t n_rows = reader->rows.size / (int64_t)sizeof(int32_t);
  qn_origin origin = lines->origin;

  if (reader->label >= 0) {
    QN_TRY(qn_column_builder_finish(&reader->labels, &columns[reader->label], err));
  }
  if (reader->features >= 0) {
    QN_TRY(qn_column_builder_finish(&reader->texts, &columns[reader->features], err));
  }
  QN_TRY(qn_batch_new_take(reader->schema, n_rows, columns, &batch, err));
  if (n_rows < lines->n_rows) {
    QN_TRY(qn_block_from_buffer_take(&reader->rows, &block, err));
    origin.rows = block->memory;
    origin.rows_block = block;
  }
  qn_batch_set_origin(batch, &origin);
  *out = batch;
  batch = NULL;

done:
  qn_block_free(block);
  qn_batch_free(batch);
  qn_column_release(&columns[0]);
  qn_column_release(&columns[1]);
  return status;
}

static qn_status libsvm_next(qn_reader *base, qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  libsvm_reader *reader = (libsvm_reader *)base;
  qn_batch *lines = NULL;

  *out = NULL;
  do {
    qn_batch_free(lines);
    lines = NULL;
    QN_TRY(reader->lines->source->ops->next(reader->lines, &lines, err));
    base->n_bytes_read = reader->lines->n_bytes_read;
    if (lines != NULL) {
      QN_TRY(append_lines(reader, lines, err));
    }
  } while (lines != NULL && reader->rows.size == 0);
  if (lines != NULL) {
    QN_TRY(make_batch(reader, lines, out, err));
  }

done:
  qn_batch_free(lines);
  return status;
}

static void libsvm_close(qn_reader *base) {
  libsvm_reader *reader = (libsvm_reader *)base;
  if (reader->lines != NULL) {
    reader->lines->source->ops->close(reader->lines);
    free(reader->lines);
    reader->lines = NULL;
  }
  qn_column_builder_release(&reader->labels);
  qn_column_builder_release(&reader->texts);
  qn_buffer_release(&reader->rows);
  qn_schema_free(reader->line_schema);
  qn_schema_free(reader->schema);
  reader->line_schema = reader->schema = NULL;
}

static void libsvm_free(qn_source *base) {
  libsvm_source *source = (libsvm_source *)base;
  if (source->lines != NULL) {
    source->lines->ops->free(source->lines);
  }
  qn_buffer_release(&source->description);
  qn_schema_free(source->base.schema);
  qn_memory_free(source);
}

static const qn_source_ops libsvm_ops = {.name = "libsvm",
                                         .reader_size = sizeof(libsvm_reader),
                                         .open = libsvm_open,
                                         .start = libsvm_start,
                                         .next = libsvm_next,
                                         .close = libsvm_close,
                                         .free = libsvm_free};

qn_status qn_libsvm_source_new(const qn_file_list *files, int64_t split_bytes, int n_ranks, qn_source **out,
                               qn_error *err) {
  qn_status status = QN_OK;
  qn_split_table splits = {0};
  libsvm_source *source = qn_memory_alloc(sizeof *source);

  QN_REQUIRE(source != NULL, err, QN_ERR_MEMORY, "no memory for a source");
  *source = (libsvm_source){.base.ops = &libsvm_ops};
  QN_TRY(qn_schema_parse("label float64, features utf8", &source->base.schema, err));
  QN_TRY(qn_text_source_new(files, QN_BINARY, split_bytes, n_ranks, &source->lines, err));
  QN_TRY(qn_split_table_init(&splits, files, split_bytes, n_ranks, err));
  QN_TRY(qn_split_table_describe(&splits, "libsvm", &source->description, err));
  source->base.n_splits = source->lines->n_splits;
  source->base.n_bytes = source->lines->n_bytes;
  source->base.n_rows = -1;
  source->base.description = (const char *)source->description.data;
  *out = &source->base;
  source = NULL;

done:
  qn_split_table_release(&splits);
  if (source != NULL) {
    libsvm_free(&source->base);
  }
  return status;
}
