#!/usr/bin/env python3
"""Load on the real processes, which are killed at random moments; after each recovery everything is compared.

    deploy/clients/soak.py BIN_DIR [--kills N | --minutes M] [--seed S] [--power-loss] [--keep DIR]

A round is load, `kill -9` of one or several of: the data plane, the control plane, PostgreSQL (postmaster or one backend),
`dev` itself; then a start (killed half-way now and then, or with the index or the cache deleted), then a comparison of
every object, delete, listing and open upload with what was answered. At the end everything is compared once more.

With --power-loss the data directory lies on a file system that loses what was not made durable (`power.py`); each round cuts
the power instead.

A failure names its round and seed, and leaves the data directory and its logs.
"""

import argparse
import collections
import contextlib
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import botocore.exceptions  # noqa: E402

from clients import boto, fresh  # noqa: E402
from power import Power  # noqa: E402
from robust import ROLES, descendants, family, identity, none_left, own, within  # noqa: E402
from soak_load import BUCKET, Load, Unanswered, asked, once  # noqa: E402
from system import System  # noqa: E402

VICTIMS = [
    (("dataplane",), 4), (("controlplane",), 4), (("postgres",), 4), (("backend",), 3), (("dev",), 3),
    (("dataplane", "controlplane"), 2), (("dataplane", "postgres"), 2), (("controlplane", "postgres"), 2), (ROLES, 4),
]
# What runs in the background does so within a round.
BUSY = {
    "HOLDFAST_DATAPLANE_REAP_PERIOD_SECONDS": "2", "HOLDFAST_DATAPLANE_SCRUB_PERIOD_SECONDS": "10",
    "HOLDFAST_CONTROLPLANE_DELETE_DELAY_MS": "1000",
}
RECOVERY_SECONDS = 120
ROUND_SECONDS = 300


class Soak:
    """One data directory through many kills."""

    def __init__(self, bin_dir, work, seed, power_loss=False, lies=False, options=()):
        self.draw, self.seed = random.Random(seed), seed
        self.power = Power(bin_dir, work, seed, ["--lies"] if lies else []) if power_loss or lies else None
        self.said = ""
        self.system = System(bin_dir, pathlib.Path(work) / "data", options=options)
        self.system.settings |= BUSY
        self.load, self.kills, self.rounds, self.victims = Load(), collections.Counter(), 0, ()

    def run(self, enough, say):
        """Rounds until `enough()`."""
        try:
            if self.power:
                self.power.on()
            self.system.start(RECOVERY_SECONDS)
            boto(self.system).create_bucket(Bucket=BUCKET)
            while not enough():
                within(ROUND_SECONDS)(self.round)()
                say(self.line())
            self.load.verify(self.system, settled=True)
            assert self.system.stop() == 0, "it did not stop as asked"
            self.system.start(RECOVERY_SECONDS)
            self.load.verify(self.system, settled=True)
            assert self.system.stop() == 0, "it did not stop as asked"
            self.no_panic()
        finally:
            self.end()

    def round(self):
        self.rounds += 1
        self.victims = ("power",) if self.power else self.draw.choices(*zip(*VICTIMS))[0]
        self.load.start(self.system, f"{self.seed}/{self.rounds}")
        time.sleep(self.draw.uniform(0.2, 8.0 if self.power else 3.0))
        members = family(self.system)
        if self.power:
            self.cut_power(members)
        elif self.victims == ("backend",):
            return self.kill_backend()
        else:
            self.kill(self.system.ready["pids"][role] for role in self.draw.sample(self.victims, len(self.victims)))
        self.down(members)
        self.begin_again()
        none_left(members)
        self.load.verify(self.system, settled=True, kept=0.1, draw=self.draw)

    def kill(self, pids):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.kills["/".join(self.victims) if self.victims != ROLES else "all"] += 1

    def kill_backend(self):
        """PostgreSQL ends all sessions and recovers by itself; so must everything else, without a restart."""
        postmaster = self.system.ready["pids"]["postgres"]
        backends = [int(p.name) for p in pathlib.Path("/proc").iterdir()
                    if p.name.isdigit() and (found := identity(p.name)) and found[1] == postmaster]
        self.kill([self.draw.choice(backends)])
        time.sleep(self.draw.uniform(0.1, 1.5))
        self.load.stop()
        s3, until = once(self.system), time.monotonic() + RECOVERY_SECONDS
        while True:
            try:
                asked(s3.put_object, Key="kept/recovered", Body=b"")
                asked(s3.delete_object, Key="kept/recovered")
                break
            except Unanswered:
                assert time.monotonic() < until, "no write is taken after a backend of PostgreSQL was killed"
                assert self.system.process.poll() is None, "dev ended because a backend of PostgreSQL was killed"
                time.sleep(0.1)
        self.load.verify(self.system, settled=False, kept=0.1, draw=self.draw)

    def cut_power(self, members):
        """Everything stops, and whatever was not made durable may be gone."""
        self.said = f"; {self.power.cut()}"
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.kills["power"] += 1

    def down(self, members):
        """The load ends, `dev` has ended, and with the power all of it."""
        try:
            code = self.system.process.wait(60)
        finally:
            self.load.stop()
        assert code != 0, f"dev ended with 0 although {self.victims} were killed"
        if self.power:
            self.power_again(members)
        if self.draw.random() < 0.1:
            self.gone(members)
            shutil.rmtree(self.system.data_dir / "node" / self.draw.choice(["index", "cache"]), ignore_errors=True)
            self.kills["rebuilt"] += 1

    def power_again(self, members):
        self.gone(members)
        self.power.off()
        self.power.on()

    def gone(self, members):
        """Waits until none of them lives: nothing of them must write to what is about to be changed under them."""
        until = time.monotonic() + 30
        while any((now := identity(pid)) and now[0] == started for pid, started in members.items()):
            assert time.monotonic() < until, "processes outlive dev"
            time.sleep(0.02)

    def begin_again(self):
        """A start; one in six ends on its way as the run before did."""
        while self.draw.random() < 1 / 6:
            members = {}

            def strike():
                if self.power:
                    members.update(descendants([self.system.process.pid]))
                    self.cut_power(members)
                else:
                    self.system.process.kill()

            timer = threading.Timer(self.draw.uniform(0, 4 if self.power else 2), strike)
            timer.start()
            with contextlib.suppress(RuntimeError):
                self.system.start(RECOVERY_SECONDS)
            timer.join()
            self.system.process.wait(60)
            if self.power:
                self.power_again(members)
            self.kills["start"] += 1
        self.system.start(RECOVERY_SECONDS)

    def no_panic(self):
        for log in (self.system.data_dir / "logs").iterdir():
            assert "panicked" not in log.read_text(errors="replace"), f"{log} holds a panic"

    def end(self):
        """Nothing of this run lives on, whatever happened."""
        self.load.stopping.set()
        process = self.system.process
        if process and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(Exception):
                process.wait(30)
            process.kill()
        if self.power:
            self.power.off()

    def line(self):
        load = self.load
        return (f"round {self.rounds}: {sum(self.kills.values())} kills {dict(self.kills)}; {load.answered()} operations answered, "
                f"{load.count('unanswered')} not; {load.objects_verified} objects, {load.bytes_verified >> 20} MiB compared; "
                f"ready after {self.system.seconds_to_ready:.1f} s{self.said}")


