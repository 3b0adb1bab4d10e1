# SPDX-License-Identifier: Apache-2.0
"""The job movies against DuckDB: on the MovieLens sample where it is at hand, else on made ratings. Sums of ratings are
exact (half stars), and `spread` is rounded to nine places, so the files are the same bytes on any number of ranks."""
import csv
import io
import os
import subprocess
import sys

import duckdb

from job_kit import (RANKS, ROOT, Skipped, difference, files_below, make_ratings, ratings_folder, read, read_csv, run,
                     run_tests, shared_data, succeeds, table, write)

RESULTS = ["popular.csv", "genres.csv", "activity.csv", "pairs.csv"]
LEARNED = ["metrics.csv", "recommendations.csv", "recommender.h5"]
TABLES = """
create table all_ratings as select * from read_csv('{folder}/ratings.csv', header = true, delim = ',',
  columns = {{'userId': 'bigint', 'movieId': 'bigint', 'rating': 'double', 'timestamp': 'bigint'}});
create table ratings as select userId as user_id, movieId as movie_id, rating,
  make_timestamp(timestamp * 1000000) as seen from all_ratings where rating between 0 and 5;
create table titles as select movieId as movie_id, title, genres from read_csv('{folder}/movies.csv', header = true,
  delim = ',', quote = '"', escape = '"',
  columns = {{'movieId': 'bigint', 'title': 'varchar', 'genres': 'varchar'}});
"""
SQL = {
    "popular.csv": """
select movie_id, title, n, mean, (total + {prior} * overall) / (n + {prior}) as score
from (select movie_id, count(*) as n, avg(rating) as mean, sum(rating) as total from ratings group by movie_id) m
  left join titles using (movie_id), (select avg(rating) as overall from ratings)
order by score desc, n desc, movie_id""",
    "genres.csv": """
select genre, count(*) as n, count(distinct user_id) as users, avg(rating) as mean, stddev_samp(rating) as spread
from ratings join (select movie_id, unnest(string_split(genres, '|')) as genre from titles) using (movie_id)
group by genre order by n desc, genre""",
    "activity.csv": """
select isodow(seen) as weekday, hour(seen) as hour, count(*) as n, count(distinct user_id) as users
from ratings group by 1, 2 order by 1, 2""",
    "pairs.csv": """
with watched as (select distinct user_id, movie_id from ratings),
  most as (select movie_id, count(*) as users from watched group by movie_id order by users desc, movie_id
           limit {pair_titles}),
  chosen as (select user_id, movie_id, users from watched join most using (movie_id)),
  pairs as (select l.movie_id as a, r.movie_id as b, any_value(l.users) as users_a, any_value(r.users) as users_b,
              count(*) as users
            from chosen l join chosen r on l.user_id = r.user_id and l.movie_id < r.movie_id group by 1, 2)
select a, b, ta.title as title_a, tb.title as title_b, users,
  users::double * (select count(distinct user_id) from ratings) / (users_a::double * users_b) as lift
from pairs left join titles ta on a = ta.movie_id left join titles tb on b = tb.movie_id
order by users desc, lift desc, a, b limit 1000""",
}


def movies(n_ranks, data, output, *arguments):
    return run(n_ranks, "jobs/movies", "--ratings", os.path.join(data, "ratings.csv"), "--titles",
               os.path.join(data, "movies.csv"), "--output", output, *arguments)


def check_against_duckdb(data, output, prior=20, pair_titles=300):
    database = duckdb.connect()
    database.execute("set TimeZone = 'UTC'")
    database.execute(TABLES.format(folder=data))
    for name in RESULTS:
        wanted = database.execute(SQL[name].format(prior=prior, pair_titles=pair_titles)).fetchall()
        header, found = read_csv(os.path.join(output, name))
        assert header == [column[0] for column in database.description], f"{name}: columns {header}"
        wrong = difference(found, wanted, True)
        assert not wrong, f"{name}: {wrong}"
    return database


def equals_duckdb(folder):
    data = ratings_folder(folder)
    for n_ranks in (1, 3):
        output = os.path.join(folder, f"out-{n_ranks}")
        done = succeeds(movies(n_ranks, data, output))
        check_against_duckdb(data, output)
        assert sorted(os.listdir(output)) == sorted(RESULTS + LEARNED + ["ratings", "rejects.csv"]), os.listdir(output)
        assert "Popular titles" in done.stdout and "pairs.csv" in done.stdout, done.stdout
        assert len(read_csv(os.path.join(output, "rejects.csv"))[1]) == 0


