// SPDX-License-Identifier: Apache-2.0
// A staged dataset as a source: a split is a row group. Parts that the manifest's statistics rule out are not
// even opened, row groups that their own statistics rule out are not read, and of the others only the columns
// asked for.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/arena.h"
#include "base/check.h"
#include "base/memory.h"
#include "store/manifest_entry.h"
#include "store/part_reader.h"
#include "store/stage.h"

// Splits of a rank come from a few parts at a time: so many stay open between them.
enum { OPEN_PARTS = 8 };

typedef struct stage_source {
  qn_source base;
  qn_manifest *manifest;
  int64_t *first_splits; // n_parts + 1: the first split of each part
  qn_arena arena;
} stage_source;

typedef struct open_part {
  qn_part_reader *reader;
  int64_t part;
  int64_t last_use;
} open_part;

typedef struct stage_reader {
  qn_reader base;
  const qn_scan *scan;
  open_part parts[OPEN_PARTS];
  int64_t n_uses;
  qn_batch *group; // the row group of the split, NULL if it is left out or at its end
  int64_t n_given; // rows of it that were handed out
} stage_reader;

static const stage_source *source_of(const stage_reader *reader) {
  return (const stage_source *)(const void *)reader->base.source;
}

static qn_status stage_open(const qn_source *source, const qn_scan *scan, qn_reader *reader, qn_error *err) {
  (void)err;
  stage_reader *stage = (stage_reader *)(void *)reader;
  stage->base.source = source;
  stage->scan = scan;
  return QN_OK;
}

