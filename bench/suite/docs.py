# SPDX-License-Identifier: Apache-2.0
"""Puts the tables of a run between the marks of a Markdown page: <!-- bench NAME --> ... <!-- bench end -->."""
import re

from suite import table


def fill(text, rows, limits):
    parts = {"memory": table.memory_table(rows), "families": table.family_table(rows),
             "budget": table.budget_table(rows), "failures": table.failures(rows) or "Nothing.\n",
             "limits": table.limits_table(limits)}

    def replace(found):
        if found[1] not in parts:
            raise SystemExit(f"there is no table '{found[1]}' for the mark {found[0].splitlines()[0]}")
        return f"<!-- bench {found[1]} -->\n{parts[found[1]]}<!-- bench end -->"
    return re.sub(r"<!-- bench (\w+) -->\n.*?<!-- bench end -->", replace, text, flags=re.DOTALL)


def write(rows, limits, page):
    with open(page, encoding="utf-8") as file:
        text = file.read()
    with open(page, "w", encoding="utf-8") as file:
        file.write(fill(text, rows, limits))
