# SPDX-License-Identifier: Apache-2.0
"""Models as ONNX, run by onnxruntime; the search for options; and the jobs to copy."""
import os
import sys

import numpy as np

from estimator_cases import CASES, NUMBERS, every_case, texts_of
from training_kit import (SINGLE_THREAD, Table, expect_close, make_classes, make_clusters, make_numbers, make_ratings, predict,
                          probabilities, quern, read_table, run, run_tests, succeeds, train)

SCALED = {"linear", "logistic", "logistic softmax", "svm", "mlp"}


def run_onnx(path, x):
    import onnxruntime
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {session.get_inputs()[0].name: x.astype(np.float32)})))


def array_of(value, names):
    """Probabilities as [n_rows, n_classes]: runtimes give a list of dictionaries for trees."""
    if isinstance(value, list):
        return np.array([[row[name] if name in row else row[int(name)] for name in names] for row in value], float)
    return np.asarray(value, float).reshape(len(value), -1)


def onnx_says_what_we_say(folder):
    seen = []
    more = [("neighbours of numbers", "neighbours", NUMBERS, {"k": 4}),
            ("near neighbours", "neighbours", CASES["neighbours"][1], {"k": 4, "weights_by_distance": True})]
    for name, estimator, table, options in every_case() + more:
        if estimator == "als" or name == "neighbours listed":
            continue
        features = "standardise(*)" if name in SCALED else None
        model = train(folder, estimator, table, features=features, **options)
        out = os.path.join(folder, "model.onnx")
        succeeds(quern(1, "export-onnx", "--model", model, "--out", out, folder=folder))
        wanted = predict(folder, model, table)
        found = run_onnx(out, table.x if table.label is None or table.y.dtype.kind == "U" else table.only(*table.features).x)
        added = {key: values for key, values in wanted.items() if key not in table.columns}
        if any(key.startswith("p_") for key in added):
            classes = [key[2:] for key in added if key.startswith("p_")]
            mine = probabilities(added)
            theirs = [array_of(value, classes) for value in found.values() if not hasattr(value, "ndim") or value.ndim == 2]
            assert any(value.shape == mine.shape and np.max(np.abs(value - mine)) < 2e-3 * max(1, np.abs(mine).max()) for value in theirs), name
        elif "cluster" in added:
            numbers = [np.asarray(value).ravel() for value in found.values() if np.asarray(value).size == len(table)]
            assert any(np.mean(value == added["cluster"]) > 0.995 for value in numbers), name
        else:
            mine = np.column_stack(list(added.values()))
            theirs = np.asarray(next(iter(found.values())), float).reshape(len(table), -1)
            expect_close(theirs, mine, 2e-4, name)
        seen.append(name)
    assert len(seen) >= 14, seen


def onnx_rates_pairs_as_we_do(folder):
    import onnxruntime
    ratings = make_ratings(2000, 50, 40)
    for user in (ratings.columns["user"] * 3, np.array([f"Ä {value}" for value in ratings.columns["user"]])):
        table = Table({**ratings.columns, "user": user}, "rating")
        model = train(folder, "als", table, features="user, item", k=4)
        out = os.path.join(folder, "model.onnx")
        succeeds(quern(1, "export-onnx", "--model", model, "--out", out, folder=folder))
        session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
        wanted = predict(folder, model, table)["prediction"]
        asked = user.astype(object) if user.dtype.kind == "U" else user.astype(np.int64)
        item = table.columns["item"].astype(np.int64)
        found, = session.run(None, {"user": asked, "item": item})
        expect_close(found, wanted, 1e-5, "predictions")
        item[0] = 10 ** 9
        found, = session.run(None, {"user": asked, "item": item})
        assert np.isnan(found[0]) and not np.isnan(found[1:]).any(), "an item that is not known"


def onnx_takes_no_steps_of_text(folder):
    table = Table({"x": np.array(["a", "b"] * 50), "y": np.arange(100.0)}, "y")
    done = quern(1, "export-onnx", "--model", train(folder, "neighbours", make_clusters(20, 3).only("x0", "x1"), k=2, out="listed.h5"),
                 "--out", "none.onnx", folder=folder)
    assert done.returncode != 0 and "lists rows" in done.stderr, done.stderr
    model = train(folder, "linear", table)
    done = quern(1, "export-onnx", "--model", model, "--out", os.path.join(folder, "none.onnx"), folder=folder)
    assert done.returncode != 0 and "x=a" in done.stderr and not os.path.exists(os.path.join(folder, "none.onnx")), done.stderr


def a_search_finds_the_best_on_any_number_of_ranks(folder):
    table = make_numbers(600, 12, noise=3, seed=4)
    data = table.write_csv(os.path.join(folder, "rows.csv"))
    means = []
    for n_ranks in (1, 2, 3, 5):
        done = succeeds(quern(n_ranks, "search", "linear", "--data", data, "--label", "y", "--grid", "l2=0.01,1,1e5", "--folds", "3",
                              "--results", f"found{n_ranks}.csv", folder=folder))
        rows = read_table(os.path.join(folder, f"found{n_ranks}.csv"))
        assert len(rows["mean"]) == 3 and np.all(np.diff(rows["mean"]) >= 0), done.stdout
        assert "l2=1e5" in rows["options"][2]
        means.append(rows["mean"])
    for others in means[1:]:
        expect_close(others, means[0], 1e-9, "means")


