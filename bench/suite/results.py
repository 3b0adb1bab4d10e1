# SPDX-License-Identifier: Apache-2.0
"""The runs as CSV, and what is made of them: medians, ratios and geometric means."""
import collections
import csv
import math
import os
import statistics

# mode: "memory" or "budget". how: "command" (timed from start to exit) or "warm" (a second time in the same process).
FIELDS = ["task", "family", "title", "mode", "engine", "how", "run", "wall", "seconds", "cpu", "tree_peak",
          "process_peak", "spilled", "budget", "answer", "note"]
NUMBERS = ["wall", "seconds", "cpu", "tree_peak", "process_peak", "spilled", "budget"]


def read_runs(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row.update({name: float(row[name] or 0) for name in NUMBERS})
    return rows


def write_runs(path, rows):
    with open(path + ".new", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(path + ".new", path)


def grouped(rows):
    """(task, mode) -> engine -> how -> runs, in the order in which they came."""
    found = collections.OrderedDict()
    for row in rows:
        engines = found.setdefault((row["task"], row["mode"]), collections.OrderedDict())
        engines.setdefault(row["engine"], {"command": [], "warm": []})[row["how"]].append(row)
    return found


def median(runs, name):
    values = [run[name] for run in runs if not is_failure(run)]
    return statistics.median(values) if values else None


def is_failure(run):
    return run["answer"] not in ("same", "part")


def ratio(other, own):
    return other / own if other and own else None


class Line:
    """An engine in a task beside Quern in memory: what a line of the table shows. Ratios above 1: Quern is faster."""

    def __init__(self, task, mode, engine, found, ours):
        first = (found["command"] or found["warm"])[0]
        self.task, self.mode, self.engine = task, mode, engine
        self.family, self.title = first["family"], first["title"]
        self.failure = next((run["note"] or run["answer"] for run in found["command"] if is_failure(run)), "")
        self.is_part = any(run["answer"] == "part" for run in found["command"])
        walls = [run["wall"] for run in found["command"] if not is_failure(run)]
        self.n_runs, self.least, self.most = len(walls), min(walls, default=None), max(walls, default=None)
        for name in ("wall", "cpu", "seconds", "tree_peak", "process_peak", "spilled", "budget"):
            setattr(self, name, median(found["command"], name))
        self.warm = median(found["warm"], "seconds")
        self.by_wall = self.by_cpu = self.by_query = None
        if ours and not self.failure and engine != "quern":
            own = median(ours["command"], "wall")
            pairs = [(run["wall"], other["wall"]) for run, other in zip(found["command"], ours["command"])
                     if not is_failure(other)]
            self.by_wall = statistics.median(theirs / mine for theirs, mine in pairs) if pairs else None
            self.by_cpu = ratio(self.cpu, median(ours["command"], "cpu"))
            self.by_query = ratio(self.warm or self.seconds, median(ours["command"], "seconds") or own)


def lines(rows):
    found = grouped(rows)
    for (task, mode), engines in found.items():
        for engine, runs in engines.items():
            yield Line(task, mode, engine, runs, engines.get("quern"))


RATIO_FIELDS = ["task", "mode", "engine", "n_runs", "wall", "least", "most", "seconds", "warm", "cpu", "tree_peak",
                "process_peak", "spilled", "by_wall", "by_query", "by_cpu", "failure"]


def write_ratios(path, rows):
    """A line for each engine in each task: medians, and ratios to Quern in the same mode."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(RATIO_FIELDS)
        writer.writerows([getattr(line, name) for name in RATIO_FIELDS] for line in lines(rows))


def geometric_mean(values):
    return math.exp(statistics.fmean(map(math.log, values))) if values else None


def families(rows):
    """(family, engine) -> (number of tasks, geometric means by wall, cpu, query), of tasks in memory that it did whole."""
    kept = collections.OrderedDict()
    for line in lines(rows):
        if line.mode == "memory" and line.engine != "quern" and line.by_wall and not line.is_part:
            kept.setdefault((line.family, line.engine), []).append(line)
    return {key: (len(group), *[geometric_mean([value for value in (getattr(line, name) for line in group) if value])
                                for name in ("by_wall", "by_cpu", "by_query")]) for key, group in kept.items()}


def replace_task(rows, task, mode, new):
    """Rows with those of one task and mode taken out and the new ones at their place, or at the end."""
    at = next((i for i, row in enumerate(rows) if (row["task"], row["mode"]) == (task, mode)), len(rows))
    before = [row for row in rows[:at] if (row["task"], row["mode"]) != (task, mode)]
    after = [row for row in rows[at:] if (row["task"], row["mode"]) != (task, mode)]
    return before + new + after
