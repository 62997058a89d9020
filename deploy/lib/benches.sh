#!/usr/bin/env bash
# Whether every instrument still runs: each bench once, and two seconds of s3bench against a system of its own.
# Figures are not looked at. The benches are built as tests are, so nothing is built twice.
. "$(dirname "$0")/common.sh"

cd "$ROOT"
cargo test --release --locked --workspace --bench '*' -- --test

dir=$(mktemp -d)
read -r s3 admin < <(python3 - <<'PY'
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(one.getsockname()[1] for one in held))
PY
)
"$BIN/holdfast" dev --data-dir "$dir/data" --s3-addr "127.0.0.1:$s3" --admin-addr "127.0.0.1:$admin" > "$dir/log" 2>&1 &
dev=$!
trap 'kill -TERM $dev 2>/dev/null && wait $dev; rm -rf "$dir"' EXIT
for _ in $(seq 600); do
  [ ! -e "$dir/data/ready.json" ] || break
  kill -0 $dev 2>/dev/null || { cat "$dir/log"; die "holdfast dev did not start"; }
  sleep 0.1
done

run() { "$BIN/s3bench" --data-dir "$dir/data" --size 4KiB -c 8 --warmup 200ms --duration 1s --json "$@"; }
run --op put > "$dir/put.json"
run --op mixed --keys 200 > "$dir/mixed.json"
python3 - "$dir"/*.json <<'PY'
import json, sys
for path in sys.argv[1:]:
    run = json.load(open(path))
    assert run["operations"] > 0 and not run["errors"] and run["server"]["cpu_s"] > 0, run
    print(f"s3bench {run['op']}: {run['operations']} operations, no errors")
PY
"$BIN/s3bench" capacity "$dir/put.json" --mix put:4KiB=1
