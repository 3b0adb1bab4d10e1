# SPDX-License-Identifier: Apache-2.0
"""Files that are cut off, changed, missing, of another version, or changed while they are read: CSV, compressed text,
stages, manifests, models. Whatever happens to them, a job gives the rows that were written, or one clear error that names
the file, with an exit code other than 0. Many small damages in one start of MPI: see torn_driver.c."""
import bz2
import gzip
import json
import os
import random
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "jobs"))
from job_kit import BUILD, MPIRUN, SEED, read, run, run_plan, run_tests, succeeds, write  # noqa: E402

SECONDS = 100  # for all damages of a test; one that takes longer hangs


class Found:
    """What a job came to."""

    def __init__(self, probe, line):
        self.probe = probe
        code, self.hash, n_rows, self.message = line.rstrip("\n").split("\t")
        self.code, self.n_rows = int(code), int(n_rows)

    def __str__(self):
        return f"{self.probe}: exit code {self.code}, {self.n_rows} rows, {self.message!r}"

    def fails(self, *parts):
        assert self.code == 1 and self.n_rows < 0, str(self)
        for part in parts:
            assert part in self.message, f"no {part!r} in {self}"


def probe_all(folder, probes, n_ranks=1):
    """Each probe (kind, path, when, target, damage, at) as a job; what each came to. One rank needs no launcher; a made-up
    machine is faster to look at than the real one."""
    lines = [(kind, path, "data.csv", when, target, damage, str(at)) for kind, path, when, target, damage, at in probes]
    write(os.path.join(folder, "probes"), "".join("\t".join(line) + "\n" for line in lines))
    launcher = [MPIRUN, "-n", str(n_ranks)] if n_ranks > 1 else []
    done = subprocess.run([*launcher, os.path.join(BUILD, "tests", "torn_driver"), "probes", "results"], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, errors="replace", check=False, timeout=SECONDS, env=os.environ | {"HWLOC_SYNTHETIC": "numa:1 core:2 pu:1", "OMPI_MCA_ess_singleton_isolated": "1"})
    with open(os.path.join(folder, "results"), encoding="utf-8", errors="replace") as file:
        said = file.readlines()
    assert done.returncode == 0 and len(said) == len(probes), f"ended at {probes[len(said):][:1]}: {done.returncode} {done.stderr[-3000:]}"
    return [Found(*pair) for pair in zip(probes, said)]


