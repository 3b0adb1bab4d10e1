// SPDX-License-Identifier: Apache-2.0
#include "column/schema.h"
#include "kit/kit.h"

// Checks that a schema is read and printed again as `wanted`.
static void check_schema(const char *text, const char *wanted) {
  qn_schema *schema = NULL, *again = NULL;
  qn_buffer printed = {0};
  QN_CHECK_OK(qn_schema_parse(text, &schema, &kit_error));
  if (schema == NULL) {
    return;
  }
  QN_CHECK_OK(qn_schema_print(schema, &printed, &kit_error));
  QN_CHECK_OK(qn_buffer_terminate(&printed, &kit_error));
  QN_CHECK_TEXT((char *)printed.data, wanted);
  QN_CHECK_OK(qn_schema_parse((char *)printed.data, &again, &kit_error));
  QN_CHECK(again != NULL && qn_schema_is_equal(schema, again));
  qn_buffer_release(&printed);
  qn_schema_free(schema);
  qn_schema_free(again);
}

static void schemas_are_read_and_printed(void) {
  check_schema("user_id int64, title utf8,seen timestamp", "user_id int64, title utf8, seen timestamp");
  check_schema("  a   bool ", "a bool");
  check_schema("\"a b\" int32, \"say \"\"hi\"\"\" utf8, \"x,y\" date",
               "\"a b\" int32, \"say \"\"hi\"\"\" utf8, \"x,y\" date");
  check_schema("gr\xc3\xb6\xc3\x9f"
               "e float32, _1 FLOAT64",
               "gr\xc3\xb6\xc3\x9f"
               "e float32, _1 float64");
  check_schema("a varchar(20), b double  precision, c character varying ( 3 ), d integer, e bytea, f bigint",
               "a utf8, b float64, c utf8, d int32, e binary, f int64");
  check_schema("t timestamp(6) without time zone, b boolean", "t timestamp, b bool");
}

static void check_bad(const char *text, const char *part) {
  qn_schema *schema = NULL;
  QN_CHECK_FAILS(qn_schema_parse(text, &schema, &kit_error), QN_ERR_ARG);
  QN_CHECK_MESSAGE(part);
  QN_CHECK(schema == NULL);
}

static void mistakes_are_named(void) {
  check_bad("", "a schema is empty");
  check_bad("   ", "a schema is empty");
  check_bad(NULL, "a schema is missing");
  check_bad("a", "column 'a' has no type");
  check_bad("a int64,", "a column name was expected at ''");
  check_bad("a int64,,b int64", "a column name was expected at ',b int64'");
  check_bad("a int65", "column 'a' has the type 'int65', which there is not; types are bool");
  check_bad("a int64 not null", "'int64 not null'");
  check_bad("a int64, a utf8", "column 'a' is there twice: columns 1 and 2");
  check_bad("\"a int64", "is never closed");
  check_bad("\"\" int64", "a column name was expected");
  check_bad("\xff int64", "not valid UTF-8");
  check_bad("a xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "which there is not");
}

static void projection_reorders_and_shares_nothing(void) {
  qn_schema *schema = NULL, *projected = NULL;
  const int columns[] = {2, 0};
  const int twice[] = {1, 1};
  const int outside[] = {3};
  QN_CHECK_OK(qn_schema_parse("a int64, b utf8, c date", &schema, &kit_error));
  QN_CHECK_OK(qn_schema_project(schema, columns, 2, &projected, &kit_error));
  QN_CHECK_TEXT(qn_schema_name(projected, 0), "c");
  QN_CHECK_INT(qn_schema_type(projected, 1), QN_INT64);
  QN_CHECK_INT(qn_schema_find(projected, "a"), 1);
  QN_CHECK_INT(qn_schema_find(projected, "b"), -1);
  QN_CHECK(!qn_schema_is_equal(schema, projected));
  qn_schema_free(projected);
  QN_CHECK_FAILS(qn_schema_project(schema, twice, 2, &projected, &kit_error), QN_ERR_ARG);
  QN_CHECK_FAILS(qn_schema_project(schema, outside, 1, &projected, &kit_error), QN_ERR_ARG);
  QN_CHECK_OK(qn_schema_project(schema, NULL, 0, &projected, &kit_error));
  QN_CHECK_INT(qn_schema_n_columns(projected), 0);
  qn_schema_free(projected);
  qn_schema_free(qn_schema_share(schema));
  qn_schema_free(schema);
}

static void types_have_names_and_widths(void) {
  qn_type type = QN_BOOL;
  QN_CHECK_TEXT(qn_type_name(QN_TIMESTAMP), "timestamp");
  QN_CHECK_TEXT(qn_type_name((qn_type)77), "unknown");
  QN_CHECK_INT(qn_type_width(QN_UTF8), 0);
  QN_CHECK_INT(qn_type_width(QN_DATE), 4);
  QN_CHECK(qn_type_parse("Double Precision", &type) && type == QN_FLOAT64);
  QN_CHECK(!qn_type_parse("decimal", &type));
}

int main(void) {
  KIT_RUN(schemas_are_read_and_printed);
  KIT_RUN(mistakes_are_named);
  KIT_RUN(projection_reorders_and_shares_nothing);
  KIT_RUN(types_have_names_and_widths);
  return kit_result();
}
