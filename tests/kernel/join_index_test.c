// SPDX-License-Identifier: Apache-2.0
// Lists of rows by group, and the pairs they give, against two nested loops.
#include "kernel/join_index.h"
#include "kernel/ref_rows.h"

static int32_t *random_groups(kit_random *random, int64_t n, int64_t n_groups) {
  int32_t *groups = malloc(((size_t)n + 1) * sizeof *groups);
  for (int64_t i = 0; i < n; i++) {
    groups[i] = (int32_t)kit_random_below(random, n_groups + 1) - 1;
  }
  return groups;
}

static void lists_hold_the_rows_of_their_group(void) {
  kit_random random = {.state = 31};
  for (int z = 0; z < REF_N_SIZES; z++) {
    for (int64_t n_groups = 0; n_groups < 7000; n_groups = n_groups * 9 + 1) {
      const int64_t n = ref_sizes[z];
      int32_t *groups = random_groups(&random, n, n_groups);
      qn_join_index index = {0};
      int64_t n_wrong = 0;
      int64_t n_listed = 0;
      int64_t n_wanted = 0;
      QN_CHECK_OK(qn_join_index_init(&index, groups, n, n_groups, &kit_error));
      for (int32_t g = 0; g < n_groups; g++) {
        for (int32_t k = index.is_unique ? 0 : index.starts[g]; !index.is_unique && k < index.starts[g + 1];
             k++) {
          n_wrong +=
              groups[index.rows[k]] != g || (k > index.starts[g] && index.rows[k - 1] >= index.rows[k]);
        }
        n_wrong += index.is_unique && !index.is_identity && index.rows[g] >= 0 && groups[index.rows[g]] != g;
        n_listed += qn_join_index_n_rows(&index, g);
      }
      for (int64_t i = 0; i < n; i++) {
        n_wanted += groups[i] >= 0;
      }
      QN_CHECK_INT(n_wrong, 0);
      QN_CHECK_INT(n_listed, n_wanted);
      QN_CHECK(index.is_identity || qn_join_index_n_bytes(&index) >= 4 * n_groups);
      qn_join_index_release(&index);
      free(groups);
    }
  }
}

static void check_own_pairs(const qn_join_index *index, const int32_t *build, int64_t n_build,
                            const int32_t *probe, int64_t n_probe, bool keep_unmatched, int64_t max_pairs) {
  int32_t *probe_rows = malloc((size_t)max_pairs * sizeof *probe_rows);
  int32_t *build_rows = malloc((size_t)max_pairs * sizeof *build_rows);
  qn_join_cursor cursor = {0};
  int64_t n_pairs = 0;
  int64_t at = 0;
  int64_t n_wrong = 0;
  n_pairs =
      qn_join_index_match(index, probe, n_probe, keep_unmatched, &cursor, max_pairs, probe_rows, build_rows);
  for (int64_t p = 0; p < n_probe; p++) {
    bool is_matched = false;
    for (int64_t b = 0; b <= n_build; b++) { // one more for the unmatched
      const bool is_pair =
          b < n_build ? build[b] == probe[p] && probe[p] >= 0 : !is_matched && keep_unmatched;
      if (!is_pair) {
        continue;
      }
      is_matched = true;
      if (at == n_pairs) {
        n_pairs = qn_join_index_match(index, probe, n_probe, keep_unmatched, &cursor, max_pairs, probe_rows,
                                      build_rows);
        at = 0;
      }
      n_wrong += at >= n_pairs || probe_rows[at] != p || build_rows[at] != (b < n_build ? b : -1);
      at++;
    }
  }
  QN_CHECK_INT(n_wrong, 0);
  QN_CHECK_INT(at, n_pairs);
  QN_CHECK_INT(
      qn_join_index_match(index, probe, n_probe, keep_unmatched, &cursor, max_pairs, probe_rows, build_rows),
      0);
  free(probe_rows);
  free(build_rows);
}

