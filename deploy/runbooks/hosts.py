"""Hosts for the runbooks: each a network namespace with its own /etc/holdfast, its own programs and its own services."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys

RUNBOOKS = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(RUNBOOKS.parent / "cluster"))

from net import until  # noqa: E402

UNITS = {"holdfast-controlplane": "controlplane.toml", "holdfast-dataplane": "dataplane.toml"}

# What systemd is elsewhere: `service start|stop|restart UNIT`, with one file that says which process it is.
SERVICE = r"""#!/bin/bash
home=@HOME@; unit=$2; pid_file=$home/$unit.pid
case $unit in @CASES@ *) exit 5 ;; esac
alive() {
  local pid; pid=$(cat "$pid_file" 2>/dev/null) && [ -n "$pid" ] && ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null && kill -0 "$pid" 2>/dev/null
}
stop() {
  alive || return 0
  kill "$(cat "$pid_file")"
  for _ in $(seq 600); do alive || return 0; sleep 0.1; done
  kill -9 "$(cat "$pid_file")"
}
start() {
  alive && return 0
  setsid "$home/bin/$unit" --config "$home/etc/$config" >> "$home/log" 2>&1 < /dev/null &
  echo $! > "$pid_file"
}
case $1 in start) start ;; stop) stop ;; restart) stop; start ;; *) exit 2 ;; esac
"""


class Host:
    """`home` has `etc`, `bin`, `log`, `certificate.pem`; `run` runs a runbook there."""

    def __init__(self, net, name, home, programs):
        self.net, self.name, self.home = net, name, home
        self.address = net.address(name)
        self.etc, self.bin, self.log = home / "etc", home / "bin", home / "log"
        for path in (home, self.etc, self.bin):
            path.mkdir(mode=0o755)
        for program in programs:
            copy(program, self.bin)
        cases = " ".join(f"{unit}) config={file} ;;" for unit, file in UNITS.items())
        self.service = home / "service"
        self.service.write_text(SERVICE.replace("@HOME@", str(home)).replace("@CASES@", cases))
        self.service.chmod(0o755)
        self.certificate, self.key = home / "certificate.pem", home / "certificate.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-subj", f"/CN={name}", "-addext", f"subjectAltName=IP:{self.address},IP:127.0.0.1", "-keyout", self.key,
             "-out", self.certificate], check=True, capture_output=True)
        self.key.chmod(0o600)

    def inside(self, *words, env=None, seconds=300):
        """A command on this host; (whether it succeeded, what it said on both outputs)."""
        words = ["ip", "netns", "exec", f"hfc-{self.name}", *map(str, words)]
        done = subprocess.run(words, capture_output=True, text=True, env=os.environ | (env or {}), timeout=seconds,
                              stdin=subprocess.DEVNULL, cwd="/")
        return done.returncode == 0, done.stdout + done.stderr

    def environment(self, admin):
        return {"HOLDFAST_ETC": str(self.etc), "HOLDFAST_BIN": str(self.bin), "HOLDFAST_SERVICE": str(self.service), **admin}

    def run(self, admin, runbook, *arguments, seconds=300):
        """What a runbook printed. `admin`: the environment that says where administration is."""
        fine, said = self.inside(RUNBOOKS / runbook, *arguments, env=self.environment(admin), seconds=seconds)
        assert fine, f"{runbook} on {self.name}:\n{said}\nthe log ends with\n{self.tail()}"
        return said

    def tail(self, lines=15):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else "(no log)"

    def serve(self, what, unit):
        subprocess.run(["ip", "netns", "exec", f"hfc-{self.name}", self.service, what, unit], check=True, timeout=90)

    def pid(self, unit):
        """Of the unit's process, if it runs."""
        try:
            pid = int((self.home / f"{unit}.pid").read_text())
            state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (OSError, ValueError):
            return None
        return None if state == "Z" else pid

    def kill(self, unit):
        """As a power cut would."""
        pid = self.pid(unit)
        if pid:
            os.kill(pid, signal.SIGKILL)
            until(f"{unit} on {self.name} is gone", lambda: self.pid(unit) is None)

    def runs_from(self, unit):
        """The bytes of the program that the unit's process runs."""
        return pathlib.Path(f"/proc/{self.pid(unit)}/exe").read_bytes()

    def ready(self):
        """Whether the data plane here is."""
        return self.inside("curl", "-sf", "http://127.0.0.1:9002/readyz")[0]


def copy(program, directory, trailer=b""):
    """A program in another place. Bytes after the end of an ELF file change its identity and nothing else."""
    to = pathlib.Path(directory) / pathlib.Path(program).name
    shutil.copy(program, to)
    if trailer:
        with open(to, "ab") as out:
            out.write(trailer)
    return to
