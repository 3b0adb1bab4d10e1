// SPDX-License-Identifier: Apache-2.0
// What plans do with expressions: other columns, parts of conditions, bounds for sources.
#include "column/source.h"
#include "expr/expr.h"
#include "kit/kit.h"

static char *values_of(const qn_expr *expr, const qn_batch *batch) {
  qn_column column = {0};
  qn_schema *schema = NULL;
  qn_batch *result = NULL;
  const qn_field field = {.name = (char *)"v", .type = qn_expr_type(expr)};
  QN_CHECK_OK(qn_expr_eval(expr, batch, &column, &kit_error));
  QN_CHECK_OK(qn_schema_new(&field, 1, &schema, &kit_error));
  QN_CHECK_OK(qn_batch_new_take(schema, batch->n_rows, &column, &result, &kit_error));
  char *text = kit_batch_text(result);
  qn_batch_free(result);
  qn_schema_free(schema);
  return text;
}

static void check_values(const qn_expr *expr, const qn_batch *batch, const char *wanted) {
  char *found = values_of(expr, batch);
  QN_CHECK_TEXT(found, wanted);
  free(found);
}

static void remapping_moves_columns(void) {
  qn_batch *batch = kit_batch("a int32, b int32, c utf8", "1|10|x\n2|20|y\n");
  qn_batch *moved = kit_batch("c utf8, b int32, a int32", "x|10|1\ny|20|2\n");
  qn_arena arena = {0};
  const qn_expr *expr = NULL;
  const int new_index[] = {2, 1, 0};
  QN_CHECK_OK(qn_expr_bind("case when c = 'x' then a + b else b end", "select", batch->schema, &arena, &expr,
                           &kit_error));
  const qn_expr *remapped = qn_expr_remap(expr, new_index, &arena);
  check_values(expr, batch, "11\n20\n");
  check_values(remapped, moved, "11\n20\n");
  bool used[3] = {false};
  qn_expr_mark_columns(remapped, used);
  QN_CHECK(used[0] && used[1] && used[2]);
  QN_CHECK_TEXT(qn_expr_text(remapped), qn_expr_text(expr));
  qn_arena_release(&arena);
  qn_batch_free(batch);
  qn_batch_free(moved);
}

static void substituting_puts_expressions_for_columns(void) {
  qn_batch *below = kit_batch("a int32, b int32", "1|10\n2|20\n");
  qn_batch *above = kit_batch("total int32, name utf8", "11|1\n22|2\n");
  qn_arena arena = {0};
  qn_named_expr *list = NULL;
  int n = 0;
  const qn_expr *condition = NULL;
  QN_CHECK_OK(qn_expr_bind_list("a + b as total, a::text as name", "select", below->schema, &arena, &list, &n,
                                &kit_error));
  QN_CHECK_OK(qn_expr_bind("total > 15 or name in ('1', '3')", "filter", above->schema, &arena, &condition,
                           &kit_error));
  QN_CHECK(!qn_expr_can_fail(condition));
  const qn_expr *const replacements[] = {list[0].expr, list[1].expr};
  const qn_expr *moved = qn_expr_substitute(condition, replacements, &arena);
  QN_CHECK(qn_expr_can_fail(moved)); // a + b can
  QN_CHECK_TEXT(qn_expr_text(moved), "((a + b) > 15) or cast(a as utf8) in ('1', '3')");
  check_values(moved, below, "t\nt\n");
  check_values(condition, above, "t\nt\n");
  qn_arena_release(&arena);
  qn_batch_free(below);
  qn_batch_free(above);
}

