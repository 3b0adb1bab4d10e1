# SPDX-License-Identifier: Apache-2.0
"""The job wordcount against tr, sort and uniq of coreutils, on real books where they are at hand."""
import bz2
import gzip
import os
import re
import shutil
import subprocess
import sys

from job_kit import RANKS, make_text, read, run, run_tests, succeeds, text_folder, write


def files_of(folder):
    return sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".txt"))


def quoted(word):
    if re.search(rb'[,"]', word):
        return b'"' + word.replace(b'"', b'""') + b'"'
    return word


def counted_by_coreutils(files):
    """word,n by falling n and then by bytes, as one CSV file."""
    script = "for file; do cat \"$file\"; echo; done | tr -s ' \\t\\n\\v\\f\\r' '\\n' | sed '/^$/d' | sort | uniq -c"
    done = subprocess.run(["bash", "-c", script, "count", *files], capture_output=True, check=True,
                          env={**os.environ, "LC_ALL": "C"})
    rows = [line.lstrip().split(b" ", 1) for line in done.stdout.split(b"\n") if line]
    rows.sort(key=lambda row: (-int(row[0]), row[1]))
    return b"word,n\n" + b"".join(quoted(word) + b"," + n + b"\n" for n, word in rows)


def counts(n_ranks, folder, *arguments):
    output = os.path.join(folder, "counts.csv")
    succeeds(run(n_ranks, "jobs/wordcount", "--output", output, *arguments))
    return read(output)


def explain_difference(found, wanted):
    if found == wanted:
        return None
    for i, (a, b) in enumerate(zip(found.split(b"\n"), wanted.split(b"\n"))):
        if a != b:
            return f"line {i + 1}: {a[:80]!r}, but {b[:80]!r} was expected"
    return f"{len(found)} bytes, but {len(wanted)} were expected"


def equals_coreutils_on_any_number_of_ranks(folder):
    files = files_of(text_folder(folder))
    wanted = counted_by_coreutils(files)
    for n_ranks in RANKS:
        wrong = explain_difference(counts(n_ranks, folder, *files), wanted)
        assert not wrong, f"{n_ranks} ranks: {wrong}"


def counts_any_bytes(folder):
    files = files_of(make_text(folder))
    wanted = counted_by_coreutils(files)
    for n_ranks in RANKS:
        wrong = explain_difference(counts(n_ranks, folder, *files), wanted)
        assert not wrong, f"{n_ranks} ranks: {wrong}"


def counts_with_little_memory(folder):
    files = files_of(make_text(folder))
    wanted = counted_by_coreutils(files)
    wrong = explain_difference(counts(3, folder, "--memory", "1MiB", "--scratch", folder, *files), wanted)
    assert not wrong, wrong


def fold_counts_letters_in_lower_case(folder):
    files = files_of(make_text(folder))
    wanted = {}
    for path in files:
        for word in re.split(rb"[ \t\n\v\f\r]+", read(path)):
            folded = re.sub(rb"[^a-z\x80-\xff]", b"", word.lower())
            if folded:
                wanted[folded] = wanted.get(folded, 0) + 1
    rows = sorted(wanted.items(), key=lambda row: (-row[1], row[0]))
    text = b"word,n\n" + b"".join(quoted(word) + b",%d\n" % n for word, n in rows)
    for n_ranks in (1, 3):
        wrong = explain_difference(counts(n_ranks, folder, "--fold", *files), text)
        assert not wrong, f"{n_ranks} ranks: {wrong}"


def compressed_files_count_the_same(folder):
    files = files_of(make_text(folder))
    wanted = counted_by_coreutils(files)
    packed = os.path.join(folder, "packed")
    for i, path in enumerate(files):
        name, data = os.path.join(packed, os.path.basename(path)), read(path)
        if i % 3 == 0:
            write(name + ".gz", gzip.compress(data))
        elif i % 3 == 1:
            write(name + ".bz2", bz2.compress(data))
        elif shutil.which("zstd"):
            subprocess.run(["zstd", "-q", path, "-o", name + ".zst"], check=True)
        else:
            write(name, data)
    for n_ranks in (1, 3):
        wrong = explain_difference(counts(n_ranks, folder, packed), wanted)
        assert not wrong, f"{n_ranks} ranks: {wrong}"


def folders_and_patterns_name_files(folder):
    books = make_text(os.path.join(folder, "books"))
    wanted = counted_by_coreutils(files_of(books))
    assert counts(2, folder, books) == wanted, "a folder"
    assert counts(2, folder, os.path.join(books, "*.txt")) == wanted, "a pattern"
    assert counts(2, folder, os.path.join(books, "book-[0-3].txt"), os.path.join(books, "book-[4-9].txt")) == wanted, \
        "two patterns"


def shows_the_first_words(folder):
    path = write(os.path.join(folder, "a.txt"), "b a b c b a\n")
    done = succeeds(run(2, "jobs/wordcount", "--top", "2", "--output", os.path.join(folder, "o.csv"), path))
    assert read(os.path.join(folder, "o.csv")) == b"word,n\nb,3\na,2\nc,1\n"
    assert re.search(r"\bb\b.*\b3\b", done.stdout) and re.search(r"\ba\b.*\b2\b", done.stdout), done.stdout
    assert not re.search(r"\bc\b.*\b1\b", done.stdout), done.stdout
    assert "o.csv" in done.stdout, done.stdout


def empty_files_give_a_header(folder):
    path = write(os.path.join(folder, "empty.txt"), "")
    assert counts(3, folder, path) == b"word,n\n"
    assert counts(3, folder, write(os.path.join(folder, "blank.txt"), " \n\r\n\t")) == b"word,n\n"


def what_is_no_text_is_shown_by_question_marks(folder):
    path = write(os.path.join(folder, "a.txt"), b"\xff\xfe \xff\xfe \xff\xfe \xff\xfe caf\xc3\xa9 caf\xc3\xa9 caf\xc3\xa9 caf\xe9\n"
                 b"\xed\xa0\x80 \xed\xa0\x80 " + b"x" * 100000)
    done = succeeds(run(2, "jobs/wordcount", "--output", os.path.join(folder, "o.csv"), path))
    assert read(os.path.join(folder, "o.csv")) == b"word,n\n\xff\xfe,4\ncaf\xc3\xa9,3\n\xed\xa0\x80,2\ncaf\xe9,1\n" + \
        b"x" * 100000 + b",1\n"
    words = [line.split()[0] for line in done.stdout.splitlines()[2:6]]
    assert words == ["??", "café", "???", "caf?"], done.stdout
    assert len(done.stdout) < 2000


if __name__ == "__main__":
    sys.exit(run_tests([equals_coreutils_on_any_number_of_ranks, counts_any_bytes, counts_with_little_memory,
                        fold_counts_letters_in_lower_case, compressed_files_count_the_same,
                        folders_and_patterns_name_files, shows_the_first_words, empty_files_give_a_header,
                        what_is_no_text_is_shown_by_question_marks]))
