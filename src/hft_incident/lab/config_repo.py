# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A trading system's configuration as it is deployed: a git repository whose approved commit is known elsewhere."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

RELEASE = "release"
TIMEOUT_S = 20.0
_RELEASER = ("-c", "user.name=Release", "-c", "user.email=release@lab.example", "-c", "init.defaultBranch=main")


class ConfigRepoError(Exception):
    """git did not do as it was told; the message is one line for people."""


def deploy(folder: Path) -> str | None:
    """Makes what lies in ``folder`` the approved release; returns its commit, None on a machine without git.

    Raises ConfigRepoError.
    """
    if shutil.which("git") is None:
        return None
    git(folder, *_RELEASER, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, *_RELEASER, "commit", "--quiet", "--message", "Release")
    git(folder, *_RELEASER, "tag", RELEASE)
    return git(folder, "rev-parse", "HEAD").strip()


def bundle(folder: Path, into: Path) -> None:
    """Keeps the release off the host, so that a host can be rebuilt from it. Raises ConfigRepoError."""
    git(folder, "bundle", "create", "--quiet", str(into), RELEASE, "HEAD")


def rebuild(folder: Path, bundled: Path) -> None:
    """The release as it was kept, in place of whatever ``folder`` holds now. Raises ConfigRepoError."""
    shutil.rmtree(folder)
    folder.mkdir(mode=0o700)
    git(folder, "clone", "--quiet", "--branch", RELEASE, "-c", "advice.detachedHead=false", str(bundled), ".")


def git(folder: Path, *words: str) -> str:
    """What it prints; the machine's own settings are left out. Raises ConfigRepoError."""
    try:
        ran = subprocess.run(  # noqa: S603  # fixed words and paths of the lab
            ["git", "-C", str(folder), *words],  # noqa: S607  # the one on PATH, as everywhere
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigRepoError(f"git {words[-1]}: {error}") from None
    if ran.returncode:
        raise ConfigRepoError(f"git {' '.join(words)}: {' '.join(ran.stderr.split())}")
    return ran.stdout
