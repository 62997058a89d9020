"""Figures: what reads cost from the cache and from the authority, and what interested sessions add to a write."""

import time

import botocore.exceptions

from planes import Cluster
from revocation import percentile

READS, WRITES = 600, 300


def run_all(arguments, run):
    with Cluster(arguments.bin_dir, arguments.work / "figures", nodes=4) as cluster:
        run("figures: reads with and without a record in the cache", lambda: reads(cluster))
        run("figures: writes with 0, 1, 2 and 4 interested sessions", lambda: writes(cluster))


def timed(call, count):
    """Milliseconds of each call."""
    took = []
    for index in range(count):
        began = time.monotonic()
        call(index)
        took.append((time.monotonic() - began) * 1000)
    return took


def say(what, took):
    print(f"      {what}: p50 {percentile(took, .5):.2f} ms, p99 {percentile(took, .99):.2f} ms", flush=True)


def reads(cluster):
    writer, reader = (cluster.s3(node) for node in cluster.nodes[:2])
    writer.create_bucket(Bucket="reads")
    for index in range(READS):
        writer.put_object(Bucket="reads", Key=f"k{index}", Body=b"x" * 100)
    node = cluster.nodes[1]
    reader.head_object(Bucket="reads", Key="k0")  # asks for interest
    time.sleep(1)
    for what in ("never read here before", "read here before"):
        before = node.metrics()
        say(f"HEAD of keys {what}", timed(lambda index: reader.head_object(Bucket="reads", Key=f"k{index}"), READS))
        after = node.metrics()
        for name in sorted(after):
            if "hit" in name or "lookup" in name:
                change = after[name] - before.get(name, 0)
                print(f"        {name} +{change:.0f} of {READS}", flush=True)


def writes(cluster):
    """In turn, one bucket after the other, so that whatever else the machine does falls on all alike."""
    writer = cluster.s3(cluster.nodes[0])
    took = {0: [], 1: [], 2: [], 4: []}
    for interested in took:
        bucket = f"writes-{interested}"
        writer.create_bucket(Bucket=bucket)
        # The last nodes first: the writer's own interest costs nothing, its answer is the invalidation.
        for node in cluster.nodes[::-1][:interested]:
            for _ in range(2):
                exists(cluster.s3(node), bucket)
                time.sleep(0.2)
    for index in range(WRITES):
        for interested, times in took.items():
            times += timed(lambda _: writer.put_object(Bucket=f"writes-{interested}", Key=f"k{index}", Body=b"x" * 100), 1)
    for interested, times in took.items():
        say(f"PUT of 100 bytes, {interested} nodes interested", times)


def exists(s3, bucket):
    """Looks for an object, which is how a node comes to be interested in its bucket."""
    try:
        s3.head_object(Bucket=bucket, Key="k")
    except botocore.exceptions.ClientError:
        pass
