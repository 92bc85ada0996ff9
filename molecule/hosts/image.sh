#!/bin/bash
# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0

# image.sh WHEELHOUSE: the image of all hosts, a Debian 12 with systemd. Made of the machine's own apt sources and of the
# wheels in WHEELHOUSE, named by what it is made of, built once. Prints its name and nothing else.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
wheelhouse=$1
export CONTAINERS_CONF=$here/containers.conf
packages=(
  systemd systemd-sysv dbus libpam-systemd openssh-server openssh-client ca-certificates sudo acl
  python3 python3-apt python3-psycopg python3-venv procps iproute2 iputils-ping nftables conntrack git postgresql-15
)
# What makes no sense in a container, or would only disturb.
masked=(
  systemd-remount-fs.service dev-hugepages.mount sys-fs-fuse-connections.mount systemd-logind.service getty.target
  console-getty.service systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket
  systemd-modules-load.service apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer
)
name=localhost/hft-incident-host:$(cat "$0" "$here/ssh-host-keys.service" <(ls "$wheelhouse") | sha256sum | cut -c1-16)

if ! podman image exists "$name"; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  sources=/etc/apt/sources.list.d/debian.sources
  [ -e "$sources" ] || sources=/etc/apt/sources.list
  # How this machine reaches its mirror (a proxy, say); like the mirror's name it does not stay in the image.
  apt-config dump --format '%F "%v";%n' | grep -E '^Acquire::(http|https|Check-[A-Za-z-]+)\b.* "..*"' > "$work/apt.conf" || true
  mmdebstrap --quiet --variant=minbase --mode=root --include="$(IFS=,; echo "${packages[*]}")" \
    --aptopt="$work/apt.conf" --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook="copy-in $wheelhouse /tmp" \
    --customize-hook="copy-in $here/ssh-host-keys.service /etc/systemd/system" \
    --customize-hook="chroot \"\$1\" sh -eu -c '
      python3 -m venv /opt/hft/venv
      /opt/hft/venv/bin/pip install -q --no-index /tmp/$(basename "$wheelhouse")/*.whl
      rm -rf /tmp/* /etc/ssh/ssh_host_*
      pg_dropcluster 15 main
      systemctl mask ${masked[*]}
      systemctl disable postgresql.service nftables.service
      systemctl enable ssh-host-keys.service ssh.service
      : > /etc/machine-id' 2>&1" \
    --customize-hook='rm -rf "$1"/etc/apt/sources.list* "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/etc/resolv.conf \
      "$1"/etc/hostname "$1"/var/log/apt "$1"/var/log/dpkg.log "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin' \
    bookworm "$work/image.tar" "$sources" >&2
  podman import --quiet --change 'CMD ["/lib/systemd/systemd"]' --change 'STOPSIGNAL SIGRTMIN+3' --change 'ENV container=podman' \
    "$work/image.tar" "$name" > /dev/null
fi
echo "$name"
