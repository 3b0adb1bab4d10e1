// SPDX-License-Identifier: Apache-2.0
// Resolves paths, folders and patterns to files. A path that exists is taken as it stands, even if it holds
// the characters of a pattern.
#include "io/file_list.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/system_files.h"
#include "io/nearest_name.h"

enum { MAX_MAGIC = 4, MAX_LIST_FILES = 100 * 1000 * 1000, N_HEAD = 6 };

/// Names read from a folder: what readdir gives, kept.
typedef struct name_list {
  char **names;
  int64_t n_names;
  int64_t capacity;
} name_list;

static void name_list_release(name_list *list) {
  for (int64_t i = 0; i < list->n_names; i++) {
    free(list->names[i]);
  }
  free(list->names);
  *list = (name_list){0};
}

static qn_status name_list_add(name_list *list, const char *name, qn_error *err) {
  qn_status status = QN_OK;

  if (list->n_names == list->capacity) {
    const int64_t capacity = list->capacity * 2 + 16;
    char **names = realloc(list->names, (size_t)capacity * sizeof *names);
    QN_REQUIRE(names != NULL, err, QN_ERR_MEMORY, "no memory for %" PRId64 " file names", capacity);
    list->names = names;
    list->capacity = capacity;
  }
  list->names[list->n_names] = strdup(name);
  QN_REQUIRE(list->names[list->n_names] != NULL, err, QN_ERR_MEMORY, "no memory for a file name");
  list->n_names++;

done:
  return status;
}

static int compare_names(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static void name_list_sort(name_list *list) {
  if (list->n_names > 1) {
    qsort(list->names, (size_t)list->n_names, sizeof *list->names, compare_names);
  }
}

/// The names in a folder, but not the hidden ones, sorted by bytes.
static qn_status list_folder(const char *path, name_list *out, qn_error *err) {
  qn_status status = QN_OK;
  DIR *folder = opendir(path);

  QN_REQUIRE(folder != NULL, err, QN_ERR_IO, "%s: the folder cannot be read: %s", path, strerror(errno));
  errno = 0;
  for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
    if (entry->d_name[0] != '.') {
      QN_TRY(name_list_add(out, entry->d_name, err));
    }
    errno = 0;
  }
  QN_REQUIRE(errno == 0, err, QN_ERR_IO, "%s: the folder cannot be listed: %s", path, strerror(errno));
  name_list_sort(out);

done:
  if (folder != NULL) {
    closedir(folder);
  }
  return status;
}

/// Where to look for the mistake in a path that does not exist: the first folder of it that is missing, the
/// nearest name beside it, or where a relative path was looked for.
static void describe_missing(const char *path, char *hint, size_t size) {
  const char *slash = strrchr(path, '/');
  char *parent = slash == NULL ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
  const char *name = slash == NULL ? path : slash + 1;
  name_list names = {0};
  char here[512] = "";

  hint[0] = '\0';
  if (parent != NULL && access(parent, F_OK) != 0) {
    snprintf(hint, size, "; the folder '%s' does not exist either", parent);
  } else if (parent != NULL && list_folder(parent, &names, NULL) == QN_OK) {
    const int64_t nearest = qn_nearest_name(name, (const char *const *)names.names, names.n_names);
    if (nearest >= 0 && names.names != NULL) {
      snprintf(hint, size, "; did you mean '%s'?", names.names[nearest]);
    }
  }
  if (hint[0] == '\0' && path[0] != '/' && getcwd(here, sizeof here) != NULL) {
    snprintf(hint, size, "; it was looked for from the folder %s", here);
  }
  name_list_release(&names);
  free(parent);
}

static qn_compression compression_of(const uint8_t *magic, int64_t size) {
  if (size >= 2 && magic[0] == 0x1f && magic[1] == 0x8b) {
    return QN_COMPRESSION_GZIP;
  }
  if (size >= 4 && memcmp(magic, "BZh", 3) == 0 && magic[3] >= '1' && magic[3] <= '9') {
    return QN_COMPRESSION_BZIP2;
  }
  if (size >= 4 && memcmp(magic, "\x28\xb5\x2f\xfd", 4) == 0) {
    return QN_COMPRESSION_ZSTD;
  }
  return QN_COMPRESSION_NONE;
}

