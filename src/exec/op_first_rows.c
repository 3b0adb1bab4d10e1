// SPDX-License-Identifier: Apache-2.0
// Drops rows that cannot be among the first n of their window partition, before they are sent and sorted. Of
// each partition the n best values of the first order column are kept, as 64-bit words; a row that is worse
// than all of them goes. The others wait, since better ones may still come.
#include <inttypes.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "exec/order_columns.h"
#include "exec/run.h"
#include "exec/spool.h"
#include "kernel/group_table.h"
#include "kernel/hash_columns.h"
#include "kernel/ordered_words.h"
#include "kernel/short_text.h"

enum {
  MOST_ROWS = 64,        // of a partition; for more all rows pass
  FIRST_CHECK = 1 << 16, // rows after which it is looked at, and then whenever they have doubled, if it pays
  MANY_ROWS = 1 << 20,   // after so many a quarter must have gone
  BUDGET_SHARE = 4       // the table may take this part of the budget
};

typedef struct first_rows_op {
  qn_op op;
  qn_order_columns order; // partition keys, then what puts rows in order
  int place;              // in `order`, of the first column that puts rows in order
  const qn_column **keys; // [node->n_keys], room for the columns of a batch
  int64_t n;
  qn_group_table *table; // of partitions; NULL: rows pass
  qn_spool *held;        // rows that may be among the first
  qn_buffer groups;      // int32, of each held row
  qn_buffer words;       // int64
  qn_buffer best;        // int64 [n_groups][n], ascending; INT64_MAX where fewer rows have come
  int64_t n_seen, next_check;
  int64_t n_groups_then;        // at the last check
  int32_t *rows, *batch_groups; // [capacity], of a batch at hand
  int64_t *batch_words;
  uint64_t *hashes;
  int64_t capacity;
} first_rows_op;

static void free_batch_space(first_rows_op *state) {
  qn_memory_free(state->rows);
  qn_memory_free(state->batch_groups);
  qn_memory_free(state->batch_words);
  qn_memory_free(state->hashes);
  state->rows = NULL;
  state->batch_groups = NULL;
  state->batch_words = NULL;
  state->hashes = NULL;
  state->capacity = 0;
}

static qn_status make_room(first_rows_op *state, int64_t n_rows, qn_error *err) {
  qn_status status = QN_OK;

  if (n_rows > state->capacity) {
    free_batch_space(state);
    state->rows = qn_memory_alloc(n_rows * (int64_t)sizeof *state->rows);
    state->batch_groups = qn_memory_alloc(n_rows * (int64_t)sizeof *state->batch_groups);
    state->batch_words = qn_memory_alloc(n_rows * (int64_t)sizeof *state->batch_words);
    state->hashes = qn_memory_alloc(n_rows * (int64_t)sizeof *state->hashes);
    QN_REQUIRE(state->rows != NULL && state->batch_groups != NULL && state->batch_words != NULL &&
                   state->hashes != NULL,
               err, QN_ERR_MEMORY, "no memory for %" PRId64 " rows of a window", n_rows);
    state->capacity = n_rows;
  }

done:
  return status;
}

static void load_prefixes(const qn_column *column, int64_t *words) {
  for (int64_t i = 0; i < column->n_rows; i++) {
    const qn_text text = qn_column_text(column, i);
    uint8_t first[8] = {0};
    memcpy(first, text.size > 0 ? text.data : "", (size_t)(text.size < 8 ? text.size : 8));
    words[i] = (int64_t)(qn_load_big(first) ^ UINT64_C(1) << 63);
  }
}

// A word per row: whenever a row comes before another one in the order, its word is not larger.
static void find_words(const first_rows_op *state, const qn_batch *batch, int64_t *words) {
  const int k = state->place;
  if (k >= state->order.n) {
    memset(words, 0, (size_t)batch->n_rows * sizeof *words);
    return;
  }
  const qn_column *column = &batch->columns[state->order.columns[k]];
  const qn_order order = state->order.orders[k];
  const int64_t inversion = order.is_descending ? -1 : 0;
  const int64_t null_word = order.nulls_first ? INT64_MIN : INT64_MAX;
  if (qn_type_is_text(column->type)) {
    load_prefixes(column, words);
  } else {
    qn_load_ordered(column, 0, batch->n_rows, words);
  }
  for (int64_t i = 0; i < batch->n_rows; i++) {
    words[i] = column->n_nulls > 0 && qn_column_is_null(column, i) ? null_word : words[i] ^ inversion;
  }
}

