# SPDX-License-Identifier: Apache-2.0
"""The command `quern` (generate, inspect, new) and what all jobs have in common: --help, --output, options."""
import os
import subprocess
import sys

import h5py

from job_kit import (BUILD, MPIRUN, RANKS, ROOT, Skipped, files_below, messages, read, read_csv, run, run_tests,
                     succeeds, write)

JOBS = ["wordcount", "movies", "pagerank", "sessions", "dedupe"]
QUERN = os.path.join(BUILD, "bin", "quern")


def quern(*arguments, folder=None):
    return subprocess.run([QUERN, *arguments], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="replace", timeout=120, check=False)


def generate(n_ranks, output, *arguments):
    succeeds(run(n_ranks, "bin/quern", "generate", "movies", "--events", "20000", "--output", output, *arguments))
    return files_below(output)


# --- Every job --------------------------------------------------------------------------------------------------------


def every_job_has_help(_):
    for job in JOBS:
        done = succeeds(run(3, f"jobs/{job}", "--help"))
        assert done.stdout.count("usage: ") == 1 and done.stderr == "", done.stdout + done.stderr
        for option in ("--output", "--memory", "--scratch", "--quiet", "--help"):
            assert option in done.stdout, f"{job} --help does not name {option}"


def a_job_runs_without_mpirun(folder):
    path = write(os.path.join(folder, "a.txt"), "b a b\n")
    done = subprocess.run([os.path.join(BUILD, "jobs", "wordcount"), "--output", "out/counts.csv", path], cwd=folder,
                          capture_output=True, text=True, timeout=60, check=False)
    succeeds(done)
    assert read(os.path.join(folder, "out", "counts.csv")) == b"word,n\nb,2\na,1\n"


def the_command_says_what_it_can(_):
    for arguments in (["--help"], ["help"]):
        done = succeeds(quern(*arguments))
        assert all(name in done.stdout for name in ("generate", "inspect", "new", "version")), done.stdout
    assert succeeds(quern("version")).stdout.startswith("quern 0.")
    for arguments in ([], ["nothing"], ["generate"], ["generate", "nothing"], ["inspect"], ["inspect", "--what", "x"],
                      ["inspect", "--rows", "many", "x"], ["new"], ["new", "../up"], ["new", "1st"], ["new", "a b"]):
        done = quern(*arguments)
        assert done.returncode == 2 and done.stdout == "" and done.stderr, f"quern {arguments}: {done}"
    for name in ("generate", "inspect", "new"):
        assert "usage: " in succeeds(quern(name, "--help")).stdout
    assert "--events" in succeeds(quern("generate", "movies", "--help")).stdout


# --- generate ---------------------------------------------------------------------------------------------------------


def generate_gives_the_same_bytes_on_any_number_of_ranks(folder):
    first = generate(1, os.path.join(folder, "1"))
    assert sorted(first) == ["movies.csv", "ratings.csv"], sorted(first)
    for n_ranks in RANKS[1:]:
        assert generate(n_ranks, os.path.join(folder, str(n_ranks))) == first, f"other bytes on {n_ranks} ranks"
    assert generate(2, os.path.join(folder, "again"), "--seed", "1") == first, "seed 1 is the default"
    other = generate(2, os.path.join(folder, "other"), "--seed", "2")
    assert other["ratings.csv"] != first["ratings.csv"] and other["movies.csv"] != first["movies.csv"]


