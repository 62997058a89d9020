"""Multipart uploads in every order: parts, completions, aborts, listings, and reading the object part by part."""

import hashlib
import os
import threading
import urllib.parse

from clients import MIB, boto
from raw import answered, send
from semantics import bucket, dial, refused


def begin(s3, name, key="m", **arguments):
    return s3.create_multipart_upload(Bucket=name, Key=key, **arguments)["UploadId"]


def put(s3, name, upload, number, body, key="m", **arguments):
    return s3.upload_part(Bucket=name, Key=key, UploadId=upload, PartNumber=number, Body=body, **arguments)["ETag"]


def complete(s3, name, upload, parts, key="m", **arguments):
    """`parts` by number: the ETags."""
    listed = [{"PartNumber": number, "ETag": tag} for number, tag in parts]
    return s3.complete_multipart_upload(Bucket=name, Key=key, UploadId=upload, MultipartUpload={"Parts": listed}, **arguments)


def parts_in_any_order(system, home):
    """Out of order, overwritten, skipped, up to number 10,000."""
    s3 = boto(system)
    name = bucket(s3, "order")
    upload = begin(s3, name)
    last = put(s3, name, upload, 10_000, b"last")
    old = put(s3, name, upload, 2, os.urandom(5 * MIB))
    first, second = os.urandom(5 * MIB), os.urandom(5 * MIB + 1)
    one, two = put(s3, name, upload, 1, first), put(s3, name, upload, 2, second)
    put(s3, name, upload, 777, b"never named")
    assert [(p["PartNumber"], p["Size"]) for p in s3.list_parts(Bucket=name, Key="m", UploadId=upload)["Parts"]] == [
        (1, 5 * MIB), (2, 5 * MIB + 1), (777, 11), (10_000, 4)]
    refused("InvalidPart", 400, complete, s3=s3, name=name, upload=upload, parts=[(1, one), (2, old), (10_000, last)])
    done = complete(s3, name, upload, [(1, one), (2, two), (10_000, last)])
    digest = hashlib.md5(b"".join(bytes.fromhex(tag.strip('"')) for tag in (one, two, last))).hexdigest()
    assert done["ETag"] == f'"{digest}-3"' and done["Bucket"] == name and done["Key"] == "m" and done["Location"]
    assert s3.get_object(Bucket=name, Key="m")["Body"].read() == first + second + b"last"


def part_numbers(system, home):
    s3 = boto(system)
    name = bucket(s3, "numbers")
    upload = begin(s3, name)
    for number in (0, -1, 10_001, 2**31):
        refused("InvalidArgument", 400, put, s3=s3, name=name, upload=upload, number=number, body=b"x")
    for text in ("", "one", "1.0", "+1", "1&partNumber=1"):
        answered(send(system, "PUT", f"/{name}/m?uploadId={upload}&partNumber={text}", body=b"x"), 400, "InvalidArgument")
    assert "Parts" not in s3.list_parts(Bucket=name, Key="m", UploadId=upload)


def the_least_part_size(system, home):
    s3 = boto(system)
    name = bucket(s3, "small")
    upload = begin(s3, name)
    tags = [put(s3, name, upload, 1, b"x" * (5 * MIB - 1)), put(s3, name, upload, 2, b"end")]
    refused("EntityTooSmall", 400, complete, s3=s3, name=name, upload=upload, parts=list(enumerate(tags, 1)))
    tags[0] = put(s3, name, upload, 1, b"x" * 5 * MIB)
    complete(s3, name, upload, enumerate(tags, 1))
    for body in (b"", b"alone"):
        upload = begin(s3, name, "one")
        complete(s3, name, upload, [(1, put(s3, name, upload, 1, body, "one"))], "one")
        assert s3.get_object(Bucket=name, Key="one")["Body"].read() == body


