// SPDX-License-Identifier: Apache-2.0
// What the system says of itself in small text files: numbers, control groups, this process, this host.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Local. The first whole number behind `name` at the start of a line; for NULL the first of the file. -1 if
/// there is none: no such file, no such line, "max".
int64_t qn_system_number(const char *path, const char *name);

/// Local. A size of this process, "VmRSS:" or "VmHWM:" (the peak), in bytes; -1: not told.
int64_t qn_own_bytes(const char *name);
/// Local. Processor time of all threads of this process so far.
double qn_own_cpu_seconds(void);
/// Local. The name of this host; "unknown" if the system does not say.
void qn_host_name(char *out, size_t size);

/// What is called for a folder of a control group; where it belongs to version 1, `is_version_1`.
typedef void qn_group_look(void *context, const char *folder, bool is_version_1);
/// Local. Looks at the groups that this process is in, from its own up to the top, that may limit what
/// `controller` ("memory", "cpu") deals out. In a container a path may be that of the host: a folder that is
/// not there has no limit. `root` is put before the names of system files ("" but in tests).
void qn_groups_visit(const char *root, const char *controller, qn_group_look *look, void *context);
