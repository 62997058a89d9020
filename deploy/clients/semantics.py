"""What the operations of the first issue promise, asked through boto3 and raw sockets of the running system."""

import base64
import concurrent.futures
import datetime
import hashlib
import hmac
import os
import socket
import ssl
import time
import urllib.parse
import zlib

import botocore.exceptions

from clients import MIB, boto, bucket_name


def refused(code, status, call, **arguments):
    """The call must fail with exactly this S3 code and HTTP status."""
    try:
        call(**arguments)
    except botocore.exceptions.ClientError as error:
        got = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        assert got == (code, status), f"wanted {code} {status}, got {got}: {error}"
        return error.response
    raise AssertionError(f"wanted {code}, but it succeeded")


def bucket(s3, word):
    name = bucket_name(word)
    s3.create_bucket(Bucket=name)
    return name


def buckets_live_and_die(system, home):
    s3 = boto(system)
    name = bucket(s3, "life")
    s3.head_bucket(Bucket=name)
    assert name in [b["Name"] for b in s3.list_buckets()["Buckets"]]
    s3.get_bucket_location(Bucket=name)
    s3.put_object(Bucket=name, Key="a", Body=b"1")
    refused("BucketNotEmpty", 409, s3.delete_bucket, Bucket=name)
    s3.delete_object(Bucket=name, Key="a")
    s3.delete_bucket(Bucket=name)
    refused("404", 404, s3.head_bucket, Bucket=name)
    refused("NoSuchBucket", 404, s3.list_objects_v2, Bucket=name)
    refused("NoSuchBucket", 404, s3.put_object, Bucket=name, Key="a", Body=b"1")
    refused("InvalidBucketName", 400, s3.create_bucket, Bucket="UPPER")


def ranges_and_conditions(system, home):
    s3 = boto(system)
    name, body = bucket(s3, "range"), os.urandom(3 * MIB + 11)
    etag = s3.put_object(Bucket=name, Key="k", Body=body)["ETag"]

    def part(text):
        got = s3.get_object(Bucket=name, Key="k", Range=text)
        return got["Body"].read(), got.get("ContentRange"), got["ResponseMetadata"]["HTTPStatusCode"]

    size = len(body)
    for first, last in [(0, 0), (0, size - 1), (65_530, 65_545), (262_140, 262_150), (1_048_570, 2_097_200), (size - 1, size + 99)]:
        data, where, status = part(f"bytes={first}-{last}")
        end = min(last, size - 1)
        assert data == body[first : end + 1] and where == f"bytes {first}-{end}/{size}" and status == 206
    assert part("bytes=-7")[0] == body[-7:] and part("bytes=100-")[0] == body[100:]
    assert part("bytes=5-2")[2] == 200 and part("bytes=0-1,4-5")[2] in (200, 206)
    refused("InvalidRange", 416, s3.get_object, Bucket=name, Key="k", Range=f"bytes={size}-")
    refused("304", 304, s3.get_object, Bucket=name, Key="k", IfNoneMatch=etag)
    refused("PreconditionFailed", 412, s3.get_object, Bucket=name, Key="k", IfMatch='"other"')
    assert s3.get_object(Bucket=name, Key="k", IfMatch=etag)["ContentLength"] == size
    over = s3.get_object(Bucket=name, Key="k", ResponseContentType="x/y", ResponseContentDisposition="inline")
    assert over["ContentType"] == "x/y" and over["ContentDisposition"] == "inline"


def conditional_put_has_one_winner(system, home):
    s3 = boto(system, max_pool_connections=32)
    name = bucket(s3, "race")

    def create(number):
        try:
            s3.put_object(Bucket=name, Key="one", Body=str(number).encode(), IfNoneMatch="*")
            return number
        except botocore.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict"), error
            return None

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        winners = [n for n in pool.map(create, range(96)) if n is not None]
    assert len(winners) == 1, winners
    assert s3.get_object(Bucket=name, Key="one")["Body"].read() == str(winners[0]).encode()
    etag = s3.head_object(Bucket=name, Key="one")["ETag"]
    s3.put_object(Bucket=name, Key="one", Body=b"next", IfMatch=etag)
    refused("PreconditionFailed", 412, s3.put_object, Bucket=name, Key="one", Body=b"x", IfMatch=etag)
    refused("NoSuchKey", 404, s3.put_object, Bucket=name, Key="none", Body=b"x", IfMatch=etag)


