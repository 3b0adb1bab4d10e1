# SPDX-License-Identifier: Apache-2.0
"""What the benchmark of training tells: qualities are those of scikit-learn, ratios and bounds what the runs were."""
import os
import sys

import numpy as np

from training_kit import ROOT, expect_close, make_classes, make_clusters, run_tests, write

sys.path.insert(0, os.path.join(ROOT, "bench"))
from training import quality, results  # noqa: E402
from training.tasks import TASKS, pick  # noqa: E402


class Arrays:
    """In place of the files of a benchmark."""

    def __init__(self, **arrays):
        self.arrays, self.rows = arrays, len(next(iter(arrays.values())))

    def load(self, name):
        return self.arrays[name.replace("-", "_")]


def qualities_are_those_of_scikit_learn(_):
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss, roc_auc_score
    from sklearn.mixture import GaussianMixture
    rng = np.random.default_rng(1)
    y, score = rng.integers(0, 2, 500), rng.integers(0, 40, 500) / 40
    expect_close(quality.area(score, y), roc_auc_score(y, score), 1e-12)
    table = make_classes(400, 5, 3)
    fitted = LogisticRegression(C=1 / (400 * quality.L2)).fit(table.x, table.y)
    found = quality.logistic(Arrays(train_x=table.x, train_y=table.y, test_x=table.x, test_y=table.y),
                             {"coefficients": fitted.coef_, "intercept": fitted.intercept_}, "y")
    expect_close(found["test log-loss"], log_loss(table.y, fitted.predict_proba(table.x)), 1e-9)
    x = make_clusters(300, 4, 3).x
    fitted = GaussianMixture(3, random_state=1).fit(x)
    found = quality.mixture(Arrays(train_x=x), {"weights": fitted.weights_, "means": fitted.means_, "covariances": fitted.covariances_})
    expect_close(found["log-likelihood"], fitted.score(x), 1e-9)


def row(engine, fit, note="", limit=0):
    said = {"fit": fit, "whole": 2 * fit, "cpu": 3 * fit, "note": note, "limit": limit, "quality": {"inertia": 1.5}}
    return results.row_of(next(task for task in TASKS if task.name == "kmeans"), engine, 0, said, 100)


def ratios_and_bounds_are_shown(folder):
    rows = [row("Quern", 1.0), row("Quern", 3.0), row("scikit-learn", 6.0), row("Spark", 0, "did not end within 90 s", 90)]
    path = os.path.join(folder, "runs.csv")
    results.write_runs(path, rows)
    _, peer, spark = results.lines(results.read_runs(path))
    assert (peer.ratio("fit"), peer.ratio("whole"), spark.ratio("fit")) == ("3.00", "3.00", "> 45.00")
    for text in ("a\n\n## Training\n\nb\n", "a\n<!-- training tasks -->\nold\n<!-- training end -->\nb\n"):
        page = write(os.path.join(folder, "page.md"), text)
        for _ in range(2):
            results.write_docs(rows, page)
        with open(page, encoding="utf-8") as file:
            written = file.read()
        assert written.count("did not end") == 1 and "old" not in written and written.startswith("a\n") and written.endswith("b\n")


def tasks_are_picked_by_name(_):
    assert pick([]) == pick(["training"]) == TASKS
    assert [task.name for task in pick(["training.pca", "training.mlp"])] == ["pca", "mlp"]
    try:
        pick(["training.nothing"])
    except SystemExit as told:
        assert "kmeans" in str(told)
    else:
        raise AssertionError("a task that is not there was taken")


if __name__ == "__main__":
    sys.exit(run_tests([qualities_are_those_of_scikit_learn, ratios_and_bounds_are_shown, tasks_are_picked_by_name]))
