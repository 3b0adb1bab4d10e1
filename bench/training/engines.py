# SPDX-License-Identifier: Apache-2.0
"""Running one engine on one task, and what that gives."""
import csv
import importlib.util
import json
import os
import re
import shutil
import sys
import time

import numpy as np

from suite.engines import BUILD, HERE, ROOT, clear, reason
from suite.measure import measure
from training.tasks import FEATURES

MODULES = {"scikit-learn": "sklearn", "LightGBM": "lightgbm", "implicit": "implicit", "Spark": "pyspark"}


def module_of(peer):
    return MODULES.get(peer) or MODULES[peer.split()[0]]


def missing(peer):
    """Why a peer cannot run here, or ""."""
    if importlib.util.find_spec(module_of(peer)) is None:
        return f"the Python package {module_of(peer)} is not installed"
    return "there is no java" if peer == "Spark" and shutil.which("java") is None else ""


def run_peer(task, peer, data, cores, limit):
    """A dictionary of what it said: whole, cpu, fit, fit_cpu, iterations, quality; or note, why there is nothing."""
    threads = {name: str(cores) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LOKY_MAX_CPU_COUNT")}
    if peer == "implicit":
        threads["OPENBLAS_NUM_THREADS"] = "1"  # as it asks for
    environment = dict(os.environ, PYTHONPATH=HERE, PYTHONWARNINGS="ignore", TMPDIR=data.scratch(), **threads)
    done = measure([sys.executable, "-m", "training.peer", peer, task.name, os.path.dirname(data.folder), str(data.rows),
                    str(cores), str(time.time())], environment, limit)
    if done.code is None:
        return {"note": f"did not end within {limit:.0f} s", "limit": limit}
    if done.code != 0:
        return {"note": reason(done.errors)}
    return {**json.loads(done.output.strip().splitlines()[-1]), "peak": done.tree_peak}


def arguments_of(options):
    found = []
    for name, value in options.items():
        found += [f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)])
    return found


def run_quern(task, data, cores, limit):
    model, out = data.path("out.h5"), data.path("out.csv")
    for path in (model, out):
        clear(path)
    mpirun = [os.path.join(ROOT, "scripts", "mpirun"), "-n", str(cores), os.path.join(BUILD, "bin", "quern")]
    estimator, label, options = task.quern
    features = "user, item" if "ratings" in task.train else FEATURES
    train = measure([*mpirun, "train", estimator, "--data", data.stage(task.train), *(["--label", label] if label else []),
                     "--features", features, *arguments_of(options), "--output", model], dict(os.environ), limit)
    if train.code != 0:
        return {"note": reason(train.errors) if train.code is not None else f"did not end within {limit:.0f} s"}
    predicted, timed = None, train
    if task.predicts:
        predict = measure([*mpirun, "predict", "--model", model, "--data", data.stage(task.predicts), "--output", out],
                          dict(os.environ), limit)
        if predict.code != 0:
            return {"note": "predict: " + (reason(predict.errors) if predict.code is not None else "did not end")}
        predicted = read_predictions(out)
        timed = predict if task.times_predict else train
    said = said_numbers(train.output)
    fit = 0 if task.times_predict else said.get("fit_seconds", said.get("seconds", train.wall))
    return {"whole": timed.wall, "cpu": timed.cpu, "fit": fit, "fit_cpu": said.get("fit_cpu_seconds", 0),
            "iterations": said.get("iterations", 0), "peak": train.tree_peak, "gflops": said_rate(train.output + train.errors),
            "quality": task.quality(data, task.learned(read_arrays(model), predicted))}


def said_numbers(text):
    """Lines of two fields, a name and a number."""
    return {name: float(value) for name, value in re.findall(r"^\s+(\w+)\s+(-?[0-9.]+(?:e[-+]?[0-9]+)?)$", text, re.MULTILINE)}


def said_rate(text):
    """GFLOP/s of all ranks, the best of the lines on progress; 0 if none says."""
    return max(map(float, re.findall(r"([0-9.]+) GFLOP/s", text)), default=0)


def read_arrays(path):
    import h5py
    found = {}

    def take(name, item):
        if isinstance(item, h5py.Dataset):
            found[name.split("/")[-1].removeprefix("learned_")] = item[()]
    with h5py.File(path, "r") as file:
        file.visititems(take)
    return found


def read_predictions(path):
    """The columns that the model added, as arrays by name."""
    with open(path, encoding="utf-8", newline="") as file:
        header = next(csv.reader(file))
    wanted = [i for i, name in enumerate(header) if name.startswith("p_") or name in ("prediction", "cluster", "class", "curved", "rating")]
    values = np.genfromtxt(path, delimiter=",", skip_header=1, usecols=wanted, ndmin=2)
    return {header[i]: values[:, place] for place, i in enumerate(wanted)}


def gemm_rate(dtype):
    """GFLOP/s of matrices with as many threads as BLAS has been given: the best of some times."""
    a = np.random.default_rng(1).normal(size=(2000, 2000)).astype(dtype)
    best = 0.0
    for _ in range(6):
        start = time.monotonic()
        _ = a @ a
        best = max(best, 2 * 2000 ** 3 / (time.monotonic() - start) / 1e9)
    return best
