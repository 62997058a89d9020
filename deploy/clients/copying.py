"""CopyObject and UploadPartCopy: what comes along, what may be copied onto itself, which ranges are ranges."""

import hashlib
import os
import urllib.parse

from clients import MIB, boto
from raw import answered, send
from semantics import bucket, refused


def directives(system, home):
    s3 = boto(system)
    name = bucket(s3, "directive")
    said = {"ContentType": "a/b", "CacheControl": "no-store", "ContentDisposition": "attachment", "ContentLanguage": "de",
            "ContentEncoding": "gzip", "Expires": "Thu, 01 Dec 2033 16:00:00 GMT", "Metadata": {"a": "1", "b": ""}}
    s3.put_object(Bucket=name, Key="s", Body=b"x", StorageClass="STANDARD_IA", WebsiteRedirectLocation="/away", **said)
    source = {"Bucket": name, "Key": "s"}

    def copied(**arguments):
        s3.copy_object(Bucket=name, Key="c", CopySource=source, **arguments)
        return s3.head_object(Bucket=name, Key="c")

    kept = {field: value for field, value in said.items() if field != "Expires"}
    for arguments in ({}, {"MetadataDirective": "COPY"}, {"MetadataDirective": "COPY", "Metadata": {"z": "9"}, "ContentType": "z/z"}):
        head = copied(**arguments)
        assert {field: head[field] for field in kept} == kept and head["ExpiresString"] == said["Expires"], (arguments, head)
    head = copied(MetadataDirective="REPLACE", Metadata={"z": "9"}, ContentLanguage="fr")
    assert head["Metadata"] == {"z": "9"} and head["ContentLanguage"] == "fr"
    assert head["ContentType"] == "binary/octet-stream" and "CacheControl" not in head and "ContentEncoding" not in head
    assert copied(MetadataDirective="REPLACE")["Metadata"] == {}
    every = {**kept, "Metadata": {"n": "2"}}
    head = copied(MetadataDirective="REPLACE", Expires=said["Expires"], **every)
    assert {field: head[field] for field in every} == every and head["ExpiresString"] == said["Expires"]
    head = copied(MetadataDirective="REPLACE", StorageClass="ONEZONE_IA", WebsiteRedirectLocation="/there")
    assert head["StorageClass"] == "ONEZONE_IA" and head["WebsiteRedirectLocation"] == "/there"
    assert copied(StorageClass="ONEZONE_IA")["StorageClass"] == "ONEZONE_IA"
    refused("InvalidArgument", 400, copied, MetadataDirective="KEEP")
    refused("InvalidStorageClass", 400, copied, StorageClass="COLD")
    assert s3.head_object(Bucket=name, Key="s")["StorageClass"] == "STANDARD_IA", "the source changed"


def what_is_never_copied(system, home):
    """Storage class and website redirect belong to the request, whatever the directive says."""
    s3 = boto(system)
    name = bucket(s3, "never")
    s3.put_object(Bucket=name, Key="s", Body=b"x", StorageClass="STANDARD_IA", WebsiteRedirectLocation="/away")
    for arguments in ({}, {"MetadataDirective": "COPY"}, {"MetadataDirective": "REPLACE"}):
        s3.copy_object(Bucket=name, Key="c", CopySource={"Bucket": name, "Key": "s"}, **arguments)
        head = s3.head_object(Bucket=name, Key="c")
        assert "StorageClass" not in head and "WebsiteRedirectLocation" not in head, (arguments, head)
    s3.copy_object(Bucket=name, Key="c", CopySource={"Bucket": name, "Key": "s"}, WebsiteRedirectLocation="/there")
    assert s3.head_object(Bucket=name, Key="c")["WebsiteRedirectLocation"] == "/there"


def onto_itself(system, home):
    s3 = boto(system)
    name = bucket(s3, "itself")
    s3.put_object(Bucket=name, Key="k", Body=b"body", Metadata={"a": "1"})

    def copy(**arguments):
        return s3.copy_object(Bucket=name, Key="k", CopySource={"Bucket": name, "Key": "k"}, **arguments)

    refused("InvalidRequest", 400, copy)
    refused("InvalidRequest", 400, copy, MetadataDirective="COPY", Metadata={"b": "2"})
    for arguments in ({"StorageClass": "STANDARD"}, {"WebsiteRedirectLocation": "/x"},
                      {"MetadataDirective": "REPLACE", "Metadata": {"b": "2"}}):
        copy(**arguments)
        assert s3.get_object(Bucket=name, Key="k")["Body"].read() == b"body"
    assert s3.head_object(Bucket=name, Key="k")["Metadata"] == {"b": "2"}


