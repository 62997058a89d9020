"""Bucket policies: what may stand in one, who it lets in and keeps out, every condition key, and what counts as public."""

import json

from clients import boto
from ownership import block, opened
from raw import anonymous, send
from semantics import bucket, refused


def statement(name, actions, effect="Allow", resource="/*", principal="*", condition=None, **more):
    said = {"Effect": effect, "Principal": principal, "Action": actions, "Resource": f"arn:aws:s3:::{name}{resource}", **more}
    return {**said, "Condition": condition} if condition else said


def document(*statements, version="2012-10-17"):
    return json.dumps({"Version": version, "Statement": list(statements)})


def put(s3, name, *statements):
    s3.put_bucket_policy(Bucket=name, Policy=document(*statements))


def open_bucket(s3, word):
    name = bucket(s3, word)
    s3.delete_public_access_block(Bucket=name)
    for key in ("pub/a", "pub/b", "secret"):
        s3.put_object(Bucket=name, Key=key, Body=key.encode())
    return name


def a_policy_lives_and_dies(system, home):
    s3 = boto(system)
    name = open_bucket(s3, "life")
    refused("NoSuchBucketPolicy", 404, s3.get_bucket_policy, Bucket=name)
    refused("NoSuchBucketPolicy", 404, s3.get_bucket_policy_status, Bucket=name)
    text = document(statement(name, "s3:GetObject", Sid="one"))
    assert s3.put_bucket_policy(Bucket=name, Policy=text)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert json.loads(s3.get_bucket_policy(Bucket=name)["Policy"]) == json.loads(text)
    for _ in range(2):
        assert s3.delete_bucket_policy(Bucket=name)["ResponseMetadata"]["HTTPStatusCode"] == 204
    refused("NoSuchBucketPolicy", 404, s3.get_bucket_policy, Bucket=name)
    refused("NoSuchBucket", 404, s3.put_bucket_policy, Bucket=name + "-none", Policy=text)
    refused("AccessDenied", 403, anonymous(system).get_bucket_policy, Bucket=name)


def policies_that_are_malformed(system, home):
    s3 = boto(system)
    name = open_bucket(s3, "malformed")
    good = statement(name, "s3:GetObject")

    def without(element):
        return {key: value for key, value in good.items() if key != element}

    for wrong in ("no json", "[]", '"text"', " {}", "{}", document(), '{"Statement": {"Effect": "Allow"}}',
                  json.dumps({"Version": "2012-10-17", "Statement": [good], "More": 1}), document(good, version="2020-01-01")):
        refused("MalformedPolicy", 400, s3.put_bucket_policy, Bucket=name, Policy=wrong)
    for wrong in (
        without("Effect"), without("Principal"), without("Action"), without("Resource"), {**good, "Effect": "Permit"},
        {**good, "More": 1},
        {**good, "Action": "s3:NoSuchAction"}, {**good, "Action": "ec2:RunInstances"}, {**good, "Action": []},
        {**good, "Resource": "*"}, {**good, "Resource": "arn:aws:s3:::another-bucket/*"}, {**good, "Resource": f"{name}/*"},
        {**good, "Resource": f"arn:aws:s3:::{name}"}, {**good, "Action": "s3:ListBucket"}, {**good, "Principal": {"AWS": "nobody"}},
        {**good, "Principal": {"Martian": "*"}}, {**good, "Principal": "arn"},
        {**good, "Condition": {"StringNearly": {"aws:Referer": "x"}}},
        {**good, "Condition": {"StringEquals": {"aws:NoSuchKey": "x"}}}, {**good, "Condition": {"StringEquals": {"s3:prefix": "x"}}},
        {**good, "Condition": {"IpAddress": {"aws:SourceIp": "300.0.0.1"}}}, {**good, "Condition": {"Bool": "x"}},
        {**good, "Condition": []},
        {**good, "Condition": {"NumericEquals": {"s3:max-keys": "ten"}}}, {**good, "Sid": 7},
    ):
        refused("MalformedPolicy", 400, s3.put_bucket_policy, Bucket=name, Policy=document(wrong))
    twice = f'{{"Version": "2012-10-17", "Statement": [{json.dumps(good)}], "Statement": []}}'
    refused("MalformedPolicy", 400, s3.put_bucket_policy, Bucket=name, Policy=twice)
    answer = send(system, "PUT", f"/{name}?policy", body=b" " * (20 * 1024) + document(good).encode(),
                  headers={"Content-Type": "text/plain"})
    assert answer.status == 400, answer
    refused("NoSuchBucketPolicy", 404, s3.get_bucket_policy, Bucket=name)


