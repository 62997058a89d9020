"""Listings of objects: every page of every question against a slow and obvious answer, then the edges."""

import itertools
import urllib.parse

from clients import boto
from raw import answered, send
from semantics import bucket, refused

KEYS = ["a", "a/", "a/1", "a/2", "a/b/1", "a/b/2", "a//x", "a-b", "a.b", "b", "b/only", "ba", "c d/e f", "c+d/x",
        "photos/1%2F2", "photos/z",
        "ü", "ü/ö", "ü/ö/ä", "\U0001f600/x", "z" * 200, "zz/" + "y" * 300]


def expected(keys, prefix="", delimiter="", after=""):
    """(name, is group) in order: what one endless page would hold."""
    entries = []
    for key in sorted(keys, key=str.encode):
        if not key.startswith(prefix):
            continue
        rest = key[len(prefix):]
        cut = rest.find(delimiter) if delimiter else -1
        entry = (prefix + rest[: cut + len(delimiter)], True) if cut >= 0 else (key, False)
        # a marker within a group is behind all of it
        if entry[0].encode() > after.encode() and not (entry[1] and after.startswith(entry[0])):
            entries += [entry] if entry not in entries else []
    return entries


def entries(page):
    found = [(o["Key"], False) for o in page.get("Contents", [])] + [(p["Prefix"], True) for p in page.get("CommonPrefixes", [])]
    return sorted(found, key=lambda entry: entry[0].encode())


def filled(s3, word, keys=tuple(KEYS)):
    name = bucket(s3, word)
    for key in keys:
        s3.put_object(Bucket=name, Key=key, Body=b"x")
    return name


def every_question_has_the_obvious_answer(system, home):
    s3 = boto(system)
    name = filled(s3, "oracle")
    prefixes = ("", "a", "a/", "a/b/", "b", "c", "none", "ü", "ü/", "photos/", "z" * 201)
    delimiters = ("", "/", "//", "b", "ö", "%", " ", "none", "z")
    for prefix, delimiter in itertools.product(prefixes, delimiters):
        wanted = expected(KEYS, prefix, delimiter)
        for call in (s3.list_objects, s3.list_objects_v2):
            page = call(Bucket=name, Prefix=prefix, Delimiter=delimiter)
            assert entries(page) == wanted and page["IsTruncated"] is False, (prefix, delimiter, page)
            shown = page["Prefix"] if call == s3.list_objects_v2 else urllib.parse.unquote_plus(page["Prefix"])  # as boto3 has it
            assert shown == prefix and page.get("Delimiter", "") == delimiter and page["Name"] == name, (prefix, delimiter, page)


def pages_of_every_size(system, home):
    s3 = boto(system)
    name = filled(s3, "pages")
    for (prefix, delimiter), size in itertools.product((("", ""), ("", "/"), ("a", "/"), ("ü/", "")), (1, 2, 5, 1000)):
        wanted = expected(KEYS, prefix, delimiter)
        found, token = [], {}
        while True:  # the second dialect: by token
            page = s3.list_objects_v2(Bucket=name, Prefix=prefix, Delimiter=delimiter, MaxKeys=size, **token)
            found += entries(page)
            assert page["KeyCount"] == len(entries(page)) <= size and page["MaxKeys"] == size and len(found) <= len(KEYS)
            if not page["IsTruncated"]:
                break
            token = {"ContinuationToken": page["NextContinuationToken"]}
        assert found == wanted and "NextContinuationToken" not in page, (prefix, delimiter, size)
        found, marker = [], ""
        while True:  # the first: by marker, which only a delimiter's answer names
            page = s3.list_objects(Bucket=name, Prefix=prefix, Delimiter=delimiter, MaxKeys=size, Marker=marker)
            found += entries(page)
            assert page["Marker"] == marker and ("NextMarker" in page) == (page["IsTruncated"] and bool(delimiter)), page
            assert len(found) <= len(KEYS), "pages without end"
            if not page["IsTruncated"]:
                break
            marker = page.get("NextMarker") or page["Contents"][-1]["Key"]
        assert found == wanted, (prefix, delimiter, size)


def places_to_start(system, home):
    s3 = boto(system)
    name = filled(s3, "start")
    for after, delimiter in itertools.product(("", "a", "a/", "a/1", "a/b/", "a/b/1", "a/b/2", "a0", "b/only", "c d/e f", "ü/", "zzz",
                                               "\U0001f600"), ("", "/")):
        wanted = expected(KEYS, "", delimiter, after)
        first = s3.list_objects(Bucket=name, Marker=after, Delimiter=delimiter)
        second = s3.list_objects_v2(Bucket=name, StartAfter=after, Delimiter=delimiter)
        assert entries(first) == wanted and entries(second) == wanted, (after, delimiter, entries(first), entries(second), wanted)
        assert second.get("StartAfter", "") == after
    page = s3.list_objects_v2(Bucket=name, MaxKeys=3)
    rest = s3.list_objects_v2(Bucket=name, ContinuationToken=page["NextContinuationToken"], StartAfter="zzz")
    assert entries(rest) == expected(KEYS)[3:] and rest["ContinuationToken"] == page["NextContinuationToken"], "the token wins"


