# SPDX-License-Identifier: Apache-2.0
"""Feature steps against scikit-learn's transformers, on several numbers of ranks, and what is said of bad input."""
import gzip
import os
import struct
import sys

import numpy as np

from training_kit import RANKS, command, run_tests, shared_data, write

def drive(folder, path, features=None, n_ranks=1, *more):
    arguments = ["features_driver", "--quiet", "--output", os.path.join(folder, "out"), *more]
    if features is not None:
        arguments += ["--features", features]
    return command(n_ranks, *arguments, path, timeout=100)


def numbers(folder, path, features=None, n_ranks=1, *more):
    """Names of the columns, and the matrix."""
    done = drive(folder, path, features, n_ranks, *more)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split("\n")
    n_columns = int(lines[0].split("\t")[0])
    rows = [line.split("\t") for line in lines[2:-1]]
    assert all(len(row) == n_columns for row in rows)
    return lines[1].split("\t"), np.array(rows, dtype=float)


def fails(folder, path, features, *says, more=()):
    done = drive(folder, path, features, 1, *more)
    assert done.returncode != 0, done.stdout
    for text in says:
        assert text in done.stderr, done.stderr


def is_close(found, wanted, tolerance=1e-12):
    assert found.shape == wanted.shape, (found.shape, wanted.shape)
    assert np.allclose(found, wanted, rtol=tolerance, atol=tolerance, equal_nan=True), np.nanmax(np.abs(found - wanted), axis=0)


def table(folder, n_rows=3000):
    """A CSV file and its columns; x has nulls."""
    rng = np.random.default_rng(5)
    columns = {"a": rng.normal(1e6, 3, n_rows), "b": rng.exponential(2, n_rows), "c": rng.integers(-50, 50, n_rows),
               "x": rng.normal(0, 1, n_rows), "same": np.full(n_rows, 0.1),
               "state": rng.choice(["NY", "CA", "TX", "Ödland", "a,b"], n_rows, p=[.4, .3, .2, .09, .01]),
               "truth": rng.integers(0, 2, n_rows)}
    columns["x"][::7] = np.nan
    lines = ["a,b,c,x,same,state,truth"]
    for i in range(n_rows):
        x = "" if np.isnan(columns["x"][i]) else repr(float(columns["x"][i]))
        lines.append(f'{float(columns["a"][i])!r},{float(columns["b"][i])!r},{columns["c"][i]},{x},0.1,'
                     f'"{columns["state"][i]}",{"true" if columns["truth"][i] else "false"}')
    return write(os.path.join(folder, "table.csv"), "\n".join(lines) + "\n"), columns


def everything_at_once_is_what_sklearn_makes_on_any_number_of_ranks(folder):
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import KBinsDiscretizer, MinMaxScaler, OneHotEncoder, PolynomialFeatures, StandardScaler
    path, t = table(folder)
    features = ("standardise(a, b, same), min_max(c), impute(x), impute(x, 'median'), impute(x, -1), one_hot(state), "
                "polynomial(b, c, 3), bucketise(b, 7), string_index(state), truth, standardise(ln(b)) as l, "
                "standardize(impute(x, median)), one_hot(bucketize(b, 4)), min_max(polynomial(b, c, 2))")
    a = np.column_stack([t["a"], t["b"], t["same"]])
    x, b, c = t["x"][:, None], t["b"][:, None], t["c"][:, None].astype(float)
    both = np.column_stack([b, c])
    bins = np.searchsorted(np.quantile(t["b"], np.arange(1, 7) / 7), t["b"], side="right")
    bins_4 = np.eye(4)[np.searchsorted(np.quantile(t["b"], np.arange(1, 4) / 4), t["b"], side="right")]
    others = KBinsDiscretizer(7, encode="ordinal", strategy="quantile", subsample=None).fit_transform(b)[:, 0]
    assert np.mean(bins != others) < 0.01, "its edges lie between other neighbours, in some releases"
    states = np.unique(t["state"])
    median = SimpleImputer(strategy="median").fit_transform(x)
    wanted = np.column_stack([
        StandardScaler().fit_transform(a), MinMaxScaler().fit_transform(c), SimpleImputer().fit_transform(x), median,
        SimpleImputer(strategy="constant", fill_value=-1).fit_transform(x),
        OneHotEncoder(sparse_output=False).fit_transform(t["state"][:, None]),
        PolynomialFeatures(3, include_bias=False).fit_transform(both), bins, np.searchsorted(states, t["state"]),
        t["truth"], StandardScaler().fit_transform(np.log(b)), StandardScaler().fit_transform(median), bins_4,
        MinMaxScaler().fit_transform(PolynomialFeatures(2, include_bias=False).fit_transform(both))])
    first = None
    for n_ranks in RANKS:
        names, found = numbers(folder, path, features, n_ranks)
        is_close(found, wanted, 1e-8)
        assert names[7:12] == ["state=CA", "state=NY", "state=TX", "state=a,b", "state=Ödland"], names
        assert names[12:21] == ["b", "c", "b^2", "b*c", "c^2", "b^3", "b^2*c", "b*c^2", "c^3"], names
        assert first is None or np.array_equal(found, first), "another number of ranks makes other bits"
        first = found
    names, again = numbers(folder, path, features, 2, "--predict", path)
    assert np.array_equal(again, first), "the JSON text makes other numbers"


