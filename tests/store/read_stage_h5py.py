#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints a staged dataset (a folder or a single .h5 file) as CSV through h5py alone, without Quern.

    read_stage_h5py.py STAGE [--header]

Null is an empty field; text stands in double quotes, binary as \\x and hexadecimal digits in quotes; floats as Python
prints them (they read back the same); dates as days, timestamps as microseconds since 1970-01-01. It reads the files
as docs/stage-format.md describes them, so it is also a test of that page.
"""
import json
import os
import sys

import h5py


def escape(name):
    """The name of a column's group: %XX for what HDF5 cannot hold in a name."""
    if name == "":
        return "%"
    odd = {"/", "%", "\x7f"} | {chr(c) for c in range(32)} | ({"."} if name == "." else set())
    return "".join("%%%02X" % ord(c) if c in odd else c for c in name)


def part_paths(path):
    if not os.path.isdir(path):
        return [path]
    with open(os.path.join(path, "manifest.json"), encoding="utf-8") as file:
        manifest = json.load(file)
    if manifest["format"] != "quern-stage" or manifest["version"] != 1:
        sys.exit(f"{path}: not a quern-stage of version 1")
    return [os.path.join(path, part["file"]) for part in manifest["parts"]]


def read_column(group):
    """The values of a column as Python objects, None for null."""
    kind = group.attrs["type"]
    if kind in ("utf8", "binary"):
        offsets, data = group["offsets"][:].tolist(), group["bytes"][:].tobytes()
        values = [data[a:b] for a, b in zip(offsets, offsets[1:])]
        if kind == "utf8":
            values = [value.decode("utf-8") for value in values]
    else:
        values = group["values"][:]
        values = (values.astype(bool) if kind == "bool" else values).tolist()
        if kind == "float32":
            values = [float(str(value)) for value in group["values"][:]]
    if "validity" in group:
        values = [value if valid else None for value, valid in zip(values, group["validity"][:])]
    return values


def to_csv(value):
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        value = "\\x" + value.hex()
    if isinstance(value, str):
        return '"' + value.replace('"', '""') + '"'
    return repr(value)


def main():
    names = None
    for path in part_paths(sys.argv[1]):
        with h5py.File(path, "r") as file:
            if file.attrs["format"] != "quern-stage":
                sys.exit(f"{path}: not a part of a quern-stage")
            groups = sorted(file["columns"].values(), key=lambda group: group.attrs["index"])
            if names is None and "--header" in sys.argv[2:]:
                print(",".join(to_csv(group.attrs["name"]) for group in groups))
            names = [group.attrs["name"] for group in groups]
            for group in groups:
                assert group.name == "/columns/" + escape(group.attrs["name"]), group.name
                assert group.attrs["n_rows"] == file.attrs["n_rows"]
            columns = [read_column(group) for group in groups]
            for group, column in zip(groups, columns):
                assert len(column) == file.attrs["n_rows"]
                assert sum(value is None for value in column) == group.attrs["n_nulls"]
            for row in zip(*columns):
                print(",".join(map(to_csv, row)))


if __name__ == "__main__":
    main()
