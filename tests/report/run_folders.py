# SPDX-License-Identifier: Apache-2.0
"""Folders of runs as docs/run-folder.md describes them, for what real runs do not give at will: many ranks, hostile
titles, long runs, damaged files."""
import json
import os
import random
import time

NODES = [("read", "ratings.csv", []), ("filter", "rating between 0 and 5", [0]), ("select", "user_id, movie_id, rating", [1]), ("read", "titles.csv", []),
         ("join", "movie_id", [2, 3]), ("reduce", "genre: count(*) as n", [4]), ("sort", "n desc", [5])]


def spread(total, n_ranks, most=None):
    most = most if most is not None else total // n_ranks
    return {"sum": total, "mean": total / n_ranks, "max": most, "max_rank": 0, "balance": most * n_ranks / total if total else 1.0}


def operator(name, node, n_ranks, rows, seconds, most=None, **more):
    kind, text, _ = NODES[node]
    times = {key: {"sum": part * n_ranks, "max": part} for key, part in zip(("compute_seconds", "wait_seconds", "io_seconds"), seconds)}
    return {"name": name, "node": f"{kind} {text}", "node_id": node, "is_spread": True, "rows": spread(rows, n_ranks, most), "rows_in": rows, "batches_in": 9,
            "bytes_spilled": spread(0, n_ranks), "n_spills": 0, "self_seconds": sum(seconds), **times, **more}


def record(n_ranks=4, n_actions=3, n_bars=2, seed=1):
    rng = random.Random(seed)
    runs, timeline = [], []
    at = 0.1
    for action in range(n_actions):
        took = 0.2 + rng.random()
        runs.append({"action": action, "seconds": took, "operators": [
            operator("write csv", 6, n_ranks, 20, (0.01, 0, 0.05)), operator("sort", 6, n_ranks, 20, (0.01, 0.02, 0)),
            operator("reduce", 5, n_ranks, 80000, (0.2, 0.1, 0), most=60000, bytes_spilled=spread(12_000_000, n_ranks)),
            operator("join", 4, n_ranks, 100000, (0.3, 0.05, 0), exchange={"rows": 1000, "bytes": 34567, "messages": 12, "wait_seconds": 0.05}),
            operator("join, right side", 4, n_ranks, 9000, (0.02, 0, 0)), operator("select", 2, n_ranks, 100000, (0.01, 0, 0)), operator("filter", 1, n_ranks, 100004, (0.02, 0, 0.2))]})
        for bar in range(n_bars):
            for rank in range(min(n_ranks, 64)):
                length = took / n_bars * (0.7 + 0.3 * rng.random())
                start = at + bar * took / n_bars
                timeline.append({"rank": rank, "action": action, "name": "read ratings.csv > join movie_id", "start": start, "end": start + length,
                                 "wait": length * 0.3 * rng.random(), "io": length * 0.2 * rng.random()})
        at += took
    ranks = [{"rank": rank, "budget_bytes": 400_000_000, "peak_accounted_bytes": 90_000_000 + rank * 1_000_000, "peak_resident_bytes": 160_000_000 + rank * 1_000_000,
              "start_resident_bytes": 40_000_000, "bytes_spilled": 3_000_000} for rank in range(n_ranks)]
    return {"job": "made", "n_ranks": n_ranks, "mpi": "Open MPI v4.1.4", "seconds": at, "budget_source": "the control group", "scratch": "/tmp", "error": None,
            "runs": runs, "ranks": ranks, "timeline": timeline,
            "training": [{"action": n_actions - 1, "estimator": "als", "steps": list(range(1, 13)), "loss": [3 / step for step in range(1, 13)], "gradient_norm": []}],
            "totals": {"core_hours": n_ranks * at / 3600, "joules": 1234.5, "bytes_read": 2_483_723, "bytes_written": 99_000, "bytes_sent": 34567 * n_actions, "bytes_spilled": 12_000_000 * n_actions}}


def plan(n_actions=3):
    nodes = [{"id": at, "kind": kind, "text": text, "inputs": inputs, "rows_expected": 100000 / (at + 1)} for at, (kind, text, inputs) in enumerate(NODES)]
    return {"actions": [{"action": action, "what": f"write table-{action}.csv", "text_written": "sort n desc\n  reduce genre", "text_runs": "sort n desc\n  reduce genre\n    join movie_id", "nodes": nodes}
                        for action in range(n_actions)]}


def stamp(seconds_ago=0):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - seconds_ago))


def attempt(n_ranks=4, **more):
    return {"started": stamp(120), "ended": stamp(100), "seconds": 20.5, "status": "done", "exit_code": 0, "message": None, "n_ranks": n_ranks, "memory_per_rank": 400_000_000,
            "budget_source": "the control group", "scratch": "/tmp", "process": {"host": "n1", "pid": 1}, "slurm": None,
            "nodes": [{"host": "n1", "ranks": n_ranks, "cpus": n_ranks, "placement": f"{n_ranks} ranks, a core each, BLAS 1 thread"}], **more}


def run_json(n_ranks=4, status="done", attempts=None, **more):
    return {"format": 1, "job": "made", "status": status, "program": "/home/ann/made", "arguments": ["--ratings", "my ratings.csv"], "directory": "/home/ann",
            "options": {"prior": "20"}, "code": {"quern": "0.1.0", "build": "5f0c"}, "libraries": {"mpi": "Open MPI 4.1.4"}, "environment": {"OMP_NUM_THREADS": "1"},
            "inputs": [{"path": "ratings.csv", "bytes": 2483723, "modified": stamp(9000), "fingerprint": "77aa"}], "attempts": attempts or [attempt(n_ranks, status=status)], **more}


def make(folder, run=None, results=(), progress=(), **files):
    """Writes a folder: files such as plan=..., record=..., record_1=...; results from 0 on."""
    os.makedirs(os.path.join(folder, "results"), exist_ok=True)
    for name, value in {"run": run or run_json(), **files}.items():
        with open(os.path.join(folder, name.replace("_", "-") + ".json"), "w", encoding="utf-8") as file:
            file.write(value if isinstance(value, str) else json.dumps(value))
    for at, result in enumerate(results):
        with open(os.path.join(folder, "results", f"{at:02}.json"), "w", encoding="utf-8") as file:
            json.dump(result, file)
    if progress:
        with open(os.path.join(folder, "progress"), "w", encoding="utf-8") as file:
            file.writelines(json.dumps(line).ljust(511) + "\n" for line in progress)
    return folder


def result(kind, title, columns, rows, **more):
    """columns: "title utf8, n int64"."""
    return {"kind": kind, "title": title, "note": None, "columns": [dict(zip(("name", "type"), column.split())) for column in columns.split(", ")],
            "rows": rows, "n_rows": len(rows), "action": 0, **more}


def chart(kind, title, columns, rows, x, y, **more):
    return result("chart", title, columns, rows, chart=kind, x=x, y=y, **{"points": None, "series": None, "value": None, **more})


def number(title, value, unit=None):
    return {"kind": "number", "title": title, "value": value, "unit": unit, "action": 0}
