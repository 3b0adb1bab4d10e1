# SPDX-License-Identifier: Apache-2.0
"""The scripts of slurm/ do what they say, on a real Slurm of two nodes."""
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "jobs"))
from cluster import PATH, cluster_of_tests  # noqa: E402
from job_kit import BUILD, ROOT, make_ratings, read, run_tests, succeeds, write  # noqa: E402

CLUSTER = None
SMALL = ["--ntasks-per-node=1", "--time=5"]  # what a node here has


def here(folder, *command):
    """Runs on the head, with the jobs and the command in PATH, as users have them."""
    programs = f"{BUILD}/bin:{BUILD}/jobs:{PATH}"
    return succeeds(CLUSTER.run(*command, folder=folder, environment={"PATH": programs}))


def submitted(folder, template, *arguments, options=("--mem-per-cpu=300M",)):
    """The log of a template's job, which must succeed."""
    number = here(folder, "sbatch", "--parsable", *SMALL, *options, os.path.join(ROOT, "slurm", template), *arguments).stdout.strip()
    job = CLUSTER.wait_job(number)
    logs = [read(os.path.join(folder, name)).decode() for name in sorted(os.listdir(folder)) if number in name and name.endswith(".log")]
    assert job["JobState"] == "COMPLETED" and job["ExitCode"] == "0:0", f"{job['JobState']} {job['ExitCode']} {logs}"
    return "\n".join(logs)


def census(folder):
    rows = "".join(f"{i * 37 % 60 + 18},{i * 17 % 40},{'yes' if i * 37 % 60 > 30 else 'no'}\n" for i in range(400))
    return write(os.path.join(folder, "census.csv"), "age,hours,income\n" + rows)


def etl_writes_clean_tables(folder):
    make_ratings(folder, 2000)
    submitted(folder, "etl.sbatch", "ratings.csv", "movies.csv", "results")
    assert os.path.exists(os.path.join(folder, "results", "popular.csv"))
    runs = os.listdir(os.path.join(folder, "quern-runs"))
    assert len(runs) == 1 and re.fullmatch(r"movies-\d+", runs[0]), runs


def training_leaves_a_model_and_no_checkpoint(folder):
    census(folder)
    submitted(folder, "training.sbatch", "census.csv", "income", "income.h5", options=["--ntasks=1", "--cpus-per-task=2", "--mem-per-cpu=300M"])
    assert os.path.exists(os.path.join(folder, "income.h5")) and not os.path.exists(os.path.join(folder, "income.h5.checkpoint"))


def a_search_in_slices_has_all_candidates(folder):
    census(folder)
    submitted(folder, "grid_search_array.sbatch", "census.csv", "income", "results", options=["--ntasks=1", "--mem-per-cpu=300M"])
    found = sorted(os.listdir(os.path.join(folder, "results")))
    assert found == [f"{kind}-{i}.{ext}" for kind, ext in (("candidates", "csv"), ("model", "h5")) for i in range(3)], found
    assert all(len(read(os.path.join(folder, "results", name)).splitlines()) == 3 for name in found if name.endswith("csv"))


def whole_nodes_have_a_rank_for_each_domain(folder):
    write(os.path.join(folder, "text.txt"), "a b a\n")
    log = submitted(folder, "whole_node_numa.sbatch", "wordcount", "--output", "counts.csv", "text.txt", options=["--mem=0"])
    n_domains = int(re.search(r"(\d+) memory domains", log).group(1))
    with open(os.path.join(folder, "quern-runs", os.listdir(os.path.join(folder, "quern-runs"))[0], "run.json"), encoding="utf-8") as file:
        assert json.load(file)["attempts"][0]["n_ranks"] == 2 * n_domains, log
    assert read(os.path.join(folder, "counts.csv")) == b"word,n\na,2\nb,1\n"


def the_pipeline_ends_with_a_page_and_a_model(folder):
    make_ratings(folder, 2000)
    said = here(folder, "env", "RANKS=2", "OPTIONS=--mem-per-cpu=300M", os.path.join(ROOT, "slurm", "pipeline.sh"), "ratings.csv", "movies.csv", "results").stdout
    numbers = re.search(r"ingest (\d+), train (\d+), report (\d+)", said).groups()
    for number in numbers:
        job = CLUSTER.wait_job(number)
        assert job["JobState"] == "COMPLETED", f"{job['JobState']}: {read(job['StdOut']).decode() if os.path.exists(job['StdOut']) else ''}"
    assert {"recommender.h5", "report.html", "runs", "tables"} <= set(os.listdir(os.path.join(folder, "results")))


if __name__ == "__main__":
    with cluster_of_tests() as CLUSTER:
        CODE = run_tests([etl_writes_clean_tables, training_leaves_a_model_and_no_checkpoint, a_search_in_slices_has_all_candidates,
                          whole_nodes_have_a_rank_for_each_domain, the_pipeline_ends_with_a_page_and_a_model])
    sys.exit(CODE)
