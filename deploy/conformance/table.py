"""The classification in `table.toml`, read into rows: one per operation and one per parameter and member of it.

A row says one of three words: *honoured*, *ignored* (as AWS ignores it) or *NotImplemented*, and names the test that shows it.
An operation that is NotImplemented refuses whatever it is told, so all its rows say so; what they will say once it is served
stands in the table already, and flipping its `answer` is one line.
"""

import dataclasses
import pathlib
import re
import tomllib

import botocore_model as model

TABLE = pathlib.Path(__file__).with_name("table.toml")
HONOURED, IGNORED, LACKING = ANSWERS = ("honoured", "ignored", "NotImplemented")

# What shows the rows that no test of a theme has to show.
PROBE_OPERATIONS, PROBE_PARAMETERS, PROBE_IGNORED = "probe.py::operations", "probe.py::parameters", "probe.py::ignored_parameters"


@dataclasses.dataclass(frozen=True)
class Row:
    operation: str
    parameter: str  # empty: the operation itself
    answer: str
    test: str
    why: str = ""
    later: tuple = ()  # (answer, test) once it is served


@dataclasses.dataclass
class Table:
    operations: dict  # name -> what the file says of it
    common: dict  # parameter -> answer, test, why: for the names that operations list under `common`
    values: dict  # name of an enumeration -> answer -> values
    unconfigured: dict  # operation -> what AWS answers for a bucket that never had the configuration
    deviations: dict  # "Operation" or "Operation Parameter" or "Enumeration=value" -> answers, why
    beyond: dict  # what S3 has and botocore's model does not
    policy: dict  # what a bucket policy may say

    def served(self, name):
        return self.operations[name]["answer"] != LACKING

    def rows(self):
        return [row for name in self.operations for row in self.rows_of(name)]

    def rows_of(self, name):
        said = self.operations[name]
        own = said.get("test", PROBE_OPERATIONS if said["answer"] == LACKING else "")
        rows = [Row(name, "", said["answer"], own, said.get("why", ""))]
        rows += [Row(name, *row) for row in self._parameters(said, own)]
        return rows if self.served(name) else [_refused(row) for row in rows]

    def _parameters(self, said, own):
        for parameter in said.get("common", "").split():
            entry = self.common.get(parameter, {})
            answer = entry.get("answer", "")
            test = entry.get("later" if answer == LACKING else "test", "")
            yield parameter, answer, *_shown(answer, test, own, entry.get("why", ""))
        for answer in ANSWERS:
            listed = said.get(answer, {})
            for test, names in (listed if isinstance(listed, dict) else {"": listed}).items():
                for parameter in expand(names):
                    yield parameter, answer, *_shown(answer, test, own, "")


def _shown(answer, test, own, why):
    """Which test shows a parameter, why it is so, and what it will say later."""
    if answer == LACKING:
        return PROBE_PARAMETERS, why, (HONOURED, test) if test else ()
    return test or (PROBE_IGNORED if answer == IGNORED else own), why, ()


def expand(text):
    """`A B(C D[](E)) F.(G H)` names A, B, B.C, B.D, B.D[].E, F.G and F.H: parentheses hold the members of what is before them."""
    found, above, last = [], [], ""
    for word in re.findall(r"[()]|[^\s()]+", text):
        if word == "(":
            above.append(last)
        elif word == ")":
            above.pop()
        else:
            last = f"{above[-1]}.{word}" if above else word
            last = last.removesuffix(".")
            if not word.endswith("."):
                found.append(last.removesuffix("[]"))
    return found


def fold(paths):
    """The shortest text that `expand` reads as these paths."""
    inner, tops = {path: [] for path in paths}, []
    for path in paths:
        above = path.rpartition(".")[0].removesuffix("[]")
        (inner[above] if above in inner else tops).append(path)

    def named(path, name):
        if not inner[path]:
            return name
        brackets = "[]" if inner[path][0].startswith(f"{path}[]") else ""
        return f"{name}{brackets}({' '.join(named(member, member.rpartition('.')[2]) for member in inner[path])})"

    return " ".join(named(path, path) for path in tops)


def _refused(row):
    later = row.later
    if row.parameter and row.answer != LACKING:
        later = (row.answer, row.test)
    elif not row.parameter and row.test != PROBE_OPERATIONS:
        later = (HONOURED, row.test)
    return dataclasses.replace(row, answer=LACKING, test=PROBE_OPERATIONS, later=later)


def read(path=TABLE):
    said = tomllib.loads(path.read_text())
    parts = ("operation", "common", "values", "unconfigured", "deviation", "beyond", "policy")
    return Table(*(said.get(part, {}) for part in parts))


def enumerations(service, table, planned=False):
    """The enumerations that served parameters take: name -> (values, [(operation, parameter)]); `planned`: will take, too."""
    found = {}
    for row in table.rows():
        answers = {row.answer, *(row.later[:1] if planned else ())}
        if not row.parameter or HONOURED not in answers or row.operation not in service.operation_names:
            continue
        shapes = dict(model.parameters(service.operation_model(row.operation)))
        kind = model.enumeration(shapes[row.parameter]) if row.parameter in shapes else None
        if kind:
            found.setdefault(kind[0], (kind[1], []))[1].append((row.operation, row.parameter))
    return found
