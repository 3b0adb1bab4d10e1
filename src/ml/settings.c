// SPDX-License-Identifier: Apache-2.0
// Options of estimators: one table each serves the struct, the text form, the command and the model file.
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/check.h"
#include "io/nearest_name.h"
#include "ml/estimator.h"

static const qn_estimator *const estimators[] = {
#define QN_ESTIMATOR(name) &qn_estimator_##name,
#include "ml/estimators.inc"
#undef QN_ESTIMATOR
    NULL};

const qn_estimator *qn_estimator_find(const char *name) {
  for (int i = 0; estimators[i] != NULL; i++) {
    if (strcmp(estimators[i]->name, name) == 0) {
      return estimators[i];
    }
  }
  return NULL;
}

static const qn_estimator *estimator_number(int number) {
  for (int i = 0; estimators[i] != NULL; i++) {
    if (i == number) {
      return estimators[i];
    }
  }
  return NULL;
}

QN_API const char *qn_estimator_name(int number) {
  const qn_estimator *estimator = estimator_number(number);
  return estimator == NULL ? NULL : estimator->name;
}

QN_API const char *qn_estimator_summary(int number) {
  const qn_estimator *estimator = estimator_number(number);
  return estimator == NULL ? NULL : estimator->summary;
}

QN_API const qn_setting_info *qn_estimator_setting(const char *name, int number) {
  const qn_estimator *estimator = name == NULL ? NULL : qn_estimator_find(name);

  for (int i = 0; estimator != NULL && estimator->settings[i].info.name != NULL; i++) {
    if (i == number) {
      return &estimator->settings[i].info;
    }
  }
  return NULL;
}

qn_status qn_estimator_require(const char *name, const qn_estimator **out, qn_error *err) {
  const char *names[64] = {NULL};
  int n = 0;

  *out = qn_estimator_find(name);
  for (; n < 64 && estimators[n] != NULL; n++) {
    names[n] = estimators[n]->name;
  }
  if (*out == NULL) {
    const int64_t found = qn_nearest_name(name, names, n);
    const char *nearest = found < 0 ? NULL : names[found];
    return qn_fail(err, QN_ERR_ARG, "there is no estimator '%s'%s%s%s", name,
                   nearest == NULL ? "; `quern train --help` lists them" : "; did you mean '",
                   nearest == NULL ? "" : nearest, nearest == NULL ? "" : "'?");
  }
  return QN_OK;
}

static const qn_setting *find_setting(const qn_estimator *estimator, const char *name, size_t size) {
  for (const qn_setting *setting = estimator->settings; setting->info.name != NULL; setting++) {
    size_t i = 0;
    while (i < size && setting->info.name[i] != '\0' &&
           (setting->info.name[i] == name[i] || (setting->info.name[i] == '_' && name[i] == '-'))) {
      i++;
    }
    if (i == size && setting->info.name[i] == '\0') {
      return setting;
    }
  }
  return NULL;
}

const qn_setting *qn_setting_find(const qn_estimator *estimator, const char *name) {
  return find_setting(estimator, name, strlen(name));
}

// The number of a word in a list of words, or -1.
static int choice_number(const char *choices, const char *text, size_t size) {
  int number = 0;

  for (const char *word = choices; *word != '\0'; number++) {
    const size_t length = strcspn(word, " ");
    if (length == size && strncasecmp(word, text, size) == 0) {
      return number;
    }
    word += length + (word[length] == ' ');
  }
  return -1;
}

static bool truth(const char *text, bool *value) {
  *value = strcasecmp(text, "true") == 0 || strcmp(text, "1") == 0 || strcasecmp(text, "yes") == 0 ||
           text[0] == '\0';
  return *value || strcasecmp(text, "false") == 0 || strcmp(text, "0") == 0 || strcasecmp(text, "no") == 0;
}

static bool number(const char *text, double *value) {
  char *end = NULL;

  errno = 0;
  *value = strtod(text, &end);
  return end != text && *end == '\0' && isfinite(*value);
}

