"""Versioning: ids, delete markers, null versions, suspension, listings, and what copies and uploads make of them."""

import concurrent.futures
import urllib.parse

from clients import MIB, boto
from raw import answered, headers_of, send
from semantics import bucket, refused


def versioned(s3, word, status="Enabled"):
    name = bucket(s3, word)
    set_versioning(s3, name, status)
    return name


def set_versioning(s3, name, status):
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": status})


def history(s3, name, **arguments):
    """(key, version id, is latest, is marker) of everything in a bucket, in the order of the listing."""
    entries = []
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=name, **arguments):
        found = [(v, False) for v in page.get("Versions", [])] + [(m, True) for m in page.get("DeleteMarkers", [])]
        entries += [(v["Key"], v["VersionId"], v["IsLatest"], marker) for v, marker in found]
    return entries


def states(system, home):
    s3 = boto(system)
    name = bucket(s3, "states")
    assert "Status" not in s3.get_bucket_versioning(Bucket=name)
    for status in ("Suspended", "Enabled", "Suspended", "Enabled"):
        set_versioning(s3, name, status)
        assert s3.get_bucket_versioning(Bucket=name)["Status"] == status
    for wrong in ("enabled", "Disabled"):
        refused("MalformedXML", 400, s3.put_bucket_versioning, Bucket=name, VersioningConfiguration={"Status": wrong})
    refused("IllegalVersioningConfigurationException", 400, s3.put_bucket_versioning, Bucket=name, VersioningConfiguration={})
    refused("NoSuchBucket", 404, s3.get_bucket_versioning, Bucket=name + "-none")
    refused("NoSuchBucket", 404, s3.put_bucket_versioning, Bucket=name + "-none",
            VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"


def every_put_makes_a_version(system, home):
    s3 = boto(system)
    name = versioned(s3, "puts")
    ids = [s3.put_object(Bucket=name, Key="k", Body=f"{n}".encode())["VersionId"] for n in range(4)]
    assert len(set(ids)) == 4 and "null" not in ids
    for number, version in enumerate(ids):
        got = s3.get_object(Bucket=name, Key="k", VersionId=version)
        assert got["Body"].read() == f"{number}".encode() and got["VersionId"] == version
        assert s3.head_object(Bucket=name, Key="k", VersionId=version)["VersionId"] == version
    assert s3.get_object(Bucket=name, Key="k")["VersionId"] == ids[-1]
    assert [entry[1:3] for entry in history(s3, name)] == [(v, v == ids[-1]) for v in reversed(ids)]
    gone = s3.delete_object(Bucket=name, Key="k", VersionId=ids[3])
    assert gone["VersionId"] == ids[3] and "DeleteMarker" not in gone
    assert s3.get_object(Bucket=name, Key="k")["VersionId"] == ids[2]
    refused("NoSuchVersion", 404, s3.get_object, Bucket=name, Key="k", VersionId=ids[3])
    refused("404", 404, s3.head_object, Bucket=name, Key="k", VersionId=ids[3])
    s3.delete_object(Bucket=name, Key="k", VersionId=ids[3])  # deleting again succeeds
    for wrong in ("no such id", "ü", "-/-"):
        refused("InvalidArgument", 400, s3.get_object, Bucket=name, Key="k", VersionId=wrong)
        refused("InvalidArgument", 400, s3.delete_object, Bucket=name, Key="k", VersionId=wrong)
    answered(send(system, "GET", f"/{name}/k?versionId="), 400, "InvalidArgument")


def delete_markers(system, home):
    s3 = boto(system)
    name = versioned(s3, "markers")
    version = s3.put_object(Bucket=name, Key="k", Body=b"x")["VersionId"]
    deleted = s3.delete_object(Bucket=name, Key="k")
    marker = deleted["VersionId"]
    assert deleted["DeleteMarker"] is True and marker != version
    for call, code in ((s3.get_object, "NoSuchKey"), (s3.head_object, "404")):
        head = headers_of(refused(code, 404, call, Bucket=name, Key="k"))
        assert head["x-amz-delete-marker"] == "true" and head["x-amz-version-id"] == marker
    for call, code in ((s3.get_object, "MethodNotAllowed"), (s3.head_object, "405")):
        head = headers_of(refused(code, 405, call, Bucket=name, Key="k", VersionId=marker))
        assert head["x-amz-delete-marker"] == "true" and head["allow"] == "DELETE" and head["last-modified"]
    assert s3.get_object(Bucket=name, Key="k", VersionId=version)["Body"].read() == b"x"
    assert "Contents" not in s3.list_objects_v2(Bucket=name)
    second = s3.delete_object(Bucket=name, Key="k")
    never = s3.delete_object(Bucket=name, Key="never-was")
    assert second["DeleteMarker"] and never["DeleteMarker"] and len({marker, second["VersionId"], never["VersionId"]}) == 3
    assert [e[1:] for e in history(s3, name, Prefix="k") if e[3]] == [(second["VersionId"], True, True), (marker, False, True)]
    for version_id in (second["VersionId"], marker):
        gone = s3.delete_object(Bucket=name, Key="k", VersionId=version_id)
        assert gone["DeleteMarker"] is True and gone["VersionId"] == version_id
    assert s3.get_object(Bucket=name, Key="k")["VersionId"] == version


def null_versions(system, home):
    s3 = boto(system)
    name = bucket(s3, "null")
    put = s3.put_object(Bucket=name, Key="k", Body=b"before")
    assert "VersionId" not in put and "VersionId" not in s3.head_object(Bucket=name, Key="k", VersionId="null")
    assert history(s3, name) == [("k", "null", True, False)]
    set_versioning(s3, name, "Enabled")
    assert s3.head_object(Bucket=name, Key="k")["VersionId"] == "null"
    later = s3.put_object(Bucket=name, Key="k", Body=b"after")["VersionId"]
    assert s3.get_object(Bucket=name, Key="k", VersionId="null")["Body"].read() == b"before"
    assert [e[1] for e in history(s3, name)] == [later, "null"]
    assert s3.delete_object(Bucket=name, Key="k", VersionId="null")["VersionId"] == "null"
    refused("NoSuchVersion", 404, s3.get_object, Bucket=name, Key="k", VersionId="null")
    assert s3.get_object(Bucket=name, Key="k")["Body"].read() == b"after"


def suspended_buckets(system, home):
    s3 = boto(system)
    name = versioned(s3, "suspended")
    kept = s3.put_object(Bucket=name, Key="k", Body=b"kept")["VersionId"]
    set_versioning(s3, name, "Suspended")
    for body in (b"one", b"two"):
        assert "VersionId" not in s3.put_object(Bucket=name, Key="k", Body=body)  # AWS leaves the header out here
    got = s3.get_object(Bucket=name, Key="k")
    assert got["Body"].read() == b"two" and got["VersionId"] == "null"
    assert [e[1:3] for e in history(s3, name)] == [("null", True), (kept, False)]
    deleted = s3.delete_object(Bucket=name, Key="k")
    assert deleted["DeleteMarker"] is True and deleted["VersionId"] == "null"
    assert sorted(e[1:] for e in history(s3, name)) == sorted([("null", True, True), (kept, False, False)])
    s3.put_object(Bucket=name, Key="k", Body=b"three")  # takes the null marker's place
    assert [e[1:] for e in history(s3, name)] == [("null", True, False), (kept, False, False)]
    set_versioning(s3, name, "Enabled")
    assert s3.put_object(Bucket=name, Key="k", Body=b"four")["VersionId"] not in ("null", kept)
    assert len(history(s3, name)) == 3


def listings_of_versions(system, home):
    s3 = boto(system)
    name = versioned(s3, "list")
    expected = {}
    for key in ("a", "b/1", "b/2", "c d+e", "ü"):
        ids = [s3.put_object(Bucket=name, Key=key, Body=b"x")["VersionId"] for _ in range(3)]
        ids.append(s3.delete_object(Bucket=name, Key=key)["VersionId"])
        expected[key] = ids[::-1]
    everything = [(key, version) for key in sorted(expected) for version in expected[key]]
    whole = s3.list_object_versions(Bucket=name)
    assert whole["IsTruncated"] is False and whole["MaxKeys"] == 1000 and whole["KeyMarker"] == "" == whole["VersionIdMarker"]
    assert all(m["IsLatest"] for m in whole["DeleteMarkers"]) and not any(v["IsLatest"] for v in whole["Versions"])
    assert {"ETag", "Size", "StorageClass", "Owner", "LastModified"} <= set(whole["Versions"][0])
    for size in (1, 2, 3, 7, 1000):
        pages = s3.get_paginator("list_object_versions").paginate(Bucket=name, PaginationConfig={"PageSize": size})
        found = [(e["Key"], e["VersionId"]) for page in pages for e in page.get("Versions", []) + page.get("DeleteMarkers", [])]
        assert sorted(found) == sorted(everything) and len(found) == len(everything), size
    after = s3.list_object_versions(Bucket=name, KeyMarker="b/1", VersionIdMarker=expected["b/1"][1], MaxKeys=2)
    assert [v["VersionId"] for v in after["Versions"]] == expected["b/1"][2:]
    assert (after["NextKeyMarker"], after["NextVersionIdMarker"]) == ("b/1", expected["b/1"][3])
    assert {v["Key"] for v in s3.list_object_versions(Bucket=name, KeyMarker="b/2")["Versions"]} == {"c d+e", "ü"}
    grouped = s3.list_object_versions(Bucket=name, Delimiter="/")
    assert [p["Prefix"] for p in grouped["CommonPrefixes"]] == ["b/"]
    assert {v["Key"] for v in s3.list_object_versions(Bucket=name, Prefix="b/")["Versions"]} == {"b/1", "b/2"}
    assert "Versions" not in s3.list_object_versions(Bucket=name, MaxKeys=0)
    refused("InvalidArgument", 400, s3.list_object_versions, Bucket=name, VersionIdMarker=expected["a"][0])
    answered(send(system, "GET", f"/{name}?versions&key-marker=a&version-id-marker="), 400, "InvalidArgument")
    answered(send(system, "GET", f"/{name}?versions&max-keys=-1"), 400, "InvalidArgument")
    encoded = send(system, "GET", f"/{name}?versions&encoding-type=url").texts("Key")
    assert {urllib.parse.unquote_plus(key) for key in encoded} == set(expected) and "ü" not in encoded


def copies_of_versions(system, home):
    s3 = boto(system)
    name, target = versioned(s3, "from"), versioned(s3, "to")
    old = s3.put_object(Bucket=name, Key="k", Body=b"old", Metadata={"n": "1"})["VersionId"]
    new = s3.put_object(Bucket=name, Key="k", Body=b"new")["VersionId"]
    copied = s3.copy_object(Bucket=target, Key="c", CopySource={"Bucket": name, "Key": "k", "VersionId": old})
    assert copied["CopySourceVersionId"] == old and copied["VersionId"] not in (old, new)
    got = s3.get_object(Bucket=target, Key="c", VersionId=copied["VersionId"])
    assert got["Body"].read() == b"old" and got["Metadata"] == {"n": "1"}
    # an older version onto its own key: how an object is restored
    restored = s3.copy_object(Bucket=name, Key="k", CopySource={"Bucket": name, "Key": "k", "VersionId": old})
    assert s3.get_object(Bucket=name, Key="k")["Body"].read() == b"old" and restored["VersionId"] not in (old, new)
    marker = s3.delete_object(Bucket=name, Key="k")["VersionId"]
    refused("InvalidRequest", 400, s3.copy_object, Bucket=target, Key="d",
            CopySource={"Bucket": name, "Key": "k", "VersionId": marker})
    refused("NoSuchKey", 404, s3.copy_object, Bucket=target, Key="d", CopySource={"Bucket": name, "Key": "k"})
    upload = s3.create_multipart_upload(Bucket=target, Key="p")["UploadId"]
    part = s3.upload_part_copy(Bucket=target, Key="p", UploadId=upload, PartNumber=1,
                               CopySource={"Bucket": name, "Key": "k", "VersionId": old})
    assert part["CopySourceVersionId"] == old
    done = s3.complete_multipart_upload(Bucket=target, Key="p", UploadId=upload, MultipartUpload={
        "Parts": [{"PartNumber": 1, "ETag": part["CopyPartResult"]["ETag"]}]})
    assert s3.get_object(Bucket=target, Key="p", VersionId=done["VersionId"])["Body"].read() == b"old"


def uploads_make_versions(system, home):
    s3 = boto(system)
    name = versioned(s3, "uploads")
    first = s3.put_object(Bucket=name, Key="k", Body=b"first")["VersionId"]
    upload = s3.create_multipart_upload(Bucket=name, Key="k")["UploadId"]
    tags = [s3.upload_part(Bucket=name, Key="k", UploadId=upload, PartNumber=n, Body=bytes([n]) * size)["ETag"]
            for n, size in ((1, 5 * MIB), (2, 10))]
    done = s3.complete_multipart_upload(Bucket=name, Key="k", UploadId=upload, MultipartUpload={
        "Parts": [{"PartNumber": n, "ETag": tag} for n, tag in enumerate(tags, 1)]})
    assert done["VersionId"] != first
    part = s3.get_object(Bucket=name, Key="k", VersionId=done["VersionId"], PartNumber=2)
    assert part["Body"].read() == b"\2" * 10 and part["PartsCount"] == 2
    assert s3.get_object(Bucket=name, Key="k", VersionId=first)["Body"].read() == b"first"
    assert s3.head_object(Bucket=name, Key="k")["VersionId"] == done["VersionId"]


def delete_objects_by_version(system, home):
    s3 = boto(system)
    name = versioned(s3, "batch")
    ids = {key: s3.put_object(Bucket=name, Key=key, Body=b"x")["VersionId"] for key in ("a", "b")}
    marked = s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "a"}, {"Key": "never"}]})["Deleted"]
    assert all(e["DeleteMarker"] and e["DeleteMarkerVersionId"] and "VersionId" not in e for e in marked), marked
    marker = {e["Key"]: e["DeleteMarkerVersionId"] for e in marked}
    gone = s3.delete_objects(Bucket=name, Delete={"Objects": [
        {"Key": "a", "VersionId": marker["a"]}, {"Key": "b", "VersionId": ids["b"]}, {"Key": "b", "VersionId": "no/id"}]})
    by_key = {e["Key"]: e for e in gone["Deleted"]}
    assert by_key["a"] == {"Key": "a", "VersionId": marker["a"], "DeleteMarker": True, "DeleteMarkerVersionId": marker["a"]}
    assert by_key["b"] == {"Key": "b", "VersionId": ids["b"]}
    assert [(e["Key"], e["Code"]) for e in gone["Errors"]] == [("b", "NoSuchVersion")]
    assert s3.get_object(Bucket=name, Key="a")["VersionId"] == ids["a"]


