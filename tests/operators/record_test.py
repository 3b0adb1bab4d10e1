# SPDX-License-Identifier: Apache-2.0
"""The record of a job: its counts are those of the data, on any number of ranks.

usage: record_test.py [RANKS...]
"""
import json
import os
import random
import sys
import tempfile

from harness import run_plan

N_ROWS, N_KEYS = 60000, 20000
MIB = 1 << 20


def write_rows(folder):
    rng = random.Random(5)
    with open(os.path.join(folder, "a.csv"), "w", encoding="utf-8") as file:
        file.write("k,x,s\n")
        for i in range(N_ROWS):
            file.write(f"{rng.randrange(N_KEYS) if i >= N_KEYS else i},{rng.random()},{'text' * rng.randrange(9)}\n")


def find(run, name):
    found = [op for op in run["operators"] if op["name"] == name]
    assert found, f"no operator '{name}' among {[op['name'] for op in run['operators']]}"
    return found[0]


def check_record(folder, n_ranks, memory):
    steps = [("a", "csv", "a.csv", "k int64, x float64, s utf8"),
             ("r", "reduce", "a", "k", "count(*) as n"), ("-", "count", "r"),
             ("s", "sort", "a", "x"), ("-", "write", "s", "out.csv")]
    done = run_plan(n_ranks, steps, folder, "--memory", memory, "--record", "record.json")
    assert done.returncode == 0, done.stderr
    with open(os.path.join(folder, "record.json"), encoding="utf-8") as file:
        record = json.load(file)
    assert record["n_ranks"] == n_ranks and len(record["ranks"]) == n_ranks and record["error"] is None, record
    assert len(record["runs"]) == 2, record["runs"]
    reduce_run, sort_run = record["runs"]
    assert find(reduce_run, "count")["rows"]["sum"] == N_KEYS
    sort, write = find(sort_run, "sort"), find(sort_run, "write csv")
    assert sort["rows"]["sum"] == sort["rows_in"] == write["rows"]["sum"] == N_ROWS
    assert 1 <= sort["rows"]["balance"] <= n_ranks and 0 <= sort["rows"]["max_rank"] < n_ranks
    assert abs(sort["rows"]["mean"] * n_ranks - N_ROWS) < 0.5
    if n_ranks > 1:
        assert sort["exchange"]["rows"] == N_ROWS and sort["exchange"]["bytes"] > 0, sort["exchange"]
    spilled = sum(op["bytes_spilled"]["sum"] for run in record["runs"] for op in run["operators"])
    assert spilled == sum(rank["bytes_spilled"] for rank in record["ranks"]), "bytes spilled belong to no operator"
    is_small = memory == "400KiB"
    assert (sort["bytes_spilled"]["sum"] > 0) == is_small and (sort["n_spills"] > 0) == is_small, sort
    assert ("spilled to scratch" in done.stderr) == is_small, done.stderr
    for rank in record["ranks"]:
        assert rank["peak_resident_bytes"] >= rank["peak_accounted_bytes"] > 0, rank


def check_failures(folder, n_ranks):
    steps = [("a", "csv", "a.csv", "k int64, x float64, s utf8"), ("-", "count", "a"),
             ("m", "shuffle", "a", "k"), ("f", "map_fail", "m", "k int64, x float64, s utf8"), ("-", "count", "f")]
    done = run_plan(n_ranks, steps, folder, "--record", "failed.json")
    assert done.returncode == 1, done.stderr
    with open(os.path.join(folder, "failed.json"), encoding="utf-8") as file:
        record = json.load(file)
    assert "on purpose" in record["error"] and len(record["runs"]) == 1, record
    done = run_plan(n_ranks, steps[:2], folder, "--record", "none/such/folder/record.json")
    assert done.returncode == 1 and "none/such/folder" in done.stderr, done.stderr


def main():
    ranks = [int(argument) for argument in sys.argv[1:]] or [1, 3]
    with tempfile.TemporaryDirectory() as folder:
        write_rows(folder)
        for n_ranks in ranks:
            for memory in ["1GiB", "400KiB"]:
                check_record(folder, n_ranks, memory)
            check_failures(folder, n_ranks)
    print("the record is right")


if __name__ == "__main__":
    main()
