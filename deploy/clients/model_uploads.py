"""The steps of `model.py` on multipart uploads."""

import hashlib

from model_bucket import Refused, Upload, checksum, part_sums
from model_operations import TAGGED, TAGS, asked_page, check_source, source_headers
from model_pages import uploads_page
from model_wire import Either, Learned, listing, plain, target
from model_world import LARGE, body_of, put_headers


def create(world, step):
    bucket, key = world.place(step)
    headers, facts = put_headers(step["facts"])
    headers |= TAGGED if step.get("tags") else {}
    algorithm, composite = step["sum"], step["composite"]
    said = {}
    if algorithm:
        said = {"x-amz-checksum-algorithm": algorithm.upper(), "x-amz-checksum-type": "COMPOSITE" if composite else "FULL_OBJECT"}
    upload = Upload(key, facts, dict(TAGS) if step.get("tags") else {}, algorithm, composite)
    bucket.uploads.append(upload)

    def take(text):
        upload.id = text
        return ""

    wanted = world.success(200, said, {"Bucket": bucket.name, "Key": key, "UploadId": Learned(take)})
    world.ask("POST", target(bucket.name, key, uploads=None), wanted, headers=headers | said, how=plain)


def chosen(world, step):
    """(bucket, upload, whether it is still open): the newest first, and now and then one that has ended."""
    open_ones = [(bucket, upload) for bucket in world.buckets for upload in bucket.uploads]
    open_ones.sort(key=lambda each: -each[1].born)
    if step["op"] == "complete":
        open_ones = [each for each in open_ones if each[1].parts] or open_ones
    if open_ones and not (step.get("ended") and world.ended):
        return *open_ones[step["upload"] % len(open_ones)], True
    if world.ended:
        return *world.ended[step["upload"] % len(world.ended)], False
    return None, None, False


def part(world, step):
    bucket, upload, is_open = chosen(world, step)
    if not upload:
        return
    body = body_of(step["body"])
    if step["large"] and upload.algorithm == "crc32":  # the others take long in Python
        body = body_of((step["body"][0], LARGE))
    sums = part_sums(upload, body)
    headers = {f"x-amz-checksum-{name}": value for name, value in sums.items()}

    def answer():
        if not is_open:
            raise Refused(404, "NoSuchUpload")
        upload.parts[step["number"]] = (body, hashlib.md5(body).hexdigest())
        return world.success(200, {"etag": f'"{upload.parts[step["number"]][1]}"'} | headers)

    query = {"partNumber": step["number"], "uploadId": upload.id}
    world.ask("PUT", target(bucket.name, upload.key, **query), world.attempt(answer), headers=headers, body=body)


def part_copy(world, step):
    bucket, upload, is_open = chosen(world, step)
    if not upload:
        return
    source, source_key = world.place(step, "source ")
    version_id = world.version_id(source, source_key, step["version"])
    headers, asked = source_headers(world, step, source, source_key, version_id)
    if step["range"]:
        headers["x-amz-copy-source-range"] = "bytes={}-{}".format(*step["range"])

    def answer():
        if not is_open:
            raise Refused(404, "NoSuchUpload", "NoSuchKey", "NoSuchVersion", "InvalidRequest", "PreconditionFailed", "InvalidArgument")
        found = source.source(source_key, version_id)
        check_source(found, asked)
        body = ranged(found.body, step["range"])
        etag = hashlib.md5(body).hexdigest()
        upload.parts[step["number"]] = (body, etag)
        said = {"x-amz-copy-source-version-id": found.id} if source.shown(found) else {}
        anything = Learned(lambda text: "")
        result = {"ETag": f'"{etag}"', "LastModified": anything}
        if upload.algorithm:
            result[f"Checksum{upload.algorithm.upper()}"] = checksum(upload.algorithm, body)
        return world.success(200, said, result if upload.algorithm else Learned(lambda got: compare_copied(result, got)))

    query = {"partNumber": step["number"], "uploadId": upload.id}
    wanted = world.attempt(answer)
    if not is_open:
        wanted["status"] = Either([404, 400, 412])
    world.ask("PUT", target(bucket.name, upload.key, **query), wanted, headers=headers, how=plain)


def ranged(body, said):
    """Both ends of a copy's range lie in the source."""
    if said and said[1] >= len(body):
        raise Refused(400, "InvalidArgument", "InvalidRequest")
    return body[said[0] : said[1] + 1] if said else body


def compare_copied(result, got):
    """An upload without an algorithm may show whichever checksum its parts have."""
    return "" if got.get("ETag") == result["ETag"] else f"wanted {result}"


