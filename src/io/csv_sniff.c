// SPDX-License-Identifier: Apache-2.0
// What a CSV file is: separator, columns, types. Reads the head of the first file that is not empty, and the
// header of each other one.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/arena.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "io/csv_header.h"
#include "io/csv_rows.h"
#include "io/csv_source.h"
#include "io/csv_type_guess.h"
#include "io/csv_values.h"
#include "io/nearest_name.h"

enum {
  SAMPLE_ROWS = 10 * 1000,
  SAMPLE_BYTES = 4 * 1024 * 1024,
  PACKED_SAMPLE_BYTES = 1024 * 1024,
  MOST_SAMPLE_BYTES = 64 * 1024 * 1024
};
enum { SEPARATOR_LINES = 20, SHOWN_NAMES = 300 };

/// The fields of one line, their text without quotes.
typedef struct line_fields {
  qn_arena arena;
  char **names;
  int64_t n;
} line_fields;

/// A name in use, and how often one with a number behind it was tried.
typedef struct named {
  const char *name;
  int64_t n_used;
} named;

typedef struct sniffer {
  const qn_file_list *files;
  const qn_csv_options *options;
  qn_csv_dialect dialect;
  int64_t first_file; // not empty
  qn_input_window window;
  line_fields header; // or, without a header, the fields of the first row
} sniffer;

static void line_fields_release(line_fields *fields) {
  qn_arena_release(&fields->arena);
  *fields = (line_fields){0};
}

/// Splits a line that lies in a window.
static qn_status split_line(const qn_csv_dialect *dialect, const char *text, int64_t size, line_fields *out,
                            qn_error *err) {
  qn_status status = QN_OK;
  qn_csv_values values = {0};
  qn_csv_scan scan = {0};

  scan.ends = qn_memory_alloc((size + QN_SCAN_SLACK) * (int64_t)sizeof *scan.ends);
  QN_REQUIRE(scan.ends != NULL, err, QN_ERR_MEMORY, "no memory for a line of %" PRId64 " bytes", size);
  qn_csv_scan_bytes(dialect, text, 0, size, &scan);
  scan.ends[scan.n_ends++] = (uint32_t)size;
  out->names = qn_arena_alloc(&out->arena, scan.n_ends * (int64_t)sizeof *out->names);
  QN_REQUIRE(out->names != NULL, err, QN_ERR_MEMORY, "no memory for %" PRId64 " names", scan.n_ends);
  QN_TRY(qn_csv_values_init(&values, dialect, NULL, false, err));
  for (int64_t i = 0, first = 0; i < scan.n_ends; first = scan.ends[i++] + (int64_t)1) {
    qn_csv_field kind;
    qn_text name;
    QN_TRY(qn_csv_decode_field(&values, text + first, scan.ends[i] - first, QN_UTF8, &kind, &name, err));
    out->names[i] = qn_arena_copy(&out->arena, name.data, name.size);
    QN_REQUIRE(out->names[i] != NULL, err, QN_ERR_MEMORY, "no memory for a column name");
  }
  out->n = scan.n_ends;

done:
  qn_csv_values_release(&values);
  qn_memory_free(scan.ends);
  return status;
}

static qn_status start_file(sniffer *s, int64_t file, qn_error *err) {
  qn_status status = QN_OK;

  if (s->window.file != &s->files->files[file] || !qn_input_window_rewind(&s->window)) {
    QN_TRY(qn_input_window_start(&s->window, &s->files->files[file], 0, 0, err));
  }
  QN_TRY(qn_csv_skip_mark(&s->window, err));

done:
  return status;
}

static int64_t count_fields(const qn_csv_dialect *dialect, const char *text, int64_t size) {
  qn_csv_state state = QN_CSV_ROW_START;
  int64_t n = 1;

  for (int64_t i = 0; i < size; i++) {
    bool is_end;
    state = qn_csv_next_state(dialect, state, text[i], &is_end);
    n += is_end;
  }
  return n;
}

