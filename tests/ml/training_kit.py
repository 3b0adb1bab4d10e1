# SPDX-License-Identifier: Apache-2.0
"""What the tests of training share: sets to learn from (real ones where they are at hand, else made here), writing them
for the command, running `quern train`, `predict` and `evaluate`, and reading and comparing what these leave behind."""
import atexit
import csv
import gzip
import json
import math
import os
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "jobs"))
from job_kit import (BUILD, MPIRUN, ROOT, Skipped, messages, read, run, run_tests, shared_data,  # noqa: E402,F401
                     succeeds, write)

RANKS = [int(n) for n in os.environ.get("QN_RANKS", "1 2 3 5").split()]
SEED = int(os.environ.get("QN_SEED", "20"))
SKIPPED = 77  # ctest's, for a program of which nothing can be tested here
SINGLE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}


# --- Sets -------------------------------------------------------------------------------------------------------------


class Table:
    """Columns by name, numbers or texts, of equal length; `label` names the one to learn (or is None)."""

    def __init__(self, columns, label=None):
        self.columns, self.label = dict(columns), label

    def __len__(self):
        return len(next(iter(self.columns.values())))

    @property
    def features(self):
        return [name for name in self.columns if name != self.label]

    @property
    def x(self):
        """The columns of numbers but the label, [n_rows, n_columns]."""
        return np.column_stack([self.columns[name] for name in self.features if is_numeric(self.columns[name])]).astype(float)

    @property
    def y(self):
        return self.columns[self.label]

    def rows(self, chosen):
        """Some of the rows: a slice, numbers, or truths."""
        return Table({name: values[chosen] for name, values in self.columns.items()}, self.label)

    def only(self, *names):
        return Table({name: self.columns[name] for name in names}, self.label if self.label in names else None)

    def split(self, test_share=0.2, seed=1):
        """The same rows to train on and to test on every time."""
        order = np.random.default_rng(seed).permutation(len(self))
        n_test = int(round(len(self) * test_share))
        return self.rows(np.sort(order[n_test:])), self.rows(np.sort(order[:n_test]))

    def write_csv(self, path):
        return write_csv(path, self.columns)


def is_numeric(values):
    return np.asarray(values).dtype.kind in "fiub"


def table_of(x, y=None, label="y", prefix="x"):
    """A matrix and a label as columns x0, x1, ... and y."""
    columns = {f"{prefix}{i}": x[:, i] for i in range(x.shape[1])}
    if y is not None:
        columns[label] = y
    return Table(columns, label if y is not None else None)


def make_numbers(n_rows=2000, n_columns=10, noise=0.1, n_used=None, seed=1):
    """A number that is a sum over columns, of unequal scales and with correlations, and noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows, n_columns)) @ (np.eye(n_columns) + 0.2 * rng.normal(size=(n_columns, n_columns)))
    x = x * rng.uniform(0.5, 3, n_columns) + rng.normal(size=n_columns)
    weights = rng.normal(size=n_columns)
    weights[n_used if n_used is not None else n_columns:] = 0
    return table_of(x, x @ weights + 3 + noise * rng.normal(size=n_rows))


def make_classes(n_rows=2000, n_columns=10, n_classes=2, spread=1.0, seed=1):
    """Class numbers drawn from a softmax over columns: no line separates them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows, n_columns)) * rng.uniform(0.5, 2, n_columns) + 0.3
    margins = x @ rng.normal(size=(n_columns, n_classes)) / spread + rng.gumbel(size=(n_rows, n_classes))
    return table_of(x, margins.argmax(axis=1))


