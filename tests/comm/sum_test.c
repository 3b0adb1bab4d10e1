// SPDX-License-Identifier: Apache-2.0
// Sums over ranks against values computed from the ranks, on every way a vector can go; groups of ranks.
#include <math.h>
#include "comm/comm_state.h"
#include "kit/kit.h"

static qn_comm *comm;
static const int64_t sizes[] = {0, 1, 2, 7, 100, 256, 257, 1000, 2100, 5000, 33000, 300001, 1200007};
enum { N_SIZES = sizeof sizes / sizeof sizes[0] };

static void end_run(void) {
  QN_CHECK_OK(qn_comm_agree(comm, QN_OK, &kit_error));
}

// Small integers, so that the sum is exact.
static double value_of(int rank, int64_t i) {
  return (double)((i * 7 + rank * 13) % 1000 - 300);
}

static double sum_of(int n_ranks, int64_t i) {
  double sum = 0;
  for (int r = 0; r < n_ranks; r++) {
    sum += value_of(r, i);
  }
  return sum;
}

static double *make_doubles(int rank, int64_t n) {
  double *values = malloc(((size_t)n + 1) * sizeof *values);
  for (int64_t i = 0; i < n; i++) {
    values[i] = value_of(rank, i);
  }
  values[n] = 77;
  return values;
}

static void check_doubles(const double *values, int n_ranks, int64_t n) {
  int64_t n_wrong = 0;
  for (int64_t i = 0; i < n; i++) {
    n_wrong += values[i] != sum_of(n_ranks, i);
  }
  QN_CHECK_INT(n_wrong, 0);
  QN_CHECK(values[n] == 77);
}

static void sums_of_any_size_are_right(void) {
  for (int s = 0; s < N_SIZES; s++) {
    const int64_t n = sizes[s];
    double *values = make_doubles(qn_comm_rank(comm), n);
    QN_CHECK_OK(qn_comm_sum_float64(comm, values, n, &kit_error));
    check_doubles(values, qn_comm_size(comm), n);
    float *floats = malloc(((size_t)n + 1) * sizeof *floats);
    for (int64_t i = 0; i < n; i++) {
      floats[i] = (float)value_of(qn_comm_rank(comm), i);
    }
    QN_CHECK_OK(qn_comm_sum_float32(comm, floats, n, &kit_error));
    int64_t n_wrong = 0;
    for (int64_t i = 0; i < n; i++) {
      n_wrong += (double)floats[i] != sum_of(qn_comm_size(comm), i);
    }
    QN_CHECK_INT(n_wrong, 0);
    free(floats);
    free(values);
  }
  end_run();
}

static void the_bits_are_the_same_everywhere_and_each_time(void) {
  for (int s = 0; s < N_SIZES; s++) {
    const int64_t n = sizes[s];
    double *first = malloc(((size_t)n + 1) * sizeof *first);
    double *second = malloc(((size_t)n + 1) * sizeof *second);
    kit_random random = {.state = (uint64_t)(qn_comm_rank(comm) * 100 + s)};
    for (int64_t i = 0; i < n; i++) {
      first[i] = second[i] = ldexp((double)kit_random_next(&random), (int)kit_random_below(&random, 40));
    }
    QN_CHECK_OK(qn_comm_sum_float64(comm, first, n, &kit_error));
    QN_CHECK_OK(qn_comm_sum_float64(comm, second, n, &kit_error));
    QN_CHECK(memcmp(first, second, (size_t)n * 8) == 0);
    qn_buffer root = {0};
    QN_CHECK_OK(qn_buffer_append(&root, first, n * 8, &kit_error));
    QN_CHECK_OK(qn_comm_broadcast(comm, 0, &root, &kit_error));
    QN_CHECK(n == 0 || memcmp(first, root.data, (size_t)n * 8) == 0);
    qn_buffer_release(&root);
    free(first);
    free(second);
  }
  end_run();
}

// Started in one order, finished in another, with other collectives between.
static void several_sums_may_be_under_way(void) {
  const int rank = qn_comm_rank(comm);
  double *values[N_SIZES];
  qn_comm_sum *sums[N_SIZES];
  int64_t count = 1;
  for (int s = 0; s < N_SIZES; s++) {
    values[s] = make_doubles(rank, sizes[s]);
    QN_CHECK_OK(qn_comm_sum_start(comm, QN_FLOAT64, values[s], sizes[s], &sums[s], &kit_error));
    if (s % 4 == 1) {
      QN_CHECK_OK(qn_comm_reduce_int64(comm, QN_SUM, &count, 1, &kit_error));
    }
    if ((s + rank) % 3 == 0) {
      QN_CHECK_OK(qn_comm_poll(comm, &kit_error));
    }
  }
  for (int s = 0; s < N_SIZES; s++) {
    const int i = rank % 2 == 0 ? s : N_SIZES - 1 - s; // each as it likes
    QN_CHECK_OK(qn_comm_sum_finish(sums[i], &kit_error));
    check_doubles(values[i], qn_comm_size(comm), sizes[i]);
    free(values[i]);
  }
  end_run();
}

