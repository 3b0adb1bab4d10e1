// SPDX-License-Identifier: Apache-2.0
// A run is gone on with by the same program, called alike: else its journal speaks of other things.
#include "record/run_same.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/build_id.h"
#include "base/check.h"
#include "record/run_choice.h"
#include "record/run_json.h"

static qn_status check_code(const char *folder, const json_t *earlier, qn_error *err) {
  qn_status status = QN_OK;
  const json_t *code = json_object_get(earlier, "code");
  char build[QN_BUILD_ID];
  char *directory = getcwd(NULL, 0);

  qn_build_id(build);
  QN_REQUIRE(directory != NULL, err, QN_ERR_IO, "the working directory is gone");
  QN_REQUIRE(
      strcmp(qn_json_text(code, "build"), build) == 0, err, QN_ERR_ARG,
      "cannot resume %s: the program is another: it was build %s and is now %s; start a new run (another "
      "--run), or give the program back",
      folder, qn_json_text(code, "build"), build);
  QN_REQUIRE(strcmp(qn_json_text(earlier, "directory"), directory) == 0, err, QN_ERR_ARG,
             "cannot resume %s: the working directory was %s and is now %s; start it there", folder,
             qn_json_text(earlier, "directory"), directory);

done:
  free(directory);
  return status;
}

static qn_status check_options(const qn_run_about *about, const char *folder, const json_t *earlier,
                               qn_error *err) {
  qn_status status = QN_OK;
  const json_t *options = json_object_get(earlier, "options");

  for (int i = 0; i < about->n_options; i++) {
    const char *name = about->option_names[i];
    const char *before = json_string_value(json_object_get(options, name));
    const char *now = about->option_values[i];
    if ((before == NULL) != (now == NULL)) {
      status =
          qn_fail(err, QN_ERR_ARG,
                  "cannot resume %s: --%s was %s and is now %s; start a new run (another --run), or call it "
                  "as before",
                  folder, name, before == NULL ? "not given" : before, now == NULL ? "not given" : now);
      goto done;
    }
    QN_REQUIRE(
        before == NULL || now == NULL || strcmp(before, now) == 0, err, QN_ERR_ARG,
        "cannot resume %s: --%s was %s and is now %s; start a new run (another --run), or give --%s %s",
        folder, name, before, now, name, before);
  }

done:
  return status;
}

// What is in no option: files, or options of a command that has its own.
static qn_status check_arguments(const qn_run_about *about, const char *folder, const json_t *earlier,
                                 qn_error *err) {
  qn_status status = QN_OK;
  json_t *given = qn_run_arguments_json(about);
  json_t *now = qn_run_settled_arguments(given);
  json_t *before = qn_run_settled_arguments(json_object_get(earlier, "arguments"));
  size_t i = 0;

  QN_REQUIRE(now != NULL && before != NULL, err, QN_ERR_MEMORY, "no memory to compare arguments");
  while (i < json_array_size(now) && json_equal(json_array_get(now, i), json_array_get(before, i))) {
    i++;
  }
  const char *was = json_string_value(json_array_get(before, i));
  const char *is = json_string_value(json_array_get(now, i));
  QN_REQUIRE(
      was == NULL && is == NULL, err, QN_ERR_ARG,
      "cannot resume %s: argument %zu was %s%s%s and is now %s%s%s; start a new run (another --run), or "
      "call it as before",
      folder, i + 1, was != NULL ? "'" : "", was != NULL ? was : "not there", was != NULL ? "'" : "",
      is != NULL ? "'" : "", is != NULL ? is : "not there", is != NULL ? "'" : "");

done:
  json_decref(before);
  json_decref(now);
  json_decref(given);
  return status;
}

qn_status qn_run_check_same(const qn_run_about *about, const char *folder, const json_t *earlier,
                            qn_error *err) {
  qn_status status = QN_OK;

  QN_REQUIRE(strcmp(qn_json_text(earlier, "job"), about->job) == 0, err, QN_ERR_ARG,
             "cannot resume %s: it is a run of '%s', this is '%s'; take another folder", folder,
             qn_json_text(earlier, "job"), about->job);
  QN_TRY(check_code(folder, earlier, err));
  QN_TRY(check_options(about, folder, earlier, err));
  QN_TRY(check_arguments(about, folder, earlier, err));

done:
  return status;
}
