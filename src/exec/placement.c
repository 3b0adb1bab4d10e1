// SPDX-License-Identifier: Apache-2.0
// The ranks tell each other their processors; each binds itself to its part where all of a node may use the
// same ones; the first rank of each node judges what has come of it.
#include "exec/placement.h"
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/system_files.h"

// What a rank says of itself; behind it its processors as text with the zero.
typedef struct rank_note {
  int32_t node;
  int32_t binding;
  int32_t memory;
} rank_note;

// What all ranks of this node said.
typedef struct heard_places {
  qn_buffer text;       // of all ranks of the job
  qn_rank_place *ranks; // of this node, pointing into it
  const char **cpus;    // the same
  int n, own;           // this rank's number among them
  bool is_known;        // all know theirs
} heard_places;

static void heard_release(heard_places *heard) {
  qn_buffer_release(&heard->text);
  free(heard->ranks);
  free(heard->cpus);
}

static qn_status sort_out(qn_comm *comm, const int64_t *sizes, heard_places *out, qn_error *err) {
  qn_status status = QN_OK;
  const uint8_t *at = out->text.data;

  out->is_known = true;
  for (int r = 0; r < qn_comm_size(comm); at += sizes[r++]) {
    rank_note note;
    QN_REQUIRE(sizes[r] > (int64_t)sizeof note && at[sizes[r] - 1] == '\0', err, QN_ERR_FORMAT,
               "rank %d says of its place %lld bytes", r, (long long)sizes[r]);
    memcpy(&note, at, sizeof note);
    if (note.node != qn_comm_node(comm)) {
      continue;
    }
    QN_REQUIRE(out->n < qn_comm_node_size(comm) && note.binding >= 0 && note.binding < QN_N_BINDINGS, err,
               QN_ERR_FORMAT, "rank %d says that it is on node %d", r, note.node);
    out->own = r == qn_comm_rank(comm) ? out->n : out->own;
    out->cpus[out->n] = (const char *)at + sizeof note;
    out->is_known &= out->cpus[out->n][0] != '\0';
    out->ranks[out->n] = (qn_rank_place){.cpus = out->cpus[out->n],
                                         .binding = (qn_binding)note.binding,
                                         .memory = (qn_memory_policy)note.memory};
    out->n++;
  }

done:
  return status;
}

// Collective. `heard` is empty.
static qn_status tell_places(qn_comm *comm, const qn_place *place, heard_places *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer message = {0};
  const char *cpus = place->cpus == NULL ? "" : place->cpus;
  const rank_note note = {.node = qn_comm_node(comm), .binding = place->binding, .memory = place->memory};
  int64_t *sizes = calloc((size_t)qn_comm_size(comm), sizeof *sizes);

  out->ranks = calloc((size_t)qn_comm_node_size(comm), sizeof *out->ranks);
  out->cpus = calloc((size_t)qn_comm_node_size(comm), sizeof *out->cpus);
  QN_REQUIRE(sizes != NULL && out->ranks != NULL && out->cpus != NULL, err, QN_ERR_MEMORY,
             "no memory for the places of ranks");
  QN_TRY(qn_buffer_append(&message, &note, sizeof note, err));
  QN_TRY(qn_buffer_append(&message, cpus, (int64_t)strlen(cpus) + 1, err));
  QN_TRY(qn_comm_gather(comm, message.data, message.size, &out->text, sizes, err));
  QN_TRY(sort_out(comm, sizes, out, err));

done:
  qn_buffer_release(&message);
  free(sizes);
  return status;
}

// --- This rank

typedef struct bind_wishes {
  bool binds;
  const char *topology;
} bind_wishes;

static qn_status read_wishes(bind_wishes *out, qn_error *err) {
  qn_status status = QN_OK;
  const char *bind = getenv("QUERN_BIND");
  const char *topology = getenv("QUERN_TOPOLOGY");

  QN_REQUIRE(bind == NULL || bind[0] == '\0' || strcmp(bind, "none") == 0 || strcmp(bind, "cores") == 0, err,
             QN_ERR_ARG,
             "QUERN_BIND: '%s' is neither 'cores' (where the launcher has bound nothing) nor 'none'", bind);
  *out = (bind_wishes){.binds = bind == NULL || strcmp(bind, "none") != 0,
                       .topology = topology == NULL || topology[0] == '\0' ? NULL : topology};

done:
  return status;
}

