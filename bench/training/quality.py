# SPDX-License-Identifier: Apache-2.0
"""How good what was learned is: the same functions for every engine, on what it learned or on what it predicts. Each
takes the data and a dictionary of what was learned, and gives numbers by name."""
import numpy as np

CHUNK = 100_000
L2 = 1e-4  # of the classifiers: lambda, that is, C = 1 / (n lambda)
ALPHA = 0.01  # of the lasso
RIDGE = 1.0


def chunks(x):
    for first in range(0, len(x), CHUNK):
        yield slice(first, min(first + CHUNK, len(x)))


def margins(x, learned):
    coefficients = np.atleast_2d(learned["coefficients"])
    return x @ coefficients.T + np.atleast_1d(learned["intercept"])


def rmse(data, learned):
    left = data.load("test-number") - margins(data.load("test-x"), learned)[:, 0]
    return float(np.sqrt(np.mean(left ** 2)))


def squares(data, learned):
    left = data.load("train-number") - margins(data.load("train-x"), learned)[:, 0]
    return float(left @ left)


def ridge(data, learned):
    penalty = RIDGE * float(np.sum(np.square(learned["coefficients"])))
    return {"objective": (squares(data, learned) + penalty) / data.rows, "test rmse": rmse(data, learned)}


def lasso(data, learned):
    penalty = ALPHA * float(np.sum(np.abs(learned["coefficients"])))
    return {"objective": squares(data, learned) / (2 * data.rows) + penalty, "test rmse": rmse(data, learned)}


def log_probabilities(z):
    if z.shape[1] == 1:
        return np.column_stack([-np.logaddexp(0, z[:, 0]), -np.logaddexp(0, -z[:, 0])])
    z = z - z.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def logistic(data, learned, label):
    """The mean loss with the penalty on the training rows, and the mean loss on others."""
    found = []
    for part in ("train", "test"):
        x, y = data.load(f"{part}-x"), data.load(f"{part}-{label}")
        total = 0.0
        for some in chunks(x):
            log_p = log_probabilities(margins(x[some], learned))
            total -= log_p[np.arange(len(log_p)), y[some]].sum()
        found.append(total / len(x))
    penalty = L2 / 2 * float(np.sum(np.square(learned["coefficients"])))
    return {"objective": found[0] + penalty, "test log-loss": found[1]}


def svm(data, learned):
    x, y = data.load("train-x"), 2 * data.load("train-binary") - 1
    loss = np.mean(np.square(np.maximum(0, 1 - y * margins(x, learned)[:, 0])))
    test = margins(data.load("test-x"), learned)[:, 0] > 0
    return {"objective": float(loss + L2 / 2 * np.sum(np.square(learned["coefficients"]))),
            "test accuracy": float(np.mean(test == data.load("test-binary")))}


def labels_of(data, learned, label, part):
    """As whole numbers, in the order of the predictions: a staged dataset may have the rows in another order than the file."""
    return np.asarray(learned["rows"][label]).astype(int) if "rows" in learned else data.load(f"{part}-{label}")


def probabilities(data, learned, label, part="test"):
    """Of classes predicted with their probabilities: `p` [n_rows, n_classes]."""
    y, p = labels_of(data, learned, label, part), learned["p"]
    loss = -np.mean(np.log(np.clip(p[np.arange(len(y)), y], 1e-15, 1)))
    found = {"test log-loss": float(loss), "test accuracy": float(np.mean(p.argmax(axis=1) == y))}
    if p.shape[1] == 2:
        found["test AUC"] = area(p[:, 1], y)
    return found


def area(score, y):
    """Under the curve of true over false positives: the share of pairs in the right order."""
    order = np.argsort(score, kind="stable")
    _, first, n = np.unique(score[order], return_index=True, return_counts=True)
    rank = np.empty(len(score))
    rank[order] = np.repeat(first + (n - 1) / 2, n)
    n_true = int(y.sum())
    return float((rank[y == 1].sum() - n_true * (n_true - 1) / 2) / (n_true * (len(y) - n_true)))


def accuracy(data, learned, label, part="test"):
    return {"test accuracy": float(np.mean(learned["prediction"] == labels_of(data, learned, label, part)))}


def inertia(data, learned):
    centres = learned["centres"]
    x = data.load("train-x")
    total = 0.0
    for some in chunks(x):
        distances = -2 * x[some] @ centres.T + np.square(centres).sum(axis=1)
        total += float(distances.min(axis=1).sum() + np.square(x[some]).sum())
    return {"inertia": total / len(x)}


def mixture(data, learned):
    """Mean log-likelihood of the training rows under full covariances."""
    x = data.load("train-x")
    total = 0.0
    factors = [np.linalg.cholesky(c) for c in learned["covariances"]]
    for some in chunks(x):
        of = []
        for weight, mean, factor in zip(learned["weights"], learned["means"], factors):
            z = np.linalg.solve(factor, (x[some] - mean).T)
            of.append(np.log(weight) - 0.5 * np.square(z).sum(axis=0) - np.log(np.diag(factor)).sum())
        of = np.array(of) - 0.5 * x.shape[1] * np.log(2 * np.pi)
        most = of.max(axis=0)
        total += float((most + np.log(np.exp(of - most).sum(axis=0))).sum())
    return {"log-likelihood": total / len(x)}


def pca(data, learned):
    """Share of the variance that the components explain."""
    x = data.load("train-x")
    mean, gram = x.mean(axis=0), np.zeros((x.shape[1], x.shape[1]))
    for some in chunks(x):
        gram += x[some].T @ x[some]
    covariance = gram / len(x) - np.outer(mean, mean)
    basis = np.linalg.qr(np.asarray(learned["components"]).T)[0]
    return {"explained": float(np.trace(basis.T @ covariance @ basis) / np.trace(covariance))}


def explicit(data, learned):
    left = learned["prediction"] - (learned["rows"]["rating"] if "rows" in learned else data.load("test-rating"))
    return {"test rmse": float(np.sqrt(np.nanmean(np.square(left))))}


def implicit(data, learned):
    """Recall at 10 of the ratings held out, of 2,000 users, what they have rated left out."""
    users, items = learned["users"], learned["items"]
    user, item = data.load("train-user"), data.load("train-item")
    test_user, test_item = data.load("test-user"), data.load("test-item")
    chosen = np.random.default_rng(5).choice(np.unique(test_user), min(2000, len(np.unique(test_user))), replace=False)
    place = np.full(int(max(user.max(), test_user.max())) + 1, -1)
    place[chosen] = np.arange(len(chosen))
    scores = users[chosen] @ items.T
    is_mine = place[user] >= 0
    scores[place[user[is_mine]], item[is_mine]] = -np.inf
    top = np.argpartition(-scores, 10, axis=1)[:, :10]
    is_top = np.zeros(scores.shape, bool)
    is_top[np.arange(len(chosen))[:, None], top] = True
    is_mine = place[test_user] >= 0
    hits = is_top[place[test_user[is_mine]], test_item[is_mine]]
    n = np.bincount(place[test_user[is_mine]], minlength=len(chosen))
    found = np.bincount(place[test_user[is_mine]], weights=hits, minlength=len(chosen))
    return {"recall at 10": float(np.mean(found / np.minimum(n, 10)))}
