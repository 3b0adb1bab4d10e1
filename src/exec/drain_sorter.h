// SPDX-License-Identifier: Apache-2.0
// Going through what a sorter has, for operators that sort all their rows and then read them once.
#pragma once
#include "comm/comm.h"
#include "exec/sorter.h"

/// Ends the sort and hands every sorted batch to `visit`, polling `comm` in between.
qn_status qn_drain_sorter(qn_sorter *sorter, qn_comm *comm,
                          qn_status (*visit)(void *ctx, const qn_batch *batch, qn_error *err), void *ctx,
                          qn_error *err);
