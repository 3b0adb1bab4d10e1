// SPDX-License-Identifier: Apache-2.0
// Sums by bin. For two classes Gini's impurity and the variance of the class number choose alike, so two
// classes are numbers. Of numbers a cell is 16 bytes, {sum of g, sum of h << 16 | rows}, so that one vector
// addition does all for a row; the field for rows has 16 bits, hence the runs.
#include "ml/forest_split.h"
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"

typedef int64_t packed __attribute__((vector_size(16)));
typedef double both_sides __attribute__((vector_size(16)));

enum {
  AHEAD = 16, // rows whose bins are fetched ahead
  WORDS = QN_TREE_BINS / 64,
  ROW_BITS = 16,
  MOST_PACKED = (1 << ROW_BITS) - 1, // rows, each as often as it was drawn, of a run: h is at most 2^30 a row
  BLOCK = MOST_PACKED / QN_FOREST_MOST_DRAWN,
  MOST_KEPT = 2048, // items of a node that are packed once for all columns
  FEW = 96          // items that are likely to be in few bins
};

// A bin that has rows.
typedef struct full_bin {
  int64_t g, h, rows;
  int64_t bin;
} full_bin;

typedef struct qn_forest_sums {
  packed cells[QN_TREE_BINS];   // of a run; zero between calls
  full_bin wide[QN_TREE_BINS];  // of runs before; zero between calls
  full_bin found[QN_TREE_BINS]; // ascending
  packed kept[MOST_KEPT];
  const qn_forest_item *items; // of the node
  int64_t n;
  bool is_kept;
  // Of more than two classes
  int64_t *weights; // [QN_TREE_BINS, n_classes], zero between calls
  int64_t rows[QN_TREE_BINS];
  int64_t *left; // [n_classes]
} forest_sums;

qn_status qn_forest_search_init(qn_forest_search *search, const qn_tree_edges *edges, int n_classes,
                                int64_t min_leaf_rows, qn_error *err) {
  qn_status status = QN_OK;
  const int n_fields = n_classes > 2 ? n_classes : 2;
  const int64_t bytes = (int64_t)QN_TREE_BINS * n_fields * 8;
  forest_sums *sums = qn_memory_alloc(sizeof *sums);

  *search = (qn_forest_search){.edges = edges,
                               .n_classes = n_classes,
                               .min_leaf_rows = min_leaf_rows,
                               .n_fields = n_fields,
                               .sums = sums};
  search->total = calloc((size_t)n_fields, sizeof *search->total);
  QN_REQUIRE(sums != NULL && search->total != NULL, err, QN_ERR_MEMORY, "no memory for sums of %d classes",
             n_fields);
  memset(sums, 0, sizeof *sums);
  sums->left = calloc((size_t)n_fields, sizeof *sums->left);
  sums->weights = qn_memory_alloc(bytes);
  QN_REQUIRE(sums->weights != NULL && sums->left != NULL, err, QN_ERR_MEMORY,
             "no memory for sums of %d classes", n_fields);
  memset(sums->weights, 0, (size_t)bytes);

done:
  return status;
}

void qn_forest_search_release(qn_forest_search *search) {
  if (search->sums != NULL) {
    qn_memory_free(search->sums->weights);
    free(search->sums->left);
  }
  qn_memory_free(search->sums);
  free(search->total);
  *search = (qn_forest_search){0};
}

double qn_forest_score(const qn_forest_search *search, const int64_t *fields) {
  if (search->n_classes <= 2) {
    const double g = (double)fields[0];
    return fields[1] > 0 ? g * g / (double)fields[1] : 0;
  }
  double squares = 0;
  double weight = 0;
  for (int k = 0; k < search->n_fields; k++) {
    squares += (double)fields[k] * (double)fields[k];
    weight += (double)fields[k];
  }
  return weight > 0 ? squares / weight : 0;
}

void qn_forest_total(const qn_forest_search *search, const qn_forest_item *items, int64_t n,
                     int64_t *fields) {
  memset(fields, 0, (size_t)search->n_fields * sizeof *fields);
  for (int64_t i = 0; i < n && search->n_classes > 2; i++) {
    fields[items[i].g] += (int64_t)items[i].h * items[i].count;
  }
  for (int64_t i = 0; i < n && search->n_classes <= 2; i++) {
    fields[0] += (int64_t)items[i].g * items[i].count;
    fields[1] += (int64_t)items[i].h * items[i].count;
  }
}

// --- Sums of numbers --------------------------------------------------------------------------------------

// Returns how often the rows were drawn.
static int64_t pack(const qn_forest_item *items, int64_t n, packed *out) {
  int64_t n_drawn = 0;
  for (int64_t i = 0; i < n; i++) {
    const int64_t count = items[i].count;
    out[i] = (packed){items[i].g * count, (items[i].h * count) << ROW_BITS | 1};
    n_drawn += count;
  }
  return n_drawn;
}

