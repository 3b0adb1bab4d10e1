// SPDX-License-Identifier: Apache-2.0
// A job: one program, run by mpirun or srun on any number of ranks, each of which builds the same plan.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/dataset.h>
#include <quern/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/// An option of a job's own. Every job also takes --output, --memory, --scratch, --record, --run, --quiet
/// and --help.
typedef struct qn_option {
  const char *name;     // "min-votes", given as --min-votes 10 or --min-votes=10
  const char *argument; // "N", or NULL for an option without a value
  const char *fallback; // the value if it is not given; may be NULL
  const char *help;     // one line
  bool is_required;     // the job does not start without it
} qn_option;

/// What a job says of itself; all but name may be NULL.
typedef struct qn_job_about {
  const char *name;         // "wordcount"
  const char *summary;      // one line for --help
  const char *arguments;    // "FILE..." if it takes inputs as arguments: then at least one must be given
  const char *output;       // default of --output
  const qn_option *options; // ended by a row with name NULL
  bool only_looks;          // it changes nothing: no folder of the run is made
} qn_job_about;

/// Collective. Starts the job: MPI, options, memory budget. Never NULL: a job that could not start carries
/// the error (its actions do nothing), and so does one that was asked for --help.
QN_API qn_job *qn_job_open(int argc, char **argv, const qn_job_about *about);
/// The exit code of a job that was asked to stop (SIGTERM, SIGUSR1, or its time is over) and did: it can be
/// resumed. EX_TEMPFAIL of sysexits.h.
enum { QN_EXIT_STOPPED = 75 };

/// Collective. Ends the job, frees everything, prints the first error once on standard error.
///
/// returns the exit code for main: 0, 2 for wrong use of options, QN_EXIT_STOPPED, else 1
QN_API int qn_job_close(qn_job *job);

/// Local. The value of an option, its fallback, or NULL; for an option without a value "" if given.
QN_API const char *qn_job_option(const qn_job *job, const char *name);
/// Local. The same as a number; a text that is none is an error of the job, and `min` is returned.
QN_API int64_t qn_job_option_int64(qn_job *job, const char *name, int64_t min, int64_t max);
QN_API double qn_job_option_float64(qn_job *job, const char *name, double min, double max);
/// Local. The arguments that are no options, one a line, as the readers take them. NULL if there are none.
QN_API const char *qn_job_inputs(const qn_job *job);
/// Local. --output
QN_API const char *qn_job_output(const qn_job *job);
/// Local. "<output>/<name>", for jobs that write several things; lives as long as the job.
QN_API const char *qn_job_output_path(qn_job *job, const char *name);

/// Local. The absolute path of the folder of this run (docs/run-folder.md), the same on every rank; NULL if
/// there is none.
QN_API const char *qn_job_run_folder(const qn_job *job);

QN_API int qn_job_rank(const qn_job *job);
QN_API int qn_job_n_ranks(const qn_job *job);
/// Local. QN_OK while nothing has failed. `err` may be NULL.
QN_API qn_status qn_job_status(const qn_job *job, qn_error *err);
/// Local. Makes the job fail with a message of its own, unless it has failed already. Same on every rank, or
/// within a callback.
QN_API qn_status qn_job_fail(qn_job *job, const char *format, ...) __attribute__((format(printf, 2, 3)));
/// Collective. Prints on rank 0's standard output, once, if the job has not failed and --quiet was not given.
QN_API void qn_job_print(qn_job *job, const char *format, ...) __attribute__((format(printf, 2, 3)));

#ifdef __cplusplus
}
#endif
