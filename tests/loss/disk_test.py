# SPDX-License-Identifier: Apache-2.0
"""Disks that are full or may not be written to, for results, stages, scratch and models: an error that names the place and
what to do, and no half result. On small file systems in memory; where these may not be mounted, only the limit of a
file's size stands in for a full disk."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "jobs"))
from job_kit import BUILD, MPIRUN, Skipped, messages, run, run_plan, run_tests, succeeds  # noqa: E402

NUMBERS = ("a", "numbers", "300000", "1000")  # some 20 MB


class SmallDisk:
    """A folder on a file system of its own."""

    def __init__(self, folder, options):
        self.path, self.options = folder, options

    def __enter__(self):
        os.makedirs(self.path, exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", self.options, "tmpfs", self.path], capture_output=True, check=False)
        if done.returncode != 0:
            raise Skipped("nothing may be mounted here")
        return self.path

    def __exit__(self, *wrong):
        subprocess.run(["umount", "-l", self.path], check=True)


def fails_once(done, *parts):
    assert done.returncode == 1, (done.returncode, done.stderr[-1500:])
    said = [line for line in messages(done) if "nodes, each" not in line and ": 1 node" not in line]
    assert len(said) == 1, done.stderr
    for part in parts:
        assert part in said[0], (part, said)


def left_in(folder):
    return sorted(name for name in os.listdir(folder) if name not in ("plan.txt", "lost+found"))


def results_on_a_full_disk(folder):
    with SmallDisk(os.path.join(folder, "small"), "size=4m") as small:
        for what, step in [("stage", ("s", "stage", "a", "small/out")), ("one file", ("s", "stage", "a", "small/out.h5")), ("csv", ("-", "write", "a", "small/out.csv"))]:
            done = run_plan(3, [NUMBERS, step], folder)
            fails_once(done, "small/", "No space left on device", "free some space")
            assert left_in(small) == [], (what, os.listdir(small))
        succeeds(run_plan(3, [("a", "numbers", "100", "10"), ("-", "write", "a", "small/out.csv")], folder))


def results_on_a_disk_that_may_not_be_written(folder):
    with SmallDisk(os.path.join(folder, "fixed"), "size=4m") as fixed:
        subprocess.run(["mount", "-o", "remount,ro", fixed], check=True)
        for step in [("s", "stage", "a", "fixed/out"), ("-", "write", "a", "fixed/out.csv"), ("s", "stage", "a", "fixed/out.h5")]:
            fails_once(run_plan(3, [NUMBERS, step], folder), "fixed/", "Read-only file system")
        fails_once(run_plan(2, [NUMBERS, ("s", "sort", "a", "s"), ("-", "count", "s")], folder, "--scratch", fixed, "--memory", "8MiB"), fixed, "Read-only file system", "--scratch")


def scratch_on_a_full_disk(folder):
    with SmallDisk(os.path.join(folder, "small"), "size=4m") as small:
        done = run_plan(3, [NUMBERS, ("s", "sort", "a", "s"), ("-", "write", "s", "out.csv")], folder, "--scratch", small, "--memory", "7MiB")
        fails_once(done, small, "No space left on device", "--scratch", "--memory", "are free there")
        assert left_in(small) == [] and left_in(folder) == ["small"], (os.listdir(small), os.listdir(folder))


def a_model_on_a_full_disk(folder):
    with SmallDisk(os.path.join(folder, "small"), "size=64k") as small:
        with open(os.path.join(folder, "rows.csv"), "w", encoding="utf-8") as file:
            file.write("a,b,y\n" + "".join(f"{i % 17},{i % 23},{'no' if i % 3 else 'yes'}\n" for i in range(500)))
        done = run(2, "jobs/train_mlp", "--data", "rows.csv", "--label", "y", "--epochs", "2", "--layers", "200 200", "--output", "small/model.h5", folder=folder)
        fails_once(done, "small/", "No space left on device", "free some space")
        assert left_in(small) == [], os.listdir(small)


def files_that_may_not_grow(folder):
    """The limit of a file's size; ranks of a job have it from mpirun."""
    for step in [("s", "stage", "a", "out/stage"), ("s", "stage", "a", "out/one.h5"), ("-", "write", "a", "out/rows.csv")]:
        with open(os.path.join(folder, "plan.txt"), "w", encoding="utf-8") as plan:
            plan.write("\t".join(NUMBERS) + "\n" + "\t".join(step) + "\n")
        done = subprocess.run([MPIRUN, "-n", "2", "bash", "-c", 'ulimit -f 1024; exec "$@"', "-", os.path.join(BUILD, "tests", "plan_driver"), "plan.txt"],
                              cwd=folder, text=True, capture_output=True, check=False, timeout=60, env=os.environ | {"QUERN_SHARED_MEMORY": "0", "OMPI_MCA_btl": "self,tcp"})
        fails_once(done, "out/", "File too large")
        assert left_in(os.path.join(folder, "out")) == [], left_in(os.path.join(folder, "out"))


if __name__ == "__main__":
    sys.exit(run_tests([results_on_a_full_disk, results_on_a_disk_that_may_not_be_written, scratch_on_a_full_disk, a_model_on_a_full_disk, files_that_may_not_grow]))
