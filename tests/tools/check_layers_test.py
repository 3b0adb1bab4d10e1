#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plants violations in a temporary copy of the tree, and sees tools/check_layers.py report them."""
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
sys.dont_write_bytecode = True
import check_layers  # noqa: E402


class CheckLayersTest(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.root = Path(self.temporary.name)
        for folder in ("src", "include", "jobs"):
            shutil.copytree(ROOT / folder, self.root / folder)
        shutil.copy(ROOT / "CMakeLists.txt", self.root)
        # Judged alone: what the real tree does wrong is the business of the real check.
        self.before = set(check_layers.check(self.root))

    def plant(self, path, text):
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def declare(self, old, new):
        cmake = self.root / "CMakeLists.txt"
        text = cmake.read_text()
        self.assertIn(old, text)
        cmake.write_text(text.replace(old, new, 1))

    def faults(self):
        return sorted(set(check_layers.check(self.root)) - self.before)

    def expect(self, *parts):
        faults = self.faults()
        self.assertEqual(len(faults), 1, faults)
        for part in parts:
            self.assertIn(part, faults[0])

    def test_the_tree_itself_is_clean(self):
        self.assertEqual(sorted(self.before), [])

    def test_include_of_a_higher_layer(self):
        self.plant("src/base/planted.c", '#include "column/batch.h"\n')
        self.expect("src/base/planted.c:1", "base does not depend on column")

    def test_include_of_a_layer_beside(self):
        self.plant("src/kernel/planted.c", '\n#include "comm/comm.h"\n')
        self.expect("src/kernel/planted.c:2", "kernel does not depend on comm")

    def test_include_with_odd_spacing_and_in_inc_file(self):
        self.plant("src/base/planted.inc", '  #  include   "column/batch.h"\n')
        self.expect("src/base/planted.inc:1")

    def test_include_of_an_allowed_layer_passes(self):
        self.plant("src/kernel/planted.c", '#include "column/batch.h"\n#include <quern/batch.h>\n#include <string.h>\n')
        self.assertEqual(self.faults(), [])

    def test_include_without_a_layer_in_front(self):
        self.plant("src/column/planted.c", '#include "bitmap.h"\n')
        self.expect("needs its layer in front")

    def test_include_of_a_file_that_is_not_there(self):
        self.plant("src/column/planted.c", '#include "base/no_such_thing.h"\n#include <quern/no_such_thing.h>\n')
        self.assertEqual(len(self.faults()), 2)

    def test_internal_header_in_angle_brackets(self):
        self.plant("src/base/planted.c", "#include <column/batch.h>\n")
        self.expect("write \"column/batch.h\"")

    def test_each_outside_library_has_one_door(self):
        for header in ("mpi.h", "hdf5.h", "H5Dpublic.h", "pg_query.h", "jansson.h", "zlib.h", "bzlib.h", "zstd.h"):
            with self.subTest(header):
                self.plant("src/kernel/planted.c", f"#include <{header}>\n")
                self.expect(f"<{header}> is only for")
        self.plant("src/kernel/planted.c", "#include <xxhash.h>\n")
        self.expect("<xxhash.h> is only for src/base")

    def test_doors_are_open_to_their_layers(self):
        for place, header in (("comm", "mpi.h"), ("store", "hdf5.h"), ("expr", "pg_query.h"), ("expr", "jansson.h"),
                              ("store", "jansson.h"), ("base", "xxhash.h"), ("io", "zlib.h"), ("io", "zstd.h")):
            self.plant(f"src/{place}/planted_{header.split('.')[0]}_{place}.c", f"#include <{header}>\n")
        self.assertEqual(self.faults(), [])

    def test_public_header_includes_internals(self):
        self.plant("include/quern/planted.h", '#include "column/batch.h"\n')
        self.expect("a public header")

    def test_public_header_includes_mpi(self):
        self.plant("include/quern/planted.h", "#include <mpi.h>\n")
        self.expect("<mpi.h> is only for src/comm")

    def test_command_uses_public_headers_only(self):
        self.plant("src/cli/planted.c", '#include "exec/run.h"\n')
        self.expect("cli uses <quern/...>")

    def test_command_may_have_headers_of_its_own(self):
        self.plant("src/cli/planted.h", "#pragma once\n")
        self.plant("src/cli/planted.c", '#include "cli/planted.h"\n#include <quern/status.h>\n')
        self.assertEqual(self.faults(), [])

    def test_job_uses_public_headers_only(self):
        self.plant("jobs/planted.c", '#include "base/arena.h"\n')
        self.expect("jobs/planted.c:1", "jobs uses <quern/...>")

    def test_depends_on_the_same_level(self):
        self.declare("qn_layer(comm   LEVEL 2 DEPENDS base", "qn_layer(comm   LEVEL 2 DEPENDS kernel base")
        self.expect("comm (level 2) depends on kernel (level 2)")

    def test_depends_on_an_unknown_layer(self):
        self.declare("qn_layer(column LEVEL 1 DEPENDS base", "qn_layer(column LEVEL 1 DEPENDS base bass")
        self.expect("bass, which is not declared")

    def test_folder_that_is_no_layer(self):
        self.plant("src/extras/planted.c", "int planted;\n")
        self.expect("src/extras: not declared")

    def test_same_name_in_two_folders(self):
        self.plant("src/base/planted.c", "int planted;\n")
        self.plant("src/column/planted.h", "int planted;\n")
        self.expect("src/column/planted.h: the name is taken by src/base/planted")

    def test_job_with_the_name_of_a_source(self):
        self.plant("jobs/batch.c", "int main(void) { return 0; }\n")
        self.assertTrue(any("the name is taken" in fault for fault in self.faults()), self.faults())

    def test_header_and_source_and_public_header_share_a_name(self):
        for path in ("src/column/planted.c", "src/column/planted.h", "include/quern/planted.h"):
            self.plant(path, "#pragma once\n")
        self.assertEqual(self.faults(), [])

    def test_forbidden_names(self):
        for name in ("util", "misc", "common", "helpers", "string_utils", "csv_helper"):
            with self.subTest(name):
                path = self.root / f"src/base/{name}.c"
                path.write_text("int planted;\n")
                self.expect("name the file for its content")
                path.unlink()

    def test_no_layers_is_an_error(self):
        (self.root / "CMakeLists.txt").write_text("project(empty)\n# qn_layer(base LEVEL 0)\n")
        with self.assertRaises(ValueError):
            check_layers.check(self.root)


if __name__ == "__main__":
    unittest.main()
