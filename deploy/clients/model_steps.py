"""Random steps for `model.py`, from a seed. A step is a plain dict that names versions and ETags by what they are to be ("right", the
second newest), never by value: what is left of a sequence when steps are dropped is a sequence too."""

from model_world import ENABLED, KEYS, NEVER, SIZES, SUSPENDED, SWITCHING

FACTS = [
    {"content-type": "a/b"}, {"content-type": "text/plain; charset=utf-8", "cache-control": "no-store"},
    {"content-disposition": "attachment", "content-language": "de", "content-encoding": "gzip"},
    {"expires": "Thu, 01 Dec 2033 16:00:00 GMT"}, {"x-amz-meta-a": "1", "x-amz-meta-empty": ""},
    {"x-amz-meta-a": "two words", "x-amz-meta-c": "c"}, {"x-amz-storage-class": "STANDARD_IA"}, {"x-amz-storage-class": "STANDARD"},
    {"x-amz-website-redirect-location": "/away"},
]
RANGES = ["bytes=0-", "bytes=0-0", "bytes=1-5", "bytes=5-1", "bytes=-3", "bytes=-0", "bytes=9-", "bytes=299-1000", "bytes=300-",
          "bytes=-100000", "bytes=0-1,3-4x", "bytes=x-y", "octets=0-1", "bytes=16383-16385", "bytes=5242879-5242880",
          "bytes=100-5300000", "bytes=5242880-"]
PREFIXES = ["", "", "", "a", "a/", "a/b", "ä", "c", "none"]
DELIMITERS = ["", "", "/", "/", "b", " ", "\U0001f600", "/b"]
WRITES = [{"if-none-match": "*"}, {"if-match": "right"}, {"if-match": "bare"}, {"if-match": "wrong"}, {"if-match": "old"}]

CONDITIONS = ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"]
DATES = ["past", "at", "at", "before", "future"]
ETAGS = ["right", "right", "bare", "wrong", "old", "*", "weak", "list"]