@within(300)
def every_answer_survives_kills(bin_dir, work):
    bounded(Soak(bin_dir, fresh(work, "kills"), 2), kills=12)


@within(300)
def every_answer_survives_power_cuts(bin_dir, work):
    if power_can_be_cut():
        bounded(Soak(bin_dir, fresh(work, "power"), 14, power_loss=True), kills=3)


@within(120)
def a_disk_that_lies_is_noticed(bin_dir, work):
    """The check of the check: with an fsync that does nothing it must fail. (Seed 5 loses all there is to lose.)"""
    if power_can_be_cut():
        try:
            bounded(Soak(bin_dir, fresh(work, "lies"), 5, lies=True), kills=1)
        except Exception as noticed:
            return print(f"      noticed: {str(noticed)[:100]}")
        raise AssertionError("a disk that loses what it called durable went unnoticed")


def power_can_be_cut():
    if pathlib.Path("/dev/fuse").exists() and os.geteuid() == 0:
        return True
    print("      not run: it needs root and /dev/fuse")
    return False


def bounded(soak, kills):
    soak.run(lambda: sum(soak.kills.values()) >= kills, lambda line: None)
    print(f"      {soak.line()}")
    assert soak.load.answered() > 20 * soak.rounds, "hardly anything was answered"


@within(90)
def stop_under_load_loses_nothing(bin_dir, work):
    load = Load()
    with own(bin_dir, work / "stop-load") as system:
        boto(system).create_bucket(Bucket=BUCKET)
        load.start(system, 9)
        time.sleep(2)
        members, began = family(system), time.monotonic()
        try:
            code = system.stop()
        finally:
            load.stop()
        assert code == 0 and time.monotonic() - began < 30, (code, time.monotonic() - began)
        none_left(members)
        load.verify(system.start(), settled=True)


ALL = [
    every_answer_survives_kills, every_answer_survives_power_cuts, a_disk_that_lies_is_noticed, stop_under_load_loses_nothing,
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin_dir")
    parser.add_argument("--kills", type=int, default=20, help="this many kills (power cuts)")
    parser.add_argument("--minutes", type=float, help="instead: for this long")
    parser.add_argument("--seed", default=None, help="of the load and of the kills; a new one each time unless said")
    parser.add_argument("--power-loss", action="store_true", help="cut the power instead of killing")
    parser.add_argument("--lies", action="store_true", help="power loss on a disk whose fsync does nothing: must fail")
    parser.add_argument("--keep", help="work in this directory and leave it")
    arguments = parser.parse_args()
    seed = arguments.seed or str(random.SystemRandom().randrange(1 << 32))
    work = pathlib.Path(arguments.keep or tempfile.mkdtemp(prefix="holdfast-soak-"))
    work.mkdir(parents=True, exist_ok=True)
    soak, until = Soak(arguments.bin_dir, work, seed, arguments.power_loss, arguments.lies), time.monotonic() + 60 * (arguments.minutes or 0)

    def enough():
        return time.monotonic() > until if arguments.minutes else sum(soak.kills.values()) >= arguments.kills

    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    print(f"seed {seed}, {work}", flush=True)
    try:
        soak.run(enough, lambda line: print(line, flush=True))
    except BaseException:
        print(f"FAILED in round {soak.rounds} ({soak.victims}) with --seed {seed}; data and logs are in {work}", flush=True)
        raise
    if not arguments.keep:
        shutil.rmtree(work)
    print(f"passed: {soak.line()}")


if __name__ == "__main__":
    main()
