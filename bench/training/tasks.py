# SPDX-License-Identifier: Apache-2.0
"""The tasks: what each engine is to learn, and how its quality is told."""
import dataclasses
from typing import Callable

import numpy as np

from training import quality, sklearn_peers, spark_peers
from training.data import N_COLUMNS
from training.sklearn_peers import (K, KMEANS_ITERATIONS, MIXTURE_ITERATIONS, MLP_LAYERS, N_COMPONENTS, N_MIXTURE,
                                    N_TREES_FOREST)


@dataclasses.dataclass(frozen=True)
class Task:
    name: str
    title: str
    peers: dict  # name of the peer -> (data, clock, threads) -> what was learned
    quality: Callable  # (data, learned) -> numbers by name
    quern: tuple  # estimator, label (or None), options of ours
    learned: Callable  # (arrays of the model, columns predicted or None) -> what quality takes
    predicts: str = ""  # the rows that ours is to predict, where the quality is that of predictions
    times_predict: bool = False  # what is timed is the prediction
    data: tuple = ("rows", "rows.parquet", "rows.stages")
    train: str = "train"
    gemm_type: type = np.float64  # in which ours multiplies matrices


FEATURES = ", ".join(f"x{i}" for i in range(N_COLUMNS))
S, M = "scikit-learn", "Spark"
LAYERS = " ".join(map(str, MLP_LAYERS))


def linear(model, _):
    return {"coefficients": model["coefficients"], "intercept": model["intercept"]}


def with_p(_, predicted):
    names = [name for name in predicted if name.startswith("p_")]
    return {"p": np.column_stack([predicted[name] for name in names]), "rows": predicted}


def with_prediction(_, predicted):
    return {"prediction": predicted["prediction"], "rows": predicted}


def mixture(model, _):
    n_columns = model["means"].shape[1]
    return {"weights": model["weights"], "means": model["means"],
            "covariances": model["covariances"].reshape(-1, n_columns, n_columns)}


def factors(model, _):
    """Users and items by their numbers in the data; those not seen are 0."""
    made = {}
    for what in ("user", "item"):
        numbers, values = model[f"{what}_values"], model[f"{what}_factors"]
        made[f"{what}s"] = np.zeros((int(numbers.max()) + 1, values.shape[1]))
        made[f"{what}s"][numbers] = values
    return made


def of_classes(label, part="test"):
    return lambda data, learned: quality.probabilities(data, learned, label, part)


RATINGS = {"data": ("ratings", "ratings.files"), "train": "train-ratings"}

