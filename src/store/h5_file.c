// SPDX-License-Identifier: Apache-2.0
// HDF5 files, groups and attributes. The on-disk version is bounded to that of HDF5 1.8: its metadata carries
// checksums, which HDF5 verifies, and everything that reads HDF5 today reads it.
#include "store/h5_file.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/check.h"
#include "base/files.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "parts hold little-endian values that are written and checked as they lie in memory");

// Values of at least this size are aligned in the file, so that they are copied by whole pages.
enum { ALIGN_FROM_BYTES = 65536, ALIGN_BYTES = 4096, METADATA_BLOCK_BYTES = 16384 };

qn_h5_quiet qn_h5_quiet_begin(void) {
  qn_h5_quiet quiet = {0};
  unsigned is_version_2 = 0;
  // HDF5 forgets to free some things when it meets a damaged file or a full disk, and then complains on
  // standard error when the program ends. We close every file we open, so it need not clean up then. (No
  // effect, and no harm, if the program has used HDF5 before.)
  H5dont_atexit();
  H5open();
  if (H5Eauto_is_v2(H5E_DEFAULT, &is_version_2) >= 0 && is_version_2 != 0 &&
      H5Eget_auto2(H5E_DEFAULT, &quiet.function, &quiet.data) >= 0) {
    quiet.is_set = H5Eset_auto2(H5E_DEFAULT, NULL, NULL) >= 0;
  }
  return quiet;
}

void qn_h5_quiet_end(const qn_h5_quiet *quiet) {
  if (quiet->is_set) {
    H5Eset_auto2(H5E_DEFAULT, quiet->function, quiet->data);
  }
}

// The innermost message of the error stack, and the system's error number where a message has one.
typedef struct failure_cause {
  char text[300];
  int system_error;
} failure_cause;

static herr_t note_cause(unsigned n, const H5E_error2_t *entry, void *data) {
  failure_cause *cause = data;
  if (entry->desc == NULL) {
    return 0;
  }
  if (n == 0) {
    snprintf(cause->text, sizeof cause->text, "%s", entry->desc);
  }
  const char *number = strstr(entry->desc, "errno = ");
  if (number != NULL && cause->system_error == 0) {
    cause->system_error = (int)strtol(number + strlen("errno = "), NULL, 10);
  }
  return 0;
}

qn_status qn_h5_fail(qn_error *err, qn_status otherwise, const char *path, const char *format, ...) {
  failure_cause cause = {0};
  char what[400];
  va_list arguments;

  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, note_cause, &cause);
  H5Eclear2(H5E_DEFAULT);
  va_start(arguments, format);
  vsnprintf(what, sizeof what, format, arguments);
  va_end(arguments);
  if (cause.system_error != 0) {
    return qn_fail(err, QN_ERR_IO, "%s: %s: %s%s", path, what, strerror(cause.system_error),
                   qn_advice_on_writing(cause.system_error));
  }
  return qn_fail(err, otherwise, "%s: %s: %s%s", path, what,
                 cause.text[0] != '\0' ? cause.text : "HDF5 gives no reason",
                 otherwise == QN_ERR_FORMAT ? "; if it is the right file, make it or copy it again" : "");
}

static hid_t access_properties(void) {
  const hid_t properties = H5Pcreate(H5P_FILE_ACCESS);
  H5Pset_fclose_degree(properties, H5F_CLOSE_STRONG);
  H5Pset_libver_bounds(properties, H5F_LIBVER_V18, H5F_LIBVER_V18);
  H5Pset_alignment(properties, ALIGN_FROM_BYTES, ALIGN_BYTES);
  H5Pset_meta_block_size(properties, METADATA_BLOCK_BYTES);
  // No chunk cache: whole row groups are read, and straight to where they are wanted.
  H5Pset_cache(properties, 0, 1, 0, 0.0);
  // Some file systems of clusters know no locks; parts are published by rename and need none.
  H5Pset_file_locking(properties, false, true);
  return properties;
}

qn_status qn_h5_file_create(const char *path, hid_t *out, qn_error *err) {
  qn_status status = QN_OK;
  const hid_t access = access_properties();
  const hid_t creation = H5Pcreate(H5P_FILE_CREATE);
  H5Pset_obj_track_times(creation, false);
  const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, creation, access);
  if (file < 0) {
    status = qn_h5_fail(err, QN_ERR_IO, path, "cannot be created");
  } else {
    *out = file;
  }
  H5Pclose(creation);
  H5Pclose(access);
  return status;
}