def a_bucket_with_versions_is_not_empty(system, home):
    s3 = boto(system)
    name = versioned(s3, "full")
    version = s3.put_object(Bucket=name, Key="k", Body=b"x")["VersionId"]
    marker = s3.delete_object(Bucket=name, Key="k")["VersionId"]
    assert "Contents" not in s3.list_objects_v2(Bucket=name)
    for version_id in (version, marker):
        refused("BucketNotEmpty", 409, s3.delete_bucket, Bucket=name)
        s3.delete_object(Bucket=name, Key="k", VersionId=version_id)
    s3.delete_bucket(Bucket=name)


def racing_puts_lose_no_version(system, home):
    s3 = boto(system, max_pool_connections=32)
    name = versioned(s3, "race")

    def put(number):
        return number, s3.put_object(Bucket=name, Key="k", Body=str(number).encode())["VersionId"]

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        made = {version: number for number, version in pool.map(put, range(128))}
    listed = history(s3, name)
    assert {e[1] for e in listed} == set(made) and sum(e[2] for e in listed) == 1
    current = s3.get_object(Bucket=name, Key="k")
    assert current["VersionId"] == listed[0][1] and current["Body"].read() == str(made[current["VersionId"]]).encode()


def conditions_see_the_current_version(system, home):
    s3 = boto(system)
    name = versioned(s3, "conditions")
    first = s3.put_object(Bucket=name, Key="k", Body=b"1")
    refused("PreconditionFailed", 412, s3.put_object, Bucket=name, Key="k", Body=b"2", IfNoneMatch="*")
    s3.delete_object(Bucket=name, Key="k")
    refused("NoSuchKey", 404, s3.put_object, Bucket=name, Key="k", Body=b"2", IfMatch=first["ETag"])
    refused("NoSuchKey", 404, s3.delete_object, Bucket=name, Key="k", IfMatch="*")  # a marker is no object
    second = s3.put_object(Bucket=name, Key="k", Body=b"2", IfNoneMatch="*")  # a marker is no object
    refused("PreconditionFailed", 412, s3.delete_object, Bucket=name, Key="k", IfMatch=first["ETag"])
    assert s3.delete_object(Bucket=name, Key="k", IfMatch=second["ETag"])["DeleteMarker"] is True


