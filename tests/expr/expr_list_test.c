// SPDX-License-Identifier: Apache-2.0
// Lists: named expressions, sort keys, aggregates, window functions, join keys.
#include "expr/expr.h"
#include "kit/kit.h"

static qn_schema *new_schema(const char *text) {
  qn_schema *schema = NULL;
  QN_CHECK_OK(qn_schema_parse(text, &schema, &kit_error));
  return schema;
}

static const char ratings[] = "\"userId\" int32, rating float64, title utf8, n int64, ok bool, d date";

static void named_expressions_have_names(void) {
  qn_schema *schema = new_schema(ratings);
  qn_arena arena = {0};
  qn_named_expr *items = NULL;
  int n = 0;
  QN_CHECK_FAILS(
      qn_expr_bind_list("userId, rating * 2 as twice, *", "select", schema, &arena, &items, &n, &kit_error),
      QN_ERR_ARG);
  QN_CHECK_MESSAGE("the name 'userId' occurs twice");
  QN_CHECK_OK(qn_expr_bind_list(
      "*, rating * 2 as twice, lower( title ), case when ok then ',' end -- no, this is a comment", "select",
      schema, &arena, &items, &n, &kit_error));
  QN_CHECK_INT(n, 9);
  QN_CHECK_TEXT(items[0].name, "userId");
  QN_CHECK_INT(qn_expr_column(items[5].expr), 5);
  QN_CHECK_TEXT(items[6].name, "twice");
  QN_CHECK_TEXT(qn_expr_text(items[6].expr), "rating * 2");
  QN_CHECK_TEXT(items[7].name, "lower( title )");
  QN_CHECK_TEXT(items[8].name, "case when ok then ',' end");
  QN_CHECK_INT(qn_expr_type(items[6].expr), QN_FLOAT64);
  QN_CHECK_INT(qn_expr_column(items[6].expr), -1);
  QN_CHECK_FAILS(qn_expr_bind_list("* as all_of_them", "select", schema, &arena, &items, &n, &kit_error),
                 QN_ERR_ARG);
  QN_CHECK_FAILS(qn_expr_bind_list("n, n + 1 as n", "select", schema, &arena, &items, &n, &kit_error),
                 QN_ERR_ARG);
  QN_CHECK_FAILS(qn_expr_bind_list("sum(n)", "select", schema, &arena, &items, &n, &kit_error), QN_ERR_ARG);
  QN_CHECK_FAILS(qn_expr_bind_list("n,", "select", schema, &arena, &items, &n, &kit_error), QN_ERR_ARG);
  qn_arena_release(&arena);
  qn_schema_free(schema);
}

static void sort_keys_have_postgres_defaults(void) {
  qn_schema *schema = new_schema(ratings);
  qn_arena arena = {0};
  qn_sort_key *keys = NULL;
  int n = 0;
  QN_CHECK_OK(qn_sort_keys_bind("n desc, userId, rating desc nulls last, lower(title) asc nulls first",
                                schema, &arena, &keys, &n, &kit_error));
  QN_CHECK_INT(n, 4);
  QN_CHECK(keys[0].order.is_descending && keys[0].order.nulls_first);
  QN_CHECK(!keys[1].order.is_descending && !keys[1].order.nulls_first);
  QN_CHECK(keys[2].order.is_descending && !keys[2].order.nulls_first);
  QN_CHECK(!keys[3].order.is_descending && keys[3].order.nulls_first);
  QN_CHECK_TEXT(keys[1].name, "userId");
  QN_CHECK_TEXT(keys[3].name, "lower(title)");
  QN_CHECK_INT(qn_expr_column(keys[0].expr), 3);
  QN_CHECK_FAILS(qn_sort_keys_bind("n limit 1", schema, &arena, &keys, &n, &kit_error), QN_ERR_ARG);
  QN_CHECK_FAILS(qn_sort_keys_bind("n using <", schema, &arena, &keys, &n, &kit_error), QN_ERR_ARG);
  QN_CHECK_FAILS(qn_sort_keys_bind("1", schema, &arena, &keys, &n, &kit_error), QN_ERR_ARG);
  QN_CHECK_FAILS(qn_sort_keys_bind("", schema, &arena, &keys, &n, &kit_error), QN_ERR_ARG);
  QN_CHECK_FAILS(qn_sort_keys_bind("n descending", schema, &arena, &keys, &n, &kit_error), QN_ERR_ARG);
  qn_arena_release(&arena);
  qn_schema_free(schema);
}

