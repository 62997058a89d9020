"""How `holdfast dev` starts where it is hard, and the sentences it refuses with: cause and next command."""

import ctypes
import json
import os
import pathlib
import shutil
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time

from clients import boto
from robust import all_equal, objects, own, put_all, within
from system import System, free_port

IO_URING_SETUP = 425  # the same number on every architecture


def refusal(system, *options, words, timeout=60, env=None):
    """`holdfast dev` must end by itself, not with 0, saying one sentence that holds all these words.

    What a child said before it died follows on lines of its own and counts as said."""
    command = [system.holdfast, "dev", "--data-dir", system.data_dir]
    for flag, port in zip(("--s3-addr", "--admin-addr"), system.ports):
        if flag not in options:
            command += [flag, f"127.0.0.1:{port}"]
    began = time.monotonic()
    done = subprocess.run(
        list(map(str, [*command, *system.options, *options])), capture_output=True, text=True, timeout=timeout,
        env={**os.environ, **(env or {})},
    )
    told = f"exit code {done.returncode} after {time.monotonic() - began:.1f} s; stderr:\n{done.stderr}"
    assert done.returncode not in (0, -9, 101), told
    sentences = [line for line in done.stderr.splitlines() if line.startswith("holdfast: ")]
    assert len(sentences) == 1 and "panicked" not in done.stderr and "ready " not in done.stdout, told
    said = done.stderr[done.stderr.index(sentences[0]) :]
    missing = [word for word in words if word not in said]
    assert not missing, f"no {missing} in what it says; {told}"
    return done.stderr


def tried(checks):
    """Runs all; one that fails must not hide the others."""
    failures = []
    for name, check in checks.items():
        try:
            check()
        except (AssertionError, subprocess.TimeoutExpired) as error:
            failures.append(f"{name}: {error}")
    assert not failures, "\n".join(failures)


def unwritable_place(work):
    """A place where nobody can make a directory, not even root."""
    if os.geteuid() == 0:
        return pathlib.Path("/proc/holdfast-data")
    path = work / "read-only"
    path.mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    return path / "data"


@within(120)
def refused_before_anything_starts(bin_dir, work):
    def at(name):
        return System(bin_dir, work / name)

    (work / "thesis").mkdir()
    (work / "thesis" / "thesis.tex").write_text("mine")
    (work / "file").write_text("a file")
    (work / "no-postgres").mkdir()
    unwritable = System(bin_dir, unwritable_place(work))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        addr = "127.0.0.1:%d" % taken.getsockname()[1]
        tried({
            "s3 port": lambda: refusal(at("p1"), "--s3-addr", addr, words=["--s3-addr", addr, "ss -ltnp"]),
            "admin port": lambda: refusal(at("p2"), "--admin-addr", addr, words=["--admin-addr", addr, "ss -ltnp"]),
            "not our address": lambda: refusal(at("p3"), "--s3-addr", "203.0.113.7:9000", words=["ip addr"]),
            "foreign": lambda: refusal(at("thesis"), words=["thesis.tex", "--data-dir"]),
            "a file": lambda: refusal(at("file"), words=["cannot be used as a data directory", "ls -ld"]),
            "not writable": lambda: refusal(unwritable, words=["cannot be used as a data directory", "--data-dir"]),
            "no initdb": lambda: refusal(
                at("p4"), "--pg-bin-dir", work / "no-postgres", words=["initdb", "apt-get install postgresql"]),
            "cores": lambda: refusal(at("p5"), "--cores", 4096, words=["--cores 4096", "--cores away"]),
            "parity": lambda: refusal(at("p6"), "--parity", 3, words=["--parity 3", "--parity 2"]),
            "certificate": lambda: refusal(
                at("p7"), "--tls-cert", work / "none.crt", "--tls-key", work / "none.key", words=["none.crt"]),
            "not a certificate": lambda: refusal(
                at("p8"), "--tls-cert", work / "file", "--tls-key", work / "file", words=["holds no certificate", "openssl x509"]),
            "half a root key": lambda: refusal(
                at("p9"), env={"HOLDFAST_ROOT_ACCESS_KEY": "AKIA"}, words=["HOLDFAST_ROOT_SECRET_KEY"]),
        })
    assert sorted(p.name for p in (work / "thesis").iterdir()) == ["thesis.tex"], "a foreign directory was written to"
    assert not (work / "p5").exists(), "made although refused"


