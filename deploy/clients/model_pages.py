"""What a listing of a model's bucket says: the whole page, from the slow and obvious list of everything."""

from model_wire import Learned


def grouped(names, prefix, delimiter, after):
    """(name, is group) in order of bytes, each once."""
    entries = []
    for name in sorted(names, key=str.encode):
        if not name.startswith(prefix):
            continue
        cut = name[len(prefix):].find(delimiter) if delimiter else -1
        entry = (name, False) if cut < 0 else (name[: len(prefix) + cut + len(delimiter)], True)
        inside = entry[1] and after.startswith(entry[0])
        if entry[0].encode() > after.encode() and not inside and entry not in entries:
            entries.append(entry)
    return entries


def objects_page(world, bucket, asked):
    """ListObjects (`asked["dialect"]` 1) and V2. `asked`: prefix, delimiter, after, size, url, owner, token."""
    prefix, delimiter, size = asked["prefix"], asked["delimiter"], asked["size"]
    names = [key for key in bucket.keys if bucket.current(key)]
    entries = grouped(names, prefix, delimiter, asked["after"])
    page, truncated = entries[:size], 0 < size < len(entries)
    once = {"Name": bucket.name, "Prefix": prefix, "MaxKeys": str(size), "IsTruncated": str(truncated).lower()}
    once |= {"Delimiter": delimiter} if delimiter else {}
    once |= {"EncodingType": "url"} if asked["url"] else {}
    found = {"truncated": truncated, "next": page[-1][0] if page else ""}
    if asked["dialect"] == 1:
        once["Marker"] = asked["after"]
        if truncated and delimiter:
            once["NextMarker"] = page[-1][0]
    else:
        once["KeyCount"] = str(len(page))
        if asked.get("token"):
            once["ContinuationToken"] = asked["token"]
        elif asked["after"]:
            once["StartAfter"] = asked["after"]
        if truncated:
            once["NextContinuationToken"] = Learned(lambda token: found.update(token=token))
    owner = asked["dialect"] == 1 or asked["owner"]
    rows = [["Contents", described(world, bucket, name, bucket.current(name), owner)] for name, group in page if not group]
    return {"once": once, "rows": rows + groups(page)}, found


def groups(page):
    return [["CommonPrefixes", {"Prefix": name}] for name, group in page if group]


def described(world, bucket, key, version, owner):
    said = {"Key": key, "LastModified": world.modified_in_xml(bucket, key, version)}
    if owner:
        said["Owner"] = {"ID": world.owner, "DisplayName": world.owner_name}
    if version.marker:
        return said
    algorithm = next(iter(version.sums)).upper()
    return said | {
        "ETag": f'"{version.etag}"', "Size": str(len(version.body)), "ChecksumAlgorithm": algorithm,
        "ChecksumType": "COMPOSITE" if version.composite else "FULL_OBJECT",
        "StorageClass": version.facts.get("x-amz-storage-class", "STANDARD"),
    }


def versions_page(world, bucket, asked):
    """ListObjectVersions. `asked`: prefix, delimiter, after, version (the marker's id, or None), size, url."""
    prefix, delimiter, size, after = asked["prefix"], asked["delimiter"], asked["size"], asked["after"]
    entries = []
    if asked["version"] and after.startswith(prefix) and not (delimiter and delimiter in after[len(prefix):]):
        ids = [version.id for version in bucket.versions(after)]
        rest = bucket.versions(after)[ids.index(asked["version"]) + 1 :]
        entries += [(after, version) for version in rest]
    for name, group in grouped(bucket.keys, prefix, delimiter, after):
        entries += [(name, None)] if group else [(name, version) for version in bucket.versions(name)]
    page, truncated = entries[:size], 0 < size < len(entries)
    once = {"Name": bucket.name, "Prefix": prefix, "KeyMarker": after, "VersionIdMarker": asked["version"] or "",
            "MaxKeys": str(size), "IsTruncated": str(truncated).lower()}
    once |= {"Delimiter": delimiter} if delimiter else {}
    once |= {"EncodingType": "url"} if asked["url"] else {}
    found = {"truncated": truncated, "next": "", "version": None}
    if truncated:
        name, version = page[-1]
        found |= {"next": name, "version": version and version.id}
        once["NextKeyMarker"] = name
        once |= {"NextVersionIdMarker": version.id} if version else {}
    rows = [version_row(world, bucket, key, version) for key, version in page if version]
    return {"once": once, "rows": rows + groups([(name, version is None) for name, version in page])}, found


