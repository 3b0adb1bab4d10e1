# SPDX-License-Identifier: Apache-2.0
"""A training whose ranks are all killed in the middle goes on from its checkpoint, on another number of ranks, and ends
as if nothing had been; a checkpoint of another training is refused."""
import os
import random
import shutil
import sys

from estimator_cases import every_case, texts_of, without_label
from training_kit import (SEED, Training, evaluate, expect_close, expect_same_bytes, make_classes, make_clusters,
                          make_numbers, make_ratings, run_tests, succeeds, train, train_fails, try_train, wait_for)

N_ROWS = 3000
CLASSES = texts_of(make_classes(N_ROWS, 12, 3))
# name of a case in estimator_cases -> rows and options with so many steps that they can be interrupted
LONG = {
    "linear lbfgs": (make_numbers(N_ROWS, 40), {"solver": "lbfgs", "tolerance": 0, "max_iterations": 80}),
    "logistic": (CLASSES, {"l2": 1e-9, "tolerance": 0, "max_iterations": 80}),
    "logistic mini_batch": (CLASSES, {"solver": "mini_batch", "max_iterations": 50, "batch_rows": 64}),
    "svm": (CLASSES, {"l2": 1e-9, "tolerance": 0, "max_iterations": 80}),
    "kmeans": (without_label(make_clusters(20000, 8, 30, distance=0.5)), {"k": 40, "max_iterations": 60, "tolerance": 0}),
    "mixture": (without_label(make_clusters(N_ROWS, 6, 5, distance=1)), {"k": 5, "max_iterations": 60, "tolerance": 0}),
    "gbdt": (CLASSES, {"n_trees": 50}),
    "forest": (CLASSES, {"n_trees": 60}),
    "mlp": (CLASSES, {"layers": "32", "max_epochs": 40, "batch_rows": 64}),
    "als": (make_ratings(20000, 300, 200), {"features": "user, item", "k": 16, "max_iterations": 60}),
}


def interrupted(folder, estimator, data, table, rng, n_ranks, **options):
    """Starts a training and kills it some time after its first checkpoint; false if it was done before."""
    checkpoint = os.path.join(folder, "state.h5")
    for longest in (0.3, 0.1, 0.02, 0.0):
        for name in ("state.h5", "model.h5"):
            if os.path.exists(os.path.join(folder, name)):
                os.remove(os.path.join(folder, name))
        running = Training(folder, estimator, data, n_ranks, label=table.label, checkpoint=checkpoint, checkpoint_steps=1, **options)
        begun = wait_for(lambda: os.path.exists(checkpoint) or not running.is_running())
        wait_for(lambda: not running.is_running(), rng.uniform(0, longest))
        running.kill()
        if begun and os.path.exists(checkpoint) and not os.path.exists(os.path.join(folder, "model.h5")):
            return True
    return False


def a_killed_training_goes_on_to_the_same_bytes(folder):
    rng = random.Random(SEED)
    wrong = []
    for name, estimator, _, _ in every_case(*LONG):
        table, options = LONG[name]
        options = {**options, "exact": True, "report": -1}
        data = table.write_csv(os.path.join(folder, "rows.csv"))
        undisturbed = train(folder, estimator, data, label=table.label, n_ranks=2, out="undisturbed.h5", **options)
        before, after = rng.choice([(2, 3), (3, 1), (1, 2), (3, 2)])
        if not interrupted(folder, estimator, data, table, rng, before, **options):
            wrong.append(f"{name}: it writes no checkpoint, or ends before it can be killed")
            continue
        done = try_train(folder, estimator, data, label=table.label, n_ranks=after, checkpoint="state.h5", checkpoint_steps=30, **options)
        if done.returncode != 0 or "goes on after step" not in done.stdout + done.stderr:
            wrong.append(f"{name}: {done.returncode}: {(done.stdout + done.stderr)[-500:]}")
            continue
        try:
            expect_same_bytes([undisturbed, os.path.join(folder, "model.h5")])
        except AssertionError as why:
            wrong.append(f"{name}, {before} ranks, then {after}: {why}")
        if os.path.exists(os.path.join(folder, "state.h5")):
            wrong.append(f"{name}: the checkpoint is still there")
    assert not wrong, "\n  ".join(["", *wrong])


def without_exact_the_quality_is_the_same(folder):
    rng = random.Random(SEED + 1)
    for name, estimator, _, _ in every_case("logistic", "mlp"):
        table, options = LONG[name]
        data = table.write_csv(os.path.join(folder, "rows.csv"))
        undisturbed = evaluate(folder, train(folder, estimator, data, label=table.label, n_ranks=2, out="one.h5", **options), data)
        assert interrupted(folder, estimator, data, table, rng, 3, **options), f"{name} ends before it can be killed"
        succeeds(try_train(folder, estimator, data, label=table.label, n_ranks=2, checkpoint="state.h5", **options))
        found = evaluate(folder, os.path.join(folder, "model.h5"), data)
        expect_close(found["log_loss"], undisturbed["log_loss"], 1e-6 if name == "logistic" else 1e-3, name)


def a_checkpoint_of_another_training_is_refused(folder):
    rng = random.Random(SEED + 2)
    for name, estimator, _, _ in every_case("logistic"):
        table, options = LONG[name]
        data = table.write_csv(os.path.join(folder, "rows.csv"))
        assert interrupted(folder, estimator, data, table, rng, 2, **options)
        state = os.path.join(folder, "state.h5")
        shutil.copy(state, os.path.join(folder, "kept.h5"))
        other = make_classes(N_ROWS, 12, 3, seed=9)
        for what, changed in (("options", dict(data=data, options={**options, "l2": 0.5})),
                              ("rows", dict(data=texts_of(other).write_csv(os.path.join(folder, "others.csv")), options=options)),
                              ("fewer rows", dict(data=table.rows(slice(0, 2000)).write_csv(os.path.join(folder, "few.csv")), options=options)),
                              ("features", dict(data=data, options={**options, "features": "x0, x1"}))):
            train_fails(folder, estimator, changed["data"], label=table.label, says=("state.h5", "another training"),
                        checkpoint="state.h5", **changed["options"])
            assert os.path.exists(state), f"{what}: the checkpoint is gone"
        with open(state, "r+b") as file:
            file.truncate(os.path.getsize(state) // 2)
        train_fails(folder, estimator, data, label=table.label, says="state.h5", checkpoint="state.h5", **options)
        with open(state, "w", encoding="ascii") as file:
            file.write("no checkpoint")
        train_fails(folder, estimator, data, label=table.label, says="state.h5", checkpoint="state.h5", **options)


if __name__ == "__main__":
    sys.exit(run_tests([a_killed_training_goes_on_to_the_same_bytes, without_exact_the_quality_is_the_same,
                        a_checkpoint_of_another_training_is_refused]))
