// SPDX-License-Identifier: Apache-2.0
// What `quern inspect` shows of a staged dataset.
#include <quern/inspect.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "column/builder.h"
#include "column/print.h"
#include "store/stage.h"

QN_API const char *qn_version(void) {
  return QN_VERSION;
}

static qn_status print_size(qn_buffer *out, int64_t bytes, qn_error *err) {
  static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  double size = (double)bytes;
  int unit = 0;

  while (size >= 1024 && unit < 4) {
    size /= 1024;
    unit++;
  }
  return qn_buffer_printf(out, err, unit == 0 ? "%.0f %s" : "%.1f %s", size, units[unit]);
}

static qn_status print_parts(const qn_manifest *manifest, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_buffer_printf(out, err, "\nParts\n"));
  for (int64_t p = 0; p < qn_manifest_n_parts(manifest); p++) {
    const qn_part_info part = qn_manifest_part(manifest, p);
    QN_TRY(qn_buffer_printf(out, err, "  %s  %" PRId64 " rows in %" PRId64 " row groups, ", part.path,
                            part.n_rows, part.n_groups));
    QN_TRY(print_size(out, part.n_bytes, err));
    QN_TRY(qn_buffer_printf(out, err, "\n"));
  }

done:
  return status;
}

// At most this much of a minimum or maximum is shown.
enum { RANGE_WIDTH = 32 };

static qn_status print_value(qn_buffer *out, const qn_column *value, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t before = out->size;

  QN_TRY(qn_value_print(value, 0, out, err));
  if (out->size - before > RANGE_WIDTH) {
    out->size = before + RANGE_WIDTH;
    while (out->size > before && (out->data[out->size] & 0xC0) == 0x80) { // not within a character
      out->size--;
    }
    QN_TRY(qn_buffer_printf(out, err, "..."));
  }

done:
  return status;
}

static qn_status print_columns(const qn_manifest *manifest, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_schema *schema = qn_manifest_schema(manifest);

  QN_TRY(qn_buffer_printf(out, err, "\nColumns\n"));
  for (int c = 0; c < schema->n_columns; c++) {
    qn_column_stats stats = {0};
    QN_TRY(qn_manifest_stats(manifest, c, &stats, err));
    QN_TRY(qn_buffer_printf(out, err, "  %-24s %-10s nulls %" PRId64, schema->fields[c].name,
                            qn_type_name(schema->fields[c].type), stats.n_nulls));
    if (stats.has_range) {
      QN_TRY(qn_buffer_printf(out, err, "  from "));
      QN_TRY(print_value(out, &stats.min, err));
      QN_TRY(qn_buffer_printf(out, err, " to "));
      QN_TRY(print_value(out, &stats.max, err));
    }
    QN_TRY(qn_buffer_printf(out, err, "\n"));
  }

done:
  return status;
}

// The first rows, read as any job reads them. Takes the manifest.
static qn_status print_rows(qn_manifest *manifest, int64_t n_rows, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_source *source = NULL;
  qn_reader *reader = NULL;
  qn_batch *batch = NULL;
  qn_batch_builder rows = {0};
  int *columns = NULL;

  QN_TRY(qn_stage_source_new_take(manifest, &source, err));
  const int n_columns = source->schema->n_columns;
  columns = calloc((size_t)n_columns + 1, sizeof *columns);
  reader = calloc(1, source->ops->reader_size);
  QN_REQUIRE(columns != NULL && reader != NULL, err, QN_ERR_MEMORY, "no memory to read rows");
  for (int c = 0; c < n_columns; c++) {
    columns[c] = c;
  }
  const qn_scan scan = {.columns = columns, .n_columns = n_columns, .schema = source->schema};
  reader->source = source;
  QN_TRY(qn_batch_builder_init(&rows, source->schema, err));
  QN_TRY(source->ops->open(source, &scan, reader, err));
  for (int64_t split = 0; split < source->n_splits && rows.n_rows < n_rows; split++) {
    QN_TRY(source->ops->start(reader, split, err));
    while (rows.n_rows < n_rows) {
      QN_TRY(source->ops->next(reader, &batch, err));
      if (batch == NULL) {
        break;
      }
      const int64_t wanted = n_rows - rows.n_rows;
      QN_TRY(qn_batch_builder_append_range(&rows, batch, 0, wanted < batch->n_rows ? wanted : batch->n_rows,
                                           err));
      qn_batch_free(batch);
      batch = NULL;
    }
  }
  QN_TRY(qn_batch_builder_finish(&rows, &batch, err));
  QN_TRY(qn_buffer_printf(out, err, "\n"));
  QN_TRY(qn_batch_print(batch, n_rows, out, err));

done:
  qn_batch_free(batch);
  if (reader != NULL) {
    source->ops->close(reader);
  }
  free(reader);
  free(columns);
  qn_batch_builder_release(&rows);
  if (source != NULL) {
    qn_source_free(source);
  }
  return status;
}

QN_API qn_status qn_inspect(const char *path, const qn_inspect_options *options, FILE *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer text = {0};
  qn_manifest *manifest = NULL;

  QN_TRY(qn_manifest_open(path, &manifest, err));
  QN_TRY(qn_buffer_printf(&text, err, "%s: %" PRId64 " rows, %d columns, ", path,
                          qn_manifest_n_rows(manifest), qn_manifest_schema(manifest)->n_columns));
  QN_TRY(print_size(&text, qn_manifest_n_bytes(manifest), err));
  QN_TRY(qn_buffer_printf(&text, err, "\n"));
  if (qn_manifest_sorted_by(manifest) != NULL) {
    QN_TRY(qn_buffer_printf(&text, err, "sorted by %s\n", qn_manifest_sorted_by(manifest)));
  }
  QN_TRY(print_columns(manifest, &text, err));
  QN_TRY(print_parts(manifest, &text, err));
  if (options->verify) {
    QN_TRY(qn_manifest_verify(manifest, err));
    QN_TRY(qn_buffer_printf(&text, err, "\nAll checksums are right.\n"));
  }
  if (options->n_rows > 0) {
    qn_manifest *taken = manifest;
    manifest = NULL;
    QN_TRY(print_rows(taken, options->n_rows, &text, err));
  }

done:
  fwrite(text.data, 1, (size_t)text.size, out);
  qn_manifest_free(manifest);
  qn_buffer_release(&text);
  return status;
}
