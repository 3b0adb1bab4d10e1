// SPDX-License-Identifier: Apache-2.0
// The doctor's checks of the node it runs on.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <quern/doctor.h>

#include "cli/doctor.h"

static const double GIB = 1024.0 * 1024 * 1024;
enum { FEWEST_FILES = 1024, LEAST_SHARED_MIB = 256, SMALL_BUDGET_MIB = 256, LEAST_LOCKED_MIB = 64 };

static int n_own_cores(void) {
  cpu_set_t cores;
  return sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 1;
}

static void check_cores(quern_findings *findings, const qn_room *room) {
  const char *given = getenv("SLURM_CPUS_ON_NODE");
  const long n_given = given == NULL ? 0 : strtol(given, NULL, 10);
  const int n_own = n_own_cores();

  if (n_given > 0 && n_own > n_given) {
    quern_find(
        findings, QUERN_WARNING, "cores",
        "The cluster does not confine jobs (TaskPlugin); start one rank for each core that you asked for.",
        "Slurm gives the job %ld processors here, but nothing keeps it off the other %ld", n_given,
        n_own - n_given);
  } else if (room->quota_percent > 0 && room->quota_percent < 100 * (int64_t)room->n_usable_cores) {
    quern_find(
        findings, QUERN_FINE, "cores", NULL,
        "%d of the node's %d cores, but a control group (a container) gives the processor time of %.4g: "
        "ranks times threads should not be more",
        room->n_usable_cores, room->n_cores, (double)room->quota_percent / 100);
  } else {
    quern_find(findings, QUERN_FINE, "cores", NULL,
               "%d of the node's %d cores; sockets: %d, memory domains: %d", room->n_usable_cores,
               room->n_cores, room->n_sockets, room->n_domains);
  }
}

static void check_blas(quern_findings *findings) {
  static const char *const names[] = {"OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS"};
  const qn_blas_facts blas = qn_blas_look();
  const int n_own = n_own_cores();

  quern_find(
      findings, blas.is_old ? QUERN_WARNING : QUERN_FINE, "BLAS",
      "This OpenBLAS is older than the processor: training is several times slower. Install a newer one.",
      "%s; kernels for %s", blas.name, blas.kernels);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const char *text = getenv(names[i]);
    if (text != NULL && strtol(text, NULL, 10) > n_own) {
      quern_find(findings, QUERN_WARNING, "BLAS threads",
                 "Unset it: every rank starts so many threads, and they are in each other's way.",
                 "%s=%s, but there are %d cores", names[i], text, n_own);
      return;
    }
  }
  quern_find(findings, QUERN_FINE, "BLAS threads", NULL,
             "one for each core of a rank that other ranks leave to it");
}

static void check_memory(quern_findings *findings, const qn_room *room) {
  struct rlimit addresses;
  const bool is_capped = getrlimit(RLIMIT_AS, &addresses) == 0 && addresses.rlim_cur != RLIM_INFINITY;
  if (is_capped && (double)addresses.rlim_cur < (double)room->budget * 2) {
    quern_find(findings, QUERN_PROBLEM, "memory", "ulimit -v unlimited, or give ranks less with --memory.",
               "ulimit -v lets a process have %.1f GiB, a rank is to use %.1f GiB",
               (double)addresses.rlim_cur / GIB, (double)room->budget / GIB);
  } else {
    const bool is_small = room->budget < (int64_t)SMALL_BUDGET_MIB << 20;
    quern_find(findings, is_small ? QUERN_WARNING : QUERN_FINE, "memory",
               "Jobs will spill much: ask Slurm for more (--mem, --mem-per-cpu), or start fewer ranks.",
               "%.2f GiB for each of %d ranks on this node (%s)", (double)room->budget / GIB,
               room->n_usable_cores, room->budget_source);
  }
}

static void check_scratch(quern_findings *findings, const qn_room *room) {
  const double whole = (double)room->budget * room->n_usable_cores;

  if (room->scratch_is_memory) {
    quern_find(findings, QUERN_WARNING, "scratch",
               "Name a folder on a disk: export QUERN_SCRATCH=/local/disk, or --scratch.",
               "%s is in memory: what is spilled there stays in memory", room->scratch);
  } else if ((double)room->scratch_free < whole) {
    quern_find(findings, QUERN_WARNING, "scratch",
               "Name a larger disk of the node: export QUERN_SCRATCH=/local/disk, or --scratch.",
               "%s has %.1f GiB free, less than the memory of the ranks, %.1f GiB", room->scratch,
               (double)room->scratch_free / GIB, whole / GIB);
  } else {
    quern_find(findings, QUERN_FINE, "scratch", NULL, "%s, %.1f GiB free", room->scratch,
               (double)room->scratch_free / GIB);
  }
}

