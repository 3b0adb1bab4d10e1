# SPDX-License-Identifier: Apache-2.0
"""The movie job: ratings cleaned and stored, popular titles, taste by genre, activity by hour, titles watched together."""
import csv
import glob
import os

from suite.tasks import Task

RESULTS = {  # name -> columns that say which row it is
    "popular": ["movie_id"], "genres": ["genre"], "activity": ["weekday", "hour"], "pairs": ["a", "b"]}
RATINGS = "select userId as user_id, movieId as movie_id, rating, {seen} as seen from all_ratings " \
          "where rating between 0 and 5 and userId is not null and movieId is not null"
SQL = {
    "popular": """
select movie_id, title, n, mean, (total + 20 * overall) / (n + 20) as score
from (select movie_id, count(*) as n, avg(rating) as mean, sum(rating) as total from ratings group by movie_id) m
  left join titles using (movie_id) cross join (select avg(rating) as overall from ratings) o
order by score desc, n desc, movie_id""",
    "genres": """
select genre, count(*) as n, count(distinct user_id) as users, avg(rating) as mean, stddev_samp(rating) as spread
from ratings join (select movie_id, {genre} as genre from titles) g using (movie_id)
group by genre order by n desc, genre""",
    "activity": """
select {weekday} as weekday, hour(seen) as hour, count(*) as n, count(distinct user_id) as users
from ratings group by 1, 2 order by 1, 2""",
    "pairs": """
with watched as (select distinct user_id, movie_id from ratings),
  most as (select movie_id, count(*) as users from watched group by movie_id order by users desc, movie_id limit 300),
  chosen as (select user_id, movie_id, users from watched join most using (movie_id)),
  pairs as (select l.movie_id as a, r.movie_id as b, any_value(l.users) as users_a, any_value(r.users) as users_b,
              count(*) as users
            from chosen l join chosen r on l.user_id = r.user_id and l.movie_id < r.movie_id group by 1, 2)
select a, b, ta.title as title_a, tb.title as title_b, pairs.users,
  cast(pairs.users as double) * (select count(distinct user_id) from ratings) / (cast(users_a as double) * users_b)
    as lift
from pairs left join titles ta on a = ta.movie_id left join titles tb on b = tb.movie_id
order by users desc, lift desc, a, b limit 1000""",
}


def duckdb(db, data, out):
    os.makedirs(out)
    db.execute(f"attach '{out}/ratings.duckdb' as result")
    db.execute(f"create temp view all_ratings as from read_csv('{data.ratings()}')")
    db.execute(f"create table result.ratings as {RATINGS.format(seen='make_timestamp(timestamp * 1000000)')}")
    db.execute("create temp view ratings as from result.ratings")
    db.execute("create or replace temp table titles as select movieId as movie_id, title, genres from "
               f"read_csv('{data.titles()}', header=true)")
    for name, sql in SQL.items():
        sql = sql.format(genre="unnest(string_split(genres, '|'))", weekday="isodow(seen)")
        db.execute(f"copy ({sql}) to '{out}/{name}.csv' (header)")
    db.execute("drop view ratings")
    db.execute("drop view all_ratings")
    db.execute("detach result")


def spark(session, data, out):
    session.conf.set("spark.sql.session.timeZone", "UTC")
    session.read.csv(data.ratings(), header=True, schema="userId long, movieId long, rating double, timestamp long"
                     ).createOrReplaceTempView("all_ratings")
    session.sql(RATINGS.format(seen="timestamp_seconds(timestamp)")).write.mode("overwrite").parquet(f"{out}/ratings")
    session.read.parquet(f"{out}/ratings").createOrReplaceTempView("ratings")
    titles = session.read.csv(data.titles(), header=True, escape='"', schema="movie_id long, title string, genres string")
    titles.cache().createOrReplaceTempView("titles")
    for name, sql in SQL.items():
        sql = sql.format(genre="explode(split(genres, '[|]'))", weekday="weekday(seen) + 1")
        session.sql(sql).write.mode("overwrite").csv(f"{out}/{name}.csv", header=True, escape='"')
    titles.unpersist()


