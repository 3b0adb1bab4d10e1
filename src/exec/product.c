// SPDX-License-Identifier: Apache-2.0
// Cheap enough to be done after each write: a small file is in the page cache still, a large one is sampled.
#include "exec/product.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/files.h"
#include "base/hash.h"

enum { PIECE_BYTES = 1 << 20, MOST_PIECES = 64, MOST_MANIFEST_BYTES = 1 << 30 };

static qn_status hash_file(const char *path, const struct stat *info, uint64_t *out, qn_error *err) {
  qn_status status = QN_OK;
  uint64_t hash = 0;
  uint8_t *piece = malloc(PIECE_BYTES);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  const int64_t n_pieces = ((int64_t)info->st_size + PIECE_BYTES - 1) / PIECE_BYTES;
  const int64_t n_read = n_pieces < MOST_PIECES ? n_pieces : MOST_PIECES;

  QN_REQUIRE(piece != NULL, err, QN_ERR_MEMORY, "no memory to look at %s", path);
  QN_REQUIRE(fd >= 0, err, QN_ERR_IO, "%s: cannot read: %s", path, strerror(errno));
  for (int64_t i = 0; i < n_read; i++) {
    const int64_t number = n_read < 2 ? 0 : i * (n_pieces - 1) / (n_read - 1); // the first and the last too
    const int64_t at = number * PIECE_BYTES;
    const int64_t left = (int64_t)info->st_size - at;
    const int64_t size = left < PIECE_BYTES ? left : PIECE_BYTES;
    QN_TRY(qn_file_read_at(fd, path, piece, size, at, err));
    hash = qn_hash_bytes(piece, size, hash);
  }
  if (n_pieces > MOST_PIECES) {
    hash =
        qn_hash_combine(hash, (uint64_t)info->st_mtim.tv_sec * 1000000000U + (uint64_t)info->st_mtim.tv_nsec);
  }
  *out = hash;

done:
  if (fd >= 0) {
    close(fd);
  }
  free(piece);
  return status;
}

// Names and sizes of what is in a folder, and the manifest's bytes.
static qn_status hash_folder(const char *path, uint64_t *out, qn_error *err) {
  qn_status status = QN_OK;
  struct dirent **entries = NULL;
  char *name = NULL;
  qn_buffer manifest = {0};
  struct stat info;
  const int n = scandir(path, &entries, NULL, alphasort);

  QN_REQUIRE(n >= 0, err, QN_ERR_IO, "%s: cannot read: %s", path, strerror(errno));
  QN_REQUIRE(asprintf(&name, "%s/manifest.json", path) >= 0, err, QN_ERR_MEMORY, "no memory for a path");
  QN_TRY(qn_file_read_all(name, MOST_MANIFEST_BYTES, &manifest, err));
  uint64_t hash = qn_hash_bytes(manifest.data, manifest.size, 0);
  for (int i = 0; i < n; i++) {
    free(name);
    name = NULL;
    QN_REQUIRE(asprintf(&name, "%s/%s", path, entries[i]->d_name) >= 0, err, QN_ERR_MEMORY,
               "no memory for a path");
    QN_REQUIRE(stat(name, &info) == 0, err, QN_ERR_IO, "%s: %s", name, strerror(errno));
    if (S_ISREG(info.st_mode)) {
      hash = qn_hash_bytes(entries[i]->d_name, (int64_t)strlen(entries[i]->d_name), hash);
      hash = qn_hash_combine(hash, (uint64_t)info.st_size);
    }
  }
  *out = hash;

done:
  for (int i = 0; i < n; i++) {
    free(entries[i]);
  }
  free((void *)entries);
  free(name);
  qn_buffer_release(&manifest);
  return status;
}

qn_status qn_product_fingerprint(const char *path, char *out, qn_error *err) {
  qn_status status = QN_OK;
  struct stat info;
  uint64_t hash = 0;

  QN_REQUIRE(stat(path, &info) == 0, err, QN_ERR_IO, "%s: %s", path, strerror(errno));
  if (S_ISDIR(info.st_mode)) {
    QN_TRY(hash_folder(path, &hash, err));
    snprintf(out, QN_PRODUCT_TEXT, "stage-%016" PRIx64, hash);
  } else {
    QN_TRY(hash_file(path, &info, &hash, err));
    snprintf(out, QN_PRODUCT_TEXT, "%lld-%016" PRIx64, (long long)info.st_size, hash);
  }

done:
  return status;
}
