# SPDX-License-Identifier: Apache-2.0
"""A job that is asked to stop does: with exit code 75, what was committed whole, and nothing else left."""
import os
import signal
import sys

from job_kit import GRACE, run, run_tests
from restart_kit import STOPPED, Started, movies_arguments, movies_data, run_json, temporary_files

os.environ.pop(GRACE)  # ranks are given time to stop


def stops(folder, n_ranks, send, after="popular.csv"):
    data = movies_data(folder)
    output = os.path.join(folder, "out")
    where = os.path.join(folder, "run")
    job = Started(n_ranks, *movies_arguments(data, output, "--iterations", "1000000"), run_folder=where)
    assert job.await_that(lambda: os.path.exists(os.path.join(output, after)))
    send(job)
    done = job.finish()
    assert not os.path.exists(os.path.join(output, "recommendations.csv")), "it did not stop"
    assert os.path.exists(os.path.join(output, "ratings", "manifest.json")), os.listdir(output)
    assert not temporary_files(output), temporary_files(output)
    assert run_json(where)["status"] == "stopped", run_json(where)["attempts"]
    return done


def a_signal_to_each_rank_stops_the_job(folder):
    done = stops(folder, 3, lambda job: job.send(signal.SIGUSR1, job.ranks()))
    assert done.returncode == STOPPED, (done.returncode, done.stderr)
    lines = [line for line in done.stderr.split("\n") if "asked to stop" in line]
    assert len(lines) == 1 and "SIGUSR1" in lines[0] and "quern resume" in lines[0], done.stderr


def a_signal_to_one_rank_stops_all(folder):
    done = stops(folder, 3, lambda job: job.send(signal.SIGTERM, job.ranks()[-1:]))
    assert done.returncode == STOPPED and "SIGTERM" in done.stderr, (done.returncode, done.stderr)


def a_plain_process_stops(folder):
    done = stops(folder, 0, lambda job: job.send(signal.SIGTERM, [job.process.pid]))
    assert done.returncode == STOPPED and "SIGTERM" in done.stderr, (done.returncode, done.stderr)


def ending_mpirun_stops_the_job(folder):
    """The launcher ends with a code of its own; the run says what was."""
    done = stops(folder, 2, lambda job: job.send(signal.SIGTERM, [job.process.pid]))
    assert done.returncode != 0, done.stderr


def the_time_limit_stops_the_job(folder):
    data = movies_data(folder)
    output = os.path.join(folder, "out")
    arguments = movies_arguments(data, output, "--iterations", "1000000")
    done = run(2, *arguments, "--time-limit", "1.5s")
    assert done.returncode == STOPPED and "time limit of 1.5s" in done.stderr, (done.returncode, done.stderr)
    done = run(2, *arguments, env={"QUERN_TIME_LIMIT": "1h", "QUERN_STOP_MARGIN": "3599s"})
    assert done.returncode == STOPPED and "QUERN_TIME_LIMIT" in done.stderr, (done.returncode, done.stderr)
    done = run(2, *arguments, env={"SLURM_JOB_END_TIME": "1700000000"})
    assert done.returncode == STOPPED and "Slurm" in done.stderr, (done.returncode, done.stderr)
    assert not temporary_files(output), temporary_files(output)


def wrong_times_are_told(folder):
    data = movies_data(folder, 100)
    arguments = movies_arguments(data, os.path.join(folder, "out"))
    for env, options, part in [({}, ["--time-limit", "90"], "'90' is no time"),
                               ({"QUERN_TIME_LIMIT": "soon"}, [], "QUERN_TIME_LIMIT: 'soon'"),
                               ({"QUERN_STOP_MARGIN": "1h"}, ["--time-limit", "30m"], "leaves no time")]:
        done = run(2, *arguments, *options, env=env)
        assert done.returncode == 2 and part in done.stderr, (done.returncode, done.stderr)


if __name__ == "__main__":
    sys.exit(run_tests([a_signal_to_each_rank_stops_the_job, a_signal_to_one_rank_stops_all, a_plain_process_stops,
                        ending_mpirun_stops_the_job, the_time_limit_stops_the_job, wrong_times_are_told]))