static void conditions_split_at_their_ands(void) {
  qn_schema *schema = NULL;
  qn_arena arena = {0};
  const qn_expr *condition = NULL;
  const qn_expr **parts = NULL;
  int n = 0;
  QN_CHECK_OK(qn_schema_parse("a int32, b int64, s utf8, d date", &schema, &kit_error));
  QN_CHECK_OK(qn_expr_bind("a > 1 and (b between 2 and 3 and s like 'x%') and (a = 1 or b = 2)", "filter",
                           schema, &arena, &condition, &kit_error));
  QN_CHECK_OK(qn_expr_conjuncts(condition, &arena, &parts, &n, &kit_error));
  QN_CHECK_INT(n, 5);
  QN_CHECK_TEXT(qn_expr_text(parts[0]), "a > 1");
  QN_CHECK_TEXT(qn_expr_text(parts[1]), "b >= 2");
  QN_CHECK_TEXT(qn_expr_text(parts[2]), "b <= 3");
  QN_CHECK_TEXT(qn_expr_text(parts[3]), "s like 'x%'");
  QN_CHECK_TEXT(qn_expr_text(parts[4]), "(a = 1) or (b = 2)");
  QN_CHECK_OK(qn_expr_conjuncts(parts[4], &arena, &parts, &n, &kit_error));
  QN_CHECK_INT(n, 1);
  qn_schema_free(schema);
  qn_arena_release(&arena);
}

// Printed text binds to the same expression.
static void printed_parts_mean_the_same(void) {
  static const char *const conditions[] = {
      "not a > 1",
      "a is null",
      "s is not distinct from 'it''s'",
      "\"Odd Name\" = 1",
      "case when a > 1 then b else 2 end = 2",
      "coalesce(a, b, 3) <> -1",
      "d >= '2020-01-01'",
      "d + 1 > '2020-01-01'",
      "d + interval '1 month 2 hours' > '2020-01-01'",
      "extract(year from d) = 2020",
      "nullif(a, 2) = 1",
      "-a < 3",
      "a::text || s = 'x'",
      "s not in ('a', 'b')",
      "a * (b + 1) = 4",
      "f is not true",
      "concat(a, s) like '%x%' escape '!'",
  };
  qn_batch *batch = NULL;
  kit_random random = {.state = 5};
  batch = kit_random_batch(&random, "a int32, b int64, s utf8, d date, f bool, \"Odd Name\" int32", 50);
  for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++) {
    qn_arena arena = {0};
    char text[300];
    const qn_expr *expr = NULL;
    const qn_expr *again = NULL;
    const qn_expr **parts = NULL;
    int n = 0;
    snprintf(text, sizeof text, "true and %s", conditions[i]);
    QN_CHECK_OK(qn_expr_bind(text, "filter", batch->schema, &arena, &expr, &kit_error));
    QN_CHECK_OK(qn_expr_conjuncts(expr, &arena, &parts, &n, &kit_error));
    QN_CHECK_INT(n, 2);
    QN_CHECK_OK(qn_expr_bind(qn_expr_text(parts[1]), "filter", batch->schema, &arena, &again, &kit_error));
    qn_column first = {0};
    qn_column second = {0};
    const qn_status status = qn_expr_eval(parts[1], batch, &first, &kit_error);
    QN_CHECK_INT(qn_expr_eval(again, batch, &second, &kit_error), status);
    if (status == QN_OK) {
      char *found = values_of(parts[1], batch);
      char *wanted = values_of(again, batch);
      kit_check_text(found, wanted, __FILE__, __LINE__, conditions[i]);
      free(found);
      free(wanted);
    }
    qn_column_release(&first);
    qn_column_release(&second);
    qn_arena_release(&arena);
  }
  qn_batch_free(batch);
}