def read_after_write_over_many_connections(system, home):
    """Overwrites and reads from different connections (hence cores): a read never shows less than was acknowledged."""
    clients = [boto(system) for _ in range(8)]
    name = bucket(clients[0], "raw")
    for turn in range(120):
        body = f"turn {turn}".encode()
        clients[turn % 8].put_object(Bucket=name, Key="k", Body=body)
        for reader in clients:
            assert reader.get_object(Bucket=name, Key="k")["Body"].read() == body
        if turn % 10 == 9:
            clients[turn % 7].delete_object(Bucket=name, Key="k")
            for reader in clients:
                refused("NoSuchKey", 404, reader.get_object, Bucket=name, Key="k")


def listings(system, home):
    s3 = boto(system)
    name = bucket(s3, "list")
    keys = [f"a/{i:03}" for i in range(12)] + ["a", "a/b/c", "b", "b//x", "c+d e", "ü/ö", "z&<>'\""]
    for key in keys:
        s3.put_object(Bucket=name, Key=key, Body=b"x")
    ordered = sorted(keys, key=lambda k: k.encode())

    def all_keys(**kwargs):
        found, prefixes = [], []
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=name, **kwargs):
            found += [o["Key"] for o in page.get("Contents", [])]
            prefixes += [p["Prefix"] for p in page.get("CommonPrefixes", [])]
        return found, prefixes

    assert all_keys()[0] == ordered
    assert all_keys(PaginationConfig={"PageSize": 3})[0] == ordered
    assert all_keys(Delimiter="/") == (["a", "b", "c+d e", "z&<>'\""], ["a/", "b/", "ü/"])
    assert all_keys(Delimiter="/", PaginationConfig={"PageSize": 1}) == (["a", "b", "c+d e", "z&<>'\""], ["a/", "b/", "ü/"])
    assert all_keys(Prefix="a/")[0] == [k for k in ordered if k.startswith("a/")]
    assert all_keys(StartAfter="a/005")[0] == [k for k in ordered if k.encode() > b"a/005"]
    one = s3.list_objects(Bucket=name, MaxKeys=2)
    assert [o["Key"] for o in one["Contents"]] == ordered[:2] and one["IsTruncated"]
    two = s3.list_objects(Bucket=name, Marker=ordered[1])
    assert [o["Key"] for o in two["Contents"]] == ordered[2:]
    assert s3.list_objects_v2(Bucket=name, MaxKeys=0)["KeyCount"] == 0
    owner = s3.list_objects_v2(Bucket=name, FetchOwner=True, MaxKeys=1)["Contents"][0]["Owner"]
    assert len(owner["ID"]) == 64
    refused("InvalidArgument", 400, s3.list_objects_v2, Bucket=name, ContinuationToken="nonsense")
    gone = s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": k} for k in keys] + [{"Key": "never"}]})
    assert len(gone["Deleted"]) == len(keys) + 1 and "Errors" not in gone
    assert all_keys() == ([], [])


def strange_keys(system, home):
    s3 = boto(system)
    name = bucket(s3, "keys")
    keys = [
        "+", " ", "a b", "a+b", "a%2Fb", "a%2fb", "(paren)'!*", "=:@&$,;", "ünï/文", "//", "/lead", "trail/", "a//b",
        "..", ".", "a/../b", "a/./b", "end ", " start", "tab\there", "q?x=1", "hash#h", "back\\slash", "~", "k" * 1024,
    ]
    for key in keys:
        s3.put_object(Bucket=name, Key=key, Body=key.encode())
    for key in keys:
        assert s3.get_object(Bucket=name, Key=key)["Body"].read() == key.encode(), key
        url = s3.generate_presigned_url("get_object", Params={"Bucket": name, "Key": key})
    listed = [o["Key"] for o in s3.list_objects_v2(Bucket=name)["Contents"]]
    assert listed == sorted(keys, key=lambda k: k.encode())
    refused("KeyTooLongError", 400, s3.put_object, Bucket=name, Key="k" * 1025, Body=b"")
    assert url


