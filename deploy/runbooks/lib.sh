# What the runbooks share. Sourced by bash, never run.
#
# They work on a host with systemd; elsewhere HOLDFAST_SERVICE names a program that is called `PROGRAM start|stop|restart UNIT`.
# HOLDFAST_ETC (/etc/holdfast) has the configurations, HOLDFAST_BIN the directory of the programs (default: the PATH).
# Administration goes to HOLDFAST_ADMIN_URL with HOLDFAST_ADMIN_TOKEN, and HOLDFAST_ADMIN_CA where it has TLS.

set -euo pipefail

ETC=${HOLDFAST_ETC:-/etc/holdfast}
[ -z "${HOLDFAST_BIN:-}" ] || PATH=$HOLDFAST_BIN:$PATH

say() { printf '== %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# usage FILE: the comment at a script's head, for --help.
usage() { sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$1"; }

service() {
  if [ -n "${HOLDFAST_SERVICE:-}" ]; then "$HOLDFAST_SERVICE" "$@"; else systemctl "$@"; fi
}

# setting FILE KEY: the value of a key of a flat configuration.
setting() { sed -n "s/^$2 *= *\"\{0,1\}\([^\"]*\)\"\{0,1\} *\$/\1/p" "$1" | head -n 1; }

# until_true SECONDS WHAT COMMAND...: asks once a second.
until_true() {
  local seconds=$1 what=$2 end=$((SECONDS + $1)); shift 2
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || die "$what: not within $seconds s; the journal of the service says why"
    sleep 1
  done
}

admin() { holdfast admin "$@"; }

# field NAME: that field of the JSON on standard input.
field() { python3 -c 'import json,sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
