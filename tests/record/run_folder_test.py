# SPDX-License-Identifier: Apache-2.0
"""Where the folder of a run is, what it says, and who may have it: docs/run-folder.md, with real jobs."""
import json
import os
import re
import subprocess
import sys
import time

from record_kit import BUILD, DRIVER, Waiting, failed, read_json, run, run_alone, run_tests, succeeded, write

JOB = "jobs/wordcount"
WAITING = ("--run", "r", "--wait", "go")


def text_in(folder):
    path = os.path.join(folder, "text", "a.txt")
    return path if os.path.exists(path) else write(path, "to be or not to be\n" * 50)


def words(n_ranks, folder, *arguments, **variables):
    """Counts words in `folder`; Slurm's variables of the test's own environment are not handed on."""
    env = {"QUERN_RUNS": os.path.join(folder, "runs"), **variables}
    start = run_alone if n_ranks == 1 else lambda *call, **how: run(n_ranks, *call, **how)
    return start(JOB, text_in(folder), "--output", "out.csv", *arguments, folder=folder, env=env)


def read_run(path):
    return read_json(path, "run.json")


def only_run(folder, runs="runs"):
    names = os.listdir(os.path.join(folder, runs))
    assert len(names) == 1, names
    return os.path.join(folder, runs, names[0])


# --- What it says -----------------------------------------------------------------------------------------------------


def run_json_says_what_ran(folder):
    for n_ranks in (1, 2, 3, 5):
        started = time.time()
        runs = os.path.join(folder, f"runs{n_ranks}")
        succeeded(words(n_ranks, folder, "--memory", "64MiB", QUERN_RUNS=runs, QUERN_SECRET_TOKEN="hush", OMP_NUM_THREADS="1"))
        found = read_run(only_run(folder, f"runs{n_ranks}"))
        assert found["format"] == 1 and found["job"] == "wordcount" and found["status"] == "done", found
        assert os.path.realpath(found["program"]) == os.path.realpath(os.path.join(BUILD, JOB))
        assert found["arguments"] == [os.path.join(folder, "text", "a.txt"), "--output", "out.csv", "--memory", "64MiB"]
        assert os.path.realpath(found["directory"]) == os.path.realpath(folder)
        assert found["options"]["output"] == "out.csv"
        assert re.fullmatch(r"[0-9a-f]{40}|hash-[0-9a-f]{16}", found["code"]["build"]), found["code"]
        assert found["environment"]["OMP_NUM_THREADS"] == "1" and "hush" not in json.dumps(found)
        assert "MPI" in found["libraries"]["mpi"] or "MPICH" in found["libraries"]["mpi"]
        attempt, = found["attempts"]
        assert attempt["status"] == "done" and attempt["exit_code"] == 0 and attempt["message"] is None
        assert attempt["n_ranks"] == n_ranks and attempt["memory_per_rank"] == 64 << 20
        assert attempt["budget_source"] == "--memory"
        assert sum(node["ranks"] for node in attempt["nodes"]) == n_ranks
        assert 0 < attempt["seconds"] < time.time() - started + 1
        for name in ("started", "ended"):
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", attempt[name]), attempt


def a_failed_run_says_why(folder):
    failed(run(2, JOB, os.path.join(folder, "none.txt"), folder=folder, env={"QUERN_RUNS": os.path.join(folder, "runs")}))
    found = read_run(only_run(folder))
    attempt, = found["attempts"]
    assert found["status"] == attempt["status"] == "failed" and attempt["exit_code"] == 1
    assert "none.txt" in attempt["message"], attempt


# --- Where it is ------------------------------------------------------------------------------------------------------


def options_come_before_variables_before_slurm(folder):
    slurm = {"SLURM_JOB_ID": "17"}
    array = {**slurm, "SLURM_ARRAY_JOB_ID": "16", "SLURM_ARRAY_TASK_ID": "3"}
    succeeded(words(1, folder, "--run", "a/b", QUERN_RUN="c", **slurm))
    assert read_run(os.path.join(folder, "a", "b"))["status"] == "done"
    succeeded(words(1, folder, QUERN_RUN="c", **slurm))
    assert read_run(os.path.join(folder, "c"))["attempts"][0]["slurm"] == {"job_id": "17", "restart": 0}
    succeeded(words(1, folder, **slurm))
    assert os.path.exists(os.path.join(folder, "runs", "wordcount-17", "run.json"))
    succeeded(words(1, folder, **array))
    assert os.path.exists(os.path.join(folder, "runs", "wordcount-16_3", "run.json"))
    succeeded(words(1, folder, QUERN_RUNS=""))
    assert re.fullmatch(r"wordcount-\d{8}-\d{6}-[0-9a-f]{4}", os.path.basename(only_run(folder, "quern-runs")))


def none_is_none(folder):
    before = set(os.listdir(folder)) | {"text", "out.csv"}
    succeeded(words(1, folder, "--run", "none", QUERN_RUNS=""))
    succeeded(words(1, folder, QUERN_RUN="none", QUERN_RUNS=""))
    succeeded(words(1, folder, QUERN_RUNS="none"))
    succeeded(run_alone(JOB, "--help", folder=folder, env={"QUERN_RUNS": ""}))
    failed(run_alone(JOB, "--nonsense", folder=folder, env={"QUERN_RUNS": ""}))
    assert set(os.listdir(folder)) == before, os.listdir(folder)


def a_folder_that_cannot_be_made_is_an_error_only_if_asked_for(folder):
    write(os.path.join(folder, "file"), "")
    process = succeeded(words(2, folder, QUERN_RUNS=os.path.join(folder, "file", "runs")))
    assert "leaves no folder" in process.stderr and os.path.exists(os.path.join(folder, "out.csv"))
    failed(words(2, folder, "--run", "file/run"), "file", "cannot make the folder")


