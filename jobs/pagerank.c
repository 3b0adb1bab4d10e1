// SPDX-License-Identifier: Apache-2.0
// PageRank of a directed graph given as lines "source target" (Brin and Page 1998; vertices without outgoing
// edges give their rank to all). Shows iteration: each round's ranks are cached, so that the next one starts
// from them.
//
//   mpirun -n 4 pagerank --iterations 20 --output ranks.csv edges.txt
#include <stdio.h>
#include <quern/quern.h>

static bool is_separator(char c) {
  return c == ' ' || c == '\t' || c == ',' || c == '|';
}

// A whole number after blanks, commas and bars; the text then begins behind it.
static bool take_number(qn_text *text, int64_t *value) {
  const char *at = text->data, *end = text->data + text->size;
  int64_t number = 0;
  bool fits = true;

  while (at < end && is_separator(*at)) {
    at++;
  }
  const bool is_negative = at < end && *at == '-';
  at += at < end && (*at == '-' || *at == '+');
  const char *digits = at;
  for (; at < end && *at >= '0' && *at <= '9'; at++) { // downwards, which has one number more
    fits = fits && !__builtin_mul_overflow(number, 10, &number) &&
           !__builtin_sub_overflow(number, *at - '0', &number);
  }
  fits = fits && at > digits && (at == end || is_separator(*at) || *at == '\r');
  fits = fits && (is_negative || number != INT64_MIN);
  *value = is_negative || !fits ? number : -number;
  *text = (qn_text){.data = at, .size = end - at};
  return fits;
}

// in: line utf8 -> out: source int64, target int64; lines that begin with # are comments
static qn_status parse_edge(const qn_batch *in, qn_appender *out, void *ctx) {
  const qn_column *lines = qn_batch_column(in, 0);
  (void)ctx;

  for (int64_t row = 0; row < lines->n_rows; row++) {
    const qn_text line = qn_column_text(lines, row);
    qn_text left = line;
    int64_t source = 0;
    int64_t target = 0;
    if (line.size == 0 || line.data[0] == '#') {
      continue;
    }
    if (!take_number(&left, &source) || !take_number(&left, &target)) {
      return qn_appender_fail(out, "'%.*s' is no edge: two vertex numbers were expected",
                              (int)(line.size < 63 ? line.size : 63), line.data);
    }
    qn_append_int64(out, source);
    qn_append_int64(out, target);
  }
  return QN_OK;
}

// One round: every vertex sends its rank in equal parts along its edges.
static qn_dataset *iterate(qn_dataset *ranks, qn_dataset *links, long long n, double damping) {
  char sum[256];
  qn_dataset *sent = qn_select(qn_join(links, ranks, QN_JOIN_INNER, "l.source = r.id", NULL),
                               "target as id, rank / degree as part");
  qn_dataset *parts = qn_cache(qn_reduce(sent, "id", "sum(part) as part"));
  // what did not flow along an edge stood on vertices that have none
  qn_dataset *flowed =
      qn_select(qn_reduce(parts, NULL, "sum(part) as total"), "coalesce(total, 0) as total, 1 as one");
  qn_dataset *all = qn_join(qn_select(qn_join(ranks, parts, QN_JOIN_LEFT, "id", NULL), "id, part, 1 as one"),
                            flowed, QN_JOIN_INNER, "one", NULL);
  snprintf(sum, sizeof sum, "id, %.17g / %lld + %.17g * (coalesce(part, 0) + (1 - total) / %lld) as rank",
           1 - damping, n, damping, n);
  return qn_cache(qn_select(all, sum));
}

int main(int argc, char **argv) {
  static const qn_option options[] = {
      {.name = "iterations", .argument = "N", .fallback = "20", .help = "rounds"},
      {.name = "damping", .argument = "D", .fallback = "0.85", .help = "part of the rank that follows edges"},
      {.name = "vertices", .argument = "FILE", .help = "one vertex a line, if some have no edges"},
      {.name = NULL},
  };
  static const qn_job_about about = {.name = "pagerank",
                                     .summary =
                                         "Ranks the vertices of a directed graph: id,rank by falling rank.",
                                     .arguments = "FILE...",
                                     .output = "ranks.csv",
                                     .options = options};
  char start[64];
  int64_t n = 0;
  qn_job *job = qn_job_open(argc, argv, &about);
  const int64_t iterations = qn_job_option_int64(job, "iterations", 0, 1000);
  const double damping = qn_job_option_float64(job, "damping", 0, 1);

  qn_dataset *edges =
      qn_cache(qn_map(qn_read_text(job, qn_job_inputs(job)), parse_edge, NULL, "source int64, target int64"));
  qn_dataset *ends = qn_union(qn_select(edges, "source as id"), qn_select(edges, "target as id"));
  if (qn_job_option(job, "vertices") != NULL) {
    qn_dataset *listed = qn_read_text(job, qn_job_option(job, "vertices"));
    ends = qn_union(ends, qn_select(qn_filter(listed, "trim(line) <> ''"), "trim(line)::int64 as id"));
  }
  qn_dataset *vertices = qn_cache(qn_distinct(ends, NULL));
  qn_count(vertices, &n);
  qn_dataset *links = qn_cache(
      qn_join(edges, qn_reduce(edges, "source", "count(*) as degree"), QN_JOIN_INNER, "source", NULL));
  snprintf(start, sizeof start, "id, 1.0 / %lld as rank", (long long)(n > 0 ? n : 1));
  qn_dataset *ranks = qn_cache(qn_select(vertices, start));
  for (int64_t i = 0; i < iterations; i++) {
    ranks = iterate(ranks, links, (long long)(n > 0 ? n : 1), damping);
  }
  qn_dataset *sorted = qn_cache(qn_sort(ranks, "rank desc, id"));
  qn_write(sorted, qn_job_output(job));
  qn_show(sorted, 10);
  qn_job_print(job, "%s\n", qn_job_output(job));
  return qn_job_close(job);
}
