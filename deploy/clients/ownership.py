"""Who owns objects and who is let in: object ownership, canned ACLs, the public access block, anonymous requests."""

import secrets

from clients import boto
from raw import anonymous, answered, send
from semantics import As, bucket, refused

EVERYBODY = "http://acs.amazonaws.com/groups/global/AllUsers"
SIGNED_IN = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def own(s3, name, ownership):
    s3.put_bucket_ownership_controls(Bucket=name, OwnershipControls={"Rules": [{"ObjectOwnership": ownership}]})


def owned(s3, name):
    return s3.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"]["Rules"]


def block(s3, name, *blocks):
    s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration={b: b in blocks for b in BLOCKS})


def opened(s3, word, ownership="ObjectWriter"):
    """A bucket that takes ACLs and blocks nobody."""
    name = bucket(s3, word)
    own(s3, name, ownership)
    s3.delete_public_access_block(Bucket=name)
    return name


def grants(answer):
    return sorted((g["Grantee"].get("URI") or g["Grantee"]["Type"], g["Permission"]) for g in answer["Grants"])


def owner_only(answer, owner):
    assert answer["Owner"]["ID"] == owner and grants(answer) == [("CanonicalUser", "FULL_CONTROL")], answer


def acls_are_off_by_default(system, home):
    s3 = boto(system)
    name, owner = bucket(s3, "off"), s3.list_buckets()["Owner"]["ID"]
    assert owned(s3, name) == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    s3.put_object(Bucket=name, Key="k", Body=b"x")
    owner_only(s3.get_bucket_acl(Bucket=name), owner)
    owner_only(s3.get_object_acl(Bucket=name, Key="k"), owner)
    off = ("AccessControlListNotSupported", 400)
    s3.put_bucket_acl(Bucket=name, ACL="private")
    for acl in ("public-read", "public-read-write", "authenticated-read"):
        refused(*off, s3.put_bucket_acl, Bucket=name, ACL=acl)
    for acl in ("public-read", "public-read-write", "authenticated-read", "aws-exec-read", "bucket-owner-read"):
        refused(*off, s3.put_object, Bucket=name, Key="w", Body=b"x", ACL=acl)
        refused(*off, s3.copy_object, Bucket=name, Key="w", CopySource={"Bucket": name, "Key": "k"}, ACL=acl)
        refused(*off, s3.create_multipart_upload, Bucket=name, Key="w", ACL=acl)
        refused(*off, s3.put_object_acl, Bucket=name, Key="k", ACL=acl)
    refused("404", 404, s3.head_object, Bucket=name, Key="w")
    for acl in ("private", "bucket-owner-full-control"):
        s3.put_object(Bucket=name, Key="k", Body=b"x", ACL=acl)
        s3.copy_object(Bucket=name, Key="c", CopySource={"Bucket": name, "Key": "k"}, ACL=acl)
    s3.put_object_acl(Bucket=name, Key="k", ACL="bucket-owner-full-control")
    s3.create_bucket(Bucket=bucket_like(name, "a"), ACL="private")
    refused("InvalidBucketAclWithObjectOwnership", 400, s3.create_bucket, Bucket=bucket_like(name, "b"), ACL="public-read")


def bucket_like(name, letter):
    return f"{name}-{letter}"