def metadata_and_checksums(system, home):
    s3 = boto(system)
    name, body = bucket(s3, "meta"), os.urandom(100_001)
    headers = {
        "ContentType": "a/b", "CacheControl": "no-store", "ContentDisposition": "attachment", "ContentLanguage": "de",
        "ContentEncoding": "gzip", "Metadata": {"one": "1", "empty": "", "upper": "CaseKept"},
    }
    s3.put_object(Bucket=name, Key="m", Body=body, **headers)
    head = s3.head_object(Bucket=name, Key="m")
    assert all(head[field] == value for field, value in headers.items()), head
    for algorithm, digest in {
        "CRC32": zlib.crc32(body).to_bytes(4, "big"), "SHA1": hashlib.sha1(body).digest(),
        "SHA256": hashlib.sha256(body).digest(), "CRC32C": None, "CRC64NVME": None,
    }.items():
        field = f"Checksum{algorithm}"
        try:
            put = s3.put_object(Bucket=name, Key=algorithm, Body=body, ChecksumAlgorithm=algorithm)
        except botocore.exceptions.MissingDependencyException:
            continue
        got = s3.get_object(Bucket=name, Key=algorithm, ChecksumMode="ENABLED")
        assert got["Body"].read() == body and got[field] == put[field], algorithm
        if digest:
            assert base64.b64decode(got[field]) == digest
    refused("BadDigest", 400, s3.put_object, Bucket=name, Key="w", Body=body,
            ContentMD5=base64.b64encode(hashlib.md5(b"other").digest()).decode())
    refused("InvalidDigest", 400, s3.put_object, Bucket=name, Key="w", Body=body, ContentMD5="no")
    wrong = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    response = None
    try:
        s3.put_object(Bucket=name, Key="w", Body=body, ChecksumSHA256=wrong)
    except botocore.exceptions.ClientError as error:
        response = error.response["Error"]["Code"]
    assert response in ("BadDigest", "XAmzContentChecksumMismatch", "InvalidRequest"), response
    refused("404", 404, s3.head_object, Bucket=name, Key="w")
    refused("MetadataTooLarge", 400, s3.put_object, Bucket=name, Key="w", Body=b"", Metadata={"x": "y" * 3000})


def copies(system, home):
    s3 = boto(system)
    one, two, body = bucket(s3, "from"), bucket(s3, "to"), os.urandom(2 * MIB)
    s3.put_object(Bucket=one, Key="s p", Body=body, Metadata={"a": "1"}, ContentType="x/y")
    s3.copy_object(Bucket=two, Key="c", CopySource={"Bucket": one, "Key": "s p"})
    s3.delete_object(Bucket=one, Key="s p")
    got = s3.get_object(Bucket=two, Key="c")
    assert got["Body"].read() == body and got["Metadata"] == {"a": "1"} and got["ContentType"] == "x/y"
    s3.copy_object(Bucket=two, Key="c", CopySource={"Bucket": two, "Key": "c"}, MetadataDirective="REPLACE", Metadata={"b": "2"})
    got = s3.get_object(Bucket=two, Key="c")
    assert got["Body"].read() == body and got["Metadata"] == {"b": "2"}
    refused("NoSuchKey", 404, s3.copy_object, Bucket=two, Key="d", CopySource={"Bucket": one, "Key": "s p"})
    refused("InvalidRequest", 400, s3.copy_object, Bucket=two, Key="c", CopySource={"Bucket": two, "Key": "c"})


