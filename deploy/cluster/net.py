"""Network namespaces joined by a bridge in a namespace of its own: each host has one interface and two addresses.

`10.77.0.N` is where S3 and PostgreSQL are served, and gRPC with certificates. `127.77.0.N` travels over the same wire (the
kernel is told to route it): what is served without TLS has to be on a loopback address, and is on another machine all the
same, so that it can be cut off. Everything is removed at the end, also what an earlier run left behind.
"""

import contextlib
import ctypes
import fcntl
import os
import pathlib
import subprocess
import time

PREFIX = "hfc-"
LOCK = "/run/holdfast-cluster.lock"
CLONE_NEWNET = 0x40000000


class Refused(Exception):
    """This machine does not let us; the message says what."""


def command(*words, check=True):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if check and done.returncode != 0:
        raise Refused(f"{' '.join(map(str, words))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def until(what, check, seconds=60):
    """Waits for something true and returns it."""
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > deadline:
            raise RuntimeError(f"in vain waited {seconds} s until {what}")
        time.sleep(0.05)


def remove_leftovers():
    for line in command("ip", "netns", "list", check=False).splitlines():
        name = line.split()[0]
        if name.startswith(PREFIX):
            command("ip", "netns", "del", name, check=False)


class Net:
    def __init__(self):
        self.hosts = {}  # name -> last number of its addresses
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)

    def __enter__(self):
        if os.geteuid() != 0:
            raise Refused("network namespaces need root")
        self.only_one = open(LOCK, "w")
        fcntl.flock(self.only_one, fcntl.LOCK_EX)  # another run's hosts have the same names
        remove_leftovers()
        command("ip", "netns", "add", PREFIX + "switch")
        command("ip", "-n", PREFIX + "switch", "link", "add", "name", "bridge", "type", "bridge")
        command("ip", "-n", PREFIX + "switch", "link", "set", "bridge", "up")
        return self

    def __exit__(self, *_):
        """The processes are gone by now: a namespace lives as long as one is in it."""
        self.enter(None)
        remove_leftovers()
        self.only_one.close()

    def add(self, name, number):
        """A host: its namespace, its wire to the switch, its addresses."""
        ns, switch, port = PREFIX + name, PREFIX + "switch", f"p-{name}"
        command("ip", "netns", "add", ns)
        command("ip", "link", "add", "name", "eth0", "netns", ns, "type", "veth", "peer", "name", port, "netns", switch)
        command("ip", "-n", switch, "link", "set", port, "master", "bridge", "up")
        command("ip", "netns", "exec", ns, "sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
        command("ip", "-n", ns, "link", "set", "lo", "up")
        for address in (f"10.77.0.{number}/24", f"127.77.0.{number}/24"):
            command("ip", "-n", ns, "addr", "add", address, "dev", "eth0")
        command("ip", "-n", ns, "link", "set", "eth0", "up")
        command("ip", "-n", ns, "route", "del", "local", "127.0.0.0/8", "dev", "lo", "table", "local")
        self.hosts[name] = number

    def address(self, name):
        return f"10.77.0.{self.hosts[name]}"

    def loopback(self, name):
        return f"127.77.0.{self.hosts[name]}"

    def enter(self, name):
        """Moves this thread, and the threads it starts from now on, to a host; `None`: back home."""
        if name is None:
            handle = os.dup(self.home)
        else:
            handle = os.open(f"/run/netns/{PREFIX}{name}", os.O_RDONLY)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(handle, CLONE_NEWNET) != 0:
            raise Refused(f"setns {name}: {os.strerror(ctypes.get_errno())}")
        os.close(handle)

    def start(self, name, words, *, log, user=None):
        """A process on a host. Killing it kills what was asked for: no shell and no helper stays between."""
        with_user = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"] if user else []
        words = ["ip", "netns", "exec", PREFIX + name, *with_user, *map(str, words)]
        with open(log, "ab") as out:
            return subprocess.Popen(words, stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd="/")

    # ------------------------------------------------------------------------------------------------- what breaks

    def link(self, name, up):
        """Pulls the host's cable, at the switch's end, or puts it back."""
        command("ip", "-n", PREFIX + "switch", "link", "set", f"p-{name}", "up" if up else "down")

    def worsen(self, name, *, delay_ms, loss):
        """The host's wire becomes slow and loses packets: by netem, or, where the kernel has none, as narrow as a queue of
        that length makes it (tbf), with the loss at its own doors (iptables)."""
        inside = ["ip", "netns", "exec", PREFIX + name]
        netem = ["netem", "delay", f"{delay_ms}ms", f"{delay_ms / 3}ms", "loss", f"{loss * 100}%"]
        try:
            command(*inside, "tc", "qdisc", "replace", "dev", "eth0", "root", *netem)
        except Refused:
            command(*inside, "tc", "qdisc", "replace", "dev", "eth0", "root", "tbf", "rate", f"{40_000 // delay_ms}kbit",
                    "burst", "3kb", "latency", f"{4 * delay_ms}ms")
            for chain in ("INPUT", "OUTPUT"):
                command(*inside, "iptables", "-A", chain, "-m", "statistic", "--mode", "random", "--probability", loss / 2,
                        "-j", "DROP")

    def mend(self, name):
        inside = ["ip", "netns", "exec", PREFIX + name]
        command(*inside, "tc", "qdisc", "del", "dev", "eth0", "root", check=False)
        command(*inside, "iptables", "-F", check=False)

    def cut(self, one, other, *, both_ways=True):
        """Silence between two hosts: packets go to nobody's MAC address, and nobody is told."""
        for here, there in [(one, other), (other, one)][: 2 if both_ways else 1]:
            for address in (self.address(there), self.loopback(there)):
                command("ip", "-n", PREFIX + here, "neigh", "replace", address, "lladdr", "02:00:00:00:00:99",
                        "dev", "eth0", "nud", "permanent")

    def heal(self, one, other):
        for here, there in [(one, other), (other, one)]:
            for address in (self.address(there), self.loopback(there)):
                command("ip", "-n", PREFIX + here, "neigh", "del", address, "dev", "eth0", check=False)

    def heal_all(self):
        for name in self.hosts:
            self.link(name, True)
            self.mend(name)
            for other in self.hosts:
                if other > name:
                    self.heal(name, other)


class OnNet:
    """What runs on the hosts of `self.net`: `with` starts all of it, and takes it down, also after half a start."""

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.net)
            stack.callback(self.kill_all)
            self.start()
            self.down = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.down.close()


def postgres_binaries():
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        raise Refused("PostgreSQL's server is not installed (apt-get install postgresql)")
    return found[-1].parent
