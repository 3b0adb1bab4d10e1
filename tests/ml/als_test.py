# SPDX-License-Identifier: Apache-2.0
"""The recommender: what it finds is the solution of its normal equations (numpy), the same bits on any number of ranks,
planted taste, and as good a ranking as that of the package implicit."""
import csv
import os
import sys

import numpy as np

from training_kit import (RANKS, SINGLE_THREAD, Skipped, Training, command, evaluate, expect_same_bytes, make_ratings, messages, read_model,
                          run, run_tests, succeeds, wait_for, write)

OFFSET_PRIOR = 5


def als(n_ranks, output, *arguments, **named):
    return command(n_ranks, "als_driver", "--output", output, *arguments,
                   *[text for name, value in named.items() for text in (f"--{name}", str(value))])


def write_ratings(path, user, item, rating=None):
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user", "item"] + ([] if rating is None else ["rating"]))
        writer.writerows(zip(user, item) if rating is None else zip(user, item, rating))
    return path


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def learned(path):
    """The arrays of a model by their names in it."""
    return {name.removeprefix("learned_").removeprefix("curve_"): value for name, value in read_model(path).items()}


def rated(model, data):
    """The ratings as dense [users, items], NaN where there is none."""
    found = np.full((len(model["user_values"]), len(model["item_values"])), np.nan)
    user = np.searchsorted(model["user_values"], data.columns["user"])
    item = np.searchsorted(model["item_values"], data.columns["item"])
    found[user, item] = data.y
    return found


def expect_factors(found, wanted, what, bound=2e-5):
    scale = np.abs(wanted).max()
    worst = np.abs(found - wanted).max() / scale
    assert worst < bound, f"{what}: {worst:.1e} of the largest away from the dense solution"


def items_solve_their_normal_equations(folder):
    data = make_ratings(6000, 150, 80)
    path = write_ratings(os.path.join(folder, "r.csv"), data.columns["user"], data.columns["item"], data.y)
    for options, weighted in (("k=5 l2=0.05", True), ("k=5 l2=3 unweighted_l2=true", False)):
        succeeds(als(3, os.path.join(folder, "out"), train=path, options=options))
        model = learned(os.path.join(folder, "out", "model.h5"))
        ratings, x = rated(model, data), model["user_factors"].astype(float)
        l2 = 0.05 if weighted else 3
        for item in range(ratings.shape[1]):
            has = ~np.isnan(ratings[:, item])
            rows_of = np.column_stack([x[has], np.ones(has.sum())])
            target = ratings[has, item] - model["mean"][0] - model["user_offsets"][has]
            penalty = np.diag([l2 * (has.sum() if weighted else 1)] * 5 + [OFFSET_PRIOR])
            solution = np.linalg.solve(rows_of.T @ rows_of + penalty, rows_of.T @ target)
            expect_factors(np.append(model["item_factors"][item], model["item_offsets"][item]), solution, options)
        predicted = model["mean"][0] + model["user_offsets"][:, None] + model["item_offsets"] + x @ model["item_factors"].T
        rmse = np.sqrt(np.nanmean((ratings - predicted) ** 2))
        assert abs(model["loss"][-1] / rmse - 1) < 1e-5, (model["loss"][-1], rmse)


def implicit_items_solve_their_normal_equations(folder):
    data = make_ratings(3000, 100, 60)
    counts = np.maximum(np.round(data.y), 0)  # zeros among them: seen, and not wanted
    data.columns["rating"] = counts
    path = write_ratings(os.path.join(folder, "r.csv"), data.columns["user"], data.columns["item"], counts)
    succeeds(als(3, os.path.join(folder, "out"), train=path, 
                 options="k=6 l2=0.5 unweighted_l2=true implicit=true alpha=7 cg_steps=0"))
    model = learned(os.path.join(folder, "out", "model.h5"))
    ratings, x = np.nan_to_num(rated(model, data)), model["user_factors"].astype(float)
    for item in range(ratings.shape[1]):
        c = 1 + 7 * ratings[:, item]
        solution = np.linalg.solve(x.T @ (c[:, None] * x) + 0.5 * np.eye(6), x.T @ (c * (ratings[:, item] > 0)))
        expect_factors(model["item_factors"][item], solution, f"item {item}")
    predicted = x @ model["item_factors"].T
    loss = ((1 + 7 * ratings) * ((ratings > 0) - predicted) ** 2).sum() + 0.5 * ((x ** 2).sum() + (model["item_factors"] ** 2).sum())
    assert abs(model["loss"][-1] * len(data) / loss - 1) < 1e-5, (model["loss"][-1] * len(data), loss)
    assert np.all(np.diff(model["loss"]) <= 1e-7 * model["loss"][0]), "the loss grows"


