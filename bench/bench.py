# SPDX-License-Identifier: Apache-2.0
"""Quern against its peers: the same data, the same run, in alternation, the same answers; prints a table of ratios.

usage: scripts/python bench/bench.py [--gib SIZE] [--rows N] [--runs N] [--ranks R] [TASK...]

Build first: cmake --build build/release --target bench. Data are made once, in build/bench-data, and kept. Every time is that of a
whole command, from start to exit, with the files in the page cache: by the clock (s), and of all cores together (cpu_s), which
says more where the machine is not idle. Ratios are taken run by run, and their median is shown: 2.00 means that Quern was
twice as fast.
"""
import argparse
import csv
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time

import duckdb
import numpy

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("QN_BUILD", os.path.join(ROOT, "build", "release"))
DATA = os.path.join(ROOT, "build", "bench-data")


def make_text(path, n_bytes):
    """Lines of about ten words, 200,000 different ones, common ones far more often (Zipf's law)."""
    rng = numpy.random.default_rng(1)
    letters = numpy.array(list("etaoinshrdlucmfwypvbgkjqxz"))
    sizes = rng.integers(2, 11, 200_000)
    words = numpy.array(["".join(rng.choice(letters, size)) for size in sizes], dtype=object)
    weights = 1.0 / numpy.arange(1, len(words) + 1)
    edges = numpy.cumsum(weights / weights.sum())
    with open(path + ".tmp", "w", encoding="ascii") as file:
        written = 0
        while written < n_bytes:
            picked = words[numpy.searchsorted(edges, rng.random(1_000_000)).clip(0, len(words) - 1)]
            text = "\n".join(" ".join(picked[i:i + 10]) for i in range(0, len(picked), 10)) + "\n"
            written += file.write(text)
    os.rename(path + ".tmp", path)


