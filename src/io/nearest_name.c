// SPDX-License-Identifier: Apache-2.0
// Edit distance with one row of the table kept; long names are not compared, a typing mistake is not looked
// for there.
#include "io/nearest_name.h"
#include <ctype.h>
#include <string.h>

enum { MAX_NAME = 64 };

static int lower(char letter) {
  return tolower((unsigned char)letter);
}

static int edit_distance(const char *a, int a_size, const char *b, int b_size) {
  int row[MAX_NAME + 1];

  for (int j = 0; j <= b_size; j++) {
    row[j] = j;
  }
  for (int i = 1; i <= a_size; i++) {
    int diagonal = row[0];
    row[0] = i;
    for (int j = 1; j <= b_size; j++) {
      const int changed = diagonal + (lower(a[i - 1]) != lower(b[j - 1]));
      const int shorter = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
      diagonal = row[j];
      row[j] = changed < shorter ? changed : shorter;
    }
  }
  return row[b_size];
}

int64_t qn_nearest_name(const char *wanted, const char *const *names, int64_t n_names) {
  const size_t wanted_size = strlen(wanted);
  int64_t best = -1;
  int best_distance = (int)(wanted_size / 3) + 1;

  if (wanted_size > MAX_NAME) {
    return -1;
  }
  for (int64_t i = 0; i < n_names; i++) {
    const size_t size = strlen(names[i]);
    if (size <= MAX_NAME) {
      const int distance = edit_distance(wanted, (int)wanted_size, names[i], (int)size);
      if (distance < best_distance || (distance == best_distance && best < 0)) {
        best = i;
        best_distance = distance;
      }
    }
  }
  return best;
}
