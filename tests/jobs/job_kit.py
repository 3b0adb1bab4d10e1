# SPDX-License-Identifier: Apache-2.0
"""What the tests of jobs share: running test functions by name, data to run on (real data where it is at hand, else
made here), and reading what a run says and leaves behind."""
import os
import random
import re
import sys
import tempfile
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "operators"))
from harness import BUILD, GRACE, MPIRUN, ROOT, difference, parse_csv, read_csv, run, run_plan  # noqa: E402,F401

RANKS = [int(n) for n in os.environ.get("QN_RANKS", "1 2 3 5 8").split()]
SEED = int(os.environ.get("QN_SEED", "20240601"))


class Skipped(Exception):
    """A test that cannot be made here; its text says why."""


def run_tests(tests):
    """Runs the functions (all, or those named in the arguments), each with an empty folder; the exit code."""
    wanted = sys.argv[1:]
    n_passed = n_failed = n_skipped = 0
    for test in tests:
        if wanted and test.__name__ not in wanted:
            continue
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            try:
                test(folder)
                n_passed += 1
                print(f"ok       {test.__name__}", flush=True)
            except Skipped as why:
                n_skipped += 1
                print(f"left out {test.__name__}: {why}", flush=True)
            except Exception as wrong:  # whatever it is, the next test runs
                n_failed += 1
                own = [frame for frame in traceback.extract_tb(wrong.__traceback__) if os.path.basename(frame.filename) == os.path.basename(sys.argv[0])]
                lines = ", ".join(str(frame.lineno) for frame in own)
                print(f"FAILED   {test.__name__} (line {lines}): {type(wrong).__name__}: {wrong}", flush=True)
    print(f"{n_passed} passed, {n_failed} failed, {n_skipped} left out")
    return n_failed > 0 or n_passed + n_skipped == 0


# --- Data -------------------------------------------------------------------------------------------------------------


def shared_data(name):
    """The path of real data, or None where there is none."""
    for folder in (os.environ.get("QN_SHARED_DATA"), os.path.join(ROOT, "..", "shared", "data")):
        if folder and os.path.exists(os.path.join(folder, name)):
            return os.path.join(folder, name)
    return None


def write(path, content):
    """Makes a file of text or bytes, and its folder; returns the path."""
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
    return path


def read(path):
    with open(path, "rb") as file:
        return file.read()


def make_ratings(folder, n_ratings=20000, n_users=200, n_titles=400):
    """MovieLens-like files, with all that is awkward in them: quotes, commas, titles without ratings."""
    rng = random.Random(SEED)
    genres = ["Drama", "War", "Comedy", "Film-Noir", "(no genres listed)", "Sci-Fi"]
    with open(os.path.join(folder, "movies.csv"), "w", encoding="utf-8") as file:
        file.write("movieId,title,genres\n")
        for title in range(1, n_titles + 1):
            name = rng.choice([f"Plain {title} (1999)", f'"Title, The {title} (1950)"', f'"Say ""Ä"" {title}"'])
            file.write(f"{title},{name},{'|'.join(rng.sample(genres, rng.randint(1, 4)))}\n")
    with open(os.path.join(folder, "ratings.csv"), "w", encoding="utf-8") as file:
        file.write("userId,movieId,rating,timestamp\n")
        pairs = {(int(rng.random() ** 2 * n_users) + 1, int(rng.random() ** 3 * n_titles) + 1) for _ in range(n_ratings)}
        for user, title in sorted(pairs):
            file.write(f"{user},{title},{rng.randint(1, 10) / 2},{rng.randint(800000000, 1500000000)}\n")
    return folder


def ratings_folder(folder):
    return shared_data("ratings/movielens-small") or make_ratings(folder)


def make_text(folder):
    """Text files with CRLF, bytes that are no UTF-8, very long words, all white space of ASCII, no line end at the end."""
    rng = random.Random(SEED)
    words = [b"the", b"The", b"and", b"a,b", b'say"so"', b"caf\xc3\xa9", b"caf\xe9", b"\xff\xfe", b"x" * 5000, b"end.",
             b"\xc2\xa0", b"don't", b"'", b'"', b","]
    words += [b"w%d" % i for i in range(3000)]
    spaces = [b" ", b"\n", b"\r\n", b"\t", b"\v", b"\f", b"  ", b"\n\n"]
    for i in range(7):
        text = b"".join(rng.choice(words[:int(rng.random() ** 2 * len(words)) + 1]) + rng.choice(spaces)
                        for _ in range(2000 * i))
        write(os.path.join(folder, f"book-{i}.txt"), text + (b"last" if i % 2 else b""))
    return folder


def text_folder(folder):
    return shared_data("text") or make_text(folder)


# --- What a run left --------------------------------------------------------------------------------------------------


def table(path):
    """The rows of a CSV file as dictionaries."""
    header, rows = read_csv(path)
    return [dict(zip(header, row)) for row in rows]


def files_below(folder):
    """Every file and folder below, with the bytes of files."""
    found = {}
    for where, folders, files in os.walk(folder):
        for name in folders:
            found[os.path.relpath(os.path.join(where, name), folder)] = None
        for name in files:
            path = os.path.join(where, name)
            found[os.path.relpath(path, folder)] = read(path) if os.access(path, os.R_OK) else b"?"
    return found


MPI_NOISE = re.compile(  # what a launcher adds when a program exits with an error
    r"-{20,}\n(?:.*\n)*?-{20,}\n|^\[[^\]\n]*\] .*\n|^=+\n(?:=.*\n)*|^YOUR APPLICATION TERMINATED.*\n", re.MULTILINE)


# What every job says first: where its ranks run, whether they share cores, its memory.
START_LINE = re.compile(r"^[^\n]*: (?:(?:node \S+|\d+ nodes?\b[^\n:]*): \d+ ranks? on |warning: \d+ ranks share "
                        r"|memory [0-9.]+ [KMG]iB per rank, [^\n]*; scratch [^\n]* free)[^\n]*\n", re.MULTILINE)


def messages(done):
    """The lines on standard error that are complaints of the program's own; a message may go on in lines that are set in."""
    text = START_LINE.sub("", MPI_NOISE.sub("", done.stderr))
    return [message for message in re.split(r"\n(?!\s)", text.strip("\n")) if message.strip()]


def succeeds(done):
    assert done.returncode == 0, f"exit code {done.returncode}: {done.stderr[-2000:]}"
    return done