/// How many fields the first lines have with a separator; 0 if not all have as many.
static qn_status try_separator(sniffer *s, char separator, int64_t *n_first, int64_t *n_all, qn_error *err) {
  qn_status status = QN_OK;
  qn_csv_dialect dialect = s->dialect;

  dialect.separator = separator;
  *n_first = 0;
  *n_all = 0;
  QN_TRY(start_file(s, s->first_file, err));
  for (int i = 0; i < SEPARATOR_LINES; i++) {
    const char *text;
    int64_t size;
    QN_TRY(qn_csv_next_line(&s->window, &dialect, &text, &size, NULL, err));
    if (size < 0) {
      break;
    }
    const int64_t n = count_fields(&dialect, text, size);
    *n_first = i == 0 ? n : *n_first;
    *n_all = i == 0 ? n : (n == *n_all ? n : 0);
  }

done:
  return status;
}

/// The separator that gives all of the first lines the same number of fields, the more the better; if none
/// does, the one that gives the first line the most.
static qn_status guess_separator(sniffer *s, qn_error *err) {
  static const char candidates[] = {',', ';', '\t', '|'};
  qn_status status = QN_OK;
  int64_t best_all = 1, best_first = 1;

  s->dialect.separator = ',';
  for (size_t i = 0; i < sizeof candidates; i++) {
    int64_t n_first, n_all;
    if (candidates[i] == s->dialect.quote || candidates[i] == s->dialect.comment) {
      continue;
    }
    QN_TRY(try_separator(s, candidates[i], &n_first, &n_all, err));
    if (n_all > best_all || (best_all == 1 && n_first > best_first)) {
      s->dialect.separator = candidates[i];
      best_all = n_all > best_all ? n_all : best_all;
      best_first = n_first > best_first ? n_first : best_first;
    }
  }

done:
  return status;
}

static qn_status check_options(const qn_csv_options *options, qn_csv_dialect *dialect, qn_error *err) {
  qn_status status = QN_OK;

  *dialect = (qn_csv_dialect){.separator = options->separator,
                              .quote = options->quote == '\0' ? '"' : options->quote,
                              .comment = options->comment,
                              .trim = options->trim};
  const char bytes[] = {dialect->separator, dialect->quote, dialect->comment};
  for (int i = 0; i < 3; i++) {
    QN_REQUIRE(bytes[i] != '\n' && bytes[i] != '\r', err, QN_ERR_ARG,
               "a line end cannot be the separator, quote or comment of a CSV file");
    for (int j = 0; j < i; j++) {
      QN_REQUIRE(bytes[i] == '\0' || bytes[i] != bytes[j], err, QN_ERR_ARG,
                 "'%c' cannot be two of separator, quote and comment of a CSV file", bytes[i]);
    }
  }

done:
  return status;
}

/// Finds the first file with a line in it; an empty file among others has just no rows.
static qn_status find_first_file(sniffer *s, qn_error *err) {
  qn_status status = QN_OK;

  for (int64_t i = 0; i < s->files->n_files; i++) {
    const char *text;
    int64_t size;
    QN_TRY(start_file(s, i, err));
    QN_TRY(qn_csv_next_line(&s->window, &s->dialect, &text, &size, NULL, err));
    if (size >= 0) {
      s->first_file = i;
      goto done;
    }
  }
  QN_REQUIRE(s->files->n_files > 0, err, QN_ERR_ARG, "no CSV files");
  status = qn_fail(err, QN_ERR_FORMAT, "%s: the file%s; a CSV file must have a header or rows",
                   s->files->files[0].path,
                   s->files->n_files > 1 ? " and the others with it are empty" : " is empty");

done:
  return status;
}

static qn_status read_header(sniffer *s, int64_t file, line_fields *out, qn_error *err) {
  qn_status status = QN_OK;
  const char *path = s->files->files[file].path, *text;
  int64_t size;
  bool was_open = false;

  QN_TRY(start_file(s, file, err));
  QN_TRY(qn_csv_next_line(&s->window, &s->dialect, &text, &size, &was_open, err));
  QN_REQUIRE(!was_open, err, QN_ERR_FORMAT,
             "%s: a quote opened in the header is not closed before the file ends", path);
  if (size >= 0) {
    const bool is_whole_file = s->window.is_last && s->window.size == 0;
    QN_REQUIRE(!is_whole_file || memchr(text, '\r', (size_t)size) == NULL ||
                   memchr(text, '\n', (size_t)size) != NULL,
               err, QN_ERR_FORMAT,
               "%s: lines end in \\r alone; convert the file, for example: tr '\\r' '\\n'", path);
    QN_REQUIRE(qn_utf8_find_invalid(text, size) < 0 || s->options->no_header, err, QN_ERR_FORMAT,
               "%s: the header is not valid UTF-8; convert the file, for example: iconv -f latin1 -t utf-8",
               path);
    QN_TRY(split_line(&s->dialect, text, size, out, err));
  }

done:
  return status;
}

