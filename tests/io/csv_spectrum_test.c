// SPDX-License-Identifier: Apache-2.0
// The files of csv-spectrum (github.com/maxogden/csv-spectrum) and what they mean. They are not in this
// repository: they are looked for in $QN_SHARED_DATA/messy/csvs or beside the source tree; without them this
// test only says so.
#include "io/io_fixture.h"

static bool find_data(char path[400]) {
  const char *folder = getenv("QN_SHARED_DATA");
  if (folder != NULL) {
    snprintf(path, 400, "%s/messy/csvs", folder);
  } else {
    snprintf(path, 400, "%.*s/../../../shared/data/messy/csvs", (int)(strrchr(__FILE__, '/') - __FILE__),
             __FILE__);
    if (access(path, R_OK) != 0) {
      snprintf(path, 400, "../shared/data/messy/csvs");
    }
  }
  return access(path, R_OK) == 0;
}

static const struct {
  const char *file, *schema, *rows;
} cases[] = {
    {"comma_in_quotes.csv", "first utf8, last utf8, address utf8, city utf8, zip utf8",
     "John|Doe|120 any st.|Anytown, WW|08123\n"},
    {"empty.csv", "a utf8, b utf8, c utf8", "1||\n2|3|4\n"},
    {"empty_crlf.csv", "a utf8, b utf8, c utf8", "1||\n2|3|4\n"},
    {"escaped_quotes.csv", "a utf8, b utf8", "1|ha \"ha\" ha\n3|4\n"},
    {"json.csv", "key utf8, val utf8", "1|{\"type\": \"Point\", \"coordinates\": [102.0, 0.5]}\n"},
    {"newlines.csv", "a utf8, b utf8, c utf8", "1|2|3\nOnce upon \na time|5|6\n7|8|9\n"},
    {"newlines_crlf.csv", "a utf8, b utf8, c utf8", "1|2|3\nOnce upon \r\na time|5|6\n7|8|9\n"},
    {"quotes_and_newlines.csv", "a utf8, b utf8", "1|ha \n\"ha\" \nha\n3|4\n"},
    {"simple.csv", "a utf8, b utf8, c utf8", "1|2|3\n"},
    {"simple_crlf.csv", "a utf8, b utf8, c utf8", "1|2|3\n"},
    {"utf8.csv", "a utf8, b utf8, c utf8", "1|2|3\n4|5|\xca\xa4\n"},
    {"location_coordinates.csv",
     "\"Contact Phone Number\" utf8, \"Location Coordinates\" utf8, Cities utf8, Counties utf8",
     "2095257564|37\xef\xbf\xbd"
     "36'37.8\"N 121\xef\xbf\xbd"
     "2'17.9\"W|Modesto|Stanislaus\n"},
};

/// The files here may have had their line ends changed on the way: then \r\n inside quotes is compared as \n.
static char *without_returns(char *text) {
  char *to = text;
  for (const char *at = text; *at != '\0'; at++) {
    if (*at != '\r') {
      *to++ = *at;
    }
  }
  *to = '\0';
  return text;
}

static void the_files_mean_what_they_should(void) {
  char folder[400], path[500];
  if (!find_data(folder)) {
    printf("  (no csv-spectrum files: set QN_SHARED_DATA to test them)\n");
    return;
  }
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    snprintf(path, sizeof path, "%s/%s", folder, cases[i].file);
    if (access(path, R_OK) != 0) {
      printf("  (no %s)\n", cases[i].file);
      continue;
    }
    for (int64_t split = 1; split < 120; split++) {
      const qn_csv_options options = {.schema = cases[i].schema};
      char *found = without_returns(io_read_csv(path, &options, split));
      char *wanted = without_returns(strdup(cases[i].rows));
      QN_CHECK_TEXT(found, wanted);
      free(found);
      free(wanted);
    }
  }
}

int main(void) {
  KIT_RUN(the_files_mean_what_they_should);
  return kit_result();
}