@within(120)
def a_wrong_database_url_is_a_sentence(bin_dir, work):
    def ask(name, url, *words):
        system = System(bin_dir, work / name)
        said = refusal(system, "--database-url", url, words=["--database-url", *words])
        logs = [log.read_text(errors="replace") for log in (system.data_dir / "logs").glob("*.log")]
        assert not any("hunter2" in text for text in [said, *logs]), "the password was told"

    tried({
        "nobody listens": lambda: ask("db1", f"postgres://me:hunter2@127.0.0.1:{free_port()}/holdfast", "psql"),
        "no such host": lambda: ask("db2", "postgres://me:hunter2@holdfast.invalid/holdfast", "psql"),
        "not a URL": lambda: ask("db3", "hunter2 is no URL"),
    })


@within(120)
def refused_on_a_directory_in_use_or_incomplete(bin_dir, work):
    with own(bin_dir, work / "used") as system:
        second = System(bin_dir, system.data_dir)
        pid = str(system.ready["pids"]["dev"])
        refusal(second, words=["another `holdfast dev`", pid], timeout=10)
        assert json.loads((system.data_dir / "ready.json").read_text()) == system.ready, "the first one was disturbed"
        bodies = objects(7)
        put_all(boto(system), bodies)
        assert system.stop() == 0
        shutil.move(system.data_dir / "drives" / "d3", work / "d3")
        tried({
            "drive": lambda: refusal(system, words=["drives/d3 is missing", "--degraded"]),
            "drives": lambda: refusal(system, "--drives", 6, words=["--drives 4"]),
            "parity": lambda: refusal(system, "--parity", 1, words=["--parity 2"]),
        })
        shutil.move(work / "d3", system.data_dir / "drives" / "d3")
        all_equal(boto(system.start()), bodies)


def lives_in(bin_dir, data_dir):
    with own(bin_dir, data_dir) as system:
        bodies = {"a": b"1", "b": os.urandom(200_000)}
        put_all(boto(system), bodies)
        assert system.stop() == 0
        all_equal(boto(system.start()), bodies)
        assert system.stop() == 0


@within(60)
def a_long_path_works(bin_dir, work):
    path = work / ("long-" * 20 + "1") / ("name " * 15 + "2")
    path.parent.mkdir()
    assert len(str(path)) > 170
    lives_in(bin_dir, path)


@within(60)
def a_home_that_postgres_cannot_traverse_works(bin_dir, work):
    home = pathlib.Path.home()
    with tempfile.TemporaryDirectory(prefix=".holdfast-test-", dir=home) as place:
        lives_in(bin_dir, pathlib.Path(place) / "data")


@within(120)
def without_io_uring_it_warns_and_serves(bin_dir, work):
    """A seccomp filter, as Docker's default profile, refuses io_uring_setup."""
    wrapper = work / "holdfast-without-io-uring"
    wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" "{bin_dir}/holdfast" "$@"\n')
    wrapper.chmod(0o755)

    def forbidden(name):
        system = System(bin_dir, work / name)
        system.holdfast = wrapper
        return system

    refusal(forbidden("required"), "--require-io-uring", words=["io_uring", "seccomp"])
    for runtime in ("glommio", "monoio"):
        system = forbidden(f"epoll-for-{runtime}")
        system.options += ["--runtime", runtime]
        system.start()
        try:
            bodies = objects(8)
            put_all(boto(system), bodies)
            all_equal(boto(system), bodies)
            log = (system.data_dir / "logs" / "dataplane.log").read_text(errors="replace")
            assert "io_uring cannot be used" in log and "seccomp" in log, log
        finally:
            code = system.stop()
        assert code == 0
    with own(bin_dir, system.data_dir, options=["--require-io-uring"]) as again:
        all_equal(boto(again), bodies)


def forbid_io_uring():
    """For this process and what it becomes: io_uring_setup answers EPERM."""
    returns_eperm, allowed = 0x0005_0001, 0x7FFF_0000
    program = b"".join(struct.pack("HBBI", *line) for line in [
        (0x20, 0, 0, 0),  # the system call's number
        (0x15, 0, 1, IO_URING_SETUP),
        (0x06, 0, 0, returns_eperm),
        (0x06, 0, 0, allowed),
    ])
    held = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(held))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in [(38, 1, 0, 0, 0), (22, 2, ctypes.c_char_p(described), 0, 0)]:  # NO_NEW_PRIVS, SECCOMP
        if libc.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


ALL = [
    refused_before_anything_starts, a_wrong_database_url_is_a_sentence, refused_on_a_directory_in_use_or_incomplete,
    a_long_path_works, a_home_that_postgres_cannot_traverse_works, without_io_uring_it_warns_and_serves,
]

if __name__ == "__main__":
    forbid_io_uring()
    os.execv(sys.argv[1], sys.argv[1:])
