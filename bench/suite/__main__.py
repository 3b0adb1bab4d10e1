# SPDX-License-Identifier: Apache-2.0
"""Quern and its peers: the same data, in alternation, the same answers. bench/run starts it; bench/README.md explains it."""
import argparse
import csv
import os
import shutil
import subprocess

from suite import docs, picture, results, table
from suite.answers import difference
from suite.data import Data
from suite.engines import BUILD, HAS_BUDGET, PART, PEERS, ROOT, SLOW, Engines, Run, missing
from suite.limits import measure_limits
from suite.measure import adopt_orphans
from suite.tasks import all_tasks, pick


def parse():
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="a task, or all whose name begins so: groupby, join.q5")
    parser.add_argument("--rows", type=lambda text: int(float(text)), default=10_000_000, help="default: 1e7")
    parser.add_argument("--runs", type=int, default=3, help="of each engine and task; default: 3")
    parser.add_argument("--cores", type=int, default=2, help="ranks and threads; default: 2")
    parser.add_argument("--engines", default=",".join(PEERS), help="peers that are Python packages; default: all")
    parser.add_argument("--mode", choices=["memory", "budget", "both"], default="both",
                        help="in memory, with an eighth of the data as budget, or both (default)")
    parser.add_argument("--slow-runs", type=int, default=1, help="of Spark and Bodo; default: 1")
    parser.add_argument("--time-limit", type=float, default=300,
                        help="seconds after which one run is given up; default: 300")
    parser.add_argument("--no-warm", action="store_true", help="leave out the second times within one process")
    parser.add_argument("--slow-warm", action="store_true", help="second times within one process for Spark and Bodo too")
    parser.add_argument("--resume", action="store_true", help="leave out tasks of which all engines have a result")
    parser.add_argument("--data", default=os.environ.get("QN_BENCH_DATA", os.path.join(ROOT, "build", "bench-data")),
                        help="folder for the data; default: $QN_BENCH_DATA, else build/bench-data")
    parser.add_argument("--results", default=os.path.join(ROOT, "build", "bench-results"), help="folder for the results")
    parser.add_argument("--list", action="store_true", help="only list the tasks")
    parser.add_argument("--write-docs", action="store_true", help="put tables and picture into docs/; alone: of the last run")
    return parser.parse_args()


def warm_cache(paths):
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            while file.read(1 << 22):
                pass


def row_of(task, mode, engine, how, number, run, budget):
    return {"task": task.name, "family": task.family, "title": task.title, "mode": mode, "engine": engine, "how": how,
            "run": number, "wall": round(run.wall, 4), "seconds": round(run.seconds, 4), "cpu": round(run.cpu, 4),
            "tree_peak": run.tree_peak, "process_peak": run.process_peak, "spilled": run.spilled, "budget": budget,
            "answer": "none", "note": run.note}


def judge(row, run, reference, is_part):
    """Says in the row whether the answer is that of the first engine which gave one: (engine, answer)."""
    if is_part and run.note == PART:
        row["answer"] = "part"
    elif not run.note:
        wrong = difference(run.answer, reference[1])
        row["answer"] = "same" if not wrong else "different"
        row["note"] = wrong and f"another answer than {reference[0]}: {wrong}"
    return row


def engines_of(task, mode, wanted):
    """(engine, why it cannot) of a task, ours first."""
    yield "quern", ""
    for engine in [*task.peers, *task.commands]:
        if engine in task.peers and engine not in wanted:
            continue
        if mode == "budget" and (engine not in HAS_BUDGET or engine in task.partial):
            continue
        what = task.peers.get(engine)
        yield engine, what if isinstance(what, str) else missing(engine)


