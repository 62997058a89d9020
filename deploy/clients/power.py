"""A file system whose power can be cut: `holdfast-power-loss` mounted over a directory."""

import pathlib
import subprocess


class Power:
    """`on`, then `cut` (everything not made durable may be lost, and every call fails), `off`, and `on` again."""

    def __init__(self, bin_dir, work, seed, options=()):
        self.program = pathlib.Path(bin_dir) / "holdfast-power-loss"
        self.mount, self.disk = pathlib.Path(work) / "data", pathlib.Path(work) / "disk"
        self.seed, self.options, self.cuts, self.process = seed, options, 0, None

    def on(self):
        self.mount.mkdir(exist_ok=True)
        self.disk.mkdir(exist_ok=True)
        command = [self.program, self.disk, self.mount, "--seed", f"{self.seed}/{self.cuts}", *self.options]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "mounted\n", f"{self.program} did not mount; it needs root and /dev/fuse"

    def cut(self):
        """Returns what was lost, in words."""
        self.cuts += 1
        self.process.stdin.write("cut\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def off(self):
        """Unmounts; nobody may have a file open. What is not durable is kept unless the power was cut."""
        if self.process:
            self.process.stdin.close()
            code = self.process.wait(60)
            self.process = None
            assert code == 0, f"{self.program} ended with {code}"
