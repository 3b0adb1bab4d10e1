# SPDX-License-Identifier: Apache-2.0
"""Every verb against DuckDB on random rows with nulls, duplicates, NaN, empty and non-ASCII text, on 1, 2, 3, 5 and 8
ranks, in memory and with a budget that makes operators spill; one run on 64 ranks.

usage: verbs_test.py [RANKS...]
"""
import os
import random
import sys
import tempfile

import duckdb

from harness import difference, read_csv, run_plan

SEED = int(os.environ.get("QN_SEED", "20240601"))
A_SCHEMA = "k int64, g int32, s utf8, x float64, f bool, d date, t timestamp"
B_SCHEMA = "k int64, s utf8, y float64"
TEXTS = ["", "a", "A", "ab", "abc def", "ä", "Ünïcode", "日本語", "quote\"d", "com,ma", "line\nend", "x" * 40, " pad ", "NULL"]


def maybe(rng, value, chance=0.1):
    return None if rng.random() < chance else value


def make_a(rng, n):
    return [(maybe(rng, rng.randint(-20, 200)), maybe(rng, rng.randint(0, 5)), maybe(rng, rng.choice(TEXTS)),
             maybe(rng, float("nan") if rng.random() < 0.02 else round(rng.uniform(-100, 100), 3)),
             maybe(rng, rng.random() < 0.5), maybe(rng, f"2024-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"),
             maybe(rng, f"2024-02-{rng.randint(1, 28):02d} {rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}:00"))
            for _ in range(n)]


def make_b(rng, n):
    return [(maybe(rng, rng.randint(-30, 150)), maybe(rng, rng.choice(TEXTS)), maybe(rng, round(rng.uniform(0, 9), 2)))
            for _ in range(n)]


def field(value):
    if value is None:
        return ""
    if isinstance(value, bool):
        return "t" if value else "f"
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if isinstance(value, str) else text


def write_files(folder, name, header, rows, n_files):
    """The rows as CSV files of different lengths, one of them empty, so that all ranks get some or none."""
    cuts = [0] + sorted(int(len(rows) * (i / n_files) ** 1.5) for i in range(1, n_files)) + [len(rows)]
    cuts[1] = 0
    for i in range(n_files):
        with open(os.path.join(folder, f"{name}-{i:02d}.csv"), "w", encoding="utf-8", newline="") as file:
            file.write(",".join(header) + "\n")
            for row in rows[cuts[i]:cuts[i + 1]]:
                file.write(",".join(map(field, row)) + "\n")


def load(rng, folder):
    tables = {"a": (A_SCHEMA, make_a(rng, 6000), 9), "b": (B_SCHEMA, make_b(rng, 700), 4), "none": (B_SCHEMA, [], 2),
              "few": (B_SCHEMA, make_b(rng, 3), 2), "one": (B_SCHEMA, [(7, "same", 1.5)] * 500, 3)}
    types = {"int64": "bigint", "int32": "integer", "utf8": "varchar", "float64": "double", "bool": "boolean"}
    database = duckdb.connect()
    steps = []
    for name, (schema, rows, n_files) in tables.items():
        columns = [column.split() for column in schema.split(", ")]
        write_files(folder, name, [column[0] for column in columns], rows, n_files)
        sql = ", ".join(f"{column} {types.get(kind, kind)}" for column, kind in columns)
        database.execute(f"create table {name} ({sql})")
        places = f"({', '.join('?' * len(columns))})"
        for i in range(0, len(rows), 500):  # a statement of many rows takes hardly longer than one of one
            some = rows[i:i + 500]
            database.execute(f"insert into {name} values {', '.join([places] * len(some))}",
                             [value for row in some for value in row])
        steps.append((name, "csv", f"{name}-*.csv", schema))
    return database, steps


ALL_A = "k nulls last, g nulls last, s nulls last, x nulls last, f nulls last, d nulls last, t nulls last"
ALL_B = "k nulls last, s nulls last, y nulls last"
AGGREGATES = ("count(*) as n, count(x) as nx, sum(k) as sk, sum(x) as sx, min(x) as mx, max(s) as ms, avg(g) as ag, "
              "min(d) as md, max(t) as mt, bool_and(f) as ba, bool_or(f) as bo, min(s) as mis")

