// SPDX-License-Identifier: Apache-2.0
// The script that `quern submit` gives to sbatch. It is made to be read and changed: what it does it says
// beside it, and what differs from job to job stands in its first lines and in the command at its end.
#include "cli/batch_script.h"

#include <ctype.h>
#include <string.h>

static bool is_plain(const char *text) {
  for (const char *at = text; *at != '\0'; at++) {
    if (isalnum((unsigned char)*at) == 0 && strchr("_-+=./:,@%^", *at) == NULL) {
      return false;
    }
  }
  return text[0] != '\0';
}

void quern_write_word(const char *word, FILE *out) {
  if (is_plain(word)) {
    fputs(word, out);
    return;
  }
  fputc('\'', out);
  for (const char *at = word; *at != '\0'; at++) {
    if (*at == '\'') {
      fputs("'\\''", out);
    } else {
      fputc(*at, out);
    }
  }
  fputc('\'', out);
}

void quern_write_header_value(const char *value, const char *pattern, FILE *out) {
  const char *quote = is_plain(value) ? "" : "\"";

  fputs(quote, out);
  for (const char *at = value; *at != '\0'; at++) {
    if (*at == '"' || *at == '\\') {
      fputc('\\', out);
    } else if (*at == '%' && pattern != NULL) {
      fputc('%', out);
    }
    fputc(*at, out);
  }
  fprintf(out, "%s%s\n", pattern == NULL ? "" : pattern, quote);
}

// An argument of an array's job, in which {task} stands for the number of the task.
static void write_argument(const char *argument, bool is_array, FILE *out) {
  static const char mark[] = "{task}";
  char piece[4096];
  const char *found = is_array ? strstr(argument, mark) : NULL;

  if (found == NULL) {
    quern_write_word(argument, out);
    return;
  }
  for (; found != NULL; found = strstr(argument, mark)) {
    snprintf(piece, sizeof piece, "%.*s", (int)(found - argument), argument);
    if (piece[0] != '\0') {
      quern_write_word(piece, out);
    }
    fputs("\"$SLURM_ARRAY_TASK_ID\"", out);
    argument = found + strlen(mark);
  }
  if (argument[0] != '\0') {
    quern_write_word(argument, out);
  }
}

static void write_header(const quern_batch_job *job, FILE *out) {
  fputs("#!/bin/bash\n"
        "# Made by `quern submit`. It can be changed and given to sbatch again; with the run's folder as its "
        "argument\n"
        "# (sbatch job.sbatch RUN) it goes on with a run that was stopped.\n",
        out);
  fputs(job->header, out);
  fputs("#SBATCH --chdir=", out);
  quern_write_header_value(job->directory, NULL, out);
  fputs("#SBATCH --output=", out);
  quern_write_header_value(job->log, job->is_array ? "-%A_%a.log" : "-%j.log", out);
  fprintf(out,
          "#SBATCH --open-mode=append\n"
          "# This script is told so many seconds before the time is over.\n"
          "#SBATCH --signal=B:USR1@%d\n",
          job->grace);
  if (job->max_restarts > 0) {
    fputs("#SBATCH --requeue\n", out);
  }
  fprintf(out, "\nexport QUERN_STOP_MARGIN=%ds    # for ranks that look at the clock themselves\n",
          job->grace);
  if (job->max_restarts > 0) {
    fprintf(out, "max_restarts=%d\n", job->max_restarts);
  }
}

static void write_run_folder(const quern_batch_job *job, FILE *out) {
  if (!job->has_run) {
    fputs("\nexport QUERN_RUN=none    # no folder of the run\n", out);
    return;
  }
  fputs("\n# The run's folder. A job that was started again finds it by its number, and goes on with what is "
        "done.\n"
        "export QUERN_RUN=${1:-",
        out);
  quern_write_word(job->run != NULL ? job->run : job->log, out);
  if (job->run != NULL) {
    fputs(job->is_array ? "/$SLURM_ARRAY_TASK_ID" : "", out);
  } else {
    fputs(job->is_array ? "-${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" : "-$SLURM_JOB_ID", out);
  }
  fputs("}\nmkdir -p \"$QUERN_RUN\" && cp \"$0\" \"$QUERN_RUN/job.sbatch\"\n", out);
}

