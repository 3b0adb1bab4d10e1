// SPDX-License-Identifier: Apache-2.0
// Counts words: the smallest whole job. Words are what ASCII white space separates, bytes as they are; with --fold
// upper case becomes lower case and only letters count.
//
//   mpirun -n 4 wordcount --output counts.csv books/*.txt
#include <quern/quern.h>

static bool is_space(unsigned char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

// Letters: A to Z, and whatever is not ASCII.
static int64_t fold_word(char *word, const char *from, int64_t size) {
  int64_t n = 0;
  for (int64_t i = 0; i < size; i++) {
    const unsigned char c = (unsigned char)from[i];
    if (c >= 0x80 || (c >= 'a' && c <= 'z')) {
      word[n++] = (char)c;
    } else if (c >= 'A' && c <= 'Z') {
      word[n++] = (char)(c + 32);
    }
  }
  return n;
}

static void append_folded(qn_appender *out, const char *word, int64_t size) {
  char folded[1024]; // longer words are cut into pieces; no language has them
  for (int64_t at = 0; at < size; at += (int64_t)sizeof folded) {
    const int64_t left = size - at;
    const int64_t n = fold_word(folded, word + at, left < (int64_t)sizeof folded ? left : (int64_t)sizeof folded);
    if (n > 0) {
      qn_append_text(out, folded, n);
    }
  }
}

// in: line binary -> out: word binary
static qn_status split_words(const qn_batch *in, qn_appender *out, void *ctx) {
  const bool fold = ctx != NULL;
  const qn_column *lines = qn_batch_column(in, 0);

  for (int64_t row = 0; row < lines->n_rows; row++) {
    const qn_text line = qn_column_text(lines, row);
    const char *end = line.data + line.size;
    for (const char *at = line.data; at < end;) {
      while (at < end && is_space((unsigned char)*at)) {
        at++;
      }
      const char *word = at;
      while (at < end && !is_space((unsigned char)*at)) {
        at++;
      }
      if (at > word && fold) {
        append_folded(out, word, at - word);
      } else if (at > word) {
        qn_append_text(out, word, at - word);
      }
    }
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
  void *fold = qn_job_option(job, "fold") != NULL ? job : NULL;

  qn_dataset *lines = qn_read_lines(job, qn_job_inputs(job));
  qn_dataset *words = qn_map(lines, split_words, fold, "word binary");
  qn_dataset *counts = qn_cache(qn_sort(qn_reduce(words, "word", "count(*) as n"), "n desc, word"));
  qn_write_csv(counts, qn_job_output(job), &(qn_csv_write_options){.raw_binary = true});
  const int64_t n = qn_job_option_int64(job, "top", 0, 1000000);
  if (n > 0) {
    qn_show(qn_select(counts, "word::utf8 as word, n"), n);
  }
  qn_job_print(job, "%s\n", qn_job_output(job));
  return qn_job_close(job);
}
