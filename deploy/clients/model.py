#!/usr/bin/env python3
"""Random sequences of everything S3 does with objects, held against a bucket in memory that is the definition of correct.

    deploy/clients/model.py DATA_DIR [--minutes N] [--seed S] [--steps N] [--workers N]

Against a `holdfast dev` that runs on DATA_DIR. Each sequence has a seed and buckets of its own; every status, code, header and body is
compared, and at the end every version. At a difference it drops steps while the sequence still fails, and prints the seed, what is left
of the sequence, and both answers; `--seed S` begins with that sequence. Exits 0 if there was none.

`model_steps` draws the steps, `model_operations` and `model_uploads` ask the system and the model, `model_bucket`, `model_reads` and
`model_pages` are the model.
"""

import argparse
import collections
import concurrent.futures
import itertools
import json
import pathlib
import random
import sys
import time
import traceback
from xml.sax.saxutils import escape

import model_operations
import model_steps
import model_uploads
from model_reads import read
from model_wire import listing, seen, target
from model_world import Difference, World
from raw import checksummed

STEPS = 120
SHRINK_SECONDS = 90
OPERATIONS = {name: getattr(module, name) for module in (model_operations, model_uploads) for name in model_steps.WEIGHTS
              if hasattr(module, name)} | {"head": model_operations.get}


class Failure(Exception):
    def __init__(self, at, difference):
        super().__init__(at)
        self.at, self.difference = at, difference

    def kind(self, steps):
        """What the same fault would look like again."""
        return steps[self.at]["op"] if self.at < len(steps) else "end", self.difference.where.split(":")[0]


def run(system, steps):
    """The requests it took; Failure at the first difference."""
    world, at = World(system), 0
    try:
        for at, step in enumerate(steps):
            OPERATIONS[step["op"]](world, step)
        at = len(steps)
        read_everything(world)
        return world.requests
    except Difference as difference:
        raise Failure(at, difference) from None
    finally:
        clear(world)
        world.close()


def read_everything(world):
    """Every version of every key: whatever a step broke without saying so."""
    for bucket in world.buckets:
        page = {"prefix": "", "delimiter": "", "after": "", "size": 1000, "url": True, "walk": True}
        place = {"bucket": world.buckets.index(bucket)}
        model_operations.list_versions(world, page | place | {"after version": None})
        model_operations.list_objects(world, page | place | {"dialect": 2, "owner": False})
        for key, versions in bucket.keys.items():
            for version in versions:
                if not version.marker:
                    status, headers, body, _ = read(bucket, key, version.id, {})
                    headers["last-modified"] = world.modified_in_header(version)
                    wanted = world.success(status, headers, body)
                    world.ask("GET", target(bucket.name, key, versionId=version.id), wanted, how="bytes")


def clear(world):
    """Deletes what the system says there is, whether or not the model would."""
    for bucket in world.buckets:
        for upload in bucket.uploads:
            world.line.send("DELETE", target(bucket.name, upload.key, uploadId=upload.id))
        found = seen(world.line.send("GET", target(bucket.name, versions=None)), listing)["body"]["rows"]
        entries = [(row["Key"], row["VersionId"]) for _, row in found]
        for key, version_id in entries:
            if not key.isprintable():  # no XML can hold it
                world.line.send("DELETE", target(bucket.name, key, versionId=version_id))
        body = "".join(f"<Object><Key>{escape(key)}</Key><VersionId>{version_id}</VersionId></Object>"
                       for key, version_id in entries if key.isprintable())
        if body:
            world.line.send("POST", target(bucket.name, delete=None), **checksummed(f"<Delete>{body}</Delete>".encode()))
        world.line.send("DELETE", target(bucket.name))


def shrink(system, steps, failure):
    """Drops steps, many at a time and then one by one, while it still fails in the same way."""
    began, steps, kind = time.monotonic(), steps[: failure.at + 1], failure.kind(steps)
    size = len(steps) // 2
    while size and time.monotonic() - began < SHRINK_SECONDS:
        start = 0
        while start < len(steps) and time.monotonic() - began < SHRINK_SECONDS:
            fewer = steps[:start] + steps[start + size :]
            try:
                run(system, fewer)
                start += size
            except Failure as again:
                if again.kind(fewer) == kind:
                    steps, failure = fewer[: again.at + 1], again
                else:
                    start += size
        size //= 2
    return steps, failure


def report(seed, steps, failure):
    difference = failure.difference
    lines = [f"== seed {seed}: {difference.where}", *(json.dumps(step, ensure_ascii=False) for step in steps)]
    lines += [f"request  {difference.request}", f"wanted   {difference.wanted}", f"got      {difference.got}"]
    return "\n".join(line[:3000] for line in lines)


def explore(system, seeds, until, workers, steps_max=STEPS):
    """(sequences, requests, failures by kind: [seed, report])."""
    found, sequences, requests = collections.defaultdict(list), 0, 0

    def one(seed):
        if time.monotonic() > until:
            return None
        steps = model_steps.sequence(random.Random(seed), steps_max)
        try:
            return run(system, steps)
        except Failure as failure:
            kind = failure.kind(steps)
            first = not found[kind]
            found[kind].append(seed)
            if first:
                print(report(seed, *shrink(system, steps, failure)), flush=True)
        except Exception:
            found["broken",].append(seed)
            print(f"== seed {seed}: the harness or the connection broke\n{traceback.format_exc()}", flush=True)
        return 0

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        running = set()
        while running or time.monotonic() < until:
            while len(running) < workers and time.monotonic() < until:
                running.add(pool.submit(one, next(seeds)))
            done, running = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            for each in done:
                sequences, requests = sequences + 1, requests + (each.result() or 0)
    return sequences, requests, found


def random_sequences(system, home):
    """Seconds of it with every run of the tests: the same sequences each time, as far as the machine gets."""
    seeds = itertools.count(1)
    sequences, requests, found = explore(system, seeds, time.monotonic() + 8, workers=2, steps_max=80)
    assert sequences and requests > 200, (sequences, requests)
    assert not found, dict(found)


ALL = [random_sequences]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir")
    parser.add_argument("--minutes", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--workers", type=int, default=4)
    arguments = parser.parse_args()
    from system import System

    system = System(pathlib.Path.home() / ".cache/holdfast/target/release", arguments.data_dir).attach()
    began = time.monotonic()
    until = began + arguments.minutes * 60
    sequences, requests, found = explore(system, itertools.count(arguments.seed), until, arguments.workers, arguments.steps)
    took = time.monotonic() - began
    print(f"{sequences} sequences, {requests} requests, {requests / took:.0f}/s; differences: {dict(found) or 'none'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
