// SPDX-License-Identifier: Apache-2.0
// quern new NAME: a folder with a job, its CMake and a README, ready to build against the installed library.
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/command.h"

// In the texts %NAME% stands for the job's name.
static const char job_text[] =
    "// %NAME%: a Quern job. Reads CSV files, counts their rows by the first column, and writes the counts.\n"
    "//\n"
    "//   mpirun -n 2 build/%NAME% --output counts.csv sample.csv\n"
    "#include <quern/quern.h>\n"
    "#include <stdio.h>\n"
    "\n"
    "int main(int argc, char **argv) {\n"
    "  static const qn_option options[] = {\n"
    "      {.name = \"by\", .argument = \"COLUMN\", .fallback = \"region\", .help = \"column to count "
    "by\"},\n"
    "      {.name = NULL},\n"
    "  };\n"
    "  static const qn_job_about about = {.name = \"%NAME%\",\n"
    "                                     .summary = \"Counts rows by a column.\",\n"
    "                                     .arguments = \"FILE...\",\n"
    "                                     .output = \"counts.csv\",\n"
    "                                     .options = options};\n"
    "  qn_job *job = qn_job_open(argc, argv, &about);\n"
    "\n"
    "  qn_dataset *rows = qn_read_csv(job, qn_job_inputs(job), NULL);\n"
    "  qn_dataset *counts = qn_reduce(rows, qn_job_option(job, \"by\"), \"count(*) as n\");\n"
    "  qn_dataset *sorted = qn_cache(qn_sort(counts, \"n desc\"));\n"
    "  qn_write(sorted, qn_job_output(job));\n"
    "  qn_show(sorted, 10);\n"
    "  return qn_job_close(job);\n"
    "}\n";

static const char cmake_text[] = "cmake_minimum_required(VERSION 3.22)\n"
                                 "project(%NAME% LANGUAGES C)\n"
                                 "set(CMAKE_C_STANDARD 17)\n"
                                 "find_package(Quern REQUIRED)\n"
                                 "add_executable(%NAME% %NAME%.c)\n"
                                 "target_link_libraries(%NAME% PRIVATE Quern::quern)\n";

static const char readme_text[] =
    "# %NAME%\n"
    "\n"
    "A Quern job. Build it and run it on two ranks:\n"
    "\n"
    "    cmake -S . -B build && cmake --build build\n"
    "    mpirun -n 2 build/%NAME% --output counts.csv sample.csv\n"
    "\n"
    "If CMake does not find Quern, say where it is installed:\n"
    "`cmake -S . -B build -DCMAKE_PREFIX_PATH=/where/quern/is`.\n"
    "`build/%NAME% --help` lists the options. `%NAME%.c` is the place to start.\n";

static const char sample_text[] = "region,amount\nnorth,12.5\nsouth,3\nnorth,7\neast,\nsouth,1.25\nnorth,2\n";

static bool is_name(const char *name) {
  bool is_good = isalpha((unsigned char)name[0]) != 0 && strlen(name) < 100;
  for (const char *c = name; *c != '\0'; c++) {
    is_good = is_good && (isalnum((unsigned char)*c) || *c == '_' || *c == '-');
  }
  return is_good;
}

static bool write_text(const char *folder, const char *file, const char *text, const char *name) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", folder, file);
  FILE *out = fopen(path, "wx");
  if (out == NULL) {
    fprintf(stderr, "quern new: cannot write %s: %s\n", path, strerror(errno));
    return false;
  }
  for (const char *at = text; *at != '\0';) {
    const char *mark = strstr(at, "%NAME%");
    const size_t size = mark == NULL ? strlen(at) : (size_t)(mark - at);
    fwrite(at, 1, size, out);
    at += size;
    if (mark != NULL) {
      fputs(name, out);
      at += strlen("%NAME%");
    }
  }
  if (fclose(out) != 0) {
    fprintf(stderr, "quern new: cannot write %s: %s\n", path, strerror(errno));
    return false;
  }
  return true;
}

int quern_new(int argc, char **argv) {
  char source[256];

  if (argc != 2 || argv[1][0] == '-') {
    const bool is_help = argc == 2 && strcmp(argv[1], "--help") == 0;
    fprintf(is_help ? stdout : stderr,
            "usage: quern new NAME\nMakes the folder NAME with a job to start from.\n");
    return is_help ? 0 : 2;
  }
  const char *name = argv[1];
  if (!is_name(name)) {
    fprintf(stderr, "quern new: '%s' is no name for a program: letters, digits, - and _, a letter first\n",
            name);
    return 2;
  }
  if (mkdir(name, 0777) != 0) {
    fprintf(stderr, "quern new: cannot make the folder %s: %s\n", name, strerror(errno));
    return 1;
  }
  snprintf(source, sizeof source, "%s.c", name);
  if (!write_text(name, source, job_text, name) || !write_text(name, "CMakeLists.txt", cmake_text, name) ||
      !write_text(name, "README.md", readme_text, name) ||
      !write_text(name, "sample.csv", sample_text, name)) {
    return 1;
  }
  printf("%s: a job to start from; %s/README.md says how to build and run it\n", name, name);
  return 0;
}