# name, steps (the last one's result is written), SQL that gives the same rows, whether in this order
CASES = [
    ("filter", [("r", "filter", "a", "k > 50 and s <> 'a' or f")], "select * from a where k > 50 and s <> 'a' or f", False),
    ("filter_null", [("r", "filter", "a", "x is null and not f")], "select * from a where x is null and not f", False),
    ("select", [("r", "select", "a", "k, k + g as kg, x * 2 as x2, s || '!' as s2, case when f then 'yes' else s end as c")],
     "select k, k + g, x * 2, s || '!', case when f then 'yes' else s end from a", False),
    ("select_functions", [("r", "select", "a", "upper(s) as u, length(s) as n, abs(k) as k, extract(month from d)::int32 as m, "
                           "coalesce(s, 'none') as c, date_trunc('day', t) as day, k in (1, 2, 3) as i, s like 'a%' as l, "
                           "k between 3 and 99 as b, nullif(g, 3) as nu, cast(k as utf8) as kt")],
     "select upper(s), length(s), abs(k), extract(month from d), coalesce(s, 'none'), date_trunc('day', t)::timestamp, "
     "k in (1, 2, 3), s like 'a%', k between 3 and 99, nullif(g, 3), k::varchar from a", False),
    ("map", [("m", "map_twice", "a", A_SCHEMA), ("r", "select", "m", "k, s")],
     "select k, s from a union all select -k, null from a", False),
    ("union", [("u", "union", "b", "few"), ("r", "union", "u", "none")], "select * from b union all select * from few", False),
    ("shuffle", [("r", "shuffle", "a", "k, s")], "select * from a", False),
    ("shuffle_range", [("r", "shuffle_range", "a", "x desc, k")], "select * from a", False),
    ("shuffle_own", [("r", "shuffle_own", "a")], "select * from a", False),
    ("shuffle_reduce", [("m", "shuffle", "a", "g"), ("r", "reduce", "m", "g", "count(*) as n")],
     "select g, count(*) from a group by g", False),
    ("reduce", [("r", "reduce", "a", "k", AGGREGATES)], f"select k, {AGGREGATES} from a group by k", False),
    ("reduce_two", [("r", "reduce", "a", "s, f", AGGREGATES)], f"select s, f, {AGGREGATES} from a group by s, f", False),
    ("reduce_float_key", [("r", "reduce", "a", "x", "count(*) as n")], "select x, count(*) from a group by x", False),
    ("reduce_all_types", [("r", "reduce", "a", "k, g, s, x, f, d, t", "count(*) as n")],
     "select k, g, s, x, f, d, t, count(*) from a group by all", False),
    ("reduce_none", [("r", "reduce", "a", "", AGGREGATES)], f"select {AGGREGATES} from a", False),
    ("reduce_empty", [("r", "reduce", "none", "", "count(*) as n, sum(y) as s, min(s) as m")],
     "select count(*), sum(y), min(s) from none", False),
    ("reduce_empty_key", [("r", "reduce", "none", "k", "count(*) as n")], "select k, count(*) from none group by k", False),
    ("reduce_one_key", [("r", "reduce", "one", "s", "count(*) as n, sum(y) as y")], "select s, count(*), sum(y) from one group by s", False),
    ("reduce_moments", [("v", "filter", "a", "x <> 'NaN'"),
                        ("r", "reduce", "v", "g", "variance(x) as v, stddev(x) as d, var_pop(x) as vp, stddev_pop(x) as dp, avg(x) as m")],
     "select g, var_samp(x), stddev_samp(x), var_pop(x), stddev_pop(x), avg(x) from a where not isnan(x) group by g", False),
    ("reduce_quantiles", [("v", "filter", "a", "x <> 'NaN'"),
                          ("r", "reduce", "v", "g", "median(x) as m, quantile_cont(k, 0.9) as q, quantile_cont(x, 0) as least, corr(k, x) as c, "
                           "median(k) filter (where f) as mf")],
     "select g, median(x), quantile_cont(k, 0.9), min(x), corr(k, x), median(k) filter (where f) from a where not isnan(x) group by g", False),
    ("reduce_quantiles_all", [("r", "reduce", "b", "", "median(y) as m, corr(k, y) as c")], "select median(y), corr(k, y) from b", False),
    ("reduce_distinct", [("r", "reduce", "a", "g", "count(distinct k) as n")], "select g, count(distinct k) from a group by g", False),
    ("reduce_distinct_mixed", [("r", "reduce", "a", "g", "count(distinct s) as n, sum(k) as s, count(distinct k) as m, sum(distinct k) as sd")],
     "select g, count(distinct s), sum(k), count(distinct k), sum(distinct k) from a group by g", False),
    ("reduce_distinct_all", [("r", "reduce", "a", "", "count(distinct s) as n")], "select count(distinct s) from a", False),
    ("reduce_filter", [("r", "reduce", "a", "g", "count(*) filter (where k > 10) as n, sum(x) filter (where f) as s")],
     "select g, count(*) filter (where k > 10), sum(x) filter (where f) from a group by g", False),
    ("reduce_expressions", [("r", "reduce", "a", "k % 7 as m, upper(s) as u", "sum(g * 2 + 1) as n")],
     "select k % 7, upper(s), sum(g * 2 + 1) from a group by 1, 2", False),
    ("reduce_reduce", [("m", "reduce", "a", "k, g", "count(*) as n"), ("r", "reduce", "m", "k", "sum(n) as n, count(*) as gs")],
     "select k, sum(n), count(*) from (select k, g, count(*) as n from a group by k, g) group by k", False),
    ("combine", [("c", "select", "a", "s, k, g::int64 as g"), ("r", "combine_add", "c", "s")],
     "select s, case when count(*) = 1 then sum(k) else coalesce(sum(k), 0) end, "
     "case when count(*) = 1 then sum(g) else coalesce(sum(g), 0) end from a group by s", False),
    ("group", [("r", "group_count", "a", "k", "x")], "select k, count(*) from a group by k", False),
    ("group_one_key", [("o", "select", "one", "k, s, y"), ("r", "group_count", "o", "k", "")], "select k, count(*) from one group by k", False),
    ("distinct", [("s", "select", "a", "g, s, f"), ("r", "distinct", "s", "")], "select distinct g, s, f from a", False),
    ("distinct_key", [("r", "distinct", "b", "k")],
     f"select k, s, y from (select *, row_number() over (partition by k order by {ALL_B}) as n from b) where n = 1", False),
    ("sort", [("r", "sort", "a", "s desc, x, k")],
     f"select * from a order by s desc nulls first, x nulls last, k nulls last", None),
    ("sort_total", [("r", "sort", "a", "x desc nulls last, k, g, s, f, d, t")], f"select * from a order by x desc nulls last, {ALL_A}", True),
    ("sort_reduced", [("m", "reduce", "a", "k, s", "count(*) as n"), ("r", "sort", "m", "n desc")],
     "select k, s, count(*) as n from a group by k, s order by n desc, k nulls last, s nulls last", True),
    ("sort_expression", [("r", "sort", "b", "k % 5, s, k, y")],
     "select * from b order by k % 5 nulls last, s nulls last, k nulls last, y nulls last", True),
    ("sort_few", [("r", "sort", "few", "y, k, s")], "select * from few order by y nulls last, k nulls last, s nulls last", True),
    ("sort_empty", [("r", "sort", "none", "y")], "select * from none", True),
    ("sort_equal", [("r", "sort", "one", "s")], "select * from one", True),
    ("top", [("m", "reduce", "a", "k", "count(*) as n"), ("r", "top", "m", "n desc, k", "10")],
     "select k, count(*) as n from a group by k order by n desc, k nulls last limit 10", True),
    ("top_ties", [("m", "reduce", "a", "k, s", "count(*) as n"), ("r", "top", "m", "n desc", "25")],
     "select k, s, count(*) as n from a group by k, s order by n desc, k nulls last, s nulls last limit 25", True),
    ("top_more", [("r", "top", "few", "k", "100")], "select * from few order by k nulls last", False),
    ("limit_sorted", [("m", "sort", "b", "y desc, k, s"), ("r", "limit", "m", "17")],
     "select * from b order by y desc nulls first, k nulls last, s nulls last limit 17", True),
    ("limit_reduced", [("m", "reduce", "b", "k", "count(*) as n"), ("r", "limit", "m", "9")],
     "select k, count(*) from b group by k order by k nulls last limit 9", False),
    ("zip_sorted", [("m", "sort", "b", "k, s, y"), ("r", "zip", "m", "i")],
     f"select *, row_number() over (order by {ALL_B}) - 1 from b order by {ALL_B}", True),
    ("cache_twice", [("m", "cache", "a"), ("p", "reduce", "m", "g", "count(*) as n"), ("q", "reduce", "m", "g", "sum(k) as sk"),
                     ("r", "join", "p", "q", "inner", "g")],
     "select g, count(*), sum(k) from a where g is not null group by g", False),
    ("window_rank", [("r", "window", "b", "s", "k", "row_number() as n, rank() as r, dense_rank() as dr")], None, False),
    ("window_lag", [("r", "window", "a", "g", "t, k, s, x, f, d", "lag(k) as p, lead(s, 2, 'end') as q, lag(x, 3) as l3")],
     f"select *, lag(k) over w, lead(s, 2, 'end') over w, lag(x, 3) over w from a window w as (partition by g order by t nulls last, "
     "k nulls last, s nulls last, x nulls last, f nulls last, d nulls last)", False),
    ("window_running", [("r", "window", "a", "g", "d", "sum(k) as sk, count(*) as n, min(k) as mi, max(s) as ma, avg(k) as av, count(x) as cx")],
     "select *, sum(k) over w, count(*) over w, min(k) over w, max(s) over w, avg(k) over w, count(x) over w from a "
     "window w as (partition by g order by d nulls last)", False),
    ("window_whole", [("r", "window", "b", "s", "", "sum(y) as sy, count(*) as n, max(k) as mk")],
     "select *, sum(y) over w, count(*) over w, max(k) over w from b window w as (partition by s)", False),
    ("window_values", [("r", "window", "b", "k", "y, s", "first_value(s) as fv, last_value(s) as lv")],
     "select *, first_value(s) over w, last_value(s) over w from b window w as (partition by k order by y nulls last, s nulls last)", False),
    ("window_all", [("r", "window", "b", "", "k, s, y", "row_number() as n, sum(k) as sk")],
     f"select *, row_number() over (order by {ALL_B}), sum(k) over (order by {ALL_B}) from b", False),
    ("window_expression", [("r", "window", "b", "k % 3", "y desc, k, s", "row_number() as n")],
     "select *, row_number() over (partition by k % 3 order by y desc nulls first, k nulls last, s nulls last) from b", False),
    ("pushed_filter", [("m", "select", "a", "k, g + 1 as g1, s"), ("j", "join", "m", "b", "inner", "k"), ("r", "filter", "j", "g1 > 2 and y < 5 and s_right = 'a'")],
     "select a.k, g + 1, a.s, b.s, y from a join b on a.k = b.k where g + 1 > 2 and y < 5 and b.s = 'a'", False),
    ("filter_above_reduce", [("m", "reduce", "a", "k, g", "count(*) as n"), ("r", "filter", "m", "k > 10 and n > 1")],
     "select k, g, count(*) from a where k > 10 group by k, g having count(*) > 1", False),
    ("guarded_division", [("m", "filter", "a", "g <> 0 and 10 / g > 2"), ("r", "select", "m", "k, g")],
     "select k, g from a where g <> 0 and 10 // g > 2", False),
    ("sample_all", [("r", "sample", "a", "1", "7")], "select * from a", False),
    ("sample_none", [("r", "sample", "a", "0", "7")], "select * from a where false", False),
    ("stage", [("m", "stage", "a", "staged"), ("r", "filter", "m", "k > 100")], "select * from a where k > 100", False),
    ("stage_empty", [("m", "stage", "none", "staged-empty"), ("r", "select", "m", "*")], "select * from none", False),
    ("join_three", [("j", "join", "a", "b", "inner", "k"), ("q", "reduce", "j", "s_right", "count(*) as n"), ("r", "join", "q", "few", "left", "l.s_right = r.s")],
     "select q.s, n, few.k, few.s, few.y from (select b.s as s, count(*) as n from a join b on a.k = b.k group by b.s) q left join few on q.s = few.s", False),
]
for kind, sql in [("inner", "join"), ("left", "left join"), ("right", "right join"), ("full", "full join")]:
    CASES.append((f"join_{kind}", [("l", "select", "a", "k, g, x"), ("r", "join", "l", "b", kind, "k")],
                  f"select coalesce(a.k, b.k), g, x, b.s, y from a {sql} b on a.k = b.k", False))
    CASES.append((f"join_{kind}_on", [("l", "select", "a", "k, g, s"), ("r", "join", "l", "b", kind, "l.k = r.k, s", "g > 2 and y < 6")],
                  f"select a.k, g, coalesce(a.s, b.s), b.k, y from a {sql} b on a.k = b.k and a.s = b.s and g > 2 and y < 6", False))
    CASES.append((f"join_{kind}_empty", [("r", "join", "few", "none", kind, "l.k = r.k")],
                  f"select * from few {sql} none on few.k = none.k", False))
    CASES.append((f"join_{kind}_from_empty", [("r", "join", "none", "few", kind, "l.k = r.k")],
                  f"select * from none {sql} few on few.k = none.k", False))
    CASES.append((f"join_{kind}_reduced", [("p", "reduce", "a", "k", "count(*) as n"), ("q", "reduce", "b", "k", "count(*) as m"), ("r", "join", "p", "q", kind, "k")],
                  f"select coalesce(p.k, q.k), n, m from (select k, count(*) as n from a group by k) p {sql} (select k, count(*) as m from b group by k) q on p.k = q.k", False))
