# SPDX-License-Identifier: Apache-2.0
"""A command with all its processes: time by the clock, processor time, and peak memory, of the tree and of its largest process."""
import ctypes
import dataclasses
import os
import resource
import signal
import subprocess
import threading
import time

PR_SET_CHILD_SUBREAPER = 36
SAMPLE_SECONDS = 0.05
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclasses.dataclass
class Measured:
    code: int  # exit code; None if it was ended because it took too long
    output: str
    errors: str
    wall: float  # seconds from start to exit of the command
    cpu: float  # seconds of all its processes on all cores, user and system
    tree_peak: int  # bytes: resident memory of all processes together, shared pages once (sampled)
    process_peak: int  # bytes: the most resident memory that any one process had


def adopt_orphans():
    """Children of an ended child become ours, so that their processor time counts (Spark's JVM outlives its Python)."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children(pid):
    found = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                found += file.read().split()
    except OSError:
        pass  # it has just ended
    return found


class Sampler(threading.Thread):
    """Looks at the memory of a process and those below it until stopped."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.tree_peak, self.process_peak, self.done = str(pid), 0, 0, threading.Event()

    def run(self):
        while not self.done.wait(SAMPLE_SECONDS):
            own = shared = 0
            pids = [self.pid]
            while pids:
                pid = pids.pop()
                pids += children(pid)
                try:
                    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
                        _, resident, common = map(int, file.read().split()[:3])
                except (OSError, ValueError):
                    continue
                own += resident - common
                shared = max(shared, common)
                self.process_peak = max(self.process_peak, resident * PAGE)
            self.tree_peak = max(self.tree_peak, (own + shared) * PAGE)


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def end_tree(pid):
    for child in children(pid):
        end_tree(child)
    try:
        os.kill(int(pid), signal.SIGKILL)
    except OSError:
        pass


def reap_orphans(seconds=20):
    """Waits for processes that outlived the command; ends what does not go by itself."""
    limit = time.monotonic() + seconds
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            if time.monotonic() > limit:
                for child in children(os.getpid()):
                    end_tree(child)
            time.sleep(0.02)


def measure(command, environment, limit_seconds):
    cpu = cpu_seconds()
    start = time.monotonic()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=environment) as process:
        sampler = Sampler(process.pid)
        sampler.start()
        code = None
        try:
            output, errors = process.communicate(timeout=limit_seconds)
            code = process.returncode
        except subprocess.TimeoutExpired:
            end_tree(process.pid)
            output, errors = process.communicate()
        wall = time.monotonic() - start
    sampler.done.set()
    sampler.join()
    reap_orphans()
    return Measured(code, output, errors, wall, cpu_seconds() - cpu, sampler.tree_peak, sampler.process_peak)