def allow_and_deny(system, home):
    s3, nobody = boto(system), anonymous(system)
    name = open_bucket(s3, "effects")
    refused("AccessDenied", 403, nobody.get_object, Bucket=name, Key="pub/a")
    put(s3, name, statement(name, "s3:GetObject", resource="/pub/*"))
    assert nobody.get_object(Bucket=name, Key="pub/a")["Body"].read() == b"pub/a"
    for key in ("secret", "none", "pub/none"):
        refused("AccessDenied", 403, nobody.get_object, Bucket=name, Key=key)
    refused("AccessDenied", 403, nobody.list_objects_v2, Bucket=name)
    refused("AccessDenied", 403, nobody.put_object, Bucket=name, Key="pub/a", Body=b"x")
    put(s3, name, statement(name, "s3:GetObject"), statement(name, "s3:ListBucket", resource=""),
        statement(name, "s3:GetObject", effect="Deny", resource="/secret"))
    assert nobody.get_object(Bucket=name, Key="pub/b") and nobody.list_objects_v2(Bucket=name)["KeyCount"] == 3
    refused("AccessDenied", 403, nobody.get_object, Bucket=name, Key="secret")
    refused("NoSuchKey", 404, nobody.get_object, Bucket=name, Key="none")  # who may list may know
    refused("AccessDenied", 403, s3.get_object, Bucket=name, Key="secret")  # a deny holds for the owner's keys too
    put(s3, name, statement(name, "s3:*", effect="Deny", resource="/*"))
    refused("AccessDenied", 403, s3.put_object, Bucket=name, Key="new", Body=b"x")
    s3.delete_bucket_policy(Bucket=name)  # the owner finds the way back
    s3.put_object(Bucket=name, Key="new", Body=b"x")


def actions_and_resources(system, home):
    s3, nobody = boto(system), anonymous(system)
    name = open_bucket(s3, "actions")
    for actions, allowed, denied in [
        ("s3:Get*", [(nobody.get_object, {"Key": "pub/a"})], [(nobody.put_object, {"Key": "n", "Body": b""})]),
        (["s3:PutObject"], [(nobody.put_object, {"Key": "n", "Body": b""})],
         [(nobody.get_object, {"Key": "pub/a"}), (nobody.delete_object, {"Key": "n"})]),
        ("s3:Delete?bject", [(nobody.delete_object, {"Key": "n"})], [(nobody.put_object, {"Key": "n", "Body": b""})]),
        ("S3:GETOBJECT", [(nobody.get_object, {"Key": "pub/a"})], []),
        ("*", [(nobody.get_object, {"Key": "pub/a"}), (nobody.put_object, {"Key": "n", "Body": b""})], [(nobody.list_objects_v2, {})]),
    ]:
        put(s3, name, statement(name, actions))
        for call, arguments in allowed:
            call(Bucket=name, **arguments)
        for call, arguments in denied:
            refused("AccessDenied", 403, call, Bucket=name, **arguments)
    for resource, key, holds in (("/pub/?", "pub/a", True), ("/pub/?", "secret", False), ("/*b", "pub/b", True),
                                 ("/PUB/*", "pub/a", False)):
        put(s3, name, statement(name, "s3:GetObject", resource=resource))
        if holds:
            nobody.get_object(Bucket=name, Key=key)
        else:
            refused("AccessDenied", 403, nobody.get_object, Bucket=name, Key=key)
    put(s3, name, statement(name, "s3:GetObject", principal={"AWS": ["*"]}))
    assert nobody.get_object(Bucket=name, Key="secret")


