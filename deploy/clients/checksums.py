"""Checksums: every algorithm of today's SDK model, in headers and trailers, of whole objects and of parts."""

import base64
import hashlib
import os
import zlib

from clients import MIB, boto
from raw import answered, send
from semantics import bucket, refused


def crc(data, width, polynomial):
    """A reflected CRC, initial value and final xor all ones, byte by byte: slow and obvious."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (polynomial if byte & 1 else 0)
        table.append(byte)
    ones = value = (1 << width) - 1
    for byte in data:
        value = value >> 8 ^ table[(value ^ byte) & 255]
    return (value ^ ones).to_bytes(width // 8, "big")


def xxhash(name):
    def digest(data):
        import xxhash as library  # a client's own dependency: only the checks of these algorithms need it

        return getattr(library, name)(data).digest()

    return digest


DIGESTS = {
    "CRC32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "CRC32C": lambda data: crc(data, 32, 0x82F63B78),
    "CRC64NVME": lambda data: crc(data, 64, 0x9A6C9329AC4BC9B5),
    "SHA1": lambda data: hashlib.sha1(data).digest(),
    "SHA256": lambda data: hashlib.sha256(data).digest(),
    "SHA512": lambda data: hashlib.sha512(data).digest(),
    "MD5": lambda data: hashlib.md5(data).digest(),
    "XXHASH64": xxhash("xxh64"), "XXHASH3": xxhash("xxh3_64"), "XXHASH128": xxhash("xxh3_128"),
}
LINEAR = ("CRC32", "CRC32C", "CRC64NVME")  # those whose parts combine to the checksum of the whole


def value(algorithm, data):
    return base64.b64encode(DIGESTS[algorithm](data)).decode()


def put_and_read(s3, name, algorithms):
    for size in (0, 1, 70_001):
        body = os.urandom(size)
        for algorithm in algorithms:
            field, wanted = f"Checksum{algorithm}", value(algorithm, body)
            put = s3.put_object(Bucket=name, Key="k", Body=body, **{field: wanted})
            assert put[field] == wanted and put["ChecksumType"] == "FULL_OBJECT", (algorithm, put)
            for call in (s3.get_object, s3.head_object):
                got = call(Bucket=name, Key="k", ChecksumMode="ENABLED")
                assert got[field] == wanted and got["ChecksumType"] == "FULL_OBJECT", (algorithm, got)
                assert sum(other.startswith("Checksum") for other in got) == 2
            listed = s3.list_objects_v2(Bucket=name)["Contents"][0]
            assert listed["ChecksumAlgorithm"] == [algorithm] and listed["ChecksumType"] == "FULL_OBJECT"
            upload = s3.create_multipart_upload(Bucket=name, Key="p", ChecksumAlgorithm=algorithm)["UploadId"]
            part = s3.upload_part(Bucket=name, Key="p", UploadId=upload, PartNumber=1, Body=body, **{field: wanted})
            assert part[field] == wanted
            assert s3.list_parts(Bucket=name, Key="p", UploadId=upload)["Parts"][0][field] == wanted
            s3.abort_multipart_upload(Bucket=name, Key="p", UploadId=upload)
    assert not [field for field in s3.head_object(Bucket=name, Key="k") if field.startswith("Checksum")], "unasked"


def mismatches(s3, name, algorithms):
    for algorithm in algorithms:
        field = f"Checksum{algorithm}"
        refused("BadDigest", 400, s3.put_object, Bucket=name, Key="w", Body=b"body", **{field: value(algorithm, b"other")})
        for wrong in ("AAAA", "!", value(algorithm, b"body")[:-4], ""):
            refused("InvalidRequest", 400, s3.put_object, Bucket=name, Key="w", Body=b"body", **{field: wrong})
    refused("404", 404, s3.head_object, Bucket=name, Key="w")


def chunked(body, trailer):
    """A body in aws-chunked coding, unsigned, with a trailer line."""
    pieces = [body[at : at + 8192] for at in range(0, len(body), 8192)]
    coded = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return coded + b"0\r\n" + trailer + b"\r\n\r\n"


def put_trailer(system, target, body, algorithm, trailer):
    headers = {"x-amz-trailer": f"x-amz-checksum-{algorithm.lower()}", "content-encoding": "aws-chunked",
               "x-amz-decoded-content-length": str(len(body)), "x-amz-sdk-checksum-algorithm": algorithm}
    return send(system, "PUT", target, headers=headers, body=chunked(body, trailer.encode()),
                content_sha256="STREAMING-UNSIGNED-PAYLOAD-TRAILER")


def trailers(system, s3, name, algorithms):
    body = os.urandom(20_003)
    for algorithm in algorithms:
        field = f"x-amz-checksum-{algorithm.lower()}"
        answered(put_trailer(system, f"/{name}/t", body, algorithm, f"{field}:{value(algorithm, body)}"), 200)
        got = s3.get_object(Bucket=name, Key="t", ChecksumMode="ENABLED")
        assert got[f"Checksum{algorithm}"] == value(algorithm, body) and got["Body"].read() == body
        assert "ContentEncoding" not in got
        answered(put_trailer(system, f"/{name}/no", body, algorithm, f"{field}:{value(algorithm, b'other')}"), 400, "BadDigest")
        for wrong in (f"{field}:AAAA", f"{field}:", "x-amz-meta-a:b", "no trailer"):
            answer = put_trailer(system, f"/{name}/no", body, algorithm, wrong)
            assert answer.status == 400 and answer.code in ("InvalidRequest", "MalformedTrailerError", "BadDigest"), (wrong, answer)
    refused("404", 404, s3.head_object, Bucket=name, Key="no")


def headers_and_reads(system, home):
    s3 = boto(system)
    put_and_read(s3, bucket(s3, "sums"), DIGESTS)


def what_the_sdk_computes(system, home):
    s3 = boto(system)
    name = bucket(s3, "sdk")
    for algorithm in ("CRC32", "SHA1", "SHA256"):  # the others want the SDK's native library
        put = s3.put_object(Bucket=name, Key="k", Body=b"body", ChecksumAlgorithm=algorithm)
        assert put[f"Checksum{algorithm}"] == value(algorithm, b"body")
        deleted = s3.delete_objects(Bucket=name, ChecksumAlgorithm=algorithm, Delete={"Objects": [{"Key": "k"}]})
        assert [entry["Key"] for entry in deleted["Deleted"]] == ["k"]


def wrong_checksums(system, home):
    s3 = boto(system)
    name = bucket(s3, "wrong")
    mismatches(s3, name, DIGESTS)
    crc32, sha1 = value("CRC32", b"body"), value("SHA1", b"body")
    for headers in (
        {"x-amz-checksum-crc32": crc32, "x-amz-checksum-sha1": sha1},
        {"x-amz-checksum-crc32": crc32, "x-amz-sdk-checksum-algorithm": "SHA1"},
        {"x-amz-sdk-checksum-algorithm": "SHA1"}, {"x-amz-checksum-crc16": "AAA="},
        {"x-amz-checksum-crc32": crc32, "x-amz-sdk-checksum-algorithm": "CRC16"},
    ):
        answered(send(system, "PUT", f"/{name}/w", headers=headers, body=b"body"), 400, "InvalidRequest")
    md5 = base64.b64encode(hashlib.md5(b"body").digest()).decode()
    for wrong in ("__invalid__", "000", "MTIz", ""):
        answered(send(system, "PUT", f"/{name}/w", headers={"Content-MD5": wrong}, body=b"body"), 400, "InvalidDigest")
    answered(send(system, "PUT", f"/{name}/w", headers={"Content-MD5": md5}, body=b"boby"), 400, "BadDigest")
    refused("404", 404, s3.head_object, Bucket=name, Key="w")
    answered(send(system, "PUT", f"/{name}/w", headers={"Content-MD5": md5}, body=b"body"), 200)
    upload = s3.create_multipart_upload(Bucket=name, Key="p")["UploadId"]
    answered(send(system, "PUT", f"/{name}/p?partNumber=1&uploadId={upload}", headers={"Content-MD5": md5}, body=b"boby"),
             400, "BadDigest")
    body = b"<Delete><Object><Key>w</Key></Object></Delete>"
    answered(send(system, "POST", f"/{name}?delete", body=body), 400, "InvalidRequest")
    answered(send(system, "POST", f"/{name}?delete", body=body, headers={"Content-MD5": md5}), 400, "BadDigest")
    assert s3.head_object(Bucket=name, Key="w")


def trailing_checksums(system, home):
    s3 = boto(system)
    trailers(system, s3, bucket(s3, "trailer"), DIGESTS)


def the_default_is_crc64nvme(system, home):
    s3 = boto(system, request_checksum_calculation="when_required")
    name, body = bucket(s3, "default"), os.urandom(5000)
    s3.put_object(Bucket=name, Key="k", Body=body)
    head = s3.head_object(Bucket=name, Key="k", ChecksumMode="ENABLED")
    assert head["ChecksumCRC64NVME"] == value("CRC64NVME", body) and head["ChecksumType"] == "FULL_OBJECT"
    part = s3.get_object(Bucket=name, Key="k", Range="bytes=0-9", ChecksumMode="ENABLED")
    assert not [field for field in part if field.startswith("Checksum")], "the checksum of a whole beside a piece"


def the_default_of_uploads_is_crc64nvme(system, home):
    s3 = boto(system, request_checksum_calculation="when_required")
    name, body = bucket(s3, "default"), os.urandom(5000)
    upload = s3.create_multipart_upload(Bucket=name, Key="m")["UploadId"]
    tag = s3.upload_part(Bucket=name, Key="m", UploadId=upload, PartNumber=1, Body=body)["ETag"]
    done = s3.complete_multipart_upload(Bucket=name, Key="m", UploadId=upload, MultipartUpload={
        "Parts": [{"PartNumber": 1, "ETag": tag}]})
    assert done["ChecksumCRC64NVME"] == value("CRC64NVME", body) and done["ChecksumType"] == "FULL_OBJECT"


def multipart(s3, name, algorithms, kind):
    bodies = {1: os.urandom(5 * MIB), 4: os.urandom(1000)}
    for algorithm in algorithms:
        field = f"Checksum{algorithm}"
        upload = s3.create_multipart_upload(Bucket=name, Key="m", ChecksumAlgorithm=algorithm, ChecksumType=kind)
        assert (upload["ChecksumAlgorithm"], upload["ChecksumType"]) == (algorithm, kind)
        where = {"Bucket": name, "Key": "m", "UploadId": upload["UploadId"]}
        parts = [{"PartNumber": n, field: value(algorithm, body), "ETag": s3.upload_part(
            **where, PartNumber=n, Body=body, **{field: value(algorithm, body)})["ETag"]} for n, body in bodies.items()]
        listed = s3.list_parts(**where)
        assert (listed["ChecksumAlgorithm"], listed["ChecksumType"]) == (algorithm, kind)
        assert [p[field] for p in listed["Parts"]] == [p[field] for p in parts]
        wrong = [{**parts[0], field: value(algorithm, b"other")}, parts[1]]
        refused("InvalidPart", 400, s3.complete_multipart_upload, **where, MultipartUpload={"Parts": wrong})
        if kind == "COMPOSITE":
            whole = b"".join(DIGESTS[algorithm](body) for body in bodies.values())
            wanted = f"{value(algorithm, whole)}-{len(bodies)}"
        else:
            wanted = value(algorithm, b"".join(bodies.values()))
        refused("BadDigest", 400, s3.complete_multipart_upload, **where, MultipartUpload={"Parts": parts},
                ChecksumType=kind, **{field: value(algorithm, b"other") + ("-2" if kind == "COMPOSITE" else "")})
        done = s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts}, ChecksumType=kind, **{field: wanted})
        assert done[field] == wanted and done["ChecksumType"] == kind, (algorithm, done)
        head = s3.head_object(Bucket=name, Key="m", ChecksumMode="ENABLED")
        assert head[field] == wanted and head["ChecksumType"] == kind, (algorithm, head)


def composite_checksums(system, home):
    s3 = boto(system)
    multipart(s3, bucket(s3, "composite"), [algorithm for algorithm in DIGESTS if algorithm != "CRC64NVME"], "COMPOSITE")


def full_object_checksums(system, home):
    s3 = boto(system)
    multipart(s3, bucket(s3, "full"), LINEAR, "FULL_OBJECT")


def kinds_that_do_not_exist(system, home):
    s3 = boto(system)
    name = bucket(s3, "kinds")
    for arguments in (
        *({"ChecksumAlgorithm": algorithm, "ChecksumType": "FULL_OBJECT"} for algorithm in DIGESTS if algorithm not in LINEAR),
        {"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "COMPOSITE"}, {"ChecksumType": "FULL_OBJECT"},
        {"ChecksumAlgorithm": "CRC16"}, {"ChecksumAlgorithm": "CRC32", "ChecksumType": "PARTIAL"},
    ):
        refused("InvalidRequest", 400, s3.create_multipart_upload, Bucket=name, Key="k", **arguments)
    made = s3.create_multipart_upload(Bucket=name, Key="k", ChecksumAlgorithm="CRC64NVME")
    assert made["ChecksumType"] == "FULL_OBJECT"
    upload = s3.create_multipart_upload(Bucket=name, Key="k", ChecksumAlgorithm="SHA256")
    assert upload["ChecksumType"] == "COMPOSITE"
    refused("InvalidRequest", 400, s3.upload_part, Bucket=name, Key="k", UploadId=upload["UploadId"], PartNumber=1,
            Body=b"x", ChecksumCRC32=value("CRC32", b"x"))


def a_composite_wants_every_part(system, home):
    s3 = boto(system)
    name = bucket(s3, "every")
    upload = s3.create_multipart_upload(Bucket=name, Key="k", ChecksumAlgorithm="SHA256")["UploadId"]
    where = {"Bucket": name, "Key": "k", "UploadId": upload}
    tag = s3.upload_part(**where, PartNumber=1, Body=b"x", ChecksumSHA256=value("SHA256", b"x"))["ETag"]
    refused("InvalidRequest", 400, s3.complete_multipart_upload, **where,
            MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})
    part = {"PartNumber": 1, "ETag": tag, "ChecksumSHA256": value("SHA256", b"x")}
    refused("BadDigest", 400, s3.complete_multipart_upload, **where, MultipartUpload={"Parts": [part]},
            ChecksumType="FULL_OBJECT")


ALL = [
    headers_and_reads, what_the_sdk_computes, wrong_checksums, trailing_checksums,
    the_default_is_crc64nvme, the_default_of_uploads_is_crc64nvme, composite_checksums, full_object_checksums,
    kinds_that_do_not_exist, a_composite_wants_every_part,
]