static qn_status find_groups(first_rows_op *state, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *node = state->op.node;
  const int64_t row_size = state->n * (int64_t)sizeof(int64_t);

  for (int k = 0; k < node->n_keys; k++) {
    state->keys[k] = &batch->columns[node->keys[k]];
  }
  qn_hash_columns(state->keys, node->n_keys, batch->n_rows, state->hashes);
  QN_TRY(
      qn_group_table_add(state->table, state->keys, state->hashes, batch->n_rows, state->batch_groups, err));
  const int64_t n_new = qn_group_table_n_groups(state->table) - state->best.size / row_size;
  QN_TRY(qn_buffer_reserve(&state->best, n_new * row_size, err));
  int64_t *best = (int64_t *)(void *)(state->best.data + state->best.size);
  for (int64_t i = 0; i < n_new * state->n; i++) {
    best[i] = INT64_MAX;
  }
  state->best.size += n_new * row_size;

done:
  return status;
}

// Puts a word among the n best, if it belongs there. False if it is worse than all of them.
static inline bool offer(int64_t *best, int64_t n, int64_t word) {
  int64_t at = n - 1;
  if (word >= best[at]) {
    return word == best[at];
  }
  for (; at > 0 && best[at - 1] > word; at--) {
    best[at] = best[at - 1];
  }
  best[at] = word;
  return true;
}

static qn_status hold_rows(first_rows_op *state, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *chosen = NULL;
  int64_t *best = (int64_t *)(void *)state->best.data;
  int64_t n = 0;

  QN_TRY(qn_buffer_reserve(&state->groups, batch->n_rows * (int64_t)sizeof(int32_t), err));
  QN_TRY(qn_buffer_reserve(&state->words, batch->n_rows * (int64_t)sizeof(int64_t), err));
  int32_t *groups = (int32_t *)(void *)(state->groups.data + state->groups.size);
  int64_t *words = (int64_t *)(void *)(state->words.data + state->words.size);
  for (int64_t i = 0; i < batch->n_rows; i++) {
    const int32_t group = state->batch_groups[i];
    if (offer(best + group * state->n, state->n, state->batch_words[i])) {
      state->rows[n] = (int32_t)i;
      groups[n] = group;
      words[n++] = state->batch_words[i];
    }
  }
  state->groups.size += n * (int64_t)sizeof *groups;
  state->words.size += n * (int64_t)sizeof *words;
  QN_TRY(qn_batch_gather(batch, state->rows, n, &chosen, err));
  QN_TRY(qn_spool_append(state->held, chosen, err));

done:
  qn_batch_free(chosen);
  return status;
}

// Where rows go that are still wanted.
typedef struct {
  first_rows_op *state;
  qn_spool *to; // NULL: to the next operator
  int64_t n_read, n_kept;
} sifting;

static qn_status sift_batch(void *ctx, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  sifting *sift = ctx;
  first_rows_op *state = sift->state;
  const int64_t *best = (const int64_t *)(const void *)state->best.data;
  int32_t *groups = (int32_t *)(void *)state->groups.data;
  int64_t *words = (int64_t *)(void *)state->words.data;
  qn_batch *kept = NULL;
  int64_t n = 0;

  QN_TRY(make_room(state, batch->n_rows, err));
  for (int64_t i = 0; i < batch->n_rows; i++, sift->n_read++) {
    const int32_t group = groups[sift->n_read];
    const int64_t word = words[sift->n_read];
    if (word <= best[group * state->n + state->n - 1]) {
      state->rows[n++] = (int32_t)i;
      groups[sift->n_kept] = group;
      words[sift->n_kept++] = word;
    }
  }
  if (n > 0) {
    QN_TRY(qn_batch_gather(batch, state->rows, n, &kept, err));
    QN_TRY(sift->to != NULL ? qn_spool_append(sift->to, kept, err) : qn_op_push(state->op.next, kept, err));
  }

done:
  qn_batch_free(kept);
  return status;
}

// Drops held rows that others have overtaken.
static qn_status sift(first_rows_op *state, qn_error *err) {
  qn_status status = QN_OK;
  qn_spool *fewer = NULL;
  sifting all = {.state = state};

  QN_TRY(qn_spool_new(state->op.node->inputs[0]->schema, state->op.run->scratch, &fewer, err));
  all.to = fewer;
  QN_TRY(qn_spool_drain(state->held, sift_batch, &all, err));
  state->groups.size = all.n_kept * (int64_t)sizeof(int32_t);
  state->words.size = all.n_kept * (int64_t)sizeof(int64_t);
  qn_spool_free(state->held);
  state->held = fewer;
  fewer = NULL;

done:
  qn_spool_free(fewer);
  return status;
}

