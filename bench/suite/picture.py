# SPDX-License-Identifier: Apache-2.0
"""One picture: for each task a dot per peer at its time over ours, whole commands, on a logarithmic scale with a line at 1."""
from suite import results
from suite.table import title

COLOURS = {"duckdb": "#e69f00", "polars": "#0072b2", "spark": "#d55e00", "bodo": "#009e73", "GNU sort": "#cc79a7",
           "wc -w": "#999999"}


def draw(rows, path):
    import matplotlib
    import matplotlib.ticker
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "bench", "font.size": 9, "svg.fonttype": "none"})
    from matplotlib import pyplot

    kept = [line for line in results.lines(rows) if line.mode == "memory" and line.by_wall]
    tasks = list(dict.fromkeys(line.task for line in kept))
    figure, axes = pyplot.subplots(figsize=(8, 1.5 + 0.24 * len(tasks)))
    for engine in dict.fromkeys(line.engine for line in kept):
        points = [(line.by_wall, tasks.index(line.task)) for line in kept if line.engine == engine]
        axes.scatter(*zip(*points), s=34, label=title(engine), color=COLOURS.get(engine), edgecolors="white", zorder=3)
    axes.axvline(1, color="black", linewidth=1, zorder=2)
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xticks([value for value in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500) if low <= value <= high])
    axes.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    axes.set_yticks(range(len(tasks)), tasks)
    axes.set_ylim(len(tasks) - 0.5, -0.5)
    axes.grid(axis="y", color="#eeeeee")
    axes.grid(axis="x", which="both", color="#eeeeee")
    axes.set_xlabel("time of the peer / time of Quern, whole commands (right of 1: Quern is faster)")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=6, frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)
