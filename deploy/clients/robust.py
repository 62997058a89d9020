"""What survives: restarts, kills at any moment, lost and rotten drives, lost caches; each on a system of its own."""

import concurrent.futures
import contextlib
import functools
import hashlib
import http.client
import os
import pathlib
import random
import shutil
import signal
import subprocess
import threading
import time
import urllib.parse

import botocore.exceptions

from clients import MIB, boto
from system import System

KIB = 1 << 10
ROLES = ("dev", "controlplane", "dataplane", "postgres")
BUCKET = "kept"


def within(seconds):
    """A hang is a failure, not a wait."""

    def wrap(body):
        @functools.wraps(body)
        def bounded(*arguments):
            def late(*_):
                raise TimeoutError(f"{body.__name__} took more than {seconds} s")

            before = signal.signal(signal.SIGALRM, late)
            signal.alarm(seconds)
            try:
                return body(*arguments)
            finally:
                signal.alarm(0)
                signal.signal(signal.SIGALRM, before)

        return bounded

    return wrap


@contextlib.contextmanager
def own(bin_dir, data_dir, **options):
    """A started system whose processes are gone at the end, whatever happened; its logs must hold no panic."""
    system = System(bin_dir, data_dir, **options)
    try:
        yield system.start()
    finally:
        if system.process and system.process.poll() is None:
            try:
                system.stop()
            except Exception:
                kill(system, ROLES)
    for log in (system.data_dir / "logs").iterdir():
        assert "panicked" not in log.read_text(errors="replace"), f"{log} holds a panic"


