// SPDX-License-Identifier: Apache-2.0
// Finds clusters of rows: k-means on standardised numbers. Writes the model, and the rows with their cluster.
//
//   mpirun -n 4 train_kmeans --data trips.csv --features 'standardise(distance), standardise(fare)' --k 12
#include <quern/quern.h>

int main(int argc, char **argv) {
  static const qn_option options[] = {
      {.name = "data", .argument = "FILES", .help = "CSV with a header", .is_required = true},
      {.name = "features",
       .argument = "LIST",
       .help = "as 'standardise(age), standardise(income)' (default: all columns as they are)"},
      {.name = "k", .argument = "N", .fallback = "8", .help = "number of clusters"},
      {.name = "starts", .argument = "N", .fallback = "3", .help = "beginnings that are tried"},
      {.name = "seed", .argument = "N", .fallback = "1", .help = "other seeds, other beginnings"},
      {.name = NULL},
  };
  static const qn_job_about about = {.name = "train_kmeans",
                                     .summary = "Finds clusters of rows; writes model.h5 and clusters.csv.",
                                     .output = "kmeans-results",
                                     .options = options};
  qn_job *job = qn_job_open(argc, argv, &about);
  const qn_training how = {.features = qn_job_option(job, "features"),
                           .seed = (uint64_t)qn_job_option_int64(job, "seed", 0, INT64_MAX)};
  qn_kmeans_options wanted = qn_kmeans_defaults();
  qn_metrics metrics = {0};

  wanted.k = qn_job_option_int64(job, "k", 1, 100000);
  wanted.n_starts = qn_job_option_int64(job, "starts", 1, 100);
  qn_dataset *rows = qn_read_csv(job, qn_job_option(job, "data"), NULL);
  qn_model *model = qn_fit_kmeans(rows, &how, &wanted);
  qn_dataset *found = qn_predict(rows, model);

  qn_evaluate(rows, model, &metrics, NULL);
  qn_model_save(model, qn_job_output_path(job, "model.h5"));
  qn_write(found, qn_job_output_path(job, "clusters.csv"));
  qn_show(qn_sort(qn_reduce(found, "cluster", "count(*) as n, avg(distance) as mean_distance"), "cluster"),
          100);
  qn_job_print(job, "inertia %.6g, silhouette %.4f\n", qn_metric(&metrics, "inertia"),
               qn_metric(&metrics, "silhouette"));
  qn_job_print(job, "%s/model.h5\n%s/clusters.csv\n", qn_job_output(job), qn_job_output(job));
  return qn_job_close(job);
}
