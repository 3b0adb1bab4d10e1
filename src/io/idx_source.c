// SPDX-License-Identifier: Apache-2.0
// IDX files: a head (two zero bytes, the type, the number of dimensions, the dimensions as big-endian int32),
// then the values. Rows have a fixed size, so plain files are cut into ranges of rows; packed ones are read
// by one rank.
#include "io/idx_source.h"
#include <inttypes.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "column/builder.h"
#include "io/input_window.h"

enum { BATCH_BYTES = 256 * 1024, SPLIT_BYTES = 8 * 1024 * 1024, MOST_DIMENSIONS = 16 };

typedef struct idx_source {
  qn_source base;
  qn_file_list files; // images, labels
  qn_idx_head heads[2];
  int n_files;
  int64_t split_rows, batch_rows;
  qn_buffer description;
} idx_source;

typedef struct idx_reader {
  qn_reader base;
  const idx_source *source;
  qn_schema *schema;
  int label, pixels; // their places in it, or -1
  qn_input_window windows[2];
  int64_t row, end; // what is left of the split
} idx_reader;

static int64_t value_width(int type) {
  return type == 0x08 || type == 0x09   ? 1
         : type == 0x0b                 ? 2
         : type == 0x0c || type == 0x0d ? 4
         : type == 0x0e                 ? 8
                                        : 0;
}

