"""The hosts of the runbooks' test: two for control planes, four for storage, one for PostgreSQL, one for clients."""

import hashlib
import json
import random
import threading

import boto3
import botocore.config
import botocore.exceptions

from hosts import Host
from net import Net, OnNet, until
from postgres import Postgres

CONTROLS, NODES = ("control1", "control2"), ("node1", "node2", "node3", "node4")
BUCKET = "estate"


class Estate(OnNet):
    """`with Estate(bin_dir, home) as estate`: hosts and PostgreSQL; the planes are started by runbooks."""

    def __init__(self, bin_dir, home):
        self.bin, self.home = bin_dir, home
        self.net = Net()
        self.hosts, self.token, self.keys = {}, "", None
        self.objects = Objects(self)

    def kill_all(self):
        for host in self.hosts.values():
            for unit in ("holdfast-dataplane", "holdfast-controlplane"):
                host.kill(unit)
        if self.postgres:
            self.postgres.kill()

    def start(self):
        numbers = {"client": 5, "postgres1": 21}
        numbers |= {name: 11 + index for index, name in enumerate(CONTROLS)}
        numbers |= {name: 31 + index for index, name in enumerate(NODES)}
        self.postgres = None
        for name, number in numbers.items():
            self.net.add(name, number)
        self.net.enter("client")
        self.postgres = Postgres(self.net, "postgres1", self.home).create().start()
        self.postgres.ask("CREATE DATABASE holdfast", "postgres")
        for name in CONTROLS:
            self.hosts[name] = Host(self.net, name, self.home / name,
                                    [self.bin / "holdfast-controlplane", self.bin / "holdfast"])
        for name in NODES:
            self.hosts[name] = Host(self.net, name, self.home / name, [self.bin / "holdfast-dataplane"])
        self.authorities = self.home / "authorities.pem"
        self.authorities.write_text("".join(host.certificate.read_text() for host in self.hosts.values()))
        for name in CONTROLS:
            self.configure_control(self.hosts[name])
        for name in NODES:
            self.configure_node(self.hosts[name])

    def configure_control(self, host):
        (host.etc / "controlplane.toml").write_text(f"""\
database_url = "postgresql://holdfast@{self.postgres.address()}:5432/holdfast?target_session_attrs=read-write"
database_tls = "disable"
grpc_addr = "{host.address}:9100"
holder = "https://{host.address}:9100"
admin_addr = "{host.address}:9001"
admin_tls_cert_file = "{host.certificate}"
admin_tls_key_file = "{host.key}"
delete_delay_ms = 1000
""")

    def configure_node(self, host):
        drives = [host.home / f"d{drive}" for drive in range(4)]
        for path in drives:
            path.mkdir(exist_ok=True)
        urls = [f"https://{self.hosts[name].address}:9100" for name in CONTROLS]
        (host.etc / "dataplane.toml").write_text(f"""\
s3_addr = "{host.address}:9000"
tls_cert_file = "{host.certificate}"
tls_key_file = "{host.key}"
node_name = "{host.name}"
peer_addr = "{host.address}:9003"
control_url = {json.dumps(urls)}
data_dir = "{host.home}/data"
drives = {json.dumps(list(map(str, drives)))}
cores = 1
spread = "nodes"
parity = 1
""")

    # ----------------------------------------------------------------------------------------------- administration

    def admin_environment(self):
        urls = " ".join(f"https://{self.hosts[name].address}:9001" for name in CONTROLS)
        return {"HOLDFAST_ADMIN_URL": urls, "HOLDFAST_ADMIN_CA": str(self.authorities), "HOLDFAST_ADMIN_TOKEN": self.token}

    def run(self, host, runbook, *arguments, seconds=300):
        return self.hosts[host].run(self.admin_environment(), runbook, *arguments, seconds=seconds)

    def leader(self, seconds=60):
        """The host whose control plane leads, waited for."""
        def leads(name):
            host = self.hosts[name]
            return host.inside("curl", "-sfk", f"https://{host.address}:9001/readyz")[0]

        return until("somebody leads", lambda: next((name for name in CONTROLS if leads(name)), None), seconds)

    def admin(self, *words):
        """The JSON of `holdfast admin`, asked of the leader."""
        host = self.hosts[self.leader()]
        env = self.admin_environment() | {"HOLDFAST_ADMIN_URL": f"https://{host.address}:9001"}
        fine, said = host.inside(host.bin / "holdfast", "admin", *words, "--json", env=env)
        assert fine, f"holdfast admin {' '.join(words)}: {said}"
        return json.loads(said)

    # ------------------------------------------------------------------------------------------------------ clients

    def s3(self, node, attempts=8):
        config = botocore.config.Config(
            retries={"total_max_attempts": attempts, "mode": "standard"}, connect_timeout=3, read_timeout=40,
            s3={"addressing_style": "path"})
        return boto3.session.Session().client(
            "s3", endpoint_url=f"https://{self.hosts[node].address}:9000", region_name="us-east-1",
            verify=str(self.authorities), aws_access_key_id=self.keys[0], aws_secret_access_key=self.keys[1], config=config)


