# SPDX-License-Identifier: Apache-2.0
"""What it costs a job that it can be gone on with: the flagship with a run folder (journal, checkpoints, models) and
without, in alternation, on the same ratings. Prints the ratio of the medians; wants a quiet machine.

  scripts/python bench/restart_bench.py --events 1e7 --runs 5
"""
import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MPIRUN = os.path.join(ROOT, "scripts", "mpirun")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=lambda text: int(float(text)), default=10_000_000)
    parser.add_argument("--runs", type=int, default=5, help="of each kind")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--data", help="folder that has the ratings, or gets them")
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"))
    given = parser.parse_args()
    env = {**os.environ, "QUERN_RUNS": "none"}
    seconds = {"without": [], "with": []}
    with tempfile.TemporaryDirectory() as folder:
        data = given.data or os.path.join(folder, "data")
        if not os.path.exists(os.path.join(data, "ratings.csv")):
            subprocess.run([MPIRUN, "-n", str(given.ranks), os.path.join(given.build, "bin", "quern"), "generate", "movies",
                            "--events", str(given.events), "--output", data, "--quiet"], env=env, check=True,
                           stdout=subprocess.DEVNULL)
        for number in range(given.runs + 1):  # the first pair warms up
            for kind in ("without", "with") if number % 2 else ("with", "without"):
                out, where = os.path.join(folder, "out"), os.path.join(folder, "run")
                start = time.monotonic()
                subprocess.run([MPIRUN, "-n", str(given.ranks), os.path.join(given.build, "jobs", "movies"), "--ratings",
                                os.path.join(data, "ratings.csv"), "--titles", os.path.join(data, "movies.csv"),
                                "--output", out, "--quiet", "--run", where if kind == "with" else "none"], env=env,
                               check=True, stdout=subprocess.DEVNULL)
                if number > 0:
                    seconds[kind].append(time.monotonic() - start)
                    print(f"{kind:8} {seconds[kind][-1]:8.2f} s", flush=True)
                shutil.rmtree(out)
                shutil.rmtree(where, ignore_errors=True)
    without, with_folder = (statistics.median(seconds[kind]) for kind in ("without", "with"))
    print(f"{given.events} events, {given.ranks} ranks, median of {given.runs}: {without:.2f} s without a run folder, "
          f"{with_folder:.2f} s with: {100 * (with_folder / without - 1):+.1f} %")


if __name__ == "__main__":
    main()
