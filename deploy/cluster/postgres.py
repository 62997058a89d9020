"""A PostgreSQL server on a host, and its standbys: started, killed, paused, promoted."""

import os
import pwd
import signal
import subprocess
import time

from net import command, postgres_binaries

PORT = 5432


class Postgres:
    def __init__(self, net, host, home):
        self.net, self.host = net, host
        self.bin = postgres_binaries()
        self.home = home / host
        self.data = self.home / "data"
        self.user = pwd.getpwnam("postgres")
        self.home.mkdir(parents=True)
        os.chown(self.home, self.user.pw_uid, self.user.pw_gid)
        self.process = None

    def as_postgres(self, *words):
        words = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups", *map(str, words)]
        return command("ip", "netns", "exec", f"hfc-{self.host}", *words)

    def create(self):
        self.as_postgres(self.bin / "initdb", "-D", self.data, "-U", "holdfast", "-A", "trust", "--no-sync", "-E", "UTF8",
                          "--locale=C")
        with open(self.data / "pg_hba.conf", "a") as hba:
            hba.write("host all all 10.77.0.0/24 trust\nhost replication all 10.77.0.0/24 trust\n")
        return self

    def follow(self, primary, name):
        """Becomes a standby of `primary`, known to it as `name`."""
        self.as_postgres(self.bin / "pg_basebackup", "-h", primary.address(), "-U", "holdfast", "-D", self.data, "-R",
                          "-X", "stream", "-c", "fast", "-d", f"application_name={name}", "--no-sync")
        return self

    def address(self):
        return self.net.address(self.host)

    def start(self, **settings):
        settings = {"listen_addresses": self.address(), "unix_socket_directories": str(self.home),
                    "max_connections": 200, "wal_keep_size": "256MB", **settings}
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        self.process = self.net.start(self.host, [self.bin / "postgres", "-D", self.data, *options],
                                      log=self.home / "log", user="postgres")
        deadline = time.monotonic() + 60
        while subprocess.run([self.bin / "pg_isready", "-q", "-h", self.home, "-U", "holdfast"]).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL on {self.host} did not start; see {self.home}/log")
            time.sleep(0.1)
        return self

    def ask(self, text, database="holdfast"):
        """One statement over the server's own socket; the answer as text."""
        return command(self.bin / "psql", "-X", "-q", "-A", "-t", "-h", self.home, "-U", "holdfast", "-d", database, "-c",
                       text).strip()

    def until(self, text, wanted="t", seconds=60):
        deadline = time.monotonic() + seconds
        while self.ask(text, "postgres") != wanted:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.host}: `{text}` is {self.ask(text, 'postgres')}, not {wanted}")
            time.sleep(0.1)

    def promote(self):
        self.ask("SELECT pg_promote(true, 60)", "postgres")

    def running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """As a power cut would: no shutdown, no checkpoint."""
        if self.running():
            pids = [self.process.pid, *children(self.process.pid)]
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.process.wait()


def children(pid):
    """All descendants of a process."""
    found = []
    try:
        for entry in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{entry}/children") as text:
                for child in map(int, text.read().split()):
                    found += [child, *children(child)]
    except FileNotFoundError:
        pass  # it has ended meanwhile
    return found
