// SPDX-License-Identifier: Apache-2.0
// Datasets from files. Rank 0 alone looks at the file system (which files there are, headers, manifests) and
// sends what it found; so a thousand ranks do not ask for the same listing, and all see the same one.
#include <stdlib.h>
#include <string.h>

#include <quern/job.h>
#include "base/check.h"
#include "base/hash.h"
#include "exec/job_state.h"
#include "exec/rejects.h"
#include "exec/restart.h"
#include "io/csv_source.h"
#include "io/idx_source.h"
#include "io/libsvm_source.h"
#include "io/text_source.h"
#include "store/stage.h"

// What rank 0 finds out, and how the other ranks turn it into a source.
typedef struct input_finder {
  qn_status (*find)(const struct input_finder *finder, qn_buffer *out, qn_error *err); // on rank 0
  qn_status (*make)(const struct input_finder *finder, const qn_buffer *found, qn_source **out,
                    qn_error *err);
  qn_job *job;
  const char *paths;
  const char *labels; // idx; or NULL
  bool is_own;        // stage: this job has written it
  qn_type text_type;
  const qn_csv_options *csv;
  qn_rejects *rejects;
  uint64_t *identity; // find() adds which files they are and in what state
  int64_t *newest;    // and when the last of them was changed
} input_finder;

// The size of the first of two encoded things, then both.
static qn_status put_pair(qn_buffer *out, const qn_buffer *first, const qn_buffer *second, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_buffer_append(out, &first->size, sizeof first->size, err));
  QN_TRY(qn_buffer_append(out, first->data, first->size, err));
  QN_TRY(qn_buffer_append(out, second->data, second->size, err));

done:
  return status;
}

static qn_status find_files(const input_finder *finder, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_file_list files = {0};

  QN_TRY(qn_file_list_resolve(finder->paths, &files, err));
  qn_note_files(finder->job, &files);
  qn_restart_identify_files(finder->job, &files, finder->identity, finder->newest);
  QN_TRY(qn_file_list_encode(&files, out, err));

done:
  qn_file_list_release(&files);
  return status;
}

static qn_status make_text(const input_finder *finder, const qn_buffer *found, qn_source **out,
                           qn_error *err) {
  qn_status status = QN_OK;
  qn_file_list files = {0};

  QN_TRY(qn_file_list_decode(found->data, found->size, &files, err));
  QN_TRY(qn_text_source_new(&files, finder->text_type, 0, qn_comm_size(finder->job->comm), out, err));

done:
  qn_file_list_release(&files);
  return status;
}

static qn_status find_csv(const input_finder *finder, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_file_list files = {0};
  qn_csv_format format = {0};
  qn_buffer list = {0};
  qn_buffer head = {0};

  QN_TRY(qn_file_list_resolve(finder->paths, &files, err));
  qn_note_files(finder->job, &files);
  qn_restart_identify_files(finder->job, &files, finder->identity, finder->newest);
  QN_TRY(qn_csv_sniff(&files, finder->csv, &format, err));
  QN_TRY(qn_file_list_encode(&files, &list, err));
  QN_TRY(qn_csv_format_encode(&format, &head, err));
  *finder->identity = qn_hash_bytes(head.data, head.size, *finder->identity);
  QN_TRY(put_pair(out, &list, &head, err));

done:
  qn_buffer_release(&list);
  qn_buffer_release(&head);
  qn_csv_format_release(&format);
  qn_file_list_release(&files);
  return status;
}

static qn_status make_csv(const input_finder *finder, const qn_buffer *found, qn_source **out,
                          qn_error *err) {
  qn_status status = QN_OK;
  qn_file_list files = {0};
  qn_csv_format format = {0};
  int64_t list_size = 0;

  memcpy(&list_size, found->data, sizeof list_size);
  const uint8_t *list = found->data + sizeof list_size;
  QN_TRY(qn_file_list_decode(list, list_size, &files, err));
  QN_TRY(qn_csv_format_decode(list + list_size, found->size - (int64_t)sizeof list_size - list_size, &format,
                              err));
  QN_TRY(qn_csv_source_new(&files, &format, 0, qn_comm_size(finder->job->comm),
                           finder->rejects == NULL ? NULL : qn_rejects_add, finder->rejects, out, err));
  (*out)->reads_whole_rows = finder->rejects != NULL;

done:
  qn_csv_format_release(&format);
  qn_file_list_release(&files);
  return status;
}

