# SPDX-License-Identifier: Apache-2.0
"""What the tests of run folders share: the driver job, its files, waiting for something to be there."""
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "jobs"))
from job_kit import BUILD, MPIRUN, run, run_tests, write  # noqa: E402,F401

DRIVER = "tests/run_driver"
for slurm in [name for name in os.environ if name.startswith("SLURM_")]:  # of who runs the tests
    del os.environ[slurm]


def run_alone(program, *arguments, folder=None, env=None):
    """Runs a program of the build on one rank without mpirun, which is quicker."""
    command = [os.path.join(BUILD, program), *arguments]
    return subprocess.run(command, cwd=folder, env={**os.environ, "OMPI_MCA_ess_singleton_isolated": "1", **(env or {})},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)


def read_json(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        return json.load(file)


def read_progress(folder):
    with open(os.path.join(folder, "progress"), "rb") as file:
        content = file.read()
    assert len(content) % 512 == 0, len(content)
    return [json.loads(content[i:i + 512]) for i in range(0, len(content), 512)]


def succeeded(process):
    assert process.returncode == 0, process.stderr
    return process


def failed(process, *parts):
    assert process.returncode not in (0, None), "it should have failed"
    for part in parts:
        assert part in process.stderr, process.stderr
    return process


def wait_until(holds, what, seconds=30):
    end = time.time() + seconds
    while not holds():
        assert time.time() < end, f"not within {seconds} s: {what}"
        time.sleep(0.02)


class Waiting:
    """The driver on n_ranks ranks in `folder`, in the run folder "r", waiting for the file "go" half-way; killed at the end."""

    def __init__(self, folder, n_ranks=2, *arguments):
        self.folder, self.n_ranks, self.arguments = folder, n_ranks, arguments

    def __enter__(self):
        self.job = subprocess.Popen([MPIRUN, "-n", str(self.n_ranks), os.path.join(BUILD, DRIVER), "--run", "r", "--wait", "go",
                                     *self.arguments], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL, start_new_session=True)
        progress = os.path.join(self.folder, "r", "progress")
        wait_until(lambda: os.path.exists(progress) and os.path.getsize(progress) == 512 * self.n_ranks, "the job runs")
        return self

    def pids(self):
        return [line["pid"] for line in read_progress(os.path.join(self.folder, "r"))]

    def kill_rank(self, rank):
        os.kill(self.pids()[rank], signal.SIGKILL)
        assert self.job.wait(timeout=30) != 0

    def let_go(self):
        write(os.path.join(self.folder, "go"), "")
        assert self.job.wait(timeout=60) == 0

    def __exit__(self, *_):
        if self.job.poll() is None:
            os.killpg(self.job.pid, signal.SIGKILL)
