# SPDX-License-Identifier: Apache-2.0
"""quern submit on a real Slurm of two nodes: both launchers, arrays, chains, exit codes, and what it refuses."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "jobs"))
from cluster import cluster_of_tests  # noqa: E402
from job_kit import BUILD, ROOT, files_below, make_ratings, messages, read, run, run_tests, succeeds, write  # noqa: E402

QUERN = os.path.join(BUILD, "bin", "quern")
WORDCOUNT = os.path.join(BUILD, "jobs", "wordcount")
MOVIES = os.path.join(BUILD, "jobs", "movies")
CLUSTER = None


def submit(folder, *arguments, **how):
    return CLUSTER.run(QUERN, "submit", *arguments, folder=folder, **how)


def submitted(folder, *arguments, **how):
    """The number of the job that was submitted."""
    number = succeeds(submit(folder, "--parsable", *arguments, **how)).stdout.strip()
    assert number.isdigit(), number
    return number


def ended(number, folder):
    """A job's state, exit code and log, when it has ended."""
    job = CLUSTER.wait_job(number)
    logs = [read(job["StdOut"]).decode()] if os.path.exists(job["StdOut"]) else [f"no log in {os.listdir(folder)}"]
    return job["JobState"], int(job["ExitCode"].split(":")[0]), logs[0]


def must_complete(number, folder):
    state, exit_code, log = ended(number, folder)
    assert (state, exit_code) == ("COMPLETED", 0), f"{state} {exit_code}: {log}"
    return log


def a_text(folder):
    return write(os.path.join(folder, "text.txt"), "b a b\nc\n" * 1000)


COUNTS = b"word,n\nb,2000\na,1000\nc,1000\n"


def a_job_runs_on_two_nodes_by_srun_and_by_mpirun(folder):
    text = a_text(folder)
    jobs = {}
    for launcher in ("srun", "mpirun"):
        done = succeeds(submit(folder, "-N", "2", "-n", "2", "-t", "5", "--launcher", launcher, "--",
                               WORDCOUNT, "--output", f"{launcher}.csv", text))
        jobs[launcher] = re.search(r"^job (\d+): wordcount", done.stdout).group(1)
        for line in (f"log     {folder}/quern-runs/wordcount-{jobs[launcher]}.log", f"quern top {folder}/quern-runs/wordcount-{jobs[launcher]}",
                     f"squeue -j {jobs[launcher]}", f"scancel {jobs[launcher]}"):
            assert line in done.stdout, done.stdout
    logs = [must_complete(number, folder) for number in jobs.values()]
    for launcher, number in jobs.items():
        assert read(os.path.join(folder, f"{launcher}.csv")) == COUNTS, launcher
        script = read(os.path.join(folder, "quern-runs", f"wordcount-{number}", "job.sbatch")).decode()
        assert re.search(rf"^{launcher} .*", script, re.MULTILINE) and "#SBATCH --time=5\n" in script, script
        for node in CLUSTER.nodes:
            left = CLUSTER.on(node, "sh", "-c", "ls -d /dev/shm/* /tmp/quern-[0-9]* 2>/dev/null").stdout
            assert left == "", f"{launcher} left on {node}: {left}; {logs}"


def srun_is_taken_where_it_fits(folder):
    text = a_text(folder)
    script = succeeds(submit(folder, "--dry-run", "-n", "2", "--", WORDCOUNT, text)).stdout
    assert re.search(r"^srun --mpi=pmix --kill-on-bad-exit=1 ", script, re.MULTILINE), script
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
    assert not os.path.exists(os.path.join(folder, "quern-runs")), "a dry run wrote something"


def names_and_arguments_may_be_odd(folder):
    odd = os.path.join(folder, "100% of 'it' \"$HOME\"")
    text = a_text(odd)
    number = submitted(odd, "-J", "my job", "--sbatch=--comment=a b", "--", WORDCOUNT, "--output", 'the "$SHELL" {task}.csv', os.path.basename(text))
    must_complete(number, odd)
    assert read(os.path.join(odd, 'the "$SHELL" {task}.csv')) == COUNTS
    assert os.path.exists(os.path.join(odd, "quern-runs", f"my job-{number}.log")), os.listdir(os.path.join(odd, "quern-runs"))
    assert os.path.isdir(os.path.join(odd, "quern-runs", f"my job-{number}"))


