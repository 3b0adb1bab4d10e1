// SPDX-License-Identifier: Apache-2.0
// Files in scratch without a name: whatever happens to the process, nothing of them stays.
#pragma once
#include <stdint.h>
#include <quern/status.h>

/// Local. A new file in `folder` to read and write; -1 and errno if there can be none. Where the file system
/// has no such files it loses its name as soon as it is open.
int qn_nameless_open(const char *folder);
/// Local. Removes such files that still have a name, which only those of a crash in between have, once they
/// are some minutes old.
void qn_nameless_clean(const char *folder);
/// Local. Such a file of `n_bytes`, which are set aside, so that a full disk is an error here and not a
/// signal later. `what` they are for ("rows to train on") is for messages. *out is for close(). Errors
/// QN_ERR_IO  there can be none, or no room for it
qn_status qn_nameless_new(const char *folder, int64_t n_bytes, const char *what, int *out, qn_error *err);
