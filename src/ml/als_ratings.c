// SPDX-License-Identifier: Apache-2.0
// Ratings go to the ranks of their users, are sorted there (two counting sorts, by item and by user), pairs
// that come twice become one, and a copy goes on to the ranks of their items.
#include "ml/als_ratings.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "comm/exchange.h"

enum { PIECE_RATINGS = 8192 };

static void release_triplets(qn_als_triplets *triplets) {
  qn_memory_free(triplets->users);
  qn_memory_free(triplets->items);
  qn_memory_free(triplets->ratings);
  *triplets = (qn_als_triplets){0};
}

static void release_block(qn_als_block *block) {
  qn_memory_free(block->starts);
  qn_memory_free(block->others);
  qn_memory_free(block->ratings);
  *block = (qn_als_block){0};
}

void qn_als_ratings_release(qn_als_ratings *ratings) {
  qn_als_values_release(&ratings->users);
  qn_als_values_release(&ratings->items);
  qn_memory_free(ratings->user_bounds);
  qn_memory_free(ratings->item_bounds);
  release_block(&ratings->by_user);
  release_block(&ratings->by_item);
  *ratings = (qn_als_ratings){0};
}

static qn_status new_triplets(int64_t n, qn_als_triplets *out, qn_error *err) {
  qn_status status = QN_OK;

  *out = (qn_als_triplets){.capacity = n,
                           .users = qn_memory_alloc(n * (int64_t)sizeof(int32_t)),
                           .items = qn_memory_alloc(n * (int64_t)sizeof(int32_t)),
                           .ratings = qn_memory_alloc(n * (int64_t)sizeof(float))};
  QN_REQUIRE(out->users != NULL && out->items != NULL && out->ratings != NULL, err, QN_ERR_MEMORY,
             "no memory for %" PRId64 " ratings", n);

done:
  if (status != QN_OK) {
    release_triplets(out);
  }
  return status;
}

// --- Who has which rows
// -------------------------------------------------------------------------------------------

// Cuts n rows with `counts` ratings each into runs of about the same work. *n_own: ratings of this rank's.
static qn_status balance(qn_comm *comm, const int64_t *counts, int64_t n, double per_row_cost,
                         int64_t **bounds_out, int64_t *n_own, qn_error *err) {
  const int n_ranks = qn_comm_size(comm);
  double total = 0;
  double before = 0;
  int64_t *bounds = qn_memory_alloc((n_ranks + 1) * (int64_t)sizeof *bounds);

  if (bounds == NULL) {
    qn_fail(err, QN_ERR_MEMORY, "no memory to share out ratings");
    return QN_ERR_MEMORY;
  }
  for (int64_t i = 0; i < n; i++) {
    total += (double)counts[i] + per_row_cost;
  }
  int64_t row = 0;
  bounds[0] = 0;
  for (int r = 1; r <= n_ranks; r++) {
    const double wanted = total * r / n_ranks;
    while (row < n && before + ((double)counts[row] + per_row_cost) / 2 <= wanted) {
      before += (double)counts[row++] + per_row_cost;
    }
    bounds[r] = r == n_ranks ? n : row;
  }
  *n_own = 0;
  for (int64_t i = bounds[qn_comm_rank(comm)]; i < bounds[qn_comm_rank(comm) + 1]; i++) {
    *n_own += counts[i];
  }
  *bounds_out = bounds;
  return QN_OK;
}

// Ratings per row on all ranks, and from them who has which rows.
static qn_status share_out(qn_comm *comm, const int32_t *rows, int64_t n_ratings, int64_t n_rows,
                           double per_row_cost, int64_t **bounds, int64_t *n_own, qn_error *err) {
  qn_status status = QN_OK;
  int64_t *counts = qn_memory_alloc(n_rows * (int64_t)sizeof *counts);

  QN_REQUIRE(counts != NULL, err, QN_ERR_MEMORY, "no memory to count ratings");
  memset(counts, 0, (size_t)n_rows * sizeof *counts);
  for (int64_t i = 0; i < n_ratings; i++) {
    counts[rows[i]]++;
  }
  QN_TRY(qn_comm_reduce_int64(comm, QN_SUM, counts, n_rows, err));
  QN_TRY(balance(comm, counts, n_rows, per_row_cost, bounds, n_own, err));

done:
  qn_memory_free(counts);
  return status;
}

