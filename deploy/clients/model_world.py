"""The buckets of one sequence, in the model and in the system; what steps mean by "the version before" and "the right ETag" in them."""

import itertools
import time

from model_bucket import Bucket, Refused, Version, checksum
from model_wire import Either, Learned, difference, from_header, from_xml, seen, target
from raw import Line

KEYS = ["a", "a/", "a/b", "a/b c+d&<", "ä/\U0001f600\\", "c\x01\n%2F", "ä/\uff5e"]
SIZES = [0, 1, 10, 10, 300, 300, 20_000]
LARGE = 5 << 20
WRONG = "00000000000000000000000000000000"
NEVER, ENABLED, SUSPENDED, SWITCHING = range(4)
LINES = 3  # connections, so that what one core decided another is asked about
SLACK_SECONDS = 3  # between the clock here and the system's, which tests have on one machine

numbers = itertools.count(int(time.time() * 1000))


class Difference(Exception):
    """The system and the model disagree."""

    def __init__(self, where, request, wanted, got):
        super().__init__(where)
        self.where, self.request, self.wanted, self.got = where, request, wanted, got


class World:
    def __init__(self, system):
        self.lines = [Line(system) for _ in range(LINES)]
        self.line = self.lines[0]
        self.requests = 0
        self.ids = {}  # every version id there ever was: its key
        self.buckets = [Bucket(f"model-{next(numbers)}-{place}") for place in range(4)]
        self.ended = []  # uploads that were aborted or completed
        said = self.line.send("GET", "/")
        self.owner, self.owner_name = said.texts("ID")[0], said.texts("DisplayName")[0]
        for bucket in self.buckets:
            self.line.send("PUT", target(bucket.name))

    def ask(self, method, where, wanted, *, headers=None, body=b"", how="none"):
        """One request, whose answer must be the one that is wanted."""
        self.requests += 1
        headers = {name: value.encode().decode("latin-1") for name, value in (headers or {}).items()}
        unsigned = "UNSIGNED-PAYLOAD" if len(body) > 100_000 else None
        line = self.lines[self.requests % LINES]
        answer = line.send(method, where, headers=headers, body=body, content_sha256=unsigned)
        got = seen(answer, how)
        if found := difference(wanted, got):
            raise Difference(found, (method, where, headers, body[:400]), wanted, got)
        return got

    def close(self):
        for line in self.lines:
            line.close()

    # What answers look like

    def success(self, status=200, headers=None, body=b""):
        return {"status": status, "headers": headers or {}, "body": body}

    def refusal(self, refused, *, headers=True, head=False):
        """`headers`: whether they are compared too; of HEAD nobody sees a code."""
        said = {}
        for name, value in refused.headers.items():
            said[name] = self.modified_in_header(value) if isinstance(value, Version) else value
        anything = Learned(lambda got: "")
        statuses = Either(dict.fromkeys([status for status, _ in getattr(refused, "allowed", [])] or [refused.status]))
        return {"status": statuses, "code": "" if head else Either(refused.codes), "headers": said if headers else anything}

    def attempt(self, attempt):
        """What the model answers: that of `attempt`, or its refusal. Of refused writes only status and code are compared."""
        try:
            return attempt()
        except Refused as refused:
            return self.refusal(refused, headers=False)

    def version_header(self, bucket, key, version, *, if_null=False):
        """Of an answer to a write. AWS does not name the null version that a put made."""
        if bucket.status == "Enabled":
            return {"x-amz-version-id": self.new_id(key, version)}
        return {"x-amz-version-id": "null"} if if_null and bucket.status else {}

    def new_id(self, key, version):
        def take(text):
            if text == "null" or text in self.ids or not 1 <= len(text) <= 1024:
                return "no new version id"
            version.id = text
            self.ids[text] = key
            return ""
        return Learned(take)

    def modified_in_header(self, version):
        return Learned(lambda text: self._modified(version, from_header(text)))

    def modified_in_xml(self, bucket, key, version):
        def take(text):
            milliseconds = from_xml(text)
            refusal = self._modified(version, milliseconds // 1000, milliseconds)
            older = [other.modified.milliseconds for other in bucket.versions(key)[bucket.versions(key).index(version) + 1 :]]
            if any(other is not None and other > milliseconds for other in older):
                return "older than the version before it"
            return refusal
        return Learned(take)

    def _modified(self, version, seconds, milliseconds=None):
        if not -SLACK_SECONDS <= seconds - version.modified.about <= SLACK_SECONDS:
            return f"far from when it was made, {version.modified.about}"
        return "" if version.modified.learn(seconds, milliseconds) else "not the time that was told before"

    # What steps mean

    def place(self, step, prefix=""):
        """Bucket and key. With `hit` a key that there is, if there is any."""
        bucket, key = self.buckets[step[prefix + "bucket"]], KEYS[step[prefix + "key"]]
        if step.get(prefix + "hit") and bucket.keys and key not in bucket.keys:
            key = sorted(bucket.keys)[step[prefix + "key"] % len(bucket.keys)]
        return bucket, key

    def version_id(self, bucket, key, said):
        """`said`: None, "null", "gone" (an id that this key does not have), or which of its versions, counted from the newest."""
        versions = bucket.versions(key)
        if said is None or said == "null":
            return said
        if said == "gone" or not versions:
            mine = {version.id for version in versions}
            return next((version_id for version_id in self.ids if version_id not in mine), "null")
        return versions[said % len(versions)].id

    def etag(self, bucket, key, said, version_id=None):
        version = bucket.named(key, version_id) if version_id else bucket.current(key)
        right = version.etag if version and not version.marker else WRONG
        old = next((each.etag for each in bucket.versions(key)[1:] if not each.marker), WRONG)
        return {"right": f'"{right}"', "bare": right, "wrong": f'"{WRONG}"', "old": f'"{old}"', "*": "*",
                "weak": f'W/"{right}"', "list": f'"{WRONG}", "{right}"'}[said]

    def seconds(self, bucket, key, said, version_id=None):
        version = bucket.named(key, version_id) if version_id else bucket.current(key)
        known = version and version.modified.seconds
        if said in ("at", "before") and known:
            return known - (said == "before")
        return int(time.time()) + (86_400 * 400 if said == "future" else -3600)


def body_of(said):
    """`said`: (which, size)."""
    which, size = said
    return bytes([65 + which]) * size


def put_headers(said):
    """Headers of a put that say what the object is, and the facts that its reads tell."""
    facts = {name: value for name, value in said.items() if not (name == "x-amz-storage-class" and value == "STANDARD")}
    return dict(said), facts


def sums_of(algorithm, body):
    name = algorithm or "crc64nvme"
    return {name: checksum(name, body)}