def sources(system, home):
    s3 = boto(system)
    name = bucket(s3, "sources")
    for key in ("plain", "a b", "a+b", "ü/ö", "q?x=1", "per%cent", "a//b", "dir/", "v?versionId=no"):
        s3.put_object(Bucket=name, Key=key, Body=key.encode())
        s3.copy_object(Bucket=name, Key="copy", CopySource={"Bucket": name, "Key": key})
        assert s3.get_object(Bucket=name, Key="copy")["Body"].read() == key.encode(), key
    for text in (f"{name}/plain", f"/{name}/plain", f"{name}%2Fplain"):
        answer = send(system, "PUT", f"/{name}/c", headers={"x-amz-copy-source": text})
        assert answer.status == 200, (text, answer)

    def copy(source, **arguments):
        return s3.copy_object(**{"Bucket": name, "Key": "c", "CopySource": source, **arguments})

    refused("NoSuchKey", 404, copy, source={"Bucket": name, "Key": "none"})
    refused("NoSuchBucket", 404, copy, source={"Bucket": name + "-none", "Key": "plain"})
    refused("NoSuchBucket", 404, copy, source={"Bucket": name, "Key": "plain"}, Bucket=name + "-none")
    for text in (name, f"{name}/", "/", "no"):
        answered(send(system, "PUT", f"/{name}/c", headers={"x-amz-copy-source": urllib.parse.quote(text)}), 400, "InvalidArgument")
    null = copy(source={"Bucket": name, "Key": "plain", "VersionId": "null"})
    assert null["CopyObjectResult"]["ETag"] == f'"{hashlib.md5(b"plain").hexdigest()}"'


def copies_outlive_their_source(system, home):
    s3 = boto(system)
    one, two = bucket(s3, "from"), bucket(s3, "to")
    bodies = {size: os.urandom(size) for size in (0, 1, 16 * 1024, 16 * 1024 + 1, 3 * MIB + 7)}
    for size, body in bodies.items():
        put = s3.put_object(Bucket=one, Key=str(size), Body=body)
        copied = s3.copy_object(Bucket=two, Key=f"copy/{size}", CopySource={"Bucket": one, "Key": str(size)})
        assert copied["CopyObjectResult"]["ETag"] == put["ETag"] and copied["CopyObjectResult"]["LastModified"]
        s3.copy_object(Bucket=one, Key=f"near/{size}", CopySource={"Bucket": one, "Key": str(size)})
        s3.put_object(Bucket=one, Key=str(size), Body=b"another")
    for size, body in bodies.items():
        assert s3.get_object(Bucket=two, Key=f"copy/{size}")["Body"].read() == body
        s3.delete_object(Bucket=two, Key=f"copy/{size}")
        assert s3.get_object(Bucket=one, Key=f"near/{size}")["Body"].read() == body


def checksums_come_along(system, home):
    s3 = boto(system)
    name = bucket(s3, "sums")
    put = s3.put_object(Bucket=name, Key="s", Body=b"body", ChecksumAlgorithm="SHA256")
    copied = s3.copy_object(Bucket=name, Key="c", CopySource={"Bucket": name, "Key": "s"})["CopyObjectResult"]
    assert copied["ChecksumSHA256"] == put["ChecksumSHA256"]
    head = s3.head_object(Bucket=name, Key="c", ChecksumMode="ENABLED")
    assert head["ChecksumSHA256"] == put["ChecksumSHA256"] and head["ChecksumType"] == "FULL_OBJECT"


def another_checksum(system, home):
    s3 = boto(system)
    name = bucket(s3, "another")
    s3.put_object(Bucket=name, Key="s", Body=b"body", ChecksumAlgorithm="CRC32")
    wanted = s3.put_object(Bucket=name, Key="w", Body=b"body", ChecksumAlgorithm="SHA256")["ChecksumSHA256"]
    copied = s3.copy_object(Bucket=name, Key="c", CopySource={"Bucket": name, "Key": "s"}, ChecksumAlgorithm="SHA256")
    assert copied["CopyObjectResult"]["ChecksumSHA256"] == wanted and "ChecksumCRC32" not in copied["CopyObjectResult"]
    assert s3.head_object(Bucket=name, Key="c", ChecksumMode="ENABLED")["ChecksumSHA256"] == wanted
    s3.copy_object(Bucket=name, Key="s", CopySource={"Bucket": name, "Key": "s"}, ChecksumAlgorithm="SHA256",
                   MetadataDirective="REPLACE")


