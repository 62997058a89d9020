#!/usr/bin/env python3
"""The golden corpus: requests with their exact answers, a file of golden/ per subject, as a person would read them.

    deploy/clients/golden.py DATA_DIR [WORD] [--show] [--waiting]   against a `holdfast dev` that runs on DATA_DIR

Other tests ask what an SDK makes of an answer; here every byte counts, because clients beyond the SDKs match on shapes: the
order of elements, an empty `<Prefix></Prefix>`, a header that should not be there. `--show` prints the files with the
answers that came instead of those that were wanted: how a file is begun, never a reason to believe what it says.

A file is pairs between lines of `###`: comments (what is odd, and where AWS documents it), a request, its answer. Every pair
of a file is sent in order to one fresh bucket, signed by the root, and every header of the answer is compared but those that
are the same on all (`EVERY`). In both halves `{name}` stands for

    {bucket} {owner} {access_key}                   the file's own bucket, the root's canonical id and key
    {region} {endpoint} {host}                      where the system is: http://127.0.0.1:9000, and without the scheme
    {request_id} {host_id}                          what the answer's headers say
    {date} {http_date} {any}                        any time, anything; a further word ({date_put}) is remembered
    {md5} {crc32} {sha1} {sha256}                   of the request's body, base64
    {x*1024}                                        1024 times x
    {policy} {signature} {credential} {amz_date}    a form's signature, and a policy that wants its fields
    any other                                       remembered where an answer says it first; the same ever after

Lines that golden.py reads itself: `authorization: nobody | wrong-secret | unknown-key` in a request; `...` as an answer's
only header when the status is all that matters; `# waiting:` before a pair whose wanted answer is AWS's and not yet ours.
"""

import argparse
import base64
import binascii
import copy
import datetime
import difflib
import hashlib
import hmac
import http.client
import itertools
import json
import pathlib
import re
import secrets
import sys
import urllib.parse

from raw import send

FILES = pathlib.Path(__file__).parent / "golden"
EVERY = {"date", "server", "x-amz-request-id", "x-amz-id-2", "connection"}
ISO = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ"
IMF = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} 20\d\d \d\d:\d\d:\d\d GMT"
REPEATED = re.compile(r"\{(.)\*(\d+)\}")
NAMED = re.compile(r"\{([a-z][a-z0-9_]*)\}")
# What `--show` gives a name of its own: ids that the system makes up.
MADE_UP = re.compile(
    r"(?:^x-amz-version-id: |<UploadId>|<NextContinuationToken>|<VersionId>|<DeleteMarkerVersionId>)([^<\n]{6,})", re.MULTILINE)


class Pair:
    """One request and the answer it must get."""

    def __init__(self, text):
        lines = text.strip("\n").split("\n")
        self.comments = []
        while lines and lines[0].startswith("#"):
            self.comments.append(lines.pop(0))
        self.waits = any(line.startswith("# waiting:") for line in self.comments)
        at = next((n for n, line in enumerate(lines) if line.startswith("HTTP/1.1 ")), len(lines))
        self.request = "\n".join(lines[:at]).strip("\n")
        self.wanted = "\n".join(lines[at:]).strip("\n")

    def sent(self, known):
        """Method, target, headers and body, everything filled in."""
        head, _, text = self.request.partition("\n\n")
        first, *lines = head.split("\n")
        if "multipart/form-data" in head:
            known.update(form_fields(text, known))
            text = text.replace("\n", "\r\n")
        body = filled(text, known)
        body = body.encode()
        known = {**known, **digests(body)}
        headers = {name: filled(value.strip(), known) for name, _, value in (line.partition(":") for line in lines)}
        method, target = filled(first, known).split(" ")
        return method, target, headers, body


def canonical(target):
    """The target as a signature is over it: everything encoded that can be."""
    path, question, query = target.partition("?")
    encoded = urllib.parse.quote(urllib.parse.unquote_to_bytes(path), safe="/-_.~")
    parts = [urllib.parse.quote(urllib.parse.unquote_to_bytes(part), safe="=-_.~") for part in query.split("&")]
    return encoded + question + "&".join(parts)