class Objects:
    """Objects that were acknowledged, by key the SHA-256 of the body: each has to be there, through whatever node."""

    def __init__(self, estate):
        self.estate, self.known, self.random = estate, {}, random.Random(7)

    def body(self):
        return self.random.randbytes(self.random.choice((0, 100, 5_000, 300_000, 1_500_000)))

    def write(self, nodes, prefix, count):
        for index in range(count):
            body, key = self.body(), f"{prefix}/{index}"
            self.estate.s3(nodes[index % len(nodes)]).put_object(Bucket=BUCKET, Key=key, Body=body)
            self.wrote(key, body)

    def wrote(self, key, body):
        self.known[key] = hashlib.sha256(body).hexdigest()

    def read(self, nodes, keys=None):
        """Every one through every node."""
        for node in nodes:
            s3 = self.estate.s3(node)
            for key in sorted(self.known if keys is None else keys):
                body = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
                assert hashlib.sha256(body).hexdigest() == self.known[key], f"{key} through {node} is not what was written"


class Client:
    """Writes and reads at all nodes, without retries, until it is stopped. An error that may not be stops it."""

    def __init__(self, estate, nodes):
        self.estate, self.nodes = estate, nodes
        self.restarting, self.wrong = None, None
        self.counts = {"written": 0, "read": 0, "503": 0, "no connection": 0}
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join(120)

    def run(self):
        clients = {node: self.estate.s3(node, attempts=1) for node in self.nodes}
        turn = 0
        while not self.stopping.is_set() and not self.wrong:
            turn += 1
            self.write(clients, self.nodes[turn % len(self.nodes)], f"meanwhile/{turn}")
            self.read(clients, self.nodes[(turn // 2) % len(self.nodes)])

    def write(self, clients, node, key):
        objects = self.estate.objects
        body = objects.body()
        if self.ask(node, lambda: clients[node].put_object(Bucket=BUCKET, Key=key, Body=body)):
            objects.wrote(key, body)
            self.counts["written"] += 1

    def read(self, clients, node):
        objects = self.estate.objects
        key = objects.random.choice(sorted(objects.known))
        body = self.ask(node, lambda: (clients[node].get_object(Bucket=BUCKET, Key=key)["Body"].read(),))
        if body and hashlib.sha256(body[0]).hexdigest() != objects.known[key]:
            self.wrong = f"{key} through {node} is not what was written"
        self.counts["read"] += bool(body)

    def ask(self, node, call):
        """The answer, or None for an error that a client has to live with."""
        was = self.restarting
        try:
            return call()
        except botocore.exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 503:
                self.wrong = f"{node}: {error}"
            self.counts["503"] += 1
        except (botocore.exceptions.BotoCoreError, OSError) as error:
            if node not in (was, self.restarting):
                self.wrong = f"{node}, which is not being restarted: {error!r}"
            self.counts["no connection"] += 1
        self.stopping.wait(0.2)
        return None

    def goes_on(self, seconds=90):
        """Waits until more was written and read, so that every phase has its share."""
        before = dict(self.counts)
        until("the client has written and read more", lambda: self.wrong or (
            self.counts["written"] > before["written"] + 3 and self.counts["read"] > before["read"] + 3), seconds)
        assert not self.wrong, self.wrong
