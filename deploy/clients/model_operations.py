"""The steps of `model.py` on objects and their versions: each one asks the system and the model, and compares."""

import hashlib
import xml.sax.saxutils as escaped

from model_bucket import Refused, Version
from model_pages import attributes_of, objects_page, versions_page
from model_reads import check_conditions, read, sum_headers
from model_wire import Learned, listing, plain, sorted_rows, target, to_header
from model_world import KEYS, body_of, put_headers, sums_of
from raw import checksummed

TAGGED = {"x-amz-tagging": "t=1&u=%C3%BC+x"}
NEVER_COPIED = {"x-amz-storage-class", "x-amz-website-redirect-location"}
TAGS = {"t": "1", "u": "ü x"}


def put(world, step):
    bucket, key = world.place(step)
    body, when = body_of(step["body"]), write_conditions(world, bucket, key, step)
    headers, facts = put_headers(step["facts"])
    headers |= when | (TAGGED if step.get("tags") else {})
    sums = sums_of(step["sum"], body)
    if step["sum"]:
        headers[f"x-amz-checksum-{step['sum']}"] = sums[step["sum"]]
    if step.get("wrong"):
        headers["Content-MD5"] = "AAAAAAAAAAAAAAAAAAAAAA=="

    def answer():
        if step.get("wrong"):
            raise Refused(400, "BadDigest", *(["PreconditionFailed", "NoSuchKey"] if when else []))
        version = Version(body, hashlib.md5(body).hexdigest(), facts, dict(TAGS) if step.get("tags") else {}, sums)
        bucket.put(key, version, when)
        said = {"etag": f'"{version.etag}"', **sum_headers(sums, "FULL_OBJECT")}
        return world.success(200, said | world.version_header(bucket, key, version))

    world.ask("PUT", target(bucket.name, key), world.attempt(answer), headers=headers, body=body)


def get(world, step):
    bucket, key = world.place(step)
    version_id = world.version_id(bucket, key, step["version"])
    headers, asked = {}, {"part": step.get("part"), "checksums": step.get("checksums"), "to come": False}
    for name, said in step["when"].items():
        if name.endswith("since"):
            asked[name] = world.seconds(bucket, key, said, version_id)
            asked["to come"] |= name == "if-modified-since" and said == "future"
            headers[name] = to_header(asked[name])
        else:
            headers[name] = asked[name] = world.etag(bucket, key, said, version_id)
    if "range" in step:
        headers["range"] = asked["range"] = step["range"]
    if step.get("checksums"):
        headers["x-amz-checksum-mode"] = "ENABLED"
    query = ({} if version_id is None else {"versionId": version_id}) | ({"partNumber": step["part"]} if step.get("part") else {})
    head = step["op"] == "head"
    try:
        status, said, body, version = read(bucket, key, version_id, asked)
        said["last-modified"] = world.modified_in_header(version)
        wanted = world.success(status, said, b"" if head else body)
    except Refused as refused:
        wanted = world.refusal(refused, head=head)
    world.ask("HEAD" if head else "GET", target(bucket.name, key, **query), wanted, headers=headers, how="bytes")


def attributes(world, step):
    bucket, key = world.place(step)
    version_id = world.version_id(bucket, key, step["version"])

    def answer():
        version = bucket.find(key, version_id)
        said = {"last-modified": world.modified_in_header(version)}
        said |= {"x-amz-version-id": version.id} if bucket.shown(version) else {}
        return world.success(200, said, attributes_of(version))

    def parts_apart(root):
        said = plain(root)
        parts = [plain(part) for part in root.iter() if part.tag.endswith("}Part")]
        return said | ({"ObjectParts": said["ObjectParts"] | {"Part": parts}} if parts else {})

    query = {"attributes": None} | ({"versionId": version_id} if version_id else {})
    headers = {"x-amz-object-attributes": "ETag,Checksum,ObjectParts,StorageClass,ObjectSize"}
    world.ask("GET", target(bucket.name, key, **query), world.attempt(answer), headers=headers, how=parts_apart)


def delete(world, step):
    bucket, key = world.place(step)
    version_id = world.version_id(bucket, key, step["version"])
    when = {} if version_id else write_conditions(world, bucket, key, step)

    def answer():
        is_marker, named = bucket.delete(key, version_id, when)
        said = {"x-amz-delete-marker": "true"} if is_marker else {}
        if isinstance(named, Version):
            said |= world.version_header(bucket, key, named, if_null=True)
        elif named:
            said["x-amz-version-id"] = named
        return world.success(204, said)

    query = {"versionId": version_id} if version_id else {}
    world.ask("DELETE", target(bucket.name, key, **query), world.attempt(answer), headers=when)


