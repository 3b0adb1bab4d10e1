# SPDX-License-Identifier: Apache-2.0
"""Distinct rows, distinct values, the first rows of an order; CSV read and written: on the table of the group-bys."""
from suite import answers
from suite.tasks import Task

SCHEMA = ("id1 utf8, id2 utf8, id3 utf8, id4 int32, id5 int32, id6 int32, v1 int32, v2 int32, v3 float64")
SQL = {
    "distinct": "select count(*), sum(id4), sum(id6) from (select distinct id4, id6 from x)",
    "count_distinct": "select count(*), sum(n) from (select id2, count(distinct id6) as n from x group by id2)",
    "top": "select count(*), sum(v3), sum(id6), sum(id4) from (select * from x order by v3 desc, id6, id4 limit 1000)",
}


def ask_duckdb(name):
    return lambda db, data, out: db.execute(SQL[name]).fetchone()


def ask_spark(name):
    def run(spark, data, out):
        spark.read.parquet(data.parquet("x")).createOrReplaceTempView("x")
        return tuple(spark.sql(SQL[name]).first())
    return run


def ask_polars(name):
    def run(pl, data, out):
        x = pl.scan_parquet(data.parquet("x"))
        total = lambda column: pl.col(column).cast(pl.Float64).sum()  # noqa: E731
        result = {
            "distinct": lambda: x.select("id4", "id6").unique().select(pl.len(), total("id4"), total("id6")),
            "count_distinct": lambda: x.group_by("id2").agg(pl.col("id6").n_unique().alias("n")).select(
                pl.len(), total("n")),
            "top": lambda: x.sort("v3", "id6", "id4", descending=[True, False, False]).head(1000).select(
                pl.len(), total("v3"), total("id6"), total("id4")),
        }[name]()
        return result.collect(engine="streaming").row(0)
    return run


def ask_bodo(name):
    def run(pd, data, out):
        x = pd.read_parquet(data.parquet("x"))
        if name == "distinct":
            rows = x[["id4", "id6"]].drop_duplicates()
            return len(rows), rows["id4"].sum(), rows["id6"].sum()
        if name == "count_distinct":
            rows = x.groupby("id2", as_index=False).agg(n=("id6", "nunique"))
            return len(rows), rows["n"].sum()
        rows = x.sort_values(["v3", "id6", "id4"], ascending=[False, True, True]).head(1000)
        return len(rows), rows["v3"].sum(), rows["id6"].sum(), rows["id4"].sum()
    return run


def asked(name, title, width):
    return Task(name=f"rows.{name}", family="distinct and top", title=title, data=("x",),
                quern=lambda data, out: ["bench/groupby", "--task", name, "--output", out, data.stage("x")],
                peers={"duckdb": ask_duckdb(name), "polars": ask_polars(name), "spark": ask_spark(name),
                       "bodo": ask_bodo(name)},
                data_bytes=(lambda rows: rows * width) if width else None)


# --- CSV --------------------------------------------------------------------------------------------------------------


def table_answer(data, engine, out):
    """Of a whole table, in the storage of the engine that wrote it."""
    return answers.query_output(data, engine, out, "select count(*), sum(hash(id1, id2, id3, id4, id5, id6, v1, v2)), "
                                "sum(v3) from result", types="id1 varchar, id2 varchar, id3 varchar")


DUCKDB_COLUMNS = "{" + ", ".join(
    f"'{name}': '{ {'utf8': 'varchar', 'int32': 'integer', 'float64': 'double'}[kind]}'"
    for name, kind in (column.split() for column in SCHEMA.split(", "))) + "}"
SPARK_SCHEMA = SCHEMA.replace("utf8", "string").replace("int32", "int").replace("float64", "double")


def polars_schema(pl):
    types = {"utf8": pl.String, "int32": pl.Int32, "float64": pl.Float64}
    return {name: types[kind] for name, kind in (column.split() for column in SCHEMA.split(", "))}


def ingest_duckdb(db, data, out):
    db.execute(f"attach '{out}' as result")
    db.execute(f"create table result.result as from read_csv('{data.csv('x')}', columns={DUCKDB_COLUMNS})")
    db.execute("detach result")


def ingest_polars(pl, data, out):
    pl.scan_csv(data.csv("x"), schema=polars_schema(pl)).sink_parquet(out, compression="snappy", engine="streaming")


