# SPDX-License-Identifier: Apache-2.0
"""Metrics against those of scikit-learn on the same predictions, on any number of ranks; and how the command says what
is wrong with its options."""
import os
import sys

import numpy as np

from training_kit import (Table, evaluate, make_classes, make_clusters, make_numbers, messages, parse_metrics, predict,
                          probabilities, quern, read_model, run_tests, succeeds, train)

CLOSE = 1e-9  # the command prints ten digits


def expect_metrics(folder, name, model, table, wanted, n_ranks=(3,)):
    for n_ranks in n_ranks:
        found = evaluate(folder, model, table, n_ranks=n_ranks)
        for metric, value in wanted.items():
            assert abs(found[metric] - value) <= CLOSE * abs(value), f"{name} on {n_ranks} ranks: {metric} {found[metric]}, not {value}"
        assert found["rows"] == len(table), found


def with_ties():
    """Two classes by one column of few values: most scores occur often."""
    table = make_classes(2000, 3)
    return Table({"x0": table.columns["x0"].round(), "y": table.y}, "y")


def classes_are_judged_as_by_scikit_learn(folder):
    from sklearn import metrics
    cases = [("ties", "logistic", with_ties(), {}), ("margins", "svm", with_ties(), {}),
             ("four classes", "logistic", make_classes(2000, 5, 4), {}),
             ("shares", "forest", with_ties(), {"n_trees": 5, "max_depth": 2})]
    for name, estimator, table, options in cases:
        model = train(folder, estimator, table, **options)
        predicted = predict(folder, model, table)
        shares, label, labels = probabilities(predicted), predicted["prediction"], table.y
        mean = "binary" if shares.shape[1] == 2 else "macro"
        wanted = {"accuracy": metrics.accuracy_score(labels, label), "f1": metrics.f1_score(labels, label, average=mean),
                  "precision": metrics.precision_score(labels, label, average=mean),
                  "recall": metrics.recall_score(labels, label, average=mean)}
        if estimator != "svm":
            wanted["log_loss"] = metrics.log_loss(labels, shares)
        if shares.shape[1] == 2:
            wanted["auc"] = metrics.roc_auc_score(labels, shares[:, 1])
        expect_metrics(folder, name, model, table, wanted, n_ranks=(1, 5) if name == "ties" else (3,))


def numbers_and_clusters_are_judged_as_by_scikit_learn(folder):
    from scipy import stats
    from sklearn import metrics
    table = make_numbers(1000)
    model = train(folder, "linear", table)
    found = predict(folder, model, table)["prediction"]
    expect_metrics(folder, "numbers", model, table,
                   {"rmse": np.sqrt(metrics.mean_squared_error(table.y, found)), "r2": metrics.r2_score(table.y, found),
                    "mae": metrics.mean_absolute_error(table.y, found)})
    made = make_clusters(1000)
    table = made.only(*made.features)
    model = train(folder, "kmeans", table, k=4)
    found = predict(folder, model, table)
    expect_metrics(folder, "clusters", model, table,
                   {"inertia": (found["distance"] ** 2).sum(), "silhouette": metrics.silhouette_score(table.x, found["cluster"])})
    for covariance in ("full", "diagonal"):
        model = train(folder, "mixture", table, k=4, covariance=covariance)
        arrays = {name: np.asarray(read_model(model)[f"learned_{name}"]) for name in ("weights", "means", "covariances")}
        shape = (4, *[table.x.shape[1]] * (2 if covariance == "full" else 1))
        densities = [w * stats.multivariate_normal(m, c if covariance == "full" else np.diag(c)).pdf(table.x)
                     for w, m, c in zip(arrays["weights"], arrays["means"], arrays["covariances"].reshape(shape))]
        expect_metrics(folder, covariance, model, table, {"log_likelihood": np.log(np.sum(densities, axis=0)).mean()})