def conjugate_gradients(matrix, side, x, n_steps):
    r = side - matrix @ x
    p = r
    for _ in range(n_steps):
        length = r @ r / (p @ matrix @ p)
        x, before = x + length * p, r @ r
        r = r - length * (matrix @ p)
        p = r + r @ r / before * p
    return x


def implicit_rows_take_steps_of_conjugate_gradients(folder):
    """From one iteration to the next, both sides, dense and in float64."""
    data = make_ratings(3000, 100, 60)
    counts = np.maximum(np.round(data.y), 0)
    data.columns["rating"] = counts
    path = write_ratings(os.path.join(folder, "r.csv"), data.columns["user"], data.columns["item"], counts)
    for n_steps, options in ((3, ""), (1, " cg_steps=1 unweighted_l2=true")):
        before, after = (os.path.join(folder, name) for name in ("before", "after"))
        for out, n_iterations in ((before, 4), (after, 5)):
            succeeds(als(2, out, train=path, options=f"k=6 l2=0.02 implicit=true alpha=7 max_iterations={n_iterations}{options}"))
        before, after = (learned(os.path.join(out, "model.h5")) for out in (before, after))
        ratings = rated(after, data)
        penalties = 0
        for side, other, r in (("user", before["item_factors"], ratings), ("item", after["user_factors"], ratings.T)):
            q, n, r = other.astype(float), (~np.isnan(r)).sum(axis=1), np.nan_to_num(r)
            for row, x in enumerate(before[f"{side}_factors"].astype(float)):
                c = 1 + 7 * r[row]
                penalty = 0.02 * (1 if "unweighted" in options else n[row])
                wanted = conjugate_gradients(q.T @ (c[:, None] * q) + penalty * np.eye(6), q.T @ (c * (r[row] > 0)), x, n_steps)
                expect_factors(after[f"{side}_factors"][row], wanted, f"{side} {row}, {n_steps} steps", 1e-4)  # in float32
                penalties += penalty * (wanted ** 2).sum()
        r, predicted = np.nan_to_num(ratings), after["user_factors"].astype(float) @ after["item_factors"].T
        loss = (((1 + 7 * r) * ((r > 0) - predicted) ** 2).sum() + penalties) / len(data)
        assert abs(after["loss"][-1] / loss - 1) < 1e-5, (after["loss"][-1], loss)
        assert np.all(np.diff(after["loss"]) <= 1e-6 * after["loss"][0]), "the loss grows"


def all_ranks_find_the_same_bits(folder):
    data = make_ratings(20000, 700, 300)  # several blocks of users
    path = write_ratings(os.path.join(folder, "r.csv"), data.columns["user"] * 3 - 500, data.columns["item"], np.abs(data.y))
    for options in ("k=16 l2=0.05 max_iterations=4", "k=18 implicit=true max_iterations=4", "k=16 implicit=true cg_steps=0 max_iterations=2"):
        for n_ranks in RANKS:
            succeeds(als(n_ranks, os.path.join(folder, f"out-{n_ranks}"), train=path, test=path, recommend=7, options=options))
        for name in ("model.h5", "predictions.csv", "recommendations.csv"):
            expect_same_bytes([os.path.join(folder, f"out-{n_ranks}", name) for n_ranks in RANKS])


