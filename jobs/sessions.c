// SPDX-License-Identifier: Apache-2.0
// Web server log lines to sessions: the visits of a user, cut where nothing came for a while. Shows a map
// that parses, window functions, and a reduce over what they made.
//
//   mpirun -n 4 sessions --gap 1800 --output sessions.csv access.log
#include <stdio.h>
#include <stdlib.h>
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

// The value of n digits; -1 if there is something else.
static int digits(const char *text, int n) {
  int value = 0;
  for (int i = 0; i < n; i++) {
    if (text[i] < '0' || text[i] > '9') {
      return -1;
    }
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

static int days_of_month(int month, int year) {
  static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return days[month - 1] + (month == 2 && is_leap);
}

// "17/May/2015:10:05:03 +0000" -> "2015-05-17 10:05:03+00:00"
static bool iso_time(qn_text time, char *out, size_t size) {
  static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  static const char pattern[] = "../.../....:..:..:.. .....";
  const char *text = time.data;
  int month = 1;

  if (time.size != (int64_t)strlen(pattern)) {
    return false;
  }
  for (int i = 0; pattern[i] != '\0'; i++) {
    if (pattern[i] != '.' && pattern[i] != text[i]) {
      return false;
    }
  }
  while (month <= 12 && strncmp(text + 3, months + (size_t)(month - 1) * 3, 3) != 0) {
    month++;
  }
  const int day = digits(text, 2), year = digits(text + 7, 4);
  const int hour = digits(text + 12, 2), minute = digits(text + 15, 2), second = digits(text + 18, 2);
  const int zone_hour = digits(text + 22, 2), zone_minute = digits(text + 24, 2);
  if (month > 12 || year < 1 || day < 1 || day > days_of_month(month, year) || hour < 0 || hour > 23 ||
      minute < 0 || minute > 59 || second < 0 || second > 59 || (text[21] != '+' && text[21] != '-') ||
      zone_hour < 0 || zone_hour > 15 || zone_minute < 0 || zone_minute > 59) {
    return false;
  }
  snprintf(out, size, "%04d-%02d-%02d %02d:%02d:%02d%c%02d:%02d", year, month, day, hour, minute, second,
           text[21], zone_hour, zone_minute);
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
    char *end = NULL;
    if (blank != NULL && take_between(line, &at, '[', ']', &time) &&
        take_between(line, &at, '"', '"', &request) && iso_time(time, iso, sizeof iso)) {
      snprintf(rest, sizeof rest, "%.*s", (int)(line.size - at < 63 ? line.size - at : 63), line.data + at);
      const long code = strtol(rest, &end, 10);
      const long long bytes = strtoll(end, NULL, 10); // "-": none
      qn_append_text(out, line.data, blank - line.data);
      qn_append_text(out, iso, (int64_t)strlen(iso));
      qn_append_text(out, request.data, request.size);
      qn_append_int32(out, code >= 0 && code <= 999 ? (int32_t)code : 0);
      qn_append_int64(out, bytes > 0 ? bytes : 0);
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