// The place as the process came. A machine that hwloc cannot read is no error, as long as it is this one.
static qn_status find_place(const bind_wishes *wishes, qn_placement *out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_status found = qn_topology_new(wishes->topology, &out->topology, err);

  if (found == QN_OK) {
    qn_topology_set_quota(out->topology, wishes->topology == NULL ? qn_cpu_quota("") : 0);
    const char *cpus = qn_topology_cpus(out->topology);
    QN_TRY(qn_place_describe(out->topology, cpus, &out->place, err));
    const bool has_all = strcmp(cpus, qn_topology_usable_cpus(out->topology)) == 0;
    out->place.binding = !has_all ? QN_BOUND_BY_LAUNCHER : wishes->binds ? QN_UNBOUND : QN_UNBOUND_WANTED;
  } else if (wishes->topology != NULL) {
    status = found;
  }

done:
  return status;
}

// Slurm that gives a part of a node, but does not hold its jobs to it: nobody can say which cores are ours.
static bool is_shared_node(const qn_place *place) {
  const char *n = getenv("SLURM_CPUS_ON_NODE");
  const long n_given = n == NULL ? 0 : strtol(n, NULL, 10);
  return n_given > 0 && n_given < place->n_cores;
}

// All ranks of the node may use the same processors.
static bool is_for_all(const heard_places *heard) {
  bool is_same = heard->is_known;
  for (int r = 1; r < heard->n; r++) {
    is_same &= strcmp(heard->cpus[r], heard->cpus[0]) == 0;
  }
  return is_same;
}

static qn_status bind_rank(qn_comm *comm, const bind_wishes *wishes, const heard_places *came,
                           qn_placement *out, qn_error *err) {
  qn_status status = QN_OK;
  char *dealt = NULL;

  if (out->topology == NULL || !wishes->binds) {
    goto done;
  }
  if (qn_comm_node_size(comm) > 1 && is_for_all(came) && !is_shared_node(&out->place)) {
    QN_TRY(qn_cpus_deal(out->topology, out->place.cpus, came->n, came->own, &dealt, err));
  }
  if (dealt != NULL) {
    qn_place place = {0};
    QN_TRY(qn_place_describe(out->topology, dealt, &place, err));
    if (qn_place_bind_cores(out->topology, &place)) {
      qn_place_release(&out->place);
      out->place = place;
    } else {
      qn_place_release(&place);
    }
  }
  qn_place_bind_memory(out->topology, &out->place);

done:
  free(dealt);
  return status;
}

// --- The node

static qn_status judge(const qn_comm *comm, const heard_places *now, qn_placement *out, qn_node_told *node,
                       qn_error *err) {
  qn_status status = QN_OK;

  memset(node, 0, sizeof *node);
  qn_host_name(node->host, sizeof node->host);
  if (out->topology != NULL && now->is_known) {
    QN_TRY(qn_threads_of_rank(out->topology, now->cpus, now->n, now->own, &out->place.n_threads, err));
    if (qn_comm_node_rank(comm) == 0) {
      QN_TRY(qn_node_judge(out->topology, now->ranks, now->n, &node->places, err));
    }
  }

done:
  return status;
}

// Collective. The first rank of each node says what it has found; nodes are in the order of these ranks.
static qn_status gather_nodes(qn_comm *comm, const qn_node_told *node, qn_placement *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer all = {0};
  const int64_t size = qn_comm_node_rank(comm) == 0 ? (int64_t)sizeof *node : 0;
  int64_t *sizes = calloc((size_t)qn_comm_size(comm), sizeof *sizes);

  QN_REQUIRE(sizes != NULL, err, QN_ERR_MEMORY, "no memory for the places of ranks");
  QN_TRY(qn_comm_gather(comm, node, size, &all, sizes, err));
  const int64_t n_nodes = all.size / (int64_t)sizeof *node;
  out->nodes = calloc((size_t)n_nodes + 1, sizeof *out->nodes);
  QN_REQUIRE(out->nodes != NULL && n_nodes > 0, err, QN_ERR_MEMORY, "no memory for the places of ranks");
  memcpy(out->nodes, all.data, (size_t)n_nodes * sizeof *node);
  out->n_nodes = (int)n_nodes;

done:
  qn_buffer_release(&all);
  free(sizes);
  return status;
}

static qn_status start(qn_placement *out, bind_wishes *wishes, qn_error *err) {
  const qn_status status = read_wishes(wishes, err);
  return status == QN_OK ? find_place(wishes, out, err) : status;
}

