# SPDX-License-Identifier: Apache-2.0
"""The benchmark suite on little data: every family of tasks runs, Quern and DuckDB give the same answers, with a budget
too, and what is printed and drawn of the runs is what they were."""
import csv
import os
import subprocess
import sys

from job_kit import ROOT, run_tests

sys.path.insert(0, os.path.join(ROOT, "bench"))
from suite import answers, docs, results, table  # noqa: E402

TASKS = ["groupby.q1", "groupby.q6", "groupby.q7", "groupby.q8", "groupby.q10", "join.q3", "join.q5", "sort", "text",
         "rows.distinct", "csv.ingest", "csv.aggregate", "graph", "movies"]


def tasks_give_the_same_answers(folder):
    done = subprocess.run(
        [sys.executable, "-m", "suite", "--rows", "20000", "--runs", "1", "--engines", "duckdb,polars", "--no-warm",
         "--data", folder, "--results", folder, *TASKS], env=dict(os.environ, PYTHONPATH=os.path.join(ROOT, "bench")),
        capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = results.read_runs(os.path.join(folder, "runs-20000.csv"))
    for row in rows:
        if row["engine"] == "quern" or (row["engine"] == "duckdb" and row["mode"] == "memory"):
            assert row["answer"] == "same", row
    assert {row["engine"] for row in rows} >= {"quern", "duckdb", "GNU sort", "wc -w"}
    assert {row["mode"] for row in rows} == {"memory", "budget"}
    assert any(row["spilled"] > 0 for row in rows if row["engine"] == "quern" and row["mode"] == "budget")
    assert "Geometric means" in done.stdout, done.stdout[-2000:]


def unequal_answers_are_told(folder):
    assert answers.difference([1, 2.0, "a"], [1, 2.0 * (1 + 1e-10), "a"]) == ""
    assert "value 2" in answers.difference([1, 2.0], [1, 2.0 * (1 + 1e-8)])
    assert "value 1" in answers.difference([10**12], [10**12 + 1])
    assert "value 1" in answers.difference(["a"], ["b"])
    assert "values instead of" in answers.difference([1], [1, 2])


def run_row(engine, wall, answer="same", note=""):
    row = dict.fromkeys(results.FIELDS, "")
    row.update(dict.fromkeys(results.NUMBERS, 0.0), task="join.q1", family="join", title="a join", mode="memory",
               engine=engine, how="command", wall=wall, cpu=2 * wall, answer=answer, note=note)
    return row


def ratios_are_medians_over_rounds(folder):
    rows = [run_row("quern", wall) for wall in (1.0, 2.0, 4.0)] + [run_row("duckdb", wall) for wall in (3.0, 4.0, 4.0)]
    _, line = results.lines(rows)
    assert (line.by_wall, line.by_cpu, line.least, line.most, line.n_runs) == (2.0, 2.0, 3.0, 4.0, 3)
    assert results.families(rows)[("join", "duckdb")][:2] == (1, 2.0)


def failures_are_shown(folder):
    rows = [run_row("quern", 1.0), run_row("duckdb", 1.0, "none", "out of memory"),
            run_row("polars", 1.0, "different", "another answer than quern")]
    text = docs.fill("a\n<!-- bench memory -->\nold\n<!-- bench end -->\n<!-- bench failures -->\n<!-- bench end -->\nb\n",
                     rows, [])
    assert text.count("no answer") == 2 and "old" not in text and text.startswith("a\n") and text.endswith("b\n"), text
    assert "DuckDB: out of memory" in text and "Polars: another answer than quern" in text, text
    assert results.families(rows) == {}


def rows_of_a_task_are_replaced_in_place(folder):
    path = os.path.join(folder, "runs.csv")
    first, second = run_row("quern", 1.0), dict(run_row("quern", 2.0), task="join.q2")
    results.write_runs(path, results.replace_task([first, second], "join.q1", "memory", [run_row("quern", 3.0)]))
    assert [(row["task"], row["wall"]) for row in results.read_runs(path)] == [("join.q1", 3.0), ("join.q2", 2.0)]
    with open(path, encoding="utf-8") as file:
        assert next(csv.reader(file)) == results.FIELDS
    assert "join.q2" in table.memory_table([second])


if __name__ == "__main__":
    sys.exit(run_tests([tasks_give_the_same_answers, unequal_answers_are_told, ratios_are_medians_over_rounds,
                        failures_are_shown, rows_of_a_task_are_replaced_in_place]))
