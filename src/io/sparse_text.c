// SPDX-License-Identifier: Apache-2.0
// Sparse rows as text.
#include "io/sparse_text.h"
#include "column/parse.h"

static bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool qn_sparse_next(qn_text text, int64_t *at, int64_t *index, double *value, const char **mistake) {
  int64_t from = *at;
  while (from < text.size && is_blank(text.data[from])) {
    from++;
  }
  *at = from;
  if (from == text.size || text.data[from] == '#') {
    return false;
  }
  int64_t colon = from;
  while (colon < text.size && text.data[colon] != ':' && !is_blank(text.data[colon])) {
    colon++;
  }
  int64_t end = colon;
  while (end < text.size && !is_blank(text.data[end])) {
    end++;
  }
  if (colon == text.size || text.data[colon] != ':' ||
      !qn_parse_int64(text.data + from, colon - from, index) || *index < 0) {
    *mistake = "'index:value' is wanted, the index a whole number >= 0";
    return false;
  }
  if (!qn_parse_float64(text.data + colon + 1, end - colon - 1, value)) {
    *mistake = "a number is wanted behind the ':'";
    return false;
  }
  *at = end;
  return true;
}