def best_items_are_recommended(folder):
    data = make_ratings(6000, 150, 80)
    path = write_ratings(os.path.join(folder, "r.csv"), data.columns["user"], data.columns["item"], data.y)
    succeeds(als(2, os.path.join(folder, "out"), train=path, recommend=100, options="k=4 max_iterations=3"))
    model = learned(os.path.join(folder, "out", "model.h5"))
    scores = (model["mean"][0] + model["user_offsets"][:, None] + model["item_offsets"]
              + model["user_factors"].astype(float) @ model["item_factors"].T)
    has = ~np.isnan(rated(model, data))
    found = rows(os.path.join(folder, "out", "recommendations.csv"))
    assert len(found) == (~has).sum(), "not all items that were not rated"
    for row in found:
        user, item = np.searchsorted(model["user_values"], int(row["user"])), np.searchsorted(model["item_values"], int(row["item"]))
        assert not has[user, item], row
        assert abs(float(row["score"]) - scores[user, item]) < 1e-4, row
    for before, after in zip(found, found[1:]):
        if before["user"] == after["user"]:
            assert int(after["rank"]) == int(before["rank"]) + 1 and float(after["score"]) <= float(before["score"]), (before, after)


def rankings_are_judged(folder):
    """What `quern evaluate` says of recommendations, against a plain count."""
    data = make_ratings(6000, 150, 80)
    chosen = np.random.default_rng(2).random(len(data)) < 0.2
    train, test = (write_ratings(os.path.join(folder, name), *(data.rows(part).columns[c] for c in ("user", "item", "rating")))
                   for name, part in (("train.csv", ~chosen), ("test.csv", chosen)))
    succeeds(als(2, os.path.join(folder, "out"), train=train, recommend=10, options="k=4"))
    taken, best = {}, {}
    for row in rows(test):
        taken.setdefault(row["user"], set()).add(row["item"])
    for row in rows(os.path.join(folder, "out", "recommendations.csv")):
        best.setdefault(row["user"], []).append(row["item"])
    users = [user for user in taken if user in best]
    gains = 1 / np.log2(np.arange(2, 12))
    hits = [np.array([item in taken[user] for item in best[user]]) for user in users]
    n_possible = [min(10, len(taken[user])) for user in users]
    recall = np.mean([h.sum() / n for h, n in zip(hits, n_possible)])
    ndcg = np.mean([gains[:len(h)][h].sum() / gains[:n].sum() for h, n in zip(hits, n_possible)])
    found = evaluate(folder, os.path.join(folder, "out", "model.h5"), test, n_ranks=3)
    assert found["users"] == len(users) and abs(found["recall"] - recall) < 1e-9 and abs(found["ndcg"] - ndcg) < 1e-9, \
        (found, recall, ndcg)


def a_saved_model_says_the_same(folder):
    user = [f"user {i % 90}, Ä" for i in range(2000)]
    item = [f"{chr(97 + i * 7919 % 26)}-{i * 31 % 50}" for i in range(2000)]
    path = write_ratings(os.path.join(folder, "r.csv"), user, item, [i % 9 / 2 for i in range(2000)])
    more = write_ratings(os.path.join(folder, "more.csv"), ["user 1, Ä", "nobody", "user 2, Ä"], ["a-0", "a-0", "nothing"], [1, 2, 3])
    schema = "user utf8, item utf8, rating float64"
    first, second = os.path.join(folder, "first"), os.path.join(folder, "second")
    succeeds(als(2, first, schema=schema, train=path, test=more, recommend=3, options="k=8"))
    succeeds(als(3, second, schema=schema, model=os.path.join(first, "model.h5"), test=more, recommend=3))
    for name in ("model.h5", "predictions.csv", "recommendations.csv"):
        expect_same_bytes([os.path.join(first, name), os.path.join(second, name)])
    predicted = {row["user"]: row["prediction"] for row in rows(os.path.join(first, "predictions.csv"))}
    assert predicted["nobody"] == "" and predicted["user 2, Ä"] == "" and predicted["user 1, Ä"] != "", predicted


def pairs_that_come_twice_are_one(folder):
    user, item, rating = [1, 1, 1, 2, 2, 3], [7, 7, 8, 7, 8, 8], [1, 4, 2, 5, 1, 3]
    once = ([1, 1, 2, 2, 3], [7, 8, 7, 8, 8], {False: [2.5, 2, 5, 1, 3], True: [5, 2, 5, 1, 3]})
    for implicit in (False, True):
        options = f"k=2 max_iterations=3 implicit={str(implicit).lower()}"
        a, b = (os.path.join(folder, name) for name in ("a", "b"))
        succeeds(als(2, a, train=write_ratings(os.path.join(folder, "twice.csv"), user, item, rating), options=options))
        succeeds(als(2, b, train=write_ratings(os.path.join(folder, "once.csv"), once[0], once[1], once[2][implicit]), options=options))
        found, wanted = (learned(os.path.join(out, "model.h5")) for out in (a, b))
        assert np.array_equal(found["item_factors"], wanted["item_factors"]), "another model"


