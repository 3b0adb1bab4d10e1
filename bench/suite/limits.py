# SPDX-License-Identifier: Apache-2.0
"""What the machine can do at best, measured on the spot: memory, page cache, disk, and MPI between two ranks."""
import mmap
import os
import re
import subprocess
import time

from suite.engines import BUILD, ROOT

SIZE = 1 << 28  # bytes that each measurement handles
TIMES = 3


def best(function):
    """Bytes per second of the fastest of some times."""
    def once():
        start = time.monotonic()
        function()
        return SIZE / (time.monotonic() - start)
    return max(once() for _ in range(TIMES))


def memory_copy():
    import numpy
    source, target = numpy.ones(SIZE, numpy.uint8), numpy.zeros(SIZE, numpy.uint8)
    return best(lambda: numpy.copyto(target, source))


def write_file(path):
    block = memoryview(bytearray(os.urandom(1 << 20)) * 4)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for _ in range(SIZE // len(block)):
        os.write(descriptor, block)
    os.fsync(descriptor)
    os.close(descriptor)


def read_file(path, flags=0):
    """Into a buffer on a page boundary, as O_DIRECT wants it."""
    buffer = mmap.mmap(-1, 1 << 20)
    descriptor = os.open(path, os.O_RDONLY | flags)
    while os.readv(descriptor, [buffer]):
        pass
    os.close(descriptor)
    buffer.close()


def all_to_all(n_ranks):
    """What bench/exchange_bench says of MPI_Alltoallv and of our exchange; nothing if it is not built."""
    program = os.path.join(BUILD, "bench", "exchange_bench")
    if not os.path.exists(program):
        return []
    done = subprocess.run([os.path.join(ROOT, "scripts", "mpirun"), "-n", str(n_ranks), program], text=True,
                          capture_output=True, timeout=120, check=False)
    return [("exchange", line.strip()) for line in done.stdout.splitlines() if re.search(r"[0-9]", line)]


def measure_limits(folder, n_ranks):
    """Pairs of what and how much."""
    path = os.path.join(folder, "limits.bin")
    found = [("memory copy, one core", f"{memory_copy() / 1e9:.1f} GB/s (bytes copied)"),
             ("write and fsync, 256 MiB in the scratch folder", f"{best(lambda: write_file(path)) / 1e9:.2f} GB/s"),
             ("read from the page cache, one core", f"{best(lambda: read_file(path)) / 1e9:.1f} GB/s")]
    try:
        found.append(("read from the disk (O_DIRECT)", f"{best(lambda: read_file(path, os.O_DIRECT)) / 1e9:.2f} GB/s"))
    except OSError as why:
        found.append(("read from the disk (O_DIRECT)", f"not possible here: {why.strerror}"))
    os.remove(path)
    return found + all_to_all(n_ranks)
