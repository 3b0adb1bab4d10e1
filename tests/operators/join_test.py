# SPDX-License-Identifier: Apache-2.0
"""Joins of every kind against DuckDB: broadcast, shuffled, spilled; with heavy keys on either side and on both, nulls,
text keys, several keys, a condition, an empty side. And the work of the ranks is even whatever the keys are.

usage: join_test.py RANKS
"""
import json
import os
import random
import sys
import tempfile

import duckdb

from harness import difference, read_csv, run_plan

KINDS = {"inner": "join", "left": "left join", "right": "right join", "full": "full join", "semi": "semi join",
         "anti": "anti join"}
N_ROWS = 20000
SIDES = "k int64, g int64, s utf8, {} int64"


def zipf(rng, n_keys):
    weights = [1 / (k + 1) ** 1.5 for k in range(n_keys)]
    return lambda n: rng.choices(range(n_keys), weights, k=n)


def half(rng, key, n_keys):
    return lambda n: [key if i % 2 else rng.randrange(n_keys) for i in range(n)]


def uniform(rng, n_keys):
    return lambda n: [rng.randrange(n_keys) for _ in range(n)]


def make_sides(rng):
    """Name: keys and number of rows of the left and of the right side."""
    return {
        "plain": (uniform(rng, 9000), N_ROWS, uniform(rng, 9000), N_ROWS),
        "few_match": (uniform(rng, 10 ** 6), N_ROWS, uniform(rng, 10 ** 6), N_ROWS // 3),
        "left_zipf": (zipf(rng, 5000), N_ROWS, uniform(rng, 5000), N_ROWS),
        "right_zipf": (uniform(rng, 5000), N_ROWS, zipf(rng, 5000), N_ROWS),
        "left_half": (half(rng, 77, 9000), N_ROWS, uniform(rng, 9000), N_ROWS),
        "right_half": (half(rng, 78, 9000), N_ROWS // 2, half(rng, 77, 9000), N_ROWS),
        "both_zipf": (zipf(rng, 5000), N_ROWS // 4, zipf(rng, 5000), N_ROWS // 4),
        "one_key": (uniform(rng, 1), N_ROWS // 4, uniform(rng, 1), N_ROWS // 10),
        "small_left": (uniform(rng, 3000), 1500, uniform(rng, 3000), N_ROWS),
        "no_left": (uniform(rng, 100), 0, uniform(rng, 100), N_ROWS),
        "no_right": (uniform(rng, 100), N_ROWS, uniform(rng, 100), 0),
    }


def write_side(database, folder, name, column, keys, n_rows, rng):
    rows = []
    for i, k in enumerate(keys(n_rows)):
        key = None if i % 50 == 49 and k != 0 else k
        rows.append((key, rng.randrange(3), None if key is None else f"key {k}" + " of many letters" * (k % 2), i))
    with open(os.path.join(folder, name + ".csv"), "w", encoding="utf-8") as file:
        file.write(f"k,g,s,{column}\n")
        for row in rows:
            file.write(",".join("" if value is None else str(value) for value in row) + "\n")
    database.execute(f"create table {name} as select * from read_csv('{folder}/{name}.csv', header=true, columns="
                     f"{{'k': 'bigint', 'g': 'bigint', 's': 'varchar', '{column}': 'bigint'}})")


# Which keys and conditions each pair of sides is joined by.
ON = {"int": ("k", None), "text": ("s", None), "two": ("k, g", None), "less": ("k", "x % 7 < y % 5")}
VARIANTS = {"plain": ON, "left_zipf": {"int": ON["int"], "text": ON["text"], "less": ON["less"]},
            "right_half": {"int": ON["int"], "text": ON["text"], "less": ON["less"]}}


def cases(sides):
    for name in sides:
        for variant, (keys, condition) in VARIANTS.get(name, {"int": ON["int"]}).items():
            for kind in KINDS:
                yield f"{name}_{variant}_{kind}", name, keys, condition, kind


# The sums tell each pair of rows from others, and rows without a partner too.
def steps_of(case):
    label, name, keys, condition, kind = case
    is_half = kind in ("semi", "anti")
    sums = "count(*) as n, count(k) as nk, sum(x) as sx" + ("" if is_half else
            ", count(x) as nx, count(y) as ny, sum(y) as sy, sum((x + 1) * (y + 3)) as sxy, sum(k) as sk")
    on = ", ".join(f"l.{key} = r.{key}" for key in keys.split(", "))
    yield (label, "join", name + "_l", name + "_r", kind, on, condition or "")
    yield (label + "_sum", "reduce", label, "", sums)
    yield ("-", "write", label + "_sum", label + ".csv")


def wanted(database, case):
    _, name, keys, condition, kind = case
    sums = "count(*), count(l.k), sum(x)" + ("" if kind in ("semi", "anti") else
            ", count(x), count(y), sum(y), sum((x + 1) * (y + 3)), sum(l.k)")
    on = " and ".join(f"l.{key} = r.{key}" for key in keys.split(", ")) + (f" and {condition}" if condition else "")
    return database.execute(f"select {sums} from {name}_l l {KINDS[kind]} {name}_r r on {on}").fetchall()


def joins_of(record):
    """The join of each run; its rows are the work of the ranks: probe rows, and rows that came out."""
    return [op for run in record["runs"] for op in run["operators"] if op["name"] == "join"]


def check_balance(all_cases, record):
    failures, n_checked = [], 0
    for case, op in zip(all_cases, joins_of(record)):
        label, name, keys, condition, kind = case
        # Dealing out build rows needs partners that are certain by the hash: see join_choice.c.
        can_be_even = kind in ("inner", "right") or (kind == "left" and keys == "k" and not condition)
        if not can_be_even or not op["is_spread"] or op["rows"]["sum"] < N_ROWS:
            continue
        n_checked += 1
        if op["rows"]["balance"] > 1.2:
            failures.append(f"{label}: work of the ranks is uneven: {op['rows']}")
    return failures if n_checked >= 20 else failures + [f"only {n_checked} joins were checked for even work"]


def check_filter(all_cases, record, n_ranks):
    """Where few rows have partners, few are sent: those of the right, those that are at home, and a tenth more."""
    most = N_ROWS // 3 + N_ROWS // n_ranks + N_ROWS // 10
    for case, op in zip(all_cases, joins_of(record)):
        if case[1] == "few_match" and case[4] == "inner":
            if op["exchange"]["rows"] > most:
                return [f"{case[0]}: {op['exchange']['rows']} rows were sent, the Bloom filter does nothing"]
    return []


def main():
    n_ranks = int(sys.argv[1])
    rng = random.Random(11)
    failures, n_checked = [], 0
    with tempfile.TemporaryDirectory() as folder:
        database = duckdb.connect()
        sides = make_sides(rng)
        for name, (left, n_left, right, n_right) in sides.items():
            write_side(database, folder, name + "_l", "x", left, n_left, rng)
            write_side(database, folder, name + "_r", "y", right, n_right, rng)
        all_cases = list(cases(sides))
        answers = [wanted(database, case) for case in all_cases]
        for memory in ("1GiB", "3MiB", "512KiB"):  # broadcast, shuffled, spilled
            steps = [(f"{name}_{side}", "csv", f"{name}_{side}.csv", SIDES.format(column))
                     for name in sides for side, column in (("l", "x"), ("r", "y"))]
            steps += [step for case in all_cases for step in steps_of(case)]
            done = run_plan(n_ranks, steps, folder, "--memory", memory, "--record", "record.json")
            if done.returncode != 0:
                failures.append(f"{memory}: {done.stderr[-2000:]}")
                continue
            for case, answer in zip(all_cases, answers):
                wrong = difference(read_csv(os.path.join(folder, case[0] + ".csv"))[1], answer, False)
                failures += [f"{memory} {case[0]}: {wrong}"] if wrong else []
                os.remove(os.path.join(folder, case[0] + ".csv"))
                n_checked += 1
            with open(os.path.join(folder, "record.json"), encoding="utf-8") as file:
                record = json.load(file)
            if n_ranks == 8 and memory != "1GiB":
                failures += check_balance(all_cases, record)
            if n_ranks > 1 and memory == "512KiB":
                failures += check_filter(all_cases, record, n_ranks)
    for failure in failures:
        print(f"{n_ranks} ranks: {failure}")
    print(f"{n_checked} passed, {len(failures)} failed")
    return 1 if failures or n_checked == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
