# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Another host, as far as ssh can tell: a real sshd on this machine, with keys of its own."""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.lab.waiting import wait_until

SSHD = shutil.which("sshd", path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]))


class SshHost(NamedTuple):
    """``options``: all that ssh needs to get in; ``log``: what the server says of it."""

    user: str
    port: int
    options: tuple[str, ...]
    log: Path

    @property
    def command(self) -> str:
        """ssh up to the command that it should run there."""
        return shlex.join(["ssh", *self.options, "-p", str(self.port), f"{self.user}@127.0.0.1"])


@contextmanager
def ssh_host(folder: Path) -> Iterator[SshHost]:
    """Keys, settings and log are in ``folder``. Skips the test where no sshd is installed."""
    if SSHD is None:
        pytest.skip("sshd is not installed here: make sshd, or install OpenSSH's server")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where it locks itself in before anybody is let in
    folder.mkdir(mode=0o700)
    for key in ("host", "ops"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {
        "ListenAddress": "127.0.0.1",
        "Port": port,
        "HostKey": folder / "host",
        "PidFile": "none",
        "AuthorizedKeysFile": folder / "ops.pub",
        "AuthenticationMethods": "publickey",
        "UsePAM": "no",
        "Subsystem": "sftp internal-sftp",
        "StrictModes": "no",  # the folder of a test is under one that everybody may write
    }
    (folder / "config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    host_key = " ".join((folder / "host.pub").read_text().split()[:2])
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}\n")
    options = (
        "-F", "none", "-i", str(folder / "ops"), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
        "-o", f"UserKnownHostsFile={folder / 'known_hosts'}", "-o", "StrictHostKeyChecking=yes",
    )  # fmt: skip
    host = SshHost(getpass.getuser(), port, options, folder / "log")
    with subprocess.Popen([SSHD, "-D", "-f", folder / "config", "-E", host.log]) as server:
        try:
            wait_until(lambda: _lets_in(host), 30.0)
            yield host
        finally:
            server.terminate()


def _lets_in(host: SshHost) -> bool:
    return subprocess.run([*shlex.split(host.command), "true"], capture_output=True, check=False).returncode == 0
