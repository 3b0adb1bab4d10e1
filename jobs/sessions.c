// SPDX-License-Identifier: Apache-2.0
// Web server log lines to sessions: the visits of a user, cut where nothing came for a while. Shows a map
// that parses, window functions, and a reduce over what they made.
//
//   mpirun -n 4 sessions --gap 1800 --output sessions.csv access.log
#include <stdio.h>
#include <string.h>
#include <quern/quern.h>

// The part of `line` between two marks, from *at on; moves *at behind the second.
static bool take_between(qn_text line, int64_t *at, char open, char close, qn_text *out) {
  const char *begin = memchr(line.data + *at, open, (size_t)(line.size - *at));
  const char *end =
      begin == NULL ? NULL : memchr(begin + 1, close, (size_t)(line.data + line.size - begin - 1));
  if (end == NULL) {
    return false;
  }
  *out = (qn_text){.data = begin + 1, .size = end - begin - 1};
  *at = end - line.data + 1;
  return true;
}

// "17/May/2015:10:05:03 +0000" -> "2015-05-17 10:05:03+00:00"
static bool iso_time(qn_text time, char *out, size_t size) {
  static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  char month[4] = {0};
  int day, year, hour, minute, second, zone;
  char text[40];
  char sign;

  snprintf(text, sizeof text, "%.*s", (int)(time.size < 39 ? time.size : 39), time.data);
  if (sscanf(text, "%2d/%3c/%4d:%2d:%2d:%2d %c%4d", &day, month, &year, &hour, &minute, &second, &sign,
             &zone) != 8) {
    return false;
  }
  const char *found = strstr(months, month);
  if (found == NULL || (found - months) % 3 != 0) {
    return false;
  }
  snprintf(out, size, "%04d-%02d-%02d %02d:%02d:%02d%c%02d:%02d", year, (int)(found - months) / 3 + 1, day,
           hour, minute, second, sign, zone / 100, zone % 100);
  return true;
}

// in: line utf8 -> out: visitor, time, path, status, bytes (combined or common log format); a line that is
// none gives a row of nulls, which the job counts and leaves out
static qn_status parse_line(const qn_batch *in, qn_appender *out, void *ctx) {
  const qn_column *lines = qn_batch_column(in, 0);
  (void)ctx;

  for (int64_t row = 0; row < lines->n_rows; row++) {
    const qn_text line = qn_column_text(lines, row);
    const char *blank = memchr(line.data, ' ', (size_t)line.size);
    qn_text time, request;
    char iso[64], rest[64] = {0};
    int64_t at = 0;
    int code = 0;
    long long bytes = 0;
    if (blank != NULL && take_between(line, &at, '[', ']', &time) &&
        take_between(line, &at, '"', '"', &request) && iso_time(time, iso, sizeof iso)) {
      snprintf(rest, sizeof rest, "%.*s", (int)(line.size - at < 63 ? line.size - at : 63), line.data + at);
      const int n = sscanf(rest, "%d %lld", &code, &bytes);
      qn_append_text(out, line.data, blank - line.data);
      qn_append_text(out, iso, (int64_t)strlen(iso));
      qn_append_text(out, request.data, request.size);
      qn_append_int32(out, code);
      qn_append_int64(out, n == 2 ? bytes : 0);
    } else {
      for (int c = 0; c < 5; c++) {
        qn_append_null(out);
      }
    }
  }
  return QN_OK;
}

int main(int argc, char **argv) {
  static const qn_option options[] = {
      {.name = "gap", .argument = "SECONDS", .fallback = "1800", .help = "pause that ends a session"},
      {.name = NULL},
  };
  static const qn_job_about about = {.name = "sessions",
                                     .summary =
                                         "Cuts the lines of web server logs into sessions per visitor.",
                                     .arguments = "FILE...",
                                     .output = "sessions.csv",
                                     .options = options};
  char is_new[256];
  int64_t n_bad = 0;
  qn_job *job = qn_job_open(argc, argv, &about);

  qn_dataset *parsed = qn_map(qn_read_text(job, qn_job_inputs(job)), parse_line, NULL,
                              "visitor utf8, time utf8, request utf8, status int32, bytes int64");
  parsed =
      qn_cache(qn_select(parsed, "visitor, time::timestamp as seen, split_part(request, ' ', 2) as path, "
                                 "status, bytes"));
  qn_dataset *hits = qn_filter(parsed, "visitor is not null");
  hits = qn_window(hits, "visitor", "seen, path", "lag(seen) as before");
  snprintf(is_new, sizeof is_new,
           "*, case when before is null or extract(epoch from seen) - extract(epoch from before) > %lld then "
           "1 else 0 "
           "end as is_new",
           (long long)qn_job_option_int64(job, "gap", 0, 1000000000));
  hits = qn_window(qn_select(hits, is_new), "visitor", "seen, path", "sum(is_new) as session");
  qn_dataset *sessions = qn_reduce(hits, "visitor, session",
                                   "min(seen) as began, max(seen) as ended, count(*) as hits, "
                                   "count(distinct path) as pages, sum(bytes) as bytes, "
                                   "sum(case when status >= 400 then 1 else 0 end) as errors");
  qn_write(qn_sort(sessions, "visitor, session"), qn_job_output(job));
  qn_show(qn_top(sessions, "hits desc, visitor, session", 10), 10);
  qn_count(qn_filter(parsed, "visitor is null"), &n_bad);
  qn_job_print(job, "%lld lines were no log lines\n%s\n", (long long)n_bad, qn_job_output(job));
  return qn_job_close(job);
}
