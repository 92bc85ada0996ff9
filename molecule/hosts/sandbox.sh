#!/bin/bash
# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0

# sandbox.sh COMMAND…: runs it as root where podman works on any machine and leaves nothing behind: mounts, network,
# processes, /run and a pure cgroup v2 of its own. All that the command has started, containers too, dies with it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export CONTAINERS_CONF=$here/containers.conf CONTAINERS_STORAGE_CONF=$here/storage.conf

# A machine with cgroup v1 has v2 beside it ("hybrid").
top=/sys/fs/cgroup
if mountpoint -q "$top/unified"; then top=$top/unified; fi
cgroup=$top/hft-molecule-$$
mkdir "$cgroup"
trap 'for _ in $(seq 50); do find "$cgroup" -depth -type d -exec rmdir {} + 2> /dev/null && break; sleep 0.1; done' EXIT

inside() {
  mount -t tmpfs -o mode=0755 run /run # podman's state, so that two of these do not meet
  mount -t tmpfs -o mode=1777 shm /dev/shm # and its locks
  mkdir -m 0700 /run/lock /run/hft-molecule
  umount -l /sys/fs/cgroup
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  mkdir /sys/fs/cgroup/init
  echo $$ > /sys/fs/cgroup/init/cgroup.procs # podman wants the top free of processes
  exec unshare --net --pid --fork --kill-child --mount-proc bash -euc 'ip link set lo up; exec "$@"' sandbox "$@"
}
export -f inside
bash -euc 'echo $$ > "$1/cgroup.procs"; shift; exec unshare --mount --cgroup --propagation private bash -euc "inside \"\$@\"" sandbox "$@"' \
  sandbox "$cgroup" "$@"
