# SPDX-License-Identifier: Apache-2.0
"""One task in one peer, in a process of its own. Prints a line of JSON: seconds from its start to the end of the fit, the
fit's alone and its processor seconds, and the quality, whose making counts nowhere.

usage: python -m training.peer PEER TASK DATA_FOLDER ROWS THREADS START   (START: time.time() when it was started)
"""
import json
import os
import sys
import time

import numpy as np

TICK = os.sysconf("SC_CLK_TCK")


def processor_seconds(pid=None):
    """Of a process and all below it, so far."""
    pid = pid or os.getpid()
    total = 0.0
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        total = sum(map(int, fields[11:15])) / TICK
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                total += sum(map(processor_seconds, file.read().split()))
    except OSError:
        pass  # it has just ended
    return total


class Clock:
    """with clock: ... is what is timed."""

    def __enter__(self):
        self.cpu_before, self.before = processor_seconds(), time.monotonic()

    def __exit__(self, *_):
        self.fit = time.monotonic() - self.before
        self.cpu = processor_seconds()
        self.fit_cpu = self.cpu - self.cpu_before
        self.end = time.time()


def main():
    peer, name, folder, rows, threads, start = sys.argv[1:]
    from training.data import TrainingData
    from training.tasks import find
    data, task, clock = TrainingData(folder, int(rows)), find(name), Clock()
    learned = task.peers[peer](data, clock, int(threads))
    said = {"whole": clock.end - float(start), "cpu": clock.cpu, "fit": clock.fit, "fit_cpu": clock.fit_cpu,
            "iterations": int(learned.pop("iterations", 0))}
    print(json.dumps({**said, "quality": task.quality(data, learned)}), flush=True)
    os._exit(0)  # the JVM of Spark need not tidy up


if __name__ == "__main__":
    main()
