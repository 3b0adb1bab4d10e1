// SPDX-License-Identifier: Apache-2.0
// Quern: big data jobs in C over MPI.
//
// A job opens, describes a dataflow, runs it, and closes. Every rank runs the same program:
//
//   qn_job *job = qn_job_open(argc, argv, &(qn_job_about){.name = "wordcount", .arguments = "FILE..."});
//   qn_dataset *lines = qn_read_text(job, qn_job_inputs(job));
//   qn_dataset *words = qn_map(lines, split_words, NULL, "word utf8");
//   qn_dataset *counts = qn_reduce(words, "word", "count(*) as n");
//   qn_write(qn_sort(counts, "n desc, word"), "counts.csv");
//   return qn_job_close(job);
//
// The ten functions most jobs need: qn_job_open, qn_read_csv, qn_map, qn_filter, qn_select, qn_reduce,
// qn_join, qn_sort, qn_write, qn_job_close. dataset.h has them all.
#pragma once
#include <quern/appender.h>
#include <quern/arrow.h>
#include <quern/batch.h>
#include <quern/csv.h>
#include <quern/dataset.h>
#include <quern/doctor.h>
#include <quern/inspect.h>
#include <quern/job.h>
#include <quern/model.h>
#include <quern/report.h>
#include <quern/run.h>
#include <quern/runs.h>
#include <quern/schema.h>
#include <quern/status.h>
#include <quern/train.h>
