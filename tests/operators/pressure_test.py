# SPDX-License-Identifier: Apache-2.0
"""Every operator that holds rows, with a budget of an eighth of its data: the same answer as DuckDB's, memory that stays
inside the budget, and rows that were put out to scratch where they had to be.

usage: pressure_test.py [--rows N] [--memory MIB] [--times] [--keep] [RANKS | CASE]...

--rows is rows per rank (of 88 bytes); --times runs each case in memory too and prints how much slower pressure makes it.
"""
import argparse
import json
import os
import sys
import tempfile
import time

import duckdb

from harness import difference, read_csv, run_plan

MIB = 1 << 20
ROW_BYTES = 88  # of a generated row in memory, its text with its offset
RESIDENT_MIB = 64  # what a rank may have beside 1.25 times its budget
ACCOUNTED_MIB = 12  # of that, in the account of memory: so that small data can show something too
NUMBERS = ("select i, (i * 7919 + 13) % {keys} as k, (i % 100)::integer as g, (i * 104729 % 1000003) / 4 as x, "
           "printf('some text that all of the rows have -%010d', i * 31337 % 9999999967) as s from range({n}) t(i)")
DIGITS = "cast(substr({s}, 38, 10) as int64)"
S = DIGITS.format(s="s")
WHOLE = f"count(*) as n, sum(i % 1009 * (k % 1013)) as a, sum({S} % 1019 * (i % 1021)) as b, sum(x) as c, sum(length(s) * g) as d"
ORDERED = f"count(*) as n, sum(z % 1009 * (k % 1013)) as a, sum({S} % 1019 * (z % 1021)) as b, sum(z % 1031 * (i % 1033)) as c, sum(x) as d"
JOINED = (f"count(*) as n, sum(coalesce(k, 7) % 1013 * (coalesce(i, 1) % 1009 + coalesce(j, 3) % 1033)) as a, "
          f"sum({DIGITS.format(s='t')} % 1019 * (j % 1021)) as b, sum({S} % 1019 * (i % 1021)) as c")
REDUCED = "count(*) as n, sum(k % 1013 * (u % 1009)) as a, sum(v) as b"

