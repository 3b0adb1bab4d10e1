// SPDX-License-Identifier: Apache-2.0
// One step function per library; what is shared is that a member's end starts the next member when bytes
// follow.
#include "io/decompress.h"
#include <bzlib.h>
#include <inttypes.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>
#include "base/check.h"

struct qn_decompressor {
  qn_compression compression;
  const char *path;
  bool is_open;    // the library's state is initialised
  bool is_inside;  // a member has begun and not ended
  bool is_padding; // gzip: zero bytes behind the last member, which tapes and block devices leave
  int64_t n_taken; // bytes of the file so far
  z_stream gzip;
  bz_stream bzip2;
  ZSTD_DStream *zstd;
};

static const char *name_of(qn_compression compression) {
  return compression == QN_COMPRESSION_GZIP ? "gzip" : compression == QN_COMPRESSION_BZIP2 ? "bzip2" : "zstd";
}

static qn_status fail_damaged(const qn_decompressor *d, const char *reason, qn_error *err) {
  return qn_fail(err, QN_ERR_FORMAT, "%s: the %s data is damaged at byte %" PRId64 ": %s", d->path,
                 name_of(d->compression), d->n_taken, reason);
}

qn_status qn_decompressor_new(qn_compression compression, const char *path, qn_decompressor **out,
                              qn_error *err) {
  qn_status status = QN_OK;
  qn_decompressor *d = calloc(1, sizeof *d);

  QN_REQUIRE(d != NULL, err, QN_ERR_MEMORY, "%s: no memory to decompress", path);
  d->compression = compression;
  d->path = path;
  if (compression == QN_COMPRESSION_GZIP) {
    d->is_open = inflateInit2(&d->gzip, 15 + 16) == Z_OK; // 16: a gzip header and trailer
  } else if (compression == QN_COMPRESSION_BZIP2) {
    d->is_open = BZ2_bzDecompressInit(&d->bzip2, 0, 0) == BZ_OK;
  } else {
    d->zstd = ZSTD_createDStream();
    d->is_open = d->zstd != NULL;
  }
  QN_REQUIRE(d->is_open, err, QN_ERR_MEMORY, "%s: no memory to decompress", path);
  *out = d;
  d = NULL;

done:
  qn_decompressor_free(d);
  return status;
}

void qn_decompressor_free(qn_decompressor *d) {
  if (d == NULL) {
    return;
  }
  if (d->is_open && d->compression == QN_COMPRESSION_GZIP) {
    inflateEnd(&d->gzip);
  } else if (d->is_open && d->compression == QN_COMPRESSION_BZIP2) {
    BZ2_bzDecompressEnd(&d->bzip2);
  }
  ZSTD_freeDStream(d->zstd);
  free(d);
}

static unsigned clamp_size(int64_t size) {
  const int64_t most = 1 << 30;
  return (unsigned)(size < most ? size : most);
}

static qn_status step_gzip(qn_decompressor *d, const uint8_t *in, int64_t in_size, int64_t *n_taken,
                           void *out, int64_t out_size, int64_t *n_given, qn_error *err) {
  qn_status status = QN_OK;

  *n_taken = 0;
  *n_given = 0;
  if (!d->is_inside && d->n_taken > 0) {
    while (*n_taken < in_size && in[*n_taken] == 0) {
      d->is_padding = true;
      *n_taken += 1;
    }
    if (*n_taken > 0) {
      goto done;
    }
    if (d->is_padding) {
      status = fail_damaged(d, "bytes follow the zeros behind its end", err);
      goto done;
    }
  }
  d->gzip.next_in = (Bytef *)(uintptr_t)in;
  d->gzip.avail_in = clamp_size(in_size);
  d->gzip.next_out = out;
  d->gzip.avail_out = clamp_size(out_size);
  const int result = inflate(&d->gzip, Z_NO_FLUSH);
  *n_taken = d->gzip.next_in - in;
  *n_given = d->gzip.next_out - (Bytef *)out;
  d->is_inside = true;
  if (result == Z_STREAM_END) {
    d->is_inside = false;
    QN_REQUIRE(inflateReset(&d->gzip) == Z_OK, err, QN_ERR_MEMORY, "%s: no memory to decompress", d->path);
  } else if (result != Z_OK && result != Z_BUF_ERROR) {
    d->n_taken += *n_taken;
    status = fail_damaged(d, d->gzip.msg != NULL ? d->gzip.msg : "not a gzip member", err);
  }

done:
  return status;
}

