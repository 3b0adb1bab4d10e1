// SPDX-License-Identifier: Apache-2.0
// Counts words: the smallest whole job. Words are what ASCII white space separates, bytes as they are; with
// --fold upper case becomes lower case and only letters count.
//
//   mpirun -n 4 wordcount --output counts.csv books/*.txt
#include <stdlib.h>
#include <string.h>
#include <quern/quern.h>

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

// Bytes of the UTF-8 character at `at`, or 0 if there is none.
static int64_t character_size(const unsigned char *at, int64_t left) {
  const int64_t size = at[0] < 0x80   ? 1
                       : at[0] < 0xC2 ? 0
                       : at[0] < 0xE0 ? 2
                       : at[0] < 0xF0 ? 3
                       : at[0] < 0xF5 ? 4
                                      : 0;
  if (size > left) {
    return 0;
  }
  for (int64_t i = 1; i < size; i++) {
    if ((at[i] & 0xC0) != 0x80) {
      return 0;
    }
  }
  const bool is_too_long = (at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xF0 && at[1] < 0x90);
  const bool is_no_code = (at[0] == 0xED && at[1] >= 0xA0) || (at[0] == 0xF4 && at[1] >= 0x90);
  return is_too_long || is_no_code ? 0 : size;
}

// For showing, in: word binary, n int64 -> out: word utf8, n int64; a question mark for each byte that is no
// text, and the begin of what is very long
static qn_status words_as_text(const qn_batch *in, qn_appender *out, void *ctx) {
  const qn_column *words = qn_batch_column(in, 0);
  (void)ctx;

  for (int64_t row = 0; row < words->n_rows; row++) {
    const qn_text word = qn_column_text(words, row);
    char text[80];
    int64_t n = 0;
    for (int64_t at = 0; at < word.size && n + 4 <= (int64_t)sizeof text;) {
      const int64_t size = character_size((const unsigned char *)word.data + at, word.size - at);
      if (size == 0) {
        text[n++] = '?';
      } else {
        memcpy(text + n, word.data + at, (size_t)size);
        n += size;
      }
      at += size == 0 ? 1 : size;
    }
    qn_append_text(out, text, n);
    qn_append_from(out, qn_batch_column(in, 1), row);
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
  const int64_t n = qn_job_option_int64(job, "top", 0, 1000000);
  folded_text folded = {NULL, 0};

  qn_dataset *lines = qn_read_lines(job, qn_job_inputs(job));
  qn_dataset *words =
      qn_map(lines, split_words, qn_job_option(job, "fold") != NULL ? &folded : NULL, "word binary");
  qn_dataset *counts = qn_cache(qn_sort(qn_reduce(words, "word", "count(*) as n"), "n desc, word"));
  qn_write_csv(counts, qn_job_output(job), &(qn_csv_write_options){.raw_binary = true});
  if (n > 0) {
    qn_show(qn_map(qn_limit(counts, n), words_as_text, NULL, "word utf8, n int64"), n);
  }
  qn_job_print(job, "%s\n", qn_job_output(job));
  const int code = qn_job_close(job);
  free(folded.data);
  return code;
}
