// SPDX-License-Identifier: Apache-2.0
// The build id is a note in the program, as the linker has written it: read from memory, without a file.
#include "base/build_id.h"
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <inttypes.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/buffer.h"
#include "base/files.h"
#include "base/hash.h"

typedef struct found_ids {
  uintptr_t own; // an address of this library
  int n_objects;
  bool is_library; // a file other than the program has it
  char program[41], library[41];
} found_ids;

// The text of a build id among the notes of [notes, end); "" if there is none.
static void read_notes(const uint8_t *notes, const uint8_t *end, char *out, size_t size) {
  while (notes + sizeof(ElfW(Nhdr)) <= end) {
    ElfW(Nhdr) header;
    memcpy(&header, notes, sizeof header);
    const uint8_t *name = notes + sizeof header;
    const uint8_t *text = name + ((header.n_namesz + 3U) & ~3U);
    notes = text + ((header.n_descsz + 3U) & ~3U);
    if (notes > end || notes < text) {
      return;
    }
    if (header.n_type == NT_GNU_BUILD_ID && header.n_namesz == 4 && memcmp(name, "GNU", 4) == 0) {
      for (size_t i = 0; i < header.n_descsz && 2 * i + 2 < size; i++) {
        snprintf(out + 2 * i, 3, "%02x", text[i]);
      }
      return;
    }
  }
}

static int look_at_object(struct dl_phdr_info *info, size_t size, void *data) {
  found_ids *found = data;
  char id[41] = "";
  bool is_own = false;

  (void)size;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *part = &info->dlpi_phdr[i];
    const uintptr_t start = info->dlpi_addr + part->p_vaddr;
    if (part->p_type == PT_NOTE && id[0] == '\0') {
      const uint8_t *notes = (const uint8_t *)start; // NOLINT(performance-no-int-to-ptr): that is what it is
      read_notes(notes, notes + part->p_memsz, id, sizeof id);
    }
    is_own = is_own || (part->p_type == PT_LOAD && found->own >= start && found->own - start < part->p_memsz);
  }
  if (found->n_objects++ == 0) { // the program comes first
    memcpy(found->program, id, sizeof id);
  } else if (is_own) {
    found->is_library = true;
    memcpy(found->library, id, sizeof id);
  }
  return 0;
}

enum { MOST_PROGRAM_BYTES = 1 << 30 };

static void hash_program(char *out, size_t size) {
  qn_buffer bytes = {0};
  if (qn_file_read_all("/proc/self/exe", MOST_PROGRAM_BYTES, &bytes, NULL) == QN_OK) {
    snprintf(out, size, "hash-%016" PRIx64, qn_hash_bytes(bytes.data, bytes.size, 0));
  } else {
    snprintf(out, size, "unknown");
  }
  qn_buffer_release(&bytes);
}

void qn_build_id(char *out) {
  found_ids found = {.own = (uintptr_t)&qn_build_id};

  dl_iterate_phdr(look_at_object, &found);
  if (found.program[0] == '\0') {
    hash_program(found.program, sizeof found.program);
  }
  snprintf(out, QN_BUILD_ID, "%s%s%s", found.program, found.is_library ? "+" : "", found.library);
}

typedef struct object_id {
  uintptr_t base;
  char id[41];
} object_id;

// The loaded object whose first byte is at object->base.
static int look_for_base(struct dl_phdr_info *info, size_t size, void *data) {
  object_id *object = data;
  bool is_it = false;

  (void)size;
  for (int i = 0; i < info->dlpi_phnum && !is_it; i++) {
    const ElfW(Phdr) *part = &info->dlpi_phdr[i];
    is_it = part->p_type == PT_LOAD && info->dlpi_addr + part->p_vaddr == object->base;
  }
  for (int i = 0; i < info->dlpi_phnum && is_it && object->id[0] == '\0'; i++) {
    const ElfW(Phdr) *part = &info->dlpi_phdr[i];
    if (part->p_type == PT_NOTE) {
      const uint8_t *notes = (const uint8_t *)(info->dlpi_addr + part->p_vaddr); // NOLINT
      read_notes(notes, notes + part->p_memsz, object->id, sizeof object->id);
    }
  }
  return is_it;
}

uint64_t qn_function_hash(qn_any_function function) {
  Dl_info info = {0};
  object_id object = {0};
  void *address = NULL;

  if (function == NULL) {
    return 0;
  }
  memcpy(&address, &function, sizeof address);
  if (dladdr(address, &info) == 0) {
    return 1;
  }
  object.base = (uintptr_t)info.dli_fbase;
  dl_iterate_phdr(look_for_base, &object);
  const char *slash = strrchr(info.dli_fname, '/');
  const char *name = slash == NULL ? info.dli_fname : slash + 1;
  const uint64_t place = (uint64_t)((uintptr_t)address - object.base);
  return qn_hash_bytes(object.id, (int64_t)strlen(object.id),
                       qn_hash_bytes(name, (int64_t)strlen(name), place));
}
