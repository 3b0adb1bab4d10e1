# SPDX-License-Identifier: Apache-2.0
"""Reduce, distinct and combine give eight ranks the same work, however the rows are spread over the keys.

usage: skew_test.py
"""
import json
import os
import sys
import tempfile

import numpy

from harness import read_csv, run_plan

N_RANKS = 8
N_ROWS = 1_300_000  # more on each rank than after which it judges whether grouping pays
MOST = 1.2


def make_keys(name):
    rng = numpy.random.default_rng(11)
    own = numpy.arange(N_ROWS) + 10
    if name == "zipf":
        return rng.zipf(1.5, N_ROWS)
    if name == "one":
        return numpy.full(N_ROWS, 7)
    shares = {"half": 0.5, "fifth": 0.2}
    if name in shares:  # so many of the rows have one key, the others one each
        return numpy.where(rng.random(N_ROWS) < shares[name], 3, own)
    assert name == "late"  # unique first, then two keys only
    return numpy.where(own < N_ROWS // 2, own, own % 2)


STEPS = {
    "reduce": [("r", "reduce", "a", "k", "count(*) as v"), ("t", "reduce", "r", "", "sum(v) as v, count(*) as n")],
    "distinct": [("r", "distinct", "a", "k"), ("t", "reduce", "r", "", "sum(v) as v, count(*) as n")],
    "combine": [("r", "combine_add", "a", "k"), ("t", "reduce", "r", "", "sum(v) as v, count(*) as n")],
}


def check(folder, name, keys, verb):
    steps = [("a", "csv", "a.csv", "k int64, v int64"), *STEPS[verb], ("-", "write", "t", "t.csv")]
    done = run_plan(N_RANKS, steps, folder, "--record", "record.json")
    assert done.returncode == 0, done.stderr
    wanted = {"reduce": N_ROWS, "combine": N_ROWS, "distinct": len(numpy.unique(keys))}[verb]
    assert read_csv(os.path.join(folder, "t.csv"))[1] == [[str(wanted), str(len(numpy.unique(keys)))]], (name, verb)
    with open(os.path.join(folder, "record.json"), encoding="utf-8") as file:
        operators = json.load(file)["runs"][-1]["operators"]
    found = [op for op in operators if op["name"] == "exchange by hash"]
    assert len(found) == 1, [op["name"] for op in operators]
    received = found[0]["rows"]
    share = N_ROWS / N_RANKS  # what each rank has read
    balance = (share + received["max"]) / (share + received["mean"])
    print(f"{verb}, {name}: {received['sum']} rows sent, at most {received['max']} to a rank; balance {balance:.2f}")
    assert balance <= MOST, (name, verb, balance)


def main():
    with tempfile.TemporaryDirectory() as folder:
        for name in ["zipf", "one", "half", "fifth", "late"]:
            keys = make_keys(name)
            with open(os.path.join(folder, "a.csv"), "w", encoding="utf-8") as file:
                file.write("k,v\n" + "".join(f"{key},1\n" for key in keys.tolist()))
            for verb in ["reduce", "distinct", "combine"] if name in ("zipf", "fifth") else ["reduce"]:
                check(folder, name, keys, verb)
    print("the ranks have the same work")


if __name__ == "__main__":
    sys.exit(main())
