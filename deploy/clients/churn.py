#!/usr/bin/env python3
"""A drive set kept nearly full while objects are overwritten and deleted: what it costs, in space, writes and latency.

    deploy/clients/churn.py BIN_DIR [--gib N] [--fill F] [--minutes M] [--seed S]

The data directory lies on an ext4 of its own of N GiB (a loop device; needs root), so that space runs out as on a real
drive. It is filled until the living objects with their coding take F of it; then writers overwrite (four of five) and delete
and put anew (one of five) while a probe of 20 operations a second on small objects of its own is timed. Printed every ten
seconds:

    space  bytes allocated on the drives / (bytes of living objects x coding factor of their size)
    write  bytes the data plane wrote to the device (/proc/PID/io) / bytes that clients put
    probe  p50 and p99 in ms of PUT and of GET of 4 KiB

The first line is the idle store, without churn. Afterwards every object is compared.
"""

import argparse
import concurrent.futures
import contextlib
import hashlib
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from clients import MIB, boto  # noqa: E402
from soak_load import KIB, Unanswered, asked, once  # noqa: E402
from system import System  # noqa: E402

BUCKET = "soak"
SIZES = [4 * KIB] * 4 + [64 * KIB] * 4 + [256 * KIB] * 3 + [MIB] * 2
COPIES_BELOW = 16 * KIB
COPIES, CODED = 3, 2  # bytes stored per byte: three copies, or two pieces and two of parity
SECONDS = 10


def factor(size):
    return COPIES if size <= COPIES_BELOW else CODED


class Volume:
    """An ext4 of a fixed size on a loop device."""

    def __init__(self, work, gib):
        self.image, self.mount = work / "image", work / "data"
        self.mount.mkdir()
        with open(self.image, "wb") as image:
            os.truncate(image.fileno(), int(gib * (1 << 30)))
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", self.image], check=True)
        subprocess.run(["mount", "-o", "loop", self.image, self.mount], check=True)

    def end(self):
        subprocess.run(["umount", self.mount], check=True)


class Churn:
    """What is stored, by size and digest, and what has been put so far."""

    def __init__(self, system, seed):
        self.system, self.seed = system, seed
        self.lock, self.stopping = threading.Lock(), threading.Event()
        self.living, self.numbers, self.put_bytes, self.refused = {}, 0, 0, 0

    def put(self, s3, draw, key):
        body = draw.randbytes(draw.choice(SIZES))
        try:
            asked(s3.put_object, Key=key, Body=body)
        except Unanswered as error:
            with self.lock:  # it may be stored or not: nobody asks for it again
                self.refused += 1
                self.living.pop(key, None)
            if self.refused < 5:
                print(f"   {error}", flush=True)
            time.sleep(0.2)
            return
        with self.lock:
            self.put_bytes += len(body)
            self.living[key] = (len(body), hashlib.sha256(body).digest())

    def new_key(self, worker):
        with self.lock:
            self.numbers += 1
            return f"c/{worker}/{self.numbers:08}"

    def wanted(self):
        with self.lock:
            return sum(size * factor(size) for size, _ in self.living.values())

    def fill(self, worker, until):
        s3, draw = once(self.system), random.Random(f"{self.seed}/fill/{worker}")
        while self.wanted() < until and self.refused < 20:
            for _ in range(10):
                self.put(s3, draw, self.new_key(worker))

    def churn(self, worker):
        s3, draw = once(self.system), random.Random(f"{self.seed}/churn/{worker}")
        mine = [key for key in list(self.living) if key.startswith(f"c/{worker}/")]
        while not self.stopping.is_set():
            at = draw.randrange(len(mine))
            if draw.random() < 0.2:
                try:
                    asked(s3.delete_object, Key=mine[at])
                except Unanswered:
                    self.refused += 1
                with self.lock:
                    self.living.pop(mine[at], None)
                mine[at] = self.new_key(worker)
            self.put(s3, draw, mine[at])

    def probe(self, took):
        s3, draw, number = once(self.system), random.Random(f"{self.seed}/probe"), 0
        while not self.stopping.is_set():
            due = time.monotonic() + 0.1
            number += 1
            for name, call in (
                ("put", lambda: asked(s3.put_object, Key=f"p/{number % 200}", Body=draw.randbytes(4 * KIB))),
                ("get", lambda: asked(s3.get_object, Key=f"p/{max(1, number % 200)}")["Body"].read()),
            ):
                began = time.monotonic()
                try:
                    call()
                    took[name].append(1000 * (time.monotonic() - began))
                except Exception:  # counted: a probe that fails is no figure
                    took["failed"].append(0)
            time.sleep(max(0, due - time.monotonic()))

    def verify(self):
        s3 = boto(self.system, max_pool_connections=8)

        def same(item):
            key, (size, digest) = item
            body = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            assert (len(body), hashlib.sha256(body).digest()) == (size, digest), f"{key} is not what was put"

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(same, self.living.items()))


def allocated(drives):
    total = 0
    for file in drives.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # removed a moment ago
            total += file.stat().st_blocks * 512
    return total


def written(pid):
    lines = pathlib.Path(f"/proc/{pid}/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["write_bytes"])


def percentile(values, percent):
    values = sorted(values)
    return values[min(len(values) - 1, len(values) * percent // 100)] if values else float("nan")


def line(churn, took, since):
    drives = churn.system.data_dir / "drives"
    put, wrote = churn.put_bytes - since[0], written(churn.system.ready["pids"]["dataplane"]) - since[1]
    disk = shutil.disk_usage(drives)
    text = (f"{disk.used / disk.total:6.1%} full  space {allocated(drives) / max(1, churn.wanted()):5.2f}  "
            f"write {wrote / put if put else float('nan'):5.2f}  {put / 1e6:7.0f} MB put  {churn.refused} refused  probe")
    for name in ("put", "get"):
        values, took[name] = took[name], []
        text += f"  {name} p50 {percentile(values, 50):6.1f} p99 {percentile(values, 99):7.1f} ms"
    print(f"{text}  {len(took['failed'])} failed", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin_dir")
    parser.add_argument("--gib", type=float, default=4)
    parser.add_argument("--fill", type=float, default=0.5, help="share of it that living objects with their coding take")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--seed", default="1")
    arguments = parser.parse_args()
    work = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-churn-"))
    volume = Volume(work, arguments.gib)
    system = System(arguments.bin_dir, volume.mount)
    try:
        system.start()
        boto(system).create_bucket(Bucket=BUCKET)
        churn = Churn(system, arguments.seed)
        with concurrent.futures.ThreadPoolExecutor(arguments.writers + 1) as pool:
            until = arguments.fill * shutil.disk_usage(volume.mount).total
            list(pool.map(lambda worker: churn.fill(worker, until), range(arguments.writers)))
            took, since = {"put": [], "get": [], "failed": []}, (churn.put_bytes, written(system.ready["pids"]["dataplane"]))
            runs = [pool.submit(churn.probe, took)]
            time.sleep(SECONDS)
            line(churn, took, since)
            runs += [pool.submit(churn.churn, worker) for worker in range(arguments.writers)]
            ends = time.monotonic() + 60 * arguments.minutes
            while time.monotonic() < ends and not any(run.done() for run in runs):
                time.sleep(SECONDS)
                line(churn, took, since)
            churn.stopping.set()
            for run in runs:
                run.result()
        churn.verify()
        print(f"{len(churn.living)} objects compared, {churn.put_bytes / 1e6:.0f} MB put in all")
    finally:
        if system.process and system.process.poll() is None:
            system.stop()
        volume.end()
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
