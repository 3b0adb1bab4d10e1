// SPDX-License-Identifier: Apache-2.0
// Every word kernel against a loop over isspace(), on texts that end where memory does.
#include <ctype.h>
#include <sys/mman.h>
#include <unistd.h>
#include "column/word_scan.h"
#include "kit/kit.h"

typedef struct {
  int64_t n_words, n_bytes;
  char bytes[2 * QN_WORD_PIECE];
  int32_t ends[QN_WORD_PIECE];
} found_words;

static void find_plainly(const char *text, int64_t size, found_words *out) {
  bool in_word = false;
  out->n_words = out->n_bytes = 0;
  for (int64_t i = 0; i < size; i++) {
    if (isspace((unsigned char)text[i])) {
      in_word = false;
      continue;
    }
    out->n_words += !in_word;
    in_word = true;
    out->bytes[out->n_bytes++] = text[i];
    out->ends[out->n_words - 1] = (int32_t)out->n_bytes;
  }
}

static void check_kernel(const qn_word_kernels *kernel, const char *text, int64_t size, int64_t n_first) {
  found_words wanted;
  static uint8_t bytes[2 * QN_WORD_PIECE];
  int32_t ends[QN_WORD_PIECE] = {0};
  qn_word_piece piece;
  find_plainly(text, size, &wanted);
  QN_CHECK_INT(kernel->find(&piece, text, size), wanted.n_words);
  const int64_t first = n_first < wanted.n_words ? n_first : wanted.n_words;
  const int64_t at = kernel->copy(&piece, 0, first, bytes, 0, ends);
  QN_CHECK_INT(kernel->copy(&piece, first, wanted.n_words - first, bytes, at, ends + first), wanted.n_bytes);
  QN_CHECK(memcmp(bytes, wanted.bytes, (size_t)wanted.n_bytes) == 0);
  QN_CHECK(memcmp(ends, wanted.ends, (size_t)wanted.n_words * sizeof *ends) == 0);
}

static void check_text(const char *text, int64_t size, int64_t n_first) {
  check_kernel(&qn_word_kernels_plain, text, size, n_first);
  if (qn_word_kernels_avx512() != NULL) {
    check_kernel(qn_word_kernels_avx512(), text, size, n_first);
  }
}

static void kernels_find_the_words_of_any_bytes(void) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  char *memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  kit_random random = {.state = 77};
  QN_CHECK(memory != MAP_FAILED && mprotect(memory + page, page, PROT_NONE) == 0);
  for (int round = 0; round < 20000; round++) {
    const int64_t size = kit_random_below(&random, round % 10 == 0 ? QN_WORD_PIECE + 1 : 140);
    const int64_t n_spaces = 1 + kit_random_below(&random, 60);
    char *text = memory + page - size;
    for (int64_t i = 0; i < size; i++) {
      const char space = " \t\n\v\f\r"[kit_random_below(&random, 6)];
      text[i] = kit_random_below(&random, 60) < n_spaces ? space : (char)kit_random_below(&random, 256);
    }
    check_text(text, size, kit_random_below(&random, 20));
  }
  munmap(memory, 2 * page);
}

static void long_words_and_full_pieces_are_found(void) {
  char text[QN_WORD_PIECE];
  for (int64_t size = 0; size <= QN_WORD_PIECE; size++) {
    memset(text, 'x', sizeof text);
    check_text(text, size, 0);
    if (size > 0) {
      text[size / 2] = ' ';
      check_text(text, size, 1);
    }
    for (int64_t i = 0; i < size; i += 2) {
      text[i] = ' ';
    }
    check_text(text, size, 3);
  }
}

int main(void) {
  KIT_RUN(kernels_find_the_words_of_any_bytes);
  KIT_RUN(long_words_and_full_pieces_are_found);
  return kit_result();
}
