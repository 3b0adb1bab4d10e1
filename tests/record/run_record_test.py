# SPDX-License-Identifier: Apache-2.0
"""What a run leaves of itself: record.json, plan.json, progress and inputs against what really was."""
import os
import re
import sys
import time

from record_kit import DRIVER, Waiting, failed, read_json, read_progress, run, run_tests, succeeded, write

N_ROWS = 200000


def operator(run_record, name):
    found = [op for op in run_record["operators"] if op["name"] == name]
    assert len(found) == 1, [op["name"] for op in run_record["operators"]]
    return found[0]


def folder_bytes(path):
    return sum(os.path.getsize(os.path.join(path, name)) for name in os.listdir(path))


def the_record_is_what_was_done(folder):
    for n_ranks in (1, 2, 3, 5):
        started = time.time()
        succeeded(run(n_ranks, DRIVER, "--rows", str(N_ROWS), "--run", f"r{n_ranks}", folder=folder))
        took = time.time() - started
        record = read_json(folder, f"r{n_ranks}/record.json")
        assert [found["action"] for found in record["runs"]] == [0, 1, 2] and record["error"] is None
        staging, writing, counting = record["runs"]
        assert operator(staging, "generate")["rows"]["sum"] == operator(staging, "stage")["rows"]["sum"] == N_ROWS
        staged = folder_bytes(os.path.join(folder, "out", "rows"))
        assert 0.5 * staged < operator(staging, "stage")["bytes_written"] < 1.5 * staged, staged
        for found in (writing, counting):
            read = operator(found, "read")
            assert read["rows"]["sum"] == N_ROWS and 0.5 * staged < read["bytes_read"] < 1.5 * staged, read
        assert operator(counting, "count")["rows"]["sum"] == 1000
        assert operator(writing, "write csv")["bytes_written"] == os.path.getsize(os.path.join(folder, "out", "sums.csv"))
        for found in record["runs"]:
            for op in found["operators"]:
                parts = [op[name] for name in ("compute_seconds", "wait_seconds", "io_seconds")]
                assert all(0 <= part["max"] <= part["sum"] + 1e-9 for part in parts), op
                assert sum(part["sum"] for part in parts) <= took * n_ranks, op
        totals = record["totals"]
        for name in ("bytes_read", "bytes_written", "bytes_sent", "bytes_spilled"):
            assert totals[name] == sum(rank[name] for rank in record["ranks"]), name
        exchanged = sum(op["exchange"]["bytes"] for found in record["runs"] for op in found["operators"] if "exchange" in op)
        assert totals["bytes_sent"] == exchanged and (exchanged > 0) == (n_ranks > 1)
        assert abs(totals["core_hours"] - totals["cores"] * record["seconds"] / 3600) < 1e-6
        assert totals["joules"] is None or totals["joules"] > 0
        check_timeline(record, n_ranks)


def check_timeline(record, n_ranks):
    spans = record["timeline"]
    assert sorted({span["rank"] for span in spans}) == list(range(n_ranks)) and record["timeline_left_out"] == 0
    for rank in range(n_ranks):
        own = [span for span in spans if span["rank"] == rank]
        assert [span["action"] for span in own] == [0, 1, 2], own
        assert all(a["end"] <= b["start"] for a, b in zip(own, own[1:])), own
        for span in own:
            assert 0 <= span["start"] < span["end"] <= record["seconds"], span
            assert 0 <= span["wait"] + span["io"] <= span["end"] - span["start"], span
        assert own[0]["name"].startswith("generate") and own[0]["name"].endswith("> stage"), own[0]
        assert "> reduce " in own[1]["name"] and own[1]["name"].startswith("read stage"), own[1]


def the_plan_names_the_nodes_of_operators(folder):
    succeeded(run(3, DRIVER, "--rows", "1000", "--run", "r", folder=folder))
    actions = read_json(folder, "r/plan.json")["actions"]
    assert [action["what"] for action in actions] == ["stage out/rows", "write out/sums.csv", "count"], actions
    assert [action["action"] for action in actions] == [0, 1, 2]
    for action, found in zip(actions, read_json(folder, "r/record.json")["runs"]):
        nodes = {node["id"]: node for node in action["nodes"]}
        assert all(op["node_id"] in nodes for op in found["operators"]), (nodes.keys(), found)
        assert all(i in nodes for node in nodes.values() for i in node["inputs"]), nodes
    write_action = actions[1]
    assert re.search(r"^sort key", write_action["text_runs"], re.M) and "reduce by key" in write_action["text_written"]
    assert {node["kind"] for node in write_action["nodes"]} >= {"read", "reduce", "sort"}
    read = [node for node in write_action["nodes"] if node["kind"] == "read"]
    assert read[0]["rows_expected"] == 1000, read


