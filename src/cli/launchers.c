// SPDX-License-Identifier: Apache-2.0
// What starts ranks here, found out by asking.
#include "cli/launchers.h"

#include <string.h>

#include "cli/child.h"

enum { ASK_SECONDS = 30 };

static bool answers_with(const char *const *arguments, const char *word) {
  char text[65536];
  const quern_child child = {.arguments = arguments, .is_with_errors = true, .seconds = ASK_SECONDS};
  return quern_child_run(&child, text, sizeof text) == 0 && strstr(text, word) != NULL;
}

const char *quern_srun_pmi(void) {
  static const char *const srun[] = {"srun", "--mpi=list", NULL};
  static const char *const version[] = {"mpirun", "--version", NULL};
  static const char *const components[] = {"ompi_info", "--parsable", NULL};

  if (answers_with(version, "Open MPI") || answers_with(version, "OpenRTE")) {
    // Version 4 lists the PMIx it was built with; later ones always have it, and list nothing.
    const bool has_pmix = answers_with(components, "mca:pmix:ext") ||
                          answers_with(components, "mca:pmix:pmix") || !answers_with(components, "mca:pmix:");
    return has_pmix && answers_with(srun, "pmix") ? "--mpi=pmix" : NULL;
  }
  return answers_with(srun, "pmi2") ? "--mpi=pmi2" : NULL;
}

bool quern_slurm_binds(void) {
  static const char *const scontrol[] = {"scontrol", "show", "config", NULL};
  return answers_with(scontrol, "affinity");
}
