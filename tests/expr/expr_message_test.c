// SPDX-License-Identifier: Apache-2.0
// What is said about mistakes: in the text of an expression with a caret, and at a row while it is evaluated.
#include "expr/expr.h"
#include "kit/kit.h"

static qn_batch *new_rows(void) {
  return kit_batch("rating int32, price float64, title utf8, seen timestamp, d date, ok bool, \"userId\" "
                   "int32, Ab int32, aB int32",
                   "5|1.5|abc|2020-01-31 10:20:30|2020-01-31|t|1|1|2\n"
                   "0|0|x|2020-01-31 10:20:30|2020-01-31|f|1|1|2\n");
}

static const struct {
  const char *expression;
  const char *message;
} mistakes[] = {
    {"ratng >= 4", "test: there is no column 'ratng'; did you mean 'rating'?\n  ratng >= 4\n  ^"},
    {"price * userid2",
     "test: there is no column 'userid2'; did you mean 'userId'?\n  price * userid2\n          ^"},
    {"\"userid\"", "test: there is no column 'userid'; did you mean 'userId'?\n  \"userid\"\n  ^"},
    {"zzz", "test: there is no column 'zzz'; there are: rating, price, title, seen, d, ok, userId, Ab, aB\n  "
            "zzz\n  ^"},
    {"AB",
     "test: several columns are named 'ab' but for letter case; write the name in double quotes\n  AB\n  ^"},
    {"l.rating", "test: columns have no qualifier here; write 'rating' without 'l.'\n  l.rating\n  ^"},
    {"a.b.c.rating", "test: 'rating' has too many qualifiers\n  a.b.c.rating\n  ^"},
    {"rating >", "test: syntax error at end of input\n  rating >\n          ^"},
    {"rating\n  > > 4", "test: syntax error at or near \">\"\n    > > 4\n      ^"},
    {"rating +\n  titel", "test: there is no column 'titel'; did you mean 'title'?\n    titel\n    ^"},
    {"'é' || titel", "test: there is no column 'titel'; did you mean 'title'?\n  'é' || titel\n         ^"},
    {"title + 1",
     "test: there is no operator + for (utf8, int32); cast the text to a number\n  title + 1\n        ^"},
    {"rating = title",
     "test: the two sides of a comparison cannot be int32 and utf8 at once; cast one of them\n  rating = "
     "title\n         ^"},
    {"rating = 'x'", "test: 'x' is not an int32\n  rating = 'x'\n           ^"},
    {"d >= '2020-13-01'", "test: '2020-13-01' is not a date\n  d >= '2020-13-01'\n       ^"},
    {"rating and ok", "test: what stands beside 'and' must be bool, not int32\n  rating and ok\n  ^"},
    {"not rating", "test: what stands behind 'not' must be bool, not int32\n  not rating\n      ^"},
    {"lenght(title)", "test: there is no function lenght(); did you mean length()?\n  lenght(title)\n  ^"},
    {"lower(rating)", "test: there is no lower(int32); there is lower(utf8)\n  lower(rating)\n  ^"},
    {"sum(rating)", "test: sum() is an aggregate; it has no place in an expression over single rows"},
    {"row_number()", "test: row_number() is a window function"},
    {"sum(rating) over ()", "test: sum() is an aggregate"},
    {"random()", "test: random() is not offered: a job must give the same answer on every run"},
    {"current_timestamp", "test: the current date, time and user are not offered"},
    {"seen - seen", "write epoch(a) - epoch(b) for seconds"},
    {"interval '1 day'", "test: an interval can only be added to a date or timestamp"},
    {"seen + interval '1 fortnight'", "test: '1 fortnight' is not an interval"},
    {"extract(fortnight from seen)", "'fortnight' is no field of a timestamp that extract knows"},
    {"rating::numeric(10, 2)",
     "test: there is no type numeric; decimals are float64\n  rating::numeric(10, 2)\n          ^"},
    {"title::varchar(10)", "test: types have no length or precision here; write just utf8"},
    {"rating::json", "test: there is no type 'json'"},
    {"price::date", "test: there is no cast from float64 to date"},
    {"1 / 0", "test: division by zero\n  1 / 0\n    ^"},
    {"rating + 2147483647 * 2", "test: int32 out of range; cast an operand to int64\n  rating + 2147483647 * "
                                "2\n                      ^"},
    {"title ~ '('", "the regular expression is not valid: "},
    {"title ~ 'a*?'", "lazy quantifiers like *? are not supported in regular expressions"},
    {"title ~ '\\ba'", "escapes like \\m, \\y, \\b, \\x or \\< are not supported"},
    {"title ~ '[\\]]'", "escapes in [...] but"},
    {"title ~ '(?:a)'", "groups like (?:...) and (?=...) are not supported"},
    {"title ~ 'a{300}'", "more than 255 repeats in one, are not supported"},
    {"regexp_like(title, 'a', 'z')", "the flags of a regular expression are i, c and g"},
    {"title like 'a\\'", "a LIKE pattern must not end with the escape character"},
    {"title like 'a' escape 'xy'", "the escape must be a single character"},
    {"title similar to 'a'", "SIMILAR TO (write like"},
    {"(select 1)", "queries inside expressions are not supported"},
    {"rating in (select 1)", "queries inside expressions are not supported"},
    {"rating from t", "test: FROM has no place here; expressions are wanted\n  rating from t"},
    {"rating limit 1", "LIMIT has no place here"},
    {"rating where ok", "WHERE has no place here"},
    {"rating; drop table t", "an expression is wanted, not statements"},
    {"rating;", "an expression is wanted, not statements"},
    {"distinct rating", "DISTINCT has no place here"},
    {"rating union select 1", "only expressions are wanted"},
    {"rating into t", "INTO has no place here"},
    {"rating, price", "one expression is wanted, not a list\n  rating, price\n          ^"},
    {"rating as r", "leave out 'as'"},
    {"*", "'*' stands for all columns only as a whole item of a list"},
    {"count(*)", "count() is an aggregate"},
    {"", "the expression is empty"},
    {"  -- nothing", "the expression is empty"},
    {"'abc", "unterminated quoted string"},
    {"rating /* ", "unterminated /* comment"},
    {"$1", "parameters are not supported"},
    {"row(1, 2)", "rows in parentheses are not supported"},
    {"rating[1]", "there are no arrays"},
    {"array[1]", "there are no arrays"},
    {"title collate \"de_DE\"", "leave out COLLATE"},
    {"1e999", "1e999 is out of the range of float64"},
    {"b'101'", "bit strings are not supported"},
    {"lower(title, 1)", "there is no lower(utf8, int32); there is lower(utf8)"},
    {"case when rating then 1 end", "the condition of a case must be bool, not int32"},
    {"case when ok then 1 else 'x' end", "'x' is not an int32"},
    {"case when ok then rating else title end", "the results of a case cannot be int32 and utf8 at once"},
    {"coalesce(rating, ok)", "the arguments of coalesce cannot be int32 and bool at once"},
    {"\xff", "byte 0 of the expression is not UTF-8"},
};

