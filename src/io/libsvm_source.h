// SPDX-License-Identifier: Apache-2.0
// Files in libsvm's format (svmlight's too): "label 3:0.5 7:1 # comment", cut into splits at line ends.
#pragma once
#include "column/source.h"
#include "io/file_list.h"

/// Local. A source with the schema "label float64, features utf8", where features is "3:0.5 7:1". Each line
/// is checked: indices ascend, from 0 or 1 on, numbers are finite. "qid:7" and comments are left out, and so
/// are lines without anything else. A mistake is QN_ERR_FORMAT naming file and line. split_bytes as for text.
qn_status qn_libsvm_source_new(const qn_file_list *files, int64_t split_bytes, int n_ranks, qn_source **out,
                               qn_error *err);