# Name, steps that end in r, checksum, SQL of the rows, and how much spills at least: a part of the data. {n} is the
# number of rows, {half} that of keys with two rows each. `a` has two rows per key, `b` too, with other keys in part, `one` has one key.
B_STEPS = [("b0", "numbers", "{n}", "{half}"), ("b", "select", "b0", "k + {half} / 4 as k, i as j, s as t")]
B_SQL = "(select k + {half} // 4 as k, i as j, s as t from a)"
ONE_STEPS = [("one0", "numbers", "{n}", "1")]
CASES = [
    ("reduce_few", [("r", "reduce", "a", "g as k", "count(*) as u, sum(x + i + length(s)) as v")], REDUCED,
     "select g as k, count(*) as u, sum(x + i + length(s)) as v from a group by 1", 0),
    ("reduce_many", [("r", "reduce", "a", "k", "sum(i) as u, max(x) + 0 as v")], REDUCED, None, 0.1),
    ("reduce_text", [("m", "reduce", "a", "k", "min(s) as lo, max(s) as hi"),
                     ("r", "select", "m", f"k, {DIGITS.format(s='lo')} as u, {DIGITS.format(s='hi')} % 977 as v")], REDUCED,
     f"select k, {DIGITS.format(s='lo')} as u, {DIGITS.format(s='hi')} % 977 as v from (select k, min(s) as lo, max(s) as hi from a group by k)", 0.3),
    ("reduce_text_key", [("m", "reduce", "a", "s", "count(*) as u, sum(x) as v"), ("r", "select", "m", f"{S} as k, u, v")], REDUCED,
     f"select {S} as k, count(*) as u, sum(x) as v from a group by s", 0.5),
    ("reduce_moments", [("r", "reduce", "a", "k", "count(x) as u, avg(x) as v, stddev(x) as w, var_pop(i) as y")],
     REDUCED + ", sum(w) as c, sum(y) as d", "select k, count(x) as u, avg(x) as v, stddev(x) as w, var_pop(i) as y from a group by k", 0.3),
    ("reduce_any", [("r", "reduce", "a", "k", "any_value(i) as u, sum(g) as v, bool_and(i > 5) as w")], REDUCED,
     "select k, min(i) as u, sum(g) as v from a group by k", 0.1),
    ("reduce_approximate", [("m", "reduce", "a", "g as k", "approx_count_distinct(s) as u, approx_quantile(x, 0.5) as v"),
                            ("r", "select", "m", "k, round(u / (0.01 * {n})) as u, round(v / 12500) as v")], REDUCED,
     "select g as k, 1 as u, 10 as v from a group by g", 0),
    ("reduce_median", [("m", "reduce", "a", "g as k", "median(x) as u, quantile_cont(x, 0.9) as w"),
                       ("r", "select", "m", "k, round(u * 1000) as u, round(w * 1000) as v")], REDUCED,
     "select g as k, round(median(x) * 1000) as u, round(quantile_cont(x, 0.9) * 1000) as v from a group by g", 0.3),
    ("count_distinct", [("r", "reduce", "a", "g as k", "count(distinct s) as u, max(i) as v")], REDUCED,
     "select g as k, count(distinct s) as u, max(i) as v from a group by g", 0.5),
    ("count_distinct_all", [("m", "reduce", "a", "", "count(distinct s) as u"), ("r", "select", "m", "1 as k, u, 0 as v")], REDUCED,
     "select 1 as k, count(distinct s) as u, 0 as v from a", 0.5),
    ("several_distinct", [("m", "reduce", "a", "g as k", "count(distinct s) as u, sum(distinct k) as v, count(distinct x) as w"),
                          ("r", "select", "m", "k, u, v + w as v")], REDUCED,
     "select g as k, count(distinct s) as u, sum(distinct k) + count(distinct x) as v from a group by g", 0.3),
    ("combine", [("c", "select", "a", "k, i, i % 7 as j, length(s)::int64 as l"), ("m", "combine_add", "c", "k"), ("r", "select", "m", "k, i as u, j + l as v")], REDUCED,
     "select k, sum(i) as u, sum(i % 7) + sum(length(s)) as v from a group by k", 0.2),
    ("group", [("o", "select", "a", "k, i, x, s"), ("m", "group_count", "o", "k", "x"), ("r", "select", "m", "k, n as u, 0 as v")], REDUCED,
     "select k, count(*) as u, 0 as v from a group by k", 0.8),
    ("group_one_key", [*ONE_STEPS, ("o", "select", "one0", "k, i, x, s"), ("m", "group_count", "o", "k", "x"), ("r", "select", "m", "k, n as u, 0 as v")], REDUCED,
     "select 0 as k, count(*) as u, 0 as v from a", 0.8),
    ("distinct", [("r", "distinct", "a", "")], WHOLE, "select distinct * from a", 0.5),
    ("distinct_key", [("m", "distinct", "a", "k"), ("r", "select", "m", "k, i * 0 + g * 0 + length(s) as u, x * 0 as v")], REDUCED,
     "select k, any_value(length(s)) as u, 0 as v from a group by k", 0.3),
    ("sort_text", [("m", "sort", "a", "s desc"), ("r", "zip", "m", "z")], ORDERED, "select *, row_number() over (order by s desc) - 1 as z from a", 0.8),
    ("sort_numbers", [("m", "sort", "a", "x, i"), ("r", "zip", "m", "z")], ORDERED, "select *, row_number() over (order by x, i) - 1 as z from a", 0.8),
    ("sort_one_key", [*ONE_STEPS, ("m", "sort", "one0", "k"), ("r", "zip", "m", "z")], ORDERED, "select i, 0 as k, g, x, s, i as z from a", 0.8),
    ("top", [("m", "top", "a", "x desc, i", "{half}"), ("r", "zip", "m", "z")], ORDERED,
     "select *, row_number() over (order by x desc, i) - 1 as z from a order by x desc, i limit {half}", 0.3),
    ("window", [("r", "window", "a", "k", "i", "row_number() as z, sum(g) as y")], ORDERED + ", sum(y * (i % 11)) as e",
     "select *, row_number() over w as z, sum(g) over w as y from a window w as (partition by k order by i)", 0.8),
    ("window_whole", [("w", "window", "a", "", "x, i", "row_number() as z, lag(i) as y")], ORDERED + ", sum(y * (i % 11)) as e",
     "select *, row_number() over w as z, lag(i) over w as y from a window w as (order by x, i)", 0.8),
    ("window_one_key", [*ONE_STEPS, ("r", "window", "one0", "k", "x, i", "row_number() as z, sum(g) as y")], ORDERED + ", sum(y * (i % 11)) as e",
     "select i, 0 as k, g, x, s, row_number() over w as z, sum(g) over w as y from a window w as (order by x, i)", 0.8),
    ("window_total", [("r", "window", "a", "g", "", "count(*) as z, max(i) as y")], ORDERED + ", sum(y * (i % 11)) as e",
     "select *, count(*) over w as z, max(i) over w as y from a window w as (partition by g)", 0.8),
    ("limit", [("m", "shuffle", "a", "k"), ("r", "limit", "m", "{half}")], WHOLE,
     "select * from a order by i limit {half}", 0.3),
    ("zip", [("m", "shuffle", "a", "k"), ("r", "zip", "m", "z")], ORDERED, "select *, i as z from a", 0.8),
    ("shuffle_range", [("r", "shuffle_range", "a", "s")], WHOLE, "select * from a", 0.5),
    ("cache", [("c", "cache", "a"), ("l", "filter", "c", "g < 50"), ("h", "filter", "c", "g >= 50"), ("r", "union", "l", "h")], WHOLE, "select * from a", 0.8),
    ("join_inner", [*B_STEPS, ("r", "join", "a", "b", "inner", "k")], JOINED, "select a.*, j, t from a join {b} b on a.k = b.k", 0.8),
    ("join_left", [*B_STEPS, ("r", "join", "a", "b", "left", "k")], JOINED, "select a.*, j, t from a left join {b} b on a.k = b.k", 0.8),
    ("join_right", [*B_STEPS, ("r", "join", "a", "b", "right", "k")], JOINED, "select b.k, i, s, j, t from a right join {b} b on a.k = b.k", 0.8),
    ("join_full", [*B_STEPS, ("r", "join", "a", "b", "full", "k")], JOINED,
     "select coalesce(a.k, b.k) as k, i, s, j, t from a full join {b} b on a.k = b.k", 0.8),
    ("join_semi", [*B_STEPS, ("r", "join", "a", "b", "semi", "k")], WHOLE, "select * from a semi join {b} b on a.k = b.k", 0.1),
    ("join_anti", [*B_STEPS, ("r", "join", "a", "b", "anti", "k")], WHOLE, "select * from a anti join {b} b on a.k = b.k", 0.1),
    ("join_one_key", [("b0", "numbers", "{n}", "1"), ("b", "select", "b0", "k, i as j, s as t"), ("f", "numbers", "2", "1"), ("r", "join", "f", "b", "inner", "k")], JOINED,
     "select 0 as k, f.i, f.s, a.i as j, a.s as t from a, (select * from a where i < 2) f", 0.8),
    ("join_broadcast", [("b0", "numbers", "1000", "{half}"), ("b", "select", "b0", "k, i as j, s as t"), ("r", "join", "a", "b", "inner", "k")], JOINED,
     "select a.*, b.i as j, b.s as t from a join (select * from a where i < 1000) b on a.k = b.k", 0),
    ("csv", [("-", "write", "a", "all.csv"), ("r", "csv", "all.csv", "i int64, k int64, g int32, x float64, s utf8")], WHOLE, "select * from a", 0),
    ("stage", [("r", "stage", "a", "staged")], WHOLE, "select * from a", 0),
    ("stage_sorted", [("m", "sort", "a", "x, i"), ("t", "stage", "m", "sorted"), ("r", "zip", "t", "z")], ORDERED,
     "select *, row_number() over (order by x, i) - 1 as z from a", 0.8),
    ("one_file", [("r", "stage", "a", "all.h5")], WHOLE, "select * from a", 0),
]