static const char *kind_of(mode_t mode) {
  return S_ISFIFO(mode)   ? "a named pipe"
         : S_ISSOCK(mode) ? "a socket"
         : S_ISCHR(mode)  ? "a character device"
         : S_ISBLK(mode)  ? "a block device"
                          : "something else";
}

// Takes all of `file` but its path, which is copied.
static qn_status list_append(qn_file_list *list, const qn_file *file, qn_error *err) {
  qn_status status = QN_OK;

  if ((list->n_files & (list->n_files + 1)) == 0) { // 0, 1, 3, 7, ...: full, double it
    qn_file *files = qn_memory_resize(list->files, (list->n_files * 2 + 1) * (int64_t)sizeof *files);
    QN_REQUIRE(files != NULL, err, QN_ERR_MEMORY, "no memory for a list of %" PRId64 " files", list->n_files);
    list->files = files;
  }
  qn_file *added = &list->files[list->n_files];
  *added = *file;
  added->path = strdup(file->path);
  QN_REQUIRE(added->path != NULL, err, QN_ERR_MEMORY, "no memory for a file name");
  list->n_files++;
  list->n_bytes += file->n_bytes;

done:
  return status;
}

static int64_t time_of_change(const struct stat *about) {
  return (int64_t)about->st_mtim.tv_sec * 1000000000 + about->st_mtim.tv_nsec;
}

static uint64_t own_node(void) {
  char name[256];
  qn_host_name(name, sizeof name);
  return qn_hash_bytes(name, (int64_t)strlen(name), 0);
}

/// What a file's name promises is behind its first bytes; a file cut off within them would be taken for text.
static qn_status check_start(const char *path, const uint8_t *magic, int64_t size, qn_error *err) {
  static const struct {
    const char *suffix, *name, *magic;
    int64_t size;
  } forms[] = {
      {".gz", "gzip", "\x1f\x8b", 2}, {".bz2", "bzip2", "BZh", 4}, {".zst", "zstd", "\x28\xb5\x2f\xfd", 4}};
  const size_t length = strlen(path);
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    const size_t n = strlen(forms[i].suffix);
    const bool is_named = length > n && strcmp(path + length - n, forms[i].suffix) == 0;
    const int64_t n_compared =
        size < (int64_t)strlen(forms[i].magic) ? size : (int64_t)strlen(forms[i].magic);
    if (is_named && size < forms[i].size && memcmp(magic, forms[i].magic, (size_t)n_compared) == 0) {
      return qn_fail(err, QN_ERR_FORMAT,
                     "%s: has %" PRId64 " bytes of %s data: the file is truncated; copy it again", path, size,
                     forms[i].name);
    }
  }
  return QN_OK;
}

