"""What survives restarts, kills at any moment and lost caches; each check has a system of its own."""

import contextlib
import functools
import os
import pathlib
import random
import shutil
import signal
import threading

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
    return descendants(system.ready["pids"].values())


def descendants(pids):
    """These processes and what they started, each with its start time."""
    parents = {int(p.name): identity(p.name) for p in pathlib.Path("/proc").iterdir() if p.name.isdigit()}
    members = set(pids)
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


def put_all(s3, bodies):
    with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket=BUCKET)
    for key, body in bodies.items():
        if len(body) < 5 * MIB:
            s3.put_object(Bucket=BUCKET, Key=key, Body=body)
            continue
        upload = s3.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
        pieces = [body[at : at + 5 * MIB] for at in range(0, len(body), 5 * MIB)]
        complete(s3, key, upload, dict(enumerate(pieces, 1)))


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


@within(60)
def a_moved_directory_works(bin_dir, work):
    with own(bin_dir, work / "before") as system:
        bodies = objects(12)
        put_all(boto(system), bodies)
        assert system.stop() == 0
        system.data_dir = system.data_dir.rename(work / "moved")
        s3 = boto(system.start())
        all_equal(s3, bodies)
        put_all(s3, {"more": bodies["large"]})
        assert system.stop() == 0


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


ALL = [
    restart_keeps_everything, kills_during_start, a_moved_directory_works, cache_and_index_can_be_deleted,
]