def multipart(system, home):
    s3 = boto(system)
    name = bucket(s3, "mp")
    parts = {1: os.urandom(5 * MIB), 3: os.urandom(5 * MIB + 1), 7: os.urandom(10)}
    upload = s3.create_multipart_upload(Bucket=name, Key="m", Metadata={"u": "v"})["UploadId"]
    tags = {}
    for number in (7, 1, 3):
        tags[number] = s3.upload_part(Bucket=name, Key="m", UploadId=upload, PartNumber=number, Body=parts[number])["ETag"]
    s3.upload_part(Bucket=name, Key="m", UploadId=upload, PartNumber=9, Body=b"unused")
    assert [p["PartNumber"] for p in s3.list_parts(Bucket=name, Key="m", UploadId=upload)["Parts"]] == [1, 3, 7, 9]
    assert [u["UploadId"] for u in s3.list_multipart_uploads(Bucket=name)["Uploads"]] == [upload]
    refused("404", 404, s3.head_object, Bucket=name, Key="m")

    def complete(numbers, **more):
        listed = [{"PartNumber": n, "ETag": more.get("etag", tags[n])} for n in numbers]
        return s3.complete_multipart_upload(Bucket=name, Key="m", UploadId=upload, MultipartUpload={"Parts": listed})

    refused("InvalidPart", 400, complete, numbers=[1, 3], etag='"00000000000000000000000000000000"')
    refused("InvalidPartOrder", 400, complete, numbers=[3, 1])
    done = complete([1, 3, 7])
    digest = hashlib.md5(b"".join(hashlib.md5(parts[n]).digest() for n in (1, 3, 7))).hexdigest()
    assert done["ETag"] == f'"{digest}-3"'
    got = s3.get_object(Bucket=name, Key="m")
    assert got["Body"].read() == parts[1] + parts[3] + parts[7] and got["Metadata"] == {"u": "v"}
    span = s3.get_object(Bucket=name, Key="m", Range=f"bytes={5 * MIB - 3}-{10 * MIB + 5}")["Body"].read()
    assert span == (parts[1] + parts[3] + parts[7])[5 * MIB - 3 : 10 * MIB + 6]
    again = s3.create_multipart_upload(Bucket=name, Key="x")["UploadId"]
    s3.upload_part(Bucket=name, Key="x", UploadId=again, PartNumber=1, Body=b"x")
    s3.abort_multipart_upload(Bucket=name, Key="x", UploadId=again)
    refused("NoSuchUpload", 404, s3.upload_part, Bucket=name, Key="x", UploadId=again, PartNumber=1, Body=b"x")


def many_parts(system, home):
    """40 parts: the manifest no longer stands in the row."""
    s3 = boto(system)
    name = bucket(s3, "parts")
    upload = s3.create_multipart_upload(Bucket=name, Key="m")["UploadId"]
    part = os.urandom(5 * MIB)
    listed = []
    for number in range(1, 41):
        body = part if number < 40 else b"tail"
        tag = s3.upload_part(Bucket=name, Key="m", UploadId=upload, PartNumber=number, Body=body)["ETag"]
        listed.append({"PartNumber": number, "ETag": tag})
    s3.complete_multipart_upload(Bucket=name, Key="m", UploadId=upload, MultipartUpload={"Parts": listed})
    got = s3.get_object(Bucket=name, Key="m")["Body"]
    for _ in range(39):
        assert got.read(5 * MIB) == part
    assert got.read() == b"tail"
    tail = s3.get_object(Bucket=name, Key="m", Range=f"bytes={39 * 5 * MIB - 2}-")["Body"].read()
    assert tail == part[-2:] + b"tail"


class As:
    """The system as seen with another key than root's."""

    def __init__(self, system, key):
        self.endpoint, self.ready, self.ca = system.endpoint, system.ready, system.ca
        self.access_key, self.secret_key = key["access_key_id"], key["secret_access_key"]


def scoped_keys(system, home):
    s3 = boto(system)
    mine, other = bucket(s3, "mine"), bucket(s3, "other")
    s3.put_object(Bucket=other, Key="k", Body=b"x")
    made = system.admin("create-key", "--name", "scoped", "--bucket", mine, "--permission", "read", "--permission", "write")
    reader = system.admin("create-key", "--name", "reader", "--bucket", mine, "--permission", "read")

    key = boto(As(system, made))
    key.put_object(Bucket=mine, Key="k", Body=b"y")
    assert [b["Name"] for b in key.list_buckets()["Buckets"]] == [mine]
    refused("AccessDenied", 403, key.list_objects_v2, Bucket=other)
    refused("AccessDenied", 403, key.list_objects_v2, Bucket=bucket_name("never"))
    refused("AccessDenied", 403, key.get_object, Bucket=other, Key="k")
    refused("AccessDenied", 403, key.copy_object, Bucket=mine, Key="c", CopySource={"Bucket": other, "Key": "k"})
    refused("AccessDenied", 403, key.delete_bucket, Bucket=mine)
    only = boto(As(system, reader))
    assert only.get_object(Bucket=mine, Key="k")["Body"].read() == b"y"
    refused("AccessDenied", 403, only.put_object, Bucket=mine, Key="k", Body=b"z")
    # a re-created name is another bucket
    s3.delete_object(Bucket=mine, Key="k")
    s3.delete_bucket(Bucket=mine)
    s3.create_bucket(Bucket=mine)
    refused("AccessDenied", 403, key.list_objects_v2, Bucket=mine)
    assert key.list_buckets()["Buckets"] == []
    system.admin("revoke-key", "--access-key-id", made["access_key_id"])
    refused("InvalidAccessKeyId", 403, key.list_buckets)