static bool has_name(char *const *names, int64_t n, const char *name) {
  for (int64_t i = 0; i < n; i++) {
    if (strcmp(names[i], name) == 0) {
      return true;
    }
  }
  return false;
}

/// The place of a name in a table with open addressing, or the free one where it belongs.
static named *find_named(named *table, int64_t mask, const char *name) {
  int64_t i = (int64_t)qn_hash_bytes(name, (int64_t)strlen(name), 0) & mask;

  while (table[i].name != NULL && strcmp(table[i].name, name) != 0) {
    i = (i + 1) & mask;
  }
  return &table[i];
}

/// Gives columns without a name, and all without a header, the name c1, c2, ...; and a name that has been
/// used before the first free of name_2, name_3, ...
static qn_status name_columns(line_fields *fields, bool no_header, qn_error *err) {
  qn_status status = QN_OK;
  int64_t mask = 15, n_bytes = 0;

  while (mask < 2 * fields->n) {
    mask = 2 * mask + 1;
  }
  QN_TRY(qn_mul_size(mask + 1, (int64_t)sizeof(named), &n_bytes, err));
  named *table = qn_arena_alloc(&fields->arena, n_bytes);
  QN_REQUIRE(table != NULL, err, QN_ERR_MEMORY, "no memory for %" PRId64 " column names", fields->n);
  for (int64_t i = 0; i < fields->n; i++) {
    char *name = fields->names[i];
    if (no_header || name[0] == '\0') {
      name = qn_arena_printf(&fields->arena, "c%" PRId64, i + 1);
      QN_REQUIRE(name != NULL, err, QN_ERR_MEMORY, "no memory for a column name");
    }
    named *first = find_named(table, mask, name), *place = first;
    while (place->name != NULL) {
      name = qn_arena_printf(&fields->arena, "%s_%" PRId64, first->name, ++first->n_used + 1);
      QN_REQUIRE(name != NULL, err, QN_ERR_MEMORY, "no memory for a column name");
      place = find_named(table, mask, name);
    }
    place->name = name;
    fields->names[i] = name;
  }

done:
  return status;
}

static void show_names(const line_fields *fields, char out[SHOWN_NAMES]) {
  size_t n = 0;

  out[0] = '\0';
  for (int64_t i = 0; i < fields->n && n < SHOWN_NAMES - 1; i++) {
    n += (size_t)snprintf(out + n, SHOWN_NAMES - n, "%s%s", i > 0 ? ", " : "", fields->names[i]);
  }
  if (n >= SHOWN_NAMES) {
    memcpy(out + SHOWN_NAMES - 4, "...", 4);
  }
}

static qn_status fail_missing_name(const sniffer *s, const char *name, qn_error *err) {
  char names[SHOWN_NAMES], hint[120] = "";
  const int64_t nearest = qn_nearest_name(name, (const char *const *)s->header.names, s->header.n);

  show_names(&s->header, names);
  if (nearest >= 0) {
    snprintf(hint, sizeof hint, "; did you mean '%s'?", s->header.names[nearest]);
  }
  return qn_fail(err, QN_ERR_ARG, "%s: the schema's column '%s' is not in the file%s It has: %s",
                 s->files->files[s->first_file].path, name, hint[0] != '\0' ? hint : ".", names);
}

/// Without a header the schema's names stand for the columns in order, unless all are c1, c2, ...
static bool names_by_place(const sniffer *s, const qn_schema *schema) {
  bool all_known = true;

  for (int i = 0; i < schema->n_columns; i++) {
    all_known &= has_name(s->header.names, s->header.n, schema->fields[i].name);
  }
  return s->options->no_header && !all_known;
}

