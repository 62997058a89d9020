"""The load of a soak, and the ledger of what each key may hold: exactly what was answered, or what was in flight."""

import concurrent.futures
import dataclasses
import hashlib
import http.client
import random
import threading
import time
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import botocore.exceptions

from clients import MIB, boto

KIB = 1 << 10
BUCKET = "soak"
SIZES = [0, 1, 700] + [4 * KIB] * 8 + [15 * KIB, 17 * KIB, 60 * KIB, 100 * KIB, 300 * KIB, MIB, 2 * MIB + 5]
PART = 5 * MIB


class Wrong(AssertionError):
    """An answer that no order of the operations explains."""


class Unanswered(Exception):
    """It may have happened or not."""


@dataclasses.dataclass(frozen=True)
class Version:
    """An object as it must be read: `etag` is None when no answer named it."""

    size: int
    digest: bytes
    etag: str | None

    @staticmethod
    def of(body, etag=None):
        return Version(len(body), hashlib.sha256(body).digest(), etag or f'"{hashlib.md5(body).hexdigest()}"')

    def is_read_as(self, found):
        return (self.size, self.digest) == (found.size, found.digest) and self.etag in (None, found.etag)


class Http:
    """PUT and DELETE over our own connection: no retry, and the body in pieces, so that a kill meets half of one."""

    def __init__(self, system, timeout):
        url = urllib.parse.urlparse(system.endpoint)
        self.connection = http.client.HTTPConnection(url.hostname, url.port, timeout=timeout)
        self.base = system.endpoint
        key = botocore.credentials.Credentials(system.access_key, system.secret_key)
        self.signer = botocore.auth.S3SigV4Auth(key, "s3", system.ready["region"])

    def send(self, method, key, body=b"", pause=0.0):
        request = botocore.awsrequest.AWSRequest(method, f"{self.base}/{BUCKET}/{key}", data=body or None)
        self.signer.add_auth(request)
        pieces = [body[at : at + 64 * KIB] for at in range(0, len(body), 64 * KIB)]

        def slowly():
            for piece in pieces:
                yield piece
                time.sleep(pause)

        try:
            headers = {**request.headers, "Content-Length": str(len(body))}
            self.connection.request(method, f"/{BUCKET}/{key}", body=slowly() if body else None, headers=headers)
            answer = self.connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            raise Unanswered(repr(error)) from error
        if answer.status >= 500:
            raise Unanswered(f"{answer.status} {text[:200]}")
        if answer.status >= 300:
            raise Wrong(f"{method} {key}: {answer.status} {text[:500]}")
        return answer.getheader("ETag")


def once(system, **config):
    """A boto3 client that asks once: a retry could meet what its own first try did."""
    return boto(system, retries={"total_max_attempts": 1}, connect_timeout=3, read_timeout=30, **config)


def asked(call, **arguments):
    """boto3's answer; 5xx and lost connections are no answer, other errors are what they are."""
    try:
        return call(Bucket=BUCKET, **arguments)
    except botocore.exceptions.ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500 or code(error) == "RequestTimeout":
            raise Unanswered(str(error)) from error
        raise
    except (botocore.exceptions.BotoCoreError, OSError) as error:
        raise Unanswered(repr(error)) from error


def code(error):
    return error.response["Error"]["Code"]


def fetched(s3, key):
    """What a GET finds: a Version, or None."""
    try:
        answer = asked(s3.get_object, Key=key)
    except botocore.exceptions.ClientError as error:
        if code(error) == "NoSuchKey":
            return None
        raise
    try:
        body = answer["Body"].read()
    except (botocore.exceptions.BotoCoreError, OSError) as error:
        raise Unanswered(repr(error)) from error
    return Version.of(body, answer["ETag"])


def listed(s3, prefix=""):
    found, token = {}, {}
    while True:
        page = asked(s3.list_objects_v2, Prefix=prefix, **token)
        found |= {o["Key"]: (o["Size"], o["ETag"]) for o in page.get("Contents", [])}
        if not page["IsTruncated"]:
            return found
        token = {"ContinuationToken": page["NextContinuationToken"]}


