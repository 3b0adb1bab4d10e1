# SPDX-License-Identifier: Apache-2.0
"""The five join questions of the db-benchmark (h2o.ai). Each result is summed up in one row."""
from suite.tasks import Task

# name: (what is asked, right table, key, kind)
QUESTIONS = {
    "q1": ("inner, small, on an int", "small", "id1", "inner"),
    "q2": ("inner, medium, on an int", "medium", "id2", "inner"),
    "q3": ("left outer, medium, on an int", "medium", "id2", "left"),
    "q4": ("inner, medium, on a text", "medium", "id5", "inner"),
    "q5": ("inner, big, on an int", "big", "id3", "inner"),
}


def sql(name):
    _, right, key, kind = QUESTIONS[name]
    return f"select count(*), sum(v1), sum(v2) from jx {kind} join {right} using ({key})"


def ask_duckdb(name):
    return lambda db, data, out: db.execute(sql(name)).fetchone()


def ask_spark(name):
    def run(spark, data, out):
        for table in ("jx", QUESTIONS[name][1]):
            spark.read.parquet(data.parquet(table)).createOrReplaceTempView(table)
        return tuple(spark.sql(sql(name)).first())
    return run


def ask_polars(name):
    def run(pl, data, out):
        _, right, key, kind = QUESTIONS[name]
        joined = pl.scan_parquet(data.parquet("jx")).join(pl.scan_parquet(data.parquet(right)), on=key, how=kind)
        return joined.select(pl.len(), pl.sum("v1"), pl.sum("v2")).collect(engine="streaming").row(0)
    return run


def ask_bodo(name):
    def run(pd, data, out):
        _, right, key, kind = QUESTIONS[name]
        joined = pd.read_parquet(data.parquet("jx")).merge(pd.read_parquet(data.parquet(right)), on=key, how=kind)
        joined = joined[["v1", "v2"]]
        return len(joined), joined["v1"].sum(), joined["v2"].sum()
    return run


def quern(name):
    return lambda data, out: ["bench/join", "--task", name, "--output", out, data.stage_folder()]


TASKS = [
    Task(name=f"join.{name}", family="join", title=QUESTIONS[name][0], data=("jx", QUESTIONS[name][1]),
         quern=quern(name),
         peers={"duckdb": ask_duckdb(name), "polars": ask_polars(name), "spark": ask_spark(name),
                "bodo": ask_bodo(name)},
         # what a hash join holds: keys and values of its smaller side, here two of equal size
         data_bytes=(lambda rows: rows * (4 + 8) * 2) if name == "q5" else None)
    for name in QUESTIONS
]
