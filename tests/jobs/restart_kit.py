# SPDX-License-Identifier: Apache-2.0
"""What the tests of stopping and going on share: a flagship job that is asked to stop, or killed, at a moment that shows
in its files, and what it must have left."""
import json
import os
import signal
import subprocess
import time

from job_kit import BUILD, MPIRUN, read, run, succeeds

RESULTS = ["popular.csv", "genres.csv", "activity.csv", "pairs.csv", "metrics.csv", "recommendations.csv",
           "recommender.h5", "rejects.csv"]
STOPPED = 75


def movies_data(folder, events=40000):
    """Ratings of some hundred users, large enough that a run takes a second or so."""
    data = os.path.join(folder, "data")
    succeeds(run(2, "bin/quern", "generate", "movies", "--events", str(events), "--users", "400", "--titles", "300",
                 "--output", data))
    return data


def movies_arguments(data, output, *options):
    return ["jobs/movies", "--ratings", os.path.join(data, "ratings.csv"), "--titles", os.path.join(data, "movies.csv"),
            "--output", output, "--factors", "8", *options]


def results(output):
    return {name: read(os.path.join(output, name)) for name in RESULTS}


class Started:
    """A job that runs; n_ranks 0: without mpirun."""

    def __init__(self, n_ranks, program, *arguments, run_folder=None, env=None):
        launcher = [MPIRUN, "-n", str(n_ranks)] if n_ranks > 0 else []
        self.process = subprocess.Popen(
            [*launcher, os.path.join(BUILD, program), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True,
            env={**os.environ, "QUERN_RUNS": "none", **({"QUERN_RUN": run_folder} if run_folder else {}), **(env or {})})
        self.name = os.path.basename(program)

    def is_over(self):
        return self.process.poll() is not None

    def ranks(self):
        """The processes of its ranks, by session."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                    name, _, fields = file.read().partition("(")[2].rpartition(")")
            except OSError:
                continue
            if name == self.name[:15] and int(fields.split()[3]) == self.process.pid:
                found.append(int(pid))
        return sorted(found)

    def await_that(self, is_so, timeout=60):
        """Waits until is_so() or the job is over; whether it is so."""
        end = time.monotonic() + timeout
        while not is_so():
            if self.is_over():
                return is_so()
            assert time.monotonic() < end, "nothing happens"
            time.sleep(0.002)
        return True

    def send(self, number, pids):
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def finish(self, timeout=120):
        """The finished process with its text output."""
        try:
            out, err = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            out, err = self.process.communicate()
            raise AssertionError(f"hangs: {out[-1000:]}{err[-2000:]}") from None
        return subprocess.CompletedProcess(self.process.args, self.process.returncode, out, err)


def journal(run_folder):
    """The whole lines of the journal."""
    try:
        text = read(os.path.join(run_folder, "journal.jsonl")).decode()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in text.split("\n")[:-1]]


def run_json(run_folder):
    return json.loads(read(os.path.join(run_folder, "run.json")))


def temporary_files(folder):
    """Names of outputs that were begun and left."""
    return [os.path.join(where, name) for where, folders, files in os.walk(folder) for name in folders + files
            if name.startswith(".")]
