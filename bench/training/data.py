# SPDX-License-Identifier: Apache-2.0
"""The rows to learn from: made once from fixed seeds, in blocks, with structure planted that each task can find again; as
arrays (.npy) for Python, Parquet for Spark, and stages for ours. All have the same numbers: four places, so that the text
in between says them exactly. Definitions: bench/README.md."""
import os
import shutil
import subprocess

import numpy as np

N_COLUMNS = 100
N_CLASSES = 10
N_CLUSTERS = 100
N_FACTORS = 10
BLOCK = 50_000
LABELS = ["number", "binary", "class", "curved"]
RATING_RANK = 8
RATING_NOISE = 0.5


class TrainingData:
    """Paths below `folder`, and making what is not there. `rows`: to train on; a tenth as many to test on."""

    def __init__(self, folder, rows, quern=None):
        self.folder = os.path.join(folder, f"training-{rows}")
        self.rows, self.quern = rows, quern
        os.makedirs(self.scratch(), exist_ok=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def scratch(self):
        return self.path("scratch")

    def stage(self, name):
        return self.path(f"{name}.stage")

    def load(self, name):
        """An array: "train-x", "test-class", ..."""
        return np.load(self.path(f"{name}.npy"))

    def n_ratings(self):
        return 10 * self.rows

    def make(self, names):
        for name in names:
            done = set()
            if os.path.exists(self.path("complete")):
                with open(self.path("complete"), encoding="ascii") as file:
                    done = set(file.read().split())
            if name not in done:
                print(f"making {name}", flush=True)
                MAKERS[name](self)
                with open(self.path("complete"), "a", encoding="ascii") as file:
                    file.write(name + "\n")


# --- Rows -------------------------------------------------------------------------------------------------------------


class Structure:
    """What is planted: heaps about centres, a few directions that vary more, and labels that depend on the columns."""

    def __init__(self):
        rng = np.random.default_rng(1)
        self.centres = 0.4 * rng.normal(size=(N_CLUSTERS, N_COLUMNS))
        directions = np.linalg.qr(rng.normal(size=(N_COLUMNS, N_FACTORS)))[0].T
        self.factors = directions * np.sqrt(8 * 0.8 ** np.arange(N_FACTORS))[:, None]
        self.number = np.where(rng.permutation(N_COLUMNS) < 20, rng.normal(size=N_COLUMNS), 0)
        self.binary = rng.normal(size=N_COLUMNS) * 0.2
        self.classes = rng.normal(size=(N_COLUMNS, N_CLASSES)) * 0.2

    def block(self, seed, n):
        rng = np.random.default_rng(seed)
        x = self.centres[rng.integers(0, N_CLUSTERS, n)] + rng.normal(size=(n, N_FACTORS)) @ self.factors
        x = np.round(x + rng.normal(size=(n, N_COLUMNS)), 4)
        number = np.round(x @ self.number + 3 + rng.normal(size=n), 4)
        binary = x @ self.binary + rng.logistic(size=n) > 0
        classes = (x @ self.classes + rng.gumbel(size=(n, N_CLASSES))).argmax(axis=1)
        curve = 2 * np.sin(x[:, 0] * x[:, 1]) + x[:, 2] ** 2 - np.abs(x[:, 3]) * x[:, 4] + 2 * (x[:, 5] > 0.5) * x[:, 6]
        curved = curve + x[:, 7:17].sum(axis=1) * 0.3 + rng.logistic(size=n) > 1
        return x, {"number": number, "binary": binary.astype(np.int64), "class": classes.astype(np.int64),
                   "curved": curved.astype(np.int64)}


def make_rows(data):
    structure = Structure()
    for part, n, seed in (("train", data.rows, 1000), ("test", data.rows // 10, 5000)):
        x = np.lib.format.open_memmap(data.path(f"{part}-x.npy"), mode="w+", dtype=np.float64, shape=(n, N_COLUMNS))
        labels = {name: np.zeros(n, np.float64 if name == "number" else np.int64) for name in LABELS}
        for first in range(0, n, BLOCK):
            end = min(first + BLOCK, n)
            x[first:end], made = structure.block(seed + first // BLOCK, end - first)
            for name in LABELS:
                labels[name][first:end] = made[name]
        x.flush()
        for name in LABELS:
            np.save(data.path(f"{part}-{name}.npy"), labels[name])
    few = {"train": data.rows // 10, "test": data.rows // 100}
    for part, n in few.items():  # neighbours look at every pair of these
        np.save(data.path(f"few-{part}-x.npy"), np.load(data.path(f"{part}-x.npy"), mmap_mode="r")[:n])
        np.save(data.path(f"few-{part}-class.npy"), np.load(data.path(f"{part}-class.npy"))[:n])


def blocks(data, part):
    """Tables of Arrow for the rows of a part, and their labels where they have them."""
    x = np.load(data.path(f"{part}-x.npy"), mmap_mode="r")
    labels = {name: data.load(f"{part}-{name}") for name in LABELS if os.path.exists(data.path(f"{part}-{name}.npy"))}
    for first in range(0, len(x), BLOCK):
        end = min(first + BLOCK, len(x))
        yield np.ascontiguousarray(x[first:end]), {name: values[first:end] for name, values in labels.items()}


def make_parquet(data):
    """For Spark: an array of doubles a row, which it makes a vector of."""
    import pyarrow
    import pyarrow.parquet
    writer = None
    for x, labels in blocks(data, "train"):
        lists = pyarrow.ListArray.from_arrays(np.arange(0, x.size + 1, N_COLUMNS, dtype=np.int32), x.ravel())
        table = pyarrow.table({"features": lists, **labels})
        writer = writer or pyarrow.parquet.ParquetWriter(data.path("train.parquet"), table.schema, compression="snappy")
        writer.write_table(table, row_group_size=BLOCK)
    writer.close()


def make_stages(data):
    """For ours: columns x0, x1, ... and the labels."""
    import pyarrow
    import pyarrow.csv
    for part in ("train", "test", "few-train", "few-test"):
        path = os.path.join(data.scratch(), f"{part}.csv")
        with open(path, "wb") as file:
            for number, (x, labels) in enumerate(blocks(data, part)):
                table = pyarrow.table({**{f"x{i}": x[:, i] for i in range(N_COLUMNS)}, **labels})
                pyarrow.csv.write_csv(table, file, pyarrow.csv.WriteOptions(include_header=number == 0))
        names = [f"x{i} float64" for i in range(N_COLUMNS)]
        names += [f"{name} {'float64' if name == 'number' else 'int64'}" for name in labels]
        into_stage(data, path, ", ".join(names), part)


def into_stage(data, path, schema, name):
    shutil.rmtree(data.stage(name), ignore_errors=True)
    data.quern(["bench/csv", "--task", "ingest", "--schema", schema, "--output", data.stage(name), path])
    os.remove(path)


# --- Ratings ----------------------------------------------------------------------------------------------------------


def make_ratings(data):
    """Pairs of users and items, each once: some of both far more often than others, and rather those that suit each other.
    Every 20th is to test on."""
    rng = np.random.default_rng(3)
    n_users, n_items = max(2000, data.rows // 10), max(400, data.rows // 100)  # enough pairs for few rows too
    users, items = rng.normal(size=(n_users, RATING_RANK)), rng.normal(size=(n_items, RATING_RANK)) / np.sqrt(RATING_RANK)
    user_mean, item_mean = 0.3 * rng.normal(size=n_users), 0.3 * rng.normal(size=n_items)
    pairs = np.zeros(0, np.int64)
    while len(pairs) < data.n_ratings():
        user = (rng.random(data.n_ratings() // 4) ** 1.5 * n_users).astype(np.int64)
        item = (rng.random(data.n_ratings() // 4) ** 2 * n_items).astype(np.int64) * 7919 % n_items
        likes = np.einsum("ij,ij->i", users[user], items[item]) + 0.7 * rng.logistic(size=len(user)) > 1
        pairs = np.unique(np.concatenate([pairs, (user * n_items + item)[likes]]))
    pairs = rng.permutation(pairs)[:data.n_ratings()]
    user, item = pairs // n_items, pairs % n_items
    rating = np.zeros(len(pairs))
    for first in range(0, len(pairs), 1_000_000):
        u, i = user[first:first + 1_000_000], item[first:first + 1_000_000]
        rating[first:first + 1_000_000] = 3 + user_mean[u] + item_mean[i] + (users[u] * items[i]).sum(axis=1)
    rating = np.round(rating + RATING_NOISE * rng.normal(size=len(pairs)), 4)
    is_test = np.arange(len(pairs)) % 20 == 0
    for part, chosen in (("train", ~is_test), ("test", is_test)):
        for name, values in (("user", user), ("item", item), ("rating", rating)):
            np.save(data.path(f"{part}-{name}.npy"), values[chosen])


def make_rating_files(data):
    import pyarrow
    import pyarrow.csv
    import pyarrow.parquet
    for part in ("train", "test"):
        table = pyarrow.table({name: data.load(f"{part}-{name}") for name in ("user", "item", "rating")})
        pyarrow.parquet.write_table(table, data.path(f"{part}-ratings.parquet"))
        path = os.path.join(data.scratch(), f"{part}-ratings.csv")
        pyarrow.csv.write_csv(table, path)
        into_stage(data, path, "user int64, item int64, rating float64", f"{part}-ratings")


MAKERS = {"rows": make_rows, "rows.parquet": make_parquet, "rows.stages": make_stages, "ratings": make_ratings,
          "ratings.files": make_rating_files}
