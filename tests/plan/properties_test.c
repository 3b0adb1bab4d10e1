// SPDX-License-Identifier: Apache-2.0
#include "plan_fixture.h"

static const char schema[] = "a int64, b int64, c utf8";

static bool partitioned(const qn_dataset *node, int column) {
  return qn_plan_is_partitioned(node, &column, 1);
}

static void reduced_rows_lie_by_their_keys(void) {
  qn_plan plan;
  qn_plan_init(&plan, NULL);
  qn_dataset *table = table_of(&plan, "t", schema);
  qn_dataset *reduced = qn_reduce(table, "b", "count(*) as n");
  QN_CHECK(!partitioned(table, 0));
  QN_CHECK(partitioned(reduced, 0));
  QN_CHECK(!partitioned(reduced, 1));
  QN_CHECK(partitioned(qn_filter(reduced, "n > 1"), 0));
  QN_CHECK(partitioned(qn_select(reduced, "n, b"), 1));
  QN_CHECK(!partitioned(qn_select(reduced, "n, b + 1 as b"), 1));
  const int both[2] = {0, 1};
  QN_CHECK(qn_plan_is_partitioned(reduced, both, 2)); // equal in (b, n) means equal in b
  QN_CHECK(!qn_plan_is_hashed(reduced, both, 2));
  QN_CHECK(qn_plan_is_hashed(reduced, both, 1));
  qn_plan_release(&plan);
}

static void a_reduce_by_more_keys_stays_in_place(void) {
  qn_plan plan;
  qn_plan_init(&plan, NULL);
  qn_dataset *table = table_of(&plan, "t", schema);
  qn_dataset *shuffled = qn_shuffle(table, "a");
  qn_dataset *reduced = qn_reduce(shuffled, "a, b", "count(*) as n");
  QN_CHECK(partitioned(reduced, 0)); // still by a alone
  QN_CHECK(!partitioned(reduced, 1));
  const int keys[2] = {0, 1};
  QN_CHECK(!qn_plan_is_hashed(reduced, keys, 2)); // but by the hash of a, not of (a, b)
  QN_CHECK(qn_plan_is_hashed(reduced, keys, 1));
  qn_plan_release(&plan);
}

static qn_status add_nothing(const qn_batch *in, qn_appender *out, void *ctx) {
  (void)in, (void)out, (void)ctx;
  return QN_OK;
}

static void extended_rows_lie_where_they_were(void) {
  qn_plan plan;
  qn_plan_init(&plan, NULL);
  qn_dataset *shuffled = qn_shuffle(table_of(&plan, "t", schema), "b");
  qn_dataset *extended = qn_extend(shuffled, add_nothing, NULL, "d int64");
  const int keys[2] = {1, 3};
  QN_CHECK(partitioned(extended, 1));
  QN_CHECK(!partitioned(extended, 0) && !partitioned(extended, 3));
  QN_CHECK(qn_plan_is_partitioned(extended, keys, 2));
  QN_CHECK(qn_plan_is_hashed(extended, keys, 1));
  QN_CHECK(!qn_plan_is_hashed(extended, keys, 2));
  qn_plan_release(&plan);
}

static void order_is_known(void) {
  qn_plan plan;
  qn_plan_init(&plan, NULL);
  qn_dataset *table = table_of(&plan, "t", schema);
  QN_CHECK(qn_plan_has_order(table));
  QN_CHECK(qn_plan_has_order(qn_extend(qn_filter(table, "a > 1"), add_nothing, NULL, "d int64")));
  QN_CHECK(!qn_plan_has_order(qn_extend(qn_shuffle(table, "a"), add_nothing, NULL, "d int64")));
  QN_CHECK(qn_plan_has_order(qn_select(qn_filter(table, "a > 1"), "b")));
  QN_CHECK(!qn_plan_has_order(qn_reduce(table, "a", "count(*) as n")));
  QN_CHECK(qn_plan_has_order(qn_sort(qn_reduce(table, "a", "count(*) as n"), "n")));
  QN_CHECK(!qn_plan_has_order(qn_shuffle(table, "a")));
  QN_CHECK(!qn_plan_has_order(qn_union(table, table)));
  qn_plan_release(&plan);
}

int main(void) {
  KIT_RUN(reduced_rows_lie_by_their_keys);
  KIT_RUN(a_reduce_by_more_keys_stays_in_place);
  KIT_RUN(extended_rows_lie_where_they_were);
  KIT_RUN(order_is_known);
  return kit_result();
}
