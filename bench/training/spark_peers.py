# SPDX-License-Identifier: Apache-2.0
"""Spark MLlib on the tasks, on as many threads: rows are loaded, made vectors and cached before the clock starts."""
import numpy as np

from training.quality import ALPHA, L2, RIDGE
from training.sklearn_peers import (K, KMEANS_ITERATIONS, MIXTURE_ITERATIONS, MLP_LAYERS, N_COMPONENTS, N_MIXTURE,
                                    N_TREES_FOREST)


def open_spark(data, threads):
    from pyspark.sql import SparkSession
    return (SparkSession.builder.master(f"local[{threads}]").appName("bench").config("spark.driver.memory", "3g")
            .config("spark.ui.enabled", "false").config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.driver.host", "127.0.0.1").config("spark.local.dir", data.scratch())
            .config("spark.sql.shuffle.partitions", str(2 * threads)).config("spark.log.level", "ERROR").getOrCreate())


def rows(data, threads, label=None):
    """features, label; in memory."""
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import functions as f
    table = open_spark(data, threads).read.parquet(data.path("train.parquet"))
    chosen = [array_to_vector("features").alias("features")] + ([f.col(label).cast("double").alias("label")] if label else [])
    table = table.select(*chosen).repartition(2 * threads).cache()
    table.count()
    return table


def test_p(data, model, threads):
    """Probabilities of the rows to test on, in their order."""
    from pyspark.ml.functions import array_to_vector, vector_to_array
    session = open_spark(data, threads)
    x = data.load("test-x")
    parts = []
    for first in range(0, len(x), 20_000):
        frame = session.createDataFrame([(i, row.tolist()) for i, row in enumerate(x[first:first + 20_000])], ["i", "x"])
        frame = model.transform(frame.select("i", array_to_vector("x").alias("features")))
        found = frame.select("i", vector_to_array("probability").alias("p")).collect()
        parts += [row["p"] for row in sorted(found, key=lambda row: row["i"])]
    return {"p": np.array(parts)}


def fitted(estimator, label=None):
    """(data, clock, threads) -> (the model, threads), with the fit timed."""
    def run(data, clock, threads):
        table = rows(data, threads, label)
        with clock:
            model = estimator(data).fit(table)
        return model
    return run


def linear(estimator, label):
    def run(data, clock, threads):
        model = fitted(estimator, label)(data, clock, threads)
        if hasattr(model, "coefficientMatrix"):
            return {"coefficients": model.coefficientMatrix.toArray(), "intercept": model.interceptVector.toArray()}
        return {"coefficients": model.coefficients.toArray(), "intercept": model.intercept}
    return run


def with_p(estimator, label):
    return lambda data, clock, threads: test_p(data, fitted(estimator, label)(data, clock, threads), threads)


def ridge(data):
    from pyspark.ml.regression import LinearRegression
    return LinearRegression(solver="normal", standardization=False, regParam=RIDGE / data.rows, elasticNetParam=0)


def lasso(data):
    from pyspark.ml.regression import LinearRegression
    return LinearRegression(solver="l-bfgs", standardization=False, regParam=ALPHA, elasticNetParam=1, tol=1e-8)


def logistic(data):
    from pyspark.ml.classification import LogisticRegression
    return LogisticRegression(regParam=L2, standardization=False, maxIter=1000, tol=1e-6)


def svm(data):  # its loss is the hinge, not squared
    from pyspark.ml.classification import LinearSVC
    return LinearSVC(regParam=L2, standardization=False, maxIter=100)


def bayes(data):
    from pyspark.ml.classification import NaiveBayes
    return NaiveBayes(modelType="gaussian")


def kmeans_estimator(data):
    from pyspark.ml.clustering import KMeans
    return KMeans(k=K, maxIter=KMEANS_ITERATIONS, tol=1e-4, seed=1)


def kmeans(data, clock, threads):
    model = fitted(kmeans_estimator)(data, clock, threads)
    return {"centres": np.array(model.clusterCenters()), "iterations": model.summary.numIter}


def mixture_estimator(data):
    from pyspark.ml.clustering import GaussianMixture
    return GaussianMixture(k=N_MIXTURE, maxIter=MIXTURE_ITERATIONS, tol=0, seed=1)


def mixture(data, clock, threads):
    model = fitted(mixture_estimator)(data, clock, threads)
    return {"weights": np.array(model.weights), "means": np.array([g.mean.toArray() for g in model.gaussians]),
            "covariances": np.array([g.cov.toArray() for g in model.gaussians]), "iterations": model.summary.numIter}


def pca_estimator(data):
    from pyspark.ml.feature import PCA
    return PCA(k=N_COMPONENTS, inputCol="features", outputCol="pca")


def pca(data, clock, threads):
    return {"components": fitted(pca_estimator)(data, clock, threads).pc.toArray().T}


def gbdt(data):
    from pyspark.ml.classification import GBTClassifier
    return GBTClassifier(maxIter=100, maxDepth=5, maxBins=255, stepSize=0.1, seed=1)


def forest(data):
    from pyspark.ml.classification import RandomForestClassifier
    return RandomForestClassifier(numTrees=N_TREES_FOREST, maxDepth=15, maxBins=255, minInstancesPerNode=10, seed=1)


def mlp(data):
    from pyspark.ml.classification import MultilayerPerceptronClassifier
    return MultilayerPerceptronClassifier(layers=[100, *MLP_LAYERS, 10], maxIter=10, blockSize=1024, seed=1)


def als(is_implicit):
    def run(data, clock, threads):
        from pyspark.ml.recommendation import ALS
        from pyspark.sql import functions as f
        session = open_spark(data, threads)
        ints = [f.col("user").cast("int"), f.col("item").cast("int")]
        rating = f.lit(1.0).alias("rating") if is_implicit else f.col("rating").cast("float")
        train, test = (session.read.parquet(data.path(f"{part}-ratings.parquet")).select(*ints, rating) for part in ("train", "test"))
        train = train.repartition(2 * threads).cache()
        train.count()
        with clock:
            model = ALS(rank=32 if is_implicit else 16, maxIter=15 if is_implicit else 10, regParam=0.1 if is_implicit else 0.03,
                        implicitPrefs=is_implicit, alpha=40.0, userCol="user", itemCol="item", ratingCol="rating",
                        numUserBlocks=2 * threads, numItemBlocks=2 * threads, seed=1).fit(train)
            model.itemFactors.count()
        if is_implicit:
            return {"users": factors(model.userFactors), "items": factors(model.itemFactors)}
        users, items = factors(model.userFactors), factors(model.itemFactors)
        return {"prediction": np.einsum("ij,ij->i", users[data.load("test-user")], items[data.load("test-item")])}
    return run


def factors(frame):
    """[number of the last, rank]; rows of what was not seen are 0."""
    found = frame.toPandas()
    made = np.zeros((found["id"].max() + 1, len(found["features"][0])))
    made[found["id"].to_numpy()] = np.array(found["features"].tolist())
    return made