static qn_status fail_range(const qn_estimator *estimator, const qn_setting *setting, const char *text,
                            qn_error *err) {
  return qn_fail(err, QN_ERR_ARG, "%s: option %s: '%s' is not a %snumber from %g to %g", estimator->name,
                 setting->info.name, text, setting->kind == QN_SETTING_INT64 ? "whole " : "", setting->min,
                 setting->max);
}

// One option from its text.
static qn_status set(const qn_estimator *estimator, const qn_setting *setting, const char *text,
                     qn_arena *arena, void *room, qn_error *err) {
  qn_status status = QN_OK;
  void *field = (char *)room + setting->offset;
  double value = 0;

  switch (setting->kind) {
  case QN_SETTING_INT64:
  case QN_SETTING_FLOAT64:
    if (!number(text, &value) || value < setting->min || value > setting->max ||
        (setting->kind == QN_SETTING_INT64 && value != floor(value))) {
      return fail_range(estimator, setting, text, err);
    }
    if (setting->kind == QN_SETTING_INT64) {
      *(int64_t *)field = (int64_t)value;
    } else {
      *(double *)field = value;
    }
    break;
  case QN_SETTING_BOOL:
    QN_REQUIRE(truth(text, field), err, QN_ERR_ARG, "%s: option %s: '%s' is neither true nor false",
               estimator->name, setting->info.name, text);
    break;
  case QN_SETTING_CHOICE: {
    const int chosen = choice_number(setting->choices, text, strlen(text));
    QN_REQUIRE(chosen >= 0, err, QN_ERR_ARG, "%s: option %s: '%s' is none of: %s", estimator->name,
               setting->info.name, text, setting->choices);
    *(int *)field = chosen;
    break;
  }
  case QN_SETTING_TEXT:
    *(const char **)field = arena == NULL ? text : qn_arena_string(arena, text);
    QN_REQUIRE(*(const char **)field != NULL, err, QN_ERR_MEMORY, "no memory for options");
    break;
  }

done:
  return status;
}

void qn_settings_defaults(const qn_estimator *estimator, void *room) {
  qn_error err = {0};

  memset(room, 0, estimator->options_size);
  for (const qn_setting *setting = estimator->settings; setting->info.name != NULL; setting++) {
    // A default that its own table refuses is a mistake of ours; tests/ml/settings_test.c looks for one.
    (void)set(estimator, setting, setting->info.fallback, NULL, room, &err);
  }
}

static qn_status fail_name(const qn_estimator *estimator, const char *name, size_t size, qn_error *err) {
  const char *names[64];
  char wanted[64];
  int n = 0;

  snprintf(wanted, sizeof wanted, "%.*s", (int)size, name);
  for (; n < 64 && estimator->settings[n].info.name != NULL; n++) {
    names[n] = estimator->settings[n].info.name;
  }
  const int64_t found = qn_nearest_name(wanted, names, n);
  const char *nearest = found < 0 ? NULL : names[found];
  return qn_fail(err, QN_ERR_ARG, "%s has no option '%s'%s%s%s", estimator->name, wanted,
                 nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                 nearest == NULL ? "" : "'?");
}

// "name=value", where the value may stand in quotes to hold spaces. Moves *at behind it.
static qn_status set_next(const qn_estimator *estimator, const char **at, qn_arena *arena, void *room,
                          qn_error *err) {
  qn_status status = QN_OK;
  const char *name = *at;
  const size_t size = strcspn(name, "= ");

  QN_REQUIRE(name[size] == '=', err, QN_ERR_ARG, "%s: options are written name=value, not '%s'",
             estimator->name, name);
  const char *value = name + size + 1;
  const bool is_quoted = *value == '\'' || *value == '"';
  const char end[2] = {is_quoted ? *value : ' ', '\0'};
  value += is_quoted;
  const size_t length = strcspn(value, end);
  QN_REQUIRE(!is_quoted || value[length] == end[0], err, QN_ERR_ARG, "%s: a quote is not closed in '%s'",
             estimator->name, name);
  const qn_setting *setting = find_setting(estimator, name, size);
  if (setting == NULL) {
    return fail_name(estimator, name, size, err);
  }
  const char *text = qn_arena_copy(arena, value, (int64_t)length);
  QN_REQUIRE(text != NULL, err, QN_ERR_MEMORY, "no memory for options");
  QN_TRY(set(estimator, setting, text, NULL, room, err));
  *at = value + length + is_quoted;

done:
  return status;
}

