#!/usr/bin/env python3
"""Real S3 clients against the running system, over http and https; each compares bytes.

    deploy/clients/run.py BIN_DIR [--keep DIR] [--only WORD] [--runtime NAME] [--waiting]

Ends with `N passed, N failed`.
"""

import argparse
import os
import pathlib
import shutil
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "conformance")]

import after  # noqa: E402
import clients  # noqa: E402
import damage  # noqa: E402
import large  # noqa: E402
import probe  # noqa: E402
import proxies  # noqa: E402
import robust  # noqa: E402
import semantics  # noqa: E402
import soak  # noqa: E402
import startup  # noqa: E402
import themes  # noqa: E402
from system import running  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin_dir")
    parser.add_argument("--keep", help="work in this directory and leave it")
    parser.add_argument("--only", default="", help="only checks whose name contains this word")
    parser.add_argument("--runtime", choices=("monoio", "glommio", "epoll"), help="what the data plane runs on")
    parser.add_argument("--waiting", action="store_true", help="also the tests that wait for their features")
    arguments = parser.parse_args()
    if arguments.runtime:
        os.environ["HOLDFAST_DATAPLANE_RUNTIME"] = arguments.runtime
    work = pathlib.Path(arguments.keep or tempfile.mkdtemp(prefix="holdfast-clients-"))
    work.mkdir(parents=True, exist_ok=True)
    passed = failed = 0

    def check(name, body):
        nonlocal passed, failed
        if arguments.only not in name:
            return
        began = time.monotonic()
        try:
            body()
            passed += 1
            print(f"ok    {name}  ({time.monotonic() - began:.1f} s)", flush=True)
        except Exception:  # a failed check must not hide the others
            failed += 1
            print(f"FAIL  {name}\n{traceback.format_exc()}", flush=True)

    modes = {}
    for scheme in ("http", "https"):
        if arguments.only.startswith(("http ", "https ", "robust ")) and not arguments.only.startswith(f"{scheme} "):
            continue  # not worth a system
        home = work / scheme
        home.mkdir(exist_ok=True)
        with running(arguments.bin_dir, home / "data", tls=scheme == "https") as system:
            print(f"== {scheme}: ready after {system.seconds_to_ready:.1f} s at {system.endpoint}", flush=True)
            for client in [*clients.ALL, *semantics.ALL]:
                check(f"{scheme} {client.__name__}", lambda client=client: client(system, home))
            if scheme == "http":  # what a request means is the same over TLS
                for name, test in [*themes.tests(arguments.waiting), *probe.named()]:
                    check(f"{scheme} {name}", lambda test=test: test(system, home))
            if arguments.runtime:
                check(f"{scheme} runs_on_{arguments.runtime}", lambda: after.runs_on(system, arguments.runtime))
            for mode, count in after.payload_modes(system.metrics()).items():
                modes[mode] = modes.get(mode, 0) + count
            check(f"{scheme} no_fragment_leaked_in_flight", lambda: after.nothing_stuck(system))
        check(f"{scheme} no_secret_in_any_log", lambda: after.no_secret_in_logs(system, home))
    if not arguments.only:
        check("every_payload_mode_was_used", lambda: after.every_mode_used(modes))
    home = work / "robust"
    home.mkdir(exist_ok=True)
    for body in [*robust.ALL, *soak.ALL, *damage.ALL, *startup.ALL, *proxies.ALL, *large.ALL]:
        check(f"robust {body.__name__}", lambda body=body: body(arguments.bin_dir, home))
    if not arguments.keep:
        shutil.rmtree(work, ignore_errors=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
