#!/usr/bin/env python3
"""`run.py` with objects that spread over the nodes, so that every fragment but one of each travels between them.

    deploy/cluster/joined.py BIN_DIR COMMAND ...       as run.py; `--peers` goes without saying

One node may be away at any moment (parity 1), as in `faults`: then whatever was acknowledged is read through the others.
"""

import sys

import figures
import planes
import postgres_scenarios
import revocation
import run
import scenarios
import stale

PEER = 9003


class Spread(planes.Cluster):
    def admit(self, host, home):
        lines = ['spread = "nodes"', "parity = 1", f'peer_addr = "{self.net.address(host)}:{PEER}"']
        return "\n".join([super().admit(host, home), *lines])


def main():
    for module in (figures, postgres_scenarios, revocation, scenarios, stale):
        module.Cluster = Spread
    sys.argv.append("--peers")
    return run.main()


if __name__ == "__main__":
    sys.exit(main())
