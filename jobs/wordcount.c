// SPDX-License-Identifier: Apache-2.0
// Counts words: the smallest whole job. Words are what ASCII white space separates, bytes as they are; with
// --fold upper case becomes lower case and only letters count.
//
//   mpirun -n 4 wordcount --output counts.csv books/*.txt
#include <string.h>
#include <quern/quern.h>

#include <stdlib.h>

typedef struct {
  char *data;
  int64_t capacity;
} folded_text;

// Letters are A to Z, and whatever is not ASCII; white space stays, for it separates words.
static int64_t fold(const qn_text *line, char *to) {
  int64_t n = 0;
  for (int64_t i = 0; i < line->size; i++) {
    const unsigned char c = (unsigned char)line->data[i];
    if (c >= 'A' && c <= 'Z') {
      to[n++] = (char)(c + 32);
    } else if (c >= 0x80 || (c >= 'a' && c <= 'z') || c == ' ' || (c >= '\t' && c <= '\r')) {
      to[n++] = (char)c;
    }
  }
  return n;
}

// in: line binary -> out: word binary
static qn_status split_words(const qn_batch *in, qn_appender *out, void *ctx) {
  folded_text *folded = ctx; // NULL: bytes as they are
  const qn_column *lines = qn_batch_column(in, 0);

  for (int64_t row = 0; row < lines->n_rows; row++) {
    const qn_text line = qn_column_text(lines, row);
    if (folded == NULL) {
      qn_append_words(out, line.data, line.size);
      continue;
    }
    if (line.size > folded->capacity) {
      char *grown = realloc(folded->data, (size_t)line.size * 2);
      if (grown == NULL) {
        return qn_appender_fail(out, "no memory for a line of %lld bytes", (long long)line.size);
      }
      *folded = (folded_text){.data = grown, .capacity = line.size * 2};
    }
    qn_append_words(out, folded->data, fold(&line, folded->data));
  }
  return QN_OK;
}

int main(int argc, char **argv) {
  static const qn_option options[] = {
      {.name = "fold", .help = "count in lower case, letters only"},
      {.name = "top", .argument = "N", .fallback = "10", .help = "words to show at the end"},
      {.name = NULL},
  };
  static const qn_job_about about = {.name = "wordcount",
                                     .summary = "Counts the words of text files: word,n by falling n.",
                                     .arguments = "FILE...",
                                     .output = "counts.csv",
                                     .options = options};
  qn_job *job = qn_job_open(argc, argv, &about);
  folded_text folded = {NULL, 0};

  qn_dataset *lines = qn_read_lines(job, qn_job_inputs(job));
  qn_dataset *words =
      qn_map(lines, split_words, qn_job_option(job, "fold") != NULL ? &folded : NULL, "word binary");
  qn_dataset *counts = qn_cache(qn_sort(qn_reduce(words, "word", "count(*) as n"), "n desc, word"));
  qn_write_csv(counts, qn_job_output(job), &(qn_csv_write_options){.raw_binary = true});
  const int64_t n = qn_job_option_int64(job, "top", 0, 1000000);
  if (n > 0) {
    qn_show(qn_map(qn_limit(counts, n), words_as_text, NULL, "word utf8, n int64"), n);
  }
  qn_job_print(job, "%s\n", qn_job_output(job));
  const int code = qn_job_close(job);
  free(folded.data);
  return code;
}