qn_status qn_settings_parse(const qn_estimator *estimator, const char *text, qn_arena *arena, void *room,
                            qn_error *err) {
  qn_status status = QN_OK;

  qn_settings_defaults(estimator, room);
  for (const char *at = text == NULL ? "" : text; *(at += strspn(at, " ")) != '\0';) {
    QN_TRY(set_next(estimator, &at, arena, room, err));
  }

done:
  return status;
}

// An option as the text that set() reads.
static void print_value(const qn_setting *setting, const void *options, char *text, size_t size) {
  const void *field = (const char *)options + setting->offset;

  switch (setting->kind) {
  case QN_SETTING_INT64:
    snprintf(text, size, "%lld", (long long)*(const int64_t *)field);
    break;
  case QN_SETTING_FLOAT64:
    snprintf(text, size, "%.15g", *(const double *)field);
    if (strtod(text, NULL) != *(const double *)field) {
      snprintf(text, size, "%.17g", *(const double *)field);
    }
    break;
  case QN_SETTING_BOOL:
    snprintf(text, size, "%s", *(const bool *)field ? "true" : "false");
    break;
  case QN_SETTING_CHOICE: {
    const char *word = setting->choices;
    for (int i = *(const int *)field; i > 0 && *word != '\0'; i--) {
      word += strcspn(word, " ");
      word += *word == ' ';
    }
    snprintf(text, size, "%.*s", (int)strcspn(word, " "), word);
    break;
  }
  case QN_SETTING_TEXT:
    snprintf(text, size, "%s", *(const char *const *)field == NULL ? "" : *(const char *const *)field);
    break;
  }
}

qn_status qn_settings_check(const qn_estimator *estimator, const void *options, qn_error *err) {
  qn_status status = QN_OK;
  char text[256];

  for (const qn_setting *setting = estimator->settings; setting->info.name != NULL; setting++) {
    const void *field = (const char *)options + setting->offset;
    const double value = setting->kind == QN_SETTING_INT64     ? (double)*(const int64_t *)field
                         : setting->kind == QN_SETTING_FLOAT64 ? *(const double *)field
                                                               : setting->min;
    if (!(value >= setting->min && value <= setting->max)) {
      print_value(setting, options, text, sizeof text);
      return fail_range(estimator, setting, text, err);
    }
    if (setting->kind == QN_SETTING_CHOICE) {
      print_value(setting, options, text, sizeof text);
      QN_REQUIRE(text[0] != '\0' && *(const int *)field >= 0, err, QN_ERR_ARG,
                 "%s: option %s: %d is none of its values (%s)", estimator->name, setting->info.name,
                 *(const int *)field, setting->choices);
    }
  }

done:
  return status;
}

qn_status qn_settings_print(const qn_estimator *estimator, const void *options, qn_buffer *out,
                            qn_error *err) {
  qn_status status = QN_OK;
  char text[256];

  for (const qn_setting *setting = estimator->settings; setting->info.name != NULL; setting++) {
    print_value(setting, options, text, sizeof text);
    const char *quote = text[0] == '\0' || strchr(text, ' ') != NULL ? "'" : "";
    QN_TRY(qn_buffer_printf(out, err, "%s%s=%s%s%s", setting == estimator->settings ? "" : " ",
                            setting->info.name, quote, text, quote));
  }

done:
  return status;
}
