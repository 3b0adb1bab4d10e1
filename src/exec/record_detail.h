// SPDX-License-Identifier: Apache-2.0
// What the record of a job has beside its operators: when each rank did what, how trainings went, and sums.
// Each a new reference; NULL if there is no memory.
#pragma once
#include <jansson.h>
#include "exec/record_totals.h"

json_t *qn_timeline_json(const qn_record *record, const qn_record_totals *totals, const qn_job *job);
json_t *qn_training_json(const qn_record *record);
json_t *qn_totals_json(const qn_record_totals *totals, const qn_job *job);
