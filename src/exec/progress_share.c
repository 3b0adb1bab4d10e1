// SPDX-License-Identifier: Apache-2.0
// How far a job is: from what all ranks have written into the progress file, without a word between them;
// where there is none, this rank stands for all.
#include "exec/progress_share.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "exec/job_state.h"

enum { MOST_RANKS_READ = 512, BAR_WIDTH = 24, MOST_WHAT = 60 };

// Rows and splits of all ranks in the pipeline that this one is in.
static void add_up(const qn_job *job, const qn_progress_line *own, double *rows, double *splits_done) {
  const int n_ranks = qn_comm_size(job->comm);
  qn_progress_line *lines = NULL;
  int64_t n_lines = 0;
  char *path = job->run_folder == NULL ? NULL : qn_run_folder_file(job->run_folder, "progress");

  *rows = (double)own->rows * n_ranks;
  *splits_done = (double)own->splits_done * n_ranks;
  if (path != NULL && n_ranks <= MOST_RANKS_READ && qn_progress_read(path, &lines, &n_lines, NULL) == QN_OK) {
    *rows = *splits_done = 0;
    for (int64_t i = 0; i < n_lines; i++) {
      const qn_progress_line *line = i == own->rank ? own : &lines[i];
      if (line->is_there && line->run == own->run && line->pipeline == own->pipeline) {
        *rows += (double)line->rows;
        *splits_done += (double)line->splits_done;
      }
    }
  }
  free(lines);
  free(path);
}

static qn_status put_bar(double share, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  const int n_full = (int)(share * BAR_WIDTH);

  QN_TRY(qn_buffer_printf(out, err, "  ["));
  for (int i = 0; i < BAR_WIDTH; i++) {
    QN_TRY(qn_buffer_printf(out, err, i < n_full ? "#" : "-"));
  }
  QN_TRY(qn_buffer_printf(out, err, "]"));

done:
  return status;
}

static qn_status put_rate(double rate, qn_buffer *out, qn_error *err) {
  return rate >= 1e6 ? qn_buffer_printf(out, err, ", %.1f million rows/s", rate / 1e6)
                     : qn_buffer_printf(out, err, ", %.0f rows/s", rate);
}

static qn_status put_duration(double seconds, qn_buffer *out, qn_error *err) {
  if (seconds >= 3600) {
    return qn_buffer_printf(out, err, ", %d:%02d h left", (int)(seconds / 3600), (int)(seconds / 60) % 60);
  }
  return seconds >= 60
             ? qn_buffer_printf(out, err, ", %d:%02d min left", (int)(seconds / 60), (int)seconds % 60)
             : qn_buffer_printf(out, err, ", %d s left", (int)ceil(seconds));
}

qn_status qn_progress_describe(const qn_job *job, int64_t now_ns, bool has_bar, qn_buffer *out) {
  qn_status status = QN_OK;
  qn_error *err = NULL;
  qn_progress_line own;
  double rows = 0;
  double splits_done = 0;

  qn_progress_line_of(job, "running", &own);
  add_up(job, &own, &rows, &splits_done);
  const bool is_fit = own.operator[0] == '\0' && own.step> 0;
  const double share = is_fit ? (own.n_steps > 0 ? (double)own.step / (double)own.n_steps : -1)
                              : (own.n_splits > 0 ? splits_done / (double)own.n_splits : -1);
  const int64_t since =
      is_fit || job->progress.run == NULL ? job->action.start_ns : job->progress.run->start_ns;
  const double seconds = (double)(now_ns - since) / 1e9;

  QN_TRY(qn_buffer_printf(out, err, "%s: %.*s", job->name, MOST_WHAT, own.what));
  if (is_fit) {
    QN_TRY(qn_buffer_printf(out, err, ": step %lld", (long long)own.step));
  } else if (own.operator[0] != '\0') {
    QN_TRY(qn_buffer_printf(out, err, ": %.*s", MOST_WHAT, own.operator));
  }
  if (share >= 0) {
    const double part = share > 1 ? 1 : share;
    QN_TRY(has_bar ? put_bar(part, out, err) : QN_OK);
    QN_TRY(qn_buffer_printf(out, err, "%s %.0f %%", has_bar ? "" : ",", 100 * part));
  }
  if (rows > 0 && !is_fit && seconds > 0) {
    QN_TRY(put_rate(rows / seconds, out, err));
  }
  if (share > 0.02 && share < 1) {
    QN_TRY(put_duration(seconds * (1 - share) / share, out, err));
  }

done:
  return status;
}
