// SPDX-License-Identifier: Apache-2.0
// Random forests (L. Breiman, 2001) over binned columns. Every node gets the bins of all rows, a byte a
// value, and every rank grows whole trees, every n_ranks-th; a tree depends on the seed and its number only,
// so the forest is the same on any number of ranks.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include "base/check.h"
#include "base/mapped_room.h"
#include "base/memory.h"
#include "exec/job_state.h"
#include "ml/estimator.h"
#include "ml/forest_grow.h"
#include "ml/gbdt_loss.h"

typedef struct forest_fit {
  qn_fit_state *fit;
  const qn_forest_options *options;
  const qn_rows *rows;
  const char *scratch;
  qn_forest_rows *all;
  double shift, g_unit, h_unit; // of numbers: value = shift + g g_unit / (h h_unit)
  qn_forest_grower *grower;
  qn_tree_list trees;
  double loss; // mean over the trees
} forest_fit;

// Labels as fixed-point numbers. Those of numbers are the residuals of the mean, which is the first score of
// boosted trees; so are their units.
static qn_status make_pairs(forest_fit *forest, qn_error *err) {
  qn_status status = QN_OK;
  const qn_rows *rows = forest->rows;
  const int n_classes = forest->fit->n_classes;
  double means[2];
  qn_gbdt_loss loss = {.kind = QN_GBDT_SQUARED,
                       .n_scores = 1,
                       .n = rows->n_local,
                       .n_total = rows->n_total,
                       .y = rows->y,
                       .w = rows->w};
  qn_tree_pair *pairs = forest->all->pairs + rows->first_row;
  qn_mapped_room room = {0};

  QN_TRY(qn_mapped_room_take(forest->scratch, rows->n_local, sizeof(double), "labels", &room, err));
  double *scores = room.data;
  QN_TRY(qn_gbdt_loss_begin(forest->fit->comm, &loss, err));
  QN_TRY(qn_gbdt_loss_base(forest->fit->comm, &loss, &forest->shift, err));
  for (int64_t i = 0; i < rows->n_local; i++) {
    scores[i] = forest->shift;
  }
  QN_TRY(qn_gbdt_loss_derive(forest->fit->comm, &loss, scores, pairs, means, err));
  forest->g_unit = loss.g_unit;
  forest->h_unit = loss.h_unit;
  for (int64_t i = 0; i < rows->n_local; i++) {
    qn_tree_pair *pair = &pairs[i];
    const int class = n_classes > 0 ? (int)rows->y[i] : 0;
    pair->g = n_classes == 0 ? -pair->g : n_classes > 2 ? class : class * pair->h;
  }

done:
  qn_mapped_room_release(&room);
  return status;
}

static int n_tried(const forest_fit *forest) {
  const double n = forest->rows->n_columns;
  const double fraction = forest->options->column_fraction;
  const double wanted = fraction > 0 ? fraction * n : forest->fit->n_classes == 0 ? n : sqrt(n);
  return wanted < 1 ? 1 : wanted > n ? (int)n : (int)wanted;
}

static qn_status prepare(forest_fit *forest, qn_error *err) {
  qn_status status = QN_OK;
  const qn_forest_options *options = forest->options;
  const qn_rows *rows = forest->rows;
  qn_comm *comm = forest->fit->comm;
  const qn_forest_rule rule = {.n_classes = forest->fit->n_classes,
                               .max_depth = options->max_depth,
                               .max_leaves = options->max_leaves,
                               .min_leaf_rows = options->min_leaf_rows,
                               .n_tried = n_tried(forest),
                               .is_bootstrap = !options->no_bootstrap,
                               .seed = forest->fit->how->seed};

  QN_REQUIRE(rows->n_total > 0, err, QN_ERR_VALUE, "no rows to train on");
  QN_REQUIRE(rows->n_total <= INT32_MAX, err, QN_ERR_VALUE,
             "%" PRId64 " rows are too many for a forest (at most %d): train on a sample, or use gbdt",
             rows->n_total, INT32_MAX);
  QN_TRY(qn_forest_rows_new(comm, rows, (int)options->max_bins, forest->scratch, &forest->all, err));
  QN_TRY(make_pairs(forest, err));
  QN_TRY(qn_forest_rows_share(comm, rows, forest->all, err));
  QN_TRY(qn_forest_grower_new(comm, forest->all, &rule, forest->scratch, &forest->grower, err));
  forest->trees.n_values = forest->grower->n_values;

done:
  return status;
}

