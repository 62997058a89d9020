#!/usr/bin/env python3
"""Holds the arrows of the house: which crate may see which, and what the pure crate may not name.

    common <- protocol <- dataplane,   common <- controlplane;   proptests and benches see all, nothing sees them
"""

import json
import pathlib
import re
import subprocess
import sys

MAY_SEE = {
    "holdfast-common": set(),
    "holdfast-protocol": {"holdfast-common"},
    "holdfast-dataplane": {"holdfast-common", "holdfast-protocol"},
    "holdfast-controlplane": {"holdfast-common"},
    "holdfast-benches": None,  # all
    "holdfast-proptests": None,
}

# Clock, I/O, threads, randomness: what `protocol` does without. Tests at the end of a file may read golden files.
IMPURE = re.compile(
    r"\b(std::(time::(Instant|SystemTime)|fs|net|thread|env|process)\b|Instant::now|SystemTime::now|"
    r"ring::rand|rand::|getrandom|tokio|monoio|std::io::(stdin|stdout|stderr))|\bunsafe\s*(\{|fn|impl)"
)


def arrows(root):
    metadata = json.loads(
        subprocess.run(
            ["cargo", "metadata", "--format-version=1", "--no-deps", "--locked"],
            cwd=root, check=True, capture_output=True, text=True,
        ).stdout
    )
    for package in metadata["packages"]:
        name = package["name"]
        if name not in MAY_SEE:
            yield f"{name}: a crate that the house does not know; enter it in deploy/lib/arrows.py and DESIGN"
            continue
        allowed = MAY_SEE[name]
        for dependency in package["dependencies"]:
            other = dependency["name"]
            if other in MAY_SEE and allowed is not None and other not in allowed:
                yield f"{name} sees {other} ({dependency['kind'] or 'normal'} dependency), which the arrows forbid"


def purity(root):
    source = root / "dataplane/protocol/src"
    if "#![forbid(unsafe_code)]" not in (source / "lib.rs").read_text():
        yield "protocol/src/lib.rs does not forbid unsafe code"
    for path in sorted(source.rglob("*.rs")):
        if path.name == "tests.rs" or "tests" in path.parts:
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if line.startswith("#[cfg(test)]"):
                break
            code = line.split("//")[0]
            if IMPURE.search(code):
                yield f"{path.relative_to(root)}:{number}: {line.strip()}"


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    wrong = [*arrows(root), *purity(root)]
    for line in wrong:
        print(line)
    print("arrows hold" if not wrong else f"{len(wrong)} violations")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
