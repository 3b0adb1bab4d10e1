// SPDX-License-Identifier: Apache-2.0
// Spans are kept in memory until the record is written; their number is bounded.
#include "exec/record_spans.h"
#include <stdio.h>
#include "base/clock.h"
#include "base/io_account.h"
#include "exec/job_state.h"

enum { MOST_SPANS = 1000, NODE_TEXT = 40 };

qn_span qn_span_start(const qn_job *job) {
  return (qn_span){.action = job->action.depth > 0 ? job->action.number : -1,
                   .start_ns = qn_clock_ns(),
                   .wait_ns = qn_comm_waited_ns(job->comm),
                   .io_ns = qn_io_counted().ns};
}

void qn_span_name_pipeline(qn_span *span, const qn_pipeline *pipeline) {
  const qn_op *from = pipeline->feed->op;
  const qn_op *to = pipeline->first;

  while (to->next != NULL && (to->ops->is_streaming || to->node == NULL)) {
    to = to->next;
  }
  const bool has_source = from->node != NULL && from->node->text[0] != '\0';
  const bool has_text = to->next != NULL && to->node != NULL && to->node->text[0] != '\0';
  snprintf(span->name, sizeof span->name, "%s%s%.*s > %s%s%.*s", from->ops->name, has_source ? " " : "",
           NODE_TEXT, has_source ? from->node->text : "", to->ops->name, has_text ? " " : "", NODE_TEXT,
           has_text ? to->node->text : "");
}

void qn_span_end(qn_job *job, qn_span *span) {
  qn_record *record = &job->record;

  span->start_ns -= record->origin_ns;
  span->end_ns = qn_clock_ns() - record->origin_ns;
  span->wait_ns = qn_comm_waited_ns(job->comm) - span->wait_ns;
  span->io_ns = qn_io_counted().ns - span->io_ns;
  const bool has_room = record->spans.size < MOST_SPANS * (int64_t)sizeof *span;
  if (!has_room || qn_buffer_append(&record->spans, span, sizeof *span, NULL) != QN_OK) {
    record->n_spans_left_out++;
  }
}
