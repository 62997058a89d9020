#!/usr/bin/env python3
"""Asks a running system everything that `table.toml` says it refuses or passes over, and holds its answers against the table.

    AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... deploy/conformance/probe.py --endpoint URL [WORD]

The questions come from botocore's model: the least valid input of an operation, and that input with one parameter more. What
is honoured is shown by the tests that the table names; that nothing is quietly passed over is shown here. The client checks
run ALL; WORD picks those whose name contains it.
"""

import argparse
import json
import os
import pathlib
import sys
import traceback
import types

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parent.parent / "clients")]

import table as tables  # noqa: E402
from ground import ACCEPTED, Ground  # noqa: E402
from raw import anonymous  # noqa: E402

REFUSED = "NotImplemented 501"
MALFORMED = "MalformedPolicy 400"
OPERANDS = {  # by a word in the operator's name
    "Numeric": "1", "Date": "2026-01-01T00:00:00Z", "Bool": "true", "IpAddress": "10.0.0.0/8", "Null": "true",
    "Arn": "arn:aws:iam::000000000001:user/probe",
}
WRONG_CLAIMS = {"x-amz-checksum-crc32": "/////w==", "Content-MD5": "/////////////////////w=="}
SOMEBODY_ELSE = "999999999999"


class Probe:
    """The ground, the table, and what was answered otherwise."""

    def __init__(self, ground):
        self.ground, self.table = ground, tables.read()
        self.asked, self.wrong = 0, []

    def expect(self, what, name, answer, said, headers=None, client=None):
        """Asks; the answer has to be this one, unless a deviation says another."""
        for key in what:
            answer = self.table.deviations.get(key, {}).get("answers", answer)
        got = self.ground.ask(name, said, headers, client)
        self.asked += 1
        if got != self.ground.wanted(name, answer):
            self.wrong.append(f"{what[-1]}: wanted {answer}, got {got}")

    def served(self):
        return [name for name in self.table.operations if self.table.served(name)]

    def least(self, name):
        """What the least input is answered: a configuration that is not there is not found."""
        answer = self.table.deviations.get(name, {}).get("answers") or self.table.unconfigured.get(name)
        return answer if isinstance(answer, str) else ACCEPTED

    def rows(self, answer):
        """Parameters of served operations."""
        return [row for row in self.table.rows() if row.parameter and row.answer == answer and self.table.served(row.operation)]

    def finish(self):
        assert not self.wrong, f"{len(self.wrong)} of {self.asked} answers:\n" + "\n".join(self.wrong)
        assert self.asked, "nothing was asked"


def probed(body):
    """A check of the client checks, whose body asks on a ground of its own."""
    def check(system, home):
        with Ground(system) as ground:
            probe = Probe(ground)
            body(system, probe)
            probe.finish()
    check.__name__ = body.__name__
    return check


@probed
def operations(system, probe):
    """An operation that is lacking refuses the least and the most that it can be told."""
    for name in probe.table.operations:
        if not probe.table.served(name):
            probe.expect([name], name, REFUSED, probe.ground.input(name))
            if name not in probe.table.deviations:
                probe.expect([name], name, REFUSED, probe.ground.full_input(name))


@probed
def parameters(system, probe):
    """A parameter that is lacking is refused where the operation without it is not."""
    for name in probe.served():
        probe.expect([name], name, probe.least(name), probe.ground.input(name))
    for row in probe.rows(tables.LACKING):
        said = probe.ground.input(row.operation, row.parameter)
        probe.expect([f"{row.operation} {row.parameter}"], row.operation, REFUSED, said)


@probed
def ignored_parameters(system, probe):
    for row in probe.rows(tables.IGNORED):
        said = probe.ground.input(row.operation, row.parameter)
        probe.expect([f"{row.operation} {row.parameter}"], row.operation, ACCEPTED, said)


@probed
def values(system, probe):
    """Values that are lacking or refused, of every parameter that takes them."""
    here = "probe.py::values"
    for enumeration, (_, places) in tables.enumerations(probe.ground.service, probe.table).items():
        classified = probe.table.values[enumeration]
        wanted = dict.fromkeys(classified.get(tables.LACKING, "").split(), REFUSED)
        for answer, refused in classified.get("refused", {}).items():
            wanted |= dict.fromkeys(refused.split(), answer)
        if classified["test"] == here:
            wanted |= dict.fromkeys(classified[tables.HONOURED].split(), ACCEPTED)
        for name, parameter in places:
            for value, answer in wanted.items():
                _value(probe, enumeration, name, parameter, value, answer)


def _value(probe, enumeration, name, parameter, value, answer):
    """A header is exchanged as it is sent: the client would not compute an unknown checksum."""
    wire = probe.ground.parameters(name)[parameter].serialization
    headers = {wire["name"]: value} if wire.get("location") == "header" else {}
    said = probe.ground.input(name, parameter, None if headers else value)
    keys = [f"{enumeration}={value}", f"{name} {parameter}={value}"]
    probe.expect(keys, name, answer, said, headers)


@probed
def expected_bucket_owner(system, probe):
    """Every operation that can be told an owner wants it to be right."""
    for row in probe.rows(tables.HONOURED):
        if row.parameter in ("ExpectedBucketOwner", "ExpectedSourceBucketOwner"):
            for owner, answer in ((probe.ground.owner, probe.least(row.operation)), (SOMEBODY_ELSE, "AccessDenied 403")):
                said = probe.ground.input(row.operation, row.parameter, owner)
                probe.expect([f"{row.operation} {row.parameter}={owner}"], row.operation, answer, said)


