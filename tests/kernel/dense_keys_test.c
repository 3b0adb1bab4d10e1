// SPDX-License-Identifier: Apache-2.0
// Groups of dense keys against the definition, for each integer type and with nulls.
#include "kernel/dense_keys.h"
#include "kit/kit.h"

static void check_keys(const qn_column *key, const qn_column *probe, int64_t most, int64_t lowest,
                       int64_t n_groups) {
  int32_t groups[16];
  const qn_dense_keys keys = qn_dense_keys_find_range(key, most);
  QN_CHECK_INT(keys.n_groups, n_groups);
  if (n_groups == 0) {
    return;
  }
  QN_CHECK_INT(keys.lowest, lowest);
  qn_dense_keys_groups(&keys, probe, groups);
  for (int64_t i = 0; i < probe->n_rows; i++) {
    const bool is_short = key->type == QN_INT32 || key->type == QN_DATE;
    const int64_t value = is_short ? qn_column_int32(probe, i) : qn_column_int64(probe, i);
    const bool is_inside = !qn_column_is_null(probe, i) && value >= lowest && value - n_groups < lowest;
    QN_CHECK_INT(groups[i], is_inside ? value - lowest : -1);
  }
}

static void groups_are_distances_from_the_lowest_key(void) {
  qn_batch *build = kit_batch("a int32, b int64, c date", "-3|1000000000007|1970-01-02\n"
                                                          "5|1000000000001|1970-01-09\n"
                                                          "~|1000000000004|~\n");
  qn_batch *probe = kit_batch("a int32, b int64, c date", "-4|1000000000000|1970-01-01\n"
                                                          "-3|1000000000001|1970-01-02\n"
                                                          "5|1000000000007|1970-01-09\n"
                                                          "6|1000000000008|1970-01-10\n"
                                                          "2147483647|-9223372036854775808|~\n"
                                                          "~|~|1960-05-05\n");
  check_keys(&build->columns[0], &probe->columns[0], 9, -3, 9);
  check_keys(&build->columns[0], &probe->columns[0], 8, 0, 0);
  check_keys(&build->columns[1], &probe->columns[1], 7, 1000000000001, 7);
  check_keys(&build->columns[2], &probe->columns[2], 100, 1, 8);
  qn_batch_free(build);
  qn_batch_free(probe);
}

static void a_range_may_be_as_wide_as_the_type(void) {
  qn_batch *build = kit_batch("a int64, b float64", "-9223372036854775808|1\n9223372036854775807|2\n");
  check_keys(&build->columns[0], &build->columns[0], INT32_MAX, 0, 0);
  check_keys(&build->columns[1], &build->columns[1], INT32_MAX, 0, 0);
  qn_batch_free(build);
}

static void keys_that_are_all_null_have_no_range(void) {
  qn_batch *build = kit_batch("a int64, b int32", "~|~\n~|~\n");
  check_keys(&build->columns[0], &build->columns[0], 100, 0, 0);
  check_keys(&build->columns[1], &build->columns[1], 100, 0, 0);
  qn_batch_free(build);
}

int main(void) {
  KIT_RUN(groups_are_distances_from_the_lowest_key);
  KIT_RUN(a_range_may_be_as_wide_as_the_type);
  KIT_RUN(keys_that_are_all_null_have_no_range);
  return kit_result();
}
