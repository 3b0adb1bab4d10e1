// SPDX-License-Identifier: Apache-2.0
// The page of a run, made from its folder (docs/run-folder.md).
#pragma once
#include <stdbool.h>
#include <quern/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Local. Makes the page of a run's folder: one file that needs no other and no network.
QN_API qn_status qn_report_write(const char *run, const char *path, qn_error *err);
/// Local. False if the program was built without the library that draws charts; pages then have tables only.
QN_API bool qn_report_has_charts(void);

#ifdef __cplusplus
}
#endif
