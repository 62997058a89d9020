"""Proves that the check sees what a newer botocore may bring: each change is made to the model, and must be told of."""

import model

STRING = "ObjectKey"  # a shape that is in the model, and a string


def new_operation(description):
    description["shapes"]["TeleportObjectRequest"] = {"type": "structure", "members": {"Destination": {"shape": STRING}}}
    description["operations"]["TeleportObject"] = {
        "name": "TeleportObject", "http": {"method": "POST", "requestUri": "/{Bucket}/{Key+}?teleport"},
        "input": {"shape": "TeleportObjectRequest"},
    }


def new_parameter(description):
    description["shapes"]["GetObjectRequest"]["members"]["Speed"] = {
        "shape": STRING, "location": "header", "locationName": "x-amz-speed",
    }


def new_member(description):
    description["shapes"]["ObjectIdentifier"]["members"]["Reason"] = {"shape": STRING}


def new_value(description):
    description["shapes"]["StorageClass"]["enum"].append("STONE")


def operation_gone(description):
    del description["operations"]["GetObjectTorrent"]


def parameter_gone(description):
    del description["shapes"]["GetObjectRequest"]["members"]["Range"]


CHANGES = {
    new_operation: ["TeleportObject", "Destination"],
    new_parameter: ["GetObject ", "Speed"],
    new_member: ["DeleteObjects", "Delete.Objects[].Reason"],
    new_value: ["StorageClass", "STONE"],
    operation_gone: ["GetObjectTorrent"],
    parameter_gone: ["GetObject ", "Range"],
}


def unseen(table, differences):
    """The changes that `differences` does not tell of, or not in these words, or tells more than them."""
    for change, words in CHANGES.items():
        told = list(differences(model.service(change), table))
        if len(told) != 1 or any(word not in told[0] for word in words):
            yield f"the check does not see {change.__name__}: it tells {told}"