def an_array_has_a_job_for_each_number(folder):
    for task in (1, 2, 5):
        write(os.path.join(folder, f"in-{task}.txt"), "word " * task)
    number = submitted(folder, "--array", "1,2,5", "--", WORDCOUNT, "--output", "out-{task}.csv", "in-{task}.txt")
    CLUSTER.wait_job(number)
    for task in (1, 2, 5):
        log = read(os.path.join(folder, "quern-runs", f"wordcount-{number}_{task}.log")).decode()
        assert read(os.path.join(folder, f"out-{task}.csv")) == b"word,n\nword,%d\n" % task, log
        assert os.path.isdir(os.path.join(folder, "quern-runs", f"wordcount-{number}_{task}"))


def a_chain_gives_the_bytes_of_one_run(folder):
    make_ratings(folder, 3000)
    arguments = ["--ratings", "ratings.csv", "--titles", "movies.csv"]
    succeeds(run(1, "jobs/movies", *arguments, "--output", "alone", folder=folder, env={"QUERN_RUNS": "none"}))
    first = submitted(folder, "-n", "2", "-N", "2", "--", MOVIES, *arguments, "--output", "first")
    counts = sorted(name for name in os.listdir(os.path.join(folder, "alone")) if name.endswith(".csv"))
    second = submitted(folder, "--dependency", f"afterok:{first}", "--", WORDCOUNT, "--output", "words.csv", f"first/{counts[0]}")
    never = submitted(folder, "--dependency", f"afternotok:{first}", "--sbatch=--kill-on-invalid-dep=yes", "--", WORDCOUNT, "ratings.csv")
    must_complete(first, folder)
    must_complete(second, folder)
    alone, chained = (files_below(os.path.join(folder, name)) for name in ("alone", "first"))
    assert {name: alone[name] for name in counts} == {name: chained[name] for name in counts}
    assert os.path.exists(os.path.join(folder, "words.csv"))
    assert ended(never, folder)[0] == "CANCELLED"


def exit_codes_and_messages_come_through(folder):
    jobs = [submitted(folder, "-n", "2", "-N", "2", "--launcher", launcher, "--", WORDCOUNT, "gone.txt") for launcher in ("srun", "mpirun")]
    for number in jobs:
        state, exit_code, log = ended(number, folder)
        assert state == "FAILED" and exit_code == 1 and "gone.txt" in log, (state, exit_code, log)
    program = write(os.path.join(folder, "three.sh"), "#!/bin/sh\nexit 3\n")
    os.chmod(program, 0o755)
    state, exit_code, log = ended(submitted(folder, "--", "./three.sh"), folder)
    assert (state, exit_code) == ("FAILED", 3), log


STOPS = """#!/bin/sh
mkdir -p "$QUERN_RUN"
# Stops when it is asked to, and is done the second time.
[ -e "$QUERN_RUN/half" ] && echo "whole $SLURM_RESTART_COUNT" > "$QUERN_RUN/result" && exit 0
trap 'touch "$QUERN_RUN/half"; exit 75' USR1 TERM
touch "$QUERN_RUN/begun"
sleep 100 & wait
"""


def a_job_that_was_told_to_stop_is_started_again(folder):
    os.chmod(write(os.path.join(folder, "stops"), STOPS), 0o755)
    number = submitted(folder, "-t", "1", "--requeue", "--", "./stops")
    kept = submitted(folder, "-t", "1", "--run", "kept", "--", "./stops")
    long = os.path.join(ROOT, "slurm", "long_requeue.sbatch")
    template = succeeds(CLUSTER.run("sbatch", "--parsable", "-N", "1", "--ntasks-per-node=1", "--mem-per-cpu=100M", long, "./stops", folder=folder)).stdout.strip()
    for place in (f"quern-runs/stops-{number}", f"quern-runs/long-{template}", "kept"):
        CLUSTER.wait_until(lambda: os.path.exists(os.path.join(folder, place, "begun")), 30, "not begun")
    for job in (number, kept, template):
        succeeds(CLUSTER.run("scancel", "-b", "-s", "USR1", job))
    state, exit_code, log = ended(kept, folder)
    assert (state, exit_code) == ("FAILED", 75) and "sbatch" in log, log
    log = must_complete(number, folder)
    assert "goes on in restart 1 of at most 20" in log, log
    CLUSTER.wait_job(template)
    for place in (f"stops-{number}", f"long-{template}"):
        assert read(os.path.join(folder, "quern-runs", place, "result")) == b"whole 1\n", place


