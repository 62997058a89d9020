"""What botocore knows of S3: every operation, every input parameter and member, and a valid input for each of them.

A parameter is named by its path: `Delete.Objects[].Key` is the key of each entry of a DeleteObjects.
"""

import copy
import datetime

import botocore.loaders
import botocore.model

API_VERSION = "2006-03-01"

STRANGER = "ab" * 32  # a canonical user id that is nobody's

# Values that shapes do not tell: what S3 wants of strings that are more than strings.
VALUES = {
    "CopySource": "conformance/source",
    "ContentLength": len(b"probe"),
    "ContentMD5": "1B2M2Y8AsgTpgAmY7PhCfg==",
    "AllowedMethods": "GET",
    "AllowedOrigins": "*",
    "Policy": "{}",
    "Tagging": "a=b",
    "Expires": datetime.datetime(2030, 1, 1),
    "SSECustomerAlgorithm": "AES256",
    "SSECustomerKey": "0" * 32,
    "SSECustomerKeyMD5": "zZ5FnqcIqUjVwvWmyog4zw==",
    "KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/probe",
    **dict.fromkeys(("GrantFullControl", "GrantRead", "GrantReadACP", "GrantWrite", "GrantWriteACP"), f"id={STRANGER}"),
}


def service(change=None):
    """The model of the installed botocore; `change` is done to its description first."""
    description = botocore.loaders.Loader().load_service_model("s3", "service-2", api_version=API_VERSION)
    if change:
        description = copy.deepcopy(description)
        change(description)
    return botocore.model.ServiceModel(description, service_name="s3")


def parameters(operation):
    """Every path of an operation's input with its shape, outer before inner."""
    return list(_members(operation.input_shape, "", ())) if operation.input_shape else []


def _members(shape, path, above):
    if shape.type_name == "list":
        yield from _members(shape.member, path + "[]", above)
    elif shape.type_name == "structure" and shape.name not in above:
        for name, member in shape.members.items():
            inner = f"{path}.{name}" if path else name
            yield inner, member
            yield from _members(member, inner, (*above, shape.name))


def enumeration(shape):
    """Name and values of the enumeration that a parameter takes, alone or in a list; None for other shapes."""
    while shape.type_name == "list":
        shape = shape.member
    values = getattr(shape, "enum", None)
    return (shape.name, list(values)) if values else None


def sample(operation, path="", value=None, known=None):
    """The least input that the model allows, with the parameter at `path` in it. `known` are values by parameter name."""
    if not operation.input_shape:
        return {}
    steps = path.replace("[]", "").split(".") if path else []
    return _structure(operation.input_shape, steps, value, {**VALUES, **(known or {})}, inner=False)


def full_sample(operation, known=None):
    """An input that says everything the operation can be told at its first level, and the least below."""
    names = list(operation.input_shape.members) if operation.input_shape else []
    known = {**VALUES, **(known or {})}
    return {name: _sample(operation.input_shape.members[name], [], None, known, name, whole=False) for name in names}


def _sample(shape, steps, value, known, name, whole):
    if whole and value is not None:
        return value
    if shape.type_name == "structure":
        return _structure(shape, steps, value, known, inner=True)
    if shape.type_name == "list":
        return [_sample(shape.member, steps, value, known, name, whole)]
    if shape.type_name == "map":
        return {"probe": "value"}
    if name in known:
        return known[name]
    return _scalar(shape)


def _structure(shape, steps, value, known, inner):
    names = set(shape.required_members)
    if steps:
        names.add(steps[0])
    elif inner and not names:  # a union wants one of its members, and an empty element says little
        names |= set(list(shape.members)[:1])
    out = {}
    for name in names:
        on_path = bool(steps) and name == steps[0]
        rest = steps[1:] if on_path else []
        out[name] = _sample(shape.members[name], rest, value if on_path else None, known, name, on_path and not rest)
    return out


def _scalar(shape):
    if getattr(shape, "enum", None):
        return shape.enum[0]
    by_type = {
        "string": "probe", "character": "p", "blob": b"probe", "boolean": True, "integer": 1, "long": 1, "float": 1.0,
        "double": 1.0, "timestamp": datetime.datetime(2030, 1, 1),
    }
    return by_type[shape.type_name]