static void aggregates_are_bound(void) {
  qn_schema *schema = new_schema(ratings);
  qn_arena arena = {0};
  qn_aggregate *items = NULL;
  int n = 0;
  QN_CHECK_OK(qn_aggregates_bind(
      "count(*) as n, sum(n * 2), count(distinct title), avg(rating) filter (where ok and n > 0) as mean, "
      "approx_quantile(rating, 0.9), approx_median(n), every(ok), max(distinct title), stddev_samp(rating), "
      "median(n), quantile_cont(rating, 0.25), corr(n, rating)",
      schema, &arena, &items, &n, &kit_error));
  QN_CHECK_INT(n, 12);
  QN_CHECK_INT(items[0].kind, QN_AGG_COUNT_ROWS);
  QN_CHECK(items[0].argument == NULL && items[0].filter == NULL);
  QN_CHECK_TEXT(items[0].name, "n");
  QN_CHECK_INT(items[0].type, QN_INT64);
  QN_CHECK_TEXT(items[1].name, "sum(n * 2)");
  QN_CHECK_INT(items[1].type, QN_INT64);
  QN_CHECK_INT(items[2].kind, QN_AGG_COUNT);
  QN_CHECK(items[2].is_distinct);
  QN_CHECK(items[3].filter != NULL && qn_expr_type(items[3].filter) == QN_BOOL);
  QN_CHECK_INT(items[3].type, QN_FLOAT64);
  QN_CHECK_FLOAT(items[4].parameter, 0.9, 0);
  QN_CHECK_FLOAT(items[5].parameter, 0.5, 0);
  QN_CHECK_INT(items[6].kind, QN_AGG_BOOL_AND);
  QN_CHECK(!items[7].is_distinct);
  QN_CHECK_INT(items[7].type, QN_UTF8);
  QN_CHECK_INT(items[8].kind, QN_AGG_STDDEV_SAMP);
  QN_CHECK_INT(items[9].kind, QN_AGG_QUANTILE);
  QN_CHECK_FLOAT(items[9].parameter, 0.5, 0);
  QN_CHECK_FLOAT(items[10].parameter, 0.25, 0);
  QN_CHECK_INT(items[11].type, QN_FLOAT64);
  QN_CHECK(items[11].second != NULL && qn_expr_type(items[11].second) == QN_FLOAT64);
  qn_arena_release(&arena);
  qn_schema_free(schema);
}

static void wrong_aggregates_are_explained(void) {
  static const char *const mistakes[][2] = {
      {"sum(n) / count(*)",
       "each item here is one of the aggregates, as sum(x); compute further with a select behind it"},
      {"n", "each item here is one of the aggregates"},
      {"summ(n)", "there is no aggregate summ(); did you mean sum()?"},
      {"lower(title)", "there is no aggregate lower()"},
      {"sum(title)", "sum"},
      {"sum(sum(n))", "sum() is an aggregate; it has no place"},
      {"sum(*)", "only count() takes '*'"},
      {"count()", "count() takes one argument, or '*'"},
      {"sum(n, n)", "sum() takes one argument"},
      {"approx_quantile(n, 2)", "the fraction must be a constant from 0 to 1"},
      {"approx_quantile(n, rating)", "the fraction must be a constant from 0 to 1"},
      {"quantile_cont(n)", "quantile_cont() takes a value and a fraction"},
      {"median(n, 0.5)", "median() takes one argument"},
      {"corr(n)", "corr() takes two values, as corr(x, y)"},
      {"corr(n, title)", "corr takes a number"},
      {"median(distinct n)", "median() takes no distinct"},
      {"sum(n) over ()", "'over' has no place here"},
      {"sum(n order by n)", "an order inside an aggregate is not supported"},
      {"rank()", "rank() is a window function, not an aggregate"},
      {"count(*) as n, sum(n) as n", "the name 'n' occurs twice"},
      {"sum(n) filter (where n)", "a filter must be bool, not int64"},
      {"sum(m)", "there is no column 'm'"},
  };
  qn_schema *schema = new_schema(ratings);
  qn_aggregate *items = NULL;
  int n = 0;
  for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
    qn_arena arena = {0};
    QN_CHECK(qn_aggregates_bind(mistakes[i][0], schema, &arena, &items, &n, &kit_error) != QN_OK);
    if (strstr(kit_error.message, mistakes[i][1]) == NULL) {
      kit_check_text(kit_error.message, mistakes[i][1], __FILE__, __LINE__, mistakes[i][0]);
    }
    qn_arena_release(&arena);
  }
  qn_schema_free(schema);
}

