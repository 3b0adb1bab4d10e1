// SPDX-License-Identifier: Apache-2.0
// What a killed process leaves in the folder of a run: files it was writing, which have not got their names
// yet.
#pragma once
#include <jansson.h>

/// Local. Removes the drafts in the folder and its subfolders results and checkpoints: of processes of
/// earlier attempts of `run`; of any that is not on this host, if they are of the run's own JSON files or
/// five minutes old. `run` (run.json) may be NULL. The caller holds the folder: no other attempt goes on.
/// What cannot be removed stays.
void qn_run_remove_drafts(const char *folder, const json_t *run);