def weights_count_as_by_scikit_learn(folder):
    from sklearn import metrics
    rng = np.random.default_rng(9)
    for estimator, table in (("logistic", with_ties()), ("logistic", make_classes(1000, 4, 3)), ("linear", make_numbers(1000))):
        w = rng.integers(0, 4, len(table)) / 2
        table = Table({**table.columns, "w": w}, table.label)
        model = train(folder, estimator, table, weight="w", out="weighted.h5")
        predicted = predict(folder, model, table)
        y, found = table.y, predicted["prediction"]
        if estimator == "linear":
            wanted = {"rmse": np.sqrt(metrics.mean_squared_error(y, found, sample_weight=w)),
                      "mae": metrics.mean_absolute_error(y, found, sample_weight=w),
                      "r2": metrics.r2_score(y, found, sample_weight=w)}
            plain = {"rmse": np.sqrt(metrics.mean_squared_error(y, found))}
        else:
            p = probabilities(predicted)
            mean = "binary" if p.shape[1] == 2 else "macro"
            wanted = {"accuracy": metrics.accuracy_score(y, found, sample_weight=w), "log_loss": metrics.log_loss(y, p, sample_weight=w),
                      "precision": metrics.precision_score(y, found, average=mean, sample_weight=w),
                      "recall": metrics.recall_score(y, found, average=mean, sample_weight=w),
                      "f1": metrics.f1_score(y, found, average=mean, sample_weight=w)}
            if p.shape[1] == 2:
                wanted["auc"] = metrics.roc_auc_score(y, p[:, 1], sample_weight=w)
        expect_metrics(folder, f"weighted {estimator}", model, table, wanted)
        data = os.path.join(folder, "evaluate.csv")
        for arguments, expected in ((["--no-weight"], plain), (["--weight", "w"], wanted)) if estimator == "linear" else ():
            done = succeeds(quern(2, "evaluate", "--model", model, "--data", data, *arguments, folder=folder))
            for name, value in expected.items():
                assert abs(parse_metrics(done.stdout)[name] - value) <= CLOSE * abs(value), (arguments, name, done.stdout)
    bare = table.only(*[name for name in table.columns if name != "w"]).write_csv(os.path.join(folder, "bare.csv"))
    complaint = messages(quern(2, "evaluate", "--model", model, "--data", bare, folder=folder))[0]
    assert "'w'" in complaint and "without weights" in complaint, complaint


def the_confusion_counts_all_rows(folder):
    table = make_classes(500, 4, 3)
    model = train(folder, "logistic", table)
    data = table.write_csv(os.path.join(folder, "rows.csv"))
    done = succeeds(quern(2, "evaluate", "--model", model, "--data", data, "--confusion", folder=folder))
    lines = done.stdout.splitlines()
    first = next(i for i, line in enumerate(lines) if line.split() == ["label", "prediction", "n"]) + 2
    counts = [[int(word) for word in line.split()] for line in lines[first:] if len(line.split()) == 3]
    assert sum(n for _, _, n in counts) == 500, done.stdout
    right = sum(n for label, prediction, n in counts if label == prediction)
    assert abs(right / 500 - parse_metrics(done.stdout)["accuracy"]) < 1e-9, done.stdout


def mistakes_name_what_was_meant(folder):
    data = make_classes(100, 3).write_csv(os.path.join(folder, "rows.csv"))
    for arguments, text in ((["logistc"], "did you mean 'logistic'"), (["logistic", "--max_iteratons", "5"], "--max-iterations"),
                            (["logistic", "--lable", "y"], "--label"), (["logistic", "--label", "z"], "'z'")):
        done = quern(2, "train", *arguments, "--data", data, "--out", "model.h5", folder=folder)
        complaints = messages(done)
        assert done.returncode in (1, 2) and len(complaints) == 1 and text in complaints[0], (arguments, complaints)
    done = quern(2, "train", "logistic", "--data", data, "--label=y", "--max_iterations=3", "--no_intercept", "--out", "model.h5",
                 folder=folder)
    assert succeeds(done) and "model.h5" in done.stdout


def a_fit_that_ends_at_its_limit_says_so(folder):
    data = make_classes(500, 4).write_csv(os.path.join(folder, "rows.csv"))
    for estimator, arguments in (("logistic", ["--label", "y"]), ("kmeans", ["--features", "x0, x1, x2", "--k", "9", "--tolerance", "1e-9"]),
                                 ("mixture", ["--features", "x0, x1, x2", "--k", "3", "--tolerance", "1e-9"])):
        told, quiet = (succeeds(quern(2, "train", estimator, "--data", data, *arguments, "--max-iterations", n, "--out", "m.h5", folder=folder)).stderr
                       for n in ("2", "1000"))
        assert "not converged after 2 iterations" in told and "max_iterations" in told, told
        assert "not converged" not in quiet, quiet


if __name__ == "__main__":
    sys.exit(run_tests([classes_are_judged_as_by_scikit_learn, numbers_and_clusters_are_judged_as_by_scikit_learn,
                        weights_count_as_by_scikit_learn, the_confusion_counts_all_rows,
                        a_fit_that_ends_at_its_limit_says_so, mistakes_name_what_was_meant]))
