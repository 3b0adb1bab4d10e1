# SPDX-License-Identifier: Apache-2.0
"""The scratch folder and the budget of a job, from outside: what is said at the start, what is refused, and that nothing
stays in the folder, also when ranks are killed."""
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

from harness import BUILD, MPIRUN, run_plan

SORT = [("a", "numbers", "400000", "1000"), ("s", "sort", "a", "s"), ("-", "count", "s")]
FOREVER = [("a", "numbers", "100000000", "1000"), ("s", "sort", "a", "s"), ("-", "count", "s")]


def check_start(folder):
    done = run_plan(3, SORT, folder, "--memory", "7MiB", "--scratch", folder)
    assert done.returncode == 0, done.stderr
    line = f"memory 7.0 MiB per rank, 21 MiB per node of 3 ranks (--memory); scratch {folder}, "
    assert done.stderr.count(": memory ") == 1 and line in done.stderr, done.stderr
    assert re.search(r"[0-9.]+ [KMG]iB free", done.stderr), done.stderr
    done = run_plan(2, SORT, folder, "--memory", "7MiB", "--quiet")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert not [name for name in os.listdir(folder) if "spill" in name], os.listdir(folder)


def check_memory_folder(folder):
    """/dev/shm is memory, which is said."""
    done = run_plan(1, SORT, folder, "--scratch", "/dev/shm")
    assert done.returncode == 0 and "it is in memory" in done.stderr, done.stderr


def check_refused(folder):
    for scratch, part in [("nowhere", "No such file"), ("plan.txt", "no folder")]:
        done = run_plan(2, SORT, folder, "--scratch", os.path.join(folder, scratch))
        assert done.returncode == 1 and part in done.stderr and "--scratch" in done.stderr, done.stderr


def check_killed(folder):
    """Ranks killed while they write to scratch leave nothing there."""
    scratch = os.path.join(folder, "scratch")
    os.mkdir(scratch)
    with open(os.path.join(folder, "plan.txt"), "w", encoding="utf-8") as plan:
        plan.writelines("\t".join(line) + "\n" for line in FOREVER)
    command = [MPIRUN, "-n", "2", os.path.join(BUILD, "tests/plan_driver"), "plan.txt", "--memory", "8MiB", "--scratch", scratch]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          start_new_session=True) as process:
        free = os.statvfs(scratch).f_bfree
        ranks, is_spilling = [], False
        for _ in range(600):  # until files of a rank are in the folder
            ranks = [pid for pid in os.listdir("/proc") if pid.isdigit() and is_rank(pid, scratch)]
            is_spilling = any(has_open(pid, scratch) for pid in ranks)
            if is_spilling:
                break
            time.sleep(0.05)
        for pid in ranks:
            os.kill(int(pid), signal.SIGKILL)
        process.wait(timeout=60)
    assert is_spilling, f"no rank of {ranks} has put anything out ({free} blocks are free)"
    assert process.returncode != 0 and os.listdir(scratch) == [], os.listdir(scratch)


def is_rank(pid, scratch):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
    except OSError:
        return False
    return words[0].endswith(b"plan_driver") and scratch.encode() in words


def has_open(pid, scratch):
    try:
        return any(os.readlink(f"/proc/{pid}/fd/{fd}").startswith(scratch) for fd in os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return False


def main():
    for check in [check_start, check_memory_folder, check_refused, check_killed]:
        with tempfile.TemporaryDirectory() as folder:
            check(folder)
    print("scratch is as it should be")


if __name__ == "__main__":
    sys.exit(main())
