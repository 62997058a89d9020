#!/usr/bin/env python3
"""Several data planes under two control planes, as real processes in network namespaces, with what goes wrong there.

    deploy/cluster/run.py BIN_DIR smoke [--if-possible]     under 40 s: load at every node, the leader is killed
    deploy/cluster/run.py BIN_DIR failover                  each way to lose the leader, takeover times
    deploy/cluster/run.py BIN_DIR faults --minutes N        faults at random
    deploy/cluster/run.py BIN_DIR postgres                  a standby is promoted, a dump restored
    deploy/cluster/run.py BIN_DIR revocation                how long until no node believes a key
    deploy/cluster/run.py BIN_DIR stale [--if-possible]     reads where no control plane can be asked
    deploy/cluster/run.py BIN_DIR figures                   hit ratio and cost of reads, cost of interested sessions

BIN_DIR holds holdfast-controlplane, holdfast-dataplane and, for checked histories, holdfast-history. Needs root, `ip` and
PostgreSQL's server. Run it with the Python of ~/.cache/holdfast/venv (boto3). Ends with `N passed, N failed`.
"""

import argparse
import pathlib
import shutil
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))

import figures  # noqa: E402
import postgres_scenarios  # noqa: E402
import revocation  # noqa: E402
import scenarios  # noqa: E402
import stale  # noqa: E402
from net import Refused  # noqa: E402

COMMANDS = {
    "smoke": scenarios.smoke,
    "failover": scenarios.failover,
    "faults": scenarios.random_faults,
    "postgres": postgres_scenarios.postgres,
    "revocation": revocation.run_all,
    "stale": stale.run_all,
    "figures": figures.run_all,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin_dir", type=pathlib.Path)
    parser.add_argument("command", choices=sorted(COMMANDS))
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--only", default="", help="only checks whose name contains this word")
    parser.add_argument("--keep", type=pathlib.Path, help="work in this directory and leave it")
    parser.add_argument("--peers", action="store_true", help="nodes read each other's fragments: every GET has to succeed")
    parser.add_argument("--if-possible", action="store_true", help="pass where network namespaces are not to be had")
    arguments = parser.parse_args()
    arguments.work = arguments.keep or pathlib.Path(tempfile.mkdtemp(prefix="holdfast-cluster-"))
    arguments.work.mkdir(parents=True, exist_ok=True)
    arguments.work.chmod(0o755)
    scenarios.Cluster.peers = arguments.peers
    results = {True: 0, False: 0}

    def run(name, body):
        if arguments.only not in name:
            return
        began = time.monotonic()
        try:
            body()
            results[True] += 1
            print(f"ok    {name}  ({time.monotonic() - began:.1f} s)", flush=True)
        except Refused:
            raise
        except Exception:  # a failed check must not hide the others
            results[False] += 1
            print(f"FAIL  {name}\n{traceback.format_exc()}", flush=True)

    print(f"seed {arguments.seed}, in {arguments.work}", flush=True)
    try:
        COMMANDS[arguments.command](arguments, run)
    except Refused as refused:
        print(f"not possible here: {refused}")
        return 0 if arguments.if_possible else 2
    if not arguments.keep and not results[False]:
        shutil.rmtree(arguments.work, ignore_errors=True)
    print(f"{results[True]} passed, {results[False]} failed")
    return 1 if results[False] else 0


if __name__ == "__main__":
    sys.exit(main())
