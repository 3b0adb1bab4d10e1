// SPDX-License-Identifier: Apache-2.0
// Memory that the ranks of a node read together: the same bytes on all, counted once, and none where one rank
// cannot.
#include "base/memory.h"
#include "comm/comm_state.h"
#include "comm/node_memory.h"
#include "kit/kit.h"

enum { BYTES = 3 << 20, LESS = 1000 };

static qn_comm *comm;

static int64_t sum(int64_t value) {
  QN_CHECK_OK(qn_comm_reduce_int64(comm, QN_SUM, &value, 1, &kit_error));
  return value;
}

// Byte i of a node.
static uint8_t byte_of(int node, int64_t i) {
  return (uint8_t)(i * 7 + i / 251 + node);
}

static void fill(qn_node_memory *memory, int64_t size) {
  uint8_t *room = NULL;
  QN_CHECK_OK(qn_node_memory_room(memory, size, &room, &kit_error));
  QN_CHECK_INT((uintptr_t)room % 64, 0);
  for (int64_t i = 0; room != NULL && i < size; i++) {
    room[i] = byte_of(qn_comm_node(comm), i);
  }
}

// `reserved` bytes asked for, `size` filled.
static void check_memory(int64_t reserved, int64_t size) {
  qn_node_memory *memory = NULL;
  const uint8_t *data = NULL;
  int64_t found = 0, n_wrong = 0;
  const int64_t before = qn_memory_used();

  QN_CHECK_OK(qn_node_memory_new(comm, reserved, true, &memory, &kit_error));
  QN_CHECK_INT(memory != NULL, qn_comm_n_nodes(comm) < qn_comm_size(comm));
  if (memory != NULL) {
    QN_CHECK_INT(qn_node_memory_is_first(memory), qn_comm_node_rank(comm) == 0);
    if (qn_node_memory_is_first(memory)) {
      fill(memory, size);
      found = size;
    }
    QN_CHECK_OK(qn_node_memory_share(comm, memory, &data, &found, &kit_error));
    QN_CHECK_INT(found, size);
    for (int64_t i = 0; i < found; i++) {
      n_wrong += data[i] != byte_of(qn_comm_node(comm), i);
    }
    QN_CHECK_INT(n_wrong, 0);
    const int64_t counted = sum(qn_memory_used() - before);
    QN_CHECK(counted >= size * qn_comm_n_nodes(comm));
    QN_CHECK(counted <= (size + 2 * 4096) * qn_comm_n_nodes(comm));
  }
  qn_node_memory *again = memory == NULL ? NULL : qn_node_memory_ref(memory);
  qn_node_memory_free(memory);
  QN_CHECK(again == NULL || data[size - 1] == byte_of(qn_comm_node(comm), size - 1));
  qn_node_memory_free(again);
  QN_CHECK_INT(qn_memory_used(), before);
  QN_CHECK_OK(qn_comm_agree(comm, QN_OK, &kit_error));
}

static void all_ranks_of_a_node_read_what_the_first_wrote(void) {
  check_memory(BYTES, BYTES - 100);
  check_memory(BYTES, LESS);      // less than reserved
  check_memory(BYTES, 2 * BYTES); // more
  for (int most_ranks = 1; most_ranks <= 3; most_ranks++) {
    QN_CHECK_OK(qn_nodes_find(comm, most_ranks, &kit_error));
    check_memory(BYTES, BYTES);
  }
  QN_CHECK_OK(qn_nodes_find(comm, 0, &kit_error));
}

static void there_is_none_where_it_does_not_pay_or_a_rank_cannot(void) {
  qn_node_memory *memory = NULL;
  const int64_t before = qn_memory_used();
  const bool is_last = qn_comm_rank(comm) == qn_comm_size(comm) - 1;

  QN_CHECK_OK(qn_node_memory_new(comm, LESS, true, &memory, &kit_error));
  QN_CHECK(memory == NULL);
  QN_CHECK_OK(qn_node_memory_new(comm, BYTES, !is_last, &memory, &kit_error));
  QN_CHECK(memory == NULL);
  QN_CHECK_OK(qn_node_memory_new(comm, BYTES, qn_comm_rank(comm) != 0, &memory, &kit_error));
  QN_CHECK(memory == NULL);
  qn_memory_set_budget(is_last ? qn_memory_used() + BYTES / 2 : 0);
  QN_CHECK_OK(qn_node_memory_new(comm, BYTES, true, &memory, &kit_error));
  QN_CHECK(memory == NULL);
  qn_memory_set_budget(0);
  QN_CHECK_INT(qn_memory_used(), before);
  QN_CHECK_OK(qn_comm_agree(comm, QN_OK, &kit_error));
  qn_comm_set_least_node_memory(comm, INT64_MAX);
  QN_CHECK_OK(qn_node_memory_new(comm, BYTES, true, &memory, &kit_error));
  QN_CHECK(memory == NULL);
  qn_comm_set_least_node_memory(comm, 1 << 20);
  QN_CHECK_OK(qn_comm_agree(comm, QN_OK, &kit_error));
}

// The first rank of the last node fails while the others wait for what it fills.
static void a_failure_of_the_first_rank_ends_the_wait_of_the_others(void) {
  qn_node_memory *memory = NULL;
  const uint8_t *data = NULL;
  int64_t size = 0;
  const bool fails = qn_comm_node_rank(comm) == 0 && qn_comm_node(comm) == qn_comm_n_nodes(comm) - 1;
  // Others may hear of the failure before they are here.
  qn_status status = qn_node_memory_new(comm, BYTES, true, &memory, &kit_error);

  if (memory != NULL && fails) {
    status = qn_fail(&kit_error, QN_ERR_VALUE, "nothing to fill it with");
  } else if (memory != NULL) {
    if (qn_node_memory_is_first(memory)) {
      fill(memory, LESS);
      size = LESS;
    }
    status = qn_node_memory_share(comm, memory, &data, &size, &kit_error);
  }
  if (qn_comm_n_nodes(comm) < qn_comm_size(comm)) {
    QN_CHECK_FAILS(qn_comm_agree(comm, status, &kit_error), QN_ERR_VALUE);
    QN_CHECK_MESSAGE("nothing to fill it with");
  } else {
    QN_CHECK_OK(qn_comm_agree(comm, status, &kit_error));
  }
  qn_node_memory_free(memory);
}

int main(void) {
  if (qn_comm_open(&comm, &kit_error) != QN_OK) {
    printf("%s\n", kit_error.message);
    return 1;
  }
  KIT_RUN(all_ranks_of_a_node_read_what_the_first_wrote);
  KIT_RUN(there_is_none_where_it_does_not_pay_or_a_rank_cannot);
  KIT_RUN(a_failure_of_the_first_rank_ends_the_wait_of_the_others);
  qn_comm_close(comm);
  return kit_result();
}
