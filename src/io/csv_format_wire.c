// SPDX-License-Identifier: Apache-2.0
// A CSV format as bytes, for the ranks that have not sniffed.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "io/csv_source.h"

typedef struct format_head {
  char separator, quote, comment;
  uint8_t has_header, trim, has_null_text;
  int32_t n_file_columns, n_columns;
  int64_t null_size, schema_size; // each with a zero byte behind
} format_head;

qn_status qn_csv_format_encode(const qn_csv_format *format, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer schema = {0};
  const char *null_text = format->null_text == NULL ? "" : format->null_text;
  format_head head;

  QN_TRY(qn_schema_print(format->schema, &schema, err));
  memset(&head, 0, sizeof head); // padding too
  head.separator = format->separator;
  head.quote = format->quote;
  head.comment = format->comment;
  head.has_header = format->has_header;
  head.trim = format->trim;
  head.has_null_text = format->null_text != NULL;
  head.n_file_columns = format->n_file_columns;
  head.n_columns = format->schema->n_columns;
  head.null_size = (int64_t)strlen(null_text);
  head.schema_size = schema.size;
  QN_TRY(qn_buffer_append(out, &head, sizeof head, err));
  QN_TRY(qn_buffer_append(out, format->file_columns, head.n_columns * (int64_t)sizeof *format->file_columns,
                          err));
  QN_TRY(qn_buffer_append(out, null_text, head.null_size + 1, err));
  QN_TRY(qn_buffer_append(out, schema.data, schema.size, err));
  QN_TRY(qn_buffer_append(out, "", 1, err));

done:
  qn_buffer_release(&schema);
  return status;
}

/// The parts of the encoded bytes; false if they do not fit together.
static bool find_parts(const char *data, int64_t size, format_head *head, const char *parts[3]) {
  if (size < (int64_t)sizeof *head) {
    return false;
  }
  memcpy(head, data, sizeof *head);
  int64_t left = size - (int64_t)sizeof *head;
  const int64_t columns = head->n_columns * (int64_t)sizeof(int);
  if (head->n_columns < 1 || head->n_file_columns < head->n_columns || columns > left) {
    return false;
  }
  parts[0] = data + sizeof *head;
  left -= columns;
  if (head->null_size < 0 || head->null_size >= left || parts[0][columns + head->null_size] != '\0') {
    return false;
  }
  parts[1] = parts[0] + columns;
  left -= head->null_size + 1;
  parts[2] = parts[1] + head->null_size + 1;
  return head->schema_size >= 0 && head->schema_size == left - 1 && parts[2][head->schema_size] == '\0';
}

qn_status qn_csv_format_decode(const void *data, int64_t size, qn_csv_format *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_csv_format format = {0};
  format_head head;
  const char *parts[3];

  QN_REQUIRE(find_parts(data, size, &head, parts), err, QN_ERR_FORMAT,
             "a CSV format of %" PRId64 " bytes is damaged", size);
  format = (qn_csv_format){.separator = head.separator,
                           .quote = head.quote,
                           .comment = head.comment,
                           .has_header = head.has_header != 0,
                           .trim = head.trim != 0,
                           .n_file_columns = head.n_file_columns};
  QN_TRY(qn_schema_parse(parts[2], &format.schema, err));
  QN_REQUIRE(format.schema->n_columns == head.n_columns, err, QN_ERR_FORMAT,
             "a CSV format is damaged: %d columns, not %d", format.schema->n_columns, head.n_columns);
  format.file_columns = calloc((size_t)head.n_columns, sizeof *format.file_columns);
  QN_REQUIRE(format.file_columns != NULL, err, QN_ERR_MEMORY, "no memory for %d columns", head.n_columns);
  memcpy(format.file_columns, parts[0], (size_t)head.n_columns * sizeof *format.file_columns);
  for (int i = 0; i < head.n_columns; i++) {
    QN_REQUIRE(format.file_columns[i] >= 0 && format.file_columns[i] < head.n_file_columns, err,
               QN_ERR_FORMAT, "a CSV format is damaged: column %d of %d", format.file_columns[i],
               head.n_file_columns);
  }
  if (head.has_null_text) {
    format.null_text = strdup(parts[1]);
    QN_REQUIRE(format.null_text != NULL, err, QN_ERR_MEMORY, "no memory for an option");
  }
  *out = format;
  format = (qn_csv_format){0};

done:
  qn_csv_format_release(&format);
  return status;
}

void qn_csv_format_release(qn_csv_format *format) {
  free(format->null_text);
  free(format->file_columns);
  qn_schema_free(format->schema);
  *format = (qn_csv_format){0};
}