def ingest_spark(spark, data, out):
    spark.read.csv(data.csv("x"), header=True, schema=SPARK_SCHEMA).write.mode("overwrite").parquet(out)


def pandas_types():
    return {name: {"utf8": "str", "int32": "int32", "float64": "float64"}[kind]
            for name, kind in (column.split() for column in SCHEMA.split(", "))}


def ingest_bodo(pd, data, out):
    pd.read_csv(data.csv("x"), dtype=pandas_types()).to_parquet(out)


def write_duckdb(db, data, out):
    db.execute(f"copy x to '{out}' (format csv, header)")


def write_polars(pl, data, out):
    pl.scan_parquet(data.parquet("x")).sink_csv(out, engine="streaming")


def write_spark(spark, data, out):
    spark.read.parquet(data.parquet("x")).write.mode("overwrite").csv(out, header=True)


def write_bodo(pd, data, out):
    pd.read_parquet(data.parquet("x")).to_csv(out, index=False)


AGGREGATE = "select movieId, count(*) as n, sum(rating) as total, max(timestamp) as latest from {} group by movieId " \
            "order by movieId"


def aggregate_duckdb(db, data, out):
    db.execute(f"copy ({AGGREGATE.format(repr(data.ratings()))}) to '{out}' (header)")


def aggregate_polars(pl, data, out):
    pl.scan_csv(data.ratings()).group_by("movieId").agg(
        pl.len().alias("n"), pl.sum("rating").alias("total"), pl.max("timestamp").alias("latest")).sort(
        "movieId").sink_csv(out, engine="streaming")


def aggregate_spark(spark, data, out):
    spark.read.csv(data.ratings(), header=True, schema="userId long, movieId long, rating double, timestamp long"
                   ).createOrReplaceTempView("ratings")
    spark.sql(AGGREGATE.format("ratings")).write.mode("overwrite").csv(out, header=True)


def aggregate_bodo(pd, data, out):
    ratings = pd.read_csv(data.ratings(), dtype={"userId": "int64", "movieId": "int64", "rating": "float64",
                                                 "timestamp": "int64"})
    result = ratings.groupby("movieId", as_index=False).agg(
        n=("rating", "count"), total=("rating", "sum"), latest=("timestamp", "max"))
    result.sort_values("movieId").to_csv(out, index=False)


def aggregate_answer(data, engine, out):
    return answers.query_output(data, engine, out, "select count(*), sum(movieId), sum(n), sum(total), "
                                "sum(hash(movieId, n, total, latest)) from result", is_csv=True,
                                types="movieId bigint, n bigint, total double, latest bigint")


TASKS = [
    asked("distinct", "distinct rows of (id4, id6)", 8),
    asked("count_distinct", "count(distinct id6) by id2", 9 + 4),
    asked("top", "first 1000 rows by v3 desc, id6, id4", None),
    Task(name="csv.ingest", family="CSV", title="CSV of 9 columns into the engine's own storage", data=("x",),
         quern=lambda data, out: ["bench/csv", "--task", "ingest", "--schema", SCHEMA, "--output", out, data.csv("x")],
         peers={"duckdb": ingest_duckdb, "polars": ingest_polars, "spark": ingest_spark, "bodo": ingest_bodo},
         answer=table_answer),
    Task(name="csv.write", family="CSV", title="the engine's own storage into CSV", data=("x",),
         quern=lambda data, out: ["bench/csv", "--task", "write", "--output", out, data.stage("x")],
         peers={"duckdb": write_duckdb, "polars": write_polars, "spark": write_spark, "bodo": write_bodo},
         answer=lambda data, engine, out: answers.query_output(
             data, engine, out, "select count(*), sum(hash(id1, id2, id3, id4, id5, id6, v1, v2)), sum(v3) "
             "from result", is_csv=True, types=SPARK_SCHEMA.replace("string", "varchar"))),
    Task(name="csv.aggregate", family="CSV", title="count, sum, max by title, straight from CSV", data=("movies",),
         quern=lambda data, out: ["bench/csv", "--task", "aggregate", "--output", out, data.ratings()],
         peers={"duckdb": aggregate_duckdb, "polars": aggregate_polars, "spark": aggregate_spark,
                "bodo": aggregate_bodo},
         answer=aggregate_answer),
]
