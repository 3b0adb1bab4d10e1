# SPDX-License-Identifier: Apache-2.0
"""The jobs sessions and dedupe against plain Python."""
import collections
import datetime
import os
import random
import re
import sys

from job_kit import (RANKS, SEED, difference, parse_csv, read, read_csv, run, run_tests, shared_data, succeeds,
                     write)

LINE = re.compile(r'(\S+) \S+ \S+ \[([^\]]+)\] "([^"]*)" (\d+) (\d+|-)')


def make_log(folder):
    rng = random.Random(SEED)
    lines = []
    for _ in range(4000):
        time = datetime.datetime(2024, 2, 27, tzinfo=datetime.timezone.utc) + \
            datetime.timedelta(seconds=int(rng.random() ** 2 * 400000))
        zone = rng.choice([0, 330, -480])
        text = time.astimezone(datetime.timezone(datetime.timedelta(minutes=zone))).strftime("%d/%b/%Y:%H:%M:%S %z")
        lines.append(f'10.0.0.{int(rng.random() ** 2 * 60)} - - [{text}] "GET /page/{rng.randint(1, 30)} HTTP/1.1" '
                     f'{rng.choice([200, 200, 304, 404, 500])} {rng.choice(["-", "0", "512", "70000"])} "-" "agent"')
    lines[7] = "this is no log line"
    lines[1700] = 'a - - [99/Foo/2024:00:00:00 +0000] "GET / HTTP/1.1" 200 1'
    lines[1800] = 'a - - [30/Feb/2024:00:00:00 +0000] "GET / HTTP/1.1" 200 1'
    lines[1900] = 'a - - [28/Feb/2024:24:00:00 +0000] "GET / HTTP/1.1" 200 1'
    lines[1950] = 'a - - [29/Feb/2024:23:59:59 +0000] "-" 408 -'
    return write(os.path.join(folder, "access.log"), "\n".join(lines) + "\n")


def parse_log(path):
    """(visitor, time, path, status, bytes) of each line, and the number of lines that are none."""
    hits, n_bad = [], 0
    for line in read(path).decode().splitlines():
        match = LINE.match(line)
        try:
            time = datetime.datetime.strptime(match[2], "%d/%b/%Y:%H:%M:%S %z").astimezone(datetime.timezone.utc)
        except (TypeError, ValueError):
            n_bad += 1
            continue
        words = match[3].split(" ")
        hits.append((match[1], time, words[1] if len(words) > 1 else "", int(match[4]),
                     0 if match[5] == "-" else int(match[5])))
    return hits, n_bad


def cut_sessions(hits, gap):
    rows = []
    visitors = collections.defaultdict(list)
    for hit in hits:
        visitors[hit[0]].append(hit)
    for visitor, own in sorted(visitors.items(), key=lambda item: item[0].encode()):
        own.sort(key=lambda hit: (hit[1], hit[2]))
        session, parts = 0, []
        for hit, before in zip(own, [None] + own):
            if before is None or (hit[1] - before[1]).total_seconds() > gap:
                session, parts = session + 1, []
                rows.append((visitor, session, parts))
            parts.append(hit)
    def text(time):
        return time.strftime("%Y-%m-%d %H:%M:%S")
    return [(visitor, session, text(parts[0][1]), text(parts[-1][1]), len(parts), len({hit[2] for hit in parts}),
             sum(hit[4] for hit in parts), sum(hit[3] >= 400 for hit in parts)) for visitor, session, parts in rows]


def check_sessions(folder, path, ranks, gap, *arguments):
    hits, n_bad = parse_log(path)
    wanted = cut_sessions(hits, gap)
    output = os.path.join(folder, "sessions.csv")
    first = None
    for n_ranks in ranks:
        done = succeeds(run(n_ranks, "jobs/sessions", "--output", output, *arguments, path))
        header, found = read_csv(output)
        assert header == ["visitor", "session", "began", "ended", "hits", "pages", "bytes", "errors"], header
        wrong = difference(found, wanted, True)
        assert not wrong, f"{n_ranks} ranks: {wrong}"
        assert f"{n_bad} lines were no log lines" in done.stdout, done.stdout
        first = first or read(output)
        assert read(output) == first, f"other bytes on {n_ranks} ranks"


def sessions_equal_python(folder):
    check_sessions(folder, shared_data("logs/apache_logs") or make_log(folder), RANKS, 1800)


def sessions_of_a_made_log(folder):
    path = make_log(folder)
    check_sessions(folder, path, (1, 3), 1800)
    check_sessions(folder, path, (2,), 60, "--gap", "60")
    check_sessions(folder, path, (3,), 1800, "--memory", "1MiB", "--scratch", folder)


NAMES = ["Ann", " ann", "ANN ", "Bob", "bob", "", "Zoë", "zoë", "O'Neil", 'quote"d', "com,ma"]


def make_people(folder):
    rng = random.Random(SEED)
    rows = [(rng.randint(1, 3), rng.choice(NAMES), rng.choice(["x@y.z", "X@Y.Z", "a@b", None]), rng.choice([1.5, 2.25, None]))
            for _ in range(3000)]
    def field(value):
        if value is None:
            return ""
        return '"' + value.replace('"', '""') + '"' if isinstance(value, str) else str(value)
    for i in range(3):
        write(os.path.join(folder, f"people-{i}.csv"),
              'id,name,"e ""mail""",amount\n' + "".join(",".join(map(field, row)) + "\n" for row in rows[i::3]))
    return rows


def order_key(row):  # ascending, nulls last, text by its bytes
    return [(value is None, value.encode() if isinstance(value, str) else value or 0) for value in row]


def dedupe(n_ranks, folder, *arguments):
    output = os.path.join(folder, "distinct.csv")
    done = succeeds(run(n_ranks, "jobs/dedupe", "--output", output, *arguments))
    return read(output), done.stdout


def check_dedupe(folder, wanted, ranks, *arguments):
    first = None
    for n_ranks in ranks:
        found, said = dedupe(n_ranks, folder, *arguments, os.path.join(folder, "people-*.csv"))
        rows = parse_csv(found.decode())
        assert rows[0] == ["id", "name", 'e "mail"', "amount"], rows[0]
        wrong = difference(rows[1:], sorted(wanted, key=order_key), True)
        assert not wrong, f"{n_ranks} ranks: {wrong}"
        assert f"3000 rows, {len(wanted)} distinct, {3000 - len(wanted)} removed" in said, said
        first = first or found
        assert found == first, f"other bytes on {n_ranks} ranks"


def dedupe_keeps_each_row_once(folder):
    check_dedupe(folder, set(make_people(folder)), RANKS)


def dedupe_by_keys_keeps_the_smallest_row(folder):
    kept = {}
    for row in make_people(folder):
        mail = None if row[2] is None else row[2].strip(" ").lower()
        key = row[1].strip(" ").lower(), mail
        if key not in kept or order_key(row) < order_key(kept[key]):
            kept[key] = row
    check_dedupe(folder, kept.values(), RANKS, "--keys", 'name, "e ""mail"""')


def dedupe_keys_may_be_expressions(folder):
    kept = {}
    for row in make_people(folder):
        key = row[1].strip(" ").lower()[:1]
        if key not in kept or order_key(row) < order_key(kept[key]):
            kept[key] = row
    check_dedupe(folder, kept.values(), (3,), "--keys", "substr(trim(name), 1, 1)")


if __name__ == "__main__":
    sys.exit(run_tests([sessions_equal_python, sessions_of_a_made_log, dedupe_keeps_each_row_once,
                        dedupe_by_keys_keeps_the_smallest_row, dedupe_keys_may_be_expressions]))
