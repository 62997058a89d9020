"""Proves that the check sees what may come: each change to the model, each word of the policies, made and told of."""

import copy

import botocore_model as model

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


def unseen_words(policy, differences):
    """The lists of what a policy may say from which a word may be missing, or in which one may be too many, unnoticed."""
    for lists, name in _lists(policy):
        for change, words in {"missing": " ".join(lists[name].split()[1:]), "too many": f"{lists[name]} Nonsense"}.items():
            changed = copy.deepcopy(policy)
            next(other for other, at in _lists(changed) if at == name)[name] = words
            if len(list(differences(changed))) != 1:
                yield f"the check does not see a word {change} in [policy] {name}: it tells {list(differences(changed))}"


def _lists(policy):
    yield from ((policy, name) for name in ("versions", "document", "statement", "effects", "principals", "operators", "modifiers"))
    yield from ((policy["actions"], kind) for kind in policy["actions"])
    yield from ((keys, key) for keys in policy["keys"].values() for key in keys)