def planted_taste_is_found(folder):
    succeeds(run(2, "bin/quern", "generate", "movies", "--events", "300000", "--users", "400", "--titles", "400",
                 "--noise", "0.5", "--unrounded", "--output", os.path.join(folder, "made")))
    table = np.loadtxt(os.path.join(folder, "made", "ratings.csv"), delimiter=",", skiprows=1)
    pair = table[:, 0].astype(int) * 2000 + table[:, 1].astype(int)  # some come more than once
    test = pair * 2654435761 % 4294967296 < 0.1 * 4294967296
    first = np.zeros(len(pair), bool)
    first[np.unique(pair, return_index=True)[1]] = True
    paths = [write_ratings(os.path.join(folder, name), table[part, 0].astype(int), table[part, 1].astype(int), table[part, 2])
             for name, part in (("train.csv", ~test), ("test.csv", test & first))]
    succeeds(als(2, os.path.join(folder, "out"), train=paths[0], test=paths[1],
                 options="k=8 l2=1.5 unweighted_l2=true max_iterations=20"))
    errors = [float(row["rating"]) - float(row["prediction"]) for row in rows(os.path.join(folder, "out", "predictions.csv"))
              if row["prediction"]]
    rmse = np.sqrt(np.mean(np.square(errors)))
    assert rmse < 0.5 * 1.03, f"{rmse:.4f}, the noise is 0.5"


def recall_at_10(best, taken):
    """The mean over users; best: their ten items, taken: the sets of what they took."""
    return np.mean([len(set(b) & t) / min(10, len(t)) for b, t in zip(best, taken) if t])


def ranks_as_well_as_implicit(folder):
    """The same options and the same solver, exact and with conjugate gradients: the mean recall of some seeds is at most
    0.5 % less. Where factors are few and the penalty fits, models of different seeds recommend nearly alike."""
    try:
        import implicit
        import scipy.sparse
    except ImportError:
        raise Skipped("there is no package implicit") from None
    n_users, n_items, n_taken, n_seeds = 1000, 200, 40, 4
    rng = np.random.default_rng(3)
    x, y = 1.5 * rng.normal(size=(n_users, 4)), rng.normal(size=(n_items, 4))
    wanted = np.argsort(-(x @ y.T + rng.gumbel(size=(n_users, n_items))), axis=1)[:, :n_taken]  # what is to her taste
    test = rng.random(wanted.shape) < 0.3
    user = np.repeat(np.arange(n_users), n_taken).reshape(n_users, n_taken)
    path = write_ratings(os.path.join(folder, "r.csv"), user[~test], wanted[~test])
    taken = [set(wanted[i][test[i]]) for i in range(n_users)]
    matrix = scipy.sparse.csr_matrix((np.full((~test).sum(), 3.0), (user[~test], wanted[~test])), shape=(n_users, n_items))
    for n_steps in (3, 0):
        found, peers = [], []
        for seed in range(1, n_seeds + 1):
            succeeds(als(1, os.path.join(folder, "out"), train=path, recommend=10, label="none", schema="user int64, item int64",
                         seed=seed, options=f"k=8 implicit=true unweighted_l2=true l2=4 alpha=2 cg_steps={n_steps}"))
            best = [[] for _ in range(n_users)]
            for row in rows(os.path.join(folder, "out", "recommendations.csv")):
                best[int(row["user"])].append(int(row["item"]))
            found.append(recall_at_10(best, taken))
            peer = implicit.als.AlternatingLeastSquares(factors=8, regularization=4, alpha=1, iterations=15, random_state=seed,
                                                        use_cg=n_steps > 0, num_threads=1, use_gpu=False)
            peer.fit(matrix, show_progress=False)
            peers.append(recall_at_10(peer.recommend(np.arange(n_users), matrix, N=10)[0], taken))
        assert np.mean(found) > 0.995 * np.mean(peers), f"{n_steps} steps: recall at 10 is {found}, implicit's {peers}"


