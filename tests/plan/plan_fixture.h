// SPDX-License-Identifier: Apache-2.0
// A plan over a table that nobody reads: plans are built, rewritten and printed without data and without MPI.
#pragma once
#include "kit/kit.h"
#include "plan/plan.h"

static void free_nothing(qn_source *source) {
  qn_schema_free(source->schema);
  free(source);
}

static const qn_source_ops table_ops = {.name = "table", .free = free_nothing};

static inline qn_dataset *table_of(qn_plan *plan, const char *name, const char *schema) {
  qn_source *source = calloc(1, sizeof *source);
  source->ops = &table_ops;
  source->description = name;
  source->n_bytes = source->n_rows = -1;
  QN_CHECK_OK(qn_schema_parse(schema, &source->schema, &kit_error));
  return qn_plan_source_take(plan, source);
}

/// The plan that would run, as text; free it.
static inline char *optimised(const qn_dataset *root) {
  const qn_dataset *runs = NULL;
  qn_buffer text = {0};
  QN_CHECK_OK(qn_plan_optimise(root, &runs, &kit_error));
  QN_CHECK_OK(qn_plan_print(runs, &text, &kit_error));
  QN_CHECK_OK(qn_buffer_terminate(&text, &kit_error));
  char *copy = strdup((const char *)text.data);
  qn_buffer_release(&text);
  return copy;
}
