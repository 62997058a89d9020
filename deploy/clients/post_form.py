"""Uploads by an HTML form: boto3's presigned posts and forms made by hand, every condition, every refusal."""

import base64
import datetime
import hashlib
import hmac
import json
import secrets
import urllib.parse

from clients import boto
from raw import answered, send
from semantics import bucket, refused

BOUNDARY = "----holdfast-form"


def form(fields, file=b"body", filename="name.txt", after=()):
    """multipart/form-data: the fields in their order, then the file, then what comes too late."""
    lines = []
    for name, value in fields:
        lines.append(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode())
    if file is not None:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n'
        lines.append(head.encode() + b"Content-Type: text/plain\r\n\r\n" + file + b"\r\n")
    for name, value in after:
        lines.append(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode())
    return b"".join(lines) + f"--{BOUNDARY}--\r\n".encode()


def post(system, target, fields, **arguments):
    body = form(fields, **arguments)
    return send(system, "POST", target, body=body, signed=False,
                headers={"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})


class Poster:
    """A bucket, and forms for it whose policy says what the test wants."""

    def __init__(self, system, word):
        self.system, self.s3 = system, boto(system, signature_version="s3v4")
        self.name = bucket(self.s3, word)

    def presigned(self, key="k", fields=None, conditions=None, **arguments):
        made = self.s3.generate_presigned_post(self.name, key, Fields=fields, Conditions=conditions, **arguments)
        assert urllib.parse.urlparse(made["url"]).path == f"/{self.name}"
        return dict(made["fields"])

    def send(self, fields, **arguments):
        return post(self.system, f"/{self.name}", list(fields.items()), **arguments)

    def stored(self, key):
        got = self.s3.get_object(Bucket=self.name, Key=key)
        return got["Body"].read(), got

    def nothing(self, key="k"):
        refused("404", 404, self.s3.head_object, Bucket=self.name, Key=key)

    def by_policy(self, conditions, fields, expiration=None, document=None):
        """Fields signed over a policy document of our own."""
        made = self.presigned()
        signed = {name: made[name] for name in ("x-amz-algorithm", "x-amz-credential", "x-amz-date")}
        soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=5)
        policy = document or json.dumps({"expiration": expiration or soon.strftime("%Y-%m-%dT%H:%M:%SZ"), "conditions": [
            *conditions, *({name: value} for name, value in signed.items())]})
        encoded = base64.b64encode(policy.encode()).decode()
        return {**signed, **fields, "policy": encoded, "x-amz-signature": self._signature(signed, encoded)}

    def _signature(self, signed, encoded):
        key = ("AWS4" + self.system.secret_key).encode()
        for word in signed["x-amz-credential"].split("/")[1:]:
            key = hmac.new(key, word.encode(), hashlib.sha256).digest()
        return hmac.new(key, encoded.encode(), hashlib.sha256).hexdigest()


def uploads(system, home):
    to = Poster(system, "post")
    answer = answered(to.send(to.presigned()), 204)
    assert answer.headers["etag"] == f'"{hashlib.md5(b"body").hexdigest()}"' and answer.headers["location"].endswith(f"/{to.name}/k")
    assert to.stored("k")[0] == b"body"
    for size in (0, 1, 70_001, 3_000_000):
        body = secrets.token_bytes(size)
        answered(to.send(to.presigned(f"size/{size}"), file=body), 204)
        assert to.stored(f"size/{size}")[0] == body
    tricky = b"\r\n--" + BOUNDARY.encode()[:-1] + b"\r\n--\r\n" + BOUNDARY.encode()
    answered(to.send(to.presigned("tricky"), file=tricky), 204)
    assert to.stored("tricky")[0] == tricky
    answered(to.send({name.upper(): value for name, value in to.presigned("cases").items()}), 204)


def keys_from_file_names(system, home):
    to = Poster(system, "names")
    for filename, key in (("report.txt", "in/report.txt"), ("a b.txt", "in/a b.txt"), ("ü.txt", "in/ü.txt"),
                          ("C:\\dir\\win.txt", "in/win.txt"), ("/tmp/unix.txt", "in/unix.txt")):
        answered(to.send(to.presigned("in/${filename}"), filename=filename), 204)
        assert to.stored(key)[0] == b"body", key


def success_actions(system, home):
    to = Poster(system, "actions")
    for status, wanted in (("200", 200), ("201", 201), ("204", 204), ("404", 204), ("created", 204)):
        extra = {"success_action_status": status}
        answer = to.send(to.presigned(fields=extra, conditions=[extra]))
        assert answer.status == wanted, (status, answer)
        if wanted == 201:
            etag = f'"{hashlib.md5(b"body").hexdigest()}"'
            assert [answer.texts(e) for e in ("Bucket", "Key", "ETag")] == [[to.name], ["k"], [etag]], answer
            assert answer.texts("Location")[0].endswith(f"/{to.name}/k")
        else:
            assert answer.body == b""
    for field in ("success_action_redirect", "redirect"):
        extra = {field: "http://example.com/done?x=1"}
        answer = to.send(to.presigned(fields=extra, conditions=[extra]))
        where = urllib.parse.urlparse(answer.headers["location"])
        query = dict(urllib.parse.parse_qsl(where.query))
        assert answer.status == 303 and where.netloc == "example.com" and query["x"] == "1"
        assert (query["bucket"], query["key"], query["etag"]) == (to.name, "k", f'"{hashlib.md5(b"body").hexdigest()}"')
    extra = {"success_action_redirect": "no url"}
    assert to.send(to.presigned(fields=extra, conditions=[extra])).status in (200, 204), "what is no URL is passed over"


def conditions_are_enforced(system, home):
    to = Poster(system, "conditions")
    base = [{"bucket": to.name}]
    for conditions, fields, code in [
        ([["eq", "$key", "k"]], {"key": "k"}, None), ([{"key": "k"}], {"key": "k"}, None),
        ([{"key": "k"}], {"key": "other"}, "AccessDenied"),
        ([["starts-with", "$key", "in/"]], {"key": "in/x"}, None), ([["starts-with", "$key", "in/"]], {"key": "out/x"}, "AccessDenied"),
        ([["starts-with", "$key", ""]], {"key": "any"}, None), ([["eq", "$key", "K"]], {"key": "k"}, "AccessDenied"),
        ([["starts-with", "$key", "in/"]], {"key": "in/${filename}"}, None),
        ([{"key": "k"}, ["starts-with", "$Content-Type", "image/"]], {"key": "k", "Content-Type": "image/png"}, None),
        ([{"key": "k"}, ["starts-with", "$Content-Type", "image/"]], {"key": "k", "Content-Type": "text/plain"}, "AccessDenied"),
        ([{"key": "k"}, ["starts-with", "$Content-Type", "image/"]], {"key": "k"}, "AccessDenied"),
        ([{"key": "k"}], {"key": "k", "x-amz-meta-extra": "1"}, "AccessDenied"),
        ([{"key": "k"}], {"key": "k", "x-ignore-extra": "1"}, None),
        ([{"key": "k"}, {"x-amz-meta-a": "1"}], {"key": "k", "x-amz-meta-a": "1"}, None),
        ([{"key": "k"}, {"x-amz-meta-a": "1"}], {"key": "k", "x-amz-meta-a": "2"}, "AccessDenied"),
        ([{"key": "k"}, {"x-amz-meta-a": "1"}], {"key": "k"}, "AccessDenied"),
        ([{"key": "k"}, ["content-length-range", 4, 4]], {"key": "k"}, None),
        ([{"key": "k"}, ["content-length-range", 5, 10]], {"key": "k"}, "EntityTooSmall"),
        ([{"key": "k"}, ["content-length-range", 0, 3]], {"key": "k"}, "EntityTooLarge"),
        ([{"key": "k"}, ["between", "$key", "k"]], {"key": "k"}, "InvalidPolicyDocument"),
        ([{"key": "k"}, ["eq", "key", "k"]], {"key": "k"}, "AccessDenied"),  # well-formed, and true of no form
    ]:
        answer = to.send(to.by_policy([*base, *conditions], fields))
        wanted = {None: (204, ""), "AccessDenied": (403, code)}.get(code, (400, code))
        assert (answer.status, answer.code) == wanted, (conditions, fields, answer)
    for conditions in ([{"key": "k"}], [{"key": "k"}, {"bucket": "another-bucket"}]):
        answered(to.send(to.by_policy(conditions, {"key": "k"})), 403, "AccessDenied")


def the_bucket_is_that_of_the_url(system, home):
    """A form field `bucket` that the policy allows does not open another bucket."""
    to, other = Poster(system, "mine"), Poster(system, "theirs")
    fields = to.by_policy([{"bucket": to.name}, {"key": "k"}], {"key": "k", "bucket": to.name})
    answered(post(system, f"/{other.name}", list(fields.items())), 403, "AccessDenied")
    other.nothing()
    answered(to.send(fields), 204)


def policies_that_are_none(system, home):
    to = Poster(system, "policies")
    base = [{"bucket": to.name}, {"key": "k"}]
    for expiration in ("2001-01-01T00:00:00Z", "2001-01-01T00:00:00.000Z"):
        answered(to.send(to.by_policy(base, {"key": "k"}, expiration=expiration)), 403, "AccessDenied")
    for document in ("", "no json", "[]", "{}", '{"conditions": []}', '{"expiration": "2099-01-01T00:00:00Z"}',
                     '{"expiration": "tomorrow", "conditions": []}', '{"expiration": "2099-01-01T00:00:00Z", "conditions": {}}',
                     '{"expiration": "2099-01-01T00:00:00Z", "conditions": [["content-length-range", "a", "b"]]}'):
        answer = to.send(to.by_policy([], {"key": "k"}, document=document or " "))
        assert answer.status in (400, 403) and answer.code in ("InvalidPolicyDocument", "AccessDenied"), (document, answer)
    fields = to.presigned()
    answered(to.send({**fields, "policy": fields["policy"][:-4] + "AAAA"}), 403, "SignatureDoesNotMatch")
    answered(to.send({**fields, "x-amz-signature": "0" * 64}), 403, "SignatureDoesNotMatch")
    unknown = fields["x-amz-credential"].split("/", 1)[1]
    answered(to.send({**fields, "x-amz-credential": f"AKIDOESNOTEXIST/{unknown}"}), 403, "InvalidAccessKeyId")
    to.nothing()


def fields_that_are_missing(system, home):
    to = Poster(system, "missing")
    fields = to.presigned()
    for name in ("x-amz-signature", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "key"):
        answered(to.send({n: v for n, v in fields.items() if n != name}), 400, "InvalidArgument")
    answered(to.send({"key": "k"}), 403, "AccessDenied")
    answered(to.send(fields, file=None), 400, "InvalidArgument")
    late = {n: v for n, v in fields.items() if n != "key"}
    answered(post(system, f"/{to.name}", list(late.items()), after=[("key", "k")]), 400, "InvalidArgument")
    answered(post(system, f"/{to.name}/k", list(fields.items())), 405, "MethodNotAllowed")
    answered(post(system, f"/{to.name}-none", list(fields.items())), 404, "NoSuchBucket")
    to.nothing()


def bodies_that_are_no_form(system, home):
    to = Poster(system, "bodies")
    fields = list(to.presigned().items())
    multipart = f"multipart/form-data; boundary={BOUNDARY}"
    for body, kind in ((b"", multipart), (b"no form at all", multipart), (form(fields)[:-60], multipart),
                       (form(fields), "multipart/form-data"),
                       (form(fields).replace(b"name=", b"nome="), multipart)):
        answer = send(system, "POST", f"/{to.name}", body=body, headers={"Content-Type": kind}, signed=False)
        assert answer.status == 400 and answer.code in ("MalformedPOSTRequest", "InvalidArgument", "IncompleteBody"), (body[:50], answer)
    long = [*fields, ("x-ignore-long", "x" * 30_000)]
    answered(post(system, f"/{to.name}", long), 400, "MaxPostPreDataLengthExceededError")
    to.nothing()


def what_a_form_says_of_the_object(system, home):
    to = Poster(system, "said")
    said = {"Content-Type": "image/png", "Cache-Control": "no-store", "Content-Disposition": "attachment", "Content-Encoding": "gzip",
            "Expires": "Thu, 01 Dec 2033 16:00:00 GMT", "x-amz-meta-a": "1", "x-amz-meta-empty": "",
            "x-amz-storage-class": "STANDARD_IA",
            "tagging": "<Tagging><TagSet><Tag><Key>t</Key><Value>1</Value></Tag></TagSet></Tagging>",
            "x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(b"body").digest()).decode()}
    answered(to.send(to.presigned(fields=said, conditions=[{n: v} for n, v in said.items()])), 204)
    body, got = to.stored("k")
    assert body == b"body" and got["ContentType"] == "image/png" and got["Metadata"] == {"a": "1", "empty": ""}
    assert (got["CacheControl"], got["ContentDisposition"], got["ContentEncoding"]) == ("no-store", "attachment", "gzip")
    assert got["StorageClass"] == "STANDARD_IA" and got["TagCount"] == 1
    sums = to.s3.head_object(Bucket=to.name, Key="k", ChecksumMode="ENABLED")
    assert sums["ChecksumSHA256"] == said["x-amz-checksum-sha256"]
    wrong = {"x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(b"other").digest()).decode()}
    answered(to.send(to.presigned("w", fields=wrong, conditions=[wrong])), 400, "BadDigest")
    tags = {"tagging": "<Tagging><TagSet>"}
    answered(to.send(to.presigned("w", fields=tags, conditions=[tags])), 400, "MalformedXML")
    to.nothing("w")


ALL = [
    uploads, keys_from_file_names, success_actions, conditions_are_enforced, the_bucket_is_that_of_the_url, policies_that_are_none,
    fields_that_are_missing, bodies_that_are_no_form, what_a_form_says_of_the_object,
]