def identity(pid):
    """Start time and parent of a living process; None when it is gone or a zombie."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else (int(fields[19]), int(fields[1]))


def family(system):
    """Every process of a run with its start time: the four roles and what they started."""
    parents = {int(p.name): identity(p.name) for p in pathlib.Path("/proc").iterdir() if p.name.isdigit()}
    members = set(system.ready["pids"].values())
    while True:
        more = {pid for pid, found in parents.items() if found and found[1] in members} - members
        if not more:
            return {pid: parents[pid][0] for pid in members if parents.get(pid)}
        members |= more


def none_left(members):
    left = [pid for pid, started in members.items() if (now := identity(pid)) and now[0] == started]
    assert not left, f"processes of the former run still live: {left}"


def kill(system, roles):
    for role in roles:
        with contextlib.suppress(ProcessLookupError):
            os.kill(system.ready["pids"][role], signal.SIGKILL)


def gone(call, **arguments):
    """True when the answer is 404; other failures are failures."""
    try:
        call(**arguments)
    except botocore.exceptions.ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return True
        raise
    return False


def put_all(s3, bodies):
    with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket=BUCKET)
    for key, body in bodies.items():
        if len(body) < 5 * MIB:
            s3.put_object(Bucket=BUCKET, Key=key, Body=body)
            continue
        upload = s3.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
        complete(s3, key, upload, {number + 1: body[at : at + 5 * MIB] for number, at in enumerate(range(0, len(body), 5 * MIB))})


def upload_parts(s3, key, upload, parts):
    return [
        {"PartNumber": n, "ETag": s3.upload_part(Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=n, Body=part)["ETag"]}
        for n, part in parts.items()
    ]


def complete(s3, key, upload, parts, before=()):
    done = [*before, *upload_parts(s3, key, upload, parts)]
    s3.complete_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload, MultipartUpload={"Parts": done})


def all_equal(s3, bodies):
    for key, body in bodies.items():
        got = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        assert got == body, f"{key}: {len(got)} bytes read, {len(body)} written, equal: {got == body}"


def listed(s3):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return {o["Key"]: (o["Size"], o["ETag"]) for page in pages for o in page.get("Contents", [])}


def objects(seed, large=2 * 5 * MIB + 77):
    """Copies, coded pieces of one short row, several rows, a multipart upload, and nothing at all."""
    draw = random.Random(seed)
    sizes = {"empty": 0, "one": 1, "large": 3 * MIB + 5, "parts": large}
    sizes |= {f"small/{n}": 4 * KIB for n in range(20)} | {f"middle/{n}": 100 * KIB for n in range(8)}
    return {key: draw.randbytes(size) for key, size in sizes.items()}


@within(90)
def restart_keeps_everything(bin_dir, work):
    with own(bin_dir, work / "restart") as system:
        s3, bodies = boto(system), objects(1)
        put_all(s3, bodies)
        before = listed(s3)
        upload = s3.create_multipart_upload(Bucket=BUCKET, Key="under-way")["UploadId"]
        halves = [os.urandom(5 * MIB), os.urandom(300_000)]
        begun = upload_parts(s3, "under-way", upload, {1: halves[0]})
        members = family(system)
        assert system.stop() == 0
        assert not (system.data_dir / "ready.json").exists(), "ready.json outlived the run"
        none_left(members)
        s3 = boto(system.start())
        all_equal(s3, bodies)
        assert listed(s3) == before
        assert [u["UploadId"] for u in s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"]] == [upload]
        complete(s3, "under-way", upload, {2: halves[1]}, begun)
        all_equal(s3, {"under-way": b"".join(halves)})
        assert system.stop() == 0


class Load:
    """Workers that PUT and delete keys of their own, and remember what each key may hold after a crash."""

    WORKERS, KEYS = 8, 20

    def __init__(self):
        self.may_hold = {}  # key -> set of digests; None: absent
        self.acknowledged = 0
        self.stopping = threading.Event()

    def start(self, system, seed):
        self.stopping.clear()
        self.pool = concurrent.futures.ThreadPoolExecutor(self.WORKERS)
        s3 = boto(system, connect_timeout=3, read_timeout=20, max_pool_connections=self.WORKERS)
        self.runs = [self.pool.submit(self._work, s3, w, random.Random(f"{seed}/{w}")) for w in range(self.WORKERS)]

    def _work(self, s3, worker, draw):
        settled = [f"w{worker}/{n:02}" for n in range(self.KEYS)]
        while not self.stopping.is_set() and settled:
            key = draw.choice(settled)
            may = self.may_hold.setdefault(key, {None})
            try:
                if draw.random() < 0.2:
                    may.add(None)
                    s3.delete_object(Bucket=BUCKET, Key=key)
                    self.may_hold[key] = {None}
                else:
                    body = draw.randbytes(draw.choice([4 * KIB] * 5 + [20 * KIB, 100 * KIB, MIB]))
                    digest = hashlib.sha256(body).digest()
                    may.add(digest)
                    s3.put_object(Bucket=BUCKET, Key=key, Body=body)
                    self.may_hold[key] = {digest}
                self.acknowledged += 1
            except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError):
                settled.remove(key)  # its outcome is unknown: nothing more may happen to it in this run

    def stop(self):
        self.stopping.set()
        self.pool.shutdown()
        for run in self.runs:
            run.result()

    def verify(self, s3):
        """Every key holds what was acknowledged last, or what was in flight; from then on exactly that."""

        def check(key):
            try:
                body = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
                held = hashlib.sha256(body).digest()
            except s3.exceptions.NoSuchKey:
                held = None
            return key, held

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            found = dict(pool.map(check, self.may_hold))
        for key, held in found.items():
            wanted = self.may_hold[key]
            assert held in wanted, f"{key}: {'absent' if held is None else 'other bytes'}; could be absent: {None in wanted}"
            self.may_hold[key] = {held}
        assert set(listed(s3)) == {key for key, held in found.items() if held}, "the listing differs"


@within(150)
def every_acknowledged_write_survives_kills(bin_dir, work):
    draw, load = random.Random(2), Load()
    rounds = [*[(role,) for role in ROLES], ROLES, ("dataplane", "controlplane"), ROLES[::-1]]
    with own(bin_dir, work / "kills") as system:
        boto(system).create_bucket(Bucket=BUCKET)
        for number, victims in enumerate(rounds):
            load.start(system, number)
            time.sleep(draw.uniform(0.3, 2.0))
            members = family(system)
            kill(system, victims)
            try:
                code = system.process.wait(60)
            finally:
                load.stop()
            assert code != 0, f"dev ended with 0 although {victims} were killed"
            system.start()
            none_left(members)
            load.verify(boto(system))
        assert load.acknowledged > 100, f"only {load.acknowledged} operations were acknowledged"
        assert system.stop() == 0


@within(120)
def kills_during_start(bin_dir, work):
    """`dev` killed at any moment of its start, the very first one too: the next start goes on."""
    draw = random.Random(3)
    system = System(bin_dir, work / "kills-start")
    for moment in [0.05, 0.3, 0.7, 1.1, 1.5, *[draw.uniform(0, 2) for _ in range(3)]]:
        timer = threading.Timer(moment, lambda: system.process.kill())
        timer.start()
        with contextlib.suppress(RuntimeError):
            system.start()
        timer.join()
        system.process.wait(10)
    with own(bin_dir, work / "kills-start") as system:
        put_all(boto(system), {"a": b"1"})
        all_equal(boto(system), {"a": b"1"})


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
        load.verify(boto(system.start()))


def rot(segments, draw):
    """Other bytes in every 4 KiB of every segment."""
    for segment in segments.iterdir():
        with open(segment, "r+b") as file:
            for at in range(0, segment.stat().st_blocks * 512, 4 * KIB):
                file.seek(at + draw.randrange(4 * KIB - 8))
                file.write(draw.randbytes(8))


def wipe(segments, _draw):
    """Emptied and removed, as by a hand that erred."""
    for segment in segments.iterdir():
        os.truncate(segment, 0)
        segment.unlink()


def two_drives_hurt(bin_dir, data_dir, hurt, drives):
    """Reads go on; a PUT works or says 503; all of it holds after a restart, too."""
    with own(bin_dir, data_dir) as system:
        s3, bodies = boto(system, read_timeout=20), objects(4)
        put_all(s3, bodies)
        for drive in drives:
            hurt(system.data_dir / "drives" / drive / "segments", random.Random(drive))
        all_equal(s3, bodies)
        part = s3.get_object(Bucket=BUCKET, Key="parts", Range="bytes=5000000-5500000")["Body"].read()
        assert part == bodies["parts"][5_000_000:5_500_001]
        for size in (4 * KIB, 100 * KIB, 2 * MIB):
            body = os.urandom(size)
            try:
                s3.put_object(Bucket=BUCKET, Key=f"after/{size}", Body=body)
                bodies[f"after/{size}"] = body
            except botocore.exceptions.ClientError as error:
                assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 503, error
        all_equal(s3, bodies)
        assert system.stop() == 0
        all_equal(boto(system.start()), bodies)


@within(90)
def two_rotten_drives_are_read_through(bin_dir, work):
    two_drives_hurt(bin_dir, work / "rotten", rot, ("d0", "d1"))


@within(90)
def two_wiped_drives_are_read_through(bin_dir, work):
    two_drives_hurt(bin_dir, work / "wiped", wipe, ("d1", "d3"))


@within(90)
def two_new_drives_take_the_place_of_lost_ones(bin_dir, work):
    """An empty directory may be a mount that went away: it is refused until it is formatted, as the sentence says."""
    with own(bin_dir, work / "new-drives") as system:
        bodies = objects(5)
        put_all(boto(system), bodies)
        assert system.stop() == 0
        new = [system.data_dir / "drives" / name for name in ("d0", "d2")]
        for drive in new:
            shutil.rmtree(drive)
            drive.mkdir(mode=0o700)
        command = [pathlib.Path(bin_dir) / "holdfast-dataplane", "--config", system.data_dir / "run" / "dataplane.toml"]
        with contextlib.suppress(RuntimeError):
            system.start()
            raise AssertionError("it started on drives that are not formatted")
        assert f"--format-drive {new[0]}" in pathlib.Path(system.log.name).read_text(), "how to format is not said"
        for drive in new:
            subprocess.run([*command, "--format-drive", drive], check=True, capture_output=True)
        s3 = boto(system.start())
        all_equal(s3, bodies)
        more = {f"more/{n}": os.urandom(100 * KIB) for n in range(4)}
        put_all(s3, more)
        all_equal(s3, more)


@within(90)
def lost_drives_are_served_around_when_asked(bin_dir, work):
    """`--degraded`: two of four drives are gone, and everything is read."""
    with own(bin_dir, work / "degraded") as system:
        bodies = objects(10)
        put_all(boto(system), bodies)
        assert system.stop() == 0
        for name in ("d1", "d2"):
            (system.data_dir / "drives" / name).rename(work / f"degraded-{name}")
        system.options.append("--degraded")
        s3 = boto(system.start(), read_timeout=20)
        all_equal(s3, bodies)
        late = os.urandom(100 * KIB)
        try:
            s3.put_object(Bucket=BUCKET, Key="late", Body=late)
            bodies["late"] = late
        except botocore.exceptions.ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 503, error
        assert system.stop() == 0
        for name in ("d1", "d2"):
            (work / f"degraded-{name}").rename(system.data_dir / "drives" / name)
        system.options.remove("--degraded")
        all_equal(boto(system.start()), bodies)


@within(90)
def cache_and_index_can_be_deleted(bin_dir, work):
    with own(bin_dir, work / "rocks") as system:
        bodies = objects(6)
        put_all(boto(system), bodies)
        for name in ("cache", "index", "cache"):
            before = listed(boto(system))
            assert system.stop() == 0
            shutil.rmtree(system.data_dir / "node" / name)
            s3 = boto(system.start())
            all_equal(s3, bodies)
            assert listed(s3) == before
            put_all(s3, {f"after-{name}": name.encode()})
            bodies[f"after-{name}"] = name.encode()


BLOCK = os.urandom(MIB - 8)


def block(number):
    return number.to_bytes(8, "big") + BLOCK


def high_water(system):
    """The data plane's largest resident memory so far, in MiB."""
    status = pathlib.Path(f"/proc/{system.ready['pids']['dataplane']}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / KIB


def put_streamed(system, key, mebibytes):
    """One PUT of that size from a generator: nobody holds the whole."""
    url = boto(system, signature_version="s3v4").generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": key})
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    connection.request(
        "PUT", f"{parts.path}?{parts.query}", body=(block(n) for n in range(mebibytes)),
        headers={"Content-Length": str(mebibytes * MIB)},
    )
    answer = connection.getresponse()
    assert answer.status == 200, (answer.status, answer.read())


def put_in_parts(system, key, mebibytes, part=64):
    s3 = boto(system)
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]

    def one(first):
        body = b"".join(block(n) for n in range(first, min(first + part, mebibytes)))
        return upload_parts(s3, key, upload, {first // part + 1: body})[0]

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        done = list(pool.map(one, range(0, mebibytes, part)))
    complete(s3, key, upload, {}, done)


def read_streamed(system, key, mebibytes):
    body = boto(system).get_object(Bucket=BUCKET, Key=key)["Body"]
    for number in range(mebibytes):
        got = body.read(MIB)
        assert got == block(number), f"{key}: other bytes in MiB {number}"
    assert not body.read(1)


@within(900 if os.environ.get("HOLDFAST_TEST_LARGE") else 180)
def memory_does_not_grow_with_the_object(bin_dir, work):
    """2 GiB (10 GiB with HOLDFAST_TEST_LARGE=1), in one PUT and in parts."""
    large = 10 * KIB if os.environ.get("HOLDFAST_TEST_LARGE") else 2 * KIB
    with own(bin_dir, work / "large") as system:
        s3 = boto(system)
        s3.create_bucket(Bucket=BUCKET)
        peaks = {}
        for mebibytes in (256, large):
            for put in (put_streamed, put_in_parts):
                began = time.monotonic()
                put(system, put.__name__, mebibytes)
                stored = time.monotonic()
                read_streamed(system, put.__name__, mebibytes)
                rates = mebibytes / (stored - began), mebibytes / (time.monotonic() - stored)
                s3.delete_object(Bucket=BUCKET, Key=put.__name__)
                peaks[mebibytes] = high_water(system)
                print(f"      {put.__name__} {mebibytes} MiB: in {rates[0]:.0f} MiB/s, out {rates[1]:.0f} MiB/s, "
                      f"data plane at most {peaks[mebibytes]:.0f} MiB", flush=True)
        assert peaks[large] < 300 and peaks[large] < 1.3 * peaks[256], peaks


ALL = [
    restart_keeps_everything, every_acknowledged_write_survives_kills, kills_during_start, stop_under_load_loses_nothing,
    two_rotten_drives_are_read_through, two_wiped_drives_are_read_through, two_new_drives_take_the_place_of_lost_ones,
    lost_drives_are_served_around_when_asked, cache_and_index_can_be_deleted, memory_does_not_grow_with_the_object,
]
