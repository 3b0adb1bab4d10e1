// SPDX-License-Identifier: Apache-2.0
// Damages a file, reads what it belongs to as a job does, and puts the file right again; hundreds of times in
// one start of MPI, which takes longer than a reading. A line of PROBES, with tabs between: KIND, PATH, DATA,
// WHEN, TARGET, DAMAGE, AT. KIND is csv, text, stage, or model (then DATA is a CSV file that is predicted).
// WHEN is before the job, listed (the job knows what it will read) or reading (when rank 0 has its first
// rows). DAMAGE is none, cut (at byte AT), flip (bit AT % 8 of byte AT), rewrite and replace (as many bytes,
// all of them AT; in the same file or in a new one), grow, or away (the file or folder is not there). For
// each line rank 0 writes the exit code, a hash of all values read, the number of rows, and the message.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <quern/quern.h>
#include "base/files.h"
#include "base/hash.h"
#include "column/print.h"
#include "comm/comm.h"

// HDF5 itself forgets some memory when it meets a damaged file; LeakSanitizer shall not count that.
// Seen from outside, since the leak checker may be a shared library.
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
  return "leak:libhdf5";
}

enum { KIND, PATH, DATA, WHEN, TARGET, DAMAGE, AT, N_FIELDS };

typedef struct torn_probe {
  char *fields[N_FIELDS];
  bool is_first; // rank 0 does what is done to files
  bool is_done;  // the damage
  qn_buffer whole;
} torn_probe;

static void must(bool is_true, const char *what) {
  if (!is_true) {
    perror(what);
    abort();
  }
}

static bool is_field(const torn_probe *probe, int field, const char *text) {
  return strcmp(probe->fields[field], text) == 0;
}

// The name of the target while it is away, and of its successor.
static const char *name_beside(const torn_probe *probe, char *out, size_t size) {
  snprintf(out, size, "%s.beside", probe->fields[TARGET]);
  return out;
}

static void overwrite(const char *path, const void *data, int64_t size) {
  FILE *file = fopen(path, "wb");
  must(file != NULL && fwrite(data, 1, (size_t)size, file) == (size_t)size && fclose(file) == 0, path);
}

static void damage(torn_probe *probe, const char *now) {
  const char *target = probe->fields[TARGET];
  const int64_t at = strtoll(probe->fields[AT], NULL, 10);
  char beside[4200];
  if (!probe->is_first || probe->is_done || !is_field(probe, WHEN, now)) {
    return;
  }
  probe->is_done = true;
  name_beside(probe, beside, sizeof beside);
  if (is_field(probe, DAMAGE, "away")) {
    must(rename(target, beside) == 0, target);
    return;
  }
  must(qn_file_read_all(target, INT64_C(1) << 30, &probe->whole, NULL) == QN_OK, target);
  qn_buffer changed = {0};
  must(qn_buffer_append(&changed, probe->whole.data, probe->whole.size, NULL) == QN_OK, target);
  if (is_field(probe, DAMAGE, "cut")) {
    must(truncate(target, at) == 0, target);
  } else if (is_field(probe, DAMAGE, "flip") && at < changed.size) {
    changed.data[at] ^= (uint8_t)(1u << at % 8);
    overwrite(target, changed.data, changed.size);
  } else if (is_field(probe, DAMAGE, "grow")) {
    FILE *file = fopen(target, "ab");
    must(file != NULL && fprintf(file, "\n%" PRId64 "\n", at) > 0 && fclose(file) == 0, target);
  } else if (is_field(probe, DAMAGE, "rewrite") || is_field(probe, DAMAGE, "replace")) {
    const bool is_new = is_field(probe, DAMAGE, "replace");
    memset(changed.data, (int)at, (size_t)changed.size);
    overwrite(is_new ? beside : target, changed.data, changed.size);
    must(!is_new || rename(beside, target) == 0, target);
  }
  qn_buffer_release(&changed);
}

static void put_right(torn_probe *probe) {
  char beside[4200];
  if (probe->is_done && is_field(probe, DAMAGE, "away")) {
    must(rename(name_beside(probe, beside, sizeof beside), probe->fields[TARGET]) == 0, beside);
  } else if (probe->is_done) {
    overwrite(probe->fields[TARGET], probe->whole.data, probe->whole.size);
  }
  qn_buffer_release(&probe->whole);
}

static qn_dataset *open_dataset(qn_job *job, const torn_probe *probe) {
  if (is_field(probe, KIND, "text")) {
    return qn_read_text(job, probe->fields[PATH]);
  }
  if (is_field(probe, KIND, "stage")) {
    return qn_read_stage(job, probe->fields[PATH]);
  }
  if (is_field(probe, KIND, "model")) {
    qn_model *model = qn_model_load(job, probe->fields[PATH]);
    return qn_predict(qn_read_csv(job, probe->fields[DATA], NULL), model);
  }
  return qn_read_csv(job, probe->fields[PATH], NULL);
}

