// SPDX-License-Identifier: Apache-2.0
#include "base/buffer.h"
#include "kit/kit.h"

static void buffer_grows_and_prints(void) {
  qn_buffer buffer = {0};
  QN_CHECK_OK(qn_buffer_append(&buffer, NULL, 0, &kit_error));
  for (int i = 0; i < 1000; i++) {
    QN_CHECK_OK(qn_buffer_printf(&buffer, &kit_error, "%d,", i));
  }
  QN_CHECK_OK(qn_buffer_append(&buffer, "end", 3, &kit_error));
  QN_CHECK_OK(qn_buffer_terminate(&buffer, &kit_error));
  QN_CHECK_INT(buffer.size, 10 * 2 + 90 * 3 + 900 * 4 + 3);
  QN_CHECK(memcmp(buffer.data, "0,1,2,3,", 8) == 0);
  QN_CHECK_TEXT((char *)buffer.data + buffer.size - 7, "999,end");
  qn_buffer_release(&buffer);
  QN_CHECK(buffer.data == NULL && buffer.size == 0 && buffer.capacity == 0);
}

static void reserve_refuses_what_cannot_be(void) {
  qn_buffer buffer = {0};
  QN_CHECK_OK(qn_buffer_append(&buffer, "abc", 3, &kit_error));
  QN_CHECK_FAILS(qn_buffer_reserve(&buffer, -1, &kit_error), QN_ERR_MEMORY);
  QN_CHECK_FAILS(qn_buffer_reserve(&buffer, INT64_MAX, &kit_error), QN_ERR_MEMORY);
  QN_CHECK_FAILS(qn_buffer_reserve(&buffer, INT64_MAX / 2, &kit_error), QN_ERR_MEMORY);
  QN_CHECK(memcmp(buffer.data, "abc", 3) == 0);
  qn_buffer_release(&buffer);
}

static void move_empties_the_source(void) {
  qn_buffer from = {0}, to = {0};
  QN_CHECK_OK(qn_buffer_append(&from, "abc", 3, &kit_error));
  qn_buffer_move(&from, &to);
  QN_CHECK(from.data == NULL && to.size == 3);
  qn_buffer_release(&to);
}

static void messages_are_kept_whole(void) {
  qn_error err = {0};
  QN_CHECK_INT(qn_fail(&err, QN_ERR_IO, "a %d", 1), QN_ERR_IO);
  QN_CHECK_INT(qn_fail(&err, QN_ERR_VALUE, "b: %s", err.message),
               QN_ERR_VALUE); // its own text as an argument
  QN_CHECK_TEXT(err.message, "b: a 1");
  QN_CHECK_INT(err.status, QN_ERR_VALUE);
  QN_CHECK_INT(err.rank, -1);
  QN_CHECK_INT(qn_fail(NULL, QN_ERR_ARG, "nobody listens"), QN_ERR_ARG);

  char text[2000] = "x"; // "é" until it does not fit: no half of a character is left
  for (size_t i = 1; i + 2 < sizeof text; i += 2) {
    memcpy(text + i, "\xc3\xa9", 3);
  }
  qn_fail(&err, QN_ERR_ARG, "%s", text);
  QN_CHECK_INT((int64_t)strlen(err.message), (int64_t)sizeof err.message - 1);
  qn_fail(&err, QN_ERR_ARG, "%s", text + 1);
  QN_CHECK_INT((int64_t)strlen(err.message), (int64_t)sizeof err.message - 2);
}

static void every_status_has_a_text(void) {
  QN_CHECK_TEXT(qn_status_text(QN_OK), "success");
  QN_CHECK_TEXT(qn_status_text(QN_ERR_STOPPED), "another rank failed");
  QN_CHECK_TEXT(qn_status_text((qn_status)99), "unknown status");
}

int main(void) {
  KIT_RUN(buffer_grows_and_prints);
  KIT_RUN(reserve_refuses_what_cannot_be);
  KIT_RUN(move_empties_the_source);
  KIT_RUN(messages_are_kept_whole);
  KIT_RUN(every_status_has_a_text);
  return kit_result();
}