def steps_of(case, n):
    values = {"n": n, "half": n // 2, "b": B_SQL.format(half=n // 2)}
    name, steps, checksum, sql, part = case
    if name == "reduce_many":
        steps = [("m", "reduce", "a", "k", "sum(i) as u, max(x) as y"), ("r", "select", "m", "k, u, y as v")]
        sql = "select k, sum(i) as u, max(x) as v from a group by k"
    lines = [("a", "numbers", n, n // 2)] + [tuple(str(field).format(**values) for field in step) for step in steps]
    lines += [("sums", "reduce", lines[-1][0], "", checksum), ("-", "write", "sums", f"{name}.csv")]
    return lines, checksum.replace("int64", "bigint"), sql.format(**values).replace("int64", "bigint"), part


class Wrong(Exception):
    """What a case shows."""


def run_case(case, n_ranks, options, folder, memory):
    """Runs a case; its rows and its record."""
    n = options.rows * n_ranks
    lines, _, _, _ = steps_of(case, n)
    done = run_plan(n_ranks, lines, folder, "--memory", f"{memory}MiB", "--scratch", options.scratch or folder,
                    "--record", "record.json", timeout=600)
    if done.returncode != 0:
        raise Wrong(f"exit code {done.returncode}: {done.stderr.strip()[-600:]}")
    with open(os.path.join(folder, "record.json"), encoding="utf-8") as file:
        return read_csv(os.path.join(folder, case[0] + ".csv"))[1], json.load(file)


def check_case(case, n_ranks, options, folder, database):
    """One line about a case that is right; Wrong if it is not."""
    n = options.rows * n_ranks
    _, checksum, sql, part = steps_of(case, n)
    started = time.monotonic()
    found, record = run_case(case, n_ranks, options, folder, options.memory)
    seconds = time.monotonic() - started
    wanted = database.execute(f"select {checksum} from ({sql})").fetchall()
    wrong = difference(found, wanted, True)
    if wrong:
        raise Wrong(wrong)
    resident = max(rank["peak_resident_bytes"] for rank in record["ranks"])
    accounted = max(rank["peak_accounted_bytes"] for rank in record["ranks"])
    spilled = sum(rank["bytes_spilled"] for rank in record["ranks"])
    text = (f"{case[0]}@{n_ranks}: {seconds:.1f} s, accounted {accounted / MIB:.0f}, resident {resident / MIB:.0f} of "
            f"{1.25 * options.memory + RESIDENT_MIB:.0f} MiB, spilled {spilled / (n * ROW_BYTES):.2f} of the data")
    if accounted > 1.25 * options.memory * MIB + ACCOUNTED_MIB * MIB:
        raise Wrong("accounted memory: " + text)
    if resident > 1.25 * options.memory * MIB + RESIDENT_MIB * MIB:
        raise Wrong("resident memory: " + text)
    if spilled < part * n * ROW_BYTES * options.least:
        raise Wrong(f"at least {part} of the data should have spilled: " + text)
    if options.times:
        _, free = run_case(case, n_ranks, options, folder, 4096)
        ratio = sum(run["seconds"] for run in record["runs"]) / sum(run["seconds"] for run in free["runs"])
        text += f", {ratio:.2f} times the time in memory"
    return text


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1500000)
    parser.add_argument("--memory", type=int, default=16)
    parser.add_argument("--least", type=float, default=0.5, help="part of the expected bytes that must be spilled")
    parser.add_argument("--scratch")
    parser.add_argument("--times", action="store_true")
    parser.add_argument("what", nargs="*")
    options = parser.parse_args()
    ranks = [int(word) for word in options.what if word.isdigit()] or [2]
    names = [word for word in options.what if not word.isdigit()]
    cases = [case for case in CASES if not names or case[0] in names]
    n_failed = 0
    for n_ranks in ranks:
        database = duckdb.connect()
        n = options.rows * n_ranks
        database.execute(f"create table a as {NUMBERS.format(n=n, keys=n // 2)}")
        for case in cases:
            with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
                try:
                    print(check_case(case, n_ranks, options, folder, database), flush=True)
                except (Wrong, AssertionError) as wrong:
                    n_failed += 1
                    print(f"{case[0]}@{n_ranks}: WRONG: {wrong}", flush=True)
    print(f"{len(cases) * len(ranks) - n_failed} passed, {n_failed} failed")
    return n_failed > 0


if __name__ == "__main__":
    sys.exit(main())