static void window_functions_are_bound(void) {
  qn_schema *schema = new_schema(ratings);
  qn_arena arena = {0};
  qn_window_function *items = NULL;
  int n = 0;
  QN_CHECK_OK(qn_window_functions_bind(
      "row_number() as i, lag(n), lead(userId, 2, n), lag(rating, -3, 0) as x, count(*), sum(n) as "
      "running, first_value(title), lag(d, 1, '2020-01-01')",
      schema, &arena, &items, &n, &kit_error));
  QN_CHECK_INT(n, 8);
  QN_CHECK_INT(items[0].kind, QN_WINDOW_ROW_NUMBER);
  QN_CHECK_INT(items[0].type, QN_INT64);
  QN_CHECK(items[0].argument == NULL);
  QN_CHECK_INT(items[1].offset, 1);
  QN_CHECK(items[1].fallback == NULL);
  QN_CHECK_INT(items[2].kind, QN_WINDOW_LEAD);
  QN_CHECK_INT(items[2].offset, 2);
  QN_CHECK_INT(items[2].type, QN_INT64);
  QN_CHECK_INT(qn_expr_type(items[2].argument), QN_INT64);
  QN_CHECK_INT(items[3].kind, QN_WINDOW_LEAD);
  QN_CHECK_INT(items[3].offset, 3);
  QN_CHECK_INT(qn_expr_type(items[3].fallback), QN_FLOAT64);
  QN_CHECK_INT(items[4].aggregate, QN_AGG_COUNT_ROWS);
  QN_CHECK_INT(items[5].kind, QN_WINDOW_AGGREGATE);
  QN_CHECK_INT(items[6].type, QN_UTF8);
  QN_CHECK_INT(qn_expr_type(items[7].fallback), QN_DATE);
  QN_CHECK_FAILS(qn_window_functions_bind("ntile(4)", schema, &arena, &items, &n, &kit_error), QN_ERR_ARG);
  QN_CHECK_MESSAGE("there is no window function ntile()");
  QN_CHECK_FAILS(qn_window_functions_bind("lag(n, userId)", schema, &arena, &items, &n, &kit_error),
                 QN_ERR_ARG);
  QN_CHECK_FAILS(qn_window_functions_bind("sum(distinct n)", schema, &arena, &items, &n, &kit_error),
                 QN_ERR_ARG);
  QN_CHECK_FAILS(qn_window_functions_bind("row_number() over ()", schema, &arena, &items, &n, &kit_error),
                 QN_ERR_ARG);
  QN_CHECK_FAILS(qn_window_functions_bind("row_number(n)", schema, &arena, &items, &n, &kit_error),
                 QN_ERR_ARG);
  qn_arena_release(&arena);
  qn_schema_free(schema);
}

static void join_keys_have_two_sides(void) {
  qn_schema *left = new_schema("user_id int32, movie int64, name utf8, w int32");
  qn_schema *right = new_schema("user_id int64, id int32, name utf8, v float64");
  qn_arena arena = {0};
  qn_join_key *keys = NULL;
  int n = 0;
  QN_CHECK_OK(qn_join_keys_bind("name, l.movie = r.id, id + 1 = w and lower(r.name) = l.name, user_id", left,
                                right, &arena, &keys, &n, &kit_error));
  QN_CHECK_INT(n, 5);
  QN_CHECK_TEXT(keys[0].using_name, "name");
  QN_CHECK_INT(qn_expr_column(keys[0].left), 2);
  QN_CHECK_INT(qn_expr_column(keys[0].right), 2);
  QN_CHECK(keys[1].using_name == NULL);
  QN_CHECK_INT(qn_expr_column(keys[1].left), 1);
  QN_CHECK_INT(qn_expr_type(keys[1].right), QN_INT64);
  QN_CHECK_INT(qn_expr_column(keys[2].left), 3);
  bool used[4] = {false};
  qn_expr_mark_columns(keys[2].right, used);
  QN_CHECK(used[1] && !used[0] && !used[2] && !used[3]);
  QN_CHECK_INT(qn_expr_type(keys[4].left), QN_INT64);
  static const char *const mistakes[][2] = {
      {"movie", "on the right side there is no column 'movie'"},
      {"id", "on the left side there is no column 'id'"},
      {"l.movie = l.w", "one side of '=' must read columns of l only"},
      {"l.movie + r.id = r.id", "one side of '=' must read columns of l only"},
      {"name = movie", "both sides have a column 'name'; write l.name or r.name"},
      {"l.movie < r.id", "a key is a column that both sides have, or an equation"},
      {"x.movie = r.id", "'x' names no side; columns are written l.name and r.name"},
      {"l.movie = r.name", "cannot be int64 and utf8 at once"},
      {"l.movie = r.id as k", "a key cannot be named"},
      {"*", "a key is a column"},
  };
  for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
    QN_CHECK(qn_join_keys_bind(mistakes[i][0], left, right, &arena, &keys, &n, &kit_error) != QN_OK);
    if (strstr(kit_error.message, mistakes[i][1]) == NULL) {
      kit_check_text(kit_error.message, mistakes[i][1], __FILE__, __LINE__, mistakes[i][0]);
    }
  }
  const qn_expr *condition = NULL;
  QN_CHECK_OK(
      qn_join_condition_bind("l.w < v and r.user_id <> 3", left, right, &arena, &condition, &kit_error));
  bool both[8] = {false};
  qn_expr_mark_columns(condition, both);
  QN_CHECK(both[3] && both[7] && both[4] && !both[0]);
  QN_CHECK_FAILS(qn_join_condition_bind("l.w", left, right, &arena, &condition, &kit_error), QN_ERR_TYPE);
  qn_arena_release(&arena);
  qn_schema_free(left);
  qn_schema_free(right);
}

int main(void) {
  KIT_RUN(named_expressions_have_names);
  KIT_RUN(sort_keys_have_postgres_defaults);
  KIT_RUN(aggregates_are_bound);
  KIT_RUN(wrong_aggregates_are_explained);
  KIT_RUN(window_functions_are_bound);
  KIT_RUN(join_keys_have_two_sides);
  return kit_result();
}
