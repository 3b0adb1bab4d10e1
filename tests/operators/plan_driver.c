// SPDX-License-Identifier: Apache-2.0
// Runs a dataflow written as text, so that tests in Python can try every verb on data of their own and
// compare with another engine. One step a line, fields separated by a tab: RESULT, VERB, then the verb's
// arguments:
//
//   a  csv  a-*.csv  k int64, x float64
//   r  reduce  a  k  count(*) as n
//   -  write  r  out.csv
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <quern/quern.h>

enum { MAX_DATASETS = 4096, MAX_FIELDS = 8, MAX_NUMBERS = 16 };

typedef struct named {
  char name[64];
  qn_dataset *dataset;
} named;

typedef struct plan_driver {
  qn_job *job;
  named datasets[MAX_DATASETS];
  int n;
  const char *fields[MAX_FIELDS]; // of the line: the arguments from [0] on; "" where there is none
} plan_driver;

static qn_dataset *find(plan_driver *driver, const char *name) {
  for (int i = driver->n - 1; i >= 0; i--) {
    if (strcmp(driver->datasets[i].name, name) == 0) {
      return driver->datasets[i].dataset;
    }
  }
  qn_job_fail(driver->job, "no dataset '%s'", name);
  return NULL;
}

static const char *or_null(const char *text) {
  return text[0] == '\0' ? NULL : text;
}

static qn_dataset *do_csv(plan_driver *d) {
  char paths[65536];
  size_t n = 0;
  for (const char *c = d->fields[0]; *c != '\0' && n < sizeof paths - 1; c++) {
    paths[n++] = *c == ' ' ? '\n' : *c;
  }
  paths[n] = '\0';
  return qn_read_csv(d->job, paths,
                     &(qn_csv_options){.schema = or_null(d->fields[1]), .rejects = or_null(d->fields[2])});
}

// Rows whose values a query can compute from their number i: "i int64, k int64, g int32, x float64, s utf8".
static qn_status numbers(int64_t first, int64_t n, qn_appender *out, void *ctx) {
  const int64_t n_keys = *(const int64_t *)ctx;
  char text[64];
  for (int64_t i = first; i < first + n; i++) {
    qn_append_int64(out, i);
    qn_append_int64(out, (i * 7919 + 13) % n_keys);
    qn_append_int32(out, (int32_t)(i % 100));
    qn_append_float64(out, (double)(i * 104729 % 1000003) / 4);
    const int size = snprintf(text, sizeof text, "some text that all of the rows have -%010lld",
                              (long long)(i * 31337 % 9999999967));
    qn_append_text(out, text, size);
  }
  return QN_OK;
}

static qn_dataset *do_numbers(plan_driver *d) {
  static int64_t n_keys[MAX_NUMBERS]; // as long as the job
  static int n = 0;
  if (n == MAX_NUMBERS) {
    qn_job_fail(d->job, "more than %d datasets of numbers", MAX_NUMBERS);
    return NULL;
  }
  n_keys[n] = strtoll(d->fields[1], NULL, 10);
  return qn_generate(d->job, "i int64, k int64, g int32, x float64, s utf8", strtoll(d->fields[0], NULL, 10),
                     numbers, &n_keys[n++]);
}

static qn_dataset *do_text(plan_driver *d) {
  return qn_read_text(d->job, d->fields[0]);
}

static qn_dataset *do_read_stage(plan_driver *d) {
  return qn_read_stage(d->job, d->fields[0]);
}

static qn_dataset *do_stage(plan_driver *d) {
  return qn_stage(find(d, d->fields[0]), d->fields[1]);
}

static qn_dataset *do_filter(plan_driver *d) {
  return qn_filter(find(d, d->fields[0]), d->fields[1]);
}

static qn_dataset *do_select(plan_driver *d) {
  return qn_select(find(d, d->fields[0]), d->fields[1]);
}

// Every row twice, the second time with its first column (int64) negated and the others null.
static qn_status twice(const qn_batch *in, qn_appender *out, void *ctx) {
  (void)ctx;
  for (int64_t row = 0; row < qn_batch_n_rows(in); row++) {
    for (int c = 0; c < qn_batch_n_columns(in); c++) {
      qn_append_from(out, qn_batch_column(in, c), row);
    }
    const qn_column *first = qn_batch_column(in, 0);
    if (qn_column_is_null(first, row)) {
      qn_append_null(out);
    } else {
      qn_append_int64(out, -qn_column_int64(first, row));
    }
    for (int c = 1; c < qn_batch_n_columns(in); c++) {
      qn_append_null(out);
    }
  }
  return QN_OK;
}

