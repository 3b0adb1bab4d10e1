// SPDX-License-Identifier: Apache-2.0
// How many threads BLAS has, and how fast it is here.
#pragma once
#include <stdbool.h>
#include "comm/comm.h"

/// Local. Gives BLAS the cores of this rank: those it is bound to, or, where ranks of a node are not bound,
/// its share of them. One in exact mode, since a sum over threads depends on their number.
void qn_blas_set_threads(const qn_comm *comm, bool is_exact);
/// Local. Floating-point operations per second of a product of large matrices on this rank, measured now
/// (some milliseconds). 0 if there is no memory.
double qn_blas_gemm_rate(bool is_float32);
