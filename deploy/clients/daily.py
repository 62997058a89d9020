"""The daily surface: buckets, deletes in bulk, ranges, headers and overrides, metadata, strange keys, storage classes."""

import urllib.parse

from clients import boto, bucket_name
from raw import answered, checksummed, headers_of, send
from semantics import bucket, refused

CLASSES = ("REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER", "GLACIER_IR", "DEEP_ARCHIVE")


def deletes_verbose_and_quiet(system, home):
    s3 = boto(system)
    name = bucket(s3, "bulk")

    def delete(keys, **more):
        for key in ("a", "b", "ü &<>", "dir/"):
            s3.put_object(Bucket=name, Key=key, Body=b"x")
        return s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": key} for key in keys], **more})

    keys = ["a", "never was", "b", "a", "ü &<>", "dir/"]
    verbose = delete(keys)
    assert sorted(e["Key"] for e in verbose["Deleted"]) == sorted(keys) and "Errors" not in verbose
    assert not any("DeleteMarker" in e or "VersionId" in e for e in verbose["Deleted"])
    assert "Deleted" not in delete(keys, Quiet=True) and delete(keys, Quiet=False)["Deleted"]
    mixed = delete(["a", "k" * 1025, "b"])
    assert sorted(e["Key"] for e in mixed["Deleted"]) == ["a", "b"]
    assert [(e["Key"], e["Code"]) for e in mixed["Errors"]] == [("k" * 1025, "KeyTooLongError")] and mixed["Errors"][0]["Message"]
    quiet = delete(["a", "k" * 1025], Quiet=True)
    assert "Deleted" not in quiet and len(quiet["Errors"]) == 1
    assert delete(["b"])["ResponseMetadata"]["HTTPStatusCode"] == 200
    left = [o["Key"] for o in s3.list_objects_v2(Bucket=name)["Contents"]]
    assert left == ["a", "dir/", "ü &<>"], left


def bulk_deletes_that_are_none(system, home):
    s3 = boto(system)
    name = bucket(s3, "bulkbad")
    s3.put_object(Bucket=name, Key="a", Body=b"x")
    target, one = f"/{name}?delete", b"<Object><Key>a</Key></Object>"
    for body in (b"", b"no xml", b"<Delete/>", b"<Delete></Delete>", b"<Other>" + one + b"</Other>", b"<Delete>" + one,
                 b"<Delete>" + one * 1001 + b"</Delete>",
                 b"<Delete><Object/></Delete>", b"<Delete><Object><Key></Key></Object></Delete>",
                 b"<Delete>" + one + b"<Quiet>perhaps</Quiet></Delete>",
                 b"<Delete><Object><Key>a</Key><Key>a</Key></Object></Delete>", b"<Delete>" + one + b"</Delete><Delete/>",
                 b'<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>'):
        answer = send(system, "POST", target, **checksummed(body))
        assert answer.status == 400 and answer.code in ("MalformedXML", "MissingRequestBodyError"), (body[:60], answer)
    refused("NoSuchBucket", 404, s3.delete_objects, Bucket=name + "-none", Delete={"Objects": [{"Key": "a"}]})
    assert s3.head_object(Bucket=name, Key="a")
    many = b"".join(b"<Object><Key>%d</Key></Object>" % n for n in range(1000))
    thousand = send(system, "POST", target, **checksummed(b"<Delete>" + many + b"</Delete>"))
    assert thousand.status == 200 and len(thousand.texts("Deleted")) == 1000


