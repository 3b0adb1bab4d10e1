# SPDX-License-Identifier: Apache-2.0
"""What engines have found, taken from the files they wrote, and compared: texts and whole numbers exactly, fractions
within 1e-9 of each other."""
import csv
import glob
import math
import os

TOLERANCE = 1e-9


def query_output(data, engine, out, sql, types="", is_csv=False):
    """An SQL query over the table `result` that an engine has written to `out`, by DuckDB; `types` for CSV and stages."""
    import duckdb
    columns = "{" + ", ".join("'{}': '{}'".format(*column.split()) for column in types.split(", ") if column) + "}"
    with duckdb.connect(config={"memory_limit": "3GB", "temp_directory": data.scratch()}) as db:
        db.execute("set enable_progress_bar = false")
        if engine == "duckdb" and not is_csv:
            db.execute(f"attach '{out}' as written (read_only)")
            db.execute("create temp view result as from written.result")
        else:
            names = sorted(glob.glob(os.path.join(out, "part-*"))) if os.path.isdir(out) else [out]
            if engine == "quern" and not is_csv:
                names = [data.stage_as_csv(out)]
                is_csv = True
            names = [name for name in names if os.path.getsize(name) > 0]
            reader = f"read_csv({names}, header=true, types={columns})" if is_csv else f"read_parquet({names})"
            db.execute(f"create temp view result as from {reader}")
        return [plain(value) for value in db.execute(sql).fetchone()]


def read_row(path):
    """The one row of a CSV file."""
    with open(path, encoding="utf-8", newline="") as file:
        _, row = csv.reader(file)
    return [float(value) if "." in value or "e" in value or "n" in value else int(value) for value in row]


def plain(value):
    """A value as JSON has it."""
    if value is None or type(value) in (str, int):
        return value
    number = float(value)  # decimals, numbers of numpy, and what stands for a number until it is asked for
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def difference(found, wanted):
    """"" if two answers are the same, else what differs first."""
    if len(found) != len(wanted):
        return f"{len(found)} values instead of {len(wanted)}"
    for i, (one, other) in enumerate(zip(found, wanted)):
        is_close = one == other
        if float in (type(one), type(other)) and not {str, type(None)} & {type(one), type(other)}:
            is_close = math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=1e-15)
        if not is_close:
            return f"value {i + 1} is {one!r} instead of {other!r}"
    return ""
