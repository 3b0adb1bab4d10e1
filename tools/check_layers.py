#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that the layers are what CMakeLists.txt says they are.

Reads the qn_layer() lines (name, LEVEL, DEPENDS) and all includes of src/, include/ and jobs/. Layers that are
stated and not checked are fiction within a few years. Prints one line for each violation; exits with 1 if any.

usage: tools/check_layers.py [ROOT]
"""
import re
import sys
from pathlib import Path

# A header of an outside library and the only layers that may include it.
DOORS = [
    (re.compile(r"mpi(-ext)?\.h"), {"comm"}),
    (re.compile(r"(hdf5(_hl)?|H5.*)\.h"), {"store"}),
    (re.compile(r"pg_query.*\.h"), {"expr"}),
    (re.compile(r"jansson(_config)?\.h"), {"expr", "store", "record", "exec", "ml", "report"}),
    (re.compile(r"(onnx\.pb-c|protobuf-c)\.h"), {"ml"}),
    (re.compile(r"(xxhash|xxh3)\.h"), {"base"}),
    (re.compile(r"hwloc.*\.h"), {"place"}),
    (re.compile(r"(zlib|bzlib|zstd|zstd_errors|zdict)\.h"), {"io"}),
]
FORBIDDEN_NAMES = {"util", "utils", "utility", "utilities", "misc", "common", "helper", "helpers"}
CLIENTS = {"cli", "jobs"}  # they use the public headers only, like any job of a user
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:<([^>]+)>|"([^"]+)")')
SUFFIXES = {".c", ".h", ".inc"}


class Layer:
    def __init__(self, name, level, depends):
        self.name, self.level, self.depends = name, level, depends


def read_layers(cmake_file):
    """The qn_layer() calls, by name."""
    text = re.sub(r"#.*", "", cmake_file.read_text())
    layers = {}
    for call in re.findall(r"^\s*qn_layer\(([^)]*)\)", text, re.MULTILINE):
        words, key, values = call.split(), None, {"LEVEL": [], "DEPENDS": [], "LIBRARIES": []}
        for word in words[1:]:
            if word in values:
                key = word
            elif key is not None:
                values[key].append(word)
        if len(values["LEVEL"]) != 1 or not values["LEVEL"][0].isdigit():
            raise ValueError(f"{cmake_file}: qn_layer({words[0]}) needs LEVEL and one number")
        layers[words[0]] = Layer(words[0], int(values["LEVEL"][0]), values["DEPENDS"])
    if not layers:
        raise ValueError(f"{cmake_file}: no qn_layer() found")
    return layers


def check_declarations(root, layers):
    """DEPENDS name lower levels, and every folder of src/ is declared."""
    for layer in layers.values():
        for name in layer.depends:
            if name not in layers:
                yield f"CMakeLists.txt: layer {layer.name} depends on {name}, which is not declared"
            elif layers[name].level >= layer.level:
                yield (f"CMakeLists.txt: layer {layer.name} (level {layer.level}) depends on {name} "
                       f"(level {layers[name].level}), which is not lower")
    for folder in sorted((root / "src").iterdir()):
        if folder.is_dir() and folder.name not in layers and folder.name not in CLIENTS:
            yield f"src/{folder.name}: not declared by a qn_layer() line of CMakeLists.txt"


def source_files(root):
    for top in ("src", "include", "jobs"):
        for path in sorted((root / top).rglob("*")):
            if path.suffix in SUFFIXES and path.is_file():
                yield path


def place_of(root, path):
    """The layer of a file, "public" for the public headers, or "jobs"."""
    parts = path.relative_to(root).parts
    if parts[0] == "include":
        return "public"
    if parts[0] == "jobs":
        return "jobs"
    return parts[1] if len(parts) > 2 else "src"


def check_include(root, layers, place, name, is_quoted):
    """What is wrong with one include, or None."""
    for pattern, allowed in DOORS:
        if pattern.fullmatch(name.rsplit("/", 1)[-1]) and not is_quoted and not name.startswith("quern/"):
            if place not in allowed:
                return f"<{name}> is only for src/{' and src/'.join(sorted(allowed))}"
    if name.startswith("quern/"):
        if is_quoted:
            return f'write <{name}>, not "{name}"'
        return None if (root / "include" / name).is_file() else f"include/{name} does not exist"
    if not is_quoted:
        folder = name.split("/", 1)[0]
        return f'write "{name}", not <{name}>' if "/" in name and folder in layers else None
    if place == "public":
        return f'a public header includes <quern/...> and system headers only, not "{name}"'
    if "/" not in name:
        return f'"{name}" needs its layer in front, as in "layer/{name}"'
    folder = name.split("/", 1)[0]
    if place in CLIENTS and folder != place:
        return f'"{name}": {place} uses <quern/...> and system headers only'
    if not (root / "src" / name).is_file():
        return f"src/{name} does not exist"
    if place in layers and folder != place and folder not in layers[place].depends:
        return f'"{name}": layer {place} does not depend on {folder}'
    return None


def check_includes(root, layers):
    for path in source_files(root):
        place = place_of(root, path)
        text = path.read_text(encoding="utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), start=1):
            match = INCLUDE.match(line)
            if match:
                fault = check_include(root, layers, place, match.group(1) or match.group(2), match.group(2) is not None)
                if fault:
                    yield f"{path.relative_to(root)}:{number}: {fault}"


def check_names(root):
    """A name belongs to one folder (x.h, x.c, x.inc side by side, and the public header of the same name)."""
    homes = {}
    for path in source_files(root):
        shown = path.relative_to(root)
        if FORBIDDEN_NAMES & set(re.split(r"[^a-z0-9]+", path.stem.lower())):
            yield f"{shown}: name the file for its content, not {path.stem}"
        if not re.fullmatch(r"[a-z][a-z0-9_]*", path.stem):
            yield f"{shown}: file names are lower_snake"
        if place_of(root, path) == "public":
            continue
        home = homes.setdefault(path.stem, path.parent)
        if home != path.parent:
            yield f"{shown}: the name is taken by {home.relative_to(root)}/{path.stem}"


def check(root):
    """All violations of a tree, as lines of text."""
    layers = read_layers(root / "CMakeLists.txt")
    faults = []
    for found in (check_declarations(root, layers), check_includes(root, layers), check_names(root)):
        faults.extend(found)
    return faults


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent)
    faults = check(root)
    for fault in faults:
        print(fault)
    n_files = len(list(source_files(root)))
    print(f"check_layers: {n_files} files, {len(faults)} violations")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
