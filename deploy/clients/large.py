"""Objects larger than memory: both ways in, the way out, and what the data plane holds of them meanwhile."""

import concurrent.futures
import http.client
import os
import pathlib
import time
import urllib.parse

from clients import MIB, boto
from robust import BUCKET, KIB, complete, own, upload_parts, within

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
    """2 GiB in one PUT and in parts; with HOLDFAST_TEST_LARGE=1 the most that one PUT may bring, and 10 GiB in parts."""
    one_put, in_parts = (5 * KIB, 10 * KIB) if os.environ.get("HOLDFAST_TEST_LARGE") else (2 * KIB, 2 * KIB)
    with own(bin_dir, work / "large") as system:
        s3 = boto(system)
        s3.create_bucket(Bucket=BUCKET)
        peaks = {}
        for sizes in ((256, 256), (one_put, in_parts)):
            for put, mebibytes in zip((put_streamed, put_in_parts), sizes):
                began = time.monotonic()
                put(system, put.__name__, mebibytes)
                stored = time.monotonic()
                read_streamed(system, put.__name__, mebibytes)
                rates = mebibytes / (stored - began), mebibytes / (time.monotonic() - stored)
                s3.delete_object(Bucket=BUCKET, Key=put.__name__)
                peaks[sizes] = high_water(system)
                print(f"      {put.__name__} {mebibytes} MiB: in {rates[0]:.0f} MiB/s, out {rates[1]:.0f} MiB/s, "
                      f"data plane at most {peaks[sizes]:.0f} MiB", flush=True)
        small, large = peaks.values()
        # Eight times the object and more: a body that stayed in memory would show as a gigabyte, a noisy allocator does not.
        grown = (max(one_put, in_parts) - 256) / 40
        assert large < 300 and large - small < grown, peaks


ALL = [memory_does_not_grow_with_the_object]
