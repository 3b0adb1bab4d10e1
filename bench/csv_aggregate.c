// SPDX-License-Identifier: Apache-2.0
// The CSV task of bench.py: groups ratings by title, over three of the four columns.
#include <quern/quern.h>

int main(int argc, char **argv) {
  static const qn_job_about about = {
      .name = "csv_aggregate", .arguments = "FILE...", .output = "aggregate.csv"};
  qn_job *job = qn_job_open(argc, argv, &about);

  qn_dataset *ratings = qn_read_csv(job, qn_job_inputs(job), NULL);
  qn_dataset *titles =
      qn_reduce(ratings, "movieId", "count(*) as n, sum(rating) as total, max(timestamp) as latest");
  qn_write(qn_sort(titles, "movieId"), qn_job_output(job));
  return qn_job_close(job);
}
