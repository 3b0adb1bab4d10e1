// SPDX-License-Identifier: Apache-2.0
// A rank may lawfully be silent for long: in a callback, in the factorisation of a large matrix, while a disk
// is slow. So the limit is generous; a node that the network does not reach is found sooner.
#include "exec/silence.h"
#include <stdio.h>
#include <stdlib.h>
#include "base/check.h"

static const double SECONDS = 600, MOST_SECONDS = 1e9;

static qn_status choose_seconds(const qn_job *job, double *out, qn_error *err) {
  qn_status status = QN_OK;
  const char *environment = getenv("QUERN_SILENCE");
  const bool is_set = environment != NULL && environment[0] != '\0';
  const char *text = job->silence_given != NULL ? job->silence_given : is_set ? environment : NULL;
  char *end = NULL;

  *out = text != NULL ? strtod(text, &end) : SECONDS;
  QN_REQUIRE(text == NULL || (end != text && *end == '\0' && *out >= 0 && *out <= MOST_SECONDS), err,
             QN_ERR_ARG, "%s: '%s' is no number of seconds; write for example 900, or 0 to wait for ever",
             job->silence_given != NULL ? "--silence" : "QUERN_SILENCE", text);

done:
  return status;
}

// The job is about to end: this rank alone has words for it.
static void tell_loss(void *ctx, const qn_error *err) {
  const qn_job *job = ctx;
  fflush(stdout);
  fprintf(stderr, "%s: %s\n", job->name, err->message);
  fflush(stderr);
}

qn_status qn_job_watch(qn_job *job, qn_error *err) {
  qn_status status = QN_OK;
  double seconds = 0;
  QN_TRY(qn_comm_agree(job->comm, choose_seconds(job, &seconds, err), err));
  QN_TRY(qn_comm_watch(job->comm, seconds, tell_loss, job, err));

done:
  return status;
}