def complete(world, step):
    bucket, upload, is_open = chosen(world, step)
    if not upload:
        return
    listed = listed_parts(upload, step)
    when = {}
    for name, said in step.get("write when", {}).items():
        when[name] = "*" if name == "if-none-match" else world.etag(bucket, upload.key, said)
    body = completion(upload, listed)

    def answer():
        if not is_open and not upload.completed:
            raise Refused(404, "NoSuchUpload", "MalformedXML", "InvalidPartOrder")
        made = bucket.complete(upload, listed, when)
        world.ended.append((bucket, upload))
        return world.success(200, world.version_header(bucket, upload.key, made), completed(bucket, upload.key, made))

    if upload.completed:
        repeat_long_after(world, bucket, upload, body)
        return
    wanted = world.attempt(answer)
    if not is_open:
        wanted["status"] = Either([404, 400])
    where = target(bucket.name, upload.key, uploadId=upload.id)
    got = world.ask("POST", where, wanted, headers=when, body=body, how=plain)
    if step.get("repeat") and got["status"] == 200:
        again = world.success(200, got["headers"], got["body"])
        world.ask("POST", where, again, body=body, how=plain)


def repeat_long_after(world, bucket, upload, body):
    """AWS may have forgotten the upload or not; whatever it answers, nothing changes (which later steps would see)."""
    anything = Learned(lambda got: "")
    answers = [{"status": 200, "headers": anything, "body": anything},
               {"status": 404, "code": "NoSuchUpload", "headers": anything},
               {"status": 400, "code": Either(["InvalidPartOrder", "MalformedXML", "InvalidPart"]), "headers": anything}]
    world.ask("POST", target(bucket.name, upload.key, uploadId=upload.id), Either(answers), body=body, how=plain)


def completed(bucket, key, made):
    result = {"Bucket": bucket.name, "Key": key, "ETag": f'"{made.etag}"', "Location": Learned(lambda text: "")}
    result |= {f"Checksum{name.upper()}": value for name, value in made.sums.items()}
    result["ChecksumType"] = "COMPOSITE" if made.composite else "FULL_OBJECT"
    return result


def listed_parts(upload, step):
    """(number, ETag) as the step has the client list them: mostly right."""
    numbers = sorted(upload.parts)
    if step["list"] == "one":
        numbers = numbers[step["upload"] % len(numbers) :][:1] if numbers else []
    if step["list"] == "backwards":
        numbers.reverse()
    listed = [(number, f'"{upload.parts[number][1]}"') for number in numbers]
    if step["list"] == "wrong" and listed:
        listed[-1] = (listed[-1][0], '"00000000000000000000000000000000"')
    if step["list"] == "more":
        listed.append((9999, '"00000000000000000000000000000000"'))
    return listed


def completion(upload, listed):
    body = ""
    for number, etag in listed:
        sums = part_sums(upload, upload.parts.get(number, (b"", ""))[0])
        told = "".join(f"<Checksum{name.upper()}>{value}</Checksum{name.upper()}>" for name, value in sums.items())
        body += f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag>{told}</Part>"
    return f"<CompleteMultipartUpload>{body}</CompleteMultipartUpload>".encode()


def abort(world, step):
    bucket, upload, is_open = chosen(world, step)
    if not upload or upload.completed:
        return

    def answer():
        if not is_open:
            raise Refused(404, "NoSuchUpload")
        bucket.uploads.remove(upload)
        world.ended.append((bucket, upload))
        return world.success(204)

    world.ask("DELETE", target(bucket.name, upload.key, uploadId=upload.id), world.attempt(answer))


def list_parts(world, step):
    bucket, upload, is_open = chosen(world, step)
    if not upload:
        return

    def answer():
        if not is_open:
            raise Refused(404, "NoSuchUpload")
        rows = [(str(number), f'"{etag}"', str(len(body))) for number, (body, etag) in sorted(upload.parts.items())]
        return world.success(200, {}, rows)

    def parts(root):
        found = [plain(child) for child in root if child.tag.endswith("}Part")]
        return [(each["PartNumber"], each["ETag"], each["Size"]) for each in found]

    world.ask("GET", target(bucket.name, upload.key, uploadId=upload.id), world.attempt(answer), how=parts)


def list_uploads(world, step):
    bucket, asked = world.buckets[step["bucket"]], asked_page(step) | {"upload": ""}
    marked = [upload.id for upload in bucket.uploads if upload.key == asked["after"]]
    if step["after upload"] and marked:
        asked["upload"] = marked[step["after upload"] % len(marked)]
    while True:
        wanted, found = uploads_page(world, bucket, asked)
        query = {"uploads": None, "prefix": asked["prefix"], "delimiter": asked["delimiter"], "max-uploads": asked["size"]}
        query |= {"encoding-type": "url"} if asked["url"] else {}
        query |= {"key-marker": asked["after"]} | ({"upload-id-marker": asked["upload"]} if asked["upload"] else {})
        world.ask("GET", target(bucket.name, **query), world.success(200, {}, wanted), how=listing)
        if not step["walk"] or not found["truncated"]:
            return
        asked |= {"after": found["next"], "upload": found["upload"]}