/// Adds a path that stat has found to be a file: opens it, which also tells whether it may be read.
static qn_status add_file(qn_file_list *list, const char *path, qn_error *err) {
  qn_status status = QN_OK;
  uint8_t magic[MAX_MAGIC];
  struct stat about;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);

  QN_REQUIRE(fd >= 0, err, QN_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
  QN_REQUIRE(fstat(fd, &about) == 0, err, QN_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
  ssize_t size;
  do {
    size = pread(fd, magic, sizeof magic, 0);
  } while (size < 0 && errno == EINTR);
  QN_REQUIRE(size >= 0, err, QN_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
  QN_TRY(check_start(path, magic, size, err));
  const qn_file file = {.path = (char *)path,
                        .n_bytes = about.st_size,
                        .compression = compression_of(magic, size),
                        .node = own_node(),
                        .inode = about.st_ino,
                        .modified_ns = time_of_change(&about)};
  QN_TRY(list_append(list, &file, err));

done:
  if (fd >= 0) {
    close(fd);
  }
  return status;
}

/// Adds the files of a folder; folders in it are left out.
static qn_status add_folder(qn_file_list *list, const char *path, qn_error *err) {
  qn_status status = QN_OK;
  name_list names = {0};
  char *joined = NULL;
  int64_t n_files = 0, n_folders = 0;
  const size_t length = strlen(path);
  const char *slash = length > 0 && path[length - 1] == '/' ? "" : "/";

  QN_TRY(list_folder(path, &names, err));
  for (int64_t i = 0; i < names.n_names; i++) {
    struct stat about;
    free(joined);
    joined = NULL;
    if (asprintf(&joined, "%s%s%s", path, slash, names.names[i]) < 0) {
      joined = NULL;
    }
    QN_REQUIRE(joined != NULL, err, QN_ERR_MEMORY, "no memory for a file name");
    QN_REQUIRE(stat(joined, &about) == 0, err, QN_ERR_IO, "%s: cannot be read: %s", joined, strerror(errno));
    n_folders += S_ISDIR(about.st_mode);
    if (!S_ISDIR(about.st_mode)) {
      QN_REQUIRE(S_ISREG(about.st_mode), err, QN_ERR_IO, "%s: is %s, neither file nor folder", joined,
                 kind_of(about.st_mode));
      QN_TRY(add_file(list, joined, err));
      n_files++;
    }
  }
  QN_REQUIRE(n_files > 0, err, QN_ERR_IO, "%s: the folder holds no files%s", path,
             n_folders > 0 ? ", only folders, which are not searched; name them, or use a pattern: '*/*.csv'"
                           : " (hidden ones are not counted)");

done:
  free(joined);
  name_list_release(&names);
  return status;
}

/// Adds the files that a pattern matches. glob() sorts by locale, so the matches are sorted here.
static qn_status add_pattern(qn_file_list *list, const char *pattern, qn_error *err) {
  qn_status status = QN_OK;
  glob_t found = {0};
  const int result = glob(pattern, GLOB_NOSORT | GLOB_ERR, NULL, &found);

  QN_REQUIRE(result != GLOB_NOMATCH, err, QN_ERR_IO,
             "%s: no file matches the pattern; a * does not match a / or a leading dot", pattern);
  QN_REQUIRE(result != GLOB_NOSPACE, err, QN_ERR_MEMORY, "%s: no memory for the matches", pattern);
  QN_REQUIRE(result == 0, err, QN_ERR_IO, "%s: a folder of the pattern cannot be read: %s", pattern,
             strerror(errno));
  if (found.gl_pathc > 1) {
    qsort(found.gl_pathv, found.gl_pathc, sizeof *found.gl_pathv, compare_names);
  }
  for (size_t i = 0; i < found.gl_pathc; i++) {
    const char *path = found.gl_pathv[i];
    struct stat about;
    QN_REQUIRE(stat(path, &about) == 0, err, QN_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
    QN_REQUIRE(
        !S_ISDIR(about.st_mode), err, QN_ERR_IO,
        "%s: the pattern '%s' matches this folder; a pattern must match files only: end it in '/*', or in "
        "the files' suffix",
        path, pattern);
    QN_REQUIRE(S_ISREG(about.st_mode), err, QN_ERR_IO, "%s: is %s, neither file nor folder", path,
               kind_of(about.st_mode));
    QN_TRY(add_file(list, path, err));
  }

done:
  globfree(&found);
  return status;
}

static qn_status add_path(qn_file_list *list, const char *path, qn_error *err) {
  qn_status status = QN_OK;
  struct stat about;

  if (stat(path, &about) == 0) {
    QN_REQUIRE(S_ISDIR(about.st_mode) || S_ISREG(about.st_mode), err, QN_ERR_IO,
               "%s: is %s, neither file nor folder", path, kind_of(about.st_mode));
    QN_TRY(S_ISDIR(about.st_mode) ? add_folder(list, path, err) : add_file(list, path, err));
  } else {
    const int reason = errno;
    char hint[600];
    if (reason == ENOENT && strpbrk(path, "*?[") != NULL) {
      QN_TRY(add_pattern(list, path, err));
      goto done;
    }
    describe_missing(path, hint, sizeof hint);
    QN_REQUIRE(reason != ENOENT, err, QN_ERR_IO, "%s: does not exist%s", path, hint);
    status = qn_fail(err, QN_ERR_IO, "%s: cannot be read: %s", path, strerror(reason));
  }

done:
  return status;
}

qn_status qn_file_list_resolve(const char *paths, qn_file_list *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_file_list list = {0};
  char *path = NULL;

  for (const char *line = paths; line != NULL && *line != '\0';) {
    const size_t size = strcspn(line, "\n");
    if (size > 0) {
      free(path);
      path = strndup(line, size);
      QN_REQUIRE(path != NULL, err, QN_ERR_MEMORY, "no memory for a path");
      QN_TRY(add_path(&list, path, err));
    }
    line += size + (line[size] == '\n');
  }
  QN_REQUIRE(list.n_files > 0, err, QN_ERR_ARG,
             "no input: the list of paths is empty; give a file, a folder or a pattern");
  *out = list;
  list = (qn_file_list){0};

done:
  free(path);
  qn_file_list_release(&list);
  return status;
}

qn_status qn_file_list_encode(const qn_file_list *list, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_buffer_append(out, &list->n_files, sizeof list->n_files, err));
  for (int64_t i = 0; i < list->n_files; i++) {
    const qn_file *file = &list->files[i];
    const int64_t head[N_HEAD] = {
        file->n_bytes,       (int64_t)file->compression, (int64_t)strlen(file->path),
        (int64_t)file->node, (int64_t)file->inode,       file->modified_ns};
    QN_TRY(qn_buffer_append(out, head, sizeof head, err));
    QN_TRY(qn_buffer_append(out, file->path, head[2] + 1, err));
  }

done:
  return status;
}

qn_status qn_file_list_decode(const void *data, int64_t size, qn_file_list *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_file_list list = {0};
  const char *at = data, *end = at + size;
  int64_t n_files = 0;
  static const char broken[] = "a list of files does not have the expected form";

  QN_REQUIRE(size >= (int64_t)sizeof n_files, err, QN_ERR_FORMAT, "%s", broken);
  memcpy(&n_files, at, sizeof n_files);
  at += sizeof n_files;
  QN_REQUIRE(n_files >= 0 && n_files <= MAX_LIST_FILES, err, QN_ERR_FORMAT, "%s", broken);
  for (int64_t i = 0; i < n_files; i++) {
    int64_t head[N_HEAD];
    QN_REQUIRE(end - at >= (int64_t)sizeof head, err, QN_ERR_FORMAT, "%s", broken);
    memcpy(head, at, sizeof head);
    at += sizeof head;
    QN_REQUIRE(head[0] >= 0 && head[1] >= QN_COMPRESSION_NONE && head[1] <= QN_COMPRESSION_ZSTD &&
                   head[2] >= 0 && head[2] < end - at &&
                   memchr(at, '\0', (size_t)head[2] + 1) == at + head[2],
               err, QN_ERR_FORMAT, "%s", broken);
    const qn_file file = {.path = (char *)at,
                          .n_bytes = head[0],
                          .compression = (qn_compression)head[1],
                          .node = (uint64_t)head[3],
                          .inode = (uint64_t)head[4],
                          .modified_ns = head[5]};
    QN_TRY(list_append(&list, &file, err));
    at += head[2] + 1;
  }
  QN_REQUIRE(at == end, err, QN_ERR_FORMAT, "%s", broken);
  *out = list;
  list = (qn_file_list){0};

done:
  qn_file_list_release(&list);
  return status;
}

void qn_file_list_release(qn_file_list *list) {
  for (int64_t i = 0; i < list->n_files; i++) {
    free(list->files[i].path);
  }
  qn_memory_free(list->files);
  *list = (qn_file_list){0};
}

qn_status qn_file_check_same(const qn_file *file, int fd, int64_t *modified_ns, qn_error *err) {
  qn_status status = QN_OK;
  struct stat about;

  QN_REQUIRE(fstat(fd, &about) == 0, err, QN_ERR_IO, "%s: cannot be read any more: %s", file->path,
             strerror(errno));
  const bool is_own = file->node != 0 && file->node == own_node();
  const int64_t now = time_of_change(&about);
  const int64_t before = *modified_ns != 0 ? *modified_ns : is_own ? file->modified_ns : now;
  QN_REQUIRE(about.st_size >= file->n_bytes, err, QN_ERR_IO,
             "%s: the file became shorter while it was read: it had %" PRId64 " bytes and has %" PRId64
             " now; run again when nothing writes to it",
             file->path, file->n_bytes, (int64_t)about.st_size);
  QN_REQUIRE(!is_own || about.st_ino == file->inode, err, QN_ERR_IO,
             "%s: the file was replaced by another while the job ran; run again when nothing writes to it",
             file->path);
  QN_REQUIRE(about.st_size > file->n_bytes || now == before, err, QN_ERR_IO,
             "%s: the file was changed while the job ran; run again when nothing writes to it", file->path);
  *modified_ns = now;

done:
  return status;
}
