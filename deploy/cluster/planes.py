"""The planes on their hosts: control planes over one PostgreSQL, data planes with their drives, and how to ask them."""

import json
import os
import pathlib
import secrets
import signal
import subprocess
import threading
import urllib.error
import urllib.request

import boto3
import botocore.config

from net import Net, OnNet, until
from postgres import PORT, Postgres

GRPC, ADMIN, S3, OPS = 9100, 9001, 9000, 9002
LEASE_MS = 5000
TERM_S = 10  # limits.rs of the control plane


class Process:
    """A process on a host that can be paused, killed and started again."""

    def __init__(self, net, host, home, words):
        self.net, self.host, self.home, self.words = net, host, home, words
        self.log = home / "log"
        self.process = None

    def start(self):
        self.process = self.net.start(self.host, self.words, log=self.log)
        return self

    def running(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        if self.running():
            self.process.send_signal(number)

    def pause(self):
        self.signal(signal.SIGSTOP)

    def go_on(self):
        self.signal(signal.SIGCONT)

    def kill(self):
        self.signal(signal.SIGKILL)
        if self.process:
            self.process.wait()

    def stop(self):
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()


class Control(Process):
    def __init__(self, cluster, number):
        host = f"control{number}"
        home = cluster.home / host
        home.mkdir()
        loopback = cluster.net.loopback(host)
        grpc = f"{cluster.net.address(host)}:{GRPC}"
        self.grpc, self.admin = f"https://{grpc}", f"http://{loopback}:{ADMIN}"
        self.token = None
        config = home / "controlplane.toml"
        config.write_text(f"""\
database_url = "{cluster.database_url()}"
database_tls = "disable"
grpc_addr = "{grpc}"
admin_addr = "{loopback}:{ADMIN}"
admin_token_file = "{cluster.home}/admin-token"
master_key_file = "{cluster.home}/master-key"
root_credentials_file = "{cluster.home}/root.json"
holder = "{self.grpc}"
lease_ms = {cluster.lease_ms}
access_lease_ms = {cluster.access_lease_ms}
delete_delay_ms = 1000
log = "info"
""")
        super().__init__(cluster.net, host, home, [cluster.bin / "holdfast-controlplane", "--config", config])
        self.config = config

    def ask(self, method, path, body=None, timeout=30):
        """(status, JSON or text); status 0: no answer."""
        request = urllib.request.Request(self.admin + path, method=method)
        request.add_header("Authorization", f"Bearer {self.token}")
        data = None
        if body is not None:
            request.add_header("Content-Type", "application/json")
            data = json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, data, timeout=timeout) as answer:
                status, text = answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode()
        except (OSError, urllib.error.URLError) as error:
            return 0, str(error)
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text

    def leads(self):
        return self.running() and self.ask("GET", "/readyz", timeout=2)[0] == 200

    def status(self):
        return self.ask("GET", "/v1/status")[1]