class Interrupted(Training):
    """A driver that runs, to be killed."""

    def __init__(self, n_ranks, output, arguments):  # pylint: disable=super-init-not-called
        import subprocess
        from training_kit import BUILD, MPIRUN
        self.process = subprocess.Popen([MPIRUN, "-n", str(n_ranks), os.path.join(BUILD, "tests", "als_driver"), "--output", output,
                                         *arguments], env={**os.environ, **SINGLE_THREAD}, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

    def ranks(self):
        from training_kit import children
        found = []
        for pid in children(self.process.pid):
            try:
                if os.path.basename(os.readlink(f"/proc/{pid}/exe")) == "als_driver":
                    found.append(pid)
            except OSError:
                pass
        return found


def training_goes_on_from_a_checkpoint(folder):
    data = make_ratings(6000, 150, 80)
    path = write_ratings(os.path.join(folder, "r.csv"), data.columns["user"], data.columns["item"], np.abs(data.y))
    for options in ("k=12 max_iterations=600", "k=12 max_iterations=1500 implicit=true"):
        arguments = ["--train", path, "--options", options]
        kept = os.path.join(folder, "state.h5")
        started = Interrupted(2, os.path.join(folder, "killed"), [*arguments, "--checkpoint", kept])
        assert wait_for(lambda: os.path.exists(kept)), "there is no checkpoint"
        assert started.kill() and os.path.exists(kept), "it had ended already"
        succeeds(als(3, os.path.join(folder, "resumed"), *arguments, checkpoint=kept))
        succeeds(als(1, os.path.join(folder, "whole"), *arguments))
        found, wanted = (learned(os.path.join(folder, name, "model.h5")) for name in ("resumed", "whole"))
        for name in ("user_factors", "item_factors", "user_offsets", "item_offsets", "loss"):
            assert np.array_equal(found[name], wanted[name]), f"{options}: {name} is another"


def mistakes_are_told(folder):
    def fails(text, says, **named):
        path = write(os.path.join(folder, "bad.csv"), "user,item,rating\n" + text)
        done = als(2, os.path.join(folder, "out"), train=path, **named)
        assert done.returncode == 1 and any(says in text for text in messages(done)), f"{done.returncode}: {messages(done)} instead of '{says}'"
        assert not os.path.exists(os.path.join(folder, "out", "model.h5")), "a model was written"

    fails("1,2,3\n1,,3\n", "row 2, column 'item' is null")
    fails("1,2,3\n1,3,NaN\n", "row 2, column 'rating' is nan")
    fails("1,2,3\n1,3,inf\n", "row 2, column 'rating' is inf")
    fails("1,2,3\n1,3,-1\n", "column 'rating' is -1", options="implicit=true")
    fails("", "no rating to learn from")
    fails("1,2,3\n", "two columns", features="user")
    fails("1,2,3\n", "no column 'film'", features="user, film")
    fails("1,2,3\n", "label names the column", label="none")
    fails("1,2,3\n1,3,4\n", "set l2 above 0", options="l2=0 no_biases=true")


def tiny_sets_are_learned(folder):
    for n_ranks, text in ((3, "1,2,3\n"), (2, "1,2,3\n1,3,4\n1,5,4.5\n"), (2, "1,2,3\n2,2,4\n")):
        path = write(os.path.join(folder, "tiny.csv"), "user,item,rating\n" + text)
        for options in ("k=40", "k=40 implicit=true"):
            succeeds(als(n_ranks, os.path.join(folder, "out"), train=path, test=path, recommend=4, options=options))


if __name__ == "__main__":
    sys.exit(run_tests([items_solve_their_normal_equations, implicit_items_solve_their_normal_equations,
                        implicit_rows_take_steps_of_conjugate_gradients, all_ranks_find_the_same_bits, best_items_are_recommended, rankings_are_judged, a_saved_model_says_the_same,
                        pairs_that_come_twice_are_one, planted_taste_is_found, ranks_as_well_as_implicit,
                        training_goes_on_from_a_checkpoint, mistakes_are_told, tiny_sets_are_learned]))
