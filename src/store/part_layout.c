// SPDX-License-Identifier: Apache-2.0
// Names and types inside a part.
#include "store/part_layout.h"
#include <stddef.h>
#include <string.h>
#include "base/check.h"
#include "base/hash.h"
#include "base/utf8.h"

// The type of one side of a range.
static hid_t bound_type(qn_type type) {
  const hsize_t size = QN_RANGE_BYTES;
  if (type == QN_BINARY) {
    return H5Tarray_create2(H5T_STD_U8LE, 1, &size);
  }
  if (type == QN_UTF8) {
    const hid_t text = H5Tcopy(H5T_C_S1);
    H5Tset_size(text, QN_RANGE_BYTES);
    H5Tset_strpad(text, H5T_STR_NULLPAD);
    H5Tset_cset(text, H5T_CSET_UTF8);
    return text;
  }
  return H5Tcopy(qn_h5_type(type));
}

qn_status qn_group_record_type(qn_type type, hid_t *out, qn_error *err) {
  const hid_t record = H5Tcreate(H5T_COMPOUND, sizeof(qn_group_record));
  const hid_t bound = bound_type(type);
  const size_t range = offsetof(qn_group_record, range);
  herr_t failed = record < 0 || bound < 0 ? -1 : 0;
  failed |= H5Tinsert(record, "first_row", offsetof(qn_group_record, first_row), H5T_STD_I64LE);
  failed |= H5Tinsert(record, "n_rows", offsetof(qn_group_record, n_rows), H5T_STD_I64LE);
  failed |= H5Tinsert(record, "n_nulls", offsetof(qn_group_record, n_nulls), H5T_STD_I64LE);
  failed |= H5Tinsert(record, "first_byte", offsetof(qn_group_record, first_byte), H5T_STD_I64LE);
  failed |= H5Tinsert(record, "n_bytes", offsetof(qn_group_record, n_bytes), H5T_STD_I64LE);
  failed |= H5Tinsert(record, "values_checksum", offsetof(qn_group_record, values_checksum), H5T_STD_U64LE);
  failed |=
      H5Tinsert(record, "validity_checksum", offsetof(qn_group_record, validity_checksum), H5T_STD_U64LE);
  failed |= H5Tinsert(record, "bytes_checksum", offsetof(qn_group_record, bytes_checksum), H5T_STD_U64LE);
  failed |= H5Tinsert(record, "min_size", range + offsetof(qn_value_range, min_size), H5T_STD_I32LE);
  failed |= H5Tinsert(record, "max_size", range + offsetof(qn_value_range, max_size), H5T_STD_I32LE);
  failed |= H5Tinsert(record, "has_range", range + offsetof(qn_value_range, has_range), H5T_STD_U8LE);
  failed |= H5Tinsert(record, "min_is_exact", range + offsetof(qn_value_range, min_is_exact), H5T_STD_U8LE);
  failed |= H5Tinsert(record, "max_is_exact", range + offsetof(qn_value_range, max_is_exact), H5T_STD_U8LE);
  failed |= H5Tinsert(record, "min", range + offsetof(qn_value_range, min), bound);
  failed |= H5Tinsert(record, "max", range + offsetof(qn_value_range, max), bound);
  if (bound >= 0) {
    H5Tclose(bound);
  }
  if (failed < 0) {
    if (record >= 0) {
      H5Tclose(record);
    }
    return qn_fail(err, QN_ERR_MEMORY, "no memory for the HDF5 type of a table of row groups");
  }
  *out = record;
  return QN_OK;
}

uint64_t qn_group_records_checksum(const qn_group_record *records, int64_t n) {
  return qn_hash_bytes(records, n * (int64_t)sizeof *records, 0);
}

qn_status qn_column_path_print(const char *name, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t size = (int64_t)strlen(name);
  const bool is_utf8 = qn_utf8_find_invalid(name, size) < 0;

  QN_TRY(qn_buffer_append(out, "columns/", strlen("columns/"), err));
  if (size == 0) {
    QN_TRY(qn_buffer_append(out, "%", 1, err));
  }
  for (int64_t i = 0; i < size; i++) {
    const uint8_t c = (uint8_t)name[i];
    const bool is_odd =
        c < 0x20 || c == 0x7F || c == '/' || c == '%' || (c >= 0x80 && !is_utf8) || (c == '.' && size == 1);
    if (is_odd) {
      QN_TRY(qn_buffer_printf(out, err, "%%%02X", c));
    } else {
      QN_TRY(qn_buffer_append(out, &c, 1, err));
    }
  }
  QN_TRY(qn_buffer_terminate(out, err));

done:
  return status;
}