def ranges(system, home):
    s3 = boto(system)
    name = bucket(s3, "ranges")
    s3.put_object(Bucket=name, Key="k", Body=b"0123456789")
    s3.put_object(Bucket=name, Key="empty", Body=b"")
    for text, wanted in [
        ("0-8", "012345678"), ("1-1", "1"), ("1-", "123456789"), ("-2", "89"), ("-9", "123456789"), ("-15", "0123456789"),
        ("0-100", "0123456789"),
        ("0-0", "0"), ("9-9", "9"), ("9-", "9"), ("1-0", None), ("-1-", None), ("0--1", None), ("0-1,3-4", None),
        ("1-0,3-4", None), ("-", None), ("a-b", None), ("", None),
    ]:
        for call in (s3.get_object, s3.head_object):
            got = call(Bucket=name, Key="k", Range=f"bytes={text}")
            if wanted is None:  # what is no single range is passed over
                assert got["ResponseMetadata"]["HTTPStatusCode"] == 200 and got["ContentLength"] == 10 and "ContentRange" not in got, text
                continue
            first = "0123456789".index(wanted[0])
            assert got["ResponseMetadata"]["HTTPStatusCode"] == 206, text
            assert got["ContentRange"] == f"bytes {first}-{first + len(wanted) - 1}/10" and got["ContentLength"] == len(wanted), text
            assert call == s3.head_object or got["Body"].read().decode() == wanted
    for key, text in (("k", "10-"), ("k", "100-200"), ("k", "-0"), ("empty", "0-0"), ("empty", "-1")):
        refused("InvalidRange", 416, s3.get_object, Bucket=name, Key=key, Range=f"bytes={text}")
        refused("416", 416, s3.head_object, Bucket=name, Key=key, Range=f"bytes={text}")
    for text in ("bits=0-1", "0-1", "bytes 0-1"):
        assert answered(send(system, "GET", f"/{name}/k", headers={"Range": text}), 200).body == b"0123456789"
    assert s3.get_object(Bucket=name, Key="k")["AcceptRanges"] == "bytes"
    refused("NoSuchKey", 404, s3.get_object, Bucket=name, Key="none", Range="bytes=0-1")


def headers_and_overrides(system, home):
    s3 = boto(system)
    name = bucket(s3, "headers")
    stored = {"CacheControl": "max-age=1", "ContentDisposition": 'attachment; filename="ä.txt"', "ContentLanguage": "de, en",
              "ContentEncoding": "gzip", "ContentType": "text/plain; charset=utf-8"}
    s3.put_object(Bucket=name, Key="k", Body=b"x", Expires="Thu, 01 Dec 2033 16:00:00 GMT", WebsiteRedirectLocation="/there",
                  **{**stored, "ContentDisposition": 'attachment; filename="a.txt"'})
    stored["ContentDisposition"] = 'attachment; filename="a.txt"'
    for call in (s3.get_object, s3.head_object):
        got = call(Bucket=name, Key="k")
        assert {field: got[field] for field in stored} == stored and got["ExpiresString"] == "Thu, 01 Dec 2033 16:00:00 GMT"
        assert got["WebsiteRedirectLocation"] == "/there"
        over = call(Bucket=name, Key="k", ResponseCacheControl="no-cache", ResponseContentDisposition="inline",
                    ResponseContentEncoding="br",
                    ResponseContentLanguage="fr", ResponseContentType="a/b", ResponseExpires="Fri, 01 Jan 2027 00:00:00 GMT")
        assert [over[field] for field in stored] == ["no-cache", "inline", "fr", "br", "a/b"]
        assert over["ExpiresString"] == "Fri, 01 Jan 2027 00:00:00 GMT"
    assert s3.get_object(Bucket=name, Key="k", ResponseContentType="a/b", Range="bytes=0-0")["ContentType"] == "a/b"
    for sent, kept in ((None, "binary/octet-stream"), ("aws-chunked", None), ("aws-chunked,gzip", "gzip"),
                       ("gzip,aws-chunked", "gzip")):
        headers = {"Content-Encoding": sent} if sent else {}
        answered(send(system, "PUT", f"/{name}/e", headers=headers, body=b"x"), 200)
        head = s3.head_object(Bucket=name, Key="e")
        assert head["ContentType"] == "binary/octet-stream" and (not sent or head.get("ContentEncoding") == kept), (sent, head)
    refused("InvalidRedirectLocation", 400, s3.put_object, Bucket=name, Key="r", Body=b"", WebsiteRedirectLocation="ftp://x")


