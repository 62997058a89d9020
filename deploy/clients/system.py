"""A running `holdfast dev` for tests: started on free ports, asked through ready.json, stopped at the end."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.request


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class System:
    """One data directory and, while started, the processes on it."""

    def __init__(self, bin_dir, data_dir, *, tls=False, options=(), settings=()):
        self.holdfast = pathlib.Path(bin_dir) / "holdfast"
        self.data_dir = pathlib.Path(data_dir)
        self.options = list(options)
        self.settings = dict(settings)  # environment variables that configure its servers
        self.ports = (free_port(), free_port())
        self.ca = None
        self.process = None
        if tls:
            self.ca = self._certificate()

    def _certificate(self):
        """A certificate authority of this run's own, and a server certificate that it signed."""
        ca, ca_key = self.data_dir.with_suffix(".ca.crt"), self.data_dir.with_suffix(".ca.key")
        request, key = self.data_dir.with_suffix(".csr"), self.data_dir.with_suffix(".key")
        certificate, names = self.data_dir.with_suffix(".crt"), self.data_dir.with_suffix(".ext")
        names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
        ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]

        def openssl(*arguments):
            subprocess.run(["openssl", *arguments], check=True, capture_output=True)

        openssl("req", "-x509", *ec, "-days", "30", "-subj", "/CN=test authority", "-keyout", ca_key, "-out", ca)
        openssl("req", *ec, "-subj", "/CN=localhost", "-keyout", key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "30",
                "-extfile", names, "-out", certificate)
        self.options += ["--tls-cert", certificate, "--tls-key", key]
        return ca

    def start(self, timeout=120):
        command = [
            self.holdfast, "dev", "--data-dir", self.data_dir,
            "--s3-addr", f"127.0.0.1:{self.ports[0]}", "--admin-addr", f"127.0.0.1:{self.ports[1]}", *self.options,
        ]
        self.log = open(self.data_dir.with_suffix(".dev.log"), "ab")
        began = time.monotonic()
        environment = {**os.environ, **self.settings}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True, env=environment)
        line = ""
        while not line.startswith("ready "):
            line = self.process.stdout.readline()
            if not line or time.monotonic() - began > timeout:
                raise RuntimeError(f"holdfast dev did not become ready; see {self.log.name}")
        self.seconds_to_ready = time.monotonic() - began
        return self.attach()

    def attach(self):
        """Reads where a running `holdfast dev` serves and the keys of its root; one that somebody else started, too."""
        self.ready = json.loads((self.data_dir / "ready.json").read_text())
        keys = json.loads((self.data_dir / "root-credentials.json").read_text())
        self.access_key, self.secret_key = keys["access_key_id"], keys["secret_access_key"]
        self.endpoint = self.ready["s3"]
        return self

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.log.close()
        return code

    def admin(self, *arguments):
        """`holdfast admin ... --json`, parsed."""
        command = [self.holdfast, "admin", *arguments, "--data-dir", self.data_dir, "--json"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr}")
        return json.loads(done.stdout)

    def metrics(self):
        with urllib.request.urlopen(self.ready["admin"] + "/metrics") as answer:
            return answer.read().decode()

    def environment(self):
        """The variables that every AWS client reads."""
        variables = {
            **os.environ,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": self.ready["region"],
            "AWS_REGION": self.ready["region"],
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        for name in ("AWS_PROFILE", "AWS_CA_BUNDLE", "SSL_CERT_FILE", "AWS_CONFIG_FILE"):
            variables.pop(name, None)
        if self.ca:
            variables["AWS_CA_BUNDLE"] = variables["SSL_CERT_FILE"] = str(self.ca)
        return variables


@contextlib.contextmanager
def running(bin_dir, data_dir, **kwargs):
    system = System(bin_dir, data_dir, **kwargs)
    system.start()
    try:
        yield system
    finally:
        if system.process.poll() is None:
            system.stop()