def words_weigh_as_in_sklearn(folder):
    from sklearn.feature_extraction.text import TfidfVectorizer
    rng = np.random.default_rng(6)
    words = ["Great", "great", "film", "bad", "Übel", "übel", "x", "it's", "don't_know", "42", "été", "naïve", "日本", "a"]
    texts = [" ".join(rng.choice(words, rng.integers(0, 12))) + rng.choice([".", "!", " — ok", ""]) for _ in range(500)]
    path = write(os.path.join(folder, "texts.csv"),
                 "review\n" + "\n".join('"' + text + '"' for text in texts) + "\n")
    vectorizer = TfidfVectorizer()
    wanted = vectorizer.fit_transform(texts).toarray()
    for n_ranks in RANKS:
        names, found = numbers(folder, path, "tfidf(review, 1000)", n_ranks)
        assert names == ["review:" + word for word in vectorizer.get_feature_names_out()], names
        is_close(found, wanted, 1e-12)
    names, found = numbers(folder, path, "tfidf(review, 3)")
    assert len(names) == 3


def sparse_rows_are_the_dense_ones(folder):
    path, t = table(folder, 500)
    features = "one_hot(state), hashing(state, 300), impute(x, 0), hashing(state, 50, 'words'), tfidf(state), c"
    _, dense = numbers(folder, path, features)
    done = drive(folder, path, features, 2, "--sparse")
    lines = done.stdout.split("\n")
    assert lines[0].split("\t")[1] == "sparse", lines[0]
    found = np.zeros_like(dense)
    for row, line in zip(found, lines[2:-1]):
        columns = [int(entry.split(":")[0]) for entry in line.split("\t")]
        assert columns == sorted(set(columns))
        for entry in line.split("\t"):
            row[int(entry.split(":")[0])] = float(entry.split(":")[1])
    assert np.array_equal(found, dense)


def all_columns_are_taken_by_default(folder):
    path, t = table(folder, 200)
    names, found = numbers(folder, path, None, 2, "--exclude", "x")
    assert names[:4] == ["a", "b", "c", "same"] and names[-1] == "truth" and names[4].startswith("state="), names
    is_close(found[:, 0], t["a"])
    names, _ = numbers(folder, path, "standardise(*), one_hot(*)", 1, "--exclude", "x")
    assert names[:4] == ["a", "b", "c", "same"] and len(names) == 4 + len(np.unique(t["state"])), names


def rare_and_unknown_categories(folder):
    path = write(os.path.join(folder, "train.csv"), "k,s\n1,x\n1,x\n10,y\n10,y\n2,z\n")
    other = write(os.path.join(folder, "test.csv"), "k,s\n1,y\n7,w\n,\n")
    schema = ("--schema", "k int64, s utf8")
    names, found = numbers(folder, path, "one_hot(k, 2), one_hot(s), string_index(k)", 1, "--predict", other, "--missing",
                           *schema)
    assert names == ["k=1", "k=10", "k=other", "s=x", "s=y", "s=z", "k"], names
    wanted = [[1, 0, 0, 0, 1, 0, 0], [0, 0, 1, 0, 0, 0, 3], [0, 0, 0, 0, 0, 0, np.nan]]
    is_close(found, np.array(wanted))


def missing_values_are_marked_or_named_or_kept(folder):
    path = write(os.path.join(folder, "holes.csv"), "x,y\n1,2\nNaN,3\n5,\n3,Infinity\n")
    schema = ("--schema", "x float64, y float64")
    fails(folder, path, "x, y", "holes.csv, row 2", "column 'x' is NaN", "impute(x)", more=schema)
    fails(folder, path, "impute(x), y", "holes.csv, row 3", "column 'y' is null", "impute(y)", more=schema)
    fails(folder, path, "impute(x, 0), impute(y, 0)", "holes.csv, row 4", "column 'y' is infinite", more=schema)
    done = drive(folder, path, "standardise(x), y", 1, "--mark", *schema)
    assert [line.endswith("bad") for line in done.stdout.split("\n")[2:-1]] == [False, True, True, True]
    _, found = numbers(folder, path, "standardise(x)", 1, "--missing", *schema)
    is_close(found[:, 0], (np.array([1, np.nan, 5, 3]) - 3) / np.std([1, 5, 3]))
    fails(folder, write(os.path.join(folder, "none.csv"), "x,y\n,1\n,2\n"), "standardise(x)", "holds no number",
          more=schema)


