#!/usr/bin/env bash
# Installs the Debian package pgbouncer where apt is and we may; ends with 0 when pgbouncer is there, else says why not.
set -euo pipefail

[ -x /usr/sbin/pgbouncer ] && exit 0
command -v pgbouncer >/dev/null && exit 0
refuse() { echo "PgBouncer is not installed: $1"; exit 1; }
command -v apt-get >/dev/null || refuse 'there is no apt-get here; install it by hand'
[ "$(id -u)" = 0 ] || refuse 'only root may; run "apt-get install pgbouncer" as root'

# Its package would start a service of its own: where no policy says what starts, none does for the time being.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
fi

install() {
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=60 install -y --no-install-recommends pgbouncer </dev/null
}
log=$(mktemp)
install >"$log" 2>&1 ||
  { apt-get update >>"$log" 2>&1 && install >>"$log" 2>&1; } ||
  refuse "apt-get could not ($(tail -n 1 "$log"))"
