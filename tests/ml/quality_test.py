# SPDX-License-Identifier: Apache-2.0
"""Every estimator against the library that people would take instead, on the same rows: convex losses to a millionth, the
rest within half a per cent or better."""
import os
import sys

import numpy as np

from training_kit import (Skipped, Table, evaluate, expect_close, expect_no_worse, load_adult, load_agaricus, load_covtype, load_digits,
                          load_housing, load_lightgbm, log_loss, parse_metrics, predict, probabilities, quern, read, read_model, read_table, run_tests,
                          succeeds, train)

CONVEX = 1e-6


def scaled(table, like=None):
    """The numbers of a table with mean 0 and deviation 1 of the rows of `like`."""
    x, of = table.x, (like or table).x
    deviation = of.std(axis=0)
    return (x - of.mean(axis=0)) / np.where(deviation > 0, deviation, 1)


def learned(path, name):
    return np.asarray(read_model(path)[f"learned_{name}"], float)


def weights_of(path):
    """Coefficients [n_outputs, n_columns] and intercepts [n_outputs]."""
    return np.atleast_2d(learned(path, "coefficients")), np.atleast_1d(learned(path, "intercept"))


def expect_no_larger(found, wanted, what):
    assert found <= wanted * (1 + CONVEX) + 1e-12, f"{what}: loss {found:.12g}, the peer has {wanted:.12g}"


def ridge_and_lasso_reach_the_same_loss(folder):
    from sklearn.linear_model import ElasticNet, Ridge
    table, _ = load_housing().split()
    x, y = scaled(table), table.y.astype(float) / 1e5
    table.columns[table.label] = y

    def ridge_loss(b, b0):
        return np.sum((y - x @ b - b0) ** 2) + 3 * b @ b

    def net_loss(b, b0):
        return np.mean((y - x @ b - b0) ** 2) / 2 + 0.01 * (0.6 * np.abs(b).sum() + 0.2 * b @ b)

    for solver in ("normal", "lbfgs"):
        b, b0 = weights_of(train(folder, "linear", table, features="standardise(*)", l2=3, solver=solver))
        peer = Ridge(alpha=3).fit(x, y)
        expect_no_larger(ridge_loss(b[0], b0[0]), ridge_loss(peer.coef_, peer.intercept_), f"ridge, {solver}")
    b, b0 = weights_of(train(folder, "elastic_net", table, features="standardise(*)", alpha=0.01, l1_ratio=0.6))
    peer = ElasticNet(alpha=0.01, l1_ratio=0.6, tol=1e-10, max_iter=100000).fit(x, y)
    expect_no_larger(net_loss(b[0], b0[0]), net_loss(peer.coef_, peer.intercept_), "elastic net")
    expect_close(b[0], peer.coef_, 1e-3, "coefficients of the elastic net")


