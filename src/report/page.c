// SPDX-License-Identifier: Apache-2.0
// The page of a run: page.html with our style, our scripts, the libraries and the run's data put into it.
#include <stdio.h>
#include <string.h>
#include <quern/report.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/files.h"
#include "report/page_files.h"
#include "report/run_data.h"

// What stands between @@ and @@ of page.html: the name of a file, or "data".
static qn_status append_part(const char *name, int64_t name_size, const qn_buffer *data, qn_buffer *out,
                             qn_error *err) {
  qn_page_file file = {0};

  if (name_size == 4 && memcmp(name, "data", 4) == 0) {
    return qn_buffer_append(out, data->data, data->size, err);
  }
  if (!qn_page_file_find(name, name_size, &file)) {
    return qn_fail(err, QN_ERR_ARG, "page.html wants '%.*s', which the program does not have", (int)name_size,
                   name);
  }
  return qn_buffer_append(out, file.data, file.size, err);
}

static qn_status fill_page(const qn_buffer *data, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_page_file page = {0};

  QN_REQUIRE(qn_page_file_find("page.html", 9, &page), err, QN_ERR_ARG, "the program has no page.html");
  const char *at = page.data;
  const char *end = page.data + page.size;
  while (at < end) {
    const char *mark = memmem(at, (size_t)(end - at), "@@", 2);
    const char *stop = mark == NULL ? NULL : memmem(mark + 2, (size_t)(end - mark - 2), "@@", 2);
    QN_TRY(qn_buffer_append(out, at, (stop == NULL ? end : mark) - at, err));
    if (stop == NULL) {
      break;
    }
    QN_TRY(append_part(mark + 2, stop - mark - 2, data, out, err));
    at = stop + 2;
  }

done:
  return status;
}

QN_API qn_status qn_report_write(const char *run, const char *path, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer data = {0};
  qn_buffer page = {0};

  QN_TRY(qn_run_data_read(run, &data, err));
  QN_TRY(fill_page(&data, &page, err));
  QN_TRY(qn_folder_make_for(path, err));
  QN_TRY(qn_file_write_atomic(path, page.data, page.size, err));

done:
  qn_buffer_release(&data);
  qn_buffer_release(&page);
  return status;
}

QN_API bool qn_report_has_charts(void) {
  return qn_page_has_charts();
}