// Of the index, and of one made of its bytes.
static void check_pairs(const qn_join_index *index, const int32_t *build, int64_t n_build,
                        const int32_t *probe, int64_t n_probe, bool keep_unmatched, int64_t max_pairs) {
  const int64_t size = qn_join_index_image_size(index);
  uint8_t *image = malloc((size_t)size);
  qn_join_index copy = {0};

  check_own_pairs(index, build, n_build, probe, n_probe, keep_unmatched, max_pairs);
  qn_join_index_write_image(index, image);
  QN_CHECK_FAILS(qn_join_index_from_image(&copy, image, size - 1, &kit_error), QN_ERR_FORMAT);
  QN_CHECK_OK(qn_join_index_from_image(&copy, image, size, &kit_error));
  check_own_pairs(&copy, build, n_build, probe, n_probe, keep_unmatched, max_pairs);
  qn_join_index_release(&copy);
  free(image);
}

static void pairs_are_those_of_nested_loops(void) {
  kit_random random = {.state = 32};
  for (int64_t n_groups = 1; n_groups < 400; n_groups *= 7) {
    int32_t *build = random_groups(&random, 150, n_groups);
    int32_t *probe = random_groups(&random, 100, n_groups);
    qn_join_index index = {0};
    QN_CHECK_OK(qn_join_index_init(&index, build, 150, n_groups, &kit_error));
    for (int64_t max_pairs = 1; max_pairs < 100000; max_pairs *= 17) {
      check_pairs(&index, build, 150, probe, 100, false, max_pairs);
      check_pairs(&index, build, 150, probe, 100, true, max_pairs);
    }
    qn_join_index_release(&index);
    free(probe);
    free(build);
  }
}

// Groups in order of rows, in another order, with gaps, and with rows of no group.
static void unique_keys_make_a_pair_at_most(void) {
  kit_random random = {.state = 33};
  for (int variant = 0; variant < 4; variant++) {
    int32_t build[150];
    const int32_t n_groups = variant < 2 ? 150 : 500;
    int32_t *probe = random_groups(&random, 100, n_groups);
    qn_join_index index = {0};
    for (int32_t i = 0; i < 150; i++) {
      build[i] = variant == 0 ? i : variant == 1 ? 149 - i : variant == 3 && i % 5 == 0 ? -1 : i * 3 + 1;
    }
    QN_CHECK_OK(qn_join_index_init(&index, build, 150, n_groups, &kit_error));
    QN_CHECK(index.is_unique);
    QN_CHECK_INT(index.is_identity, variant == 0);
    for (int64_t max_pairs = 1; max_pairs < 300; max_pairs = max_pairs * 3 + 1) {
      check_pairs(&index, build, 150, probe, 100, false, max_pairs);
      check_pairs(&index, build, 150, probe, 100, true, max_pairs);
    }
    qn_join_index_release(&index);
    free(probe);
  }
}

// The pairs of rows that were put in order are those of the rows they were.
static void sorted_rows_need_no_lists(void) {
  kit_random random = {.state = 34};
  int32_t *build = random_groups(&random, 150, 20), *probe = random_groups(&random, 100, 20);
  int32_t order[150], sorted[150];
  qn_join_index index = {0};

  QN_CHECK_OK(qn_join_index_init(&index, build, 150, 20, &kit_error));
  qn_join_index_sort_rows(&index, build, 150, order);
  for (int i = 0; i < 150; i++) {
    sorted[i] = build[order[i]];
    QN_CHECK(i == 0 || sorted[i] < 0 || (sorted[i - 1] >= 0 && sorted[i - 1] <= sorted[i]));
  }
  for (int64_t max_pairs = 1; max_pairs < 10000; max_pairs *= 17) {
    check_pairs(&index, sorted, 150, probe, 100, true, max_pairs);
  }
  qn_join_index_release(&index);
  free(build);
  free(probe);
}

int main(void) {
  KIT_RUN(lists_hold_the_rows_of_their_group);
  KIT_RUN(pairs_are_those_of_nested_loops);
  KIT_RUN(sorted_rows_need_no_lists);
  KIT_RUN(unique_keys_make_a_pair_at_most);
  return kit_result();
}