static qn_dataset *do_map_twice(plan_driver *d) {
  return qn_map(find(d, d->fields[0]), twice, NULL, d->fields[1]);
}

// Fails on the last rank when it sees its first rows.
static qn_status fail_on_last(const qn_batch *in, qn_appender *out, void *ctx) {
  const qn_job *job = ctx;
  (void)in;
  return qn_job_rank(job) == qn_job_n_ranks(job) - 1 ? qn_appender_fail(out, "this callback fails on purpose")
                                                     : QN_OK;
}

static qn_dataset *do_map_fail(plan_driver *d) {
  return qn_map(find(d, d->fields[0]), fail_on_last, d->job, d->fields[1]);
}

static qn_dataset *do_shuffle(plan_driver *d) {
  return qn_shuffle(find(d, d->fields[0]), d->fields[1]);
}

static qn_dataset *do_shuffle_range(plan_driver *d) {
  return qn_shuffle_range(find(d, d->fields[0]), d->fields[1]);
}

static qn_status by_row(const qn_batch *in, int n_ranks, int32_t *destinations, void *ctx) {
  (void)ctx;
  for (int64_t row = 0; row < qn_batch_n_rows(in); row++) {
    destinations[row] = (int32_t)(row % n_ranks);
  }
  return QN_OK;
}

static qn_dataset *do_shuffle_own(plan_driver *d) {
  return qn_shuffle_by(find(d, d->fields[0]), by_row, NULL);
}

static qn_dataset *do_reduce(plan_driver *d) {
  return qn_reduce(find(d, d->fields[0]), or_null(d->fields[1]), d->fields[2]);
}

// The sum of each value column, which must all be int64 (null counts as 0).
static qn_status add_int64(const qn_batch *left, const qn_batch *right, qn_appender *out, void *ctx) {
  (void)ctx;
  for (int64_t row = 0; row < qn_batch_n_rows(left); row++) {
    for (int c = 0; c < qn_batch_n_columns(left); c++) {
      const qn_column *a = qn_batch_column(left, c);
      const qn_column *b = qn_batch_column(right, c);
      qn_append_int64(out, (qn_column_is_null(a, row) ? 0 : qn_column_int64(a, row)) +
                               (qn_column_is_null(b, row) ? 0 : qn_column_int64(b, row)));
    }
  }
  return QN_OK;
}

static qn_dataset *do_combine_add(plan_driver *d) {
  return qn_combine(find(d, d->fields[0]), d->fields[1], add_int64, NULL);
}

// "first column of the key's first row, number of rows": schema "k int64, n int64"; odd keys stop after one
// batch.
static qn_status count_rows(qn_group *group, qn_appender *out, void *ctx) {
  const qn_batch *batch = NULL;
  int64_t n = 0;
  (void)ctx;
  while (qn_group_next(group, &batch) == QN_OK && batch != NULL) {
    const qn_column *key = qn_batch_column(batch, 0);
    if (n == 0 && qn_column_is_null(key, 0)) {
      qn_append_null(out);
    } else if (n == 0) {
      qn_append_int64(out, qn_column_int64(key, 0));
    }
    n += qn_batch_n_rows(batch);
  }
  qn_append_int64(out, n);
  return QN_OK;
}

static qn_dataset *do_group_count(plan_driver *d) {
  return qn_group_by(find(d, d->fields[0]), d->fields[1], or_null(d->fields[2]), count_rows, NULL,
                     "k int64, n int64");
}

static qn_dataset *do_join(plan_driver *d) {
  static const char *const kinds[] = {"inner", "left", "right", "full", "semi", "anti"};
  for (int kind = 0; kind < 6; kind++) {
    if (strcmp(kinds[kind], d->fields[2]) == 0) {
      return qn_join(find(d, d->fields[0]), find(d, d->fields[1]), (qn_join_kind)kind, d->fields[3],
                     or_null(d->fields[4]));
    }
  }
  qn_job_fail(d->job, "no join '%s'", d->fields[2]);
  return NULL;
}

static qn_dataset *do_distinct(plan_driver *d) {
  return qn_distinct(find(d, d->fields[0]), or_null(d->fields[1]));
}

static qn_dataset *do_sort(plan_driver *d) {
  return qn_sort(find(d, d->fields[0]), d->fields[1]);
}

static qn_dataset *do_top(plan_driver *d) {
  return qn_top(find(d, d->fields[0]), d->fields[1], strtoll(d->fields[2], NULL, 10));
}

static qn_dataset *do_union(plan_driver *d) {
  return qn_union(find(d, d->fields[0]), find(d, d->fields[1]));
}

static qn_dataset *do_limit(plan_driver *d) {
  return qn_limit(find(d, d->fields[0]), strtoll(d->fields[1], NULL, 10));
}