void qn_forest_search_begin(qn_forest_search *search, const qn_forest_item *items, int64_t n) {
  forest_sums *sums = search->sums;
  sums->items = items;
  sums->n = n;
  sums->is_kept =
      search->n_classes <= 2 && n <= MOST_KEPT && pack(items, n, sums->kept) <= (int64_t)MOST_PACKED;
}

static full_bin unpack(packed cell, int bin) {
  return (full_bin){
      .g = cell[0], .h = (int64_t)((uint64_t)cell[1] >> ROW_BITS), .rows = cell[1] & MOST_PACKED, .bin = bin};
}

// Few items: which bins they are in is noted, so that not all need be looked at.
static int sum_few(forest_sums *sums, const uint8_t *bins) {
  uint64_t present[WORDS] = {0};
  int n_found = 0;
  for (int64_t i = 0; i < sums->n; i++) {
    const int bin = bins[sums->items[i].row];
    present[bin / 64] |= 1ull << (bin % 64);
    sums->cells[bin] += sums->kept[i];
  }
  for (int word = 0; word < WORDS; word++) {
    for (uint64_t bits = present[word]; bits != 0; bits &= bits - 1) {
      const int bin = word * 64 + __builtin_ctzll(bits);
      sums->found[n_found++] = unpack(sums->cells[bin], bin);
      sums->cells[bin] = (packed){0, 0};
    }
  }
  return n_found;
}

static void sum_items(packed *cells, const uint8_t *bins, const qn_forest_item *items, const packed *values,
                      int64_t n, int64_t n_ahead) {
  for (int64_t i = 0; i < n; i++) {
    __builtin_prefetch(bins + items[i + AHEAD < n_ahead ? i + AHEAD : i].row);
    cells[bins[items[i].row]] += values[i];
  }
}

// Bins up to n_bins, which that of NaN is.
static int sum_kept(forest_sums *sums, const uint8_t *bins, int n_bins) {
  int n_found = 0;
  sum_items(sums->cells, bins, sums->items, sums->kept, sums->n, sums->n);
  for (int bin = 0; bin <= n_bins; bin++) {
    sums->found[n_found] = unpack(sums->cells[bin], bin);
    n_found += sums->found[n_found].rows > 0;
  }
  memset(sums->cells, 0, (size_t)(n_bins + 1) * sizeof *sums->cells);
  return n_found;
}

static void end_run(forest_sums *sums, int n_bins) {
  for (int bin = 0; bin <= n_bins; bin++) {
    const full_bin more = unpack(sums->cells[bin], bin);
    sums->wide[bin].g += more.g;
    sums->wide[bin].h += more.h;
    sums->wide[bin].rows += more.rows;
  }
  memset(sums->cells, 0, (size_t)(n_bins + 1) * sizeof *sums->cells);
}

static int sum_many(forest_sums *sums, const uint8_t *bins, int n_bins) {
  packed values[BLOCK];
  int64_t n_drawn = 0;
  int n_found = 0;
  for (int64_t first = 0; first < sums->n; first += BLOCK) {
    const int64_t left = sums->n - first;
    const int64_t n = left < BLOCK ? left : BLOCK;
    const int64_t more = pack(sums->items + first, n, values);
    if (n_drawn + more > MOST_PACKED) {
      end_run(sums, n_bins);
      n_drawn = 0;
    }
    n_drawn += more;
    sum_items(sums->cells, bins, sums->items + first, values, n, left);
  }
  end_run(sums, n_bins);
  for (int bin = 0; bin <= n_bins; bin++) {
    sums->found[n_found] = sums->wide[bin];
    sums->found[n_found].bin = bin;
    n_found += sums->wide[bin].rows > 0;
    sums->wide[bin] = (full_bin){0};
  }
  return n_found;
}

// --- Sums of classes --------------------------------------------------------------------------------------

static int sum_classes(qn_forest_search *search, const uint8_t *bins) {
  forest_sums *sums = search->sums;
  const qn_forest_item *items = sums->items;
  const int64_t n = sums->n;
  uint64_t present[WORDS] = {0};
  int n_found = 0;
  for (int64_t i = 0; i < n; i++) {
    __builtin_prefetch(bins + items[i + AHEAD < n ? i + AHEAD : i].row);
    const int bin = bins[items[i].row];
    present[bin / 64] |= 1ull << (bin % 64);
    sums->rows[bin]++;
    sums->weights[(int64_t)bin * search->n_fields + items[i].g] += (int64_t)items[i].h * items[i].count;
  }
  for (int word = 0; word < WORDS; word++) {
    for (uint64_t bits = present[word]; bits != 0; bits &= bits - 1) {
      const int bin = word * 64 + __builtin_ctzll(bits);
      sums->found[n_found++] = (full_bin){.rows = sums->rows[bin], .bin = bin};
      sums->rows[bin] = 0;
    }
  }
  return n_found;
}

static void clear_classes(qn_forest_search *search, int n_found) {
  forest_sums *sums = search->sums;
  for (int i = 0; i < n_found && search->n_classes > 2; i++) {
    memset(sums->weights + sums->found[i].bin * search->n_fields, 0, (size_t)search->n_fields * 8);
  }
}

