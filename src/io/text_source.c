// SPDX-License-Identifier: Apache-2.0
// Lines as a source. A batch is made in three passes over a piece of a part of the L2 cache: positions of the
// line ends, UTF-8 check of the piece, and copying the lines without their ends behind each other.
#include "io/text_source.h"
#include <inttypes.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "io/byte_scan.h"
#include "io/input_window.h"
#include "io/split_table.h"

enum { BATCH_BYTES = 128 * 1024, SCAN_CHUNK = 16 * 1024, FIRST_WANTED = 64 * 1024 };

typedef struct text_source {
  qn_source base;
  qn_type type;
  qn_split_table splits;
  qn_buffer description;
} text_source;

typedef struct text_reader {
  qn_reader base;
  const text_source *source;
  qn_schema *schema;
  const qn_scan_kernels *kernels;
  qn_input_window window;
  qn_split split;
  bool is_done;
  bool has_column;       // else lines are only counted
  int64_t first_offset;  // of the first line of the split
  int64_t n_lines_given; // of the split
  int64_t wanted;        // bytes that the next batch is expected to take
  uint32_t *ends;        // positions of line ends in the window
  int64_t ends_capacity;
  int64_t n_ends;
} text_reader;

static qn_status text_open(const qn_source *source, const qn_scan *scan, qn_reader *base, qn_error *err) {
  text_reader *reader = (text_reader *)base;

  (void)err;
  reader->source = (const text_source *)source;
  reader->schema = qn_schema_share(scan->schema);
  reader->has_column = scan->n_columns > 0;
  reader->kernels = qn_scan_kernels_best();
  reader->is_done = true;
  return QN_OK;
}

/// Goes to the first line that begins at or behind the split's first byte: behind the first line end from the
/// byte before it on.
static qn_status skip_to_line(text_reader *reader, qn_error *err) {
  qn_status status = QN_OK;
  qn_input_window *window = &reader->window;

  for (;;) {
    QN_TRY(qn_input_window_fill(window, 1, "line", err));
    const char *line_end = window->size > 0 ? memchr(window->data, '\n', (size_t)window->size) : NULL;
    const int64_t n_skipped = line_end == NULL ? window->size : line_end + 1 - window->data;
    qn_input_window_skip(window, n_skipped);
    if (line_end != NULL || window->is_last) {
      break;
    }
  }

done:
  return status;
}

static qn_status text_start(qn_reader *base, int64_t split, qn_error *err) {
  qn_status status = QN_OK;
  text_reader *reader = (text_reader *)base;

  reader->split = qn_split_table_get(&reader->source->splits, split);
  const int64_t first = reader->split.first;
  const int64_t before = first > 0 ? first - 1 : 0;
  QN_TRY(qn_input_window_start(&reader->window, reader->split.file, before, reader->split.end, err));
  if (first > 0) {
    QN_TRY(skip_to_line(reader, err));
  }
  reader->first_offset = reader->window.offset;
  reader->n_lines_given = 0;
  reader->wanted = FIRST_WANTED;
  reader->is_done = reader->window.offset >= reader->split.end;

done:
  return status;
}

static qn_status reserve_ends(text_reader *reader, int64_t n, qn_error *err) {
  qn_status status = QN_OK;

  if (reader->ends_capacity < n) {
    const int64_t capacity = 2 * n;
    uint32_t *ends = qn_memory_resize(reader->ends, capacity * (int64_t)sizeof *ends);
    QN_REQUIRE(ends != NULL, err, QN_ERR_MEMORY, "no memory for the ends of %" PRId64 " lines", capacity);
    reader->ends = ends;
    reader->ends_capacity = capacity;
  }

done:
  return status;
}

/// Finds the ends of the next lines in the window, reading on until there is one.
static qn_status find_lines(text_reader *reader, qn_error *err) {
  qn_status status = QN_OK;
  qn_input_window *window = &reader->window;
  int64_t scanned = 0;

  reader->n_ends = 0;
  QN_TRY(qn_input_window_fill(window, reader->wanted, "line", err));
  for (;;) {
    const int64_t limit = reader->split.end - window->offset;
    while (scanned < window->size && reader->n_ends < QN_BATCH_ROWS &&
           (reader->n_ends == 0 || (scanned < BATCH_BYTES && scanned < limit))) {
      const int64_t end = window->size - scanned > SCAN_CHUNK ? scanned + SCAN_CHUNK : window->size;
      QN_TRY(reserve_ends(reader, reader->n_ends + end - scanned + QN_SCAN_SLACK, err));
      reader->n_ends +=
          reader->kernels->scan_lines(window->data, scanned, end, reader->ends + reader->n_ends);
      scanned = end;
    }
    if (reader->n_ends > 0 || window->is_last) {
      break;
    }
    QN_TRY(qn_input_window_grow(window, "line", err));
  }
  // the last line of a file needs no line end
  if (window->is_last && scanned == window->size && reader->n_ends < QN_BATCH_ROWS && window->size > 0 &&
      (reader->n_ends == 0 || reader->ends[reader->n_ends - 1] + 1 < window->size)) {
    QN_TRY(reserve_ends(reader, reader->n_ends + 1, err));
    reader->ends[reader->n_ends++] = (uint32_t)window->size;
  }

done:
  return status;
}

