// SPDX-License-Identifier: Apache-2.0
#include "base/utf8.h"
#include "kit/kit.h"

static int64_t find_invalid(const char *text) {
  return qn_utf8_find_invalid(text, (int64_t)strlen(text));
}

static void valid_text_is_accepted(void) {
  QN_CHECK_INT(find_invalid(""), -1);
  QN_CHECK_INT(find_invalid("plain ASCII of more than thirty-two bytes, to take every step of the loops"),
               -1);
  QN_CHECK_INT(find_invalid("caf\xc3\xa9 na\xc3\xafve"), -1);
  QN_CHECK_INT(find_invalid("\xd0\x9c\xd0\xbe\xd1\x81\xd0\xba\xd0\xb2\xd0\xb0"), -1);
  QN_CHECK_INT(find_invalid("\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"), -1);
  QN_CHECK_INT(find_invalid("\xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf"), -1);
  QN_CHECK_INT(qn_utf8_find_invalid("a\0b", 3), -1);
}

static void the_edges_of_each_length_are_known(void) {
  QN_CHECK_INT(find_invalid("\xc2\x80"), -1);
  QN_CHECK_INT(find_invalid("\xdf\xbf"), -1);
  QN_CHECK_INT(find_invalid("\xe0\xa0\x80"), -1);
  QN_CHECK_INT(find_invalid("\xed\x9f\xbf"), -1);
  QN_CHECK_INT(find_invalid("\xee\x80\x80"), -1);
  QN_CHECK_INT(find_invalid("\xf0\x90\x80\x80"), -1);
}

static void invalid_bytes_are_found_where_they_are(void) {
  QN_CHECK_INT(find_invalid("\x80"), 0);
  QN_CHECK_INT(find_invalid("a\xff"), 1);
  QN_CHECK_INT(find_invalid("ab\xc0\x80"), 2);       // overlong
  QN_CHECK_INT(find_invalid("\xc1\xbf"), 0);         // overlong
  QN_CHECK_INT(find_invalid("\xe0\x9f\xbf"), 0);     // overlong
  QN_CHECK_INT(find_invalid("\xf0\x8f\xbf\xbf"), 0); // overlong
  QN_CHECK_INT(find_invalid("x\xed\xa0\x80"), 1);    // surrogate
  QN_CHECK_INT(find_invalid("\xf4\x90\x80\x80"), 0); // beyond U+10FFFF
  QN_CHECK_INT(find_invalid("\xf5\x80\x80\x80"), 0);
  QN_CHECK_INT(find_invalid("caf\xc3"), 3); // cut off
  QN_CHECK_INT(find_invalid("\xe6\x97"), 0);
  QN_CHECK_INT(find_invalid("\xf0\x9f\x98"), 0);
  QN_CHECK_INT(find_invalid("\xc3\xa9\xa9"), 2); // a continuation too many
  QN_CHECK_INT(find_invalid("M\xfcller"), 1);    // Latin-1
}

static void a_bad_byte_is_found_at_every_place(void) {
  char text[100];
  for (int64_t size = 1; size <= 100; size++) {
    for (int64_t at = 0; at < size; at++) {
      memset(text, 'a', sizeof text);
      text[at] = (char)0xe9;
      QN_CHECK_INT(qn_utf8_find_invalid(text, size), at);
    }
  }
}

// The definition: decode, and compare with the encoding of what was decoded.
static int64_t find_invalid_plainly(const uint8_t *text, int64_t size) {
  int64_t i = 0;
  while (i < size) {
    const uint8_t lead = text[i];
    const int n = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 0;
    if (n == 0 || i + n > size || lead >= 0xf8) {
      return i;
    }
    static const uint32_t lead_masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t code = lead & lead_masks[n];
    for (int k = 1; k < n; k++) {
      if ((text[i + k] & 0xc0) != 0x80) {
        return i;
      }
      code = code << 6 | (text[i + k] & 0x3f);
    }
    if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
      return i;
    }
    i += n;
  }
  return -1;
}

static void random_bytes_agree_with_the_definition(void) {
  static const uint8_t interesting[] = {'a',  0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
                                        0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed,
                                        0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff};
  kit_random random = {.state = 7};
  for (int round = 0; round < 200000; round++) {
    uint8_t text[12];
    const int64_t size = kit_random_below(&random, 13);
    for (int64_t i = 0; i < size; i++) {
      text[i] = interesting[kit_random_below(&random, sizeof interesting)];
    }
    QN_CHECK_INT(qn_utf8_find_invalid(text, size), find_invalid_plainly(text, size));
  }
}

static void length_counts_characters(void) {
  QN_CHECK_INT(qn_utf8_length("", 0), 0);
  QN_CHECK_INT(qn_utf8_length("abc", 3), 3);
  QN_CHECK_INT(qn_utf8_length("\xc3\xa9\xe6\x97\xa5\xf0\x9f\x98\x80", 9), 3);
}

int main(void) {
  KIT_RUN(valid_text_is_accepted);
  KIT_RUN(the_edges_of_each_length_are_known);
  KIT_RUN(invalid_bytes_are_found_where_they_are);
  KIT_RUN(a_bad_byte_is_found_at_every_place);
  KIT_RUN(random_bytes_agree_with_the_definition);
  KIT_RUN(length_counts_characters);
  return kit_result();
}
