// SPDX-License-Identifier: Apache-2.0
// Gradient-boosted trees (J. Friedman, 2001; histograms and leaf-wise growth as in LightGBM, G. Ke et al.,
// 2017). Every sum over rows is one of integers, so the trees are the same on any number of ranks, in exact
// mode and without.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"
#include "exec/job_state.h"
#include "ml/estimator.h"
#include "ml/gbdt_loss.h"
#include "ml/tree_grow.h"

typedef struct boosting {
  qn_fit_state *fit;
  const qn_gbdt_options *options;
  const qn_rows *rows;
  qn_tree_bins *bins;
  qn_tree_grower *grower;
  qn_gbdt_loss loss;
  bool *is_held;       // [n_local]; NULL: none is held out
  double *base;        // [n_scores]
  double *scores;      // [n_scores, n_local]
  qn_tree_pair *pairs; // the same
  qn_mapped_room held_room, score_room, pair_room;
  qn_tree_list trees;
  double means[2];  // losses after the last round
  double best_loss; // of the rows held out
  int64_t best_round;
} boosting;

// What random draws are for.
enum { DRAW_HELD = 1, DRAW_ROWS, DRAW_COLUMNS };

// A number in [0, 1) that depends on nothing else.
static double draw(const boosting *booster, uint64_t what, uint64_t tree, uint64_t number) {
  uint64_t hash = qn_hash_combine(booster->fit->how->seed, what);
  hash = qn_hash_combine(hash, tree);
  return qn_hash_to_unit(qn_hash_combine(hash, number));
}

static bool is_early(const boosting *booster) {
  return booster->options->early_stopping > 0;
}

static qn_status hold_out(boosting *booster, qn_error *err) {
  qn_status status = QN_OK;
  const qn_rows *rows = booster->rows;
  int64_t n_held = 0;

  if (!is_early(booster)) {
    goto done;
  }
  QN_TRY(qn_mapped_room_take(booster->fit->model->job->scratch, rows->n_local, sizeof *booster->is_held,
                             "marks of rows", &booster->held_room, err));
  booster->is_held = booster->held_room.data;
  for (int64_t i = 0; i < rows->n_local; i++) {
    booster->is_held[i] =
        draw(booster, DRAW_HELD, 0, (uint64_t)(rows->first_row + i)) < booster->options->holdout;
    n_held += booster->is_held[i];
  }
  QN_TRY(qn_comm_reduce_int64(booster->fit->comm, QN_SUM, &n_held, 1, err));
  QN_REQUIRE(n_held > 0, err, QN_ERR_VALUE,
             "early_stopping needs rows to hold out, but holdout %g of %" PRId64 " rows is none",
             booster->options->holdout, rows->n_total);

done:
  return status;
}

static qn_gbdt_loss_kind loss_kind(const boosting *booster) {
  if (booster->options->task == QN_TREES_REGRESSION) {
    return QN_GBDT_SQUARED;
  }
  return booster->fit->n_classes > 2 ? QN_GBDT_SOFTMAX : QN_GBDT_LOGISTIC;
}

static void set_base(boosting *booster) {
  const int64_t n = booster->rows->n_local;
  for (int k = 0; k < booster->loss.n_scores; k++) {
    for (int64_t i = 0; i < n; i++) {
      booster->scores[k * n + i] = booster->base[k];
    }
  }
}

