# SPDX-License-Identifier: Apache-2.0
"""How each engine is started for a task, and what one run of it gives."""
import dataclasses
import importlib.util
import json
import os
import re
import shutil
import sys

from suite import answers
from suite.measure import measure

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(HERE)
BUILD = os.environ.get("QN_BUILD", os.path.join(ROOT, "build", "release"))
PEERS = ["duckdb", "polars", "spark", "bodo"]
SLOW = ["spark", "bodo"]  # some seconds to start and to compile: fewer runs are enough, and all that there is time for
TITLES = {"quern": "Quern", "duckdb": "DuckDB", "polars": "Polars", "spark": "Spark", "bodo": "Bodo"}
HAS_BUDGET = ["quern", "duckdb", "GNU sort"]  # that can be told how much memory to use
MIB = 1 << 20
PART = "does a part of the task"


@dataclasses.dataclass
class Run:
    """One time that an engine did a task. `seconds`: the query alone, by its own clock; 0 if it does not say."""
    wall: float = 0
    seconds: float = 0
    cpu: float = 0
    tree_peak: int = 0
    process_peak: int = 0
    spilled: int = 0
    answer: list = None
    note: str = ""  # why there is no answer


def missing(engine):
    """Why an engine cannot run here, or ""."""
    module = {"spark": "pyspark"}.get(engine, engine)
    if engine in PEERS and importlib.util.find_spec(module) is None:
        return f"the Python package {module} is not installed"
    if engine == "spark" and shutil.which("java") is None:
        return "there is no java"
    return ""


def clear(path):
    shutil.rmtree(path, ignore_errors=True)
    if os.path.exists(path):
        os.remove(path)


def reason(text):
    """What says most of a failure: the line that names a Python exception, or the first one."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    exceptions = [line for line in lines if re.match(r"[\w.]+(Error|Exception)\b", line)]
    return (exceptions[-1:] or lines or ["no message"])[0][:200]


class Engines:
    """Runs tasks. `cores`: ranks and threads; `limit`: seconds after which a run is given up."""

    def __init__(self, data, cores, limit):
        self.data, self.cores, self.limit = data, cores, limit
        self.out_folder = data.path("out")
        os.makedirs(self.out_folder, exist_ok=True)
        self.environment = dict(os.environ, PYTHONPATH=HERE, PYTHONWARNINGS="ignore", TMPDIR=data.scratch())

    def quern_command(self, arguments):
        return [os.path.join(ROOT, "scripts", "mpirun"), "-n", str(self.cores), os.path.join(BUILD, arguments[0]),
                *arguments[1:]]

    def output(self, task, engine):
        suffix = ".csv" if engine == "quern" and not task.answer else ""
        return os.path.join(self.out_folder, f"{task.name}-{engine.replace(' ', '-')}{suffix}")

    def run(self, task, engine, memory=0, times=1):
        """`times` > 1: in one process, of which the last time is told; `memory`: bytes of all ranks or threads together."""
        out = self.output(task, engine)
        clear(out)
        record = os.path.join(self.out_folder, "record.json")
        clear(record)
        if engine == "quern":
            command = self.quern_command([*task.quern(self.data, out), "--record", record])
            command += ["--memory", str(max(1, memory // self.cores))] if memory else []
        elif engine in task.commands:
            command = task.commands[engine](self.data, out, self.cores, memory)
        else:
            command = [sys.executable, "-m", "suite.peer", engine, task.name, os.path.dirname(self.data.folder),
                       str(self.data.rows), out, str(self.cores), str(times), str(memory)]
        environment = self.environment
        if engine == "bodo":  # it brings its own mpiexec, and is not to find ours
            environment = dict(environment, PATH=os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"])
        done = measure(command, environment, self.limit * times)
        run = Run(wall=done.wall, cpu=done.cpu, tree_peak=done.tree_peak, process_peak=done.process_peak)
        if done.code is None:
            run.note = f"did not end within {self.limit} s"
        elif done.code != 0:
            run.note = reason(done.errors)
        else:
            self.read(task, engine, out, record, done.output, run)
        return run

    def read(self, task, engine, out, record, output, run):
        """Fills in the answer and what the engine says of itself."""
        if engine == "quern":
            with open(record, encoding="utf-8") as file:
                said = json.load(file)
            run.seconds = said["seconds"]
            run.spilled = sum(rank["bytes_spilled"] for rank in said["ranks"])
            run.process_peak = max(rank["peak_resident_bytes"] for rank in said["ranks"])
        elif engine in PEERS:
            said = json.loads(output.strip().splitlines()[-1])
            run.seconds = min(said["seconds"][1:] or said["seconds"])
            run.answer = said["answer"]
        if engine in task.partial:
            run.note = PART
        elif task.answer:
            run.answer = [answers.plain(value) for value in task.answer(self.data, engine, out)]
        elif engine == "quern":
            run.answer = answers.read_row(out)
        clear(out)