def user_metadata(system, home):
    s3 = boto(system)
    name = bucket(s3, "metadata")
    told = {"a": "1", "empty": "", "under_score": "x", "with-dash": "Case Kept  spaces", "n2": "!#$%&'*+-.^_`|~"}
    s3.put_object(Bucket=name, Key="k", Body=b"x", Metadata=told)
    assert s3.head_object(Bucket=name, Key="k")["Metadata"] == told
    s3.put_object(Bucket=name, Key="k", Body=b"y")
    assert s3.head_object(Bucket=name, Key="k")["Metadata"] == {}
    s3.put_object(Bucket=name, Key="k", Body=b"x", Metadata={"x": "y" * 2047})
    for much in ({"x": "y" * 2048}, {"x" * 100: "y" * 1949}, {f"n{n:02}": "v" * 40 for n in range(60)}):
        refused("MetadataTooLarge", 400, s3.put_object, Bucket=name, Key="k", Body=b"", Metadata=much)
        refused("MetadataTooLarge", 400, s3.create_multipart_upload, Bucket=name, Key="k", Metadata=much)
    assert s3.head_object(Bucket=name, Key="k")["Metadata"] == {"x": "y" * 2047}
    raw = send(system, "PUT", f"/{name}/k", headers={"X-Amz-Meta-UPPER": "Value"}, body=b"x")
    assert answered(raw, 200) and s3.head_object(Bucket=name, Key="k")["Metadata"] == {"upper": "Value"}


def keys_of_every_kind(system, home):
    s3 = boto(system)
    name = bucket(s3, "keys")
    keys = ["k" * 1024, "ü" * 512, "dir/", "dir/file", "/", "//", "back\\slash", "\\", "quote'\"", "<xml>&amp;",
            "per%cent%2F", "a+b c", "~", "-", "*", "é́",
            "\U0001f600", "q?a=b&c#d", ".", "..", "a/../b", " lead", "trail ", *(f"c{chr(n)}x" for n in range(1, 32)), "\x7f",
            "\u0080", "\ufffe", "a\u2028b"]
    for key in keys:
        s3.put_object(Bucket=name, Key=key, Body=key.encode())
    for key in keys:
        assert s3.get_object(Bucket=name, Key=key)["Body"].read() == key.encode(), repr(key)
    ordered = sorted(keys, key=lambda key: key.encode())
    for call in (s3.list_objects, s3.list_objects_v2):  # boto3 asks for encoding-type=url and decodes
        assert [o["Key"] for o in call(Bucket=name)["Contents"]] == ordered
    encoded = answered(send(system, "GET", f"/{name}?encoding-type=url"), 200)
    assert [urllib.parse.unquote_plus(key) for key in encoded.texts("Key")] == ordered and encoded.texts("EncodingType") == ["url"]
    assert all(32 < ord(letter) < 127 for key in encoded.texts("Key") for letter in key), "only ASCII that XML can carry"
    s3.put_object(Bucket=name, Key="dir/", Body=b"a body of its own")
    assert s3.get_object(Bucket=name, Key="dir/")["Body"].read() == b"a body of its own"
    assert [p["Prefix"] for p in s3.list_objects_v2(Bucket=name, Delimiter="/", Prefix="dir")["CommonPrefixes"]] == ["dir/"]
    for long in ("k" * 1025, "ü" * 513):
        refused("KeyTooLongError", 400, s3.put_object, Bucket=name, Key=long, Body=b"")
    outcome = s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": key} for key in keys if key.isprintable()]})
    assert "Errors" not in outcome
    for key in keys:
        s3.delete_object(Bucket=name, Key=key)
    assert "Contents" not in s3.list_objects_v2(Bucket=name)