static void wrong_arguments_are_told(void) {
  qn_comm_sum *sum = NULL;
  QN_CHECK_FAILS(qn_comm_sum_start(comm, QN_INT64, NULL, 0, &sum, &kit_error), QN_ERR_ARG);
  QN_CHECK_MESSAGE("of type int64");
  QN_CHECK_FAILS(qn_comm_sum_float64(comm, NULL, -1, &kit_error), QN_ERR_ARG);
  QN_CHECK(sum == NULL);
  end_run();
}

static void different_calls_are_noticed(void) {
  double *values = make_doubles(qn_comm_rank(comm), 100000);
  const int64_t ns[] = {100, 2000, 90000};
  for (int i = 0; i < 3 && qn_comm_size(comm) > 1; i++) {
    const int64_t n = qn_comm_rank(comm) == 1 ? ns[i] : 100000;
    const qn_status status = qn_comm_sum_float64(comm, values, n, &kit_error);
    QN_CHECK(status == QN_ERR_MPI || status == QN_ERR_STOPPED);
    QN_CHECK_FAILS(qn_comm_agree(comm, status, &kit_error), QN_ERR_MPI);
    QN_CHECK_MESSAGE("the same calls in the same order");
  }
  for (int i = 0; i < 2 && qn_comm_size(comm) > 1; i++) {
    const qn_status status = qn_comm_rank(comm) == i ? qn_comm_barrier(comm, &kit_error)
                                                     : qn_comm_sum_float64(comm, values, 2000, &kit_error);
    QN_CHECK(status == QN_ERR_MPI || status == QN_ERR_STOPPED);
    QN_CHECK_FAILS(qn_comm_agree(comm, status, &kit_error), QN_ERR_MPI);
    QN_CHECK_MESSAGE("the same calls in the same order");
  }
  free(values);
}

static void an_unfinished_sum_is_a_mistake(void) {
  double value = 1;
  qn_comm_sum *sum = NULL;
  const qn_status status = qn_comm_sum_start(comm, QN_FLOAT64, &value, 1, &sum, &kit_error);
  QN_CHECK(status == QN_OK || status == QN_ERR_STOPPED); // another may have come to the end before
  QN_CHECK_FAILS(qn_comm_agree(comm, status, &kit_error), QN_ERR_ARG);
  QN_CHECK_MESSAGE("qn_comm_sum_finish");
  if (sum != NULL) {
    QN_CHECK_FAILS(qn_comm_sum_finish(sum, &kit_error), QN_ERR_STOPPED);
  }
}

// Two sums while the rank `who` fails after `n_before` of its calls.
static qn_status sum_and_fail(qn_comm *group, int who, int n_before, int64_t n, qn_error *err) {
  qn_status status = QN_OK;
  qn_comm_sum *sums[2] = {NULL, NULL};
  double *values[2] = {make_doubles(qn_comm_rank(group), n), make_doubles(qn_comm_rank(group), n)};
  for (int call = 0; call < 4 && status == QN_OK; call++) {
    if (qn_comm_rank(group) == who && call == n_before) {
      status = qn_fail(err, QN_ERR_CALLBACK, "the reason of rank %d", who);
    } else if (call < 2) {
      status = qn_comm_sum_start(group, QN_FLOAT64, values[call], n, &sums[call], err);
    } else {
      status = qn_comm_sum_finish(sums[call - 2], err);
      sums[call - 2] = NULL;
    }
  }
  for (int i = 0; i < 2; i++) {
    if (sums[i] != NULL) {
      QN_CHECK(qn_comm_sum_finish(sums[i], NULL) != QN_OK || qn_comm_rank(group) == who);
    }
    free(values[i]);
  }
  return status;
}

static void a_rank_fails_while_others_sum(void) {
  const int n_ranks = qn_comm_size(comm);
  for (int s = 0; s < N_SIZES; s++) {
    const int who = s % n_ranks;
    qn_error error = {0};
    qn_status status = sum_and_fail(comm, who, 3 - s % 4, sizes[s], &error);
    status = qn_comm_agree(comm, status, &error);
    QN_CHECK_INT(status, QN_ERR_CALLBACK);
    QN_CHECK_INT(error.rank, who);
    double *values = make_doubles(qn_comm_rank(comm), 5000);
    QN_CHECK_OK(qn_comm_sum_float64(comm, values, 5000, &kit_error));
    check_doubles(values, n_ranks, 5000);
    free(values);
    end_run();
  }
}

