// SPDX-License-Identifier: Apache-2.0
// Tables of options put together from several: a command's own, those of its data, those of an estimator.
#pragma once
#include <quern/quern.h>

enum { QUERN_MAX_OPTIONS = 48, QUERN_OPTION_NAME = 48, QUERN_OPTION_HELP = 240 };

/// Ended by a row without a name, as jobs take it. A zeroed one is empty.
typedef struct quern_option_table {
  qn_option options[QUERN_MAX_OPTIONS + 1];
  char names[QUERN_MAX_OPTIONS][QUERN_OPTION_NAME]; // of an estimator's options
  char helps[QUERN_MAX_OPTIONS][QUERN_OPTION_HELP];
  int n;
} quern_option_table;

/// Adds rows up to one without a name.
void quern_options_add(quern_option_table *table, const qn_option *options);
/// Adds the options of an estimator, with dashes in their names and their defaults in their help.
void quern_options_add_estimator(quern_option_table *table, const char *estimator);
/// The estimator's options that were given, as qn_fit() takes them, in place of what is in `text`.
void quern_options_text(const qn_job *job, const char *estimator, char *text, size_t size);

/// Arguments with dashes in place of the underscores of option names: both are right. A copy for free(), in
/// one piece; NULL if there is no memory.
char **quern_options_dashed(int argc, char **argv);

/// What an estimator is; NULL if there is none of that name.
const char *quern_estimator_summary(const char *estimator);
/// The names and summaries of all estimators, one a line.
void quern_print_estimators(FILE *out);
/// Opens a job that does nothing but fail, for a word that is no estimator; returns the exit code.
int quern_refuse_estimator(const char *command, char **argv, const char *word);