def storage_classes(system, home):
    s3 = boto(system)
    name = bucket(s3, "classes")
    for storage_class in CLASSES:
        s3.put_object(Bucket=name, Key="k", Body=b"x", StorageClass=storage_class)
        assert s3.head_object(Bucket=name, Key="k")["StorageClass"] == storage_class
        assert s3.list_objects_v2(Bucket=name)["Contents"][0]["StorageClass"] == storage_class
    s3.put_object(Bucket=name, Key="k", Body=b"x", StorageClass="STANDARD")
    assert "StorageClass" not in s3.head_object(Bucket=name, Key="k")
    assert s3.list_objects_v2(Bucket=name)["Contents"][0]["StorageClass"] == "STANDARD"
    for wrong in ("standard", "COLD", "FSX_ONTAP", "AWS_BACKUP_WARM", "AWS_BACKUP_LOW_COST_WARM"):
        refused("InvalidStorageClass", 400, s3.put_object, Bucket=name, Key="w", Body=b"x", StorageClass=wrong)
    refused("404", 404, s3.head_object, Bucket=name, Key="w")


def storage_classes_of_other_places(system, home):
    """Classes that AWS has elsewhere (Outposts, Snow, directory buckets, FSx) are no classes of a general purpose bucket."""
    s3 = boto(system)
    name = bucket(s3, "elsewhere")
    for wrong in ("OUTPOSTS", "SNOW", "EXPRESS_ONEZONE", "FSX_OPENZFS"):
        refused("InvalidStorageClass", 400, s3.put_object, Bucket=name, Key="w", Body=b"x", StorageClass=wrong)


def bucket_names(system, home):
    s3 = boto(system)
    for wrong in ("ab", "a" * 64, "Upper", "under_score", "-lead", "trail-", ".lead", "trail.", "two..dots", "192.168.5.4",
                  "xn--puny", "x-s3alias"):
        refused("InvalidBucketName", 400, s3.create_bucket, Bucket=wrong)
    for right in (bucket_name("abc"), bucket_name("dots.in.it"), bucket_name("123"), bucket_name("a" * 50)[:63]):
        assert s3.create_bucket(Bucket=right)["Location"] == f"/{right}"
        s3.delete_bucket(Bucket=right)


def buckets_again_and_elsewhere(system, home):
    s3, region = boto(system), system.ready["region"]
    name = bucket(s3, "again")
    s3.put_object(Bucket=name, Key="k", Body=b"x")
    if region == "us-east-1":  # as AWS does there: creating one's own bucket again succeeds and changes nothing
        s3.create_bucket(Bucket=name)
    else:
        refused("BucketAlreadyOwnedByYou", 409, s3.create_bucket, Bucket=name)
    assert s3.head_object(Bucket=name, Key="k")
    for elsewhere in ("eu-west-1", "nowhere"):
        refused("IllegalLocationConstraintException", 400, s3.create_bucket, Bucket=name + "-b",
                CreateBucketConfiguration={"LocationConstraint": elsewhere})
    refused("404", 404, s3.head_bucket, Bucket=name + "-b")
    assert headers_of(s3.head_bucket(Bucket=name))["x-amz-bucket-region"] == region
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] == (None if region == "us-east-1" else region)
    for body in (b"<CreateBucketConfiguration>", b"<Other/>", b"<CreateBucketConfiguration><What/></CreateBucketConfiguration>"):
        answered(send(system, "PUT", f"/{name}-c", body=body), 400, "MalformedXML")


def pages_of_buckets(system, home):
    s3, word = boto(system), bucket_name("pages")
    names = [f"{word}-{n}" for n in range(5)]
    for name in names:
        s3.create_bucket(Bucket=name)
    found, token = [], None
    while True:
        page = s3.list_buckets(Prefix=word, MaxBuckets=2, **({"ContinuationToken": token} if token else {}))
        found += [b["Name"] for b in page["Buckets"]]
        assert len(page["Buckets"]) <= 2 and page["Prefix"] == word
        token = page.get("ContinuationToken")
        if not token:
            break
    assert found == names and all(b["CreationDate"] for b in page["Buckets"])
    region = system.ready["region"]
    assert {b["BucketRegion"] for b in s3.list_buckets(Prefix=word, BucketRegion=region)["Buckets"]} == {region}
    assert s3.list_buckets(Prefix=word, BucketRegion="eu-west-1")["Buckets"] == []
    assert s3.list_buckets()["Owner"]["ID"]
    for query in ("max-buckets=0", "max-buckets=10001", "max-buckets=x", "continuation-token=nonsense"):
        answered(send(system, "GET", f"/?{query}"), 400, "InvalidArgument")


