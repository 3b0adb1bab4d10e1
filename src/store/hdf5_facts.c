// SPDX-License-Identifier: Apache-2.0
// The HDF5 library and whether a folder takes its files.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <quern/doctor.h>
#include "base/check.h"
#include "store/h5_file.h"

QN_API qn_hdf5_facts qn_hdf5_look(void) {
  qn_hdf5_facts facts = {0};
  unsigned major = 0;
  unsigned minor = 0;
  unsigned release = 0;
  hbool_t is_threadsafe = false;

  H5get_libversion(&major, &minor, &release);
  snprintf(facts.version, sizeof facts.version, "%u.%u.%u", major, minor, release);
  facts.is_same = major == H5_VERS_MAJOR && minor == H5_VERS_MINOR;
  facts.is_threadsafe = H5is_library_threadsafe(&is_threadsafe) >= 0 && is_threadsafe;
  return facts;
}

QN_API qn_status qn_hdf5_try(const char *folder, qn_error *err) {
  qn_status status = QN_OK;
  char path[4200];
  hid_t file = H5I_INVALID_HID;
  int64_t n_bytes = 0;
  const qn_h5_quiet quiet = qn_h5_quiet_begin();

  snprintf(path, sizeof path, "%s/quern-doctor-%ld.h5", folder, (long)getpid());
  QN_TRY(qn_h5_file_create(path, &file, err));
  QN_TRY(qn_h5_file_finish(&file, path, &n_bytes, err));
  QN_TRY(qn_h5_file_open(path, &file, err));

done:
  if (status == QN_OK) {
    qn_h5_file_close(&file);
  } else {
    qn_h5_file_abandon(&file);
  }
  unlink(path);
  qn_h5_quiet_end(&quiet);
  return status;
}
