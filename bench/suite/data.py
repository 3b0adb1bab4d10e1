# SPDX-License-Identifier: Apache-2.0
"""The data of the tasks: made once by DuckDB and numpy from row numbers alone, and put into each engine's own storage.

A data set is complete when its name is in the file `complete` of the folder. Definitions: bench/README.md.
"""
import os
import shutil

MADE = {}  # name -> function that makes a data set


def makes(*names):
    def register(function):
        MADE.update({name: function for name in names})
        return function
    return register


class Data:
    """Paths of the data for tasks of `rows` rows, and how to make them. `quern` runs a program of ours."""

    def __init__(self, folder, rows, quern):
        self.folder = os.path.join(folder, f"rows-{rows}")
        self.rows = rows
        self.quern = quern
        os.makedirs(self.scratch(), exist_ok=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def parquet(self, table):
        return self.path(f"{table}.parquet")

    def csv(self, table):
        return self.path(f"{table}.csv")

    def database(self, table):
        return self.path(f"{table}.duckdb")

    def stage_folder(self):
        return self.path("stages")

    def stage(self, table):
        return os.path.join(self.stage_folder(), table)

    def lines(self):
        return self.path("lines.txt")

    def text(self):
        return self.path("text.txt")

    def ratings(self):
        return self.path("movies/ratings.csv")

    def titles(self):
        return self.path("movies/movies.csv")

    def scratch(self):
        return self.path("scratch")

    def stage_as_csv(self, stage):
        path = os.path.join(self.scratch(), "stage.csv")
        self.quern(["bench/csv", "--task", "write", "--output", path, stage])
        return path

    def files(self, names):
        """All files of some data sets, to be read into the page cache."""
        for name in names:
            for path in (self.parquet(name), self.database(name), self.stage(name), self.csv(name),
                         self.path(f"{name}.txt"), self.path(name)):
                if os.path.isdir(path):
                    yield from (os.path.join(path, file) for file in os.listdir(path))
                elif os.path.isfile(path):
                    yield path

    def make(self, names):
        for name in names:
            done = set()
            if os.path.exists(self.path("complete")):
                with open(self.path("complete"), encoding="ascii") as file:
                    done = set(file.read().split())
            if name not in done:
                print(f"making {name} ({self.rows} rows)", flush=True)
                MADE[name](self, name)
                with open(self.path("complete"), "a", encoding="ascii") as file:
                    file.write(name + "\n")

    def store(self, table, sql, schema, keep_csv=False):
        """Rows of a query into Parquet, a database of DuckDB and a stage."""
        import duckdb
        for path in (self.database(table), self.parquet(table)):
            if os.path.exists(path):
                os.remove(path)
        with duckdb.connect(self.database(table), config={
                "memory_limit": "3GB", "threads": 2, "temp_directory": self.scratch()}) as db:
            db.execute("set enable_progress_bar = false")
            db.execute(f"create table {table} as {sql}")
            db.execute(f"copy {table} to '{self.parquet(table)}' (format parquet)")
            db.execute(f"copy {table} to '{self.csv(table)}' (header)")
        os.makedirs(self.stage_folder(), exist_ok=True)
        shutil.rmtree(self.stage(table), ignore_errors=True)
        self.quern(["bench/csv", "--task", "ingest", "--schema", schema, "--output", self.stage(table), self.csv(table)])
        if not keep_csv:
            os.remove(self.csv(table))


def pick(i, stream, n):
    """SQL: a number 1 to n that looks like chance, made from row number i; other streams give other numbers."""
    return f"(hash({i}::bigint * 16 + {stream}) % {n} + 1)::int"


@makes("x")
def make_group_table(data, name):
    n = data.rows
    k = 100 if n >= 1_000_000 else 10
    data.store("x", f"""
select printf('id%03d', {pick('i', 1, k)}) as id1, printf('id%03d', {pick('i', 2, k)}) as id2,
  printf('id%010d', {pick('i', 3, n // k)}) as id3, {pick('i', 4, k)} as id4, {pick('i', 5, k)} as id5,
  {pick('i', 6, n // k)} as id6, {pick('i', 7, 5)} as v1, {pick('i', 8, 15)} as v2,
  (hash(i * 16 + 9) % 100000001)::double / 1000000 as v3
from range({n}) r(i)""",
               "id1 utf8, id2 utf8, id3 utf8, id4 int32, id5 int32, id6 int32, v1 int32, v2 int32, v3 float64",
               keep_csv=True)


def value(i):
    return f"(hash({i}::bigint * 16 + 9) % 100000001)::double / 1000000"


@makes("jx", "small", "medium", "big")
def make_join_table(data, name):
    n = data.rows
    sizes = {"small": max(10, n // 1_000_000), "medium": max(100, n // 1_000), "big": n}
    few, some = sizes["small"], sizes["medium"]
    if name == "jx":
        data.store("jx", f"""
select id1, id2, id3, 'id' || id1 as id4, 'id' || id2 as id5, 'id' || id3 as id6, {value('id3')} as v1
from (select {pick('i', 1, few)} as id1, {pick('i', 2, some)} as id2, (i + 1)::int as id3
      from range({n}) r(i) order by hash(i * 16 + 3))""",
                   "id1 int32, id2 int32, id3 int32, id4 utf8, id5 utf8, id6 utf8, v1 float64")
        return
    # The keys of the right tables begin a tenth later than those of x: nine in ten are in both.
    rows = sizes[name]
    ids = {"small": {"id1": "k"}, "medium": {"id1": pick("k", 1, few), "id2": "k"},
           "big": {"id1": pick("k", 1, few), "id2": pick("k", 2, some), "id3": "k"}}[name]
    columns = [f"{expression} as {column}" for column, expression in ids.items()]
    columns += [f"'id' || {expression} as id{int(column[2]) + 3}" for column, expression in ids.items()]
    schema = ", ".join([f"{column} int32" for column in ids] + [f"id{int(column[2]) + 3} utf8" for column in ids])
    data.store(name, f"""
select {', '.join(columns)}, {value('(k::bigint + 1000000007)')} as v2
from (select (i + 1 + {rows // 10})::int as k from range({rows}) r(i) order by hash(i * 16 + 4))""",
               schema + ", v2 float64")


@makes("named")
def make_named(data, name):
    """Ten letters and digits, of which every tenth text is there twice or more, and a number."""
    letters = " || ".join(f"chr(97 + (h >> {5 * i} & 31)::int % 26)" for i in range(10))
    data.store("named", f"select {letters} as name, {value('i')} as value from "
               f"(select i, hash(i % {max(1, data.rows * 9 // 10)} * 16 + 11) as h from range({data.rows}) r(i))",
               "name utf8, value float64")


@makes("edges")
def make_edges(data, name):
    """A tenth as many vertices as edges; degrees follow a power law, whose common vertices differ for the two ends."""
    n = max(10, data.rows // 10)

    def end(stream):
        return f"least({n - 1}, floor(pow((hash(i * 16 + {stream}) >> 11)::double / 9007199254740992.0, 3) * {n}))"
    data.store("edges", f"select {end(12)}::bigint as source, ({end(13)}::bigint * 7919) % {n} as target "
               f"from range({data.rows}) r(i)", "source int64, target int64")


@makes("lines")
def make_lines(data, name):
    """100 bytes with the line end: ten letters and digits that decide the order nearly always, a row number, filling."""
    import numpy
    rng = numpy.random.default_rng(2)
    symbols = numpy.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", numpy.uint8)
    with open(data.lines(), "wb") as file:
        for first in range(0, data.rows, 500_000):
            n = min(500_000, data.rows - first)
            block = numpy.full((n, 100), ord("x"), numpy.uint8)
            block[:, :10] = symbols[rng.integers(0, len(symbols), (n, 10), dtype=numpy.uint8)]
            numbers = numpy.arange(first, first + n)
            for digit in range(10):
                block[:, 20 - digit] = numbers % 10 + ord("0")
                numbers //= 10
            block[:, 21:99] = symbols[rng.integers(0, 26, (n, 1), dtype=numpy.uint8) + 10]
            block[:, 99] = ord("\n")
            file.write(block.tobytes())


@makes("text")
def make_text(data, name):
    """Lines of ten words, 200,000 different ones, common ones far more often (Zipf's law); 107 bytes for each row."""
    import numpy
    rng = numpy.random.default_rng(1)
    letters = numpy.array(list("etaoinshrdlucmfwypvbgkjqxz"))
    words = ["".join(rng.choice(letters, size)) for size in rng.integers(2, 11, 200_000)]
    weights = 1.0 / numpy.arange(1, len(words) + 1)
    edges = numpy.cumsum(weights / weights.sum())
    words = numpy.array(words, dtype=object)
    n_bytes = data.rows * 1024 ** 3 // 10_000_000
    with open(data.text(), "w", encoding="ascii") as file:
        written = 0
        while written < n_bytes:
            picked = words[numpy.searchsorted(edges, rng.random(1_000_000)).clip(0, len(words) - 1)].tolist()
            written += file.write("\n".join(" ".join(picked[i:i + 10]) for i in range(0, len(picked), 10)) + "\n")


@makes("movies")
def make_movies(data, name):
    shutil.rmtree(data.path("movies"), ignore_errors=True)
    data.quern(["bin/quern", "generate", "movies", "--events", str(data.rows), "--output", data.path("movies")])
