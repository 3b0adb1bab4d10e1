# SPDX-License-Identifier: Apache-2.0
"""Sorts of 100-byte lines from a text file into another, and of (text, float64) rows in each engine's own storage."""
import glob
import os

import numpy

from suite import answers
from suite.tasks import Task

LINE = 100  # bytes, with its end


def read_lines_duckdb(path):
    return f"read_csv('{path}', columns={{'line': 'varchar'}}, delim='\\t', quote='', escape='', header=false, " \
           "auto_detect=false)"


def lines_duckdb(db, data, out):
    db.execute(f"copy (select line from {read_lines_duckdb(data.lines())} order by line) "
               f"to '{out}' (format csv, header false, quote '')")


def lines_polars(pl, data, out):
    pl.scan_csv(data.lines(), has_header=False, separator="\t", quote_char=None, schema={"line": pl.String}).sort(
        "line").sink_csv(out, include_header=False, quote_style="never", engine="streaming")


def lines_spark(spark, data, out):
    spark.read.text(data.lines()).sort("value").write.mode("overwrite").text(out)


def lines_bodo(pd, data, out):
    lines = pd.read_csv(data.lines(), header=None, names=["line"], dtype={"line": "str"})
    lines.sort_values("line").to_csv(out, header=False, index=False)


def sort_command(data, out, threads, memory):
    return ["env", "LC_ALL=C", "sort", f"--parallel={threads}", "-S", f"{memory // 1024}K" if memory else "50%",
            "-T", data.scratch(), "-o", out, data.lines()]


def lines_answer(data, engine, out):
    """Lines, lines that are smaller than the one before, and two sums over bytes that no permutation changes."""
    names = sorted(glob.glob(os.path.join(out, "part-*"))) if os.path.isdir(out) else [out]
    n = n_wrong = first = second = 0
    last = b""
    weights = numpy.random.default_rng(5).integers(1, 2**63, LINE, dtype=numpy.uint64)
    for name in names:
        size = os.path.getsize(name)
        if size < LINE:
            continue
        whole = numpy.memmap(name, numpy.uint8, "r")[size % LINE:].reshape(-1, LINE)  # without the header
        for at in range(0, len(whole), 500_000):
            block = numpy.ascontiguousarray(whole[at:at + 500_000])
            texts = block.view(f"S{LINE}").ravel()
            n += len(block)
            n_wrong += int((texts[1:] < texts[:-1]).sum()) + int(texts[0] < last)
            last = texts[-1]
            hashes = block[:, :11].astype(numpy.uint64) @ weights[:11]
            first = (first + int(hashes.sum(dtype=numpy.uint64))) % 2**53
            second = (second + int((hashes * hashes >> numpy.uint64(7)).sum(dtype=numpy.uint64))) % 2**53
    return n, n_wrong, first, second


def rows_duckdb(db, data, out):
    db.execute(f"attach '{out}' as result")
    db.execute("create table result.result as select name, value from named order by name, value")
    db.execute("detach result")


def rows_polars(pl, data, out):
    pl.scan_parquet(data.parquet("named")).sort("name", "value").sink_parquet(
        out, compression="snappy", engine="streaming")


def rows_spark(spark, data, out):
    spark.read.parquet(data.parquet("named")).sort("name", "value").write.mode("overwrite").parquet(out)


def rows_bodo(pd, data, out):
    pd.read_parquet(data.parquet("named")).sort_values(["name", "value"]).to_parquet(out)


def rows_answer(data, engine, out):
    return answers.query_output(
        data, engine, out,
        "select count(*), count(*) filter (where name < before or (name = before and value < least)), sum(value), "
        "sum(hash(name)) from (select *, lag(name) over () as before, lag(value) over () as least from result)",
        types="name varchar, value double")


TASKS = [
    Task(name="sort.lines", family="sort", title="100-byte lines, a text file into a text file", data=("lines",),
         quern=lambda data, out: ["bench/sort", "--task", "lines", "--output", out, data.lines()],
         peers={"duckdb": lines_duckdb, "polars": lines_polars, "spark": lines_spark, "bodo": lines_bodo},
         commands={"GNU sort": sort_command}, answer=lines_answer, data_bytes=lambda rows: rows * (LINE + 3)),
    Task(name="sort.rows", family="sort", title="(text, float64) rows, own storage into own storage", data=("named",),
         quern=lambda data, out: ["bench/sort", "--task", "rows", "--output", out, data.stage("named")],
         peers={"duckdb": rows_duckdb, "polars": rows_polars, "spark": rows_spark, "bodo": rows_bodo},
         answer=rows_answer, data_bytes=lambda rows: rows * (10 + 4 + 8)),
]
