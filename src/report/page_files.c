// SPDX-License-Identifier: Apache-2.0
// The files of the page, put in by the assembler: a megabyte as an array in C would take the compiler long.
#include "report/page_files.h"

#include <string.h>

// The file between two labels. Global and hidden, so that it does not matter in which piece of the program
// the compiler puts what uses them.
#define EMBED(label, path)                                                                                   \
  __asm__(".pushsection .rodata\n"                                                                           \
          ".globl qn_page_" #label "\n.hidden qn_page_" #label "\nqn_page_" #label ":\n"                     \
          ".incbin \"" path "\"\n"                                                                           \
          ".globl qn_page_" #label "_end\n.hidden qn_page_" #label "_end\nqn_page_" #label "_end:\n"         \
          ".byte 0\n.popsection\n");                                                                         \
  extern __attribute__((visibility("hidden"))) const char qn_page_##label[], qn_page_##label##_end[];

/// X(label, name in page.html, path)
#define FILE_LIST(X)                                                                                         \
  X(html, "page.html", QN_PAGE_FOLDER "/page.html")                                                          \
  X(css, "page.css", QN_PAGE_FOLDER "/page.css")                                                             \
  X(elements, "elements.js", QN_PAGE_FOLDER "/elements.js")                                                  \
  X(numbers, "numbers.js", QN_PAGE_FOLDER "/numbers.js")                                                     \
  X(theme, "theme.js", QN_PAGE_FOLDER "/theme.js")                                                           \
  X(tables, "tables.js", QN_PAGE_FOLDER "/tables.js")                                                        \
  X(results, "results.js", QN_PAGE_FOLDER "/results.js")                                                     \
  X(plan, "plan.js", QN_PAGE_FOLDER "/plan.js")                                                              \
  X(run, "run.js", QN_PAGE_FOLDER "/run.js")                                                                 \
  X(work, "work.js", QN_PAGE_FOLDER "/work.js")                                                              \
  X(page, "page.js", QN_PAGE_FOLDER "/page.js")                                                              \
  X(echarts, "echarts.js", QN_PAGE_ECHARTS)                                                                  \
  X(dagre, "dagre.js", QN_PAGE_DAGRE)

#define X(label, name, path) EMBED(label, path)
FILE_LIST(X)
#undef X

// Where the files begin and end is known to the linker only.
typedef struct embedded {
  const char *name;
  const char *begin, *end;
} embedded;

static const embedded files[] = {
#define X(label, file_name, path) {.name = file_name, .begin = qn_page_##label, .end = qn_page_##label##_end},
    FILE_LIST(X)
#undef X
};
enum { N_FILES = sizeof files / sizeof *files };

// As numbers, since to the compiler these are different objects.
static int64_t size_of(const embedded *file) {
  return (int64_t)((uintptr_t)file->end - (uintptr_t)file->begin);
}

bool qn_page_file_find(const char *name, int64_t name_size, qn_page_file *out) {
  for (int i = 0; i < N_FILES; i++) {
    if ((int64_t)strlen(files[i].name) == name_size && memcmp(files[i].name, name, (size_t)name_size) == 0) {
      *out = (qn_page_file){.name = files[i].name, .data = files[i].begin, .size = size_of(&files[i])};
      return true;
    }
  }
  return false;
}

bool qn_page_has_charts(void) {
  qn_page_file charts = {0};
  qn_page_file layout = {0};
  return qn_page_file_find("echarts.js", (int64_t)strlen("echarts.js"), &charts) && charts.size > 0 &&
         qn_page_file_find("dagre.js", (int64_t)strlen("dagre.js"), &layout) && layout.size > 0;
}
