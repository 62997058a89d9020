"""Nodes that cannot ask: what buckets with `stale_reads` are answered with, for how long, and what that never extends.

Access leases outlive a term here, and record leases are short: a takeover lies within the one and far beyond the other.
"""

import threading
import time

import botocore.exceptions

from net import until
from planes import Cluster
from revocation import new_key, status_of

LEASE_MS, ACCESS_MS = 2000, 17_000
BODY = b"as it was"


def run_all(arguments, run):
    with Cluster(arguments.bin_dir, arguments.work / "stale", nodes=2, lease_ms=LEASE_MS, access_lease_ms=ACCESS_MS) as cluster:
        for name in ("stale", "current"):
            cluster.s3(cluster.nodes[0], attempts=5).create_bucket(Bucket=name)
        status, answer = cluster.leader().ask("POST", "/v1/buckets/stale/stale-reads", {"seconds": 3600})
        assert (status, answer["stale_reads_seconds"]) == (200, 3600), answer
        run("stale: while leadership changes hands reads go on", lambda: takeover(cluster))
        run("stale: while the database is away reads go on, though every control plane answers that it does not lead",
            lambda: no_database(cluster))
        run("stale: a node that is cut off believes no key for longer than its access lease", lambda: cut_off(cluster))
        run("stale: without a control plane reads go on for an access lease, and say how old they are", lambda: alone(cluster))


def written(cluster, key):
    """An object of each bucket that the first node has cached."""
    s3 = cluster.s3(cluster.nodes[0], attempts=5)
    for bucket in ("stale", "current"):
        s3.put_object(Bucket=bucket, Key=key, Body=BODY)

    def from_cache():
        before = cached(cluster)
        for bucket in ("stale", "current"):
            s3.get_object(Bucket=bucket, Key=key)
        return cached(cluster) >= before + 2

    until("both are read from the cache", from_cache)
    return cluster.s3(cluster.nodes[0], attempts=1)


def cached(cluster):
    found = cluster.nodes[0].metrics()
    return sum(found[f'holdfast_record_lookups_total{{from="{where}"}}'] for where in ("hot", "cache"))


def read(s3, key, **asked):
    """(status, body, age in seconds or None), of an answer from the bucket that may be read stale."""
    try:
        answer = s3.get_object(Bucket="stale", Key=key, **asked)
        body, meta = answer["Body"].read(), answer["ResponseMetadata"]
    except botocore.exceptions.ClientError as error:
        body, meta = None, error.response["ResponseMetadata"]
    headers = meta["HTTPHeaders"]
    age = headers.get("x-holdfast-stale")
    assert headers.get("age") == age, headers
    assert body in (None, BODY), body
    return meta["HTTPStatusCode"], body, age and int(age)


def takeover(cluster):
    s3 = written(cluster, "takeover")
    leader, (follower,) = cluster.leader(), cluster.followers()
    leader.kill()
    ages, began = [], time.monotonic()
    while not (follower.leads() and cluster.nodes[0].ready() and read(s3, "takeover")[2] is None):
        status, _, age = read(s3, "takeover")
        assert status == 200, f"{status} after {time.monotonic() - began:.1f} s"
        ages += [age] if age else []
        time.sleep(0.2)
    assert ages, "the record lease outlived the leader by a whole takeover"
    cluster.s3(cluster.nodes[0], attempts=5).put_object(Bucket="stale", Key="takeover", Body=BODY)
    leader.start()
    print(f"      {len(ages)} answers up to {max(ages)} s old, all 200, in {time.monotonic() - began:.1f} s", flush=True)


def no_database(cluster):
    s3 = written(cluster, "database")
    cluster.postgres.kill()
    ages = []
    try:
        while len(ages) < 20:
            status, _, age = read(s3, "database")
            assert status == 200, f"{status} after {len(ages)} stale answers"
            ages += [age] if age else []
            time.sleep(0.2)
    finally:
        cluster.postgres.start()
    until("the node is back", cluster.nodes[0].ready)
    until("it is current again", lambda: read(s3, "database")[::2] == (200, None))
    print(f"      {len(ages)} answers up to {max(ages)} s old, all 200", flush=True)


