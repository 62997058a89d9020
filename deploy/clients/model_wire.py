"""Answers of the system and of the model in one form, so that `model.py` can hold one against the other.

An answer is a dict: status, code, headers by lower-case name, and the body: bytes, or what the XML says. Where only the system can know
a value, the model's answer has a `Learned`, which takes the value or refuses it.
"""

import datetime
import email.utils
import re
import urllib.parse
import xml.etree.ElementTree

ALWAYS = {"server", "date", "x-amz-request-id", "x-amz-id-2", "connection", "location"}
CONTROL = "\ue001"  # stands for the control character of a key, which parsers of XML refuse
TOLD_BY_XML = {"content-type", "content-length", "transfer-encoding"}


class Learned:
    """Takes what the system says, or says why it cannot be."""

    def __init__(self, take):
        self.take = take

    def __repr__(self):
        return "<learned>"


class Either(tuple):
    """One of these is right."""


def difference(wanted, got, path=""):
    """Where the answers part first, or "". Learns as it goes."""
    if isinstance(wanted, Learned):
        refusal = wanted.take(got) if got is not None else "missing"
        return refusal and f"{path}: {refusal} (got {got!r})"
    if isinstance(wanted, Either):
        if any(not difference(each, got) for each in wanted):
            return ""
        return f"{path}: wanted one of {list(wanted)}, got {got!r}"
    if isinstance(wanted, dict) and isinstance(got, dict):
        for name in [*wanted, *(name for name in got if name not in wanted)]:
            if found := difference(wanted.get(name), got.get(name), f"{path}/{name}"):
                return found
        return ""
    if isinstance(wanted, list) and isinstance(got, list):
        for index in range(max(len(wanted), len(got))):
            each = (wanted[index : index + 1] or [None])[0], (got[index : index + 1] or [None])[0]
            if found := difference(*each, f"{path}/{index}"):
                return found
        return ""
    return "" if wanted == got else f"{path}: wanted {short(wanted)}, got {short(got)}"


def short(value):
    text = repr(value)
    return text if len(text) < 300 else f"{text[:200]}... ({len(value)})"


def seen(answer, how):
    """An answer of the system. `how`: what its body is, "bytes", "none", or the function that reads its XML."""
    headers = {name: value for name, value in answer.headers.items() if name not in ALWAYS}
    if answer.status >= 300:
        for name in TOLD_BY_XML:
            headers.pop(name, None)
        return {"status": answer.status, "code": answer.code, "headers": headers}
    if how == "none":
        headers.pop("content-length", None)
        return {"status": answer.status, "headers": headers, "body": answer.body}
    if how == "bytes":
        return {"status": answer.status, "headers": headers, "body": answer.body}
    for name in TOLD_BY_XML:
        headers.pop(name, None)
    root = xml.etree.ElementTree.fromstring(answer.body.replace(b"&#x1;", CONTROL.encode()))
    return {"status": answer.status, "headers": headers, "body": how(root)}


def name_of(element):
    return element.tag.rpartition("}")[2]


def text_of(element):
    return (element.text or "").replace(CONTROL, "\x01")


def plain(root):
    """Elements by name, as text, or again so."""
    return {name_of(child): plain(child) if len(child) else text_of(child) for child in root}


def rows(root):
    """Children in order: [name, plain]."""
    return [[name_of(child), plain(child) if len(child) else text_of(child)] for child in root]


NAMES = {"Key", "Prefix", "Marker", "NextMarker", "KeyMarker", "NextKeyMarker", "StartAfter", "Delimiter"}


def listing(root):
    """A page: what it says once by name, and its rows in order. Names are decoded."""
    once, entries = {}, []
    for name, value in rows(root):
        if isinstance(value, dict):
            entries.append([name, value])
        else:
            once[name] = value
    if once.get("EncodingType") == "url":
        for said in [once, *(value for _, value in entries)]:
            said.update({name: urllib.parse.unquote(value) for name, value in said.items() if name in NAMES})
    return {"once": once, "rows": entries}


def sorted_rows(root):
    return sorted(rows(root), key=repr)


def quoted(key):
    return urllib.parse.quote(key, safe="/")


def target(bucket, key=None, **query):
    path = f"/{bucket}" + ("" if key is None else "/" + quoted(key))
    pairs = [name.replace("_", "-") if value is None else f"{name.replace('_', '-')}={urllib.parse.quote(str(value), safe='')}"
             for name, value in query.items()]
    return path + ("?" + "&".join(pairs) if pairs else "")


def from_header(text):
    return int(email.utils.parsedate_to_datetime(text).timestamp())


def to_header(seconds):
    return email.utils.formatdate(seconds, usegmt=True)


def from_xml(text):
    """Milliseconds."""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text), text
    return round(datetime.datetime.fromisoformat(text).timestamp() * 1000)
