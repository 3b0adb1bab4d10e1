# SPDX-License-Identifier: Apache-2.0
"""What jobs declare: the files it leaves, from real runs on several numbers of ranks, and their page in a browser."""
import json
import math
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "jobs"))
import browser  # noqa: E402
from job_kit import make_ratings, messages, run, run_tests, succeeds, table  # noqa: E402
from page_test import page_of, stop_browser  # noqa: E402

DRIVER = "tests/results_driver"
N_ROWS = 20000


def results_of(folder):
    found = {}
    where = os.path.join(folder, "results")
    for name in sorted(os.listdir(where)):
        with open(os.path.join(where, name), encoding="utf-8") as file:
            found[name] = json.load(file)
    return found


def drive(folder, n_ranks, *arguments):
    return run(n_ranks, DRIVER, *arguments, "--run", folder, "--quiet")


def value_at(row):
    return None if row % 300 == 0 else math.nan if row % 300 == 100 else math.inf if row % 300 == 200 else row * 7919 % 1000 / 10


def results_hold_what_the_job_declared(folder):
    succeeds(drive(os.path.join(folder, "run"), 2))
    number, numbers, rows, names, values, dots, line, cells = results_of(os.path.join(folder, "run")).values()
    assert (number["kind"], number["title"], number["value"], number["unit"]) == ("number", "Made", 1234.5, "bytes")
    assert [column["name"] for column in numbers["columns"]] == ["Rows", "Largest"] and numbers["rows"] == [[N_ROWS, N_ROWS - 1]]

    assert [column["type"] for column in rows["columns"]] == ["int64", "float64", "utf8", "int64", "bool", "timestamp", "date"]
    assert len(rows["rows"]) == 20 and rows["has_more"]
    assert rows["rows"][0] == [0, None, "<b>fizz</b>", "9007199254740992", False, "1970-01-01 00:00:00", "1970-01-01"], rows["rows"][0]
    assert rows["rows"][1][:3] == [1, value_at(1), 'a "b" \\ c'] and rows["rows"][1][4] is True

    assert names["rows"] == [["<b>fizz</b>", math.ceil(N_ROWS / 3)], ['a "b" \\ c', N_ROWS - math.ceil(N_ROWS / 3)]] and names["note"] == "a note"
    finite = [value_at(row) for row in range(N_ROWS) if value_at(row) is not None and math.isfinite(value_at(row))]
    assert values["n_values"] == len(finite) == sum(n for _, _, n in values["rows"])
    for low, high, n in values["rows"]:
        assert n == sum(low - 1e-9 <= value < high - 1e-9 for value in finite), (low, high, n)
    assert len(values["rows"]) <= 40

    assert dots["n_rows"] == N_ROWS and len(dots["rows"]) == 5000 and dots["series"] == "name" and dots["x"] == "id"
    for row, value, _ in dots["rows"]:
        wanted = value_at(row)
        assert value == (None if wanted is None else "NaN" if math.isnan(wanted) else "Infinity" if math.isinf(wanted) else wanted), (row, value)
    assert line["y"] == ["value", "half"] and [row[0] for row in line["rows"]] == list(range(5000)) and line["has_more"]
    assert len(cells["rows"]) == 12 and cells["value"] == "n" and sum(row[2] for row in cells["rows"]) == N_ROWS


def results_do_not_depend_on_the_number_of_ranks(folder):
    seen = {}
    for n_ranks in (1, 2, 5):
        where = os.path.join(folder, str(n_ranks))
        succeeds(drive(where, n_ranks))
        seen[n_ranks] = results_of(where)
    assert seen[1] == seen[2] == seen[5]


def no_rows_make_empty_results_and_a_page(folder):
    where = os.path.join(folder, "run")
    succeeds(drive(where, 3, "--rows", "0"))
    assert [len(result.get("rows", [])) for result in results_of(where).values()] == [0, 1, 0, 0, 0, 0, 0, 0]
    page = page_of(where).is_sound()
    assert page.text("#results").count("There are no rows.") == 6, page.text("#results")


def without_a_folder_nothing_runs(folder):
    done = succeeds(run(2, DRIVER, folder=folder, env={"QUERN_RUNS": "none"}))
    assert done.stdout == "no rows were made\n", done.stdout
    assert os.listdir(folder) == []


def mistakes_are_errors_of_the_job(folder):
    for mistake, wanted in (("column", ("there is no column 'nam'", "'name'")), ("kind", ("chart 'Wrong'", "a heat map needs x, y and value")), ("table", ("from 1 to 10000 rows",))):
        for where in (("--run", os.path.join(folder, mistake)), ()):
            done = run(2, DRIVER, "--mistake", mistake, *where, env={"QUERN_RUNS": "none"})
            assert done.returncode == 1 and all(part in done.stderr for part in wanted), (mistake, done.returncode, messages(done))


def results_that_cannot_be_written_end_the_job(folder):
    where = os.path.join(folder, "run")
    os.makedirs(where)
    with open(os.path.join(where, "results"), "w", encoding="utf-8") as file:
        file.write("in the way")
    done = drive(where, 3)
    assert done.returncode == 1 and "results" in done.stderr, (done.returncode, done.stderr)