for kind, sql in [("semi", ""), ("anti", "not ")]:
    CASES.append((f"join_{kind}", [("r", "join", "a", "b", kind, "k")], f"select * from a where {sql}exists (select 1 from b where a.k = b.k)", False))
    CASES.append((f"join_{kind}_on", [("r", "join", "a", "b", kind, "k", "l.x > r.y")],
                  f"select * from a where {sql}exists (select 1 from b where a.k = b.k and a.x > b.y)", False))
    CASES.append((f"join_{kind}_equal", [("r", "join", "one", "one", kind, "s")], f"select * from one where {sql}true", False))

# Cases whose SQL would not be the same thing: what must hold of the rows instead.


def check_window_rank(rows):
    groups = {}
    for k, s, _, n, rank, dense in rows:
        groups.setdefault(s, []).append((int(n), float("inf") if k is None else int(k), int(rank), int(dense)))
    for group in groups.values():
        group.sort()
        keys = [key for _, key, _, _ in group]
        assert [n for n, _, _, _ in group] == list(range(1, len(group) + 1)), "row numbers have gaps"
        assert keys == sorted(keys), "row numbers do not follow the order"
        for _, key, rank, dense in group:
            assert rank == keys.index(key) + 1, f"rank {rank} of {key}"
            assert dense == len({other for other in keys if other < key}) + 1, f"dense rank {dense} of {key}"


