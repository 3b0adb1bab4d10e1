# SPDX-License-Identifier: Apache-2.0
"""One task in one Python peer, in a process of its own, as a user would start it; its own clock begins when the engine is
there. Prints a line of JSON: {"seconds": [of each time], "answer": [...] or null}.

usage: python -m suite.peer ENGINE TASK DATA_FOLDER ROWS OUT THREADS TIMES MEMORY   (MEMORY 0: no budget)
"""
import json
import os
import shutil
import sys
import time

from suite.answers import plain
from suite.data import Data
from suite.tasks import pick


def open_duckdb(data, task, threads, memory):
    import duckdb
    config = {"threads": threads, "temp_directory": os.path.join(data.scratch(), "duckdb-spill")}
    if memory:
        config["memory_limit"] = f"{memory // 1024}KiB"
    db = duckdb.connect(config=config)
    db.execute("set enable_progress_bar = false")
    db.execute("set TimeZone = 'UTC'")
    for name in task.data:
        if os.path.exists(data.database(name)):
            db.execute(f"attach '{data.database(name)}' as {name}_file (read_only)")
            db.execute(f"create temp view {name} as from {name}_file.{name}")
    return db


def open_polars(data, task, threads, memory):
    os.environ["POLARS_MAX_THREADS"] = str(threads)
    import polars
    return polars


def open_spark(data, task, threads, memory):
    from pyspark.sql import SparkSession
    session = (SparkSession.builder.master(f"local[{threads}]").appName("bench")
               .config("spark.driver.memory", "4g").config("spark.ui.enabled", "false")
               .config("spark.sql.shuffle.partitions", str(2 * threads))
               .config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1")
               .config("spark.local.dir", data.scratch()).config("spark.log.level", "ERROR").getOrCreate())
    return session


def open_bodo(data, task, threads, memory):
    os.environ["BODO_NUM_WORKERS"] = str(threads)
    import bodo.pandas
    bodo.pandas.DataFrame({"a": [1]})["a"].sum()  # starts its workers, which is no part of a query
    return bodo.pandas


def main():
    engine, name, folder, rows, out, threads, times, memory = sys.argv[1:]
    data = Data(folder, int(rows), None)
    task = pick([name])[0]
    handle = globals()[f"open_{engine}"](data, task, int(threads), int(memory))
    seconds, answer = [], None
    for i in range(int(times)):
        if i > 0:
            shutil.rmtree(out, ignore_errors=True)
            if os.path.isfile(out):
                os.remove(out)
        start = time.monotonic()
        answer = task.peers[engine](handle, data, out)
        seconds.append(time.monotonic() - start)
    print(json.dumps({"seconds": seconds, "answer": answer and [plain(value) for value in answer]}), flush=True)
    if engine == "spark":
        handle.stop()


if __name__ == "__main__":
    main()
