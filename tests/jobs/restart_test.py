# SPDX-License-Identifier: Apache-2.0
"""A run that was stopped or killed is gone on with: the same bytes as those of an undisturbed run, on any number of ranks;
and what has changed in between is said, never guessed."""
import json
import os
import re
import signal
import subprocess
import sys

from job_kit import BUILD, MPIRUN, read, run, run_tests, succeeds, write
from restart_kit import (RESULTS, STOPPED, Started, journal, movies_arguments, movies_data, results, run_json,
                         temporary_files)

SLOW = ["--iterations", "60"]  # so that there is time to stop it


def resume(run_folder, n_ranks=None, env=None):
    command = [os.path.join(BUILD, "bin", "quern"), "resume", run_folder, "--mpirun", MPIRUN]
    command += ["-n", str(n_ranks)] if n_ranks else []
    return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=120, check=False,
                          stdin=subprocess.DEVNULL, env={**os.environ, "QUERN_RUNS": "none", **(env or {})})


def done_already(done):
    return re.findall(r"done already: (.*)", done.stderr)


def exists(*parts):
    return lambda: os.path.exists(os.path.join(*parts))


def stop_when(folder, data, n_ranks, is_so, number=signal.SIGUSR1):
    """A job of `data` that was stopped (or killed) at a moment."""
    job = Started(n_ranks, *movies_arguments(data, os.path.join(folder, "out"), *SLOW), run_folder=os.path.join(folder, "run"))
    assert job.await_that(is_so), job.finish().stderr
    job.send(number, job.ranks())
    done = job.finish()
    assert done.returncode == (STOPPED if number != signal.SIGKILL else 137), (done.returncode, done.stderr)


def stops_and_goes_on_to_the_same_bytes(folder):
    data = movies_data(folder)
    succeeds(run(2, *movies_arguments(data, os.path.join(folder, "whole"), *SLOW)))
    wanted = results(os.path.join(folder, "whole"))
    out, where = os.path.join(folder, "out"), os.path.join(folder, "run")
    stop_when(folder, data, 2, exists(out, "ratings"))
    for n_ranks, name in ((3, "popular.csv"), (1, "pairs.csv"), (5, "metrics.csv")):
        job = Started(n_ranks, *movies_arguments(data, out, *SLOW), run_folder=where)
        if job.await_that(exists(out, name)):
            job.send(signal.SIGTERM, job.ranks())
        assert job.finish().returncode in (0, STOPPED)
    done = resume(where, 2)
    assert done.returncode == 0, done.stderr
    assert results(out) == wanted, [name for name in RESULTS if results(out)[name] != wanted[name]]
    assert run_json(where)["status"] == "done" and len(run_json(where)["attempts"]) >= 3, run_json(where)["attempts"]
    assert not temporary_files(out), temporary_files(out)
    again = resume(where)
    assert again.returncode == 0 and "is done" in again.stdout, again.stdout


def a_training_goes_on_from_its_step(folder):
    data = movies_data(folder)
    succeeds(run(2, *movies_arguments(data, os.path.join(folder, "whole"), "--iterations", "3000")))
    out, where = os.path.join(folder, "out"), os.path.join(folder, "run")
    arguments = movies_arguments(data, out, "--iterations", "3000")
    job = Started(2, *arguments, run_folder=where)
    assert job.await_that(lambda: "fit als" in read(os.path.join(where, "progress")).decode(errors="replace")
                          if os.path.exists(os.path.join(where, "progress")) else False)
    job.send(signal.SIGUSR1, job.ranks())
    assert job.finish().returncode == STOPPED
    parts = [name for name in os.listdir(os.path.join(where, "checkpoints")) if name.endswith(".part.h5")]
    assert len(parts) == 1, parts
    done = resume(where, 3)
    assert done.returncode == 0 and re.search(r"als: goes on after step \d+", done.stderr), done.stderr
    assert results(out) == results(os.path.join(folder, "whole"))
    assert not [name for name in os.listdir(os.path.join(where, "checkpoints")) if ".part" in name]