// --- Cuts -------------------------------------------------------------------------------------------------

// Cuts of a column behind bins that have rows.
typedef struct column_cuts {
  int column;
  int n_numbers; // bins found, without that of NaN
  int n_cuts;
  bool has_missing;
  bool missing_left;
} column_cuts;

// Takes the cut behind found bin i, which is the best so far, unless it leaves a side too few rows.
static void take_cut(const qn_forest_search *search, const column_cuts *cuts, int i, double score,
                     int64_t n_left, qn_forest_split *best) {
  const forest_sums *sums = search->sums;
  const full_bin *found = sums->found;
  if (n_left >= search->min_leaf_rows && sums->n - n_left >= search->min_leaf_rows) {
    // Half-way to the next bin that has rows.
    const int64_t bin = i + 1 < cuts->n_numbers ? (found[i].bin + found[i + 1].bin) / 2
                                                : search->edges->n_bins[cuts->column] - 1;
    *best = (qn_forest_split){.score = score,
                              .n_left = n_left,
                              .column = cuts->column,
                              .bin = (int)bin,
                              .missing_left = cuts->has_missing ? cuts->missing_left : n_left * 2 > sums->n};
  }
}

// Both sides' squares over weights; the right side is what is left of the total.
static void try_numbers(const qn_forest_search *search, const column_cuts *cuts, qn_forest_split *best) {
  const full_bin *found = search->sums->found;
  const full_bin start = cuts->missing_left ? found[cuts->n_numbers] : (full_bin){0};
  int64_t g = start.g, h = start.h, rows = start.rows;
  for (int i = 0; i < cuts->n_cuts; i++) {
    g += found[i].g;
    h += found[i].h;
    rows += found[i].rows;
    const both_sides sums = {(double)g, (double)(search->total[0] - g)};
    const both_sides weights = {(double)h, (double)(search->total[1] - h)};
    const both_sides scores = sums * sums / weights; // all bins found have weight
    const double score = scores[0] + scores[1];
    if (score > best->score) {
      take_cut(search, cuts, i, score, rows, best);
    }
  }
}

static double score_classes(const qn_forest_search *search) {
  const int64_t *left = search->sums->left;
  double squares = 0, weight = 0, right_squares = 0, right_weight = 0;
  for (int k = 0; k < search->n_fields; k++) {
    const double here = (double)left[k];
    const double there = (double)(search->total[k] - left[k]);
    squares += here * here;
    weight += here;
    right_squares += there * there;
    right_weight += there;
  }
  return weight > 0 && right_weight > 0 ? squares / weight + right_squares / right_weight : 0;
}

static void move_left(const qn_forest_search *search, int64_t bin) {
  const int64_t *weights = search->sums->weights + bin * search->n_fields;
  for (int k = 0; k < search->n_fields; k++) {
    search->sums->left[k] += weights[k];
  }
}

static void try_classes(const qn_forest_search *search, const column_cuts *cuts, qn_forest_split *best) {
  const full_bin *found = search->sums->found;
  int64_t rows = 0;
  memset(search->sums->left, 0, (size_t)search->n_fields * sizeof *search->sums->left);
  if (cuts->missing_left) {
    move_left(search, found[cuts->n_numbers].bin);
    rows = found[cuts->n_numbers].rows;
  }
  for (int i = 0; i < cuts->n_cuts; i++) {
    move_left(search, found[i].bin);
    rows += found[i].rows;
    const double score = score_classes(search);
    if (score > best->score) {
      take_cut(search, cuts, i, score, rows, best);
    }
  }
}

static void try_cuts(const qn_forest_search *search, const column_cuts *cuts, qn_forest_split *best) {
  if (search->n_classes > 2) {
    try_classes(search, cuts, best);
  } else {
    try_numbers(search, cuts, best);
  }
}

bool qn_forest_try_column(qn_forest_search *search, const uint8_t *bins, int column, qn_forest_split *best) {
  forest_sums *sums = search->sums;
  const int n_bins = search->edges->n_bins[column];
  const int n_found = search->n_classes > 2 ? sum_classes(search, bins)
                      : !sums->is_kept      ? sum_many(sums, bins, n_bins)
                      : sums->n < FEW       ? sum_few(sums, bins)
                                            : sum_kept(sums, bins, n_bins);
  if (n_found > 1) {
    column_cuts cuts = {.column = column, .has_missing = sums->found[n_found - 1].bin == n_bins};
    cuts.n_numbers = n_found - cuts.has_missing;
    cuts.n_cuts = cuts.n_numbers - !cuts.has_missing;
    try_cuts(search, &cuts, best);
    if (cuts.has_missing) {
      cuts.n_cuts = cuts.n_numbers - 1;
      cuts.missing_left = true;
      try_cuts(search, &cuts, best);
    }
  }
  clear_classes(search, n_found);
  return n_found > 1;
}
