"""The real nginx and HAProxy in front, with the files of deploy/proxy: what passes through, and who is believed.

Everybody is on this machine: the proxies, which are trusted, speak from 127.0.0.1, clients from other addresses of 127.0.0.0/8.
"""

import contextlib
import copy
import filecmp
import http.client
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import time
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials
from boto3.s3.transfer import TransferConfig

from clients import MIB, boto, fresh
from policy import put, statement
from raw import Answer
from robust import own, within
from semantics import bucket, refused
from system import System, free_port

FILES = pathlib.Path(__file__).resolve().parent.parent / "proxy"
CLIENT, STRANGER = "127.0.0.9", "127.0.0.10"


def program(name):
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    assert found, f"{name} is missing; `apt-get install nginx-light haproxy`"
    return found


def altered(name, **parts):
    """A file of deploy/proxy with other addresses and paths; what is replaced must be there."""
    text = (FILES / name).read_text()
    for old, new in parts.items():
        assert text.count(old), f"{name} has no {old!r}"
        text = text.replace(old, str(new))
    return text


class Proxy:
    """A proxy's process; speaks https on `port`."""

    def __init__(self, work, name):
        self.work, self.name, self.port = fresh(work, name), name, free_port()

    def nginx(self, tls, upstream, **more):
        snippet = altered("nginx.conf", **{
            "listen 443 ssl": f"listen 127.0.0.1:{self.port} ssl", "127.0.0.1:9000": upstream,
            "/etc/nginx/tls/s3.crt": tls.with_suffix(".crt"), "/etc/nginx/tls/s3.key": tls.with_suffix(".key"), **more,
        })
        (self.work / "holdfast.conf").write_text(snippet)
        places = "\n".join(
            f"{kind}_temp_path {self.work}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user root;" if os.geteuid() == 0 else ""
        # What stands around a snippet in Debian's nginx.conf, compression and all.
        (self.work / "nginx.conf").write_text(
            f"{user} daemon off; worker_processes 1; pid {self.work}/pid; events {{ worker_connections 256; }}\n"
            f"http {{ access_log off; gzip on; {places}\ninclude {self.work}/holdfast.conf; }}\n")
        return self.run(program("nginx"), "-p", self.work, "-c", self.work / "nginx.conf", "-e", self.work / "error.log")

    def haproxy(self, tls, upstream, file="haproxy.cfg", **more):
        pair = self.work / "s3.pem"
        pair.write_text(tls.with_suffix(".crt").read_text() + tls.with_suffix(".key").read_text())
        (self.work / file).write_text(altered(file, **{
            ":443": f"127.0.0.1:{self.port}", "127.0.0.1:9000": upstream, "/etc/haproxy/tls/s3.pem": pair, **more,
        }))
        return self.run(program("haproxy"), "-db", "-f", self.work / file)

    @contextlib.contextmanager
    def run(self, *command):
        with open(self.work / "log", "wb") as log:
            process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log)
        try:
            self.wait(process)
            yield self
        finally:
            process.terminate()
            process.wait(30)

    def wait(self, process):
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5):
                return
            assert process.poll() is None, f"{self.name} ended: {(self.work / 'log').read_text()}"
            time.sleep(0.05)
        raise AssertionError(f"{self.name} does not listen; see {self.work}")

    def of(self, system, ca):
        """The system as a client behind this proxy sees it."""
        seen = copy.copy(system)
        seen.endpoint, seen.ca = f"https://127.0.0.1:{self.port}", ca
        return seen


def ask(system, method, target, *, source=STRANGER, headers=(), body=None, host=None, signed_for=None):
    """One request from a source address. Signed, for that endpoint, if `signed_for`; sent with another Host if `host`."""
    url = urllib.parse.urlsplit(system.endpoint)
    headers = dict(headers)
    if signed_for:
        request = botocore.awsrequest.AWSRequest(method, signed_for + target, headers=headers, data=body)
        keys = botocore.credentials.Credentials(system.access_key, system.secret_key)
        botocore.auth.S3SigV4Auth(keys, "s3", system.ready["region"]).add_auth(request)
        headers = dict(request.headers.items())
    if url.scheme == "https":
        context = ssl.create_default_context(cafile=str(system.ca))
        line = http.client.HTTPSConnection(url.hostname, url.port, timeout=60, context=context, source_address=(source, 0))
    else:
        line = http.client.HTTPConnection(url.hostname, url.port, timeout=60, source_address=(source, 0))
    with contextlib.closing(line):
        line.request(method, target, body=body, headers={**headers, **({"Host": host} if host else {})})
        return Answer(line.getresponse())


