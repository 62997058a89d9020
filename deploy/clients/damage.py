"""Drives that rot, are wiped, are replaced or are gone: every object is read as it was while the parity holds."""

import contextlib
import os
import pathlib
import random
import shutil
import subprocess

import botocore.exceptions

from clients import MIB, boto
from robust import BUCKET, KIB, all_equal, objects, own, put_all, within


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
def beyond_the_parity_nothing_wrong_is_served(bin_dir, work):
    """With three of four drives rotten a GET may fail; what it answers with is still never other bytes."""
    with own(bin_dir, work / "beyond") as system:
        s3, bodies = boto(system, read_timeout=20), objects(11)
        put_all(s3, bodies)
        for drive in ("d0", "d1", "d2"):
            rot(system.data_dir / "drives" / drive / "segments", random.Random(drive))
        failed = 0
        for key, body in bodies.items():
            try:
                got = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
                assert got == body, f"{key} was answered with other bytes"
            except botocore.exceptions.ClientError as error:
                assert error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500, error
                failed += 1
            except botocore.exceptions.BotoCoreError:  # the body began and was cut off, as HTTP has it
                assert len(body) > 4 * KIB, f"{key} is one piece: its answer had to be an error, not half an object"
                failed += 1
        assert failed, "three rotten drives went unnoticed"
        s3.head_bucket(Bucket=BUCKET)
        assert system.stop() == 0


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


ALL = [
    two_rotten_drives_are_read_through, two_wiped_drives_are_read_through, beyond_the_parity_nothing_wrong_is_served,
    two_new_drives_take_the_place_of_lost_ones, lost_drives_are_served_around_when_asked,
]