def ownership_controls(system, home):
    s3 = boto(system)
    name = bucket(s3, "own")
    for ownership in ("ObjectWriter", "BucketOwnerPreferred", "BucketOwnerEnforced"):
        own(s3, name, ownership)
        assert owned(s3, name) == [{"ObjectOwnership": ownership}]
        at_once = bucket_like(name, ownership.lower())
        s3.create_bucket(Bucket=at_once, ObjectOwnership=ownership)
        assert owned(s3, at_once) == [{"ObjectOwnership": ownership}]
    for rules in ([], [{"ObjectOwnership": "ObjectWriter"}] * 2, [{"ObjectOwnership": "Nobody"}]):
        refused("MalformedXML", 400, s3.put_bucket_ownership_controls, Bucket=name, OwnershipControls={"Rules": rules})
    for wrong in ("Nobody", ""):
        answered(send(system, "PUT", f"/{bucket_like(name, 'no')}", headers={"x-amz-object-ownership": wrong}), 400, "InvalidArgument")
    for _ in range(2):
        s3.delete_bucket_ownership_controls(Bucket=name)
    refused("OwnershipControlsNotFoundError", 404, s3.get_bucket_ownership_controls, Bucket=name)
    refused("NoSuchBucket", 404, s3.get_bucket_ownership_controls, Bucket=name + "-none")


def canned_acls(system, home):
    s3 = boto(system)
    name, owner = opened(s3, "canned"), s3.list_buckets()["Owner"]["ID"]
    mine = ("CanonicalUser", "FULL_CONTROL")
    for acl, wanted in [
        ("private", [mine]), ("public-read", [mine, (EVERYBODY, "READ")]), ("authenticated-read", [mine, (SIGNED_IN, "READ")]),
        ("public-read-write", [mine, (EVERYBODY, "READ"), (EVERYBODY, "WRITE")]),
    ]:
        s3.put_bucket_acl(Bucket=name, ACL=acl)
        assert grants(s3.get_bucket_acl(Bucket=name)) == sorted(wanted), acl
        s3.put_object(Bucket=name, Key="k", Body=b"x", ACL=acl)
        assert grants(s3.get_object_acl(Bucket=name, Key="k")) == sorted(wanted), acl
        s3.put_object_acl(Bucket=name, Key="k", ACL="private")
        owner_only(s3.get_object_acl(Bucket=name, Key="k"), owner)
        s3.put_object_acl(Bucket=name, Key="k", ACL=acl)
        assert grants(s3.get_object_acl(Bucket=name, Key="k")) == sorted(wanted), acl
        s3.copy_object(Bucket=name, Key="c", CopySource={"Bucket": name, "Key": "k"}, ACL=acl)
        assert grants(s3.get_object_acl(Bucket=name, Key="c")) == sorted(wanted), acl
        upload = s3.create_multipart_upload(Bucket=name, Key="m", ACL=acl)["UploadId"]
        part = s3.upload_part(Bucket=name, Key="m", UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
        s3.complete_multipart_upload(Bucket=name, Key="m", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]})
        assert grants(s3.get_object_acl(Bucket=name, Key="m")) == sorted(wanted), acl
        if acl != "private":  # a new bucket blocks what is public
            refused("InvalidBucketAclWithBlockPublicAccessError", 400, s3.create_bucket, Bucket=bucket_like(name, acl), ACL=acl,
                    ObjectOwnership="ObjectWriter")
    s3.copy_object(Bucket=name, Key="c", CopySource={"Bucket": name, "Key": "k"})
    owner_only(s3.get_object_acl(Bucket=name, Key="c"), owner)  # never the source's
    for acl in ("bucket-owner-read", "bucket-owner-full-control"):  # of the owner's own object
        s3.put_object(Bucket=name, Key="k", Body=b"x", ACL=acl)
        owner_only(s3.get_object_acl(Bucket=name, Key="k"), owner)
    refused("InvalidArgument", 400, s3.put_bucket_acl, Bucket=name, ACL="fake-acl")
    refused("InvalidArgument", 400, s3.put_object, Bucket=name, Key="k", Body=b"x", ACL="fake-acl")
    refused("NoSuchKey", 404, s3.put_object_acl, Bucket=name, Key="none", ACL="private")
    refused("NoSuchKey", 404, s3.get_object_acl, Bucket=name, Key="none")
    refused("NoSuchBucket", 404, s3.get_bucket_acl, Bucket=name + "-none")
    s3.put_bucket_acl(Bucket=name, ACL="public-read")
    refused("InvalidBucketAclWithObjectOwnership", 400, own, s3=s3, name=name, ownership="BucketOwnerEnforced")
    s3.put_bucket_acl(Bucket=name, ACL="private")
    own(s3, name, "BucketOwnerEnforced")