def a_version_is_deleted_without_conditions(system, home):
    """S3 evaluates conditions of a delete against the current version only, and refuses them beside a version id."""
    s3 = boto(system)
    name = versioned(s3, "unconditional")
    put = s3.put_object(Bucket=name, Key="k", Body=b"1")
    refused("NotImplemented", 501, s3.delete_object, Bucket=name, Key="k", IfMatch=put["ETag"], VersionId=put["VersionId"])
    assert s3.head_object(Bucket=name, Key="k", VersionId=put["VersionId"])


def there_is_no_lock_to_bypass(system, home):
    s3 = boto(system)
    name = bucket(s3, "unlocked")
    s3.put_object(Bucket=name, Key="k", Body=b"1")
    refused("InvalidArgument", 400, s3.delete_object, Bucket=name, Key="k", BypassGovernanceRetention=True)
    refused("InvalidArgument", 400, s3.delete_objects, Bucket=name, Delete={"Objects": [{"Key": "k"}]},
            BypassGovernanceRetention=True)
    s3.delete_object(Bucket=name, Key="k", BypassGovernanceRetention=False)


ALL = [
    states, every_put_makes_a_version, delete_markers, null_versions, suspended_buckets, listings_of_versions,
    copies_of_versions, uploads_make_versions, delete_objects_by_version, a_bucket_with_versions_is_not_empty,
    racing_puts_lose_no_version, conditions_see_the_current_version, a_version_is_deleted_without_conditions,
    there_is_no_lock_to_bypass,
]
