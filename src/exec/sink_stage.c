// SPDX-License-Identifier: Apache-2.0
// Staging: each rank writes a part into a temporary folder; rank 0 writes the manifest last and renames the
// folder.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/files.h"
#include "exec/sinks.h"
#include "store/stage.h"

typedef struct stage_op {
  qn_op op;
  qn_stage_sink *sink;
  qn_part_writer *writer; // made with the first row; on rank 0 at once, so that there is a part in any case
  char *part;
  qn_buffer description;
} stage_op;

static qn_status open_writer(stage_op *state, qn_error *err) {
  if (state->writer != NULL) {
    return QN_OK;
  }
  return qn_part_writer_new(state->part, state->op.node->schema, &state->writer, err);
}

static qn_status push_stage(qn_op *op, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  stage_op *state = (stage_op *)op;

  QN_TRY(open_writer(state, err));
  QN_TRY(qn_part_writer_append(state->writer, batch, err));

done:
  return status;
}

// On rank 0: the descriptions of the parts that there are, cut out of what was gathered.
static qn_status write_manifest(const stage_op *state, const qn_buffer *all, const int64_t *sizes,
                                int n_ranks, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer *parts = calloc((size_t)n_ranks, sizeof *parts);
  int64_t at = 0;
  int64_t n_parts = 0;

  QN_REQUIRE(parts != NULL, err, QN_ERR_MEMORY, "no memory for a manifest");
  for (int r = 0; r < n_ranks; r++) {
    if (sizes[r] > 0) {
      parts[n_parts++] = (qn_buffer){.data = all->data + at, .size = sizes[r]};
    }
    at += sizes[r];
  }
  QN_TRY(qn_manifest_write(state->sink->temporary, state->op.node->schema, parts, n_parts,
                           state->sink->sorted_by, NULL, err));

done:
  free(parts);
  return status;
}

static qn_status finish_stage(qn_op *op, qn_error *err) {
  qn_status status = QN_OK;
  stage_op *state = (stage_op *)op;
  qn_comm *comm = op->run->comm;
  const bool is_first = qn_comm_rank(comm) == 0;
  qn_buffer all = {0};
  int64_t *sizes = calloc((size_t)qn_comm_size(comm), sizeof *sizes);

  QN_REQUIRE(sizes != NULL, err, QN_ERR_MEMORY, "no memory");
  if (state->writer == NULL && is_first) {
    QN_TRY(open_writer(state, err));
  }
  if (state->writer != NULL) {
    QN_TRY(qn_part_writer_finish(state->writer, &state->description, err));
  }
  if (!state->sink->is_single_file) {
    QN_TRY(qn_comm_gather(comm, state->description.data, state->description.size, &all, sizes, err));
    if (is_first) {
      QN_TRY(write_manifest(state, &all, sizes, qn_comm_size(comm), err));
    }
  }

done:
  free(sizes);
  qn_buffer_release(&all);
  return status;
}

static void close_stage(qn_op *op) {
  stage_op *state = (stage_op *)op;

  qn_part_writer_free(state->writer);
  state->writer = NULL;
  qn_buffer_release(&state->description);
  free(state->part);
  state->part = NULL;
  free(state->sink->temporary);
  state->sink->temporary = NULL;
}

static const qn_op_ops stage_ops = {.name = "stage",
                                    .state_size = sizeof(stage_op),
                                    .push = push_stage,
                                    .finish = finish_stage,
                                    .close = close_stage};

// A stage may replace a stage, never something else.
static qn_status check_target(const char *path, qn_error *err) {
  struct stat info;
  char *manifest = NULL;
  qn_status status = QN_OK;

  if (lstat(path, &info) != 0) {
    return QN_OK;
  }
  QN_REQUIRE(S_ISDIR(info.st_mode), err, QN_ERR_IO,
             "%s: cannot stage here: a file of that name exists; remove it or choose another name", path);
  QN_REQUIRE(asprintf(&manifest, "%s/manifest.json", path) >= 0, err, QN_ERR_MEMORY,
             "no memory for a file name");
  QN_REQUIRE(
      qn_file_exists(manifest) || rmdir(path) == 0, err, QN_ERR_IO,
      "%s: cannot stage here: the folder exists and is no staged dataset; remove it or choose another name",
      path);

done:
  free(manifest);
  return status;
}

