"""The table as people read it: README.md, made of `table.toml`; the check fails while it is another."""

import pathlib

import botocore_model as model
import table as tables

README = pathlib.Path(__file__).with_name("README.md")

OPENING = """\
# What of S3 is served, and what is not

Every operation of botocore's S3 model ({version}), every parameter and member of its input: *honoured*, *ignored* as AWS
ignores it, or refused as *NotImplemented* (501), and the test that shows it. Written by `check.py render` from `table.toml`;
`deploy/test` fails when the installed botocore knows more than the table, when a test is missing or does not run, and when a
running system answers otherwise (`probe.py`).

| file | what |
|---|---|
| `table.toml` | the classification, by hand; to flip an operation is its `answer`, and the line of its tests in `deploy/clients/themes.py` |
| `check.py` | `check` against the installed botocore, with lines to paste for what is new; `render` writes this file |
| `probe.py` | asks a running system: `probe.py --endpoint URL`, and among the client checks |
| `policy_words.py` | what a bucket policy may say, as the source has it |
| `botocore_model.py`, `table.py`, `report.py`, `ground.py`, `proof.py` | inputs from the model; the table as rows; this text; a bucket to ask in; that the check sees what is new |
"""


def written(service, table):
    sections = [_counts(service, table), _deviations(table), _values(table), _served(table), _lacking(table), _policy(table),
                _unconfigured(table)]
    return OPENING.format(version=model.API_VERSION) + "".join(f"\n{section}\n" for section in sections)


def _table(head, rows):
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _counts(service, table):
    every = table.rows()
    kinds = {
        "operations": [row for row in every if not row.parameter],
        "parameters of served operations": [row for row in every if row.parameter and table.served(row.operation)],
        "parameters of the others": [row for row in every if row.parameter and not table.served(row.operation)],
    }
    rows = []
    for kind, of_kind in kinds.items():
        by_answer = [sum(row.answer == answer for row in of_kind) for answer in tables.ANSWERS]
        rows.append([kind, *map(str, by_answer), str(len(of_kind))])
    waiting = sum(table.operations[name]["answer"] == tables.LACKING and "test" in table.operations[name] for name in table.operations)
    text = _table(["", *tables.ANSWERS, "all"], rows)
    return f"## Counts\n\n{text}\n\nOperations that are not served and have a test that waits for them: {waiting}."


def _deviations(table):
    rows = []
    for key, said in table.deviations.items():
        answer = f"answers {said['answers']}" if "answers" in said else ""
        waiting = f"`{said['test']}` waits" if "test" in said else f"`{said['shown']}`" if "shown" in said else ""
        rows.append([f"`{key}`", said.get("why", ""), ", ".join(filter(None, [answer, waiting]))])
    return f"## Where the answer is not AWS's\n\n{_table(['what', 'how', 'shown by'], rows)}"


def _values(table):
    rows = []
    for name, said in table.values.items():
        honoured = "all" if said[tables.HONOURED] == "*" else _words(said[tables.HONOURED])
        refused = [f"{_words(values)} ({answer})" for answer, values in said.get("refused", {}).items()]
        rows.append([name, honoured, _words(said.get(tables.LACKING, "")), "; ".join(refused), f"`{said['test']}`"])
    return f"## Values\n\n{_table(['of', 'honoured', 'NotImplemented', 'refused as AWS refuses', 'shown by'], rows)}"


def _words(text):
    return ", ".join(text.split())


def _served(table):
    sections = ["## Served"]
    for name in filter(table.served, table.operations):
        grouped = {}
        for row in table.rows_of(name):
            grouped.setdefault((row.answer, row.test, row.why if row.parameter else ""), []).append(row.parameter or "the operation itself")
        rows = [[answer, _named(names), f"`{test}`" + (f"; {why}" if why else "")] for (answer, test, why), names in grouped.items()]
        order = {answer: place for place, answer in enumerate(tables.ANSWERS)}
        why = table.operations[name].get("why", "")
        sections.append(f"### {name}\n\n" + (f"{why}\n\n" if why else "") + _table(["", "what", "shown by"], sorted(rows, key=lambda row: order[row[0]])))
    beyond = [[name, f"`{said['request']}`", f"`{said['test']}`"] for name, said in table.beyond.items() if said["answer"] != tables.LACKING]
    sections.append("### What the model does not have\n\n" + _table(["", "request", "shown by"], beyond))
    return "\n\n".join(sections)


def _named(names):
    itself = [name for name in names if " " in name]
    return ", ".join([*itself, *(f"`{name}`" for name in names if name not in itself)])


def _lacking(table):
    rows = []
    for name, said in table.operations.items():
        if not table.served(name):
            test = said.get("test", "")
            rows.append([name, str(len(table.rows_of(name)) - 1), f"`{test}`" if test else "", said.get("why", "")])
    for name, said in table.beyond.items():
        if said["answer"] == tables.LACKING:
            rows.append([name, "", f"`{said['test']}`", f"not in the model: `{said['request']}`"])
    head = ["operation", "parameters", "will be shown by", ""]
    text = "Refused as NotImplemented whatever they are told (`probe.py::operations`), with every parameter."
    return f"## Not served\n\n{text}\n\n{_table(head, rows)}"


def _policy(table):
    """What a bucket policy may say."""
    policy = table.policy
    words = [
        ["Version", policy["versions"]], ["elements of the document", policy["document"]],
        ["elements of a statement", policy["statement"]], ["Effect", policy["effects"]], ["kinds of Principal", f"\"*\" {policy['principals']}"],
        ["operators", policy["operators"]], ["with any operator but Null", policy["modifiers"]],
        *([f"actions on {kind.lower()}s", names] for kind, names in policy["actions"].items()),
    ]
    lists = _table(["", "exactly"], [[what, _words(text)] for what, text in words])
    forms = _table(["value of", "form"], [[what, text] for what, text in policy["forms"].items()])
    keys = [[f"`{key}`", "every action" if actions == "*" else _words(actions), f"`{test}`"]
            for test, of_test in policy["keys"].items() for key, actions in of_test.items()]
    text = "Anything else is MalformedPolicy when it is put. The check holds these lists against the source that enforces them" \
        f" (`dataplane/protocol/src/policy`), and `{policy['test']}` puts every word."
    return f"## Bucket policies\n\n{text}\n\n{lists}\n\n{forms}\n\n{_table(['condition key', 'of', 'shown by'], keys)}"


def _unconfigured(table):
    rows = []
    for name, answer in table.unconfigured.items():
        rows.append([name, f"`{answer}`" if isinstance(answer, str) else f"200 `{answer}`", "" if table.served(name) else "not yet served"])
    text = "What AWS answers about a bucket that was only created; `probe.py::never_configured` expects it of what is served."
    return f"## Never configured\n\n{text}\n\n{_table(['operation', 'answer', ''], rows)}"
