# SPDX-License-Identifier: Apache-2.0
"""Rows and options that nothing can be learned from: a message that says what and where, and no model; and what is handled
all the same."""
import os
import sys

import numpy as np

from estimator_cases import FOUR, HEAPS, NUMBERS, TWO, estimators, every_case
from training_kit import (RANKS, Table, Training, evaluate, expect_close, expect_same_bytes, make_numbers, messages,
                          predict, quern, read_model, run_tests, succeeds, train, train_fails, try_train)

TAKE_MISSING = {"gbdt", "forest"}


def refused(folder, *arguments, **options):
    """On one rank, which starts sooner; that all ranks stop is shown where the rows are told of."""
    return train_fails(folder, *arguments, n_ranks=1, **options)


def with_value(table, column, row, value):
    """The same with another value in one place, as text where it is one."""
    values = table.columns[column].astype(object if isinstance(value, str) or value is None else float)
    values[row] = value
    return Table({**table.columns, column: values}, table.label)


def finite(path):
    return all(np.isfinite(values).all() for name, values in read_model(path).items()
               if isinstance(values, np.ndarray) and values.dtype.kind == "f" and not name.startswith("curve"))


def a_feature_without_a_value_is_told(folder):
    for name, estimator, table, options in every_case():
        if estimator in TAKE_MISSING | {"als"} or " " in name:
            continue
        column = table.features[1]
        for n_ranks, value in ((1, None), (1, "NaN"), (3, "inf")):
            data = with_value(table, column, 17, value).write_csv(os.path.join(folder, "rows.csv"))
            train_fails(folder, estimator, data, label=table.label, n_ranks=n_ranks,
                        says=("rows.csv", column, "filter" if value == "inf" else "impute"), **options)


def trees_take_missing_values(folder):
    rng = np.random.default_rng(1)
    for estimator in sorted(TAKE_MISSING):
        holes = {name: np.where(rng.uniform(size=len(FOUR)) < 0.2, np.nan, FOUR.columns[name]) for name in FOUR.features}
        table = Table({**holes, FOUR.label: FOUR.y}, FOUR.label)
        model = train(folder, estimator, table, n_trees=5)
        assert finite(model)
        assert set(predict(folder, model, table)["prediction"]) <= set(FOUR.y)


def constant_and_empty_columns_do_no_harm(folder):
    for name, estimator, table, options in every_case():
        if estimator == "als" or name == "bayes multinomial":
            continue
        constant = Table({**table.columns, "constant": np.full(len(table), 3.5)}, table.label)
        assert finite(train(folder, estimator, constant, n_ranks=1, **options)), name
    gone = Table({**NUMBERS.columns, "gone": np.full(len(NUMBERS), np.nan)}, NUMBERS.label)
    train_fails(folder, "linear", gone, says="gone", features="x0, standardise(impute(gone))", out="gone.h5")


def labels_must_be_there_and_tell_apart(folder):
    same = Table({**TWO.columns, TWO.label: np.full(len(TWO), "ash")}, TWO.label)
    for estimator in ("logistic", "svm", "bayes", "gbdt", "forest", "mlp"):
        refused(folder, estimator, same, says=("'y'", "same value"))
        refused(folder, estimator, with_value(TWO, "y", 5, None), says=("'y'", "null"))
    for estimator, options in (("linear", {}), ("elastic_net", {}), ("gbdt", {"task": "regression"}), ("mlp", {"task": "regression"})):
        refused(folder, estimator, TWO, says=("'y'", "must be a number"), **options)
        for value in (None, "NaN", "inf"):
            refused(folder, estimator, with_value(NUMBERS, "y", 5, value), says="the label is", **options)
    refused(folder, "logistic", NUMBERS, says="fractions are no classes")
    refused(folder, "logistic", TWO.only("x0", "x1"), label="z", says="'z'")
    for estimator in ("logistic", "linear"):
        refused(folder, estimator, Table({"x": [1.0, 2.0], "price": [1.0, 3.0]}), label="prise", says="did you mean 'price'?")
    complaints = refused(folder, "linear", NUMBERS, qiet=1, says="did you mean --quiet?")
    assert complaints[0].count("quern train linear") == 1, complaints
    refused(folder, "logistic", TWO.only(*TWO.features), says="logistic learns a label")
    refused(folder, "kmeans", TWO, says="learns no label", features="x0, x1")