def what_an_entry_tells(system, home):
    s3 = boto(system)
    name = bucket(s3, "entry")
    put = s3.put_object(Bucket=name, Key="k", Body=b"12345", StorageClass="STANDARD_IA")
    owner = s3.list_buckets()["Owner"]["ID"]
    for page, has_owner in ((s3.list_objects(Bucket=name), True), (s3.list_objects_v2(Bucket=name), False),
                            (s3.list_objects_v2(Bucket=name, FetchOwner=False), False),
                            (s3.list_objects_v2(Bucket=name, FetchOwner=True), True)):
        entry = page["Contents"][0]
        assert (entry["Key"], entry["ETag"], entry["Size"], entry["StorageClass"]) == ("k", put["ETag"], 5, "STANDARD_IA")
        assert ("Owner" in entry) == has_owner and (not has_owner or entry["Owner"]["ID"] == owner)
        assert entry["ChecksumAlgorithm"] == ["CRC32"] and entry["ChecksumType"] == "FULL_OBJECT"
    stamp = send(system, "GET", f"/{name}").texts("LastModified")[0]
    assert len(stamp) == 24 and stamp.endswith("Z") and stamp[10] == "T", stamp
    assert s3.head_object(Bucket=name, Key="k")["LastModified"] == s3.list_objects(Bucket=name)["Contents"][0]["LastModified"].replace(microsecond=0)


def names_on_the_wire(system, home):
    s3 = boto(system)
    name = filled(s3, "wire", ["a b+c/ü", "a b+c/&<", "plain"])
    plain = answered(send(system, "GET", f"/{name}?delimiter=%2F&prefix=a%20b%2Bc%2F"), 200)
    assert plain.texts("Key") == ["a b+c/&<", "a b+c/ü"] and plain.texts("EncodingType") == [] and plain.texts("Prefix")[0] == "a b+c/"
    query = "encoding-type=url&delimiter=%2F&start-after=a%20b&marker=a%20b"
    for version in ("", "list-type=2&"):
        coded = answered(send(system, "GET", f"/{name}?{version}{query}"), 200)
        assert [urllib.parse.unquote_plus(text) for text in coded.texts("Prefix") if text] == ["a b+c/"] and coded.texts("Key") == ["plain"]
        assert " " not in "".join(coded.texts("Prefix")) and urllib.parse.unquote_plus(coded.texts("Delimiter")[0]) == "/"
        where = coded.texts("StartAfter" if version else "Marker")
        assert [urllib.parse.unquote_plus(text) for text in where] == ["a b"], coded


def arguments_that_are_none(system, home):
    s3 = boto(system)
    name = filled(s3, "arguments", ["a", "b"])
    for query in ("max-keys=-1", "max-keys=x", "max-keys=", "max-keys=2147483648", "max-keys=1.5", "encoding-type=utf8",
                  "encoding-type=", "list-type=3",
                  "list-type=2&continuation-token=nonsense", "list-type=2&max-keys=-1", "prefix=a&prefix=b"):
        answered(send(system, "GET", f"/{name}?{query}"), 400, "InvalidArgument")
    assert s3.list_objects_v2(Bucket=name, MaxKeys=0)["IsTruncated"] is False
    assert s3.list_objects(Bucket=name, MaxKeys=5000)["MaxKeys"] == 1000
    for call in (s3.list_objects, s3.list_objects_v2):
        refused("NoSuchBucket", 404, call, Bucket=name + "-none")
    empty = bucket(s3, "empty")
    for call in (s3.list_objects, s3.list_objects_v2):
        page = call(Bucket=empty, Prefix="x", Delimiter="/")
        assert entries(page) == [] and page["IsTruncated"] is False and page["MaxKeys"] == 1000
    assert send(system, "GET", f"/{name}?unknown=1&x-id=ListObjects").status == 200


def an_empty_token_is_wrong(system, home):
    s3 = boto(system)
    name = filled(s3, "token", ["a"])
    answered(send(system, "GET", f"/{name}?list-type=2&continuation-token="), 400, "InvalidArgument")


def listings_see_every_write_at_once(system, home):
    clients = [boto(system) for _ in range(4)]
    name = bucket(clients[0], "once")
    for turn in range(20):
        clients[turn % 4].put_object(Bucket=name, Key=f"{turn:02}", Body=b"x")
        for s3 in clients:
            assert s3.list_objects_v2(Bucket=name)["KeyCount"] == turn + 1
    for turn in range(20):
        clients[turn % 4].delete_object(Bucket=name, Key=f"{turn:02}")
        assert all(s3.list_objects_v2(Bucket=name)["KeyCount"] == 19 - turn for s3 in clients)


ALL = [
    every_question_has_the_obvious_answer, pages_of_every_size, places_to_start, what_an_entry_tells, names_on_the_wire,
    arguments_that_are_none, an_empty_token_is_wrong, listings_see_every_write_at_once,
]
