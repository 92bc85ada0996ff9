#!/bin/bash
# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0

# run.sh COMMAND…: runs it (molecule, or a shell to look around in) where molecule's hosts can be made, as root on a
# Debian 12 with nothing prepared but the virtual environment VENV with the extra "molecule". Everything that is built is
# kept: wheels in VENV, the hosts' image in podman's store.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
venv=${VENV:-$root/.venv}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

give_up() {
  echo "molecule: $1" >&2
  exit 1
}

[ "$(id -u)" = 0 ] || give_up "the hosts are system containers: run it as root"
needed=(podman runc crun netavark aardvark-dns iptables mmdebstrap uidmap openssh-client)
if ! dpkg-query -W "${needed[@]}" > /dev/null 2>&1; then
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${needed[@]}"; } \
    > "$log" 2>&1 || give_up "the packages that make hosts cannot be installed: $(tail -n 1 "$log")"
fi
mkdir -p /var/lib/containers/storage # where storage.conf looks for the machine's images, of which there may be none yet
"$root/molecule/hosts/sandbox.sh" podman info > /dev/null 2> "$log" || give_up "podman cannot run here: $(tail -n 1 "$log")"

# What the product needs on a host, for the hosts' own Python; they have no network to get it from.
wheelhouse=$venv/wheelhouse
if [ ! -e "$wheelhouse/.done" ] || [ "$root/pyproject.toml" -nt "$wheelhouse/.done" ]; then
  rm -rf "$wheelhouse"
  "$venv/bin/python" "$root/molecule/hosts/requirements.py" > "$log"
  "$venv/bin/python" -m pip download -q --disable-pip-version-check --only-binary=:all: --python-version=3.11 \
    --dest "$wheelhouse" --requirement "$log"
  touch "$wheelhouse/.done"
fi
rm -rf "$venv/dist"
(cd "$root" && "$venv/bin/hatchling" build -t wheel -d "$venv/dist" > "$log" 2>&1) || give_up "no wheel: $(tail -n 1 "$log")"
image=$("$root/molecule/hosts/image.sh" "$wheelhouse" 2> "$log") || give_up "no image of the hosts: $(tail -n 1 "$log")"

export MOLECULE_STATE=/run/hft-molecule MOLECULE_IMAGE=$image MOLECULE_DIST=$venv/dist PATH=$venv/bin:$PATH
export MOLECULE_EPHEMERAL_DIRECTORY=$MOLECULE_STATE/ephemeral
cd "$root"
"$root/molecule/hosts/sandbox.sh" "$@"
