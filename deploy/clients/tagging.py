"""Tags of objects and buckets: with a put, by themselves, with a copy, by version; their limits and their characters."""

import concurrent.futures
import urllib.parse

from clients import boto, bucket_name
from raw import answered, checksummed, send
from semantics import bucket, refused
from versioning import versioned


def tag_set(**tags):
    return {"TagSet": [{"Key": key, "Value": value} for key, value in tags.items()]}


def tags(s3, name, key="k", **arguments):
    return {tag["Key"]: tag["Value"] for tag in s3.get_object_tagging(Bucket=name, Key=key, **arguments)["TagSet"]}


def put_tags(s3, name, tags, key="k", **arguments):
    said = {"TagSet": [{"Key": name, "Value": value} for name, value in tags]}
    return s3.put_object_tagging(Bucket=name, Key=key, Tagging=said, **arguments)


def tags_of_an_object(system, home):
    s3 = boto(system)
    name = bucket(s3, "tags")
    s3.put_object(Bucket=name, Key="k", Body=b"x")
    assert tags(s3, name) == {}
    before = s3.head_object(Bucket=name, Key="k")
    for wanted in ({"a": "1", "b": ""}, {"c": "3"}, {}):
        put_tags(s3, name, wanted.items())
        assert tags(s3, name) == wanted
        assert s3.get_object(Bucket=name, Key="k").get("TagCount") == (len(wanted) or None)
    put_tags(s3, name, [("a", "1")])
    after = s3.head_object(Bucket=name, Key="k")
    assert (before["ETag"], before["LastModified"]) == (after["ETag"], after["LastModified"]), "tagging touched the object"
    assert s3.delete_object_tagging(Bucket=name, Key="k")["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert tags(s3, name) == {} and "TagCount" not in s3.get_object(Bucket=name, Key="k")
    put_tags(s3, name, [("a", "1")])
    s3.put_object(Bucket=name, Key="k", Body=b"y")
    assert tags(s3, name) == {}, "an overwrite kept the tags"
    for call in (s3.get_object_tagging, s3.delete_object_tagging):
        refused("NoSuchKey", 404, call, Bucket=name, Key="none")
        refused("NoSuchBucket", 404, call, Bucket=name + "-none", Key="k")
    refused("NoSuchKey", 404, put_tags, s3=s3, name=name, tags=[("a", "1")], key="none")


def tags_come_with_a_put(system, home):
    s3 = boto(system)
    name = bucket(s3, "with")
    for header, wanted in [
        ("a=1&b=2", {"a": "1", "b": "2"}), ("a=1&b", {"a": "1", "b": ""}), ("b=&c=%2B%20%3D", {"b": "", "c": "+ ="}),
        ("k%C3%BC=%E6%96%87", {"kü": "文"}), ("", {}), ("plus+space=a+b", {"plus space": "a b"}),
    ]:
        s3.put_object(Bucket=name, Key="k", Body=b"x", Tagging=header)
        assert tags(s3, name) == wanted, header
    upload = s3.create_multipart_upload(Bucket=name, Key="m", Tagging="m=1")["UploadId"]
    part = s3.upload_part(Bucket=name, Key="m", UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
    s3.complete_multipart_upload(Bucket=name, Key="m", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]})
    assert tags(s3, name, "m") == {"m": "1"}
    refused("InvalidTag", 400, s3.put_object, Bucket=name, Key="w", Body=b"x", Tagging="=1")
    for wrong in ("a=1&a=2", "a=1,b=2", "%zz=1"):
        refused("InvalidArgument", 400, s3.put_object, Bucket=name, Key="w", Body=b"x", Tagging=wrong)
        refused("InvalidArgument", 400, s3.create_multipart_upload, Bucket=name, Key="w", Tagging=wrong)
    eleven = "&".join(f"t{n}=1" for n in range(11))
    refused("BadRequest", 400, s3.put_object, Bucket=name, Key="w", Body=b"x", Tagging=eleven)
    refused("404", 404, s3.head_object, Bucket=name, Key="w")


