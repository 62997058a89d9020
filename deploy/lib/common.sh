# What quickstart and test share: words, and installing what is missing. Sourced by bash, never run.
# Everything that is built or downloaded once lies under HOLDFAST_CACHE, so a second run is fast.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
HOLDFAST_CACHE=${HOLDFAST_CACHE:-$HOME/.cache/holdfast}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$HOLDFAST_CACHE/target}
export ROCKSDB_LIB_DIR=$HOLDFAST_CACHE/rocksdb-lib ROCKSDB_STATIC=1
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-auto}
BIN=$CARGO_TARGET_DIR/release
VENV=$HOLDFAST_CACHE/venv
mkdir -p "$HOLDFAST_CACHE"

# cargo goes by times: what another checkout built later than this one's files were written would pass for this one's.
checkout() {
  local stamp=$CARGO_TARGET_DIR/checkout
  if [ -d "$CARGO_TARGET_DIR" ] && [ "$(cat "$stamp" 2>/dev/null)" != "$ROOT" ]; then
    find "$ROOT" -name target -prune -o -name .git -prune -o \( -name '*.rs' -o -name '*.proto' -o -name '*.sql' \) -exec touch {} +
  fi
  mkdir -p "$CARGO_TARGET_DIR"
  echo "$ROOT" > "$stamp"
}

STARTED=$SECONDS
say() { printf '\n== %s  (%d s)\n' "$*" $((SECONDS - STARTED)); }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# packages NAME... : Debian packages that are not installed yet are; nothing is asked of the network when all are there.
packages() {
  local missing=() name
  for name in "$@"; do
    dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  command -v apt-get >/dev/null || die "these packages are missing and there is no apt-get: ${missing[*]}"
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "run as root, or install first: ${missing[*]}"
    as_root=(sudo)
  fi
  say "installing Debian packages: ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  # PostgreSQL's package starts a cluster of its own unless told not to; ours is private.
  if [ ! -e /etc/postgresql-common/createcluster.conf ] && [[ " ${missing[*]} " == *" postgresql-15 "* ]]; then
    "${as_root[@]}" mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' | "${as_root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
  fi
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# toolchain: a C++ compiler and libclang for RocksDB, PostgreSQL's server binaries, cargo.
toolchain() {
  packages build-essential git libclang-14-dev ca-certificates curl postgresql-15 python3 python3-venv
  if ! command -v cargo >/dev/null; then
    [ -x "$HOME/.cargo/bin/cargo" ] && export PATH=$HOME/.cargo/bin:$PATH
  fi
  if ! command -v cargo >/dev/null; then
    say "installing Rust with rustup"
    curl -sSf --proto '=https' https://sh.rustup.rs | sh -s -- -y -q --profile minimal -c rustfmt -c clippy ||
      die "no cargo, and rustup could not be fetched; install Rust 1.95 or newer and run this again"
    export PATH=$HOME/.cargo/bin:$PATH
  fi
  checkout
}

# rocksdb: the C++ library is compiled once per version and linked by every build after it, whatever its profile.
# cargo alone would compile its 343 files again for each profile (20 minutes on two cores).
rocksdb() {
  local version
  version=$(sed -n '/^name = "librocksdb-sys"/{n;s/version = "\(.*\)"/\1/p}' "$ROOT/Cargo.lock")
  [ "$(cat "$ROCKSDB_LIB_DIR/VERSION" 2>/dev/null)" = "$version" ] && [ -e "$ROCKSDB_LIB_DIR/librocksdb.a" ] && return 0
  say "compiling RocksDB $version once (about 20 minutes on two cores)"
  local build=$HOLDFAST_CACHE/rocksdb-build objects
  ( # a line of progress a minute: cargo itself is silent while the C++ compiles
    while sleep 60; do
      objects=$(find "$build" -name '*.o' 2>/dev/null | wc -l)
      printf '   ... %d of 343 files\n' "$objects"
    done ) & local progress=$!
  env -u ROCKSDB_LIB_DIR -u ROCKSDB_STATIC CXXFLAGS="-g0 -msse4.2 -mpclmul" \
    cargo build --release --locked --manifest-path "$ROOT/Cargo.toml" -p librocksdb-sys --target-dir "$build" ||
    { kill $progress; die "RocksDB did not compile; the lines above say why"; }
  kill $progress 2>/dev/null || true
  local archive
  archive=$(ls -t "$build"/release/build/librocksdb-sys-*/out/librocksdb.a | head -n 1)
  mkdir -p "$ROCKSDB_LIB_DIR"
  cp "$archive" "$ROCKSDB_LIB_DIR/librocksdb.a"
  rm -rf "$build"
  echo "$version" > "$ROCKSDB_LIB_DIR/VERSION"
}

# binaries: the three programs, and the file system whose power can be cut; release profile.
binaries() {
  say "building the binaries"
  cargo build --release --locked --manifest-path "$ROOT/Cargo.toml" \
    -p holdfast-dataplane -p holdfast-controlplane -p holdfast-proptests --bins
}

# python_clients: boto3, the aws cli and minio-py, pinned, in a virtual environment of their own.
python_clients() {
  local wanted=$ROOT/deploy/clients/requirements.txt
  cmp -s "$wanted" "$VENV/requirements.txt" && return 0
  say "installing the Python S3 clients"
  rm -rf "$VENV"
  python3 -m venv "$VENV"
  "$VENV/bin/pip" install -q --disable-pip-version-check -r "$wanted"
  cp "$wanted" "$VENV/requirements.txt"
}
