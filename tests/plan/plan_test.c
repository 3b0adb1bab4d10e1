// SPDX-License-Identifier: Apache-2.0
#include "plan/estimate.h"
#include "plan_fixture.h"

static const char sales_schema[] = "region utf8, year int32, amount float64, note utf8";

#define CHECK_PLAN(root, wanted)                                                                             \
  do {                                                                                                       \
    char *text_ = optimised(root);                                                                           \
    QN_CHECK_TEXT(text_, (wanted));                                                                          \
    free(text_);                                                                                             \
  } while (0)

static void unread_columns_are_not_read(void) {
  qn_plan plan;
  qn_plan_init(&plan, NULL);
  qn_dataset *sales = table_of(&plan, "sales", sales_schema);
  CHECK_PLAN(qn_select(sales, "amount * 2 as twice"), "select amount * 2 as twice  [twice]\n"
                                                      "  read sales  [amount]\n");
  CHECK_PLAN(qn_reduce(sales, NULL, "count(*) as n"), "reduce by nothing: count(*) as n  [n]\n"
                                                      "  select  []\n"
                                                      "    read sales  []\n");
  qn_plan_release(&plan);
}

static void filters_move_below_selects_and_into_sources(void) {
  qn_plan plan;
  qn_plan_init(&plan, NULL);
  qn_dataset *sales = table_of(&plan, "sales", sales_schema);
  qn_dataset *renamed = qn_select(sales, "region as r, amount as a, note");
  CHECK_PLAN(qn_select(qn_filter(renamed, "a > 10"), "r"), "select r  [r]\n"
                                                           "  select region as r, amount as a, note  [r]\n"
                                                           "    filter amount > 10  [region]\n"
                                                           "      read sales (1 bounds)  [region, amount]\n");
  qn_plan_release(&plan);
}

static void windows_learn_how_many_rows_a_filter_lets_through(void) {
  qn_plan plan;
  qn_plan_init(&plan, NULL);
  qn_dataset *years = table_of(&plan, "years", "region utf8, year int32");
  qn_dataset *numbered = qn_window(years, "region", "year", "row_number() as n");
  qn_dataset *summed = qn_window(years, "region", "year", "row_number() as n, sum(year) as s");
  char *text = optimised(qn_filter(numbered, "n < 4 and year > 7"));
  QN_CHECK(strstr(text, ", first 3 rows only") != NULL && strncmp(text, "filter ", 7) == 0);
  free(text);
  text = optimised(qn_filter(numbered, "n > 4"));
  QN_CHECK(strstr(text, "rows only") == NULL);
  free(text);
  text = optimised(qn_filter(summed, "n < 4"));
  QN_CHECK(strstr(text, "rows only") == NULL);
  free(text);
  qn_plan_release(&plan);
}

static void conditions_that_can_fail_stay(void) {
  qn_plan plan;
  qn_plan_init(&plan, NULL);
  qn_dataset *sales = table_of(&plan, "sales", sales_schema);
  qn_dataset *positive = qn_filter(qn_sort(sales, "year"), "100 / year > 2");
  char *text = optimised(positive);
  QN_CHECK(strncmp(text, "filter 100 / year > 2", 21) == 0);
  free(text);
  qn_plan_release(&plan);
}

static void filters_go_to_the_side_of_a_join_they_speak_of(void) {
  qn_plan plan;
  qn_plan_init(&plan, NULL);
  qn_dataset *sales = table_of(&plan, "sales", sales_schema);
  qn_dataset *people = table_of(&plan, "people", "region utf8, boss utf8");
  qn_dataset *inner =
      qn_filter(qn_join(sales, people, QN_JOIN_INNER, "region", NULL), "amount > 1 and boss = 'x'");
  CHECK_PLAN(inner, "join inner on region  [region, year, amount, note, boss]\n"
                    "  filter amount > 1  [region, year, amount, note]\n"
                    "    read sales (1 bounds)  [region, year, amount, note]\n"
                    "  filter boss = 'x'  [region, boss]\n"
                    "    read people (1 bounds)  [region, boss]\n");
  qn_dataset *left =
      qn_filter(qn_join(sales, people, QN_JOIN_LEFT, "region", NULL), "boss is null and year = 1");
  CHECK_PLAN(left, "filter boss is null  [region, year, amount, note, boss]\n"
                   "  join left on region  [region, year, amount, note, boss]\n"
                   "    filter year = 1  [region, year, amount, note]\n"
                   "      read sales (1 bounds)  [region, year, amount, note]\n"
                   "    read people  [region, boss]\n");
  qn_plan_release(&plan);
}

