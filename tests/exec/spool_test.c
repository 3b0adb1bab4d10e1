// SPDX-License-Identifier: Apache-2.0
// Spools give back what they got, in order, in memory and spilled.
#include "base/memory.h"
#include "exec/spool.h"
#include "kit/kit.h"

static const char *const columns = "a int64, b utf8, c float32, d bool";

// Appends `n` batches of up to most_rows rows to the spool; *whole are all of them in one batch.
static void fill(qn_spool *spool, kit_random *random, int n, int64_t most_rows, qn_batch **whole) {
  qn_batch *batches[200] = {NULL};
  for (int i = 0; i < n; i++) {
    batches[i] = kit_random_batch(random, columns, kit_random_below(random, most_rows + 1));
    QN_CHECK_OK(qn_spool_append(spool, batches[i], &kit_error));
  }
  QN_CHECK_OK(qn_batch_concat(batches[0]->schema, batches, n, whole, &kit_error));
  for (int i = 0; i < n; i++) {
    qn_batch_free(batches[i]);
  }
}

static qn_spool *new_spool(void) {
  qn_schema *schema = NULL;
  qn_spool *spool = NULL;
  QN_CHECK_OK(qn_schema_parse(columns, &schema, &kit_error));
  QN_CHECK_OK(qn_spool_new(schema, "/tmp", &spool, &kit_error));
  qn_schema_free(schema);
  return spool;
}

static void check_equal(const qn_batch *batch, const qn_batch *wanted) {
  char *text = kit_batch_text(wanted);
  QN_CHECK_BATCH(batch, text);
  free(text);
}

// Reads to the end, by next or by take, and compares with the whole.
static void check_read(qn_spool *spool, bool is_taken, const qn_batch *whole) {
  qn_batch *batches[400] = {NULL};
  int n = 0;
  qn_batch *batch = NULL, *all = NULL;
  QN_CHECK_OK(qn_spool_rewind(spool, &kit_error));
  do {
    QN_CHECK_OK(is_taken ? qn_spool_take(spool, &batch, &kit_error)
                         : qn_spool_next(spool, &batch, &kit_error));
    if (batch != NULL) {
      batches[n++] = batch;
    }
  } while (batch != NULL);
  QN_CHECK_OK(qn_batch_concat(whole->schema, batches, n, &all, &kit_error));
  check_equal(all, whole);
  for (int i = 0; i < n; i++) {
    qn_batch_free(batches[i]);
  }
  qn_batch_free(all);
}

static void spool_in_memory_gives_back_what_it_got(void) {
  kit_random random = {.state = 11};
  qn_spool *spool = new_spool();
  qn_batch *whole = NULL, *all = NULL;

  fill(spool, &random, 60, 5000, &whole);
  QN_CHECK_INT(qn_spool_n_rows(spool), whole->n_rows);
  QN_CHECK(!qn_spool_is_spilled(spool));
  check_read(spool, false, whole);
  check_read(spool, false, whole);
  QN_CHECK_OK(qn_spool_concat(spool, &all, &kit_error));
  check_equal(all, whole);
  check_read(spool, true, whole);
  QN_CHECK_FAILS(qn_spool_rewind(spool, &kit_error), QN_ERR_ARG);
  qn_batch_free(all);
  qn_batch_free(whole);
  qn_spool_free(spool);
}

static void spool_spills_when_the_budget_is_tight(void) {
  kit_random random = {.state = 12};
  qn_spool *spool = new_spool();
  qn_batch *whole = NULL, *all = NULL;

  qn_memory_set_budget(1 << 20);
  fill(spool, &random, 60, 5000, &whole);
  qn_memory_set_budget(0);
  QN_CHECK(qn_spool_is_spilled(spool));
  QN_CHECK_INT(qn_spool_n_rows(spool), whole->n_rows);
  check_read(spool, false, whole);
  QN_CHECK_OK(qn_spool_concat(spool, &all, &kit_error));
  check_equal(all, whole);
  check_read(spool, true, whole);
  qn_batch_free(all);
  qn_batch_free(whole);
  qn_spool_free(spool);
}

static void spill_half_way_keeps_the_order(void) {
  kit_random random = {.state = 13};
  qn_spool *spool = new_spool();
  qn_batch *parts[2] = {NULL, NULL}, *whole = NULL;

  fill(spool, &random, 30, 300, &parts[0]);
  QN_CHECK_OK(qn_spool_spill(spool, &kit_error));
  fill(spool, &random, 30, 300, &parts[1]);
  QN_CHECK_OK(qn_batch_concat(parts[0]->schema, parts, 2, &whole, &kit_error));
  check_read(spool, false, whole);
  qn_batch_free(parts[0]);
  qn_batch_free(parts[1]);
  qn_batch_free(whole);
  qn_spool_free(spool);
}

