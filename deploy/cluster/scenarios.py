"""Clusters, faults, load, and what has to hold afterwards."""

import random
import time

import faults
from load import Load, check, now_us
from net import until
from planes import Cluster

BUCKET = "cluster"


def verdict(arguments, cluster, load, name):
    """Reads everything once more, and judges the whole history."""
    until("everything is well again", lambda: faults.healthy(cluster), 60)
    load.read_all()
    history = load.history
    path = history.write(arguments.work / f"{name.replace(' ', '-')}.jsonl")
    print(f"      {history.count()} operations, answers {history.statuses()}", flush=True)
    assert not history.oddities, f"{len(history.oddities)} answers that no client may see: {history.oddities[:5]}"
    server = cluster.standby if cluster.standby and not cluster.postgres.running() else cluster.postgres
    strays = server.ask("SELECT count(*) FROM changelog WHERE seq > 0 AND seq >> 40 <> epoch")
    assert strays == "0", f"{strays} commits are numbered by another leader than the one that made them"
    checker = arguments.bin_dir / "holdfast-history"
    if not checker.exists():
        print(f"      {checker} is missing: the history is not checked", flush=True)
        return
    fine, words = check(checker, path)
    print(f"      {words.splitlines()[-1]}", flush=True)
    assert fine, words


def suffer(cluster, load, fault, *, before_s=2.0, after_s=3.0):
    """One fault under load. Returns the longest time without an acknowledged write: of all nodes, and of the worst one."""
    time.sleep(before_s)
    since = now_us()
    fault.begin()
    time.sleep(fault.lasts_s)
    fault.end()
    until(f"all is well after `{fault.name}`", lambda: faults.healthy(cluster), 60)
    time.sleep(after_s)
    end = now_us()
    worst = max(load.history.longest_silence_s(since, end, load.clients_of(node)) for node in cluster.nodes)
    return load.history.longest_silence_s(since, end), worst


def make_bucket(cluster, name=BUCKET):
    """A history begins with an empty bucket, so each has its own."""
    cluster.s3(cluster.nodes[0], attempts=5).create_bucket(Bucket=name)
    return name


def smoke(arguments, run):
    def body():
        with Cluster(arguments.bin_dir, arguments.work / "smoke", nodes=3) as cluster:
            make_bucket(cluster)
            with Load(cluster, BUCKET, per_node=2, seed=arguments.seed) as load:
                load.until(400, 8)
                before = load.history.count()
                old = cluster.leader()
                old.kill()
                new = cluster.leader(20)
                assert new is not old
                old.start()
                load.until(before + 400, 10)
            assert load.history.count() >= before + 100, "little was answered after the takeover"
            verdict(arguments, cluster, load, "smoke")

    run("smoke: thousands of operations, and the leader is killed", body)


def failover(arguments, run):
    with Cluster(arguments.bin_dir, arguments.work / "failover", nodes=arguments.nodes) as cluster:
        for name in faults.leader_faults(cluster, cluster.leader()):
            def body(name=name):
                bucket = make_bucket(cluster, f"failover-{name}".replace(" ", "-"))
                with Load(cluster, bucket, per_node=2, seed=arguments.seed) as load:
                    leader = cluster.leader()
                    silence, worst = suffer(cluster, load, faults.leader_faults(cluster, leader)[name])
                    changed = cluster.leader() is not leader
                print(f"      {name}: no acknowledged write for {silence:.1f} s, at the worst node {worst:.1f} s; "
                      f"{'another leads' if changed else 'the same leads'}", flush=True)
                verdict(arguments, cluster, load, f"failover {name}")
                assert changed or name == "short pause", "nobody took over"

            run(f"failover: {name}", body)


def random_faults(arguments, run):
    def body():
        rng = random.Random(arguments.seed)
        deadline = time.monotonic() + arguments.minutes * 60
        with Cluster(arguments.bin_dir, arguments.work / "faults", nodes=arguments.nodes) as cluster:
            make_bucket(cluster)
            with Load(cluster, BUCKET, per_node=2, seed=arguments.seed) as load:
                while time.monotonic() < deadline and not load.history.oddities:
                    fault = faults.any_fault(cluster, rng)
                    silence, worst = suffer(cluster, load, fault, before_s=1, after_s=1)
                    print(f"      {fault.name}: {silence:.1f} s, worst node {worst:.1f} s; "
                          f"{load.history.count()} operations", flush=True)
            verdict(arguments, cluster, load, "faults")

    run(f"faults for {arguments.minutes} minutes", body)
