#!/usr/bin/env python3
"""The themes of S3's semantics, a file each, and which of their tests wait for what they test.

    deploy/clients/themes.py DATA_DIR [WORD] [--waiting]   against a `holdfast dev` that runs on DATA_DIR

Every test in a theme's ALL runs with the client checks, except those under WAITING: when a feature stands, its line goes.
`--waiting` runs those too (and exits 0 only if all of them pass); WORD picks tests whose `theme.test` contains it.
"""

import argparse
import importlib
import pathlib
import sys
import time
import traceback

THEMES = [
    "daily", "listing", "conditional", "copying", "multiparts", "checksums", "versioning", "tagging", "cors", "post_form",
    "ownership", "policy", "races", "golden", "model",
]

WAITING = {}


def waits(theme, test):
    waiting = WAITING.get(theme, [])
    return waiting == "all" or test in waiting


def tests(waiting=False):
    """(name, function) of every test that runs; the waiting ones too if asked."""
    for theme in THEMES:
        for function in importlib.import_module(theme).ALL:
            if waiting or not waits(theme, function.__name__):
                yield f"{theme}.{function.__name__}", function


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir")
    parser.add_argument("word", nargs="?", default="")
    parser.add_argument("--waiting", action="store_true")
    parser.add_argument("--bin-dir", default=pathlib.Path.home() / ".cache/holdfast/target/release")
    arguments = parser.parse_args()
    from system import System

    system = System(arguments.bin_dir, arguments.data_dir).attach()
    failed = 0
    for name, test in tests(arguments.waiting):
        if arguments.word not in name:
            continue
        began = time.monotonic()
        try:
            test(system, pathlib.Path(arguments.data_dir))
            print(f"ok    {name}  ({time.monotonic() - began:.1f} s)", flush=True)
        except Exception:  # a failed test must not hide the others
            failed += 1
            print(f"FAIL  {name}\n{traceback.format_exc()}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
