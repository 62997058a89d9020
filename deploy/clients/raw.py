"""Requests that no SDK would send: any header, any body, signed as the SDK signs or by nobody."""

import base64
import http.client
import re
import ssl
import urllib.parse
import xml.etree.ElementTree
import zlib

import boto3
import botocore
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials


class Answer:
    """Status, headers by lower-case name, bytes; what is in the XML, where it is XML."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def code(self):
        found = re.search(rb"<Code>(\w+)</Code>", self.body)
        return found.group(1).decode() if found else ""

    def texts(self, element):
        """The text of every element of this name, whatever its namespace."""
        root = xml.etree.ElementTree.fromstring(self.body)
        return [found.text or "" for found in root.iter() if found.tag.rpartition("}")[2] == element]

    def __repr__(self):
        return f"{self.status} {self.code} {self.headers} {self.body[:500]!r}"


def send(system, method, target, *, headers=None, body=b"", signed=True, content_sha256=None, signed_target=None):
    """One request. `target` is path and query as they stand in the request line, percent-encoded already.

    `content_sha256` stands in x-amz-content-sha256 instead of the body's hash (`UNSIGNED-PAYLOAD`, `STREAMING-...`);
    `signed_target` is what the signature is over, where the target is not written as signatures want it.
    """
    connection = _connect(system, urllib.parse.urlparse(system.endpoint))
    try:
        return _exchange(system, connection, method, target, headers, body, signed, content_sha256, signed_target)
    finally:
        connection.close()


class Line:
    """The same over one connection that stays open, for many requests after each other."""

    def __init__(self, system):
        self.system = system
        self.connection = _connect(system, urllib.parse.urlparse(system.endpoint))

    def send(self, method, target, *, headers=None, body=b"", signed=True, content_sha256=None):
        answer = _exchange(self.system, self.connection, method, target, headers, body, signed, content_sha256)
        if answer.headers.get("connection", "").lower() == "close":
            self.connection.close()  # http.client dials again
        return answer

    def close(self):
        self.connection.close()


def _exchange(system, connection, method, target, headers, body, signed, content_sha256, signed_target=None):
    url = system.endpoint + (signed_target or target)
    request = botocore.awsrequest.AWSRequest(method, url, headers=dict(headers or {}), data=body)
    if signed:
        keys = botocore.credentials.Credentials(system.access_key, system.secret_key)
        signer = botocore.auth.S3SigV4Auth(keys, "s3", system.ready["region"])
        if content_sha256:
            signer.payload = lambda _: content_sha256
        signer.add_auth(request)
    connection.putrequest(method, target, skip_accept_encoding=True)
    if "content-length" not in {name.lower() for name in request.headers} and method not in ("GET", "HEAD", "OPTIONS"):
        connection.putheader("Content-Length", str(len(body)))
    for name, value in request.headers.items():
        connection.putheader(name, value)
    connection.endheaders(body or None)
    return Answer(connection.getresponse())


def _connect(system, url):
    if url.scheme == "http":
        return http.client.HTTPConnection(url.hostname, url.port, timeout=30)
    context = ssl.create_default_context(cafile=str(system.ca))
    return http.client.HTTPSConnection(url.hostname, url.port, timeout=30, context=context)


def checksummed(body, **headers):
    """Body and headers of a configuration: S3 wants a checksum of it."""
    crc32 = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
    return {"body": body, "headers": {"x-amz-checksum-crc32": crc32, **headers}}


def answered(answer, status, code=""):
    assert (answer.status, answer.code) == (status, code), f"wanted {status} {code}, got {answer}"
    return answer


def anonymous(system):
    """A boto3 client without keys: what it is allowed, everybody is."""
    return boto3.client(
        "s3", endpoint_url=system.endpoint, region_name=system.ready["region"],
        verify=str(system.ca) if system.ca else None,
        config=botocore.config.Config(signature_version=botocore.UNSIGNED, retries={"max_attempts": 1}),
    )


def headers_of(response):
    """The headers of a boto3 answer or error, by lower-case name."""
    return response["ResponseMetadata"]["HTTPHeaders"]
