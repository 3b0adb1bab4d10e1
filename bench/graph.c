// SPDX-License-Identifier: Apache-2.0
// PageRank on staged edges (source int64, target int64): rounds of join and sum; vertices without outgoing
// edges give their rank to all. The ranks are summed up in one row.
#include <stdio.h>
#include <quern/quern.h>

enum { N_ROUNDS = 10 };

static qn_dataset *iterate(qn_dataset *ranks, qn_dataset *links, long long n) {
  char sum[256];
  qn_dataset *sent = qn_select(qn_join(links, ranks, QN_JOIN_INNER, "l.source = r.id", NULL),
                               "target as id, rank / degree as part");
  qn_dataset *parts = qn_cache(qn_reduce(sent, "id", "sum(part) as part"));
  qn_dataset *flowed = qn_select(qn_reduce(parts, NULL, "sum(part) as total"), "total, 1 as one");
  qn_dataset *all = qn_join(qn_select(qn_join(ranks, parts, QN_JOIN_LEFT, "id", NULL), "id, part, 1 as one"),
                            flowed, QN_JOIN_INNER, "one", NULL);
  snprintf(sum, sizeof sum, "id, 0.15 / %lld + 0.85 * (coalesce(part, 0) + (1 - total) / %lld) as rank", n,
           n);
  return qn_cache(qn_select(all, sum));
}

int main(int argc, char **argv) {
  static const qn_job_about about = {.name = "graph", .arguments = "STAGE", .output = "result.csv"};
  char first[64];
  int64_t n = 0;
  qn_job *job = qn_job_open(argc, argv, &about);

  qn_dataset *edges = qn_read_stage(job, qn_job_inputs(job));
  qn_dataset *ends = qn_union(qn_select(edges, "source as id"), qn_select(edges, "target as id"));
  qn_dataset *vertices = qn_cache(qn_distinct(ends, NULL));
  qn_count(vertices, &n);
  qn_dataset *links = qn_cache(
      qn_join(edges, qn_reduce(edges, "source", "count(*) as degree"), QN_JOIN_INNER, "source", NULL));
  snprintf(first, sizeof first, "id, 1.0 / %lld as rank", (long long)(n > 0 ? n : 1));
  qn_dataset *ranks = qn_cache(qn_select(vertices, first));
  for (int i = 0; i < N_ROUNDS; i++) {
    ranks = iterate(ranks, links, (long long)(n > 0 ? n : 1));
  }
  qn_write(qn_reduce(ranks, NULL, "count(*) as rows, sum(rank) as a, sum(rank * rank) as b, max(rank) as c"),
           qn_job_output(job));
  return qn_job_close(job);
}
