// SPDX-License-Identifier: Apache-2.0
// Linked into programs under the sanitizers only: libraries that MPI loads stay loaded, so that the leak
// checker can still name them at the end and tests/lsan.supp can leave out what is theirs.
int dlclose(void *handle) __attribute__((visibility("default")));

int dlclose(void *handle) {
  (void)handle;
  return 0;
}
