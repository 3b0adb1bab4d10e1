# SPDX-License-Identifier: Apache-2.0
"""What a task is, and the list of all of them."""
import dataclasses
import importlib
from typing import Callable

FAMILIES = ["groupby", "join", "sort", "text", "rows", "graph", "movies"]  # modules of this package


@dataclasses.dataclass(frozen=True)
class Task:
    name: str  # "groupby.q1"
    family: str  # what geometric means are taken over: "group-by"
    title: str  # one line for the table
    data: tuple  # names of the data sets that it reads: see data.py
    quern: Callable  # (data, out) -> program and arguments; what it writes goes to out
    peers: dict  # engine -> (handle, data, out) -> answer, or None if the answer is in the file `out`
    answer: Callable = None  # (data, engine, out) -> answer, taken from the file by the clock's leave; None: a CSV of one row
    commands: dict = dataclasses.field(default_factory=dict)  # programs: name -> (data, out, threads, memory) -> command
    data_bytes: Callable = None  # (rows) -> bytes that an operator has to hold; None: not run with a budget
    partial: tuple = ()  # engines that only do a part of it, and give no answer


def all_tasks():
    return [task for family in FAMILIES for task in importlib.import_module(f"suite.{family}").TASKS]


def pick(names):
    """The tasks named, by their name or its part before the point; all if none are named."""
    tasks = all_tasks()
    for name in names:
        if not any(name in (task.name, task.name.split(".")[0]) for task in tasks):
            raise SystemExit(f"there is no task '{name}'; there are: {', '.join(task.name for task in tasks)}")
    return [task for task in tasks if not names or task.name in names or task.name.split(".")[0] in names]