def grants_that_are_canned(system, home):
    """Grants spelled out, in headers or a document, are taken where a canned ACL makes exactly them."""
    s3 = boto(system)
    name, owner = opened(s3, "grants"), s3.list_buckets()["Owner"]["ID"]
    mine, everybody, stranger = f'id="{owner}"', f'uri="{EVERYBODY}"', f'id="{"ab" * 32}"'
    said = {"GrantFullControl": mine, "GrantRead": everybody}
    wanted = [("CanonicalUser", "FULL_CONTROL"), (EVERYBODY, "READ")]
    s3.put_object(Bucket=name, Key="k", Body=b"x", **said)
    assert grants(s3.get_object_acl(Bucket=name, Key="k")) == wanted
    s3.put_bucket_acl(Bucket=name, **said)
    document = s3.get_bucket_acl(Bucket=name)
    assert grants(document) == wanted
    document = {"Owner": document["Owner"], "Grants": document["Grants"]}
    s3.put_bucket_acl(Bucket=name, ACL="private")
    s3.put_bucket_acl(Bucket=name, AccessControlPolicy=document)
    s3.put_object_acl(Bucket=name, Key="k", AccessControlPolicy=document)
    assert grants(s3.get_bucket_acl(Bucket=name)) == grants(s3.get_object_acl(Bucket=name, Key="k")) == wanted
    refused("NotImplemented", 501, s3.put_object_acl, Bucket=name, Key="k", GrantFullControl=mine, GrantRead=stranger)
    refused("InvalidRequest", 400, s3.put_object_acl, Bucket=name, Key="k", ACL="private", GrantRead=everybody)
    refused("MethodNotAllowed", 405, s3.put_object_acl, Bucket=name, Key="k", GrantRead='emailAddress="a@b.example"')
    document["Grants"][1] = {"Grantee": {"Type": "AmazonCustomerByEmail", "EmailAddress": "a@b.example"}, "Permission": "READ"}
    refused("MethodNotAllowed", 405, s3.put_bucket_acl, Bucket=name, AccessControlPolicy=document)
    refused("MethodNotAllowed", 405, s3.put_object_acl, Bucket=name, Key="k", AccessControlPolicy=document)
    answered(send(system, "PUT", f"/{name}?acl"), 400, "MissingSecurityHeader")


def what_everybody_may(system, home):
    s3, nobody = boto(system), anonymous(system)
    name = opened(s3, "anonymous")
    for key, acl in (("open", "public-read"), ("closed", "private"), ("members", "authenticated-read")):
        s3.put_object(Bucket=name, Key=key, Body=b"x", ACL=acl)
    assert nobody.get_object(Bucket=name, Key="open")["Body"].read() == b"x" and nobody.head_object(Bucket=name, Key="open")
    for key in ("closed", "members", "none"):
        refused("AccessDenied", 403, nobody.get_object, Bucket=name, Key=key)
        refused("403", 403, nobody.head_object, Bucket=name, Key=key)
    denied = [(nobody.list_objects_v2, {}), (nobody.put_object, {"Key": "open", "Body": b"y"}), (nobody.delete_object, {"Key": "open"}),
              (nobody.get_object_acl, {"Key": "open"}), (nobody.get_bucket_acl, {}), (nobody.delete_bucket, {}),
              (nobody.put_object_acl, {"Key": "open", "ACL": "private"}), (nobody.get_bucket_versioning, {})]
    for call, arguments in denied:
        refused("AccessDenied", 403, call, Bucket=name, **arguments)
    refused("AccessDenied", 403, nobody.list_buckets)
    s3.put_bucket_acl(Bucket=name, ACL="public-read")
    assert len(nobody.list_objects_v2(Bucket=name)["Contents"]) == 3 and nobody.head_bucket(Bucket=name)
    refused("NoSuchKey", 404, nobody.get_object, Bucket=name, Key="none")  # who may list may know
    refused("AccessDenied", 403, nobody.put_object, Bucket=name, Key="new", Body=b"y")
    s3.put_bucket_acl(Bucket=name, ACL="public-read-write")
    nobody.put_object(Bucket=name, Key="new", Body=b"y")
    assert s3.get_object(Bucket=name, Key="new")["Body"].read() == b"y"  # nobody's objects are the bucket owner's
    refused("AccessDenied", 403, nobody.delete_object, Bucket=name, Key="new")  # WRITE of a bucket is s3:PutObject
    answered(send(system, "GET", f"/{name}/open?response-content-type=a/b", signed=False), 400, "InvalidRequest")
    refused("AccessDenied", 403, nobody.get_object, Bucket=name, Key="closed")


