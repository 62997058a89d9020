"""Clients at every node at once on the same few keys; each operation becomes a line of the history that the checker reads.

What a line means is told in `proptests/src/history.rs`. Clients do not retry. An answer of 503 to a write says nothing about
whether it was done; any other error that an operation cannot have in a correct store is an oddity, which fails a run by itself.
"""

import hashlib
import json
import random
import subprocess
import threading
import time

import botocore.exceptions

KEYS = 16
OPERATIONS_PER_GENERATION = 1200  # then other keys: a key's history stays short enough to be checked

PAUSE_S = 0.3  # after no answer, so that a node that is away does not fill the history

MIX = (("put", 26), ("head", 26), ("get", 14), ("list", 6), ("delete", 8), ("create", 7), ("replace", 7), ("copy", 3),
       ("multipart", 3))


def now_us():
    return time.monotonic_ns() // 1000


class History:
    """Lines of all clients, and what is counted of them."""

    def __init__(self):
        self.lock = threading.Lock()
        self.lines = []
        self.answers = {}  # (operation, status) -> how many; status 0: none came
        self.oddities = []
        self.acknowledged = []  # (call, return, client) of writes

    def add(self, line, status, odd=None):
        with self.lock:
            self.lines.append(line)
            self.answers[line["op"], status] = self.answers.get((line["op"], status), 0) + 1
            if odd:
                self.oddities.append(odd)
            if line["outcome"] == "ok" and line["op"] in ("put", "delete", "copy", "complete"):
                self.acknowledged.append((line["call_us"], line["return_us"], line["client"]))

    def write(self, path):
        with self.lock, open(path, "w") as out:
            for line in self.lines:
                out.write(json.dumps(line) + "\n")
        return path

    def count(self):
        with self.lock:
            return len(self.lines)

    def longest_silence_s(self, since_us, until_us, clients=None):
        """The longest time in the window without an acknowledged write (of any of these clients)."""
        with self.lock:
            ends = sorted(end for _, end, client in self.acknowledged
                          if since_us <= end <= until_us and (clients is None or client in clients))
        moments = [since_us, *ends, until_us]
        return max(after - before for before, after in zip(moments, moments[1:])) / 1e6

    def statuses(self):
        counts = {}
        for (_, status), count in self.answers.items():
            counts[status] = counts.get(status, 0) + count
        return dict(sorted(counts.items(), key=str))


class Load:
    """Threads of clients, `per_node` at each node, until stopped."""

    def __init__(self, cluster, bucket, *, per_node=2, seed=1):
        self.cluster, self.bucket, self.per_node, self.seed = cluster, bucket, per_node, seed
        self.history = History()
        self.stopping = threading.Event()
        self.threads = []

    def __enter__(self):
        for index in range(self.per_node * len(self.cluster.nodes)):
            node = self.cluster.nodes[index % len(self.cluster.nodes)]
            client = Client(self, index, node)
            thread = threading.Thread(target=client.run, daemon=True)
            thread.start()
            self.threads.append(thread)
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(90)

    def clients_of(self, node):
        index = self.cluster.nodes.index(node)
        return {number for number in range(len(self.threads)) if number % len(self.cluster.nodes) == index}

    def generation(self):
        return self.history.count() // OPERATIONS_PER_GENERATION

    def until(self, operations, seconds):
        deadline = time.monotonic() + seconds
        while self.history.count() < operations and time.monotonic() < deadline:
            time.sleep(0.1)

    def read_all(self):
        """At the end every key through every node: what was acknowledged is there, wherever one looks."""
        keys = sorted({line["key"].split("/", 1)[1] for line in self.history.lines if line.get("key")})
        for index, node in enumerate(self.cluster.nodes):
            client = Client(self, 1000 + index, node)
            for key in keys:
                client.key = key
                client.head()