def equals_duckdb_with_other_options(folder):
    data = make_ratings(folder)
    output = os.path.join(folder, "out")
    succeeds(movies(3, data, output, "--prior", "0", "--pair-titles", "20", "--factors", "0"))
    check_against_duckdb(data, output, prior=0, pair_titles=20)
    assert not any(os.path.exists(os.path.join(output, name)) for name in LEARNED), os.listdir(output)


def little_memory_changes_nothing(folder):
    data = make_ratings(folder)
    output = os.path.join(folder, "out")
    succeeds(movies(3, data, output, "--memory", "2MiB", "--scratch", folder))
    check_against_duckdb(data, output)


def is_the_same_on_any_number_of_ranks(folder):
    data = ratings_folder(folder)
    results = {}
    for n_ranks in RANKS:
        output = os.path.join(folder, f"out-{n_ranks}")
        succeeds(movies(n_ranks, data, output))
        results[n_ranks] = {name: read(os.path.join(output, name)) for name in RESULTS + LEARNED}
        for name in RESULTS + LEARNED:
            assert results[n_ranks][name] == results[RANKS[0]][name], f"{name} on {n_ranks} ranks is another"


PLANTED = [  # a malformed row, and what its reason must say
    ("1,2", "fields"), ("7", "field"), ("1,2,3.5,4,5", "fields"), ("1,abc,3.0,1260759144", "abc"),
    ("1,31,two,1260759144", "two"), ('1,"2"x,3.0,1260759144', "quote"), ("1,31,2.5,12607591440000000000000", "12607591440000000000000"),
]


