#!/usr/bin/env python3
"""The runbooks, run one after the other on hosts of their own (network namespaces), each held to what it promises.

    deploy/runbooks/test.py [--bin-dir DIR] [--until STEP] [--if-possible]

DIR holds holdfast, holdfast-controlplane and holdfast-dataplane. Needs root, `ip`, `openssl`, `curl` and PostgreSQL; run it with the
Python of ~/.cache/holdfast/venv (boto3). Everything between hosts but PostgreSQL is TLS: the cluster's own authority between the
planes, a certificate of each host's own for administration and S3. A step needs those before it, so the first that fails
ends the run. Ends with `N passed, N failed`.
"""

import argparse
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time
import traceback

from estate import BUCKET, CONTROLS, NODES, Client, Estate
from hosts import copy
from net import Refused, until

HOME = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", pathlib.Path.home() / ".cache/holdfast/target"))
TRAILER = b"\nthe next version\n"
FIRST, LATER = NODES[:3], NODES[3]
GOING = NODES[1]


def first_node(estate):
    """A control plane and three invitations; then a standby."""
    said = estate.run("control1", "first-node", *FIRST)
    estate.token = re.search(r"^admin token: (hfa_\w+)$", said, re.M)[1]
    for name in FIRST:
        token = re.search(rf"^join token of {name}: (\S+)$", said, re.M)[1]
        assert token not in (estate.hosts["control1"].log.read_text()), "a token is in the log"
        write_token(estate, name, token)
    assert estate.admin("status")["leader"]
    one, two = (estate.hosts[name] for name in CONTROLS)
    for name in ("master-key", "admin-token"):
        shutil.copy(one.etc / name, two.etc / name)
    two.serve("start", "holdfast-controlplane")
    until("the standby answers", lambda: alive(two))
    assert estate.leader() == "control1", "a standby took over from a leader that is well"
    key = estate.admin("create-key", "--name", "the test's")
    estate.keys = key["access_key_id"], key["secret_access_key"]


def add_nodes(estate):
    for name in FIRST:
        add(estate, name)
    estate.s3("node1").create_bucket(Bucket=BUCKET)
    estate.objects.write(FIRST, "first", 9)
    estate.objects.read(FIRST)


def add_node_later(estate):
    write_token(estate, LATER, estate.admin("node", "invite", "--name", LATER)["token"])
    add(estate, LATER)
    estate.objects.read([LATER])


def remove_node(estate):
    """A node that is well goes, with objects over nodes and some on its drives alone, under a client; its host comes back empty."""
    host, rest = estate.hosts[GOING], [name for name in NODES if name != GOING]
    config = host.etc / "dataplane.toml"
    config.write_text(config.read_text().replace('spread = "nodes"', 'spread = "drives"'))
    host.serve("restart", "holdfast-dataplane")
    until(f"{GOING} is ready", host.ready, 90)
    estate.objects.write([GOING], "of-one-node", 8)
    assert estate.admin("node", "drain", GOING)["state"] == "draining"
    with Client(estate, NODES) as client:
        client.goes_on()
        client.restarting = GOING
        said = estate.run(estate.leader(), "remove-node", GOING, "240")
        host.serve("stop", "holdfast-dataplane")
        for path in [host.home / "data", *host.home.glob("d[0-9]")]:
            shutil.rmtree(path)
        client.goes_on()
    assert not client.wrong, client.wrong
    assert "nothing is left" in said, said
    print(f"      {client.counts}", flush=True)
    assert estate.admin("node", "show", GOING)["state"] == "revoked"
    estate.objects.read(rest)
    for key in [key for key in estate.objects.known if key.startswith(("first", "of-one-node"))]:
        whole = estate.admin("object-redundancy", "--bucket", BUCKET, "--key", key)
        assert whole["whole"], whole
    # What is deleted is gone wherever it went to: the note that it has to be goes when every node has said so, below. Of what
    # lies on one node nothing is left for the node that will be lost.
    for key in [key for key in estate.objects.known if key.startswith(("of-one-node", "meanwhile"))]:
        estate.s3(rest[0]).delete_object(Bucket=BUCKET, Key=key)
        del estate.objects.known[key]
    estate.configure_node(host)
    write_token(estate, GOING, estate.admin("node", "invite", "--name", GOING)["token"])
    add(estate, GOING)
    estate.objects.write(NODES, "four", 8)
    estate.objects.read(NODES)
    # What was read is pinned for half a minute.
    until("what was deleted is deleted everywhere", lambda: estate.postgres.ask("SELECT count(*) FROM freed") == "0", 180)


