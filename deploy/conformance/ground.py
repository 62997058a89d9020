"""What the probe asks from: a bucket with an object and an upload in it, and a client that answers in one word.

Inputs are made of the model, so the client is the raw one: what it is told goes out, once, without help for its user.
"""

import secrets

import boto3
import botocore.config
import botocore.exceptions

import botocore_model as model

ACCEPTED = "accepted"
# They change what later questions are answered from, so each asks of a bucket of its own.
CHANGES_BUCKET = (
    "PutBucketAcl", "PutBucketCors", "PutBucketOwnershipControls", "PutBucketPolicy", "PutBucketTagging", "PutBucketVersioning",
    "PutPublicAccessBlock", "DeleteBucketOwnershipControls", "DeletePublicAccessBlock",
)
DENYING_NOTHING = """{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*",
    "Action": "s3:GetObjectTorrent", "Resource": "arn:aws:s3:::BUCKET/*"}]}"""
# The wire of these has no body in its errors, so the status stands for the code.
BODILESS = ("HEAD",)


class Ground:
    """`with Ground(system) as ground`: the bucket lives as long."""

    def __init__(self, system):
        self.service = model.service()
        self.prefix = f"conformance-{secrets.token_hex(4)}-"  # of its buckets
        self.headers = {}  # instead of what the client would send, of the next request
        self.client = boto3.client(
            "s3", endpoint_url=system.endpoint, region_name=system.ready["region"],
            aws_access_key_id=system.access_key, aws_secret_access_key=system.secret_key,
            verify=str(system.ca) if system.ca else None,
            config=botocore.config.Config(inject_host_prefix=False, retries={"max_attempts": 1}),
        )
        self.client.meta.events.register("before-sign.s3", self._exchange_headers)

    def _exchange_headers(self, request, **_):
        for name, value in self.headers.items():
            del request.headers[name]
            request.headers[name] = value

    def __enter__(self):
        self.bucket = self.opened_bucket()
        self.client.put_object(Bucket=self.bucket, Key="source", Body=b"source")
        self.owner = self.client.list_buckets()["Owner"]["ID"]
        return self

    def __exit__(self, *_):
        for bucket in self.client.list_buckets(Prefix=self.prefix)["Buckets"]:
            self._remove(bucket["Name"])

    def new_bucket(self):
        name = self.prefix + secrets.token_hex(4)
        self.client.create_bucket(Bucket=name)
        return name

    def opened_bucket(self):
        """One that takes ACLs and policies whatever they say: what is refused there is refused for itself."""
        name = self.new_bucket()
        controls = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
        self.client.put_bucket_ownership_controls(Bucket=name, OwnershipControls=controls)
        self.client.delete_public_access_block(Bucket=name)
        return name

    def _remove(self, bucket):
        for upload in self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
            self.client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        for found in self.client.list_objects_v2(Bucket=bucket).get("Contents", []):
            self.client.delete_object(Bucket=bucket, Key=found["Key"])
        self.client.delete_bucket(Bucket=bucket)

    def parameters(self, name):
        return dict(model.parameters(self.service.operation_model(name)))

    def input(self, name, path="", value=None):
        """The least that makes the operation succeed, with one parameter more."""
        operation = self.service.operation_model(name)
        said = model.sample(operation, path, value, self.known(name))
        if name == "CompleteMultipartUpload":
            part = said.setdefault("MultipartUpload", {}).setdefault("Parts", [{}])[0]
            part.update(PartNumber=1, ETag=self.etag)
        elif name in ("PutBucketAcl", "PutObjectAcl"):
            self._complete_acl(said, path)
        elif name == "CreateBucket" and path.startswith("Grant"):
            said["ObjectOwnership"] = "ObjectWriter"  # or the bucket takes no ACL
        elif name == "PutBucketVersioning":
            state = said.setdefault("VersioningConfiguration", {})
            state["Status"] = "Suspended"
            if not path.endswith("MFADelete"):
                state.pop("MFADelete", None)
        return said

    def _complete_acl(self, said, path):
        """One of the three ways to say an ACL, whole: as a document, one that no canned ACL says."""
        if "AccessControlPolicy" in said:
            grantee = {"Type": "CanonicalUser", "ID": model.STRANGER}
            if path.endswith("URI"):
                grantee = {"Type": "Group", "URI": "http://acs.amazonaws.com/groups/global/AllUsers"}
            elif path.endswith("Grantee.DisplayName"):
                grantee["DisplayName"] = "probe"
            owner = {"ID": self.owner} | ({"DisplayName": "probe"} if path.endswith("Owner.DisplayName") else {})
            grants = [{"Grantee": grantee, "Permission": "FULL_CONTROL"}]
            said["AccessControlPolicy"] = {"Owner": owner, "Grants": grants}
        elif not path.startswith("Grant"):
            said.setdefault("ACL", "private")

    def full_input(self, name):
        return model.full_sample(self.service.operation_model(name), self.known(name))

    def known(self, name):
        """Values that a call needs of this ground; what it consumes is made anew."""
        known = {"Bucket": self.bucket, "Key": "key", "CopySource": f"{self.bucket}/source"}
        if name == "CreateBucket":
            known["Bucket"] = self.prefix + secrets.token_hex(4)
        elif name == "DeleteBucket" or name in CHANGES_BUCKET:
            known["Bucket"] = self.opened_bucket()
            known["Policy"] = DENYING_NOTHING.replace("BUCKET", known["Bucket"])
        elif "Key" not in self.parameters(name) and name.startswith("Get"):
            known["Bucket"] = self.new_bucket()  # as a bucket is that was only created
        elif name in ("AbortMultipartUpload", "CompleteMultipartUpload", "ListParts", "UploadPart", "UploadPartCopy"):
            where = {"Bucket": self.bucket, "Key": "upload"}
            known["UploadId"] = self.client.create_multipart_upload(**where)["UploadId"]
            known["Key"] = "upload"
            part = {**where, "UploadId": known["UploadId"], "PartNumber": 1}
            self.etag = self.client.upload_part(**part, Body=b"part")["ETag"]
        else:
            self.client.put_object(Bucket=self.bucket, Key="key", Body=b"key")
        return known

    def ask(self, name, said, headers=None, client=None):
        """`accepted`, or code and status of the refusal; the answer itself in `self.answer`."""
        self.headers, self.answer = headers or {}, None
        try:
            self.answer = (client or self.client)._make_api_call(name, said)
            return ACCEPTED
        except botocore.exceptions.ClientError as error:
            return f"{error.response['Error']['Code']} {error.response['ResponseMetadata']['HTTPStatusCode']}"
        finally:
            self.headers = {}

    def wanted(self, name, answer):
        """How the client tells an answer of this operation."""
        method = self.service.operation_model(name).http["method"]
        status = answer.rpartition(" ")[2]
        return f"{status} {status}" if method in BODILESS and answer != ACCEPTED else answer