# --- Who may have it --------------------------------------------------------------------------------------------------


def a_done_run_keeps_its_folder(folder):
    succeeded(words(2, folder, "--run", "r"))
    failed(words(2, folder, "--run", "r"), "r: the run of this folder is done", "--run")


def a_failed_run_is_gone_on_with(folder):
    text = os.path.join(folder, "late.txt")
    failed(run(2, JOB, text, "--run", "r", folder=folder))
    write(text, "words\n")
    process = succeeded(run(3, JOB, text, "--run", "r", folder=folder))
    assert "goes on in" in process.stderr
    found = read_run(os.path.join(folder, "r"))
    assert found["status"] == "done" and [a["status"] for a in found["attempts"]] == ["failed", "done"], found
    assert [a["n_ranks"] for a in found["attempts"]] == [2, 3]


def a_running_run_keeps_others_out_and_a_killed_one_does_not(folder):
    with Waiting(folder) as waiting:
        failed(run_alone(DRIVER, *WAITING, folder=folder), "that is going on")
        waiting.kill_rank(0)
    write(os.path.join(folder, "go"), "")
    succeeded(run_alone(DRIVER, *WAITING, folder=folder))
    assert [a["status"] for a in read_run(os.path.join(folder, "r"))["attempts"]] == ["killed", "done"]


def what_a_killed_run_had_half_written_is_removed(folder):
    run_folder = os.path.join(folder, "r")
    draft = None
    if not os.environ.get("QN_SANITIZE"):  # nothing may be loaded before the sanitizer
        died = words(1, folder, "--run", "r", LD_PRELOAD=os.path.join(BUILD, "tests", "libdie_at.so"), QN_DIE="before", QN_DIE_AT="r/run.json")
        assert died.returncode == -9, died
        draft, = [name for name in os.listdir(run_folder) if "draft" in name]
        assert draft.startswith("run.json.draft-"), draft
    with Waiting(folder, 1) as waiting:
        assert draft not in os.listdir(run_folder)  # one of its own may be there for a moment
        killed, = waiting.pids()
        waiting.kill_rank(0)
    gone, alive = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True, check=True).stdout.strip(), os.getpid()
    dead = [f"run.json.draft-{gone}-12ab", f"results/03.json.draft-{gone}-1", f"plan.json.draft-{killed}-ff", f"page.html.draft-{killed}-1", f"old.html.draft-{gone}-1"]
    kept = [f"page.html.draft-{alive}-1", f"page.html.draft-{gone}-1", "run.json.draft-", "my.draft-2", f"x.json.draft-{gone}-1.bak", f"run.json.draft-{alive}-77"]
    for name in dead + kept:
        write(os.path.join(run_folder, name), "half")
    os.utime(os.path.join(run_folder, f"old.html.draft-{gone}-1"), (1, 1))
    write(os.path.join(folder, "go"), "")
    succeeded(run_alone(DRIVER, *WAITING, folder=folder))
    found = {os.path.relpath(os.path.join(where, name), run_folder) for where, _, names in os.walk(run_folder) for name in names if "draft" in name}
    assert found == set(kept), found ^ set(kept)


def a_run_elsewhere_is_in_use_while_it_is_fresh(folder):
    succeeded(words(1, folder, "--run", "r"))
    path = os.path.join(folder, "r", "run.json")
    found = read_run(os.path.dirname(path))
    found["status"] = found["attempts"][0]["status"] = "running"
    found["attempts"][0]["process"]["host"] = "another-host"
    write(path, json.dumps(found))
    failed(words(1, folder, "--run", "r"), "on another-host")
    old = time.time() - 31
    os.utime(os.path.join(folder, "r", "progress"), (old, old))
    succeeded(words(1, folder, "--run", "r"))


def slurm_steps_have_their_own_and_find_them_again(folder):
    first = {"SLURM_JOB_ID": "5"}
    again = {"SLURM_JOB_ID": "5", "SLURM_RESTART_COUNT": "1"}
    runs = os.path.join(folder, "runs")
    succeeded(words(1, folder, **first))
    succeeded(words(1, folder, "--top", "3", **first))
    succeeded(words(1, folder, "--top", "3", **first))
    assert sorted(os.listdir(runs)) == ["wordcount-5", "wordcount-5-2", "wordcount-5-3"]
    succeeded(words(1, folder, "--memory", "64MiB", **again))
    succeeded(words(1, folder, "--top", "3", **again))
    succeeded(words(1, folder, "--top", "3", **again))
    assert sorted(os.listdir(runs)) == ["wordcount-5", "wordcount-5-2", "wordcount-5-3"]
    assert all(len(read_run(os.path.join(runs, name))["attempts"]) == 2 for name in os.listdir(runs))


def a_damaged_run_json_is_said(folder):
    for content, part in (("{", "is no JSON"), ('{"format": 99}', "is of format 99"), ("[]", "is not the run.json")):
        write(os.path.join(folder, "r", "run.json"), content)
        failed(words(2, folder, "--run", "r"), "run.json", part)


sys.exit(run_tests([
    run_json_says_what_ran, a_failed_run_says_why, options_come_before_variables_before_slurm, none_is_none,
    a_folder_that_cannot_be_made_is_an_error_only_if_asked_for, a_done_run_keeps_its_folder,
    a_failed_run_is_gone_on_with, a_running_run_keeps_others_out_and_a_killed_one_does_not,
    what_a_killed_run_had_half_written_is_removed, a_run_elsewhere_is_in_use_while_it_is_fresh, slurm_steps_have_their_own_and_find_them_again,
    a_damaged_run_json_is_said]))
