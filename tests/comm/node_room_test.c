// SPDX-License-Identifier: Apache-2.0
// Room that all ranks fill together is the same everywhere, on one node and on several, in memory that is
// shared, in memory of each rank, and in scratch; it is counted once a node, and nothing is left of it.
#include <dirent.h>
#include <stdlib.h>
#include "base/files.h"
#include "base/memory.h"
#include "comm/comm_state.h"
#include "comm/node_memory.h"
#include "comm/node_room.h"
#include "kit/kit.h"

enum { N_RUNS = 7, RUN_BYTES = 100003, HEAD_BYTES = 800, BYTES = HEAD_BYTES + N_RUNS * RUN_BYTES };

static qn_comm *comm;
static char folder[] = "/tmp/quern-room-XXXXXX";

static uint8_t byte_of(int64_t i) {
  return (uint8_t)(i * 7 + i / 251);
}

static void fill(qn_node_room *room, const qn_node_room_part *part) {
  for (int64_t run = 0; run < part->n_runs; run++) {
    for (int64_t i = 0; i < part->n; i++) {
      const int64_t at = part->first + run * part->stride + i;
      room->data[at] = byte_of(at);
    }
  }
}

// Each rank has its share of the head and of every run.
static void make_parts(qn_node_room_part *parts) {
  const int64_t rank = qn_comm_rank(comm), n_ranks = qn_comm_size(comm);
  const int64_t head = HEAD_BYTES * rank / n_ranks, run = RUN_BYTES * rank / n_ranks;
  parts[0] = (qn_node_room_part){.first = head, .n = HEAD_BYTES * (rank + 1) / n_ranks - head, .n_runs = 1};
  parts[1] = (qn_node_room_part){.first = HEAD_BYTES + run,
                                 .n = RUN_BYTES * (rank + 1) / n_ranks - run,
                                 .stride = RUN_BYTES,
                                 .n_runs = N_RUNS};
}

static int64_t count_wrong(const qn_node_room *room) {
  int64_t n_wrong = 0;
  for (int64_t i = 0; i < BYTES; i++) {
    n_wrong += room->data[i] != byte_of(i);
  }
  return n_wrong;
}

static bool is_empty(const char *path) {
  DIR *opened = opendir(path);
  int n = 0;
  for (; opened != NULL && readdir(opened) != NULL; n++) {
  }
  closedir(opened);
  return n == 2;
}

// Memory for `budget` bytes more; 0: as much as there is.
static void check_room(int64_t budget, int64_t least_shared) {
  qn_node_room *room = NULL;
  qn_node_room_part parts[2];
  const int64_t before = qn_memory_used();
  const bool has_others = qn_comm_n_nodes(comm) < qn_comm_size(comm);

  make_parts(parts);
  qn_comm_set_least_node_memory(comm, least_shared);
  qn_memory_set_budget(budget > 0 ? before + budget : 0);
  QN_CHECK_OK(qn_node_room_new(comm, BYTES, folder, "bytes", &room, &kit_error));
  qn_memory_set_budget(0);
  QN_CHECK_INT(room->is_shared, has_others && least_shared <= BYTES);
  QN_CHECK_INT(room->is_mapped, budget > 0);
  int64_t counted = qn_memory_used() - before;
  QN_CHECK_OK(qn_comm_reduce_int64(comm, QN_SUM, &counted, 1, &kit_error));
  const int64_t n_rooms = room->is_shared ? qn_comm_n_nodes(comm) : qn_comm_size(comm);
  QN_CHECK(room->is_mapped ? counted == 0 : counted >= n_rooms * BYTES);
  QN_CHECK(counted <= n_rooms * (BYTES + 4096));
  fill(room, &parts[0]);
  fill(room, &parts[1]);
  QN_CHECK_OK(qn_node_room_share(comm, room, parts, 2, &kit_error));
  QN_CHECK_INT(count_wrong(room), 0);
  qn_node_room_let_go(room);
  QN_CHECK_INT(count_wrong(room), 0);
  QN_CHECK(is_empty(folder));
  QN_CHECK_OK(qn_comm_agree(comm, QN_OK, &kit_error)); // the exchange has its buffers until here
  qn_node_room_free(room);
  QN_CHECK_INT(qn_memory_used(), before);
}

static void all_ranks_read_what_all_have_written(void) {
  for (int most_ranks = 0; most_ranks <= 3; most_ranks++) { // of a node; 0: one node
    QN_CHECK_OK(qn_nodes_find(comm, most_ranks, &kit_error));
    check_room(0, 1);
    check_room(0, INT64_MAX);
    check_room(10000, 1);
    check_room(10000, INT64_MAX);
  }
  QN_CHECK_OK(qn_nodes_find(comm, 0, &kit_error));
}

static void a_folder_without_room_is_told(void) {
  qn_node_room *room = NULL;
  qn_comm_set_least_node_memory(comm, 1);
  qn_memory_set_budget(qn_memory_used() + 10000);
  const qn_status status = qn_node_room_new(comm, BYTES, "/tmp/quern-is-nowhere", "bytes", &room, &kit_error);
  QN_CHECK_FAILS(qn_comm_agree(comm, status, &kit_error), QN_ERR_IO);
  QN_CHECK_MESSAGE("/tmp/quern-is-nowhere: cannot make a file for bytes");
  QN_CHECK(room == NULL);
  qn_memory_set_budget(0);
}

int main(void) {
  if (qn_comm_open(&comm, &kit_error) != QN_OK) {
    printf("%s\n", kit_error.message);
    return 1;
  }
  QN_CHECK(mkdtemp(folder) != NULL);
  KIT_RUN(all_ranks_read_what_all_have_written);
  KIT_RUN(a_folder_without_room_is_told);
  QN_CHECK_OK(qn_folder_remove(folder, &kit_error));
  qn_comm_close(comm);
  return kit_result();
}
