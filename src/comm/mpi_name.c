// SPDX-License-Identifier: Apache-2.0
// The name of the MPI library.
#include <mpi.h>
#include <stdio.h>
#include <string.h>
#include <quern/doctor.h>

// "Open MPI v4.1.4, package: ..." and "MPICH Version:\t4.0.2\n...": the first part is enough.
QN_API void qn_mpi_name(char *text, size_t size) {
  char whole[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  int n = 0;
  if (MPI_Get_library_version(whole, &n) != MPI_SUCCESS) {
    whole[0] = '\0';
  }
  whole[strcspn(whole, ",\n")] = '\0';
  for (char *c = whole; *c != '\0'; c++) {
    *c = *c == '\t' ? ' ' : *c;
  }
  snprintf(text, size, "%s", whole);
}