def a_small_part_is_named(system, home):
    s3 = boto(system)
    name = bucket(s3, "named")
    upload = begin(s3, name)
    tags = [put(s3, name, upload, n, b"12345") for n in (1, 2)]
    error = refused("EntityTooSmall", 400, complete, s3=s3, name=name, upload=upload, parts=list(enumerate(tags, 1)))["Error"]
    said = (error.get("PartNumber"), error.get("ProposedSize"), error.get("MinSizeAllowed"), error.get("ETag"))
    assert said == ("1", "5", str(5 * MIB), tags[0].strip('"')), error


def completions_that_are_refused(system, home):
    s3 = boto(system)
    name = bucket(s3, "refused")
    upload = begin(s3, name)
    tag = put(s3, name, upload, 1, b"x")
    other = '"00000000000000000000000000000000"'
    for code, parts in [
        ("MalformedXML", []), ("InvalidPart", [(2, tag)]), ("InvalidPart", [(1, other)]), ("InvalidPart", [(1, tag), (2, tag)]),
        ("InvalidPartOrder", [(2, tag), (1, tag)]), ("InvalidPartOrder", [(1, tag), (1, tag)]),
        ("InvalidArgument", [(0, tag)]), ("InvalidArgument", [(10_001, tag)]),
    ]:
        refused(code, 400, complete, s3=s3, name=name, upload=upload, parts=parts)
    for body in (b"no xml", b"<CompleteMultipartUpload><Part></CompleteMultipartUpload>", b"<Delete/>",
                 b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>",
                 b"<CompleteMultipartUpload><Part><PartNumber>one</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>"):
        answered(send(system, "POST", f"/{name}/m?uploadId={upload}", body=body), 400, "MalformedXML")
    refused("NoSuchUpload", 404, complete, s3=s3, name=name, upload="none", parts=[(1, tag)])
    refused("NoSuchUpload", 404, complete, s3=s3, name=name, upload=upload, parts=[(1, tag)], key="another")
    refused("404", 404, s3.head_object, Bucket=name, Key="m")
    complete(s3, name, upload, [(1, tag.strip('"'))])


def a_completion_without_a_body(system, home):
    s3 = boto(system)
    name = bucket(s3, "nobody")
    answered(send(system, "POST", f"/{name}/m?uploadId={begin(s3, name)}"), 400, "MalformedXML")


def a_completion_may_be_repeated(system, home):
    s3 = boto(system)
    name = bucket(s3, "repeat")
    upload = begin(s3, name)
    parts = [(1, put(s3, name, upload, 1, b"x"))]
    first = complete(s3, name, upload, parts)
    again = complete(s3, name, upload, parts)
    assert (first["ETag"], first["Location"]) == (again["ETag"], again["Location"])
    refused("NoSuchUpload", 404, put, s3=s3, name=name, upload=upload, number=2, body=b"y")
    refused("NoSuchUpload", 404, s3.list_parts, Bucket=name, Key="m", UploadId=upload)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=name)


def the_expected_size(system, home):
    s3 = boto(system)
    name = bucket(s3, "expected")
    upload = begin(s3, name)
    parts = [(1, put(s3, name, upload, 1, b"12345"))]
    refused("InvalidRequest", 400, complete, s3=s3, name=name, upload=upload, parts=parts, MpuObjectSize=4)
    complete(s3, name, upload, parts, MpuObjectSize=5)


def aborts(system, home):
    s3 = boto(system)
    name = bucket(s3, "abort")
    upload = begin(s3, name)
    tag = put(s3, name, upload, 1, b"x")
    refused("NoSuchUpload", 404, s3.abort_multipart_upload, Bucket=name, Key="m", UploadId="none")
    refused("NoSuchUpload", 404, s3.abort_multipart_upload, Bucket=name, Key="another", UploadId=upload)
    s3.abort_multipart_upload(Bucket=name, Key="m", UploadId=upload)
    refused("NoSuchUpload", 404, put, s3=s3, name=name, upload=upload, number=2, body=b"y")
    refused("NoSuchUpload", 404, complete, s3=s3, name=name, upload=upload, parts=[(1, tag)])
    refused("NoSuchUpload", 404, s3.list_parts, Bucket=name, Key="m", UploadId=upload)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=name)
    s3.delete_bucket(Bucket=name)


