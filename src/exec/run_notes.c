// SPDX-License-Identifier: Apache-2.0
// Notes are kept in memory and written at most once a second, so that a job of many small actions is not held
// up.
#include "exec/run_notes.h"
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/files.h"
#include "base/memory.h"
#include "exec/job_state.h"
#include "plan/estimate.h"
#include "record/fingerprint.h"
#include "record/run_json.h"
#include "store/h5_library.h"

enum {
  MOST_ACTIONS = 1000,
  MOST_NODES = 500,        // of an action
  MOST_PLAN_BYTES = 32768, // of its text
  MOST_FILES = 1000,
  MOST_FINGERPRINTS = 200
};
static const int64_t BETWEEN_WRITES_NS = 1000000000;

static bool is_noted(const qn_job *job) {
  return job->run_folder != NULL && qn_run_folder_document(job->run_folder) != NULL;
}

void qn_notes_release(qn_run_notes *notes) {
  json_decref(notes->actions);
  notes->actions = NULL;
}

// --- Plans ------------------------------------------------------------------------------------------------

static json_t *this_action(qn_job *job) {
  const size_t n = json_array_size(job->notes.actions);
  json_t *action = n == 0 ? NULL : json_array_get(job->notes.actions, n - 1);
  const bool is_this = json_integer_value(json_object_get(action, "action")) == job->action.number;
  return action != NULL && is_this ? action : NULL;
}

// Appends the plan as text to what stands under `name`.
static void add_text(json_t *action, const char *name, const qn_dataset *plan,
                     const qn_resources *resources) {
  const char *before = json_string_value(json_object_get(action, name));
  qn_buffer text = {0};

  if (before != NULL && strlen(before) > MOST_PLAN_BYTES) {
    return;
  }
  if ((before == NULL || qn_buffer_append(&text, before, (int64_t)strlen(before), NULL) == QN_OK) &&
      qn_plan_print_up_to(plan, resources, MOST_PLAN_BYTES, &text, NULL) == QN_OK) {
    json_object_set_new(action, name, json_stringn((const char *)text.data, (size_t)text.size));
  }
  qn_buffer_release(&text);
}

void qn_note_action(qn_job *job, const qn_dataset *dataset) {
  qn_run_notes *notes = &job->notes;

  if (!is_noted(job) || job->status != QN_OK || notes->n_actions >= MOST_ACTIONS) {
    return;
  }
  notes->actions = notes->actions == NULL ? json_array() : notes->actions;
  json_t *action = json_pack("{s:I, s:s, s:n, s:n, s:[]}", "action", (json_int_t)job->action.number, "what",
                             job->action.what, "text_written", "text_runs", "nodes");
  if (json_array_append_new(notes->actions, action) != 0) {
    return;
  }
  notes->n_actions++;
  notes->has_new_plans = true;
  if (dataset != NULL && dataset->status == QN_OK) {
    add_text(action, "text_written", dataset, NULL);
  }
}

// Copies of a cache that the optimiser makes keep the same rows: the number that stands for all of them.
static json_t *cache_json(const qn_dataset *node) {
  int id = 0;

  while (node->plan->nodes[id]->cached != node->cached) {
    id++;
  }
  return json_integer(id);
}

static json_t *node_json(const qn_dataset *node, const double *rows) {
  json_t *inputs = json_array();

  for (int i = 0; i < node->n_inputs; i++) {
    json_array_append_new(inputs, json_integer(node->inputs[i]->id));
  }
  json_t *object =
      json_pack("{s:i, s:s, s:s, s:o, s:o}", "id", node->id, "kind", qn_node_name(node->kind), "text",
                node->text, "inputs", inputs, "rows_expected", rows == NULL ? json_null() : json_real(*rows));
  if (node->kind == QN_NODE_CACHE) {
    json_object_set_new(object, "cache", cache_json(node));
  }
  return object;
}

// marks[id]: the node is part of what runs; what lies below a filled cache is not. Inputs have smaller ids.
static void mark_nodes(const qn_dataset *root, uint8_t *marks) {
  marks[root->id] = 1;
  for (int id = root->id; id >= 0; id--) {
    const qn_dataset *node = root->plan->nodes[id];
    const bool is_filled = node->kind == QN_NODE_CACHE && *node->cached != NULL;
    for (int i = 0; i < node->n_inputs && marks[id] != 0 && !is_filled; i++) {
      marks[node->inputs[i]->id] = 1;
    }
  }
}

static void add_nodes(const qn_dataset *plan, const qn_resources *resources, json_t *nodes) {
  uint8_t *marks = calloc((size_t)plan->id + 1, 1);
  int n = 0;

  if (marks == NULL) {
    return;
  }
  mark_nodes(plan, marks);
  for (int id = 0; id <= plan->id; id++) {
    n += marks[id];
  }
  const bool is_small = n <= 30; // the estimate goes through a plan as through a tree
  for (int id = 0; id <= plan->id && json_array_size(nodes) < MOST_NODES; id++) {
    if (marks[id] != 0) {
      const qn_dataset *node = plan->plan->nodes[id];
      const double rows = is_small ? qn_plan_estimate(node, resources).rows : 0;
      json_array_append_new(nodes, node_json(node, is_small ? &rows : NULL));
    }
  }
  free(marks);
}

