# SPDX-License-Identifier: Apache-2.0
"""quern doctor, in surroundings that are really wrong: another MPI's mpirun, no mpirun, small limits, scratch in memory."""
import os
import shutil
import subprocess

from job_kit import BUILD, Skipped, run_tests, write

QUERN = os.path.join(BUILD, "bin", "quern")
AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


def findings(folder, limits="true", allowed=True, **variables):
    """What the doctor says: (verdict, subject, text with its remedy), and its exit code."""
    left_out = ("SLURM", "OMP_NUM", "OPENBLAS", "QUERN_", "TMPDIR")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(left_out) and name not in AS_ROOT}
    done = subprocess.run(["/bin/sh", "-c", f'{limits} && exec "$0" doctor', QUERN], cwd=folder, env={**environment, **(AS_ROOT if allowed else {}), **variables},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    found = {}
    for line in done.stdout.splitlines()[:-2]:
        verdict, subject = line[:8].strip(), line[9:22].strip()
        last = subject or last
        found.setdefault(last, [verdict, ""])[1] += line[23:] + "\n"
    assert "problem" in done.stdout.splitlines()[-1] and done.stderr == "", done
    return found, done.returncode


def is_open_mpi():
    return shutil.which("ompi_info") is not None and "mpich" not in BUILD


def all_is_well_on_a_plain_node(folder):
    found, code = findings(folder)
    assert found["MPI"][0] == "ok" and "2 ranks by mpirun have met" in found["MPI"][1], found
    assert code == 0 and all(verdict != "problem" for verdict, _ in found.values()), found
    assert {"Slurm", "cores", "BLAS", "memory", "scratch", "HDF5", "files", "open files", "shared memory"} <= set(found), found
    assert os.listdir(folder) == [], "the doctor left something"


def an_mpirun_of_another_mpi_is_told(folder):
    other = shutil.which("mpiexec.mpich")
    if other is None or not is_open_mpi():
        raise Skipped("there is one MPI only")
    os.chmod(write(os.path.join(folder, "mpirun"), f'#!/bin/sh\nexec {other} "$@"\n'), 0o755)
    found, code = findings(folder, PATH=f"{folder}:{os.environ['PATH']}")
    assert code == 1 and found["MPI"][0] == "problem" and "do not find each other" in found["MPI"][1], found


def a_missing_mpirun_is_told(folder):
    found, code = findings(folder, PATH=folder)
    assert code == 1 and found["MPI"][0] == "problem" and "not in PATH" in found["MPI"][1] and "module load" in found["MPI"][1], found


def root_without_leave_is_a_warning(folder):
    if os.getuid() != 0 or not is_open_mpi():
        raise Skipped("Open MPI refuses root only")
    found, code = findings(folder, allowed=False)
    assert found["MPI root"][0] == "warning" and "export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1" in found["MPI root"][1], found
    assert found["MPI"][0] == "ok" and code == 0, found


def small_limits_are_told(folder):
    found, code = findings(folder, limits="ulimit -n 200 && ulimit -v 3000000", QUERN_MEMORY="8GiB")
    assert code == 1 and found["memory"][0] == "problem" and "ulimit -v unlimited" in found["memory"][1], found
    assert found["open files"][0] == "warning" and "ulimit -n 4096" in found["open files"][1], found
    found, _ = findings(folder, QUERN_MEMORY="100MiB")
    assert found["memory"][0] == "warning" and "QUERN_MEMORY" in found["memory"][1], found


def scratch_in_memory_and_too_many_threads_are_told(folder):
    found, code = findings(folder, TMPDIR="/dev/shm", OPENBLAS_NUM_THREADS="4096")
    assert code == 0 and found["scratch"][0] == "warning" and "QUERN_SCRATCH" in found["scratch"][1], found
    assert found["BLAS threads"][0] == "warning" and "4096" in found["BLAS threads"][1], found
    found, code = findings(folder, QUERN_SCRATCH=f"{folder}/gone")
    assert code == 1 and found["node"][0] == "problem" and "gone" in found["node"][1], found


def nothing_else_is_taken(folder):
    for arguments, code in ((["--help"], 0), (["--all"], 2), (["now"], 2)):
        done = subprocess.run([QUERN, "doctor", *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code and "usage: quern doctor" in done.stdout + done.stderr, done


if __name__ == "__main__":
    raise SystemExit(run_tests([all_is_well_on_a_plain_node, an_mpirun_of_another_mpi_is_told, a_missing_mpirun_is_told,
                                root_without_leave_is_a_warning, small_limits_are_told, scratch_in_memory_and_too_many_threads_are_told,
                                nothing_else_is_taken]))