def revoked_signatures(system, home):
    name = bucket(boto(system), "leaked")
    made = system.admin("create-key", "--name", "leaks", "--bucket", name)
    key = As(system, made)
    s3 = boto(key, signature_version="s3v4")
    s3.put_object(Bucket=name, Key="k", Body=b"x")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": name, "Key": "k"})
    target = url.removeprefix(system.endpoint)

    def fetched():
        answer = exchange(system, f"GET {target} HTTP/1.1\r\nHost: {urllib.parse.urlparse(url).netloc}\r\n"
                                  "Connection: close\r\n\r\n".encode())
        return answer.split(b" ", 2)[1], answer.partition(b"<Code>")[2].partition(b"</Code>")[0]

    def ended(before):
        return system.admin("revoke-signatures", "--access-key-id", key.access_key, "--before", before.isoformat())

    assert fetched() == (b"200", b"")
    today = datetime.datetime.now(datetime.timezone.utc).date()
    ended(today - datetime.timedelta(days=7))
    assert fetched() == (b"200", b"")
    done = ended(today + datetime.timedelta(days=2))
    assert done["acknowledged"] >= 1 and done["expired"] == 0, done
    assert fetched() == (b"403", b"AccessDenied")
    refused("AccessDenied", 403, s3.get_object, Bucket=name, Key="k")
    listed = {row["access_key_id"]: row["signed_not_before"] for row in system.admin("list-keys")}
    assert listed[key.access_key] == (today + datetime.timedelta(days=2)).isoformat()
    assert listed[system.access_key] is None, "another key goes on"