def backup(estate):
    said = estate.run("control1", "backup", estate.home / "dump")
    assert "saved" in said and (estate.home / "dump").stat().st_mode & 0o077 == 0, said
    estate.saved = dict(estate.objects.known)
    estate.objects.write(NODES, "after-the-dump", 6)
    estate.objects.read(NODES)


def upgrade(estate):
    """A standby, the leader, the nodes, under a client that does not stop. A program that does not take the configuration is not put in place."""
    new = estate.home / "new"
    new.mkdir()
    for program in ("holdfast", "holdfast-controlplane", "holdfast-dataplane"):
        copy(estate.bin / program, new, TRAILER)
    broken = estate.home / "broken"
    broken.mkdir()
    (broken / "holdfast-dataplane").write_text("#!/bin/sh\nexit 1\n")
    (broken / "holdfast-dataplane").chmod(0o755)
    standby = next(name for name in CONTROLS if name != estate.leader())
    with Client(estate, NODES) as client:
        client.goes_on()
        fine, said = estate.hosts["node1"].inside(
            pathlib.Path(__file__).parent / "upgrade", "holdfast-dataplane", broken,
            env=estate.hosts["node1"].environment(estate.admin_environment()))
        assert not fine and estate.hosts["node1"].ready(), f"a program that does not start was put in place: {said}"
        for name in (standby, estate.leader()):
            estate.run(name, "upgrade", "holdfast-controlplane", new)
            estate.leader()
            client.goes_on()
        for name in NODES:
            client.restarting = name
            estate.run(name, "upgrade", "holdfast-dataplane", new)
            client.goes_on()
            client.restarting = None
    print(f"      {client.counts}", flush=True)
    for name in (*CONTROLS, *NODES):
        unit = "holdfast-controlplane" if name in CONTROLS else "holdfast-dataplane"
        assert estate.hosts[name].runs_from(unit).endswith(TRAILER), f"{unit} on {name} is still the old one"
    estate.objects.read(NODES)


def rotate_master_key(estate):
    one, two = (estate.hosts[name] for name in CONTROLS)
    before = (one.etc / "master-key").read_text()
    two.serve("stop", "holdfast-controlplane")
    estate.run("control1", "rotate-master-key", seconds=120)
    assert (one.etc / "master-key").read_text() != before == (one.etc / "master-key.before").read_text()
    shutil.copy(one.etc / "master-key", two.etc / "master-key")
    two.serve("start", "holdfast-controlplane")
    until("the standby answers", lambda: alive(two))
    until("all nodes are back", lambda: all(estate.hosts[name].ready() for name in NODES))
    estate.objects.write(NODES, "new-master-key", 4)
    estate.objects.read(NODES)
    # What the standby opens with its copy: it leads for a while, and a node that starts anew gets its keys from it.
    one.serve("stop", "holdfast-controlplane")
    until("the standby leads", lambda: estate.leader() == "control2", 60)
    estate.hosts["node1"].serve("restart", "holdfast-dataplane")
    until("node1 is ready", estate.hosts["node1"].ready, 90)
    estate.objects.read(["node1"])
    one.serve("start", "holdfast-controlplane")
    until("control1 answers", lambda: alive(one))


