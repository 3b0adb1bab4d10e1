// SPDX-License-Identifier: Apache-2.0
// The options that every training takes, by `quern train` and `quern search`.
#pragma once
#include <quern/quern.h>
#include <quern/train.h>

/// Ended by a row without a name.
extern const qn_option quern_training_options[];
qn_training quern_training_of(qn_job *job);
