// SPDX-License-Identifier: Apache-2.0
// Tables of options put together from several.
#include "cli/option_table.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <quern/train.h>

void quern_options_add(quern_option_table *table, const qn_option *options) {
  for (; options->name != NULL && table->n < QUERN_MAX_OPTIONS; options++) {
    table->options[table->n++] = *options;
  }
}

static void dashed(char *text) {
  for (; *text != '\0' && *text != '='; text++) {
    *text = *text == '_' ? '-' : *text;
  }
}

// The help's default is in its text, so that jobs give NULL for what was not given.
void quern_options_add_estimator(quern_option_table *table, const char *estimator) {
  const qn_setting_info *setting = NULL;

  for (int i = 0; (setting = qn_estimator_setting(estimator, i)) != NULL && table->n < QUERN_MAX_OPTIONS;
       i++) {
    char *name = table->names[table->n];
    char *help = table->helps[table->n];
    const char *fallback = setting->fallback;
    const bool is_truth = strcmp(fallback, "false") == 0;
    const bool is_number = isdigit((unsigned char)fallback[0]) != 0 || fallback[0] == '-';
    snprintf(name, QUERN_OPTION_NAME, "%s", setting->name);
    dashed(name);
    if (is_truth || fallback[0] == '\0') {
      snprintf(help, QUERN_OPTION_HELP, "%s", setting->help);
    } else {
      snprintf(help, QUERN_OPTION_HELP, "%s (default: %s)", setting->help, fallback);
    }
    table->options[table->n++] = (qn_option){.name = name,
                                             .argument = is_truth    ? NULL
                                                         : is_number ? "N"
                                                                     : "WORD",
                                             .help = help};
  }
}

void quern_options_text(const qn_job *job, const char *estimator, char *text, size_t size) {
  const qn_setting_info *setting = NULL;
  size_t used = 0;

  text[0] = '\0';
  for (int i = 0; (setting = qn_estimator_setting(estimator, i)) != NULL && used < size; i++) {
    char name[QUERN_OPTION_NAME];
    snprintf(name, sizeof name, "%s", setting->name);
    dashed(name);
    const char *given = qn_job_option(job, name);
    if (given != NULL) {
      const char *value = given[0] == '\0' ? "true" : given;
      const char *quote = strchr(value, ' ') != NULL ? "'" : "";
      used += (size_t)snprintf(text + used, size - used, "%s%s=%s%s%s", used == 0 ? "" : " ", setting->name,
                               quote, value, quote);
    }
  }
}

char **quern_options_dashed(int argc, char **argv) {
  size_t size = sizeof *argv * ((size_t)argc + 1);
  for (int i = 0; i < argc; i++) {
    size += strlen(argv[i]) + 1;
  }
  char **copy = malloc(size);
  if (copy == NULL) {
    return NULL;
  }
  char *text = (char *)(copy + argc + 1);
  for (int i = 0; i < argc; i++) {
    copy[i] = text;
    memcpy(text, argv[i], strlen(argv[i]) + 1);
    text += strlen(argv[i]) + 1;
    if (strncmp(copy[i], "--", 2) == 0) {
      dashed(copy[i] + 2);
    }
  }
  copy[argc] = NULL;
  return copy;
}

const char *quern_estimator_summary(const char *estimator) {
  for (int i = 0; qn_estimator_name(i) != NULL; i++) {
    if (strcmp(qn_estimator_name(i), estimator) == 0) {
      return qn_estimator_summary(i);
    }
  }
  return NULL;
}

void quern_print_estimators(FILE *out) {
  for (int i = 0; qn_estimator_name(i) != NULL; i++) {
    fprintf(out, "  %-12s %s\n", qn_estimator_name(i), qn_estimator_summary(i));
  }
}

int quern_refuse_estimator(const char *command, char **argv, const char *word) {
  const qn_job_about about = {.name = command};
  const char *quiet[] = {argv[0], "--quiet", NULL};
  qn_job *job = qn_job_open(2, (char **)quiet, &about);

  qn_fit(qn_from_batches(job, "x float64", NULL, 0), word, NULL, NULL);
  qn_job_close(job);
  return 2;
}