def generated_ratings_are_plausible(folder):
    generate(3, folder, "--users", "500", "--titles", "1000")
    header, rows = read_csv(os.path.join(folder, "ratings.csv"))
    assert header == ["userId", "movieId", "rating", "timestamp"] and len(rows) == 20000
    counts = {}
    for user, movie, rating, time in rows:
        assert 1 <= int(user) <= 500 and 1 <= int(movie) <= 1000, (user, movie)
        assert float(rating) * 2 in range(1, 11), rating
        assert 1577836800 <= int(time) < 1577836800 + 1463 * 86400, time
        counts[movie] = counts.get(movie, 0) + 1
    by_count = sorted(counts.values(), reverse=True)
    assert sum(by_count[:100]) > 0.4 * len(rows), f"a tenth of the titles has {sum(by_count[:100])} ratings"
    assert by_count[len(by_count) // 2] < 0.1 * by_count[0], "no long tail"
    assert len({rating for _, _, rating, _ in rows}) >= 8
    header, titles = read_csv(os.path.join(folder, "movies.csv"))
    assert header == ["movieId", "title", "genres"] and [int(row[0]) for row in titles] == list(range(1, 1001))
    assert any("," in title for _, title, _ in titles) and any("|" in genres for _, _, genres in titles)


def generated_ratings_load(folder):
    generate(2, folder)
    output = os.path.join(folder, "out")
    succeeds(run(2, "jobs/movies", "--ratings", os.path.join(folder, "ratings.csv"), "--titles",
                 os.path.join(folder, "movies.csv"), "--output", output))
    _, rows = read_csv(os.path.join(output, "activity.csv"))
    assert sum(int(row[2]) for row in rows) == 20000
    assert len(read_csv(os.path.join(output, "rejects.csv"))[1]) == 0


# --- inspect ----------------------------------------------------------------------------------------------------------


def make_stage(folder):
    """A staged dataset of three parts: the ratings of the job movies."""
    generate(2, folder)
    output = os.path.join(folder, "out")
    succeeds(run(3, "jobs/movies", "--ratings", os.path.join(folder, "ratings.csv"), "--titles",
                 os.path.join(folder, "movies.csv"), "--output", output))
    return os.path.join(output, "ratings")


def inspect_shows_what_is_there(folder):
    stage = make_stage(folder)
    done = succeeds(quern("inspect", "--rows", "3", stage))
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{stage}: 20000 rows, 4 columns, "), lines[0]
    for name, kind in (("user_id", "int64"), ("movie_id", "int64"), ("rating", "float64"), ("seen", "timestamp")):
        assert any(line.split()[:2] == [name, kind] for line in lines), f"no column {name} {kind} in {done.stdout}"
    assert any("from 0.5 to 5" in line for line in lines), done.stdout
    parts = [name for name in os.listdir(stage) if name.endswith(".h5")]
    assert parts and all(any(name in line for line in lines) for name in parts), done.stdout
    _, rows = read_csv(os.path.join(folder, "ratings.csv"))
    with_none = succeeds(quern("inspect", "--rows", "0", stage))
    assert len(with_none.stdout) < len(done.stdout)
    assert succeeds(quern("inspect", "--verify", stage)).stdout.find("All checksums are right.") > 0


def inspect_verify_names_a_flipped_byte(folder):
    stage = make_stage(folder)
    part = os.path.join(stage, sorted(name for name in os.listdir(stage) if name.endswith(".h5"))[-1])
    with h5py.File(part, "r") as file:
        group = next(group for group in file["columns"].values() if group.attrs["name"] == "rating")
        at = group["values"].id.get_chunk_info(0).byte_offset
    with open(part, "r+b") as file:
        file.seek(at + 6)
        byte = file.read(1)[0]
        file.seek(at + 6)
        file.write(bytes([byte ^ 1]))
    done = quern("inspect", "--verify", stage)
    assert done.returncode == 1, f"exit code {done.returncode}: {done.stdout}"
    assert len(messages(done)) == 1 and part in done.stderr and "rating" in done.stderr, done.stderr
    assert "All checksums are right" not in done.stdout


def inspect_refuses_what_is_no_stage(folder):
    text = write(os.path.join(folder, "a.txt"), "text\n")
    os.mkdir(os.path.join(folder, "empty"))
    for path in (text, os.path.join(folder, "empty"), os.path.join(folder, "missing")):
        done = quern("inspect", path)
        assert done.returncode == 1 and path in done.stderr and len(messages(done)) == 1, done.stderr
    stage = make_stage(folder)
    done = quern("inspect", "--rows", "0", text, stage)
    assert done.returncode == 1 and text in done.stderr and f"{stage}: 20000 rows" in done.stdout, done.stderr


# --- new --------------------------------------------------------------------------------------------------------------


def logged(command, folder, **more):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False, **more)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done


def a_new_job_builds_and_runs(folder):
    if os.environ.get("QN_SANITIZE"):
        raise Skipped("the library needs the sanitizers' flags, which an outside job does not have")
    prefix = os.path.join(folder, "prefix")
    logged(["cmake", "--install", BUILD, "--prefix", prefix], folder)
    installed = os.path.join(prefix, "bin", "quern")
    logged([installed, "new", "north-count"], folder)
    job = os.path.join(folder, "north-count")
    assert sorted(os.listdir(job)) == ["CMakeLists.txt", "README.md", "north-count.c", "sample.csv"], os.listdir(job)
    again = subprocess.run([installed, "new", "north-count"], cwd=folder, capture_output=True, text=True, check=False)
    assert again.returncode == 1 and "north-count" in again.stderr, again
    logged(["cmake", "-S", ".", "-B", "build", f"-DCMAKE_PREFIX_PATH={prefix}"], job)
    logged(["cmake", "--build", "build"], job)
    logged([MPIRUN, "-n", "2", "build/north-count", "--output", "counts.csv", "sample.csv"], job)
    assert read(os.path.join(job, "counts.csv")) == b"region,n\nnorth,3\nsouth,2\neast,1\n"
    readme = read(os.path.join(job, "README.md")).decode()
    assert "mpirun -n 2 build/north-count --output counts.csv sample.csv" in readme and "%" not in readme
    assert ROOT not in readme


if __name__ == "__main__":
    sys.exit(run_tests([every_job_has_help, a_job_runs_without_mpirun, the_command_says_what_it_can,
                        generate_gives_the_same_bytes_on_any_number_of_ranks, generated_ratings_are_plausible,
                        generated_ratings_load, inspect_shows_what_is_there, inspect_verify_names_a_flipped_byte,
                        inspect_refuses_what_is_no_stage, a_new_job_builds_and_runs]))
