# SPDX-License-Identifier: Apache-2.0
"""Runs as CSV, and the table made of them."""
import csv
import json
import os
import re
import statistics

from suite.table import markdown, mib, number, seconds

FIELDS = ["task", "title", "engine", "run", "whole", "cpu", "fit", "fit_cpu", "iterations", "peak", "gflops", "gemm", "limit",
          "quality", "note"]
NUMBERS = ["whole", "cpu", "fit", "fit_cpu", "iterations", "peak", "gflops", "gemm", "limit"]


def read_runs(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row.update({name: float(row[name] or 0) for name in NUMBERS}, quality=json.loads(row["quality"] or "{}"))
    return rows


def write_runs(path, rows):
    with open(path + ".new", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows([{**row, "quality": json.dumps(row["quality"])} for row in rows])
    os.replace(path + ".new", path)


def row_of(task, engine, number_of_run, said, gemm):
    row = {name: said.get(name) or 0 for name in NUMBERS}
    return {**row, "task": task.name, "title": task.title, "engine": engine, "run": number_of_run, "gemm": gemm,
            "quality": said.get("quality") or {}, "note": said.get("note", "")}


class Line:
    """An engine in a task: medians of its runs, beside those of Quern. Ratios above 1: Quern is faster."""

    def __init__(self, runs, ours):
        good = [run for run in runs if not run["note"]]
        self.task, self.title, self.engine = runs[0]["task"], runs[0]["title"], runs[0]["engine"]
        self.failure = "" if good else runs[0]["note"]
        self.limit = runs[0]["limit"]
        self.n_runs = len(good)
        for name in ("whole", "cpu", "fit", "fit_cpu", "iterations", "peak", "gflops", "gemm"):
            setattr(self, name, statistics.median(run[name] for run in good) if good else None)
        self.quality = good[0]["quality"] if good else {}
        self.by = {}
        if ours and self.engine != "Quern":
            for name in ("fit", "whole", "cpu"):
                theirs = getattr(self, name) or (self.limit if name != "cpu" else None)
                own = getattr(ours, name)
                self.by[name] = theirs / own if theirs and own else None

    def ratio(self, name):
        """As text; of a peer that was given up, a bound."""
        value = self.by.get(name)
        return "" if not value else ("> " if self.failure else "") + f"{value:.2f}"


def lines(rows):
    tasks = {}
    for row in rows:
        tasks.setdefault(row["task"], {}).setdefault(row["engine"], []).append(row)
    for engines in tasks.values():
        ours = Line(engines["Quern"], None) if "Quern" in engines else None
        for runs in engines.values():
            yield Line(runs, ours)


def quality_text(quality):
    return ", ".join(f"{name} {value:.7g}" if name == "objective" else f"{name} {value:.5g}" for name, value in quality.items())


def task_table(rows):
    body = []
    for line in lines(rows):
        name = f"{line.task}: {line.title}" if line.engine == "Quern" else ""
        if line.failure:
            body.append([name, line.engine, "no answer", "", "", "", "", line.failure, line.ratio("fit"), line.ratio("whole"), ""])
            continue
        share = line.gflops / line.gemm if line.gflops and line.gemm else None
        body.append([name, line.engine, seconds(line.fit), seconds(line.whole), seconds(line.cpu), mib(line.peak),
                     number(share and 100 * share, "{:.0f} %"), quality_text(line.quality), *map(line.ratio, ("fit", "whole", "cpu"))])
    return markdown(["task", "engine", "fit s", "whole s", "CPU s", "peak MiB", "of GEMM", "quality", "x fit", "x whole", "x CPU"], body)


def write_docs(rows, page):
    with open(page, encoding="utf-8") as file:
        text = file.read()
    made = f"<!-- training tasks -->\n{task_table(rows)}<!-- training end -->"
    if "<!-- training tasks -->" not in text:
        text = text.replace("\n## Training\n", "\n## Training\n\n<!-- training tasks -->\n<!-- training end -->\n")
    text, n = re.subn(r"<!-- training tasks -->\n.*?<!-- training end -->", lambda _: made, text, flags=re.DOTALL)
    if n != 1:
        raise SystemExit(f"{page} has no heading 'Training' and no mark '<!-- training tasks -->'")
    with open(page, "w", encoding="utf-8") as file:
        file.write(text)
