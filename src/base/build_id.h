// SPDX-License-Identifier: Apache-2.0
// Which build of the program runs.
#pragma once
#include <stdint.h>

enum { QN_BUILD_ID = 96 }; // bytes of its text, with the end

/// Local. The GNU build id of the program, behind it that of the Quern library if that is a file of its own;
/// for a program without one "hash-" and a hash of its file. It changes when the code does. Never fails:
/// "unknown".
void qn_build_id(char *out);

typedef void (*qn_any_function)(void);
/// Local. A function as a number that is the same in every process and at every address: its place in the
/// program or library that has it, and the build id of that. 0 for NULL.
uint64_t qn_function_hash(qn_any_function function);