static void a_spool_may_spill_until_it_is_read(void) {
  kit_random random = {.state = 14};
  qn_spool *spool = new_spool();
  qn_batch *whole = NULL, *batch = NULL;

  fill(spool, &random, 30, 3000, &whole);
  QN_CHECK_OK(qn_spool_rewind(spool, &kit_error));
  QN_CHECK_OK(qn_spool_spill(spool, &kit_error));
  QN_CHECK(qn_spool_is_spilled(spool));
  check_read(spool, false, whole);
  qn_spool_free(spool);
  spool = new_spool();
  QN_CHECK_OK(qn_spool_append(spool, whole, &kit_error));
  QN_CHECK_OK(qn_spool_rewind(spool, &kit_error));
  QN_CHECK_OK(qn_spool_next(spool, &batch, &kit_error));
  QN_CHECK_FAILS(qn_spool_spill(spool, &kit_error), QN_ERR_ARG);
  qn_batch_free(batch);
  qn_batch_free(whole);
  qn_spool_free(spool);
}

static void spools_may_share_a_file(void) {
  kit_random random = {.state = 15};
  qn_spool *spools[3] = {new_spool(), new_spool(), new_spool()};
  qn_batch *wholes[3] = {NULL, NULL, NULL};

  for (int i = 0; i < 3; i++) {
    qn_spool_share_file(spools[i], i == 0 ? NULL : spools[0]);
    fill(spools[i], &random, 20, 3000, &wholes[i]);
    QN_CHECK_OK(qn_spool_spill(spools[i], &kit_error));
  }
  check_read(spools[1], false, wholes[1]);
  check_read(spools[0], true, wholes[0]);
  qn_spool_free(spools[0]);
  check_read(spools[2], false, wholes[2]);
  check_read(spools[1], false, wholes[1]);
  for (int i = 0; i < 3; i++) {
    qn_batch_free(wholes[i]);
  }
  qn_spool_free(spools[1]);
  qn_spool_free(spools[2]);
}

static void small_batches_are_put_together(void) {
  qn_spool *spool = new_spool();
  qn_batch *one = kit_batch(columns, "1|x|0.5|t\n"), *batch = NULL;

  for (int i = 0; i < 1000; i++) {
    QN_CHECK_OK(qn_spool_append(spool, one, &kit_error));
  }
  QN_CHECK_OK(qn_spool_rewind(spool, &kit_error));
  QN_CHECK_OK(qn_spool_next(spool, &batch, &kit_error));
  QN_CHECK_INT(batch->n_rows, 1000);
  qn_batch_free(batch);
  QN_CHECK_OK(qn_spool_next(spool, &batch, &kit_error));
  QN_CHECK(batch == NULL);
  qn_batch_free(one);
  qn_spool_free(spool);
}

static void empty_spool_is_at_its_end(void) {
  qn_spool *spool = new_spool();
  qn_batch *batch = NULL;

  QN_CHECK_FAILS(qn_spool_next(spool, &batch, &kit_error), QN_ERR_ARG);
  QN_CHECK_OK(qn_spool_rewind(spool, &kit_error));
  QN_CHECK_OK(qn_spool_next(spool, &batch, &kit_error));
  QN_CHECK(batch == NULL);
  QN_CHECK_OK(qn_spool_concat(spool, &batch, &kit_error));
  QN_CHECK_INT(batch->n_rows, 0);
  QN_CHECK_FAILS(qn_spool_append(spool, batch, &kit_error), QN_ERR_ARG);
  qn_batch_free(batch);
  qn_spool_free(spool);
}

static void spill_into_a_missing_folder_is_an_error(void) {
  qn_batch *one = kit_batch("a int64", "1\n");
  qn_spool *spool = NULL;

  QN_CHECK_OK(qn_spool_new(one->schema, "/nonexistent/folder", &spool, &kit_error));
  QN_CHECK_OK(qn_spool_append(spool, one, &kit_error));
  QN_CHECK_FAILS(qn_spool_spill(spool, &kit_error), QN_ERR_IO);
  QN_CHECK_MESSAGE("/nonexistent/folder");
  qn_batch_free(one);
  qn_spool_free(spool);
}

int main(void) {
  KIT_RUN(spool_in_memory_gives_back_what_it_got);
  KIT_RUN(spool_spills_when_the_budget_is_tight);
  KIT_RUN(spill_half_way_keeps_the_order);
  KIT_RUN(a_spool_may_spill_until_it_is_read);
  KIT_RUN(spools_may_share_a_file);
  KIT_RUN(small_batches_are_put_together);
  KIT_RUN(empty_spool_is_at_its_end);
  KIT_RUN(spill_into_a_missing_folder_is_an_error);
  return kit_result();
}