class Draw:
    def __init__(self, random):
        self.random = random

    def chance(self, share):
        return self.random.random() < share

    def place(self, prefix=""):
        bucket = self.random.choice([NEVER, ENABLED, ENABLED, SUSPENDED, SWITCHING, SWITCHING])
        return {prefix + "bucket": bucket, prefix + "key": self.random.randrange(len(KEYS)) if self.chance(0.4) else 0}

    def facts(self):
        return {} if self.chance(0.6) else self.random.choice(FACTS)

    def version(self, share=0.5):
        return self.random.choice([0, 0, 1, 1, 2, 3, "null", "null", "gone"]) if self.chance(share) else None

    def write_when(self, share):
        return {"write when": self.random.choice(WRITES)} if self.chance(share) else {}

    def body(self):
        return [self.random.randrange(4), self.random.choice(SIZES)]

    def put(self):
        step = {**self.place(), "body": self.body(), "facts": self.facts(), "sum": self.random.choice(["", "crc32", "sha256"])}
        return step | self.write_when(0.3) | {"tags": self.chance(0.2), "wrong": self.chance(0.03)}

    def get(self):
        when = {}
        if self.chance(0.5):
            for name in self.random.sample(CONDITIONS, self.random.choice([1, 1, 2, 3])):
                when[name] = self.random.choice(DATES if name.endswith("since") else ETAGS)
        step = {**self.place(), "hit": self.chance(0.8), "version": self.version(), "when": when, "checksums": self.chance(0.4)}
        if self.chance(0.25):
            step["range"] = self.random.choice(RANGES)
            if self.chance(0.2):
                when["if-range"] = self.random.choice(["right", "wrong", "weak"])
        elif self.chance(0.15):
            step["part"] = self.random.choice([1, 1, 2, 3])
        return step

    head = get

    def delete(self):
        return {**self.place(), "version": self.version()} | self.match_only(0.25)

    def delete_many(self):
        entries = [{"key": self.random.randrange(len(KEYS)), "version": self.version(0.6)} | self.match_only(0.2) for _ in range(4)]
        return {**self.place(), "quiet": self.chance(0.3), "entries": entries}

    def match_only(self, share):
        return {"write when": {"if-match": self.random.choice(["right", "wrong", "old", "*"])}} if self.chance(share) else {}

    def source(self):
        when = {}
        if self.chance(0.2):
            name = self.random.choice(CONDITIONS)
            when[name] = self.random.choice(DATES if name.endswith("since") else ["right", "wrong", "bare"])
        return {**self.place("source "), "source hit": self.chance(0.7), "version": self.version(0.4), "source when": when}

    def copy(self):
        step = {**self.place(), **self.source(), "facts": self.facts(), "replace": self.chance(0.4), "replace tags": self.chance(0.2),
                "sum": self.random.choice(["", "", "", "crc32", "sha256"])}
        if self.chance(0.15):
            step |= {"source bucket": step["bucket"], "source key": step["key"]}
        return step if step["source when"] else step | self.write_when(0.25)

    def tagging(self):
        tags = self.random.choice([{}, {"a": "1"}, {"b": "", "ü": "x y"}])
        method = self.random.choice(["PUT", "GET", "GET", "DELETE"])
        return {**self.place(), "hit": self.chance(0.7), "version": self.version(), "method": method, "tags": tags}

    def versioning(self):
        return {"bucket": SWITCHING, "status": self.random.choice(["Enabled", "Suspended"])}

    def page(self):
        size = self.random.choice([0, 1, 1, 2, 3, 5, 1000])
        after = self.random.choice(["", "", "", *KEYS, "a/c", "b"])
        return {"bucket": self.place()["bucket"], "prefix": self.random.choice(PREFIXES), "delimiter": self.random.choice(DELIMITERS),
                "after": after, "size": size, "url": self.chance(0.5), "walk": self.chance(0.4)}

    def list_objects(self):
        dialect = self.random.choice([1, 2])
        return {**self.page(), "dialect": dialect, "owner": dialect == 2 and self.chance(0.3)}

    def list_versions(self):
        return {**self.page(), "after version": self.random.choice([None, None, 0, 1, 2])}

    def upload(self):
        return {"upload": self.random.choice([0, 0, 1, 2, 3]), "ended": self.chance(0.1)}

    def create(self):
        algorithm = self.random.choice(["", "crc32", "crc32", "sha256"])
        composite = algorithm == "sha256" or (algorithm == "crc32" and self.chance(0.5))
        return {**self.place(), "facts": self.facts(), "tags": self.chance(0.2), "sum": algorithm, "composite": composite}

    def part(self):
        number = self.random.choice([1, 1, 2, 3, 700])
        return {**self.upload(), "number": number, "body": self.body(), "large": self.chance(0.6 if number < 3 else 0.1)}

    def part_copy(self):
        step = {**self.upload(), **self.source(), "number": self.random.choice([1, 2, 3, 700]), "range": None}
        return step if step["source when"] else step | {"range": self.random.choice([None, None, [0, 0], [5, 299], [1, 5_242_880]])}

    def complete(self):
        parts = self.random.choice(["one", "one", "all", "all", "all", "all", "backwards", "wrong", "more"])
        return {**self.upload(), "list": parts, "repeat": self.chance(0.3)} | self.write_when(0.25)

    def abort(self):
        return self.upload()

    def assembled(self):
        """An object of several parts, which chance alone makes seldom, and a look at it."""
        create = {"op": "create", **self.create(), "sum": "crc32", "composite": self.chance(0.5)}
        newest = {"upload": 0, "ended": False}
        parts = [{"op": "part", **newest, "number": number, "body": self.body(), "large": number < 700} for number in (2, 700, 1)]
        look = {"bucket": create["bucket"], "key": create["key"], "version": None, "when": {}, "checksums": True}
        look |= self.random.choice([{"part": 2}, {"part": 700}, {"range": self.random.choice(RANGES[-4:])}, {}])
        complete = {"op": "complete", **newest, "list": "all", "repeat": self.chance(0.5)}
        return [create, *parts[: self.random.choice([1, 2, 3])], complete, {"op": "get", **look}]

    list_parts = upload

    def list_uploads(self):
        return {**self.page(), "after upload": self.random.choice([0, 0, 1, 2])}

    def attributes(self):
        return {**self.place(), "hit": self.chance(0.7), "version": self.version()}


WEIGHTS = {
    "put": 25, "get": 16, "head": 6, "delete": 9, "delete_many": 3, "copy": 10, "tagging": 6, "versioning": 3, "list_objects": 6,
    "list_versions": 6, "create": 4, "part": 10, "part_copy": 3, "complete": 5, "abort": 1, "list_parts": 1, "list_uploads": 2,
    "attributes": 2, "assembled": 1,
}


def history():
    """How the suspended bucket came to be: a null version, one with an id, and then it is suspended."""
    put = {"op": "put", "bucket": SUSPENDED, "key": 0, "facts": {}, "sum": ""}
    return [
        {"op": "versioning", "bucket": ENABLED, "status": "Enabled"}, {**put, "body": [0, 10]},
        {"op": "versioning", "bucket": SUSPENDED, "status": "Enabled"}, {**put, "body": [1, 10]}, {**put, "key": 1, "body": [1, 1]},
        {"op": "versioning", "bucket": SUSPENDED, "status": "Suspended"},
    ]


def sequence(random, length):
    draw = Draw(random)
    operations = random.choices(list(WEIGHTS), WEIGHTS.values(), k=length)
    steps = history()
    for operation in operations:
        steps += draw.assembled() if operation == "assembled" else [{"op": operation} | getattr(draw, operation)()]
    return steps