@probed
def nobody_and_nowhere(system, probe):
    """Nothing of a new bucket is for requests without a signature, and nothing is found in a bucket that is not there."""
    nobody = anonymous(system)
    for name in probe.served():
        said = probe.ground.input(name)
        probe.expect([f"{name} of nobody"], name, "AccessDenied 403", said, client=nobody)
        if "Bucket" in said and name != "CreateBucket":
            nowhere = {**said, "Bucket": f"{probe.ground.prefix}none"}
            probe.expect([f"{name} nowhere"], name, "NoSuchBucket 404", nowhere)


@probed
def wrong_claims(system, probe):
    """Whatever has a body holds it against the checksum and the MD5 that come with it; some want one of them."""
    for name in probe.served():
        operation = probe.ground.service.operation_model(name)
        if operation.has_streaming_input or not operation.http_checksum.get("requestAlgorithmMember"):
            continue  # bodies that stream are the client checks'
        for header, wrong in WRONG_CLAIMS.items():
            probe.expect([f"{name} {header}"], name, "BadDigest 400", probe.ground.input(name), {header: wrong})


@probed
def never_configured(system, probe):
    """What AWS answers about a bucket that was only created, of the operations that are served."""
    bucket = probe.ground.new_bucket()
    for name, answer in probe.table.unconfigured.items():
        said = probe.ground.input(name)
        said["Bucket"] = bucket if "Key" not in said else said["Bucket"]
        if not probe.table.served(name):
            probe.expect([name], name, REFUSED, said)
        elif isinstance(answer, str):
            probe.expect([name], name, answer, said)
        else:
            probe.expect([name], name, ACCEPTED, said)
            got = {key: value for key, value in (probe.ground.answer or {}).items() if key != "ResponseMetadata"}
            if probe.ground.answer and not _alike(answer, got):
                probe.wrong.append(f"{name}: wanted {answer}, got {got}")


@probed
def policies(system, probe):
    """Every word that a bucket policy may have is taken, and a key only of the actions that take it."""
    policy, bucket = probe.table.policy, probe.ground.opened_bucket()

    def put(statement, answer, version="2012-10-17"):
        whole = {"Version": version, "Id": "i", "Statement": [{"Sid": "s", "Effect": "Deny", "Principal": "*", **statement}]}
        probe.expect([str(statement)], "PutBucketPolicy", answer, {"Bucket": bucket, "Policy": json.dumps(whole)})

    def about(action):
        kinds = {"Bucket": "", "Object": "/*"}
        kind = next(kind for kind, names in policy["actions"].items() if action in names.split())
        return {"Action": f"s3:{action}", "Resource": f"arn:aws:s3:::{bucket}{kinds[kind]}"}

    actions = " ".join(policy["actions"].values()).split()
    for action in actions:
        put(about(action), ACCEPTED)
    put({**about("GetObject"), "Action": "s3:NoSuchAction"}, MALFORMED)
    for version in policy["versions"].split():
        put(about("GetObject"), ACCEPTED, version)
    for operator in policy["operators"].split():
        asked = next((value for word, value in OPERANDS.items() if word in operator), "text")
        put({**about("GetObject"), "Condition": {operator: {"aws:Referer": asked}}}, ACCEPTED)
        for modifier in policy["modifiers"].split():
            changed = modifier + operator if modifier.endswith(":") else operator + modifier
            answer = MALFORMED if operator == "Null" else ACCEPTED
            put({**about("GetObject"), "Condition": {changed: {"aws:Referer": asked}}}, answer)
    for key, takers in (entry for keys in policy["keys"].values() for entry in keys.items()):
        takers = actions if takers == "*" else takers.split()
        for action in actions:
            condition = {"ForAnyValue:StringLike": {key: "x"}}
            put({**about(action), "Condition": condition}, ACCEPTED if action in takers else MALFORMED)
    put({**about("GetObject"), "Condition": {"StringEquals": {"aws:NoSuchKey": "x"}}}, MALFORMED)


def _alike(wanted, got):
    """Equal, where `*` is anything that is there."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        return wanted.keys() == got.keys() and all(_alike(wanted[key], got[key]) for key in wanted)
    if isinstance(wanted, list) and isinstance(got, list):
        return len(wanted) == len(got) and all(map(_alike, wanted, got))
    return wanted == "*" or wanted == got


ALL = [operations, parameters, ignored_parameters, values, expected_bucket_owner, nobody_and_nowhere, wrong_claims, never_configured, policies]


def named():
    """(name, check) of all, as the client checks print them."""
    return [(f"probe.{check.__name__}", check) for check in ALL]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("word", nargs="?", default="")
    arguments = parser.parse_args()
    system = types.SimpleNamespace(
        endpoint=arguments.endpoint, ca=os.environ.get("AWS_CA_BUNDLE"),
        ready={"region": os.environ.get("AWS_REGION", "us-east-1")},
        access_key=os.environ["AWS_ACCESS_KEY_ID"], secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
    )
    failed = 0
    for check in ALL:
        if arguments.word in check.__name__:
            try:
                check(system, None)
                print(f"ok    {check.__name__}", flush=True)
            except Exception:  # one check must not hide the others
                failed += 1
                print(f"FAIL  {check.__name__}\n{traceback.format_exc()}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