static qn_status prepare(boosting *booster, qn_error *err) {
  qn_status status = QN_OK;
  qn_comm *comm = booster->fit->comm;
  const qn_rows *rows = booster->rows;
  const qn_gbdt_options *options = booster->options;
  const char *scratch = booster->fit->model->job->scratch;

  QN_REQUIRE(rows->n_local <= INT32_MAX, err, QN_ERR_VALUE,
             "%" PRId64 " rows on one rank are too many for trees (at most %d): use more ranks",
             rows->n_local, INT32_MAX);
  QN_TRY(hold_out(booster, err));
  const qn_gbdt_loss_kind kind = loss_kind(booster);
  booster->loss = (qn_gbdt_loss){.kind = kind,
                                 .n_scores = kind == QN_GBDT_SOFTMAX ? booster->fit->n_classes : 1,
                                 .n = rows->n_local,
                                 .n_total = rows->n_total,
                                 .y = rows->y,
                                 .w = rows->w,
                                 .is_held = booster->is_held};
  QN_TRY(qn_gbdt_loss_begin(comm, &booster->loss, err));
  QN_TRY(qn_tree_bins_new(comm, rows, (int)options->max_bins, scratch, &booster->bins, err));
  booster->base = qn_memory_alloc((int64_t)booster->loss.n_scores * 8);
  QN_REQUIRE(booster->base != NULL, err, QN_ERR_MEMORY, "no memory for %d scores", booster->loss.n_scores);
  const int64_t width = booster->loss.n_scores * (int64_t)sizeof *booster->scores;
  QN_TRY(qn_mapped_room_take(scratch, rows->n_local, width, "scores", &booster->score_room, err));
  booster->scores = booster->score_room.data;
  QN_TRY(qn_mapped_room_take(scratch, rows->n_local, width, "derivatives", &booster->pair_room, err));
  booster->pairs = booster->pair_room.data;
  QN_TRY(qn_tree_grower_new(comm, booster->bins, options->max_leaves, options->max_depth, scratch,
                            &booster->grower, err));
  QN_TRY(qn_gbdt_loss_base(comm, &booster->loss, booster->base, err));
  set_base(booster);
  booster->best_loss = (double)INFINITY;

done:
  return status;
}

// --- Rounds -----------------------------------------------------------------------------------------------

// Which rows and columns the tree sees.
static void choose(boosting *booster, int64_t tree) {
  qn_tree_grower *grower = booster->grower;
  const qn_rows *rows = booster->rows;
  const double row_fraction = booster->options->row_fraction;
  grower->n_rows = 0;
  for (int64_t i = 0; i < rows->n_local; i++) {
    const bool is_out = booster->is_held != NULL && booster->is_held[i];
    const bool is_drawn = row_fraction >= 1 || draw(booster, DRAW_ROWS, (uint64_t)tree,
                                                    (uint64_t)(rows->first_row + i)) < row_fraction;
    grower->rows[grower->n_rows] = (int32_t)i;
    grower->n_rows += !is_out && is_drawn;
  }
  // The wanted number of columns with the lowest draws, one by one: a column is in if few enough are lower.
  const int n = rows->n_columns;
  const double share = booster->options->column_fraction * n;
  const int n_wanted = share < 1 ? 1 : (int)lrint(share);
  for (int j = 0; j < n; j++) {
    const double mine = draw(booster, DRAW_COLUMNS, (uint64_t)tree, (uint64_t)j);
    int n_lower = 0;
    for (int other = 0; other < n && n_wanted < n; other++) {
      n_lower += draw(booster, DRAW_COLUMNS, (uint64_t)tree, (uint64_t)other) < mine;
    }
    grower->is_used[j] = n_lower < n_wanted;
  }
}

// Pages that a tree has gone through need not stay in this process's memory.
static void let_go(const boosting *booster) {
  const qn_mapped_room *const rooms[] = {&booster->bins->room, &booster->grower->room, &booster->score_room,
                                         &booster->pair_room};
  for (int i = 0; i < 4; i++) {
    qn_mapped_room_let_go(rooms[i], 0, rooms[i]->n_bytes);
  }
}

// Adds the tree to the scores: rows that it was grown on by its leaves, others by their bins.
static void update_scores(boosting *booster, double *scores) {
  const qn_tree_grower *grower = booster->grower;
  const int64_t n = booster->rows->n_local;
  for (int64_t i = 0; i < grower->n_nodes; i++) {
    const qn_tree_node *node = &grower->nodes[i];
    for (int64_t at = node->first; node->column < 0 && at < node->first + node->n; at++) {
      scores[grower->rows[at]] += node->value;
    }
  }
  if (grower->n_rows == n) {
    return;
  }
  bool *is_done = (bool *)grower->spare;
  memset(is_done, 0, (size_t)n);
  for (int64_t at = 0; at < grower->n_rows; at++) {
    is_done[grower->rows[at]] = true;
  }
  for (int64_t i = 0; i < n; i++) {
    if (!is_done[i]) {
      scores[i] += grower->nodes[qn_tree_grower_leaf_of(grower, i)].value;
    }
  }
}

