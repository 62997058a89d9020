"""What PostgreSQL may do to us: a standby is promoted, synchronous or not, and a dump is restored."""

import time

import botocore.exceptions

import scenarios
from load import Load
from net import until
from planes import Cluster


def postgres(arguments, run):
    run("postgres: a synchronous standby is promoted, nothing is lost", lambda: promoted(arguments))
    run("postgres: an asynchronous standby is promoted, the alarm is raised", lambda: behind(arguments))
    run("postgres: a dump is restored, the alarm is raised", lambda: restored(arguments))


def promoted(arguments):
    with Cluster(arguments.bin_dir, arguments.work / "sync", nodes=3, standby="synchronous") as cluster:
        scenarios.make_bucket(cluster)
        with Load(cluster, scenarios.BUCKET, seed=arguments.seed) as load:
            load.until(600, 20)
            since = time.monotonic_ns() // 1000
            cluster.postgres.kill()
            cluster.standby.promote()
            cluster.leader(60)
            until("writes are acknowledged again", lambda: load.history.acknowledged[-1][0] > since + 100_000, 60)
            load.until(load.history.count() + 400, 20)
            silence = load.history.longest_silence_s(since, time.monotonic_ns() // 1000)
        print(f"      no acknowledged write for {silence:.1f} s", flush=True)
        scenarios.verdict(arguments, cluster, load, "sync")
        assert not cluster.leader().status()["history_lost"], "a false alarm"


def behind(arguments):
    """The standby hears of nothing for a while, and then it is all there is."""
    with Cluster(arguments.bin_dir, arguments.work / "async", nodes=3, standby="asynchronous") as cluster:
        scenarios.make_bucket(cluster)
        s3 = cluster.s3(cluster.nodes[0], attempts=8)
        s3.put_object(Bucket=scenarios.BUCKET, Key="kept", Body=b"1")
        cluster.postgres.until("SELECT bool_and(replay_lsn >= pg_current_wal_lsn()) FROM pg_stat_replication")
        cluster.net.cut("postgres1", "postgres2")
        s3.put_object(Bucket=scenarios.BUCKET, Key="lost", Body=b"2")
        cluster.postgres.kill()
        # Still cut off: what the dead server's kernel has left to send would arrive yet.
        cluster.standby.promote()
        alarmed(cluster)
        assert head(cluster, "kept") == 200 and head(cluster, "lost") == 404, "caches of before are believed"
        recovered(cluster, cluster.standby)


def restored(arguments):
    """The database goes back to what it was a while ago, whole epochs before what nodes remember."""
    with Cluster(arguments.bin_dir, arguments.work / "dump", nodes=3) as cluster:
        scenarios.make_bucket(cluster)
        s3 = cluster.s3(cluster.nodes[0], attempts=8)
        s3.put_object(Bucket=scenarios.BUCKET, Key="kept", Body=b"1")
        server = cluster.postgres
        dump = server.home / "dump"
        server.as_postgres(server.bin / "pg_dump", "-Fc", "-h", server.home, "-U", "holdfast", "-f", dump, "holdfast")
        old = cluster.leader()
        old.kill()
        cluster.leader()
        lost = {"lost": b"2", "lost/row": b"3" * 300_000, "lost/rows": bytes(range(256)) * 12_000}
        for key, body in lost.items():
            s3.put_object(Bucket=scenarios.BUCKET, Key=key, Body=body, Metadata={"of": key}, ContentType="text/plain")
        s3.put_object(Bucket=scenarios.BUCKET, Key="newer", Body=b"old")
        for control in cluster.controls:
            control.kill()
        server.ask("DROP DATABASE holdfast WITH (FORCE)", "postgres")
        server.ask("CREATE DATABASE holdfast", "postgres")
        server.as_postgres(server.bin / "pg_restore", "-h", server.home, "-U", "holdfast", "-d", "holdfast", dump)
        for control in cluster.controls:
            control.start()
        alarmed(cluster)
        assert head(cluster, "kept") == 200 and head(cluster, "lost") == 404, "caches of before are believed"
        s3.put_object(Bucket=scenarios.BUCKET, Key="newer", Body=b"new")
        brought_back(cluster, lost)
        assert s3.get_object(Bucket=scenarios.BUCKET, Key="newer")["Body"].read() == b"new", "something newer went"
        recovered(cluster, server)
        for key, body in lost.items():
            assert s3.get_object(Bucket=scenarios.BUCKET, Key=key)["Body"].read() == body, f"{key} went with the alarm"


def brought_back(cluster, lost):
    """What the database has lost comes back from the drives, as it was."""
    def walked():
        status, shown = cluster.leader().ask("GET", "/v1/recover")
        return status == 200 and shown["nodes_walked"] == len(cluster.nodes)

    until("every node has looked through its drives", walked, 60)
    _, shown = cluster.leader().ask("GET", "/v1/recover")
    status, done = cluster.leader().ask("POST", "/v1/recover", {"action": "apply"}, timeout=60)
    assert status == 200 and done["proposed"] == 0, done
    assert done["recovered"] == len(lost) and done["skipped"] == 1 and done["refused"] == 0, done
    print(f"      {shown['proposed']} rows were proposed, {done['recovered']} came back", flush=True)
    s3 = cluster.s3(cluster.nodes[0], attempts=8)
    for key, body in lost.items():
        answer = s3.get_object(Bucket=scenarios.BUCKET, Key=key)
        assert answer["Body"].read() == body, f"{key}: other bytes"
        assert answer["Metadata"] == {"of": key} and answer["ContentType"] == "text/plain", answer
        assert head(cluster, key) == 200, f"{key} is not back everywhere"


def alarmed(cluster):
    def lost():
        leader = cluster.leader()
        status = leader.status()
        return isinstance(status, dict) and status.get("history_lost")

    until("the leader says that history was lost", lost, 60)
    until("every node is back and knows it", lambda: all(
        node.ready() and node.metrics().get("holdfast_history_lost") == 1 for node in cluster.nodes), 60)


def recovered(cluster, server):
    """Nothing is deleted while the alarm stands, and it stands until an administrator takes it back."""
    s3 = cluster.s3(cluster.nodes[0], attempts=8)
    s3.put_object(Bucket=scenarios.BUCKET, Key="kept", Body=b"3")  # frees the bytes of the first
    time.sleep(4)  # delete_delay is 1 s
    assert server.ask("SELECT count(*) FROM freed") != "0", "bytes were deleted under the alarm"
    leader = cluster.leader()
    leader.kill()
    leader.start()
    assert cluster.leader().status()["history_lost"], "the next leader has forgotten the alarm"
    status, answer = cluster.leader().ask("POST", "/v1/recover", {"action": "accept"})
    assert status == 200, answer
    until("the bytes are deleted after all", lambda: server.ask("SELECT count(*) FROM freed") == "0", 60)
    assert not cluster.leader().status()["history_lost"]


def head(cluster, key):
    """The status of every node, which is the same."""
    statuses = set()
    for node in cluster.nodes:
        try:
            answer = cluster.s3(node, attempts=8).head_object(Bucket=scenarios.BUCKET, Key=key)
        except botocore.exceptions.ClientError as error:
            answer = error.response
        statuses.add(answer["ResponseMetadata"]["HTTPStatusCode"])
    assert len(statuses) == 1, f"{key}: nodes answer {statuses}"
    return statuses.pop()