def what_we_lack_says_so(system, home):
    s3 = boto(system)
    name = bucket(s3, "lack")
    refused("NotImplemented", 501, s3.put_bucket_lifecycle_configuration, Bucket=name, LifecycleConfiguration={
        "Rules": [{"ID": "r", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]})
    refused("NotImplemented", 501, s3.get_object_torrent, Bucket=name, Key="k")
    refused("NotImplemented", 501, s3.put_object, Bucket=name, Key="k", Body=b"", ServerSideEncryption="aws:kms")


# ------------------------------------------------------------------------------------------------- raw sockets


def dial(system):
    url = urllib.parse.urlparse(system.endpoint)
    plain = socket.create_connection((url.hostname, url.port), timeout=30)
    if url.scheme == "http":
        return plain
    context = ssl.create_default_context(cafile=str(system.ca))
    return context.wrap_socket(plain, server_hostname="localhost")


def exchange(system, request, *, half_close=False):
    """Sends bytes, returns everything until the server closes or falls silent for a second."""
    with dial(system) as connection:
        connection.sendall(request)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        connection.settimeout(1.5)
        answer = b""
        try:
            while chunk := connection.recv(65536):
                answer += chunk
        except TimeoutError:
            pass
    return answer


def signed(system, method, path, *, headers=None, payload_hash="UNSIGNED-PAYLOAD", when=None):
    """A request head signed by hand, so that what follows can be anything."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(when))
    date, region = stamp[:8], system.ready["region"]
    fields = {"host": urllib.parse.urlparse(system.endpoint).netloc, "x-amz-date": stamp,
              "x-amz-content-sha256": payload_hash, **(headers or {})}
    names = sorted(fields)
    canonical = "\n".join([method, path, "", *(f"{n}:{fields[n]}" for n in names), "", ";".join(names), payload_hash])
    scope = f"{date}/{region}/s3/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + system.secret_key).encode()
    for word in (date, region, "s3", "aws4_request"):
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    fields["authorization"] = (f"AWS4-HMAC-SHA256 Credential={system.access_key}/{scope}, "
                               f"SignedHeaders={';'.join(names)}, Signature={signature}")
    lines = [f"{method} {path} HTTP/1.1", *(f"{n}: {v}" for n, v in fields.items()), "", ""]
    return "\r\n".join(lines).encode()


def bad_heads(system, home):
    for request, status in [
        (b"GARBAGE\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"PUT /b/k HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
        (b"PUT /b/k HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 40_000 + b"\r\n\r\n", b"4"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n folded: x\r\n\r\n", b"400"),
    ]:
        answer = exchange(system, request)
        assert answer.startswith(b"HTTP/1.1 " + status), (request[:60], answer[:200])


def bad_bodies_leave_nothing(system, home):
    s3 = boto(system)
    name = bucket(s3, "bad")
    wrong_hash = hashlib.sha256(b"other").hexdigest()
    answer = exchange(system, signed(system, "PUT", f"/{name}/hash", payload_hash=wrong_hash,
                                     headers={"content-length": "5"}) + b"12345")
    assert b"XAmzContentSHA256Mismatch" in answer, answer
    exchange(system, signed(system, "PUT", f"/{name}/short", headers={"content-length": "100000"}) + b"12345", half_close=True)
    chunked = signed(system, "PUT", f"/{name}/chunk", payload_hash="STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
                     headers={"content-length": "94", "x-amz-decoded-content-length": "5", "content-encoding": "aws-chunked"})
    answer = exchange(system, chunked + b"5;chunk-signature=" + b"0" * 64 + b"\r\n12345\r\n")
    assert b"SignatureDoesNotMatch" in answer, answer
    answer = exchange(system, signed(system, "PUT", f"/{name}/none"))
    assert b"MissingContentLength" in answer, answer
    answer = exchange(system, signed(system, "PUT", f"/{name}/nul%00", headers={"content-length": "0"}))
    assert answer.startswith(b"HTTP/1.1 400"), answer
    answer = exchange(system, signed(system, "GET", f"/{name}", when=time.time() - 3600))
    assert b"RequestTimeTooSkewed" in answer, answer
    tampered = signed(system, "GET", f"/{name}").replace(b"Signature=", b"Signature=0", 1)
    answer = exchange(system, tampered)
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 403")), answer
    assert "Contents" not in s3.list_objects_v2(Bucket=name)


def an_early_refusal_reaches_a_sending_client(system, home):
    """The answer arrives although megabytes of body are still on their way."""
    head = signed(system, "PUT", "/no-such-bucket-here/k", headers={"content-length": str(20 * MIB)})
    with dial(system) as connection:
        connection.sendall(head)
        try:
            for _ in range(20):
                connection.sendall(b"x" * MIB)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            pass
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 404") and b"NoSuchBucket" in answer, answer[:300]


def pipelining_and_continue(system, home):
    s3 = boto(system)
    name = bucket(s3, "pipe")
    put = signed(system, "PUT", f"/{name}/k", headers={"content-length": "3"}) + b"abc"
    get = signed(system, "GET", f"/{name}/k")
    answer = exchange(system, put + get + get)
    assert answer.count(b"HTTP/1.1 200") == 3 and answer.endswith(b"abc"), answer
    with dial(system) as connection:
        connection.sendall(signed(system, "PUT", f"/{name}/c", headers={"content-length": "3", "expect": "100-continue"}))
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"xyz")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert s3.get_object(Bucket=name, Key="c")["Body"].read() == b"xyz"


ALL = [
    buckets_live_and_die, ranges_and_conditions, conditional_put_has_one_winner, read_after_write_over_many_connections,
    listings, strange_keys, metadata_and_checksums, copies, multipart, many_parts, scoped_keys, revoked_signatures, what_we_lack_says_so,
    bad_heads, bad_bodies_leave_nothing, an_early_refusal_reaches_a_sending_client, pipelining_and_continue,
]
