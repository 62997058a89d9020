"""Conditional requests: reads and their precedence, writes, deletes, copies, and races that exactly one wins."""

import concurrent.futures
import datetime
import os

import botocore.exceptions

from clients import boto
from raw import answered, headers_of, send
from semantics import bucket, refused

WRONG = '"00000000000000000000000000000000"'
RACERS, CONNECTIONS = 256, 64


def reads_and_their_precedence(system, home):
    s3 = boto(system)
    name = bucket(s3, "reads")
    etag = s3.put_object(Bucket=name, Key="k", Body=b"body")["ETag"]
    modified = s3.head_object(Bucket=name, Key="k")["LastModified"]
    past = modified - datetime.timedelta(hours=1)
    for conditions, status in [
        ({"IfMatch": etag}, 200), ({"IfMatch": etag.strip('"')}, 200), ({"IfMatch": "*"}, 200), ({"IfMatch": WRONG}, 412),
        ({"IfMatch": f"{WRONG}, {etag}"}, 200),
        ({"IfNoneMatch": etag}, 304), ({"IfNoneMatch": etag.strip('"')}, 304), ({"IfNoneMatch": "*"}, 304),
        ({"IfNoneMatch": WRONG}, 200), ({"IfNoneMatch": f"W/{etag}"}, 304),
        ({"IfModifiedSince": past}, 200), ({"IfModifiedSince": modified}, 304),
        ({"IfUnmodifiedSince": past}, 412), ({"IfUnmodifiedSince": modified}, 200),
        ({"IfMatch": etag, "IfUnmodifiedSince": past}, 200),
        ({"IfMatch": WRONG, "IfUnmodifiedSince": modified}, 412),
        ({"IfNoneMatch": etag, "IfModifiedSince": past}, 304),
        ({"IfNoneMatch": WRONG, "IfModifiedSince": modified}, 200),
        ({"IfMatch": etag, "IfNoneMatch": etag}, 304),
        ({"IfMatch": WRONG, "IfNoneMatch": etag}, 412),
        ({"IfUnmodifiedSince": past, "IfModifiedSince": modified}, 412),
    ]:
        for call, failed in ((s3.get_object, "PreconditionFailed"), (s3.head_object, "412")):
            if status == 200:
                assert call(Bucket=name, Key="k", **conditions)["ContentLength"] == 4, conditions
                continue
            code = "304" if status == 304 else failed
            error = refused(code, status, call, Bucket=name, Key="k", **conditions)
            assert status != 304 or headers_of(error)["etag"] == etag
    refused("PreconditionFailed", 412, s3.get_object, Bucket=name, Key="k", IfMatch=WRONG, Range="bytes=0-1")
    assert s3.get_object(Bucket=name, Key="k", IfMatch=etag, Range="bytes=1-2")["Body"].read() == b"od"
    refused("NoSuchKey", 404, s3.get_object, Bucket=name, Key="none", IfMatch="*")
    refused("NoSuchKey", 404, s3.get_object, Bucket=name, Key="none", IfNoneMatch="*")
    for header in ("If-Modified-Since", "If-Unmodified-Since"):  # a date that is none is passed over
        answered(send(system, "GET", f"/{name}/k", headers={header: "yesterday"}), 200)


def a_date_to_come_is_passed_over(system, home):
    s3 = boto(system)
    name = bucket(s3, "future")
    s3.put_object(Bucket=name, Key="k", Body=b"body")
    future = s3.head_object(Bucket=name, Key="k")["LastModified"] + datetime.timedelta(days=400)
    for call in (s3.get_object, s3.head_object):
        assert call(Bucket=name, Key="k", IfModifiedSince=future)["ContentLength"] == 4
        assert call(Bucket=name, Key="k", IfUnmodifiedSince=future)["ContentLength"] == 4
    s3.copy_object(Bucket=name, Key="c", CopySource={"Bucket": name, "Key": "k"}, CopySourceIfModifiedSince=future)


def failures_name_the_condition(system, home):
    s3 = boto(system)
    name = bucket(s3, "named")
    etag = s3.put_object(Bucket=name, Key="k", Body=b"body")["ETag"]
    where, source = {"Bucket": name, "Key": "k"}, {"Bucket": name, "Key": "c", "CopySource": {"Bucket": name, "Key": "k"}}
    past = s3.head_object(**where)["LastModified"] - datetime.timedelta(hours=1)
    for condition, call, arguments in [
        ("If-Match", s3.get_object, {**where, "IfMatch": WRONG}),
        ("If-Unmodified-Since", s3.get_object, {**where, "IfUnmodifiedSince": past}),
        ("If-None-Match", s3.put_object, {**where, "IfNoneMatch": "*"}),
        ("If-Match", s3.put_object, {**where, "IfMatch": WRONG}),
        ("If-None-Match", s3.complete_multipart_upload, {**begun(s3, name), "IfNoneMatch": "*"}),
        ("x-amz-copy-source-If-Match", s3.copy_object, {**source, "CopySourceIfMatch": WRONG}),
        ("x-amz-copy-source-If-None-Match", s3.copy_object, {**source, "CopySourceIfNoneMatch": etag}),
        ("x-amz-copy-source-If-Unmodified-Since", s3.copy_object, {**source, "CopySourceIfUnmodifiedSince": past}),
    ]:
        error = refused("PreconditionFailed", 412, call, **arguments)["Error"]
        assert error.get("Condition") == condition, (condition, error)