def cut_off(cluster):
    """The call that revokes its key returns no earlier than it refuses the key."""
    node, leader = cluster.nodes[0], cluster.leader()
    written(cluster, "cut")
    key = new_key(leader)
    s3 = cluster.s3(node, key=key)
    assert read(s3, "cut")[0] == 200
    for control in cluster.controls:
        cluster.net.cut(node.host, control.host)
    answers = []
    revoking = threading.Thread(target=lambda: answers.append(leader.ask("DELETE", f"/v1/keys/{key[0]}", timeout=60)))
    revoking.start()
    until("it is answered with its age", lambda: read(s3, "cut")[2])
    assert not answers, "the revocation returned while the node believes the key"
    while revoking.is_alive():
        assert read(s3, "cut")[0] in (200, 403, 503)
        time.sleep(0.2)
    revoking.join()
    refused = read(s3, "cut")[0]
    assert refused in (403, 503), f"a revoked key is believed: {refused}"
    status, answer = answers[0]
    assert (status, answer["expired"]) == (200, 1), answer
    for control in cluster.controls:
        cluster.net.heal(node.host, control.host)
    until("the node is back", node.ready)
    assert read(s3, "cut")[0] == 403
    print(f"      revoked after {answer['waited_ms'] / 1000:.1f} s, then {refused}", flush=True)


def alone(cluster):
    s3 = written(cluster, "alone")
    etag = s3.head_object(Bucket="stale", Key="alone")["ETag"]
    for control in cluster.controls:
        control.kill()
    killed, ages, last, others = time.monotonic(), [], 0.0, None
    while True:
        began = time.monotonic()
        status, _, age = read(s3, "alone")
        if status != 200:
            break
        last = began - killed
        ages += [age] if age else []
        if ages and not others:
            head = s3.head_object(Bucket="stale", Key="alone")["ResponseMetadata"]["HTTPHeaders"]
            assert int(head["x-holdfast-stale"]) >= ages[0], head
            unmodified = read(s3, "alone", IfNoneMatch=etag)
            assert unmodified[0] == 304 and unmodified[2], unmodified
            others = Others(cluster)
        time.sleep(0.2)
    assert status == 503 and others, f"{status} after {last:.1f} s"
    assert ages == sorted(ages), f"it became younger: {ages}"
    assert last <= ACCESS_MS / 1000, f"keys were believed for {last:.1f} s"
    statuses = others.statuses()
    assert set(statuses.values()) == {503}, statuses
    assert cluster.nodes[0].metrics()["holdfast_stale_reads_total"] >= len(ages) + 2
    for control in cluster.controls:
        control.start()
    until("the node is back", cluster.nodes[0].ready)
    assert read(s3, "alone")[::2] == (200, None)
    print(f"      {len(ages)} answers up to {max(ages)} s old, the last after {last:.1f} s", flush=True)


class Others:
    """What is not answered from what a node remembers, asked at once: they wait long before they give up."""

    def __init__(self, cluster):
        def put(s3):
            return s3.put_object(Bucket="stale", Key="new", Body=BODY)

        asked = {
            "PUT": put,
            "listing": lambda s3: s3.list_objects_v2(Bucket="stale"),
            "another bucket": lambda s3: s3.get_object(Bucket="current", Key="alone"),
            "a key that was never read": lambda s3: s3.get_object(Bucket="stale", Key="unknown"),
            "a version": lambda s3: s3.list_object_versions(Bucket="stale"),
        }
        self.seen = {}

        def one(name, ask):
            self.seen[name] = status_of(lambda: ask(cluster.s3(cluster.nodes[0], attempts=1)))

        self.threads = [threading.Thread(target=one, args=each) for each in asked.items()]
        for thread in self.threads:
            thread.start()

    def statuses(self):
        for thread in self.threads:
            thread.join()
        return self.seen