qn_status qn_h5_file_open(const char *path, hid_t *out, qn_error *err) {
  qn_status status = QN_OK;
  const hid_t access = access_properties();
  const hid_t file = H5Fopen(path, H5F_ACC_RDONLY, access);
  if (file < 0) {
    status =
        qn_h5_fail(err, QN_ERR_FORMAT, path, "cannot be opened as an HDF5 file (damaged or unfinished?)");
  } else {
    *out = file;
  }
  H5Pclose(access);
  return status;
}

// A copy of the file's descriptor, or -1.
static int copy_descriptor(hid_t file) {
  void *handle = NULL;
  if (H5Fget_vfd_handle(file, H5P_DEFAULT, &handle) < 0 || handle == NULL) {
    return -1;
  }
  return dup(*(const int *)handle);
}

qn_status qn_h5_file_finish(hid_t *file, const char *path, int64_t *n_bytes, qn_error *err) {
  qn_status status = QN_OK;
  struct stat info;
  int descriptor = -1;
  herr_t closed = 0;

  // Flushing first: a file whose metadata could not be written must be closed by abandoning it.
  if (H5Fflush(*file, H5F_SCOPE_GLOBAL) < 0) {
    status = qn_h5_fail(err, QN_ERR_IO, path, "cannot be written");
    goto done;
  }
  descriptor = copy_descriptor(*file);
  QN_REQUIRE(descriptor >= 0, err, QN_ERR_IO, "%s: %s", path, strerror(errno));
  closed = H5Fclose(*file);
  *file = H5I_INVALID_HID;
  if (closed < 0) {
    status = qn_h5_fail(err, QN_ERR_IO, path, "cannot be closed");
    goto done;
  }
  QN_REQUIRE(fsync(descriptor) == 0 || errno == EINVAL, err, QN_ERR_IO, "%s: flushing to disk: %s", path,
             strerror(errno));
  QN_REQUIRE(fstat(descriptor, &info) == 0, err, QN_ERR_IO, "%s: %s", path, strerror(errno));
  *n_bytes = info.st_size;

done:
  if (descriptor >= 0) {
    close(descriptor);
  }
  return status;
}

void qn_h5_file_abandon(hid_t *file) {
  void *handle = NULL;
  if (*file <= 0) {
    return;
  }
  // HDF5 cannot close a file whose metadata it cannot write: it would keep it open and try again when the
  // program ends. So the rest goes to a file in memory that takes the place of the one on disk.
  const int memory = memfd_create("quern-abandoned", MFD_CLOEXEC);
  if (memory >= 0 && H5Fget_vfd_handle(*file, H5P_DEFAULT, &handle) >= 0 && handle != NULL) {
    dup2(memory, *(const int *)handle);
  }
  H5Fclose(*file);
  *file = H5I_INVALID_HID;
  if (memory >= 0) {
    close(memory);
  }
}

void qn_h5_file_close(hid_t *file) {
  if (*file > 0) {
    H5Fclose(*file);
  }
  *file = H5I_INVALID_HID;
}

qn_status qn_h5_group_create(hid_t parent, const char *path, const char *name, hid_t *out, qn_error *err) {
  qn_status status = QN_OK;
  const hid_t links = H5Pcreate(H5P_LINK_CREATE);
  const hid_t creation = H5Pcreate(H5P_GROUP_CREATE);
  H5Pset_char_encoding(links, H5T_CSET_UTF8);
  H5Pset_obj_track_times(creation, false);
  const hid_t group = H5Gcreate2(parent, name, links, creation, H5P_DEFAULT);
  if (group < 0) {
    status = qn_h5_fail(err, QN_ERR_IO, path, "making the group '%s'", name);
  } else {
    *out = group;
  }
  H5Pclose(creation);
  H5Pclose(links);
  return status;
}

qn_status qn_h5_put_value(hid_t object, const char *path, const char *name, hid_t type, const void *value,
                          qn_error *err) {
  qn_status status = QN_OK;
  const hid_t space = H5Screate(H5S_SCALAR);
  const hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  if (attribute < 0 || H5Awrite(attribute, type, value) < 0) {
    status = qn_h5_fail(err, QN_ERR_IO, path, "writing the attribute '%s'", name);
  }
  if (attribute >= 0) {
    H5Aclose(attribute);
  }
  H5Sclose(space);
  return status;
}

