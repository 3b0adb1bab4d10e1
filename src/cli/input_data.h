// SPDX-License-Identifier: Apache-2.0
// What the commands on models read and print: the rows of --data, and tables of metrics.
#pragma once
#include <quern/model.h>
#include <quern/quern.h>

/// --data, --format and what else says how to read, ended by a row without a name.
extern const qn_option quern_data_options[];

/// Collective. The rows that the options of the job speak of.
qn_dataset *quern_read_data(qn_job *job);

/// What the features of such rows are, where it is not all columns: of libsvm and idx; else NULL.
const char *quern_data_features(const qn_job *job);

/// Collective. A line for each metric, its name and its value.
void quern_print_metrics(qn_job *job, const qn_metrics *metrics);
