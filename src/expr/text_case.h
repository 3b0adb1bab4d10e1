// SPDX-License-Identifier: Apache-2.0
// Letter case beyond ASCII, by the simple mappings of C.UTF-8, whatever the locale of the process.
#pragma once
#include <locale.h>
#include <stdbool.h>
#include "column/batch.h"

/// (locale_t)0 if the system has no such locale: then only ASCII changes. Free it with qn_utf8_locale_free().
locale_t qn_utf8_locale_new(void);
void qn_utf8_locale_free(locale_t locale);
/// Appends the text in upper or lower case.
qn_status qn_text_append_case(qn_text text, bool is_upper, locale_t locale, qn_buffer *out, qn_error *err);
