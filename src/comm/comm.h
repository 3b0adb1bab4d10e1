// SPDX-License-Identifier: Apache-2.0
// The only door to MPI. A communicator of ranks that can be stopped: every wait goes on receiving, so that
// rows keep flowing, split claims are answered, and a failure on one rank ends the wait on all. Collectives
// are built from point-to-point messages for that reason: a rank may leave one half-way when another has
// failed, and the job can still agree on the error and end in order.
//
// A run is what lies between two qn_comm_agree(): within it, the first failure stops every rank's waits with
// QN_ERR_STOPPED; qn_comm_agree() drains what is in flight and gives every rank the same status and message.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/schema.h>
#include <quern/status.h>
#include "base/buffer.h"

typedef struct qn_comm qn_comm;

/// Collective. Initialises MPI if nobody has (then qn_comm_close finalises it) and duplicates the world.
qn_status qn_comm_open(qn_comm **out, qn_error *err);
/// Collective. NULL is allowed.
void qn_comm_close(qn_comm *comm);
/// Collective, in no run. From now on a rank that gives no sign of life for that many seconds while another
/// waits (it does whenever it polls), or whose node the network does not reach for a minute, is lost: `tell`
/// is called on the rank that notices, and all ranks are ended with exit code 1. 0: never.
typedef void (*qn_loss_function)(void *ctx, const qn_error *err);
qn_status qn_comm_watch(qn_comm *comm, double seconds, qn_loss_function tell, void *ctx, qn_error *err);
/// Kills all ranks at once with an exit code: the last resort, when a rank cannot go on to agree.
_Noreturn void qn_comm_abort(qn_comm *comm, int exit_code);

int qn_comm_rank(const qn_comm *comm);
int qn_comm_size(const qn_comm *comm);
/// Ranks on this rank's node (that can share memory with it), the number of this rank among them, how many
/// nodes the job has, and which of them is this rank's: 0 to n - 1, in the order of their first ranks.
int qn_comm_node_size(const qn_comm *comm);
int qn_comm_node_rank(const qn_comm *comm);
int qn_comm_n_nodes(const qn_comm *comm);
int qn_comm_node(const qn_comm *comm);
/// Collective, in no run. Has the ranks of a node hand rows over through memory that they share, of about
/// `bytes` for each (the least that any says; less on nodes with very many). Where a node has not as much,
/// its ranks go on with messages alone. Counts in the memory account.
qn_status qn_comm_share_memory(qn_comm *comm, int64_t bytes, qn_error *err);
/// Bytes of it that are this rank's.
int64_t qn_comm_shared_bytes(const qn_comm *comm);
/// Nanoseconds in which this rank had nothing to do but wait for others, and bytes its exchanges have sent,
/// since the communicator was opened; what happens in groups split from it is counted too.
int64_t qn_comm_waited_ns(const qn_comm *comm);
int64_t qn_comm_bytes_sent(const qn_comm *comm);
/// Has `tick` called now and then while this rank waits in it or in a group split from it, with the time of
/// qn_clock_ns(). It must not call the communicator. NULL: no more.
void qn_comm_set_tick(qn_comm *comm, void (*tick)(void *ctx, int64_t now_ns), void *ctx);
/// Name of the MPI library and its version, for the run record.
const char *qn_comm_library(const qn_comm *comm);

/// Collective. Ends a run: `local` is this rank's status and err its message. Returns on every rank QN_OK if
/// all are QN_OK; else the status and message of the lowest rank that failed by itself (err->rank says
/// which). Afterwards the communicator is fit for the next run.
qn_status qn_comm_agree(qn_comm *comm, qn_status local, qn_error *err);

/// Local. Receives what has arrived, answers claims, delivers rows of open exchanges. QN_ERR_STOPPED if
/// another rank failed. To be called every batch or so.
qn_status qn_comm_poll(qn_comm *comm, qn_error *err);

/// Local. From here on being asked to stop (base/stop.h) is a failure, QN_ERR_INTERRUPTED, of the next
/// qn_comm_poll() or wait of this communicator and of those split from it; or not any more. Off at first.
/// Agreement is never interrupted: what is committed between two of them is committed whole.
void qn_comm_heed_stop(qn_comm *comm, bool is_heeded);

/// Collective, inside a run. In place over n values; the same on every rank.
typedef enum { QN_SUM, QN_MIN, QN_MAX } qn_reduction;
qn_status qn_comm_reduce_int64(qn_comm *comm, qn_reduction reduction, int64_t *values, int64_t n,
                               qn_error *err);
/// Collective. `out` gets the bytes of rank 0, 1, ... one behind the other; sizes [n_ranks] says how many of
/// each.
qn_status qn_comm_gather(qn_comm *comm, const void *data, int64_t size, qn_buffer *out, int64_t *sizes,
                         qn_error *err);
/// Collective. `buffer` of rank `root` goes to all.
qn_status qn_comm_broadcast(qn_comm *comm, int root, qn_buffer *buffer, qn_error *err);
/// Collective.
qn_status qn_comm_barrier(qn_comm *comm, qn_error *err);

/// A shared counter from which ranks claim splits while they run. Opened by every rank in the same order;
/// rank 0 serves it whenever it polls.
typedef struct qn_claims qn_claims;
qn_status qn_claims_open(qn_comm *comm, int64_t n_items, qn_claims **out, qn_error *err);
/// The same for items that take long, or of which not every rank takes some: nothing is asked for ahead.
qn_status qn_claims_open_lazy(qn_comm *comm, int64_t n_items, qn_claims **out, qn_error *err);
/// The next item for this rank, or -1 when none is left. Asks for the following one ahead, unless lazy.
qn_status qn_claims_next(qn_claims *claims, int64_t *item, qn_error *err);
void qn_claims_close(qn_claims *claims);

/// Collective, inside a run. Sums over ranks in place, the same bits on every rank and in every run with as
/// many ranks. float64 or float32.
qn_status qn_comm_sum_float64(qn_comm *comm, double *values, int64_t n, qn_error *err);
qn_status qn_comm_sum_float32(qn_comm *comm, float *values, int64_t n, qn_error *err);
/// The same in two halves: between them the sum goes on whenever this rank polls or waits (qn_comm_poll()
/// pushes it). Several may be under way; every rank starts them in the same order. `values` is not to be
/// touched before finish, which frees the sum, also on failure.
typedef struct qn_comm_sum qn_comm_sum;
qn_status qn_comm_sum_start(qn_comm *comm, qn_type type, void *values, int64_t n, qn_comm_sum **out,
                            qn_error *err);
qn_status qn_comm_sum_finish(qn_comm_sum *sum, qn_error *err);
/// Collective, inside a run. Rank r gets the sums over ranks of values [starts[r], starts[r + 1]), in place;
/// what becomes of the others is not said. starts [n_ranks + 1] is the same everywhere.
qn_status qn_comm_sum_slices_int64(qn_comm *comm, int64_t *values, const int64_t *starts, qn_error *err);

/// Collective, in no run. A communicator of the ranks that give the same color, in their order, for runs of
/// their own side by side. Close it with qn_comm_close() before `comm`. A failure in it stops its ranks only;
/// bring it to all with qn_comm_agree(comm, ...). While a rank polls or waits in it, it answers claims of a
/// run of `comm`, too.
qn_status qn_comm_split(qn_comm *comm, int color, qn_comm **out, qn_error *err);
