// SPDX-License-Identifier: Apache-2.0
// The end of a run. If it went well, a tree of messages makes sure of it: nobody can fail after having said
// yes, and only when all have said yes does anybody leave with success. If it failed, each rank sends every
// other a marker as its last word in this run and receives all of theirs: messages of a pair of ranks keep
// their order, so when the markers are there, nothing of the run is under way, and everybody has the same
// markers to judge by.
#include "base/check.h"
#include "comm/comm_state.h"

// The status with which this rank comes. Failures that a callback has dropped count.
static qn_status judge_local(qn_comm *comm, qn_status local, qn_error *err) {
  if ((local == QN_OK || local == QN_ERR_STOPPED) && comm->has_failed) {
    *err = comm->failure;
    return comm->failure.status;
  }
  if (local == QN_OK && !comm->is_stopped && comm->n_unfinished > 0) {
    return qn_fail(
        err, QN_ERR_ARG,
        "a run ended well with an exchange that was not finished; call qn_exchange_finish on every rank");
  }
  if (local == QN_OK && !comm->is_stopped && comm->sums != NULL) {
    return qn_fail(
        err, QN_ERR_ARG,
        "a run ended well with a sum that was not finished; call qn_comm_sum_finish on every rank");
  }
  if (local != QN_OK && err->message[0] == '\0') {
    return qn_fail(err, local, "%s", qn_status_text(local));
  }
  return local;
}

// QN_OK: all ranks have succeeded. QN_ERR_STOPPED: one has not.
static qn_status await_success(qn_comm *comm, qn_error *err) {
  qn_status status = QN_OK;
  qn_patience patience = {0};
  int n_children = 0;
  const int reach = qn_tree_reach(comm->rank, comm->size);

  for (int step = 1; step < reach; step *= 2) {
    n_children++;
  }
  while (comm->n_agreed < n_children && !comm->is_stopped) {
    QN_TRY(qn_comm_wait_quietly(comm, &patience, err));
  }
  if (comm->rank != 0 && !comm->is_stopped) {
    QN_TRY(qn_comm_signal(comm, qn_tree_parent(comm->rank), QN_MESSAGE_AGREE, 0, 0, err));
    while (!comm->all_agreed && !comm->is_stopped) {
      QN_TRY(qn_comm_wait_quietly(comm, &patience, err));
    }
  }
  if (comm->is_stopped) {
    return QN_ERR_STOPPED;
  }
  for (int step = 1; step < reach; step *= 2) {
    QN_TRY(qn_comm_signal(comm, comm->rank + step, QN_MESSAGE_AGREE, 0, 1, err));
  }

done:
  return status;
}

_Static_assert(sizeof((qn_error){0}.message) == sizeof((qn_abort_note){0}.message),
               "a marker carries any message");

static void write_note(qn_comm *comm, qn_status local, const qn_error *err) {
  qn_abort_note note = {.status = (int32_t)local, .line = err->line};
  memcpy(note.message, err->message, sizeof note.message);
  qn_parcel *parcel = comm->abort_parcel;
  parcel->header = qn_comm_header(comm, QN_MESSAGE_ABORT, 0, 0);
  parcel->buffer.size = QN_HEADER_BYTES;
  qn_buffer_append(&parcel->buffer, &note, sizeof note, NULL); // has been reserved
  comm->n_aborts++;
  if (local != QN_ERR_STOPPED && (comm->reason_rank < 0 || comm->rank < comm->reason_rank)) {
    comm->reason = note;
    comm->reason_rank = comm->rank;
  }
}

// Sends the markers and receives everything of this run, up to everybody's marker.
static qn_status drain(qn_comm *comm, qn_error *err) {
  qn_status status = QN_OK;
  qn_patience patience = {0};
  for (int i = 1; i < comm->size; i++) {
    QN_TRY(qn_transport_send(&comm->transport, (comm->rank + i) % comm->size, comm->abort_parcel, err));
  }
  while (comm->n_aborts < comm->size || comm->transport.n_sends > 0) {
    QN_TRY(qn_comm_wait_quietly(comm, &patience, err));
  }

done:
  return status;
}

static qn_status report(const qn_comm *comm, qn_error *err) {
  if (comm->reason_rank < 0) {
    return qn_fail(err, QN_ERR_STOPPED, "every rank was stopped, but none says why");
  }
  if (comm->reason_rank != comm->rank) {
    *err = (qn_error){.status = (qn_status)comm->reason.status, .line = comm->reason.line};
    memcpy(err->message, comm->reason.message, sizeof err->message);
  }
  err->status = (qn_status)comm->reason.status;
  err->rank = comm->reason_rank;
  return err->status;
}

qn_status qn_comm_agree(qn_comm *comm, qn_status local, qn_error *err) {
  qn_error own = {0};
  qn_error *error = err != NULL ? err : &own;
  qn_error internal = {0};
  if (local == QN_OK) {
    *error = (qn_error){0};
  }

  qn_status status = judge_local(comm, local, error);
  if (status == QN_OK) {
    comm->phase = QN_PHASE_AGREEING;
    status = await_success(comm, &internal);
  }
  if (status == QN_ERR_STOPPED || (status != QN_OK && comm->phase == QN_PHASE_RUNNING)) {
    comm->phase = QN_PHASE_DRAINING;
    write_note(comm, status, error);
    if (drain(comm, &internal) != QN_OK) {
      qn_comm_abort(comm, 1);
    }
    status = report(comm, error);
  } else if (status != QN_OK) { // said yes, then lost its memory or MPI: the others cannot be told in order
    qn_comm_abort(comm, 1);
  }
  qn_comm_begin_epoch(comm);
  return status;
}
