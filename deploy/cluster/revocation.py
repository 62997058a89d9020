"""Keys and configuration: what a call has changed holds at every node when it returns, or the node's lease has run out."""

import threading
import time

import botocore.exceptions

import scenarios
from net import until
from planes import Cluster

ROUNDS = 40


def status_of(call):
    try:
        return call()["ResponseMetadata"]["HTTPStatusCode"]
    except botocore.exceptions.ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"]
    except botocore.exceptions.BotoCoreError:
        return 0


def everywhere(calls):
    """All at once; their statuses in order."""
    statuses = [None] * len(calls)

    def one(index):
        statuses[index] = status_of(calls[index])

    threads = [threading.Thread(target=one, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


def new_key(control):
    status, key = control.ask("POST", "/v1/keys", {"name": "passing"})
    assert status == 201, key
    return key["access_key_id"], key["secret_access_key"]


def heads(cluster, key):
    clients = [cluster.s3(node, key=key) for node in cluster.nodes]
    return [lambda s3=s3: s3.head_bucket(Bucket=scenarios.BUCKET) for s3 in clients]


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def run_all(arguments, run):
    with Cluster(arguments.bin_dir, arguments.work / "revocation", nodes=max(arguments.nodes, 4)) as cluster:
        scenarios.make_bucket(cluster)
        run("revocation: a key works everywhere when it is made, and nowhere when it is revoked", lambda: causal(cluster))
        run("revocation: a bucket and its configuration are everywhere when the call returns", lambda: buckets(cluster))
        for name in ("pause", "cut"):
            run(f"revocation: a node that does not hear of it ({name})", lambda name=name: deaf(cluster, name))


def causal(cluster):
    took = []
    leader = cluster.leader()
    for _ in range(ROUNDS):
        key = new_key(leader)
        calls = heads(cluster, key)
        assert everywhere(calls) == [200] * len(calls), "a key that was made is not known"
        began = time.monotonic()
        status, answer = leader.ask("DELETE", f"/v1/keys/{key[0]}")
        took.append((time.monotonic() - began) * 1000)
        assert status == 200 and answer["acknowledged"] == len(calls), answer
        assert everywhere(calls) == [403] * len(calls), "a revoked key is believed"
    print(f"      revoked at the last of {len(cluster.nodes)} nodes after p50 {percentile(took, .5):.1f} ms, "
          f"p99 {percentile(took, .99):.1f} ms, of {ROUNDS}", flush=True)


def buckets(cluster):
    first, *rest = [cluster.s3(node, attempts=1) for node in cluster.nodes]
    for index in range(10):
        name = f"passing-{index}"
        first.create_bucket(Bucket=name)
        assert everywhere([lambda s3=s3: s3.head_bucket(Bucket=name) for s3 in rest]) == [200] * len(rest)
        rest[0].put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        for s3 in (first, *rest):
            assert s3.get_bucket_versioning(Bucket=name).get("Status") == "Enabled", "an older configuration is believed"
        rest[-1].delete_bucket(Bucket=name)
        assert everywhere([lambda s3=s3: s3.head_bucket(Bucket=name) for s3 in (first, *rest)]) == [404] * (len(rest) + 1)


def deaf(cluster, how):
    """It is waited for until its lease has run out, and then it answers nothing on the key's strength."""
    leader, node = cluster.leader(), cluster.nodes[-1]
    key = new_key(leader)
    mine = heads(cluster, key)[-1]
    assert status_of(mine) == 200
    if how == "pause":
        node.pause()
    else:
        for control in cluster.controls:
            cluster.net.cut(node.host, control.host)
    try:
        began = time.monotonic()
        status, answer = leader.ask("DELETE", f"/v1/keys/{key[0]}")
        took = time.monotonic() - began
        assert status == 200, answer
    finally:
        node.go_on()
    statuses = [status_of(mine) for _ in range(3)]
    assert 200 not in statuses, f"a revoked key is believed by a node that was away: {statuses}"
    if how == "cut":
        stranger = status_of(heads(cluster, new_key(leader))[-1])
        assert stranger == 503, f"a node that hears nothing says {stranger} to a key that it cannot know"
    for control in cluster.controls:
        cluster.net.heal(node.host, control.host)
    until("the node is back", node.ready, 60)
    assert status_of(mine) == 403
    print(f"      {how}: revoked after {took:.1f} s, {answer['expired']} lease ran out; the node answered {statuses}",
          flush=True)
    assert took < cluster.lease_ms / 1000 + 2, "longer than a lease"
