// SPDX-License-Identifier: Apache-2.0
// One POSIX shared memory object per node: a segment per rank, in it a flag per slab and the slabs. Its pages
// are reserved before anybody touches them, since a full /dev/shm would else end the process by a signal.
#include "comm/shared.h"
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/check.h"
#include "base/memory.h"
#include "comm/transport.h"

enum {
  LEAST_SLAB_BYTES = 16 << 10,
  MOST_SLAB_BYTES = 256 << 10,
  MOST_SLABS = 256,
  FLAGS_BYTES = MOST_SLABS * (int)sizeof(atomic_uint),
  MOST_NODE_BYTES = 128 << 20,
  NAME_BYTES = 64,
  OLD_SECONDS = 300,
};

static const char NAME_START[] = "quern-";

struct qn_shared {
  int64_t n_references; // the communicator and the loans of this process
  uint8_t *memory;      // [n_ranks, segment_bytes]
  int64_t segment_bytes;
  int64_t slab_bytes;
  int n_slabs; // of a rank
  int n_ranks, rank;
};

static void unref(qn_shared *shared) {
  if (--shared->n_references > 0) {
    return;
  }
  if (shared->memory != NULL) {
    munmap(shared->memory, (size_t)(shared->segment_bytes * shared->n_ranks));
  }
  free(shared);
}

// Slabs small enough that every rank of the node can have some under way, large enough to be worth a message.
static void choose_sizes(qn_shared *shared, int64_t bytes) {
  const int64_t share = MOST_NODE_BYTES / shared->n_ranks;
  bytes = bytes < share ? bytes : share;
  int64_t slab_bytes = MOST_SLAB_BYTES;
  while (slab_bytes > LEAST_SLAB_BYTES && bytes / slab_bytes < 8 * (int64_t)shared->n_ranks) {
    slab_bytes /= 2;
  }
  const int64_t n_slabs = bytes / slab_bytes;
  shared->slab_bytes = slab_bytes;
  shared->n_slabs = n_slabs < MOST_SLABS ? (int)n_slabs : MOST_SLABS;
  const int64_t page = sysconf(_SC_PAGESIZE);
  const int64_t size = FLAGS_BYTES + shared->n_slabs * (slab_bytes + QN_MEMORY_SLACK);
  shared->segment_bytes = (size + page - 1) / page * page;
}

// An object loses its name as soon as all have opened it. One that still has it after minutes is of a job
// that was killed in between, whose memory nobody else would give back.
static void remove_forgotten(void) {
  DIR *folder = opendir("/dev/shm");
  const time_t now = time(NULL);
  for (const struct dirent *entry = NULL; folder != NULL && (entry = readdir(folder)) != NULL;) {
    struct stat info;
    if (strncmp(entry->d_name, NAME_START, strlen(NAME_START)) == 0 &&
        fstatat(dirfd(folder), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(info.st_mode) &&
        info.st_uid == geteuid() && now - info.st_ctime > OLD_SECONDS) {
      unlinkat(dirfd(folder), entry->d_name, 0);
    }
  }
  if (folder != NULL) {
    closedir(folder);
  }
}

// The first rank of the node makes the object; all learn its name, "" if there is none.
static int create_object(const qn_shared *shared, char *name) {
  if (shared->rank != 0) {
    return -1;
  }
  remove_forgotten();
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  snprintf(name, NAME_BYTES, "/%s%ld-%lld%09ld", NAME_START, (long)getpid(), (long long)now.tv_sec,
           now.tv_nsec);
  int file = shm_open(name, O_CREAT | O_EXCL | O_RDWR, 0600);
  if (file >= 0 && ftruncate(file, (off_t)(shared->segment_bytes * shared->n_ranks)) != 0) {
    shm_unlink(name);
    close(file);
    file = -1;
  }
  if (file < 0) {
    name[0] = '\0';
  }
  return file;
}

static qn_status all_can(MPI_Comm mpi, bool can, bool *all, qn_error *err) {
  qn_status status = QN_OK;
  int both = can;
  QN_TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, &both, 1, MPI_INT, MPI_MIN, mpi), "MPI_Allreduce");
  *all = both != 0;

done:
  return status;
}

// *is_there: all ranks of the node have mapped it and have the pages of their segments.
static qn_status map_object(qn_shared *shared, MPI_Comm mpi, bool *is_there, qn_error *err) {
  qn_status status = QN_OK;
  char name[NAME_BYTES] = "";
  int file = create_object(shared, name);
  void *memory = MAP_FAILED;

  QN_TRY_MPI(MPI_Bcast(name, NAME_BYTES, MPI_CHAR, 0, mpi), "MPI_Bcast");
  if (shared->rank != 0 && name[0] != '\0') {
    file = shm_open(name, O_RDWR, 0600);
  }
  QN_TRY(all_can(mpi, file >= 0, is_there, err)); // all have opened it: the name is not needed any more
  if (shared->rank == 0 && file >= 0) {
    shm_unlink(name);
  }
  bool can = *is_there && posix_fallocate(file, (off_t)(shared->segment_bytes * shared->rank),
                                          (off_t)shared->segment_bytes) == 0;
  if (can) {
    memory = mmap(NULL, (size_t)(shared->segment_bytes * shared->n_ranks), PROT_READ | PROT_WRITE, MAP_SHARED,
                  file, 0);
    can = memory != MAP_FAILED;
    shared->memory = can ? memory : NULL;
  }
  QN_TRY(all_can(mpi, can, is_there, err));

done:
  if (file >= 0) {
    close(file);
  }
  return status;
}