TASKS = [
    Task("ridge", "ridge regression", {S: sklearn_peers.ridge, M: spark_peers.linear(spark_peers.ridge, "number")},
         quality.ridge, ("linear", "number", {"l2": quality.RIDGE}), linear),
    Task("lasso", "lasso", {S: sklearn_peers.lasso, M: spark_peers.linear(spark_peers.lasso, "number")},
         quality.lasso, ("elastic_net", "number", {"alpha": quality.ALPHA}), linear),
    Task("logistic", "logistic regression",
         {S: sklearn_peers.logistic("binary", "lbfgs"), "scikit-learn newton": sklearn_peers.logistic("binary", "newton-cholesky"),
          M: spark_peers.linear(spark_peers.logistic, "binary")},
         lambda data, learned: quality.logistic(data, learned, "binary"), ("logistic", "binary", {"l2": quality.L2}), linear),
    Task("softmax", "softmax regression, 10 classes",
         {S: sklearn_peers.logistic("class", "lbfgs"), M: spark_peers.linear(spark_peers.logistic, "class")},
         lambda data, learned: quality.logistic(data, learned, "class"), ("logistic", "class", {"l2": quality.L2}), linear),
    Task("svm", "linear SVM", {S: sklearn_peers.svm, M: spark_peers.linear(spark_peers.svm, "binary")},
         quality.svm, ("svm", "binary", {"l2": quality.L2}), linear),
    Task("bayes", "Gaussian naive Bayes, 10 classes",
         {S: sklearn_peers.bayes, M: spark_peers.with_p(spark_peers.bayes, "class")}, of_classes("class"),
         ("bayes", "class", {}), with_p, predicts="test"),
    Task("kmeans", f"k-means, k = {K}, {KMEANS_ITERATIONS} iterations", {S: sklearn_peers.kmeans, M: spark_peers.kmeans}, quality.inertia,
         ("kmeans", None, {"k": K, "max_iterations": KMEANS_ITERATIONS}), lambda model, _: {"centres": model["centres"]}),
    Task("mixture", f"Gaussian mixture, k = {N_MIXTURE}, full, {MIXTURE_ITERATIONS} iterations", {S: sklearn_peers.mixture, M: spark_peers.mixture},
         quality.mixture, ("mixture", None, {"k": N_MIXTURE, "max_iterations": MIXTURE_ITERATIONS, "tolerance": 0}), mixture),
    Task("pca", f"{N_COMPONENTS} principal components",
         {S: sklearn_peers.pca, "scikit-learn randomised": sklearn_peers.pca_randomised, M: spark_peers.pca}, quality.pca,
         ("pca", None, {"k": N_COMPONENTS}), lambda model, _: {"components": model["components"]}),
    Task("gbdt", "100 boosted trees",
         {"LightGBM": sklearn_peers.gbdt, S: sklearn_peers.gbdt_sklearn, M: spark_peers.with_p(spark_peers.gbdt, "curved")},
         of_classes("curved"), ("gbdt", "curved", {}), with_p, predicts="test"),
    Task("forest", f"random forest, {N_TREES_FOREST} trees",
         {S: sklearn_peers.forest, M: spark_peers.with_p(spark_peers.forest, "curved")}, of_classes("curved"),
         ("forest", "curved", {"n_trees": N_TREES_FOREST, "min_leaf_rows": 10}), with_p, predicts="test"),
    Task("mlp", f"perceptron of {LAYERS}, one epoch",
         {S: sklearn_peers.mlp(np.float64), "scikit-learn float32": sklearn_peers.mlp(np.float32), M: spark_peers.with_p(spark_peers.mlp, "class")},
         of_classes("class"), ("mlp", "class", {"layers": LAYERS, "batch_rows": 1024, "max_epochs": 1}), with_p, predicts="test",
         gemm_type=np.float32),
    Task("neighbours", "5 nearest among a tenth of the rows", {S: sklearn_peers.neighbours},
         lambda data, learned: quality.accuracy(data, learned, "class", "few-test"),
         ("neighbours", "class", {"classes": True}), with_prediction, predicts="few-test", times_predict=True,
         train="few-train"),
    Task("als", "ALS of ratings, 16 factors", {M: spark_peers.als(False)}, quality.explicit,
         ("als", "rating", {"k": 16, "l2": 0.03, "max_iterations": 10}), with_prediction, predicts="test-ratings", **RATINGS),
    Task("implicit", "implicit ALS, 32 factors", {"implicit": sklearn_peers.als_implicit, M: spark_peers.als(True)},
         quality.implicit, ("als", None, {"implicit": True, "k": 32, "l2": 0.1, "unweighted_l2": True, "max_iterations": 15}),
         factors, **RATINGS),
]


def find(name):
    return next(task for task in TASKS if task.name == name)


def pick(names):
    """training: all; training.kmeans: one."""
    chosen = {name.split(".", 1)[1] if "." in name else None for name in names}
    unknown = chosen - {None} - {task.name for task in TASKS}
    if unknown:
        raise SystemExit(f"there is no task 'training.{unknown.pop()}'; there are: {', '.join(task.name for task in TASKS)}")
    return [task for task in TASKS if not names or None in chosen or task.name in chosen]
