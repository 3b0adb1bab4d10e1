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
/// Local. Sets the bytes of a new file in `folder` aside, so that a full disk is an error here and not a
/// signal later, and maps them. `what` they are for ("rows to train on") is for messages. The mapping keeps
/// the file when it is closed.
/// Errors  QN_ERR_IO      no room there
///         QN_ERR_MEMORY  it cannot be mapped
qn_status qn_nameless_map(int file, const char *folder, int64_t n_bytes, const char *what, void **out,
                          qn_error *err);