static void filters_over_keys_move_below_a_reduce(void) {
  qn_plan plan;
  qn_plan_init(&plan, NULL);
  qn_dataset *sales = table_of(&plan, "sales", sales_schema);
  qn_dataset *totals = qn_reduce(sales, "region", "sum(amount) as total");
  char *text = optimised(qn_filter(totals, "region <> 'north' and total > 5"));
  QN_CHECK(strncmp(text, "filter total > 5", 16) == 0);
  QN_CHECK(strstr(text, "filter region <> 'north'") > strstr(text, "reduce"));
  free(text);
  qn_plan_release(&plan);
}

static void join_columns_have_names_of_their_own(void) {
  qn_plan plan;
  qn_plan_init(&plan, NULL);
  qn_dataset *a = table_of(&plan, "a", "k int64, v utf8");
  qn_dataset *b = table_of(&plan, "b", "k int64, v utf8, w float64");
  qn_buffer text = {0};
  QN_CHECK_OK(qn_schema_print(qn_dataset_schema(qn_join(a, b, QN_JOIN_FULL, "k", NULL)), &text, &kit_error));
  QN_CHECK_OK(qn_buffer_terminate(&text, &kit_error));
  QN_CHECK_TEXT((const char *)text.data, "k int64, v utf8, v_right utf8, w float64");
  QN_CHECK_INT(qn_schema_n_columns(qn_dataset_schema(qn_join(a, b, QN_JOIN_SEMI, "k", NULL))), 2);
  qn_buffer_release(&text);
  qn_plan_release(&plan);
}

static qn_status add_nothing(const qn_batch *in, qn_appender *out, void *ctx) {
  (void)in, (void)out, (void)ctx;
  return QN_OK;
}

static void an_extend_needs_all_columns_and_lets_filters_pass(void) {
  qn_plan plan;
  qn_plan_init(&plan, NULL);
  qn_dataset *table = table_of(&plan, "t", "a int64, b utf8");
  qn_dataset *extended = qn_extend(table, add_nothing, NULL, "c float64, d bool");
  char *text = optimised(qn_select(qn_filter(extended, "a > 1 and c > 2"), "d"));
  QN_CHECK(strstr(text, "filter c > 2") != NULL);
  QN_CHECK(strstr(text, "extend c float64, d bool") != NULL);
  QN_CHECK(strstr(strstr(text, "extend"), "filter a > 1") != NULL); // below it
  QN_CHECK(strstr(text, "read t (1 bounds)  [a, b]") != NULL);
  free(text);
  QN_CHECK_INT(qn_schema_n_columns(qn_dataset_schema(extended)), 4);
  QN_CHECK(qn_extend(table, add_nothing, NULL, "a float64")->status == QN_ERR_ARG); // the name is taken
  QN_CHECK(qn_extend(table, add_nothing, NULL, NULL)->status == QN_ERR_ARG);
  QN_CHECK(qn_extend(table, NULL, NULL, "c float64")->status == QN_ERR_ARG);
  QN_CHECK(qn_extend(table, add_nothing, NULL, "c flot64")->status != QN_OK);
  qn_plan_release(&plan);
}

static void splits_say_what_they_are(void) {
  qn_plan plan;
  qn_plan_init(&plan, NULL);
  qn_dataset *table = table_of(&plan, "t", "a int64, b utf8");
  qn_dataset *train = NULL, *test = NULL;
  qn_split(table, 0.25, 3, &train, &test);
  char *text = optimised(train);
  QN_CHECK(strstr(text, "sample all but 0.25, seed 3") != NULL);
  free(text);
  qn_fold(table, 5, 4, 3, &train, &test);
  text = optimised(qn_select(test, "a"));
  QN_CHECK(strstr(text, "sample fold 4 of 5, seed 3") != NULL);
  QN_CHECK(strstr(text, "read t  [a, b]") != NULL); // all values decide
  free(text);
  qn_split(table, 1.5, 3, &train, &test);
  QN_CHECK(train->status == QN_ERR_ARG && test->status == QN_ERR_ARG);
  qn_fold(train, 5, 4, 3, &train, &test);
  QN_CHECK(train->status == QN_ERR_ARG && test->status == QN_ERR_ARG);
  qn_fold(table, 1, 0, 3, &train, &test);
  QN_CHECK(train->status == QN_ERR_ARG);
  qn_fold(table, 5, 5, 3, &train, &test);
  QN_CHECK(train->status == QN_ERR_ARG);
  QN_CHECK(strstr(plan.error.message, "1.5") != NULL);
  qn_plan_release(&plan);
}

static void mistakes_are_kept_and_passed_on(void) {
  qn_plan plan;
  qn_plan_init(&plan, NULL);
  qn_dataset *sales = table_of(&plan, "sales", sales_schema);
  qn_dataset *bad = qn_filter(sales, "amont > 3");
  QN_CHECK(bad != NULL && bad->status == QN_ERR_ARG);
  QN_CHECK(strstr(plan.error.message, "amont") != NULL && strstr(plan.error.message, "amount") != NULL);
  qn_dataset *after = qn_top(qn_reduce(bad, "region", "count(*) as n"), "n desc", 3);
  QN_CHECK(after != NULL && after->status == QN_ERR_ARG);
  QN_CHECK(qn_dataset_schema(after) == NULL);
  QN_CHECK(qn_filter(sales, "amount")->status == QN_ERR_TYPE);
  QN_CHECK(strstr(plan.error.message, "amont") != NULL); // the first one stays
  qn_plan_release(&plan);
}