def passes_through(seen, work):
    """What clients do all day, byte for byte."""
    s3 = boto(seen)
    name = bucket(s3, "proxied")
    metadata = {"under_score": "1", "dot.ted": "2", "plain": "ü".encode().hex()}
    for key in ("plain", "a//b/../c", "ü +%&=;@,!~*'()", "per%2Fcent", "folder/", "x" * 900):
        body = os.urandom(70_000)
        s3.put_object(Bucket=name, Key=key, Body=body, Metadata=metadata, ContentType="text/html")
        got = s3.get_object(Bucket=name, Key=key)
        assert got["Body"].read() == body and got["Metadata"] == metadata, key
        assert got["ContentLength"] == len(body) and got["ETag"].count('"') == 2, got
    assert s3.get_object(Bucket=name, Key="plain", Range="bytes=10-19")["ContentLength"] == 10
    refused("NoSuchKey", 404, s3.get_object, Bucket=name, Key="none")
    (work / "in").write_bytes(os.urandom(21 * MIB + 5))
    s3.upload_file(str(work / "in"), name, "parts", Config=TransferConfig(multipart_threshold=MIB, multipart_chunksize=8 * MIB))
    s3.download_file(name, "parts", str(work / "out"))
    assert filecmp.cmp(work / "in", work / "out", shallow=False)
    assert s3.head_object(Bucket=name, Key="parts")["ETag"].endswith('-3"')
    one_put_that_is_not_kept(seen, name)
    presigned(seen, name)
    chunked(seen, name)
    old = sorted(entry["Key"] for entry in s3.list_objects_v2(Bucket=name)["Contents"])
    s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": key} for key in old]})
    assert s3.list_objects_v2(Bucket=name)["KeyCount"] == 0
    s3.delete_bucket(Bucket=name)


def one_put_that_is_not_kept(seen, name):
    """Signed payload, longer than any proxy's default bound."""
    body = os.urandom(5 * MIB)
    s3 = boto(seen, s3={"payload_signing_enabled": True})
    s3.put_object(Bucket=name, Key="signed", Body=body)
    assert s3.get_object(Bucket=name, Key="signed")["Body"].read() == body


def presigned(seen, name):
    s3, body = boto(seen, signature_version="s3v4"), os.urandom(100_000)
    for method, operation in (("PUT", "put_object"), ("GET", "get_object")):
        url = s3.generate_presigned_url(operation, Params={"Bucket": name, "Key": "a key/ü"})
        target = url.removeprefix(seen.endpoint)
        answer = ask(seen, method, target, body=body if method == "PUT" else None)
        assert answer.status == 200, answer
    assert answer.body == body


def chunked(seen, name):
    """HTTP's own chunks, from a client that does not know its length, around aws-chunked ones."""
    body = os.urandom(3 * MIB)
    url = boto(seen, signature_version="s3v4").generate_presigned_url("put_object", Params={"Bucket": name, "Key": "chunked"})
    pieces = (body[at : at + 70_001] for at in range(0, len(body), 70_001))
    answer = ask(seen, "PUT", url.removeprefix(seen.endpoint), body=pieces)
    assert answer.status == 200, answer
    s3 = boto(seen, request_checksum_calculation="when_required")
    s3.put_object(Bucket=name, Key="trailer", Body=body, ChecksumAlgorithm="SHA256")
    for key in ("chunked", "trailer"):
        assert s3.get_object(Bucket=name, Key=key)["Body"].read() == body, key


def opened(system, condition):
    """A bucket with an object `k` that this condition opens to everybody."""
    s3 = boto(system)
    name = bucket(s3, "conditioned")
    s3.delete_public_access_block(Bucket=name)
    s3.put_object(Bucket=name, Key="k", Body=b"open")
    put(s3, name, statement(name, "s3:GetObject", condition=condition))
    return name


def expect(allowed, system, name, **how):
    answer = ask(system, "GET", f"/{name}/k", **how)
    assert answer.status == (200 if allowed else 403), (system.endpoint, how, answer)


def the_client_is_seen(direct, seen):
    """By the address that the proxy saw, whatever the client claims; a stranger's claim means nothing without a proxy either."""
    name = opened(direct, {"IpAddress": {"aws:SourceIp": CLIENT}})
    forged = [
        {"X-Forwarded-For": CLIENT}, {"X-Forwarded-For": f"{CLIENT}, 127.0.0.1"}, {"Forwarded": f"for={CLIENT}"}, {"X-Real-IP": CLIENT},
    ]
    for through in seen:
        expect(True, through, name, source=CLIENT)
        expect(True, through, name, source=CLIENT, headers={"X-Forwarded-For": STRANGER})
        expect(False, through, name)
        for headers in forged:
            expect(False, through, name, headers=headers)
    expect(True, direct, name, source=CLIENT)
    expect(True, direct, name, source="127.0.0.1", headers={"X-Forwarded-For": CLIENT})
    for headers in forged:
        expect(False, direct, name, headers=headers)