static void bounds_are_read_from_comparisons(void) {
  static const struct {
    const char *condition;
    const char *bound; // column, comparison, value; NULL: none
  } cases[] = {{"a > 5", "0 > 5"},
               {"5 > a", "0 < 5"},
               {"a <= 5", "0 <= 5"},
               {"7 <= b", "1 >= 7"},
               {"b = 7", "1 = 7"},
               {"a = 5000000000", NULL},
               {"a < 3000000000 - 2999999999", "0 < 1"},
               {"a > 5.0", "0 > 5"},
               {"a > 5.5", NULL},
               {"b > 1e300", NULL},
               {"x > 2", "2 > 2"},
               {"g = 0.5", "7 = 0.5"},
               {"g = 0.1", NULL},
               {"s >= 'abc'", "3 >= abc"},
               {"d < '2020-02-01'", "4 < 2020-02-01"},
               {"d < timestamp '2020-02-01'", "4 < 2020-02-01"},
               {"d < timestamp '2020-02-01 10:00'", NULL},
               {"t <> '2020-02-01'", "5 <> 2020-02-01 00:00:00"},
               {"f = true", "6 = t"},
               {"a > null", NULL},
               {"a + 1 > 5", NULL},
               {"a > b", NULL},
               {"a is null", NULL},
               {"a in (1, 2)", NULL},
               {"a in (1)", "0 = 1"},
               {"f", NULL}};
  static const char *const names[] = {"=", "<>", "<", "<=", ">", ">="};
  qn_schema *schema = NULL;
  QN_CHECK_OK(qn_schema_parse("a int32, b int64, x float64, s utf8, d date, t timestamp, f bool, g float32",
                              &schema, &kit_error));
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    qn_arena arena = {0};
    const qn_expr *expr = NULL;
    qn_bound bound = {0};
    QN_CHECK_OK(qn_expr_bind_condition(cases[i].condition, "filter", schema, &arena, &expr, &kit_error));
    const bool is_bound = qn_expr_as_bound(expr, &bound);
    kit_check(is_bound == (cases[i].bound != NULL), __FILE__, __LINE__, cases[i].condition);
    if (is_bound && cases[i].bound != NULL) {
      qn_batch *one = NULL;
      qn_schema *one_schema = NULL;
      char found[100];
      const qn_field field = {.name = (char *)"v", .type = schema->fields[bound.column].type};
      QN_CHECK_INT(bound.value.type, field.type);
      QN_CHECK_OK(qn_schema_new(&field, 1, &one_schema, &kit_error));
      const int column = bound.column;
      QN_CHECK_OK(qn_batch_new_take(one_schema, 1, &bound.value, &one, &kit_error));
      char *value = kit_batch_text(one);
      value[strcspn(value, "\n")] = '\0';
      snprintf(found, sizeof found, "%d %s %s", column, names[bound.compare], value);
      kit_check_text(found, cases[i].bound, __FILE__, __LINE__, cases[i].condition);
      free(value);
      qn_batch_free(one);
      qn_schema_free(one_schema);
    }
    qn_column_release(&bound.value);
    qn_arena_release(&arena);
  }
  qn_schema_free(schema);
}

static void what_cannot_fail_says_so(void) {
  static const char *const safe[] = {"a > 1", "a is null and s like 'x%'", "lower(s) = 'x'",
                                     "a::float64 > 0.5", "coalesce(a, 1) = 1"};
  static const char *const unsafe[] = {"a / b = 1", "a + 1 = 2", "s::int = 1",
                                       "case when b <> 0 then a / b end = 1", "sqrt(a) > 1"};
  qn_schema *schema = NULL;
  qn_arena arena = {0};
  const qn_expr *expr = NULL;
  QN_CHECK_OK(qn_schema_parse("a int32, b int32, s utf8", &schema, &kit_error));
  for (size_t i = 0; i < sizeof safe / sizeof *safe; i++) {
    QN_CHECK_OK(qn_expr_bind(safe[i], "filter", schema, &arena, &expr, &kit_error));
    kit_check(!qn_expr_can_fail(expr), __FILE__, __LINE__, safe[i]);
    QN_CHECK_OK(qn_expr_bind(unsafe[i], "filter", schema, &arena, &expr, &kit_error));
    kit_check(qn_expr_can_fail(expr), __FILE__, __LINE__, unsafe[i]);
  }
  qn_schema_free(schema);
  qn_arena_release(&arena);
}

int main(void) {
  KIT_RUN(remapping_moves_columns);
  KIT_RUN(substituting_puts_expressions_for_columns);
  KIT_RUN(conditions_split_at_their_ands);
  KIT_RUN(printed_parts_mean_the_same);
  KIT_RUN(bounds_are_read_from_comparisons);
  KIT_RUN(what_cannot_fail_says_so);
  return kit_result();
}