def an_abort_while_a_part_is_on_its_way(system, home):
    s3 = boto(system)
    name = bucket(s3, "midway")
    upload, body = begin(s3, name), b"x" * MIB
    url = urllib.parse.urlparse(boto(system, signature_version="s3v4").generate_presigned_url(
        "upload_part", Params={"Bucket": name, "Key": "m", "UploadId": upload, "PartNumber": 1}))
    with dial(system) as connection:
        request = (f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: {len(body)}\r\n"
                   "Connection: close\r\n\r\n")
        connection.sendall(request.encode() + body[: len(body) // 2])
        threading.Event().wait(0.3)  # half of the part is there
        s3.abort_multipart_upload(Bucket=name, Key="m", UploadId=upload)
        connection.sendall(body[len(body) // 2 :])
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 404") and b"NoSuchUpload" in answer, answer
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=name)
    refused("404", 404, s3.head_object, Bucket=name, Key="m")


def listings_of_parts(system, home):
    s3 = boto(system)
    name = bucket(s3, "parts")
    upload = begin(s3, name, StorageClass="STANDARD_IA")
    numbers = [1, 2, 5, 9, 100, 10_000]
    tags = {n: put(s3, name, upload, n, b"x" * n) for n in numbers}
    where = {"Bucket": name, "Key": "m", "UploadId": upload}
    whole = s3.list_parts(**where)
    assert [(p["PartNumber"], p["ETag"], p["Size"]) for p in whole["Parts"]] == [(n, tags[n], n) for n in numbers]
    assert whole["StorageClass"] == "STANDARD_IA" and whole["MaxParts"] == 1000 and whole["IsTruncated"] is False
    assert whole["Initiator"]["ID"] and whole["Owner"]["ID"] and whole["Parts"][0]["LastModified"]
    for size in (1, 2, 4, 6, 7):
        found, marker = [], 0
        while True:
            page = s3.list_parts(**where, MaxParts=size, PartNumberMarker=marker)
            found += [p["PartNumber"] for p in page["Parts"]]
            assert len(page["Parts"]) <= size and page["PartNumberMarker"] == marker
            if not page["IsTruncated"]:
                break
            marker = page["NextPartNumberMarker"]
            assert marker == found[-1]
        assert found == numbers, size
    assert [p["PartNumber"] for p in s3.list_parts(**where, PartNumberMarker=9)["Parts"]] == [100, 10_000]
    for query in ("max-parts=-1", "max-parts=x", "part-number-marker=-1"):
        answered(send(system, "GET", f"/{name}/m?{query}&uploadId={upload}"), 400, "InvalidArgument")
    refused("NoSuchUpload", 404, s3.list_parts, Bucket=name, Key="m", UploadId="none")


def listings_of_uploads(system, home):
    s3 = boto(system)
    name = bucket(s3, "uploads")
    begun = [(key, begin(s3, name, key)) for key in ("a", "b/1", "b/1", "b/2", "c d+e", "ü/x")]
    whole = s3.list_multipart_uploads(Bucket=name)
    assert sorted((u["Key"], u["UploadId"]) for u in whole["Uploads"]) == sorted(begun)
    assert [u["Key"] for u in whole["Uploads"]] == [key for key, _ in begun], "keys ascend bytewise"
    assert whole["MaxUploads"] == 1000 and whole["IsTruncated"] is False
    assert whole["Uploads"][0]["Initiated"] and whole["Uploads"][0]["StorageClass"] == "STANDARD"
    for size in (1, 2, 5):
        pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket=name, PaginationConfig={"PageSize": size})
        found = [(u["Key"], u["UploadId"]) for page in pages for u in page.get("Uploads", [])]
        assert sorted(found) == sorted(begun) and len(found) == len(begun), size
    grouped = s3.list_multipart_uploads(Bucket=name, Delimiter="/")
    assert [u["Key"] for u in grouped["Uploads"]] == ["a", "c d+e"]
    assert [p["Prefix"] for p in grouped["CommonPrefixes"]] == ["b/", "ü/"]
    assert {u["Key"] for u in s3.list_multipart_uploads(Bucket=name, Prefix="b/")["Uploads"]} == {"b/1", "b/2"}
    assert [u["Key"] for u in s3.list_multipart_uploads(Bucket=name, KeyMarker="b/1")["Uploads"]] == ["b/2", "c d+e", "ü/x"]
    ordered = [u["UploadId"] for u in whole["Uploads"] if u["Key"] == "b/1"]
    after = s3.list_multipart_uploads(Bucket=name, KeyMarker="b/1", UploadIdMarker=ordered[0], MaxUploads=1)
    assert [u["UploadId"] for u in after["Uploads"]] == [ordered[1]] and after["NextKeyMarker"] == "b/1"
    encoded = send(system, "GET", f"/{name}?uploads&encoding-type=url")
    assert "ü/x" not in encoded.texts("Key") and encoded.texts("EncodingType") == ["url"]
    for query in ("max-uploads=-1", "encoding-type=x"):
        answered(send(system, "GET", f"/{name}?uploads&{query}"), 400, "InvalidArgument")
    refused("NoSuchBucket", 404, s3.list_multipart_uploads, Bucket=name + "-none")


def markers_are_always_told(system, home):
    """The next markers stand in the last page too; a marker inside a group goes on behind the group."""
    s3 = boto(system)
    name = bucket(s3, "told")
    upload = begin(s3, name, "a/1")
    assert s3.list_parts(Bucket=name, Key="a/1", UploadId=upload)["NextPartNumberMarker"] == 0
    put(s3, name, upload, 3, b"x", "a/1")
    assert s3.list_parts(Bucket=name, Key="a/1", UploadId=upload)["NextPartNumberMarker"] == 3
    page = s3.list_multipart_uploads(Bucket=name)
    assert (page["NextKeyMarker"], page["NextUploadIdMarker"]) == ("a/1", upload)
    begin(s3, name, "a/2")
    begin(s3, name, "b")
    page = s3.list_multipart_uploads(Bucket=name, Delimiter="/", KeyMarker="a/1")
    assert [u["Key"] for u in page["Uploads"]] == ["b"] and "CommonPrefixes" not in page


def reading_part_by_part(system, home):
    s3 = boto(system)
    name = bucket(s3, "read")
    bodies = {2: os.urandom(5 * MIB), 4: os.urandom(5 * MIB + 9), 9: b"tail"}
    upload = begin(s3, name)
    complete(s3, name, upload, [(n, put(s3, name, upload, n, body)) for n, body in bodies.items()])
    size, offset = sum(map(len, bodies.values())), 0
    for call in (s3.get_object, s3.head_object):
        offset = 0
        for number, body in bodies.items():
            got = call(Bucket=name, Key="m", PartNumber=number)
            assert got["ResponseMetadata"]["HTTPStatusCode"] == 206 and got["PartsCount"] == 3, got
            assert got["ContentLength"] == len(body) and got["ContentRange"] == f"bytes {offset}-{offset + len(body) - 1}/{size}"
            assert call == s3.head_object or got["Body"].read() == body
            offset += len(body)
    for number in (1, 10, 10_000):
        refused("InvalidPartNumber", 416, s3.get_object, Bucket=name, Key="m", PartNumber=number)
    refused("InvalidRequest", 400, s3.get_object, Bucket=name, Key="m", PartNumber=2, Range="bytes=0-1")
    for number in (0, 10_001):
        refused("InvalidArgument", 400, s3.get_object, Bucket=name, Key="m", PartNumber=number)
    s3.put_object(Bucket=name, Key="whole", Body=b"12345678")
    one = s3.get_object(Bucket=name, Key="whole", PartNumber=1)
    assert one["ContentRange"] == "bytes 0-7/8" and "PartsCount" not in one and one["Body"].read() == b"12345678"
    refused("InvalidPartNumber", 416, s3.get_object, Bucket=name, Key="whole", PartNumber=2)


def what_an_upload_was_told_the_object_keeps(system, home):
    s3 = boto(system)
    name = bucket(s3, "told")
    said = {"ContentType": "a/b", "CacheControl": "no-store", "ContentDisposition": "attachment", "ContentLanguage": "de",
            "ContentEncoding": "gzip", "StorageClass": "STANDARD_IA", "WebsiteRedirectLocation": "/x",
            "Metadata": {"a": "1", "empty": ""}}
    upload = begin(s3, name, Expires="Thu, 01 Dec 2033 16:00:00 GMT", **said)
    complete(s3, name, upload, [(1, put(s3, name, upload, 1, b"x"))])
    head = s3.head_object(Bucket=name, Key="m")
    assert {field: head[field] for field in said} == said and head["ExpiresString"] == "Thu, 01 Dec 2033 16:00:00 GMT"
    refused("InvalidStorageClass", 400, begin, s3=s3, name=name, StorageClass="COLD")
    refused("NoSuchBucket", 404, begin, s3=s3, name=name + "-none")


def object_attributes(system, home):
    s3 = boto(system)
    name = bucket(s3, "attributes")
    upload = begin(s3, name, ChecksumAlgorithm="SHA256")
    sums = {}
    for number, size in ((1, 5 * MIB), (3, 5 * MIB), (8, 10)):
        body = bytes([number]) * size
        sums[number] = s3.upload_part(Bucket=name, Key="m", UploadId=upload, PartNumber=number, Body=body, ChecksumAlgorithm="SHA256")
    listed = [{"PartNumber": n, "ETag": s["ETag"], "ChecksumSHA256": s["ChecksumSHA256"]} for n, s in sums.items()]
    done = s3.complete_multipart_upload(Bucket=name, Key="m", UploadId=upload, MultipartUpload={"Parts": listed})
    every = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
    got = s3.get_object_attributes(Bucket=name, Key="m", ObjectAttributes=every)
    assert got["ETag"] == done["ETag"].strip('"') and got["ObjectSize"] == 10 * MIB + 10 and got["StorageClass"] == "STANDARD"
    assert got["Checksum"] == {"ChecksumSHA256": done["ChecksumSHA256"].rpartition("-")[0], "ChecksumType": "COMPOSITE"}
    parts = got["ObjectParts"]
    assert parts["TotalPartsCount"] == 3 and parts["IsTruncated"] is False and parts["MaxParts"] == 1000
    assert [(p["PartNumber"], p["Size"], p["ChecksumSHA256"]) for p in parts["Parts"]] == [
        (n, 10 if n == 8 else 5 * MIB, s["ChecksumSHA256"]) for n, s in sums.items()]
    page = s3.get_object_attributes(Bucket=name, Key="m", ObjectAttributes=["ObjectParts"], MaxParts=1, PartNumberMarker=1)
    assert [p["PartNumber"] for p in page["ObjectParts"]["Parts"]] == [3] and page["ObjectParts"]["NextPartNumberMarker"] == 3
    assert "ETag" not in page and page["LastModified"]
    s3.put_object(Bucket=name, Key="whole", Body=b"12345")
    got = s3.get_object_attributes(Bucket=name, Key="whole", ObjectAttributes=every)
    assert got["ObjectSize"] == 5 and "ObjectParts" not in got and got["Checksum"]["ChecksumType"] == "FULL_OBJECT"
    refused("NoSuchKey", 404, s3.get_object_attributes, Bucket=name, Key="none", ObjectAttributes=["ETag"])
    refused("InvalidArgument", 400, s3.get_object_attributes, Bucket=name, Key="m", ObjectAttributes=["Colour"])
    answered(send(system, "GET", f"/{name}/m?attributes"), 400, "InvalidRequest")


ALL = [
    parts_in_any_order, part_numbers, the_least_part_size, a_small_part_is_named, completions_that_are_refused,
    a_completion_without_a_body, a_completion_may_be_repeated, the_expected_size, aborts, an_abort_while_a_part_is_on_its_way,
    listings_of_parts, listings_of_uploads, markers_are_always_told, reading_part_by_part,
    what_an_upload_was_told_the_object_keeps, object_attributes,
]