static const char node_files[] =
    "\n"
    "# What the job keeps on its nodes, spilled rows and the shared memory of MPI, is in two folders of its "
    "own, which go\n"
    "# with it, also when its ranks were killed.\n"
    "base=${QUERN_SCRATCH:-${SLURM_TMPDIR:-${TMPDIR:-/tmp}}}\n"
    "export QUERN_SCRATCH=${base%/quern-[0-9]*}/quern-$SLURM_JOB_ID\n"
    "export TMPDIR=$QUERN_SCRATCH\n"
    "shared=/dev/shm/quern-$SLURM_JOB_ID\n"
    "export OMPI_MCA_btl_vader_backing_directory=$shared OMPI_MCA_btl_sm_backing_directory=$shared\n"
    "export OMPI_MCA_osc_sm_backing_directory=$shared\n"
    "on_each_node() {\n"
    "  if [ \"$SLURM_JOB_NUM_NODES\" = 1 ]; then\n"
    "    \"$@\"\n"
    "  else\n"
    "    TMPDIR=/tmp timeout 60 srun --nodes=\"$SLURM_JOB_NUM_NODES\" --ntasks=\"$SLURM_JOB_NUM_NODES\" \\\n"
    "      --ntasks-per-node=1 --overlap --mem=0 --mpi=none --quiet \"$@\"\n"
    "  fi\n"
    "}\n"
    "clean() { on_each_node rm -rf \"$QUERN_SCRATCH\" \"$shared\" || rm -rf \"$QUERN_SCRATCH\" "
    "\"$shared\"; }\n"
    "trap clean EXIT\n"
    "on_each_node mkdir -p \"$QUERN_SCRATCH\" \"$shared\" || exit 1\n"
    "\n"
    "# A node that is lost ends the job soon, not after the hours that TCP waits by itself.\n"
    "export OMPI_MCA_oob_tcp_keepalive_time=10 OMPI_MCA_oob_tcp_keepalive_intvl=5 "
    "OMPI_MCA_oob_tcp_keepalive_probes=3\n"
    "export PRTE_MCA_oob_tcp_keepalive_time=10 PRTE_MCA_oob_tcp_keepalive_intvl=5 "
    "PRTE_MCA_oob_tcp_keepalive_probes=3\n";

static const char signals[] = "\n"
                              "# Slurm tells this script when the time is nearly over, and the script tells "
                              "the ranks: they commit what is done and\n"
                              "# end with exit code 75. So the launcher runs beside the script, which waits "
                              "for it, and waits again when a signal has\n"
                              "# cut a wait short.\n"
                              "n_signals=0 launcher=\n"
                              "stop() {\n"
                              "  n_signals=$((n_signals + 1))\n"
                              "  echo \"$(date +%FT%T) asked to stop\"\n"
                              "  [ -z \"$launcher\" ] || kill -USR1 \"$launcher\" 2>/dev/null\n"
                              "}\n"
                              "trap stop USR1 TERM\n";

static const char waiting[] = "launcher=$!\n"
                              "n_seen=-1\n"
                              "until [ \"$n_seen\" = \"$n_signals\" ]; do\n"
                              "  n_seen=$n_signals\n"
                              "  wait \"$launcher\"\n"
                              "  code=$?\n"
                              "done\n";

static void write_launch(const quern_batch_job *job, FILE *out) {
  if (job->launcher == QUERN_SRUN) {
    fputs("\n# srun does not take the cores of a rank from sbatch by itself.\n"
          "[ -z \"${SLURM_CPUS_PER_TASK:-}\" ] || export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK\n",
          out);
    fprintf(out, "srun %s --kill-on-bad-exit=1%s \\\n  ", job->srun_options,
            job->is_bound ? " --cpu-bind=cores" : "");
  } else {
    fputs("\nmpirun ${SLURM_NTASKS:+-n \"$SLURM_NTASKS\"} --map-by \"slot:PE=${SLURM_CPUS_PER_TASK:-1}\" "
          "--bind-to core:overload-allowed \\\n"
          "  -x QUERN_RUN -x QUERN_SCRATCH \\\n  ",
          out);
  }
  quern_write_word(job->program, out);
  for (int i = 0; job->arguments[i] != NULL; i++) {
    fputc(' ', out);
    write_argument(job->arguments[i], job->is_array, out);
  }
  fputs(" &\n", out);
  fputs(waiting, out);
}

static void write_end(const quern_batch_job *job, FILE *out) {
  fputs("\n# 75: not done, but all that is done is kept.\n"
        "if [ \"$code\" = 75 ]; then\n",
        out);
  if (job->max_restarts > 0) {
    fputs("  n_restarts=${SLURM_RESTART_COUNT:-0}\n"
          "  # A job that was cancelled stays so.\n"
          "  if [ \"$n_restarts\" -lt \"$max_restarts\" ] && [ \"$(squeue -h -j \"$SLURM_JOB_ID\" -o %T)\" = "
          "RUNNING ]; then\n"
          "    echo \"$(date +%FT%T) goes on in restart $((n_restarts + 1)) of at most $max_restarts\"\n"
          "    clean\n"
          "    trap - EXIT\n"
          "    scontrol requeue \"$SLURM_JOB_ID\" && exit 0\n"
          "  fi\n",
          out);
  }
  fputs(job->has_run ? "  echo \"stopped before it was done; it goes on with: sbatch $QUERN_RUN/job.sbatch "
                       "$QUERN_RUN\" >&2\n"
                     : "  echo 'stopped before it was done' >&2\n",
        out);
  fputs("fi\n"
        "exit \"$code\"\n",
        out);
}

void quern_write_batch_script(const quern_batch_job *job, FILE *out) {
  write_header(job, out);
  write_run_folder(job, out);
  fputs(signals, out);
  fputs(node_files, out);
  write_launch(job, out);
  write_end(job, out);
}
