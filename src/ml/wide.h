// SPDX-License-Identifier: Apache-2.0
// QN_WIDE before a function has it compiled for several widths of vectors; the widest that the processor has
// is taken when the program starts. The code is the same C, without contraction to fused multiply-adds, so
// the results have the same bits on all of them.
#pragma once

// The sanitizers are not up yet when the program chooses.
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) &&             \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define QN_WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define QN_WIDE
#endif
