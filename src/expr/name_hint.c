// SPDX-License-Identifier: Apache-2.0
// Edit distance (Damerau's, of neighbours exchanged too: the most frequent slip), letter case counting
// little.
#include <ctype.h>
#include <string.h>
#include "expr/binder.h"

enum { LONGEST_NAME = 64, EDIT = 2 }; // an edit costs 2, a change of case 1

static int least(int a, int b) {
  return a < b ? a : b;
}

static int change_cost(char a, char b) {
  if (a == b) {
    return 0;
  }
  return tolower((unsigned char)a) == tolower((unsigned char)b) ? 1 : EDIT;
}

static int distance(const char *a, int a_size, const char *b, int b_size) {
  int rows[3][LONGEST_NAME + 1];
  for (int j = 0; j <= b_size; j++) {
    rows[0][j] = EDIT * j;
  }
  for (int i = 1; i <= a_size; i++) {
    int *row = rows[i % 3];
    const int *above = rows[(i + 2) % 3];
    const int *two_above = rows[(i + 1) % 3];
    row[0] = EDIT * i;
    for (int j = 1; j <= b_size; j++) {
      row[j] = least(above[j], row[j - 1]) + EDIT;
      row[j] = least(row[j], above[j - 1] + change_cost(a[i - 1], b[j - 1]));
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = least(row[j], two_above[j - 2] + EDIT);
      }
    }
  }
  return rows[a_size % 3][b_size];
}

void qn_name_hint_offer(qn_name_hint *hint, const char *candidate) {
  const size_t wanted_size = strlen(hint->wanted);
  const size_t size = strlen(candidate);
  if (wanted_size == 0 || wanted_size > LONGEST_NAME || size > LONGEST_NAME) {
    return;
  }
  const int most = EDIT * (1 + (int)wanted_size / 4);
  const int found = distance(hint->wanted, (int)wanted_size, candidate, (int)size);
  const bool is_near = found <= most && found < EDIT * (int)(wanted_size > size ? wanted_size : size);
  if (is_near && (hint->nearest == NULL || found < hint->distance)) {
    hint->nearest = candidate;
    hint->distance = found;
  }
}
