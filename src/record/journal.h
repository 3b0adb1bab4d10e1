// SPDX-License-Identifier: Apache-2.0
// The journal of a run: what was read and what was committed, a line of JSON each, appended and flushed to
// disk. Only rank 0 has one. docs/run-folder.md has the lines.
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <quern/status.h>

typedef struct qn_journal qn_journal;

/// Local. Reads the journal `path` as far as its lines are whole (what is behind them is cut off), or makes
/// an empty one, and opens it for more. If a product was written by two actions, the lines from the first of
/// them on are given up: what lay there in between is gone, so the job makes all of it again.
/// Errors: QN_ERR_IO.
qn_status qn_journal_open(const char *path, qn_journal **out, qn_error *err);
void qn_journal_free(qn_journal *journal); // NULL is allowed

/// Local. True if it has a line of an action.
bool qn_journal_has_actions(const char *path);
/// Local. How many actions have a line, and what the last of them was, in words (for free(); NULL: none).
/// Errors: QN_ERR_IO.
qn_status qn_journal_count(const char *path, int64_t *n_done, char **last, qn_error *err);
/// How far actions go: 1 + the largest number of an action in it; 0 if there is none.
int64_t qn_journal_end(const qn_journal *journal);
/// The last line whose `key` ("action", "read") is `number`; borrowed; NULL if there is none.
const json_t *qn_journal_find(const qn_journal *journal, const char *key, int64_t number);
/// Local. Appends a line, which it takes over; it is on disk when this returns. Errors: QN_ERR_IO.
qn_status qn_journal_append_take(qn_journal *journal, json_t *line, qn_error *err);
