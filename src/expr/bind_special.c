// SPDX-License-Identifier: Apache-2.0
// Calls that a table of signatures cannot describe: of fields by name, and of any number of arguments.
#include <string.h>
#include "base/check.h"
#include "expr/binder.h"
#include "expr/function_table.h"

static qn_status bind_field(qn_binder *binder, const char *name, bool to_truncate, int location,
                            const qn_expr *const *args, int n_args, const qn_expr **out) {
  qn_status status = QN_OK;
  const void *field = NULL;
  const char *field_name = n_args == 2 ? qn_constant_text(binder, args[0]) : NULL;
  const qn_expr *time = NULL;

  if (field_name == NULL) {
    return qn_bind_fail(binder, QN_ERR_ARG, location, "%s wants the name of a field and a date or timestamp",
                        name);
  }
  if (!qn_time_field_find(field_name, to_truncate, &field)) {
    return qn_bind_fail(
        binder, QN_ERR_ARG, location, "'%.40s' is no field of a timestamp that %s knows%s", field_name, name,
        to_truncate ? "; there are year, quarter, month, week, day, hour, minute, second, milliseconds, "
                      "microseconds, decade, century"
                    : "; there are year, month, day, hour, minute, second, dow, isodow, doy, week, "
                      "isoyear, quarter, decade, century, epoch, milliseconds, microseconds");
  }
  QN_TRY(qn_bind_coerce(binder, args[1], QN_TIMESTAMP, &time));
  QN_TRY(qn_new_call(binder, to_truncate ? &qn_function_date_trunc : &qn_function_extract,
                     to_truncate ? QN_TIMESTAMP : QN_FLOAT64, location, &time, 1, field, out));

done:
  return status;
}

// concat(...) and concat_ws(separator, ...): anything as text; nulls are left out.
static qn_status bind_concat(qn_binder *binder, const qn_function *function, int location,
                             const qn_expr **args, int n_args, const qn_expr **out) {
  qn_status status = QN_OK;
  if (n_args < (function == &qn_function_concat ? 1 : 2)) {
    return qn_bind_fail(binder, QN_ERR_ARG, location, "%s has too few arguments", function->name);
  }
  for (int i = 0; i < n_args; i++) {
    if (args[i]->kind != QN_EXPR_UNKNOWN && args[i]->type == QN_BOOL) {
      QN_TRY(qn_new_call(binder, &qn_function_print_bool, QN_UTF8, location, &args[i], 1, NULL, &args[i]));
    } else {
      QN_TRY(qn_bind_cast(binder, args[i], QN_UTF8, location, &args[i]));
    }
  }
  QN_TRY(qn_new_call(binder, function, QN_UTF8, location, args, n_args, NULL, out));

done:
  return status;
}

qn_status qn_bind_special(qn_binder *binder, const char *name, int location, const qn_expr **args, int n_args,
                          const qn_expr **out) {
  if (strcmp(name, "extract") == 0 || strcmp(name, "date_part") == 0) {
    return bind_field(binder, name, false, location, args, n_args, out);
  }
  if (strcmp(name, "date_trunc") == 0) {
    return bind_field(binder, name, true, location, args, n_args, out);
  }
  if (strcmp(name, "concat") == 0) {
    return bind_concat(binder, &qn_function_concat, location, args, n_args, out);
  }
  if (strcmp(name, "concat_ws") == 0) {
    return bind_concat(binder, &qn_function_concat_ws, location, args, n_args, out);
  }
  if (strcmp(name, "like_escape") == 0 || strcmp(name, "similar_to_escape") == 0) {
    return qn_bind_fail(binder, QN_ERR_ARG, location, "%s() is not called by name", name);
  }
  return QN_OK;
}