def conditions_on_the_request(system, home):
    s3 = boto(system)
    name = open_bucket(s3, "request")
    tls = system.endpoint.startswith("https")
    for condition, headers, holds in [
        ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, {}, True), ({"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "::1"]}}, {}, False),
        ({"NotIpAddress": {"aws:SourceIp": "127.0.0.1"}}, {}, False), ({"Bool": {"aws:SecureTransport": "true"}}, {}, tls),
        ({"Bool": {"aws:SecureTransport": "false"}}, {}, not tls),
        ({"StringLike": {"aws:Referer": "https://a.example/*"}}, {"Referer": "https://a.example/page"}, True),
        ({"StringLike": {"aws:Referer": "https://a.example/*"}}, {"Referer": "https://b.example/"}, False),
        ({"StringLike": {"aws:Referer": "https://a.example/*"}}, {}, False),
        ({"StringLikeIfExists": {"aws:Referer": "https://a.example/*"}}, {}, True), ({"Null": {"aws:Referer": "true"}}, {}, True),
        ({"Null": {"aws:Referer": "true"}}, {"Referer": "x"}, False), ({"Null": {"aws:PrincipalArn": "true"}}, {}, True),
        ({"StringNotEquals": {"aws:Referer": "x"}}, {}, True), ({"StringNotEquals": {"aws:Referer": "x"}}, {"Referer": "x"}, False),
        ({"StringEquals": {"aws:UserAgent": ["one", "two"]}}, {"User-Agent": "two"}, True),
        ({"StringEquals": {"aws:UserAgent": "One"}}, {"User-Agent": "one"}, False),
        ({"StringEqualsIgnoreCase": {"aws:UserAgent": "One"}}, {"User-Agent": "oNE"}, True),
        ({"StringNotLike": {"aws:UserAgent": "curl/*"}}, {"User-Agent": "curl/8"}, False),
        ({"StringEquals": {"aws:UserAgent": "a"}, "Bool": {"aws:SecureTransport": str(not tls).lower()}}, {"User-Agent": "a"}, False),
    ]:
        put(s3, name, statement(name, "s3:GetObject", condition=condition))
        answer = send(system, "GET", f"/{name}/pub/a", headers=headers, signed=False)
        assert answer.status == (200 if holds else 403), (condition, headers, answer)


def conditions_on_listings(system, home):
    s3 = boto(system)
    name = open_bucket(s3, "listings")
    for condition, query, holds in [
        ({"StringEquals": {"s3:prefix": "pub/"}}, "?prefix=pub%2F", True),
        ({"StringEquals": {"s3:prefix": "pub/"}}, "?prefix=p", False),
        ({"StringEquals": {"s3:prefix": "pub/"}}, "", False),
        ({"StringLike": {"s3:prefix": ["", "pub/*"]}}, "?list-type=2&prefix=pub%2Fa", True),
        ({"StringEquals": {"s3:delimiter": "/"}}, "?delimiter=%2F", True),
        ({"StringEquals": {"s3:delimiter": "/"}}, "?delimiter=-", False),
        ({"NumericLessThanEquals": {"s3:max-keys": "10"}}, "?max-keys=10", True),
        ({"NumericLessThanEquals": {"s3:max-keys": "10"}}, "?max-keys=11", False),
        ({"NumericLessThanEquals": {"s3:max-keys": "10"}}, "", False),
        ({"NumericEquals": {"s3:max-keys": ["1", "2"]}}, "?max-keys=2", True),
        ({"NumericGreaterThan": {"s3:max-keys": "1"}}, "?max-keys=1", False),
    ]:
        put(s3, name, statement(name, "s3:ListBucket", resource="", condition=condition))
        answer = send(system, "GET", f"/{name}{query}", signed=False)
        assert answer.status == (200 if holds else 403), (condition, query, answer)


def conditions_on_objects(system, home):
    s3, nobody = boto(system), anonymous(system)
    name = opened(s3, "objects")
    s3.put_object(Bucket=name, Key="tagged", Body=b"x", Tagging="team=red&more=1")
    s3.put_object(Bucket=name, Key="plain", Body=b"x")
    put(s3, name, statement(name, "s3:GetObject", condition={"StringEquals": {"s3:ExistingObjectTag/team": "red"}}))
    assert nobody.get_object(Bucket=name, Key="tagged")
    refused("AccessDenied", 403, nobody.get_object, Bucket=name, Key="plain")
    put(s3, name, statement(name, ["s3:PutObject", "s3:PutObjectTagging"], condition={
        "StringEquals": {"s3:RequestObjectTag/team": "red"}, "ForAllValues:StringLike": {"s3:RequestObjectTagKeys": ["team", "t*"]}}))
    nobody.put_object(Bucket=name, Key="n", Body=b"x", Tagging="team=red")
    for tags in ("team=blue", "team=red&other=1", ""):
        refused("AccessDenied", 403, nobody.put_object, Bucket=name, Key="n", Body=b"x", Tagging=tags)
    put(s3, name, statement(name, ["s3:PutObject", "s3:PutObjectTagging"], condition={
        "ForAnyValue:StringEquals": {"s3:RequestObjectTagKeys": ["team"]}}))
    nobody.put_object(Bucket=name, Key="n", Body=b"x", Tagging="team=any&other=1")
    refused("AccessDenied", 403, nobody.put_object, Bucket=name, Key="n", Body=b"x", Tagging="other=1")
    put(s3, name, statement(name, ["s3:PutObject", "s3:PutObjectAcl"],
                            condition={"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}}))
    nobody.put_object(Bucket=name, Key="n", Body=b"x", ACL="bucket-owner-full-control")
    refused("AccessDenied", 403, nobody.put_object, Bucket=name, Key="n", Body=b"x")
    put(s3, name, statement(name, "s3:PutObject"), statement(name, "s3:PutObject", effect="Deny", condition={
        "Null": {"s3:x-amz-server-side-encryption": "true"}}))
    refused("AccessDenied", 403, nobody.put_object, Bucket=name, Key="n", Body=b"x")
    s3.delete_bucket_policy(Bucket=name)  # its deny holds for us too
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    version, _ = (s3.put_object(Bucket=name, Key="v", Body=body)["VersionId"] for body in (b"1", b"2"))
    put(s3, name, statement(name, "s3:GetObjectVersion", condition={"StringEquals": {"s3:VersionId": version}}))
    assert nobody.get_object(Bucket=name, Key="v", VersionId=version)["Body"].read() == b"1"
    refused("AccessDenied", 403, nobody.get_object, Bucket=name, Key="v")


def copies_need_both_sides(system, home):
    s3, nobody = boto(system), anonymous(system)
    name, closed = open_bucket(s3, "target"), open_bucket(s3, "source")
    put(s3, name, statement(name, ["s3:PutObject", "s3:GetObject"]))
    nobody.copy_object(Bucket=name, Key="c", CopySource={"Bucket": name, "Key": "pub/a"})
    refused("AccessDenied", 403, nobody.copy_object, Bucket=name, Key="c", CopySource={"Bucket": closed, "Key": "pub/a"})
    put(s3, closed, statement(closed, "s3:GetObject"))
    nobody.copy_object(Bucket=name, Key="c", CopySource={"Bucket": closed, "Key": "pub/a"})
    put(s3, name, statement(name, "s3:DeleteObject", resource="/pub/*"))
    outcome = nobody.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "pub/a"}, {"Key": "secret"}]})
    assert [e["Key"] for e in outcome["Deleted"]] == ["pub/a"]
    assert [(e["Key"], e["Code"]) for e in outcome["Errors"]] == [("secret", "AccessDenied")]


