// SPDX-License-Identifier: Apache-2.0
// Runs other programs and reads what they say. Each has a process group of its own, so that one that hangs
// goes with all it has started.
#include "cli/child.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// Returns a descriptor to read the text from; -1 if that cannot be.
static int open_input(const char *text) {
  const size_t size = strlen(text);
  const int input = memfd_create("input", MFD_CLOEXEC);

  if (input >= 0 && (write(input, text, size) != (ssize_t)size || lseek(input, 0, SEEK_SET) != 0)) {
    close(input);
    return -1;
  }
  return input;
}

// Starts the program with `input` and `output` as its standard input and output; 0 or what was wrong.
static int start(const quern_child *child, int input, int output, pid_t *process) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;

  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  if (child->is_with_errors) {
    posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
  }
  const int code = posix_spawnp(process, child->arguments[0], &actions, &attributes,
                                (char *const *)(uintptr_t)child->arguments, environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return code;
}

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// Reads until the program has closed its end; false if its time was over before.
static bool read_all(int from, int seconds, char *output, size_t size) {
  const int64_t end = now_ms() + (int64_t)seconds * 1000;
  char rest[4096];
  size_t used = 0;

  for (;;) {
    const int64_t left = end - now_ms();
    struct pollfd ready = {.fd = from, .events = POLLIN};
    if (left <= 0 || (poll(&ready, 1, (int)left) < 0 && errno != EINTR)) {
      return false;
    }
    if (ready.revents == 0) {
      continue;
    }
    const bool is_full = used + 1 >= size;
    const ssize_t n = read(from, is_full ? rest : output + used, is_full ? sizeof rest : size - 1 - used);
    if (n <= 0) {
      return true;
    }
    used += is_full ? 0 : (size_t)n;
    output[used] = '\0';
  }
}

int quern_child_run(const quern_child *child, char *output, size_t size) {
  int ends[2] = {-1, -1};
  int state = 0;
  int exit_code = QUERN_CHILD_MISSING;
  pid_t process = 0;
  const int input = open_input(child->input == NULL ? "" : child->input);

  output[0] = '\0';
  if (input < 0 || pipe(ends) != 0 || start(child, input, ends[1], &process) != 0) {
    goto done;
  }
  close(ends[1]);
  ends[1] = -1;
  const bool is_done = read_all(ends[0], child->seconds, output, size);
  if (!is_done) {
    kill(-process, SIGKILL);
  }
  while (waitpid(process, &state, 0) < 0 && errno == EINTR) {
  }
  exit_code = !is_done ? QUERN_CHILD_SILENT : WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);

done:
  for (int i = 0; i < 2; i++) {
    if (ends[i] >= 0) {
      close(ends[i]);
    }
  }
  if (input >= 0) {
    close(input);
  }
  return exit_code;
}

static bool is_program(const char *path, bool *is_there) {
  struct stat about;
  const bool is_file = stat(path, &about) == 0 && S_ISREG(about.st_mode);
  *is_there = *is_there || is_file;
  return is_file && access(path, X_OK) == 0;
}

// Links are not followed: some programs do what their name says.
static char *absolute(const char *path) {
  char *folder = path[0] == '/' ? NULL : getcwd(NULL, 0);
  char *whole = NULL;

  if (path[0] == '/') {
    return strdup(path);
  }
  if (folder == NULL || asprintf(&whole, "%s/%s", folder, path) < 0) {
    whole = NULL;
  }
  free(folder);
  return whole;
}

char *quern_find_program(const char *name, bool *is_there) {
  char path[4096];
  const char *folders = getenv("PATH");

  *is_there = false;
  if (strchr(name, '/') != NULL) {
    return is_program(name, is_there) ? absolute(name) : NULL;
  }
  for (const char *at = folders; at != NULL && *at != '\0';) {
    const size_t n = strcspn(at, ":");
    snprintf(path, sizeof path, "%.*s/%s", (int)n, n == 0 ? "." : at, name);
    if (is_program(path, is_there)) {
      return absolute(path);
    }
    at += n + (at[n] == ':');
  }
  return NULL;
}