def make_clusters(n_rows=2000, n_columns=5, k=4, distance=6.0, seed=1):
    """Heaps about k centres; y says which."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(k, n_columns)) * distance
    of = rng.integers(0, k, n_rows)
    return table_of(centres[of] + rng.normal(size=(n_rows, n_columns)), of)


def make_ratings(n_rows=20000, n_users=300, n_items=200, rank=3, noise=0.2, seed=1):
    """user, item, rating with a planted taste of few factors; no pair twice."""
    rng = np.random.default_rng(seed)
    pairs = rng.choice(n_users * n_items, min(n_rows, n_users * n_items), replace=False)
    user, item = pairs // n_items, pairs % n_items
    users, items = rng.normal(size=(n_users, rank)), rng.normal(size=(n_items, rank)) / math.sqrt(rank)
    rating = 3 + (users[user] * items[item]).sum(axis=1) + noise * rng.normal(size=len(pairs))
    return Table({"user": user, "item": item, "rating": rating}, "rating")


def typed(texts):
    """A column of texts as numbers if it is one."""
    try:
        return np.array([int(text) for text in texts])
    except ValueError:
        try:
            return np.array([float(text) for text in texts])
        except ValueError:
            return np.array(texts)


def read_lines(path):
    opened = gzip.open(path, "rt", encoding="utf-8") if path.endswith(".gz") else open(path, encoding="utf-8")
    with opened as file:
        return [line.strip() for line in file if line.strip()]


def read_columns(path, separator, names, label):
    rows = [line.split(separator) for line in read_lines(path)]
    return Table({name: typed(values) for name, values in zip(names, zip(*rows))}, label)


ADULT = ("age workclass weight education years marital occupation relationship race sex gain loss hours country "
         "income").split()


def load_adult():
    """Census: numbers and texts, label `income`."""
    path = shared_data("ml/adult.gz")
    if path:
        return read_columns(path, None, ADULT, "income")
    made = make_classes(4000, 4, seed=3)
    rng = np.random.default_rng(3)
    texts = {"workclass": np.array(["Private", "State-gov", "?"])[rng.integers(0, 3, len(made))],
             "sex": np.array(["Female", "Male"])[(made.columns["x0"] > rng.normal(size=len(made))).astype(int)]}
    columns = {"age": (made.columns["x0"] * 10 + 40).round(), "hours": made.columns["x1"], "gain": made.columns["x2"], **texts}
    return Table({**columns, "income": np.array(["<=50K", ">50K"])[made.y]}, "income")


def load_covtype():
    """54 features and the kind of forest, 1 to 7, label `y`."""
    path = shared_data("ml/covtype.20k.data")
    if not path:
        made = make_classes(4000, 20, 7, seed=4)
        return Table({**made.columns, "y": made.y + 1}, "y")
    values = np.loadtxt(path, delimiter=",")
    return table_of(values[:, :-1], values[:, -1].astype(int))


def load_housing():
    """Value of houses, label `medianHouseValue`."""
    path = shared_data("ml/cal_housing.data")
    if not path:
        made = make_numbers(4000, 8, noise=2, seed=5)
        return Table({**made.only(*made.features).columns, "medianHouseValue": made.y}, "medianHouseValue")
    with open(path, encoding="utf-8") as file:
        names = file.readline().strip().split(",")
    values = np.loadtxt(path, delimiter=",", skiprows=1)
    return Table({name: values[:, i] for i, name in enumerate(names)}, names[-1])


def load_lightgbm(kind):
    """LightGBM's own samples, "binary" (a class) or "regression": (train, test) as it has them, label `y`."""
    folder = {"binary": "ml/binary_classification", "regression": "ml/regression"}[kind]
    path = shared_data(folder)
    if not path:
        made = make_classes(3000, 28, spread=3, seed=6)
        if kind == "regression":
            made = Table({**made.columns, "y": made.y.astype(float)}, "y")
        return made.split(0.1)
    parts = [np.loadtxt(os.path.join(path, f"{kind}.{part}")) for part in ("train", "test")]
    return tuple(table_of(part[:, 1:], part[:, 0].astype(int if kind == "binary" else float)) for part in parts)


def load_agaricus():
    """Mushrooms in libsvm's format: paths of (train, test), and the same as dense x, y each."""
    paths = [shared_data(f"ml/agaricus.txt.{part}") for part in ("train", "test")]
    if not all(paths):
        raise Skipped("there is no agaricus.txt.train")
    return [(path, *read_libsvm(path, 127)) for path in paths]


def load_digits():
    """Handwritten digits: Table of 784 columns p0, p1, ... in 0 to 1, label `digit`."""
    path = shared_data("ml/mnist_json")
    if not path:
        made = make_clusters(3000, 64, 10, distance=0.8, seed=7)
        x = (made.x - made.x.min()) / (made.x.max() - made.x.min())
        return table_of(x, made.y, label="digit", prefix="p")
    parts = []
    for digit in range(10):
        with open(os.path.join(path, f"{digit}.json"), encoding="utf-8") as file:
            parts.append(np.array(json.load(file)["data"]).reshape(-1, 784))
    y = np.repeat(np.arange(10), [len(part) for part in parts])
    order = np.random.default_rng(7).permutation(len(y))
    return table_of(np.concatenate(parts)[order], y[order], label="digit", prefix="p")


# --- Files for the command --------------------------------------------------------------------------------------------