/// Schema and places from the option `schema`.
static qn_status take_schema(sniffer *s, qn_csv_format *format, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_schema_parse(s->options->schema, &format->schema, err));
  const qn_schema *schema = format->schema;
  const bool by_place = names_by_place(s, schema);
  QN_REQUIRE(!by_place || schema->n_columns == s->header.n, err, QN_ERR_ARG,
             "%s: the schema names %d columns and the file has %" PRId64
             "; without a header all must be named, or some "
             "be taken as c1, c2, ...",
             s->files->files[s->first_file].path, schema->n_columns, s->header.n);
  const uint32_t n_columns = (uint32_t)schema->n_columns;
  format->file_columns = calloc(n_columns, sizeof *format->file_columns);
  QN_REQUIRE(format->file_columns != NULL, err, QN_ERR_MEMORY, "no memory for %d columns", schema->n_columns);
  for (int i = 0; i < schema->n_columns; i++) {
    int64_t column = by_place ? i : 0;
    while (!by_place && column < s->header.n &&
           strcmp(s->header.names[column], schema->fields[i].name) != 0) {
      column++;
    }
    if (column == s->header.n) {
      status = fail_missing_name(s, schema->fields[i].name, err);
      goto done;
    }
    format->file_columns[i] = (int)column;
  }

done:
  return status;
}

/// Shows the rows found to the guesses, one a column.
static qn_status see_rows(const qn_csv_rows *rows, const char *data, qn_csv_values *values,
                          qn_csv_type_guess *guesses, qn_error *err) {
  qn_status status = QN_OK;

  for (int column = 0; column < rows->n_columns; column++) {
    qn_csv_type_guess *guess = &guesses[column];
    for (int64_t row = 0; row < rows->n_rows && !qn_csv_type_guess_is_text(guess); row++) {
      const uint32_t *end = rows->ends + rows->firsts[row] + column;
      const char *text = data + (uint32_t)(end[-1] + 1);
      int64_t size = data + end[0] - text;
      qn_csv_field kind;
      qn_text value;
      size -= column == rows->n_columns - 1 && size > 0 && text[size - 1] == '\r';
      if (qn_csv_type_guess_is_usual(guess, text, size)) {
        continue;
      }
      QN_TRY(qn_csv_decode_field(values, text, size, QN_INT64, &kind, &value, err));
      if (kind != QN_CSV_FIELD_NULL) {
        qn_csv_type_guess_see(guess, kind == QN_CSV_FIELD_TEXT ? value.data : "?",
                              kind == QN_CSV_FIELD_TEXT ? value.size : 1);
      }
    }
  }

done:
  return status;
}

/// Guesses the types of all columns from the first rows.
static qn_status guess_types(sniffer *s, qn_csv_type_guess *guesses, qn_error *err) {
  qn_status status = QN_OK;
  qn_csv_rows rows = {0};
  qn_csv_values values = {0};
  int64_t n_rows = 0, n_bytes = 0;
  const char *text;
  int64_t size;

  QN_TRY(qn_csv_rows_init(&rows, &s->dialect, (int)s->header.n, err));
  QN_TRY(qn_csv_values_init(&values, &s->dialect, s->options->null_text, false, err));
  QN_TRY(start_file(s, s->first_file, err));
  const bool is_packed = s->files->files[s->first_file].compression != QN_COMPRESSION_NONE;
  const int64_t sample_bytes = is_packed ? PACKED_SAMPLE_BYTES : SAMPLE_BYTES; // unpacking takes longer
  s->window.soft_end = sample_bytes;
  if (!s->options->no_header) {
    QN_TRY(qn_csv_next_line(&s->window, &s->dialect, &text, &size, NULL, err));
  }
  while ((n_rows < SAMPLE_ROWS && n_bytes < MOST_SAMPLE_BYTES) || n_bytes < sample_bytes) {
    QN_TRY(qn_csv_rows_find(&rows, &s->window, INT64_MAX, 1, err));
    if (rows.n_bytes == 0) {
      break;
    }
    QN_TRY(see_rows(&rows, s->window.data, &values, guesses, err));
    n_rows += rows.n_all;
    n_bytes += rows.n_bytes;
    qn_input_window_skip(&s->window, rows.n_bytes);
  }

done:
  qn_csv_values_release(&values);
  qn_csv_rows_release(&rows);
  return status;
}

