# SPDX-License-Identifier: Apache-2.0
"""Running the plan driver, and reading and comparing what it writes."""
import math
import os
import signal
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("QN_BUILD", os.path.join(ROOT, "build", "release"))
os.environ.setdefault("QUERN_RUNS", "none")  # runs of tests leave no folders, but where one is looked at
GRACE = "OMPI_MCA_odls_base_sigkill_timeout"  # seconds for which Open MPI's mpirun waits for the other ranks when one has failed
os.environ.setdefault(GRACE, "0")  # ours end together by themselves; with its second, most of the time of a test of failures is waiting
MPIRUN = os.path.join(ROOT, "scripts", "mpirun")


def run(n_ranks, program, *arguments, folder=None, env=None, timeout=300):
    """Runs a program of the build on n_ranks ranks; the finished process with text output."""
    command = [MPIRUN, "-n", str(n_ranks), os.path.join(BUILD, program), *arguments]
    with subprocess.Popen(command, cwd=folder, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
                          start_new_session=True) as process:
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:  # the ranks must go too
            os.killpg(process.pid, signal.SIGKILL)
            stdout, stderr = process.communicate()
            raise AssertionError(f"hangs: not done after {timeout} s: {stdout[-1000:]}{stderr[-1000:]}") from None
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


def run_plan(n_ranks, lines, folder, *arguments, timeout=300):
    """Runs the steps (each a tuple: result, verb, arguments) through the plan driver in `folder`."""
    path = os.path.join(folder, "plan.txt")
    with open(path, "w", encoding="utf-8") as plan:
        for line in lines:
            plan.write("\t".join(str(field) for field in line) + "\n")
    return run(n_ranks, "tests/plan_driver", path, *arguments, folder=folder, timeout=timeout)


def parse_csv(text):
    """Rows of fields; None for an empty field without quotes (a null)."""
    rows, row, at = [], [], 0
    while at < len(text):
        if text[at] == '"':
            value, at = "", at + 1
            while True:
                end = text.index('"', at)
                value += text[at:end]
                at = end + 1
                if at < len(text) and text[at] == '"':
                    value, at = value + '"', at + 1
                else:
                    break
        else:
            end = at
            while text[end] not in ",\n":
                end += 1
            value, at = (text[at:end] or None), end
        row.append(value)
        if text[at] == "\n":
            rows.append(row)
            row = []
        at += 1
    return rows


def read_csv(path):
    """The header and the rows of a CSV file."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = parse_csv(file.read())
    return rows[0], rows[1:]


def as_text(value):
    """A value of DuckDB as Quern writes it; floats stay floats."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, float):
        return value
    return str(value)


def sort_key(row):
    """Numbers by value, so that rounding does not change the place of a row."""
    key = []
    for value in row:
        try:
            number = float(value)
            key.append((1, "", 0.0 if math.isnan(number) else float(f"{number:.6g}"), math.isnan(number)))
        except (TypeError, ValueError):
            key.append((0 if value is None else 2, value or "", 0.0, False))
    return key


def is_same_value(found, wanted):
    if isinstance(wanted, float) and found is not None:
        number = float(found)
        if math.isnan(wanted) or math.isnan(number):
            return math.isnan(wanted) and math.isnan(number)
        return math.isclose(number, wanted, rel_tol=1e-9, abs_tol=1e-9)
    return found == wanted


def difference(found, wanted, is_ordered):
    """What is different between rows found (texts) and wanted (of DuckDB); None if nothing is."""
    wanted = [[as_text(value) for value in row] for row in wanted]
    if not is_ordered:
        found, wanted = sorted(found, key=sort_key), sorted(wanted, key=sort_key)
    if len(found) != len(wanted):
        return f"{len(found)} rows, but {len(wanted)} were expected; first: {found[:3]} and {wanted[:3]}"
    for i, (row, wanted_row) in enumerate(zip(found, wanted)):
        if len(row) != len(wanted_row) or not all(map(is_same_value, row, wanted_row)):
            return f"row {i}: {row}, but {wanted_row} was expected"
    return None
