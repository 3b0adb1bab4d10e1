// SPDX-License-Identifier: Apache-2.0
// Datasets and the verbs that make one from another. A dataset is a node of a lazy plan: nothing is read
// until an action (write, stage, show, count, collect) runs what it needs. Verbs need no error check each: a
// dataset that could not be made carries its error and passes it on; actions on it do nothing but return it,
// and qn_job_close() reports the first one. Datasets belong to their job: nobody frees them.
//
// Keys, filters, projections and aggregates are SQL expressions in strings. What PostgreSQL does is right.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <quern/appender.h>
#include <quern/batch.h>
#include <quern/csv.h>
#include <quern/schema.h>
#include <quern/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct qn_job qn_job;
typedef struct qn_dataset qn_dataset;

// --- Where rows come from. Every rank calls these (rank 0 looks at the files, the others learn from it)
// ------------- `paths`: files, folders and patterns, one a line; .gz, .bz2 and .zst are read as they are.

/// Collective. The lines of text files: "line utf8".
QN_API qn_dataset *qn_read_text(qn_job *job, const char *paths);
/// Collective. The lines as bytes, valid UTF-8 or not: "line binary".
QN_API qn_dataset *qn_read_lines(qn_job *job, const char *paths);
/// Collective. CSV files. `options` may be NULL.
QN_API qn_dataset *qn_read_csv(qn_job *job, const char *paths, const qn_csv_options *options);
/// Collective. Files in libsvm's format, "1 3:0.5 7:1 # comment": "label float64, features utf8", where
/// features is the text "3:0.5 7:1", as the feature step sparse(features) takes it. Indices ascend, from 0 or
/// 1 on; "qid:..." is left out.
QN_API qn_dataset *qn_read_libsvm(qn_job *job, const char *paths);
/// Collective. Two files in the IDX format of MNIST, of images in unsigned bytes and of their labels: "label
/// int64, pixels binary"; without labels (NULL) "pixels binary". The feature step pixels(pixels) makes
/// numbers of them.
QN_API qn_dataset *qn_read_idx(qn_job *job, const char *images, const char *labels);
/// Collective. A staged dataset: a folder written by qn_stage(), or a single .h5 file.
QN_API qn_dataset *qn_read_stage(qn_job *job, const char *path);
/// Collective. Rows of this rank from memory; the batches are shared, the caller may free its references.
/// Every rank gives the same schema and as many batches as it likes.
QN_API qn_dataset *qn_from_batches(qn_job *job, const char *schema, qn_batch *const *batches,
                                   int64_t n_batches);
/// Local. n_rows rows (all ranks together) made by a callback: row numbers first .. first + n_rows - 1 are
/// asked for a piece at a time; the same rows come whatever the number of ranks.
typedef qn_status (*qn_generate_fn)(int64_t first_row, int64_t n_rows, qn_appender *out, void *ctx);
QN_API qn_dataset *qn_generate(qn_job *job, const char *schema, int64_t n_rows, qn_generate_fn make,
                               void *ctx);

// --- Row by row
// ------------------------------------------------------------------------------------------------------

/// A callback that sees a batch at a time and appends 0 or more rows for each of its rows. `ctx` is the
/// pointer given with it. It must not keep the batch.
typedef qn_status (*qn_map_fn)(const qn_batch *in, qn_appender *out, void *ctx);

