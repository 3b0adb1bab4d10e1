# SPDX-License-Identifier: Apache-2.0
"""Words of a text counted, sorted by count, written as CSV: the job wordcount."""
from suite import answers
from suite.sort import read_lines_duckdb
from suite.tasks import Task


def count_duckdb(db, data, out):
    db.execute(f"copy (select word, count(*) as n from (select unnest(string_split(line, ' ')) as word "
               f"from {read_lines_duckdb(data.text())}) group by word order by n desc, word) to '{out}' (header)")


def count_polars(pl, data, out):
    lines = pl.scan_csv(data.text(), has_header=False, separator="\t", quote_char=None, schema={"line": pl.String})
    lines.select(pl.col("line").str.split(" ").explode().alias("word")).group_by("word").agg(
        pl.len().alias("n")).sort("n", "word", descending=[True, False]).sink_csv(out, engine="streaming")


def count_spark(spark, data, out):
    from pyspark.sql import functions as f
    words = spark.read.text(data.text()).select(f.explode(f.split("value", " ")).alias("word"))
    words.groupBy("word").agg(f.count("*").alias("n")).sort(f.desc("n"), "word").write.mode("overwrite").csv(
        out, header=True)


def words_answer(data, engine, out):
    return answers.query_output(data, engine, out, "select count(*), sum(n), sum(n * n), sum(hash(word, n)), "
                                "first(n) from result", is_csv=True, types="word varchar, n bigint")


TASKS = [
    Task(name="text.wordcount", family="text", title="count words, sort by count, CSV", data=("text",),
         quern=lambda data, out: ["jobs/wordcount", "--top", "0", "--output", out, data.text()],
         peers={"duckdb": count_duckdb, "polars": count_polars, "spark": count_spark,
                "bodo": "its pandas has no split and explode of text that runs in parallel"},
         commands={"wc -w": lambda data, out, threads, memory: ["env", "LC_ALL=C", "wc", "-w", data.text()]},
         answer=words_answer, partial=("wc -w",)),
]
