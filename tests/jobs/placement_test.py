# SPDX-License-Identifier: Apache-2.0
"""What a job says of the places of its ranks, started by a real launcher that binds them or does not."""
import os
import subprocess
import sys

from job_kit import BUILD, MPIRUN, run_tests, write

N_CORES = len(os.sched_getaffinity(0))


def said(n_ranks, folder, *launcher, quiet=False, **environment):
    """The lines on standard error, without the name of the job; that about memory left out."""
    text = write(os.path.join(folder, "text"), "a b a\n")
    command = [MPIRUN, "-n", str(n_ranks), *launcher, os.path.join(BUILD, "jobs/wordcount"), text, "--output",
               os.path.join(folder, "counts.csv"), *(["--quiet"] if quiet else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
                          env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    lines = [line.removeprefix("wordcount: ") for line in done.stderr.splitlines()]
    return [line for line in lines if not line.startswith("memory ")]


def ranks_without_a_binding_get_cores(folder):
    if N_CORES >= 2:
        lines = said(2, folder, "--bind-to", "none")
        assert len(lines) == 1 and lines[0].startswith("1 node: 2 ranks on "), lines
        assert " a rank bound by Quern" in lines[0], lines


def a_binding_of_the_launcher_stays(folder):
    if N_CORES >= 2:
        lines = said(2, folder, "--bind-to", "core")
        assert len(lines) == 1 and "1 core a rank bound by the launcher, BLAS 1 thread" in lines[0], lines


def a_job_that_wants_no_binding_has_none(folder):
    if N_CORES >= 2:
        lines = said(2, folder, "--bind-to", "none", QUERN_BIND="none")
        assert len(lines) == 1 and ", not bound, BLAS " in lines[0], lines


def ranks_on_one_core_are_warned(folder):
    if N_CORES >= 2:
        first = str(min(os.sched_getaffinity(0)))
        lines = said(2, folder, "--bind-to", "none", "taskset", "-c", first)
        assert len(lines) == 2 and lines[1].startswith(f"warning: ranks 0 and 1 run on the same processor {first} "), lines
        assert "mpirun" in lines[1] and "srun" in lines[1], lines


def too_many_ranks_are_told_once(folder):
    lines = said(4, folder, "--bind-to", "none", QUERN_TOPOLOGY="package:1 core:3 pu:2")
    assert lines == ["1 node: 4 ranks on 3 cores, not bound, BLAS 1 thread",
                     "warning: 4 ranks share 3 cores. They wait for each other: start at most 3 a node"], lines


def a_large_machine_is_one_line(folder):
    lines = said(8, folder, "--bind-to", "none", QUERN_TOPOLOGY="package:2 numa:4 core:8 pu:2")
    assert lines == ["1 node: 8 ranks on 64 cores (2 sockets, 8 NUMA domains), 8 cores a rank bound by Quern, memory "
                     "bound to its domain, BLAS 8 threads"], lines


def a_quiet_job_says_nothing(folder):
    assert said(3, folder, "--bind-to", "none", quiet=True, QUERN_TOPOLOGY="core:2 pu:1") == []


if __name__ == "__main__":
    sys.exit(run_tests([ranks_without_a_binding_get_cores, a_binding_of_the_launcher_stays,
                        a_job_that_wants_no_binding_has_none, ranks_on_one_core_are_warned,
                        too_many_ranks_are_told_once, a_large_machine_is_one_line, a_quiet_job_says_nothing]))