def a_job_that_was_cancelled_stays_so(folder):
    os.chmod(write(os.path.join(folder, "stops"), STOPS), 0o755)
    number = submitted(folder, "-t", "1", "--requeue", "--", "./stops")
    CLUSTER.wait_until(lambda: os.path.exists(os.path.join(folder, f"quern-runs/stops-{number}/begun")), 30, "not begun")
    succeeds(CLUSTER.run("scancel", number))
    state, _, log = ended(number, folder)
    assert state == "CANCELLED" and "restart" not in log, log
    assert not os.path.exists(f"/tmp/quern-{number}"), f"left scratch: {log}"


def the_doctor_knows_the_cluster(folder):
    done = CLUSTER.run("salloc", "-Q", "-n", "2", QUERN, "doctor", folder=folder)
    assert done.returncode == 0, done
    for said in ("2 nodes in partition main", "srun --mpi=pmix starts ranks of this MPI", "2 ranks by mpirun have met", "2 ranks by srun have met"):
        assert said in done.stdout, f"not said: {said}: {done.stdout}"
    done = CLUSTER.run(QUERN, "doctor", folder=folder, environment={"SLURM_CONF": write(os.path.join(folder, "slurm.conf"), "ClusterName=no\nSlurmctldHost=nowhere\n")})
    assert done.returncode == 1 and re.search("problem  Slurm .*does not answer", done.stdout), done


def what_is_wrong_is_said_before_anything_is_submitted(folder):
    write(os.path.join(folder, "text.txt"), "x")
    job = [WORDCOUNT, "text.txt"]
    for arguments, code, said in (
            (["-t", "soon", "--", *job], 2, "--time: 'soon'"), (["-t", "1:2:3:4", "--", *job], 2, "--time"),
            (["-t", "-5", "--", *job], 2, "--time"), (["-n", "many", "--", *job], 2, "--ntasks: 'many'"),
            (["-N", "0", "--", *job], 2, "--nodes"), (["--launcher", "ssh", "--", *job], 2, "--launcher"),
            (["--grace", "0", "--", *job], 2, "--grace"), (["--max-restarts", "3", "--", *job], 2, "--requeue"),
            (["--nonsense", "--", *job], 2, "--nonsense"), (["--time"], 2, "needs a value"), ([], 2, "what is to run"),
            (["--", "./gone"], 2, "no job ./gone"), (["--", "text.txt"], 2, "./"), (["--", "./text.txt"], 2, "not executable"),
            (["-J", "a/b", "--", *job], 2, "--job-name"), (["-p", "nowhere", "--", *job], 1, "did not take"),
            (["--sbatch=--mem=x y", "--", *job], 1, "did not take")):
        done = submit(folder, *arguments)
        assert done.returncode == code and said in done.stderr and done.stdout == "", f"{arguments}: {done}"
    alone = subprocess.run([QUERN, "submit", "--launcher", "mpirun", "--", *job], cwd=folder, env={"PATH": folder}, capture_output=True, text=True, check=False)
    assert alone.returncode == 1 and "no sbatch in PATH" in alone.stderr, alone
    assert messages(alone) == [alone.stderr.strip()], alone.stderr
    for given in ("90", "1:30:00", "1-12", "2-0:30", "0-0:0:30", "5:30", "UNLIMITED"):
        succeeds(submit(folder, "--dry-run", "--launcher", "mpirun", "-t", given, "--", *job))
    assert "--signal=B:USR1@20\n" in submit(folder, "--dry-run", "-t", "1", "--", *job).stdout


if __name__ == "__main__":
    with cluster_of_tests() as CLUSTER:
        CODE = run_tests([a_job_runs_on_two_nodes_by_srun_and_by_mpirun, srun_is_taken_where_it_fits, names_and_arguments_may_be_odd,
                          an_array_has_a_job_for_each_number, a_chain_gives_the_bytes_of_one_run, exit_codes_and_messages_come_through,
                          a_job_that_was_told_to_stop_is_started_again, a_job_that_was_cancelled_stays_so, the_doctor_knows_the_cluster,
                          what_is_wrong_is_said_before_anything_is_submitted])
    sys.exit(CODE)
