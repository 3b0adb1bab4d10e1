// SPDX-License-Identifier: Apache-2.0
// Others read our files: h5py, with nothing of ours, prints the rows that were staged. QN_PYTHON names a
// Python that has h5py (default python3); without one the test is skipped.
#include <stdlib.h>
#include "store/stage_fixture.h"

enum { SKIPPED = 77 };

static const char *python(void) {
  const char *name = getenv("QN_PYTHON");
  return name != NULL ? name : "python3";
}

static bool has_h5py(void) {
  char command[600];
  snprintf(command, sizeof command, "%s -c 'import h5py' >/dev/null 2>&1", python());
  return system(command) == 0;
}

// What the script prints of a staged dataset.
static void script_prints(const char *stage, const char *wanted) {
  char command[1200];
  qn_buffer text = {0};
  char piece[4096];
  size_t n = 0;
  const char *script = getenv("QN_STAGE_SCRIPT");
  snprintf(command, sizeof command, "%s '%s' '%s' --header", python(), script != NULL ? script : "", stage);
  FILE *output = popen(command, "r");
  while (output != NULL && (n = fread(piece, 1, sizeof piece, output)) > 0) {
    QN_CHECK_OK(qn_buffer_append(&text, piece, (int64_t)n, &kit_error));
  }
  QN_CHECK(output != NULL && pclose(output) == 0);
  QN_CHECK_OK(qn_buffer_append(&text, "", 1, &kit_error));
  QN_CHECK_TEXT((const char *)text.data, wanted);
  qn_buffer_release(&text);
}

static void h5py_prints_the_rows(void) {
  static const char *schema =
      "b bool, i int32, \"a/b\" int64, f float32, d float64, t utf8, day date, seen timestamp";
  static const char *wanted = "\"b\",\"i\",\"a/b\",\"f\",\"d\",\"t\",\"day\",\"seen\"\n"
                              "true,-1,9007199254740993,0.1,nan,\"x \"\"y\"\"\",16572,1431857103250000\n"
                              ",,,,,,,\n"
                              "false,7,-3,-inf,2.5,\"\",0,-1\n"
                              "true,1,2,1.0,2.0,\"gr\xc3\xbc\xc3\x9f\",1,1\n";
  const fixture_folder folder = fixture_folder_make();
  char path[400];
  qn_batch *batches[3] = {
      kit_batch(schema,
                "t|-1|9007199254740993|0.1|NaN|x \"y\"|2015-05-17|2015-05-17 10:05:03.25\n~|~|~|~|~|~|~|~\n"
                "f|7|-3|-Infinity|2.5||1970-01-01|1969-12-31 23:59:59.999999\n"),
      kit_batch(schema, ""),
      kit_batch(schema, "t|1|2|1|2|gr\xc3\xbc\xc3\x9f|1970-01-02|1970-01-01 00:00:00.000001\n")};
  qn_buffer description = {0};
  fixture_stage(folder.path, batches[0]->schema, batches, 3);
  script_prints(folder.path, wanted);
  fixture_path(&folder, "one.h5", path, sizeof path);
  fixture_write_part(path, batches[0]->schema, batches, 3, &description);
  script_prints(path, wanted);
  qn_buffer_release(&description);
  for (int i = 0; i < 3; i++) {
    qn_batch_free(batches[i]);
  }
  fixture_folder_remove(&folder);
}

int main(void) {
  if (!has_h5py()) {
    puts("no Python with h5py: skipped");
    return SKIPPED;
  }
  KIT_RUN(h5py_prints_the_rows);
  return kit_result();
}