static void mistakes_in_the_text_have_a_caret(void) {
  qn_batch *batch = new_rows();
  for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
    qn_arena arena = {0};
    const qn_expr *expr = NULL;
    qn_error err = {0};
    const qn_status status = qn_expr_bind(mistakes[i].expression, "test", batch->schema, &arena, &expr, &err);
    QN_CHECK(status != QN_OK);
    if (strstr(err.message, mistakes[i].message) == NULL) {
      kit_check_text(err.message, mistakes[i].message, __FILE__, __LINE__, mistakes[i].expression);
    }
    QN_CHECK_INT(qn_expr_bind(mistakes[i].expression, "test", batch->schema, &arena, &expr, NULL), status);
    qn_arena_release(&arena);
  }
  qn_batch_free(batch);
}

static void long_texts_are_cut_around_the_caret(void) {
  qn_batch *batch = new_rows();
  qn_arena arena = {0};
  const qn_expr *expr = NULL;
  char text[2000] = "ok";
  for (int i = 0; i < 60; i++) {
    strcat(text, i == 30 ? " and 'ü' <> titel" : " and rating > 3");
  }
  QN_CHECK_FAILS(qn_expr_bind(text, "filter", batch->schema, &arena, &expr, &kit_error), QN_ERR_ARG);
  const char *shown = strchr(kit_error.message, '\n');
  QN_CHECK(shown != NULL && strlen(shown) < 250);
  QN_CHECK_MESSAGE("\n  ...");
  QN_CHECK_MESSAGE("'ü' <> titel and");
  const char *caret = strrchr(kit_error.message, '\n');
  const char *line = shown + 1;
  // The caret stands under the t: as many characters before it as before the name, ü being two bytes.
  QN_CHECK_INT(strchr(caret, '^') - caret - 1, strstr(line, "titel") - line - 1);
  qn_arena_release(&arena);
  qn_batch_free(batch);
}

