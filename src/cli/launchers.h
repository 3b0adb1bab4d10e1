// SPDX-License-Identifier: Apache-2.0
// What starts ranks here, found out by asking.
#pragma once
#include <stdbool.h>

/// Local. How srun has to be called so that the ranks find each other, "--mpi=pmix"; NULL if Slurm and MPI
/// have nothing in common (then mpirun starts them) or there is no Slurm.
const char *quern_srun_pmi(void);

/// Local. Whether Slurm binds ranks to cores.
bool quern_slurm_binds(void);