static qn_status make_libsvm(const input_finder *finder, const qn_buffer *found, qn_source **out,
                             qn_error *err) {
  qn_status status = QN_OK;
  qn_file_list files = {0};

  QN_TRY(qn_file_list_decode(found->data, found->size, &files, err));
  QN_TRY(qn_libsvm_source_new(&files, 0, qn_comm_size(finder->job->comm), out, err));

done:
  qn_file_list_release(&files);
  return status;
}

// One file of a name.
static qn_status find_idx_file(const input_finder *finder, const char *path, qn_buffer *list,
                               qn_idx_head *head, qn_error *err) {
  qn_status status = QN_OK;
  qn_file_list files = {0};

  QN_TRY(qn_file_list_resolve(path, &files, err));
  QN_REQUIRE(files.n_files == 1, err, QN_ERR_ARG, "read idx: '%s' is %lld files; one is wanted", path,
             (long long)files.n_files);
  qn_note_files(finder->job, &files);
  qn_restart_identify_files(finder->job, &files, finder->identity, finder->newest);
  QN_TRY(qn_idx_head_read(&files.files[0], head, err));
  QN_TRY(qn_file_list_encode(&files, list, err));

done:
  qn_file_list_release(&files);
  return status;
}

// Two heads, then the lists of the images and of the labels, which may be empty.
static qn_status find_idx(const input_finder *finder, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer images = {0}, labels = {0};
  qn_idx_head heads[2] = {{0}};

  QN_TRY(find_idx_file(finder, finder->paths, &images, &heads[0], err));
  if (finder->labels != NULL) {
    QN_TRY(find_idx_file(finder, finder->labels, &labels, &heads[1], err));
  }
  QN_TRY(qn_buffer_append(out, heads, sizeof heads, err));
  QN_TRY(put_pair(out, &images, &labels, err));

done:
  qn_buffer_release(&images);
  qn_buffer_release(&labels);
  return status;
}

static qn_status make_idx(const input_finder *finder, const qn_buffer *found, qn_source **out,
                          qn_error *err) {
  qn_status status = QN_OK;
  qn_file_list images = {0}, labels = {0};
  qn_idx_head heads[2];
  int64_t size = 0;
  const uint8_t *at = found->data + sizeof heads;

  memcpy(heads, found->data, sizeof heads);
  memcpy(&size, at, sizeof size);
  at += sizeof size;
  QN_TRY(qn_file_list_decode(at, size, &images, err));
  qn_file both[2] = {images.files[0]};
  qn_file_list files = {.files = both, .n_files = 1, .n_bytes = images.n_bytes};
  if (finder->labels != NULL) {
    QN_TRY(qn_file_list_decode(at + size, found->data + found->size - at - size, &labels, err));
    both[files.n_files++] = labels.files[0];
    files.n_bytes += labels.n_bytes;
  }
  QN_TRY(qn_idx_source_new(&files, heads, qn_comm_size(finder->job->comm), out, err));

done:
  qn_file_list_release(&images);
  qn_file_list_release(&labels);
  return status;
}

static qn_status find_stage(const input_finder *finder, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_manifest *manifest = NULL;

  QN_TRY(qn_manifest_open(finder->paths, &manifest, err));
  if (!finder->is_own) {
    qn_note_stage(finder->job, finder->paths, qn_manifest_n_bytes(manifest));
  }
  QN_TRY(qn_manifest_encode(manifest, out, err));
  qn_restart_identify_stage(finder->job, finder->paths, out, finder->identity);

done:
  qn_manifest_free(manifest);
  return status;
}

static qn_status make_stage(const input_finder *finder, const qn_buffer *found, qn_source **out,
                            qn_error *err) {
  qn_status status = QN_OK;
  qn_manifest *manifest = NULL;

  (void)finder;
  QN_TRY(qn_manifest_decode(found->data, found->size, &manifest, err));
  QN_TRY(qn_stage_source_new_take(manifest, out, err));

done:
  return status;
}

