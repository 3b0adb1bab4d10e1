// SPDX-License-Identifier: Apache-2.0
// What a job finds where it runs: its libraries, memory and scratch. All without MPI being started.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <quern/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Local. The MPI that the program is linked with, "Open MPI v4.1.4"; before MPI has started and after.
QN_API void qn_mpi_name(char *text, size_t size);

typedef struct qn_blas_facts {
  char name[128];   // "OpenBLAS 0.3.21 DYNAMIC_ARCH ..."
  char kernels[32]; // the processor that its kernels were made for
  bool is_old;      // these are not the best for this processor, and no others can be chosen
} qn_blas_facts;

/// Local. BLAS as trainings use it: with the kernels that they choose.
QN_API qn_blas_facts qn_blas_look(void);

typedef struct qn_hdf5_facts {
  char version[32]; // of the library as loaded
  bool is_same;     // as that Quern was built with, but for repairs
  bool is_threadsafe;
} qn_hdf5_facts;

QN_API qn_hdf5_facts qn_hdf5_look(void);

/// Local. Writes, reads and removes a small HDF5 file in a folder, as staging does. Errors: QN_ERR_IO, with
/// what the file system refused.
QN_API qn_status qn_hdf5_try(const char *folder, qn_error *err);

typedef struct qn_room {
  int n_sockets, n_domains,
      n_cores;            // of the node; a domain is a part of the cores with memory of its own (NUMA)
  int n_usable_cores;     // of them, those that a control group leaves to the process
  int64_t quota_percent;  // processor time that control groups leave to it, in hundredths of a core; 0: all
  int64_t budget;         // bytes, of each rank
  char budget_source[64]; // for people
  char scratch[4096];     // folder
  int64_t scratch_free;   // bytes, for this user
  bool scratch_is_memory;
} qn_room;

/// Local. The node, the memory budget of each of n_ranks_here ranks on this node, and the scratch folder, as
/// a job would choose them. Errors: QN_ERR_ARG for a variable that is no size, QN_ERR_IO if there is no
/// scratch folder.
QN_API qn_status qn_room_look(int n_ranks_here, qn_room *out, qn_error *err);

#ifdef __cplusplus
}
#endif
