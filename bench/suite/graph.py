# SPDX-License-Identifier: Apache-2.0
"""PageRank, ten rounds of join and sum, on a power-law graph; vertices without outgoing edges give their rank to all."""
from suite.tasks import Task

N_ROUNDS = 10
ANSWER = "select count(*), sum(rank), sum(rank * rank), max(rank) from ranks"


def duckdb(db, data, out):
    db.execute("create or replace table links as select source, target, degree from edges join "
               "(select source, count(*) as degree from edges group by source) using (source)")
    db.execute("create or replace table ranks as select id, 1.0::double / count(*) over () as rank from "
               "(select source as id from links union select target from links)")
    n = db.execute("select count(*) from ranks").fetchone()[0]
    for _ in range(N_ROUNDS):
        db.execute("create or replace table parts as select target as id, sum(rank / degree) as part "
                   "from links join ranks on source = id group by target")
        db.execute(f"create or replace table ranks as select id, 0.15 / {n} + 0.85 * (coalesce(part, 0) + "
                   f"(1 - (select sum(part) from parts)) / {n}) as rank from ranks left join parts using (id)")
    return db.execute(ANSWER).fetchone()


def polars(pl, data, out):
    def collect(frame):
        return frame.collect(engine="streaming").lazy()
    edges = pl.scan_parquet(data.parquet("edges"))
    links = collect(edges.join(edges.group_by("source").agg(pl.len().alias("degree")), on="source"))
    ids = pl.concat([edges.select(id="source"), edges.select(id="target")]).unique().collect(engine="streaming")
    n = ids.height
    ranks = ids.lazy().with_columns(rank=pl.lit(1.0 / n))
    for _ in range(N_ROUNDS):
        parts = links.join(ranks, left_on="source", right_on="id").group_by(id="target").agg(
            part=(pl.col("rank") / pl.col("degree")).sum()).collect(engine="streaming")
        left = (1 - parts["part"].sum()) / n
        ranks = collect(ranks.join(parts.lazy(), on="id", how="left").select(
            "id", rank=0.15 / n + 0.85 * (pl.col("part").fill_null(0) + left)))
    return ranks.select(pl.len().alias("rows"), pl.sum("rank").alias("a"), (pl.col("rank") ** 2).sum().alias("b"),
                        pl.max("rank").alias("c")).collect().row(0)


def spark(session, data, out):
    from pyspark.sql import functions as f
    edges = session.read.parquet(data.parquet("edges"))
    links = edges.join(edges.groupBy("source").agg(f.count("*").alias("degree")), "source").cache()
    ids = edges.select(f.col("source").alias("id")).union(edges.select("target")).distinct().cache()
    n = ids.count()
    ranks = ids.withColumn("rank", f.lit(1.0 / n))
    kept = []
    for _ in range(N_ROUNDS):
        parts = links.join(ranks, links.source == ranks.id).groupBy(f.col("target").alias("id")).agg(
            f.sum(f.col("rank") / f.col("degree")).alias("part")).cache()
        left = (1 - parts.agg(f.sum("part")).first()[0]) / n
        # a checkpoint cuts the lineage, which else doubles the plan each round
        ranks = ids.join(parts, "id", "left").select(
            "id", (0.15 / n + 0.85 * (f.coalesce("part", f.lit(0.0)) + left)).alias("rank")).localCheckpoint()
        kept.append(parts)
    ranks.createOrReplaceTempView("ranks")
    answer = tuple(session.sql(ANSWER).first())
    for frame in (links, ids, *kept):
        frame.unpersist()
    return answer


def bodo(pd, data, out):
    import bodo
    import pandas

    @bodo.jit(cache=False)
    def rank_vertices(path, n_rounds):
        edges = pandas.read_parquet(path)
        degrees = edges.groupby("source", as_index=False).agg(degree=pandas.NamedAgg("target", "count"))
        links = edges.merge(degrees, on="source")
        ids = pandas.concat([edges[["source"]].rename(columns={"source": "id"}),
                             edges[["target"]].rename(columns={"target": "id"})]).drop_duplicates()
        n = len(ids)
        ranks = pandas.DataFrame({"id": ids["id"].values, "rank": 1.0 / n})
        for _ in range(n_rounds):
            sent = links.merge(ranks, left_on="source", right_on="id")
            sent = pandas.DataFrame({"id": sent["target"], "part": sent["rank"] / sent["degree"]})
            parts = sent.groupby("id", as_index=False).agg(part=pandas.NamedAgg("part", "sum"))
            left = (1 - parts["part"].sum()) / n
            joined = ranks.merge(parts, on="id", how="left")
            ranks = pandas.DataFrame({"id": joined["id"],
                                      "rank": 0.15 / n + 0.85 * (joined["part"].fillna(0.0) + left)})
        return len(ranks), ranks["rank"].sum(), (ranks["rank"] * ranks["rank"]).sum(), ranks["rank"].max()

    return rank_vertices(data.parquet("edges"), N_ROUNDS)


TASKS = [
    Task(name="graph.pagerank", family="graph", title="PageRank, 10 rounds", data=("edges",),
         quern=lambda data, out: ["bench/graph", "--output", out, data.stage("edges")],
         peers={"duckdb": duckdb, "polars": polars, "spark": spark, "bodo": bodo},
         data_bytes=lambda rows: rows * 8 * 3),
]