// Collective.
static qn_dataset *read_with(const input_finder *given, const char *what) {
  qn_status status = QN_OK;
  qn_error err = {0};
  qn_buffer found = {0};
  qn_source *source = NULL;
  uint64_t identity = qn_hash_bytes(what, (int64_t)strlen(what), 0);
  int64_t newest = 0;
  input_finder with_identity = *given;
  const input_finder *finder = &with_identity;
  qn_job *job = finder->job;

  with_identity.identity = &identity;
  with_identity.newest = &newest;

  if (qn_job_check(job, &err) != QN_OK) { // known to all ranks: none of them reads
    return qn_plan_finish(qn_plan_node(&job->plan, QN_NODE_SOURCE, NULL, NULL, finder->paths), job->status,
                          &err);
  }
  QN_REQUIRE(finder->paths != NULL && finder->paths[0] != '\0', &err, QN_ERR_ARG, "%s: no file is given",
             what);
  if (qn_comm_rank(job->comm) == 0) {
    QN_TRY(finder->find(finder, &found, &err));
  }
  QN_TRY(qn_comm_broadcast(job->comm, 0, &found, &err));
  QN_TRY(finder->make(finder, &found, &source, &err));
  source->identity = identity;
  QN_TRY(qn_restart_check_input(job, source, newest, &err));

done:
  qn_buffer_release(&found);
  status = qn_comm_agree(job->comm, status, &err);
  if (status != QN_OK) {
    if (source != NULL) {
      qn_source_free(source);
    }
    qn_job_keep_error(job, status, &err);
    return qn_plan_finish(qn_plan_node(&job->plan, QN_NODE_SOURCE, NULL, NULL, finder->paths), status, &err);
  }
  return qn_plan_source_take(&job->plan, source);
}

QN_API qn_dataset *qn_read_text(qn_job *job, const char *paths) {
  const input_finder text = {
      .find = find_files, .make = make_text, .job = job, .paths = paths, .text_type = QN_UTF8};
  return read_with(&text, "read text");
}

QN_API qn_dataset *qn_read_lines(qn_job *job, const char *paths) {
  const input_finder lines = {
      .find = find_files, .make = make_text, .job = job, .paths = paths, .text_type = QN_BINARY};
  return read_with(&lines, "read lines");
}

QN_API qn_dataset *qn_read_csv(qn_job *job, const char *paths, const qn_csv_options *options) {
  static const qn_csv_options defaults = {0};
  qn_error err = {0};
  input_finder csv = {.find = find_csv, .make = make_csv, .job = job, .paths = paths};

  csv.csv = options == NULL ? &defaults : options;
  if (csv.csv->rejects != NULL) {
    const char *path = qn_arena_string(&job->arena, csv.csv->rejects);
    const qn_status status = qn_rejects_new(path, &csv.rejects, &err);
    if (status != QN_OK) {
      qn_job_keep_error(job, status, &err);
    } else {
      csv.rejects->next = job->rejects;
      job->rejects = csv.rejects;
    }
  }
  return read_with(&csv, "read csv");
}

QN_API qn_dataset *qn_read_libsvm(qn_job *job, const char *paths) {
  const input_finder libsvm = {.find = find_files, .make = make_libsvm, .job = job, .paths = paths};
  return read_with(&libsvm, "read libsvm");
}

QN_API qn_dataset *qn_read_idx(qn_job *job, const char *images, const char *labels) {
  const input_finder idx = {
      .find = find_idx, .make = make_idx, .job = job, .paths = images, .labels = labels};
  return read_with(&idx, "read idx");
}

QN_API qn_dataset *qn_read_stage(qn_job *job, const char *path) {
  const input_finder stage = {.find = find_stage, .make = make_stage, .job = job, .paths = path};
  return read_with(&stage, "read stage");
}

qn_dataset *qn_read_own_stage(qn_job *job, const char *path) {
  const input_finder stage = {
      .find = find_stage, .make = make_stage, .job = job, .paths = path, .is_own = true};
  return read_with(&stage, "read stage");
}