qn_status qn_h5_put_text(hid_t object, const char *path, const char *name, const char *text, qn_error *err) {
  const hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, H5T_VARIABLE);
  H5Tset_cset(type, H5T_CSET_UTF8);
  const qn_status status = qn_h5_put_value(object, path, name, type, &text, err);
  H5Tclose(type);
  return status;
}

qn_status qn_h5_put_int64(hid_t object, const char *path, const char *name, int64_t value, qn_error *err) {
  return qn_h5_put_value(object, path, name, H5T_STD_I64LE, &value, err);
}

// Each may not be open.
static void close_opened(hid_t attribute, hid_t type, hid_t space) {
  if (space >= 0) {
    H5Sclose(space);
  }
  if (type >= 0) {
    H5Tclose(type);
  }
  if (attribute >= 0) {
    H5Aclose(attribute);
  }
}

static qn_status open_attribute(hid_t object, const char *path, const char *name, hid_t *attribute,
                                hid_t *type, hid_t *space, qn_error *err) {
  qn_status status = QN_OK;

  QN_REQUIRE(H5Aexists(object, name) > 0, err, QN_ERR_FORMAT, "%s: has no attribute '%s'", path, name);
  *attribute = H5Aopen(object, name, H5P_DEFAULT);
  *type = *attribute >= 0 ? H5Aget_type(*attribute) : H5I_INVALID_HID;
  *space = *attribute >= 0 ? H5Aget_space(*attribute) : H5I_INVALID_HID;

done:
  return status;
}

qn_status qn_h5_get_int64(hid_t object, const char *path, const char *name, int64_t *value, qn_error *err) {
  qn_status status = QN_OK;
  hid_t attribute = H5I_INVALID_HID, type = H5I_INVALID_HID, space = H5I_INVALID_HID;

  QN_TRY(open_attribute(object, path, name, &attribute, &type, &space, err));
  if (type < 0 || space < 0 || H5Tget_class(type) != H5T_INTEGER ||
      H5Sget_simple_extent_npoints(space) != 1 || H5Aread(attribute, H5T_NATIVE_INT64, value) < 0) {
    status = qn_h5_fail(err, QN_ERR_FORMAT, path, "the attribute '%s' is no whole number", name);
  }

done:
  close_opened(attribute, type, space);
  return status;
}

qn_status qn_h5_put_fixed_text(hid_t object, const char *path, const char *name, const char *text,
                               qn_error *err) {
  const hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, strlen(text) + 1);
  H5Tset_cset(type, H5T_CSET_UTF8);
  const qn_status status = qn_h5_put_value(object, path, name, type, text, err);
  H5Tclose(type);
  return status;
}

qn_status qn_h5_get_fixed_text(hid_t object, const char *path, const char *name, int64_t max_bytes,
                               qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  hid_t attribute = H5I_INVALID_HID, type = H5I_INVALID_HID, space = H5I_INVALID_HID;

  QN_TRY(open_attribute(object, path, name, &attribute, &type, &space, err));
  const size_t size = type >= 0 && H5Tget_class(type) == H5T_STRING ? H5Tget_size(type) : 0;
  if (space < 0 || size == 0 || size > (size_t)max_bytes || H5Tis_variable_str(type) != 0 ||
      H5Sget_simple_extent_npoints(space) != 1) {
    status = qn_h5_fail(err, QN_ERR_FORMAT, path, "the attribute '%s' is no text of a fixed length", name);
    goto done;
  }
  QN_TRY(qn_buffer_reserve(out, (int64_t)size, err));
  if (H5Aread(attribute, type, out->data + out->size) < 0) {
    status = qn_h5_fail(err, QN_ERR_FORMAT, path, "reading the attribute '%s'", name);
    goto done;
  }
  out->size += (int64_t)strnlen((const char *)out->data + out->size, size);

done:
  close_opened(attribute, type, space);
  return status;
}

hid_t qn_h5_type(qn_type type) {
  switch (type) {
  case QN_BOOL:
  case QN_UTF8:
  case QN_BINARY:
    return H5T_STD_U8LE;
  case QN_INT32:
  case QN_DATE:
    return H5T_STD_I32LE;
  case QN_INT64:
  case QN_TIMESTAMP:
    return H5T_STD_I64LE;
  case QN_FLOAT32:
    return H5T_IEEE_F32LE;
  case QN_FLOAT64:
    return H5T_IEEE_F64LE;
  }
  return H5I_INVALID_HID;
}