class Client:
    def __init__(self, load, number, node):
        self.load, self.number, self.history, self.bucket = load, number, load.history, load.bucket
        self.s3 = load.cluster.s3(node)
        self.random = random.Random(load.seed * 1000 + number)
        self.last = {}  # key -> ETag as it was last seen here
        self.serial = 0
        self.key = None

    def run(self):
        names, weights = zip(*MIX)
        while not self.load.stopping.is_set():
            self.key = f"g{self.load.generation()}/k{self.random.randrange(KEYS)}"
            getattr(self, self.random.choices(names, weights)[0])()

    # ------------------------------------------------------------------------------------------------ operations

    def body(self):
        self.serial += 1
        body = f"{self.number}.{self.serial}.".encode() * self.random.choice((1, 30, 3000))
        return body, hashlib.md5(body).hexdigest()

    def put(self, **condition):
        body, etag = self.body()
        line = {"op": "put", "value": etag}
        if "IfMatch" in condition:
            line["if_match"] = condition["IfMatch"].strip('"')
        if "IfNoneMatch" in condition:
            line["if_none_match"] = True
        answer = self.ask(line, lambda: self.s3.put_object(Bucket=self.bucket, Key=self.key, Body=body, **condition))
        if answer:
            self.saw(line, answer["ETag"], etag)

    def create(self):
        self.put(IfNoneMatch="*")

    def replace(self):
        etag = self.last.get(self.key)
        return self.put(IfMatch=f'"{etag}"') if etag else self.head()

    def head(self):
        line = {"op": "head", "seen": None}
        self.ask(line, lambda: self.s3.head_object(Bucket=self.bucket, Key=self.key))
        if line["seen"]:
            self.last[self.key] = line["seen"]

    def get(self):
        line = {"op": "get", "seen": None}

        def body_too():
            answer = self.s3.get_object(Bucket=self.bucket, Key=self.key)
            body, etag = answer["Body"].read(), answer["ETag"].strip('"')
            if "-" not in etag and hashlib.md5(body).hexdigest() != etag:
                self.history.oddities.append(f"{self.key}: bytes that are not {etag}")
            return answer

        self.ask(line, body_too)

    def delete(self):
        self.ask({"op": "delete"}, lambda: self.s3.delete_object(Bucket=self.bucket, Key=self.key))

    def copy(self):
        source = self.key
        self.key = f"{source.split('/')[0]}/k{self.random.randrange(KEYS)}"
        if source == self.key:
            return
        line = {"op": "copy", "source": f"{self.bucket}/{source}"}
        self.ask(line, lambda: self.s3.copy_object(Bucket=self.bucket, Key=self.key,
                                                   CopySource={"Bucket": self.bucket, "Key": source}))

    def multipart(self):
        body, _ = self.body()
        name = {"Bucket": self.bucket, "Key": self.key}
        try:
            upload = self.s3.create_multipart_upload(**name)["UploadId"]
            part = self.s3.upload_part(**name, UploadId=upload, PartNumber=1, Body=body)["ETag"]
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
            answered = isinstance(error, botocore.exceptions.ClientError)
            if answered and error.response["ResponseMetadata"]["HTTPStatusCode"] != 503:
                self.history.oddities.append(f"multipart: {error}")
            return
        etag = hashlib.md5(hashlib.md5(body).digest()).hexdigest() + "-1"
        parts = {"Parts": [{"ETag": part, "PartNumber": 1}]}
        line = {"op": "complete", "value": etag}
        self.ask(line, lambda: self.s3.complete_multipart_upload(**name, UploadId=upload, MultipartUpload=parts))

    def list(self):
        prefix = self.key.split("/")[0] + "/"
        line = {"op": "list", "prefix": f"{self.bucket}/{prefix}", "listed": {}}
        self.ask(line, lambda: self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix))

    # ---------------------------------------------------------------------------------------------- what came of it

    def saw(self, line, etag, expected):
        if etag.strip('"') != expected:
            self.history.oddities.append(f"{self.key}: {line['op']} answered {etag}, its body has {expected}")
        self.last[self.key] = expected

    def ask(self, line, call):
        if line["op"] != "list":
            line["key"] = f"{self.bucket}/{self.key}"
        line |= {"client": self.number, "call_us": now_us(), "outcome": "unknown"}
        answer, status, odd = None, 0, None
        try:
            answer = call()
            status = answer["ResponseMetadata"]["HTTPStatusCode"]
            line["outcome"] = "ok"
        except botocore.exceptions.ClientError as error:
            status, odd = self.refused(line, error)
        except (botocore.exceptions.EndpointConnectionError, botocore.exceptions.ConnectTimeoutError):
            line["outcome"] = "failed"  # no connection, so nothing was sent
            time.sleep(PAUSE_S)
        except (botocore.exceptions.BotoCoreError, OSError):
            time.sleep(PAUSE_S)  # no answer, or the middle of one
        line["return_us"] = now_us()
        if answer:
            self.note(line, answer)
        elif line["outcome"] == "unknown":
            del line["return_us"]
        self.history.add(line, status, odd)
        return answer

    def refused(self, line, error):
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        code = error.response["Error"]["Code"]
        conditional = "if_match" in line or "if_none_match" in line
        if status == 412 and conditional or status == 404 and "if_match" in line:
            line["outcome"] = "refused"
        elif status == 404 and line["op"] in ("head", "get"):
            line["outcome"] = "ok"
        elif status == 404 and code == "NoSuchKey" and line["op"] == "copy" or status == 409:
            line["outcome"] = "failed"
        elif status == 404 and code == "NoSuchUpload":
            line["outcome"] = "failed"
        elif status == 500 and line["op"] == "get" and not self.load.cluster.peers:
            return "elsewhere", None
        elif status != 503:
            return status, f"{line['op']} {line.get('key', '')}: {status} {code}: {error}"
        elif "retry-after" not in error.response["ResponseMetadata"]["HTTPHeaders"]:
            return status, f"{line['op']}: 503 without Retry-After"
        return status, None

    def note(self, line, answer):
        if line["op"] in ("head", "get"):
            line["seen"] = answer["ETag"].strip('"')
        elif line["op"] == "list":
            line["listed"] = {f"{self.bucket}/{one['Key']}": one["ETag"].strip('"') for one in answer.get("Contents", [])}
        elif line["op"] == "copy":
            line["value"] = answer["CopyObjectResult"]["ETag"].strip('"')


def check(checker, path):
    """What the checker says of a history: (linearisable, its words)."""
    done = subprocess.run([str(checker), str(path)], capture_output=True, text=True)
    return done.returncode == 0, done.stdout.strip()