def polars(pl, data, out):
    os.makedirs(out)
    c = pl.col
    raw = pl.scan_csv(data.ratings())
    raw.filter(c("rating").is_between(0, 5), c("userId").is_not_null(), c("movieId").is_not_null()).select(
        user_id="userId", movie_id="movieId", rating="rating",
        seen=pl.from_epoch("timestamp", time_unit="s")).sink_parquet(f"{out}/ratings.parquet", compression="snappy")
    ratings = pl.scan_parquet(f"{out}/ratings.parquet")
    titles = pl.read_csv(data.titles()).rename({"movieId": "movie_id"}).lazy()
    n_users = c("user_id").n_unique().alias("users")

    overall = ratings.select(pl.mean("rating")).collect(engine="streaming").item()
    popular = ratings.group_by("movie_id").agg(pl.len().alias("n"), c("rating").mean().alias("mean"),
                                               c("rating").sum().alias("total"))
    popular = popular.join(titles, on="movie_id", how="left").select(
        "movie_id", "title", "n", "mean", score=(c("total") + 20 * overall) / (c("n") + 20))
    genres = ratings.join(titles.select("movie_id", genre=c("genres").str.split("|")).explode("genre"), on="movie_id")
    genres = genres.group_by("genre").agg(pl.len().alias("n"), n_users, c("rating").mean().alias("mean"),
                                          c("rating").std().alias("spread"))
    activity = ratings.group_by(weekday=c("seen").dt.weekday(), hour=c("seen").dt.hour()).agg(
        pl.len().alias("n"), n_users)

    watched = ratings.select("user_id", "movie_id").unique()
    most = watched.group_by("movie_id").agg(pl.len().alias("users")).sort(
        "users", "movie_id", descending=[True, False]).head(300)
    chosen = watched.join(most, on="movie_id").collect(engine="streaming").lazy()
    people = ratings.select(c("user_id").n_unique()).collect(engine="streaming").item()
    pairs = chosen.join(chosen, on="user_id").filter(c("movie_id") < c("movie_id_right")).group_by(
        a="movie_id", b="movie_id_right").agg(c("users").first().alias("users_a"),
                                              c("users_right").first().alias("users_b"), pl.len().alias("users"))
    names = titles.select("movie_id", "title")
    lift = c("users").cast(pl.Float64) * people / (c("users_a").cast(pl.Float64) * c("users_b"))
    pairs = pairs.join(names.rename({"title": "title_a"}), left_on="a", right_on="movie_id", how="left").join(
        names.rename({"title": "title_b"}), left_on="b", right_on="movie_id", how="left").select(
        "a", "b", "title_a", "title_b", "users", lift=lift)
    pairs = pairs.sort("users", "lift", "a", "b", descending=[True, True, False, False]).head(1000)

    popular.sort("score", "n", "movie_id", descending=[True, True, False]).sink_csv(f"{out}/popular.csv")
    genres.sort("n", "genre", descending=[True, False]).sink_csv(f"{out}/genres.csv", engine="streaming")
    activity.sort("weekday", "hour").sink_csv(f"{out}/activity.csv", engine="streaming")
    pairs.sink_csv(f"{out}/pairs.csv", engine="streaming")


def read_result(out, name):
    """Rows by what says which they are; numbers as numbers."""
    rows = {}
    path = os.path.join(out, f"{name}.csv")
    for part in sorted(glob.glob(os.path.join(path, "part-*"))) if os.path.isdir(path) else [path]:
        with open(part, encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                rows[tuple(row[key] for key in RESULTS[name])] = row
    return [value for key in sorted(rows) for _, value in sorted(rows[key].items())]


def answer(data, engine, out):
    values = []
    for name in RESULTS:
        found = read_result(out, name)
        values.append(len(found))
        for value in found:
            try:
                values.append(float(value))
            except ValueError:
                values.append(value)
    return values


TASKS = [
    Task(name="movies.job", family="movies", title="the movie job: 4 results from CSV, ratings stored", data=("movies",),
         quern=lambda data, out: ["jobs/movies", "--ratings", data.ratings(), "--titles", data.titles(),
                                  "--factors", "0", "--output", out],
         peers={"duckdb": duckdb, "polars": polars, "spark": spark,
                "bodo": "its pandas has no split and explode of text that runs in parallel"},
         answer=answer),
]
