# SPDX-License-Identifier: Apache-2.0
"""Looking at runs: quern top, history and compare, of runs that go on, have ended, were killed, or are damaged."""
import json
import os
import re
import shutil
import sys
import time

from record_kit import DRIVER, Waiting, failed, read_json, read_progress, run, run_alone, run_tests, succeeded, wait_until, write


def quern(folder, *arguments, env=None):
    return run_alone("bin/quern", *arguments, folder=folder, env={"QUERN_RUNS": os.path.join(folder, "runs"), **(env or {})})


def drive(folder, name, *arguments, n_ranks=1):
    call = (DRIVER, "--rows", "2000", "--run", f"runs/{name}", *arguments)
    return run_alone(*call, folder=folder) if n_ranks == 1 else run(n_ranks, *call, folder=folder)


def set_started(folder, name, when):
    path = os.path.join(folder, "runs", name)
    found = read_json(path, "run.json")
    found["attempts"][0]["started"] = when
    write(os.path.join(path, "run.json"), json.dumps(found))


def top_follows_a_run_and_sees_that_it_was_killed(folder):
    with Waiting(folder, 3, "--rows", "1000000") as waiting:
        wait_until(lambda: any(line["rows"] > 0 for line in read_progress(os.path.join(folder, "r"))), "rows are told")
        table = succeeded(quern(folder, "top", "r", "--once")).stdout
        assert re.search(r"^run_driver: running, \d+ s, 3 ranks on 1 node", table), table
        assert re.search(r"^action 0: stage out/rows, pipeline 1 of 1: [1-9]\d? %, \d", table, re.M), table
        assert len(re.findall(r"^ +[012] \S+ +running", table, re.M)) == 3, table
        waiting.kill_rank(0)
    wait_until(lambda: "killed" in quern(folder, "top", "r", "--once").stdout, "it is seen as killed")
    assert re.search(r"^r +run_driver +killed ", succeeded(quern(folder, "history", ".")).stdout, re.M)


def top_shows_silent_ranks(folder):
    drive(folder, "a", n_ranks=2)
    path = os.path.join(folder, "runs", "a", "progress")
    lines = read_progress(os.path.dirname(path))
    lines[0]["time"] += 31
    with open(path, "wb") as file:
        for line in lines:
            file.write(json.dumps(line).encode().ljust(511) + b"\n")
        file.write(b'{"rank":2,"host"'.ljust(512))
    table = succeeded(quern(folder, "top", "a", "--once")).stdout
    assert re.search(r"^ +1 \S+ +silent", table, re.M) and re.search(r"^ +2  has told nothing", table, re.M), table


def runs_are_found_by_name_or_as_the_latest(folder):
    failed(quern(folder, "top", "--once"), "there is no run yet")
    drive(folder, "a")
    drive(folder, "b", "--fail", "/dev/null")
    assert "run_driver: failed" in quern(folder, "top", "--once").stdout
    assert "it was to fail" in quern(folder, "top", "b", "--once").stdout
    assert "run_driver: done" in quern(folder, "top", "a").stdout  # ends, as the run has
    failed(quern(folder, "top", "c"), "there is no run 'c'")
    failed(quern(folder, "top", "runs"), "has no run.json")


def history_lists_chooses_and_prunes(folder):
    drive(folder, "old")
    drive(folder, "bad", "--fail", "/dev/null")
    succeeded(run(2, "jobs/wordcount", write(os.path.join(folder, "a.txt"), "a b\nc\n"), "--run", "runs/words", folder=folder))
    set_started(folder, "old", "2020-01-01T00:00:00Z")
    write(os.path.join(folder, "runs", "torn", "run.json"), '{"format": 1, "jo')
    write(os.path.join(folder, "runs", "no-run", "file"), "")
    lines = succeeded(quern(folder, "history")).stdout.splitlines()
    assert [line.split()[0] for line in lines][:3] == ["run", "torn", lines[2].split()[0]] and len(lines) == 5, lines
    assert "is no JSON" in lines[1] and lines[2].startswith("old"), lines
    old = lines[2].split()
    assert old[1:4] == ["run_driver", "done", "2020-01-01T00:00:00Z"] and old[5] == "1", old
    assert float(old[6]) > 0 and old[7] == "4000", old  # both reads of the stage

    def names(*options):
        return [line.split()[0] for line in succeeded(quern(folder, "history", *options)).stdout.splitlines()[1:]]

    assert names("--status", "failed") == ["bad"] and names("--job", "wordcount") == ["words"]
    assert names("--status", "done", "--last", "1") == ["words"] and names("--job", "none") == []
    failed(quern(folder, "history", "--status", "bad"), "none of done")
    failed(quern(folder, "history", "nowhere"), "nowhere")
    assert "nothing was removed" in succeeded(quern(folder, "history", "--prune", "30")).stdout
    assert "1 runs removed" in succeeded(quern(folder, "history", "--prune", "30", "--yes")).stdout
    assert sorted(os.listdir(os.path.join(folder, "runs"))) == ["bad", "no-run", "torn", "words"]


def a_run_that_goes_on_is_not_pruned(folder):
    with Waiting(folder):
        assert "0 runs removed" in succeeded(quern(folder, "history", ".", "--prune", "0", "--yes")).stdout
        assert os.path.exists(os.path.join(folder, "r", "run.json"))


def compare_shows_what_differs(folder):
    drive(folder, "a")
    drive(folder, "b", n_ranks=3)
    succeeded(run_alone(DRIVER, "--rows", "3000", "--run", "runs/c", folder=folder, env={"OMP_NUM_THREADS": "3"}))
    found = succeeded(quern(folder, "compare", "a", "b")).stdout
    assert "n_ranks: 1 | 3" in found and "arguments" not in found and "option" not in found, found
    assert re.search(r"^  1 write out/sums.csv +\d+\.\d+ +\d+\.\d+ +\d+\.\d+$", found, re.M), found
    assert re.search(r"^    read \(read stage out/rows .* 2000 +2000 ", found, re.M), found
    assert re.search(r"^    exchange by hash .*only in the second$", found, re.M), found
    found = succeeded(quern(folder, "compare", "a", "c")).stdout
    assert "option rows: 2000 | 3000" in found and "environment OMP_NUM_THREADS: " in found, found
    assert re.search(r"^    generate .* 2000 +3000 .*rows differ$", found, re.M), found
    assert re.search(r"^    count .* 1000 +1000 (?!.*rows differ)", found, re.M), found
    shutil.copytree(os.path.join(folder, "runs", "a"), os.path.join(folder, "runs", "same"))
    assert "nothing of what is known" in succeeded(quern(folder, "compare", "a", "same")).stdout
    write(os.path.join(folder, "runs", "same", "record.json"), '{"runs": [{"oper')
    assert "has no whole record.json" in succeeded(quern(folder, "compare", "a", "same")).stdout
    write(os.path.join(folder, "runs", "same", "run.json"), '{"format": 7}')
    failed(quern(folder, "compare", "a", "same"), "is of format 7")


if __name__ == "__main__":
    sys.exit(run_tests([
        top_follows_a_run_and_sees_that_it_was_killed, top_shows_silent_ranks, runs_are_found_by_name_or_as_the_latest,
        history_lists_chooses_and_prunes, a_run_that_goes_on_is_not_pruned, compare_shows_what_differs]))
