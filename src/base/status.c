// SPDX-License-Identifier: Apache-2.0
// Status texts and the one function that fills a qn_error.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <quern/status.h>

const char *qn_status_text(qn_status status) {
  switch (status) {
#define X(name, text)                                                                                        \
  case name:                                                                                                 \
    return text;
    QN_STATUS_LIST(X)
#undef X
  }
  return "unknown status";
}

// Cuts half a character off the end of a message that did not fit.
static void trim_to_character(char *text, size_t size) {
  size_t start = size; // of the last character
  do {
    start--;
  } while (start > 0 && ((unsigned char)text[start] & 0xc0) == 0x80);
  const unsigned char lead = (unsigned char)text[start];
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
  if (start + length > size) {
    text[start] = '\0';
  }
}

qn_status qn_fail_at(qn_error *err, qn_status status, const char *file, int line, const char *format, ...) {
  if (err == NULL) {
    return status;
  }
  // Formatted beside err: an argument may be the message that err already holds.
  char message[sizeof err->message];
  va_list args;
  va_start(args, format);
  const int size = vsnprintf(message, sizeof message, format, args);
  va_end(args);
  if (size < 0) {
    message[0] = '\0';
  } else if ((size_t)size >= sizeof message) {
    trim_to_character(message, sizeof message - 1);
  }
  err->status = status;
  err->rank = -1;
  err->file = file;
  err->line = line;
  memcpy(err->message, message, strlen(message) + 1);
  return status;
}
