# SPDX-License-Identifier: Apache-2.0
"""A dataflow on 128 ranks, most of which have nothing to do: the right answer, and little memory for each."""
import json
import os
import sys
import tempfile

from harness import read_csv, run_plan

MIB = 1 << 20
N_RANKS = 128
MOST_MIB = 64
N_ROWS, N_KEYS = 200000, 1000


def check(folder, *arguments):
    steps = [("a", "numbers", N_ROWS, N_KEYS), ("r", "reduce", "a", "k", "count(*) as n, sum(i) as t"),
             ("j", "join", "a", "r", "inner", "k"), ("f", "filter", "j", "i < 5000"), ("s", "sort", "f", "k, i"),
             ("c", "select", "s", "k, i, n, t"), ("-", "write", "c", "out.csv")]
    for _ in range(2):  # on a busy machine a launcher may fail to start so many
        done = run_plan(N_RANKS, steps, folder, "--record", "record.json", *arguments, timeout=400)
        if "exiting improperly" not in done.stderr:
            break
    assert done.returncode == 0, done.stderr[-2000:]
    _, rows = read_csv(os.path.join(folder, "out.csv"))
    sums = {}
    for i in range(N_ROWS):
        key = (i * 7919 + 13) % N_KEYS
        n, t = sums.get(key, (0, 0))
        sums[key] = (n + 1, t + i)
    wanted = sorted(((i * 7919 + 13) % N_KEYS, i) for i in range(5000))
    assert [[int(value) for value in row] for row in rows] == [[k, i, *sums[k]] for k, i in wanted], "other rows"
    with open(os.path.join(folder, "record.json"), encoding="utf-8") as file:
        ranks = json.load(file)["ranks"]
    resident = max(rank["peak_resident_bytes"] for rank in ranks)
    more = max(rank["peak_resident_bytes"] - rank["start_resident_bytes"] for rank in ranks)
    accounted = max(rank["peak_accounted_bytes"] for rank in ranks)
    print(f"{' '.join(arguments)}: a rank has at most {resident / MIB:.0f} MiB resident, {more / MIB:.0f} MiB of them of the job "
          f"({accounted / MIB:.1f} MiB accounted)")
    assert len(ranks) == N_RANKS and resident < MOST_MIB * MIB, f"{resident / MIB} MiB resident"


def main():
    with tempfile.TemporaryDirectory() as folder:
        check(folder, "--memory", "256MiB")
        check(folder, "--memory", "4MiB", "--scratch", folder)


if __name__ == "__main__":
    sys.exit(main())