def cuts(kind, path, target, size, n):
    return [(kind, path, "before", target, "cut", at) for at in sorted({size * i // n for i in range(n)} | {1, 2, 3, size - 1})]


def flips(kind, path, target, size, n):
    rng = random.Random(f"{SEED} {target}")
    return [(kind, path, "before", target, "flip", at) for at in sorted(rng.sample(range(size), min(n, size)))]


def right_or_told(found, right, name):
    """The share of the damages that were told."""
    n_told = 0
    for one in found:
        if one.code == 0:
            assert (one.hash, one.n_rows) == (right.hash, right.n_rows), f"another answer: {one}"
        else:
            one.fails(name)
            n_told += 1
    return n_told / len(found)


def size_of(folder, name):
    return os.path.getsize(os.path.join(folder, name))


def csv_text(n_rows):
    rng = random.Random(SEED)
    return "id,name,price,day\n" + "".join(f"{row},n{rng.randrange(1000)},{rng.randrange(10**6) / 100},2024-0{row % 9 + 1}-11\n" for row in range(n_rows))


def packed_forms(text):
    """Name of the file: its bytes."""
    forms = {"rows.csv.gz": gzip.compress(text.encode()), "rows.csv.bz2": bz2.compress(text.encode())}
    if shutil.which("zstd"):
        forms["rows.csv.zst"] = subprocess.run(["zstd", "-c"], input=text.encode(), capture_output=True, check=True).stdout
    return forms


# --- Damage that is there when a job starts ---------------------------------------------------------------------------


def csv_that_ends_within_a_row(folder):
    text = csv_text(300)
    write(os.path.join(folder, "rows.csv"), text)
    n_told = 0
    for one in probe_all(folder, cuts("csv", "rows.csv", "rows.csv", len(text), 40)):
        rows = text[:one.probe[5]].removesuffix("\n").split("\n")[1:]
        if one.code == 0:  # nothing tells that a whole row is missing, or the end of a last field
            assert one.n_rows == len(rows) and (not rows or rows[-1].count(",") == 3), str(one)
        else:
            one.fails("rows.csv")
            n_told += 1
    assert n_told > 20, n_told


def compressed_files_that_are_cut_or_changed(folder):
    text = csv_text(300)
    for name, data in packed_forms(text).items():
        write(os.path.join(folder, name), data)
        for kind in ["csv", "text"]:
            changes = flips(kind, name, name, len(data), 20) + [(kind, name, "before", name, "flip", at) for at in range(12)]
            right, *found = probe_all(folder, [(kind, name, "before", name, "none", 0)] + changes + cuts(kind, name, name, len(data), 15))
            assert right.code == 0 and right.n_rows == 300 + (kind == "text"), str(right)
            assert right_or_told(found[:len(changes)], right, name) > 0.6
            for one in found[len(changes):]:
                one.fails(name)


def make_stage(folder):
    """stage/ with two parts of several columns, and one.h5."""
    write(os.path.join(folder, "rows.csv"), csv_text(500))
    succeeds(run_plan(2, [("a", "csv", "rows.csv", "id int64, name utf8, price float64, day date"), ("r", "shuffle", "a", "id"), ("s", "stage", "r", "stage"), ("t", "stage", "r", "one.h5")], folder))


def stages_that_are_cut_or_changed(folder):
    make_stage(folder)
    for path, name, least in [("stage", "stage/part-00000.h5", 0.05), ("stage", "stage/part-00001.h5", 0.05), ("stage", "stage/manifest.json", 0.9), ("one.h5", "one.h5", 0.05)]:
        size = size_of(folder, name)
        changes = flips("stage", path, name, size, 100)
        right, *found = probe_all(folder, [("stage", path, "before", name, "none", 0)] + changes + cuts("stage", path, name, size - 1, 15))
        assert right.code == 0 and right.n_rows == 500, str(right)
        share = right_or_told(found[:len(changes)], right, name)
        assert share > least, (name, share)
        for one in found[len(changes):]:
            one.fails(name)


def stages_with_a_piece_of_another(folder):
    make_stage(folder)
    os.rename(os.path.join(folder, "stage"), os.path.join(folder, "other"))
    make_stage(folder)
    with open(os.path.join(folder, "stage", "manifest.json"), encoding="utf-8") as file:
        manifest = json.load(file)
    for lie, parts in [({"version": 99}, ["manifest.json", "version 99", "reads version 1"]), ({"format": "parquet"}, ["manifest.json", "parquet"]), ({"rows": 499}, ["manifest.json", "checksum"])]:
        write(os.path.join(folder, "lie", "manifest.json"), json.dumps(manifest | lie))
        probe_all(folder, [("stage", "lie", "before", "lie/manifest.json", "none", 0)])[0].fails(*parts)
    write(os.path.join(folder, "lie", "manifest.json"), read(os.path.join(folder, "stage", "manifest.json")))
    missing, *kept = probe_all(folder, [("stage", "lie", "before", "lie/manifest.json", "none", 0)] + [("stage", "stage", "before", name, "away", 0) for name in ["stage", "stage/manifest.json", "stage/part-00001.h5"]])
    missing.fails("lie/part-0000", "No such file")
    kept[0].fails("stage", "No such file")
    kept[1].fails("stage", "without a manifest.json", "run the job that writes it again")
    kept[2].fails("stage/part-00001.h5", "No such file")


def models_that_are_cut_or_changed(folder):
    write(os.path.join(folder, "data.csv"), "a,b,y\n" + "".join(f"{i % 17},{i % 23 / 4},{'no' if i % 17 < 9 else 'yes'}\n" for i in range(200)))
    succeeds(run(1, "bin/quern", "train", "logistic", "--data", "data.csv", "--label", "y", "--output", "model.h5", folder=folder))
    size = size_of(folder, "model.h5")
    changes = flips("model", "model.h5", "model.h5", size, 120)
    right, *found = probe_all(folder, [("model", "model.h5", "before", "model.h5", "none", 0)] + changes + cuts("model", "model.h5", "model.h5", size, 30) + [("model", "model.h5", "before", "model.h5", "away", 0)])
    assert right.code == 0 and right.n_rows == 200, str(right)
    assert right_or_told(found[:len(changes)], right, "model.h5") > 0.05
    for one in found[len(changes):]:
        one.fails("model.h5", *(["copy it again"] if one.probe[4] == "cut" else []))


# --- Damage while a job reads -----------------------------------------------------------------------------------------


def files_that_change_while_they_are_read(folder):
    """3 MB on two ranks: what is damaged after the first rows is read after it by both."""
    make_stage(folder)
    text = csv_text(100000)
    write(os.path.join(folder, "in", "rows.csv"), text)
    for name, data in packed_forms(text).items():
        write(os.path.join(folder, "in", name), data)
    half = len(text) // 2
    probes = [("csv", "in/rows.csv", when, "in/rows.csv", damage, at) for when in ["listed", "reading"] for damage, at in [("cut", half), ("cut", 10), ("rewrite", 48), ("replace", 48)]]
    probes += [("text", "in/rows.csv", when, "in/rows.csv", damage, at) for when in ["listed", "reading"] for damage, at in [("cut", half), ("rewrite", 10), ("replace", 10)]]
    probes += [(kind, "in/rows.csv", "listed", target, "away", 0) for kind in ["csv", "text"] for target in ["in", "in/rows.csv"]]
    probes += [("csv", f"in/{name}", "listed", f"in/{name}", damage, at) for name in packed_forms("x") for damage, at in [("cut", 1000), ("rewrite", 48), ("replace", 48), ("away", 0)]]
    probes += [("stage", "stage", "listed", target, damage, at) for target in ["stage/part-00000.h5", "stage/part-00001.h5"] for damage, at in [("cut", 3000), ("rewrite", 0), ("replace", 7), ("away", 0)]]
    probes += [("stage", "stage", "listed", "stage", "away", 0)]
    succeeds(run_plan(1, [("a", "numbers", "200000", "100"), ("s", "stage", "a", "long")], folder))
    probes += [("stage", "long", "reading", "long/part-00000.h5", damage, at) for damage, at in [("cut", 70000), ("cut", 0), ("rewrite", 1)]]
    paths = [("csv", "in/rows.csv"), ("text", "in/rows.csv"), ("stage", "long")]
    targets = ["in/rows.csv", "in/rows.csv", "long/part-00000.h5"]
    right = dict(zip(paths, probe_all(folder, [(*path, "before", target, "none", 0) for path, target in zip(paths, targets)])))
    for n_ranks in [1, 3]:
        for one in probe_all(folder, probes, n_ranks):
            kind, path, when, target, how, _ = one.probe
            # what has been read already, or is open and was replaced by another, is right
            if one.code == 0 and when == "reading" and (how == "replace" or n_ranks > 1):
                assert one.hash == right[kind, path].hash, str(one)
            else:
                one.fails(f"{target}/" if target in ("in", "stage") else target)
    grown = probe_all(folder, [("csv", "in/rows.csv", "listed", "in/rows.csv", "grow", 48)])[0]
    assert grown.code == 0 and grown.hash == right["csv", "in/rows.csv"].hash, str(grown)  # what is appended meanwhile is left alone


if __name__ == "__main__":
    sys.exit(run_tests([csv_that_ends_within_a_row, compressed_files_that_are_cut_or_changed, stages_that_are_cut_or_changed, stages_with_a_piece_of_another,
                        models_that_are_cut_or_changed, files_that_change_while_they_are_read]))
