# SPDX-License-Identifier: Apache-2.0
"""What goes wrong, on 4 ranks: each time one clear message, an exit code other than 0, no hang, and nothing half-written
left behind. Errors within plans are made through the plan driver."""
import contextlib
import glob
import gzip
import os
import shutil
import signal
import subprocess
import sys
import time

import h5py

from job_kit import (BUILD, MPIRUN, MPI_NOISE, Skipped, files_below, make_ratings, messages, read, run, run_plan,
                     run_tests, succeeds, write)

N_RANKS = 4
TIMEOUT = 120  # a run that takes longer hangs


def check_failure(done, pieces, out=None, left=None, code=1):
    """One message with all the pieces in it, the exit code, and under `out` what was there before and nothing else."""
    assert done.returncode == code, f"exit code {done.returncode}: {done.stderr}"
    said = messages(done)
    assert len(said) == 1, f"{len(said)} messages: {done.stderr}"
    for piece in pieces:
        assert piece in said[0], f"no {piece!r} in: {said[0]}"
    noise = "".join(MPI_NOISE.findall(done.stderr))
    assert "non-zero" not in noise, f"the launcher talks too: {done.stderr}"
    if out is not None:
        files, wanted = ({name: data for name, data in found.items() if data is not None}
                         for found in (files_below(out), left or {}))
        assert files == wanted, f"left behind: {sorted(files)}"


def job(folder, name, *arguments, output="out/result.csv", left=None, pieces=(), code=1, env=None):
    """A job that must fail."""
    done = run(N_RANKS, f"jobs/{name}", "--output", os.path.join(folder, output), *arguments, folder=folder,
               timeout=TIMEOUT, env=env)
    check_failure(done, pieces, os.path.join(folder, "out"), left, code)
    return done


def plan(folder, steps, pieces, *arguments, code=1):
    """A plan that must fail; what it writes goes to out/."""
    os.makedirs(os.path.join(folder, "out"), exist_ok=True)
    left = files_below(os.path.join(folder, "out"))
    done = run_plan(N_RANKS, steps, folder, *arguments, timeout=TIMEOUT)
    check_failure(done, pieces, os.path.join(folder, "out"), left, code)
    return done


def prices(folder, rows=2000):
    """p-*.csv: id, price, name in four files; price is 0 in the row with id 1500 only."""
    for i in range(4):
        own = range(i * rows // 4, (i + 1) * rows // 4)
        write(os.path.join(folder, f"p-{i}.csv"),
              "id,price,name\n" + "".join(f"{row},{abs(row - 1500)},n{row % 7}\n" for row in own))
    return ("p", "csv", "p-*.csv", "id int64, price int64, name utf8")


@contextlib.contextmanager
def tiny_disk(folder, kib):
    """A disk of so many KiB, where this process may mount one."""
    disk = os.path.join(folder, "disk")
    os.makedirs(disk)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k,mode=0777", "none", disk], capture_output=True,
                          check=False) if shutil.which("mount") else None
    if done is None or done.returncode != 0:
        raise Skipped("only who may mount a tiny disk (root) can fill one")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk], check=False)


def run_as_nobody(folder, name, *arguments):
    """Runs a job as a user without rights, so that files can be unreadable even to root."""
    if os.geteuid() != 0:
        prefix = []
    elif shutil.which("setpriv"):
        prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    else:
        raise Skipped("root can read and write everything, and setpriv is not there")
    command = [*prefix, MPIRUN, "-n", str(N_RANKS), os.path.join(BUILD, "jobs", name)]
    environment = {**os.environ, "HOME": "/nonexistent"}
    probe = subprocess.run([*command, "--help"], capture_output=True, env=environment, timeout=TIMEOUT, check=False)
    if probe.returncode != 0:
        raise Skipped("the programs cannot be run by another user")
    return subprocess.run([*command, *arguments], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="replace", timeout=TIMEOUT, check=False, env=environment)


# --- Files --------------------------------------------------------------------------------------------------------------


def a_missing_file_is_named(folder):
    job(folder, "wordcount", "missing.txt", pieces=["missing.txt", "does not exist"])
    job(folder, "movies", "--ratings", "none/r.csv", "--titles", "t.csv", output="out", pieces=["none/r.csv"])


def a_missing_second_file_is_named(folder):
    write(os.path.join(folder, "a.txt"), "a b\n")
    job(folder, "wordcount", "a.txt", "missing.txt", pieces=["missing.txt"])


