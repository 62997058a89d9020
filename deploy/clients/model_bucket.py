"""One bucket as AWS documents it, in memory and as simple as can be: what `model.py` holds the system to.

It knows no requests and no headers, only objects, their versions and their uploads. What only the system can know, the ids and times
it makes up, is learned from its answers (`Learned`) and held against what was learned before.
"""

import base64
import dataclasses
import functools
import hashlib
import itertools
import time
import zlib

PART_BYTES_MIN = 5 << 20


class Refused(Exception):
    """An answer that is an error: any of `codes`, because of two things wrong AWS does not say which it tells first."""

    def __init__(self, status, *codes, **headers):
        super().__init__(status, codes)
        self.status, self.codes = status, codes
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Moment:
    """When a version was made, as far as answers told: listings tell milliseconds, headers seconds."""

    def __init__(self):
        self.about = int(time.time())  # by the clock here
        self.seconds = self.milliseconds = None

    def learn(self, seconds, milliseconds=None):
        """Whether this may be what answers told before."""
        if self.seconds not in (None, seconds) or (milliseconds is not None and self.milliseconds not in (None, milliseconds)):
            return False
        self.seconds, self.milliseconds = seconds, self.milliseconds if milliseconds is None else milliseconds
        return True

    def second(self):
        """Near enough for conditions that are hours away."""
        return self.about if self.seconds is None else self.seconds


@dataclasses.dataclass(eq=False)
class Version:
    body: bytes = b""
    etag: str = ""  # without quotes
    facts: dict = dataclasses.field(default_factory=dict)  # headers that tell what it is, by lower-case name
    tags: dict = dataclasses.field(default_factory=dict)
    sums: dict = dataclasses.field(default_factory=dict)  # checksums by algorithm, as they are shown
    parts: tuple = ()  # of one made of parts: (number, body, sums)
    composite: bool = False
    marker: bool = False
    id: str = "null"
    modified: Moment = dataclasses.field(default_factory=Moment)


@dataclasses.dataclass(eq=False)
class Upload:
    key: str
    facts: dict
    tags: dict
    algorithm: str  # "" if the client named none
    composite: bool
    id: str = ""
    parts: dict = dataclasses.field(default_factory=dict)  # number: (body, etag)
    completed: Version = None
    born: int = dataclasses.field(default_factory=itertools.count().__next__)


