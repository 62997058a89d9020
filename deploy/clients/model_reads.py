"""What GetObject and HeadObject of a model's object say: conditions, ranges and parts, from the whole body in memory."""

import re

from model_bucket import Refused


def read(bucket, key, version_id, asked):
    """(status, headers, body, version). `asked`: conditions and range by header name, part, checksums (whether they are wanted)."""
    version = bucket.find(key, version_id)
    check_conditions(version, asked)
    status, start, stop = select(version, asked)
    headers = {"etag": f'"{version.etag}"', "accept-ranges": "bytes", "content-length": str(stop - start), **version.facts}
    headers |= {"content-type": version.facts.get("content-type", "binary/octet-stream")}
    if status == 206:
        headers["content-range"] = f"bytes {start}-{stop - 1}/{len(version.body)}"
    if version.tags:
        headers["x-amz-tagging-count"] = str(len(version.tags))
    if bucket.shown(version):
        headers["x-amz-version-id"] = version.id
    if asked.get("part") and version.parts:
        headers["x-amz-mp-parts-count"] = str(len(version.parts))
    if asked.get("checksums"):
        whole = (start, stop) == (0, len(version.body)) and not asked.get("part")
        headers |= shown_sums(version, start, stop, whole)
    return status, headers, version.body[start:stop], version


def check_conditions(version, asked):
    """RFC 9110, 13.2.2: a condition on the ETag silences the one on the time. Times are (seconds, is to come)."""
    if "if-match" in asked:
        if not names(asked["if-match"], version.etag, strongly=True):
            raise Refused(412, "PreconditionFailed")
    elif "if-unmodified-since" in asked and version.modified.second() > asked["if-unmodified-since"]:
        raise Refused(412, "PreconditionFailed")
    if "if-none-match" in asked:
        if names(asked["if-none-match"], version.etag, strongly=False):
            raise NotModified(version)
    elif "if-modified-since" in asked and version.modified.second() <= asked["if-modified-since"] and not asked["to come"]:
        raise NotModified(version)


class NotModified(Refused):
    def __init__(self, version):
        kept = {name.replace("-", "_"): version.facts[name] for name in ("cache-control", "expires") if name in version.facts}
        super().__init__(304, "", etag=f'"{version.etag}"', last_modified=version, **kept)


def names(tags, etag, strongly):
    """Whether a header's list of ETags has this one; a weak one is no match for a strong comparison."""
    if tags == "*":
        return True
    listed = [tag.strip() for tag in tags.split(",")]
    weak = {tag[2:].strip('"') for tag in listed if tag.startswith("W/")}
    strong = {tag.strip('"') for tag in listed if not tag.startswith("W/")}
    return etag in strong or (not strongly and etag in weak)


def select(version, asked):
    size = len(version.body)
    if asked.get("part"):
        return part(version, asked["part"])
    said = re.fullmatch(r"bytes=(\d*)-(\d*)", asked.get("range", ""))
    if not said or said.groups() == ("", ""):
        return 200, 0, size
    if "if-range" in asked and not names(asked["if-range"], version.etag, strongly=True):
        return 200, 0, size
    first, last = said.groups()
    if not first:
        start, stop = max(0, size - int(last)), size
    elif last and int(last) < int(first):
        return 200, 0, size
    else:
        start, stop = int(first), min(size, int(last) + 1) if last else size
    if start >= stop:
        raise Refused(416, "InvalidRange", content_range=f"bytes */{size}")
    return 206, start, stop


def part(version, number):
    size, offset = len(version.body), 0
    if not version.parts and number == 1:
        return (206 if size else 200), 0, size
    for at, body, _ in version.parts:
        if at == number:
            return (206 if body else 200), offset, offset + len(body)
        offset += len(body)
    raise Refused(416, "InvalidPartNumber")


def shown_sums(version, start, stop, whole):
    """The checksums of exactly these bytes, where S3 has them; of a composite one, those of a part that was asked for, by its number or as a range."""
    offset, kind = 0, "COMPOSITE" if version.composite else "FULL_OBJECT"
    for _, body, sums in version.parts if version.composite and not whole else ():
        if (offset, offset + len(body)) == (start, stop):
            return sum_headers({name: sums[name] for name in version.sums}, kind)
        offset += len(body)
    return sum_headers(version.sums, kind) if (start, stop) == (0, len(version.body)) else {}


def sum_headers(sums, kind):
    return {f"x-amz-checksum-{name}": value for name, value in sums.items()} | {"x-amz-checksum-type": kind}
