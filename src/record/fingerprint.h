// SPDX-License-Identifier: Apache-2.0
// Whether a file is still the one it was, without reading all of it.
#pragma once
#include <stdint.h>
#include <quern/status.h>

enum { QN_FINGERPRINT = 17 }; // bytes of its text, with the end

typedef struct qn_file_facts {
  int64_t n_bytes;
  int64_t modified;                 // seconds since 1970
  char fingerprint[QN_FINGERPRINT]; // of its size and its first and last 64 KiB, in hexadecimal
} qn_file_facts;

/// Local. Errors: QN_ERR_IO.
qn_status qn_file_look(const char *path, qn_file_facts *out, qn_error *err);