class Writer:
    """One thread on keys of its own, so that what they hold is known from its answers alone."""

    KEYS = 24

    def __init__(self, number):
        self.number = number
        self.may = {}  # key -> set of Version or None
        self.doubtful = set()  # keys whose last operation was not answered: left alone until they are verified
        self.uploads = {}  # upload id -> (key, {part number: Version})
        self.ending = set()  # uploads whose end was asked for and not answered
        self.ended = set()
        self.kept = 0
        self.counts = {}

    def serve(self, system, draw, stopping):
        """Operations until told to stop."""
        self.s3 = once(system)
        self.http = Http(system, 20)
        self.draw = draw
        while not stopping.is_set():
            operation = draw.choices([o for o, _ in OPERATIONS], [w for _, w in OPERATIONS])[0]
            try:
                operation(self)
                self.counts[operation.__name__] = self.counts.get(operation.__name__, 0) + 1
            except Unanswered:
                self.counts["unanswered"] = self.counts.get("unanswered", 0) + 1
                time.sleep(0.05)

    def body(self, size=None):
        return self.draw.randbytes(self.draw.choice(SIZES) if size is None else size)

    def key(self, present=False):
        """A settled key; with `present`, one that holds an object. None when there is none."""
        names = [f"w{self.number}/{n:02}" for n in range(self.KEYS)]
        names = [n for n in names if n not in self.doubtful]
        if present:
            names = [n for n in names if self.only(n)]
        return self.draw.choice(names) if names else None

    def only(self, key):
        (version,) = self.may.get(key, {None})
        return version

    def becomes(self, changes, ask):
        """Asks for changes (key -> Version or None). Until the answer each key may hold old or new, then new."""
        for key, version in changes.items():
            self.may[key] = self.may.get(key, {None}) | {version}
        self.doubtful |= changes.keys()
        answer = ask()
        for key, version in changes.items():
            self.may[key] = {version}
        self.doubtful -= changes.keys()
        return answer

    def put_body(self, key, body):
        version = Version.of(body)
        if self.draw.random() < 0.5:
            etag = self.becomes({key: version}, lambda: self.http.send("PUT", key, body, self.draw.choice([0, 0.01])))
        else:
            etag = self.becomes({key: version}, lambda: asked(self.s3.put_object, Key=key, Body=body))["ETag"]
        if etag != version.etag:
            raise Wrong(f"PUT {key}: answered ETag {etag}, MD5 is {version.etag}")

    def put(self):
        if key := self.key():
            self.put_body(key, self.body())

    def keep(self):
        """An object that is never touched again."""
        self.kept += 1
        self.put_body(f"kept/w{self.number}/{self.kept:06}", self.body(self.draw.choice([1, 4 * KIB, 50 * KIB])))

    def delete(self):
        if key := self.key():
            if self.draw.random() < 0.5:
                self.becomes({key: None}, lambda: self.http.send("DELETE", key))
            else:
                self.becomes({key: None}, lambda: asked(self.s3.delete_object, Key=key))

    def delete_many(self):
        keys = {self.key() for _ in range(4)} - {None}
        if keys:
            request = {"Objects": [{"Key": key} for key in keys]}

            def ask():
                answer = asked(self.s3.delete_objects, Delete=request)
                if answer.get("Errors"):
                    raise Unanswered(str(answer["Errors"]))

            self.becomes(dict.fromkeys(keys), ask)

    def copy(self):
        source, target = self.key(present=True), self.key()
        if source and target and source != target:
            version = dataclasses.replace(self.only(source), etag=None)
            answer = self.becomes(
                {target: version}, lambda: asked(self.s3.copy_object, Key=target, CopySource=f"{BUCKET}/{source}"))
            self.may[target] = {dataclasses.replace(version, etag=answer["CopyObjectResult"]["ETag"])}

    def begin_upload(self):
        if len(self.uploads) < 2:
            key = self.key()
            if key:
                self.uploads[asked(self.s3.create_multipart_upload, Key=key)["UploadId"]] = (key, {})

    def upload_part(self):
        if not self.uploads:
            return self.begin_upload()
        upload, (key, parts) = self.draw.choice(list(self.uploads.items()))
        if len(parts) < 3:
            last = self.draw.random() < 0.8
            number = 9 if last else len(parts) + 1
            body = self.body(None if last else PART)
            parts.pop(number, None)  # until the answer: either of them
            answer = asked(self.s3.upload_part, Key=key, UploadId=upload, PartNumber=number, Body=body)
            parts[number] = (Version.of(body, answer["ETag"]), body)

    def complete_upload(self):
        ready = [(u, k, p) for u, (k, p) in self.uploads.items() if p and k not in self.doubtful]
        if not ready:
            return self.upload_part()
        upload, key, parts = self.draw.choice(ready)
        parts = dict(sorted(parts.items()))
        body = b"".join(part for _, part in parts.values())
        md5 = hashlib.md5(b"".join(hashlib.md5(part).digest() for _, part in parts.values())).hexdigest()
        listing = {"Parts": [{"PartNumber": n, "ETag": v.etag} for n, (v, _) in parts.items()]}
        self.end_upload(upload, {key: Version.of(body, f'"{md5}-{len(parts)}"')}, lambda: asked(
            self.s3.complete_multipart_upload, Key=key, UploadId=upload, MultipartUpload=listing))

    def abort_upload(self):
        if self.uploads:
            upload, (key, _) = self.draw.choice(list(self.uploads.items()))
            self.end_upload(upload, {}, lambda: asked(self.s3.abort_multipart_upload, Key=key, UploadId=upload))

    def end_upload(self, upload, changes, ask):
        del self.uploads[upload]
        self.ending.add(upload)
        self.becomes(changes, ask)
        self.ending.discard(upload)
        self.ended.add(upload)

    def get(self):
        if key := self.key():
            self.compare(key, fetched(self.s3, key))

    def list(self):
        prefix = f"w{self.number}/"
        self.compare_listing(listed(self.s3, prefix), prefix)

    def compare(self, key, found):
        """A GET's finding against what may be."""
        may = self.may.get(key, {None})
        if not any(found is version or version and found and version.is_read_as(found) for version in may):
            raise Wrong(f"GET {key}: found {found}, may hold {may}")

    def compare_listing(self, found, prefix):
        """Every settled key is listed as it is, or not at all; nothing else is listed."""
        for key in found.keys() | {key for key in self.may if key.startswith(prefix)}:
            may = self.may.get(key, {None})
            shown = found.get(key)
            if not any(v is None and shown is None or v and shown and (v.size, v.etag or shown[1]) == shown for v in may):
                raise Wrong(f"LIST {prefix}: {key} is shown as {shown}, may be {may}")