qn_status qn_shared_new(MPI_Comm mpi, int64_t bytes, qn_shared **out, qn_error *err) {
  qn_status status = QN_OK;
  bool is_there = false;
  qn_shared *shared = calloc(1, sizeof *shared);

  *out = NULL;
  QN_REQUIRE(shared != NULL, err, QN_ERR_MEMORY, "no memory for the shared memory of a node");
  shared->n_references = 1;
  QN_TRY_MPI(MPI_Comm_rank(mpi, &shared->rank), "MPI_Comm_rank");
  QN_TRY_MPI(MPI_Comm_size(mpi, &shared->n_ranks), "MPI_Comm_size");
  QN_TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, &bytes, 1, MPI_INT64_T, MPI_MIN, mpi), "MPI_Allreduce");
  choose_sizes(shared, bytes);
  if (shared->n_ranks == 1 || shared->n_slabs < 2) {
    goto done;
  }
  QN_TRY(map_object(shared, mpi, &is_there, err));
  if (is_there) {
    qn_memory_count_shared(shared->segment_bytes);
    *out = shared;
    shared = NULL;
  }

done:
  if (shared != NULL) {
    unref(shared);
  }
  return status;
}

void qn_shared_free(qn_shared *shared) {
  if (shared != NULL) {
    qn_memory_count_shared(-shared->segment_bytes);
    unref(shared);
  }
}

int64_t qn_shared_slab_bytes(const qn_shared *shared) {
  return shared->slab_bytes;
}

int qn_shared_n_slabs(const qn_shared *shared) {
  return shared->n_slabs;
}

static atomic_uint *flag_of(const qn_shared *shared, int owner, int slab) {
  return (atomic_uint *)(void *)(shared->memory + owner * shared->segment_bytes) + slab;
}

static uint8_t *slab_of(const qn_shared *shared, int owner, int slab) {
  return shared->memory + owner * shared->segment_bytes + FLAGS_BYTES +
         slab * (shared->slab_bytes + QN_MEMORY_SLACK);
}

int qn_shared_n_free(const qn_shared *shared, int owner) {
  int n_free = 0;
  for (int i = 0; i < shared->n_slabs; i++) {
    n_free += atomic_load_explicit(flag_of(shared, owner, i), memory_order_relaxed) == 0;
  }
  return n_free;
}

// The first free one, so that few slabs are in use as long as few are needed, and those stay in the cache.
int qn_shared_take(qn_shared *shared) {
  for (int slab = 0; slab < shared->n_slabs; slab++) {
    atomic_uint *flag = flag_of(shared, shared->rank, slab);
    if (atomic_load_explicit(flag, memory_order_acquire) == 0) {
      atomic_store_explicit(flag, 1, memory_order_relaxed);
      return slab;
    }
  }
  return -1;
}

uint8_t *qn_shared_slab(const qn_shared *shared, int slab) {
  return slab_of(shared, shared->rank, slab);
}

void qn_shared_give_back(qn_shared *shared, int slab) {
  atomic_store_explicit(flag_of(shared, shared->rank, slab), 0, memory_order_release);
}

qn_status qn_loan_new(qn_shared *shared, int owner, int64_t slab, int64_t size, qn_loan **out,
                      qn_error *err) {
  qn_status status = QN_OK;
  QN_REQUIRE(shared != NULL && slab >= 0 && slab < shared->n_slabs && size > 0 && size <= shared->slab_bytes,
             err, QN_ERR_MPI, "rank %d of this node lends slab %" PRId64 " with %" PRId64 " bytes", owner,
             slab, size);
  qn_loan *loan = malloc(sizeof *loan);
  if (loan == NULL) {
    atomic_store_explicit(flag_of(shared, owner, (int)slab), 0, memory_order_release);
    return qn_fail(err, QN_ERR_MEMORY, "no memory to note a loan");
  }
  *loan = (qn_loan){.shared = shared,
                    .flag = flag_of(shared, owner, (int)slab),
                    .data = slab_of(shared, owner, (int)slab),
                    .size = size,
                    .owner = owner};
  shared->n_references++;
  *out = loan;

done:
  return status;
}

void qn_loan_free(void *loan) {
  const qn_loan *ended = loan;
  if (ended != NULL) {
    atomic_store_explicit(ended->flag, 0, memory_order_release);
    unref(ended->shared);
    free(loan);
  }
}