// --- Sending
// ------------------------------------------------------------------------------------------------------

static qn_status append_arrived(void *ctx, const qn_batch *batch, int from_rank, qn_error *err) {
  qn_status status = QN_OK;
  qn_als_triplets *to = ctx;
  const size_t n = (size_t)batch->n_rows;

  (void)from_rank;
  QN_REQUIRE(to->n + batch->n_rows <= to->capacity, err, QN_ERR_MPI,
             "more ratings arrive than the %" PRId64 " that were counted", to->capacity);
  memcpy(to->users + to->n, batch->columns[0].values, n * sizeof *to->users);
  memcpy(to->items + to->n, batch->columns[1].values, n * sizeof *to->items);
  memcpy(to->ratings + to->n, batch->columns[2].values, n * sizeof *to->ratings);
  to->n += batch->n_rows;

done:
  return status;
}

static qn_status batch_of(const qn_schema *schema, const qn_als_triplets *from, int64_t first, int64_t n,
                          qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_column columns[3] = {0};
  const void *values[3] = {from->users + first, from->items + first, from->ratings + first};

  for (int c = 0; c < 3; c++) {
    void *to = NULL;
    QN_TRY(qn_column_fixed(schema->fields[c].type, n, &columns[c], &to, err));
    memcpy(to, values[c], (size_t)n * 4);
  }
  QN_TRY(qn_batch_new_take(schema, n, columns, out, err));

done:
  for (int c = 0; c < 3; c++) {
    qn_column_release(&columns[c]);
  }
  return status;
}

