"""What a bucket policy may say, as the Rust source has it: `check.py` holds `[policy]` of `table.toml` against it.

The names are read out of dataplane/protocol/src/policy as text. A reader that finds nothing there says so, as a difference:
when that code is written anew, so are these few patterns, and nobody goes on believing a list that nothing holds.
"""

import pathlib
import re

POLICY = pathlib.Path(__file__).parents[2] / "dataplane/protocol/src/policy"
ORDERED = ("Numeric", "Date")


def differences(policy):
    """Where the table's lists and the source's part, in words."""
    for what, listed, found in [
        ("versions", policy["versions"].split(), _names(_function(_source(".rs"), "version"), r'version == "([\d-]+)"')),
        ("document", policy["document"].split(), _arms(_function(_source(".rs"), "read"))),
        ("statement", policy["statement"].split(), _arms(_function(_source("/statement.rs"), "find"))),
        ("effects", policy["effects"].split(), _names(_function(_source("/statement.rs"), "read_effect"), r'text == "(\w+)"')),
        ("principals", policy["principals"].split(), _arms(_function(_source("/principal.rs"), "list"))),
        ("operators", policy["operators"].split(), _operators()),
        ("modifiers", policy["modifiers"].split(), _modifiers()),
        ("keys", [key for keys in policy["keys"].values() for key in keys], _keys()),
        *((f"actions.{kind}", text.split(), _actions(kind)) for kind, text in policy["actions"].items()),
    ]:
        yield from _compared(what, listed, found)
    applies = _applies_to()
    for keys in policy["keys"].values():
        for key, actions in keys.items():
            yield from _compared(f"keys: actions that take {key}", actions.split(), applies.get(key.lower(), []))


def _compared(what, listed, found):
    """Case does not matter in operators and keys; the table has AWS's."""
    in_source = {name.lower() for name in found}
    new, gone = in_source - {name.lower() for name in listed}, [name for name in listed if name.lower() not in in_source]
    if new:
        yield f"[policy] {what}: the source also has {' '.join(sorted(new))}"
    if gone:
        yield f"[policy] {what}: the source does not have {' '.join(gone)}"
    if len(listed) != len(set(listed)):
        yield f"[policy] {what}: something is listed twice"


def _source(name):
    """Without its tests."""
    return (POLICY.parent / f"policy{name}").read_text().partition("#[cfg(test)]")[0]


def _function(source, name):
    """A function's text, up to the brace that closes it at its own indentation."""
    found = re.search(rf"^( *)(?:pub(?:\([^)]*\))? )?fn {name}\b.*?^\1\}}", source, re.MULTILINE | re.DOTALL)
    return found.group() if found else ""


def _names(text, pattern):
    return re.findall(pattern, text)


def _arms(text):
    """The names that a match tells apart: `"A" | "B" =>`."""
    return [name for arm in re.findall(r'((?:"\w+"(?: \| )?)+) =>', text) for name in re.findall(r"\w+", arm)]


def _operators():
    arms = _arms(_function(_source("/condition/operator.rs"), "comparison"))
    orders = [arm for arm in arms if arm.endswith("equals") and arm in ("equals", "notequals") or arm.startswith(("less", "greater"))]
    return [arm for arm in arms if arm not in orders] + [kind + order for kind in ORDERED for order in orders]


def _modifiers():
    text = _function(_source("/condition/operator.rs"), "parse")
    return [f"{name}:" for name in re.findall(r'Some\(\("(\w+)", rest\)\)', text)] + re.findall(r'strip_suffix\("(\w+)"\)', text)


def _key_arms():
    """(name, name of the variant) of every condition key."""
    text = _function(_source("/condition/key.rs"), "parse")
    found = re.findall(r'\("([\w:-]+)", (None|Some\(tag\))\).*?=> Self::(\w+)', text)
    return [(name if tag == "None" else f"{name}/key", variant) for name, tag, variant in found]


def _keys():
    return [name for name, _ in _key_arms()]


def _applies_to():
    """Condition key -> the actions whose requests carry it."""
    source = _source("/condition/key.rs")
    by_variant = {}
    for variants, body in re.findall(
        r"((?:Self::\w+(?:\(_\))?[\s|]*)+)=>(.*?)(?=^            Self::|\Z)", _function(source, "applies_to"), re.MULTILINE | re.DOTALL
    ):
        called = re.search(r"(\w+)\(action\)", body)
        actions = re.findall(r"A::(\w+)", _function(source, called.group(1)) if called else body)
        for variant in re.findall(r"Self::(\w+)", variants):
            by_variant[variant] = actions or ["*"]
    return {name: by_variant.get(variant, []) for name, variant in _key_arms()}


def _actions(kind):
    """As AWS writes them: the source says where that is not the variant's name."""
    listed = re.search(rf"^    {kind} \{{(.*?)^    \}}", _source("/action.rs"), re.MULTILINE | re.DOTALL)
    named = re.findall(r'(\w+)(?: = "s3:(\w+)")?,', listed.group(1)) if listed else []
    return [other or name for name, other in named]
