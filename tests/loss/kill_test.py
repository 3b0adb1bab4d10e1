# SPDX-License-Identifier: Apache-2.0
"""Ranks killed with -9 while they exchange, spill, write, train and commit: the job ends with an error, nothing half is
under a final name, nothing stays in scratch or in shared memory, and the next run of the same puts everything right."""
import glob
import json
import os
import signal
import subprocess
import sys
import time

import h5py

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "jobs"))
from job_kit import BUILD, GRACE, MPIRUN, run_plan, run_tests, succeeds  # noqa: E402

SECONDS = 60  # more than enough for a job whose rank is dead
MANY, FEW = "2000000000", "3000"


def shared_memory():
    return set(glob.glob("/dev/shm/quern-*"))


def ranks_below(pid):
    """The processes of the job: rank to process."""
    found, left = {}, [pid]
    while left:
        parent = left.pop()
        try:
            with open(f"/proc/{parent}/task/{parent}/children", encoding="ascii") as file:
                left += [int(child) for child in file.read().split()]
            with open(f"/proc/{parent}/environ", "rb") as file:
                words = dict(word.split(b"=", 1) for word in file.read().split(b"\0") if b"=" in word)
            rank = words.get(b"OMPI_COMM_WORLD_RANK", words.get(b"PMI_RANK"))
            if rank is not None:
                found[int(rank)] = parent
        except OSError:
            pass
    return found


def kill_when(folder, is_time, rank, words, n_ranks=3, grace="0"):
    """Starts the job, kills a rank (all: None) when it is time; what it said on standard error."""
    before = shared_memory()
    scratch = os.path.join(folder, "scratch")
    os.makedirs(scratch, exist_ok=True)
    with subprocess.Popen([MPIRUN, "-n", str(n_ranks), *words, "--scratch", scratch], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, start_new_session=True, env=os.environ | {GRACE: grace}) as job:
        try:
            end = time.monotonic() + SECONDS
            ranks = {}
            while len(ranks) < n_ranks or not is_time(ranks):
                assert time.monotonic() < end and job.poll() is None, f"the time for the kill has not come: {ranks}, {os.listdir(folder)} {job.poll()}"
                time.sleep(0.02)
                ranks = ranks_below(job.pid)
            for number, pid in ranks.items():
                if rank in (None, number):
                    os.kill(pid, signal.SIGKILL)
            said = job.communicate(timeout=SECONDS)[1]
        except BaseException:
            os.killpg(job.pid, signal.SIGKILL)
            raise
    assert job.returncode != 0, said
    end = time.monotonic() + SECONDS
    while any(map(is_alive, ranks.values())):  # mpirun does not wait for what it has killed
        assert time.monotonic() < end, "ranks live on"
        time.sleep(0.05)
    assert os.listdir(scratch) == [], os.listdir(scratch)
    assert shared_memory() <= before, shared_memory() - before
    ours = [name for pid in ranks.values() for name in glob.glob(f"/dev/shm/*{pid}*")]
    assert not ours, ours
    assert "9" in said and ("killed" in said.lower() or "signal" in said.lower()), said
    return said


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def kill_plan(folder, lines, is_time, rank, grace="0"):
    plan = os.path.join(folder, "plan.txt")
    with open(plan, "w", encoding="utf-8") as file:
        file.writelines("\t".join(line) + "\n" for line in lines)
    return kill_when(folder, is_time, rank, [os.path.join(BUILD, "tests", "plan_driver"), plan, "--memory", "32MiB"], grace=grace)


def has_bytes(pattern):
    return lambda ranks: any(os.path.getsize(path) > 0 for path in glob.glob(pattern))


def holds_scratch(folder):
    def look(ranks):
        try:
            return any(os.readlink(path).startswith(os.path.join(folder, "scratch")) and os.stat(path).st_size > 0
                       for pid in ranks.values() for path in glob.glob(f"/proc/{pid}/fd/*"))
        except OSError:
            return False
    return look


def has_worked(ranks):
    """Each rank has used more processor time of its own than its start takes, by far."""
    used = []
    for pid in ranks.values():
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            used.append(int(file.read().rsplit(")", 1)[1].split()[11]))
    return min(used) > os.sysconf("SC_CLK_TCK") // (2 if os.environ.get("QN_SANITIZE") else 5)


def next_run_is_right(folder, name):
    """The same with few rows: all of it, and nothing beside it."""
    lines = [("a", "numbers", FEW, "100"), ("s", "stage", "a", "out/stage"), ("-", "write", "a", "out/rows.csv"), ("b", "read_stage", "out/stage"), ("-", "count", "b")]
    done = succeeds(run_plan(2, lines, folder))
    assert f"b: {FEW} rows" in done.stdout, done.stdout
    with open(os.path.join(folder, "out", "rows.csv"), "rb") as file:
        assert file.read().count(b"\n") == int(FEW) + 1
    assert sorted(os.listdir(os.path.join(folder, "out"))) == ["rows.csv", "stage"], f"after {name}: {os.listdir(os.path.join(folder, 'out'))}"