def public_access_blocks(system, home):
    s3, nobody = boto(system), anonymous(system)
    name = bucket(s3, "block")
    assert s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"] == dict.fromkeys(BLOCKS, True)
    for chosen in ((), ("BlockPublicAcls",), BLOCKS):
        block(s3, name, *chosen)
        got = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
        assert {b for b, on in got.items() if on} == set(chosen)
    for _ in range(2):
        s3.delete_public_access_block(Bucket=name)
    refused("NoSuchPublicAccessBlockConfiguration", 404, s3.get_public_access_block, Bucket=name)
    own(s3, name, "ObjectWriter")
    block(s3, name, "BlockPublicAcls")
    for acl in ("public-read", "public-read-write", "authenticated-read"):
        refused("AccessDenied", 403, s3.put_bucket_acl, Bucket=name, ACL=acl)
        refused("AccessDenied", 403, s3.put_object, Bucket=name, Key="k", Body=b"x", ACL=acl)
    s3.put_object(Bucket=name, Key="k", Body=b"x", ACL="private")
    refused("AccessDenied", 403, s3.put_object_acl, Bucket=name, Key="k", ACL="public-read")
    block(s3, name)
    s3.put_object_acl(Bucket=name, Key="k", ACL="public-read")
    assert nobody.get_object(Bucket=name, Key="k")
    block(s3, name, "IgnorePublicAcls")
    refused("AccessDenied", 403, nobody.get_object, Bucket=name, Key="k")
    block(s3, name, "BlockPublicAcls")  # closes the door to new ACLs only
    assert nobody.get_object(Bucket=name, Key="k")


def acls_of_versions(system, home):
    s3 = boto(system)
    name = opened(s3, "versions")
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=name, Key="k", Body=b"1")["VersionId"]
    s3.put_object(Bucket=name, Key="k", Body=b"2")
    s3.put_object_acl(Bucket=name, Key="k", VersionId=first, ACL="public-read")
    assert len(s3.get_object_acl(Bucket=name, Key="k", VersionId=first)["Grants"]) == 2
    assert len(s3.get_object_acl(Bucket=name, Key="k")["Grants"]) == 1
    marker = s3.delete_object(Bucket=name, Key="k")["VersionId"]
    refused("NoSuchKey", 404, s3.get_object_acl, Bucket=name, Key="k")
    refused("MethodNotAllowed", 405, s3.get_object_acl, Bucket=name, Key="k", VersionId=marker)
    for arguments in ({}, {"VersionId": marker}):
        refused("MethodNotAllowed", 405, s3.put_object_acl, Bucket=name, Key="k", ACL="private", **arguments)