def plant(data, folder):
    """A copy of the data with malformed rows in its ratings; the texts planted."""
    rows = read(os.path.join(data, "ratings.csv")).decode().splitlines()
    texts = [text for text, _ in PLANTED]
    for i, text in enumerate(texts):
        rows.insert(1 + i * (len(rows) - 1) // (len(texts) - 1), text)
    write(os.path.join(folder, "ratings.csv"), "\n".join(rows) + "\n")
    write(os.path.join(folder, "movies.csv"), read(os.path.join(data, "movies.csv")))
    return texts


def malformed_rows_are_set_aside(folder):
    data = ratings_folder(folder)
    bad = os.path.join(folder, "bad")
    os.mkdir(bad)
    planted = plant(data, bad)
    succeeds(movies(2, data, os.path.join(folder, "clean")))
    rejects = None
    for n_ranks in RANKS:
        output = os.path.join(folder, f"out-{n_ranks}")
        done = succeeds(movies(n_ranks, bad, output))
        assert f"{len(planted)} malformed rows" in done.stderr, f"the number of rejects is not told: {done.stderr}"
        for name in RESULTS:
            assert read(os.path.join(output, name)) == read(os.path.join(folder, "clean", name)), \
                f"{name} on {n_ranks} ranks is not that of the rows without mistakes"
        rows = table(os.path.join(output, "rejects.csv"))
        assert [row["text"] for row in rows] == planted, rows
        for row, (text, reason) in zip(rows, PLANTED):
            assert reason in row["reason"] + row["text"], row
            assert row["file"] == os.path.join(bad, "ratings.csv"), row
            at = int(row["byte_offset"])
            assert read(row["file"])[at:at + len(text)] == text.encode(), row
        rejects = rejects or read(os.path.join(output, "rejects.csv"))
        assert rejects == read(os.path.join(output, "rejects.csv")), f"rejects.csv on {n_ranks} ranks is another"


def an_open_quote_is_set_aside(folder):
    data = make_ratings(folder, 3000)
    bad = os.path.join(folder, "bad")
    write(os.path.join(bad, "ratings.csv"), read(os.path.join(data, "ratings.csv")) + b'1,31,2.5,"12\n')
    write(os.path.join(bad, "movies.csv"), read(os.path.join(data, "movies.csv")))
    succeeds(movies(1, data, os.path.join(folder, "clean")))
    for n_ranks in (1, 4):
        output = os.path.join(folder, f"out-{n_ranks}")
        succeeds(movies(n_ranks, bad, output))
        rows = table(os.path.join(output, "rejects.csv"))
        assert len(rows) == 1 and "quote" in rows[0]["reason"], rows
        assert read(os.path.join(output, "popular.csv")) == read(os.path.join(folder, "clean", "popular.csv"))


def staged_ratings_open_in_h5py(folder):
    data = ratings_folder(folder)
    output = os.path.join(folder, "out")
    succeeds(movies(3, data, output))
    done = subprocess.run([sys.executable, os.path.join(ROOT, "tests", "store", "read_stage_h5py.py"),
                           os.path.join(output, "ratings"), "--header"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = list(csv.reader(io.StringIO(done.stdout)))
    assert rows[0] == ["user_id", "movie_id", "rating", "seen"], rows[0]
    with open(os.path.join(data, "ratings.csv"), encoding="utf-8", newline="") as file:
        wanted = sorted((int(user), int(movie), float(rating), int(seconds) * 1000000)
                        for user, movie, rating, seconds in list(csv.reader(file))[1:])
    found = sorted((int(user), int(movie), float(rating), int(seen)) for user, movie, rating, seen in rows[1:])
    assert found == wanted, f"{len(found)} rows, {len(wanted)} expected"


def a_second_run_replaces_the_first(folder):
    data = make_ratings(folder, 3000)
    output = os.path.join(folder, "out")
    succeeds(movies(3, data, output))
    first = {name: read(os.path.join(output, name)) for name in RESULTS}
    succeeds(movies(2, data, output))
    assert first == {name: read(os.path.join(output, name)) for name in RESULTS}
    assert sorted(os.listdir(output)) == sorted(RESULTS + LEARNED + ["ratings", "rejects.csv"]), sorted(files_below(output))


def recommendations_beat_what_all_watch(folder):
    if shared_data("ratings/movielens-small") is None:
        raise Skipped("made ratings are of titles that all watch alike")
    output = os.path.join(folder, "out")
    succeeds(movies(2, shared_data("ratings/movielens-small"), output))
    for row in table(os.path.join(output, "metrics.csv")):
        found, baseline = float(row["recommender"]), float(row["baseline"])
        assert found < 0.9 * baseline if row["metric"] == "rmse" else found > 1.5 * baseline, row


def titles_are_recommended(folder):
    """Ratings are predicted better than by means of titles; nobody gets a title that she has rated."""
    made = os.path.join(folder, "made")
    succeeds(run(2, "bin/quern", "generate", "movies", "--events", "60000", "--users", "400", "--titles", "300",
                 "--output", made))
    output = os.path.join(folder, "out")
    done = succeeds(movies(2, made, output, "--factors", "8", "--iterations", "10"))
    assert "ndcg at 10" in done.stdout and "recommender.h5" in done.stdout, done.stdout
    metrics = {row["metric"]: row for row in table(os.path.join(output, "metrics.csv"))}
    assert list(metrics) == ["ndcg at 10", "recall at 10", "rmse"], metrics
    found, means = (float(metrics["rmse"][name]) for name in ("recommender", "baseline"))
    assert found < 0.9 * means, metrics["rmse"]
    rated = {(row["userId"], row["movieId"]) for row in table(os.path.join(made, "ratings.csv"))}
    titles = {row["movieId"]: row["title"] for row in table(os.path.join(made, "movies.csv"))}
    ranks = {}
    for row in table(os.path.join(output, "recommendations.csv")):
        assert (row["user_id"], row["movie_id"]) not in rated and row["title"] == titles[row["movie_id"]], row
        ranks.setdefault(row["user_id"], []).append(int(row["rank"]))
    assert set(ranks) == {user for user, _ in rated}, f"{len(ranks)} users"
    assert all(found == list(range(1, 11)) for found in ranks.values()), "not ten titles each"


def no_ratings_give_headers(folder):
    write(os.path.join(folder, "ratings.csv"), "userId,movieId,rating,timestamp\n")
    write(os.path.join(folder, "movies.csv"), "movieId,title,genres\n1,One,Drama\n")
    output = os.path.join(folder, "out")
    succeeds(movies(3, folder, output))
    for name in RESULTS:
        assert read(os.path.join(output, name)).count(b"\n") == 1, name
    assert not any(os.path.exists(os.path.join(output, name)) for name in LEARNED), os.listdir(output)


if __name__ == "__main__":
    sys.exit(run_tests([equals_duckdb, equals_duckdb_with_other_options, little_memory_changes_nothing,
                        is_the_same_on_any_number_of_ranks, malformed_rows_are_set_aside, an_open_quote_is_set_aside,
                        staged_ratings_open_in_h5py, a_second_run_replaces_the_first, titles_are_recommended,
                        recommendations_beat_what_all_watch, no_ratings_give_headers]))