static void deep_and_long_expressions_do_no_harm(void) {
  qn_batch *batch = new_rows();
  const struct {
    const char *open, *middle, *close;
    int n;
    qn_status status;
  } shapes[] = {{"(", "1", ")", 500, QN_OK},
                {"(", "1", ")", 100000, QN_ERR_ARG},
                {"1+", "1", "", 400, QN_OK},
                {"1+", "1", "", 5000, QN_ERR_ARG},
                {"1+", "1", "", 500000, QN_ERR_ARG},
                {"not ", "ok", "", 300, QN_OK},
                {"not ", "ok", "", 9000, QN_ERR_ARG},
                {"not ", "ok", "", 90000, QN_ERR_ARG},
                {"ok and ", "ok", "", 9000, QN_OK},
                {"- ", "rating", "", 20000, QN_ERR_ARG},
                {"case when ok then 1 else ", "1", " end", 900, QN_ERR_ARG},
                {"rating in (1", "", ")", 1, QN_OK}};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    const size_t size = (strlen(shapes[i].open) + strlen(shapes[i].close)) * (size_t)shapes[i].n + 20;
    char *text = malloc(size);
    char *at = text;
    qn_arena arena = {0};
    const qn_expr *expr = NULL;
    for (int k = 0; k < shapes[i].n; k++) {
      at = stpcpy(at, shapes[i].open);
    }
    at = stpcpy(at, shapes[i].middle);
    for (int k = 0; k < shapes[i].n; k++) {
      at = stpcpy(at, shapes[i].close);
    }
    kit_check_int(qn_expr_bind(text, "test", batch->schema, &arena, &expr, &kit_error), shapes[i].status,
                  __FILE__, __LINE__, shapes[i].open);
    qn_arena_release(&arena);
    free(text);
  }
  qn_batch_free(batch);
}

static void large_lists_are_fine(void) {
  qn_batch *batch = new_rows();
  qn_arena arena = {0};
  const qn_expr *expr = NULL;
  char *text = malloc(2000000);
  char *at = stpcpy(text, "rating in (-1");
  int32_t rows[2];
  int64_t n = 0;
  for (int i = 1; i < 100000; i++) {
    at += sprintf(at, ", %d", i % 2 == 0 ? -i : i);
  }
  strcpy(at, ")");
  QN_CHECK_OK(qn_expr_bind_condition(text, "filter", batch->schema, &arena, &expr, &kit_error));
  QN_CHECK_OK(qn_expr_select(expr, batch, rows, &n, &kit_error));
  QN_CHECK_INT(n, 1);
  free(text);
  qn_arena_release(&arena);
  qn_batch_free(batch);
}

