// SPDX-License-Identifier: Apache-2.0
// In which state of the CSV machine a byte stands where a file is cut: the start of a row, inside a quoted
// field, ...
//
// The state is a function of all bytes before, and a reader must not read all of them. How it is right all
// the same:
// 1. The machine is run over the last bytes before the cut from every state it could be in there. Where all
// of these
//    runs have come to the same state, that state is certain. A field's closing quote with a separator behind
//    it, or an opening one with text behind it, is enough, so this decides at nearly every cut of a file with
//    quotes.
// 2. Else (no quotes at all there, or none but empty quoted fields), if a place with a known state is near,
// the machine
//    is run from there.
// 3. Else a run of step 1 is believed if its rows have the columns that the file has and those of the others
// have not.
// 4. Else more bytes are looked at, and at last all of the file up to the cut.
// A belief of step 3 can be wrong only if a quoted field holds a stretch of rows of the same file format. So
// that even then no row is lost or made up, the reader of the split before, which knows the state at its end,
// finds the belief out by the same steps and fails if it is wrong. By induction every split has begun right
// if no reader has failed. Where one rank alone reads a file it knows the state at the end of the split
// before, and step 3 is left out.
#pragma once
#include "io/byte_scan.h"
#include "io/input_window.h"

typedef struct qn_csv_border {
  const qn_scan_kernels *kernels;
  qn_csv_dialect dialect;
  int n_columns;
  bool never_believes; // leave out step 3
  // How many bytes are looked at in step 1, are near in step 2, and are more in step 4; 0: 16 KiB, 4 MiB, 1
  // MiB.
  int64_t near_bytes, exact_bytes, far_bytes;
  qn_input_window window; // not the one of the reader
  uint32_t *scratch;
} qn_csv_border;

void qn_csv_border_release(qn_csv_border *border);

/// A place whose state is known.
typedef struct qn_csv_place {
  int64_t offset;
  qn_csv_state state;
} qn_csv_place;

/// The state at `offset` of a plain file. `known` is a place before it: the begin of the first row at least.
qn_status qn_csv_border_find(qn_csv_border *border, const qn_file *file, qn_csv_place known, int64_t offset,
                             qn_csv_state *state, qn_error *err);