def lose_node(estate):
    """A node dies with its disks. A thief of its certificate gets nothing more."""
    host, rest = estate.hosts[LATER], NODES[:3]
    # What a node missed while it was restarted is one loss, and parity 1 makes up for one.
    until("no repair is open", lambda: estate.admin("status")["repairs_open"] == 0, 240)
    stolen = estate.home / "stolen"
    shutil.copytree(host.home / "data" / "identity", stolen)
    host.kill("holdfast-dataplane")
    for path in [host.home / "data", *host.home.glob("d[0-9]")]:
        shutil.rmtree(path)
    estate.run(estate.leader(), "lose-node", LATER, "240", seconds=300)
    shown = estate.admin("node", "show", LATER)
    assert shown["state"] == "revoked" and not shown["connected"], shown
    estate.objects.read(rest)
    for key in list(estate.objects.known)[::3]:
        whole = estate.admin("object-redundancy", "--bucket", BUCKET, "--key", key)
        assert whole["whole"], f"no repair is open, and {whole}"
    estate.objects.write(rest, "without-it", 6)
    estate.objects.read(rest, [key for key in estate.objects.known if key.startswith("without-it")])
    estate.configure_node(host)
    (host.home / "data").mkdir()
    shutil.copytree(stolen, host.home / "data" / "identity")
    host.serve("start", "holdfast-dataplane")
    until("the control plane refuses the revoked node", lambda: "revoked" in host.tail(40), 60)
    assert not host.ready()
    host.kill("holdfast-dataplane")


def restore(estate):
    one, two = (estate.hosts[name] for name in CONTROLS)
    two.serve("stop", "holdfast-controlplane")
    until("control1 leads", lambda: estate.leader() == "control1", 60)
    estate.run("control1", "restore", estate.home / "dump", one.etc / "master-key.before")
    until("the alarm is up", lambda: estate.admin("status")["history_lost"], 90)
    two.serve("start", "holdfast-controlplane")
    rest = NODES[:3]
    until("all nodes are back", lambda: all(estate.hosts[name].ready() for name in rest), 90)
    estate.objects.read(rest, sorted(estate.saved))
    for node in rest:
        listed = estate.s3(node).list_objects_v2(Bucket=BUCKET)["Contents"]
        assert {entry["Key"] for entry in listed} == set(estate.saved), f"{node} shows what the dump does not know"
    estate.admin("recover", "--accept")
    assert not estate.admin("status")["history_lost"]
    # What was decided since the dump is decided again.
    estate.run("control1", "lose-node", LATER, "240", seconds=300)
    estate.objects.known = dict(estate.saved)
    estate.objects.write(rest, "after-the-restore", 6)
    estate.objects.read(rest)


STEPS = {
    "first-node": first_node, "add-node": add_nodes, "add-node-later": add_node_later, "remove-node": remove_node,
    "backup": backup, "upgrade": upgrade,
    "rotate-master-key": rotate_master_key, "lose-node": lose_node, "restore": restore,
}


def write_token(estate, name, token):
    path = estate.hosts[name].home / "token"
    path.write_text(token + "\n")
    path.chmod(0o600)


def add(estate, name):
    token = estate.hosts[name].home / "token"
    estate.run(name, "add-node", token)
    assert not token.exists()
    shown = estate.admin("node", "show", name)
    assert shown["state"] == "active" and shown["connected"], shown


def alive(host):
    return host.inside("curl", "-sfk", f"https://{host.address}:9001/livez")[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin-dir", type=pathlib.Path, default=HOME / "release")
    parser.add_argument("--until", choices=list(STEPS), default="restore", help="the last step")
    parser.add_argument("--keep", type=pathlib.Path, help="work in this new directory and leave it")
    parser.add_argument("--if-possible", action="store_true", help="pass where network namespaces are not to be had")
    arguments = parser.parse_args()
    work = arguments.keep or pathlib.Path(tempfile.mkdtemp(prefix="holdfast-runbooks-"))
    work.mkdir(parents=True, exist_ok=True)
    work.chmod(0o755)
    passed = failed = 0
    try:
        with Estate(arguments.bin_dir.resolve(), work) as estate:
            for name, step in list(STEPS.items())[: list(STEPS).index(arguments.until) + 1]:
                began = time.monotonic()
                try:
                    step(estate)
                except Exception:  # told below; the steps after it have nothing to stand on
                    failed += 1
                    print(f"FAIL  {name}\n{traceback.format_exc()}", flush=True)
                    break
                passed += 1
                print(f"ok    {name}  ({time.monotonic() - began:.1f} s)", flush=True)
    except Refused as refused:
        print(f"not possible here: {refused}")
        return 0 if arguments.if_possible else 2
    if not arguments.keep and not failed:
        shutil.rmtree(work, ignore_errors=True)
    elif failed:
        print(f"logs are in {work}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