// --- Rounds of trees --------------------------------------------------------------------------------------

// Leaves of numbers in the label's unit.
static void scale_values(const forest_fit *forest, int64_t n_leaves) {
  const double unit = forest->g_unit / forest->h_unit;
  for (int64_t i = 0; i < n_leaves && forest->fit->n_classes == 0; i++) {
    forest->grower->values[i] = forest->shift + forest->grower->values[i] * unit;
  }
}

// Grows this rank's trees of [first, end), and puts losses of trees at losses[tree - first].
static qn_status grow_own(forest_fit *forest, int64_t first, int64_t end, qn_tree_list *own, double *losses,
                          qn_error *err) {
  qn_status status = QN_OK;
  qn_comm *comm = forest->fit->comm;
  const double unit =
      forest->fit->n_classes == 0 ? forest->g_unit * forest->g_unit / (forest->h_unit * forest->h_unit) : 1;

  own->n_values = forest->grower->n_values;
  for (int64_t tree = first; tree < end; tree++) {
    if (tree % qn_comm_size(comm) == qn_comm_rank(comm)) {
      QN_TRY(qn_forest_grow(forest->grower, tree, err));
      scale_values(forest, (forest->grower->n_nodes + 1) / 2);
      QN_TRY(qn_tree_list_append(own, forest->grower->nodes, forest->grower->n_nodes, 0,
                                 forest->grower->values, err));
      losses[tree - first] = forest->grower->loss * unit;
      QN_TRY(qn_comm_poll(comm, err));
    }
  }

done:
  return status;
}

// What one rank has grown, as bytes: no trees are no bytes.
static qn_status encode_own(const qn_tree_list *own, const double *losses, int64_t n_losses, qn_buffer *out,
                            qn_error *err) {
  qn_status status = QN_OK;
  qn_arrays arrays = {0};

  if (own->n_trees > 0) {
    QN_TRY(qn_tree_list_put(own, &arrays, err));
    QN_TRY(qn_arrays_put(&arrays, "losses", QN_FLOAT64, n_losses, losses, err));
    QN_TRY(qn_arrays_encode(&arrays, out, err));
  }

done:
  qn_arrays_release(&arrays);
  return status;
}

// Takes the trees of all ranks in their order.
static qn_status merge(forest_fit *forest, int64_t first, int64_t end, const qn_buffer *all,
                       const int64_t *sizes, double *losses, qn_error *err) {
  qn_status status = QN_OK;
  const int n_ranks = qn_comm_size(forest->fit->comm);
  const int64_t n = end - first;
  qn_arrays *arrays = calloc((size_t)n_ranks, sizeof *arrays);
  qn_trees *trees = calloc((size_t)n_ranks, sizeof *trees);
  int64_t *n_taken = calloc((size_t)n_ranks, sizeof *n_taken);
  const uint8_t *from = all->data;

  QN_REQUIRE(arrays != NULL && trees != NULL && n_taken != NULL, err, QN_ERR_MEMORY, "no memory for trees");
  for (int rank = 0; rank < n_ranks; rank++) {
    if (sizes[rank] > 0) {
      QN_TRY(qn_arrays_decode(from, sizes[rank], &arrays[rank], err));
      QN_TRY(qn_trees_get(&arrays[rank], &trees[rank], err));
    }
    from += sizes[rank];
  }
  for (int64_t tree = first; tree < end; tree++) {
    const int rank = (int)(tree % n_ranks);
    const void *theirs = NULL;
    QN_REQUIRE(n_taken[rank] < trees[rank].n_trees, err, QN_ERR_MPI, "rank %d did not grow tree %" PRId64,
               rank, tree);
    QN_TRY(qn_arrays_get(&arrays[rank], "losses", QN_FLOAT64, 1, &n, &theirs, err));
    QN_TRY(qn_tree_list_append_copy(&forest->trees, &trees[rank], n_taken[rank]++, err));
    losses[tree - first] = ((const double *)theirs)[tree - first];
  }

done:
  for (int rank = 0; rank < n_ranks && arrays != NULL; rank++) {
    qn_arrays_release(&arrays[rank]);
  }
  free(arrays);
  free(trees);
  free(n_taken);
  return status;
}