// The part of a split: the last whose first split is not after it and that has any.
static int64_t part_of_split(const stage_source *source, int64_t split) {
  int64_t low = 0, high = source->manifest->n_parts - 1;
  while (low < high) {
    const int64_t middle = low + (high - low + 1) / 2;
    if (source->first_splits[middle] <= split) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

// An open reader of the part; the one that was unused for longest makes room.
static qn_status reader_of_part(stage_reader *reader, int64_t part, qn_part_reader **out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_manifest *manifest = source_of(reader)->manifest;
  open_part *oldest = &reader->parts[0], *found = NULL;

  for (int i = 0; i < OPEN_PARTS && found == NULL; i++) {
    open_part *open = &reader->parts[i];
    if (open->reader != NULL && open->part == part) {
      found = open;
    }
    if (open->last_use < oldest->last_use) {
      oldest = open;
    }
  }
  if (found == NULL) {
    qn_part_reader_free(oldest->reader);
    *oldest = (open_part){.part = part};
    QN_TRY(qn_part_reader_open(manifest->schema, &manifest->parts[part], &oldest->reader, err));
    found = oldest;
  }
  found->last_use = ++reader->n_uses;
  *out = found->reader;

done:
  return status;
}

static bool is_part_excluded(const stage_reader *reader, int64_t part) {
  const qn_manifest *manifest = source_of(reader)->manifest;
  const qn_part_entry *entry = &manifest->parts[part];
  for (int b = 0; b < reader->scan->n_bounds; b++) {
    const qn_bound *bound = &reader->scan->bounds[b];
    const qn_column_entry *column = &entry->columns[bound->column];
    if (qn_value_range_excludes(manifest->schema->fields[bound->column].type, &column->range, entry->n_rows,
                                column->n_nulls, bound)) {
      return true;
    }
  }
  return false;
}

static qn_status is_group_excluded(const stage_reader *reader, qn_part_reader *part, int64_t group, bool *out,
                                   qn_error *err) {
  qn_status status = QN_OK;
  const qn_schema *schema = source_of(reader)->manifest->schema;
  const qn_group_record *groups = NULL;

  for (int b = 0; b < reader->scan->n_bounds && !*out; b++) {
    const qn_bound *bound = &reader->scan->bounds[b];
    QN_TRY(qn_part_reader_groups(part, bound->column, &groups, err));
    *out = qn_value_range_excludes(schema->fields[bound->column].type, &groups[group].range,
                                   groups[group].n_rows, groups[group].n_nulls, bound);
  }

done:
  return status;
}

static qn_status read_group(stage_reader *reader, qn_part_reader *part, int64_t group, qn_error *err) {
  qn_status status = QN_OK;
  const qn_scan *scan = reader->scan;
  const qn_group_record *groups = NULL;
  qn_column *columns = calloc((size_t)scan->n_columns + 1, sizeof *columns);

  QN_REQUIRE(columns != NULL, err, QN_ERR_MEMORY, "no memory for %d columns", scan->n_columns);
  QN_TRY(qn_part_reader_groups(part, scan->n_columns > 0 ? scan->columns[0] : 0, &groups, err));
  for (int c = 0; c < scan->n_columns; c++) {
    QN_TRY(
        qn_part_reader_column(part, scan->columns[c], group, &columns[c], &reader->base.n_bytes_read, err));
  }
  QN_TRY(qn_batch_new_take(scan->schema, groups[group].n_rows, columns, &reader->group, err));
  qn_batch_set_origin(reader->group, &(qn_origin){.name = qn_part_reader_entry(part)->path,
                                                  .first_row = groups[group].first_row,
                                                  .byte_offset = -1});

done:
  for (int c = 0; columns != NULL && c < scan->n_columns; c++) {
    qn_column_release(&columns[c]);
  }
  free(columns);
  return status;
}

static qn_status stage_start(qn_reader *reader, int64_t split, qn_error *err) {
  qn_status status = QN_OK;
  stage_reader *stage = (stage_reader *)(void *)reader;
  const stage_source *source = source_of(stage);
  qn_part_reader *open = NULL;
  bool is_excluded = false;

  qn_batch_free(stage->group);
  stage->group = NULL;
  stage->n_given = 0;
  QN_REQUIRE(split >= 0 && split < source->base.n_splits, err, QN_ERR_ARG, "split %" PRId64 " of %" PRId64,
             split, source->base.n_splits);
  const int64_t part = part_of_split(source, split), group = split - source->first_splits[part];
  if (is_part_excluded(stage, part)) {
    return QN_OK;
  }
  QN_TRY(reader_of_part(stage, part, &open, err));
  QN_TRY(is_group_excluded(stage, open, group, &is_excluded, err));
  if (!is_excluded) {
    QN_TRY(read_group(stage, open, group, err));
  }

done:
  return status;
}

static qn_status stage_next(qn_reader *reader, qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  stage_reader *stage = (stage_reader *)(void *)reader;
  qn_batch *batch = NULL;

  if (stage->group == NULL) {
    *out = NULL;
    return QN_OK;
  }
  const int64_t n_left = stage->group->n_rows - stage->n_given;
  const int64_t n_rows = n_left < QN_BATCH_ROWS ? n_left : QN_BATCH_ROWS;
  QN_TRY(qn_batch_slice(stage->group, stage->n_given, n_rows, &batch, err));
  qn_batch_set_origin(batch, &(qn_origin){.name = stage->group->origin.name,
                                          .first_row = stage->group->origin.first_row + stage->n_given,
                                          .byte_offset = -1});
  stage->n_given += n_rows;
  if (stage->n_given == stage->group->n_rows) {
    qn_batch_free(stage->group);
    stage->group = NULL;
  }
  *out = batch;

done:
  return status;
}

static void stage_close(qn_reader *reader) {
  stage_reader *stage = (stage_reader *)(void *)reader;
  qn_batch_free(stage->group);
  stage->group = NULL;
  for (int i = 0; i < OPEN_PARTS; i++) {
    qn_part_reader_free(stage->parts[i].reader);
    stage->parts[i] = (open_part){0};
  }
}

static void stage_free(qn_source *source) {
  stage_source *stage = (stage_source *)(void *)source;
  qn_schema_free(stage->base.schema);
  qn_manifest_free(stage->manifest);
  qn_arena_release(&stage->arena);
  free(stage);
}

static const qn_source_ops stage_ops = {.name = "stage",
                                        .reader_size = sizeof(stage_reader),
                                        .open = stage_open,
                                        .start = stage_start,
                                        .next = stage_next,
                                        .close = stage_close,
                                        .free = stage_free};

static const char *describe(stage_source *source) {
  const qn_manifest *manifest = source->manifest;
  return qn_arena_printf(&source->arena, "stage %s (%" PRId64 " part%s, %" PRId64 " rows, %.1f MiB)",
                         manifest->path, manifest->n_parts, manifest->n_parts == 1 ? "" : "s",
                         manifest->n_rows, (double)qn_manifest_n_bytes(manifest) / (1 << 20));
}

qn_status qn_stage_source_new_take(qn_manifest *manifest, qn_source **out, qn_error *err) {
  qn_status status = QN_OK;
  const char *path = manifest->path;
  int64_t n_splits = 0;
  stage_source *source = calloc(1, sizeof *source);

  QN_REQUIRE(source != NULL, err, QN_ERR_MEMORY, "%s: no memory for its source", path);
  source->manifest = manifest;
  manifest = NULL;
  source->base = (qn_source){.ops = &stage_ops,
                             .schema = qn_schema_share(source->manifest->schema),
                             .n_bytes = qn_manifest_n_bytes(source->manifest),
                             .n_rows = source->manifest->n_rows,
                             .description = describe(source)};
  source->first_splits =
      qn_arena_alloc(&source->arena, (source->manifest->n_parts + 1) * (int64_t)sizeof *source->first_splits);
  QN_REQUIRE(source->base.description != NULL && source->first_splits != NULL, err, QN_ERR_MEMORY,
             "%s: no memory for its source", path);
  for (int64_t p = 0; p < source->manifest->n_parts; p++) {
    source->first_splits[p] = n_splits;
    n_splits += source->manifest->parts[p].n_groups; // at most the rows, whose sum was checked
  }
  source->first_splits[source->manifest->n_parts] = n_splits;
  source->base.n_splits = n_splits;
  *out = &source->base;
  source = NULL;

done:
  if (source != NULL) {
    stage_free(&source->base);
  }
  qn_manifest_free(manifest);
  return status;
}
