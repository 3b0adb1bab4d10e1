// SPDX-License-Identifier: Apache-2.0
// The doctor's checks of MPI and Slurm. Nothing is believed: two ranks are started, and have to meet.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <quern/doctor.h>
#include <quern/quern.h>

#include "cli/child.h"
#include "cli/doctor.h"
#include "cli/launchers.h"

enum { START_SECONDS = 60, ASK_SECONDS = 30, MOST_SAID = 65536 };

static const char rank_word[] = "quern-doctor-rank"; // begins the line that a rank prints

// The value of a line "Name:\tvalue" of /proc/self/status.
static void read_own(const char *name, char *value, size_t size) {
  char line[4096];
  FILE *file = fopen("/proc/self/status", "r");

  value[0] = '\0';
  while (file != NULL && value[0] == '\0' && fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, name, strlen(name)) == 0) {
      const char *at = line + strlen(name);
      at += strspn(at, ":\t ");
      snprintf(value, size, "%.*s", (int)strcspn(at, "\n"), at);
    }
  }
  if (file != NULL) {
    fclose(file);
  }
}

int quern_doctor_rank(int argc, char **argv) {
  static const qn_job_about about = {.name = "quern doctor", .only_looks = true};
  const char *quiet[] = {argv[0], "--quiet", NULL};
  char cores[256];
  (void)argc;

  read_own("Cpus_allowed_list", cores, sizeof cores); // as the launcher has bound it
  qn_job *job = qn_job_open(2, (char **)quiet, &about);
  printf("%s %d of %d on %s\n", rank_word, qn_job_rank(job), qn_job_n_ranks(job), cores);
  fflush(stdout);
  return qn_job_close(job);
}

// --- Starting two ranks

// What two ranks said.
typedef struct meeting {
  int n_said, n_ranks; // lines of ranks; how many ranks there are, by one of them
  char cores[2][256];
  int exit_code;
} meeting;

static void read_meeting(const char *text, meeting *out) {
  for (const char *at = strstr(text, rank_word); at != NULL; at = strstr(at + 1, rank_word)) {
    int rank = 0;
    int n_ranks = 0;
    char cores[256] = "";
    if (sscanf(at + strlen(rank_word), " %d of %d on %255[0-9,-]", &rank, &n_ranks, cores) >= 2) {
      snprintf(out->cores[out->n_said % 2], sizeof out->cores[0], "%s", cores);
      out->n_said++;
      out->n_ranks = n_ranks;
    }
  }
}

static bool have_met(const meeting *met) {
  return met->exit_code == 0 && met->n_said == 2 && met->n_ranks == 2;
}

// The first line that says something, without the boxes that launchers draw.
static const char *first_words(char *text) {
  char *rest = NULL;
  for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
    if (line[strspn(line, "-=* \t")] != '\0') {
      return line;
    }
  }
  return "it said nothing";
}

static bool says(const char *text, const char *word) {
  return strcasestr(text, word) != NULL;
}

static bool refuses_root(const char *said) {
  return says(said, "run as root");
}

// Why a launcher could not start ranks, from what it said.
static const char *remedy_of(const char *said) {
  if (refuses_root(said)) {
    return "Run jobs as another user.";
  }
  if (says(said, "not enough slots")) {
    return "There is one core here, or the job has one task. To try: mpirun --oversubscribe -n 2 JOB";
  }
  if (strstr(said, "PMI") != NULL) {
    return "MPI was not built for Slurm's PMI. `srun --mpi=list` shows what Slurm has; else start ranks with "
           "mpirun.";
  }
  if (says(said, "shared librar") || says(said, "shared object")) {
    return "The nodes do not see the same libraries: load the same modules in the batch script as for the "
           "build.";
  }
  if (says(said, "bind")) {
    return "Cores could not be bound; mpirun --bind-to none goes without.";
  }
  return "A plain `mpirun -n 2 hostname` shows whether it is MPI's matter; ask those who installed it.";
}

static void judge_meeting(quern_findings *findings, const char *launcher, meeting *met, char *said) {
  char mpi[128];

  qn_mpi_name(mpi, sizeof mpi);
  if (met->exit_code == QUERN_CHILD_MISSING) {
    quern_find(findings, QUERN_PROBLEM, "MPI",
               "Install it (openmpi-bin), or load its module: module load openmpi",
               "%s is not in PATH; Quern is built with %s", launcher, mpi);
  } else if (met->exit_code == QUERN_CHILD_SILENT) {
    quern_find(
        findings, QUERN_PROBLEM, "MPI",
        "Often a network that MPI cannot use. Try: export OMPI_MCA_btl=self,vader,tcp OMPI_MCA_pml=ob1",
        "2 ranks by %s had not met after %d s", launcher, START_SECONDS);
  } else if (met->n_said == 2 && met->n_ranks == 1) {
    quern_find(findings, QUERN_PROBLEM, "MPI",
               "Use the mpirun of the MPI that Quern was built with; `type -a mpirun` shows which there are. "
               "By srun: --mpi=pmix",
               "%s starts ranks that do not find each other: it is not of %s", launcher, mpi);
  } else if (!have_met(met)) {
    const char *remedy = remedy_of(said);
    quern_find(findings, QUERN_PROBLEM, "MPI", remedy, "%s cannot start 2 ranks: %s", launcher,
               first_words(said));
  } else {
    quern_find(findings, QUERN_FINE, "MPI", NULL, "%s; 2 ranks by %s have met", mpi, launcher);
  }
}