def an_unreadable_file_is_named(folder):
    path = write(os.path.join(folder, "secret.txt"), "a b\n")
    os.chmod(path, 0)
    os.mkdir(os.path.join(folder, "out"))
    os.chmod(os.path.join(folder, "out"), 0o777)
    done = run_as_nobody(folder, "wordcount", "--output", "out/result.csv", path)
    check_failure(done, [path, "Permission denied"], os.path.join(folder, "out"))


def an_empty_folder_is_named(folder):
    make_ratings(folder, 3000)
    os.mkdir(os.path.join(folder, "titles"))
    done = run(N_RANKS, "jobs/movies", "--ratings", "ratings.csv", "--titles", "titles", "--output", "out", folder=folder,
               timeout=TIMEOUT)
    check_failure(done, ["titles"])
    assert not [name for name in files_below(os.path.join(folder, "out")) if "tmp" in name]


def a_pattern_that_matches_nothing_is_named(folder):
    job(folder, "wordcount", "none-*.txt", pieces=["none-*.txt"])


def a_folder_where_the_output_should_be_is_named(folder):
    os.makedirs(os.path.join(folder, "out", "result.csv"))
    write(os.path.join(folder, "a.txt"), "a b\n")
    job(folder, "wordcount", "a.txt", pieces=["result.csv"])


def an_output_folder_that_cannot_be_written_is_named(folder):
    path = write(os.path.join(folder, "a.txt"), "a b\n")
    os.mkdir(os.path.join(folder, "out"), 0o555)
    done = run_as_nobody(folder, "wordcount", "--output", "out/result.csv", path)
    check_failure(done, ["out/result.csv", "Permission denied"], os.path.join(folder, "out"))


def an_output_below_a_file_is_named(folder):
    write(os.path.join(folder, "out", "file"), "old")
    write(os.path.join(folder, "a.txt"), "a b\n")
    job(folder, "wordcount", "a.txt", output="out/file/result.csv", left={"file": b"old"}, pieces=["out/file"])


def a_stage_does_not_replace_what_is_none(folder):
    source = prices(folder)
    write(os.path.join(folder, "out", "mine", "letter.txt"), "dear")
    plan(folder, [source, ("s", "stage", "p", "out/mine")], ["out/mine"])
    assert read(os.path.join(folder, "out", "mine", "letter.txt")) == b"dear"