static void find_ranks(const int64_t *bounds, int n_ranks, const int32_t *rows, int64_t n, int32_t *ranks) {
  for (int64_t i = 0; i < n; i++) {
    int low = 0;
    int high = n_ranks - 1; // the last rank whose rows begin at or before this one
    while (low < high) {
      const int middle = (low + high + 1) / 2;
      if (bounds[middle] <= rows[i]) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    ranks[i] = low;
  }
}

// Sends each rating to the rank of its row (users or items: `rows` is one of `from`'s arrays).
static qn_status send_ratings(qn_comm *comm, const qn_als_triplets *from, const int32_t *rows,
                              const int64_t *bounds, int64_t n_own, qn_als_triplets *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_schema *schema = NULL;
  qn_exchange *exchange = NULL;
  qn_batch *batch = NULL;
  qn_als_triplets arrived = {0};
  int32_t *ranks = qn_memory_alloc(PIECE_RATINGS * (int64_t)sizeof *ranks);

  QN_REQUIRE(ranks != NULL && bounds != NULL, err, QN_ERR_MEMORY, "no memory to send ratings");
  QN_TRY(qn_schema_parse("user int32, item int32, rating float32", &schema, err));
  QN_TRY(new_triplets(n_own, &arrived, err));
  QN_TRY(qn_exchange_open(comm, schema, NULL, append_arrived, &arrived, &exchange, err));
  for (int64_t first = 0; first < from->n; first += PIECE_RATINGS) {
    const int64_t n = from->n - first < PIECE_RATINGS ? from->n - first : PIECE_RATINGS;
    find_ranks(bounds, qn_comm_size(comm), rows + first, n, ranks);
    QN_TRY(batch_of(schema, from, first, n, &batch, err));
    QN_TRY(qn_exchange_scatter(exchange, batch, ranks, err));
    qn_batch_free(batch);
    batch = NULL;
  }
  QN_TRY(qn_exchange_finish(exchange, err));
  *out = arrived;
  arrived = (qn_als_triplets){0};

done:
  qn_exchange_close(exchange);
  qn_batch_free(batch);
  release_triplets(&arrived);
  qn_schema_free(schema);
  qn_memory_free(ranks);
  return status;
}

// --- Sorting
// ------------------------------------------------------------------------------------------------------

// Where the ratings of each row begin: starts [n_rows + 1]; `first` is the first row's number.
static qn_status count_starts(const int32_t *rows, int64_t n, int64_t first, int64_t n_rows, int64_t **out,
                              qn_error *err) {
  int64_t *starts = qn_memory_alloc((n_rows + 2) * (int64_t)sizeof *starts);

  if (starts == NULL) {
    qn_fail(err, QN_ERR_MEMORY, "no memory to sort ratings");
    return QN_ERR_MEMORY;
  }
  memset(starts, 0, (size_t)(n_rows + 2) * sizeof *starts);
  for (int64_t i = 0; i < n; i++) {
    starts[rows[i] - first + 1]++;
  }
  for (int64_t row = 0; row < n_rows; row++) {
    starts[row + 1] += starts[row];
  }
  *out = starts;
  return QN_OK;
}

// Sorts by row, then by the other side; empties `from`. rows and others are from->users and from->items or
// the other way round; others are numbers below n_others.
static qn_status sort_ratings(qn_als_triplets *from, bool by_item, int64_t first, int64_t end,
                              int64_t n_others, qn_als_block *out, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n = from->n;
  const int32_t *rows = by_item ? from->items : from->users;
  const int32_t *others = by_item ? from->users : from->items;
  int64_t *other_starts = NULL;
  int64_t *row_places = NULL;
  int32_t *order = qn_memory_alloc(n * (int64_t)sizeof *order);
  qn_als_block block = {.first = first,
                        .end = end,
                        .others = qn_memory_alloc(n * (int64_t)sizeof *block.others),
                        .ratings = qn_memory_alloc(n * (int64_t)sizeof *block.ratings)};

  QN_REQUIRE(n < INT32_MAX, err, QN_ERR_VALUE,
             "%" PRId64 " ratings on one rank; als takes up to 2^31 on each: run it on more ranks", n);
  QN_REQUIRE(order != NULL && block.others != NULL && block.ratings != NULL, err, QN_ERR_MEMORY,
             "no memory to sort %" PRId64 " ratings", n);
  QN_TRY(count_starts(others, n, 0, n_others, &other_starts, err));
  for (int64_t i = 0; i < n; i++) {
    order[other_starts[others[i]]++] = (int32_t)i;
  }
  QN_TRY(count_starts(rows, n, first, end - first, &block.starts, err));
  QN_TRY(count_starts(rows, n, first, end - first, &row_places, err));
  for (int64_t i = 0; i < n; i++) {
    const int64_t place = row_places[rows[order[i]] - first]++;
    block.others[place] = others[order[i]];
    block.ratings[place] = from->ratings[order[i]];
  }
  release_triplets(from);
  *out = block;
  block = (qn_als_block){0};

done:
  release_block(&block);
  qn_memory_free(order);
  qn_memory_free(other_starts);
  qn_memory_free(row_places);
  return status;
}

static int compare_floats(const void *a, const void *b) {
  const float x = *(const float *)a;
  const float y = *(const float *)b;
  return (x > y) - (x < y);
}

// The ratings of a pair as one: their sum or their mean, added in ascending order, which any number of ranks
// finds alike.
static float unite(float *ratings, int64_t n, bool is_sum) {
  double sum = 0;

  if (n == 1) {
    return ratings[0];
  }
  qsort(ratings, (size_t)n, sizeof *ratings, compare_floats);
  for (int64_t i = 0; i < n; i++) {
    sum += (double)ratings[i];
  }
  return (float)(is_sum ? sum : sum / (double)n);
}

static void unite_pairs(qn_als_block *block, bool is_sum) {
  int64_t kept = 0;
  int64_t first = 0;

  if (block->starts == NULL) {
    return;
  }
  for (int64_t row = 0; row < block->end - block->first; row++) {
    const int64_t end = block->starts[row + 1];
    block->starts[row] = kept;
    while (first < end) {
      int64_t next = first + 1;
      while (next < end && block->others[next] == block->others[first]) {
        next++;
      }
      const float rating = unite(block->ratings + first, next - first, is_sum);
      block->others[kept] = block->others[first];
      block->ratings[kept++] = rating;
      first = next;
    }
  }
  block->starts[block->end - block->first] = kept;
}

// --- All together
// -------------------------------------------------------------------------------------------------

// This rank's own numbers of users and items become those of all.
static qn_status renumber(qn_comm *comm, qn_als_rows *rows, const qn_als_columns *columns,
                          qn_als_ratings *ratings, qn_error *err) {
  qn_status status = QN_OK;
  int32_t *users = qn_memory_alloc(qn_group_table_n_groups(rows->users) * (int64_t)sizeof *users);
  int32_t *items = qn_memory_alloc(qn_group_table_n_groups(rows->items) * (int64_t)sizeof *items);

  QN_REQUIRE(users != NULL && items != NULL, err, QN_ERR_MEMORY, "no memory to number users and items");
  QN_TRY(qn_als_values_unite(comm, columns->types[0], rows->users, &ratings->users, users, err));
  QN_TRY(qn_als_values_unite(comm, columns->types[1], rows->items, &ratings->items, items, err));
  for (int64_t i = 0; i < rows->triplets.n; i++) {
    rows->triplets.users[i] = users[rows->triplets.users[i]];
    rows->triplets.items[i] = items[rows->triplets.items[i]];
  }
  QN_REQUIRE(ratings->users.n > 0, err, QN_ERR_VALUE, "als: there is no rating to learn from");

done:
  qn_memory_free(users);
  qn_memory_free(items);
  return status;
}

// A copy of the ratings by user as triplets, to be sent on.
static qn_status copy_block(const qn_als_block *block, qn_als_triplets *out, qn_error *err) {
  qn_status status = QN_OK;
  int64_t n = 0;

  QN_REQUIRE(block->starts != NULL, err, QN_ERR_MEMORY, "no memory to sort ratings");
  n = block->starts[block->end - block->first];
  QN_TRY(new_triplets(n, out, err));
  for (int64_t row = 0; row < block->end - block->first; row++) {
    for (int64_t i = block->starts[row]; i < block->starts[row + 1]; i++) {
      out->users[i] = (int32_t)(block->first + row);
    }
  }
  memcpy(out->items, block->others, (size_t)n * sizeof *out->items);
  memcpy(out->ratings, block->ratings, (size_t)n * sizeof *out->ratings);
  out->n = n;

done:
  return status;
}

// From ratings by user, those by item.
static qn_status transpose(qn_comm *comm, const qn_als_columns *columns, qn_als_ratings *ratings,
                           qn_error *err) {
  qn_status status = QN_OK;
  qn_als_triplets copy = {0};
  qn_als_triplets arrived = {0};
  int64_t n_own = 0;
  const int rank = qn_comm_rank(comm);

  QN_TRY(copy_block(&ratings->by_user, &copy, err));
  ratings->n_total = copy.n;
  QN_TRY(qn_comm_reduce_int64(comm, QN_SUM, &ratings->n_total, 1, err));
  QN_TRY(share_out(comm, copy.items, copy.n, ratings->items.n, columns->per_row_cost, &ratings->item_bounds,
                   &n_own, err));
  QN_TRY(send_ratings(comm, &copy, copy.items, ratings->item_bounds, n_own, &arrived, err));
  release_triplets(&copy);
  QN_REQUIRE(ratings->item_bounds != NULL, err, QN_ERR_MEMORY, "no memory to share out ratings");
  QN_TRY(sort_ratings(&arrived, true, ratings->item_bounds[rank], ratings->item_bounds[rank + 1],
                      ratings->users.n, &ratings->by_item, err));

done:
  release_triplets(&copy);
  release_triplets(&arrived);
  return status;
}

qn_status qn_als_ratings_take(qn_comm *comm, qn_als_rows *rows, const qn_als_columns *columns,
                              qn_als_ratings *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_als_ratings ratings = {0};
  qn_als_triplets arrived = {0};
  int64_t n_own = 0;
  const int rank = qn_comm_rank(comm);

  QN_TRY(renumber(comm, rows, columns, &ratings, err));
  QN_TRY(share_out(comm, rows->triplets.users, rows->triplets.n, ratings.users.n, columns->per_row_cost,
                   &ratings.user_bounds, &n_own, err));
  QN_TRY(
      send_ratings(comm, &rows->triplets, rows->triplets.users, ratings.user_bounds, n_own, &arrived, err));
  qn_als_rows_release(rows);
  QN_REQUIRE(ratings.user_bounds != NULL, err, QN_ERR_MEMORY, "no memory to share out ratings");
  QN_TRY(sort_ratings(&arrived, false, ratings.user_bounds[rank], ratings.user_bounds[rank + 1],
                      ratings.items.n, &ratings.by_user, err));
  unite_pairs(&ratings.by_user, columns->is_implicit);
  QN_TRY(transpose(comm, columns, &ratings, err));
  *out = ratings;
  ratings = (qn_als_ratings){0};

done:
  qn_als_ratings_release(&ratings);
  release_triplets(&arrived);
  return status;
}