def limits_and_characters(system, home):
    s3 = boto(system)
    name = bucket(s3, "limits")
    s3.put_object(Bucket=name, Key="k", Body=b"x")
    for accepted in ([(f"k{n}", "v") for n in range(10)], [("k" * 128, "v" * 256)], [("+-=._:/@ ü文", "+-=._:/@ ü文")],
                     [("case", "1"), ("Case", "2")], [("ä" * 128, "ö" * 256)]):
        put_tags(s3, name, accepted)
        assert tags(s3, name) == dict(accepted)
    refused("BadRequest", 400, put_tags, s3=s3, name=name, tags=[(f"k{n}", "v") for n in range(11)])
    for wrong in ([("k" * 129, "v")], [("k", "v" * 257)], [("a,b", "v")], [("a", "b,c")], [("a#", "v")], [("a", "v*")],
                  [("same", "1"), ("same", "2")], [("aws:own", "v")], [("a\n", "v")]):
        refused("InvalidTag", 400, put_tags, s3=s3, name=name, tags=wrong)
    assert tags(s3, name) == {"ä" * 128: "ö" * 256}, "a refusal changed the tags"
    target = f"/{name}/k?tagging"
    for body in (b"", b"no xml", b"<Tagging/>", b"<Tags><TagSet/></Tags>",
                 b"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>",
                 b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value><More/></Tag></TagSet></Tagging>"):
        answer = send(system, "PUT", target, **checksummed(body))
        assert answer.status == 400 and answer.code in ("MalformedXML", "MissingRequestBodyError"), (body, answer)


def copies_and_their_tags(system, home):
    s3 = boto(system)
    name = bucket(s3, "copy")
    s3.put_object(Bucket=name, Key="s", Body=b"x", Tagging="a=1")

    def copied(**arguments):
        s3.copy_object(Bucket=name, Key="c", CopySource={"Bucket": name, "Key": "s"}, **arguments)
        return tags(s3, name, "c")

    assert copied() == {"a": "1"} and copied(TaggingDirective="COPY") == {"a": "1"}
    assert copied(TaggingDirective="REPLACE", Tagging="b=2") == {"b": "2"}
    assert copied(TaggingDirective="REPLACE") == {}
    assert copied(MetadataDirective="REPLACE", Metadata={"m": "1"}) == {"a": "1"}, "the directives are two"
    refused("InvalidArgument", 400, copied, TaggingDirective="KEEP")
    refused("InvalidArgument", 400, copied, TaggingDirective="REPLACE", Tagging="a=1&a=2")


def tags_of_versions(system, home):
    s3 = boto(system)
    name = versioned(s3, "versions")
    first = s3.put_object(Bucket=name, Key="k", Body=b"1", Tagging="v=1")["VersionId"]
    second = s3.put_object(Bucket=name, Key="k", Body=b"2")["VersionId"]
    assert tags(s3, name) == {} and tags(s3, name, VersionId=first) == {"v": "1"}
    assert put_tags(s3, name, [("v", "2")])["VersionId"] == second
    assert put_tags(s3, name, [("v", "one")], VersionId=first)["VersionId"] == first
    got = s3.get_object_tagging(Bucket=name, Key="k", VersionId=first)
    assert got["VersionId"] == first and got["TagSet"] == tag_set(v="one")["TagSet"]
    assert s3.delete_object_tagging(Bucket=name, Key="k", VersionId=first)["VersionId"] == first
    assert tags(s3, name, VersionId=first) == {} and tags(s3, name) == {"v": "2"}
    marker = s3.delete_object(Bucket=name, Key="k")["VersionId"]
    for arguments in ({}, {"VersionId": marker}):
        refused("MethodNotAllowed", 405, s3.get_object_tagging, Bucket=name, Key="k", **arguments)
        refused("MethodNotAllowed", 405, s3.delete_object_tagging, Bucket=name, Key="k", **arguments)
        refused("MethodNotAllowed", 405, put_tags, s3=s3, name=name, tags=[("a", "1")], **arguments)
    s3.delete_object(Bucket=name, Key="k", VersionId=first)
    refused("NoSuchVersion", 404, s3.get_object_tagging, Bucket=name, Key="k", VersionId=first)


def tags_of_a_bucket(system, home):
    s3 = boto(system)
    name = bucket(s3, "bucket")
    refused("NoSuchTagSet", 404, s3.get_bucket_tagging, Bucket=name)
    for wanted in (tag_set(a="1", b=""), tag_set(c="3"), tag_set(**{f"k{n}": "v" for n in range(50)})):
        assert s3.put_bucket_tagging(Bucket=name, Tagging=wanted)["ResponseMetadata"]["HTTPStatusCode"] == 204
        assert sorted(map(str, s3.get_bucket_tagging(Bucket=name)["TagSet"])) == sorted(map(str, wanted["TagSet"]))
    for wrong in (tag_set(**{"aws:x": "1"}), tag_set(**{"a,b": "1"}), tag_set(a="1,2"), tag_set(**{"k" * 129: "v"}),
                  {"TagSet": tag_set(a="1")["TagSet"] * 2}):
        refused("InvalidTag", 400, s3.put_bucket_tagging, Bucket=name, Tagging=wrong)
    refused("BadRequest", 400, s3.put_bucket_tagging, Bucket=name, Tagging=tag_set(**{f"k{n}": "v" for n in range(51)}))
    assert len(s3.get_bucket_tagging(Bucket=name)["TagSet"]) == 50
    for _ in range(2):
        assert s3.delete_bucket_tagging(Bucket=name)["ResponseMetadata"]["HTTPStatusCode"] == 204
    refused("NoSuchTagSet", 404, s3.get_bucket_tagging, Bucket=name)
    refused("NoSuchBucket", 404, s3.put_bucket_tagging, Bucket=name + "-none", Tagging=tag_set(a="1"))


def a_presigned_put_may_carry_tags(system, home):
    s3 = boto(system, signature_version="s3v4")
    name = bucket(s3, "presigned")
    url = s3.generate_presigned_url("put_object", Params={"Bucket": name, "Key": "k", "Tagging": "a=1"})
    parsed = urllib.parse.urlparse(url)
    target = f"{parsed.path}?{parsed.query}"
    answered(send(system, "PUT", target, body=b"x", signed=False, headers={"x-amz-tagging": "a=1"}), 200)
    assert tags(s3, name) == {"a": "1"}
    answer = send(system, "PUT", target, body=b"x", signed=False, headers={"x-amz-tagging": "a=2"})
    assert answer.status in (400, 403), answer


def buckets_born_with_tags(system, home):
    s3, name = boto(system), bucket_name("born")
    born = {"Tags": [{"Key": "team", "Value": "a b"}, {"Key": "empty", "Value": ""}]}
    s3.create_bucket(Bucket=name, CreateBucketConfiguration=born)
    got = s3.get_bucket_tagging(Bucket=name)["TagSet"]
    assert sorted(got, key=lambda tag: tag["Key"]) == sorted(born["Tags"], key=lambda tag: tag["Key"]), got
    for tag in ({"Key": "aws:x", "Value": "1"}, {"Key": "k", "Value": "v" * 257}):
        refused("InvalidTag", 400, s3.create_bucket, Bucket=name + "-b", CreateBucketConfiguration={"Tags": [tag]})
    refused("404", 404, s3.head_bucket, Bucket=name + "-b")


def many_tell_a_bucket_at_once(system, home):
    """Each replaces what the one before it said, and none is turned away."""
    name = bucket(boto(system), "told")
    clients = [boto(system) for _ in range(8)]

    def tell(number):
        one = [{"Key": "by", "Value": str(number)}]
        clients[number % 8].put_bucket_tagging(Bucket=name, Tagging={"TagSet": one})

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        list(pool.map(tell, range(48)))
    assert len(clients[0].get_bucket_tagging(Bucket=name)["TagSet"]) == 1


ALL = [
    tags_of_an_object, tags_come_with_a_put, limits_and_characters, copies_and_their_tags, tags_of_versions, tags_of_a_bucket,
    buckets_born_with_tags, many_tell_a_bucket_at_once, a_presigned_put_may_carry_tags,
]