def make_ratings(folder, n_bytes):
    mpirun(2, "bin/quern", "generate", "movies", "--events", str(n_bytes // 26), "--output", folder)


def mpirun(n_ranks, program, *arguments):
    command = [os.path.join(ROOT, "scripts", "mpirun"), "-n", str(n_ranks), os.path.join(BUILD, program), *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def duck(sql, n_threads, database=":memory:"):
    """DuckDB in a process of its own, as a user would start it."""
    program = f"import duckdb; c = duckdb.connect({database!r}, config={{'threads': {n_threads}}}); " \
        f"c.execute('set enable_progress_bar=false'); c.execute({sql!r})"
    subprocess.run([sys.executable, "-c", program], check=True)


def cpu_seconds():
    """Of all processes that this one has waited for, and those that they have waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def timed(call):
    start, cpu_start = time.monotonic(), cpu_seconds()
    call()
    return time.monotonic() - start, cpu_seconds() - cpu_start


def read_rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.reader(file))[1:]


def check(found, sql):
    """Rows of a CSV file against a query: sizes, and every value as a number or text."""
    wanted = duckdb.sql(sql).fetchall()
    rows = read_rows(found)
    assert len(rows) == len(wanted), f"{len(rows)} rows, but {len(wanted)} were expected"
    for row, other in zip(rows, wanted):
        for value, peer in zip(row, other):
            same = abs(float(value) - peer) <= 1e-9 * abs(peer) if isinstance(peer, float) else value == str(peer)
            assert same, f"{row} is not {other}"


def wordcount(options):
    text = os.path.join(DATA, f"text-{options.gib}.txt")
    out = os.path.join(DATA, "counts.csv")
    peer_out = os.path.join(DATA, "counts-duckdb.csv")
    if not os.path.exists(text):
        make_text(text, int(options.gib * 2**30))
    query = (f"select word, count(*) as n from (select unnest(string_split(line, ' ')) as word from "
             f"read_csv('{text}', columns={{'line': 'varchar'}}, delim='\\t', quote='', escape='', header=false, "
             f"auto_detect=false)) group by word order by n desc, word")
    runs = {
        "quern": lambda: mpirun(options.ranks, "jobs/wordcount", "--top", "0", "--output", out, text),
        "wc -w, 1 core": lambda: subprocess.run(["wc", "-w", text], check=True, stdout=subprocess.DEVNULL),
        "DuckDB": lambda: duck(f"copy ({query}) to '{peer_out}' (header)", options.ranks),
    }
    return runs, os.path.getsize(text), lambda: check(out, f"select * from read_csv('{peer_out}', header=true, "
                                                           "columns={'word': 'varchar', 'n': 'bigint'})")


def csv_aggregate(options):
    folder = os.path.join(DATA, f"movies-{options.gib}")
    ratings = os.path.join(folder, "ratings.csv")
    out = os.path.join(DATA, "aggregate.csv")
    peer_out = os.path.join(DATA, "aggregate-duckdb.csv")
    if not os.path.exists(ratings):
        make_ratings(folder, int(options.gib * 2**30))
    query = (f"select movieId, count(*) as n, sum(rating) as total, max(timestamp) as latest from "
             f"read_csv('{ratings}') group by movieId order by movieId")
    runs = {
        "quern": lambda: mpirun(options.ranks, "bench/csv_aggregate", "--output", out, ratings),
        "DuckDB": lambda: duck(f"copy ({query}) to '{peer_out}' (header)", options.ranks),
    }
    return runs, os.path.getsize(ratings), lambda: check(out, f"select * from read_csv('{peer_out}', header=true)")


def make_tables(folder, n_rows):
    """Facts with two keys and two values, and a tenth as many dims for one of the keys: as CSV, in a DuckDB file, staged."""
    os.makedirs(folder, exist_ok=True)
    with duckdb.connect(os.path.join(folder, "tables.tmp")) as db:
        db.sql(f"create table facts as select hash(i) % 100 as few, hash(i + 1) % {n_rows // 10} as many, "
               f"hash(i + 2) % 1000000000 as v, hash(i + 3) % 1000000 / 1000.0 as x from range({n_rows}) r(i)")
        for name in ("few", "many", "v"):
            db.sql(f"alter table facts alter {name} type bigint")
        db.sql(f"create table dims as select i as many, i * 7 % 1000 as w from range({n_rows // 10}) r(i)")
        for name in ("facts", "dims"):
            db.sql(f"copy {name} to '{folder}/{name}.csv' (header)")
    mpirun(2, "bench/engine_tasks", "--task", "stage", folder)
    os.rename(os.path.join(folder, "tables.tmp"), os.path.join(folder, "tables.duckdb"))


def engine_task(name, sql):
    """A task on 10^7 rows (by default) in each engine's own storage."""
    def prepare(options):
        folder = os.path.join(DATA, f"tables-{options.rows}")
        database = os.path.join(folder, "tables.duckdb")
        out, peer_out = (os.path.join(DATA, f"{name}{suffix}") for suffix in (".csv", "-duckdb.csv"))
        if not os.path.exists(database):
            make_tables(folder, options.rows)
        if name == "sort":
            out = os.path.join(DATA, "sorted")
            query = sql
        else:
            query = f"copy ({sql}) to '{peer_out}' (header)"

        def ours():
            shutil.rmtree(os.path.join(DATA, "sorted"), ignore_errors=True)
            mpirun(options.ranks, "bench/engine_tasks", "--task", name, "--output", out, folder)

        def check_answers():
            if name != "sort":
                check(out, f"select * from read_csv('{peer_out}', header=true)")
        runs = {"quern": ours, "DuckDB": lambda: duck(query, options.ranks, database)}
        return runs, os.path.getsize(os.path.join(folder, "facts.csv")), check_answers
    return prepare


GROUPS = ("select count(*) as groups, max(n) as n, max(total) as total, max(largest) as largest from "
          "(select count(*) as n, sum(v) as total, max(x) as largest from facts group by {})")
TASKS = {
    "wordcount": wordcount,
    "csv_aggregate": csv_aggregate,
    "group_100": engine_task("group_100", GROUPS.format("few")),
    "group_1m": engine_task("group_1m", GROUPS.format("many")),
    "join": engine_task("join", "select count(*) as n, sum(v * w) as total, max(x) as largest from facts join dims "
                                "using (many)"),
    "sort": engine_task("sort", "create or replace table sorted as select * from facts order by v, many"),
}


def measure(name, options):
    runs, n_bytes, check_answers = TASKS[name](options)
    times = {engine: [] for engine in runs}
    for turn in range(options.runs + 1):  # the first warms the page cache and is not counted
        for engine, call in runs.items():
            pair = timed(call)
            if turn > 0:
                times[engine].append(pair)
    check_answers()
    rows = []
    for engine, pairs in times.items():
        wall, cpu = ([pair[i] for pair in pairs] for i in (0, 1))
        ratios = [statistics.median(theirs[i] / ours[i] for theirs, ours in zip(pairs, times["quern"])) for i in (0, 1)]
        median = statistics.median(wall)
        rows.append((name, engine, f"{median:.2f}", f"{min(wall):.2f}", f"{max(wall):.2f}", f"{statistics.median(cpu):.2f}",
                     f"{n_bytes / 2**20 / median:.0f}", f"{ratios[0]:.2f}", f"{ratios[1]:.2f}"))
    return rows


def main():
    parser = argparse.ArgumentParser(description="Quern against its peers")
    parser.add_argument("--gib", type=float, default=1.0, help="size of the generated input (default: 1)")
    parser.add_argument("--runs", type=int, default=5, help="runs of each (default: 5)")
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows of the engine tasks (default: 10^7)")
    parser.add_argument("--ranks", type=int, default=2, help="ranks, and threads of the peers (default: 2)")
    parser.add_argument("--output", default=os.path.join(DATA, "results.csv"), help="the table as CSV")
    parser.add_argument("tasks", nargs="*", choices=[[], *TASKS], help="default: all")
    options = parser.parse_args()
    os.makedirs(DATA, exist_ok=True)
    table = [("task", "engine", "s", "min_s", "max_s", "cpu_s", "mib_per_s", "quern_faster", "quern_less_cpu")]
    for name in options.tasks or TASKS:
        table += measure(name, options)
    for row in table:
        print("  ".join(f"{field:<{width}}" for field, width in zip(row, (14, 14, 7, 7, 7, 7, 10, 13, 14))))
    with open(options.output, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(table)


if __name__ == "__main__":
    main()
