# SPDX-License-Identifier: Apache-2.0
"""Training by Quern and by its peers: the same rows, as many threads as ranks, in alternation, and the quality of each.
bench/run training starts it; bench/README.md explains it."""
import argparse
import os
import subprocess

from suite.engines import BUILD, ROOT
from suite.measure import adopt_orphans
from training import results
from training.data import TrainingData
from training.engines import gemm_rate, missing, run_peer, run_quern
from training.tasks import TASKS, pick


def parse():
    parser = argparse.ArgumentParser(prog="bench/run training", description=__doc__)
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="training.kmeans; default: all")
    parser.add_argument("--rows", type=lambda text: int(float(text)), default=1_000_000,
                        help="of 100 columns, and a tenth of the ratings; default: 1e6")
    parser.add_argument("--runs", type=int, default=3, help="of each engine and task; default: 3")
    parser.add_argument("--cores", type=int, default=2, help="ranks and threads; default: 2")
    parser.add_argument("--engines", help="Quern, scikit-learn, LightGBM, implicit, Spark; default: all")
    parser.add_argument("--time-limit", type=float, default=180, help="seconds after which one run is given up; default: 180")
    parser.add_argument("--spark-limit", type=float, default=90, help="the same for Spark, which runs once; default: 90")
    parser.add_argument("--long", type=float, default=20, help="a fit of so many seconds is not run again; default: 20")
    parser.add_argument("--resume", action="store_true", help="leave out what has a result")
    parser.add_argument("--data", default=os.environ.get("QN_BENCH_DATA", os.path.join(ROOT, "build", "bench-data")),
                        help="folder for the data; default: $QN_BENCH_DATA, else build/bench-data")
    parser.add_argument("--results", default=os.path.join(ROOT, "build", "bench-results"), help="folder for the results")
    parser.add_argument("--list", action="store_true", help="only list the tasks")
    parser.add_argument("--write-docs", action="store_true", help="put the table into docs/; alone: of the last run")
    return parser.parse_args()


def run_task(task, data, engines, options):
    """All runs of one task: rounds in which each engine has its turn."""
    rows, ended = [], set()
    gemm = gemm_rate(task.gemm_type)
    for number in range(options.runs):
        for engine in engines:
            if engine in ended:
                continue
            why = missing(engine) if engine != "Quern" else ""
            if why:
                said = {"note": why}
            elif engine == "Quern":
                said = run_quern(task, data, options.cores, options.time_limit)
            else:
                limit = options.spark_limit if engine == "Spark" else options.time_limit
                said = run_peer(task, engine, data, options.cores, limit)
            row = results.row_of(task, engine, number, said, gemm)
            rows.append(row)
            print(f"  {task.name} {engine}: fit {row['fit']:.2f} s (CPU {row['fit_cpu']:.2f}), whole {row['whole']:.2f} s "
                  f"(CPU {row['cpu']:.2f}), {results.quality_text(row['quality'])} {row['note']}", flush=True)
            if row["note"] or engine == "Spark" or row["fit"] > options.long:
                ended.add(engine)
    return sorted(rows, key=lambda row: engines.index(row["engine"]))


def chosen_engines(task, wanted):
    names = ["Quern", *task.peers]
    return [name for name in names if not wanted or name in wanted or name.split()[0] in wanted]


def run_all(options, path):
    adopt_orphans()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:options.cores])

    def quern(arguments):
        subprocess.run([os.path.join(ROOT, "scripts", "mpirun"), "-n", str(options.cores), os.path.join(BUILD, arguments[0]),
                        *arguments[1:]], check=True, stdout=subprocess.DEVNULL)

    rows = results.read_runs(path)
    data = TrainingData(options.data, options.rows, quern)
    for task in pick(options.tasks):
        engines = chosen_engines(task, options.engines and options.engines.split(","))
        if options.resume:
            engines = [name for name in engines if (task.name, name) not in {(row["task"], row["engine"]) for row in rows}]
        if not engines:
            continue
        data.make(task.data)
        new = run_task(task, data, engines, options)
        kept = [row for row in rows if row["task"] != task.name or row["engine"] not in engines]
        order = [task.name for task in TASKS]
        rows = sorted(kept + new, key=lambda row: (order.index(row["task"]), row["engine"] != "Quern"))
        results.write_runs(path, rows)
    return results.read_runs(path)


def main():
    options = parse()
    if options.list:
        print("\n".join(f"training.{task.name:12} {task.title}" for task in TASKS))
        return
    os.makedirs(options.results, exist_ok=True)
    path = os.path.join(options.results, f"training-{options.rows}.csv")
    is_of_last_run = options.write_docs and not any(name != "training" for name in options.tasks)  # bench/run passes that word on
    rows = results.read_runs(path) if is_of_last_run else run_all(options, path)
    text = results.task_table(rows)
    print(text)
    with open(os.path.join(options.results, f"training-{options.rows}.md"), "w", encoding="utf-8") as file:
        file.write(text)
    if options.write_docs:
        results.write_docs(rows, os.path.join(ROOT, "docs", "performance.md"))


if __name__ == "__main__":
    main()