static void forget(first_rows_op *state) {
  qn_group_table_free(state->table);
  qn_spool_free(state->held);
  qn_buffer_release(&state->groups);
  qn_buffer_release(&state->words);
  qn_buffer_release(&state->best);
  free_batch_space(state);
  state->table = NULL;
  state->held = NULL;
}

// Gives the wanted rows on; those that follow pass.
static qn_status let_go(first_rows_op *state, qn_error *err) {
  qn_status status = QN_OK;
  sifting all = {.state = state};

  if (state->table != NULL) {
    QN_TRY(qn_spool_drain(state->held, sift_batch, &all, err));
    forget(state);
  }

done:
  return status;
}

static bool is_too_large(const first_rows_op *state) {
  const int64_t budget = qn_memory_budget();
  const int64_t n_bytes = qn_group_table_n_bytes(state->table) + state->best.capacity +
                          state->groups.capacity + state->words.capacity;
  return budget > 0 && n_bytes > budget / BUDGET_SHARE;
}

// Most rows still begin a partition, or are as good as the best.
static bool is_of_no_use(const first_rows_op *state) {
  const int64_t n_new = qn_group_table_n_groups(state->table) - state->n_groups_then;
  return (state->n_groups_then > 0 && n_new > state->n_seen / 4) ||
         (state->n_seen >= MANY_ROWS && qn_spool_n_rows(state->held) > state->n_seen / 4 * 3);
}

static qn_status push_first_rows(qn_op *op, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  first_rows_op *state = (first_rows_op *)op;

  if (state->table == NULL) {
    return qn_op_push(op->next, batch, err);
  }
  QN_TRY(make_room(state, batch->n_rows, err));
  find_words(state, batch, state->batch_words);
  QN_TRY(find_groups(state, batch, err));
  QN_TRY(hold_rows(state, batch, err));
  state->n_seen += batch->n_rows;
  bool is_enough = is_too_large(state);
  if (state->n_seen >= state->next_check) {
    QN_TRY(sift(state, err));
    is_enough = is_enough || is_of_no_use(state);
    state->n_groups_then = qn_group_table_n_groups(state->table);
    state->next_check *= 2;
  }
  if (is_enough) {
    QN_TRY(let_go(state, err));
  }

done:
  return status;
}

static qn_status finish_first_rows(qn_op *op, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(let_go((first_rows_op *)op, err));
  QN_TRY(qn_op_finish(op->next, err));

done:
  return status;
}

static void close_first_rows(qn_op *op) {
  forget((first_rows_op *)op);
}

static const qn_op_ops first_rows_ops = {.name = "first rows",
                                         .state_size = sizeof(first_rows_op),
                                         .push = push_first_rows,
                                         .finish = finish_first_rows,
                                         .close = close_first_rows};

qn_status qn_make_first_rows(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_schema *input = node->inputs[0]->schema;
  qn_type *types = qn_arena_alloc(&run->arena, (int64_t)sizeof *types * (node->n_keys + 1));

  if (node->n == 0 || node->n > MOST_ROWS) {
    *out = next;
    return QN_OK;
  }
  QN_REQUIRE(types != NULL, err, QN_ERR_MEMORY, "no memory for a window");
  for (int k = 0; k < node->n_keys; k++) {
    types[k] = input->fields[node->keys[k]].type;
  }
  QN_TRY(qn_op_new(run, &first_rows_ops, node, next, out, err));
  first_rows_op *state = (first_rows_op *)*out;
  state->n = node->n;
  state->next_check = FIRST_CHECK;
  state->keys = qn_arena_alloc(&run->arena, (int64_t)sizeof(qn_column *) * (node->n_keys + 1));
  QN_REQUIRE(state->keys != NULL, err, QN_ERR_MEMORY, "no memory for a window");
  QN_TRY(qn_order_columns_init(&state->order, input, &run->arena, err));
  qn_order_columns_add_keys(&state->order, node->keys, node->n_keys);
  state->place = state->order.n;
  qn_order_columns_add_order(&state->order, node->order, node->n_order);
  qn_order_columns_add_rest(&state->order);
  QN_TRY(qn_spool_new(input, run->scratch, &state->held, err));
  QN_TRY(qn_group_table_new(types, node->n_keys, &state->table, err));

done:
  return status;
}