OPERATIONS = [
    (Writer.put, 40), (Writer.keep, 4), (Writer.delete, 8), (Writer.delete_many, 3), (Writer.copy, 8), (Writer.get, 10),
    (Writer.list, 5), (Writer.begin_upload, 3), (Writer.upload_part, 5), (Writer.complete_upload, 4), (Writer.abort_upload, 1),
]


class Load:
    """Some writers, over and over: `start`, something happens, `stop`, `verify`."""

    def __init__(self, writers=6):
        self.writers = [Writer(number) for number in range(writers)]
        self.stopping = threading.Event()
        self.bytes_verified = self.objects_verified = 0

    def start(self, system, seed):
        self.stopping.clear()
        self.pool = concurrent.futures.ThreadPoolExecutor(len(self.writers))
        self.runs = [
            self.pool.submit(writer.serve, system, random.Random(f"{seed}/{writer.number}"), self.stopping)
            for writer in self.writers
        ]

    def stop(self):
        """Waits for the writers; what they found wrong is raised."""
        self.stopping.set()
        self.pool.shutdown()
        for run in self.runs:
            run.result()

    def count(self, *operations):
        return sum(writer.counts.get(name, 0) for writer in self.writers for name in operations)

    def answered(self):
        return sum(n for writer in self.writers for name, n in writer.counts.items() if name != "unanswered")

    def verify(self, system, settled, kept=1.0, draw=None):
        """Reads everything and compares. `settled`: no operation of before can still be under way, so that what is
        found in a doubtful key is what stays. `kept` is the share of the untouched objects that is read."""
        s3 = once(system, max_pool_connections=8)
        pairs = [(writer, key) for writer in self.writers for key in writer.may
                 if key in writer.doubtful or not key.startswith("kept/") or draw is None or draw.random() < kept]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda pair: fetched(s3, pair[1]), pairs))
        for (writer, key), version in zip(pairs, found):
            writer.compare(key, version)
            self.objects_verified += version is not None
            self.bytes_verified += version.size if version else 0
            if settled:
                writer.may[key] = {version}
        self.verify_listing(listed(s3))
        self.verify_uploads(s3, settled)
        if settled:
            for writer in self.writers:
                writer.doubtful.clear()

    def verify_listing(self, found):
        known = {key for writer in self.writers for key in writer.may}
        if strangers := found.keys() - known:
            raise Wrong(f"LIST: nobody wrote {sorted(strangers)[:5]}")
        for writer in self.writers:
            for prefix in (f"w{writer.number}/", f"kept/w{writer.number}/"):
                writer.compare_listing({k: v for k, v in found.items() if k.startswith(prefix)}, prefix)

    def verify_uploads(self, s3, settled):
        """Every upload that was answered is there with every part that was; every ended one is gone."""
        there = {upload["UploadId"]: upload["Key"] for upload in asked(s3.list_multipart_uploads).get("Uploads", [])}
        for writer in self.writers:
            if lost := writer.uploads.keys() - there.keys():
                raise Wrong(f"LIST uploads: {lost} are gone")
            if back := writer.ended & there.keys():
                raise Wrong(f"LIST uploads: {back} had been ended")
            for upload, (key, parts) in writer.uploads.items():
                shown = {p["PartNumber"]: (p["Size"], p["ETag"])
                         for p in asked(s3.list_parts, Key=key, UploadId=upload).get("Parts", [])}
                for number, (version, _) in parts.items():
                    if shown.get(number) != (version.size, version.etag):
                        raise Wrong(f"LIST parts of {key}: part {number} is {shown.get(number)}, was {version}")
        if settled:  # uploads whose beginning or end was not answered are nobody's
            for upload in there.keys() - set().union(*(writer.uploads for writer in self.writers)):
                asked(s3.abort_multipart_upload, Key=there[upload], UploadId=upload)
