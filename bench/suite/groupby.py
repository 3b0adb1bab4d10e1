# SPDX-License-Identifier: Apache-2.0
"""The ten group-by questions of the db-benchmark (h2o.ai). Each result is made whole and then summed up in one row."""
from suite.tasks import Task

# name: (what is asked, SQL of the result, what to sum of it besides its number of rows)
QUESTIONS = {
    "q1": ("sum v1 by id1", "select id1, sum(v1) as v1 from x group by id1", ["v1"]),
    "q2": ("sum v1 by id1, id2", "select id1, id2, sum(v1) as v1 from x group by id1, id2", ["v1"]),
    "q3": ("sum v1, mean v3 by id3", "select id3, sum(v1) as v1, avg(v3) as v3 from x group by id3", ["v1", "v3"]),
    "q4": ("mean v1, v2, v3 by id4",
           "select id4, avg(v1) as v1, avg(v2) as v2, avg(v3) as v3 from x group by id4", ["v1", "v2", "v3"]),
    "q5": ("sum v1, v2, v3 by id6",
           "select id6, sum(v1) as v1, sum(v2) as v2, sum(v3) as v3 from x group by id6", ["v1", "v2", "v3"]),
    "q6": ("median v3, sd v3 by id4, id5",
           "select id4, id5, median(v3) as m, stddev(v3) as s from x group by id4, id5", ["m", "s"]),
    "q7": ("max v1 - min v2 by id3", "select id3, max(v1) - min(v2) as r from x group by id3", ["r"]),
    "q8": ("largest two v3 by id6",
           "select id6, v3 from (select id6, v3, row_number() over (partition by id6 order by v3 desc) as place from x) "
           "where place <= 2", ["v3"]),
    "q9": ("corr(v1, v2)^2 by id2, id4",
           "select id2, id4, pow(corr(v1, v2), 2) as r2 from x group by id2, id4", ["r2"]),
    "q10": ("sum v3, count by id1..id6",
            "select id1, id2, id3, id4, id5, id6, sum(v3) as v3, count(*) as n from x "
            "group by id1, id2, id3, id4, id5, id6", ["v3", "n"]),
}
# DuckDB has the largest n of a group as an aggregate.
DUCKDB_Q8 = "select id6, unnest(max(v3, 2)) as v3 from x group by id6"

# Bytes of the columns read, per row, as values: text with its 4-byte offset. Only these questions hold much.
ROW_BYTES = {"q3": 16 + 4 + 8, "q5": 4 + 4 + 4 + 8, "q6": 4 + 4 + 8, "q7": 16 + 4 + 4, "q8": 4 + 8,
             "q10": 9 + 9 + 16 + 4 + 4 + 4 + 8}


def summed(sql, columns):
    return f"select count(*), {', '.join(f'sum({column})' for column in columns)} from ({sql}) as result"


def ask_duckdb(name):
    def run(db, data, out):
        _, sql, columns = QUESTIONS[name]
        return db.execute(summed(DUCKDB_Q8 if name == "q8" else sql, columns)).fetchone()
    return run


def ask_spark(name):
    def run(spark, data, out):
        _, sql, columns = QUESTIONS[name]
        spark.read.parquet(data.parquet("x")).createOrReplaceTempView("x")
        return tuple(spark.sql(summed(sql, columns)).first())
    return run


def ask_polars(name):
    def run(pl, data, out):
        x = pl.scan_parquet(data.parquet("x"))
        result = {
            "q1": lambda: x.group_by("id1").agg(pl.sum("v1")),
            "q2": lambda: x.group_by("id1", "id2").agg(pl.sum("v1")),
            "q3": lambda: x.group_by("id3").agg(pl.sum("v1"), pl.mean("v3")),
            "q4": lambda: x.group_by("id4").agg(pl.mean("v1", "v2", "v3")),
            "q5": lambda: x.group_by("id6").agg(pl.sum("v1", "v2", "v3")),
            "q6": lambda: x.group_by("id4", "id5").agg(pl.median("v3").alias("m"), pl.std("v3").alias("s")),
            "q7": lambda: x.group_by("id3").agg((pl.max("v1") - pl.min("v2")).alias("r")),
            "q8": lambda: x.group_by("id6").agg(pl.col("v3").top_k(2)).explode("v3"),
            "q9": lambda: x.group_by("id2", "id4").agg((pl.corr("v1", "v2") ** 2).alias("r2")),
            "q10": lambda: x.group_by("id1", "id2", "id3", "id4", "id5", "id6").agg(pl.sum("v3"), pl.len().alias("n")),
        }[name]()
        columns = QUESTIONS[name][2]
        return result.select(pl.len().alias("rows"), *[pl.col(c).cast(pl.Float64).sum() for c in columns]).collect(
            engine="streaming").row(0)
    return run


def ask_bodo(name):
    def run(pd, data, out):
        x = pd.read_parquet(data.parquet("x"))
        if name == "q6":
            result = x.groupby(["id4", "id5"], as_index=False).agg(m=("v3", "median"), s=("v3", "std"))
        elif name == "q7":
            result = x.groupby("id3", as_index=False).agg(a=("v1", "max"), b=("v2", "min"))
            result["r"] = result["a"] - result["b"]
        else:
            keys, aggregates = {
                "q1": (["id1"], {"v1": ("v1", "sum")}),
                "q2": (["id1", "id2"], {"v1": ("v1", "sum")}),
                "q3": (["id3"], {"v1": ("v1", "sum"), "v3": ("v3", "mean")}),
                "q4": (["id4"], {"v1": ("v1", "mean"), "v2": ("v2", "mean"), "v3": ("v3", "mean")}),
                "q5": (["id6"], {"v1": ("v1", "sum"), "v2": ("v2", "sum"), "v3": ("v3", "sum")}),
                "q10": (["id1", "id2", "id3", "id4", "id5", "id6"], {"v3": ("v3", "sum"), "n": ("v1", "count")}),
            }[name]
            result = x.groupby(keys, as_index=False).agg(**aggregates)
        return (len(result), *[result[column].sum() for column in QUESTIONS[name][2]])
    return run


def quern(name):
    return lambda data, out: ["bench/groupby", "--task", name, "--output", out, data.stage("x")]


def bodo_peer(name):
    if name in ("q8", "q9"):
        return "its pandas has no such aggregate of groups (largest n, correlation) that runs in parallel"
    return ask_bodo(name)


TASKS = [
    Task(name=f"groupby.{name}", family="group-by", title=QUESTIONS[name][0], data=("x",), quern=quern(name),
         peers={"duckdb": ask_duckdb(name), "polars": ask_polars(name), "spark": ask_spark(name),
                "bodo": bodo_peer(name)},
         data_bytes=(lambda rows, width=ROW_BYTES[name]: rows * width) if name in ROW_BYTES else None)
    for name in QUESTIONS
]