def weights_must_be_numbers_from_zero(folder):
    for value, says in ((-1.0, "at least 0"), (None, "at least 0")):
        table = Table({**NUMBERS.columns, "w": np.ones(len(NUMBERS))}, NUMBERS.label)
        refused(folder, "linear", with_value(table, "w", 3, value), says=says, weight="w", features="x0, x1")
    table = Table({**NUMBERS.columns, "w": np.zeros(len(NUMBERS))}, NUMBERS.label)
    refused(folder, "linear", table, says="weights", weight="w", features="x0, x1")


def neighbours_are_named_by_a_column_that_is_there(folder):
    names = Table({"sku": np.array([f"n {i % 40}" for i in range(50)]), "x": np.arange(50.0)})
    refused(folder, "neighbours", names, says=("'skew'", "id"), id="skew")
    refused(folder, "neighbours", with_value(names, "sku", 3, None), says=("id 'sku'", "null"), id="sku")
    refused(folder, "neighbours", names, says="only 50 rows", k=51, id="sku")
    refused(folder, "neighbours", NUMBERS, says="leave 'y' out", list=True)
    refused(folder, "neighbours", names, says="no use for weights", id="sku", weight="x")
    many = Table({"x": np.arange(1200.0)})
    refused(folder, "neighbours", many, says="1000", k=1001)


def there_must_be_enough_rows(folder):
    few = HEAPS.rows(slice(0, 5))
    refused(folder, "kmeans", few, says="5", k=6)
    refused(folder, "mixture", few, says="5", k=6)
    refused(folder, "neighbours", NUMBERS.rows(slice(0, 3)), says="3", k=4)
    refused(folder, "pca", HEAPS, says="5", k=6)
    same = Table({name: np.full(50, 1.0) for name in HEAPS.features})
    refused(folder, "kmeans", same, says="different", k=2)
    none = HEAPS.rows(slice(0, 0))
    refused(folder, "pca", none, features="x0, x1", says="")


def numbers_that_an_estimator_cannot_take_are_told(folder):
    refused(folder, "bayes", TWO, kind="multinomial", says="negative")
    refused(folder, "mlp", NUMBERS, task="regression", descent="sgd", learning_rate=1e6, says=("diverges", "learning rate"))


def options_out_of_range_are_told(folder):
    for estimator, options, says in (("logistic", {"l2": -1}, "l2"), ("kmeans", {"k": 0}, "k"), ("gbdt", {"max_bins": 1}, "max_bins"),
                                     ("mlp", {"activation": "sinus"}, "relu tanh"), ("mlp", {"layers": "0"}, "layers"),
                                     ("pca", {"k": "many"}, "k"), ("gbdt", {"learning_rate": "NaN"}, "learning_rate")):
        label = None if estimator in ("kmeans", "pca") else "y"
        refused(folder, estimator, TWO if label else HEAPS, label=label, says=says, **options)
    refused(folder, "logistik", TWO, says="logistic")