static uint64_t hash_of(const qn_batch *rows) {
  qn_buffer text = {0};
  for (int64_t row = 0; row < qn_batch_n_rows(rows); row++) {
    for (int c = 0; c < qn_batch_n_columns(rows); c++) {
      const qn_column *column = qn_batch_column(rows, c);
      const char mark = qn_column_is_null(column, row) ? 'n' : 'v';
      must(qn_value_print(column, row, &text, NULL) == QN_OK &&
               qn_buffer_append(&text, &mark, 1, NULL) == QN_OK,
           "no memory");
    }
  }
  const uint64_t hash = qn_hash_bytes(text.data, text.size, 0);
  qn_buffer_release(&text);
  return hash;
}

// Passes the rows on; the damage may be due with the first of them.
static qn_status see(const qn_batch *rows, qn_appender *out, void *ctx) {
  damage(ctx, "reading");
  for (int64_t row = 0; row < qn_batch_n_rows(rows); row++) {
    for (int c = 0; c < qn_batch_n_columns(rows); c++) {
      qn_append_from(out, qn_batch_column(rows, c), row);
    }
  }
  return QN_OK;
}

static qn_dataset *seen(qn_dataset *dataset, torn_probe *probe) {
  char text[1000] = "";
  size_t size = 0;
  const qn_schema *schema = qn_dataset_schema(dataset);
  if (schema == NULL || !is_field(probe, WHEN, "reading")) {
    return dataset;
  }
  for (int c = 0; c < qn_schema_n_columns(schema); c++) {
    size += (size_t)snprintf(text + size, sizeof text - size, "%s%s %s", c > 0 ? ", " : "",
                             qn_schema_name(schema, c), qn_type_name(qn_schema_type(schema, c)));
    must(size < sizeof text, "too many columns");
  }
  return qn_map(dataset, see, probe, text);
}

// One job from its start to its end, as a program would run it.
static void run_job(torn_probe *probe, FILE *out) {
  static const qn_job_about about = {.name = "torn_driver", .only_looks = true};
  char *arguments[] = {(char[]){"torn_driver"}, NULL};
  qn_error err = {0};
  qn_batch *rows = NULL;
  qn_job *job = qn_job_open(1, arguments, &about);
  qn_dataset *dataset = seen(open_dataset(job, probe), probe);
  damage(probe, "listed");
  if (qn_job_status(job, NULL) == QN_OK) {
    qn_collect(dataset, &rows);
  }
  qn_job_status(job, &err);
  const bool has_rows = rows != NULL && qn_job_status(job, NULL) == QN_OK;
  const uint64_t hash = has_rows ? hash_of(rows) : 0;
  const int64_t n_rows = has_rows ? qn_batch_n_rows(rows) : -1;
  qn_batch_free(rows);
  const int code = qn_job_close(job);
  for (char *c = err.message; *c != '\0'; c++) {
    *c = *c == '\n' || *c == '\t' || *c == '\r' ? ' ' : *c;
  }
  fprintf(out, "%d\t%016" PRIx64 "\t%" PRId64 "\t%s\n", code, hash, n_rows, err.message);
  fflush(out);
}

int main(int argc, char **argv) {
  char line[4096];
  qn_comm *comm = NULL; // keeps MPI open from job to job
  must(argc == 3 && qn_comm_open(&comm, NULL) == QN_OK, "usage: torn_driver PROBES RESULTS");
  const bool is_first = qn_comm_rank(comm) == 0;
  FILE *probes = fopen(argv[1], "r"), *out = fopen(is_first ? argv[2] : "/dev/null", "w");
  must(probes != NULL && out != NULL, argv[1]);
  while (fgets(line, sizeof line, probes) != NULL) {
    torn_probe probe = {.is_first = is_first};
    char *rest = line;
    line[strcspn(line, "\n")] = '\0';
    for (int f = 0; f < N_FIELDS; f++) {
      probe.fields[f] = strsep(&rest, "\t");
      must(probe.fields[f] != NULL, line);
    }
    damage(&probe, "before");
    qn_comm_agree(comm, qn_comm_barrier(comm, NULL), NULL);
    run_job(&probe, out);
    qn_comm_agree(comm, qn_comm_barrier(comm, NULL), NULL);
    put_right(&probe);
  }
  fclose(out);
  fclose(probes);
  qn_comm_close(comm);
  return 0;
}