def cell(value):
    """A value in CSV: numbers so that they come back to the bit, None and a missing number as an empty field."""
    if value is None:
        return ""
    if isinstance(value, (float, np.floating)):
        return "" if math.isnan(value) else repr(float(value))
    return str(value)


def write_csv(path, columns):
    """Columns by name as CSV with a header. NaN is written as an empty field; write the text "NaN" to have one."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([[cell(value) for value in row] for row in zip(*[np.asarray(values).tolist() for values in columns.values()])])
    return path


def write_libsvm(path, x, y):
    """`label column:value ...`, columns from 1, zeros left out."""
    with open(path, "w", encoding="ascii") as file:
        for row, label in zip(x, y):
            file.write(" ".join([cell(label), *[f"{i + 1}:{cell(row[i])}" for i in np.flatnonzero(row)]]) + "\n")
    return path


def read_libsvm(path, n_columns):
    """x [n_rows, n_columns] and y."""
    lines = [line.split() for line in read_lines(path)]
    x = np.zeros((len(lines), n_columns))
    for row, line in enumerate(lines):
        for field in line[1:]:
            column, value = field.split(":")
            x[row, int(column) - 1] = float(value)
    return x, np.array([float(line[0]) for line in lines])


def write_idx(path, values):
    """The format of MNIST's files: an array of unsigned bytes, [n] or [n, height, width]."""
    values = np.asarray(values, np.uint8)
    header = struct.pack(">BBBB", 0, 0, 8, values.ndim) + struct.pack(f">{values.ndim}I", *values.shape)
    return write(path, header + values.tobytes())


# --- The command ------------------------------------------------------------------------------------------------------


def options_as_arguments(options):
    """l2=0.1, max_iterations=5 -> --l2 0.1 --max-iterations 5; True is an option without a value, None none."""
    arguments = []
    for name, value in options.items():
        if value is None or value is False:
            continue
        arguments += [f"--{name.replace('_', '-')}"] + ([] if value is True else [cell(value)])
    return arguments


class CommandServer:
    """tests/command_driver on so many ranks, which takes one command after the other: no start of mpirun for each."""

    running = {}  # by number of ranks

    def __init__(self, n_ranks):
        self.n_ranks, self.number = n_ranks, 0
        self.folder = tempfile.mkdtemp()
        self.path = os.path.join(self.folder, "commands")
        for name in (*range(n_ranks), "done"):
            os.mkfifo(f"{self.path}.{name}")
        self.done = os.open(f"{self.path}.done", os.O_RDWR)
        self.complaints = open(f"{self.path}.log", "w+", encoding="utf-8")
        self.process = subprocess.Popen([MPIRUN, "-n", str(n_ranks), os.path.join(BUILD, "tests", "command_driver"), self.path],
                                        env={**os.environ, **SINGLE_THREAD}, stdin=subprocess.DEVNULL, stdout=self.complaints,
                                        stderr=self.complaints, start_new_session=True)
        # both ways, so that opening does not wait for a reader; the driver gets the end of the file when this process ends
        self.lines = [os.open(f"{self.path}.{rank}", os.O_RDWR) for rank in range(n_ranks)]
        CommandServer.running[n_ranks] = self

    def run(self, arguments, folder, timeout):
        self.number += 1
        line = "\t".join([str(self.number), folder or os.getcwd(), *arguments]) + "\n"
        for pipe in self.lines:
            os.write(pipe, line.encode())
        code = self.wait(timeout)
        texts = []
        for what in ("out", "err"):
            with open(f"{self.path}.{self.number}.{what}", encoding="utf-8", errors="replace") as file:
                texts.append(file.read())
        return subprocess.CompletedProcess(arguments, code, *texts)

    def wait(self, timeout):
        limit, text = time.monotonic() + timeout, b""
        while not text.endswith(b"\n"):
            if select.select([self.done], [], [], 0.2)[0]:
                text += os.read(self.done, 100)
            elif self.process.poll() is not None or time.monotonic() > limit:
                is_dead = self.process.poll() is not None
                self.end()
                self.complaints.seek(0)
                raise AssertionError(f"{'died' if is_dead else 'hangs'}: {self.complaints.read()[-2000:]}")
        return int(text)

    def end(self):
        CommandServer.running.pop(self.n_ranks, None)
        for pipe in (*self.lines, self.done):
            os.close(pipe)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        shutil.rmtree(self.folder)


@atexit.register
def end_servers():
    for server in list(CommandServer.running.values()):
        server.end()


