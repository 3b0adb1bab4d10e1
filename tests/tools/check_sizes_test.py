#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The function finder of tools/check_sizes.py on the shapes that our code has."""
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
sys.dont_write_bytecode = True
import check_sizes  # noqa: E402


def found(text):
    return [(name, first + 1, n, excused) for name, first, n, excused in check_sizes.functions(text.splitlines())]


class CheckSizesTest(unittest.TestCase):
    def test_one_function(self):
        self.assertEqual(found("int main(void) {\n  return 0;\n}\n"), [("main", 1, 3, False)])

    def test_head_of_several_lines(self):
        text = "static qn_status read(const char *path,\n                 qn_error *err) {\n  return QN_OK;\n}\n"
        self.assertEqual(found(text), [("read", 1, 4, False)])

    def test_attribute_before_the_name(self):
        self.assertEqual(found("__attribute__((noinline)) void slow(void) {\n}\n"), [("slow", 1, 2, False)])

    def test_what_is_no_function(self):
        text = ("typedef struct a {\n  int (*call)(void);\n} a;\nstatic const a table[] = {\n    {NULL},\n};\n"
                "enum b { B_ONE,\n};\nint declared(int a,\n             int b);\nextern \"C\" {\n}\n"
                "#define MACRO(x) \\\n  do {  \\\n  } while (0)\nstatic int n = 3; // a number\n")
        self.assertEqual(found(text), [])

    def test_function_right_after_a_declaration(self):
        text = "static int n = 3; // a number\nint get(void) {\n  return n;\n}\n#define X 1\nint two(void) {\n}\n"
        self.assertEqual([name for name, *_ in found(text)], ["get", "two"])

    def test_excuse_directly_above(self):
        body = "int f(void) {\n}\n"
        self.assertTrue(found("// One switch.\n// It is long because there are many types.\n" + body)[0][3])
        self.assertFalse(found("// It is long because there are many types.\n\n" + body)[0][3])


if __name__ == "__main__":
    unittest.main()
