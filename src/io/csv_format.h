// SPDX-License-Identifier: Apache-2.0
// Batches as CSV text: RFC 4180 with \n line ends. Fields with the separator, quotes, line ends, or blanks at
// an end are quoted; a null is empty, an empty text is "".
#pragma once
#include "base/buffer.h"
#include "column/batch.h"

qn_status qn_csv_print_header(const qn_schema *schema, char separator, qn_buffer *out, qn_error *err);
qn_status qn_csv_print_batch(const qn_batch *batch, char separator, qn_buffer *out, qn_error *err);
