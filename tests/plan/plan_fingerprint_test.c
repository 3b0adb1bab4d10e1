// SPDX-License-Identifier: Apache-2.0
// Equal plans have equal fingerprints, others have others, down to a constant, an option or a callback.
#include "plan/plan_fingerprint.h"

#include "plan_fixture.h"

static const char schema[] = "a int64, b int64, c utf8";

static qn_status copy_rows(const qn_batch *in, qn_appender *out, void *ctx) {
  (void)in;
  (void)out;
  (void)ctx;
  return QN_OK;
}

static qn_status drop_rows(const qn_batch *in, qn_appender *out, void *ctx) {
  (void)in;
  (void)out;
  return ctx == NULL ? QN_OK : QN_ERR_CALLBACK;
}

enum { N_PLANS = 18 };

// Plan number `which` over a table of an identity.
static qn_dataset *plan_of(qn_plan *plan, int which, uint64_t identity) {
  qn_dataset *table = table_of(plan, "t", schema);
  table->owned_source->identity = identity;
  switch (which) {
  case 0:
    return table;
  case 1:
    return qn_filter(table, "a > 1");
  case 2:
    return qn_filter(table, "a > 2");
  case 3:
    return qn_select(table, "a, b");
  case 4:
    return qn_select(table, "a, b as d");
  case 5:
    return qn_limit(table, 5);
  case 6:
    return qn_limit(table, 6);
  case 7:
    return qn_sort(table, "a");
  case 8:
    return qn_sort(table, "a desc");
  case 9:
    return qn_reduce(table, "a", "sum(b) as n");
  case 10:
    return qn_reduce(table, "a", "max(b) as n");
  case 11:
    return qn_reduce(table, "a", "approx_quantile(b, 0.5) as n");
  case 12:
    return qn_reduce(table, "a", "approx_quantile(b, 0.6) as n");
  case 13:
    return qn_join(table, table, QN_JOIN_INNER, "a", NULL);
  case 14:
    return qn_join(table, table, QN_JOIN_LEFT, "a", NULL);
  case 15:
    return qn_map(table, copy_rows, NULL, "x int64");
  case 16:
    return qn_map(table, drop_rows, NULL, "x int64");
  default:
    return qn_window(table, "a", "b", "row_number() as n");
  }
}

static uint64_t fingerprint_of(const qn_dataset *root) {
  uint64_t found = 0;
  QN_CHECK_OK(root->status);
  QN_CHECK_OK(qn_plan_fingerprint(root, &found, &kit_error));
  return found;
}

static void each_plan_has_its_own(void) {
  qn_plan plan;
  uint64_t found[N_PLANS];
  qn_plan_init(&plan, NULL);
  for (int i = 0; i < N_PLANS; i++) {
    found[i] = fingerprint_of(plan_of(&plan, i, 7));
    for (int other = 0; other < i; other++) {
      QN_CHECK(found[i] != found[other]);
    }
    QN_CHECK(fingerprint_of(plan_of(&plan, i, 8)) != found[i]);
  }
  qn_plan_release(&plan);
}

static void an_equal_plan_has_an_equal_one(void) {
  qn_plan plan;
  qn_plan_init(&plan, NULL);
  for (int i = 0; i < N_PLANS; i++) {
    qn_dataset *first = plan_of(&plan, i, 7);
    const uint64_t before = fingerprint_of(first);
    free(optimised(first)); // makes nodes in between
    QN_CHECK(fingerprint_of(first) == before);
    QN_CHECK(fingerprint_of(plan_of(&plan, i, 7)) == before);
  }
  qn_plan_release(&plan);
}

static void many_ways_to_a_node_take_no_longer(void) {
  qn_plan plan;
  qn_plan_init(&plan, NULL);
  qn_dataset *node = table_of(&plan, "t", "a int64");
  for (int i = 0; i < 200; i++) { // 2^200 ways
    node = qn_union(node, node);
  }
  const uint64_t found = fingerprint_of(node);
  QN_CHECK(found != fingerprint_of(qn_union(node, node)));
  qn_plan_release(&plan);
}

static qn_dataset *rows_of(qn_plan *plan, qn_batch **batches, int64_t n_batches) {
  qn_dataset *node = qn_plan_node(plan, QN_NODE_LOCAL, NULL, NULL, NULL);
  node->schema = qn_schema_share(batches[0]->schema);
  node->batches = batches;
  node->n_batches = n_batches;
  return node;
}

static uint64_t rows_hash(const qn_dataset *root) {
  bool has_rows = false;
  uint64_t found = 0;
  QN_CHECK_OK(qn_plan_rows_hash(root, &has_rows, &found, &kit_error));
  QN_CHECK(has_rows);
  return found;
}

static void rows_in_memory_may_lie_anywhere(void) {
  qn_plan plan;
  qn_plan_init(&plan, NULL);
  qn_batch *all = kit_batch("a int64, b utf8", "1|x\n2|y\n3|z\n");
  qn_batch *some = kit_batch("a int64, b utf8", "3|z\n1|x\n");
  qn_batch *rest = kit_batch("a int64, b utf8", "2|y\n");
  qn_batch *other = kit_batch("a int64, b utf8", "2|w\n");
  const uint64_t whole = rows_hash(rows_of(&plan, &all, 1));
  const uint64_t part = rows_hash(qn_filter(rows_of(&plan, &some, 1), "a > 0"));
  QN_CHECK(part + rows_hash(rows_of(&plan, &rest, 1)) == whole);
  QN_CHECK(part + rows_hash(rows_of(&plan, &other, 1)) != whole);
  qn_plan_release(&plan);
  qn_batch_free(all);
  qn_batch_free(some);
  qn_batch_free(rest);
  qn_batch_free(other);
}

int main(void) {
  KIT_RUN(each_plan_has_its_own);
  KIT_RUN(an_equal_plan_has_an_equal_one);
  KIT_RUN(many_ways_to_a_node_take_no_longer);
  KIT_RUN(rows_in_memory_may_lie_anywhere);
  return kit_result();
}
