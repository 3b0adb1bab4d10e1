// SPDX-License-Identifier: Apache-2.0
// The tables of options of all estimators, and options as text.
#include <string.h>
#include "base/arena.h"
#include "kit/kit.h"
#include "ml/estimator.h"

// All options of an estimator as text; free it with qn_buffer_release().
static const char *print(const qn_estimator *estimator, const void *options, qn_buffer *text) {
  text->size = 0;
  QN_CHECK_OK(qn_settings_print(estimator, options, text, &kit_error));
  QN_CHECK_OK(qn_buffer_terminate(text, &kit_error));
  return (const char *)text->data;
}

static void defaults_are_in_range_and_read_back(void) {
  for (int i = 0; qn_estimator_name(i) != NULL; i++) {
    const qn_estimator *estimator = qn_estimator_find(qn_estimator_name(i));
    qn_arena arena = {0};
    qn_buffer first = {0};
    qn_buffer again = {0};
    void *options = qn_arena_alloc(&arena, (int64_t)estimator->options_size);
    void *copy = qn_arena_alloc(&arena, (int64_t)estimator->options_size);

    qn_settings_defaults(estimator, options);
    QN_CHECK_OK(qn_settings_check(estimator, options, &kit_error));
    QN_CHECK_OK(qn_settings_parse(estimator, print(estimator, options, &first), &arena, copy, &kit_error));
    QN_CHECK_TEXT(print(estimator, copy, &again), (const char *)first.data);
    for (const qn_setting *setting = estimator->settings; setting->info.name != NULL; setting++) {
      char wanted[256];
      snprintf(wanted, sizeof wanted, "%s=", setting->info.name);
      QN_CHECK(strstr((const char *)first.data, wanted) != NULL);
      QN_CHECK(setting->info.help != NULL && setting->info.help[0] != '\0');
    }
    qn_buffer_release(&first);
    qn_buffer_release(&again);
    qn_arena_release(&arena);
  }
}

// The one estimator whose options have every kind.
static const qn_estimator *mlp(void) {
  return qn_estimator_find("mlp");
}

static void check_fails(const char *text, const char *message) {
  qn_arena arena = {0};
  qn_mlp_options options;

  QN_CHECK_FAILS(qn_settings_parse(mlp(), text, &arena, &options, &kit_error), QN_ERR_ARG);
  QN_CHECK_MESSAGE(message);
  qn_arena_release(&arena);
}

static void options_are_read_from_text(void) {
  qn_arena arena = {0};
  qn_mlp_options options;

  QN_CHECK_OK(qn_settings_parse(mlp(), " layers='64 32'  activation=tanh max-epochs=3 learning_rate=1e-2",
                                &arena, &options, &kit_error));
  QN_CHECK_TEXT(options.layers, "64 32");
  QN_CHECK_INT(options.activation, QN_TANH);
  QN_CHECK_INT(options.max_epochs, 3);
  QN_CHECK_FLOAT(options.learning_rate, 0.01, 0);
  QN_CHECK_OK(qn_settings_parse(mlp(), "layers=\"7 8\"", &arena, &options, &kit_error));
  QN_CHECK_TEXT(options.layers, "7 8");
  qn_arena_release(&arena);
}

static void mistakes_are_told(void) {
  check_fails("learning_rat=1", "did you mean 'learning_rate'");
  check_fails("learning_rate=fast", "'fast' is not a number from");
  check_fails("max_epochs=1.5", "is not a whole number");
  check_fails("activation=sinus", "is none of: relu tanh");
  check_fails("layers='64", "a quote is not closed");
  check_fails("layers", "options are written name=value");
}

int main(void) {
  KIT_RUN(defaults_are_in_range_and_read_back);
  if (mlp() != NULL) {
    KIT_RUN(options_are_read_from_text);
    KIT_RUN(mistakes_are_told);
  }
  return kit_result();
}
