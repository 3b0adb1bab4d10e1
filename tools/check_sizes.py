#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that files and functions stay small: 600 lines a file (tests 800), 60 lines a function.

A longer function is allowed if the comment directly above it says "long because" and why. The parser leans on our
clang-format style: a definition starts in the first column and ends with a } in the first column.

usage: tools/check_sizes.py [--all] [ROOT]     --all lists every file and function, longest first
"""
import re
import sys
from pathlib import Path

MAX_FILE, MAX_TEST_FILE, MAX_FUNCTION = 600, 800, 60
SUFFIXES = {".c", ".h", ".inc"}
NAME = re.compile(r"([A-Za-z_]\w*)\s*\(")
NOT_NAMES = {"__attribute__", "if", "for", "while", "switch", "return", "sizeof", "alignas", "_Alignas"}


def comment_above(lines, first):
    """The text of the comment that ends on the line above `first`."""
    above, i = [], first - 1
    while i >= 0 and lines[i].startswith("//"):
        above.append(lines[i])
        i -= 1
    return "\n".join(above)


def functions(lines):
    """Yields (name, first line from 0, number of lines, is excused) for each function of a file."""
    start, in_macro, i = None, False, 0
    while i < len(lines):
        line = re.sub(r"\s+//.*$", "", lines[i])
        was_macro, in_macro = in_macro, line.endswith("\\") and (in_macro or line.startswith("#"))
        if was_macro or line.startswith(("#", "//")) or not line.strip():
            start = None
        elif line[0] not in " \t}" and start is None:
            start = i
        if start is not None and line.endswith(";") and not line.startswith("}"):
            start = None
        elif start is not None and line.endswith("{"):
            end = next((j for j in range(i + 1, len(lines)) if lines[j].startswith("}")), len(lines) - 1)
            head = " ".join(lines[start:i + 1])
            names = [name for name in NAME.findall(head) if name not in NOT_NAMES]
            if names and "=" not in head.split("(")[0] and not head.startswith("extern \"C\""):
                yield names[0], start, end - start + 1, "long because" in comment_above(lines, start)
                i = end
            start = None
        i += 1


def percentile(sorted_values, share):
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))] if sorted_values else 0


def read_tree(root):
    """Files as (lines, limit, path) and functions as (lines, is excused, path:line, name)."""
    files, found = [], []
    for top in ("src", "include", "jobs", "bench", "tests"):
        for path in sorted((root / top).rglob("*")):
            if path.suffix not in SUFFIXES or not path.is_file():
                continue
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            shown = str(path.relative_to(root))
            files.append((len(lines), MAX_TEST_FILE if top == "tests" else MAX_FILE, shown))
            if top != "tests":
                found += [(n, excused, f"{shown}:{first + 1}", name) for name, first, n, excused in functions(lines)]
    return files, found


def main():
    show_all = "--all" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--all"]
    root = Path(arguments[0] if arguments else Path(__file__).resolve().parent.parent)
    files, found = read_tree(root)
    if show_all:
        for n, _, shown in sorted(files, reverse=True):
            print(f"{n:6} {shown}")
        for n, _, shown, name in sorted(found, reverse=True):
            print(f"{n:6} {shown} {name}")

    print(f"{'lines per':12}{'count':>7}{'median':>8}{'p90':>6}{'max':>6}{'sum':>8}")
    for title, values in (("file", sorted(n for n, limit, _ in files if limit == MAX_FILE)),
                          ("test file", sorted(n for n, limit, _ in files if limit != MAX_FILE)),
                          ("function", sorted(n for n, *_ in found))):
        print(f"{title:12}{len(values):7}{percentile(values, 0.5):8}{percentile(values, 0.9):6}"
              f"{values[-1] if values else 0:6}{sum(values):8}")

    faults = [f"{shown}: {n} lines, at most {limit}" for n, limit, shown in files if n > limit]
    faults += [f"{shown}: {name} has {n} lines, at most {MAX_FUNCTION}; split it, or say above it: long because ..."
               for n, excused, shown, name in found if n > MAX_FUNCTION and not excused]
    for fault in faults:
        print(fault)
    print(f"check_sizes: {len(files)} files, {len(found)} functions, {len(faults)} violations")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