def committed_results_are_not_made_again(folder):
    where = os.path.join(folder, "run")
    succeeds(drive(where, 2))
    before = results_of(where)
    with open(os.path.join(where, "run.json"), encoding="utf-8") as file:
        run_file = json.load(file)
    run_file["status"] = run_file["attempts"][-1]["status"] = "failed"  # as if it had failed behind them
    with open(os.path.join(where, "run.json"), "w", encoding="utf-8") as file:
        json.dump(run_file, file)
    names = sorted(os.listdir(os.path.join(where, "results")))
    stamps = {name: os.stat(os.path.join(where, "results", name)).st_ino for name in names}
    os.remove(os.path.join(where, "results", names[3]))
    succeeds(drive(where, 3))
    assert results_of(where) == before
    changed = [name for name in names[1:] if os.stat(os.path.join(where, "results", name)).st_ino != stamps[name] or name == names[3]]
    assert changed == [names[3]], changed  # numbers that the job gives itself are written each time


def flagship_ends_with_its_dashboard(folder):
    make_ratings(folder)
    where, output = os.path.join(folder, "run"), os.path.join(folder, "out")
    succeeds(run(3, "jobs/movies", "--ratings", os.path.join(folder, "ratings.csv"), "--titles", os.path.join(folder, "movies.csv"), "--output", output,
                 "--factors", "4", "--iterations", "3", "--run", where, "--quiet"))
    results = {result["title"]: result for result in results_of(where).values()}
    assert list(results) == ["numbers", "Popular titles", "When people rate", "Taste per genre", "How often and how well titles are rated", "Watched together",
                             "How good the recommender is", "Some recommendations"], list(results)
    ratings = table(os.path.join(folder, "ratings.csv"))
    page = page_of(where).is_sound()
    assert page.text("h1") == "movies" and page.text("#status") == "done"
    assert page.text(".number").split("\n")[:6] == ["Ratings", f"{len(ratings):,}", "Users", f"{len({row['userId'] for row in ratings}):,}", "Titles rated", f"{len({row['movieId'] for row in ratings}):,}"]
    popular = table(os.path.join(output, "popular.csv"))[:20]
    assert [row[:2] for row in results["Popular titles"]["rows"]] == [[row["title"], int(row["n"])] for row in popular]
    drawn = page.run("return charts.find((entry) => entry.node.getAttribute('aria-label').includes('Popular titles')).chart.getOption().series[0].data")
    by_title = dict(row[:2] for row in results["Popular titles"]["rows"])
    assert drawn == list(by_title.values()), (drawn, by_title)
    assert sum(row[2] for row in results["When people rate"]["rows"]) == len(ratings)
    metrics = [[row["metric"], float(row["recommender"]), float(row["baseline"])] for row in table(os.path.join(output, "metrics.csv"))]
    assert results["How good the recommender is"]["rows"] == metrics
    assert page.count("#results .result-chart") == 5 and page.count("#results .result-table") == 2
    what_the_run_did_is_on_the_page(where, page)


def what_the_run_did_is_on_the_page(where, page):
    with open(os.path.join(where, "record.json"), encoding="utf-8") as file:
        record = json.load(file)
    with open(os.path.join(where, "plan.json"), encoding="utf-8") as file:
        plans = json.load(file)["actions"]
    assert page.text("#sections a").split("\n") == ["Results", "Actions and plans", "Timeline", "Operators", "Training", "Memory", "Attempts", "Settings"]
    shown = page.run("return actionsOf(runData).map((action) => [action.number, action.what, action.operators.length])")
    n_operators = {plan["action"]: 0 for plan in plans}
    for run_of_plan in record["runs"]:
        if run_of_plan["action"] is not None:
            n_operators[run_of_plan["action"]] = n_operators.get(run_of_plan["action"], 0) + len(run_of_plan["operators"])
    assert shown == [[plan["action"], plan["what"], n_operators[plan["action"]]] for plan in plans], (shown, n_operators)
    assert page.count("#timeline .chart svg") == 1 and page.run("return charts.find((entry) => entry.node.getAttribute('aria-label').startsWith('Timeline')).chart.getOption().series[0].data.length") == len(record["timeline"])
    assert page.count("#training .training-curve") == len(record["training"]) == 3
    curve = page.run("return charts.find((entry) => entry.node.getAttribute('aria-label').startsWith('Loss')).chart.getOption().series[0].data.map((point) => point[1])")
    assert all(math.isclose(a, b, rel_tol=1e-8) for a, b in zip(curve, record["training"][0]["loss"], strict=True))
    memory = page.run("return charts.find((entry) => entry.node.getAttribute('aria-label').startsWith('Memory')).chart.getOption().series[0].data")
    assert memory == [rank["peak_resident_bytes"] for rank in record["ranks"]] and len(memory) == 3
    # Each plan draws as one graph: a cache that is filled and read within an action is one box.
    for plan in plans:
        if plan["nodes"]:
            page.run("[...document.querySelectorAll('#actions button.more')].forEach((node) => node.click()); [...document.querySelectorAll('#actions button.link')][arguments[0]].click()", plan["action"])
            boxes = page.count("#actions .plan .node")
            assert boxes == len({node.get("cache", f"node {node['id']}") for node in plan["nodes"]}), (plan["what"], boxes)
    page.is_sound()


if __name__ == "__main__":
    try:
        code = run_tests([results_hold_what_the_job_declared, results_do_not_depend_on_the_number_of_ranks, no_rows_make_empty_results_and_a_page, without_a_folder_nothing_runs,
                          mistakes_are_errors_of_the_job, results_that_cannot_be_written_end_the_job, committed_results_are_not_made_again, flagship_ends_with_its_dashboard])
    finally:
        stop_browser()
    sys.exit(code)