def lasso_of_many_sparse_columns_reaches_the_same_loss(folder):
    from scipy import sparse
    from sklearn.linear_model import ElasticNet, Lasso
    random = np.random.default_rng(5)
    n, d = 800, 20000
    starts, columns = np.arange(0, 30 * n + 1, 30), np.minimum(random.zipf(1.3, 30 * n) - 1, d - 1)
    x = sparse.csr_matrix((10 ** random.uniform(-1, 1, d)[columns] * random.uniform(0.5, 1, 30 * n), columns, starts), (n, d))
    x.sum_duplicates()
    y = 4 + x[:, ::7] @ (random.normal(size=(d + 6) // 7) / (1 + np.arange((d + 6) // 7))) + 0.1 * random.normal(size=n)
    lines = (" ".join([repr(float(y[i])), *(f"{j + 1}:{float(v)!r}" for j, v in zip(x[i].indices, x[i].data))]) for i in range(n))
    path = os.path.join(folder, "sparse.libsvm")
    with open(path, "w", encoding="ascii") as file:
        file.write("\n".join(lines) + f"\n0 {d}:1e-300\n")
    x, y = sparse.vstack([x, sparse.csr_matrix((1, d))]).tocsc(), np.append(y, 0)
    for alpha, l1_ratio, peer in ((0.02, 1, Lasso(0.02, tol=1e-8, max_iter=100000)),
                                  (0.002, 0.8, ElasticNet(0.002, l1_ratio=0.8, tol=1e-8, max_iter=100000))):
        b, b0 = weights_of(train(folder, "elastic_net", path, label="label", features="sparse(features)", format="libsvm",
                                 alpha=alpha, l1_ratio=l1_ratio))
        peer.fit(x, y)

        def loss(b, b0):
            return np.mean((y - x @ b - b0) ** 2) / 2 + alpha * (l1_ratio * np.abs(b).sum() + (1 - l1_ratio) / 2 * b @ b)

        expect_no_larger(loss(b[0], b0[0]), loss(peer.coef_, peer.intercept_), f"alpha {alpha}, many columns")
        assert 0 < np.count_nonzero(b) < 1000, f"{np.count_nonzero(b)} of {d} coefficients are not 0"


def softmax_loss(x, y, b, b0, l2):
    m = x @ b.T + b0
    m = np.column_stack([np.zeros(len(m)), m[:, 0]]) if m.shape[1] == 1 else m
    m -= m.max(axis=1, keepdims=True)
    return -np.mean(m[np.arange(len(y)), y] - np.log(np.exp(m).sum(axis=1))) + l2 / 2 * np.sum(b * b)


def logistic_regression_reaches_the_same_loss(folder):
    from sklearn.linear_model import LogisticRegression
    for table in (load_covtype().rows(slice(0, 6000)).only(*[f"x{i}" for i in range(10)], "y"), load_lightgbm("binary")[0]):
        x, l2 = scaled(table), 1e-3
        y = np.unique(table.y, return_inverse=True)[1]
        b, b0 = weights_of(train(folder, "logistic", table, features="standardise(*)", l2=l2))
        peer = LogisticRegression(C=1 / (len(y) * l2), tol=1e-9, solver="newton-cholesky").fit(x, y)
        expect_no_larger(softmax_loss(x, y, b, b0, l2), softmax_loss(x, y, peer.coef_, peer.intercept_, l2), "logistic")


def a_sparse_logistic_regression_learns_what_the_dense_one_does(folder):
    from sklearn.linear_model import LogisticRegression
    (path, x, y), (test_path, test_x, test_y) = load_agaricus()
    l2 = 1e-3
    model = train(folder, "logistic", path, label="label", features="sparse(features)", format="libsvm", l2=l2)
    b, b0 = weights_of(model)
    peer = LogisticRegression(C=1 / (len(y) * l2), tol=1e-9, max_iter=20000).fit(x, y)
    n_columns = b.shape[1]  # up to the last that the file has
    assert not x[:, n_columns:].any()
    expect_no_larger(softmax_loss(x[:, :n_columns], y.astype(int), b, b0, l2),
                     softmax_loss(x, y.astype(int), peer.coef_, peer.intercept_, l2), "sparse logistic")
    done = succeeds(quern(2, "evaluate", "--model", model, "--data", test_path, "--format", "libsvm", folder=folder))
    expect_no_worse(parse_metrics(done.stdout)["accuracy"], peer.score(test_x, test_y), what="accuracy")


def the_support_vector_machine_reaches_the_same_loss(folder):
    from sklearn.svm import LinearSVC
    table, l2 = load_lightgbm("binary")[0], 1e-3
    x, t = scaled(table), np.where(table.y == table.y.max(), 1.0, -1.0)

    def loss(b, b0):
        return np.mean(np.maximum(0, 1 - t * (x @ b + b0)) ** 2) + l2 / 2 * b @ b

    b, b0 = weights_of(train(folder, "svm", table, features="standardise(*)", l2=l2))
    # liblinear penalises the intercept: with a large scale hardly
    peer = LinearSVC(C=1 / (len(t) * l2), intercept_scaling=100, tol=1e-9, max_iter=100000, dual=False).fit(x, t)
    expect_no_larger(loss(b[0], b0[0]), loss(peer.coef_[0], peer.intercept_[0]), "svm")


def naive_bayes_says_the_same(folder):
    from sklearn.naive_bayes import GaussianNB
    table, test = load_covtype().rows(slice(0, 4000)).split()
    kept = ["x0", "x1", "x2", "x5", "x9", "y"]
    table, test = table.only(*kept), test.only(*kept)
    p = probabilities(predict(folder, train(folder, "bayes", table), test))
    expect_close(p, GaussianNB().fit(table.x, table.y).predict_proba(test.x), 1e-6, "probabilities")


def clusters_are_as_tight(folder):
    from sklearn.cluster import KMeans
    from sklearn.mixture import GaussianMixture
    table = load_covtype().rows(slice(0, 3000)).only(*[f"x{i}" for i in range(10)])
    x = scaled(table)
    model = train(folder, "kmeans", table, features="standardise(*)", k=12, n_starts=5)
    found = float(np.min(((x[:, None, :] - learned(model, "centres")[None]) ** 2).sum(axis=2), axis=1).sum())
    expect_no_worse(found, KMeans(12, n_init=5, random_state=1).fit(x).inertia_, larger_is_better=False, what="inertia")
    model = train(folder, "mixture", table, features="standardise(*)", k=4, tolerance=1e-5, max_iterations=300, seed=3)
    peer = max(GaussianMixture(4, tol=1e-5, max_iter=300, random_state=seed).fit(x).score(x) for seed in range(2))
    expect_no_worse(float(read_model(model)["metric_log_likelihood"][0]), peer, slack=0.02, what="log-likelihood")


def components_explain_as_much(folder):
    from sklearn.decomposition import PCA, TruncatedSVD
    table = load_digits().rows(slice(0, 900))
    digits = table.only(*table.features)
    x = digits.x
    data = digits.write_csv(os.path.join(folder, "digits.csv"))
    peer = PCA(12, svd_solver="full").fit(x)
    for method, slack in (("auto", 1e-9), ("randomised", 1e-6)):
        model = train(folder, "pca", data, k=12, method=method)
        expect_close(learned(model, "explained_variance"), peer.explained_variance_, slack, f"variances, {method}")
    components = learned(model, "components")
    alike = np.abs(np.sum(components[:4] * peer.components_[:4], axis=1))
    assert np.all(alike > 0.999), f"the first components are others: {alike}"
    model = train(folder, "svd", data, k=8, method="randomised")
    peer = TruncatedSVD(8, algorithm="arpack").fit(x)
    expect_close(learned(model, "singular_values"), peer.singular_values_, 1e-6, "singular values")


def listed_neighbours_are_the_nearest(folder):
    from sklearn.neighbors import NearestNeighbors
    random = np.random.default_rng(2)
    x = np.vstack([random.normal(size=(700, 3)) + 100, random.integers(0, 4, (900, 3))])  # of these many are equal, or equally far
    sku = np.array([f"sku {i * 7919 % 1600:04}" for i in range(1600)])
    table = Table({**{f"x{j}": x[:, j] for j in range(3)}, "sku": sku})
    distance = np.sqrt(((x[:, None, :] - x[None, :, :]) ** 2).sum(axis=2))
    order = np.argsort(distance, axis=1, kind="stable")[:, :6]  # equal ones in order of their rows
    peer = NearestNeighbors(n_neighbors=6, algorithm="brute").fit(x).kneighbors(x)[0]
    named = train(folder, "neighbours", table, k=6, id="sku")
    numbered = train(folder, "neighbours", table, k=6, features="x0, x1, x2", out="numbered.h5")
    files = []
    for n_ranks in (1, 2, 3, 5):
        found = predict(folder, named, table, n_ranks=n_ranks, out=f"named{n_ranks}.csv")
        predict(folder, numbered, table, n_ranks=n_ranks, out=f"numbered{n_ranks}.csv")
        files.append([read(os.path.join(folder, f"{name}{n_ranks}.csv")) for name in ("named", "numbered")])
    assert all(others == files[0] for others in files), "other bytes on another number of ranks"
    numbers = read_table(os.path.join(folder, "numbered1.csv"))
    assert np.array_equal(np.column_stack([numbers[f"neighbour_{i + 1}"] for i in range(6)]), order)
    assert np.array_equal(np.column_stack([found[f"neighbour_{i + 1}"] for i in range(6)]), sku[order])
    expect_close(np.column_stack([found[f"distance_{i + 1}"] for i in range(6)]), np.take_along_axis(distance, order, axis=1), 1e-12, "distances")
    expect_close(np.column_stack([found[f"distance_{i + 1}"] for i in range(6)]), peer, 1e-6, "distances of the peer")


def neighbours_are_the_nearest(folder):
    from sklearn.neighbors import KNeighborsClassifier
    table, test = load_digits().rows(slice(0, 1500)).split()
    found = predict(folder, train(folder, "neighbours", table, k=5, classes=True), test)["prediction"]
    wanted = KNeighborsClassifier(5).fit(table.x, table.y).predict(test.x)
    assert np.mean(found == wanted) > 0.99, f"{np.mean(found != wanted):.3f} of the votes differ"  # ties


def boosted_trees_are_as_good(folder):
    import lightgbm
    from sklearn.metrics import roc_auc_score
    common = dict(n_estimators=100, learning_rate=0.1, num_leaves=31, verbose=-1, n_jobs=1)
    table, test = load_lightgbm("binary")
    found = evaluate(folder, train(folder, "gbdt", table), test)
    peer = lightgbm.LGBMClassifier(**common).fit(table.x, table.y).predict_proba(test.x)[:, 1]
    expect_no_worse(found["auc"], roc_auc_score(test.y, peer), slack=0.01, what="auc")  # of 500 rows
    table, test = load_housing().split()
    found = evaluate(folder, train(folder, "gbdt", table, task="regression"), test)
    peer = lightgbm.LGBMRegressor(**common).fit(table.x, table.y).predict(test.x)
    expect_no_worse(found["rmse"], np.sqrt(np.mean((peer - test.y) ** 2)), slack=0.01, larger_is_better=False, what="rmse")
    table, test = load_covtype().rows(slice(0, 6000)).split()
    found = evaluate(folder, train(folder, "gbdt", table), test)
    peer = lightgbm.LGBMClassifier(**common).fit(table.x, table.y)
    expect_no_worse(found["accuracy"], peer.score(test.x, test.y), what="accuracy of 7 classes")


def text_columns_help_boosted_trees(folder):
    table, test = load_adult().split()
    found = evaluate(folder, train(folder, "gbdt", table), test)
    assert found["auc"] > (0.92 if len(table) > 30000 else 0.6), found


def forests_are_as_good(folder):
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    table, test = load_covtype().rows(slice(0, 8000)).split()
    found = evaluate(folder, train(folder, "forest", table, n_trees=60), test)
    peer = RandomForestClassifier(60, random_state=1).fit(table.x, table.y)
    expect_no_worse(found["accuracy"], peer.score(test.x, test.y), slack=0.015, what="accuracy")  # of 1,600 rows
    table, test = load_housing().rows(slice(0, None, 3)).split()
    found = evaluate(folder, train(folder, "forest", table, task="regression", n_trees=60), test)
    peer = RandomForestRegressor(60, random_state=1).fit(table.x, table.y)
    expect_no_worse(found["r2"], peer.score(test.x, test.y), slack=0.015, what="r2")


def networks_read_digits_as_well(folder):
    from sklearn.neural_network import MLPClassifier
    digits = load_digits().rows(slice(0, 3000))
    if digits.x.shape[1] == 784:  # a quarter of the pixels: each the mean of four
        x = digits.x.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196)
        digits = Table({**{f"p{i}": x[:, i] for i in range(196)}, digits.label: digits.y}, digits.label)
    table, test = digits.split()
    (data, asked), found = (part.write_csv(os.path.join(folder, name)) for part, name in ((table, "train.csv"), (test, "test.csv"))), []
    for seed in range(3):
        model = train(folder, "mlp", data, label=table.label, layers="64", max_epochs=12, batch_rows=64, seed=seed)
        found.append(evaluate(folder, model, asked)["accuracy"])
    peers = [MLPClassifier((64,), batch_size=64, max_iter=12, random_state=seed).fit(table.x, table.y).score(test.x, test.y)
             for seed in range(3)]
    expect_no_worse(np.mean(found), np.mean(peers), slack=0.01, what="accuracy")  # of 600 rows
    expect_close(log_loss(probabilities(predict(folder, model, asked)), test.y),
                 evaluate(folder, model, asked, n_ranks=3)["log_loss"], 1e-9, "log loss")


if __name__ == "__main__":
    import warnings
    warnings.filterwarnings("ignore")
    sys.exit(run_tests([ridge_and_lasso_reach_the_same_loss, lasso_of_many_sparse_columns_reaches_the_same_loss,
                        logistic_regression_reaches_the_same_loss,
                        a_sparse_logistic_regression_learns_what_the_dense_one_does,
                        the_support_vector_machine_reaches_the_same_loss, naive_bayes_says_the_same, clusters_are_as_tight,
                        components_explain_as_much, listed_neighbours_are_the_nearest, neighbours_are_the_nearest, boosted_trees_are_as_good,
                        text_columns_help_boosted_trees, forests_are_as_good, networks_read_digits_as_well]))
