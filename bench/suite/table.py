# SPDX-License-Identifier: Apache-2.0
"""Tables of the results in Markdown, which are also what is printed."""
from suite import results
from suite.engines import MIB, TITLES


def title(engine):
    return TITLES.get(engine, engine)


def number(value, form="{:.2f}"):
    return "" if value is None else form.format(value)


def seconds(value):
    return "" if not value else f"{value:.2f}" if value < 100 else f"{value:.0f}"


def mib(value):
    return "" if not value else f"{value / MIB:,.{0 if value >= 10 * MIB else 1}f}"


def markdown(head, rows):
    """Columns padded, so that the table can be read as it is."""
    widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]
    text = ["| " + " | ".join(str(value).ljust(width) for value, width in zip(row, widths)) + " |"
            for row in [head, ["-" * width for width in widths], *rows]]
    return "\n".join(text) + "\n"


def spread(line):
    return f"{seconds(line.least)}..{seconds(line.most)}" if line.n_runs > 1 else f"{line.n_runs} run"


def memory_table(rows):
    """Each engine in each task, in memory."""
    body = []
    for line in results.lines(rows):
        if line.mode != "memory":
            continue
        name = f"{line.task}: {line.title}" if line.engine == "quern" else ""
        if line.failure:
            body.append([name, title(line.engine), "no answer", "", "", "", "", "", "", ""])
            continue
        body.append([name, title(line.engine) + (" (a part)" if line.is_part else ""), seconds(line.wall), spread(line),
                     seconds(line.warm or line.seconds), seconds(line.cpu), mib(line.tree_peak),
                     number(line.by_wall), number(line.by_query), number(line.by_cpu)])
    return markdown(["task", "engine", "s", "min..max", "query s", "CPU s", "peak MiB", "x whole", "x query", "x CPU"], body)


def family_table(rows):
    body = [[family, title(engine), n, number(wall), number(query), number(cpu)]
            for (family, engine), (n, wall, cpu, query) in results.families(rows).items()]
    return markdown(["family", "peer", "tasks", "x whole", "x query", "x CPU"], body)


def budget_table(rows):
    """Engines that can be given a budget: an eighth of the data, all ranks or threads together."""
    in_memory = {(line.task, line.engine): line for line in results.lines(rows) if line.mode == "memory"}
    body = []
    for line in results.lines(rows):
        if line.mode != "budget":
            continue
        free = in_memory.get((line.task, line.engine))
        own = [results.ratio(getattr(line, name), getattr(free, name)) if free else None for name in ("wall", "cpu")]
        name = f"{line.task}: {line.title}" if line.engine == "quern" else ""
        budget = next((run["budget"] for run in rows if (run["task"], run["mode"]) == (line.task, "budget")), 0)
        if line.failure:
            body.append([name, title(line.engine), mib(budget), "no answer", "", "", "", "", "", ""])
            continue
        body.append([name, title(line.engine), mib(budget), seconds(line.wall), spread(line), *map(number, own),
                     mib(line.process_peak), mib(line.spilled), number(line.by_wall)])
    return markdown(["task", "engine", "budget MiB", "s", "min..max", "x own s", "x own CPU", "peak MiB of a process",
                     "spilled MiB", "x whole"], body)


def failures(rows):
    """Why there is no answer, a line each."""
    return "".join(f"- {line.task}{' with a budget' * (line.mode == 'budget')}, {title(line.engine)}: {line.failure}\n"
                   for line in results.lines(rows) if line.failure)


def limits_table(limits):
    return markdown(["limit", "measured"], [list(limit) for limit in limits])


def all_tables(rows, limits):
    text = "In memory:\n\n" + memory_table(rows) + "\nGeometric means:\n\n" + family_table(rows)
    if any(row["mode"] == "budget" for row in rows):
        text += "\nWith a budget:\n\n" + budget_table(rows)
    missing = failures(rows)
    text += f"\nNo answer:\n\n{missing}" if missing else ""
    return text + ("\nLimits of this machine:\n\n" + limits_table(limits) if limits else "")
