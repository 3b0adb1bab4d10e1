# SPDX-License-Identifier: Apache-2.0
"""A small training of every estimator, for the tests that go through all of them."""
import re

import numpy as np

from training_kit import Table, make_classes, make_clusters, make_numbers, make_ratings, quern, succeeds


def texts_of(table):
    """The same with the names of classes for their numbers."""
    names = np.array(["ash", "beech", "cedar", "doum"])
    return Table({**table.columns, table.label: names[table.y]}, table.label)


def without_label(table):
    return table.only(*table.features)


def counts():
    """Columns of whole numbers, as of words, that differ by class."""
    rng = np.random.default_rng(8)
    y = rng.integers(0, 3, 500)
    rates = rng.uniform(0.2, 4, size=(3, 6))
    return Table({**{f"w{i}": rng.poisson(rates[y, i]) for i in range(6)}, "y": y}, "y")


NUMBERS = make_numbers(700, 6)
TWO = texts_of(make_classes(700, 6, 2))
FOUR = texts_of(make_classes(700, 6, 4))
HEAPS = without_label(make_clusters(700, 5, 4))
RATINGS = make_ratings(3000, 60, 50)

# name -> (estimator, rows, options)
CASES = {
    "linear": ("linear", NUMBERS, {"l2": 0.5}),
    "linear lbfgs": ("linear", NUMBERS, {"l2": 0.5, "solver": "lbfgs"}),
    "elastic_net": ("elastic_net", NUMBERS, {"alpha": 0.1, "l1_ratio": 0.7}),
    "elastic_net rows": ("elastic_net", NUMBERS, {"alpha": 0.1, "solver": "rows", "tolerance": 1e-5}),
    "logistic": ("logistic", TWO, {}),
    "logistic softmax": ("logistic", FOUR, {"l2": 0.01}),
    "logistic mini_batch": ("logistic", FOUR, {"solver": "mini_batch", "max_iterations": 3, "batch_rows": 64}),
    "svm": ("svm", FOUR, {}),
    "bayes": ("bayes", FOUR, {}),
    "bayes multinomial": ("bayes", counts(), {"kind": "multinomial"}),
    "kmeans": ("kmeans", HEAPS, {"k": 5, "n_starts": 2}),
    "mixture": ("mixture", HEAPS, {"k": 3}),
    "mixture diagonal": ("mixture", HEAPS, {"k": 3, "covariance": "diagonal"}),
    "pca": ("pca", HEAPS, {"k": 3}),
    "svd": ("svd", HEAPS, {"k": 3, "method": "randomised"}),
    "neighbours": ("neighbours", TWO, {"k": 3}),
    "neighbours listed": ("neighbours", HEAPS, {"k": 3}),
    "gbdt": ("gbdt", FOUR, {"n_trees": 6, "max_leaves": 8, "row_fraction": 0.8}),
    "gbdt numbers": ("gbdt", NUMBERS, {"task": "regression", "n_trees": 6, "max_leaves": 8}),
    "forest": ("forest", FOUR, {"n_trees": 6, "max_leaves": 16}),
    "forest numbers": ("forest", NUMBERS, {"task": "regression", "n_trees": 4, "max_leaves": 16}),
    "mlp": ("mlp", FOUR, {"layers": "8", "max_epochs": 3, "batch_rows": 64}),
    "mlp numbers": ("mlp", NUMBERS, {"task": "regression", "layers": "8 4", "max_epochs": 3, "descent": "sgd"}),
    "als": ("als", RATINGS, {"features": "user, item", "k": 4, "max_iterations": 4}),
    "als implicit": ("als", without_label(RATINGS), {"features": "user, item", "implicit": True, "k": 4, "max_iterations": 3}),
}


def estimators():
    """The names that `quern train` knows."""
    text = succeeds(quern(1, "train", "--help")).stdout
    return set(re.findall(r"^  (\w+) ", text.split("Estimators:")[1], re.MULTILINE))


def every_case(*wanted):
    """(name, estimator, rows, options): all, or those wanted; without those whose estimator is not in this build."""
    known = estimators()
    return [(name, *case) for name, case in CASES.items() if case[0] in known and (not wanted or name in wanted)]