def puts(system, home):
    s3 = boto(system)
    name = bucket(s3, "puts")

    def put(**conditions):
        return s3.put_object(Bucket=name, Key="k", Body=os.urandom(9), **conditions)

    refused("NoSuchKey", 404, put, IfMatch=WRONG)
    etag = put(IfNoneMatch="*")["ETag"]
    refused("PreconditionFailed", 412, put, IfNoneMatch="*")
    refused("PreconditionFailed", 412, put, IfMatch=WRONG)
    assert s3.head_object(Bucket=name, Key="k")["ETag"] == etag
    etag = put(IfMatch=etag)["ETag"]
    etag = put(IfMatch=etag.strip('"'))["ETag"]
    etag = put(IfMatch="*")["ETag"]
    refused("NotImplemented", 501, put, IfNoneMatch=etag)
    refused("NotImplemented", 501, put, IfMatch=etag, IfNoneMatch="*")
    s3.delete_object(Bucket=name, Key="k")
    for condition in (etag, "*"):
        refused("NoSuchKey", 404, put, IfMatch=condition)
    put(IfNoneMatch="*")
    answered(send(system, "PUT", f"/{name}/k", headers={"If-Modified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"}),
             501, "NotImplemented")


def begun(s3, name, key="k"):
    """An upload of one small part, and what completes it."""
    upload = s3.create_multipart_upload(Bucket=name, Key=key)["UploadId"]
    tag = s3.upload_part(Bucket=name, Key=key, UploadId=upload, PartNumber=1, Body=upload.encode())["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": tag}]}
    return {"Bucket": name, "Key": key, "UploadId": upload, "MultipartUpload": parts}


def completions(system, home):
    s3 = boto(system)
    name = bucket(s3, "complete")
    done = s3.complete_multipart_upload(**begun(s3, name), IfNoneMatch="*")
    complete = begun(s3, name)
    refused("PreconditionFailed", 412, s3.complete_multipart_upload, **complete, IfNoneMatch="*")
    refused("PreconditionFailed", 412, s3.complete_multipart_upload, **complete, IfMatch=WRONG)
    refused("NotImplemented", 501, s3.complete_multipart_upload, **complete, IfNoneMatch=done["ETag"])
    assert s3.list_parts(Bucket=name, Key="k", UploadId=complete["UploadId"])["Parts"], "a refusal took the parts"
    s3.complete_multipart_upload(**complete, IfMatch=done["ETag"])
    refused("NoSuchKey", 404, s3.complete_multipart_upload, **begun(s3, name, "none"), IfMatch=WRONG)


def deletes(system, home):
    s3 = boto(system)
    name = bucket(s3, "delete")
    for condition in (WRONG, "*"):
        refused("NoSuchKey", 404, s3.delete_object, Bucket=name, Key="none", IfMatch=condition)
    etag = s3.put_object(Bucket=name, Key="k", Body=b"x")["ETag"]
    refused("PreconditionFailed", 412, s3.delete_object, Bucket=name, Key="k", IfMatch=WRONG)
    s3.delete_object(Bucket=name, Key="k", IfMatch=etag)
    s3.put_object(Bucket=name, Key="k", Body=b"x")
    s3.delete_object(Bucket=name, Key="k", IfMatch="*")
    refused("404", 404, s3.head_object, Bucket=name, Key="k")
    for key in ("right", "wrong", "free"):
        s3.put_object(Bucket=name, Key=key, Body=b"x")
    answer = s3.delete_objects(Bucket=name, Delete={"Objects": [
        {"Key": "right", "ETag": etag}, {"Key": "wrong", "ETag": WRONG}, {"Key": "free"}]})
    assert sorted(e["Key"] for e in answer["Deleted"]) == ["free", "right"]
    assert [(e["Key"], e["Code"]) for e in answer["Errors"]] == [("wrong", "PreconditionFailed")]
    assert s3.head_object(Bucket=name, Key="wrong")


