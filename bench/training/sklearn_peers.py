# SPDX-License-Identifier: Apache-2.0
"""scikit-learn, LightGBM and implicit on the tasks: each function loads, starts the clock, fits, stops it, and gives what
was learned. Options are those that give the quality of the task; where it has none, the library's defaults."""
import numpy as np

from training.quality import ALPHA, L2, RIDGE

K = 100
KMEANS_ITERATIONS = 30
N_COMPONENTS = 10
N_MIXTURE = 4
MIXTURE_ITERATIONS = 10
N_TREES_FOREST = 10
MLP_LAYERS = (512, 512)


def linear(estimator):
    return {"coefficients": np.asarray(estimator.coef_), "intercept": np.asarray(estimator.intercept_)}


def ridge(data, clock, threads):
    from sklearn.linear_model import Ridge
    x, y = data.load("train-x"), data.load("train-number")
    with clock:
        fitted = Ridge(alpha=RIDGE).fit(x, y)
    return linear(fitted)


def lasso(data, clock, threads):
    from sklearn.linear_model import Lasso
    x, y = data.load("train-x"), data.load("train-number")
    with clock:
        fitted = Lasso(alpha=ALPHA, precompute=True, tol=1e-8).fit(x, y)
    return linear(fitted)


def logistic(label, solver):
    def run(data, clock, threads):
        from sklearn.linear_model import LogisticRegression
        x, y = data.load("train-x"), data.load(f"train-{label}")
        with clock:
            fitted = LogisticRegression(C=1 / (len(x) * L2), solver=solver, tol=1e-6, max_iter=1000).fit(x, y)
        return linear(fitted)
    return run


def svm(data, clock, threads):
    from sklearn.svm import LinearSVC
    x, y = data.load("train-x"), data.load("train-binary")
    with clock:  # it penalises the intercept, but with that scale hardly
        fitted = LinearSVC(C=1 / (len(x) * L2), dual=False, intercept_scaling=100, tol=1e-4).fit(x, y)
    return linear(fitted)


def bayes(data, clock, threads):
    from sklearn.naive_bayes import GaussianNB
    x, y = data.load("train-x"), data.load("train-class")
    with clock:
        fitted = GaussianNB().fit(x, y)
    return {"p": fitted.predict_proba(data.load("test-x"))}


def kmeans(data, clock, threads):
    from sklearn.cluster import KMeans
    x = data.load("train-x")
    with clock:
        fitted = KMeans(n_clusters=K, n_init=1, max_iter=KMEANS_ITERATIONS, random_state=1).fit(x)
    return {"centres": fitted.cluster_centers_, "iterations": fitted.n_iter_}


def mixture(data, clock, threads):
    from sklearn.mixture import GaussianMixture
    import warnings
    warnings.filterwarnings("ignore")  # it has not converged by then; ours neither
    x = data.load("train-x")
    with clock:
        fitted = GaussianMixture(n_components=N_MIXTURE, max_iter=MIXTURE_ITERATIONS, tol=0, random_state=1).fit(x)
    return {"weights": fitted.weights_, "means": fitted.means_, "covariances": fitted.covariances_, "iterations": fitted.n_iter_}


def pca(data, clock, threads):
    from sklearn.decomposition import PCA
    x = data.load("train-x")
    with clock:
        fitted = PCA(n_components=N_COMPONENTS).fit(x)
    return {"components": fitted.components_}


def pca_randomised(data, clock, threads):
    from sklearn.decomposition import PCA
    x = data.load("train-x")
    with clock:
        fitted = PCA(n_components=N_COMPONENTS, svd_solver="randomized", random_state=1).fit(x)
    return {"components": fitted.components_}


def gbdt(data, clock, threads):
    from lightgbm import LGBMClassifier
    x, y = data.load("train-x"), data.load("train-curved")
    with clock:
        fitted = LGBMClassifier(n_jobs=threads, verbosity=-1).fit(x, y)
    del x
    return {"p": fitted.predict_proba(data.load("test-x"))}


def gbdt_sklearn(data, clock, threads):
    from sklearn.ensemble import HistGradientBoostingClassifier
    x, y = data.load("train-x"), data.load("train-curved")
    with clock:
        fitted = HistGradientBoostingClassifier(early_stopping=False, random_state=1).fit(x, y)
    del x
    return {"p": fitted.predict_proba(data.load("test-x"))}


def forest(data, clock, threads):
    from sklearn.ensemble import RandomForestClassifier
    x, y = data.load("train-x"), data.load("train-curved")
    with clock:
        fitted = RandomForestClassifier(n_estimators=N_TREES_FOREST, n_jobs=threads, random_state=1, min_samples_leaf=10).fit(x, y)
    del x
    return {"p": fitted.predict_proba(data.load("test-x"))}


def mlp(dtype):
    def run(data, clock, threads):
        import warnings
        from sklearn.neural_network import MLPClassifier
        warnings.filterwarnings("ignore")  # one epoch is what is asked for
        x, y = data.load("train-x").astype(dtype), data.load("train-class")
        with clock:
            fitted = MLPClassifier(MLP_LAYERS, batch_size=1024, max_iter=1, random_state=1).fit(x, y)
        del x
        return {"p": fitted.predict_proba(data.load("test-x").astype(dtype))}
    return run


def neighbours(data, clock, threads):
    from sklearn.neighbors import KNeighborsClassifier
    x, y = data.load("few-train-x"), data.load("few-train-class")
    asked = data.load("few-test-x")
    with clock:
        prediction = KNeighborsClassifier(5, algorithm="brute", n_jobs=threads).fit(x, y).predict(asked)
    return {"prediction": prediction}


def als_implicit(data, clock, threads):
    import scipy.sparse
    from implicit.cpu.als import AlternatingLeastSquares
    user, item = data.load("train-user"), data.load("train-item")
    counts = scipy.sparse.csr_matrix((np.ones(len(user), np.float32), (user, item)))
    with clock:
        # its alpha is the whole confidence of a pair: 1 + alpha of the others; both take three steps of conjugate gradients
        fitted = AlternatingLeastSquares(factors=32, regularization=0.1, alpha=41.0, iterations=15, num_threads=threads,
                                         random_state=1)
        fitted.fit(counts, show_progress=False)
    return {"users": np.asarray(fitted.user_factors), "items": np.asarray(fitted.item_factors)}