void qn_note_plan(qn_job *job, const qn_dataset *plan) {
  json_t *action = is_noted(job) ? this_action(job) : NULL;
  const qn_resources resources = {.n_ranks = qn_comm_size(job->comm), .budget = qn_memory_budget()};

  if (action != NULL && json_array_size(json_object_get(action, "nodes")) < MOST_NODES) {
    add_text(action, "text_runs", plan, NULL);
    add_nodes(plan, &resources, json_object_get(action, "nodes"));
    job->notes.has_new_plans = true;
  }
  qn_notes_write(job, false);
}

// --- Facts for run.json -----------------------------------------------------------------------------------

static bool is_listed(const json_t *inputs, const char *path) {
  for (size_t i = 0; i < json_array_size(inputs); i++) {
    const char *other = json_string_value(json_object_get(json_array_get(inputs, i), "path"));
    if (other != NULL && strcmp(other, path) == 0) {
      return true;
    }
  }
  return false;
}

// `looked_at` is the file that tells whether the input has changed.
static void add_input(qn_job *job, const char *path, const char *looked_at, int64_t n_bytes) {
  json_t *run = qn_run_folder_document(job->run_folder);
  json_t *inputs = json_object_get(run, "inputs");
  const size_t n = json_array_size(inputs);
  qn_file_facts facts = {0};

  if (n >= MOST_FILES) {
    const json_int_t before = json_integer_value(json_object_get(run, "inputs_left_out"));
    json_object_set_new(run, "inputs_left_out", json_integer(before + 1));
  } else if (!is_listed(inputs, path)) {
    const bool is_known = n < MOST_FINGERPRINTS && qn_file_look(looked_at, &facts, NULL) == QN_OK;
    json_array_append_new(inputs,
                          json_pack("{s:s, s:I, s:o, s:s?}", "path", path, "bytes", (json_int_t)n_bytes,
                                    "modified", is_known ? qn_run_time_json(facts.modified) : json_null(),
                                    "fingerprint", is_known ? facts.fingerprint : NULL));
  }
  job->notes.has_new_facts = true;
}

void qn_note_files(qn_job *job, const qn_file_list *files) {
  for (int64_t i = 0; i < files->n_files && is_noted(job); i++) {
    add_input(job, files->files[i].path, files->files[i].path, files->files[i].n_bytes);
  }
}

void qn_note_stage(qn_job *job, const char *path, int64_t n_bytes) {
  char *manifest = NULL;

  if (is_noted(job) && asprintf(&manifest, "%s/manifest.json", path) >= 0) {
    add_input(job, path, qn_file_exists(manifest) ? manifest : path, n_bytes);
    free(manifest);
  }
}

void qn_note_library(qn_job *job, const char *name, const char *version) {
  if (is_noted(job)) {
    json_object_set_new(json_object_get(qn_run_folder_document(job->run_folder), "libraries"), name,
                        json_string(version));
    job->notes.has_new_facts = true;
  }
}

static void note_placement(qn_job *job) {
  json_t *nodes = json_object_get(qn_run_folder_this_attempt(job->run_folder), "nodes");

  for (int i = 0; i < job->placement.n_nodes; i++) {
    const qn_node_told *told = &job->placement.nodes[i];
    qn_buffer text = {0};
    for (size_t n = 0; n < json_array_size(nodes) && told->places.n_ranks > 0; n++) {
      json_t *node = json_array_get(nodes, n);
      const char *host = json_string_value(json_object_get(node, "host"));
      if (host != NULL && strcmp(host, told->host) == 0 && text.size == 0 &&
          qn_node_print(&told->places, &text, NULL) == QN_OK) {
        json_object_set_new(node, "placement", json_stringn((const char *)text.data, (size_t)text.size));
      }
    }
    qn_buffer_release(&text);
  }
  job->notes.has_new_facts = true;
}

void qn_note_machine(qn_job *job) {
  char version[48];

  if (is_noted(job)) {
    qn_h5_library(version, sizeof version);
    qn_note_library(job, "hdf5", version);
    note_placement(job);
  }
}

// --- Writing ----------------------------------------------------------------------------------------------

static void write_plans(qn_job *job) {
  char *path = qn_run_folder_file(job->run_folder, "plan.json");
  json_t *whole = json_pack("{s:O}", "actions", job->notes.actions);
  char *text = json_dumps(whole, JSON_INDENT(1) | JSON_REAL_PRECISION(9));

  if (path != NULL && text != NULL) {
    qn_file_replace(path, text, (int64_t)strlen(text), NULL);
  }
  free(text);
  json_decref(whole);
  free(path);
}

void qn_notes_write(qn_job *job, bool is_last) {
  qn_run_notes *notes = &job->notes;
  const int64_t now = qn_clock_ns();

  if (!is_noted(job) || (!is_last && now - notes->written_ns < BETWEEN_WRITES_NS)) {
    return;
  }
  if (notes->has_new_plans) {
    write_plans(job);
  }
  if (notes->has_new_facts) {
    qn_run_folder_write(job->run_folder, NULL);
  }
  if (notes->has_new_plans || notes->has_new_facts) {
    notes->written_ns = qn_clock_ns();
  }
  notes->has_new_plans = notes->has_new_facts = false;
}
