// SPDX-License-Identifier: Apache-2.0
// Lines of text files. A plain file is cut into byte ranges at line ends; a compressed one is a single split.
#pragma once
#include "column/source.h"
#include "io/file_list.h"

/// Local. A source with the schema "line utf8" (text_type QN_UTF8: validity is checked, a bad byte is an
/// error naming file, line and offset) or "line binary" (QN_BINARY: bytes as they are). Lines end at \n; a \r
/// before it is left out. The list is copied. split_bytes 0: chosen by size and n_ranks.
qn_status qn_text_source_new(const qn_file_list *files, qn_type text_type, int64_t split_bytes, int n_ranks,
                             qn_source **out, qn_error *err);