def inputs_have_sizes_and_fingerprints(folder):
    os.makedirs(os.path.join(folder, "in"))
    for name, text in (("a.txt", "one two\n"), ("b.txt", "two three\n")):
        write(os.path.join(folder, "in", name), text)

    def inputs(name):
        succeeded(run(2, "jobs/wordcount", "in", "--run", name, "--output", "out.csv", folder=folder))
        return read_json(folder, f"{name}/run.json")["inputs"]

    first = inputs("r1")
    assert [(entry["path"], entry["bytes"]) for entry in first] == [("in/a.txt", 8), ("in/b.txt", 10)], first
    assert all(re.fullmatch("[0-9a-f]{16}", entry["fingerprint"]) for entry in first)
    write(os.path.join(folder, "in", "a.txt"), "one TWO\n")
    second = inputs("r2")
    assert [a["fingerprint"] == b["fingerprint"] for a, b in zip(first, second)] == [False, True], second


def a_training_leaves_its_curve(folder):
    write(os.path.join(folder, "rows.csv"), "x,y\n" + "".join(f"{i},{2 * i + i % 3}\n" for i in range(300)))
    succeeded(run(2, "bin/quern", "train", "mlp", "--data", "rows.csv", "--label", "y", "--max-epochs", "3", "--output", "m.h5", "--run", "r",
                  folder=folder))
    training, = read_json(folder, "r/record.json")["training"]
    assert training["estimator"] == "mlp" and len(training["steps"]) == len(training["loss"]) > 0, training
    assert "OpenBLAS" in read_json(folder, "r/run.json")["libraries"]["blas"]
    assert any(span["name"] == "fit mlp" for span in read_json(folder, "r/record.json")["timeline"])


def progress_is_told_while_it_runs(folder):
    with Waiting(folder, 3, "--rows", str(N_ROWS)) as waiting:
        lines = read_progress(os.path.join(folder, "r"))
        assert [line["rank"] for line in lines] == [0, 1, 2] and all(line["state"] == "running" for line in lines)
        assert all(os.path.exists(f"/proc/{line['pid']}") for line in lines)
        waiting.let_go()
    lines = read_progress(os.path.join(folder, "r"))
    assert all(line["state"] == "done" and line["action"] == 2 and line["resident"] > 0 for line in lines), lines


def an_earlier_record_is_kept(folder):
    job = (1, DRIVER, "--rows", "10", "--run", "r", "--fail", "bad")
    bad = write(os.path.join(folder, "bad"), "")
    failed(run(*job, folder=folder), "it was to fail")
    assert read_json(folder, "r/record.json")["error"] == "it was to fail"
    os.remove(bad)
    succeeded(run(*job, folder=folder))
    assert read_json(folder, "r/record-1.json")["error"] and read_json(folder, "r/record.json")["error"] is None


def people_are_told(folder):
    bar = succeeded(run(2, DRIVER, "--rows", "120000000", "--run", "r", folder=folder, env={"QUERN_PROGRESS": "bar"}))
    quiet = succeeded(run(2, DRIVER, "--rows", "120000000", "--run", "q", "--quiet", folder=folder, env={"QUERN_PROGRESS": "bar"}))
    assert re.search(r"\s\x1b\[Krun_driver: (stage|write|count)\b.*\[#*-*\] +\d+ %", bar.stderr), bar.stderr
    assert quiet.stderr == "", quiet.stderr


if __name__ == "__main__":
    sys.exit(run_tests([
        the_record_is_what_was_done, the_plan_names_the_nodes_of_operators, inputs_have_sizes_and_fingerprints,
        a_training_leaves_its_curve, progress_is_told_while_it_runs, an_earlier_record_is_kept, people_are_told]))