class DataPlane(Process):
    def __init__(self, cluster, number):
        host = f"node{number}"
        home = cluster.home / host
        drives = [home / f"d{drive}" for drive in range(4)]
        for path in [home, home / "data", *drives]:
            path.mkdir()
        self.endpoint = f"http://{cluster.net.address(host)}:{S3}"
        self.ops = f"http://{cluster.net.loopback(host)}:{OPS}"
        config = home / "dataplane.toml"
        urls = ", ".join(f'"{control.grpc}"' for control in cluster.controls)
        config.write_text(f"""\
s3_addr = "{cluster.net.address(host)}:{S3}"
ops_addr = "{cluster.net.loopback(host)}:{OPS}"
control_url = [{urls}]
node_name = "{host}"
data_dir = "{home}/data"
drives = [{", ".join(f'"{drive}"' for drive in drives)}]
cores = 1
log = "info"
{cluster.admit(host, home)}
""")
        super().__init__(cluster.net, host, home, [cluster.bin / "holdfast-dataplane", "--config", config])

    def ready(self):
        try:
            with urllib.request.urlopen(self.ops + "/readyz", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def metrics(self):
        with urllib.request.urlopen(self.ops + "/metrics", timeout=5) as answer:
            text = answer.read().decode()
        found = {}
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                found[name] = float(value)
        return found


class Cluster(OnNet):
    """Hosts, PostgreSQL, control planes, nodes; `with Cluster(...) as cluster` starts them and takes everything down."""

    # Whether nodes read each other's fragments. Where they do not, a GET of what another node holds is no offence.
    peers = False

    def __init__(self, bin_dir, home, *, nodes=3, controls=2, standby=None, lease_ms=LEASE_MS, access_lease_ms=None):
        self.bin, self.home = pathlib.Path(bin_dir), pathlib.Path(home)
        self.node_count, self.control_count, self.standby_kind, self.lease_ms = nodes, controls, standby, lease_ms
        self.access_lease_ms = access_lease_ms or lease_ms
        self.net = Net()
        self.making = threading.Lock()
        self.session = boto3.session.Session()  # costs a tenth of a second to make
        self.postgres = self.standby = None
        self.controls, self.nodes = [], []

    def kill_all(self):
        for process in [*self.nodes, *self.controls, self.postgres, self.standby]:
            if process:
                process.kill()

    def start(self):
        self.home.mkdir(parents=True, exist_ok=True)
        os.chmod(self.home, 0o755)
        net = self.net
        hosts = [("client", 5), *((f"control{n + 1}", 11 + n) for n in range(self.control_count)), ("postgres1", 21)]
        hosts += [("postgres2", 22)] if self.standby_kind else []
        for name, number in [*hosts, *((f"node{n + 1}", 31 + n) for n in range(self.node_count))]:
            net.add(name, number)
        net.enter("client")
        self.postgres = Postgres(net, "postgres1", self.home).create().start()
        self.postgres.ask("CREATE DATABASE holdfast", "postgres")
        if self.standby_kind:
            self._add_standby()
        self._bootstrap()
        self._start_nodes()

    def _add_standby(self):
        self.standby = Postgres(self.net, "postgres2", self.home).follow(self.postgres, "standby").start()
        self.postgres.until("SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming'")
        if self.standby_kind == "synchronous":
            self.postgres.ask("ALTER SYSTEM SET synchronous_standby_names = 'standby'", "postgres")
            self.postgres.ask("SELECT pg_reload_conf()", "postgres")
            self.postgres.until("SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'")

    def database_url(self):
        hosts = ",".join(f"{server.address()}:{PORT}" for server in (self.postgres, self.standby) if server)
        return f"postgresql://holdfast@{hosts}/holdfast?target_session_attrs=read-write"

    def admit(self, host, home):
        """What makes a host a node: an invitation that it accepts over TLS. Returns further lines of its configuration."""
        status, answer = self.leader().ask("POST", "/v1/nodes/invitations", {"name": host, "expires_seconds": 600})
        assert status in (200, 201), answer
        token = home / "token"
        token.write_text(answer["token"])
        token.chmod(0o600)
        join = [self.bin / "holdfast-dataplane", "join", "--token-file", token, "--data-dir", home / "data"]
        if self.net.start(host, join, log=home / "join.log").wait(60) != 0:
            raise RuntimeError((home / "join.log").read_text())
        return ""

    def _bootstrap(self):
        """Secrets and control planes."""
        root = {"access_key_id": "root", "secret_access_key": secrets.token_hex(20)}
        self.root = (root["access_key_id"], root["secret_access_key"])
        path = self.home / "root.json"
        path.write_text(json.dumps(root))
        path.chmod(0o600)
        self.controls = [Control(self, n + 1) for n in range(self.control_count)]
        first = self.controls[0]
        done = subprocess.run([self.bin / "holdfast-controlplane", "init", "--config", first.config], check=True,
                              capture_output=True, text=True)
        for control in self.controls:
            control.token = done.stdout.strip()
        first.start()
        until("the first control plane leads", first.leads)
        for control in self.controls[1:]:
            control.start()

    def _start_nodes(self):
        self.nodes = [DataPlane(self, n + 1).start() for n in range(self.node_count)]
        for node in self.nodes:
            until(f"{node.host} is ready", node.ready, 60)

    def leader(self, seconds=60):
        """The control plane that leads, waited for."""
        return until("somebody leads", lambda: next((one for one in self.controls if one.leads()), None), seconds)

    def followers(self):
        leader = self.leader()
        return [control for control in self.controls if control is not leader]

    def s3(self, node, *, key=None, attempts=1, read_timeout=40):
        """A client of one node. Without retries: a second attempt is another operation."""
        access_key, secret = key or self.root
        config = botocore.config.Config(
            retries={"total_max_attempts": attempts}, connect_timeout=3, read_timeout=read_timeout,
            s3={"addressing_style": "path"}, max_pool_connections=4)
        with self.making:  # the session is for one thread at a time
            return self.session.client(
                "s3", endpoint_url=node.endpoint, region_name="us-east-1", aws_access_key_id=access_key,
                aws_secret_access_key=secret, config=config)