def what_is_public(system, home):
    s3, nobody = boto(system), anonymous(system)
    name = open_bucket(s3, "public")
    for said, public in [
        (statement(name, "s3:GetObject"), True), (statement(name, "s3:GetObject", effect="Deny"), False),
        (statement(name, "s3:GetObject", condition={"IpAddress": {"aws:SourceIp": "127.0.0.1/32"}}), False),
        (statement(name, "s3:GetObject", condition={"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}), True),
        (statement(name, "s3:GetObject", condition={"StringLike": {"aws:Referer": "x*"}}), True),
    ]:
        put(s3, name, said)
        assert s3.get_bucket_policy_status(Bucket=name)["PolicyStatus"]["IsPublic"] is public, said
    put(s3, name, statement(name, "s3:GetObject"))
    block(s3, name, "RestrictPublicBuckets")
    refused("AccessDenied", 403, nobody.get_object, Bucket=name, Key="pub/a")
    block(s3, name, "BlockPublicPolicy")
    assert nobody.get_object(Bucket=name, Key="pub/a"), "only new policies are blocked"
    refused("AccessDenied", 403, s3.put_bucket_policy, Bucket=name, Policy=document(statement(name, "s3:GetObject")))
    put(s3, name, statement(name, "s3:GetObject", effect="Deny"))
    assert s3.get_public_access_block(Bucket=bucket(s3, "fresh"))["PublicAccessBlockConfiguration"]["BlockPublicPolicy"] is True


ALL = [
    a_policy_lives_and_dies, policies_that_are_malformed, allow_and_deny, actions_and_resources, conditions_on_the_request,
    conditions_on_listings, conditions_on_objects, copies_need_both_sides, what_is_public,
]
