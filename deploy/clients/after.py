"""What must be true after the clients ran: every payload mode was met, nothing is stuck, no secret was logged."""

import base64
import pathlib
import re
import time
import urllib.parse

MODES = {
    "single_hash", "unsigned", "streaming_signed", "streaming_signed_trailer", "streaming_unsigned_trailer",
}


def payload_modes(metrics):
    found = re.findall(r'^holdfast_payload_mode_total\{mode="(\w+)"\} (\d+)', metrics, re.MULTILINE)
    return {mode: int(count) for mode, count in found}


def every_mode_used(modes):
    missing = {mode for mode in MODES if not modes.get(mode)}
    assert not missing, f"never met: {missing}; counted {modes}"


def runs_on(system, runtime):
    """The data plane did not quietly serve on another runtime than the one asked for."""
    log = "".join(path.read_text(errors="replace") for path in (system.data_dir / "logs").glob("dataplane*"))
    served = re.findall(r'runtime="?(?:monoio-)?(\w+)', log)
    wanted = {"monoio": "io_uring"}.get(runtime, runtime)
    assert served and set(served) == {wanted}, f"served on {served}, not on {wanted}"


def nothing_stuck(system):
    """A second after the last client, no request is in flight."""
    for _ in range(50):
        in_flight = re.findall(r"^holdfast_requests_in_flight(?:\{[^}]*\})? (\d+)", system.metrics(), re.MULTILINE)
        assert in_flight, "no metric holdfast_requests_in_flight"
        if sum(map(int, in_flight)) == 0:
            return
        time.sleep(0.1)
    raise AssertionError(f"requests in flight: {in_flight}")


def encodings(secret):
    raw = secret.encode()
    # base64 at each of the three alignments, without the characters that depend on neighbours
    shifted = [base64.b64encode(b"\0" * pad + raw).decode()[(pad * 8 + 5) // 6 + 1 : -4] for pad in range(3)]
    return {secret, raw.hex(), raw.hex().upper(), urllib.parse.quote(secret, safe=""), *shifted}


def no_secret_in_logs(system, home):
    secrets = {system.secret_key}
    for line in (system.data_dir / "admin.json").read_text().split('"'):
        if len(line) >= 24 and "/" not in line:
            secrets.add(line)
    logs = [*(system.data_dir / "logs").rglob("*"), *pathlib.Path(home).glob("*.log")]
    logs = [log for log in logs if log.is_file() and log.stat().st_size]
    assert logs, "no logs to look at"
    for log in logs:
        text = log.read_text(errors="replace")
        for secret in secrets:
            for shape in encodings(secret):
                assert shape not in text, f"{log} holds a secret"
        assert not re.search(r"Signature=[0-9a-f]{64}", text), f"{log} holds a signature"