// A job that was killed while it replaced a stage may have left the old one aside.
static qn_status restore_old(const qn_stage_sink *sink, qn_error *err) {
  qn_status status = QN_OK;
  char *old = NULL;

  QN_REQUIRE(asprintf(&old, "%s-old", sink->temporary) >= 0, err, QN_ERR_MEMORY, "no memory for a file name");
  if (qn_file_exists(old) && !qn_file_exists(sink->path)) {
    QN_REQUIRE(rename(old, sink->path) == 0, err, QN_ERR_IO, "renaming %s to %s: %s", old, sink->path,
               strerror(errno));
  }
  QN_TRY(qn_folder_remove(old, err));

done:
  free(old);
  return status;
}

static qn_status prepare_folder(const qn_stage_sink *sink, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_folder_make_for(sink->path, err));
  if (!sink->is_single_file) {
    QN_TRY(restore_old(sink, err));
    QN_TRY(check_target(sink->path, err));
    QN_TRY(qn_folder_remove(sink->temporary, err));
    QN_TRY(qn_folder_make(sink->temporary, err));
  }

done:
  return status;
}

static qn_status make_stage(void *ctx, qn_run *run, const qn_dataset *node, qn_op **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_stage_sink *sink = ctx;
  qn_op *op = NULL;

  sink->temporary = qn_temporary_path(sink->path);
  QN_REQUIRE(sink->temporary != NULL, err, QN_ERR_MEMORY, "no memory for a file name");
  QN_TRY(qn_op_new(run, &stage_ops, node, NULL, &op, err));
  stage_op *state = (stage_op *)op;
  state->sink = sink;
  const int made = sink->is_single_file
                       ? asprintf(&state->part, "%s", sink->temporary)
                       : asprintf(&state->part, "%s/part-%05d.h5", sink->temporary, qn_comm_rank(run->comm));
  if (made < 0) {
    state->part = NULL;
  }
  QN_REQUIRE(state->part != NULL, err, QN_ERR_MEMORY, "no memory for a file name");
  if (qn_comm_rank(run->comm) == 0) {
    QN_TRY(prepare_folder(sink, err));
  }
  QN_TRY(qn_comm_barrier(run->comm, err)); // the folder is there before a part is written
  *out = op;
  if (sink->is_single_file) {
    QN_TRY(qn_make_gather_exchange(run, node->schema, 0, true, op, out, err));
  }

done:
  return status;
}

// Where the file system cannot do it in one step: the old one steps aside, and comes back if the new one
// cannot take its place. Who is killed in between leaves the old one aside; prepare_folder() brings it back.
static qn_status replace_in_steps(const qn_stage_sink *sink, const char *old, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_folder_remove(old, err));
  QN_REQUIRE(rename(sink->path, old) == 0, err, QN_ERR_IO, "%s: cannot replace: %s", sink->path,
             strerror(errno));
  status = qn_file_publish(sink->temporary, sink->path, err);
  if (status != QN_OK) {
    rename(old, sink->path);
    goto done;
  }
  QN_TRY(qn_folder_remove(old, err));

done:
  return status;
}

static qn_status replace_folder(const qn_stage_sink *sink, qn_error *err) {
  qn_status status = QN_OK;
  char *old = NULL;
  bool is_done = false;

  if (!qn_file_exists(sink->path)) {
    return qn_file_publish(sink->temporary, sink->path, err);
  }
  QN_REQUIRE(asprintf(&old, "%s-old", sink->temporary) >= 0, err, QN_ERR_MEMORY, "no memory for a file name");
  QN_TRY(qn_file_exchange(sink->temporary, sink->path, &is_done, err));
  if (is_done) {
    QN_TRY(qn_folder_remove(sink->temporary, err));
  } else {
    QN_TRY(replace_in_steps(sink, old, err));
  }

done:
  free(old);
  return status;
}

static qn_status commit_stage(void *ctx, qn_run *run, qn_error *err) {
  const qn_stage_sink *sink = ctx;

  if (qn_comm_rank(run->comm) != 0) {
    return QN_OK;
  }
  return sink->is_single_file ? qn_file_publish(sink->temporary, sink->path, err) : replace_folder(sink, err);
}

static void undo_stage(void *ctx, qn_run *run) {
  const qn_stage_sink *sink = ctx;

  if (qn_comm_rank(run->comm) == 0 && sink->temporary != NULL) {
    qn_folder_remove(sink->temporary, NULL);
  }
}

qn_sink qn_stage_sink_of(qn_stage_sink *stage) {
  return (qn_sink){.make = make_stage,
                   .commit = commit_stage,
                   .undo = undo_stage,
                   .in_order = stage->is_single_file,
                   .ctx = stage};
}
