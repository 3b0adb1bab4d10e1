// SPDX-License-Identifier: Apache-2.0
// Which HDF5 this is, for the record of a run.
#pragma once
#include <stddef.h>

/// Local. "1.10.8", into `size` bytes.
void qn_h5_library(char *out, size_t size);