class Bucket:
    def __init__(self, name):
        self.name = name
        self.status = ""  # of its versioning: "", Enabled or Suspended
        self.keys = {}  # key: its versions, the newest first, never none
        self.uploads = []

    def versions(self, key):
        return self.keys.get(key, [])

    def shown(self, version):
        """The id that answers name, or None: a bucket that was never versioned names none."""
        return version.id if self.status else None

    def current(self, key):
        """The object that requests without a version mean, if there is one."""
        newest = self.versions(key)[:1]
        return newest[0] if newest and not newest[0].marker else None

    def find(self, key, version_id=None):
        """What a read means; of a delete marker its headers say that it is one."""
        if version_id is None:
            newest = self.versions(key)[:1]
            if newest and newest[0].marker:
                raise Refused(404, "NoSuchKey", **marker_headers(newest[0]))
            if not newest:
                raise Refused(404, "NoSuchKey")
            return newest[0]
        version = self.named(key, version_id)
        if not version:
            raise Refused(404, "NoSuchVersion")
        if version.marker:
            raise Refused(405, "MethodNotAllowed", allow="DELETE", last_modified=version, **marker_headers(version))
        return version

    def described(self, key, version_id):
        """What a request for tags means: it calls a marker what it is, named or not."""
        versions = self.versions(key)
        if version_id is None and versions and versions[0].marker:
            raise Refused(405, "MethodNotAllowed")
        return self.find(key, version_id)

    def named(self, key, version_id):
        return next((version for version in self.versions(key) if version.id == version_id), None)

    def add(self, key, version):
        """A new version, in the place of the null version unless versioning is enabled. Its id is learned later."""
        if self.status != "Enabled":
            self.remove(key, self.named(key, "null"))
            version.id = "null"
        else:
            version.id = None
        self.keys.setdefault(key, []).insert(0, version)
        return version

    def remove(self, key, version):
        if version:
            self.keys[key].remove(version)
            if not self.keys[key]:
                del self.keys[key]

    def check_write(self, key, when):
        """`when`: {"if-none-match": "*"} or {"if-match": ETag or "*"}."""
        current = self.current(key)
        if "if-none-match" in when and current:
            raise Refused(412, "PreconditionFailed")
        if "if-match" in when:
            if not current:
                raise Refused(404, "NoSuchKey")
            if when["if-match"] != "*" and when["if-match"].strip('"') != current.etag:
                raise Refused(412, "PreconditionFailed")

    def put(self, key, version, when):
        self.check_write(key, when)
        return self.add(key, version)

    def delete(self, key, version_id, when):
        """(is a marker, id that the answer names)."""
        self.check_write(key, when)
        if version_id is not None:
            version = self.named(key, version_id)
            self.remove(key, version)
            return bool(version and version.marker), version_id
        if self.status:
            marker = self.add(key, Version(marker=True))
            return True, marker
        self.remove(key, self.named(key, "null"))
        return False, None

    def source(self, key, version_id):
        """What a copy reads."""
        try:
            return self.find(key, version_id)
        except Refused as refused:
            if refused.status == 405:
                raise Refused(400, "InvalidRequest") from None
            raise

    def complete(self, upload, listed, when):
        """`listed`: (number, ETag) as the request has them."""
        wrong = list(problems(upload, listed))
        try:
            self.check_write(upload.key, when)
        except Refused as refused:
            wrong.append((refused.status, refused.codes[0]))
        if wrong:
            raise Alternatives(wrong)
        parts = tuple((number, upload.parts[number][0], part_sums(upload, upload.parts[number][0])) for number, _ in listed)
        upload.completed = self.add(upload.key, assembled(upload, parts))
        self.uploads.remove(upload)
        return upload.completed


class Alternatives(Refused):
    """Several things are wrong, and any of them may be told."""

    def __init__(self, wrong):
        super().__init__(wrong[0][0], *[code for _, code in wrong])
        self.allowed = set(wrong)


def problems(upload, listed):
    numbers = [number for number, _ in listed]
    if not listed:
        yield 400, "MalformedXML"
    if numbers != sorted(set(numbers)):
        yield 400, "InvalidPartOrder"
    if any(number not in upload.parts or upload.parts[number][1] != etag.strip('"') for number, etag in listed):
        yield 400, "InvalidPart"
    known = [len(upload.parts[number][0]) for number in numbers if number in upload.parts]
    if any(size < PART_BYTES_MIN for size in known[:-1]):
        yield 400, "EntityTooSmall"


def assembled(upload, parts):
    body = b"".join(part for _, part, _ in parts)
    etag = hashlib.md5(b"".join(hashlib.md5(part).digest() for _, part, _ in parts)).hexdigest() + f"-{len(parts)}"
    algorithm = upload.algorithm or "crc64nvme"
    if upload.composite:
        digests = b"".join(base64.b64decode(sums[algorithm]) for _, _, sums in parts)
        sums = {algorithm: f"{checksum(algorithm, digests)}-{len(parts)}"}
    else:
        sums = {algorithm: checksum(algorithm, body)}
    return Version(body, etag, upload.facts, upload.tags, sums, parts, upload.composite)


def part_sums(upload, body):
    return {upload.algorithm: checksum(upload.algorithm, body)} if upload.algorithm else {}


def marker_headers(version):
    return {"x_amz_delete_marker": "true", "x_amz_version_id": version.id}


@functools.lru_cache(4096)
def checksum(algorithm, body):
    """In base64, as headers have it."""
    if algorithm == "crc32":
        return base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
    if algorithm == "sha256":
        return base64.b64encode(hashlib.sha256(body).digest()).decode()
    assert algorithm == "crc64nvme"
    return base64.b64encode(crc64nvme(body).to_bytes(8, "big")).decode()


def _table():
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x9A6C9329AC4BC9B5 if byte & 1 else 0)
        yield byte


TABLE = list(_table())


def crc64nvme(body):
    crc = 0xFFFFFFFFFFFFFFFF
    for byte in body:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFFFFFFFFFF
