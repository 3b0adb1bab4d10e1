# SPDX-License-Identifier: Apache-2.0
"""Text of more than 2 GiB in one file is cut right: every line is read once, whole, on any number of ranks; and so is
CSV. The file is made in QN_LARGE_FOLDER (default: the build) and removed.

usage: large_text_test.py [RANKS...]
"""
import os
import shutil
import sys
import tempfile

from harness import BUILD, read_csv, run_plan

LINE_BYTES = 64
N_LINES = (2**31 + 2**27) // LINE_BYTES  # 2.125 GiB


def write_lines(path):
    """Lines "0000012345,xxx": a number below 1,000,000 and filling, so that a block can be written again and again."""
    block = b"".join(b"%010d,%s\n" % (i, b"x" * (LINE_BYTES - 12)) for i in range(1_000_000))
    with open(path, "wb") as file:
        file.write(b"%s,%s\n" % (b"n" * 10, b"f" * (LINE_BYTES - 12)))
        written = 0
        while written < N_LINES:
            n = min(1_000_000, N_LINES - written)
            file.write(block[:n * LINE_BYTES])
            written += n


def expected_sum():
    whole, rest = divmod(N_LINES, 1_000_000)
    return whole * (999_999 * 1_000_000 // 2) + rest * (rest - 1) // 2


def main():
    ranks = [int(argument) for argument in sys.argv[1:]] or [2, 3]
    room = os.environ.get("QN_LARGE_FOLDER", BUILD)
    if shutil.disk_usage(room).free < 4 * 2**30:
        print(f"skipped: less than 4 GiB free in {room}")
        return 77
    n_failed = 0
    with tempfile.TemporaryDirectory(dir=room) as folder:
        write_lines(os.path.join(folder, "large.csv"))
        name = "f" * (LINE_BYTES - 12)
        steps = [("t", "text", "large.csv"),
                 ("c", "reduce", "t", "", "count(*) as n, min(length(line)) as shortest, max(length(line)) as longest"),
                 ("-", "write", "c", "lines.csv"),
                 ("v", "csv", "large.csv", f"{'n' * 10} int64, {name} utf8"),
                 ("s", "reduce", "v", "", f"count(*) as n, sum({'n' * 10}) as total"),
                 ("-", "write", "s", "values.csv")]
        for n_ranks in ranks:
            done = run_plan(n_ranks, steps, folder)
            lines = read_csv(os.path.join(folder, "lines.csv"))[1] if done.returncode == 0 else done.stderr
            values = read_csv(os.path.join(folder, "values.csv"))[1] if done.returncode == 0 else done.stderr
            wanted_lines = [[str(N_LINES + 1), str(LINE_BYTES - 1), str(LINE_BYTES - 1)]]
            wanted_values = [[str(N_LINES), str(expected_sum())]]
            if lines != wanted_lines or values != wanted_values:
                print(f"{n_ranks} ranks: {lines} {values}, but {wanted_lines} {wanted_values} was expected")
                n_failed += 1
    print(f"{len(ranks) - n_failed} passed, {n_failed} failed")
    return n_failed > 0


if __name__ == "__main__":
    sys.exit(main())
