// SPDX-License-Identifier: Apache-2.0
// How many threads BLAS has, and how fast it is here.
#pragma once
#include <stdbool.h>
#include <stddef.h>

/// Local. Gives BLAS the cores of this rank: qn_placement_n_threads(), or one where bits must not
/// depend on them, as those of a sum over threads do.
void qn_blas_set_threads(int n_threads);
/// Local. "OpenBLAS 0.3.21 Zen": its version and the kernels it has chosen.
void qn_blas_library(char *out, size_t size);
/// Local. Floating-point operations per second of products of large matrices on this rank with the threads
/// that BLAS has: the best of some short ones, measured now (20 ms). 0 if there is no memory.
double qn_blas_gemm_rate(bool is_float32);