SERVED = {"train", "predict", "evaluate", "search", "export-onnx", "als_driver", "features_driver"}


def command(n_ranks, *arguments, folder=None, timeout=120):
    """A command of the driver on that many ranks, one thread each; as if it were a finished process."""
    server = CommandServer.running.get(n_ranks) or CommandServer(n_ranks)
    return server.run([str(argument) for argument in arguments], folder, timeout)


def quern(n_ranks, *arguments, folder=None, timeout=120):
    """`quern ARGUMENTS`, as a program of its own where that is not one of training."""
    texts = [str(argument) for argument in arguments]
    if texts[0] in SERVED and "--help" not in texts and len(texts) > 2:
        return command(n_ranks, *texts, folder=folder, timeout=timeout)
    return run(n_ranks, "bin/quern", *texts, folder=folder, env=SINGLE_THREAD, timeout=timeout)


def try_train(folder, estimator, data, label=None, n_ranks=2, out="model.h5", **options):
    """`quern train`: as it ended, well or not. `data` is a path, or a Table, whose label is taken then."""
    if isinstance(data, Table):
        label = label or data.label
        data = data.write_csv(os.path.join(folder, "train.csv"))
    return quern(n_ranks, "train", estimator, "--data", data, *(["--label", label] if label else []), "--out", out,
                 *options_as_arguments(options), folder=folder)


def train(folder, estimator, data, label=None, n_ranks=2, out="model.h5", **options):
    """The path of a trained model. Options: features, weight, seed, exact=True, float32=True, checkpoint, memory, and
    those of the estimator."""
    succeeds(try_train(folder, estimator, data, label, n_ranks, out, **options))
    return os.path.join(folder, out)


def train_fails(folder, estimator, data, label=None, says="", n_ranks=2, out="model.h5", **options):
    """Training that must end with one message that has the text (or all of several), and leave no model."""
    done = try_train(folder, estimator, data, label, n_ranks, out, **options)
    complaints = messages(done)
    assert done.returncode in (1, 2), f"exit code {done.returncode} instead of an error: {done.stdout[-500:]}{done.stderr[-500:]}"
    assert not os.path.exists(os.path.join(folder, out)), "there is a model in spite of the error"
    for part in [says] if isinstance(says, str) else says:
        assert any(part in complaint for complaint in complaints), f"no '{part}' in {complaints}"
    return complaints


def predict(folder, model, data, n_ranks=2, out="predictions.csv"):
    """What the model says of the rows, in their order: columns by name."""
    if isinstance(data, Table):
        data = data.write_csv(os.path.join(folder, "predict.csv"))
    succeeds(quern(n_ranks, "predict", "--model", model, "--data", data, "--out", out, folder=folder))
    return read_table(os.path.join(folder, out))


def evaluate(folder, model, data, n_ranks=2):
    """The metrics of a model on rows, by name."""
    if isinstance(data, Table):
        data = data.write_csv(os.path.join(folder, "evaluate.csv"))
    done = succeeds(quern(n_ranks, "evaluate", "--model", model, "--data", data, folder=folder))
    return parse_metrics(done.stdout)


def parse_metrics(text):
    """Lines "name value" (also with = or :) as numbers by name."""
    found = re.findall(r"^\s*(\w+)\s*[=:]?\s+(-?(?:[0-9.]+(?:[eE][-+]?[0-9]+)?|nan|inf))\b", text, re.MULTILINE)
    return {name: float(value) for name, value in found}


def read_table(path):
    """A CSV file as arrays by name; empty fields of columns of numbers are NaN."""
    with open(path, encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file))
    columns = {}
    for i, name in enumerate(header):
        texts = [row[i] for row in rows]
        columns[name] = typed([text or "nan" for text in texts]) if any(texts) else np.full(len(texts), np.nan)
        if columns[name].dtype.kind == "U":
            columns[name] = np.array(texts)
    return columns


def probabilities(predictions):
    """The columns p_<class>, in order, as [n_rows, n_classes]."""
    return np.column_stack([values for name, values in predictions.items() if name.startswith("p_")])


def read_model(path):
    """Every dataset of the file by its name (the last part of its path), numbers as arrays, texts as str."""
    import h5py
    found = {}

    def take(name, item):
        if isinstance(item, h5py.Dataset):
            value = item[()]
            found[name.split("/")[-1]] = value.decode() if isinstance(value, bytes) else value

    with h5py.File(path, "r") as file:
        file.visititems(take)
    return found