static void groups_run_side_by_side(void) {
  const int n_groups = qn_comm_size(comm) > 2 ? 3 : 1;
  const int color = qn_comm_rank(comm) % n_groups;
  qn_comm *group = NULL;
  QN_CHECK_OK(qn_comm_split(comm, color, &group, &kit_error));
  QN_CHECK_INT(qn_comm_rank(group), qn_comm_rank(comm) / n_groups);
  QN_CHECK_INT(qn_comm_size(group), (qn_comm_size(comm) - color + n_groups - 1) / n_groups);
  QN_CHECK_TEXT(qn_comm_library(group), qn_comm_library(comm));
  for (int run = 0; run < 20 + 5 * color; run++) {
    const int64_t n = sizes[(run + color) % N_SIZES] % 40000;
    double *values = make_doubles(qn_comm_rank(group), n);
    QN_CHECK_OK(qn_comm_sum_float64(group, values, n, &kit_error));
    check_doubles(values, qn_comm_size(group), n);
    free(values);
    QN_CHECK_OK(qn_comm_agree(group, QN_OK, &kit_error));
  }
  int64_t one = 1;
  QN_CHECK_OK(qn_comm_reduce_int64(comm, QN_SUM, &one, 1, &kit_error));
  QN_CHECK_INT(one, qn_comm_size(comm));
  end_run();
  qn_comm_close(group);
}

static void a_failure_in_a_group_leaves_the_others_alone(void) {
  qn_comm *group = NULL;
  QN_CHECK_OK(qn_comm_split(comm, qn_comm_rank(comm) % 2, &group, &kit_error));
  for (int s = 0; s < N_SIZES; s++) {
    qn_error error = {0};
    const bool fails = qn_comm_rank(comm) % 2 == 1 && s % 2 == 0;
    qn_status status = sum_and_fail(group, fails ? qn_comm_size(group) - 1 : -1, s % 4, sizes[s], &error);
    status = qn_comm_agree(group, status, &error);
    QN_CHECK_INT(status, fails ? QN_ERR_CALLBACK : QN_OK);
    if (s % 3 == 0) { // brought to all
      const qn_status all = qn_comm_agree(comm, status, &error);
      QN_CHECK_INT(all, s % 2 == 0 && qn_comm_size(comm) > 1 ? QN_ERR_CALLBACK : QN_OK);
    }
  }
  double *values = make_doubles(qn_comm_rank(comm), 3000);
  QN_CHECK_OK(qn_comm_sum_float64(comm, values, 3000, &kit_error));
  check_doubles(values, qn_comm_size(comm), 3000);
  free(values);
  end_run();
  qn_comm_close(group);
}

// Rank 0 answers claims of the whole while it waits in a group.
static void claims_are_answered_from_within_a_group(void) {
  const int n_ranks = qn_comm_size(comm);
  qn_comm *group = NULL;
  qn_claims *claims = NULL;
  int64_t item = 0;
  int64_t n_claimed = 0;
  QN_CHECK_OK(qn_comm_split(comm, qn_comm_rank(comm) < 2 ? 0 : 1, &group, &kit_error));
  QN_CHECK_OK(qn_claims_open(comm, 100, &claims, &kit_error));
  while (item >= 0 && qn_comm_rank(comm) != 0) {
    QN_CHECK_OK(qn_claims_next(claims, &item, &kit_error));
    n_claimed += item >= 0;
  }
  QN_CHECK_OK(qn_comm_barrier(group, &kit_error)); // where rank 0 has been waiting
  QN_CHECK_OK(qn_comm_agree(group, QN_OK, &kit_error));
  QN_CHECK_OK(qn_comm_reduce_int64(comm, QN_SUM, &n_claimed, 1, &kit_error));
  QN_CHECK_INT(n_claimed, n_ranks > 1 ? 100 : 0);
  end_run();
  qn_claims_close(claims);
  qn_comm_close(group);
}

static void a_color_below_zero_is_told(void) {
  qn_comm *group = NULL;
  const int color = qn_comm_rank(comm) == qn_comm_size(comm) - 1 ? -5 : 0;
  QN_CHECK_FAILS(qn_comm_split(comm, color, &group, &kit_error), QN_ERR_ARG);
  QN_CHECK_MESSAGE("color -5");
  QN_CHECK(group == NULL);
}

int main(void) {
  if (qn_comm_open(&comm, &kit_error) != QN_OK) {
    printf("%s\n", kit_error.message);
    return 1;
  }
  KIT_RUN(sums_of_any_size_are_right);
  KIT_RUN(the_bits_are_the_same_everywhere_and_each_time);
  KIT_RUN(several_sums_may_be_under_way);
  KIT_RUN(wrong_arguments_are_told);
  KIT_RUN(different_calls_are_noticed);
  KIT_RUN(an_unfinished_sum_is_a_mistake);
  KIT_RUN(a_rank_fails_while_others_sum);
  KIT_RUN(groups_run_side_by_side);
  KIT_RUN(a_failure_in_a_group_leaves_the_others_alone);
  KIT_RUN(claims_are_answered_from_within_a_group);
  KIT_RUN(a_color_below_zero_is_told);
  qn_comm_close(comm);
  return kit_result();
}