def mistakes_in_the_list_are_shown(folder):
    path, _ = table(folder, 20)
    fails(folder, path, "a, standardice(b)", "did you mean 'standardise'", "\n     ^")
    fails(folder, path, "a, min_max(ln(bb))", "no column 'bb'", "did you mean 'b'", "^")
    fails(folder, path, "a, state", "one_hot(state)", "^")
    fails(folder, path, "a, bucketise(b, 1)", "whole number from 2", "^")
    fails(folder, path, "standardise(one_hot(state))", "standardise takes numbers", "^")
    fails(folder, path, "impute(x, 'mode')", "'mean', 'median' or a number", "^")
    fails(folder, path, "a, b from t", "FROM")
    fails(folder, path, "standardise()", "wants a column", "^")
    dates = write(os.path.join(folder, "dates.csv"), "t,x\n2020-01-01 00:00:00,1\n2020-01-02 00:00:00,2\n")
    fails(folder, dates, None, "column 't' is a timestamp", "extract(epoch from t)")
    names, found = numbers(folder, dates, "extract(day from t) as day, x")
    assert names == ["day", "x"] and found[1, 0] == 2
    other = write(os.path.join(folder, "other.csv"), "a,c\n1,2\n")
    fails(folder, path, "a, b", "there is no column 'b'", more=("--predict", other))
    other = write(os.path.join(folder, "text.csv"), "a,b\n1,x\n")
    fails(folder, path, "a, b", "column 'b' is utf8, but was float64", more=("--predict", other))


def affine_columns_are_told(folder):
    path, t = table(folder, 300)
    done = drive(folder, path, "a, standardise(b), min_max(standardise(c)), ln(b), impute(x)", 1, "--affine")
    lines = done.stdout.split("\n")[2:-1]
    assert lines[0] == "a 0 1" and lines[3] == "-" and lines[4] == "-", lines
    column, shift, scale = lines[1].split(" ")
    assert column == "b" and abs(float(shift) - t["b"].mean()) < 1e-12 and abs(float(scale) * t["b"].std() - 1) < 1e-12
    column, shift, scale = lines[2].split(" ")
    is_close((t["c"] - float(shift)) * float(scale), (t["c"] - t["c"].min()) / (t["c"].max() - t["c"].min()))


def libsvm_files_are_read(folder):
    from sklearn.datasets import load_svmlight_file
    real = [shared_data("ml/agaricus.txt.train"), shared_data("ml/spark-mllib/sample_libsvm_data.txt")]
    made = "\n".join(f"{i % 3} " + " ".join(f"{j}:{(i * j) % 7 + 0.5}" for j in range(1 + i % 4, 40, 3))
                     for i in range(2000))
    paths = [path for path in real if path] + [write(os.path.join(folder, "made.txt"), made)]
    for path in paths:
        wanted = load_svmlight_file(path)[0].toarray()
        for n_ranks in RANKS:
            _, found = numbers(folder, path, "sparse(features), label", n_ranks, "--format", "libsvm")
            assert np.array_equal(found[:, :-1], wanted)
    bad = write(os.path.join(folder, "bad.txt"), "1 1:2\n# nothing\n\n0 3:1 2:1\n")
    fails(folder, bad, "sparse(features)", "bad.txt, line 4, byte 7", "indices must ascend",
          more=("--format", "libsvm"))


def images_are_read(folder):
    rng = np.random.default_rng(7)
    images = rng.integers(0, 256, (700, 5, 4), dtype=np.uint8)
    data = struct.pack(">BBBBIII", 0, 0, 8, 3, 700, 5, 4) + images.tobytes()
    plain = write(os.path.join(folder, "images"), data)
    packed = write(os.path.join(folder, "images.gz"), gzip.compress(data))
    flat = images.reshape(700, 20).astype(float)
    for path in (plain, packed):
        for n_ranks in RANKS:
            names, found = numbers(folder, path, "pixels(pixels), min_max(pixels(pixels))", n_ranks, "--format", "idx")
            assert names[3] == "pixels[3]"
            wanted = (flat - flat.min(0)) / (flat.max(0) - flat.min(0))
            is_close(found, np.column_stack([flat, wanted]))
    fails(folder, write(os.path.join(folder, "cut"), data[:-3]), None, "cut off", more=("--format", "idx"))


if __name__ == "__main__":
    sys.exit(run_tests([everything_at_once_is_what_sklearn_makes_on_any_number_of_ranks, words_weigh_as_in_sklearn,
                        sparse_rows_are_the_dense_ones, all_columns_are_taken_by_default, rare_and_unknown_categories,
                        missing_values_are_marked_or_named_or_kept, mistakes_in_the_list_are_shown,
                        affine_columns_are_told, libsvm_files_are_read, images_are_read]))