# --- Ended in the middle ----------------------------------------------------------------------------------------------


def children(pid):
    """Processes below one, deepest first."""
    found = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                for child in file.read().split():
                    found += children(int(child)) + [int(child)]
    except OSError:
        pass  # it has just ended
    return found


class Training:
    """A `quern train` that is still running, to be looked at and to be killed."""

    def __init__(self, folder, estimator, data, n_ranks, out="model.h5", **options):
        arguments = [MPIRUN, "-n", str(n_ranks), os.path.join(BUILD, "bin", "quern"), "train", estimator, "--data", data,
                     "--out", out, *options_as_arguments(options)]
        self.process = subprocess.Popen(arguments, cwd=folder, env={**os.environ, **SINGLE_THREAD}, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

    def is_running(self):
        return self.process.poll() is None

    def ranks(self):
        """The processes that are quern itself."""
        found = []
        for pid in children(self.process.pid):
            try:
                if os.path.basename(os.readlink(f"/proc/{pid}/exe")) == "quern":
                    found.append(pid)
            except OSError:
                pass
        return found

    def kill(self):
        """All ranks at once, without warning; true if there were any to kill."""
        pids = self.ranks()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.end()
        return bool(pids)

    def end(self):
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def peak_own_memory(self, seconds=120):
        """The most anonymous memory that any rank had (not pages of mapped files), looked at until it ends; bytes."""
        peak, limit = 0, time.monotonic() + seconds
        while self.is_running() and time.monotonic() < limit:
            for pid in self.ranks():
                peak = max(peak, own_memory(pid))
            time.sleep(0.01)
        self.end()
        return peak


def own_memory(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            return int(re.search(r"^RssAnon:\s+(\d+) kB", file.read(), re.MULTILINE)[1]) * 1024
    except (OSError, TypeError):
        return 0


def wait_for(condition, seconds=60):
    """Until it holds; false if it never does."""
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            return False
        time.sleep(0.002)
    return True


# --- Comparing --------------------------------------------------------------------------------------------------------


def expect_same_bytes(paths):
    """Files that must be equal to the bit; says of a model which array is not."""
    first = read(paths[0])
    for path in paths[1:]:
        if read(path) == first:
            continue
        raise AssertionError(f"{os.path.basename(path)} has other bytes than {os.path.basename(paths[0])}: "
                             f"{model_difference(paths[0], path) or 'not in its arrays'}")


def model_difference(path, other, relative=0.0, leave_out=None):
    """What is different between two models: names of arrays and how far off they are; "" if nothing."""
    one, two = read_model(path), read_model(other)
    wrong = [f"only one has {name}" for name in sorted(one.keys() ^ two.keys())]
    for name in sorted((one.keys() & two.keys()) - {leave_out}):
        a, b = np.asarray(one[name]), np.asarray(two[name])
        if a.shape != b.shape:
            wrong.append(f"{name} has shape {a.shape} and {b.shape}")
        elif a.dtype.kind not in "fiub":
            wrong += [name] if not np.array_equal(a, b) else []
        elif a.size and not np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
            off = np.nanmax(np.abs(a.astype(float) - b.astype(float))) / max(np.nanmax(np.abs(a.astype(float))), 1e-300)
            wrong += [f"{name} off by {off:.1e}"] if not off <= relative else []
    return "; ".join(wrong)


def expect_close(found, wanted, relative, what=""):
    """Within so much of each other: of the largest value, for arrays."""
    found, wanted = np.asarray(found, float), np.asarray(wanted, float)
    assert found.shape == wanted.shape, f"{what}: shape {found.shape} instead of {wanted.shape}"
    off = np.max(np.abs(found - wanted), initial=0) / max(np.max(np.abs(wanted), initial=0), 1e-300)
    assert off <= relative, f"{what}: {found} instead of {wanted}, off by {off:.2e}, allowed {relative:.0e}"


def expect_no_worse(found, wanted, slack=0.005, larger_is_better=True, what=""):
    """A quality at least as good as a peer's, but for that share of it."""
    is_good = found >= wanted - slack * abs(wanted) if larger_is_better else found <= wanted + slack * abs(wanted)
    assert is_good, f"{what}: {found:.6g} where the peer has {wanted:.6g}"


def log_loss(p, y):
    """Mean negative log-likelihood of class numbers y under p [n_rows, n_classes]."""
    return float(-np.mean(np.log(np.clip(p[np.arange(len(y)), np.asarray(y, int)], 1e-300, 1))))