static qn_status keep_state(forest_fit *forest, int64_t first, int64_t end, qn_error *err) {
  qn_status status = QN_OK;
  qn_arrays state = {0};
  bool is_wanted = false;

  for (int64_t tree = first; tree < end; tree++) {
    is_wanted |= qn_fit_wants_checkpoint(forest->fit, tree + 1);
  }
  if (is_wanted) {
    QN_TRY(qn_tree_list_put(&forest->trees, &state, err));
    QN_TRY(qn_arrays_put(&state, "loss", QN_FLOAT64, 1, &forest->loss, err));
    QN_TRY(qn_fit_checkpoint(forest->fit, end, &state, err));
  }

done:
  qn_arrays_release(&state);
  return status;
}

// Trees [first, end), by all ranks. A step is a tree, whatever the number of ranks.
static qn_status grow_some(forest_fit *forest, int64_t first, int64_t end, qn_error *err) {
  qn_status status = QN_OK;
  qn_comm *comm = forest->fit->comm;
  qn_tree_list own = {0};
  qn_buffer mine = {0};
  qn_buffer all = {0};
  double *losses = calloc((size_t)(end - first), sizeof *losses);
  int64_t *sizes = calloc((size_t)qn_comm_size(comm), sizeof *sizes);

  QN_REQUIRE(losses != NULL && sizes != NULL, err, QN_ERR_MEMORY, "no memory for %" PRId64 " trees",
             end - first);
  QN_TRY(grow_own(forest, first, end, &own, losses, err));
  QN_TRY(encode_own(&own, losses, end - first, &mine, err));
  QN_TRY(qn_comm_gather(comm, mine.data, mine.size, &all, sizes, err));
  QN_TRY(merge(forest, first, end, &all, sizes, losses, err));
  for (int64_t tree = first; tree < end; tree++) {
    forest->loss += (losses[tree - first] - forest->loss) / (double)(tree + 1);
    const qn_fit_report report = {.step = tree + 1,
                                  .loss = forest->loss,
                                  .gradient_norm = (double)NAN,
                                  .n_rows = forest->rows->n_total};
    QN_TRY(qn_fit_step(forest->fit, &report, err));
  }
  QN_TRY(keep_state(forest, first, end, err));

done:
  qn_tree_list_release(&own);
  qn_buffer_release(&mine);
  qn_buffer_release(&all);
  free(losses);
  free(sizes);
  return status;
}

static qn_status take_state(forest_fit *forest, const qn_arrays *state, qn_error *err) {
  qn_status status = QN_OK;
  const void *loss = NULL;
  const int64_t one = 1;
  QN_TRY(qn_arrays_get(state, "loss", QN_FLOAT64, 1, &one, &loss, err));
  forest->loss = *(const double *)loss;
  QN_TRY(qn_tree_list_get(state, &forest->trees, err));

done:
  return status;
}

static qn_status finish(forest_fit *forest, qn_error *err) {
  qn_status status = QN_OK;
  qn_arrays *arrays = &forest->fit->model->arrays;
  QN_TRY(qn_tree_list_put(&forest->trees, arrays, err));
  QN_TRY(qn_tree_list_put_importance(&forest->trees, forest->rows->n_columns, arrays, err));
  QN_TRY(qn_fit_note(forest->fit, "iterations", (double)forest->trees.n_trees, err));
  QN_TRY(qn_fit_note(forest->fit, "train_loss", forest->loss, err));

done:
  return status;
}