/// Leaves out the lines that are too many for a batch or begin behind the split.
static int64_t count_own_lines(const text_reader *reader) {
  const int64_t limit = reader->split.end - reader->window.offset;
  int64_t n = reader->n_ends < QN_BATCH_ROWS ? reader->n_ends : QN_BATCH_ROWS;

  while (n > 1 && (int64_t)reader->ends[n - 2] + 1 >= limit) {
    n--;
  }
  return n;
}

/// The number of line ends before a byte, for messages; -1 if the file cannot be read so far any more.
static int64_t count_lines_before(const text_reader *reader, int64_t offset) {
  qn_input_window window = {0};
  uint32_t *ends = qn_memory_alloc((SCAN_CHUNK + QN_SCAN_SLACK) * (int64_t)sizeof *ends);
  int64_t n = 0;
  qn_status status =
      ends == NULL ? QN_ERR_MEMORY : qn_input_window_start(&window, reader->split.file, 0, offset, NULL);

  while (status == QN_OK && window.offset < offset) {
    status = qn_input_window_fill(&window, 1, "line", NULL);
    if (status != QN_OK || window.size == 0) {
      status = QN_ERR_IO;
      break;
    }
    int64_t size = window.size < SCAN_CHUNK ? window.size : SCAN_CHUNK;
    size = size < offset - window.offset ? size : offset - window.offset;
    n += reader->kernels->scan_lines(window.data, 0, size, ends);
    qn_input_window_skip(&window, size);
  }
  qn_input_window_release(&window);
  qn_memory_free(ends);
  return status == QN_OK ? n : -1;
}

static qn_status check_utf8(const text_reader *reader, int64_t size, qn_error *err) {
  qn_status status = QN_OK;
  const qn_input_window *window = &reader->window;
  const int64_t invalid = qn_utf8_find_invalid(window->data, size);

  if (__builtin_expect(invalid >= 0, 0)) {
    const int64_t offset = window->offset + invalid;
    status = qn_fail(err, QN_ERR_FORMAT,
                     "%s, line %" PRId64 " (byte offset %" PRId64
                     "%s): byte 0x%02x is not valid UTF-8; read the lines "
                     "as bytes (qn_read_lines), or convert the file (iconv -f latin1 -t utf8)",
                     reader->split.file->path, count_lines_before(reader, offset) + 1, offset,
                     window->decompressor != NULL ? " uncompressed" : "", (uint8_t)window->data[invalid]);
  }
  return status;
}

/// Copies in steps of 32 bytes, up to 31 behind both: a line is too short for a call of memcpy to pay.
static inline void copy_steps(uint8_t *to, const char *from, int64_t size) {
  for (int64_t i = 0; i < size; i += 32) {
    memcpy(to + i, from + i, 32);
  }
}

/// The first n_lines lines of the window as one column.
static qn_status make_column(const text_reader *reader, int64_t n_lines, qn_column *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_column column = {.type = reader->source->type, .n_rows = n_lines};
  qn_buffer offsets_buffer = {0}, bytes_buffer = {0};
  const char *data = reader->window.data;
  int64_t n_bytes = 0, first = 0;

  QN_TRY(qn_buffer_reserve(&offsets_buffer, (n_lines + 1) * (int64_t)sizeof(int32_t), err));
  QN_TRY(qn_buffer_reserve(&bytes_buffer, reader->ends[n_lines - 1] + (int64_t)1, err));
  int32_t *offsets = (int32_t *)offsets_buffer.data;
  uint8_t *bytes = bytes_buffer.data;
  for (int64_t i = 0; i < n_lines; i++) {
    const int64_t end = reader->ends[i];
    const int64_t size = end - first - (end > first && data[end - 1] == '\r');
    offsets[i] = (int32_t)n_bytes;
    copy_steps(bytes + n_bytes, data + first, size);
    n_bytes += size;
    first = end + 1;
  }
  offsets[n_lines] = (int32_t)n_bytes;
  offsets_buffer.size = (n_lines + 1) * (int64_t)sizeof(int32_t);
  bytes_buffer.size = n_bytes;
  column.offsets = offsets;
  QN_TRY(qn_block_from_buffer_take(&offsets_buffer, &column.blocks[1], err));
  column.offsets = column.blocks[1]->memory;
  QN_TRY(qn_block_from_buffer_take(&bytes_buffer, &column.blocks[2], err));
  column.bytes = column.blocks[2]->memory;
  *out = column;
  column = (qn_column){0};

done:
  qn_buffer_release(&offsets_buffer);
  qn_buffer_release(&bytes_buffer);
  qn_column_release(&column);
  return status;
}