def the_transport_is_seen(direct, seen):
    name = opened(direct, {"Bool": {"aws:SecureTransport": "true"}})
    for through in seen:
        expect(True, through, name)
        expect(True, through, name, headers={"X-Forwarded-Proto": "http"})
    expect(False, direct, name)
    expect(False, direct, name, headers={"X-Forwarded-Proto": "https"})


def the_host_is_signed(direct, seen, work, signer):
    name = bucket(boto(direct), "hosts")
    for through in seen:
        sent = urllib.parse.urlsplit(through.endpoint).netloc
        assert ask(through, "PUT", f"/{name}/k", body=b"x", signed_for=through.endpoint).status == 200
        for how in (
            {"host": "evil.example", "signed_for": through.endpoint}, {"signed_for": "https://evil.example"},
            {"signed_for": "https://evil.example", "headers": {"X-Forwarded-Host": "evil.example"}},
            {"host": "evil.example", "signed_for": through.endpoint, "headers": {"X-Forwarded-Host": sent}},
        ):
            answer = ask(through, "PUT", f"/{name}/k", body=b"y", **how)
            assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch"), (how, answer)
    rewriting = Proxy(work, "nginx-rewriting").nginx(signer, upstream(direct), **{"Host $http_host": "Host inner.example"})
    with rewriting as proxy:
        s3 = boto(proxy.of(direct, seen[0].ca))
        refused("SignatureDoesNotMatch", 403, s3.put_object, Bucket=name, Key="k", Body=b"z")
    assert boto(direct).get_object(Bucket=name, Key="k")["Body"].read() == b"x"


def upstream(system):
    return urllib.parse.urlsplit(system.endpoint).netloc


@within(600)
def through_nginx_and_haproxy(bin_dir, home):
    work = fresh(home, "proxies")
    ca = System(bin_dir, work / "tls", tls=True).ca
    with own(bin_dir, work / "data", settings={"HOLDFAST_DATAPLANE_TRUSTED_PROXIES": "127.0.0.1"}) as system:
        tls, node = work / "tls", upstream(system)
        with Proxy(work, "nginx").nginx(tls, node) as nginx, Proxy(work, "haproxy").haproxy(tls, node) as haproxy:
            seen = [proxy.of(system, ca) for proxy in (nginx, haproxy)]
            for through in seen:
                passes_through(through, work)
            the_client_is_seen(system, seen)
            the_transport_is_seen(system, seen)
            the_host_is_signed(system, seen, work, tls)


@within(600)
def through_haproxy_with_proxy_headers(bin_dir, home):
    work = fresh(home, "proxy-headers")
    ca = System(bin_dir, work / "tls", tls=True).ca
    settings = {"HOLDFAST_DATAPLANE_TRUSTED_PROXIES": "127.0.0.1", "HOLDFAST_DATAPLANE_PROXY_PROTOCOL": "required"}
    with own(bin_dir, work / "data", settings=settings) as system:
        tls, node, file = work / "tls", upstream(system), "haproxy-tcp.cfg"
        plain = {"send-proxy-v2-ssl": "send-proxy-v2"}
        # Not checked: it would give up by itself.
        old = {"send-proxy-v2-ssl check": "send-proxy"}
        with (
            Proxy(work, "haproxy").haproxy(tls, node, file) as proxy, Proxy(work, "plain").haproxy(tls, node, file, **plain) as silent,
            Proxy(work, "old").haproxy(tls, node, file, **old) as version_1,
        ):
            through, silent, version_1 = (one.of(system, ca) for one in (proxy, silent, version_1))
            passes_through(through, work)
            name = opened(through, {"IpAddress": {"aws:SourceIp": CLIENT}})
            expect(True, through, name, source=CLIENT)
            expect(True, through, name, source=CLIENT, headers={"X-Forwarded-For": STRANGER})
            expect(False, through, name)
            expect(False, through, name, headers={"X-Forwarded-For": CLIENT})
            name = opened(through, {"Bool": {"aws:SecureTransport": "true"}})
            expect(True, through, name)
            # The connection from this one is not TLS, and its header does not say that the client's is.
            expect(False, silent, name)
            expect(False, silent, name, headers={"X-Forwarded-Proto": "https"})
            closed(version_1, "an old header")
            closed(system, "no header", source="127.0.0.1")
            closed(system, "a stranger")
        refusals = [line for line in system.metrics().splitlines() if line.startswith("holdfast_proxy_refused_total ")]
        assert refusals and int(refusals[0].split()[1]) >= 3, refusals


def closed(system, what, **how):
    try:
        answer = ask(system, "GET", "/", **how)
    except (OSError, http.client.HTTPException):
        return
    raise AssertionError(f"{what}: answered {answer}")


ALL = [through_nginx_and_haproxy, through_haproxy_with_proxy_headers]