static qn_status derive(boosting *booster, qn_error *err) {
  return qn_gbdt_loss_derive(booster->fit->comm, &booster->loss, booster->scores, booster->pairs,
                             booster->means, err);
}

static qn_status grow_round(boosting *booster, int64_t round, qn_error *err) {
  qn_status status = QN_OK;
  const qn_gbdt_options *options = booster->options;
  const int64_t n = booster->rows->n_local;
  qn_tree_grower *grower = booster->grower;

  for (int k = 0; k < booster->loss.n_scores; k++) {
    const int64_t tree = (round - 1) * booster->loss.n_scores + k;
    choose(booster, tree);
    grower->rule = (qn_tree_rule){.l2 = options->l2,
                                  .min_gain = options->min_gain,
                                  .min_leaf_hessian = options->min_leaf_hessian,
                                  .min_leaf_rows = options->min_leaf_rows,
                                  .g_unit = booster->loss.g_unit,
                                  .h_unit = booster->loss.h_unit};
    QN_TRY(qn_tree_grow(grower, booster->pairs + k * n, options->learning_rate, err));
    QN_TRY(qn_tree_list_append(&booster->trees, grower->nodes, grower->n_nodes, k, NULL, err));
    update_scores(booster, booster->scores + k * n);
    let_go(booster);
  }
  QN_TRY(derive(booster, err));
  if (is_early(booster) && booster->means[1] < booster->best_loss) {
    booster->best_loss = booster->means[1];
    booster->best_round = round;
  }

done:
  return status;
}

// --- State ------------------------------------------------------------------------------------------------

static qn_status put_state(const boosting *booster, qn_arrays *state, qn_error *err) {
  qn_status status = QN_OK;
  const double best[] = {booster->best_loss, (double)booster->best_round};
  QN_TRY(qn_tree_list_put(&booster->trees, state, err));
  QN_TRY(qn_arrays_put(state, "best", QN_FLOAT64, 2, best, err));

done:
  return status;
}

// Scores from the trees, which add up in the order in which they were grown: to the same bits.
static qn_status rebuild_scores(boosting *booster, const qn_arrays *state, qn_error *err) {
  qn_status status = QN_OK;
  const qn_rows *rows = booster->rows;
  const int n_scores = booster->loss.n_scores;
  qn_trees trees;
  double *room = qn_memory_alloc(rows->block_rows * rows->n_columns * 8);
  double *sums = qn_memory_alloc(rows->block_rows * n_scores * 8);

  QN_REQUIRE(room != NULL && sums != NULL, err, QN_ERR_MEMORY, "no memory for a block of rows");
  QN_TRY(qn_trees_get(state, &trees, err));
  for (int64_t b = 0; b < rows->n_blocks; b++) {
    qn_row_block block;
    qn_rows_block(rows, b, &block);
    qn_row_block_densify(&block, room);
    for (int64_t i = 0; i < block.n_rows; i++) {
      memcpy(sums + i * n_scores, booster->base, (size_t)n_scores * 8);
    }
    QN_TRY(
        qn_trees_add(&trees, 0, trees.n_trees, block.x, block.n_rows, rows->n_columns, n_scores, sums, err));
    for (int64_t i = 0; i < block.n_rows * n_scores; i++) {
      booster->scores[i % n_scores * rows->n_local + block.local_row + i / n_scores] = sums[i];
    }
  }

done:
  qn_memory_free(room);
  qn_memory_free(sums);
  return status;
}

static qn_status take_state(boosting *booster, const qn_arrays *state, qn_error *err) {
  qn_status status = QN_OK;
  const void *best = NULL;
  const int64_t two = 2;

  QN_TRY(qn_arrays_get(state, "best", QN_FLOAT64, 1, &two, &best, err));
  booster->best_loss = ((const double *)best)[0];
  booster->best_round = (int64_t)((const double *)best)[1];
  QN_TRY(qn_tree_list_get(state, &booster->trees, err));
  QN_TRY(rebuild_scores(booster, state, err));

done:
  return status;
}

static qn_status keep_state(boosting *booster, int64_t round, qn_error *err) {
  qn_status status = QN_OK;
  qn_arrays state = {0};

  if (qn_fit_wants_checkpoint(booster->fit, round)) {
    QN_TRY(put_state(booster, &state, err));
    QN_TRY(qn_fit_checkpoint(booster->fit, round, &state, err));
  }

done:
  qn_arrays_release(&state);
  return status;
}

