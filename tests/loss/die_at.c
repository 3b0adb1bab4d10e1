// SPDX-License-Identifier: Apache-2.0
// Loaded before the C library by tests: the process gets SIGKILL before (QN_DIE=before) or after
// (QN_DIE=after) the call that puts a file or folder whose name has QN_DIE_AT in it to its place. That is a
// moment which nothing outside can hit.
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEN __attribute__((visibility("default")))

static void die(const char *to, const char *when) {
  const char *at = getenv("QN_DIE_AT");
  const char *wanted = getenv("QN_DIE");
  if (at != NULL && wanted != NULL && strstr(to, at) != NULL && strcmp(when, wanted) == 0) {
    raise(SIGKILL);
  }
}

SEEN int rename(const char *from, const char *to) {
  int (*next)(const char *, const char *) = NULL;
  *(void **)&next = dlsym(RTLD_NEXT, "rename");
  die(to, "before");
  const int result = next(from, to);
  die(to, "after");
  return result;
}

SEEN int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
  int (*next)(int, const char *, int, const char *, unsigned) = NULL;
  *(void **)&next = dlsym(RTLD_NEXT, "renameat2");
  die(to, "before");
  const int result = next(from_folder, from, to_folder, to, flags);
  die(to, "after");
  return result;
}