def a_model_says_what_it_misses(folder):
    model = train(folder, "linear", NUMBERS)
    done = quern(2, "predict", "--model", model, "--data", NUMBERS.only("x0", "x1").write_csv(os.path.join(folder, "few.csv")),
                 "--out", "p.csv", folder=folder)
    assert done.returncode == 1 and any("x2" in line for line in messages(done)), messages(done)
    holes = predict(folder, model, with_value(NUMBERS, "x1", 4, None))["prediction"]
    assert np.isnan(holes[4]) and np.isfinite(np.delete(holes, 4)).all()
    learned = read_model(model)["learned_coefficients"].tobytes()
    with open(model, "r+b") as file:  # a bit of what was learned
        place = file.read().index(learned)
        file.seek(place)
        file.write(bytes([learned[0] ^ 1]))
    done = quern(1, "predict", "--model", model, "--data", os.path.join(folder, "train.csv"), "--out", "p.csv", folder=folder)
    assert done.returncode == 1 and any("model.h5" in line for line in messages(done)), messages(done)


# Every estimator but als, which has no rows of numbers, and neighbours, whose model is the rows: label and options.
TIGHT = {
    "linear": ("y", {}), "elastic_net": ("y", {"alpha": 0.1}), "logistic": ("c", {"max_iterations": 3}),
    "svm": ("c", {"max_iterations": 3}), "bayes": ("c", {}), "kmeans": (None, {"k": 4, "max_iterations": 3}),
    "mixture": (None, {"k": 2, "max_iterations": 3}), "pca": (None, {"k": 3}), "svd": (None, {"k": 3}),
    "gbdt": ("c", {"n_trees": 3}), "forest": ("c", {"n_trees": 2, "min_leaf_rows": 50}),
    "mlp": ("c", {"layers": "8", "max_epochs": 1}),
}


def rows_larger_than_the_budget_are_mapped(folder):
    table = make_numbers(60000, 40)  # 19 MB of numbers
    table = Table({**table.columns, "c": (table.y > np.median(table.y)).astype(int)}, "y")
    data = table.write_csv(os.path.join(folder, "rows.csv"))
    given = {"features": ", ".join(f"x{i}" for i in range(40))}
    small = {**given, "memory": "2400KiB", "scratch": os.path.join(folder, "scratch")}
    os.mkdir(small["scratch"])
    wanted = read_model(train(folder, "linear", data, label="y", n_ranks=1, out="whole.h5", **given))["learned_coefficients"]
    missing = estimators() - set(TIGHT) - {"als", "neighbours"}
    assert not missing, f"no training in little memory of: {missing}"
    wrong = []
    for name, (label, options) in TIGHT.items():
        running = Training(folder, name, data, 1, label=label, out=f"{name}.h5", **small, **options)
        own = running.peak_own_memory()
        if own > 25e6 or not os.path.exists(os.path.join(folder, f"{name}.h5")):
            wrong.append(f"{name}: {own / 1e6:.0f} MB of its own, with 2.4 MB for rows of 19 MB, exit code {running.process.returncode}")
    assert not wrong, "\n  ".join(["", *wrong])
    found = read_model(os.path.join(folder, "linear.h5"))["learned_coefficients"]
    expect_close(found, wanted, 1e-9, "coefficients")
    label, options = TIGHT["forest"]
    expect_same_bytes([train(folder, "forest", data, label=label, n_ranks=2, out="plenty.h5", **given, **options)]
                      + [train(folder, "forest", data, label=label, n_ranks=n, out=f"{n}.h5", **small, **options) for n in RANKS])
    done = succeeds(try_train(folder, "gbdt", data, label="y", n_ranks=2, **small, task="regression", n_trees=5))
    assert evaluate(folder, os.path.join(folder, "model.h5"), data)["r2"] > 0.1, done.stdout
    assert os.listdir(small["scratch"]) == [], os.listdir(small["scratch"])


if __name__ == "__main__":
    sys.exit(run_tests([a_feature_without_a_value_is_told, trees_take_missing_values, constant_and_empty_columns_do_no_harm,
                        labels_must_be_there_and_tell_apart, weights_must_be_numbers_from_zero, neighbours_are_named_by_a_column_that_is_there, there_must_be_enough_rows,
                        numbers_that_an_estimator_cannot_take_are_told, options_out_of_range_are_told,
                        a_model_says_what_it_misses, rows_larger_than_the_budget_are_mapped]))