def clusters_and_ratings_are_searched_too(folder):
    heaps = make_clusters(400, 4, 5, seed=3).write_csv(os.path.join(folder, "heaps.csv"))
    ratings = make_ratings(2000, 60, 50).write_csv(os.path.join(folder, "ratings.csv"))
    by_features, by_pairs = ["--features", "x0, x1, x2, x3"], ["--features", "user, item", "--max-iterations", "4", "--k", "3"]
    for estimator, data, arguments, grid, best in (
            ("kmeans", heaps, by_features, "k=3,5,7", "k=5"), ("mixture", heaps, [*by_features, "--metric", "silhouette"], "k=3,5", "k=5"),
            ("als", ratings, [*by_pairs, "--label", "rating"], "l2=0.1,100", "l2=0.1"),
            ("als", ratings, [*by_pairs, "--implicit"], "alpha=1,2", "alpha")):
        means = []
        for n_ranks in (1, 3):
            succeeds(quern(n_ranks, "search", estimator, "--data", data, *arguments, "--grid", grid, "--folds", "2",
                           "--results", "found.csv", folder=folder))
            rows = read_table(os.path.join(folder, "found.csv"))
            assert best in rows["options"][0], (estimator, rows)
            means.append(rows["mean"])
        expect_close(means[1], means[0], 1e-6, estimator)


def a_metric_that_does_not_fit_is_refused_before_anything_is_tried(folder):
    heaps = make_clusters(100, 3, 2).write_csv(os.path.join(folder, "heaps.csv"))
    for estimator, metric, says in (("kmeans", "rmse", "no metric 'rmse' of kmeans; there are: silhouette, inertia"),
                                    ("mixture", "inertia", "there are: log_likelihood, silhouette"),
                                    ("pca", "silhouette", "there are: explained_variance"),
                                    ("linear", "accuracy", "there are: rmse, mae, r2"),
                                    ("als", "auc", "there are: rmse, ndcg, mae, r2, recall"),
                                    ("neighbours", "ndcg", "there are: rmse, log_loss, accuracy, mae")):
        done = quern(2, "search", estimator, "--data", heaps, "--label", "y", "--metric", metric, folder=folder)
        assert done.returncode != 0 and says in done.stderr, done.stderr
    done = quern(2, "search", "kmeans", "--data", heaps, "--grid", "k=1", "--folds", "2", folder=folder)
    assert done.returncode != 0 and "gives a number to go by; there is: inertia" in done.stderr, done.stderr
    done = quern(2, "search", "kmeans", "--data", heaps, "--label", "y", "--grid", "k=1", "--folds", "2", folder=folder)
    assert done.returncode != 0 and "learns no label" in done.stderr, done.stderr


def a_grid_with_a_wrong_option_is_refused(folder):
    data = make_numbers(100, 3).write_csv(os.path.join(folder, "rows.csv"))
    done = quern(2, "search", "linear", "--data", data, "--label", "y", "--grid", "l3=1,2", "--output", "found", folder=folder)
    assert done.returncode != 0 and "l3" in done.stderr, done.stderr


def jobs_to_copy_run(folder):
    classes, numbers, ratings = texts_of(make_classes(800, 5, 3)), make_numbers(800, 5), make_ratings(4000, 80, 60)
    paths = {name: table.write_csv(os.path.join(folder, f"{name}.csv"))
             for name, table in (("classes", classes), ("numbers", numbers), ("ratings", ratings), ("heaps", make_clusters(500, 4, 3)))}
    for job, arguments in (("train_logistic", ["--data", paths["classes"], "--label", "y"]),
                           ("train_gbdt", ["--data", paths["classes"], "--label", "y"]),
                           ("train_mlp", ["--data", paths["classes"], "--label", "y"]),
                           ("train_kmeans", ["--data", paths["heaps"]]),
                           ("train_als", ["--data", paths["ratings"], "--user", "user", "--item", "item"]),
                           ("train_grid_search", ["--data", paths["classes"], "--label", "y", "--folds", "2"])):
        help_text = succeeds(run(1, f"jobs/{job}", "--help")).stdout
        known = [argument for argument in arguments if argument.startswith("--")]
        assert all(argument in help_text for argument in known), f"{job} --help: {help_text}"
        done = succeeds(run(2, f"jobs/{job}", *arguments, "--output", os.path.join(folder, job), folder=folder, env=SINGLE_THREAD))
        assert os.path.exists(done.stdout.strip().splitlines()[-1]) or os.path.exists(os.path.join(folder, job)), f"{job}: {done.stdout}"


if __name__ == "__main__":
    sys.exit(run_tests([onnx_says_what_we_say, onnx_rates_pairs_as_we_do, onnx_takes_no_steps_of_text, a_search_finds_the_best_on_any_number_of_ranks,
                        clusters_and_ratings_are_searched_too, a_metric_that_does_not_fit_is_refused_before_anything_is_tried,
                        a_grid_with_a_wrong_option_is_refused, jobs_to_copy_run]))