def what_guests_write(system, home):
    """An object is its writer's where the bucket says so, and the bucket's owner's where not. AWS: "Controlling ownership"."""
    s3, name = boto(system), "guests-" + secrets.token_hex(4)
    system.admin("create-tenant", "--name", name)
    guest = boto(As(system, system.admin("create-key", "--name", "guest", "--tenant", name)))
    mine, theirs = (client.list_buckets()["Owner"]["ID"] for client in (s3, guest))
    assert mine != theirs
    for ownership in ("ObjectWriter", "BucketOwnerPreferred"):
        host = opened(s3, "host", ownership)
        s3.put_bucket_acl(Bucket=host, ACL="public-read-write")
        guest.put_object(Bucket=host, Key="g", Body=b"guest", Tagging="a=1")
        guest.put_object(Bucket=host, Key="given", Body=b"given", ACL="bucket-owner-full-control")
        s3.put_object(Bucket=host, Key="own", Body=b"own")
        given = mine if ownership == "BucketOwnerPreferred" else theirs
        owners = {o["Key"]: o["Owner"]["ID"] for o in s3.list_objects(Bucket=host)["Contents"]}
        assert owners == {"g": theirs, "given": given, "own": mine}, owners
        versions = {o["Key"]: o["Owner"]["ID"] for o in s3.list_object_versions(Bucket=host)["Versions"]}
        assert versions == owners
        # Its writer does with it what owners do.
        assert guest.get_object(Bucket=host, Key="g")["Body"].read() == b"guest"
        owner_only(guest.get_object_acl(Bucket=host, Key="g"), theirs)
        assert guest.get_object_tagging(Bucket=host, Key="g")["TagSet"] == [{"Key": "a", "Value": "1"}]
        guest.put_object_tagging(Bucket=host, Key="g", Tagging={"TagSet": []})
        # The bucket's owner may not, unless it was given; but removes it.
        for call in (s3.get_object, s3.get_object_acl, s3.get_object_tagging):
            refused("AccessDenied", 403, call, Bucket=host, Key="g")
        refused("AccessDenied", 403, s3.copy_object, Bucket=host, Key="c", CopySource={"Bucket": host, "Key": "g"})
        assert s3.get_object(Bucket=host, Key="given")["Body"].read() == b"given"
        refused("AccessDenied", 403, guest.get_object, Bucket=host, Key="own")
        guest.put_object_acl(Bucket=host, Key="g", ACL="bucket-owner-read")
        assert s3.get_object(Bucket=host, Key="g")["Body"].read() == b"guest"
        # The node remembers its own writes: as what they are.
        for _ in range(3):
            guest.put_object(Bucket=host, Key="again", Body=b"guest")
            refused("AccessDenied", 403, s3.get_object, Bucket=host, Key="again")
            assert guest.get_object(Bucket=host, Key="again")["Body"].read() == b"guest"
        # An upload names who began it, and becomes that one's.
        upload = guest.create_multipart_upload(Bucket=host, Key="m")["UploadId"]
        [listed] = s3.list_multipart_uploads(Bucket=host)["Uploads"]
        assert (listed["Initiator"]["ID"], listed["Owner"]["ID"]) == (theirs, theirs), listed
        part = guest.upload_part(Bucket=host, Key="m", UploadId=upload, PartNumber=1, Body=b"part")
        guest.complete_multipart_upload(Bucket=host, Key="m", UploadId=upload,
                                        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
        refused("AccessDenied", 403, s3.get_object, Bucket=host, Key="m")
        # Without ACLs everything is the bucket owner's.
        s3.put_bucket_acl(Bucket=host, ACL="private")
        own(s3, host, "BucketOwnerEnforced")
        assert s3.get_object(Bucket=host, Key="m")["Body"].read() == b"part"
        assert {o["Owner"]["ID"] for o in s3.list_objects(Bucket=host)["Contents"]} == {mine}
        refused("AccessDenied", 403, guest.get_object, Bucket=host, Key="m")
        own(s3, host, ownership)
        s3.delete_object(Bucket=host, Key="m")


ALL = [
    acls_are_off_by_default, ownership_controls, canned_acls, grants_that_are_canned, what_everybody_may, public_access_blocks,
    acls_of_versions, what_guests_write,
]