/// Local. Rows that `map` makes of the rows of `in`; `schema` is theirs: "word utf8, n int64".
QN_API qn_dataset *qn_map(qn_dataset *in, qn_map_fn map, void *ctx, const char *schema);
/// Local. Adds columns that `extend` computes: it appends one row, of `schema`, for each of its rows. What
/// was there is passed on without a copy.
QN_API qn_dataset *qn_extend(qn_dataset *in, qn_map_fn extend, void *ctx, const char *schema);
/// Local. Rows for which a condition is true: "rating >= 4 and title like '%Star%'".
QN_API qn_dataset *qn_filter(qn_dataset *in, const char *condition);
/// Local. Columns computed from columns: "*, price * n as total, lower(name) as name_lower".
QN_API qn_dataset *qn_select(qn_dataset *in, const char *expressions);
/// Local. About `fraction` of the rows, 0 to 1. A row is in or out by its values and the seed: the same on
/// any number of ranks; equal rows go together.
QN_API qn_dataset *qn_sample(qn_dataset *in, double fraction, uint64_t seed);
/// Local. Splits rows in two by the hash of their values and a seed: the same rows on any number of ranks;
/// equal rows go together. A part can be split again, with the same seed or another.
QN_API void qn_split(qn_dataset *data, double test_fraction, uint64_t seed, qn_dataset **train,
                     qn_dataset **test);
/// Local. Fold 0 <= i < k: the rows to test on, and all others to train on. Every row is in one fold.
QN_API void qn_fold(qn_dataset *data, int k, int i, uint64_t seed, qn_dataset **train, qn_dataset **test);
/// Local. The rows of both; the columns must have the same names and types.
QN_API qn_dataset *qn_union(qn_dataset *a, qn_dataset *b);
/// Local. The first n rows in order (input order, or that of qn_sort). If the rows have no order, the first n
/// of them sorted by all columns.
QN_API qn_dataset *qn_limit(qn_dataset *in, int64_t n);
/// Local. Adds an int64 column that numbers the rows from 0 in order (see qn_limit).
QN_API qn_dataset *qn_zip_with_index(qn_dataset *in, const char *name);

// --- By key
// ----------------------------------------------------------------------------------------------------------

/// Local. Rows with equal keys come to the same rank.
QN_API qn_dataset *qn_shuffle(qn_dataset *in, const char *keys);
/// Local. Rows are spread in ranges of the sort keys: rank 0 has the smallest; within a rank they are in no
/// order.
QN_API qn_dataset *qn_shuffle_range(qn_dataset *in, const char *keys);
/// A callback that sets destinations[i], 0 <= d < n_ranks, for each row.
typedef qn_status (*qn_partition_fn)(const qn_batch *in, int n_ranks, int32_t *destinations, void *ctx);
QN_API qn_dataset *qn_shuffle_by(qn_dataset *in, qn_partition_fn partition, void *ctx);

/// Local. One row per key with aggregates: qn_reduce(sales, "region, year", "count(*) as n, sum(price) as
/// total"). `keys` NULL or "": one row of all. Aggregates: count, sum, min, max, avg, variance, stddev (and
/// _pop), first, any_value, bool_and, bool_or, median, quantile_cont(x, 0.9), corr(x, y),
/// approx_count_distinct(x), approx_quantile(x, 0.9); distinct and filter (where ...).
QN_API qn_dataset *qn_reduce(qn_dataset *in, const char *keys, const char *aggregates);

/// An associative and commutative function over rows, a column of pairs at a time: `out` gets, for each i,
/// one row: row i of `left` combined with row i of `right`. All three have the dataset's columns without the
/// keys.
typedef qn_status (*qn_combine_fn)(const qn_batch *left, const qn_batch *right, qn_appender *out, void *ctx);
/// Local. One row per key: all its rows combined by `combine`.
QN_API qn_dataset *qn_combine(qn_dataset *in, const char *keys, qn_combine_fn combine, void *ctx);

/// The rows of one key, streamed: more than memory holds is no error.
typedef struct qn_group qn_group;
/// The next rows of the key, borrowed until the next call; *out is NULL at their end.
QN_API qn_status qn_group_next(qn_group *group, const qn_batch **out);
/// A callback that sees the rows of one key (those it does not read are skipped) and appends any number of
/// rows.
typedef qn_status (*qn_group_fn)(qn_group *rows, qn_appender *out, void *ctx);
/// Local. Calls `fn` for every key; its rows come ordered by `order` ("seen desc"; may be NULL).
QN_API qn_dataset *qn_group_by(qn_dataset *in, const char *keys, const char *order, qn_group_fn fn, void *ctx,
                               const char *schema);

