#!/usr/bin/env python3
"""Holds `table.toml` against the installed botocore, the policies' source, the tests it names, and the README made of it.

    deploy/conformance/check.py check     what is not classified, not there any more, or not shown; exits 1 if anything is
    deploy/conformance/check.py render    writes README.md

A newer botocore that knows an operation, a parameter, a member or a value more fails the check until somebody has classified
it; each line of the answer says what to write where.
"""

import ast
import collections
import functools
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
CLIENTS = HERE.parent / "clients"
sys.path.append(str(CLIENTS))

import botocore_model as model  # noqa: E402
import policy_words  # noqa: E402
import proof  # noqa: E402
import report  # noqa: E402
import table as tables  # noqa: E402
import themes  # noqa: E402


def check():
    """Everything that is wrong, in words."""
    service, table = model.service(), tables.read()
    wrong = [*differences(service, table), *policy_words.differences(table.policy), *unshown(table), *stale(service, table)]
    if not wrong:  # only a table that is right can prove that the check sees what is wrong
        wrong += [*proof.unseen(table, differences), *proof.unseen_words(table.policy, policy_words.differences)]
        if report.README.read_text() != report.written(service, table):
            wrong.append(f"{report.README.name} is not what the table says: run {pathlib.Path(__file__).name} render")
    return wrong


def differences(service, table):
    """Where the table and the model part."""
    for name in service.operation_names:
        paths = [path for path, _ in model.parameters(service.operation_model(name))]
        if name in table.operations:
            yield from _of_parameters(name, paths, table)
        else:
            yield f"operation {name} is new. To refuse it:\n\n{_skeleton(name, paths, table)}\n"
    for name in table.operations.keys() - set(service.operation_names):
        yield f"operation {name} is no longer in the model: remove [operation.{name}]"
    yield from _of_values(service, table)


def _of_parameters(name, paths, table):
    listed = collections.Counter(row.parameter for row in table.rows_of(name) if row.parameter)
    new = [path for path in paths if path not in listed]
    if new:
        yield f"{name} has new parameters. Under [operation.{name}], as honoured, ignored or NotImplemented: {tables.fold(new)}"
    for path, times in listed.items():
        if path not in paths:
            yield f"{name} has no parameter {path}: remove it from [operation.{name}]"
        elif times > 1:
            yield f"{name} classifies {path} {times} times"


def _skeleton(name, paths, table):
    """Lines for the table that refuse a new operation."""
    common = [path for path in paths if path in table.common]
    other = tables.fold([path for path in paths if path not in table.common])
    lines = [f"[operation.{name}]", f'answer = "{tables.LACKING}"']
    lines += [f'common = "{" ".join(common)}"'] if common else []
    lines += [f'{tables.LACKING} = "{other}"'] if other else []
    return "\n".join(lines)


def _of_values(service, table):
    taken = tables.enumerations(service, table, planned=True)
    for name, (values, places) in taken.items():
        classified = table.values.get(name, {})
        said = classified_values(classified)
        if said == ["*"]:
            continue
        new = [value for value in values if value not in said]
        if new:
            yield f"[values.{name}] of {' '.join(places[0])} does not classify {' '.join(new)}"
        for value in dict.fromkeys(said):
            if value not in values or said.count(value) > 1:
                yield f"[values.{name}] has {value}, which the model does not have, or twice"
    for name in table.values.keys() - taken.keys():
        yield f"[values.{name}] is of no parameter that is honoured: remove it"


def classified_values(classified):
    groups = [classified.get(tables.HONOURED, ""), classified.get(tables.LACKING, ""), *classified.get("refused", {}).values()]
    return " ".join(groups).split()


def unshown(table):
    """Rows without a test that shows them: what is served by one that runs, what is not by one that waits, if any."""
    needed, planned = collections.defaultdict(list), collections.defaultdict(list)
    for row in table.rows():
        needed[row.test].append(f"{row.operation} {row.parameter}".strip())
        if len(row.later) > 1 and row.later[1]:
            planned[row.later[1]].append(f"{row.operation} {row.parameter}".strip())
    for name, said in table.beyond.items():
        (planned if said["answer"] == tables.LACKING else needed)[said["test"]].append(name)
    for test, keys in {table.policy["test"]: ["policies"], **table.policy["keys"]}.items():
        needed[test] += keys
    for key, said in table.deviations.items():
        if "shown" in said:
            needed[said["shown"]].append(f"[deviation] {key}")
    for test, rows in needed.items():
        if said := _missing(test) or (themes.waits(*_theme(test)) and "waits under themes.WAITING"):
            yield f"{test or 'no test'} {said}, and should show: {', '.join(rows)}"
    for test, rows in planned.items():
        if said := _missing(test):
            yield f"{test} {said}, and shall show: {', '.join(rows)}"
    for key, said in table.deviations.items():
        if "test" in said and (_missing(said["test"]) or not themes.waits(*_theme(said["test"]))):
            yield f"[deviation] {key}: {said['test']} is not there or runs already: then the line goes"


def _theme(test):
    file, _, name = test.partition("::")
    return file.removesuffix(".py"), name


def _missing(test):
    file, _, name = test.partition("::")
    functions, run = _tests_of(file)
    if name not in functions:
        return "is not there"
    return "" if name in run else "is not in ALL"


@functools.cache
def _tests_of(file):
    """The functions of a file of tests, and those that its ALL names."""
    paths = [folder / file for folder in (HERE, CLIENTS) if file and (folder / file).is_file()]
    if not paths:
        return set(), set()
    body = ast.parse(paths[0].read_text()).body
    functions = {part.name for part in body if isinstance(part, ast.FunctionDef)}
    run = set()
    for part in body:
        if isinstance(part, ast.Assign) and any(isinstance(target, ast.Name) and target.id == "ALL" for target in part.targets):
            run = {name.id for name in ast.walk(part.value) if isinstance(name, ast.Name)}
    return functions, run


def stale(service, table):
    """Words of the table that speak of nothing."""
    rows = {f"{row.operation} {row.parameter}".strip() for row in table.rows()}
    values = {f"{name}={value}" for name, said in table.values.items() for value in classified_values(said)}
    for key in table.deviations:
        if key not in rows and key not in values and key.partition("=")[0] not in rows:
            yield f"[deviation] {key} is no row"
    for name in table.unconfigured.keys() - table.operations.keys():
        yield f"[unconfigured] {name} is no operation"
    used = {parameter for said in table.operations.values() for parameter in said.get("common", "").split()}
    for name in used ^ table.common.keys():
        yield f"[common] {name}: used, but not there, or there, but not used"
    for name, said in table.operations.items():
        if said.get("answer") not in tables.ANSWERS or set(said) - {"answer", "test", "why", "common", *tables.ANSWERS}:
            yield f"[operation.{name}] has a word that is none: {', '.join(said)}; answer {said.get('answer')}"


def main():
    if sys.argv[1:] == ["render"]:
        report.README.write_text(report.written(model.service(), tables.read()))
        return 0
    if sys.argv[1:] != ["check"]:
        print(__doc__)
        return 2
    wrong = check()
    print("\n".join(wrong) or "every operation, parameter and value of the installed botocore is classified and shown")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