def rows_of_stage(folder):
    """What its manifest says, and its parts hold: without a job, which takes longer to start."""
    stage = os.path.join(folder, "out", "stage")
    with open(os.path.join(stage, "manifest.json"), encoding="utf-8") as file:
        manifest = json.load(file)
    n_rows = 0
    for part in manifest["parts"]:
        with h5py.File(os.path.join(stage, part["file"])) as file:
            n_rows += len(file["columns/i/values"])
    assert n_rows == manifest["rows"]
    return n_rows


def while_rows_are_exchanged(folder):
    for rank, grace in [(0, "1"), (2, "0"), (None, "0")]:
        kill_plan(folder, [("a", "numbers", MANY, "1000"), ("r", "shuffle", "a", "k"), ("-", "count", "r")], has_worked, rank, grace)


def while_rows_are_spilled(folder):
    kill_plan(folder, [("a", "numbers", MANY, "1000"), ("r", "sort", "a", "s"), ("-", "count", "r")], holds_scratch(folder), 1)


def while_a_stage_is_written(folder):
    out = os.path.join(folder, "out")
    for rank in [0, 1]:
        kill_plan(folder, [("a", "numbers", MANY, "1000"), ("s", "stage", "a", "out/stage")], has_bytes(f"{out}/.stage.tmp/part-*"), rank)
        assert os.listdir(out) == [".stage.tmp"], os.listdir(out)
    next_run_is_right(folder, "a stage")


def while_csv_is_written(folder):
    out = os.path.join(folder, "out")
    kill_plan(folder, [("a", "numbers", MANY, "1000"), ("-", "write", "a", "out/rows.csv")], has_bytes(f"{out}/.rows.csv.tmp"), 2, grace="1")
    assert os.listdir(out) == [".rows.csv.tmp"], os.listdir(out)
    next_run_is_right(folder, "CSV")


def while_a_model_is_trained(folder):
    with open(os.path.join(folder, "rows.csv"), "w", encoding="utf-8") as file:
        file.write("a,b,y\n" + "".join(f"{i % 17},{i % 23},{'no' if i % 3 else 'yes'}\n" for i in range(20000)))
    kill_when(folder, has_worked, 1, [os.path.join(BUILD, "jobs", "train_mlp"), "--data", "rows.csv", "--label", "y", "--epochs", "100000", "--rate", "1e-9", "--layers", "64 64", "--output", "model.h5"])
    assert not os.path.exists(os.path.join(folder, "model.h5"))


def while_a_stage_is_replaced(folder):
    """Whenever the kill comes, the target is the old one or the new one."""
    library = os.path.join(BUILD, "tests", "libdie_at.so")
    plan = os.path.join(folder, "plan.txt")
    next_run_is_right(folder, "nothing")
    with open(plan, "w", encoding="utf-8") as file:
        file.write("a\tnumbers\t500\t10\ns\tstage\ta\tout/stage\n")
    for moment, rows in [("before", int(FEW)), ("after", 500)]:
        done = subprocess.run([MPIRUN, "-n", "2", os.path.join(BUILD, "tests", "plan_driver"), plan], cwd=folder, text=True, capture_output=True, check=False,
                              env=os.environ | {"LD_PRELOAD": library, "QN_DIE": moment, "QN_DIE_AT": "out/stage"}, timeout=SECONDS)
        assert done.returncode != 0 and "9" in done.stderr, done.stderr
        assert rows_of_stage(folder) == rows, moment
    next_run_is_right(folder, "a commit")
    os.rename(os.path.join(folder, "out", "stage"), os.path.join(folder, "out", ".stage.tmp-old"))  # where folders cannot change places
    lost = run_plan(2, [("a", "numbers", "300000", "10"), ("f", "map_fail", "a", "i int64"), ("s", "stage", "f", "out/stage")], folder)
    assert lost.returncode != 0 and "on purpose" in lost.stderr, lost.stderr
    assert rows_of_stage(folder) == int(FEW)
    next_run_is_right(folder, "two steps")


TESTS = [while_rows_are_exchanged, while_rows_are_spilled, while_a_stage_is_written, while_csv_is_written, while_a_model_is_trained]
if not os.environ.get("QN_SANITIZE"):  # nothing may be loaded before the sanitizer
    TESTS.append(while_a_stage_is_replaced)

if __name__ == "__main__":
    sys.exit(run_tests(TESTS))