qn_status qn_placement_make(qn_comm *comm, qn_placement *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_placement placement = {0};
  bind_wishes wishes = {0};
  heard_places came = {0}, now = {0};
  qn_node_told node;

  QN_TRY(qn_comm_agree(comm, start(&placement, &wishes, err), err));
  QN_TRY(qn_comm_agree(comm, tell_places(comm, &placement.place, &came, err), err));
  QN_TRY(qn_comm_agree(comm, bind_rank(comm, &wishes, &came, &placement, err), err));
  QN_TRY(qn_comm_agree(comm, tell_places(comm, &placement.place, &now, err), err));
  QN_TRY(qn_comm_agree(comm, judge(comm, &now, &placement, &node, err), err));
  QN_TRY(qn_comm_agree(comm, gather_nodes(comm, &node, &placement, err), err));
  *out = placement;
  placement = (qn_placement){0};

done:
  heard_release(&came);
  heard_release(&now);
  qn_placement_release(&placement);
  return status;
}

void qn_placement_release(qn_placement *placement) {
  if (placement->topology != NULL) {
    qn_place_unbind(placement->topology, &placement->place);
  }
  qn_place_release(&placement->place);
  qn_topology_free(placement->topology);
  free(placement->nodes);
  *placement = (qn_placement){0};
}

int qn_placement_n_threads(const qn_placement *placement) {
  return placement->place.n_threads > 1 ? placement->place.n_threads : 1;
}

// --- Telling

static bool is_like(const qn_node_told *a, const qn_node_told *b) {
  return memcmp(&a->places, &b->places, sizeof a->places) == 0;
}

// True if a node before it is the same.
static bool is_told(const qn_placement *placement, int node) {
  for (int before = 0; before < node; before++) {
    if (is_like(&placement->nodes[before], &placement->nodes[node])) {
      return true;
    }
  }
  return false;
}

static int count_like(const qn_placement *placement, int node) {
  int n = 0;
  for (int other = node; other < placement->n_nodes; other++) {
    n += is_like(&placement->nodes[other], &placement->nodes[node]);
  }
  return n;
}

// "1 node", "4 nodes, each", or of several kinds "node n1", "3 nodes as n2, each".
static qn_status print_nodes(const qn_placement *placement, int node, qn_buffer *out, qn_error *err) {
  const int n = count_like(placement, node);
  const char *host = placement->nodes[node].host;

  if (n == placement->n_nodes) {
    return n == 1 ? qn_buffer_printf(out, err, "1 node: ")
                  : qn_buffer_printf(out, err, "%d nodes, each: ", n);
  }
  return n == 1 ? qn_buffer_printf(out, err, "node %s: ", host)
                : qn_buffer_printf(out, err, "%d nodes as %s, each: ", n, host);
}

static qn_status print_faults(const qn_placement *placement, int node, const char *job, qn_buffer *out,
                              qn_error *err) {
  qn_status status = QN_OK;
  const qn_node_told *told = &placement->nodes[node];
  char where[QN_HOST_BYTES + 16] = "";

  if (placement->n_nodes > 1) {
    snprintf(where, sizeof where, " of node %s", told->host);
  }
  for (int fault = 0; fault < QN_N_FAULTS; fault++) {
    if (told->places.faults[fault].n_ranks > 0) {
      QN_TRY(qn_buffer_printf(out, err, "%s: warning: ", job));
      QN_TRY(qn_node_print_fault(&told->places, (qn_fault)fault, where, out, err));
      QN_TRY(qn_buffer_printf(out, err, "\n"));
    }
  }

done:
  return status;
}

static qn_status print_kind(const qn_placement *placement, int node, const char *job, qn_buffer *out,
                            qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_buffer_printf(out, err, "%s: ", job));
  QN_TRY(print_nodes(placement, node, out, err));
  QN_TRY(qn_node_print(&placement->nodes[node].places, out, err));
  QN_TRY(qn_buffer_printf(out, err, "\n"));
  QN_TRY(print_faults(placement, node, job, out, err));

done:
  return status;
}

void qn_placement_print(const qn_placement *placement, const char *job, FILE *out) {
  qn_buffer text = {0};

  for (int node = 0; node < placement->n_nodes; node++) {
    const bool is_known = placement->nodes[node].places.n_ranks > 0;
    if (is_known && !is_told(placement, node) && print_kind(placement, node, job, &text, NULL) == QN_OK) {
      fwrite(text.data, 1, (size_t)text.size, out);
    }
    text.size = 0;
  }
  qn_buffer_release(&text);
}