def a_truncated_gz_is_named(folder):
    whole = gzip.compress(b"".join(b"word%d\n" % (i * 7919 % 10007) for i in range(200000)))
    write(os.path.join(folder, "whole.gz"), whole)
    write(os.path.join(folder, "cut.gz"), whole[:len(whole) // 2])
    job(folder, "wordcount", "whole.gz", "cut.gz", pieces=["cut.gz"])
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 255
    write(os.path.join(folder, "damaged.gz"), bytes(damaged))
    job(folder, "wordcount", "damaged.gz", pieces=["damaged.gz"])


# --- Rows ---------------------------------------------------------------------------------------------------------------


def a_ragged_row_is_named(folder):
    source = prices(folder)
    write(os.path.join(folder, "p-2.csv"), "id,price,name\n1,2,a\n1,2\n")
    plan(folder, [source, ("-", "write", "p", "out/r.csv")], ["p-2.csv, row 2", "2 fields, not 3"])
    write(os.path.join(folder, "p-2.csv"), "id,price,name\n1,2,a\n1,2,a\n1,2,a,b\n")
    plan(folder, [source, ("-", "write", "p", "out/r.csv")], ["p-2.csv, row 3", "4 fields, not 3"])


def bad_quotes_are_named(folder):
    source = prices(folder)
    write(os.path.join(folder, "p-2.csv"), 'id,price,name\n1,2,"a"b\n')
    plan(folder, [source, ("-", "write", "p", "out/r.csv")], ["p-2.csv, row 1", "'name'", "quote"])
    write(os.path.join(folder, "p-2.csv"), 'id,price,name\n1,2,"a\n2,3,b\n')
    plan(folder, [source, ("-", "write", "p", "out/r.csv")], ["p-2.csv", "quote"])


def bad_utf8_is_named(folder):
    text = write(os.path.join(folder, "a.txt"), b"good\n" * 100000 + b"caf\xe9\n" + b"good\n" * 100000)
    plan(folder, [("t", "text", "a.txt"), ("-", "write", "t", "out/r.csv")], ["a.txt", "UTF-8", "100001"])
    source = prices(folder)
    write(os.path.join(folder, "p-1.csv"), b"id,price,name\n1,2,caf\xe9\n")
    plan(folder, [source, ("-", "write", "p", "out/r.csv")], ["p-1.csv, row 1", "'name'", "UTF-8"])
    os.remove(text)


def a_bad_number_in_row_1000000_is_named(folder):
    path = os.path.join(folder, "big.csv")
    with open(path, "w", encoding="utf-8") as file:
        file.write("id,price\n")
        file.write("".join(f"{row},{row % 1000}.5\n" for row in range(1, 1000000)))
        file.write("1000000,12;5\n")
        file.write("".join(f"{row},{row % 1000}.5\n" for row in range(1000001, 1200001)))
    steps = [("b", "csv", "big.csv", "id int64, price float64"), ("-", "write", "b", "out/r.csv")]
    plan(folder, steps, ["big.csv, row 1000000, column 'price'", "'12;5' is not a float64"])
    steps = [("b", "csv", "big.csv", "id int64, price float64"), ("r", "reduce", "b", "", "sum(price) as s"),
             ("-", "write", "r", "out/r.csv")]
    plan(folder, steps, ["big.csv, row 1000000, column 'price'"])


def a_number_out_of_range_is_named(folder):
    source = prices(folder)
    write(os.path.join(folder, "p-3.csv"), "id,price,name\n1,9223372036854775808,a\n")
    plan(folder, [source, ("-", "write", "p", "out/r.csv")], ["p-3.csv, row 1", "'price'", "9223372036854775808"])


def a_header_without_a_column_of_the_schema_is_named(folder):
    prices(folder)
    plan(folder, [("p", "csv", "p-*.csv", "id int64, prize int64"), ("-", "write", "p", "out/r.csv")],
         ["prize", "price"])
    write(os.path.join(folder, "p-1.csv"), "id,cost,name\n1,2,a\n")  # not the first file, which alone is looked at first
    plan(folder, [("p", "csv", "p-*.csv", ""), ("-", "write", "p", "out/r.csv")], ["p-1.csv"])


# --- Expressions --------------------------------------------------------------------------------------------------------


def a_misspelt_column_is_shown(folder):
    done = plan(folder, [prices(folder), ("s", "select", "p", "id, prce * 2 as twice"), ("-", "write", "s", "out/r.csv")],
                ["prce", "'price'", "id, prce * 2 as twice"])
    lines = done.stderr.splitlines()
    caret = next(i for i, line in enumerate(lines) if line.strip() == "^")
    assert lines[caret].index("^") == lines[caret - 1].index("prce"), done.stderr


def a_wrong_type_is_explained(folder):
    plan(folder, [prices(folder), ("s", "select", "p", "name + id as s"), ("-", "write", "s", "out/r.csv")],
         ["utf8", "int64", "+"])
    plan(folder, [prices(folder), ("s", "filter", "p", "price * 2"), ("-", "write", "s", "out/r.csv")], ["bool"])
    plan(folder, [prices(folder), ("s", "reduce", "p", "id", "sum(name) as s"), ("-", "write", "s", "out/r.csv")],
         ["sum", "utf8"])


def a_syntax_error_is_shown(folder):
    plan(folder, [prices(folder), ("s", "filter", "p", "price > > 3"), ("-", "write", "s", "out/r.csv")],
         ["price > > 3", "^"])
    plan(folder, [prices(folder), ("s", "select", "p", "id, (price"), ("-", "write", "s", "out/r.csv")], ["id, (price"])


def division_by_zero_says_where(folder):
    plan(folder, [prices(folder), ("s", "select", "p", "id, 100 / price as q"), ("-", "write", "s", "out/r.csv")],
         ["p-3.csv, row 1", "100 / price", "division by zero", "price = 0"])


def an_overflow_says_where(folder):
    plan(folder, [prices(folder), ("s", "select", "p", "id * 9223372036854775807 as q"), ("-", "write", "s", "out/r.csv")],
         ["int64", "9223372036854775807", "p-0.csv"])
    write(os.path.join(folder, "h.csv"), "k,v\n" + "1,9223372036854775807\n" * 40)
    plan(folder, [("h", "csv", "h.csv", "k int64, v int64"), ("s", "reduce", "h", "k", "sum(v) as s"),
                  ("-", "write", "s", "out/r.csv")], ["sum", "int64"])


def a_callback_that_fails_on_the_last_rank_stops_all(folder):
    done = plan(folder, [prices(folder), ("s", "shuffle_own", "p"),
                         ("m", "map_fail", "s", "id int64"), ("r", "reduce", "m", "id", "count(*) as n"),
                         ("-", "write", "r", "out/r.csv")], ["this callback fails on purpose", f"(rank {N_RANKS - 1})"])
    assert done.stderr.count("on purpose") == 1, done.stderr


def what_was_there_stays(folder):
    source = prices(folder)
    write(os.path.join(folder, "out", "r.csv"), "old\n")
    plan(folder, [source, ("s", "select", "p", "100 / price as q"), ("-", "write", "s", "out/r.csv")], ["division"])
    assert read(os.path.join(folder, "out", "r.csv")) == b"old\n"
    succeeds(run_plan(N_RANKS, [source, ("s", "stage", "p", "out/stage")], folder))
    before = files_below(os.path.join(folder, "out"))
    plan(folder, [source, ("s", "select", "p", "100 / price as q"), ("t", "stage", "s", "out/stage")], ["division"])
    assert files_below(os.path.join(folder, "out")) == before


# --- Disks and processes ------------------------------------------------------------------------------------------------


def big_text(folder):
    return write(os.path.join(folder, "big.txt"), b"".join(b"word-number-%d\n" % (i * 7919 % 400009) for i in range(400000)))


def a_full_disk_for_the_output_is_named(folder):
    text = big_text(folder)
    with tiny_disk(folder, 1024) as disk:
        done = run(N_RANKS, "jobs/wordcount", "--output", os.path.join(disk, "counts.csv"), text, timeout=TIMEOUT)
        check_failure(done, [os.path.join(disk, "counts.csv"), "No space left"], disk)
        steps = [("t", "text", text), ("s", "stage", "t", os.path.join(disk, "stage"))]
        done = run_plan(N_RANKS, steps, folder, timeout=TIMEOUT)
        check_failure(done, [os.path.join(disk, ".stage.tmp"), "No space left"], disk)


def a_full_disk_for_scratch_is_named(folder):
    text = big_text(folder)
    os.mkdir(os.path.join(folder, "out"))
    with tiny_disk(folder, 1024) as disk:
        done = run(N_RANKS, "jobs/wordcount", "--memory", "1MiB", "--scratch", disk, "--output",
                   os.path.join(folder, "out", "counts.csv"), text, timeout=TIMEOUT)
        check_failure(done, [disk, "No space left"], os.path.join(folder, "out"))
        assert not files_below(disk), f"left in scratch: {sorted(files_below(disk))}"


def a_scratch_folder_that_is_none_is_named(folder):
    text = big_text(folder)
    job(folder, "wordcount", "--memory", "1MiB", "--scratch", os.path.join(folder, "nowhere"), text, pieces=["nowhere"])


def processes_below(pid, name):
    """The processes of that name below a process."""
    below, found = {}, []
    for path in glob.glob("/proc/[0-9]*/stat"):
        with contextlib.suppress(OSError):
            text = read(path).decode(errors="replace")
            parent = int(text.rsplit(")", 1)[1].split()[1])
            below.setdefault(parent, []).append((int(text.split(" ", 1)[0]), text[text.index("(") + 1:text.rindex(")")]))
    todo = [pid]
    while todo:
        for child, child_name in below.get(todo.pop(), []):
            todo.append(child)
            if child_name == name:
                found.append(child)
    return sorted(found)


def wait_for(what, is_there, process):
    end = time.monotonic() + TIMEOUT
    while not is_there():
        assert process.poll() is None, f"the job ended before {what}"
        assert time.monotonic() < end, f"no {what}"
        time.sleep(0.01)


def a_killed_rank_ends_the_job(folder):
    output = os.path.join(folder, "out")
    command = [MPIRUN, "-n", str(N_RANKS), os.path.join(BUILD, "bin", "quern"), "generate", "movies", "--events", "1e9",
               "--output", output]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          start_new_session=True) as process:
        try:
            wait_for("ranks", lambda: len(processes_below(process.pid, "quern")) == N_RANKS, process)
            wait_for("output", lambda: os.path.isdir(output) and os.listdir(output), process)
            ranks = processes_below(process.pid, "quern")
            os.kill(ranks[-1], signal.SIGKILL)
            _, stderr = process.communicate(timeout=30)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode != 0, "mpirun says that all is well"
    assert "signal 9" in stderr or "KILL" in stderr, f"nobody says what happened: {stderr!r}"
    assert not os.path.exists(os.path.join(output, "ratings.csv"))
    wait = time.monotonic() + 30
    while any(os.path.exists(f"/proc/{rank}") for rank in ranks):
        assert time.monotonic() < wait, "a rank lives on"
        time.sleep(0.01)


# --- Options ------------------------------------------------------------------------------------------------------------


def wrong_options_are_named(folder):
    write(os.path.join(folder, "a.txt"), "a b\n")
    for arguments, piece in [(["--outptu", "x", "a.txt"], "--outptu"), (["-z", "a.txt"], "-z"), (["a.txt", "--top"], "--top"),
                             (["--top", "many", "a.txt"], "many"), (["--top", "-1", "a.txt"], "-1"),
                             (["--top=1.5", "a.txt"], "1.5"), (["--memory", "lots", "a.txt"], "lots"),
                             (["--memory", "-1GiB", "a.txt"], "-1GiB"), (["--fold=yes", "a.txt"], "--fold"),
                             ([], "FILE")]:
        job(folder, "wordcount", *arguments, pieces=[piece], code=2)
    job(folder, "movies", "stray.csv", output="out", pieces=["stray.csv"], code=2)
    job(folder, "movies", "--titles", "a.txt", output="out", pieces=["--ratings"], code=2)
    job(folder, "movies", "--prior", "few", "--ratings", "a.txt", "--titles", "a.txt", output="out", pieces=["few"], code=2)
    for value in ("much", "0.5x", "nan", "1.5", "-0.1", ""):
        job(folder, "pagerank", "--damping", value, "a.txt", pieces=["--damping", f"'{value}'"], code=2)
    job(folder, "pagerank", "--bogus", "a.txt", pieces=["--bogus"], code=2)
    job(folder, "sessions", "--gap", "1h", "a.txt", pieces=["1h"], code=2)
    job(folder, "dedupe", "--keys", "", "a.txt", pieces=["--keys"])
    done = run(N_RANKS, "bin/quern", "generate", "movies", "--noise", "loud", "--output", os.path.join(folder, "out"),
               timeout=TIMEOUT)
    check_failure(done, ["--noise", "'loud'"], os.path.join(folder, "out"), code=2)


# --- Staged data --------------------------------------------------------------------------------------------------------


def damaged_stages_are_named(folder):
    succeeds(run_plan(N_RANKS, [prices(folder), ("s", "stage", "p", "whole")], folder))
    steps = [("s", "read_stage", "stage"), ("-", "write", "s", "out/r.csv")]
    stage = os.path.join(folder, "stage")

    def damage(change):
        shutil.rmtree(stage, ignore_errors=True)
        shutil.copytree(os.path.join(folder, "whole"), stage)
        part = sorted(glob.glob(os.path.join(stage, "*.h5")))[-1]
        change(part)
        return os.path.basename(part)

    def flip(part):
        with h5py.File(part, "r") as file:
            at = next(group for group in file["columns"].values()
                      if group.attrs["name"] == "price")["values"].id.get_chunk_info(0).byte_offset
        data = bytearray(read(part))
        data[at + 3] ^= 64
        write(part, bytes(data))

    plan(folder, steps, [damage(flip), "price", "checksum"])
    plan(folder, steps, [damage(lambda part: write(part, read(part)[:1000]))])
    plan(folder, steps, [damage(os.remove)])
    damage(lambda part: os.remove(os.path.join(stage, "manifest.json")))
    plan(folder, steps, ["stage", "manifest.json"])
    damage(lambda part: write(os.path.join(stage, "manifest.json"), read(os.path.join(stage, "manifest.json"))[:-40]))
    plan(folder, steps, ["manifest.json"])
    plan(folder, [("s", "read_stage", "p-0.csv"), ("-", "write", "s", "out/r.csv")], ["p-0.csv"])


if __name__ == "__main__":
    sys.exit(run_tests([
        a_missing_file_is_named, a_missing_second_file_is_named, an_unreadable_file_is_named, an_empty_folder_is_named,
        a_pattern_that_matches_nothing_is_named, a_folder_where_the_output_should_be_is_named,
        an_output_folder_that_cannot_be_written_is_named, an_output_below_a_file_is_named,
        a_stage_does_not_replace_what_is_none, a_truncated_gz_is_named, a_ragged_row_is_named, bad_quotes_are_named,
        bad_utf8_is_named, a_bad_number_in_row_1000000_is_named, a_number_out_of_range_is_named,
        a_header_without_a_column_of_the_schema_is_named, a_misspelt_column_is_shown, a_wrong_type_is_explained,
        a_syntax_error_is_shown, division_by_zero_says_where, an_overflow_says_where,
        a_callback_that_fails_on_the_last_rank_stops_all, what_was_there_stays, a_full_disk_for_the_output_is_named,
        a_full_disk_for_scratch_is_named, a_scratch_folder_that_is_none_is_named, a_killed_rank_ends_the_job,
        wrong_options_are_named, damaged_stages_are_named]))