typedef enum {
  QN_JOIN_INNER,
  QN_JOIN_LEFT,
  QN_JOIN_RIGHT,
  QN_JOIN_FULL,
  QN_JOIN_SEMI,
  QN_JOIN_ANTI
} qn_join_kind;
/// Local. Pairs of rows with equal keys. `on`: "movie_id" (the column of both; it appears once in the
/// result), or "l.user = r.id", several with commas. `condition` (may be NULL) must hold too, over l.x and
/// r.x. Columns: those of the left, then of the right (without keys named in `on`); a right one whose name is
/// taken gets "_right" behind it. semi and anti: the rows of the left that have (have not) a partner. Null
/// keys match nothing.
QN_API qn_dataset *qn_join(qn_dataset *left, qn_dataset *right, qn_join_kind kind, const char *on,
                           const char *condition);

/// Local. One row of each set of equal rows; or, with keys, one row of each key (the smallest by the other
/// columns).
QN_API qn_dataset *qn_distinct(qn_dataset *in, const char *keys);

// --- By order
// --------------------------------------------------------------------------------------------------------

/// Local. All rows in order: "n desc, word". Rows with equal keys stay in input order; if they have none they
/// are ordered by their other columns, so that the result is the same on any number of ranks.
QN_API qn_dataset *qn_sort(qn_dataset *in, const char *keys);
/// Local. The first n rows of that order, without sorting all.
QN_API qn_dataset *qn_top(qn_dataset *in, const char *keys, int64_t n);
/// Local. Adds columns computed over the rows of the same partition in order: functions row_number(), rank(),
/// dense_rank(), lag(x, n, default), lead, first_value, last_value, and running count, sum, min, max, avg.
/// `partition` may be NULL (all rows), `order` too (then aggregates are over the whole partition).
QN_API qn_dataset *qn_window(qn_dataset *in, const char *partition, const char *order, const char *functions);

// --- Kept
// ------------------------------------------------------------------------------------------------------------

/// Local. The first action that needs these rows keeps them (in memory within the budget, else in scratch);
/// later ones read them from there.
QN_API qn_dataset *qn_cache(qn_dataset *in);
/// Collective, runs. Writes the rows as a staged dataset (folder, or one file if `path` ends in .h5) that
/// appears whole or not at all, and returns it as a dataset to read.
QN_API qn_dataset *qn_stage(qn_dataset *in, const char *path);

// --- Actions: run what they need
// -------------------------------------------------------------------------------------

/// Collective. Writes one CSV file (path ends in .csv, or .tsv), one HDF5 file (.h5), or a staged folder
/// (anything else). It appears whole or not at all; what was there before under that name is replaced.
QN_API qn_status qn_write(qn_dataset *dataset, const char *path);
/// Collective. Writes one CSV file, whatever its name. `options` may be NULL.
QN_API qn_status qn_write_csv(qn_dataset *dataset, const char *path, const qn_csv_write_options *options);
/// Collective. The number of rows, the same on every rank.
QN_API qn_status qn_count(qn_dataset *dataset, int64_t *n_rows);
/// Collective. All rows as one batch on rank 0, owned by the caller; the others get an empty one.
QN_API qn_status qn_collect(qn_dataset *dataset, qn_batch **out);
/// Collective. Prints the first n_rows rows as a table on rank 0's standard output.
QN_API qn_status qn_show(qn_dataset *dataset, int64_t n_rows);
/// Local. Prints the plan, as written and as it will run.
QN_API qn_status qn_explain(qn_dataset *dataset, FILE *out);

/// Local. The columns; NULL if the dataset carries an error.
QN_API const qn_schema *qn_dataset_schema(const qn_dataset *dataset);

#ifdef __cplusplus
}
#endif
