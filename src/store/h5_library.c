// SPDX-License-Identifier: Apache-2.0
// The version that was linked, which the headers need not be.
#include "store/h5_library.h"
#include <hdf5.h>
#include <stdbool.h>
#include <stdio.h>

void qn_h5_library(char *out, size_t size) {
  unsigned major = 0;
  unsigned minor = 0;
  unsigned release = 0;
  const bool is_known = H5get_libversion(&major, &minor, &release) >= 0;

  snprintf(out, size, is_known ? "%u.%u.%u" : "unknown", major, minor, release);
}
