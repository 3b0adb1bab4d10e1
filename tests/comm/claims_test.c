// SPDX-License-Identifier: Apache-2.0
// Every item of a shared counter goes to exactly one rank.
#include "comm/comm.h"
#include "kit/kit.h"

static qn_comm *comm;

static void end_run(void) {
  QN_CHECK_OK(qn_comm_agree(comm, QN_OK, &kit_error));
}

// Claims until nothing is left, or until `most` items.
static void claim(qn_claims *claims, int64_t *times, int64_t most) {
  int64_t item = 0;
  for (int64_t i = 0; i < most && item >= 0; i++) {
    QN_CHECK_OK(qn_claims_next(claims, &item, &kit_error));
    if (item >= 0) {
      times[item]++;
    }
  }
}

static void check_times(int64_t *times, int64_t n_items) {
  QN_CHECK_OK(qn_comm_reduce_int64(comm, QN_SUM, times, n_items, &kit_error));
  for (int64_t i = 0; i < n_items; i++) {
    QN_CHECK_INT(times[i], 1);
  }
}

static void claim_all(int64_t n_items) {
  qn_claims *claims = NULL;
  int64_t *times = calloc((size_t)n_items + 1, 8);
  int64_t item = 0;
  QN_CHECK_OK(qn_claims_open(comm, n_items, &claims, &kit_error));
  claim(claims, times, INT64_MAX);
  QN_CHECK_OK(qn_claims_next(claims, &item, &kit_error));
  QN_CHECK_INT(item, -1);
  qn_claims_close(claims);
  check_times(times, n_items);
  free(times);
}

static void each_item_is_claimed_once(void) {
  claim_all(0);
  claim_all(1);
  claim_all(5);
  end_run();
  claim_all(1000);
  claim_all(3);
  end_run();
}

static void two_counters_run_side_by_side(void) {
  qn_claims *a = NULL, *b = NULL;
  int64_t times_a[100] = {0}, times_b[70] = {0};
  QN_CHECK_OK(qn_claims_open(comm, 100, &a, &kit_error));
  QN_CHECK_OK(qn_claims_open(comm, 70, &b, &kit_error));
  for (int i = 0; i < 5; i++) {
    claim(b, times_b, 1);
    claim(a, times_a, 2);
  }
  claim(b, times_b, INT64_MAX);
  claim(a, times_a, INT64_MAX);
  qn_claims_close(b);
  qn_claims_close(a);
  check_times(times_a, 100);
  check_times(times_b, 70);
  end_run();
}

static void rank_0_serves_after_it_has_closed(void) {
  qn_claims *claims = NULL;
  int64_t n_claimed = 0;
  int64_t item = 0;
  QN_CHECK_OK(qn_claims_open(comm, 50, &claims, &kit_error));
  while (qn_comm_rank(comm) != 0 && item >= 0) {
    QN_CHECK_OK(qn_claims_next(claims, &item, &kit_error));
    n_claimed += item >= 0;
  }
  qn_claims_close(claims);
  QN_CHECK_OK(qn_comm_reduce_int64(comm, QN_SUM, &n_claimed, 1, &kit_error));
  QN_CHECK_INT(n_claimed, qn_comm_size(comm) == 1 ? 0 : 50);
  end_run();
}

static void of_lazy_claims_those_who_ask_get_all(void) {
  qn_claims *claims = NULL;
  int64_t times[30] = {0};
  QN_CHECK_OK(qn_claims_open_lazy(comm, 30, &claims, &kit_error));
  if (qn_comm_rank(comm) == qn_comm_size(comm) - 1) { // nothing is kept for the others
    claim(claims, times, INT64_MAX);
  }
  check_times(times, 30);
  qn_claims_close(claims);
  end_run();
}

static void claims_end_with_their_run(void) {
  qn_claims *claims = NULL;
  int64_t item = 0;
  QN_CHECK_OK(qn_claims_open(comm, 1000, &claims, &kit_error));
  QN_CHECK_OK(qn_claims_next(claims, &item, &kit_error));
  end_run();
  QN_CHECK_FAILS(qn_claims_next(claims, &item, &kit_error), QN_ERR_ARG);
  QN_CHECK_MESSAGE("has ended");
  qn_claims_close(claims);
  claim_all(20); // the next run's first counter is another one
  end_run();
}

int main(void) {
  if (qn_comm_open(&comm, &kit_error) != QN_OK) {
    printf("%s\n", kit_error.message);
    return 1;
  }
  KIT_RUN(each_item_is_claimed_once);
  KIT_RUN(two_counters_run_side_by_side);
  KIT_RUN(rank_0_serves_after_it_has_closed);
  KIT_RUN(of_lazy_claims_those_who_ask_get_all);
  KIT_RUN(claims_end_with_their_run);
  qn_comm_close(comm);
  return kit_result();
}