// Whether files of the working directory can be locked: what HDF5 wants to do unless it is told not to.
static bool has_locks(void) {
  char path[64];
  snprintf(path, sizeof path, ".quern-doctor-%ld", (long)getpid());
  const int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  const bool is_locked = file < 0 || flock(file, LOCK_EX | LOCK_NB) == 0;
  if (file >= 0) {
    close(file);
    unlink(path);
  }
  return is_locked;
}

static void check_files(quern_findings *findings) {
  const qn_hdf5_facts hdf5 = qn_hdf5_look();
  qn_error err = {0};

  quern_find(findings, hdf5.is_same ? QUERN_FINE : QUERN_WARNING, "HDF5",
             "Load the HDF5 that Quern was built with, or build Quern again.", "%s%s%s", hdf5.version,
             hdf5.is_threadsafe ? ", thread-safe" : "",
             hdf5.is_same ? "" : ": another version than Quern was built with");
  if (qn_hdf5_try(".", &err) != QN_OK) {
    quern_find(findings, QUERN_WARNING, "files",
               "Jobs write their results and the run's folder: run them where you may write.",
               "the working directory takes no HDF5 files: %s", err.message);
  } else if (!has_locks()) {
    quern_find(findings, QUERN_WARNING, "files",
               "Quern needs none. Other programs that read its files may: export HDF5_USE_FILE_LOCKING=FALSE",
               "the working directory's file system has no file locks: %s", strerror(errno));
  } else {
    quern_find(findings, QUERN_FINE, "files", NULL, "the working directory takes HDF5 files, with locks");
  }
}

static bool has_fast_network(void) {
  DIR *folder = opendir("/sys/class/infiniband");
  bool is_there = false;
  for (const struct dirent *entry = NULL; folder != NULL && (entry = readdir(folder)) != NULL;) {
    is_there = is_there || entry->d_name[0] != '.';
  }
  if (folder != NULL) {
    closedir(folder);
  }
  return is_there;
}

static void check_limits(quern_findings *findings) {
  struct rlimit locked = {0};
  struct rlimit files = {0};

  if (getrlimit(RLIMIT_MEMLOCK, &locked) == 0) {
    const bool is_little = locked.rlim_cur != RLIM_INFINITY && locked.rlim_cur < (rlim_t)LEAST_LOCKED_MIB
                                                                                     << 20;
    if (locked.rlim_cur == RLIM_INFINITY) {
      quern_find(findings, QUERN_FINE, "locked memory", NULL, "no limit");
    } else {
      quern_find(findings, is_little && has_fast_network() ? QUERN_PROBLEM : QUERN_FINE, "locked memory",
                 "InfiniBand needs it: `* - memlock unlimited` in limits.conf, and LimitMEMLOCK=infinity for "
                 "slurmd.",
                 "%.1f MiB%s", (double)locked.rlim_cur / 1048576,
                 has_fast_network() ? "" : "; enough without InfiniBand");
    }
  }
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    quern_find(findings, files.rlim_cur < FEWEST_FILES ? QUERN_WARNING : QUERN_FINE, "open files",
               "Many ranks and files need more: ulimit -n 4096.", "%llu at a time",
               (unsigned long long)files.rlim_cur);
  }
}

static void check_shared_memory(quern_findings *findings) {
  struct statvfs system;

  if (statvfs("/dev/shm", &system) != 0 || access("/dev/shm", W_OK | X_OK) != 0) {
    quern_find(findings, QUERN_PROBLEM, "shared memory", "Mount it: mount -t tmpfs tmpfs /dev/shm",
               "/dev/shm cannot be used (%s): ranks of a node talk by way of it", strerror(errno));
    return;
  }
  const double mib = (double)system.f_bavail * (double)system.f_frsize / 1048576;
  quern_find(findings, mib < LEAST_SHARED_MIB ? QUERN_WARNING : QUERN_FINE, "shared memory",
             "Ranks of a node talk by way of it; a container gets more with --shm-size=2g. Old files there "
             "may be removed.",
             "/dev/shm, %.0f MiB free", mib);
}

void quern_doctor_node(quern_findings *findings) {
  qn_room room = {0};
  qn_error err = {0};

  if (qn_room_look(0, &room, &err) == QN_OK) {
    check_cores(findings, &room);
    check_memory(findings, &room);
    check_scratch(findings, &room);
  } else {
    quern_find(findings, QUERN_PROBLEM, "node", "A job here would say the same.", "%s", err.message);
  }
  check_blas(findings);
  check_files(findings);
  check_limits(findings);
  check_shared_memory(findings);
}
