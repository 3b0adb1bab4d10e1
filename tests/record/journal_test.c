// SPDX-License-Identifier: Apache-2.0
// The journal keeps whole lines, whatever happened to its last one.
#include "record/journal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "kit/kit.h"

static char folder[] = "/tmp/quern-journal-XXXXXX";
static char path[64];

static void add(qn_journal *journal, int action, const char *product) {
  QN_CHECK_OK(qn_journal_append_take(journal, json_pack("{s:i, s:s}", "action", action, "product", product),
                                     &kit_error));
}

static int64_t reopened_end(void) {
  qn_journal *journal = NULL;
  QN_CHECK_OK(qn_journal_open(path, &journal, &kit_error));
  const int64_t end = qn_journal_end(journal);
  qn_journal_free(journal);
  return end;
}

static void lines_are_found_again(void) {
  qn_journal *journal = NULL;
  unlink(path);
  QN_CHECK(!qn_journal_has_actions(path));
  QN_CHECK_OK(qn_journal_open(path, &journal, &kit_error));
  QN_CHECK_INT(qn_journal_end(journal), 0);
  add(journal, 0, "a");
  QN_CHECK_OK(qn_journal_append_take(journal, json_pack("{s:i}", "read", 4), &kit_error));
  add(journal, 2, "b");
  qn_journal_free(journal);
  QN_CHECK(qn_journal_has_actions(path));
  QN_CHECK_OK(qn_journal_open(path, &journal, &kit_error));
  QN_CHECK_INT(qn_journal_end(journal), 3);
  QN_CHECK(qn_journal_find(journal, "action", 1) == NULL);
  QN_CHECK(qn_journal_find(journal, "read", 4) != NULL);
  QN_CHECK_TEXT(json_string_value(json_object_get(qn_journal_find(journal, "action", 2), "product")), "b");
  qn_journal_free(journal);
}

static void a_torn_line_is_cut_off(void) {
  qn_buffer text = {0};
  qn_journal *journal = NULL;
  lines_are_found_again();
  QN_CHECK_OK(qn_file_read_all(path, 1 << 20, &text, &kit_error));
  for (int64_t size = text.size - 1; size > text.size - 8; size--) {
    QN_CHECK_OK(qn_file_write_atomic(path, text.data, size, &kit_error));
    QN_CHECK_OK(qn_journal_open(path, &journal, &kit_error));
    QN_CHECK_INT(qn_journal_end(journal), 1);
    add(journal, 1, "c");
    qn_journal_free(journal);
    QN_CHECK_INT(reopened_end(), 2);
  }
  qn_buffer_release(&text);
}

static void the_last_line_of_an_action_holds(void) {
  qn_journal *journal = NULL;
  unlink(path);
  QN_CHECK_OK(qn_journal_open(path, &journal, &kit_error));
  add(journal, 0, "a");
  add(journal, 1, "b");
  add(journal, 0, "a2");
  qn_journal_free(journal);
  QN_CHECK_OK(qn_journal_open(path, &journal, &kit_error));
  QN_CHECK_TEXT(json_string_value(json_object_get(qn_journal_find(journal, "action", 0), "product")), "a2");
  QN_CHECK_INT(qn_journal_end(journal), 2);
  qn_journal_free(journal);
}

static void what_was_written_twice_is_given_up_from_the_first_time_on(void) {
  qn_journal *journal = NULL;
  unlink(path);
  QN_CHECK_OK(qn_journal_open(path, &journal, &kit_error));
  add(journal, 0, "a");
  add(journal, 1, "b");
  add(journal, 2, "c");
  add(journal, 3, "b");
  qn_journal_free(journal);
  QN_CHECK_INT(reopened_end(), 1);
  QN_CHECK_INT(reopened_end(), 1);
}

int main(void) {
  if (mkdtemp(folder) == NULL) {
    return 2;
  }
  snprintf(path, sizeof path, "%s/journal.jsonl", folder);
  KIT_RUN(lines_are_found_again);
  KIT_RUN(a_torn_line_is_cut_off);
  KIT_RUN(the_last_line_of_an_action_holds);
  KIT_RUN(what_was_written_twice_is_given_up_from_the_first_time_on);
  QN_CHECK_OK(qn_folder_remove(folder, &kit_error));
  return kit_result();
}