static void wrong_arguments_are_refused(void) {
  qn_plan plan;
  qn_plan_init(&plan, NULL);
  qn_dataset *sales = table_of(&plan, "sales", sales_schema);
  QN_CHECK(qn_sample(sales, 1.5, 0)->status == QN_ERR_ARG);
  QN_CHECK(qn_limit(sales, -1)->status == QN_ERR_ARG);
  QN_CHECK(qn_map(sales, NULL, NULL, "a int64")->status == QN_ERR_ARG);
  QN_CHECK(qn_shuffle(sales, "")->status == QN_ERR_ARG);
  QN_CHECK(qn_reduce(sales, NULL, NULL)->status == QN_ERR_ARG);
  QN_CHECK(qn_union(sales, qn_select(sales, "year"))->status == QN_ERR_TYPE);
  QN_CHECK(qn_combine(sales, "year + 1", NULL, NULL)->status == QN_ERR_ARG);
  QN_CHECK(qn_distinct(sales, "year + 1")->status == QN_ERR_ARG);
  QN_CHECK(qn_zip_with_index(sales, "year")->status == QN_ERR_ARG);
  QN_CHECK(qn_filter(NULL, "true") == NULL);
  qn_plan_release(&plan);
}

static char *expected(const qn_dataset *root, int n_ranks, int64_t budget) {
  qn_buffer text = {0};
  QN_CHECK_OK(
      qn_plan_print_expected(root, &(qn_resources){.n_ranks = n_ranks, .budget = budget}, &text, &kit_error));
  QN_CHECK_OK(qn_buffer_terminate(&text, &kit_error));
  char *copy = strdup((const char *)text.data);
  qn_buffer_release(&text);
  return copy;
}

static void what_nodes_keep_is_estimated_from_their_sources(void) {
  qn_plan plan;
  qn_plan_init(&plan, NULL);
  qn_dataset *years = table_of(&plan, "years", "year int64, amount float64");
  years->owned_source->n_rows = 4 << 20;
  qn_dataset *sorted = qn_sort(qn_filter(years, "amount > 1"), "year"); // half of the rows, 16 bytes each
  char *text = expected(sorted, 2, 64 << 20);
  QN_CHECK_TEXT(text, "sort year  [year, amount]  (keeps about 1.05 million rows, 16 MiB per rank: fits)\n"
                      "  filter amount > 1  [year, amount]\n"
                      "    read years  [year, amount]\n");
  free(text);
  text = expected(sorted, 1, 16 << 20);
  QN_CHECK(strstr(text, "2.1 million rows, 32 MiB per rank: will spill, 4 times what fits)") != NULL);
  free(text);
  text = expected(qn_top(years, "amount", 512), 1, 1 << 20);
  QN_CHECK(strstr(text, "(keeps about 512 rows, 8 KiB per rank: fits)") != NULL);
  free(text);
  text = expected(qn_join(years, qn_limit(years, 100), QN_JOIN_INNER, "year", NULL), 1, 1 << 20);
  QN_CHECK(strstr(text, "(keeps of the right side about 100 rows, 1.56 KiB per rank: fits)") != NULL);
  free(text);
  qn_plan_release(&plan);
}

static void nothing_is_said_of_sources_of_unknown_size(void) {
  qn_plan plan;
  qn_plan_init(&plan, NULL);
  char *text = expected(qn_sort(table_of(&plan, "sales", sales_schema), "year"), 2, 1 << 20);
  QN_CHECK(strstr(text, "keeps") == NULL);
  free(text);
  qn_plan_release(&plan);
}

int main(void) {
  KIT_RUN(what_nodes_keep_is_estimated_from_their_sources);
  KIT_RUN(nothing_is_said_of_sources_of_unknown_size);
  KIT_RUN(unread_columns_are_not_read);
  KIT_RUN(filters_move_below_selects_and_into_sources);
  KIT_RUN(windows_learn_how_many_rows_a_filter_lets_through);
  KIT_RUN(conditions_that_can_fail_stay);
  KIT_RUN(filters_go_to_the_side_of_a_join_they_speak_of);
  KIT_RUN(filters_over_keys_move_below_a_reduce);
  KIT_RUN(join_columns_have_names_of_their_own);
  KIT_RUN(an_extend_needs_all_columns_and_lets_filters_pass);
  KIT_RUN(splits_say_what_they_are);
  KIT_RUN(mistakes_are_kept_and_passed_on);
  KIT_RUN(wrong_arguments_are_refused);
  return kit_result();
}
