# SPDX-License-Identifier: Apache-2.0
"""The job pagerank against the reference results of LDBC Graphalytics, where they are at hand, and against numpy."""
import os
import random
import sys

import numpy

from job_kit import RANKS, SEED, Skipped, read, run, run_tests, shared_data, succeeds, table, write

LDBC = ("--damping", "0.85", "--iterations", "2")  # how Graphalytics defines PageRank for its example graphs


def pagerank(n_ranks, folder, *arguments):
    """id -> rank as the job gives them, which must come by falling rank."""
    output = os.path.join(folder, "ranks.csv")
    succeeds(run(n_ranks, "jobs/pagerank", "--output", output, *arguments))
    rows = [(int(row["id"]), float(row["rank"])) for row in table(output)]
    assert rows == sorted(rows, key=lambda row: (-row[1], row[0])), "not by falling rank"
    return dict(rows)


def compute(edges, vertices, iterations, damping):
    """The definition, as dense algebra: the rank of vertices without outgoing edges goes to all."""
    index = {vertex: i for i, vertex in enumerate(sorted(vertices))}
    n = len(index)
    matrix = numpy.zeros((n, n))
    for source, target in edges:
        matrix[index[target], index[source]] += 1
    degrees = matrix.sum(axis=0)
    flows = numpy.where(degrees > 0, matrix / numpy.maximum(degrees, 1), 1 / n)
    rank = numpy.full(n, 1 / n)
    for _ in range(iterations):
        rank = (1 - damping) / n + damping * flows @ rank
    return {vertex: rank[i] for vertex, i in index.items()}


def check(found, wanted, what):
    assert found.keys() == wanted.keys(), f"{what}: vertices {found.keys() ^ wanted.keys()} are too many or missing"
    for vertex, rank in wanted.items():
        assert abs(found[vertex] - rank) <= 1e-12 + 1e-9 * rank, f"{what}: {vertex}: {found[vertex]}, not {rank}"


def ldbc(name):
    path = shared_data(f"graphs/ldbc-example/example-{name}.e")
    if path is None:
        raise Skipped("the example graphs of LDBC Graphalytics are not at hand")
    edges = [tuple(map(int, line.split()[:2])) for line in read(path).decode().splitlines()]
    reference = [line.split() for line in read(path[:-2] + "-PR").decode().splitlines()]
    return path, edges, {int(vertex): float(rank) for vertex, rank in reference}


def directed_graph_of_ldbc(folder):
    path, edges, wanted = ldbc("directed")
    check(compute(edges, wanted, 2, 0.85), wanted, "the definition")
    for n_ranks in RANKS:
        found = pagerank(n_ranks, folder, *LDBC, "--vertices", path[:-2] + ".v", path)
        check(found, wanted, f"{n_ranks} ranks")


def undirected_graph_of_ldbc(folder):
    _, edges, wanted = ldbc("undirected")
    both = write(os.path.join(folder, "both.e"), "".join(f"{a} {b}\n{b} {a}\n" for a, b in edges))
    check(pagerank(3, folder, *LDBC, both), wanted, "3 ranks")


def random_graph(n_vertices, n_edges):
    rng = random.Random(SEED)
    edges = [(int(rng.random() ** 2 * n_vertices), int(rng.random() ** 3 * n_vertices)) for _ in range(n_edges)]
    return edges, {vertex for edge in edges for vertex in edge}


def random_graph_equals_numpy(folder):
    edges, vertices = random_graph(400, 1500)  # with loops, repeated edges and vertices without outgoing edges
    path = write(os.path.join(folder, "edges.txt"), "# a comment\n" + "".join(f"{a}\t{b}\n" for a, b in edges))
    wanted = compute(edges, vertices, 20, 0.85)
    for n_ranks in RANKS:
        check(pagerank(n_ranks, folder, path), wanted, f"{n_ranks} ranks")
    check(pagerank(2, folder, "--damping=0.5", "--iterations=3", path), compute(edges, vertices, 3, 0.5), "other options")


def ranks_sum_to_one(folder):
    edges, _ = random_graph(1000, 3000)
    path = write(os.path.join(folder, "edges.txt"), "".join(f"{a} {b}\n" for a, b in edges))
    found = pagerank(3, folder, "--memory", "1MiB", "--scratch", folder, path)
    assert abs(sum(found.values()) - 1) < 1e-9, sum(found.values())


def no_rounds_give_equal_ranks(folder):
    path = write(os.path.join(folder, "edges.txt"), "1 2\r\n2 3\r\n\r\n")
    assert pagerank(2, folder, "--iterations", "0", path) == {1: 1 / 3, 2: 1 / 3, 3: 1 / 3}


def what_is_no_edge_is_named(folder):
    path = write(os.path.join(folder, "edges.txt"), "1 2\n2 x\n")
    done = run(3, "jobs/pagerank", "--output", os.path.join(folder, "ranks.csv"), path)
    assert done.returncode == 1 and "'2 x' is no edge" in done.stderr, done.stderr


if __name__ == "__main__":
    sys.exit(run_tests([directed_graph_of_ldbc, undirected_graph_of_ldbc, random_graph_equals_numpy, ranks_sum_to_one,
                        no_rounds_give_equal_ranks, what_is_no_edge_is_named]))