static qn_status finish(boosting *booster, int64_t n_rounds, qn_error *err) {
  qn_status status = QN_OK;
  qn_arrays *arrays = &booster->fit->model->arrays;
  const int64_t kept = is_early(booster) && booster->best_round > 0 ? booster->best_round : n_rounds;

  qn_tree_list_cut(&booster->trees, kept * booster->loss.n_scores);
  QN_TRY(qn_tree_list_put(&booster->trees, arrays, err));
  QN_TRY(qn_tree_list_put_importance(&booster->trees, booster->rows->n_columns, arrays, err));
  QN_TRY(qn_arrays_put(arrays, "base", QN_FLOAT64, booster->loss.n_scores, booster->base, err));
  QN_TRY(qn_fit_note(booster->fit, "iterations", (double)kept, err));
  QN_TRY(qn_fit_note(booster->fit, "train_loss", booster->means[0], err));
  if (is_early(booster)) {
    QN_TRY(qn_fit_note(booster->fit, "holdout_loss", booster->best_loss, err));
  }

done:
  return status;
}

static void release(boosting *booster) {
  qn_tree_grower_free(booster->grower);
  qn_tree_bins_free(booster->bins);
  qn_mapped_room_release(&booster->held_room);
  qn_memory_free(booster->base);
  qn_mapped_room_release(&booster->score_room);
  qn_mapped_room_release(&booster->pair_room);
  qn_tree_list_release(&booster->trees);
}

static qn_status fit_gbdt(qn_fit_state *fit, qn_error *err) {
  qn_status status = QN_OK;
  boosting booster = {.fit = fit, .options = fit->options, .rows = fit->rows};
  qn_arrays state = {0};
  int64_t round = 0;

  QN_TRY(qn_fit_resume(fit, &round, &state, err));
  QN_TRY(prepare(&booster, err));
  if (round > 0) {
    QN_TRY(take_state(&booster, &state, err));
  }
  QN_TRY(derive(&booster, err));
  while (round < booster.options->n_trees) {
    if (is_early(&booster) && round - booster.best_round >= booster.options->early_stopping) {
      break;
    }
    round++;
    QN_TRY(grow_round(&booster, round, err));
    const qn_fit_report report = {.step = round,
                                  .loss = booster.means[0],
                                  .gradient_norm = (double)NAN,
                                  .n_rows = fit->rows->n_total * booster.loss.n_scores};
    QN_TRY(qn_fit_step(fit, &report, err));
    QN_TRY(keep_state(&booster, round, err));
  }
  QN_TRY(finish(&booster, round, err));

done:
  qn_arrays_release(&state);
  release(&booster);
  return status;
}

// --- Prediction -------------------------------------------------------------------------------------------

static void softmax(double *scores, int n) {
  double most = scores[0];
  double sum = 0;
  for (int k = 1; k < n; k++) {
    most = scores[k] > most ? scores[k] : most;
  }
  for (int k = 0; k < n; k++) {
    scores[k] = exp(scores[k] - most);
    sum += scores[k];
  }
  for (int k = 0; k < n; k++) {
    scores[k] /= sum;
  }
}

// Scores [n_rows, n_scores] at the start of `outputs` to probabilities of two classes, last row first.
static void logistic(double *outputs, int64_t n_rows) {
  for (int64_t i = n_rows - 1; i >= 0; i--) {
    const double p = 1 / (1 + exp(-outputs[i]));
    outputs[2 * i] = 1 - p;
    outputs[2 * i + 1] = p;
  }
}

static qn_status predict_gbdt(const qn_model *model, const qn_row_block *block, double *outputs,
                              qn_error *err) {
  qn_status status = QN_OK;
  qn_trees trees;
  const void *base = NULL;
  const int n_classes = model->classes.n;
  const int64_t n_scores = n_classes > 2 ? n_classes : 1;

  QN_TRY(qn_trees_get(&model->arrays, &trees, err));
  QN_TRY(qn_arrays_get(&model->arrays, "base", QN_FLOAT64, 1, &n_scores, &base, err));
  QN_REQUIRE(trees.n_values == 1, err, QN_ERR_FORMAT, "the model is damaged: leaves have %d values",
             trees.n_values);
  for (int64_t i = 0; i < block->n_rows; i++) {
    memcpy(outputs + i * n_scores, base, (size_t)n_scores * 8);
  }
  QN_TRY(qn_trees_add(&trees, 0, trees.n_trees, block->x, block->n_rows, block->n_columns, (int)n_scores,
                      outputs, err));
  for (int64_t i = 0; i < block->n_rows && n_classes > 2; i++) {
    softmax(outputs + i * n_scores, n_classes);
  }
  if (n_classes == 2) {
    logistic(outputs, block->n_rows);
  }

done:
  return status;
}