def a_copy_keeps_its_parts(system, home):
    """Bytes are shared, and with them ETag, parts and checksums."""
    s3 = boto(system)
    name = bucket(s3, "parts")
    upload = s3.create_multipart_upload(Bucket=name, Key="m")["UploadId"]
    parts = []
    for number, body in enumerate((os.urandom(5 * MIB), b"tail"), 1):
        done = s3.upload_part(Bucket=name, Key="m", UploadId=upload, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": done["ETag"]})
    s3.complete_multipart_upload(Bucket=name, Key="m", UploadId=upload, MultipartUpload={"Parts": parts})
    copied = s3.copy_object(Bucket=name, Key="c", CopySource={"Bucket": name, "Key": "m"})["CopyObjectResult"]["ETag"]
    source = s3.head_object(Bucket=name, Key="m", ChecksumMode="ENABLED")
    copy = s3.head_object(Bucket=name, Key="c", ChecksumMode="ENABLED")
    assert copied == copy["ETag"] == source["ETag"] and source["ETag"].endswith('-2"')
    assert copy["ChecksumCRC64NVME"] == source["ChecksumCRC64NVME"]
    tail = s3.get_object(Bucket=name, Key="c", PartNumber=2)
    assert tail["PartsCount"] == 2 and tail["Body"].read() == b"tail"


def parts_from_ranges(system, home):
    s3 = boto(system)
    one, two, body = bucket(s3, "from"), bucket(s3, "to"), os.urandom(12 * MIB + 3)
    s3.put_object(Bucket=one, Key="s p+", Body=body)
    source = {"Bucket": one, "Key": "s p+"}
    upload = s3.create_multipart_upload(Bucket=two, Key="m")["UploadId"]
    parts, expected = [], b""
    for number, (first, last) in enumerate([(0, 5 * MIB - 1), (3 * MIB + 1, 9 * MIB), (12 * MIB + 2, 12 * MIB + 2)], 1):
        done = s3.upload_part_copy(Bucket=two, Key="m", UploadId=upload, PartNumber=number, CopySource=source,
                                   CopySourceRange=f"bytes={first}-{last}")["CopyPartResult"]
        assert done["ETag"] == f'"{hashlib.md5(body[first : last + 1]).hexdigest()}"' and done["LastModified"]
        parts.append({"PartNumber": number, "ETag": done["ETag"]})
        expected += body[first : last + 1]
    s3.delete_object(Bucket=one, Key="s p+")
    s3.complete_multipart_upload(Bucket=two, Key="m", UploadId=upload, MultipartUpload={"Parts": parts})
    assert s3.get_object(Bucket=two, Key="m")["Body"].read() == expected
    # a whole object as a part, itself put together from parts
    upload = s3.create_multipart_upload(Bucket=one, Key="again")["UploadId"]
    tag = s3.upload_part_copy(Bucket=one, Key="again", UploadId=upload, PartNumber=7, CopySource={"Bucket": two, "Key": "m"})
    s3.complete_multipart_upload(Bucket=one, Key="again", UploadId=upload, MultipartUpload={
        "Parts": [{"PartNumber": 7, "ETag": tag["CopyPartResult"]["ETag"]}]})
    assert s3.get_object(Bucket=one, Key="again")["Body"].read() == expected


def ranges_that_are_none(system, home):
    s3 = boto(system)
    name = bucket(s3, "ranges")
    s3.put_object(Bucket=name, Key="s", Body=b"0123456789")
    upload = s3.create_multipart_upload(Bucket=name, Key="m")["UploadId"]
    where = {"Bucket": name, "Key": "m", "UploadId": upload, "PartNumber": 1}
    source = {"CopySource": {"Bucket": name, "Key": "s"}}
    for text in ("0-8", "bytes=1-0", "bytes=-1-", "bytes=0--1", "bytes=0-1,3-4,7-9", "bytes=-", "bytes=-0", "bytes=-2",
                 "bytes=1-", "bytes=hello-world", "bytes=0-10", "bytes=0-100"):
        refused("InvalidArgument", 400, s3.upload_part_copy, **where, **source, CopySourceRange=text)
    for text, size in (("bytes=0-9", 10), ("bytes=9-9", 1), ("bytes=0-0", 1)):
        s3.upload_part_copy(**where, **source, CopySourceRange=text)
        assert s3.list_parts(Bucket=name, Key="m", UploadId=upload)["Parts"][0]["Size"] == size
    refused("NoSuchUpload", 404, s3.upload_part_copy, **{**where, "UploadId": "none"}, **source)
    refused("NoSuchKey", 404, s3.upload_part_copy, **where, CopySource={"Bucket": name, "Key": "none"})
    refused("InvalidArgument", 400, s3.upload_part_copy, **{**where, "PartNumber": 10_001}, **source)


def a_range_behind_the_end(system, home):
    s3 = boto(system)
    name = bucket(s3, "behind")
    s3.put_object(Bucket=name, Key="s", Body=b"0123456789")
    upload = s3.create_multipart_upload(Bucket=name, Key="m")["UploadId"]
    refused("InvalidRequest", 400, s3.upload_part_copy, Bucket=name, Key="m", UploadId=upload, PartNumber=1,
            CopySource={"Bucket": name, "Key": "s"}, CopySourceRange="bytes=100-200")


ALL = [
    directives, what_is_never_copied, onto_itself, sources, copies_outlive_their_source, checksums_come_along, another_checksum,
    a_copy_keeps_its_parts, parts_from_ranges, ranges_that_are_none, a_range_behind_the_end,
]
