// SPDX-License-Identifier: Apache-2.0
// Search in the tables of functions. It happens when a plan is built, so a walk over some hundred entries
// will do.
#include "expr/function_table.h"
#include <ctype.h>
#include "expr/binder.h"

static const qn_function_table *const tables[] = {
#define X(what) &qn_##what##_functions,
    QN_FUNCTION_TABLES(X)
#undef X
};
enum { N_TABLES = sizeof tables / sizeof *tables };

void qn_functions_visit(const char *name, bool (*visit)(void *ctx, const qn_function *function), void *ctx) {
  for (int t = 0; t < N_TABLES; t++) {
    for (int i = 0; i < tables[t]->n; i++) {
      const qn_function *function = &tables[t]->functions[i];
      if (strcmp(function->name, name) == 0 && !visit(ctx, function)) {
        return;
      }
    }
  }
}

const qn_function *qn_function_find(const char *name, const qn_type *types, int n_args) {
  for (int t = 0; t < N_TABLES; t++) {
    for (int i = 0; i < tables[t]->n; i++) {
      const qn_function *function = &tables[t]->functions[i];
      if (function->n_args == n_args && strcmp(function->name, name) == 0 &&
          memcmp(function->args, types, sizeof *types * (size_t)n_args) == 0) {
        return function;
      }
    }
  }
  return NULL;
}

const char *qn_function_suggest(const char *name) {
  static const char *const others[] = {"coalesce",   "nullif",    "greatest", "least",
                                       "concat",     "concat_ws", "extract",  "date_part",
                                       "date_trunc", "substring", "position"};
  qn_name_hint hint = {.wanted = name};
  for (int t = 0; t < N_TABLES; t++) {
    for (int i = 0; i < tables[t]->n; i++) {
      if (isalpha((unsigned char)tables[t]->functions[i].name[0])) {
        qn_name_hint_offer(&hint, tables[t]->functions[i].name);
      }
    }
  }
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    qn_name_hint_offer(&hint, others[i]);
  }
  return hint.nearest;
}