def delete_many(world, step):
    """Entries are decided in any order, so no two of them mean the same version."""
    bucket, _ = world.place(step)
    body, outcomes, taken = "", [], set()
    for entry in step["entries"]:
        key = KEYS[entry["key"]]
        version_id = world.version_id(bucket, key, entry["version"])
        if "\x01" in key or {(key, version_id), (key, None)} & taken or (version_id is None and any(key == k for k, _ in taken)):
            continue
        taken.add((key, version_id))
        when = {} if version_id else write_conditions(world, bucket, key, entry)
        tag = f"<ETag>{escaped.escape(when['if-match'])}</ETag>" if when else ""
        said = {"Key": key} | ({"VersionId": version_id} if version_id else {})
        body += f"<Object><Key>{escaped.escape(key)}</Key>{f'<VersionId>{version_id}</VersionId>' if version_id else ''}{tag}</Object>"
        try:
            is_marker, named = bucket.delete(key, version_id, when)
            if is_marker:
                made = isinstance(named, Version)
                fresh = world.version_header(bucket, key, named, if_null=True)["x-amz-version-id"] if made else named
                said |= {"DeleteMarker": "true", "DeleteMarkerVersionId": fresh}
            outcomes += [] if step["quiet"] else [["Deleted", said]]
        except Refused as refused:
            outcomes.append(["Error", said | {"Code": refused.codes[0], "Message": Learned(lambda text: "")}])
    if not taken:
        return
    quiet = "<Quiet>true</Quiet>" if step["quiet"] else ""
    request = checksummed(f"<Delete>{quiet}{body}</Delete>".encode())
    by_name = lambda row: (row[0], row[1]["Key"], row[1].get("VersionId", ""))  # noqa: E731
    wanted = world.success(200, {}, sorted(outcomes, key=by_name))
    world.ask("POST", target(bucket.name, delete=None), wanted, **request, how=lambda root: sorted(sorted_rows(root), key=by_name))
    if step["quiet"]:  # nobody was told the ids of the markers
        asked = {"prefix": "", "delimiter": "", "after": "", "after version": None, "size": 1000, "url": True, "walk": False}
        list_versions(world, asked | {"bucket": step["bucket"]})


def copy(world, step):
    (bucket, key), (source, source_key) = world.place(step), world.place(step, "source ")
    version_id = world.version_id(source, source_key, step["version"])
    when = write_conditions(world, bucket, key, step)
    headers, asked = source_headers(world, step, source, source_key, version_id)
    headers |= when
    told, facts = put_headers(step["facts"])
    headers |= told
    if step["replace"]:
        headers["x-amz-metadata-directive"] = "REPLACE"
    if step["replace tags"]:
        headers |= {"x-amz-tagging-directive": "REPLACE"} | TAGGED
    if step["sum"]:
        headers["x-amz-checksum-algorithm"] = step["sum"].upper()
    itself = bucket is source and key == source_key and version_id is None
    unchanged = not step["replace"] and not NEVER_COPIED & set(told)

    def answer():
        if itself and unchanged:
            raise Refused(400, "InvalidRequest")
        found = source.source(source_key, version_id)
        check_source(found, asked)
        tags = dict(TAGS if step["replace tags"] else found.tags)
        made = copied(found, facts if step["replace"] else kept(found.facts, facts), tags)
        if step["sum"]:
            made.sums, made.composite = sums_of(step["sum"], found.body), False
        shown = source.shown(found)
        bucket.put(key, made, when)
        said = world.version_header(bucket, key, made)
        said |= {"x-amz-copy-source-version-id": shown} if shown else {}
        result = {"ETag": f'"{made.etag}"', "LastModified": world.modified_in_xml(bucket, key, made)}
        result |= {f"Checksum{name.upper()}": value for name, value in made.sums.items()}
        result["ChecksumType"] = "COMPOSITE" if made.composite else "FULL_OBJECT"
        return world.success(200, said, result)

    world.ask("PUT", target(bucket.name, key), world.attempt(answer), headers=headers, how=plain)


def kept(of_source, of_request):
    """Storage class and website redirect are always the request's, all others the source's."""
    copied = {name: value for name, value in of_source.items() if name not in NEVER_COPIED}
    return copied | {name: value for name, value in of_request.items() if name in NEVER_COPIED}


def copied(found, facts, tags):
    """The object that a copy makes. It shares its source's bytes and keeps what was computed of them: ETag, checksums and parts."""
    return Version(found.body, found.etag, facts, tags, found.sums, found.parts, found.composite)