static const struct {
  const char *expression;
  const char *message;
} failures[] = {
    {"100 / rating", "ratings.csv, row 12: in '100 / rating': division by zero (rating = 0)"},
    {"price / rating", "ratings.csv, row 12: in 'price / rating': division by zero (rating = 0, price = 0)"},
    {"title::int", "ratings.csv, row 11: in 'title::int': 'abc' is not an int32 (title = 'abc')"},
    {"case when rating = 0 then 1 / rating end",
     "row 12: in 'case when rating = 0 then 1 / rating end': division by zero (rating = 0)"},
    {"case when rating = 0 then 1 / 0 end",
     "row 12: in 'case when rating = 0 then 1 / 0 end': division by zero"},
    {"not ok and 1 / rating = 1", "row 12: in"},
    {"coalesce(nullif(rating, 0), 1 / rating)", "row 12: in"},
    {"rating * 2147483647",
     "row 11: in 'rating * 2147483647': int32 out of range; cast an operand to int64 (rating = 5)"},
    {"price * 1e308 * 1e10", "row 11: in 'price * 1e308 * 1e10': value out of range: overflow (price = 1.5)"},
    {"ln(price)", "row 12: in 'ln(price)': cannot take the logarithm of zero (price = 0)"},
    {"repeat(title, 100000000)", "row 11: in"},
    {"substr(title, 1, -rating)",
     "row 11: in 'substr(title, 1, -rating)': negative substring length (rating = 5, title = 'abc')"},
    {"title ~ repeat('(', rating)",
     "row 11: in 'title ~ repeat('(', rating)': the regular expression is not valid"},
    {"make_date(2020, rating, 1)",
     "row 12: in 'make_date(2020, rating, 1)': there is no such date (rating = 0)"},
};

static void failed_rows_are_named(void) {
  qn_batch *batch = new_rows();
  const qn_origin origin = {.name = "ratings.csv", .first_row = 10, .byte_offset = -1};
  qn_batch_set_origin(batch, &origin);
  for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
    qn_arena arena = {0};
    const qn_expr *expr = NULL;
    qn_column column = {0};
    QN_CHECK_OK(qn_expr_bind(failures[i].expression, "select", batch->schema, &arena, &expr, &kit_error));
    QN_CHECK(qn_expr_can_fail(expr));
    QN_CHECK_FAILS(qn_expr_eval(expr, batch, &column, &kit_error), QN_ERR_VALUE);
    if (strstr(kit_error.message, failures[i].message) == NULL) {
      kit_check_text(kit_error.message, failures[i].message, __FILE__, __LINE__, failures[i].expression);
    }
    QN_CHECK_FAILS(qn_expr_eval(expr, batch, &column, NULL), QN_ERR_VALUE);
    qn_arena_release(&arena);
  }
  qn_batch_free(batch);
}

static void null_rows_do_not_fail(void) {
  qn_batch *batch = kit_batch("a int32, b int32, s utf8, x float64", "1|~|~|~\n~|0|x|1\n");
  static const char *const expressions[] = {"a / b",
                                            "b / a",
                                            "a % b",
                                            "a * b",
                                            "-(a + b)",
                                            "(s || a)::int",
                                            "x / a + b",
                                            "ln(x - a)",
                                            "make_date(a, b, b)",
                                            "(x + b + a)::int",
                                            "chr(b * a)"};
  for (size_t i = 0; i < sizeof expressions / sizeof *expressions; i++) {
    qn_arena arena = {0};
    const qn_expr *expr = NULL;
    qn_column column = {0};
    QN_CHECK_OK(qn_expr_bind(expressions[i], "select", batch->schema, &arena, &expr, &kit_error));
    QN_CHECK_OK(qn_expr_eval(expr, batch, &column, &kit_error));
    QN_CHECK_INT(column.n_nulls, 2);
    qn_column_release(&column);
    qn_arena_release(&arena);
  }
  qn_batch_free(batch);
}

int main(void) {
  KIT_RUN(mistakes_in_the_text_have_a_caret);
  KIT_RUN(long_texts_are_cut_around_the_caret);
  KIT_RUN(deep_and_long_expressions_do_no_harm);
  KIT_RUN(large_lists_are_fine);
  KIT_RUN(failed_rows_are_named);
  KIT_RUN(null_rows_do_not_fail);
  return kit_result();
}