static qn_status step_bzip2(qn_decompressor *d, const void *in, int64_t in_size, int64_t *n_taken, void *out,
                            int64_t out_size, int64_t *n_given, qn_error *err) {
  qn_status status = QN_OK;

  d->bzip2.next_in = (char *)(uintptr_t)in;
  d->bzip2.avail_in = clamp_size(in_size);
  d->bzip2.next_out = out;
  d->bzip2.avail_out = clamp_size(out_size);
  const int result = BZ2_bzDecompress(&d->bzip2);
  *n_taken = d->bzip2.next_in - (char *)(uintptr_t)in;
  *n_given = d->bzip2.next_out - (char *)out;
  d->is_inside = true;
  if (result == BZ_STREAM_END) {
    d->is_inside = false;
    BZ2_bzDecompressEnd(&d->bzip2);
    d->bzip2 = (bz_stream){0};
    d->is_open = BZ2_bzDecompressInit(&d->bzip2, 0, 0) == BZ_OK;
    QN_REQUIRE(d->is_open, err, QN_ERR_MEMORY, "%s: no memory to decompress", d->path);
  } else if (result != BZ_OK) {
    d->n_taken += *n_taken;
    status =
        result == BZ_MEM_ERROR
            ? qn_fail(err, QN_ERR_MEMORY, "%s: no memory to decompress", d->path)
            : fail_damaged(d, result == BZ_DATA_ERROR_MAGIC ? "not a bzip2 stream" : "wrong checksum or code",
                           err);
  }

done:
  return status;
}

static qn_status step_zstd(qn_decompressor *d, const void *in, int64_t in_size, int64_t *n_taken, void *out,
                           int64_t out_size, int64_t *n_given, qn_error *err) {
  ZSTD_inBuffer from = {.src = in, .size = (size_t)in_size, .pos = 0};
  ZSTD_outBuffer to = {.dst = out, .size = (size_t)out_size, .pos = 0};
  const size_t result = ZSTD_decompressStream(d->zstd, &to, &from);

  *n_taken = (int64_t)from.pos;
  *n_given = (int64_t)to.pos;
  if (ZSTD_isError(result)) {
    d->n_taken += *n_taken;
    return fail_damaged(d, ZSTD_getErrorName(result), err);
  }
  d->is_inside = result != 0;
  return QN_OK;
}

qn_status qn_decompressor_step(qn_decompressor *d, const void *in, int64_t in_size, int64_t *n_taken,
                               void *out, int64_t out_size, int64_t *n_given, qn_error *err) {
  qn_status status = QN_OK;

  *n_taken = 0;
  *n_given = 0;
  if (in_size == 0 && !d->is_inside) {
    goto done; // between members a step without input would begin one
  }
  if (d->compression == QN_COMPRESSION_GZIP) {
    QN_TRY(step_gzip(d, in, in_size, n_taken, out, out_size, n_given, err));
  } else if (d->compression == QN_COMPRESSION_BZIP2) {
    QN_TRY(step_bzip2(d, in, in_size, n_taken, out, out_size, n_given, err));
  } else {
    QN_TRY(step_zstd(d, in, in_size, n_taken, out, out_size, n_given, err));
  }
  d->n_taken += *n_taken;

done:
  return status;
}

qn_status qn_decompressor_finish(const qn_decompressor *d, qn_error *err) {
  qn_status status = QN_OK;

  QN_REQUIRE(!d->is_inside, err, QN_ERR_FORMAT,
             "%s: the %s data ends too early, at byte %" PRId64 ": the file is truncated; copy it again",
             d->path, name_of(d->compression), d->n_taken);

done:
  return status;
}