static qn_dataset *do_sample(plan_driver *d) {
  return qn_sample(find(d, d->fields[0]), strtod(d->fields[1], NULL), strtoull(d->fields[2], NULL, 10));
}

static qn_dataset *do_window(plan_driver *d) {
  return qn_window(find(d, d->fields[0]), or_null(d->fields[1]), or_null(d->fields[2]), d->fields[3]);
}

static qn_dataset *do_zip(plan_driver *d) {
  return qn_zip_with_index(find(d, d->fields[0]), d->fields[1]);
}

static qn_dataset *do_cache(plan_driver *d) {
  return qn_cache(find(d, d->fields[0]));
}

static qn_dataset *do_write(plan_driver *d) {
  qn_dataset *dataset = find(d, d->fields[0]);
  if (qn_write(dataset, d->fields[1]) != QN_OK) {
    return NULL; // the job reports it
  }
  return dataset;
}

static qn_dataset *do_count(plan_driver *d) {
  int64_t n = 0;
  qn_dataset *dataset = find(d, d->fields[0]);
  if (qn_count(dataset, &n) == QN_OK) {
    qn_job_print(d->job, "%s: %lld rows\n", d->fields[0], (long long)n);
  }
  return dataset;
}

static qn_dataset *do_show(plan_driver *d) {
  qn_dataset *dataset = find(d, d->fields[0]);
  return qn_show(dataset, strtoll(d->fields[1], NULL, 10)) == QN_OK ? dataset : NULL;
}

static qn_dataset *do_explain(plan_driver *d) {
  qn_dataset *dataset = find(d, d->fields[0]);
  return qn_explain(dataset, stdout) == QN_OK ? dataset : NULL;
}

typedef struct verb {
  const char *name;
  qn_dataset *(*run)(plan_driver *driver);
} verb;

static const verb verbs[] = {
    {"csv", do_csv},
    {"numbers", do_numbers},
    {"text", do_text},
    {"read_stage", do_read_stage},
    {"stage", do_stage},
    {"filter", do_filter},
    {"select", do_select},
    {"map_twice", do_map_twice},
    {"map_fail", do_map_fail},
    {"shuffle", do_shuffle},
    {"shuffle_range", do_shuffle_range},
    {"shuffle_own", do_shuffle_own},
    {"reduce", do_reduce},
    {"combine_add", do_combine_add},
    {"group_count", do_group_count},
    {"join", do_join},
    {"distinct", do_distinct},
    {"sort", do_sort},
    {"top", do_top},
    {"union", do_union},
    {"limit", do_limit},
    {"sample", do_sample},
    {"window", do_window},
    {"zip", do_zip},
    {"cache", do_cache},
    {"write", do_write},
    {"count", do_count},
    {"show", do_show},
    {"explain", do_explain},
};

static void run_line(plan_driver *driver, char *line) {
  const char *parts[MAX_FIELDS + 2];
  int n = 0;

  for (char *at = line; at != NULL && n < MAX_FIELDS + 2;) {
    char *tab = strchr(at, '\t');
    parts[n++] = at;
    if (tab != NULL) {
      *tab++ = '\0';
    }
    at = tab;
  }
  for (int i = 0; i < MAX_FIELDS; i++) {
    driver->fields[i] = i + 2 < n ? parts[i + 2] : "";
  }
  for (size_t v = 0; n >= 2 && v < sizeof verbs / sizeof *verbs; v++) {
    if (strcmp(verbs[v].name, parts[1]) == 0) {
      named *result = &driver->datasets[driver->n < MAX_DATASETS - 1 ? driver->n++ : driver->n];
      snprintf(result->name, sizeof result->name, "%s", parts[0]);
      result->dataset = verbs[v].run(driver);
      return;
    }
  }
  qn_job_fail(driver->job, "no verb in '%s'", line);
}

int main(int argc, char **argv) {
  static const qn_job_about about = {.name = "plan_driver", .arguments = "PLAN"};
  static plan_driver driver;
  char *line = NULL;
  size_t capacity = 0;
  ssize_t size = 0;

  driver.job = qn_job_open(argc, argv, &about);
  FILE *plan = qn_job_inputs(driver.job) == NULL ? NULL : fopen(qn_job_inputs(driver.job), "r");
  while (plan != NULL && (size = getline(&line, &capacity, plan)) > 0) {
    line[strcspn(line, "\n")] = '\0';
    if (line[0] != '\0' && line[0] != '#') {
      run_line(&driver, line);
    }
  }
  free(line);
  if (plan != NULL) {
    fclose(plan);
  }
  return qn_job_close(driver.job);
}
