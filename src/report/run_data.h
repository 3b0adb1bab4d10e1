// SPDX-License-Identifier: Apache-2.0
// What a page shows: the files of a run's folder as one JSON object, made small enough.
#pragma once
#include <quern/status.h>
#include "base/buffer.h"

/// Local. Reads the folder of a run. A file that is missing is null in the object, one that is damaged too
/// and said in "left_out"; without a run.json it is no folder of a run (QN_ERR_ARG).
///
/// out  JSON text that may stand in a <script> element of a page, at most some 1.7 MB: what is most
/// interesting of
///      long lists, the rest counted in "left_out"
qn_status qn_run_data_read(const char *folder, qn_buffer *out, qn_error *err);
