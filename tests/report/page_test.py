# SPDX-License-Identifier: Apache-2.0
"""The page of a run in a real browser, from made folders: what real runs do not give at will."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "jobs"))
import browser  # noqa: E402
import run_folders as runs  # noqa: E402
from job_kit import BUILD, run_tests, succeeds  # noqa: E402

QUERN = os.path.join(BUILD, "bin", "quern")
HOSTILE = "</script><script>window.hurt=1</script><img src=x onerror='window.hurt=1'><!-- \u2028 & \"'"
CHROME = None


def quern(*arguments, **environment):
    return subprocess.run([QUERN, *arguments], env={**os.environ, **environment}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)


def stop_browser():
    if CHROME is not None:
        CHROME.quit()


def page_of(folder, **more):
    """Makes the page of a folder by the command and opens it."""
    global CHROME
    CHROME = CHROME or browser.start()
    path = os.path.join(folder, "page.html")
    succeeds(quern("report", folder, "-o", path))
    assert os.path.getsize(path) < 3_000_000, f"{os.path.getsize(path)} bytes"
    return browser.Page(CHROME, path, **more)


def whole_run(folder, **more):
    results = [
        runs.number("Ratings", 1234567), runs.number("Disk", 2_500_000, "bytes"),
        runs.chart("bar", "Bars", "name utf8, n int64, mean float64", [["Drama", 300, 3.5], ["Comedy", 200, 4.25], ["War", 100, 2.5]], "name", ["n"], points=["mean"]),
        runs.chart("heatmap", "Cells", "hour int64, day utf8, n int64", [[hour, day, hour + 5] for day in ("Mon", "Tue") for hour in range(24)], "hour", ["day"], value="n"),
        runs.chart("line", "Lines", "day date, n int64, who utf8", [[f"2015-01-{1 + i:02}", i, who] for who in ("ann", "bob") for i in range(20)], "day", ["n"], series="who"),
        runs.chart("scatter", "Dots", "a float64, b float64", [[i / 7, i % 5] for i in range(30)], "a", ["b"]),
        runs.chart("histogram", "Sizes", "from float64, to float64, n int64", [[i, i + 1, 10 - i] for i in range(10)], "size", []),
        runs.result("table", "Rows", "title utf8, n int64", [[f"title {i}", i] for i in range(100)], n_rows=5000)]
    return runs.make(folder, results=results, **{"record": runs.record(), "plan": runs.plan(), **more})


def whole_run_shows_all_its_parts(folder):
    page = page_of(whole_run(folder)).is_sound()
    assert page.text("#header h1") == "made" and page.text("#status") == "done"
    assert page.text("#sections a").split("\n") == ["Results", "Actions and plans", "Timeline", "Operators", "Training", "Memory", "Attempts", "Settings"]
    first = page.run("return document.querySelector('main section').id")
    assert first == "results", first
    numbers = page.text(".number").replace("\u00a0", " ")
    assert "1,234,567" in numbers and "2.5" in numbers and "MB" in numbers, numbers
    # Every chart is drawn as SVG with marks and texts: 5 of the job, timeline, training, memory.
    drawn = page.run("return [...document.querySelectorAll('.chart')].map((node) => [node.getAttribute('aria-label'), node.querySelectorAll('svg path').length, node.querySelectorAll('svg text').length])")
    assert len(drawn) == 8, drawn
    for label, n_paths, n_texts in drawn:
        assert n_paths >= 4 and n_texts >= 4, (label, n_paths, n_texts)
    texts = page.run("return [...document.querySelectorAll('.chart svg text')].map((node) => node.textContent)")
    for wanted in ("Drama", "Comedy", "War", "Mon", "ann", "bob", "rank 3", "Process"):
        assert wanted in texts, (wanted, sorted(set(texts)))
    assert page.count("#results table tbody tr") == 20 and "The first 100 rows of 5,000" in page.text("#results")
    assert page.count("#actions .plan .node") == len(runs.NODES) and page.count("#actions .plan path.edge") == len(runs.NODES) - 1
    assert "uneven 3.00" in page.text("#operators") and page.count("#operators .badge.warn") > 0
    settings = page.text("#settings")
    for wanted in ("prior", "OMP_NUM_THREADS", "4 ranks, a core each, BLAS 1 thread", "Open MPI 4.1.4", "ratings.csv"):
        assert wanted in settings, wanted


def rounded(value):
    if isinstance(value, dict):
        return {key: rounded(own) for key, own in value.items()}
    return [rounded(own) for own in value] if isinstance(value, list) else float(f"{value:.8g}") if isinstance(value, (int, float)) else value


def numbers_of_the_page_are_those_of_the_record(folder):
    record = runs.record()
    page = page_of(whole_run(folder, record=record))
    shown = page.run("return [...document.querySelectorAll('#actions table tbody tr')].map((row) => [...row.cells].map((cell) => cell.innerText))")
    assert [row[0] for row in shown] == ["0", "1", "2"] and [row[1] for row in shown] == [f"write table-{i}.csv" for i in range(3)], shown
    for row, made in zip(shown, record["runs"]):
        value, unit = row[2].replace("\u00a0", " ").split(" ")
        seconds = float(value) / (1000 if unit == "ms" else 1)
        assert abs(seconds - made["seconds"]) <= 0.005 * made["seconds"], (row, made["seconds"])
    kept = page.run("return runData.record")
    for key in ("n_ranks", "ranks", "training", "totals"):
        assert rounded(kept[key]) == rounded(record[key]), key
    n_bars = page.run("return charts.find((entry) => entry.node.getAttribute('aria-label').startsWith('Timeline')).chart.getOption().series[0].data.length")
    assert n_bars == len(record["timeline"]), n_bars


def page_has_dark_and_light_colours(folder):
    whole_run(folder)
    background = "return getComputedStyle(document.body).backgroundColor"
    ink = "return document.querySelector('.chart svg text').getAttribute('fill') + getComputedStyle(document.body).color"
    light = page_of(folder).is_sound()
    in_light = light.run(background), light.run(ink)
    dark = page_of(folder, is_dark=True).is_sound()
    in_dark = dark.run(background), dark.run(ink)
    assert in_light[0] != in_dark[0] and in_light[1] != in_dark[1], (in_light, in_dark)
    dark.run("document.querySelector('[data-theme=light]').click()")
    assert (dark.run(background), dark.run(ink)) == in_light
    assert dark.run("return document.querySelector('[data-theme=light]').getAttribute('aria-pressed')") == "true"
    dark.run("localStorage.clear()")


def page_fits_a_narrow_window(folder):
    page = page_of(whole_run(folder), width=browser.NARROW).is_sound()
    too_wide = page.run("return [...document.querySelectorAll('.card, .chart, .chart svg, .number')].filter((node) => node.getBoundingClientRect().right > 400).map((node) => node.className.toString())")
    assert not too_wide, too_wide


def values_are_text_and_never_markup(folder):
    results = [runs.number(HOSTILE, 1, HOSTILE), runs.chart("bar", HOSTILE, "name utf8, n int64", [[HOSTILE, 3], ["b", 2]], "name", ["n"], note=HOSTILE),
               runs.result("table", HOSTILE, "name utf8, n int64", [[HOSTILE, 1]])]
    plan = runs.plan(1)
    plan["actions"][0].update(what=HOSTILE, text_runs=HOSTILE)
    plan["actions"][0]["nodes"][0]["text"] = HOSTILE
    record = runs.record()
    record["runs"][0]["operators"][0].update(name=HOSTILE, node=HOSTILE, note=HOSTILE)
    run_file = runs.run_json(job=HOSTILE, status="failed", options={HOSTILE: HOSTILE}, attempts=[runs.attempt(status="failed", message=HOSTILE)])
    page = page_of(whole_run(folder, run=run_file, plan=plan, record=record)).is_sound()
    runs.make(folder, run=run_file, results=results)
    page = page_of(folder)
    page.run("document.querySelectorAll('details').forEach((node) => { node.open = true; })")
    page.is_sound()
    assert page.run("return window.hurt === undefined && document.querySelectorAll('img').length === 0")
    assert page.run("return document.querySelector('h1').textContent") == HOSTILE
    assert page.run("return document.querySelector('.number .title').textContent") == HOSTILE
    assert page.run("return document.querySelector('.result-table td').textContent") == HOSTILE


def run_that_failed_at_once_has_a_page(folder):
    message = "ratings.csv: there is no such file"
    runs.make(folder, run=runs.run_json(status="failed", attempts=[runs.attempt(status="failed", exit_code=1, message=message, seconds=0.1)], inputs=[], options={}, environment={}))
    page = page_of(folder).is_sound()
    assert page.text("#status") == "failed" and message in page.text(".notice.bad")
    assert page.text("#sections a").split("\n") == ["Attempts", "Settings"], page.text("#sections a")


def stopped_and_killed_runs_say_how_to_go_on(folder):
    line = {"rank": 0, "host": "elsewhere", "time": 1000, "state": "running", "what": "write popular.csv"}
    for name, status, shown in (("a", "stopped", "stopped"), ("b", "running", "killed")):
        where = os.path.join(folder, name)
        runs.make(where, run=runs.run_json(status=status, attempts=[runs.attempt(status=status, seconds=None, ended=None, process={"host": "elsewhere", "pid": 1})]), progress=[line], plan=runs.plan(1))
        page = page_of(where).is_sound()
        assert page.text("#status") == shown, page.text("#status")
        assert "quern resume" in page.text("#notices"), page.text("#notices")


def resumed_run_shows_what_each_attempt_did(folder):
    first, last = runs.record(n_actions=2), runs.record(n_actions=3, seed=2)
    last["runs"] = last["runs"][2:]
    run_file = runs.run_json(attempts=[runs.attempt(status="stopped", exit_code=75, seconds=7), runs.attempt(seconds=5)])
    page = page_of(runs.make(folder, run=run_file, plan=runs.plan(3), record=last, record_1=first)).is_sound()
    assert page.count("#actions table tbody tr") == 3 and page.count("#attempts tbody tr") == 2
    assert "12\u00a0s" in page.text("#header"), page.text("#header")
    assert page.count("#timeline select option") == 2


def long_run_is_cut_and_says_so(folder):
    record, plan = runs.record(n_ranks=64, n_actions=1500, n_bars=1), runs.plan(1500)
    results = [runs.result("table", f"Table {i}", "title utf8, n int64", [["x" * 200, row] for row in range(3000)], n_rows=3000) for i in range(5)]
    page = page_of(runs.make(folder, run=runs.run_json(64), record=record, plan=plan, results=results)).is_sound()
    footer = page.text("#footer")
    for wanted in ("bars of the timeline", "operators", "plans as graphs"):
        assert wanted in footer, footer
    assert "of 96,000 bars" in footer, footer
    ranks = page.run("return new Set(charts.find((entry) => entry.node.getAttribute('aria-label').startsWith('Timeline')).chart.getOption().yAxis[0].data).size")
    assert ranks > 32, ranks


def damaged_files_are_named(folder):
    page = page_of(whole_run(folder, record='{"runs": [', plan="[1]")).is_sound()
    assert "record.json" in page.text("#notices") and page.text("#status") == "done"


def table_sorts_and_an_action_is_chosen_by_hand(folder):
    page = page_of(whole_run(folder))
    page.run("[...document.querySelectorAll('.result-table th button')].find((node) => node.textContent === 'n').click()")
    assert page.text(".result-table tbody tr:first-child td:last-child") == "99"
    assert page.run("return document.querySelector('.result-table th[aria-sort]').getAttribute('aria-sort')") == "descending"
    page.run("document.querySelectorAll('#actions button.link')[2].click()")
    assert "Action 2" in page.text("#action-detail h3") and page.count("#actions .plan .node") == len(runs.NODES)
    page.is_sound()


def command_says_what_is_wrong(folder):
    empty = os.path.join(folder, "empty")
    os.makedirs(empty)
    for arguments, wanted in ((["report", empty], "is not the folder of a run"), (["report", os.path.join(folder, "none")], "is not the folder of a run"), (["report", empty, "b"], "usage")):
        done = quern(*arguments)
        assert done.returncode != 0 and wanted in done.stderr, (done.returncode, done.stderr)
    done = quern("report", QUERN_RUNS=empty)
    assert done.returncode == 1 and "there is no run in" in done.stderr, done.stderr
    runs.make(os.path.join(empty, "first"))
    done = quern("report", QUERN_RUNS=empty)
    assert done.returncode == 0 and os.path.exists(os.path.join(empty, "first", "report.html")), done.stderr


if __name__ == "__main__":
    try:
        code = run_tests([whole_run_shows_all_its_parts, numbers_of_the_page_are_those_of_the_record, page_has_dark_and_light_colours, page_fits_a_narrow_window,
                          values_are_text_and_never_markup, run_that_failed_at_once_has_a_page, stopped_and_killed_runs_say_how_to_go_on, resumed_run_shows_what_each_attempt_did,
                          long_run_is_cut_and_says_so, damaged_files_are_named, table_sorts_and_an_action_is_chosen_by_hand, command_says_what_is_wrong])
    finally:
        stop_browser()
    sys.exit(code)