def digests(body):
    def base64_of(digest):
        return base64.b64encode(digest).decode()

    return {"md5": base64_of(hashlib.md5(body).digest()), "sha256": base64_of(hashlib.sha256(body).digest()),
            "sha1": base64_of(hashlib.sha1(body).digest()), "crc32": base64_of(binascii.crc32(body).to_bytes(4, "big"))}


def filled(text, known):
    """Everything that is known stands in its place; what is not yet stays as it is written."""
    text = REPEATED.sub(lambda found: found[1] * int(found[2]), text)
    return NAMED.sub(lambda found: known.get(found[1], found[0]), text)


class Corpus:
    """A file of pairs, its bucket, and what its answers have said so far."""

    def __init__(self, system, path):
        self.system, self.path = system, path
        intro, *pairs = path.read_text().split("\n###\n")
        self.intro, self.pairs = intro, [Pair(text) for text in pairs]
        bucket = f"golden-{secrets.token_hex(4)}"
        owner = send(system, "GET", "/").texts("ID")[0]
        self.known = {"bucket": bucket, "owner": owner, "region": system.ready["region"], "access_key": system.access_key,
                      "secret_key": system.secret_key, "endpoint": system.endpoint,
                      "host": urllib.parse.urlparse(system.endpoint).netloc}
        assert send(system, "PUT", f"/{bucket}").status == 200

    def answer(self, pair):
        method, target, headers, body = pair.sent(self.known)
        headers = {name.lower(): value for name, value in headers.items()}
        system, signed = self.system, True
        match headers.get("authorization"):
            case "nobody":
                signed = False
                del headers["authorization"]
            case "wrong-secret" | "unknown-key" as how:
                system = copy.copy(system)
                system.secret_key = "wrong"
                system.access_key = "HFUNKNOWN00000000000" if how == "unknown-key" else system.access_key
                del headers["authorization"]
            case None:
                pass
            case _:
                signed = False
        sha256 = headers.pop("x-amz-content-sha256", None) if signed else None
        return send(system, method, target, headers=headers, body=body, signed=signed, content_sha256=sha256,
                    signed_target=canonical(target))

    def difference(self, pair):
        """What is wrong with the answer, to read; nothing when all is well. Remembers what the answer said."""
        answer = self.answer(pair)
        got = rendered(answer)
        if pair.wanted.endswith("\n..."):
            wanted = pair.wanted.removesuffix("\n...")
            return "" if got.startswith(wanted) else f"wanted {wanted}, got:\n{got}"
        known = {**self.known, **ids(answer)}
        found = re.fullmatch(pattern(pair.wanted, known), got)
        if found:
            self.known.update(found.groupdict())
            return ""
        sides = [re.sub(r">(?=<)", ">\n", text).split("\n") for text in (filled(pair.wanted, known), got)]
        return "\n".join(difflib.unified_diff(*sides, "wanted", "got", lineterm="", n=1))

    def shown(self, pair):
        """The pair with the answer that came."""
        answer = self.answer(pair)
        text = rendered(answer)
        for value, wanted in itertools.zip_longest(MADE_UP.findall(text), MADE_UP.findall(pair.wanted)):
            if value and value not in self.known.values():
                name = NAMED.fullmatch(wanted or "")
                self.known[name[1] if name else f"id_{len(self.known)}"] = value
        if pair.wanted.endswith("\n..."):
            text = text.split("\n")[0] + "\n..."
        known = {**ids(answer), **self.known}
        for name, value in sorted(known.items(), key=lambda item: -len(item[1])):
            text = text.replace(value, f"{{{name}}}")
        text = re.sub(IMF, "{http_date}", re.sub(ISO, "{date}", text))
        text = re.sub(r"(.)\1{199,}", lambda found: f"{{{found[1]}*{len(found[0])}}}", text)
        return "\n".join([*pair.comments, pair.request, "", text])


