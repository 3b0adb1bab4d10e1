# SPDX-License-Identifier: Apache-2.0
"""The flagship killed with -9 at random moments, gone on with on other numbers of ranks, and compared with an undisturbed
run: every output the same bytes, nothing left behind. `kill_test.py --kills 50 --seed 7` does more of them than the suite."""
import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

from job_kit import BUILD, MPIRUN, run, succeeds
from restart_kit import RESULTS, Started, journal, movies_arguments, movies_data, results, run_json, temporary_files

OPTIONS = ["--iterations", "30"]
RANKS = [1, 2, 3, 5]
OUTPUTS = ["ratings", "popular.csv", "genres.csv", "activity.csv", "pairs.csv", "metrics.csv", "recommendations.csv"]


def resume(where, n_ranks):
    return Started(0, "bin/quern", "resume", where, "-n", str(n_ranks), "--mpirun", MPIRUN)


def choose(rng, seconds):
    """A moment in words, and a function that waits for it."""
    how = rng.choice(["time", "time", "commit", "unfinished", "line"])
    name = rng.choice(OUTPUTS)
    if how == "time":
        wait = rng.random() * seconds
        return f"after {wait:.2f} s", lambda job, out, where: job.await_that(
            lambda end=time.monotonic() + wait: time.monotonic() >= end)
    if how == "commit":  # its name has just changed; the journal may not know yet
        return f"as {name} appears", lambda job, out, where: job.await_that(lambda: os.path.exists(os.path.join(out, name)))
    if how == "unfinished":
        return f"while {name} is written", lambda job, out, where: job.await_that(
            lambda: os.path.exists(os.path.join(out, f".{name}.tmp")) or os.path.exists(os.path.join(out, name)))
    n_lines = rng.randint(1, 14)
    return f"at line {n_lines} of the journal", lambda job, out, where: job.await_that(lambda: len(journal(where)) >= n_lines)


def kill(rng, job):
    """One rank, or all of them."""
    ranks = job.ranks()
    if not ranks:  # it has not begun, or is over
        os.killpg(job.process.pid, signal.SIGKILL)
        return "all before they began"
    if rng.random() < 0.5:
        one = rng.randrange(len(ranks))
        job.send(signal.SIGKILL, [ranks[one]])
        return f"process {one + 1} of {len(ranks)}"
    job.send(signal.SIGKILL, ranks)
    return f"all {len(ranks)}"


def survive(rng, folder, data, wanted, seconds):
    """Kills a run, once or several times, and goes on with it; what was done, in words. None if it was over before."""
    out, where, scratch = (os.path.join(folder, name) for name in ("out", "run", "scratch"))
    os.makedirs(scratch)
    options = [*OPTIONS, "--scratch", scratch, *(["--memory", "4MiB"] if rng.random() < 0.3 else [])]
    n_ranks = rng.choice(RANKS)
    job = Started(n_ranks, *movies_arguments(data, out, *options), run_folder=where)
    story = []
    for _ in range(1 if rng.random() < 0.7 else 2):
        moment, wait = choose(rng, seconds)
        if not wait(job, out, where) or job.is_over():
            break
        story.append(f"{n_ranks} ranks {moment}: {kill(rng, job)}")
        done = job.finish(60)
        if done.returncode == 0:
            story.pop()
            break
        n_ranks = rng.choice([n for n in RANKS if n != n_ranks])
        started = os.path.exists(os.path.join(where, "run.json"))
        job = resume(where, n_ranks) if started else Started(n_ranks, *movies_arguments(data, out, *options), run_folder=where)
        job.name = "movies"
    done = job.finish()
    told = "; ".join(story)
    assert done.returncode == 0, f"{told}: exit code {done.returncode}: {done.stderr[-3000:]}"
    found = results(out)
    assert found == wanted, f"{told}: other bytes in {[name for name in RESULTS if found[name] != wanted[name]]}"
    assert run_json(where)["status"] == "done", told
    assert not temporary_files(out) and not temporary_files(where), (told, temporary_files(folder))
    assert not os.listdir(scratch), f"{told}: left in scratch: {os.listdir(scratch)}"
    parts = [name for name in os.listdir(os.path.join(where, "checkpoints")) if ".part" in name]
    assert not parts, f"{told}: {parts}"
    return told if story else None


def left_in_shared_memory(before):
    """New names in shared memory that no process has mapped."""
    for _ in range(30):
        names = {name for name in os.listdir("/dev/shm") if name not in before}
        maps = subprocess.run("cat /proc/[0-9]*/maps 2>/dev/null | grep -o '/dev/shm/[^ ]*' | sort -u", shell=True,
                              capture_output=True, text=True, check=False).stdout
        left = [name for name in names if f"/dev/shm/{name}" not in maps and os.path.exists(f"/dev/shm/{name}")]
        if not left:
            break
        time.sleep(0.1)
    return left


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("QN_SEED", "20261128")))
    given = parser.parse_args()
    rng = random.Random(given.seed)
    before = set(os.listdir("/dev/shm"))
    with tempfile.TemporaryDirectory() as folder:
        data = movies_data(folder)
        start = time.monotonic()
        succeeds(run(2, *movies_arguments(data, os.path.join(folder, "whole"), *OPTIONS)))
        seconds = time.monotonic() - start
        wanted = results(os.path.join(folder, "whole"))
        n_kills = n_runs = 0
        while n_kills < given.kills:
            n_runs += 1
            assert n_runs < 5 * given.kills, "the runs are over before they are killed"
            with tempfile.TemporaryDirectory(dir=folder) as where:
                told = survive(rng, where, data, wanted, seconds)
            if told is not None:
                n_kills += len(told.split("; "))
                print(f"ok  {n_kills:3}  {told}", flush=True)
    left = left_in_shared_memory(before)
    assert not left, f"left in shared memory: {left}"
    print(f"{n_kills} kills in {n_runs} runs of {os.path.basename(BUILD)}: every result as undisturbed, nothing left behind")


if __name__ == "__main__":
    sys.exit(main())
