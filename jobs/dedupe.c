// SPDX-License-Identifier: Apache-2.0
// Removes duplicate records from CSV files: of the rows whose keys are equal, once white space around them
// and upper case are left out, one stays. Without --keys whole rows are compared as they are.
//
//   mpirun -n 4 dedupe --keys "name, email" --output clean.csv people/*.csv
#include <stdio.h>
#include <string.h>
#include <quern/quern.h>

// Bytes to the next comma that stands in no brackets and no quotes, or to the end.
static size_t key_size(const char *keys) {
  size_t size = 0;
  char quote = '\0';

  for (int depth = 0; keys[size] != '\0' && (keys[size] != ',' || depth > 0 || quote != '\0'); size++) {
    const char c = keys[size];
    if (quote != '\0') {
      quote = c == quote ? '\0' : quote;
    } else if (c == '\'' || c == '"') {
      quote = c;
    } else {
      depth += (c == '(') - (c == ')');
    }
  }
  return size;
}

// "name, email" -> "*, lower(trim((name)::utf8)) as __key_0, lower(trim((email)::utf8)) as __key_1", and the
// keys' names; the number of keys, or -1 if they are too long
static int key_columns(const char *keys, char *select, size_t n_select, char *names, size_t n_names) {
  size_t at = (size_t)snprintf(select, n_select, "*");
  size_t name_at = 0;
  int n = 0;

  for (const char *key = keys; *key != '\0'; n++) {
    const size_t size = key_size(key);
    at += (size_t)snprintf(select + at, n_select - at, ", lower(trim((%.*s)::utf8)) as __key_%d", (int)size,
                           key, n);
    if (at >= n_select) {
      return -1;
    }
    name_at += (size_t)snprintf(names + name_at, n_names - name_at, "%s__key_%d", n == 0 ? "" : ", ", n);
    if (name_at >= n_names) {
      return -1;
    }
    key += size + (key[size] == ',');
  }
  return n;
}

// The columns of a dataset as a list for qn_select. NULL if it has none or `list` is too small.
static const char *column_list(const qn_dataset *dataset, char *list, size_t size) {
  const qn_schema *schema = qn_dataset_schema(dataset);
  size_t at = 0;

  for (int c = 0; schema != NULL && c < qn_schema_n_columns(schema); c++) {
    const char *name = qn_schema_name(schema, c);
    if (at + 2 * strlen(name) + 5 > size) {
      return NULL;
    }
    at += (size_t)snprintf(list + at, size - at, "%s\"", c == 0 ? "" : ", ");
    for (; *name != '\0'; name++) {
      if (*name == '"') {
        list[at++] = '"'; // a quote in a name is doubled
      }
      list[at++] = *name;
    }
    list[at++] = '"';
    list[at] = '\0';
  }
  return at == 0 ? NULL : list;
}

int main(int argc, char **argv) {
  static const qn_option options[] = {
      {.name = "keys",
       .argument = "LIST",
       .help = "columns or expressions that make rows the same (default: all)"},
      {.name = NULL},
  };
  static const qn_job_about about = {.name = "dedupe",
                                     .summary = "Keeps one of each set of duplicate CSV rows.",
                                     .arguments = "FILE...",
                                     .output = "distinct.csv",
                                     .options = options};
  char select[16384];
  char names[4096];
  char list[65536];
  int64_t n_before = 0;
  int64_t n_after = 0;
  qn_job *job = qn_job_open(argc, argv, &about);
  const char *keys = qn_job_option(job, "keys");

  qn_dataset *rows = qn_cache(qn_read_csv(job, qn_job_inputs(job), NULL));
  const char *columns = column_list(rows, list, sizeof list);
  qn_dataset *kept = NULL;
  if (columns == NULL ||
      (keys != NULL && key_columns(keys, select, sizeof select, names, sizeof names) <= 0)) {
    qn_job_fail(
        job, columns == NULL ? "the columns' names are too long" : "--keys: '%s' is empty or too long", keys);
    return qn_job_close(job);
  }
  kept = keys == NULL ? qn_distinct(rows, NULL)
                      : qn_select(qn_distinct(qn_select(rows, select), names), columns);
  kept = qn_cache(qn_sort(kept, columns));
  qn_write(kept, qn_job_output(job));
  qn_count(rows, &n_before);
  qn_count(kept, &n_after);
  qn_job_print(job, "%lld rows, %lld distinct, %lld removed\n%s\n", (long long)n_before, (long long)n_after,
               (long long)(n_before - n_after), qn_job_output(job));
  return qn_job_close(job);
}