def versions_of_a_plain_bucket(system, home):
    """A bucket that never was versioned has one version of each key: null, which its answers do not mention."""
    s3 = boto(system)
    name = bucket(s3, "plain")
    for call in (s3.get_object, s3.head_object, s3.delete_object):
        s3.put_object(Bucket=name, Key="k", Body=b"x")
        assert "VersionId" not in call(Bucket=name, Key="k") or call == s3.delete_object
        s3.put_object(Bucket=name, Key="k", Body=b"x")
        assert call(Bucket=name, Key="k", VersionId="null")["ResponseMetadata"]["HTTPStatusCode"] in (200, 204)
    refused("404", 404, s3.head_object, Bucket=name, Key="k")
    s3.put_object(Bucket=name, Key="k", Body=b"x")
    for method in ("GET", "DELETE"):
        unknown = send(system, method, f"/{name}/k?versionId=HPniJFCxqTsMuIH9KX8K8wEjNUgmABCD")
        assert (unknown.status, unknown.code) in ((404, "NoSuchVersion"), (400, "InvalidArgument")), unknown
    outcome = s3.delete_objects(Bucket=name, Delete={"Objects": [
        {"Key": "k", "VersionId": "HPniJFCxqTsMuIH9KX8K8wEjNUgmABCD"}, {"Key": "k", "VersionId": "null"}]})
    assert [e["Code"] for e in outcome["Errors"]] == ["NoSuchVersion"] and len(outcome["Deleted"]) == 1
    refused("404", 404, s3.head_object, Bucket=name, Key="k")


def lengths_and_methods(system, home):
    s3 = boto(system)
    name = bucket(s3, "lengths")
    s3.put_object(Bucket=name, Key="k", Body=b"12345", ContentLength=5)
    assert s3.head_object(Bucket=name, Key="k")["ContentLength"] == 5
    upload = s3.create_multipart_upload(Bucket=name, Key="m")["UploadId"]
    s3.upload_part(Bucket=name, Key="m", UploadId=upload, PartNumber=1, Body=b"12345", ContentLength=5)
    assert s3.list_parts(Bucket=name, Key="m", UploadId=upload)["Parts"][0]["Size"] == 5
    answered(send(system, "PUT", f"/{name}/huge", headers={"Content-Length": str(6 << 40)}), 400, "EntityTooLarge")
    for method, target in (("POST", f"/{name}/k"), ("PATCH", f"/{name}/k"), ("PUT", "/"), ("DELETE", "/"), ("POST", "/")):
        answered(send(system, method, target), 405, "MethodNotAllowed")
    for answer in (send(system, "GET", f"/{name}/k"), send(system, "GET", f"/{name}/none"),
                   send(system, "GET", f"/{name}/k", signed=False)):
        assert answer.headers["x-amz-request-id"] and answer.headers["x-amz-id-2"] and answer.headers["date"] and answer.headers["server"]
    error = send(system, "GET", f"/{name}/none")
    assert error.texts("Key") == ["none"] and error.texts("RequestId") == [error.headers["x-amz-request-id"]] and error.texts("HostId")


ALL = [
    deletes_verbose_and_quiet, bulk_deletes_that_are_none, ranges, headers_and_overrides, user_metadata, keys_of_every_kind,
    storage_classes,
    storage_classes_of_other_places, bucket_names, buckets_again_and_elsewhere, pages_of_buckets,
    versions_of_a_plain_bucket, lengths_and_methods,
]
