# SPDX-License-Identifier: Apache-2.0
"""The cable of a node is pulled out in the middle of a job, on hosts of network namespaces: every process of the job ends
soon, and what is lost is named. Left out (77) where namespaces may not be made."""
import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "bench"))
sys.path.insert(0, os.path.join(ROOT, "tests", "operators"))
import emulated_hosts as hosts  # noqa: E402
from harness import BUILD, MPIRUN  # noqa: E402

# Rows that are exchanged for as long as the job is left alone.
PLAN = [("a", "numbers", "2000000000", "1000"), ("r", "shuffle", "a", "k"), ("-", "count", "r")]

def ranks_of(mark):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"plan_driver") and mark.encode() in words:
            found.append(int(pid))
    return found


def wait_for(what, is_true, seconds):
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, f"{what}: not after {seconds} s"
        time.sleep(0.1)


def cut(folder, silence):
    """What the job said, its exit code, and how long it took from the cut to the last process."""
    plan = os.path.join(folder, "plan.txt")
    with open(plan, "w", encoding="utf-8") as file:
        file.writelines("\t".join(line) + "\n" for line in PLAN)
    words = hosts.launcher(4, folder, MPIRUN) + [os.path.join(BUILD, "tests", "plan_driver"), plan, "--memory", "64MiB", "--silence", silence]
    root = {"OMPI_MCA_orte_tmpdir_base": folder, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    with open(os.path.join(folder, "said"), "w+", encoding="utf-8") as said, \
            subprocess.Popen(words, env=os.environ | root, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True) as job:
        try:
            wait_for("four ranks that run", lambda: len(ranks_of(plan)) == 4, 30)
            wait_for("the start", lambda: os.path.getsize(said.name) > 0, 30)  # what it may use is said
            time.sleep(1)
            assert job.poll() is None, "the job is over before the cut"
            subprocess.run(["ip", "-n", hosts.BRIDGE, "link", "set", "cable2", "down"], check=True)
            start = time.monotonic()
            wait_for("the end of mpirun", lambda: job.poll() is not None, 150)
            wait_for("the end of all ranks", lambda: not ranks_of(plan), 60)
            seconds = time.monotonic() - start
        finally:
            if job.poll() is None:
                said.seek(0)
                print(said.read(), "still there:", ranks_of(plan), flush=True)
                os.killpg(job.pid, signal.SIGKILL)
            for pid in ranks_of(plan):
                os.kill(pid, signal.SIGKILL)
        said.seek(0)
        return job.returncode, said.read(), seconds


def main():
    silence = sys.argv[1] if len(sys.argv) > 1 else "3"
    allowed = subprocess.run(["unshare", "--net", "--uts", "--mount", "true"], capture_output=True, check=False).returncode == 0
    launcher = subprocess.run([os.environ.get("QN_MPIEXEC", "mpirun"), "--version"], capture_output=True, text=True, check=False).stdout
    allowed = allowed and ("Open MPI" in launcher or "OpenRTE" in launcher)
    if not allowed or not all(map(shutil.which, ["ip", "mpirun", "pkill"])):
        print("left out: network namespaces cannot be made here, or this is not Open MPI")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        wanted = argparse.Namespace(hosts=2, ranks=2, mbit=0, delay=0)
        try:
            hosts.make_hosts(wanted, folder)
            code, said, seconds = cut(folder, silence)
        finally:
            hosts.remove_hosts(2)
    print(said, f"exit code {code} {seconds:.1f} s after the cut")
    reason = "it has given no sign of life" if float(silence) < 60 else "the network has brought nothing to its node"
    assert code != 0, code
    assert said.count(f"-2 is lost: {reason} for ") == 1 and said.count("is lost") == 1, said
    return 0


if __name__ == "__main__":
    sys.exit(main())
