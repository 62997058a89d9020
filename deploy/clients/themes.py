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
    "ownership", "policy",
]

WAITING = {
    "versioning": "all",
    "tagging": "all",
    "cors": "all",
    "post_form": "all",
    "ownership": "all",
    "policy": "all",
    "conditional": [
        "a_date_to_come_is_passed_over", "failures_name_the_condition", "any_etag_is_no_condition_of_a_put",
        "conflicts_during_an_upload",
    ],
    "copying": ["what_is_never_copied", "another_checksum", "a_range_behind_the_end"],
    "multiparts": ["object_attributes", "a_small_part_is_named", "a_completion_without_a_body", "markers_are_always_told"],
    "checksums": ["later_algorithms", "the_default_of_uploads_is_crc64nvme", "a_composite_wants_every_part"],
    "listing": ["places_inside_a_group", "an_empty_token_is_wrong"],
    "daily": ["storage_classes_of_other_places"],
}


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
