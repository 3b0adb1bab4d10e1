// SPDX-License-Identifier: Apache-2.0
// The files that the page of a run is made of, as the build put them into the program.
#pragma once
#include <stdbool.h>
#include <stdint.h>

typedef struct qn_page_file {
  const char *name; // "page.css", as page.html calls it between @@ and @@
  const char *data; // not terminated
  int64_t size;     // 0: was not there when the program was built
} qn_page_file;

/// Local. False if there is no such file.
bool qn_page_file_find(const char *name, int64_t name_size, qn_page_file *out);
/// Local. Are the libraries that draw there?
bool qn_page_has_charts(void);