def source_headers(world, step, source, key, version_id):
    headers = {"x-amz-copy-source": target(source.name, key) + (f"?versionId={version_id}" if version_id else "")}
    asked = {}
    for name, said in step["source when"].items():
        if name.endswith("since"):
            asked |= {name: world.seconds(source, key, said, version_id), "to come": said == "future" and name == "if-modified-since"}
            headers[f"x-amz-copy-source-{name}"] = to_header(asked[name])
        else:
            headers[f"x-amz-copy-source-{name}"] = asked[name] = world.etag(source, key, said, version_id)
    return headers, {"to come": False} | asked


def check_source(found, asked):
    """As a read's conditions, but that what a read would answer with 304 fails as well."""
    try:
        check_conditions(found, asked)
    except Refused:
        raise Refused(412, "PreconditionFailed") from None


def tagging(world, step):
    """PUT, GET or DELETE of an object's tags."""
    bucket, key = world.place(step)
    version_id = world.version_id(bucket, key, step["version"])
    method, body = step["method"], b""
    pairs = "".join(f"<Tag><Key>{name}</Key><Value>{value}</Value></Tag>" for name, value in step["tags"].items())
    if method == "PUT":
        body = f"<Tagging><TagSet>{pairs}</TagSet></Tagging>".encode()

    def answer():
        version = bucket.described(key, version_id)
        said = {"x-amz-version-id": version.id} if bucket.shown(version) else {}
        if method == "GET":
            return world.success(200, said, [{"Key": name, "Value": value} for name, value in version.tags.items()])
        version.tags = dict(step["tags"]) if method == "PUT" else {}
        return world.success(204 if method == "DELETE" else 200, said)

    def tags(root):
        return [plain(tag) for tag in root[0]] if len(root) else []

    query = {"tagging": None} | ({"versionId": version_id} if version_id else {})
    request = checksummed(body) if body else {}
    world.ask(method, target(bucket.name, key, **query), world.attempt(answer), **request, how=tags if method == "GET" else "none")


def versioning(world, step):
    bucket = world.buckets[step["bucket"]]
    if step["status"]:
        bucket.status = step["status"]
        body = f"<VersioningConfiguration><Status>{bucket.status}</Status></VersioningConfiguration>".encode()
        world.ask("PUT", target(bucket.name, versioning=None), world.success(), **checksummed(body))
    wanted = world.success(200, {}, {"Status": bucket.status} if bucket.status else {})
    world.ask("GET", target(bucket.name, versioning=None), wanted, how=plain)


def list_objects(world, step):
    """A page, or with `walk` every page."""
    bucket, asked = world.buckets[step["bucket"]], asked_page(step)
    while True:
        wanted, found = objects_page(world, bucket, asked)
        query = {"list-type": 2} if asked["dialect"] == 2 else {}
        query |= {"prefix": asked["prefix"], "delimiter": asked["delimiter"], "max-keys": asked["size"]}
        query |= {"encoding-type": "url"} if asked["url"] else {}
        query |= {"fetch-owner": "true"} if asked["owner"] else {}
        place = ("continuation-token", asked["token"]) if asked.get("token") else ("start-after", asked["after"])
        query |= dict([("marker", asked["after"]) if asked["dialect"] == 1 else place])
        world.ask("GET", target(bucket.name, **query), world.success(200, {}, wanted), how=listing)
        if not step["walk"] or not found["truncated"]:
            return
        asked |= {"after": found["next"], "token": found.get("token")}


def list_versions(world, step):
    bucket, asked = world.buckets[step["bucket"]], asked_page(step)
    if step["after version"] is not None and asked["after"] in bucket.keys:
        asked["version"] = world.version_id(bucket, asked["after"], step["after version"])
    while True:
        wanted, found = versions_page(world, bucket, asked)
        query = {"versions": None, "prefix": asked["prefix"], "delimiter": asked["delimiter"], "max-keys": asked["size"]}
        query |= {"encoding-type": "url"} if asked["url"] else {}
        query |= {"key-marker": asked["after"]} | ({"version-id-marker": asked["version"]} if asked["version"] else {})
        world.ask("GET", target(bucket.name, **query), world.success(200, {}, wanted), how=listing)
        if not step["walk"] or not found["truncated"]:
            return
        asked |= {"after": found["next"], "version": found["version"]}


def asked_page(step):
    said = {name: step[name] for name in ("prefix", "delimiter", "after", "size")}
    return said | {"url": step["url"], "version": None, "dialect": step.get("dialect"), "owner": step.get("owner", False)}


def write_conditions(world, bucket, key, step):
    return {name: "*" if name == "if-none-match" else world.etag(bucket, key, said) for name, said in step.get("write when", {}).items()}
