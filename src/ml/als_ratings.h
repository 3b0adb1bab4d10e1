// SPDX-License-Identifier: Apache-2.0
// The ratings to factorise, on the ranks that need them: by user for solving users, and once more by item.
// Users and items are numbers in ascending order of their values, each rank has a run of either, of about as
// many ratings, and its ratings lie in ascending order: all the same on any number of ranks but for where the
// runs are cut.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/dataset.h>
#include "base/buffer.h"
#include "comm/comm.h"
#include "ml/als_values.h"

/// Ratings one by one, in no order: three arrays of n.
typedef struct qn_als_triplets {
  int64_t n, capacity;
  int32_t *users, *items;
  float *ratings;
} qn_als_triplets;

/// The ratings of this rank's rows (users, or items) [first, end).
typedef struct qn_als_block {
  int64_t first, end;
  int64_t *starts; // [end - first + 1]
  int32_t *others; // the items of a user, or the users of an item: ascending in each row, none twice
  float *ratings;
} qn_als_block;

typedef struct qn_als_ratings {
  qn_als_values users, items;
  int64_t *user_bounds, *item_bounds; // [n_ranks + 1]: rank r has [bounds[r], bounds[r + 1])
  qn_als_block by_user, by_item;
  int64_t n_total; // pairs of a user and an item, on all ranks
} qn_als_ratings;

/// Which columns to read.
typedef struct qn_als_columns {
  char *user, *item;   // their names
  qn_type types[2];    // of user, item
  const char *rating;  // NULL: each row counts 1
  bool is_implicit;    // ratings of a pair that comes more than once are added up; else averaged
  double per_row_cost; // what solving a row costs beside its ratings, in ratings
} qn_als_columns;

/// Local. Reads "user, item" (NULL: the columns of the schema without the label). Errors: QN_ERR_ARG.
qn_status qn_als_columns_parse(const char *features, const char *label, const qn_schema *schema,
                               qn_als_columns *out, qn_error *err);
void qn_als_columns_release(qn_als_columns *columns);

/// What one run over the dataset brings to this rank; ids are its own numbers of values.
typedef struct qn_als_rows {
  qn_group_table *users, *items;
  qn_als_triplets triplets;
} qn_als_rows;
/// Collective, runs. A null, NaN or infinite value is an error that names file, row and column.
qn_status qn_als_rows_read(qn_job *job, qn_dataset *data, const qn_als_columns *columns, qn_als_rows *out,
                           qn_error *err);
void qn_als_rows_release(qn_als_rows *rows);

/// Collective, inside a run. Empties `rows`.
qn_status qn_als_ratings_take(qn_comm *comm, qn_als_rows *rows, const qn_als_columns *columns,
                              qn_als_ratings *out, qn_error *err);
void qn_als_ratings_release(qn_als_ratings *ratings);