def copy_sources(system, home):
    s3 = boto(system)
    name = bucket(s3, "source")
    etag = s3.put_object(Bucket=name, Key="s", Body=b"x")["ETag"]
    modified = s3.head_object(Bucket=name, Key="s")["LastModified"]
    past = modified - datetime.timedelta(hours=1)
    upload = s3.create_multipart_upload(Bucket=name, Key="part")["UploadId"]
    where = {"Bucket": name, "CopySource": {"Bucket": name, "Key": "s"}}
    calls = [(s3.copy_object, {**where, "Key": "t"}),
             (s3.upload_part_copy, {**where, "Key": "part", "UploadId": upload, "PartNumber": 1})]
    for conditions, holds in [
        ({"CopySourceIfMatch": etag}, True), ({"CopySourceIfMatch": WRONG}, False),
        ({"CopySourceIfNoneMatch": WRONG}, True), ({"CopySourceIfNoneMatch": etag}, False),
        ({"CopySourceIfNoneMatch": etag.strip('"')}, False),
        ({"CopySourceIfModifiedSince": past}, True), ({"CopySourceIfModifiedSince": modified}, False),
        ({"CopySourceIfUnmodifiedSince": modified}, True), ({"CopySourceIfUnmodifiedSince": past}, False),
        ({"CopySourceIfMatch": etag, "CopySourceIfUnmodifiedSince": past}, True),
        ({"CopySourceIfNoneMatch": etag, "CopySourceIfModifiedSince": past}, False),
    ]:
        for call, arguments in calls:
            if holds:
                call(**arguments, **conditions)
            else:
                refused("PreconditionFailed", 412, call, **arguments, **conditions)


def copy_targets(system, home):
    s3 = boto(system)
    name = bucket(s3, "target")
    s3.put_object(Bucket=name, Key="s", Body=b"x")

    def copy(**conditions):
        return s3.copy_object(Bucket=name, Key="t", CopySource={"Bucket": name, "Key": "s"}, **conditions)

    refused("NoSuchKey", 404, copy, IfMatch=WRONG)
    etag = copy(IfNoneMatch="*")["CopyObjectResult"]["ETag"]
    refused("PreconditionFailed", 412, copy, IfNoneMatch="*")
    refused("PreconditionFailed", 412, copy, IfMatch=WRONG)
    copy(IfMatch=etag)


def outcomes(attempts, connections=CONNECTIONS):
    """Runs attempts at once; how many won, and the codes of the others."""
    def tried(attempt):
        try:
            attempt()
            return None
        except botocore.exceptions.ClientError as error:
            return error.response["Error"]["Code"]

    with concurrent.futures.ThreadPoolExecutor(connections) as pool:
        codes = list(pool.map(tried, attempts))
    return codes.count(None), {code for code in codes if code}


def races_have_one_winner(system, home):
    s3 = boto(system, max_pool_connections=CONNECTIONS)
    name = bucket(s3, "race")
    lost = {"PreconditionFailed", "ConditionalRequestConflict"}
    won, codes = outcomes([lambda n=n: s3.put_object(Bucket=name, Key="put", Body=str(n).encode(), IfNoneMatch="*")
                           for n in range(RACERS)])
    assert won == 1 and codes <= lost, (won, codes)
    etag = s3.head_object(Bucket=name, Key="put")["ETag"]
    won, codes = outcomes([lambda n=n: s3.put_object(Bucket=name, Key="put", Body=f"next {n}".encode(), IfMatch=etag)
                           for n in range(RACERS)])
    assert won == 1 and codes <= lost, (won, codes)
    uploads = [begun(s3, name, "complete") for _ in range(16)]
    won, codes = outcomes([lambda u=u: s3.complete_multipart_upload(**u, IfNoneMatch="*") for u in uploads])
    assert won == 1 and codes <= lost, (won, codes)
    won, codes = outcomes([lambda: s3.copy_object(Bucket=name, Key="copy", CopySource={"Bucket": name, "Key": "put"},
                                                  IfNoneMatch="*") for _ in range(64)])
    assert won == 1 and codes <= lost, (won, codes)
    etag = s3.head_object(Bucket=name, Key="put")["ETag"]
    won, codes = outcomes([lambda: s3.delete_object(Bucket=name, Key="put", IfMatch=etag) for _ in range(64)])
    assert won == 1 and codes <= {*lost, "NoSuchKey"}, (won, codes)


def a_counter_counts_every_winner(system, home):
    """Compare-and-set by If-Match from many connections: the final value is the number of writes that succeeded."""
    s3 = boto(system, max_pool_connections=CONNECTIONS)
    name = bucket(s3, "counter")
    s3.put_object(Bucket=name, Key="n", Body=b"0")

    def add():
        got = s3.get_object(Bucket=name, Key="n")
        s3.put_object(Bucket=name, Key="n", Body=str(int(got["Body"].read()) + 1).encode(), IfMatch=got["ETag"])

    won, codes = outcomes([add] * 200, connections=24)
    assert won > 0 and codes <= {"PreconditionFailed", "ConditionalRequestConflict"}, codes
    assert s3.get_object(Bucket=name, Key="n")["Body"].read() == str(won).encode()


ALL = [
    reads_and_their_precedence, a_date_to_come_is_passed_over, failures_name_the_condition, puts,
    completions, deletes, copy_sources, copy_targets,
    races_have_one_winner, a_counter_counts_every_winner,
]
