// SPDX-License-Identifier: Apache-2.0
// See split_table.h.
#include "io/split_table.h"
#include <inttypes.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"

enum { SPLITS_PER_RANK = 8, PAGE = 4096 };

static const int64_t smallest_split = (int64_t)1 << 20, largest_split = (int64_t)32 << 20;

static int64_t choose_split_bytes(int64_t n_bytes, int n_ranks) {
  int64_t bytes = n_bytes / ((int64_t)(n_ranks > 0 ? n_ranks : 1) * SPLITS_PER_RANK);

  bytes = bytes > smallest_split ? bytes : smallest_split;
  bytes = bytes < largest_split ? bytes : largest_split;
  return (bytes + PAGE - 1) / PAGE * PAGE;
}

static int64_t splits_of(const qn_file *file, int64_t split_bytes) {
  if (file->n_bytes == 0) {
    return 0;
  }
  return file->compression != QN_COMPRESSION_NONE ? 1 : (file->n_bytes - 1) / split_bytes + 1;
}

qn_status qn_split_table_init(qn_split_table *table, const qn_file_list *files, int64_t split_bytes,
                              int n_ranks, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer encoded = {0};
  int64_t n_bytes = 0;

  QN_REQUIRE(split_bytes >= 0, err, QN_ERR_ARG, "a split of %" PRId64 " bytes", split_bytes);
  QN_TRY(qn_file_list_encode(files, &encoded, err));
  QN_TRY(qn_file_list_decode(encoded.data, encoded.size, &table->files, err));
  QN_TRY(qn_mul_size(files->n_files + 1, (int64_t)sizeof *table->first_splits, &n_bytes, err));
  table->first_splits = qn_memory_alloc(n_bytes);
  QN_REQUIRE(table->first_splits != NULL, err, QN_ERR_MEMORY, "no memory for a table of %" PRId64 " files",
             files->n_files);
  table->split_bytes = split_bytes > 0 ? split_bytes : choose_split_bytes(files->n_bytes, n_ranks);
  for (int64_t i = 0; i < files->n_files; i++) {
    table->first_splits[i] = table->n_splits;
    table->n_splits += splits_of(&table->files.files[i], table->split_bytes);
  }
  table->first_splits[files->n_files] = table->n_splits;

done:
  qn_buffer_release(&encoded);
  if (status != QN_OK) {
    qn_split_table_release(table);
  }
  return status;
}

qn_split qn_split_table_get(const qn_split_table *table, int64_t split) {
  int64_t low = 0, high = table->files.n_files; // first_splits[low] <= split < first_splits[high]

  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    if (table->first_splits[middle] <= split) {
      low = middle;
    } else {
      high = middle;
    }
  }
  qn_split found = {.file = &table->files.files[low], .file_index = low, .end = INT64_MAX};
  if (found.file->compression == QN_COMPRESSION_NONE) {
    found.first = (split - table->first_splits[low]) * table->split_bytes;
    found.end = found.file->n_bytes - found.first > table->split_bytes ? found.first + table->split_bytes
                                                                       : found.file->n_bytes;
  }
  return found;
}

qn_status qn_split_table_describe(const qn_split_table *table, const char *kind, qn_buffer *out,
                                  qn_error *err) {
  static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
  qn_status status = QN_OK;
  const char *path = table->files.n_files > 0 ? table->files.files[0].path : "";
  const char *slash = strrchr(path, '/');
  double amount = (double)table->files.n_bytes;
  int unit = 0;

  for (; amount >= 1024 && unit < 5; unit++) {
    amount /= 1024;
  }
  QN_TRY(qn_buffer_printf(out, err, "%s %s (", kind, slash != NULL ? slash + 1 : path));
  if (table->files.n_files != 1) {
    QN_TRY(qn_buffer_printf(out, err, "%" PRId64 " files, ", table->files.n_files));
  }
  QN_TRY(qn_buffer_printf(out, err, unit == 0 ? "%.0f %s)" : "%.1f %s)", amount, units[unit]));
  QN_TRY(qn_buffer_terminate(out, err));

done:
  return status;
}

void qn_split_table_release(qn_split_table *table) {
  qn_file_list_release(&table->files);
  qn_memory_free(table->first_splits);
  *table = (qn_split_table){0};
}
