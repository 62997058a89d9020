"""Figures: what reads cost from the cache and from the authority, and what interested sessions add to a write."""

import time

import scenarios
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
    for interested in (0, 1, 2, 4):
        bucket = f"writes-{interested}"
        writer = cluster.s3(cluster.nodes[0])
        writer.create_bucket(Bucket=bucket)
        writer.put_object(Bucket=bucket, Key="k", Body=b"x")
        # The last nodes first: the writer's own interest costs nothing, its answer is the invalidation.
        for node in cluster.nodes[::-1][:interested]:
            for _ in range(2):
                cluster.s3(node).head_object(Bucket=bucket, Key="k")
                time.sleep(0.2)
        say(f"PUT of 100 bytes, {interested} nodes interested",
            timed(lambda index: writer.put_object(Bucket=bucket, Key=f"k{index}", Body=b"x" * 100), WRITES))