def version_row(world, bucket, key, version):
    said = described(world, bucket, key, version, True)
    latest = bucket.versions(key)[0] is version
    said |= {"VersionId": version.id or world.new_id(key, version), "IsLatest": str(latest).lower()}
    return ["DeleteMarker" if version.marker else "Version", said]


def uploads_page(world, bucket, asked):
    """ListMultipartUploads, of one key by age. `asked`: prefix, delimiter, after, upload (the marker's id, or ""), size, url."""
    prefix, delimiter, size, after = asked["prefix"], asked["delimiter"], asked["size"], asked["after"]
    entries, of_key = [], [upload for upload in bucket.uploads if upload.key == after]
    if asked["upload"] and after.startswith(prefix) and not (delimiter and delimiter in after[len(prefix):]):
        ids = [upload.id for upload in of_key]
        entries += [(after, upload) for upload in of_key[ids.index(asked["upload"]) + 1 :]]
    for name, group in grouped({upload.key for upload in bucket.uploads}, prefix, delimiter, after):
        entries += [(name, upload) for upload in ([None] if group else bucket.uploads) if group or upload.key == name]
    page, truncated = entries[:size], 0 < size < len(entries)
    name, last = page[-1] if page else ("", None)
    once = {"Bucket": bucket.name, "Prefix": prefix, "KeyMarker": after, "UploadIdMarker": asked["upload"], "MaxUploads": str(size),
            "IsTruncated": str(truncated).lower(), "NextKeyMarker": name, "NextUploadIdMarker": last.id if last else ""}
    once |= {"Delimiter": delimiter} if delimiter else {}
    once |= {"EncodingType": "url"} if asked["url"] else {}
    rows = [["Upload", upload_row(world, upload)] for _, upload in page if upload]
    found = {"truncated": truncated, "next": name, "upload": last.id if last else ""}
    return {"once": once, "rows": rows + groups([(name, upload is None) for name, upload in page])}, found


def upload_row(world, upload):
    said = {"ID": world.owner, "DisplayName": world.owner_name}
    row = {"Key": upload.key, "UploadId": upload.id, "Initiator": said, "Owner": said, "Initiated": Learned(lambda text: ""),
           "StorageClass": upload.facts.get("x-amz-storage-class", "STANDARD")}
    kind = "COMPOSITE" if upload.composite else "FULL_OBJECT"
    return row | ({"ChecksumAlgorithm": upload.algorithm.upper(), "ChecksumType": kind} if upload.algorithm else {})


def attributes_of(version):
    """GetObjectAttributes: parts are listed only where they have checksums of their own to show."""
    algorithm, value = next(iter(version.sums.items()))
    kind = "COMPOSITE" if version.composite else "FULL_OBJECT"
    said = {"ETag": version.etag, "ObjectSize": str(len(version.body)),
            "StorageClass": version.facts.get("x-amz-storage-class", "STANDARD"),
            "Checksum": {f"Checksum{algorithm.upper()}": value.partition("-")[0], "ChecksumType": kind}}
    if version.parts:
        said["ObjectParts"] = {"PartsCount": str(len(version.parts))}
    if version.composite:
        parts = [{"PartNumber": str(number), "Size": str(len(body)), f"Checksum{algorithm.upper()}": sums[algorithm]}
                 for number, body, sums in version.parts]
        said["ObjectParts"] |= {"PartNumberMarker": "0", "NextPartNumberMarker": parts[-1]["PartNumber"], "MaxParts": "1000",
                                "IsTruncated": "false", "Part": parts}
    return said