def check_order(rows, wanted):
    """Sorted by s desc, x, k: only the keys' order is given."""
    keys = [[row[2], row[3], row[0]] for row in rows]
    return difference(keys, [[row[2], row[3], row[0]] for row in wanted], True)


def check(case, folder, database):
    name, _, sql, order = case
    _, rows = read_csv(os.path.join(folder, "out", name + ".csv"))
    if sql is None:
        try:
            check_window_rank(rows)
        except AssertionError as wrong:
            return str(wrong)
        return None
    wanted = database.execute(sql).fetchall()
    if order is None:
        return check_order(rows, wanted) or difference(rows, wanted, False)
    return difference(rows, wanted, order)


def run_all(folder, database, steps, n_ranks, *arguments):
    """Failures of all cases in one job of n_ranks ranks."""
    lines = list(steps)
    for i, (name, case_steps, _, _) in enumerate(CASES):
        own = {step[0] for step in case_steps}
        for step in case_steps:  # results get names of their own
            lines.append([f"{field}@{i}" if field in own and (place == 0 or place in (2, 3)) else field
                          for place, field in enumerate(step)])
        lines.append(("-", "write", f"{case_steps[-1][0]}@{i}", f"out/{name}.csv"))
    done = run_plan(n_ranks, lines, folder, *arguments, timeout=200)
    if done.returncode != 0:
        return [f"exit code {done.returncode}: {done.stderr.strip()[-2000:]}"]
    failures = []
    for case in CASES:
        wrong = check(case, folder, database)
        if wrong:
            failures.append(f"{case[0]}: {wrong}")
    return failures


def main():
    ranks = [int(argument) for argument in sys.argv[1:]] or [1, 2, 3, 5, 8]
    n_passed = n_failed = 0
    with tempfile.TemporaryDirectory() as folder:
        database, steps = load(random.Random(SEED), folder)
        for n_ranks in ranks:
            for arguments in [(), ("--memory", "400KiB", "--scratch", folder)]:
                failures = run_all(folder, database, steps, n_ranks, *arguments)
                for failure in failures:
                    print(f"{n_ranks} ranks {' '.join(arguments[:2])}: {failure} (QN_SEED={SEED})")
                n_failed += len(failures)
                n_passed += len(CASES) - min(len(failures), len(CASES))
    print(f"{n_passed} passed, {n_failed} failed")
    return n_failed > 0


if __name__ == "__main__":
    sys.exit(main())