static qn_status fit_forest(qn_fit_state *fit, qn_error *err) {
  qn_status status = QN_OK;
  forest_fit forest = {
      .fit = fit, .options = fit->options, .rows = fit->rows, .scratch = fit->model->job->scratch};
  qn_arrays state = {0};
  int64_t n_grown = 0;
  const int64_t n_ranks = qn_comm_size(fit->comm);
  const int64_t n_at_once = n_ranks * (n_ranks < 16 ? 16 / n_ranks : 1);

  QN_TRY(qn_fit_resume(fit, &n_grown, &state, err));
  QN_TRY(prepare(&forest, err));
  if (n_grown > 0) {
    QN_TRY(take_state(&forest, &state, err));
  }
  while (n_grown < forest.options->n_trees) {
    const int64_t left = forest.options->n_trees - n_grown;
    const int64_t end = n_grown + (left < n_at_once ? left : n_at_once);
    QN_TRY(grow_some(&forest, n_grown, end, err));
    n_grown = end;
  }
  QN_TRY(finish(&forest, err));

done:
  qn_arrays_release(&state);
  qn_forest_grower_free(forest.grower);
  qn_forest_rows_free(forest.all);
  qn_tree_list_release(&forest.trees);
  return status;
}

static qn_status predict_forest(const qn_model *model, const qn_row_block *block, double *outputs,
                                qn_error *err) {
  qn_status status = QN_OK;
  qn_trees trees;
  const int n_values = model->classes.n > 0 ? model->classes.n : 1;

  QN_TRY(qn_trees_get(&model->arrays, &trees, err));
  QN_REQUIRE(trees.n_values == n_values && trees.n_trees > 0, err, QN_ERR_FORMAT,
             "the model is damaged: its leaves have %d values, %d were expected", trees.n_values, n_values);
  memset(outputs, 0, (size_t)(block->n_rows * n_values) * 8);
  QN_TRY(qn_trees_add(&trees, 0, trees.n_trees, block->x, block->n_rows, block->n_columns, n_values, outputs,
                      err));
  for (int64_t i = 0; i < block->n_rows * n_values; i++) {
    outputs[i] /= (double)trees.n_trees;
  }

done:
  return status;
}

#define FIELD(name) offsetof(qn_forest_options, name)
static const qn_setting forest_settings[] = {
    {{"task", "classification", "what the label is"},
     QN_SETTING_CHOICE,
     FIELD(task),
     0,
     0,
     "regression classification"},
    {{"n_trees", "100", "trees"}, QN_SETTING_INT64, FIELD(n_trees), 1, 1e6, NULL},
    {{"max_depth", "0", "depth of a tree; 0: no limit"}, QN_SETTING_INT64, FIELD(max_depth), 0, 1e6, NULL},
    {{"max_leaves", "0", "leaves of a tree; 0: no limit"}, QN_SETTING_INT64, FIELD(max_leaves), 0, 1e9, NULL},
    {{"min_leaf_rows", "1", "least rows of a leaf"}, QN_SETTING_INT64, FIELD(min_leaf_rows), 1, 1e15, NULL},
    {{"column_fraction", "0",
      "share of the columns that a split chooses among; 0: the square root of their "
      "number for classes, all of them for numbers"},
     QN_SETTING_FLOAT64,
     FIELD(column_fraction),
     0,
     1,
     NULL},
    {{"no_bootstrap", "false", "every tree sees all rows"}, QN_SETTING_BOOL, FIELD(no_bootstrap), 0, 0, NULL},
    {{"max_bins", "255", "bins of a column"}, QN_SETTING_INT64, FIELD(max_bins), 2, 255, NULL},
    {{0}, 0, 0, 0, 0, NULL},
};
#undef FIELD

static qn_task forest_task(const void *options) {
  const qn_forest_options *chosen = options;
  return chosen->task == QN_TREES_REGRESSION ? QN_TASK_NUMBER : QN_TASK_CLASS;
}

const qn_estimator qn_estimator_forest = {
    .name = "forest",
    .summary = "random forest",
    .settings = forest_settings,
    .options_size = sizeof(qn_forest_options),
    .needs_label = true,
    .takes_missing = true,
    .task = forest_task,
    .fit = fit_forest,
    .predict = predict_forest,
};

qn_forest_options qn_forest_defaults(void) {
  qn_forest_options options = {0};
  qn_settings_defaults(&qn_estimator_forest, &options);
  return options;
}

qn_model *qn_fit_forest(qn_dataset *data, const qn_training *how, const qn_forest_options *options) {
  return qn_fit_estimator(data, &qn_estimator_forest, how, options);
}