// --- The table --------------------------------------------------------------------------------------------

#define FIELD(name) offsetof(qn_gbdt_options, name)
static const qn_setting gbdt_settings[] = {
    {{"task", "classification", "what the label is"},
     QN_SETTING_CHOICE,
     FIELD(task),
     0,
     0,
     "regression classification"},
    {{"n_trees", "100", "rounds; a tree per class in each if there are more than two"},
     QN_SETTING_INT64,
     FIELD(n_trees),
     1,
     1e6,
     NULL},
    {{"learning_rate", "0.1", "factor of every tree"},
     QN_SETTING_FLOAT64,
     FIELD(learning_rate),
     1e-9,
     1e3,
     NULL},
    {{"max_leaves", "31", "leaves of a tree"}, QN_SETTING_INT64, FIELD(max_leaves), 2, 1e6, NULL},
    {{"max_depth", "0", "depth of a tree; 0: no limit"}, QN_SETTING_INT64, FIELD(max_depth), 0, 1e6, NULL},
    {{"min_leaf_rows", "20", "least rows of a leaf"}, QN_SETTING_INT64, FIELD(min_leaf_rows), 1, 1e15, NULL},
    {{"min_leaf_hessian", "1e-3", "least sum of second derivatives in a leaf"},
     QN_SETTING_FLOAT64,
     FIELD(min_leaf_hessian),
     0,
     1e300,
     NULL},
    {{"l2", "0", "penalty on leaf values"}, QN_SETTING_FLOAT64, FIELD(l2), 0, 1e300, NULL},
    {{"min_gain", "0", "least gain of a split"}, QN_SETTING_FLOAT64, FIELD(min_gain), 0, 1e300, NULL},
    {{"max_bins", "255", "bins of a column"}, QN_SETTING_INT64, FIELD(max_bins), 2, 255, NULL},
    {{"row_fraction", "1", "share of the rows that each tree sees"},
     QN_SETTING_FLOAT64,
     FIELD(row_fraction),
     1e-9,
     1,
     NULL},
    {{"column_fraction", "1", "share of the columns that each tree sees"},
     QN_SETTING_FLOAT64,
     FIELD(column_fraction),
     1e-9,
     1,
     NULL},
    {{"early_stopping", "0", "rounds without a better loss on held-out rows; 0: never stop early"},
     QN_SETTING_INT64,
     FIELD(early_stopping),
     0,
     1e6,
     NULL},
    {{"holdout", "0.1", "share of rows held out if early_stopping > 0"},
     QN_SETTING_FLOAT64,
     FIELD(holdout),
     1e-9,
     0.9,
     NULL},
    {{0}, 0, 0, 0, 0, NULL},
};
#undef FIELD

static qn_task gbdt_task(const void *options) {
  const qn_gbdt_options *gbdt = options;
  return gbdt->task == QN_TREES_REGRESSION ? QN_TASK_NUMBER : QN_TASK_CLASS;
}

const qn_estimator qn_estimator_gbdt = {
    .name = "gbdt",
    .summary = "gradient-boosted trees",
    .settings = gbdt_settings,
    .options_size = sizeof(qn_gbdt_options),
    .needs_label = true,
    .takes_missing = true,
    .task = gbdt_task,
    .fit = fit_gbdt,
    .predict = predict_gbdt,
};

qn_gbdt_options qn_gbdt_defaults(void) {
  qn_gbdt_options options = {0};
  qn_settings_defaults(&qn_estimator_gbdt, &options);
  return options;
}

qn_model *qn_fit_gbdt(qn_dataset *data, const qn_training *how, const qn_gbdt_options *options) {
  return qn_fit_estimator(data, &qn_estimator_gbdt, how, options);
}