def rendered(answer):
    """An answer as it stands in a file: headers by name, without those that every answer has."""
    missing = EVERY - {"connection"} - answer.headers.keys()
    headers = {name: value for name, value in answer.headers.items() if name not in EVERY}
    if answer.body and headers.get("content-length") == str(len(answer.body)):
        del headers["content-length"]
    lines = [f"HTTP/1.1 {answer.status} {http.client.responses[answer.status]}"]
    lines += [f"{name}: {value}".rstrip() for name, value in sorted(headers.items())]
    lines += [f"without: {name}" for name in sorted(missing)]
    return "\n".join(lines) + ("\n\n" + answer.body.decode(errors="backslashreplace") if answer.body else "")


def ids(answer):
    return {"request_id": answer.headers.get("x-amz-request-id", "-"), "host_id": answer.headers.get("x-amz-id-2", "-")}


def pattern(text, known):
    """A regular expression for the answer; it names what is heard for the first time."""
    seen = set()

    def name(found):
        kind = IMF if found[1].startswith("http_date") else ISO if found[1].startswith("date") else r"[^<\n\"]+"
        if found[1] in ("any", "date", "http_date"):
            return kind
        if found[1] in seen:
            return f"(?P={found[1]})"
        seen.add(found[1])
        return f"(?P<{found[1]}>{kind})"

    parts = NAMED.split(filled(text, known))
    return "".join(name([None, part]) if n % 2 else re.escape(part) for n, part in enumerate(parts))


FORM = ("policy", "signature", "credential", "amz_date")


def form_fields(text, known):
    """A signature for the form: its policy wants the fields that the form has, but `...-extra`, and 1 to 10 bytes."""
    now = datetime.datetime.now(datetime.timezone.utc)
    time = now.strftime("%Y%m%dT%H%M%SZ")
    credential = f"{known['access_key']}/{time[:8]}/{known['region']}/s3/aws4_request"
    names = [name for name in re.findall(r' name="([^"]+)"', text)
             if name not in ("file", "policy", "x-amz-signature") and not name.endswith("-extra")]
    policy = {"expiration": (now + datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ"), "conditions": [
        {"bucket": known["bucket"]}, ["content-length-range", 1, 10], *(["starts-with", f"${name}", ""] for name in names)]}
    encoded = base64.b64encode(json.dumps(policy).encode()).decode()
    key = ("AWS4" + known["secret_key"]).encode()
    for word in credential.split("/")[1:]:
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    return dict(zip(FORM, (encoded, hmac.new(key, encoded.encode(), hashlib.sha256).hexdigest(), credential, time)))


def wrong(system, path, waiting=False):
    """How many pairs were compared, and a paragraph for each whose answer is not the wanted one."""
    corpus, found, compared = Corpus(system, path), [], 0
    for pair in corpus.pairs:
        difference = corpus.difference(pair)
        if pair.waits and not waiting:
            continue
        compared += 1
        if difference:
            found.append("\n".join([f"{path.name}: {pair.request.splitlines()[0]}", *pair.comments, difference]))
    return compared, found


def _test(path):
    def test(system, home):
        _, found = wrong(system, path)
        assert not found, "\n\n".join(found)

    test.__name__ = path.stem
    return test


ALL = [_test(path) for path in sorted(FILES.glob("*.http"))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir")
    parser.add_argument("word", nargs="?", default="")
    parser.add_argument("--show", action="store_true", help="print the files with the answers that come")
    parser.add_argument("--waiting", action="store_true", help="compare also what waits")
    arguments = parser.parse_args()
    from system import System

    system = System(".", arguments.data_dir).attach()
    pairs, failed = 0, 0
    for path in sorted(path for path in FILES.glob("*.http") if arguments.word in path.stem):
        if arguments.show:
            corpus = Corpus(system, path)
            print("\n\n###\n".join([corpus.intro.strip("\n"), *(corpus.shown(pair) for pair in corpus.pairs)]))
            continue
        count, found = wrong(system, path, arguments.waiting)
        pairs, failed = pairs + count, failed + len(found)
        print("\n\n".join([*found, f"{path.name}: {count} pairs, {len(found)} wrong"]))
    if not arguments.show:
        print(f"{pairs - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
