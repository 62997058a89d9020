"""Races of which exactly one wins: hundreds of requests whose last byte leaves at once, each over its own connection.

What a thread pool of SDKs sends arrives one after the other on a small machine. Here every connection holds all of its request but one
byte, so that all the cores that accepted them have them whole at the same moment.
"""

import concurrent.futures
import http.client
import os
import selectors
import socket
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials

from clients import boto
from conditional import begun
from raw import Answer
from semantics import bucket
from versioning import history, set_versioning

RACERS = 256
LOST = {"PreconditionFailed", "ConditionalRequestConflict"}


def volley(system, requests):
    """The answers to (method, target, headers, body) that are all sent at once."""
    lines = [held_back(system, *request) for request in requests]
    for line, last in lines:
        line.sendall(last)
    with selectors.DefaultSelector() as waiting:
        for line, _ in lines:
            waiting.register(line, selectors.EVENT_READ)
        answers = []
        while waiting.get_map():
            ready = waiting.select(60)
            assert ready, f"{len(waiting.get_map())} of {len(lines)} requests were never answered"
            for key, _ in ready:
                waiting.unregister(key.fileobj)
                response = http.client.HTTPResponse(key.fileobj)
                response.begin()
                answers.append(Answer(response))
                key.fileobj.close()
    return answers


def held_back(system, method, target, headers, body):
    """A connection that has the request but its last byte, and that byte."""
    url = urllib.parse.urlparse(system.endpoint)
    request = botocore.awsrequest.AWSRequest(method, system.endpoint + target, headers=headers, data=body)
    keys = botocore.credentials.Credentials(system.access_key, system.secret_key)
    botocore.auth.S3SigV4Auth(keys, "s3", system.ready["region"]).add_auth(request)
    lines = [f"{method} {target} HTTP/1.1", f"Host: {url.netloc}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    whole = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    line = socket.create_connection((url.hostname, url.port), timeout=60)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    line.sendall(whole[:-1])
    return line, whole[-1:]


def one_wins(answers, lost=LOST):
    won = [answer for answer in answers if answer.status in (200, 204) and b"<Error>" not in answer.body]
    codes = {answer.code for answer in answers if answer not in won}
    assert len(won) == 1 and codes <= lost, (len(won), codes)
    return won[0]


def puts(name, key, condition, racers=RACERS):
    return [("PUT", f"/{name}/{key}", condition, f"{os.urandom(8).hex()} {number}".encode()) for number in range(racers)]


def completions(s3, name, key, condition, racers):
    """Each of an upload of its own."""
    def request(_):
        upload = begun(s3, name, key)
        etag = upload["MultipartUpload"]["Parts"][0]["ETag"]
        body = f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
        return "POST", f"/{name}/{key}?uploadId={upload['UploadId']}", condition, body.encode()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return list(pool.map(request, range(racers)))


def copies(name, key, source, condition, racers=RACERS):
    return [("PUT", f"/{name}/{key}", {"x-amz-copy-source": f"/{name}/{source}", **condition}, b"") for _ in range(racers)]


def stage(s3, status):
    name = bucket(s3, f"race-{status.lower() or 'never'}")
    if status:
        set_versioning(s3, name, status)
    s3.put_object(Bucket=name, Key="source", Body=b"source")
    return name


STATUSES = ("", "Enabled", "Suspended")


def creators(system, home):
    """`If-None-Match: *`, where nothing was, and where a delete marker is."""
    s3, none = boto(system), {"If-None-Match": "*"}
    for status in STATUSES:
        name = stage(s3, status)
        for turn, racers in enumerate((RACERS, 64)):
            for key, requests in [("put", puts(name, "put", none, racers)),
                                  ("complete", completions(s3, name, "complete", none, racers // 4)),
                                  ("copy", copies(name, "copy", "source", none, racers))]:
                won = one_wins(volley(system, requests))
                head = s3.head_object(Bucket=name, Key=key)
                assert won.headers.get("etag", head["ETag"]) == head["ETag"], (status, key)
                assert won.headers.get("x-amz-version-id", head.get("VersionId")) == head.get("VersionId")
                objects = [entry for entry in history(s3, name, Prefix=key) if not entry[3]]
                assert len(objects) == (turn + 1 if status == "Enabled" else 1), "a loser left a version"
                s3.delete_object(Bucket=name, Key=key)


def overwriters(system, home):
    """`If-Match` of the same ETag: whoever wins changes it for all others."""
    s3 = boto(system)
    for status in STATUSES:
        name = stage(s3, status)
        for make in (lambda when: puts(name, "k", when), lambda when: completions(s3, name, "k", when, 32),
                     lambda when: copies(name, "k", "source", when, 128)):
            etag = s3.put_object(Bucket=name, Key="k", Body=os.urandom(8))["ETag"]
            requests = make({"If-Match": etag})
            before = len(history(s3, name, Prefix="k"))
            one_wins(volley(system, requests))
            assert s3.head_object(Bucket=name, Key="k")["ETag"] != etag
            assert len(history(s3, name, Prefix="k")) == before + (status == "Enabled")


def deleters(system, home):
    """`If-Match` on DELETE: one takes it away, or hides it; the others find nothing, or a marker that matches nothing."""
    s3 = boto(system)
    for status in STATUSES:
        name = stage(s3, status)
        etag = s3.put_object(Bucket=name, Key="k", Body=b"x")["ETag"]
        answers = volley(system, [("DELETE", f"/{name}/k", {"If-Match": etag}, b"")] * 128)
        won = one_wins(answers, LOST | {"NoSuchKey"})
        assert won.headers.get("x-amz-delete-marker") == ("true" if status else None)
        assert sum(entry[3] for entry in history(s3, name, Prefix="k")) == bool(status), "more than one marker"


def creators_against_deleters(system, home):
    """As many objects were created as were deleted, or one more: no success undid or repeated another."""
    s3 = boto(system)
    name = stage(s3, "")
    requests = []
    for create in puts(name, "k", {"If-None-Match": "*"}, 128):
        requests += [create, ("DELETE", f"/{name}/k", {"If-Match": "*"}, b"")]
    answers = volley(system, requests)
    created, deleted = (sum(answer.status == status for answer in answers) for status in (200, 204))
    left = s3.list_objects_v2(Bucket=name, Prefix="k")["KeyCount"]
    assert created >= 1 and created - deleted == left, (created, deleted, left)
    assert {answer.code for answer in answers} <= LOST | {"", "NoSuchKey"}


ALL = [creators, overwriters, deleters, creators_against_deleters]