static void judge_binding(quern_findings *findings, const char *launcher, const meeting *met) {
  if (met->n_said != 2 || met->n_ranks != 2) {
    return;
  }
  const bool is_one = strspn(met->cores[0], "0123456789") == strlen(met->cores[0]);
  if (strcmp(met->cores[0], met->cores[1]) != 0) {
    quern_find(findings, QUERN_FINE, "binding", NULL, "%s gives ranks cores of their own: %s and %s",
               launcher, met->cores[0], met->cores[1]);
  } else if (is_one) {
    quern_find(findings, sysconf(_SC_NPROCESSORS_ONLN) > 1 ? QUERN_WARNING : QUERN_FINE, "binding",
               "They run at half speed. Ask for more cores (-c, -n), or mpirun --bind-to none",
               "%s binds both ranks to core %s", launcher, met->cores[0]);
  } else {
    quern_find(findings, QUERN_FINE, "binding", NULL,
               "%s binds nothing: both ranks may use cores %s; jobs share them out", launcher, met->cores[0]);
  }
}

// What the doctor is for is whether jobs run; that root has to ask Open MPI for it is another matter.
static bool is_allowed_as_root(const quern_child *child, char *said, size_t size, meeting *met) {
  setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
  setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
  *met = (meeting){.exit_code = quern_child_run(child, said, size)};
  read_meeting(said, met);
  return have_met(met);
}

static void try_launcher(quern_findings *findings, const char *const *launch, const char *shown) {
  static char said[MOST_SAID];
  char self[4096];
  const char *arguments[16] = {NULL};
  meeting met = {0};
  int n = 0;

  const ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
  self[length > 0 ? length : 0] = '\0';
  for (; launch[n] != NULL; n++) {
    arguments[n] = launch[n];
  }
  arguments[n] = self;
  arguments[n + 1] = "doctor";
  arguments[n + 2] = "--rank";
  const quern_child child = {.arguments = arguments, .is_with_errors = true, .seconds = START_SECONDS};
  met.exit_code = quern_child_run(&child, said, sizeof said);
  read_meeting(said, &met);
  if (!have_met(&met) && refuses_root(said) && is_allowed_as_root(&child, said, sizeof said, &met)) {
    quern_find(
        findings, QUERN_WARNING, "MPI root",
        "export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 (scripts/mpirun sets them), or "
        "run jobs as another user.",
        "%s refuses to start jobs of root unless it is told twice; told so, it starts them", shown);
  }
  judge_meeting(findings, shown, &met, said);
  judge_binding(findings, shown, &met);
}

// --- Slurm

static bool ask(const char *const *arguments, char *text, size_t size) {
  const quern_child child = {.arguments = arguments, .is_with_errors = true, .seconds = ASK_SECONDS};
  const int exit_code = quern_child_run(&child, text, size);
  text[strcspn(text, "\n")] = '\0';
  return exit_code == 0;
}

// In a job ranks can be started by srun at once.
static void try_srun(quern_findings *findings, const char *pmi) {
  const char *const launch[] = {"srun", pmi, "-n", "2", "--overlap", NULL};
  const char *tasks = getenv("SLURM_NTASKS");
  if (tasks != NULL && strtol(tasks, NULL, 10) >= 2 && getenv("SLURM_STEP_ID") == NULL) {
    try_launcher(findings, launch, "srun");
  }
}

static void check_slurm(quern_findings *findings) {
  static const char *const version[] = {"sbatch", "--version", NULL};
  static const char *const nodes[] = {"sinfo", "-h", "-o", "%D nodes in partition %P", NULL};
  char text[4096];
  char state[4096];

  if (!ask(version, text, sizeof text)) {
    quern_find(findings, QUERN_FINE, "Slurm", NULL, "not here: jobs are started by mpirun");
    return;
  }
  if (!ask(nodes, state, sizeof state)) {
    quern_find(findings, QUERN_PROBLEM, "Slurm",
               "Is this a node of the cluster? SLURM_CONF names its configuration; `scontrol ping` asks the "
               "controller.",
               "%s is installed, but does not answer: %s", text, state);
    return;
  }
  quern_find(findings, QUERN_FINE, "Slurm", NULL, "%s; %s", text, state);
  const char *pmi = quern_srun_pmi();
  if (pmi == NULL) {
    quern_find(findings, QUERN_WARNING, "PMI",
               "`quern submit` takes mpirun. For srun MPI needs PMIx (configure --with-pmix) and Slurm its "
               "plugin (slurm-pmix).",
               "srun and this MPI have no PMI in common; `srun --mpi=list` shows Slurm's");
    return;
  }
  quern_find(findings, QUERN_FINE, "PMI", NULL, "srun %s starts ranks of this MPI", pmi);
  try_srun(findings, pmi);
}

void quern_doctor_launch(quern_findings *findings) {
  static const char *const mpirun[] = {"mpirun", "-n", "2", NULL};

  if (getenv("SLURM_STEP_ID") != NULL && getenv("SLURM_PROCID") != NULL && getenv("PMIX_RANK") != NULL) {
    quern_find(findings, QUERN_FINE, "MPI", NULL,
               "not tried: this is a rank itself; run `quern doctor` without srun for it");
  } else {
    try_launcher(findings, mpirun, "mpirun");
  }
  check_slurm(findings);
}
