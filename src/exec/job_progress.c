// SPDX-License-Identifier: Apache-2.0
// The progress file and the line for people.
#include "exec/job_progress.h"
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/io_account.h"
#include "base/memory.h"
#include "base/system_files.h"
#include "exec/job_state.h"
#include "exec/progress_share.h"
#include "record/progress_line.h"

static const int64_t TICK_NS = 1000000000;
static const int64_t LINE_NS = 10000000000; // between lines where there is no terminal, and before the first

// --- The progress file ------------------------------------------------------------------------------------

static double unix_seconds(void) {
  struct timespec now = {0};
  clock_gettime(CLOCK_REALTIME, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

// The operator that works, or the reader.
static void name_operator(const qn_run *run, char *out, size_t size) {
  const qn_op *op = run->current != NULL ? run->current : run->pipelines[run->pipeline].feed->op;
  const qn_op *named = op;

  while (named->node == NULL && named->next != NULL) {
    named = named->next;
  }
  snprintf(out, size, "%s%s%s", op->ops->name, named->node != NULL ? " " : "",
           named->node != NULL ? named->node->text : "");
}

void qn_progress_line_of(const qn_job *job, const char *state, qn_progress_line *line) {
  const qn_job_progress *progress = &job->progress;
  const qn_io_account io = qn_io_counted();

  *line = (qn_progress_line){.is_there = true,
                             .rank = qn_comm_rank(job->comm),
                             .process = qn_process_self(),
                             .time = unix_seconds(),
                             .action = job->action.number,
                             .run = progress->n_runs,
                             .bytes_read = io.bytes_read,
                             .bytes_written = io.bytes_written,
                             .bytes_sent = qn_comm_bytes_sent(job->comm),
                             .bytes_spilled = qn_memory_spilled(),
                             .resident = qn_own_bytes("VmRSS:"),
                             .step = progress->step,
                             .n_steps = progress->n_steps,
                             .loss = progress->loss};
  snprintf(line->state, sizeof line->state, "%s", state);
  snprintf(line->what, sizeof line->what, "%.*s", QN_PROGRESS_TEXT - 1,
           job->action.depth > 0 ? job->action.what : "");
  if (progress->run != NULL && progress->run->n_pipelines > 0) {
    const qn_run *run = progress->run;
    const qn_feed *feed = run->pipelines[run->pipeline].feed;
    line->pipeline = run->pipeline;
    line->n_pipelines = run->n_pipelines;
    line->rows = feed->op->rows_in;
    line->splits_done = feed->n_splits_done;
    line->n_splits = feed->n_splits;
    name_operator(run, line->operator, sizeof line->operator);
  }
}

static void write_line(const qn_job *job, const char *state) {
  qn_progress_line line;
  char text[QN_PROGRESS_BYTES];

  if (job->progress.fd < 0) {
    return;
  }
  qn_progress_line_of(job, state, &line);
  // Progress that cannot be told does not stop anything.
  if (qn_progress_line_print(&line, text)) {
    const ssize_t n =
        pwrite(job->progress.fd, text, sizeof text, (off_t)line.rank * (off_t)QN_PROGRESS_BYTES);
    (void)n;
  }
}

// --- The line for people ----------------------------------------------------------------------------------

// mpirun hands what a rank prints on to its own standard error: a redrawn line is right if that is a
// terminal.
static bool is_on_terminal(void) {
  char path[64];
  char target[64] = "";

  if (isatty(STDERR_FILENO)) {
    return true;
  }
  snprintf(path, sizeof path, "/proc/%ld/fd/2", (long)getppid());
  const ssize_t n = readlink(path, target, sizeof target - 1);
  return n > 0 && (strncmp(target, "/dev/pts/", 9) == 0 || strncmp(target, "/dev/tty", 8) == 0);
}

void qn_progress_clear(qn_job *job) {
  if (job->progress.is_drawn) {
    fputs("\r\033[K", stderr);
    job->progress.is_drawn = false;
  }
}

static void tell(qn_job *job, int64_t now_ns) {
  qn_job_progress *progress = &job->progress;
  qn_buffer text = {0};

  if (job->is_quiet || qn_comm_rank(job->comm) != 0 || job->action.depth == 0 ||
      now_ns - progress->told_ns < (progress->is_for_terminal ? TICK_NS : LINE_NS)) {
    return;
  }
  progress->told_ns = now_ns;
  if (qn_progress_describe(job, now_ns, progress->is_for_terminal, &text) == QN_OK && text.size > 0) {
    fprintf(stderr, progress->is_for_terminal ? "\r\033[K%.*s" : "%.*s\n", (int)text.size, (char *)text.data);
    fflush(stderr);
    progress->is_drawn = progress->is_for_terminal;
  }
  qn_buffer_release(&text);
}

// --- Life -------------------------------------------------------------------------------------------------

static void tick(void *ctx, int64_t now_ns) {
  qn_job *job = ctx;
  if (now_ns >= job->progress.due_ns) {
    qn_progress_tick(job, now_ns);
  }
}

void qn_progress_start(qn_job *job) {
  qn_job_progress *progress = &job->progress;
  const char *wanted = getenv("QUERN_PROGRESS");
  char *path = job->run_folder == NULL ? NULL : qn_run_folder_file(job->run_folder, "progress");

  *progress = (qn_job_progress){.fd = -1, .loss = (double)NAN, .start_ns = qn_clock_ns()};
  progress->told_ns = progress->start_ns;
  progress->is_for_terminal =
      wanted != NULL ? strcmp(wanted, "bar") == 0 : qn_comm_rank(job->comm) == 0 && is_on_terminal();
  if (path != NULL) { // a node that does not see the folder tells nothing
    progress->fd = open(path, O_WRONLY | O_CLOEXEC);
    free(path);
  }
  write_line(job, "running");
  progress->due_ns = progress->start_ns + TICK_NS;
  qn_comm_set_tick(job->comm, tick, job);
}

void qn_progress_end(qn_job *job, const char *state) {
  if (job->progress.start_ns == 0) {
    return; // it never began
  }
  qn_comm_set_tick(job->comm, NULL, NULL);
  qn_progress_clear(job);
  write_line(job, state);
  if (job->progress.fd >= 0) {
    close(job->progress.fd);
  }
  job->progress = (qn_job_progress){.fd = -1, .due_ns = INT64_MAX};
}

void qn_progress_tick(qn_job *job, int64_t now_ns) {
  job->progress.due_ns = now_ns + TICK_NS;
  write_line(job, "running");
  tell(job, now_ns);
}

void qn_progress_step(qn_job *job, int64_t step, int64_t n_steps, double loss) {
  job->progress.step = step;
  job->progress.n_steps = n_steps;
  job->progress.loss = loss;
  tick(job, qn_clock_ns());
}