def run_task(task, mode, engines, options):
    """All runs of one task: rounds in which each engine has its turn, then peers a second time in one process."""
    budget = int(task.data_bytes(options.rows) / 8) if mode == "budget" else 0
    rows, failed, reference = [], set(), None
    able = []
    for engine, why in engines_of(task, mode, options.engines.split(",")):
        if why:
            rows.append(row_of(task, mode, engine, "command", 0, Run(note=why), budget))
        else:
            able.append(engine)
    warm_cache(engines.data.files(task.data))

    def take(engine, how, number, times=1):
        nonlocal reference
        try:
            run = engines.run(task, engine, budget, times)
        except Exception as wrong:  # an answer that cannot be read is a failure of this engine in this task, and told
            run = Run(note=f"{type(wrong).__name__}: {wrong}"[:200])
        if run.answer and reference is None:
            reference = (engine, run.answer)
        row = judge(row_of(task, mode, engine, how, number, run, budget), run, reference, engine in task.partial)
        rows.append(row)
        print(f"  {task.name} {mode} {engine} {how}: {row['wall']:.2f} s, query {row['seconds']:.2f} s, "
              f"CPU {row['cpu']:.2f} s, {row['answer']} {row['note']}", flush=True)
        if row["answer"] not in ("same", "part"):
            failed.add(engine)  # once is enough

    for number in range(max(options.runs, options.slow_runs)):
        for engine in able:
            if engine not in failed and number < (options.slow_runs if engine in SLOW else options.runs):
                take(engine, "command", number)
    if mode == "memory" and not options.no_warm:
        for engine in able:
            if engine in PEERS and engine not in failed and (engine not in SLOW or options.slow_warm):
                take(engine, "warm", 0, times=3)
    order = {engine: i for i, (engine, _) in enumerate(engines_of(task, mode, options.engines.split(",")))}
    return sorted(rows, key=lambda row: order[row["engine"]])


def is_done(rows, task, mode, options):
    there = {row["engine"] for row in rows if (row["task"], row["mode"]) == (task.name, mode)}
    return {engine for engine, _ in engines_of(task, mode, options.engines.split(","))} <= there


def read_limits(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def main():
    options = parse()
    if options.list:
        print("\n".join(f"{task.name:20} {task.title}" for task in all_tasks()))
        return
    os.makedirs(options.results, exist_ok=True)
    runs_path = os.path.join(options.results, f"runs-{options.rows}.csv")
    limits_path = os.path.join(options.results, "limits.csv")
    rows = results.read_runs(runs_path)
    if not options.write_docs or options.tasks:
        rows = run_all(options, rows, runs_path, limits_path)
    limits = read_limits(limits_path)
    text = table.all_tables(rows, limits)
    print(text)
    with open(os.path.join(options.results, f"table-{options.rows}.md"), "w", encoding="utf-8") as file:
        file.write(text)
    results.write_ratios(os.path.join(options.results, f"ratios-{options.rows}.csv"), rows)
    picture_path = os.path.join(options.results, f"ratios-{options.rows}.svg")
    try:
        picture.draw(rows, picture_path)
    except ImportError:
        print("no picture: the Python package matplotlib is not installed")
    if options.write_docs:
        docs.write(rows, limits, os.path.join(ROOT, "docs", "performance.md"))
        shutil.copy(picture_path, os.path.join(ROOT, "docs", "performance.svg"))


def run_all(options, rows, runs_path, limits_path):
    adopt_orphans()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:options.cores])

    def quern(arguments):
        subprocess.run([os.path.join(ROOT, "scripts", "mpirun"), "-n", str(options.cores),
                        os.path.join(BUILD, arguments[0]), *arguments[1:]], check=True, stdout=subprocess.DEVNULL)

    data = Data(options.data, options.rows, quern)
    tasks = pick(options.tasks)
    data.make(sorted({name for task in tasks for name in task.data}))
    engines = Engines(data, options.cores, options.time_limit)
    for task in tasks:
        for mode in ("memory", "budget"):
            if options.resume and is_done(rows, task, mode, options):
                continue
            if options.mode in (mode, "both") and (mode == "memory" or task.data_bytes):
                rows = results.replace_task(rows, task.name, mode, run_task(task, mode, engines, options))
                results.write_runs(runs_path, rows)
    with open(limits_path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(measure_limits(data.scratch(), options.cores))
    return results.read_runs(runs_path)


if __name__ == "__main__":
    main()