static uint32_t read_big_endian(const uint8_t *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static qn_status parse_head(const qn_file *file, const qn_input_window *window, qn_idx_head *out,
                            qn_error *err) {
  qn_status status = QN_OK;
  const uint8_t *data = (const uint8_t *)window->data;

  QN_REQUIRE(window->size >= 4, err, QN_ERR_FORMAT,
             "%s: %" PRId64 " bytes are no IDX file; at least 8 are "
             "expected",
             file->path, window->size);
  const int n_dimensions = data[3];
  QN_REQUIRE(data[0] == 0 && data[1] == 0, err, QN_ERR_FORMAT,
             "%s: begins with bytes %02x %02x; an IDX file begins with 00 00, the type and the number of "
             "dimensions",
             file->path, data[0], data[1]);
  QN_REQUIRE(value_width(data[2]) > 0, err, QN_ERR_FORMAT,
             "%s: byte 3 is 0x%02x, no type of IDX files (0x08 unsigned bytes, 0x09, 0x0b to 0x0e)",
             file->path, data[2]);
  QN_REQUIRE(n_dimensions >= 1 && n_dimensions <= MOST_DIMENSIONS, err, QN_ERR_FORMAT,
             "%s: byte 4 says %d dimensions; 1 to %d are expected", file->path, n_dimensions,
             MOST_DIMENSIONS);
  *out = (qn_idx_head){.type = data[2], .first_offset = 4 + 4 * (int64_t)n_dimensions};
  QN_REQUIRE(window->size >= out->first_offset, err, QN_ERR_FORMAT,
             "%s: ends after %" PRId64 " bytes, within the sizes of its %d dimensions", file->path,
             window->size, n_dimensions);
  out->n_rows = read_big_endian(data + 4);
  out->row_bytes = value_width(out->type);
  for (int d = 1; d < n_dimensions; d++) {
    const int64_t size = read_big_endian(data + 4 + 4 * (int64_t)d);
    QN_REQUIRE(size == 0 || out->row_bytes <= (64 << 20) / size, err, QN_ERR_FORMAT,
               "%s: its dimensions give rows of more than 64 MiB; the file is damaged, or no IDX file",
               file->path);
    out->row_bytes *= size;
  }

done:
  return status;
}

qn_status qn_idx_head_read(const qn_file *file, qn_idx_head *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_input_window window = {0};
  qn_idx_head head = {0};

  QN_TRY(qn_input_window_start(&window, file, 0, 4 + 4 * MOST_DIMENSIONS, err));
  QN_TRY(qn_input_window_fill(&window, 4 + 4 * MOST_DIMENSIONS, "head", err));
  QN_TRY(parse_head(file, &window, &head, err));
  const int64_t n_bytes = head.first_offset + head.n_rows * head.row_bytes;
  QN_REQUIRE(file->compression != QN_COMPRESSION_NONE || file->n_bytes == n_bytes, err, QN_ERR_FORMAT,
             "%s: has %" PRId64 " bytes, but its head (%" PRId64 " rows of %" PRId64 " bytes) says %" PRId64
             "; the file is cut off or damaged",
             file->path, file->n_bytes, head.n_rows, head.row_bytes, n_bytes);
  *out = head;

done:
  qn_input_window_release(&window);
  return status;
}

static qn_status idx_open(const qn_source *source, const qn_scan *scan, qn_reader *base, qn_error *err) {
  idx_reader *reader = (idx_reader *)base;

  (void)err;
  reader->source = (const idx_source *)source;
  reader->schema = qn_schema_share(scan->schema);
  reader->label = reader->pixels = -1;
  for (int i = 0; i < scan->n_columns; i++) {
    const bool is_label = reader->source->n_files == 2 && scan->columns[i] == 0;
    *(is_label ? &reader->label : &reader->pixels) = i;
  }
  return QN_OK;
}

// Goes to the split's first row in file f.
static qn_status start_file(idx_reader *reader, int f, qn_error *err) {
  qn_status status = QN_OK;
  const qn_file *file = &reader->source->files.files[f];
  const qn_idx_head *head = &reader->source->heads[f];
  qn_input_window *window = &reader->windows[f];
  const bool is_plain = file->compression == QN_COMPRESSION_NONE;
  const int64_t first = head->first_offset + reader->row * head->row_bytes;

  QN_TRY(qn_input_window_start(window, file, is_plain ? first : 0,
                               head->first_offset + reader->end * head->row_bytes, err));
  while (!is_plain && window->offset < first) { // a packed file is read from its start
    QN_TRY(qn_input_window_fill(window, 1, "row", err));
    const int64_t left = first - window->offset;
    QN_REQUIRE(window->size > 0, err, QN_ERR_FORMAT, "%s: ends before row %" PRId64, file->path,
               reader->row + 1);
    qn_input_window_skip(window, window->size < left ? window->size : left);
  }

done:
  return status;
}

static qn_status idx_start(qn_reader *base, int64_t split, qn_error *err) {
  qn_status status = QN_OK;
  idx_reader *reader = (idx_reader *)base;
  const idx_source *source = reader->source;
  const int64_t left = source->base.n_rows - split * source->split_rows;

  reader->row = split * source->split_rows;
  reader->end = reader->row + (left < source->split_rows ? left : source->split_rows);
  if (reader->pixels >= 0) {
    QN_TRY(start_file(reader, 0, err));
  }
  if (reader->label >= 0) {
    QN_TRY(start_file(reader, 1, err));
  }

done:
  return status;
}

// n rows of file f are in its window.
static qn_status fill_rows(idx_reader *reader, int f, int64_t n, qn_error *err) {
  qn_status status = QN_OK;
  qn_input_window *window = &reader->windows[f];
  const int64_t size = n * reader->source->heads[f].row_bytes;
  const int64_t n_read = window->n_bytes_read;

  QN_TRY(qn_input_window_fill(window, size, "row", err));
  reader->base.n_bytes_read += window->n_bytes_read - n_read;
  QN_REQUIRE(window->size >= size, err, QN_ERR_FORMAT,
             "%s: ends within its rows %" PRId64 " to %" PRId64 ", but its head says %" PRId64
             " rows; the file is cut off or damaged",
             reader->source->files.files[f].path, reader->row + 1, reader->row + n,
             reader->source->heads[f].n_rows);

done:
  return status;
}

static qn_status read_labels(idx_reader *reader, int64_t n, qn_column *out, qn_error *err) {
  qn_status status = QN_OK;
  void *room = NULL;

  QN_TRY(fill_rows(reader, 1, n, err));
  QN_TRY(qn_column_fixed(QN_INT64, n, out, &room, err));
  int64_t *labels = room;
  const uint8_t *data = (const uint8_t *)reader->windows[1].data;
  for (int64_t i = 0; i < n; i++) {
    switch (reader->source->heads[1].type) {
    case 0x08:
      labels[i] = data[i];
      break;
    case 0x09:
      labels[i] = data[i] < 128 ? data[i] : data[i] - 256;
      break;
    case 0x0b:
      labels[i] = (int16_t)((data[2 * i] << 8) | data[2 * i + 1]);
      break;
    default:
      labels[i] = (int32_t)read_big_endian(data + 4 * i);
      break;
    }
  }
  qn_input_window_skip(&reader->windows[1], n * reader->source->heads[1].row_bytes);

done:
  return status;
}

static qn_status read_pixels(idx_reader *reader, int64_t n, qn_column *out, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t row_bytes = reader->source->heads[0].row_bytes;
  qn_column_builder builder;

  qn_column_builder_init(&builder, QN_BINARY);
  QN_TRY(fill_rows(reader, 0, n, err));
  QN_TRY(qn_column_builder_reserve(&builder, n, n * row_bytes, err));
  for (int64_t i = 0; i < n; i++) {
    QN_TRY(qn_column_builder_append_text(&builder, reader->windows[0].data + i * row_bytes, row_bytes, err));
  }
  qn_input_window_skip(&reader->windows[0], n * row_bytes);
  QN_TRY(qn_column_builder_finish(&builder, out, err));

done:
  qn_column_builder_release(&builder);
  return status;
}

static qn_status idx_next(qn_reader *base, qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  idx_reader *reader = (idx_reader *)base;
  qn_column columns[2] = {{0}};
  const int64_t left = reader->end - reader->row;
  const int64_t n = left < reader->source->batch_rows ? left : reader->source->batch_rows;

  *out = NULL;
  if (n == 0) {
    goto done;
  }
  if (reader->pixels >= 0) {
    QN_TRY(read_pixels(reader, n, &columns[reader->pixels], err));
  }
  if (reader->label >= 0) {
    QN_TRY(read_labels(reader, n, &columns[reader->label], err));
  }
  QN_TRY(qn_batch_new_take(reader->schema, n, columns, out, err));
  const qn_origin origin = {
      .name = reader->source->files.files[0].path, .first_row = reader->row, .byte_offset = -1};
  qn_batch_set_origin(*out, &origin);
  reader->row += n;

done:
  qn_column_release(&columns[0]);
  qn_column_release(&columns[1]);
  return status;
}

static void idx_close(qn_reader *base) {
  idx_reader *reader = (idx_reader *)base;
  qn_input_window_release(&reader->windows[0]);
  qn_input_window_release(&reader->windows[1]);
  qn_schema_free(reader->schema);
  reader->schema = NULL;
}

static void idx_free(qn_source *base) {
  idx_source *source = (idx_source *)base;
  qn_file_list_release(&source->files);
  qn_buffer_release(&source->description);
  qn_schema_free(source->base.schema);
  qn_memory_free(source);
}

static const qn_source_ops idx_ops = {.name = "idx",
                                      .reader_size = sizeof(idx_reader),
                                      .open = idx_open,
                                      .start = idx_start,
                                      .next = idx_next,
                                      .close = idx_close,
                                      .free = idx_free};

static qn_status check_heads(const qn_file_list *files, const qn_idx_head *heads, qn_error *err) {
  qn_status status = QN_OK;
  const bool has_labels = files->n_files == 2;

  QN_REQUIRE(heads[0].type == 0x08, err, QN_ERR_FORMAT,
             "%s: its values are of type 0x%02x; images are of unsigned bytes (0x08)", files->files[0].path,
             heads[0].type);
  QN_REQUIRE(heads[0].row_bytes > 0, err, QN_ERR_FORMAT, "%s: its rows have no bytes", files->files[0].path);
  QN_REQUIRE(!has_labels || heads[1].type <= 0x0c, err, QN_ERR_FORMAT,
             "%s: its values are of type 0x%02x; labels are whole numbers (0x08, 0x09, 0x0b, 0x0c)",
             files->files[files->n_files - 1].path, heads[files->n_files - 1].type);
  QN_REQUIRE(!has_labels || heads[1].row_bytes == value_width(heads[1].type), err, QN_ERR_FORMAT,
             "%s: has %" PRId64 " bytes a row; labels are one number a row; are images and labels exchanged?",
             files->files[files->n_files - 1].path, heads[files->n_files - 1].row_bytes);
  QN_REQUIRE(!has_labels || heads[1].n_rows == heads[0].n_rows, err, QN_ERR_FORMAT,
             "%s has %" PRId64 " images, but %s has %" PRId64 " labels", files->files[0].path,
             heads[0].n_rows, files->files[files->n_files - 1].path, heads[files->n_files - 1].n_rows);

done:
  return status;
}

static void choose_splits(idx_source *source, int n_ranks) {
  const int64_t row_bytes = source->heads[0].row_bytes;
  const int64_t n_rows = source->heads[0].n_rows;
  bool is_plain = true;
  for (int f = 0; f < source->n_files; f++) {
    is_plain = is_plain && source->files.files[f].compression == QN_COMPRESSION_NONE;
  }
  int64_t rows = n_rows / (4 * (int64_t)n_ranks);
  rows = rows * row_bytes > SPLIT_BYTES ? SPLIT_BYTES / row_bytes : rows;
  rows = rows < 64 ? 64 : rows;
  source->split_rows = is_plain ? rows : n_rows;
  source->split_rows = source->split_rows < 1 ? 1 : source->split_rows;
  source->batch_rows = BATCH_BYTES / row_bytes < 1 ? 1 : BATCH_BYTES / row_bytes;
  source->batch_rows = source->batch_rows > QN_BATCH_ROWS ? QN_BATCH_ROWS : source->batch_rows;
  source->base.n_rows = n_rows;
  source->base.n_splits = (n_rows + source->split_rows - 1) / source->split_rows;
}

qn_status qn_idx_source_new(const qn_file_list *files, const qn_idx_head *heads, int n_ranks, qn_source **out,
                            qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer list = {0};
  idx_source *source = qn_memory_alloc(sizeof *source);

  QN_REQUIRE(source != NULL, err, QN_ERR_MEMORY, "no memory for a source");
  *source = (idx_source){.base.ops = &idx_ops, .n_files = (int)files->n_files};
  QN_REQUIRE(files->n_files == 1 || files->n_files == 2, err, QN_ERR_ARG,
             "one file of images and at most one of labels are wanted, not %" PRId64 " files",
             files->n_files);
  QN_TRY(check_heads(files, heads, err));
  memcpy(source->heads, heads, (size_t)source->n_files * sizeof *heads);
  QN_TRY(qn_schema_parse(source->n_files == 2 ? "label int64, pixels binary" : "pixels binary",
                         &source->base.schema, err));
  QN_TRY(qn_file_list_encode(files, &list, err));
  QN_TRY(qn_file_list_decode(list.data, list.size, &source->files, err));
  choose_splits(source, n_ranks);
  QN_TRY(qn_buffer_printf(&source->description, err, "idx %s (%" PRId64 " rows of %" PRId64 " bytes)",
                          files->files[0].path, heads[0].n_rows, heads[0].row_bytes));
  QN_TRY(qn_buffer_terminate(&source->description, err));
  source->base.n_bytes = files->n_bytes;
  source->base.description = (const char *)source->description.data;
  *out = &source->base;
  source = NULL;

done:
  qn_buffer_release(&list);
  if (source != NULL) {
    idx_free(&source->base);
  }
  return status;
}