def what_has_changed_is_said(folder):
    data = movies_data(folder)
    out, where = os.path.join(folder, "out"), os.path.join(folder, "run")
    stop_when(folder, data, 2, exists(out, "pairs.csv"))
    before = {name: read(os.path.join(out, name)) for name in os.listdir(out) if name.endswith(".csv")}

    def refused(arguments, *parts, **how):
        done = run(2, *arguments, env={"QUERN_RUN": where, **how.pop("env", {})}, **how)
        assert done.returncode != 0 and all(part in done.stderr for part in parts), (done.returncode, done.stderr)

    same = movies_arguments(data, out, *SLOW)
    refused(same + ["--prior", "30"], "cannot resume", "--prior was 20 and is now 30", "give --prior 20")
    refused(movies_arguments(data, out + "2", *SLOW), "--output was")
    refused(same, "the working directory was", folder=folder)
    refused(["jobs/sessions", "--output", out, data + "/ratings.csv"], "is a run of 'movies'")
    code = run_json(where)
    write(os.path.join(where, "run.json"), json.dumps({**code, "code": {**code["code"], "build": "00ff"}}))
    refused(same, "the program is another", "00ff")
    write(os.path.join(where, "run.json"), json.dumps(code))
    ratings = os.path.join(data, "ratings.csv")
    text, times = read(ratings), os.stat(ratings)
    write(ratings, text + b"1,1,5.0,1500000000\n")
    refused(same, "an input has changed", "ratings.csv")
    write(ratings, text)
    os.utime(ratings, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert before == {name: read(os.path.join(out, name)) for name in before}, "a refused job has written"
    succeeds(run(2, *same, "--quiet", "--memory", "1GiB", "--time-limit", "1h", env={"QUERN_RUN": where}))


def what_is_gone_or_damaged_is_made_again(folder):
    data = movies_data(folder)
    succeeds(run(2, *movies_arguments(data, os.path.join(folder, "whole"), *SLOW)))
    out, where = os.path.join(folder, "out"), os.path.join(folder, "run")
    stop_when(folder, data, 2, exists(out, "metrics.csv"))
    n_lines = len(journal(where))
    os.remove(os.path.join(out, "genres.csv"))
    popular = bytearray(read(os.path.join(out, "popular.csv")))
    popular[len(popular) // 2] ^= 1
    write(os.path.join(out, "popular.csv"), bytes(popular))
    part = os.path.join(out, "ratings", min(name for name in os.listdir(os.path.join(out, "ratings")) if name.endswith(".h5")))
    os.truncate(part, os.path.getsize(part) - 1)
    with open(os.path.join(where, "journal.jsonl"), "ab") as file:
        file.write(b'{"action":99,"ki')  # torn
    done = resume(where, 3)
    assert done.returncode == 0, done.stderr
    for path, state in (("genres.csv", "gone"), ("popular.csv", "another than was written"), ("ratings", "another than was")):
        assert re.search(rf"{path} is {state}.*made again", done.stderr), done.stderr
    assert any("activity.csv" in line for line in done_already(done)), done.stderr
    assert results(out) == results(os.path.join(folder, "whole"))
    assert len(journal(where)) > n_lines


def a_run_that_goes_on_keeps_others_out(folder):
    data = movies_data(folder)
    where = os.path.join(folder, "run")
    arguments = movies_arguments(data, os.path.join(folder, "out"), "--iterations", "1000000")
    job = Started(2, *arguments, run_folder=where)
    assert job.await_that(exists(folder, "out", "pairs.csv"))
    done = run(2, *arguments, env={"QUERN_RUN": where})
    assert done.returncode == 2 and "going on" in done.stderr, (done.returncode, done.stderr)
    done = resume(where)
    assert done.returncode == 1 and "going on" in done.stderr, (done.returncode, done.stderr)
    job.send(signal.SIGKILL, job.ranks())
    job.finish()


def a_plain_process_goes_on_as_one(folder):
    data = movies_data(folder)
    out, where = os.path.join(folder, "out"), os.path.join(folder, "run")
    stop_when(folder, data, 0, exists(out, "popular.csv"), signal.SIGTERM)
    assert run_json(where)["attempts"][0]["launcher"] == "none", run_json(where)["attempts"]
    done = resume(where)
    assert done.returncode == 0 and done_already(done), done.stderr
    assert [attempt["launcher"] for attempt in run_json(where)["attempts"]] == ["none", "none"]


def no_run_is_said(folder):
    for arguments, code, part in (([folder], 1, "run.json"), ([], 2, "which run"), ([folder, "-n", "x"], 2, "-n x")):
        done = subprocess.run([os.path.join(BUILD, "bin", "quern"), "resume", *arguments], capture_output=True, text=True,
                              check=False)
        assert done.returncode == code and part in done.stderr, (done.returncode, done.stderr)


if __name__ == "__main__":
    sys.exit(run_tests([stops_and_goes_on_to_the_same_bytes, a_training_goes_on_from_its_step, what_has_changed_is_said,
                        what_is_gone_or_damaged_is_made_again, a_run_that_goes_on_keeps_others_out,
                        a_plain_process_goes_on_as_one, no_run_is_said]))
