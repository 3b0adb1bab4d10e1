// SPDX-License-Identifier: Apache-2.0
// Whether a run may be gone on with. Rank 0 only.
#pragma once
#include <jansson.h>
#include "record/run_folder.h"

/// Local. Program, arguments and working directory must be those of the run's earlier attempts. Errors:
/// QN_ERR_ARG, which says what is another.
qn_status qn_run_check_same(const qn_run_about *about, const char *folder, const json_t *earlier,
                            qn_error *err);