/// Schema and places of all columns, with guessed types.
static qn_status make_schema(sniffer *s, qn_csv_format *format, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n = s->header.n;
  qn_csv_type_guess *guesses = calloc((size_t)n, sizeof *guesses);
  qn_field *fields = calloc((size_t)n, sizeof *fields);

  format->file_columns = calloc((size_t)n, sizeof *format->file_columns);
  QN_REQUIRE(guesses != NULL && fields != NULL && format->file_columns != NULL, err, QN_ERR_MEMORY,
             "no memory for %" PRId64 " columns", n);
  QN_TRY(guess_types(s, guesses, err));
  for (int64_t i = 0; i < n; i++) {
    fields[i] = (qn_field){.name = s->header.names[i], .type = qn_csv_type_guess_result(&guesses[i])};
    format->file_columns[i] = (int)i;
  }
  QN_TRY(qn_schema_new(fields, (int)n, &format->schema, err));

done:
  free(guesses);
  free(fields);
  return status;
}

/// The other files must have the first one's header.
static qn_status check_headers(sniffer *s, const line_fields *first, qn_error *err) {
  qn_status status = QN_OK;
  line_fields other = {0};

  for (int64_t i = s->first_file + 1; i < s->files->n_files; i++) {
    line_fields_release(&other);
    QN_TRY(read_header(s, i, &other, err));
    bool is_same = other.n == first->n || other.n == 0;
    for (int64_t c = 0; c < other.n && is_same; c++) {
      is_same = strcmp(other.names[c], first->names[c]) == 0;
    }
    if (!is_same) {
      char names[SHOWN_NAMES], first_names[SHOWN_NAMES];
      show_names(&other, names);
      show_names(first, first_names);
      status = qn_fail(err, QN_ERR_FORMAT,
                       "%s: the header (%s) is not that of %s (%s); files read together must have the "
                       "same columns in the same order",
                       s->files->files[i].path, names, s->files->files[s->first_file].path, first_names);
      goto done;
    }
  }

done:
  line_fields_release(&other);
  return status;
}

static qn_status sniff(sniffer *s, qn_csv_format *format, qn_error *err) {
  qn_status status = QN_OK;
  const qn_csv_options *options = s->options;

  QN_TRY(check_options(options, &s->dialect, err));
  QN_TRY(find_first_file(s, err));
  if (options->separator == '\0') {
    QN_TRY(guess_separator(s, err));
  }
  QN_TRY(read_header(s, s->first_file, &s->header, err));
  if (!options->no_header) {
    QN_TRY(check_headers(s, &s->header, err));
  }
  QN_TRY(name_columns(&s->header, options->no_header, err));
  QN_REQUIRE(s->header.n <= INT32_MAX / 16, err, QN_ERR_FORMAT, "%s: %" PRId64 " columns are too many",
             s->files->files[s->first_file].path, s->header.n);
  format->separator = s->dialect.separator;
  format->quote = s->dialect.quote;
  format->comment = s->dialect.comment;
  format->trim = s->dialect.trim;
  format->has_header = !options->no_header;
  format->n_file_columns = (int)s->header.n;
  if (options->null_text != NULL) {
    format->null_text = strdup(options->null_text);
    QN_REQUIRE(format->null_text != NULL, err, QN_ERR_MEMORY, "no memory for an option");
  }
  QN_TRY(options->schema != NULL ? take_schema(s, format, err) : make_schema(s, format, err));

done:
  return status;
}

qn_status qn_csv_sniff(const qn_file_list *files, const qn_csv_options *options, qn_csv_format *out,
                       qn_error *err) {
  static const qn_csv_options defaults = {0};
  sniffer s = {.files = files, .options = options != NULL ? options : &defaults};
  qn_csv_format format = {0};

  const qn_status status = sniff(&s, &format, err);
  if (status == QN_OK) {
    *out = format;
    format = (qn_csv_format){0};
  }
  qn_csv_format_release(&format);
  line_fields_release(&s.header);
  qn_input_window_release(&s.window);
  return status;
}