static void set_origin(const text_reader *reader, qn_batch *batch) {
  const bool is_plain = reader->split.file->compression == QN_COMPRESSION_NONE;
  const qn_origin origin = {.name = reader->split.file->path,
                            .first_row = reader->n_lines_given,
                            .byte_offset = is_plain ? reader->first_offset : -1};

  qn_batch_set_origin(batch, &origin);
}

static qn_status text_next(qn_reader *base, qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  text_reader *reader = (text_reader *)base;
  qn_input_window *window = &reader->window;
  qn_column column = {0};
  qn_batch *batch = NULL;
  const int64_t n_read = window->n_bytes_read;

  *out = NULL;
  if (reader->is_done) {
    goto done;
  }
  QN_TRY(find_lines(reader, err));
  const int64_t n_lines = count_own_lines(reader);
  if (n_lines == 0) {
    reader->is_done = true;
    goto done;
  }
  const int64_t last = reader->ends[n_lines - 1];
  const int64_t size = last < window->size ? last + 1 : last;
  if (reader->has_column) {
    if (reader->source->type == QN_UTF8) {
      QN_TRY(check_utf8(reader, size, err));
    }
    QN_TRY(make_column(reader, n_lines, &column, err));
  }
  QN_TRY(qn_batch_new_take(reader->schema, n_lines, reader->has_column ? &column : NULL, &batch, err));
  set_origin(reader, batch);
  reader->n_lines_given += n_lines;
  reader->wanted = size + size / 8 < BATCH_BYTES ? size + size / 8 : BATCH_BYTES;
  qn_input_window_skip(window, size);
  base->n_bytes_read += window->decompressor != NULL ? window->n_bytes_read - n_read : size;
  reader->is_done = window->offset >= reader->split.end || (window->is_last && window->size == 0);
  *out = batch;

done:
  qn_column_release(&column);
  return status;
}

static void text_close(qn_reader *base) {
  text_reader *reader = (text_reader *)base;

  qn_input_window_release(&reader->window);
  qn_memory_free(reader->ends);
  qn_schema_free(reader->schema);
  reader->schema = NULL;
  reader->ends = NULL;
  reader->ends_capacity = 0;
}

static void text_free(qn_source *base) {
  text_source *source = (text_source *)base;

  qn_split_table_release(&source->splits);
  qn_buffer_release(&source->description);
  qn_schema_free(source->base.schema);
  qn_memory_free(source);
}

static const qn_source_ops text_ops = {.name = "text",
                                       .reader_size = sizeof(text_reader),
                                       .open = text_open,
                                       .start = text_start,
                                       .next = text_next,
                                       .close = text_close,
                                       .free = text_free};

qn_status qn_text_source_new(const qn_file_list *files, qn_type text_type, int64_t split_bytes, int n_ranks,
                             qn_source **out, qn_error *err) {
  qn_status status = QN_OK;
  char name[] = "line";
  const qn_field field = {.name = name, .type = text_type};
  text_source *source = qn_memory_alloc(sizeof *source);

  QN_REQUIRE(source != NULL, err, QN_ERR_MEMORY, "no memory for a source");
  *source = (text_source){.base.ops = &text_ops, .type = text_type};
  QN_REQUIRE(qn_type_is_text(text_type), err, QN_ERR_ARG, "lines are utf8 or binary, not %s",
             qn_type_name(text_type));
  QN_TRY(qn_schema_new(&field, 1, &source->base.schema, err));
  QN_TRY(qn_split_table_init(&source->splits, files, split_bytes, n_ranks, err));
  QN_TRY(qn_split_table_describe(&source->splits, "text", &source->description, err));
  source->base.n_splits = source->splits.n_splits;
  source->base.n_bytes = files->n_bytes;
  source->base.n_rows = -1;
  source->base.description = (const char *)source->description.data;
  *out = &source->base;
  source = NULL;

done:
  if (source != NULL) {
    text_free(&source->base);
  }
  return status;
}
