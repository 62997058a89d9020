# What the runbooks share. Sourced by bash, never run.
#
# They work on a host with systemd; elsewhere HOLDFAST_SERVICE names a program that is called `PROGRAM start|stop|restart UNIT`.
# HOLDFAST_ETC (/etc/holdfast) has the configurations, HOLDFAST_BIN the directory of the programs (default: the PATH).
# Administration goes to HOLDFAST_ADMIN_URL with HOLDFAST_ADMIN_TOKEN, and HOLDFAST_ADMIN_CA where it has TLS. The URL may name
# several control planes, separated by blanks: the one that leads is asked.

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

# setting FILE KEY [DEFAULT]: the value of a key of a flat configuration, not of a list.
setting() {
  local value
  value=$(sed -n "s/^$2 *= *\"\{0,1\}\([^\"#]*\)\"\{0,1\} *\(#.*\)\{0,1\}\$/\1/p" "$1" | head -n 1)
  printf '%s\n' "${value:-${3:-}}"
}

# in_etc NAME: a file that a configuration names.
in_etc() { case $1 in /*) printf '%s\n' "$1" ;; *) printf '%s\n' "$ETC/$1" ;; esac; }

# database_url: where the control plane of this host has its database.
database_url() {
  local config=$ETC/controlplane.toml file
  file=$(setting "$config" database_url_file)
  if [ -n "$file" ]; then cat "$(in_etc "$file")"; else setting "$config" database_url; fi
}

# database_beside URL NAME: another database of the same server.
database_beside() {
  local base=${1%%\?*}
  case $1 in
    *://*) printf '%s\n' "${base%/*}/$2${1#"$base"}" ;;
    # libpq takes the last of two words for the same thing.
    *) printf '%s\n' "$1 dbname=$2" ;;
  esac
}

# until_true SECONDS WHAT COMMAND...: asks once a second.
until_true() {
  local what=$2 seconds=$1 end=$((SECONDS + $1)); shift 2
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || die "$what: not within $seconds s; the journal of the service says why"
    sleep 1
  done
}

# leader: the address of the control plane that leads; of a single one that is named, that.
leader() {
  local url
  # Blanks separate.
  # shellcheck disable=SC2086
  set -- ${HOLDFAST_ADMIN_URL:-}
  if [ $# -eq 1 ]; then printf '%s\n' "$1"; return; fi
  for url; do
    if curl -sf --max-time 5 ${HOLDFAST_ADMIN_CA:+--cacert "$HOLDFAST_ADMIN_CA"} "$url/readyz" >/dev/null; then
      printf '%s\n' "$url"
      return
    fi
  done
  echo "error: none of HOLDFAST_ADMIN_URL leads: $*" >&2
  return 1
}

admin() {
  local url
  url=$(leader) || return 1
  HOLDFAST_ADMIN_URL=$url holdfast admin "$@"
}

# field NAME: that field of the JSON on standard input.
field() { python3 -c 'import json,sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

# rotate_master_key CONFIG OLD NEW: seals everything anew. Who led a moment ago leads until its nodes' leases have run out.
rotate_master_key() {
  local said end=$((SECONDS + 30))
  until said=$(holdfast-controlplane rotate-master-key --config "$1" --old "$2" --new "$3" 2>&1); do
    case $said in *" leads; stop all control planes"*) [ $SECONDS -lt $end ] && sleep 1 && continue ;; esac
    printf '%s\n' "$said" >&2
    return 1
  done
  # What else it says is for those who do the rest by hand.
  say "${said%% Now put *}"
}
