#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A job of minutes under a limit of one: the movie platform is stopped and started again by Slurm until it is done, and must
leave the bytes of a run that nobody disturbed. Beside it the same, gone on with by hand, on other numbers of ranks. Takes some
ten minutes, so it is not one of ctest's tests.

usage: scripts/python tests/slurm/long_requeue.py [--iterations N] [--events N]"""
import argparse
import json
import os
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "jobs"))
from cluster import Cluster, become_root, why_not  # noqa: E402
from job_kit import BUILD, files_below, read, run, succeeds  # noqa: E402

QUERN = os.path.join(BUILD, "bin", "quern")
MOVIES = os.path.join(BUILD, "jobs", "movies")


def results(folder, name):
    """What a run has written, without the staged rows, whose parts are those of its ranks."""
    return {path: content for path, content in files_below(os.path.join(folder, name)).items() if not path.startswith("ratings")}


def attempts(folder, number):
    with open(os.path.join(folder, "quern-runs", f"movies-{number}", "run.json"), encoding="utf-8") as file:
        return [(each["n_ranks"], each["status"], each["exit_code"], round(each["seconds"] or 0)) for each in json.load(file)["attempts"]]


def submitted(cluster, folder, output, arguments, *options):
    done = cluster.run(QUERN, "submit", "--parsable", "-N", "2", "-n", "4", "-t", "1", *options, "--",
                       MOVIES, *arguments, "--output", output, folder=folder)
    return succeeds(done).stdout.strip()


def by_other_ranks(cluster, folder, first):
    """Goes on with a stopped run by hand, each time on another number of ranks; the last job's state."""
    run_folder = os.path.join(folder, "quern-runs", f"movies-{first}")
    number, counts = first, [2, 3, 1, 4] * 5
    job = cluster.wait_job(number, seconds=300)
    while job["ExitCode"] == "75:0" and counts:
        count = counts.pop(0)
        number = succeeds(cluster.run("sbatch", "--parsable", "-n", str(count), "-N", str(min(count, 2)),
                                      f"{run_folder}/job.sbatch", run_folder, folder=folder)).stdout.strip()
        job = cluster.wait_job(number, seconds=300)
    return job


def check(folder, job, first, output, undisturbed):
    log, tries = read(job["StdOut"]).decode(), attempts(folder, first)
    print(f"{output}: {job['JobState']}; ranks, status, exit code, seconds of each attempt: {tries}", flush=True)
    assert job["JobState"] == "COMPLETED" and len(tries) > 1, log
    left = results(folder, output)
    other = sorted(name for name in undisturbed.keys() | left.keys() if undisturbed.get(name) != left.get(name))
    assert not other, f"other bytes: {other}"
    print(f"{output}: {len(left)} files with the bytes of the undisturbed run", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=300000)
    parser.add_argument("--iterations", type=int, default=2500)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Cluster(n_nodes=4) as cluster:
        os.chmod(folder, 0o755)
        succeeds(run(2, "bin/quern", "generate", "movies", "--events", str(given.events), "--output", "data", folder=folder))
        arguments = ["--ratings", "data/ratings.csv", "--titles", "data/movies.csv", "--iterations", str(given.iterations)]
        begun = time.monotonic()
        succeeds(run(4, "jobs/movies", *arguments, "--output", "alone", folder=folder, timeout=1500))
        print(f"undisturbed: {time.monotonic() - begun:.0f} s", flush=True)
        undisturbed = results(folder, "alone")
        same = submitted(cluster, folder, "same", arguments, "--requeue")
        other = submitted(cluster, folder, "other", arguments)
        last = by_other_ranks(cluster, folder, other)
        check(folder, last, other, "other", undisturbed)
        check(folder, cluster.wait_job(same, seconds=1500), same, "same", undisturbed)


if __name__ == "__main__":
    become_root()
    REASON = why_not()
    sys.exit(f"left out: {REASON}" if REASON else main())
